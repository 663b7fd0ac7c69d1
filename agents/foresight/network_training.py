"""Teach the network of foresight from questions about recordings of the train split, whose answers are known.

    python -m agents.foresight.network_training --out runs/foresight-0
    python evaluate_agent.py --env Foresight-Prototype-v0 --baselines analytic-fan network

Writes network.safetensors, which takes the place of the one in pretrained/foresight-network/ where the
baseline "network" is to play it. A folder that was interrupted goes on by the same command.
"""

from __future__ import annotations

import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, NamedTuple

import numpy as np
import torch
from tqdm import tqdm
from tyro.conf import arg

from agents.flags import UserPath, parse_flags
from agents.foresight.network import GUESSES, EndNetwork, Told, told_of
from agents.foresight.shown import Shown
from agents.run_folder import check_out
from agents.teaching import teach
from spatial_envs.core.task import padded
from spatial_envs.foresight.credit import NEAR, SHARE
from spatial_envs.foresight.question import Given, Question, ask
from spatial_envs.foresight.settings import ForesightSettings
from spatial_envs.foundation.arguments import check_range
from spatial_envs.foundation.threads import set_threads
from spatial_envs.geometry.bodies import KINDS
from spatial_envs.scenes.recordings import open_recordings

RECORDINGS = 2000  # of the train split
SAVE_EVERY = 500  # steps
MEAN_SHARE = 0.05  # of the loss: all guesses, so that none is left where nothing ever is
HORIZON = 2.0  # seconds ahead at most, and back


@dataclass(frozen=True)
class Flags:
    """What the command line says."""

    out: Annotated[UserPath, arg(metavar="FOLDER")]
    """The folder to write, or to go on with."""
    seed: int = 0
    """Of the weights and the batches."""
    questions: int = 24_000
    """That are learned from; four kilobytes each."""
    steps: int = 2_000
    """Of AdamW."""
    batch_size: int = 256
    """Questions in a step."""
    learning_rate: float = 1e-3
    """At first; it falls to nothing by a cosine."""


class Lessons(NamedTuple):
    """Questions and their answers: centres (N, K, 3), which are judged (N, K), and paths (N, K), metres."""

    told: Told
    answer: torch.Tensor
    judged: torch.Tensor
    path: torch.Tensor

    def rows(self, chosen: torch.Tensor) -> Lessons:
        """Those of these numbers."""
        told = Told(*(each[chosen] for each in self.told))
        return Lessons(told, *(each[chosen] for each in self[1:]))

    def turned(self, angle: torch.Tensor) -> Lessons:
        """The same, turned about the vertical by angles (N,): what happens does not depend on it."""
        cosine, sine = angle.cos(), angle.sin()

        def turn(points: torch.Tensor) -> torch.Tensor:
            shape = (-1,) + (1,) * (points.ndim - 2)
            c, s = cosine.view(shape), sine.view(shape)
            x, y, z = points.unbind(-1)
            return torch.stack([c * x + s * z, y, c * z - s * x], dim=-1)

        told = self.told
        told = told._replace(
            centres=turn(told.centres), reference=turn(told.reference), nearest=turn(told.nearest)
        )
        return self._replace(told=told, answer=turn(self.answer))


def lessons(count: int, split: str, recordings: int, settings: ForesightSettings) -> Lessons:
    """So many questions about the first recordings of a split, as the environment draws them."""
    opened = open_recordings("procedural", split, (1, settings.slots))
    drawn = [opened.load(k) for k in tqdm(range(min(recordings, len(opened))), "recordings", leave=False)]
    asked = []
    for number in tqdm(range(count), "questions", leave=False):
        rng = np.random.default_rng([number, 9])
        asked.append(ask(drawn[number % len(drawn)], rng, settings, Given()))
    told = told_of([_shown(question, settings.slots) for question in asked])

    def stacked(values: list[np.ndarray]) -> torch.Tensor:
        return torch.as_tensor(np.stack([padded(value, settings.slots) for value in values]))

    answer = stacked([question.truth.centres for question in asked])
    judged = stacked([question.judged for question in asked])
    return Lessons(told, answer, judged, stacked([question.path for question in asked]))


