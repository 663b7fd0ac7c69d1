"""What a row of foresight remembers of its episode."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from spatial_envs.core.stays import Stay
from spatial_envs.foresight.question import Poses, Question


@dataclass(eq=False)
class Guess:
    """An answer that was handed in, of all K things.

    rows      (K, 9) or (K, 3), as observations show it
    error, right  of the judged things: their mean distance to the truth, metres; the share that is right
    """

    poses: Poses
    rows: np.ndarray
    confidence: float
    error: float
    right: float
    credit: float


@dataclass(eq=False)
class Episode:
    """One row: a question, what observations show of it, the answer in mind, and those handed in."""

    index: int  # of the recording in its set
    number: int  # of the question, which its draws follow from
    question: Question
    draft: Poses
    constant: dict[str, np.ndarray]
    start: np.ndarray | None = None  # (K, 6) place and velocity of what was simulated last
    guesses: list[Guess] = field(default_factory=list)
    spread: float = 0.0  # metres: the sum of the distances between every two guesses
    steps: int = 0
    gain: float = 0.0  # of the last step
    stay: Stay = field(default_factory=Stay)

    @property
    def best(self) -> float:
        """The best credit of a guess so far, 0 before the first."""
        return max((guess.credit for guess in self.guesses), default=0.0)

    def hand_in(self, guess: Guess) -> None:
        """Add a guess; the draft is the reference again."""
        if self.guesses:
            others = Poses(*map(np.stack, zip(*(other.poses for other in self.guesses), strict=True)))
            self.spread += float(self.question.distances(guess.poses, others).mean(axis=-1).sum())
        self.guesses.append(guess)
        self.draft = self.question.reference
