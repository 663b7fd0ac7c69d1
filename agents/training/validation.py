"""What happens beside the training: evaluations on the validation split, checkpoints, and interruptions."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.on_policy_algorithm import OnPolicyAlgorithm

from agents.chart import chart
from agents.comparison.scores import evaluate
from agents.families import Family
from agents.progress import Phase, compiling, phase, say
from agents.run_folder import evaluations, keep, save, write_evaluations
from agents.training.pace import Pace


class Interrupted(KeyboardInterrupt):
    """Somebody asked for the end: what is being played has no result."""


@contextmanager
def answering(handler: Callable[..., Any]) -> Iterator[None]:
    """Ctrl-C and SIGTERM call the handler."""
    before = {each: signal.signal(each, handler) for each in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for each, handler_before in before.items():
            signal.signal(each, handler_before)


class Keeper(BaseCallback):
    """At the multiples of ``every`` environment steps of the whole run, those before a resume counted in, and
    at the end: play the validation split, keep the model in checkpoints/, add a line to evaluations.csv, and
    save the run. Beside that it shows how the training goes on, up to the step ``total``.

    shown  what it shows, until that is closed
    """

    def __init__(self, kind: Family, env, folder: Path, every: int, starts: int, total: int) -> None:
        super().__init__()
        self.kind, self.env, self.folder, self.every, self.starts = kind, env, folder, every, starts
        self.total = total
        self.interrupted = self.playing = False
        self.rows: list[dict[str, Any]] = []
        self.shown = ExitStack()
        self.bar: Phase | None = None

    def interrupt(self, *_) -> None:
        """End an evaluation at once, and the training after this step of the environments or the optimiser,
        where what is saved is whole; asked again, end at once."""
        if self.interrupted:
            raise KeyboardInterrupt
        self.interrupted = True
        if self.playing:
            raise Interrupted

    def prepare(self, model) -> None:
        """Have all kernels compiled and all scenes of the evaluations built, before the training begins."""
        with suppress(Interrupted), self._playing():
            shown = [*self.kind.episodes(self.env, self.starts)]
            with compiling():
                for policy in (*self.kind.policies(self.env, self._rivals).values(), model):
                    self.kind.score(self.env, policy, shown[0])
            with phase("scenes", len(shown)) as bar:
                for episode in shown:
                    next(iter(self.kind.walk(self.env, model, episode)))
                    bar.advance()
        self.shown.enter_context(phase("first episodes"))  # until ``_on_training_start``

    @property
    def _rivals(self) -> list[str]:
        return [*self.kind.noted, *([self.kind.rival] if self.kind.rival else [])]

    def _on_training_start(self) -> None:
        self.shown.close()
        (self.folder / "checkpoints").mkdir(exist_ok=True)
        self.seen = self.num_timesteps
        if isinstance(self.model, OnPolicyAlgorithm):  # it takes many steps of the optimiser at a time
            self.model.policy.optimizer.register_step_post_hook(self._between)
        with suppress(Interrupted):  # the first step then ends the training
            kind = self.kind
            rivals = kind.policies(self.env, self._rivals)
            self.rival = None if kind.rival is None else self._played(kind.rival, rivals[kind.rival])
            # of a resumed run, what came after its last save is played again
            kept = [row for row in evaluations(self.folder) if int(row["timesteps"]) <= self.num_timesteps]
            self.rows = [row for row in kept if kind.curve in row]
            known = {row["policy"] for row in self.rows}
            for name in self.kind.noted:
                if name not in known:
                    self._note(name, rivals[name])
            if not known:
                self._note("agent", self.model)
        self.pace = Pace(self.num_timesteps, self.total, self.every)
        self.bar = self.shown.enter_context(phase("training", self.total, "steps"))
        self.bar.left, self.bar.below = lambda: self.pace.left(self.num_timesteps), self._chart
        self.bar.reach(self.num_timesteps)

    def _chart(self):
        return chart(self.rows, self.kind.curve, self.kind.levels, self.kind.label, self.total)

    def _on_rollout_start(self) -> None:
        self.pace.mark(self.num_timesteps)
        self._say("")

    def _on_rollout_end(self) -> None:
        self._say("learning")

    def _say(self, doing: str) -> None:
        if self.bar is not None and isinstance(self.model, OnPolicyAlgorithm):
            self.bar.reach(self.num_timesteps, doing)

    def _on_step(self) -> bool:
        if self.bar is not None:
            self.bar.reach(self.num_timesteps)
        due = self.num_timesteps // self.every > self.seen // self.every
        self.seen = self.num_timesteps
        if due and not self.interrupted:
            begun = time.monotonic()
            with suppress(Interrupted):
                self._note("agent", self.model)
                save(self.model, self.folder)
            self.pace.judged(time.monotonic() - begun)
        return not self.interrupted

    def _on_training_end(self) -> None:
        last = [int(row["timesteps"]) for row in self.rows if row["policy"] == "agent"]
        if not self.interrupted and self.num_timesteps not in last:
            with suppress(Interrupted):
                self._note("agent", self.model)
        for line in self._chart().plain.splitlines():
            say(line)

    def _between(self, *_) -> None:
        if self.interrupted:
            raise Interrupted

    def _played(self, name: str, policy):
        with self._playing():
            return evaluate(self.kind, self.env, policy, self.starts, progress=name)

    @contextmanager
    def _playing(self) -> Iterator[None]:
        self.playing = True
        try:
            self._between()  # asked for just before
            yield
        finally:
            self.playing = False

    def _note(self, name: str, policy) -> None:
        scores = self.rival if name == self.kind.rival else self._played(name, policy)
        figures = self.kind.figures(scores, self.rival)
        if name == "agent" and self.num_timesteps:  # there before the line that may choose it
            keep(self.folder, f"checkpoints/{self.num_timesteps}.zip", self.model.save)
        row: dict[str, Any] = {"policy": name, "timesteps": self.num_timesteps, **figures}
        row["backbone"] = self.env.task.backbone_name
        self.rows = [*(each for each in self.rows if {*row} <= {*each}), row]  # older code had other columns
        write_evaluations(self.folder, self.rows)
        curve = self.kind.curve
        say(f"{name} at step {self.num_timesteps:,}: {curve} {_figures(figures, curve)}")
        if name == "agent":
            for key, value in figures.items():
                self.logger.record(f"validation/{key}", value)


def _figures(figures: dict[str, float], curve: str) -> str:
    score = f"{figures[curve]:.3f}"
    between = {"low", "high"} <= figures.keys()
    return f"{score} [{figures['low']:.3f}, {figures['high']:.3f}]" if between else score