def _shown(question: Question, slots: int) -> Shown:
    return Shown(
        padded(question.shown.centres, slots), padded(question.seen, slots), question.times, question.query,
        padded(question.reference.centres, slots), padded(question.nearest, slots),
        padded(question.extents, slots), padded(np.eye(len(KINDS))[question.kind], slots),
    )  # fmt: skip


def costs(guesses: torch.Tensor, learned: Lessons) -> torch.Tensor:
    """(B, 6): of each joint guess the mean over judged things of log(1 + d / (10 cm + 15 % of the path))."""
    apart = (guesses - learned.answer[:, None]).norm(dim=-1)
    scale = (NEAR + SHARE * learned.path)[:, None]
    weight = learned.judged[:, None]
    return ((apart / scale).log1p() * weight).sum(dim=-1) / weight.sum(dim=-1)


def loss(guesses: torch.Tensor, learned: Lessons) -> torch.Tensor:
    """The cost of the first guess and of the best one, and a little of all."""
    cost = costs(guesses, learned)
    return (cost[:, 0] + cost.amin(dim=1) + MEAN_SHARE * cost.mean(dim=1)).mean()


def credits(guesses: torch.Tensor, learned: Lessons) -> torch.Tensor:
    """(B, 6): the soft credit of the centres of each guess."""
    apart = (guesses - learned.answer[:, None]).norm(dim=-1)
    soft = (-apart / (NEAR + SHARE * learned.path)[:, None]).exp() * learned.judged[:, None]
    return soft.sum(dim=-1) / learned.judged.sum(dim=-1, keepdim=True)


def train(flags: Flags) -> Path:
    """Learn, write and say what the network is worth on validation; returns the file of weights. ValueError
    for flags or a folder that cannot be."""
    check_out(flags.out)
    for name, low in (("questions", 1), ("steps", 1), ("batch_size", 1), ("seed", 0)):
        check_range(name, getattr(flags, name), low, 2**31, int)
    check_range("learning_rate", flags.learning_rate, 1e-7, 1.0)
    flags.out.mkdir(parents=True, exist_ok=True)
    settings = ForesightSettings(ahead=(0.1, HORIZON))
    learned = lessons(flags.questions, "train", RECORDINGS, settings)
    torch.manual_seed(flags.seed)
    network = EndNetwork()
    adam = torch.optim.AdamW(network.parameters(), flags.learning_rate)
    falling = torch.optim.lr_scheduler.CosineAnnealingLR(adam, flags.steps)
    config = {name: value for name, value in asdict(flags).items() if name not in ("out", "seed")}

    def drawn(generator: np.random.Generator) -> torch.Tensor:
        chosen = torch.as_tensor(generator.integers(flags.questions, size=flags.batch_size))
        angles = torch.as_tensor(generator.uniform(0, 2 * np.pi, flags.batch_size)).float()
        batch = learned.rows(chosen).turned(angles)
        return loss(network(batch.told), batch)

    teach(network, falling, drawn, config, flags.seed, flags.out / "state.pt", SAVE_EVERY)
    out = flags.out / "network.safetensors"
    network.save(out)
    _report(network.eval(), settings)
    return out


def _report(network: EndNetwork, settings: ForesightSettings) -> None:
    """Print the soft credit of the rule and of the network on 512 questions of the validation split."""
    asked = lessons(512, "validation", 64, settings)
    with torch.no_grad():
        ours = credits(network(asked.told), asked)
        rule = credits(asked.told.reference[:, None].expand(-1, GUESSES, -1, -1), asked)
    print(f"validation, soft credit of centres: rule {rule[:, 0].mean():.3f}; network, first guess "
          f"{ours[:, 0].mean():.3f}, best of six {ours.amax(dim=1).mean():.3f}")  # fmt: skip


def main() -> None:
    """Train as the command line says."""
    flags = parse_flags(Flags, __doc__)
    set_threads()
    try:
        print(f"{train(flags)}")
    except ValueError as error:
        sys.exit(f"agents.foresight.network_training: {error}")


if __name__ == "__main__":
    main()
