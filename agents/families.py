"""What training and comparison ask of a family of tasks, and which family an environment belongs to.

Each family's object lies in its folder: ``agents/nbv/family.py`` and its siblings. A family from elsewhere is
registered beside its environment: ``register("My-Env-v0", MY_FAMILY)``.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium.envs.registration import load_env_creator
from stable_baselines3.common.torch_layers import BaseFeaturesExtractor

import spatial_envs
from agents.play import walk
from agents.statistics import interval
from spatial_envs.core.env import TaskEnv
from spatial_envs.foundation.arguments import similar

gym.register_envs(spatial_envs)


@dataclass(frozen=True)
class Column:
    """A figure in tables: its title, how it is written after multiplication by ``factor``, whether with its
    interval, and with the least and largest mean of the seeds. ``difference`` and ``short`` are for the
    columns that compare it with other rows; a curve that is ``drawn`` is in the report's picture."""

    title: str
    form: str = "{:.3f}"
    factor: float = 1
    interval: bool = False
    spread: bool = False
    difference: str = "{:+.3f}"
    short: str = ""
    drawn: bool = False


@dataclass(frozen=True)
class Family:
    """All that is particular to the tasks of one kind; most of it has a default that serves a simple task.

    What is learned:

    extractor    goes in front of a policy of Stable-Baselines3's own; its KEYS are what that policy observes
    hyperparameters  of algorithms, by name, in place of an entry in configs/<algo>.yml
    few, some    arguments for the procedural scenes that are trained on, and for those, of any kind, that are
                 evaluated on during the training
    open_scenes  (arguments of the environment, split) -> the set; raises for what is not there
    experts      that a warm start can clone, by name: (batched env, seed, row) -> a policy with ``action()``
    mirror       (batch of observations, actions, rows): puts the rows in the mirror, in place
    stops        (task, actions (B, ...)) -> (B,) bool, which of them end an episode
    algorithms   those of ``train_agent.py`` that are for this family alone
    eval_every, validation_starts, final_starts  flags of ``train_agent.py`` where they are not given

    What is played and measured:

    scenes       what tables call them; the attribute of the task that is the set of them, where there is one
    episodes     (env, count) -> the numbers of the episodes that are played
    walk         (env, policy, episode) -> infos, that of the reset first
    score        (env, policy, episode) -> figures by name, numbers or lists of them, "scene", its index, and
                 "start", what has to be the same in all rows; by default of the last info what has a column
    columns      of tables, by the figure's name; those that were not measured are left out
    headline     names of the figure that is compared; the first that was measured
    over_seeds   whether intervals are over trainings too
    extra        (scores by row) -> more columns: cells by title and row
    formulas     (env, scores) -> what the columns mean
    details      (task) -> what a table's first line says of the environment
    budgets, stopped  (task) -> the smaller budgets that there may be tables for, and (task, scores, budget)
                 -> the scores of the same episodes, stopped there

    What is compared:

    baselines    by name: (env) -> policy
    senseless    (env) -> the names of those that mean nothing there
    quick        those that are played where none are asked for; all of them by default
    final        those of the last table of a training; all of them by default
    alike        baselines that in some environments are one policy: where they score exactly the same in
                 every episode, they have one row
    against      baselines that all rows of a table are compared with
    starts       episodes where ``evaluate_agent.py`` is not told
    arguments    (those of the first run or None, changes, whether one's own agent plays) -> arguments of the
                 environment in which baselines and one's own agent play
    tables       (those arguments) -> by title what is changed in them for each table
    rows         (run, model, env, environment played as a run, changes) -> by what is added to the run's name
                 the environment and the policy; by default the run's own environment, and its policy
                 before and after training
    unseen       arguments of scenes that nobody trained on, for a last table where a set has no splits
    resumes      whether an episode's figures are the same whatever was played before it, so that a
                 comparison that was interrupted goes on

    The curve over the training, and films:

    rival, noted  baselines that agents are compared with, and that evaluations.csv has a line for
    curve, label  the column of evaluations.csv that curves.png shows and the best model has most of, with the
                  interval low to high, and the label of that axis; by default the headline
    levels       drawn beside the curve of each baseline noted
    figures      (scores, those of ``rival``) -> columns of evaluations.csv; by default the curve's and means
    reel         (env, policy, episode) -> pictures (H, W, 3); env in "rgb_array" mode
    is_filmed    (policy) -> whether it has such pictures
    hold         frames that each of them is held
    first_step   (task) -> the number of the first point of a drawn curve
    """

    extractor: type[BaseFeaturesExtractor]
    columns: Mapping[str, Column]
    headline: tuple[str, ...]
    scenes: str = "starts"
    hyperparameters: Mapping[str, dict[str, Any]] = field(default_factory=dict)
    few: Mapping[str, Any] = field(default_factory=dict)
    some: Mapping[str, Any] = field(default_factory=dict)
    open_scenes: Callable[[dict[str, Any], str], Any] = lambda arguments, split: None
    experts: Mapping[str, Callable[..., Any]] = field(default_factory=dict)
    mirror: Callable[[dict[str, Any], Any, Any], None] | None = None
    stops: Callable[[Any, Any], Any] | None = None
    algorithms: tuple[str, ...] = ()
    eval_every: int = 5000
    validation_starts: int = 32
    final_starts: int = 32

    episodes: Callable[[Any, int], Sequence[int]] = lambda env, count: range(count)
    walk: Callable[[Any, Any, int], Iterator[dict[str, Any]]] = walk
    score: Callable[[Any, Any, int], dict[str, Any]] = None  # type: ignore[assignment]
    over_seeds: bool = True
    extra: Callable[[dict[str, Any]], dict[str, dict[str, str]]] = lambda results: {}
    formulas: Callable[[Any, Any], str] = lambda env, scores: ""
    details: Callable[[Any], str] = lambda task: f"backbone {task.backbone_name}"
    budgets: Callable[[Any], range] | None = None
    stopped: Callable[[Any, Any, int], Any] = lambda task, scores, budget: scores

    baselines: Mapping[str, Callable[[Any], Any]] = field(default_factory=dict)
    senseless: Callable[[Any], Iterable[str]] = lambda env: ()
    quick: tuple[str, ...] | None = None
    final: tuple[str, ...] | None = None
    alike: tuple[str, ...] = ()
    against: tuple[str, ...] = ()
    starts: int = 100
    arguments: Callable[..., dict[str, Any]] = lambda own, changes, agent: {**(own or {}), **changes}
    tables: Callable[[dict[str, Any]], dict[str, dict[str, Any]]] = lambda arguments: {"": {}}
    rows: Callable[..., dict[str, tuple[Any, Any]]] | None = None
    unseen: Mapping[str, Any] | None = None
    resumes: bool = False

    rival: str | None = None
    noted: tuple[str, ...] = ()
    curve: str = ""
    label: str = ""
    levels: dict[str, float] = field(default_factory=dict)
    figures: Callable[[Any, Any], dict[str, float]] = None  # type: ignore[assignment]
    reel: Callable[[Any, Any, int], Iterator[np.ndarray]] = None  # type: ignore[assignment]
    is_filmed: Callable[[Any], bool] = lambda policy: hasattr(policy, "predict")
    hold: int = 1
    first_step: Callable[[Any], int] = lambda task: 0

    def __post_init__(self) -> None:
        object.__setattr__(self, "curve", self.curve or self.headline[0])
        object.__setattr__(self, "label", self.label or self.columns[self.curve].title)
        for name, default in (("score", self._score), ("figures", self._figures), ("reel", self._reel)):
            if getattr(self, name) is None:
                object.__setattr__(self, name, default)

    def policies(self, env, names: Iterable[str] | None = None) -> dict[str, Any]:
        """The baselines of these names, or all, that mean something in the environment."""
        left_out = {*self.senseless(env)}
        return {
            name: self.baselines[name](env)
            for name in (self.baselines if names is None else names)
            if name not in left_out
        }

    def scene_set(self, env):
        """The set of the environment's scenes, or None."""
        return getattr(env.unwrapped.task, self.scenes, None)

    def label_of(self, env) -> str:
        """What tables call the set of scenes; without one, the task."""
        scenes = self.scene_set(env)
        return type(env.unwrapped.task).__name__ if scenes is None else scenes.label

    def is_leaky(self, env) -> bool:
        """Whether the scenes have no splits, so that train = test."""
        return bool(getattr(self.scene_set(env), "leaky", False))

    @property
    def all_scenes(self) -> dict[str, None]:
        """The argument that asks for all scenes of a split."""
        return dict.fromkeys(self.few)

    def _score(self, env, policy, episode: int) -> dict[str, Any]:
        *_, last = self.walk(env, policy, episode)
        return {"scene": episode, **{key: float(last[key]) for key in self.columns if key in last}}

    def _figures(self, scores, rival) -> dict[str, float]:
        mean, low, high = interval(scores.at_end(self.curve), scores.scenes)
        others = {key: scores.mean(key) for key in scores.figures if key != self.curve}
        return {self.curve: mean, "low": low, "high": high, **others}

    def _reel(self, env, policy, episode: int) -> Iterator[np.ndarray]:
        for _ in self.walk(env, policy, episode):
            yield env.render()


