"""Search in the environment's own moves: of some steps of the track whose turn it is, the one after which the
potential ``full``, which needs no ground truth, is highest."""

from __future__ import annotations

import numpy as np

from spatial_envs.prototypes.tracks import VideoState, moved_track
from spatial_envs.video_fit.task import VideoFit

TRIES = 12  # steps that are tried in a turn


def best_step(state: VideoState, index: int, rng: np.random.Generator) -> np.ndarray:
    """Let track ``index`` take the best of some steps drawn evenly from all, and return its action (1 + M,);
    zeros with the least size, where each would make things worse, and the track stays as it is."""
    assert state.tracks is not None
    start = best = state.tracks[index].copy()
    chosen = np.zeros(1 + len(start))
    chosen[0], value = -1.0, state.figures()["full"]
    for action in rng.uniform(-1, 1, (TRIES, len(chosen))):
        state.put_track(index, moved_track(start, action, state.segments))
        if (now := state.figures()["full"]) > value:
            best, chosen, value = state.tracks[index].copy(), action, now
    state.put_track(index, best)
    return chosen


class BlindSearch:
    """The policy that acts so, in an environment of tracks whose cameras are given."""

    def __init__(self, env, seed: int = 0) -> None:
        self.task: VideoFit = env.unwrapped.task
        if not self.task.by_track or self.task.estimates:
            got = f"action={self.task.settings.action!r} and camera={self.task.settings.camera!r}"
            raise ValueError(f"BlindSearch: got {got}; expected 'track' and 'given'")
        self.rng = np.random.default_rng([seed, 5])

    def predict(self, observation, state=None, episode_start=None, deterministic: bool = True):
        """The action (1 + M,), and no state; the environment's is as before."""
        episode = self.task.episode(0)
        index, _ = self.task.turn_of(episode)
        assert episode.state.tracks is not None
        before = episode.state.tracks[index].copy()
        action = best_step(episode.state, index, self.rng)
        episode.state.put_track(index, before)
        return action.astype(np.float32), None
