"""The next-best-view environments: the ids, their arguments, spaces, rewards and info keys."""

from __future__ import annotations

import numpy as np

from spatial_envs.core.env import TaskEnv
from spatial_envs.core.vector_env import TaskVectorEnv
from spatial_envs.foundation.threads import small_work
from spatial_envs.geometry.view import View
from spatial_envs.nbv.task import NBV, NBVDiscrete


class NBVEnv(TaskEnv):
    """## Description

    A camera takes pictures of one object. The agent decides, view by view, from where to take the next,
    and is rewarded for how much closer that brings the reconstruction to the object's true surface.
    World: metres, Y up, the object's bounding-box centre at the origin, its farthest vertex at 0.5 m.

    ## Action Space

    ``Box(-1, 1, float32)``; values beyond are clipped. With ``action=``

    - ``"shell"`` (3, default): with u the anchor, e its east, n its north and s = max(|a1|, |a2|), the camera
      lies at the geodesic angle pi s from u along a1 e + a2 n, at a radius linear in a3 (0 = the middle).
    - ``"sphere"`` (2): the same at the middle radius.
    - ``"pose"`` (5): as shell, and two offsets of the look-at direction, yaw and pitch, within +-20 degrees.
    - ``"position"`` (3): the camera's centre in the frame, in units of the outer radius. The anchor counts
      only where that is the object's centre itself.
    - ``"candidates"``: ``Discrete(64)``, what ``NBVDiscreteEnv`` has; see there.

    With ``view_cost=`` the agent may stop: by one more component, above 0, and of candidates by action 64. A
    stop takes no view, is worth 0 and ends the episode.

    The camera looks at the object's centre, +Y upwards. Poses outside the region (radius, elevation within
    +-80 degrees) are projected to the nearest one inside; for pose and position that is penalised as invalid,
    for shell and sphere, which miss the region only at the caps round the poles, it is not.

    The anchor is the direction that a zero action looks from, ``anchor=``

    - ``"farthest"`` (default): of 256 Fibonacci directions in the frame, those in the region, the one whose
      smallest angle to the views taken is largest, ties within 1 degree to the lowest index.
    - ``"antipode"``: minus the mean of the views' directions; farthest where that mean is shorter than 0.2.
    - ``"origin"``: azimuth and elevation 0 of the frame, its +Z.
    - ``"first_view"``: that of the first view.

    ## Observation Space

    A flat Dict; ``observations=`` chooses among

    | key | shape | meaning |
    |---|---|---|
    | features | (views, D) | the backbone's tokens of each view, pooled, standardised, clipped to +-10; (views, P, D) with ``pooling="none"``, (views, 16, D) with "grid" |
    | poses | (views, 9) | position (m), camera X and camera Y axis, in the frame |
    | view_mask | (views,) | 1 for the views taken |
    | anchor | (3,) | direction of the zero action, in the frame's axes |
    | remaining | (1,) | share of the budget left |
    | rgb | (H, W, 3) uint8 | the latest view |
    | depth | (H, W, 1) | of the latest view, metres, 0 = nothing hit |
    | candidates | (64, 4) | with Box actions only where asked for: Fibonacci directions from the object's centre, in the frame's axes; 1 for those farther than 5 degrees from every view |
    | glimpses | (64, 5, 14, 14) uint8 | only where asked for: what each candidate would see of the voxels that the measured depth has filled so far, see ``voxels.VoxelGrid.glimpses``; 64 * 196 rays |
    | points | (2048, 3) | only where asked for: the reconstruction so far, in the frame, metres, thinned evenly where it has more points, zeros after the last where it has fewer |
    | points_mask | (2048,) | only where asked for: 1 for the points that there are |
    | voxels | (1, 32, 32, 32) uint8 | only where asked for: of the voxels of a cube of 1.1 m round the object's centre, along the frame's axes X, Y, Z, the probability of being occupied by the measured depth, 255 = 1; 128 is unknown |
    | gains | (64,) | only where asked for: the true gain of each candidate, which takes 64 views; 0 when the budget is spent |

    or by a name: ``"state"`` (features, poses, view_mask, anchor, remaining, and of discrete actions
    candidates; for an MLP), ``"image"`` (rgb; for a CNN), ``"points"`` (points, points_mask, poses, view_mask,
    anchor, remaining; for a point network), ``"all"`` (all but gains, which are the answer).

    The frame, ``frame=``: ``"gravity"`` (default: origin at the object's centre, Y up, first camera at azimuth
    0), ``"first_view"`` (origin and axes of the first camera), ``"world"``.

    ## Rewards

    ``gain - invalid_penalty * invalid - view_cost``. The gain is the difference of a potential (``chamfer.POTENTIALS``):
    ``reward="log"`` (default, log C0 - log C1), ``"relative"``, ``"chamfer"``, ``"chamfer_squared"``,
    ``"chamfer_sum"``, ``"coverage"``, or a callable (figures before, figures after) -> float.
    ``reward_baseline="anchor"`` takes off each reward what a zero action would have gained from the same state,
    or of candidates the one nearest to the anchor: no action moves that, so it changes no policy's order where
    rewards to come do not count (gamma 0), and learning has less noise. ``info["gain"]`` is without it.

    ## Starting State

    An object of the split, drawn uniformly, and ``initial_views`` views. The first is drawn from the region
    (``start="random"``: direction uniform by area, radius uniform), ``"fixed"`` (azimuth 0, elevation 20
    degrees, middle radius), or within a cone about the fixed one (a number of degrees; 180 = random, and the
    radius varies in proportion). Further ones are each farthest from those before, at the middle radius.
    Later resets without a seed stay in that object until ``scene_steps`` steps were made there.
    ``reset(options={"object": name or index, "views": (n, 4, 4) cam_to_world})``, n = ``initial_views``.

    ## Episode End

    The view that spends the budget (``views``) terminates, and so do a stop and a coverage of ``stop_at``. Success
    (``is_success``: coverage of at least 0.95 of what 64 Fibonacci views reach on the object) ends nothing.

    ## Info

    ``chamfer``, ``accuracy``, ``completeness`` (m), ``chamfer_squared``, ``chamfer_sum`` (m^2), ``coverage``,
    ``f_score``, ``gain``, ``views``, ``path_length`` (m, straight lines between the cameras), ``invalid``,
    ``is_success``, ``object``, ``backbone``. With ``audit=True`` also ``unproject_chamfer`` and so on: the
    figures of the measured depth of the same views, unprojected, whatever the reconstruction is.

    ## Arguments

    {arguments}

    ## Version History

    - v0: first version.
    """  # noqa: E501

    task_type = NBV
    task: NBV

    def render_view(self, cam_to_world: np.ndarray) -> View:
        """The object from any poses (..., 4, 4) cam_to_world."""
        return self.task.render_view(0, cam_to_world)

    @small_work
    def evaluate(self, cam_to_world: np.ndarray) -> np.ndarray:
        """(K,) float64: the true gain of each candidate pose (K, 4, 4); NaN outside the region. The state
        does not change."""
        return self.task.evaluate(0, cam_to_world)

    def poses_from_actions(self, actions: np.ndarray) -> np.ndarray:
        """(K, 4, 4) float32 cam_to_world: where each of the actions (K, ...) would take the camera."""
        return self.task.poses_from_actions(0, actions)

    def action_from_pose(self, cam_to_world: np.ndarray) -> np.ndarray | np.integer:
        """The action whose pose is, or is nearest to, ``cam_to_world`` (4, 4): inverse of the action map."""
        return self.task.action_from_pose(0, cam_to_world)


