"""Agents that are shown the features of another object, to find whether they read them."""

from __future__ import annotations

import copy

import numpy as np

from agents.play import choose
from spatial_envs.nbv import NBVEnv


class Bridge:
    """A run's model in another environment than its own: it is shown what its own would show of the same
    views, and takes the pose that it would take there, or the nearest that the actions reach here.

    own   the run's environment, on the same objects, with at least the same budget
    env   the one that is played
    """

    def __init__(self, policy, own: NBVEnv, env: NBVEnv) -> None:
        if own.task.views < env.task.views:
            raise ValueError(
                f"run: got one trained for {own.task.views} views; expected a budget of at most that, not "
                f"{env.task.views}"
            )
        self.policy, self.own, self.env, self.memory = policy, own, env, None

    def predict(self, observation, **keywords):
        """The action here for what the policy decides there."""
        state = self.env.get_state()
        if len(state["task"]["views"].depth) == self.env.task.initial_views:
            self.memory = None
        self.own.set_state(state)
        action, self.memory = choose(self.policy, self.own, self.own.task.observe(0), self.memory)
        pose = self.own.poses_from_actions(np.asarray(action)[None])[0]
        return self.env.action_from_pose(pose), None


class ForeignFeatures:
    """A policy that is shown, in place of its own features, those of another object from the same poses."""

    def __init__(self, model, env: NBVEnv) -> None:
        self.model, self.env = model, env
        self.twin = copy.copy(env)  # with episodes of its own; objects are shared
        self.twin.task = copy.copy(env.task)
        self.twin.task.rows = [None]

    def predict(self, observation, **keywords):
        """The policy's action on the changed observation."""
        here, objects = self.env.get_state(), self.env.task.objects
        seen = here["task"]["views"]
        other = (objects.index(here["task"]["object"]) + 1) % len(objects)
        initial = seen.cam_to_world[: self.env.task.initial_views]
        self.twin.reset(seed=0, options={"object": other, "views": initial})
        views = self.twin.render_view(seen.cam_to_world)
        self.twin.set_state(
            {**here, "task": {**here["task"], "object": objects.names[other], "views": views}}
        )
        features = self.twin.task.observe(0)["features"]
        return self.model.predict({**observation, "features": features}, **keywords)
