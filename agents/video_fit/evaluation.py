"""What fits of videos are scored by.

Video k is video k of the split, and the seed of whatever draws. A policy plays an episode in its environment,
by its mean action; what its slots are at the end is its fit.
"""

from __future__ import annotations

from functools import lru_cache, partial
from typing import Any

import numpy as np

from agents.families import Column
from agents.play import walk as play
from agents.video_fit.baselines import FITTERS, explanation, given
from spatial_envs.prototypes.scores import score as score_of
from spatial_envs.prototypes.tracks import trajectory_error
from spatial_envs.prototypes.video import VideoTarget
from spatial_envs.prototypes.video_scores import score_video
from spatial_envs.scenes.depth_videos import DepthVideo


def _percent(title: str) -> Column:
    return Column(title, "{:.1f}", 100, difference="{:+.1f}", short=title.split(",")[0])


COLUMNS = {
    "score": _percent("video score, %"),
    "held_out": _percent("held-out frames, cm"),
    "one_directional": _percent("one-directional, cm"),
    "occlusion_aware": _percent("occlusion-aware, cm"),
    "fsv": _percent("FSV, %"),
    "full": _percent("full, %"),
    "ari": _percent("ARI of the video, %"),
    "idf1": _percent("IDF1, %"),
    "switches": _percent("switches, %"),
    "centre_error": _percent("centre error, cm"),
    "jitter": _percent("jitter, cm an axis"),
    "depth_agreement": _percent("depth agreement, %"),
    "trajectory_error": _percent("camera ATE, cm"),
}
HEADLINE = ("score", "depth_agreement")  # the second where the truth is not known
FORMULAS = (
    "Means over the frames of what SceneFit's tables say; held-out frames: the one-directional distance "
    "in those that no fitter was shown. ARI of the video: adjusted Rand index of nearest slot against "
    "object over the points of all frames together. IDF1: every object is given the slot that is within "
    "25 cm of it in most frames; 2 TP / (2 TP + FP + FN) over objects and frames that are seen. Switches: "
    "of the times that an object is near a slot in two frames running, those in which it is another one. "
    "Centre error: the median distance of objects' centres from those of their slots; jitter: the median "
    "standard deviation of that offset, an axis. Video score: clip(g, 0, 1) (1 - FSV) max(ARI, 0) full in "
    "each video, with g = (d_random - d) / (d_random - d_oracle), d occlusion-aware, of random-spheres "
    "and of oracle, which is the true bodies. Camera ATE: the root mean square distance of the cameras "
    "from the true ones, the first being given. Intervals are 95 % bootstrap intervals over videos, not "
    "over trainings; differences are paired. Policies act by their mean."
)


def begin(env, index: int):
    """Reset to a video."""
    return env.reset(seed=index, options={"video": index})


walk = partial(play, begin=begin)


def score(env, policy, index: int) -> dict[str, Any]:
    """The figures of one video, the score among them where the truth is known."""
    task = env.unwrapped.task
    video, target = task.load(index)
    if hasattr(policy, "predict"):
        for _ in walk(env, policy, index):
            pass
        shown, held = explanation(task.episode(0).state)
    else:
        shown, held = policy(target, video, task.slots, index)
    found = score_video(shown, held)
    if video.bodies is not None:
        ends = references(target, video, task.slots, index)
        found["score"] = score_of(found, *ends, target.num_objects or 0)
    if task.estimates:
        cameras = np.stack([one.target.frame_to_world @ one.target.cam_to_frame for one in shown])
        true = np.stack([view.cam_to_world for view in video.shown_views])
        found["trajectory_error"] = trajectory_error(cameras, true if video.posed else None)
    return {"scene": index, **{key: float(found[key]) for key in COLUMNS if key in found}}


@lru_cache(maxsize=128)
def references(target: VideoTarget, video: DepthVideo, slots: int, seed: int) -> tuple[float, float]:
    """d_random and d_oracle of the score, metres."""
    target = given(target, video)
    random, oracle = (
        score_video(FITTERS[name](target, video, slots, seed)[0], [])["occlusion_aware"]
        for name in ("random-spheres", "oracle")
    )
    return random, oracle
