"""Write a trained agent as files that hold no code, to give to others.

    python -m agents.export runs/NBV-MapAnything-v0-ppo-seed0 my-agent
    python evaluate_agent.py --run my-agent

The folder has the best agent of the run by its validation split: policy.safetensors (weights), agent.yaml
(what they belong to) and README.md (a card for its readers). A run's own model.zip is a pickle: whoever opens
one runs what its author put in, and it opens no more where a class has moved. What is written here does
neither:

    from agents.exported import load_agent

    agent = load_agent("my-agent")
    env = gym.make(agent.env_id, **agent.env_kwargs)
    action, memory = agent.predict(observation, deterministic=True)
"""

from __future__ import annotations

import os
import shutil
import sys
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import torch
from safetensors.torch import save
from stable_baselines3.common.base_class import BaseAlgorithm
from tyro.conf import Positional, arg

from agents.agent_yaml import (
    CARD,
    DESCRIPTION,
    EXTRACTORS,
    FORMAT,
    KEYWORDS,
    NO_NAME,
    POLICIES,
    WEIGHTS,
    check_backbone_kwargs,
    left_out,
    plain,
)
from agents.exported import distinct, is_exported, load_agent
from agents.families import family, short_id
from agents.flags import UserPath, parse_flags
from agents.progress import console
from agents.run_folder import best, check_out, load, read_config
from agents.runs import LEFT_OUT, single_env
from spatial_envs import __version__
from spatial_envs.foundation import yaml_files
from spatial_envs.foundation.arguments import legible
from spatial_envs.scenes.sets import WORDS

OPTIMISERS = ("optimizer_class", "optimizer_kwargs")  # which an agent that learns no more has no use for


@dataclass(frozen=True)
class Flags:
    """What the command line says."""

    run: Positional[Annotated[UserPath, arg(metavar="RUN")]]
    """A run folder that train_agent.py made."""
    out: Positional[Annotated[UserPath, arg(metavar="OUT")]]
    """The folder to write, which must not hold anything yet."""
    trust: bool = False
    """Read a run that no training of yours on this computer wrote, too. Its model is a pickle, and to read it
    runs whatever code its author put in."""


def export(flags: Flags) -> Path:
    """Write the folder, whole or not at all, and return it. ValueError for what cannot be exported."""
    check_out(flags.out)
    if flags.out.is_dir() and any(flags.out.iterdir()):
        raise ValueError(f"out: {flags.out} already holds something; choose another folder")
    if is_exported(flags.run):
        raise ValueError(f"run: got {flags.run}, which is exported already; expected a run folder")
    if read_config(flags.run, "run", trust=flags.trust)["algo"] == "encoder":
        raise ValueError(
            f"run: got {flags.run}, of an encoder, which has no policy; its encoder.safetensors, which holds "
            "no code, is all of it (prototypes=<that file>)"
        )
    run, model = load(flags.run, trust=flags.trust)
    said = described(run, model)
    _, row = best(flags.run, column := family(run["env"]).curve)
    if row is not None:
        figures = {"score": float(row[column]), "low": float(row["low"]), "high": float(row["high"])}
        said["validation"] = {"figure": column, **figures}
    text = card(said, flags.out.resolve().name, _table(flags.run, said))
    names = distinct(model.policy)
    tensors = {
        name: value.detach().cpu().clone().contiguous()
        for name, value in model.policy.state_dict().items()
        if names[name] == name
    }
    with _replacing_folder(flags.out) as folder:
        (folder / WEIGHTS).write_bytes(save(tensors))  # save_file lets nobody else read it
        (folder / DESCRIPTION).write_text(yaml_files.text(said), encoding="utf-8")
        (folder / CARD).write_text(text, encoding="utf-8")
        load_agent(folder, "cpu")  # raises for what could not be read again
    console.print(f"{flags.out}: the agent of step {model.num_timesteps:,} of {flags.run}")
    return flags.out


def described(run: dict[str, Any], model: BaseAlgorithm) -> dict[str, Any]:
    """What agent.yaml says, but for the validation; ValueError for a policy or settings that it
    cannot say."""
    kwargs = {key: value for key, value in run["env_kwargs"].items() if key not in left_out(run["env"])}
    if kwargs.get("prototypes") is not None:
        raise ValueError(f"prototypes: got {kwargs['prototypes']}; expected an agent of those that ship")
    check_backbone_kwargs(kwargs.get("backbone_kwargs"))
    env = single_env({"env": run["env"], "env_kwargs": kwargs})
    settings = {
        key: value
        for key, value in run["env_kwargs"].items()
        if key in left_out(run["env"]) and key not in LEFT_OUT
    }
    hyperparameters = {key: value for key, value in run["hyperparameters"].items() if key != "policy"}
    name, extractor, policy_kwargs = _named(run["algo"], model)
    return {
        "format": FORMAT, "package": __version__, "algorithm": run["algo"],
        "env": short_id(run["env"]), "env_kwargs": kwargs, "backbone": run["resolved_backbone"],
        "observation_space": plain(env.observation_space), "action_space": plain(env.action_space),
        "policy": name, "features_extractor": extractor, "policy_kwargs": policy_kwargs,
        "exploration_rate": float(model.exploration_rate) if hasattr(model, "exploration_rate") else None,
        "normalisation": None,
        "training": {
            "scenes": _name(run["scenes"]), "settings": settings, "seed": run["seed"],
            "steps": model.num_timesteps, "timesteps": run["timesteps"], "num_envs": run["num_envs"],
            "hyperparameters": hyperparameters, "warm_start": run.get("warm_start"),
        },
        "validation": None,
    }  # fmt: skip


