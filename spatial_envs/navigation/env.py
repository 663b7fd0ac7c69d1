"""The navigation environments: the ids, their arguments, spaces, rewards and info keys."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np

from spatial_envs.core.env import TaskEnv
from spatial_envs.core.task import (
    RENDER_METADATA,
)
from spatial_envs.core.vector_env import TaskVectorEnv
from spatial_envs.geometry.view import View
from spatial_envs.navigation.task import Explore, ImageNav, Navigation, ObjectNav, PointNav


class _NavigationEnv(TaskEnv):
    """What the four environments share beside their task."""

    metadata: ClassVar[dict[str, Any]] = {**RENDER_METADATA, "render_fps": 10}  # type: ignore[misc]
    task: Navigation

    def render_view(self, cam_to_world: np.ndarray) -> View:
        """The building from any poses (..., 4, 4) cam_to_world, through the agent's intrinsics."""
        return self.task.render_view(0, cam_to_world)


class _GoalEnv(_NavigationEnv):
    """Those with a goal."""

    def next_action(self) -> Any:
        """What a greedy follower of the shortest way does next."""
        return self.task.next_action(0)


class PointNavEnv(_GoalEnv):
    """## Description

    An agent walks through a building it has never seen to a point that it is told in its own frame, and is
    rewarded for its progress, for arriving, and for the map that its views add up to. habitat-lab's PointNav,
    with Gymnasium's interface. World: metres, Y up; yaw 0 looks along -Z and grows to the left.

    ## Action Space

    ``Discrete(4)``: 0 stop, 1 forward by 0.25 m, 2 turn left, 3 turn right by 10 degrees.
    With ``action="velocity"`` ``Box(-1, 1, (2,), float32)``, clipped: forward by 0.25 m (a1 + 1) / 2, then a
    turn to the left by 10 degrees a2; less than 0.025 m and less than 1 degree together mean stop.
    A step that a wall blocks goes on along the wall, or with ``sliding=False`` ends there.

    ## Observation Space

    A flat Dict; ``observations=`` chooses among

    | key | shape | meaning |
    |---|---|---|
    | rgb | (H, W, 3) uint8 | what the agent sees |
    | depth | (H, W, 1) | metres along the optical axis, 0 = nothing within ``max_depth`` |
    | pointgoal | (2,) | PointNav: distance to the goal, metres, and its direction, radians to the left |
    | imagegoal | (H, W, 3) uint8 | ImageNav: what an agent at the goal sees |
    | objectgoal | Discrete | ObjectNav: the category sought, an id as in ``semantic`` |
    | gps | (2,) | metres forward and to the right of the start, in the start's frame |
    | compass | (1,) | radians to the left of the start's heading |
    | odometry | (3,) | what the last action did: metres walked, radians turned to the left, 1 if it fell short |
    | remaining | (1,) | share of the steps left |
    | features | (window, D) | the backbone's tokens of the latest views, the newest first, pooled, in the agent's frame, standardised, clipped to +-10; (window, P, D) with ``pooling="none"`` |
    | view_mask | (window,) | with features: 1 for the views that there are |
    | semantic | (H, W, 1) uint8 | only where asked for (ObjectNav: by default): ids of categories, ``task.semantic_ids``, by the building's true labels; 0 = none of them |
    | map | (64, 64, 4) uint8 | only where asked for: the plan seen so far, by measured depth; the agent in the middle, looking towards row 0; cells of 0.125 m; 0 or 255 for occupied, free, visited, goal (the point, or where ``semantic`` showed the category); one storey: stairs count as occupied |
    | wide_map | (64, 64, 4) uint8 | only where asked for: as map, of cells of 0.25 m, each with all that is in it |

    or by a name: ``"state"`` (the goal where it is no picture, gps, compass, odometry, remaining, features,
    view_mask; for an MLP), ``"image"`` (rgb and the goal; for a CNN), ``"all"``.

    ## Rewards

    The sum of parts, each times its weight (``weights=``):

    | part | what | PointNav, ImageNav, ObjectNav | Explore |
    |---|---|---|---|
    | chamfer | gain of the map against what can be seen, by ``reward=``, as in ``NBVEnv`` | 0.1 | 1 |
    | geodesic | metres by which the shortest way to the goal became shorter | 1 | |
    | success | 1 at a successful stop | 2.5 | |
    | slack | -1 at every step | 0.01 | 0 |
    | collision | -1 at a step that fell short | 0.02 | 0 |

    The map: one point for each voxel of 5 cm, first come, of the views' points (``reconstruction``:
    ``"backbone"``, or ``"depth"``, the measured depth; ``"none"`` for no map, which saves its time). What can
    be seen: the surface visible from places 0.75 m apart on the largest island, all round (and, where the agent
    can tilt its camera, 30 degrees up and down), at any distance, 10,000 points. With one point in each voxel
    of 5 cm the map's size is bounded by the building's.

    ## Starting State

    A building of the split, drawn uniformly; start and goal on its largest island as habitat-lab draws them:
    1 to 30 m apart along the shortest way, heights within 0.5 m, mostly not in a straight line.
    Later resets without a seed stay in that building until ``scene_steps`` steps were made there.
    ``reset(options={"building": name or index, "start": (x, y, z), "yaw": radians, "goal": (x, y, z)})``: in
    the building's own metres, Y up, snapped by at most 0.05 m in plan to where the agent can stand, so that an
    episode of one simulator starts in another; ``info["snapped"]`` says how far.
    ``episodes="val.json.gz"``, a file of habitat-lab's datasets (PointNav, ObjectNav; of PointNav's also
    ImageNav and Explore), plays those, in the buildings of ``scenes`` that have some: one of the building,
    drawn, or ``options={"building": ..., "episode": its episode_id, or its number in the building}``. Ends are
    snapped by at most 0.3 m, since they were found on another simulator's navigation mesh; distances are ours.

    ## Episode End

    Stop terminates; ``max_steps`` truncates. Success: a stop at less than ``success_distance``, 0.2 m along
    the shortest way, from the goal.

    ## Info

    ``position`` (3,), ``yaw``, ``collided``, ``collisions``, ``path_length`` (m), ``steps``, ``success``,
    ``spl`` = success l / max(l, p), ``soft_spl`` = max(0, 1 - d / l) l / max(l, p) (l the shortest way from the
    start, p the path length, d = ``distance_to_goal``, m, along the shortest way), ``coverage`` (of what can be
    seen, at 5 cm), ``chamfer`` (m), ``gain``, ``snapped`` (m, how far the start or the goal in ``options`` was
    from where the agent can stand), ``is_success``, ``building``, ``backbone``; with ``episodes`` also
    ``episode_id``.

    ## Arguments

    {arguments}

    ## Version History

    - v0: first version.
    """  # noqa: E501

    task_type = PointNav


