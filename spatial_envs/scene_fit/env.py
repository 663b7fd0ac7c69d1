"""The scene-fitting environments: the id, its arguments, spaces, rewards and info keys."""

from __future__ import annotations

import numpy as np

from spatial_envs.core.env import TaskEnv
from spatial_envs.core.vector_env import TaskVectorEnv
from spatial_envs.geometry.view import View
from spatial_envs.scene_fit.task import SceneFit


class SceneFitEnv(TaskEnv):
    """## Description

    A depth map shows some objects. The agent has K slots, each a shape: a blend of a few learned prototypes,
    at a scale and pose. Step by step it changes them, and is rewarded for how much better they explain the
    depth map. Metres; the fitting frame has +Y up, the camera looking along -Z but for its pitch, and its
    origin at the mean of the target's points; ``unit`` is their root mean square distance from it. The ground
    is found and taken out first.

    ## Action Space

    ``Box(-1, 1, float32)``; values beyond are clipped. With ``action="slot"`` (default) one slot changes:
    [size, log scale, x, y, z, yaw, pitch, roll, P logits of prototypes, logit of absence]. The step's size is
    0.01 for -1 to 1 for 1 by equal factors; a step of size 1 changes the log scale by 0.5, the position by
    0.5 units, the yaw by 1 and pitch and roll by 0.5 radians, logits by 4, times what the action says of
    each. ``turn="round_robin"``: the slots take turns; ``turn="agent"``: one more number chooses, from the
    first slot at -1 to the last at 1. With ``action="all"`` all K change at once: the same numbers, K times.
    Slots: `spatial_envs.prototypes.PrototypeBank`.

    ## Observation Space

    A flat Dict; ``observations=`` chooses among

    | key | shape | meaning |
    |---|---|---|
    | slots | (K, 7 + P + 1) | log scale and position in units, angles, logits over 10 (of mean 0) |
    | residuals | (K, 22) | of each slot and the points nearest to it, in units: `SlotState.residual_rows` |
    | turn | (K,) | 1 for the slot whose turn it is; only where slots take turns |
    | close_up | (6, 24, 24) | the picture round the slot whose turn it is: `spatial_envs.scene_fit.close_up.CloseUp`; only where slots take turns |
    | close_up_place | (6,) | where that picture is, in units, and the camera's pitch; only where slots take turns |
    | remaining | (1,) | share of the steps left |
    | rgb, depth | (H, W, 3) uint8, (H, W, 1) m | the target view; 0 where nothing was measured |
    | fit_rgb, fit_depth | the same | the fit from the same place |
    | features | (D,) | the backbone's tokens of the target view at the nearest multiples of its patch, pooled, standardised, clipped to +-10; (P, D) with ``pooling="none"``, (16, D) with "grid" |

    or by a name: ``"state"`` (slots, residuals, turn, remaining, features; for an MLP), ``"image"`` (rgb,
    fit_rgb, turn; for a CNN), ``"all"``.

    ## Rewards

    The gain of a potential: ``reward="full"`` (default), -(occlusion-aware distance / unit + 0.5 fsv + 0.01
    slots), ``"chamfer"``, -(one-directional distance) / unit, ``"surface"``, of procedural scenes, -(mean
    distance of the true surface, seen or not, to the fit + mean distance of the fit to it) / unit - 0.01 slots,
    or a callable (figures before, figures after) -> float. Figures: ``spatial_envs.prototypes.scores``, over up to
    ``points`` of the target's points.

    ## Starting State

    A frame of the split, drawn uniformly, and the slots by ``start``: ``"kmeans"`` (a ball-like blend at each
    group of points), ``"random"``, ``"encoder"`` (what the encoder of ``prototypes`` says).
    Later resets without a seed stay in that frame until ``scene_steps`` steps were made there.
    ``reset(options={"frame": name or index, "slots": (K, 7 + P + 1)})``, lengths in metres.

    ## Episode End

    After ``steps`` steps the episode terminates. Success (``is_success``: one-directional distance of at most
    3 cm and fsv of at most 0.1) ends nothing.

    ## Info

    ``one_directional``, ``occlusion_aware`` (m), ``fsv``, ``depth_agreement`` (shares), ``slots`` present,
    ``chamfer`` (= one_directional), ``gain``, ``steps``, ``is_success``, ``object`` (the frame's name),
    ``backbone``.

    ## Arguments

    {arguments}

    ## Version History

    - v0: first version.
    """  # noqa: E501

    task_type = SceneFit
    task: SceneFit

    def render_view(self, cam_to_world: np.ndarray) -> View:
        """The fit from any poses (..., 4, 4) in the world's frame."""
        return self.task.render_view(0, cam_to_world)


class SceneFitVectorEnv(TaskVectorEnv):
    """Many episodes of ``SceneFitEnv`` at once."""

    task_type = SceneFit
    task: SceneFit
