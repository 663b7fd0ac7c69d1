"""Train a part of a planner from recorded walks, by configs/planners.yml.

    python -m agents.navigation.walks runs/walks/train --buildings 14
    python -m agents.navigation.walks runs/walks/validation --split validation --buildings 4 --episodes 1
    python -m agents.navigation.planner_training completion --out runs/completion-0
    python -m agents.navigation.planner_training frontier-scores --seed 1 --out runs/frontier-scores-1
    python evaluate_agent.py --run runs/completion-0 --baselines free-space

A folder that was interrupted goes on by the same command.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
import torch
from torch import nn
from tyro.conf import Positional, arg

from agents.flags import UserPath, parse_flags
from agents.hyperparameters import check_numbers
from agents.navigation.lessons import CompletionLesson, FrontierLesson, Lesson
from agents.navigation.place_lesson import PlaceLesson
from agents.navigation.planners import (
    CARD,
    FORMAT,
    PARTS,
    Planner,
    check_values,
    is_planner,
    load_planner,
    parameters,
    write_planner,
)
from agents.run_folder import check_out
from agents.runs import command_line, parse_settings
from agents.teaching import teach
from spatial_envs.foundation import yaml_files
from spatial_envs.foundation.arguments import check_range
from spatial_envs.foundation.files import replacing
from spatial_envs.foundation.threads import set_threads

CONFIG = Path(__file__).resolve().parents[2] / "configs" / "planners.yml"
LESSONS: dict[str, type[Lesson]] = {
    "completion": CompletionLesson,
    "frontier-scores": FrontierLesson,
    "place-match": PlaceLesson,
}
SAVE_EVERY = 100  # steps


@dataclass(frozen=True)
class Flags:
    """What the command line says."""

    part: Positional[Annotated[Literal["completion", "frontier-scores", "place-match"], arg(metavar="PART")]]
    """completion: of the map beyond what is seen, for PointNav; frontier-scores: of where to explore;
    place-match: of where ImageNav's picture was taken."""
    out: UserPath
    """The folder to write, or to go on with."""
    records: UserPath | None = None
    """Walks to learn from, or for place-match views; by default runs/walks/train or runs/views/train."""
    validation: UserPath | None = None
    """Those of other buildings, to measure on in the end; by default runs/walks/validation or
    runs/views/validation."""
    seed: int = 0
    """Of the weights and the batches."""
    hyper: tuple[str, ...] = ()
    """Hyperparameters other than the config's, as name=value."""


def train(flags: Flags) -> Planner:
    """Train to the end and write the planner with its card. ValueError for flags that mean nothing."""
    config = _config(flags)
    check_out(flags.out)
    if is_planner(flags.out):
        raise ValueError(f"out: {flags.out} already holds a planner; choose another folder")
    kind = LESSONS[flags.part]
    lesson = kind.read(flags.records or kind.folder / "train")
    unseen = kind.read(flags.validation or kind.folder / "validation")
    flags.out.mkdir(parents=True, exist_ok=True)
    network, seconds = _learn(flags, config, lesson)
    figures = unseen.figures(network.eval())
    said = {
        "format": FORMAT, "part": flags.part, "sizes": config["sizes"], "settings": config["settings"],
        "training": {
            "seed": flags.seed, "steps": config["steps"], "records": lesson.records,
            "parameters": parameters(network), "seconds": round(seconds),
            **{key: config[key] for key in ("batch_size", "learning_rate")},
        },
        "validation": {name: [round(value, 4) for value in each] for name, each in figures.items()},
    }  # fmt: skip
    with replacing(flags.out / CARD) as path:
        path.write_text(card(said, flags.out.resolve().name), encoding="utf-8")
    write_planner(flags.out, Planner(said, network))
    for name, (mean, low, high) in figures.items():
        print(f"{name}: {mean:.3f} [{low:.3f}, {high:.3f}]")
    return load_planner(flags.out)


def _config(flags: Flags) -> dict[str, Any]:
    """The hyperparameters, checked against the published ones."""
    check_range("seed", flags.seed, 0, 2**32 - 1, int)
    published = yaml_files.read(CONFIG, "config")[flags.part]
    config = {**published, **parse_settings("hyper", flags.hyper)}
    numbers = {key: value for key, value in published.items() if not isinstance(value, dict)}
    given = {key: value for key, value in config.items() if key not in ("sizes", "settings")}
    check_numbers("hyper: ", given, numbers)
    check_values("hyper: sizes", config["sizes"], PARTS[flags.part].sizes, int)
    check_values("hyper: settings", config["settings"], PARTS[flags.part].settings)
    return config


def _learn(flags: Flags, config: dict[str, Any], lesson: Lesson) -> tuple[nn.Module, float]:
    """The trained network, and the seconds of processor time that it took."""
    torch.manual_seed(flags.seed)
    network = PARTS[flags.part].network(**config["sizes"])
    adam = torch.optim.AdamW(network.parameters(), config["learning_rate"])
    falling = torch.optim.lr_scheduler.CosineAnnealingLR(adam, config["steps"])

    def loss(generator: np.random.Generator) -> torch.Tensor:
        return lesson.loss(network, config["batch_size"], generator)

    seconds = teach(network, falling, loss, config, flags.seed, flags.out / "state.pt", SAVE_EVERY)
    return network, seconds


def card(said: dict[str, Any], name: str) -> str:
    """README.md: what the planner is, how it was trained, how it is played."""
    part, training = said["part"], said["training"]
    kind = LESSONS[part].kind
    figures = "".join(
        f"- {name}: {mean:.3f} [{low:.3f}, {high:.3f}]\n"
        for name, (mean, low, high) in said["validation"].items()
    )
    return f"""# {name}

{PARTS[part].says} For `{PARTS[part].envs[0]}`; it sees what the baselines see, and needs no backbone.

weights.safetensors has {training["parameters"]:,} numbers, planner.yaml says what they belong to. Neither
holds any code.

```bash
python evaluate_agent.py --run {name}
```

## How it was trained

`{command_line().replace("planner_training.py", "-m agents.navigation.planner_training")}`

{training["steps"]:,} steps of {training["batch_size"]} from {training["records"]} {kind}, seed
{training["seed"]}, {training["seconds"]:,} seconds of processor time on one core, no GPU.

## Scores

On {kind} of the validation split, means with 95 % intervals over them:

{figures}"""


if __name__ == "__main__":
    set_threads(None)
    try:
        train(parse_flags(Flags, __doc__, "python -m agents.navigation.planner_training"))
    except (ValueError, TypeError, OSError, ImportError) as error:
        sys.exit(f"agents.navigation.planner_training: {error}")
    except KeyboardInterrupt:
        sys.exit("agents.navigation.planner_training: interrupted")