class ImageNavEnv(_GoalEnv):
    """As ``PointNavEnv``, but the goal is where a picture was taken: ``imagegoal`` instead of ``pointgoal``.

    ## Action Space

    As in ``PointNavEnv``.

    ## Starting State

    As in ``PointNavEnv``; the picture's heading is drawn, or ``options["goal_yaw"]``. Of an episode of a file
    it is the goal's ``rotation``, or drawn from the ``episode_id`` (habitat-lab draws it from a hash that is
    another in each process).

    ## Episode End

    1000 steps truncate. Success: a stop at less than 0.2 m from the goal, whatever the heading.

    ## Arguments

    {arguments}

    ## Version History

    - v0: first version.
    """

    task_type = ImageNav


class ObjectNavEnv(_GoalEnv):
    """As ``PointNavEnv``, but the goal is any object of a category: ``objectgoal`` instead of ``pointgoal``.

    ## Action Space

    ``Discrete(6)``: 0 stop, 1 forward by 0.25 m, 2 turn left, 3 turn right, 4 look up, 5 look down, by 30
    degrees. With ``action="velocity"`` as in ``PointNavEnv``, turns up to 30 degrees, without looking up or
    down.

    ## Starting State

    The category is drawn from those of ``categories`` that the building has, or ``options["category"]``; the
    start is 1 to 30 m from the nearest view point.

    ## Episode End

    Success: a stop at less than 0.1 m, along the shortest way, from a view point: a place on a grid of 0.1 m
    within 1 m of such an object, from where it fills at least 0.3 % of a picture taken towards it.

    ## Arguments

    {arguments}

    ## Version History

    - v0: first version.
    """

    task_type = ObjectNav


class ExploreEnv(_NavigationEnv):
    """As ``PointNavEnv`` without a goal: active mapping. The reward is the map's Chamfer gain alone.

    ## Action Space

    As in ``PointNavEnv``.

    ## Episode End

    Stop terminates, 500 steps truncate. ``is_success``: a coverage of 0.9. What tells of a goal is not in
    ``info``.

    ## Arguments

    {arguments}

    ## Version History

    - v0: first version.
    """

    task_type = Explore


class _NavigationVectorEnv(TaskVectorEnv):
    """Many episodes at once, one backbone call for all."""

    task: Navigation

    def next_actions(self) -> np.ndarray:
        """(N, ...): what greedy followers of the shortest ways do next."""
        return np.stack([self.task.next_action(row) for row in range(self.num_envs)])


class PointNavVectorEnv(_NavigationVectorEnv):
    """Many episodes of ``PointNavEnv`` at once."""

    task_type = PointNav


class ImageNavVectorEnv(_NavigationVectorEnv):
    """Many episodes of ``ImageNavEnv`` at once."""

    task_type = ImageNav


class ObjectNavVectorEnv(_NavigationVectorEnv):
    """Many episodes of ``ObjectNavEnv`` at once."""

    task_type = ObjectNav


class ExploreVectorEnv(_NavigationVectorEnv):
    """Many episodes of ``ExploreEnv`` at once."""

    task_type = Explore
