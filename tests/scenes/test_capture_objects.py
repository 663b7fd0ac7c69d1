"""A made film round a thing on a table becomes the thing, without the table; what is none is refused."""

from dataclasses import replace

import numpy as np
import pytest
import trimesh
from buildings import boxes, joined
from capture_rooms import FLIP, TURN, film
from scipy.spatial.transform import Rotation

from scenes.capture.__main__ import main
from scenes.capture.pose_files import read_transforms
from scenes.capture.thing import NAME
from spatial_envs.geometry.kdtree import KDTree
from spatial_envs.geometry.mesh import Mesh
from spatial_envs.geometry.sampling import surface_samples
from spatial_envs.nbv import NBVEnv
from spatial_envs.scenes.mesh_files import read_mesh

COUNT, FAR = 16, 0.8  # cameras, and metres from the thing
LOW = np.array([0.02, 0.0, -0.03])  # of the thing, on the table


def thing() -> Mesh:
    """A ball on a box, 0.34 m high."""
    ball = trimesh.creation.icosphere(3, 0.1)
    colors = np.full((len(ball.vertices), 3), (200, 80, 60), np.uint8)
    top = Mesh(
        (ball.vertices + np.array([0, 0.24, 0])).astype(np.float32), ball.faces.astype(np.int32), colors
    )
    whole = joined(boxes((-0.12, 0.12, 0.0, 0.16, -0.08, 0.08)), top)
    return replace(whole, vertices=whole.vertices + LOW.astype(np.float32))


def ring(count: int, share: float = 1.0) -> np.ndarray:
    """(count, 4, 4) cam_to_world, Y up, round the thing, looking at it from above."""
    poses = []
    for k in range(count):
        tilt = np.radians(-35 - 15 * (k % 2))
        turn = Rotation.from_euler("YX", [2 * np.pi * share * k / count, tilt]).as_matrix() @ FLIP[:3, :3]
        pose = np.eye(4)
        pose[:3, :3], pose[:3, 3] = turn, LOW + np.array([0, 0.15, 0]) - FAR * turn[:, 2]
        poses.append(pose)
    return np.stack(poses)


@pytest.fixture(scope="module")
def scene():
    table = boxes(
        (-0.8, 0.8, -0.05, 0.0, -0.8, 0.8), (0.5, 0.7, 0.0, 0.3, -0.3, 0.3)
    )  # and a thing beside it
    return joined(thing(), table)


@pytest.fixture(scope="module")
def captured(scene, tmp_path_factory):
    folder = tmp_path_factory.mktemp("things")
    film(scene, folder / "seq", ring(COUNT))
    out = folder / "out"
    assert main([str(folder / "seq"), "--what", "object", "--out", str(out)]) == 0
    return out / "4_object"


def test_the_thing_stands_alone_upright_and_as_large(captured):
    """Its surface within half a centimetre of the truth, above the table's layer, and all of what is seen of
    it; the cameras lie in the mesh's frame."""
    found, true = read_mesh(captured / NAME), thing()
    cameras = read_transforms(captured / "transforms.json")
    poses, told = np.stack([camera.pose for camera in cameras]), ring(COUNT)
    turn = poses[0, :3, :3] @ told[0, :3, :3].T
    shift = poses[0, :3, 3] - turn @ told[0, :3, 3]
    np.testing.assert_allclose(poses[:, :3, 3], told[:, :3, 3] @ turn.T + shift, atol=2e-3)
    assert np.degrees(np.arccos(turn[1, 1])) < 0.5  # nothing told which way is up
    assert abs(shift[1]) < 0.01
    there = surface_samples(true, 20_000, np.random.default_rng(0))[0] @ turn.T + shift
    here = surface_samples(found, 20_000, np.random.default_rng(0))[0]
    to_truth = np.sqrt(KDTree(there.astype(np.float32)).squared_distances(here.astype(np.float32)))
    assert np.percentile(to_truth, 95) < 0.008
    shown = there[there[:, 1] > 0.04]
    to_found = np.sqrt(KDTree(here.astype(np.float32)).squared_distances(shown.astype(np.float32)))
    assert (to_found < 0.01).mean() > 0.8  # from above nothing tells of the ball's underside
    assert found.vertices[:, 1].max() == pytest.approx(0.34, abs=0.01)


def test_an_agent_looks_at_it(captured):
    env = NBVEnv(scenes=str(captured / NAME), split="test", backbone=None, reconstruction="depth")
    env.reset(seed=0)
    _, _, _, _, info = env.step(env.action_space.sample())
    assert 0 < info["coverage"] <= 1


def test_pictures_that_look_nowhere_are_refused(scene, tmp_path, capsys):
    """Cameras that look outwards from one place, and cameras side by side that look the same way."""
    outwards = ring(24)
    outwards[:, :3, :3] = outwards[:, :3, :3] @ np.diag([-1.0, 1, -1])
    film(joined(scene, boxes((-3, 3, -1, 3, -3, -2.9), (-3, 3, -1, 3, 2.9, 3), (-3, -2.9, -1, 3, -3, 3),
                             (2.9, 3, -1, 3, -3, 3))), tmp_path / "outwards", outwards)  # fmt: skip
    assert main([str(tmp_path / "outwards"), "--what", "object", "--out", str(tmp_path / "a")]) == 1
    assert "object: 0 points were measured" in capsys.readouterr().err
    aside = np.repeat(ring(1), 8, axis=0)
    aside[:, :3, 3] += np.linspace(-0.1, 0.1, 8)[:, None] * TURN.as_matrix()[0]
    film(scene, tmp_path / "aside", aside)
    assert main([str(tmp_path / "aside"), "--what", "object", "--out", str(tmp_path / "b")]) == 1
    assert "all cameras look the same way" in capsys.readouterr().err
    assert main([str(tmp_path / "aside"), "--what", "object", "--height", "1", "--out", "b"]) == 1
    assert "--height: got 1.0 with --what object" in capsys.readouterr().err
    assert main([str(tmp_path / "aside"), "--what", "object", "--from", "surface", "--out", "b"]) == 1
    assert "--from: got surface; expected one of frames, poses, depth, object" in capsys.readouterr().err
