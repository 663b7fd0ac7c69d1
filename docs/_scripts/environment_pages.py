"""The pages of the environments: made of their docstrings, spaces and arguments, and of published tables."""

from __future__ import annotations

import re
import sys
from collections.abc import Sequence
from itertools import takewhile
from pathlib import Path
from typing import Any, NamedTuple

import gymnasium as gym
from ruamel.yaml import YAML

sys.path.insert(0, str(Path(__file__).parents[2]))

from checkout import ROOT, moved
from films import FILMS

from agents.families import env_type, family
from agents.manual import DECIDES, fitting, short
from agents.play import FOREIGN, UNTRAINED

SECTIONS = (
    "Description", "Action Space", "Observation Space", "Rewards", "Starting State", "Episode End", "Info",
    "Arguments", "Version History",
)  # fmt: skip


class Published(NamedTuple):
    """Where an environment's scores stand: a file of results/, a heading there, and the columns shown; none
    where the section has no table and is shown as it is."""

    file: str
    heading: str
    columns: tuple[str, ...] = ()


NAVIGATION = ("success", "SPL", "distance to goal (m)", "steps")
SCORES = {
    "NBV-MapAnything-v0": Published(
        "agents.md", "The first command", ("log-Chamfer gain", "coverage", "Chamfer (cm)")
    ),
    "NBV-MapAnything-Discrete-v0": Published(
        "agents.md", "PPO above the measures", ("log-Chamfer gain", "coverage", "Chamfer (cm)")
    ),
    "PointNav-Habitat-v0": Published("navigation.md", "PointNav", NAVIGATION),
    "ImageNav-Habitat-v0": Published("navigation.md", "ImageNav", NAVIGATION),
    "ObjectNav-Habitat-v0": Published("navigation.md", "ObjectNav", NAVIGATION),
    "Explore-Habitat-v0": Published(
        "navigation.md", "Explore", ("coverage after 200 steps", "coverage", "Chamfer (cm)")
    ),
    "SceneFit-Prototype-v0": Published(
        "scene_fit.md", "6 objects, clean", ("score, %", "occlusion-aware, cm", "full, %", "ARI, %")
    ),
    "VideoFit-Prototype-v0": Published(
        "video_fit.md",
        "6 objects",
        ("video score, %", "held-out frames, cm", "ARI of the video, %", "IDF1, %"),
    ),
    "Foresight-Prototype-v0": Published(
        "foresight.md", "1 s later", ("soft credit", "credit of the first", "right", "minFDE (m)")
    ),
}


def sections(text: str, level: int = 2) -> dict[str, str]:
    """The parts of a Markdown text by their headings of a level; deeper and equal headings end a part."""
    parts = re.split(rf"^#{{1,{level}}} +(.*)$", text, flags=re.M)
    return {title.strip(): body.strip() for title, body in zip(parts[1::2], parts[2::2], strict=True)}


def excerpt(published: Published) -> str:
    """The first table of a published section: a few of its columns, no rows of untrained policies and the
    like, with the paragraph before it and what a dagger means in the file.

    KeyError, StopIteration or ValueError where the file no longer has them: no site is built with the wrong
    figures."""
    text = (ROOT / "results" / published.file).read_text(encoding="utf-8")
    body = sections(text, 3)[published.heading]
    if not published.columns:
        return body
    lines = body.splitlines()
    first = next(k for k, line in enumerate(lines) if line.startswith(("| policy |", "| fit |")))
    table = takewhile(lambda line: line.startswith("|"), lines[first:])
    split = [[cell.strip() for cell in line.strip("|").split("|")] for line in table]
    kept = [0, *(split[0].index(name) for name in published.columns)]
    rows = [row for row in split if not row[0].removesuffix(" †").endswith((UNTRAINED, FOREIGN))]
    shown = ["| " + " | ".join(row[k] for k in kept) + " |" for row in rows]
    before = "\n".join(lines[:first]).strip().rpartition("\n\n")[2]
    caption = "" if before.startswith(("```", "|")) else f"{before}\n\n"
    dagger = next((each for each in text.split("\n\n") if each.startswith("†:")), "") if "†" in body else ""
    return caption + "\n".join(shown) + f"\n\n{dagger.replace('†:', '† ')}"


def described(env_id: str) -> dict[str, str]:
    """The sections of the environment's docstring; those it leaves out are the ones of the class that it
    refers to, with a line that says so."""
    own = sections("## Description\n\n" + _without_heading(env_type(env_id).__doc__ or ""))
    base = next((each for each in DECIDES if _mentions(own["Description"], each) and each != env_id), None)
    if base is not None:
        same = f"As in ``{env_type(base).__name__}``."
        for title, body in sections(env_type(base).__doc__ or "").items():
            if own.get(title, same) == same:
                own[title] = f"As in [{base}]({base}.md):\n\n{body}"
    return {title: own[title] for title in SECTIONS if title in own}


def _without_heading(text: str) -> str:
    return text.strip().removeprefix("## Description").strip()


def _mentions(text: str, env_id: str) -> bool:
    return f"``{env_type(env_id).__name__}``" in text


def linked(text: str, here: str) -> str:
    """Names of environments' classes as links to their pages."""
    for env_id in DECIDES:
        if env_id != here:
            text = text.replace(f"``{env_type(env_id).__name__}``", f"[{env_id}]({env_id}.md)")
    return text