_FAMILIES: dict[str, str | Family] = {  # a string is module:name, loaded when it is asked for
    "NBV-MapAnything-v0": "agents.nbv.family:NEXT_BEST_VIEW",
    "NBV-MapAnything-Discrete-v0": "agents.nbv.family:NEXT_BEST_VIEW",
    "PointNav-Habitat-v0": "agents.navigation.family:GOALS",
    "ImageNav-Habitat-v0": "agents.navigation.family:GOALS",
    "ObjectNav-Habitat-v0": "agents.navigation.family:GOALS",
    "Explore-Habitat-v0": "agents.navigation.family:EXPLORATION",
    "SceneFit-Prototype-v0": "agents.scene_fit.family:FITTING",
    "VideoFit-Prototype-v0": "agents.video_fit.family:VIDEO_FITTING",
    "Foresight-Prototype-v0": "agents.foresight.family:FORESIGHT",
}


def register(env_id: str, family: Family) -> None:
    """Say which family a registered environment belongs to."""
    _FAMILIES[env_id] = family


def family(env_id: str) -> Family:
    """The family of a registered environment; like ``gym.make``, "module:id" imports the module first.
    ValueError for an id that no family is registered for."""
    module, _, name = str(env_id).rpartition(":")
    if module:
        try:
            importlib.import_module(module)
        except ModuleNotFoundError as error:
            raise ImportError(f"env: got {env_id!r}; there is no module {error.name} to import") from error
    found = _FAMILIES.get(name)
    if found is None:
        hint = similar(name, list(_FAMILIES))
        raise ValueError(f"env: got {env_id!r}{hint}; expected one of {', '.join(_FAMILIES)}")
    if isinstance(found, Family):
        return found
    place, _, attribute = found.partition(":")
    return getattr(importlib.import_module(place), attribute)


def known_ids() -> list[str]:
    """The environments that a family is registered for."""
    return list(_FAMILIES)


def env_type(env_id: str) -> type[TaskEnv]:
    """The class of the single environment; ValueError for an id that no family is registered for."""
    family(env_id)
    entry_point = gym.spec(short_id(env_id)).entry_point
    return load_env_creator(entry_point) if isinstance(entry_point, str) else entry_point  # type: ignore


def short_id(env_id: str) -> str:
    """The id without the module that registers it."""
    return env_id.rpartition(":")[2]
