"""Foresight: say where moving things will be, or were, in a few guesses. ``ForesightEnv`` is the page that
users read.

In the order in which data runs: recording -> question (``question.py``) -> the draft, changed by an action
(``Foresight._changed``) -> a guess and its credit (``credit.py``) -> reward (``Foresight._turn``).
"""

from __future__ import annotations

import reprlib
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, ClassVar

import numpy as np
from gymnasium import spaces
from scipy.spatial.transform import Rotation

from spatial_envs.core.features import Features
from spatial_envs.core.stays import Stays
from spatial_envs.core.task import Observation, Rows, check_state, checked_actions, chosen_space, padded
from spatial_envs.foresight.credit import CREDITS, brier_error, fair_energy, right_share
from spatial_envs.foresight.episode import Episode, Guess
from spatial_envs.foresight.picture import draw_question
from spatial_envs.foresight.question import Given, Poses, Question, ask
from spatial_envs.foresight.settings import ForesightSettings
from spatial_envs.foresight.simulation import first_start, simulated
from spatial_envs.foundation.arguments import check_choice, check_range, floats
from spatial_envs.foundation.caches import Recent
from spatial_envs.geometry.bodies import KINDS
from spatial_envs.scenes.depth_frames import checked_count
from spatial_envs.scenes.recordings import Recording, open_recordings

FARTHEST, LONGEST = 100.0, 1000.0  # metres, seconds, of what observations hold
START_STEP = np.array([0.25] * 3 + [1.0] * 3)  # metres and m/s that a thought can change a start by
SUCCESS = 0.5  # share of the judged things that one guess must have right
NUMBERS = 2**31  # of the questions of a recording
OPTIONS = ("scene", "question", "start", "times", "query")


