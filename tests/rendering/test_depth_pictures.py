"""The ground plane and the shading of a depth map, against slow twins and formulas."""

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from spatial_envs.geometry.camera import pinhole
from spatial_envs.geometry.ground import fit_ground
from spatial_envs.geometry.normals import normals_from_depth
from spatial_envs.rendering.depth_shading import ALBEDO, UPRIGHT, shaded
from spatial_envs.rendering.renderer import AMBIENT, SKY, SUN, SUN_DIRECTION
from spatial_envs.scenes.depth_frames import open_depth

SIZE = (72, 96)
LENS = pinhole(60, SIZE).astype(np.float64)


def rays(size=SIZE, intrinsics=LENS):
    rows, columns = np.mgrid[: size[0], : size[1]] + 0.5
    x, y = (columns - intrinsics[0, 2]) / intrinsics[0, 0], (rows - intrinsics[1, 2]) / intrinsics[1, 1]
    return np.stack([x, y, np.ones(size)], axis=-1)


def plane_depth(normal, offset):
    """Depth (H, W) of the plane n . p + d = 0, camera frame; 0 where it is not met."""
    with np.errstate(divide="ignore"):
        depth = -offset / (rays() @ normal)
    return np.where((depth > 0) & (depth < 40), depth, 0)


def tilted(pitch, roll):
    """The unit normal of a floor seen by a camera pitched down and rolled, degrees."""
    return Rotation.from_euler("xz", [pitch, roll], degrees=True).apply([0, -1, 0])


@pytest.mark.parametrize(
    ("pitch", "roll", "height"), [(5, 0, 1.5), (30, 8, 1.0), (50, -15, 2.4), (20, 0, 0.4)]
)
def test_the_ground_is_found_beside_a_wall_and_a_table(pitch, roll, height):
    normal = tilted(pitch, roll)
    floor = plane_depth(normal, height)
    table = plane_depth(normal, height - 0.3)  # a plane as large, but with the floor below it
    wall = plane_depth(tilted(pitch + 90, roll), 4.0)
    depth = np.where(floor > 0, floor, 40.0)
    depth = np.where((wall > 0) & (wall < depth), wall, depth)
    depth[20:60, :30] = np.where(table > 0, np.minimum(table, depth), depth)[20:60, :30]
    depth = np.where(depth < 40, depth, 0)
    rng = np.random.default_rng(0)
    depth *= 1 + 0.002 * rng.normal(size=SIZE)
    plane, mask = fit_ground(depth, LENS, (0, -1, 0), 60)
    assert np.degrees(np.arccos(min(plane[:3] @ normal, 1))) < 0.5
    assert plane[3] == pytest.approx(height, abs=0.02)
    true = (floor > 0) & (np.abs(depth / np.where(floor > 0, floor, 1) - 1) < 0.02)
    assert mask[true].mean() > 0.97
    above = (depth > 0) & (rays() * depth[..., None] @ normal + height > 0.1 * height)
    assert mask[above].mean() < 0.01


def test_least_squares_is_the_best_plane_through_what_it_took():
    rng = np.random.default_rng(1)
    depth = plane_depth(tilted(35, 3), 1.3) * (1 + 0.004 * rng.normal(size=SIZE))
    plane, mask = fit_ground(depth, LENS, (0, -1, 0), 60)
    points = (rays() * depth[..., None])[depth > 0]
    least = ((points @ plane[:3] + plane[3]) ** 2).sum()
    for _ in range(50):
        other = plane + rng.normal(0, 2e-3, 4)
        other /= np.linalg.norm(other[:3])
        assert ((points @ other[:3] + other[3]) ** 2).sum() > least
    assert mask[depth > 0].mean() > 0.98


