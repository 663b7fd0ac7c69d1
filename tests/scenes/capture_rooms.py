"""Made captures with exact truth: a small furnished room filmed by hand, in the layout of 7-Scenes."""

from pathlib import Path

import cv2
import numpy as np
from scipy.spatial.transform import Rotation

from spatial_envs.geometry.camera import inverse_pose
from spatial_envs.geometry.mesh import Mesh
from spatial_envs.rendering.builtin import BuiltinRenderer

SIZE = (96, 128)
LENS = np.array([[585 / 5, 0, 64], [0, 585 / 5, 48], [0, 0, 1.0]])
TURN = Rotation.from_euler("zyx", [0.5, 0.3, 0.2])  # of the film's world against the room's
FLIP = np.diag([1.0, -1.0, -1.0, 1.0])


def path(count: int) -> np.ndarray:
    """(count, 4, 4) cam_to_world, Y up: round the room at 1.4 m, looking outwards and down."""
    poses = []
    for k in range(count):
        angle, tilt = 2 * np.pi * k / count, np.radians(-35 + 15 * np.sin(1.7 * k))
        turn = Rotation.from_euler("YXZ", [angle, tilt, 0.05 * np.sin(k)]).as_matrix() @ FLIP[:3, :3]
        pose = np.eye(4)
        pose[:3, :3] = turn
        pose[:3, 3] = [-0.9 + 0.25 * np.sin(3 * angle), 1.4 + 0.05 * np.sin(5 * angle), 0.2 * np.cos(angle)]
        poses.append(pose)
    return np.stack(poses)


def film(mesh: Mesh, folder: Path, poses: np.ndarray, unit: float = 1000.0, inverse: bool = False) -> None:
    """Write colour, depth and pose files; the poses in a world that is turned as a whole."""
    folder.mkdir(parents=True)
    renderer, world = BuiltinRenderer(), np.eye(4)
    world[:3, :3] = TURN.as_matrix()
    rng = np.random.default_rng(0)
    for k, pose in enumerate(poses):
        view = renderer.render(mesh, pose, LENS, SIZE)
        noise = 1 + 0.002 * rng.standard_normal(SIZE)
        depth = np.clip(view.depth * noise * unit, 0, 65535).round().astype(np.uint16)
        rgb = np.clip(view.rgb + rng.normal(0, 6, view.rgb.shape), 0, 255).astype(np.uint8)
        cv2.imwrite(str(folder / f"frame-{k:06d}.color.png"), rgb[..., ::-1])
        cv2.imwrite(str(folder / f"frame-{k:06d}.depth.png"), depth)
        told = world @ pose
        np.savetxt(folder / f"frame-{k:06d}.pose.txt", inverse_pose(told) if inverse else told)
