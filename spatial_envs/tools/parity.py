"""How well the built-in simulator agrees with habitat-sim, figure by figure beside its target.

    python -m spatial_envs.tools.parity <folder of recorded answers>
    python -m spatial_envs.tools.parity procedural --split test --buildings 3
    python -m spatial_envs.tools.parity apartment.glb

Where habitat-sim is installed it is asked here, in any building; answers recorded before need no habitat-sim.
The targets are those of an apartment in which nothing hangs on a few centimetres. Among furniture habitat's
rounding alone misses some: of borders to cells of 5 cm, of heights to 20 cm (it walks over a coffee table).
"""

from __future__ import annotations

import argparse
import contextlib
import importlib.util
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from spatial_envs.foundation.arguments import absolute, check_range
from spatial_envs.scenes.buildings import PROCEDURAL, open_buildings
from spatial_envs.simulators import make_simulator
from spatial_envs.simulators.agent import wrapped
from spatial_envs.simulators.builtin import BuiltinSimulator
from spatial_envs.simulators.habitat_process import require
from spatial_envs.simulators.simulator import FORWARD, Simulator
from spatial_envs.tools.recording import Recording, follow, is_recording, read_recording, record

NEAR = 0.1  # metres: habitat's borders are coarser, so that its places may be so far from ours


@dataclass(frozen=True)
class Figure:
    """One line of the table; ``low`` and ``high`` bound the value."""

    name: str
    value: float
    target: str
    low: float = -np.inf
    high: float = np.inf

    @property
    def met(self) -> bool:
        """Whether the value lies within its bounds."""
        return bool(self.low <= self.value <= self.high)


def parity(recording: Recording) -> list[Figure]:
    """The figures of the built-in simulator in the recording's building; those of which the recording has no
    case are left out."""
    body = {"camera_height": recording.camera_height}
    free = make_simulator("builtin", recording.building, **body)
    assert isinstance(free, BuiltinSimulator)
    stiff = make_simulator("builtin", recording.building, **body, sliding=False, space=free.space)
    figures = [
        *_views(free, recording),
        *_distances(free, recording),
        *_steps(free, stiff, recording),
        *_greedy(free, recording),
    ]
    return [figure for figure in figures if not np.isnan(figure.value)]


def _views(simulator: Simulator, recording: Recording) -> list[Figure]:
    theirs = recording.views
    ours = simulator.render_view(theirs.cam_to_world)
    # textures are filtered otherwise
    level, share = (8, 0.98) if recording.building.mesh.textures else (1, 0.995)
    depth = np.abs(ours.depth - theirs.depth) <= 0.005
    rgb = (np.abs(ours.rgb.astype(int) - theirs.rgb) <= level).all(axis=-1)
    poses = np.stack([simulator.camera_pose(state) for state in recording.standing])
    pose = float(np.abs(poses - theirs.cam_to_world).max())
    return [
        Figure("pixels with depth within 5 mm", float(np.mean(depth)), ">= 99.5 %", low=0.995),
        Figure(
            f"pixels with colour within {level} of 255",
            float(np.mean(rgb)),
            f">= {100 * share:g} %",
            low=share,
        ),
        Figure("camera pose from yaw and pitch, largest difference", pose, "<= 1e-5", high=1e-5),
    ]


def _near(simulator: Simulator, *points: np.ndarray) -> list[np.ndarray]:
    """The simulator's places nearest to points (3,), none where one has none within 0.1 m."""
    with contextlib.suppress(ValueError):
        return [simulator.snap(point, NEAR) for point in points]
    return []


def _distances(simulator: Simulator, recording: Recording) -> list[Figure]:
    found, above, apart, close = [], [], [], []
    for number, (ends, theirs) in enumerate(zip(recording.ends, recording.distances, strict=True)):
        own = _near(simulator, *ends)
        found.append(bool(own))
        if not own:
            continue
        moved = np.hypot(*(np.array(own) - ends)[:, [0, 2]].T).sum()
        ours = float(simulator.distance(*own))
        above.append(ours - theirs - moved)
        apart.append(abs(ours - theirs))
        if recording.exact is not None:
            exact = recording.exact[number]
            close.append(abs(ours - exact) <= 0.02 + 0.01 * exact + moved)
    return [
        Figure("pairs of places that are places here, to 0.1 m", _mean(found), ">= 95 %", low=0.95),
        Figure("distances within 0.02 m + 1 % of the exact", _mean(close), ">= 95 %", low=0.95),
        Figure("most above habitat's distance, m", _most(above), "<= 0.2", high=0.2),
        Figure(
            "apart from habitat's distance, median, m",
            float(np.median(apart)) if apart else np.nan,
            "<= 0.1",
            high=0.1,
        ),
    ]