def test_where_nothing_is_level_there_is_no_ground():
    wall = plane_depth(np.array([0.0, 0.0, -1.0]), 3.0)
    assert fit_ground(wall, LENS, (0, -1, 0), 60) is None
    ceiling = plane_depth(np.array([0.0, 1.0, 0.0]), 1.0)
    assert fit_ground(ceiling, LENS, (0, -1, 0), 60) is None
    assert fit_ground(np.zeros(SIZE), LENS, (0, -1, 0), 60) is None
    noise = np.random.default_rng(2).uniform(1, 8, SIZE)
    assert fit_ground(noise, LENS, (0, -1, 0), 60) is None
    few = np.zeros(SIZE)
    few[0, :2] = 1.0
    assert fit_ground(few, LENS, (0, -1, 0), 60) is None


def table_depth(pitch, wall=False, bare=False):
    """Depth (H, W) of three boxes on a table of 1.6 x 1 m, 0.75 m over a floor, seen from 0.5 m above its
    top; and the top's unit normal in the camera's frame."""
    p = np.radians(pitch)
    ahead, right = np.array([0, -np.sin(p), -np.cos(p)]), np.array([1.0, 0, 0])
    turn = np.stack([right, np.cross(ahead, right), ahead], axis=1)
    eye = np.array([0, 1.25, 0.5 / np.tan(p)])
    bounds = [((-9, -1, -9), (9, 0, 9)), ((-0.8, 0.7, -0.5), (0.8, 0.75, 0.5))]
    bounds += [((x, 0, z), (x + 0.05, 0.7, z + 0.05)) for x in (-0.8, 0.75) for z in (-0.5, 0.45)]
    if not bare:
        bounds += [((x, 0.75, z), (x + 0.1, 0.75 + h, z + 0.1)) for x, z, h in
                   ((-0.25, -0.1, 0.25), (0.1, -0.2, 0.15), (0.15, 0.05, 0.1))]  # fmt: skip
    if wall:
        bounds.append(((-9, 0, -3.2), (9, 3, -3)))
    ways, depth = rays() @ turn.T, np.full(SIZE, np.inf)
    for low, high in bounds:
        with np.errstate(divide="ignore", invalid="ignore"):
            near, far = (np.array(low) - eye) / ways, (np.array(high) - eye) / ways
            enter, leave = np.minimum(near, far).max(axis=-1), np.maximum(near, far).min(axis=-1)
            depth = np.where((enter <= leave) & (enter > 0), np.minimum(depth, enter), depth)
    return np.where(depth < 8, depth, 0), turn.T @ [0, 1, 0]


@pytest.mark.parametrize("pitch", [45, 60, 70, 80, 88])
@pytest.mark.parametrize("wall", [False, True])
@pytest.mark.parametrize("noise", [0, 1])
def test_what_stands_on_a_table_makes_it_the_ground(pitch, wall, noise):
    depth, normal = table_depth(pitch, wall)
    rng = np.random.default_rng(0)
    depth = depth + noise * (depth > 0) * 0.0014 * depth**2 * rng.normal(size=SIZE)
    depth[rng.random(SIZE) < 0.05 * noise] = 0
    plane, mask = fit_ground(depth, LENS, (0, -1, 0), 60, steep=True)
    assert np.degrees(np.arccos(min(plane[:3] @ normal, 1))) < 1.5
    assert plane[3] == pytest.approx(0.5, abs=0.02)
    height = rays() * depth[..., None] @ normal + 0.5
    assert mask[(depth > 0) & (height > 0.03)].mean() < 0.03
    assert mask[(depth > 0) & (height < 0.004)].mean() > 0.9  # the top, and the floor below it


@pytest.mark.parametrize("pitch", [8, 14, 20, 30])
def test_no_ground_slants_from_a_table_to_the_floor_behind_it(pitch):
    depth, normal = table_depth(pitch, True)
    plane, _ = fit_ground(depth, LENS, (0, -1, 0), 60, steep=True)
    assert np.degrees(np.arccos(min(plane[:3] @ normal, 1))) < 1.5
    assert min(abs(plane[3] - 0.5), abs(plane[3] - 1.25)) < 0.03