def spaces(env: gym.Env) -> str:
    """The spaces with the default arguments, as Gymnasium prints them."""
    lines = ["| with the default arguments | |", "|---|---|", f"| action | `{env.action_space}` |"]
    for key, space in env.observation_space.spaces.items():  # type: ignore[attr-defined]
        shape = f"{tuple(space.shape)} {space.dtype}" if isinstance(space, gym.spaces.Box) else str(space)
        lines.append(f"| observation `{key}` | `{shape}` |")
    return "\n".join(lines)


def shipped(env_id: str) -> list[tuple[str, dict[str, Any]]]:
    """The agents in pretrained/ that act in the environment, by name with their descriptions."""
    found = []
    for path in sorted((ROOT / "pretrained").glob("*/agent.yaml")):
        says = YAML(typ="safe").load(path.read_text(encoding="utf-8"))
        if says["env"] == env_id:
            found.append((path.parent.name, says))
    return found


def agents_section(env_id: str) -> str:
    """The shipped agents: what trained them, and their scores on the validation split."""
    lines = ["| agent | trained by | steps | seed | validation |", "|---|---|---|---|---|"]
    for name, says in shipped(env_id):
        training, judged = says["training"], says["validation"]
        score = "{figure} {score:.3f} [{low:.3f}, {high:.3f}]".format(**judged) if judged else ""
        steps = f"{training['steps']:,}" if training["steps"] else "taught, see its page"
        about = f"[{name}](../models/{name}.md) | {says['algorithm']} | {steps}"
        lines.append(f"| {about} | {training['seed']} | {score} |")
    if len(lines) == 2:
        return ""
    name = shipped(env_id)[-1][0]
    return (
        "## Shipped agents\n\n" + "\n".join(lines) + "\n\n```bash\n"
        f"python evaluate_agent.py --run pretrained/{name}\n```\n"
    )


def scores_section(env_id: str) -> str:
    """The published scores."""
    published = SCORES[env_id]
    anchor = re.sub(r"[^a-z0-9 ]", "", published.heading.lower()).replace(" ", "-")
    where = f"results/{published.file}"
    return (
        f"## Scores\n\n{moved(excerpt(published), where, 'environments/')}\n\n"
        f"How it was measured, all columns and rows: [{published.heading}](../{where}#{anchor}).\n"
    )


def training_section(env_id: str, env: gym.Env) -> str:
    """The commands, the algorithms that fit and the baselines by name."""
    kind = family(env_id)
    senseless = {*kind.senseless(env)}
    names = ", ".join(
        f"`{name}`" for name in short([each for each in kind.baselines if each not in senseless])
    )
    algorithms = ", ".join(f"`{name}`" for name in fitting(env_id))
    extra = " --backbone none" if not env_id.startswith("NBV") else ""
    return (
        f"## Train and compare\n\n```bash\npython train_agent.py --env {env_id} --algo ppo{extra}\n"
        f"python evaluate_agent.py --env {env_id} --baselines all\n```\n\n"
        f"[Algorithms](../howto/train.md#algorithms) with published hyperparameters: {algorithms}.\n\n"
        f"[Baselines](../howto/compare.md#baselines): {names}.\n"
    )


def page(env_id: str) -> str:
    """The page of an environment, Markdown."""
    env = gym.make(env_id).unwrapped
    parts = described(env_id)
    text = [
        f"# {env_id}\n",
        f"![A film of an episode](../films/{env_id}.webp)\n",
        f"*{FILMS[env_id].caption}, in a scene that nobody trained on.*\n",
        parts.pop("Description") + "\n",
        f'```python\nimport gymnasium as gym\nimport spatial_envs\n\nenv = gym.make("{env_id}")\n```\n',
        scores_section(env_id),
        agents_section(env_id),
        training_section(env_id, env),
    ]
    for title, body in parts.items():
        if title == "Observation Space":
            body += "\n\n" + spaces(env)
        if title == "Rewards":
            body += "\n\nThe figures, said exactly: [What is measured](../concepts/measures.md)."
        text.append(f"## {title}\n\n{body}\n")
    env.close()
    return linked("\n".join(part for part in text if part), env_id)


def index(ids: Sequence[str]) -> str:
    """The list of all environments, Markdown."""
    lines = [
        "# Environments\n",
        "| id | the agent decides | actions | it is rewarded for |",
        "|---|---|---|---|",
    ]
    for env_id in ids:
        decides, actions, reward = DECIDES[env_id]
        lines.append(f"| [{env_id}]({env_id}.md) | {decides} | {actions} | {reward} |")
    lines.append(
        "\nEach also makes batches, `gym.make_vec(id, n)`: one backbone call for all, and row i of "
        "`reset(seed=s)` equals a single environment with seed s + i.\n"
    )
    lines += [f"[![{each}](../films/{each}.webp){{ width=300 }}]({each}.md)" for each in ids]
    return "\n".join(lines) + "\n"


def pages() -> dict[str, str]:
    """All pages by their paths in the site."""
    ids = [*DECIDES]
    return {
        "environments/index.md": index(ids),
        **{f"environments/{env_id}.md": page(env_id) for env_id in ids},
    }
