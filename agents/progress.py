"""What is going on: phases, one after another or one inside another, each with a name and a bar.

In a terminal a bar moves, and stays with its time when it is over. In a log, where nothing can move, a phase
is a line when it begins, one now and then while it lasts, and one when it is over, on stderr.
"""

from __future__ import annotations

import io
import logging
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console, ConsoleOptions, Group, RenderableType, RenderResult
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

console = Console(markup=False)  # what a command answers
_errors = Console(markup=False, highlight=False, stderr=True)
if isinstance(sys.stdout, io.TextIOWrapper):  # no evaluation is lost to a letter that the terminal lacks
    sys.stdout.reconfigure(errors="backslashreplace")
EVERY = 15.0  # seconds between two lines of a phase in a log
WIDTH = 16  # of a bar, letters


class Phase:
    """A piece of work, ``total`` of something, or of unknown size for None.

    left     () -> seconds to go, or None where nobody can say; by default as the work went on so far
    outcome  what there is to say of it when it is over
    below    what a terminal shows under the bars while the phase lasts
    """

    def __init__(self, name: str, total: float | None, unit: str, brief: bool) -> None:
        self.name, self.total, self.unit, self.brief = name, total, unit, brief
        self.done, self.detail, self.outcome = 0.0, "", ""
        self.begun = time.monotonic()
        self.over: float | None = None
        self.left: Callable[[], float | None] = self._even
        self.below: Callable[[], RenderableType] | None = None
        self.told = self.begun

    def advance(self, count: float = 1, detail: str | None = None) -> None:
        """So much more is done."""
        self.reach(self.done + count, detail)

    def reach(self, done: float, detail: str | None = None) -> None:
        """So much is done in all; ``detail``: what there is to say of it."""
        self.done = done
        self.detail = self.detail if detail is None else detail
        if time.monotonic() - self.told > EVERY:
            _tell(self, f"{self.name}: {self}")

    @property
    def seconds(self) -> float:
        """How long it has lasted."""
        return (time.monotonic() if self.over is None else self.over) - self.begun

    def _even(self) -> float | None:
        if not self.total or not self.done:
            return None
        return self.seconds * (self.total - self.done) / self.done

    def __str__(self) -> str:
        parts = []
        if self.total:
            parts.append(f"{self.done:,.0f} of {self.total:,.0f}{self.unit and ' ' + self.unit}")
        elif self.done:
            parts.append(f"{self.done:,.0f}{self.unit and ' ' + self.unit}")
        parts.append(clock(self.seconds))
        left = self.left() if self.over is None else None
        if left is not None:
            parts.append(f"{clock(left)} to go")
        said = self.detail if self.over is None else self.outcome
        return ", ".join([*parts, *([said] if said else [])])


@contextmanager
def phase(name: str, total: float | None = None, unit: str = "", brief: bool = False) -> Iterator[Phase]:
    """Show a phase while the block lasts. One that is ``brief`` leaves no line of its own behind."""
    begun = Phase(name, total, unit, brief)
    if not _shown:
        _open()
    _shown.append(begun)
    if not brief:
        _tell(begun, f"{name} ...")
    try:
        yield begun
        begun.over = time.monotonic()
        if not brief:
            _tell(begun, f"{name}: done, {begun}")
    finally:
        begun.over = begun.over or time.monotonic()
        if brief:
            _shown.remove(begun)
        if all(each.over is not None for each in _shown):
            _close()
            _shown.clear()


@contextmanager
def compiling() -> Iterator[Phase]:
    """A phase in which kernels are compiled, where they are not yet in numba's cache: it counts them."""
    with phase("compiling", unit="kernels") as shown:
        begun = _compiled.count
        yield shown
        new = _compiled.count - begun
        shown.outcome = "later processes find them" if new else "all were there already"


class _Compiled(logging.Handler):
    """Counts the kernels that are compiled, and says so in whatever phase that happens."""

    count = 0

    def emit(self, record: logging.LogRecord) -> None:
        if record.levelno != logging.DEBUG:
            return
        self.count += 1
        if _shown:
            last = [each for each in _shown if each.over is None][-1]
            last.reach(last.done + (last.unit == "kernels"), record.getMessage())


_compiled = _Compiled()


def watch_compilation() -> None:
    """Let phases show which kernel is compiled; for the commands."""
    kernels = logging.getLogger("spatial_envs.foundation.compilation")
    kernels.setLevel(logging.DEBUG)
    kernels.propagate = False
    kernels.addHandler(_compiled)


def say(line: str) -> None:
    """A line for a log, where a terminal shows the same in another way."""
    if not _live and not console.quiet:
        _errors.print(Text(line), soft_wrap=True)


def clock(seconds: float) -> str:
    """Minutes and seconds, and hours where there are any."""
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{seconds:02}" if hours else f"{minutes}:{seconds:02}"


# ---- what is shown

_shown: list[Phase] = []  # those that last, and what was inside of them
_live: list[Live] = []


class _Bars:
    """All phases that are shown, one below the other."""

    def __rich_console__(self, on: Console, options: ConsoleOptions) -> RenderResult:
        table = Table.grid(padding=(0, 1))
        table.add_column(no_wrap=True, min_width=12)
        table.add_column(width=WIDTH)
        table.add_column(overflow="ellipsis", no_wrap=True)
        for each in _shown:
            pulse = not each.total and each.over is None
            done = 1 if not each.total and each.over is not None else each.done
            bar = ProgressBar(each.total or 1, done, WIDTH, pulse, animation_time=time.monotonic())
            table.add_row(each.name, bar, str(each))
        below = [each.below() for each in _shown if each.below is not None]
        yield Group(table, *below)


def _terminal() -> Console | None:
    return next((each for each in (console, _errors) if each.is_terminal and not each.quiet), None)


def _open() -> None:
    on = _terminal()
    if on is not None:
        _live.append(Live(_Bars(), console=on, refresh_per_second=8, redirect_stdout=on is console))
        _live[0].start()


def _close() -> None:
    while _live:
        _live.pop().stop()


def _tell(about: Phase, line: str) -> None:
    about.told = time.monotonic()
    say(line)
