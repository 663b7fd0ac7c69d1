"""What is a network worth here? ``python -m agents.backbone.table --checkpoint <folder or hub name>``.

For owners of MapAnything's weights, one page of markdown, section by section:

    health              as ``python -m spatial_envs.tools.check_mapanything``
    points              as ``python -m agents.backbone.card``; its calibration takes 1 / confidence for the
                        expected relative error, which MapAnything's confidence is not made for
    features            as ``python -m agents.backbone.probe``: what they say of 64 candidate views' gains
    next-best-view      baselines on paired starts, by the measured depth and by the backbone's points
"""

from __future__ import annotations

import shlex
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal, cast

from agents.backbone.card import points
from agents.backbone.probe import compared, gather, nothing, tokens
from agents.comparison.scores import play
from agents.comparison.table import page
from agents.flags import UserPath, parse_flags
from agents.nbv.family import NEXT_BEST_VIEW as KIND
from spatial_envs.backbones import make_backbone
from spatial_envs.backbones.networks import NetworkBackbone
from spatial_envs.backbones.unproject import Unproject
from spatial_envs.foundation.arguments import check_range
from spatial_envs.nbv import NBVEnv
from spatial_envs.tools.check_mapanything import check


@dataclass(frozen=True)
class Flags:
    """What the command line says."""

    backbone: Literal["mapanything", "compact"] = "mapanything"
    """Which network."""
    checkpoint: str | None = None
    """MapAnything's: a folder or a name on the Hugging Face hub; compact's: a file. By default the Apache
    licensed v1, and the file that ships."""
    image_size: int | None = None
    """Pixels, a multiple of 14; by default 518, and 112 for compact."""
    views: int = 5
    """In the check of health and in an episode, at least 2."""
    sets: int = 32
    """Sets of views for each row of the points."""
    objects: int = 64
    """Objects to fit the probes of the features on, at least 5; half as many others judge them."""
    states: int = 8
    """States of each."""
    episodes: int = 16
    """Paired starts of next-best-view."""
    device: str = "auto"
    """Torch device of the backbone."""
    out: UserPath | None = None
    """A file for the page, which grows by sections."""


def sections(flags: Flags) -> Iterator[str]:
    """Markdown, one section after another. ValueError, FileNotFoundError or ImportError as the backbone's."""
    for number, least in {"views": 2, "sets": 1, "objects": 5, "states": 1, "episodes": 1}.items():
        check_range(number, getattr(flags, number), least, 4096, int)
    name = "checkpoint" if flags.backbone == "mapanything" else "weights"
    kwargs: dict[str, Any] = {} if flags.checkpoint is None else {name: flags.checkpoint}
    backbone = cast(NetworkBackbone, make_backbone(flags.backbone, kwargs, flags.device))
    env = NBVEnv(backbone=backbone, image_size=flags.image_size, views=flags.views, split="test", audit=True)
    size = env.task.image_size[0]

    title = " ".join([backbone.name, *kwargs.values()])
    lines = [f"- {line}" for line, _ in check(backbone, size, flags.views)]
    command = shlex.join(["python", "-m", "agents.backbone.table", *sys.argv[1:]])
    yield "\n".join([f"# {title}", "", f"`{command}`", "", "## Health", "", *lines])
    yield "## Points\n\n" + points(backbone, env.task.objects, flags.sets, image_size=size)
    train = gather("train", flags.objects, flags.states, 0, None, size)
    test = gather("test", flags.objects // 2, max(1, flags.states // 2), 0, None, size)
    kinds = {"pose only": nothing, "unproject": tokens(Unproject()), backbone.name: tokens(backbone)}
    yield "## Features\n\n" + compared(kinds, train, test, 0)
    policies = KIND.policies(env, ("random", "farthest", "farthest-inner"))
    results = play(KIND, {row: [(env, policy)] for row, policy in policies.items()}, flags.episodes)
    formulas = KIND.formulas(env, results["random"])
    yield f"## Next-best-view\n\n{page(KIND, env, results)}{formulas}"


def table(flags: Flags) -> str:
    """The whole page, printed and written as it grows."""
    if flags.out is not None and flags.out.is_dir():
        raise ValueError(f"out: got the folder {flags.out}; expected a file")
    text = ""
    for section in sections(flags):
        text += f"{section}\n\n"
        print(section, end="\n\n", flush=True)
        if flags.out is not None:
            flags.out.parent.mkdir(parents=True, exist_ok=True)
            flags.out.write_text(text, encoding="utf-8")
    return text


if __name__ == "__main__":
    try:
        table(parse_flags(Flags, __doc__, "python -m agents.backbone.table"))
    except (ValueError, FileNotFoundError, ImportError) as error:
        sys.exit(f"agents.backbone.table: {error}")