def test_a_wall_is_no_ground_nor_is_what_nothing_stands_on_seen_straight_from_above():
    for pitch in (70, 88):
        assert fit_ground(table_depth(pitch, bare=True)[0][15:57], LENS, (0, -1, 0), 60, steep=True) is None
    wall = plane_depth(np.array([0.0, 0.0, -1.0]), 3.0)
    wall[40:, :] = 2.2  # with a sofa before it
    assert fit_ground(wall, LENS, (0, -1, 0), 60, steep=True) is None


@pytest.mark.parametrize("noise", [0.0, 1.0])
def test_the_ground_of_procedural_scenes_goes_and_the_objects_stay(noise):
    frames = open_depth(num_objects=(1, 6), noise=noise)
    kept, pure = [], []
    for k in range(15):
        frame = frames.load(k)
        assert np.degrees(np.arccos(min(frame.ground[1], 1))) < 0.5
        assert abs(frame.ground[3]) < 0.02
        objects = frame.view.segment > 0
        kept.append(frame.target[objects].mean())
        pure.append(objects[frame.target].mean())
    assert np.mean(kept) > (0.99 if noise == 0 else 0.97)
    assert np.mean(pure) > (0.999 if noise == 0 else 0.95)


def slow_normals(depth, intrinsics):
    height, width = depth.shape
    points = rays(depth.shape, intrinsics) * depth[..., None]
    out = np.zeros((height, width, 3))
    for i in range(height):
        for j in range(width):
            if depth[i, j] <= 0:
                continue
            steps = []
            for di, dj in ((0, 1), (1, 0)):
                sides = [
                    (abs(depth[a, b] - depth[i, j]), s * (points[a, b] - points[i, j]))
                    for s in (1, -1)
                    for a, b in [(i + s * di, j + s * dj)]
                    if 0 <= a < height and 0 <= b < width and depth[a, b] > 0
                ]
                if sides:
                    steps.append(min(sides, key=lambda side: side[0])[1])
            normal = np.cross(steps[1], steps[0]) if len(steps) == 2 else -points[i, j]
            normal = normal / np.linalg.norm(normal)
            out[i, j] = -normal if normal @ points[i, j] > 0 else normal
    return out


def test_normals_are_those_of_the_slow_twin_and_of_planes():
    rng = np.random.default_rng(3)
    depth = rng.uniform(1, 1.2, (20, 24)).astype(np.float32)
    depth[rng.random(depth.shape) < 0.3] = 0
    depth[5:8, 5:8] = 0
    depth[6, 6] = 1.0  # alone
    intrinsics = pinhole(50, (20, 24)).astype(np.float64)
    fast = normals_from_depth(depth, intrinsics)
    assert np.allclose(fast, slow_normals(depth.astype(np.float64), intrinsics), atol=1e-4)
    assert (np.linalg.norm(fast, axis=-1) > 0.999).sum() == (depth > 0).sum()
    normal = tilted(40, 10)
    floor = plane_depth(normal, 1.2)
    assert np.allclose(normals_from_depth(floor, LENS)[floor > 0], normal, atol=1e-2)


def test_shading_is_the_renderers_formula():
    floor = plane_depth(np.array([0.0, -1.0, 0.0]), 1.5)
    grey = shaded(floor, LENS)
    light = AMBIENT + SKY + SUN * SUN_DIRECTION[1]  # straight up
    assert np.abs(grey[floor > 0].astype(float) - ALBEDO * light).max() <= 1
    assert (grey[floor == 0] == 0).all()
    assert grey.dtype == np.uint8
    over = UPRIGHT @ np.diag([1.0, -1, -1, 1])  # upside down: the floor becomes a ceiling
    assert np.abs(shaded(floor, LENS, over)[floor > 0].astype(float) - ALBEDO * AMBIENT).max() <= 1