def _named(algorithm: str, model: BaseAlgorithm) -> tuple[str, str | None, dict[str, Any]]:
    """The names of the policy and of its features extractor, and what else it was made with."""
    known = {kind: name for name, kind in POLICIES[algorithm].items()}
    kind = type(model.policy)
    if kind not in known:
        valid = ", ".join(known.values())
        raise ValueError(f"policy: got {kind.__qualname__}; of {algorithm} {valid} are exported")
    if getattr(model, "use_sde", False):
        raise ValueError("use_sde: got True, whose noise is no part of the weights; it is not exported")
    kwargs, extractor = dict(model.policy_kwargs), None
    if (given := kwargs.pop("features_extractor_class", None)) is not None:
        extractor = given.__name__
        if EXTRACTORS.get(extractor) is not given:
            valid = ", ".join(EXTRACTORS)
            raise ValueError(f"features_extractor_class: got {extractor}; {valid} are exported")
    kwargs = {key: value for key, value in kwargs.items() if key not in (*OPTIMISERS, "use_sde")}
    if isinstance(spread := kwargs.get("log_std_init"), torch.Tensor):
        kwargs["log_std_init"] = spread.tolist()
    for key in kwargs:
        if key not in KEYWORDS:
            raise ValueError(f"policy_kwargs: got {key}; {', '.join(KEYWORDS)} are exported")
    return known[kind], extractor, kwargs


def _name(scenes: str) -> str:
    """Return the name of the scenes, without the folders above them, which are nobody's business."""
    return "".join("_" if letter in NO_NAME else letter for letter in legible(Path(scenes).name)) or "scenes"


def _table(run: Path, said: dict[str, Any]) -> str:
    """The run's final table, where it is of this agent."""
    try:
        text = (run / "table.md").read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        return ""
    steps = said["training"]["steps"]
    own = (f"The agent of step {steps:,} of ", f"The agent of the last step, {steps:,};")
    return text if text.startswith(own) else ""


def card(said: dict[str, Any], name: str, table: str = "") -> str:
    """README.md: what the agent is, how it was trained, what it scores and how it is loaded."""
    training, validation = said["training"], said["validation"]
    settings = ", ".join(f"{key}={value}" for key, value in training["settings"].items())
    shown = training["scenes"] + (f" ({settings})" if settings else "")
    warm = training["warm_start"]
    score = "No evaluation of the run has a score.\n"
    if validation is not None:
        score = (
            f"On the validation split: {validation['figure']} {validation['score']:.3f} "
            f"[{validation['low']:.3f}, {validation['high']:.3f}].\n"
        )
    foreign = "" if training["scenes"] in WORDS else (
        f"\nIts scenes, {training['scenes']}, are no part of it: give others, or your copy, as `scenes=` and "
        "`--scenes`.\n"
    )  # fmt: skip
    return f"""# {name}

An agent for `{said['env']}` of spatial_envs {said['package']}, trained with {said['algorithm']}.
Its backbone is {said['backbone']}; it observes {', '.join(said['observation_space'])}.

{WEIGHTS} has the weights of `{said['policy']}`, {DESCRIPTION} what they belong to. Neither holds any code.

## Loading it

In a checkout of spatial_envs:

```python
import gymnasium as gym

import spatial_envs
from agents.exported import load_agent

agent = load_agent("{name}")
env = gym.make(agent.env_id, **agent.env_kwargs)
observation, info = env.reset(seed=0)
action, memory = agent.predict(observation, deterministic=True)
```

```bash
python evaluate_agent.py --run {name}
```
{foreign}
## How it was trained

{training['steps']:,} steps of a run of {training['timesteps']:,}, {training['num_envs']} episodes at once,
seed {training['seed']}, on {shown}{f", after cloning {warm['expert']}" if warm else ""}.

```yaml
{yaml_files.text(training['hyperparameters']).strip()}
```

## Scores

{score}
{table}""".rstrip() + "\n"  # fmt: skip


@contextmanager
def _replacing_folder(path: Path) -> Iterator[Path]:
    """Yield a new folder beside ``path``, which takes its name when the block ends; nothing is left after an
    error. What is there under the name may be an empty folder."""
    place = Path(os.path.abspath(path))
    place.parent.mkdir(parents=True, exist_ok=True)
    unfinished = place.with_name(f"unfinished_{uuid.uuid4().hex[:12]}_{place.name}")
    unfinished.mkdir()
    try:
        yield unfinished
        if place.is_dir():
            place.rmdir()  # as Windows replaces no folder
        unfinished.rename(place)
    except BaseException:
        shutil.rmtree(unfinished, ignore_errors=True)
        raise


if __name__ == "__main__":
    try:
        export(parse_flags(Flags, __doc__, "python -m agents.export"))
    except (ValueError, TypeError, OSError, ImportError) as error:
        sys.exit(f"agents.export: {error}")
    except KeyboardInterrupt:
        sys.exit("agents.export: interrupted")