def _steps(sliding: Simulator, stiff: Simulator, recording: Recording) -> list[Figure]:
    """One step from every recorded state; without sliding, up to the first collision."""
    free, blocked, flags, turns, first, differ = [], [], [], [], [], []
    for walk in recording.walks:
        agent = sliding if walk.sliding else stiff
        for before, action, after in zip(
            [walk.start, *walk.states[:-1]], walk.actions, walk.states, strict=True
        ):
            if not (own := _near(sliding, before.position)):
                continue
            agent.reset(own[0], before.yaw)
            state = agent.step(action)
            error = _in_plan(state.position, after.position)
            ahead = 0.25 * np.array([np.sin(before.yaw), 0.0, np.cos(before.yaw)])
            if action != FORWARD:
                turns.append(abs(wrapped(state.yaw - after.yaw)))
            elif not walk.sliding and after.collided:
                first.append(error)
                break
            elif _in_plan(after.position, before.position - ahead) < 1e-4:
                stiff.reset(own[0], before.yaw)
                clear = _in_plan(own[0], before.position) < 1e-6 and not stiff.step(FORWARD).collided
                differ.append(not clear)
                if clear:
                    free.append(error)
            else:
                blocked.append(error <= 0.06)
            if action == FORWARD and walk.sliding:
                flags.append(state.collided == after.collided)
    return [
        Figure("free steps (clear here too), largest error, m", _most(free), "<= 1e-5", high=1e-5),
        Figure("steps free on habitat's coarser border alone", _mean(differ), "<= 5 %", high=0.05),
        Figure("blocked steps within 0.06 m", _mean(blocked), ">= 95 %", low=0.95),
        Figure("collided flag right", _mean(flags), ">= 97 %", low=0.97),
        Figure("turns, largest error, rad", _most(turns), "<= 1e-5", high=1e-5),
        Figure("first contact without sliding, most apart, m", _most(first), "<= 0.1", high=0.1),
    ]


def _greedy(simulator: Simulator, recording: Recording) -> list[Figure]:
    spl, theirs_spl, steps = [], [], []
    for theirs in recording.followed:
        if own := _near(simulator, theirs.start.position, theirs.goal):
            count, share = follow(simulator, replace(theirs.start, position=own[0]), own[1])
            spl.append(share)
            theirs_spl.append(theirs.spl)
            steps.append(count / theirs.steps)
    success, apart = _mean(np.greater(theirs_spl, 0)), _mean(np.subtract(spl, theirs_spl))
    return [
        Figure(
            "greedy follower: success",
            _mean(np.greater(spl, 0)),
            f">= habitat's {100 * success:.0f} %",
            low=success,
        ),
        Figure("greedy follower: SPL minus habitat's", apart, "within 0.02", -0.02, 0.02),
        Figure("greedy follower: steps / habitat's", _mean(steps), "within 10 %", 0.9, 1.1),
    ]


def _in_plan(a: np.ndarray, b: np.ndarray) -> float:
    return float(np.hypot(*(a - b)[[0, 2]]))


def _mean(values: Sequence[float] | np.ndarray) -> float:
    return float(np.mean(values)) if len(values) else np.nan


def _most(values: Sequence[float]) -> float:
    return max(values, default=np.nan)


def _recordings(options: argparse.Namespace) -> Iterator[Recording]:
    """What the command line asks for. ValueError or ImportError where it cannot be had."""
    named = [scenes for scenes in options.scenes if scenes != "procedural"]
    if missing := [scenes for scenes in named if not os.path.exists(absolute("scenes", scenes))]:
        told = f"{', '.join(map(repr, missing))} {'does' if len(missing) == 1 else 'do'} not exist"
        raise ValueError(f"scenes: {told}; expected 'procedural', or files and folders that are there")
    ask = importlib.util.find_spec("habitat_sim") is not None
    for scenes in options.scenes:
        if is_recording(scenes):
            recorded = read_recording(scenes)
            yield record(recorded.building) if ask else recorded
        else:
            check_range("--buildings", options.buildings, 1, np.inf, int)
            buildings = open_buildings(scenes, options.split, options.up)
            require()
            for index in range(min(options.buildings, len(buildings))):
                yield record(buildings.load(index))


def main() -> None:
    """Print a table for each building."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "scenes",
        nargs="+",
        help="a folder of recorded answers, a building's file, a folder of buildings, or procedural",
    )
    parser.add_argument("--split", default="test", choices=PROCEDURAL, help="of the buildings (default test)")
    parser.add_argument("--up", default="auto", choices=("auto", "y", "z"), help="the up axis of files")
    parser.add_argument("--buildings", type=int, default=2, help="the first so many (default 2)")
    options = parser.parse_args()
    try:
        for recording in _recordings(options):
            print(f"{recording.building.name}: the built-in simulator against {recording.source}")
            for figure in parity(recording):
                said = "met" if figure.met else "NOT MET"
                print(f"{figure.name:52} {figure.value:12.6f}   {figure.target:20} {said}", flush=True)
    except (ImportError, RuntimeError, ValueError) as error:
        parser.error(str(error))


if __name__ == "__main__":
    main()
