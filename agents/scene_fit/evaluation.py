"""What fits are scored by.

Scene k is frame k of the split, and the seed of whatever draws. A policy plays an episode in its environment,
by its mean action; what its slots are at the end is its fit. Fitters, learned or not, are functions of a
target, the number of slots and a seed (``agents.scene_fit.baselines``).
"""

from __future__ import annotations

import warnings
from functools import lru_cache, partial
from typing import Any

from agents.families import Column
from agents.play import walk as play
from agents.scene_fit.baselines import FITTERS
from spatial_envs.foundation.errors import SceneError
from spatial_envs.prototypes.scores import score as score_of
from spatial_envs.prototypes.scores import score_fit
from spatial_envs.prototypes.target import Target


def _centimetres_or_percent(title: str) -> Column:
    return Column(title, "{:.1f}", 100, difference="{:+.1f}", short=title.removesuffix(", %"))


COLUMNS = {
    "score": _centimetres_or_percent("score, %"),
    "one_directional": _centimetres_or_percent("one-directional, cm"),
    "held_out": _centimetres_or_percent("held out, cm"),
    "occlusion_aware": _centimetres_or_percent("occlusion-aware, cm"),
    "full": _centimetres_or_percent("full, %"),
    "fsv": _centimetres_or_percent("FSV, %"),
    "ari": _centimetres_or_percent("ARI, %"),
    "reverse": _centimetres_or_percent("reverse, cm"),
    "depth_agreement": _centimetres_or_percent("depth agreement, %"),
    "slots": Column("slots", "{:.1f}"),
}
FORMULAS = (
    "With T the depth map's points without the ground, M the fitted surfaces, S the true surface, d the "
    "distance to the nearest point: one-directional: mean over t in T of d(t, M), held out: the same of "
    "pixels that no fitter was shown. Occlusion-aware: mean over t of max(d(t, M), how far the frontmost "
    "fitted surface on the ray to t lies before t). Full: share of S, seen or not, with d(s, M) <= 5 cm. "
    "FSV: share of M's area more than 10 cm before the measured depth. ARI: adjusted Rand index of "
    "nearest slot against object over T. Reverse: mean over M's area of d(m, S). Depth agreement: share "
    "of T's pixels where the fit, rendered, is within 5 cm. Score: clip(g, 0, 1) (1 - FSV) max(ARI, 0) "
    "full in each scene, without ARI for one object, with g = (d_random - d) / (d_random - d_oracle), d "
    "occlusion-aware, of random-spheres and of oracle, which is least squares on ground-truth masks. "
    "Where the truth is not known, there is no score. Intervals are 95 % bootstrap intervals over scenes, "
    "not over trainings; differences are paired. Policies act by their mean."
)


def usable(env, scenes: int) -> list[int]:
    """The first so many frames in which there is something to explain; the others are passed over, with a
    warning."""
    found: list[int] = []
    for index in range(len(env.unwrapped.task.frames)):
        if len(found) == scenes:
            break
        try:
            env.unwrapped.task.load(index)
        except SceneError as error:
            warnings.warn(f"evaluation passes over a frame: {error}", stacklevel=2)
        else:
            found.append(index)
    if not found:
        raise ValueError(
            f"scenes: in no frame of {env.unwrapped.task.frames.label} is there anything to explain"
        )
    return found


def begin(env, index: int):
    """Reset to a scene."""
    return env.reset(seed=index, options={"frame": index})


walk = partial(play, begin=begin)


def score(env, policy, index: int) -> dict[str, Any]:
    """The figures of one scene, the score among them where the truth is known."""
    task = env.unwrapped.task
    target: Target = task.load(index)[1]
    if hasattr(policy, "predict"):
        for _ in walk(env, policy, index):
            pass
        fit = task.episode(0).state.fit()
    else:
        fit = policy(target, task.slots, index)
    found = score_fit(target, fit)
    if target.num_objects is not None:
        found["score"] = score_of(found, *references(target, task.slots, index), target.num_objects)
    if not len(target.held_out):
        del found["held_out"]
    return {"scene": index, **{key: float(found[key]) for key in COLUMNS if key in found}}


@lru_cache(maxsize=256)
def references(target: Target, slots: int, seed: int) -> tuple[float, float]:
    """d_random and d_oracle of the score, metres."""
    random, oracle = (
        score_fit(target, FITTERS[name](target, slots, seed))["occlusion_aware"]
        for name in ("random-spheres", "oracle")
    )
    return random, oracle