class Foresight(Rows[Episode]):
    """The task behind ``ForesightEnv`` (arguments are documented there), for any number of rows."""

    settings_type: ClassVar[type[ForesightSettings]] = ForesightSettings

    def __init__(self, settings: ForesightSettings, num_rows: int = 1) -> None:
        self.settings, self.slots, self.steps = settings, settings.slots, settings.steps
        least, most = checked_count(settings.num_objects)
        if settings.scenes == "procedural" and most > self.slots:
            raise ValueError(f"slots: got {self.slots} for num_objects up to {most}; expected as many")
        self.recordings = open_recordings(settings.scenes, settings.split, (least, most))
        self.features = Features(settings, "world")
        self.credit = settings.reward if callable(settings.reward) else CREDITS[settings.reward]
        self.cache = Recent[int, Recording](settings.cache_size)
        self.stays = Stays(self.recordings, settings.scene_steps)
        self.rows = [None] * num_rows

        self.simulates = settings.think == "simulate"
        width = 6 if settings.rotations or self.simulates else 3
        self.action_space: spaces.Space = spaces.Box(-1.0, 1.0, (2 + width * self.slots,), np.float32)
        all_spaces = self._observation_spaces()
        self.observable = tuple(all_spaces)
        every = list(all_spaces)
        presets = {"state": every, "all": every}
        self.observation_space = chosen_space(all_spaces, settings.observations, every, presets)

    def _observation_spaces(self) -> dict[str, spaces.Space]:
        count, frames, guesses = self.slots, self.settings.frames, self.settings.guesses
        far = [FARTHEST] * 3 + [1.0] * (6 if self.settings.rotations else 0)
        pose = np.array(far, np.float32)

        def box(shape: tuple[int, ...], high: np.ndarray, low: np.ndarray | None = None) -> spaces.Box:
            bounds = np.broadcast_to(high, (*shape, len(high)))
            lower = -bounds if low is None else np.broadcast_to(low, bounds.shape)
            return spaces.Box(lower.astype(np.float32), bounds.astype(np.float32), dtype=np.float32)

        start = np.full(6, FARTHEST, np.float32)
        simulation = {"start": box((count,), start), "residuals": box((count, frames), start[:3])}
        return {
            "tracks": box((count, frames), np.append(pose, 1.0), np.append(-pose, 0.0)),
            "shapes": spaces.Box(0.0, FARTHEST, (count, 3 + len(KINDS)), np.float32),
            "times": spaces.Box(-LONGEST, 0.0, (frames,), np.float32),
            "query": spaces.Box(-LONGEST, LONGEST, (1,), np.float32),
            "reference": box((count,), pose),
            "guesses": box((guesses, count), pose),
            "guessed": spaces.MultiBinary(guesses),
            "draft": box((count,), pose),
            "remaining": spaces.Box(0.0, 1.0, (2,), np.float32),
            **(simulation if self.simulates else {}),
        }

    # ---- the two calls that advance rows

    def reset(
        self,
        rows: Sequence[int],
        generators: Sequence[np.random.Generator],
        options: dict[str, Any],
        seeded: Sequence[bool],
    ) -> None:
        """See ``Task.reset``; the options are documented in ``ForesightEnv``."""
        for key in options:
            check_choice("options", key, OPTIONS)
        scene, number = options.get("scene"), options.get("question")
        index = None if scene is None else self.recordings.index(scene)
        if number is not None:
            check_range("options['question']", number, 0, NUMBERS - 1, int)
        given = self._given(options)
        begun = []
        for row, generator, anew in zip(rows, generators, seeded, strict=True):
            last = None if anew else self.rows[row]
            drawn, recording, stay = self.stays.enter(last, generator, self.load, index)
            own = int(generator.integers(NUMBERS))
            own = own if number is None else int(number)
            question = ask(recording, np.random.default_rng([drawn, own]), self.settings, given)
            begun.append(self._episode(drawn, own, question))
            begun[-1].stay = self.stays.ahead(stay, generator)
        for row, episode in zip(rows, begun, strict=True):
            self.rows[row] = episode

    def step(self, rows: Sequence[int], actions: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """See ``Task.step``; actions (B, A) in [-1, 1], clipped."""
        checked = checked_actions(self.action_space, actions)
        episodes = [self.episode(row) for row in rows]
        rewards = np.array([self._turn(*pair) for pair in zip(episodes, checked, strict=True)])
        over = [e.steps >= self.steps or len(e.guesses) >= self.settings.guesses for e in episodes]
        return rewards, np.array(over), np.zeros(len(over), np.bool_)

    def _turn(self, episode: Episode, action: np.ndarray) -> float:
        """Change the draft by an action, and hand it in where the gate says so; what that gains."""
        before = episode.best
        if self.simulates and action[0] <= 0:
            self._simulate(episode, action[2:])
        else:
            episode.draft = self._changed(episode, action[2:])
        if action[0] > 0:
            self._hand_in(episode, episode.draft, (action[1] + 1) / 2)
        cost = self.settings.think_cost if episode.steps else 0.0
        episode.steps += 1
        episode.gain = episode.best - before - cost
        return episode.gain

    def _changed(self, episode: Episode, changes: np.ndarray) -> Poses:
        """The draft after changes (..., A - 2)."""
        question, draft = episode.question, episode.draft
        change = changes.reshape(*changes.shape[:-1], self.slots, -1)[..., : len(question.kind), :]
        centres = draft.centres + change[..., :3] * question.reach[:, None]
        rotations = draft.rotations
        if self.settings.rotations:
            turned = Rotation.from_rotvec(change[..., 3:].reshape(-1, 3)).as_matrix()
            rotations = turned.reshape(*centres.shape, 3) @ rotations
        return Poses(centres.clip(-FARTHEST, FARTHEST), rotations)

    def _simulate(self, episode: Episode, changes: np.ndarray) -> None:
        """Change the start in mind, and have what follows from it as the draft."""
        question = episode.question
        change = changes.reshape(self.slots, -1)[: len(question.kind)] * START_STEP
        start = first_start(question) if episode.start is None else episode.start
        episode.start = (start + change).clip(-FARTHEST, FARTHEST)
        end, _ = simulated(question, episode.start)
        episode.draft = Poses(end.clip(-FARTHEST, FARTHEST), question.reference.rotations)

    def credits(self, row: int, actions: np.ndarray) -> np.ndarray:
        """(n,): what each of these actions (n, A) would be credited as a guess: the gate counts as open.
        The episode stays as it is; so many answers to one question can be compared."""
        episode = self.episode(row)
        drafts = self._changed(episode, checked_actions(self.action_space, actions)[:, 2:])
        paths = episode.question.path[episode.question.judged]
        distances = self._distances(episode.question, drafts)
        return np.array([float(self.credit(each, paths)) for each in distances])

    def _hand_in(self, episode: Episode, poses: Poses, confidence: float) -> None:
        question = episode.question
        distances, paths = self._distances(question, poses), question.path[question.judged]
        credit = float(self.credit(distances, paths))
        right = right_share(distances, paths)
        error, rows = float(distances.mean()), self._rows(poses)
        episode.hand_in(Guess(poses, rows, float(confidence), error, right, credit))

    def _distances(self, question: Question, poses: Poses) -> np.ndarray:
        """(..., J) metres to the truth; with ``rotations=False`` those of the centres."""
        if not self.settings.rotations:
            poses = Poses(poses.centres, question.truth.rotations)
        return question.distances(poses, question.truth)

    # ---- what the agent is told

    def observe(self, row: int) -> Observation:
        """See ``Task.observe``; the keys are documented in ``ForesightEnv``."""
        episode, settings = self.episode(row), self.settings
        left = [1 - episode.steps / self.steps, 1 - len(episode.guesses) / settings.guesses]
        made: dict[str, Callable[[], np.ndarray]] = {
            "guesses": lambda: self._guesses(episode),
            "guessed": lambda: (np.arange(settings.guesses) < len(episode.guesses)).astype(np.int8),
            "draft": lambda: self._rows(episode.draft),
            "remaining": lambda: np.array(left, np.float32),
        }
        if self.simulates:
            question, start = episode.question, episode.start
            given = first_start(question) if start is None else start
            residuals = (
                np.zeros(question.shown.centres.shape) if start is None else simulated(question, start)[1]
            )
            bounded = {"start": given, "residuals": residuals}
            for key, value in bounded.items():
                made[key] = partial(padded, value.clip(-FARTHEST, FARTHEST), self.slots)
        for key, value in episode.constant.items():
            made[key] = value.copy
        return {key: made[key]() for key in self.observation_space.spaces}

    def _guesses(self, episode: Episode) -> np.ndarray:
        rows = np.zeros((self.settings.guesses, *episode.constant["reference"].shape), np.float32)
        for k, guess in enumerate(episode.guesses):
            rows[k] = guess.rows
        return rows

    def _constant(self, question: Question) -> dict[str, np.ndarray]:
        """What observations show of a question at every step."""
        seen = question.seen[..., None]
        tracks = np.concatenate([self._numbers(question.shown) * seen, seen], axis=-1)
        shapes = np.concatenate([question.extents, np.eye(len(KINDS))[question.kind]], axis=1)
        return {
            "tracks": padded(tracks, self.slots),
            "shapes": padded(shapes, self.slots),
            "times": question.times.astype(np.float32),
            "query": np.array([question.query], np.float32),
            "reference": self._rows(question.reference),
        }

    def _rows(self, poses: Poses) -> np.ndarray:
        """(K, 9) or (K, 3) float32: poses as observations show them, zeros for slots without a thing."""
        return padded(self._numbers(poses), self.slots)

    def _numbers(self, poses: Poses) -> np.ndarray:
        """(..., 9): the centre and the first two columns of the rotation; (..., 3) without rotations."""
        if not self.settings.rotations:
            return poses.centres.clip(-FARTHEST, FARTHEST)
        first, second = poses.rotations[..., 0], poses.rotations[..., 1]
        far = [FARTHEST] * 3 + [1.0] * 6
        return np.concatenate([poses.centres, first, second], axis=-1).clip(np.negative(far), far)

    def info(self, row: int) -> dict[str, Any]:
        """See ``Task.info``; the keys are documented in ``ForesightEnv``."""
        episode = self.episode(row)
        guesses = episode.guesses
        errors = [guess.error for guess in guesses]
        if not guesses:
            errors = [float(self._distances(episode.question, episode.draft).mean())]
        confidences = [guess.confidence for guess in guesses] or [1.0]
        return {
            "credit": episode.best,
            "first_credit": guesses[0].credit if guesses else 0.0,
            "right": max((guess.right for guess in guesses), default=0.0),
            "first_right": guesses[0].right if guesses else 0.0,
            "error": min(errors),
            "first_error": errors[0],
            "brier_error": brier_error(errors, confidences),
            "energy": fair_energy(errors, episode.spread),
            "guesses": len(guesses),
            "thoughts": episode.steps - len(guesses),
            "gain": episode.gain,
            "steps": episode.steps,
            "is_success": any(guess.right >= SUCCESS for guess in guesses),
            "object": self.recordings.names[episode.index],
            "question": episode.number,
            "query": episode.question.query,
            "backbone": self.backbone_name,
        }

    # ---- beginnings

    def _episode(self, index: int, number: int, question: Question) -> Episode:
        return Episode(index, number, question, question.reference, self._constant(question))

    def load(self, index: int) -> Recording:
        """The recording, from the cache where it is there."""
        return self.cache.get(index, lambda: self.recordings.load(index))

    def _given(self, options: dict[str, Any]) -> Given:
        """What the options say of a question, checked."""
        numbers: dict[str, float | None] = {"start": None, "query": None}
        for key, (low, high) in {"start": (0, LONGEST), "query": (-LONGEST, LONGEST)}.items():
            if options.get(key) is not None:
                check_range(f"options[{key!r}]", options[key], low, high)
                numbers[key] = float(options[key])
        if options.get("times") is None:
            return Given(numbers["start"], None, numbers["query"])
        frames = self.settings.frames
        expected = f"({frames},) different seconds, finite and from 0 on"
        times = floats("options['times']", options["times"], expected)
        fits = times.shape == (frames,) and np.isfinite(times).all() and times.min() >= 0
        if not fits or len(np.unique(times)) < frames:
            raise ValueError(f"options['times']: got {reprlib.repr(times.tolist())}; expected {expected}")
        return Given(numbers["start"], times, numbers["query"])

    # ---- for those who look on, or go back

    def render(self, row: int) -> np.ndarray:
        """See ``Task.render``."""
        return draw_question(self.episode(row))

    def get_state(self, row: int) -> dict[str, Any]:
        """What the row's episode follows from, and what the last step said."""
        episode = self.episode(row)
        return {
            "scene": self.recordings.names[episode.index], "number": episode.number,
            "question": episode.question, "draft": episode.draft,
            "guesses": [(guess.poses, guess.confidence) for guess in episode.guesses],
            "start": episode.start, "steps": episode.steps, "gain": episode.gain,
            "stay": self.stays.state(episode.stay),
        }  # fmt: skip

    def set_state(self, row: int, state: dict[str, Any]) -> None:
        """Go on from such a state. ValueError for what is no state of such a task."""
        name = "state['task']"
        keys = {"scene", "number", "question", "draft", "guesses", "start", "steps", "gain", "stay"}
        check_state(name, state, keys)
        question = state["question"]
        frames, count = self.settings.frames, self.slots
        if not isinstance(question, Question) or len(question.times) != frames or len(question.kind) > count:
            got = reprlib.repr(question)
            raise ValueError(f"{name}['question']: got {got}; expected {frames} frames, {count} slots")
        check_range(f"{name}['number']", state["number"], 0, NUMBERS - 1, int)
        check_range(f"{name}['steps']", state["steps"], 0, self.steps, int)
        stay = self.stays.checked(state["stay"])
        index = self.recordings.index(state["scene"])
        guesses = state["guesses"]
        pairs = isinstance(guesses, list) and all(isinstance(g, tuple) and len(g) == 2 for g in guesses)
        if not pairs or len(guesses) > self.settings.guesses:
            got, most = reprlib.repr(guesses), self.settings.guesses
            raise ValueError(f"{name}['guesses']: got {got}; expected a list of at most {most} pairs")
        start = state["start"]
        whole = isinstance(start, np.ndarray) and start.shape == (len(question.kind), 6)
        if start is not None and not (self.simulates and whole and np.isfinite(start).all()):
            got = reprlib.repr(start)
            raise ValueError(f"{name}['start']: got {got}; expected None, or with think='simulate' (K, 6)")
        for poses in (state["draft"], *(given for given, _ in guesses)):
            if not _answers(poses, question):
                raise ValueError(f"{name}: got {reprlib.repr(poses)}; expected finite poses of each thing")
        episode = self._episode(index, state["number"], question)
        for given, confidence in guesses:
            self._hand_in(episode, given, confidence)
        episode.draft, episode.start = state["draft"], start
        episode.steps, episode.gain, episode.stay = state["steps"], state["gain"], stay
        self.rows[row] = episode


def _answers(poses: Any, question: Question) -> bool:
    """Whether these are finite poses of the question's things."""
    shapes = [part.shape for part in question.truth]
    return isinstance(poses, Poses) and all(
        isinstance(part, np.ndarray) and part.shape == shape and np.isfinite(part).all()
        for part, shape in zip(poses, shapes, strict=True)
    )