class NBVDiscreteEnv(NBVEnv):
    """``NBVEnv`` with ``Discrete(64)`` actions: Fibonacci directions of the region, at the middle radius or
    at ``candidate_radius``.

    ## Action Space

    Candidate k has the azimuth that the spiral gives it, counted from the first camera's (from +Z with
    ``frame="world"``). ``action_masks()`` and ``info["action_mask"]`` are False for the candidates taken or
    within 5 degrees of a view; choosing such a one costs ``invalid_penalty`` and spends the view.
    The budget is at most 64 views. All else is as in ``NBVEnv``.

    ## Arguments

    {arguments}

    ## Version History

    - v0: first version.
    """

    task_type = NBVDiscrete

    def action_masks(self) -> np.ndarray:
        """(64,) bool: which candidates are left; with ``view_cost`` (65,), the stop last."""
        return self.task.allowed(self.task.episode(0))


class NBVVectorEnv(TaskVectorEnv):
    """Many episodes of ``NBVEnv`` at once, one backbone call for all."""

    task_type = NBV
    task: NBV


class NBVDiscreteVectorEnv(NBVVectorEnv):
    """Many episodes of ``NBVDiscreteEnv`` at once."""

    task_type = NBVDiscrete

    def action_masks(self) -> np.ndarray:
        """(N, 64) bool: which candidates are left; with ``view_cost`` (N, 65), the stop last."""
        return np.stack([self.task.allowed(self.task.episode(row)) for row in range(self.num_envs)])
