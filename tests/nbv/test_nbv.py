"""Next-best-view, sentence by sentence: each definition beside a slow, obvious twin of its own."""

import itertools
import math
import pickle

import numpy as np
import pytest
import torch
import trimesh
from scipy.stats import kstest

from spatial_envs.backbones.backbone import Encoding
from spatial_envs.geometry.camera import Region
from spatial_envs.nbv import NBVDiscreteEnv, NBVEnv, NBVVectorEnv
from spatial_envs.nbv.actions import farthest_direction, pose_from_action
from spatial_envs.reconstruction.chamfer import chamfer

REGION = Region((1.2, 2.0))
UP = np.array([0.0, 1.0, 0.0])
FRAMES = ("gravity", "first_view", "world")
KINDS = {"shell": 3, "sphere": 2, "pose": 5, "position": 3}
REWARDS = ("log", "relative", "chamfer", "chamfer_squared", "chamfer_sum", "coverage")


@pytest.fixture(scope="module")
def make(tmp_path_factory):
    """Makes environments over two small objects; the references are built once."""
    root = tmp_path_factory.mktemp("nbv")
    (root / "objects").mkdir()
    ball, box = trimesh.creation.icosphere(2, 0.4), trimesh.creation.box((0.3, 0.5, 0.9))
    box.apply_translation((0.5, 0.2, 0.1))
    trimesh.util.concatenate([ball, box]).export(root / "objects" / "thing.obj")
    box.export(root / "objects" / "box.obj")

    def made(kind=NBVEnv, *rest, **arguments):
        small = {
            "scenes": str(root / "objects"), "image_size": 56, "cache_dir": root / "cache",
            "backbone": "unproject",
        }  # fmt: skip
        return kind(*rest, **{**small, **arguments})

    return made


# ---- twins


def unit(vector):
    return vector / np.linalg.norm(vector)


def looking_at_origin(position):
    """OpenCV camera: +Z to the origin, +Y down, +X right."""
    forward = unit(-np.asarray(position, float))
    right = np.cross(forward, UP)
    right = np.array([1.0, 0, 0]) if np.linalg.norm(right) < 1e-6 else unit(right)
    pose = np.eye(4)
    pose[:3, :3] = np.stack([right, np.cross(forward, right), forward], axis=1)
    pose[:3, 3] = position
    return pose


def rotated(vector, axis, angle):
    """Rodrigues' formula."""
    return (
        vector * math.cos(angle)
        + np.cross(axis, vector) * math.sin(angle)
        + axis * (axis @ vector) * (1 - math.cos(angle))
    )


def tangents(u):
    east = np.cross(UP, u)
    east = np.array([1.0, 0, 0]) if np.linalg.norm(east) < 1e-6 else unit(east)
    return east, np.cross(u, east)


def elevation(position):
    return math.degrees(math.asin(np.clip(position[1] / np.linalg.norm(position), -1, 1)))


def in_region(position, slack=1e-4):
    radius = np.linalg.norm(position)
    return 1.2 - slack <= radius <= 2.0 + slack and abs(elevation(position)) <= 80 + slack * 60


def fibonacci(count, top=90.0):
    golden = (1 + 5**0.5) / 2
    out = []
    for k in range(count):
        height = (2 * (k + 0.5) / count - 1) * math.sin(math.radians(top))
        azimuth = 2 * math.pi * golden * (k + 0.5)
        across = math.sqrt(1 - height**2)
        out.append([across * math.sin(azimuth), height, across * math.cos(azimuth)])
    return np.array(out)


def degrees_between(a, b):
    return math.degrees(math.atan2(np.linalg.norm(np.cross(a, b)), a @ b))


def turned_about_y(angle):
    c, s = math.cos(angle), math.sin(angle)
    turn = np.eye(4)
    turn[:3, :3] = [[c, 0, s], [0, 1, 0], [-s, 0, c]]
    return turn


def frame_of(kind, first):
    """frame_to_world of an episode whose first camera is ``first`` (4, 4)."""
    if kind == "world":
        return np.eye(4)
    if kind == "gravity":
        return turned_about_y(math.atan2(first[0, 3], first[2, 3]))
    return np.asarray(first, float)


def random_directions(rng, count, top=78.0):
    out = []
    while len(out) < count:
        drawn = unit(rng.normal(size=3))
        if abs(elevation(drawn)) < top:
            out.append(drawn)
    return np.array(out)


def random_frame(rng, kind):
    return frame_of(kind, looking_at_origin(rng.uniform(1.2, 2) * random_directions(rng, 1)[0]))


def poses_of(env):
    """World poses (n, 4, 4) of the views so far."""
    return env.get_state()["task"]["views"].cam_to_world.astype(float)


def act(kind, action, anchor, frame, dtype=torch.float64):
    pose, inside = pose_from_action(
        kind,
        torch.as_tensor(np.asarray(action, float), dtype=dtype)[None],
        torch.as_tensor(anchor, dtype=dtype)[None],
        torch.as_tensor(frame, dtype=dtype)[None],
        REGION,
    )
    return pose[0].numpy().astype(float), bool(inside[0])


# ---- actions


@pytest.mark.parametrize("frame_kind", FRAMES)
@pytest.mark.parametrize("kind", ["shell", "sphere", "pose"])
def test_shell_like_action_maps(kind, frame_kind):
    rng = np.random.default_rng(0)
    projected = 0
    for _ in range(400):
        frame = random_frame(rng, frame_kind)
        u, action = random_directions(rng, 1, 90)[0], rng.uniform(-1, 1, KINDS[kind])
        a, b = action[:2]
        east, north = tangents(u)
        along = unit(a * east + b * north)
        heading = rotated(u, np.cross(u, along), math.pi * max(abs(a), abs(b)))
        assert degrees_between(heading, u) == pytest.approx(180 * max(abs(a), abs(b)), abs=1e-6)
        radius = 1.6 if kind == "sphere" else 1.6 + 0.4 * action[2]
        position = frame[:3, :3] @ heading * radius
        pose, inside = act(kind, action, u, frame)
        assert inside == (abs(elevation(position)) <= 80)
        if not inside:
            projected += 1
            assert abs(elevation(pose[:3, 3])) == pytest.approx(80)
            continue
        np.testing.assert_allclose(pose[:3, 3], position, atol=1e-9)
        expected = looking_at_origin(position)
        if kind == "pose":
            yaw, pitch = np.radians(20 * action[3:])
            x, y = expected[:3, 0].copy(), expected[:3, 1].copy()
            expected[:3, :3] = np.array(
                [rotated(rotated(axis, y, yaw), rotated(x, y, yaw), pitch) for axis in expected[:3, :3].T]
            ).T
        np.testing.assert_allclose(pose, expected, atol=1e-9)
        to_object = unit(-position)
        off = degrees_between(pose[:3, 2], to_object)
        assert off <= (20 * math.sqrt(2) if kind == "pose" else 1e-5)
    assert 0 < projected < 60


def test_pose_offsets_have_their_signs_and_limits():
    origin = np.array([0, 0, 1.0])
    right, _ = act("pose", [0, 0, 0, 1, 0], origin, np.eye(4))
    down, _ = act("pose", [0, 0, 0, 0, -1], origin, np.eye(4))
    straight, _ = act("pose", [0, 0, 0, 0, 0], origin, np.eye(4))
    np.testing.assert_allclose(straight, looking_at_origin([0, 0, 1.6]), atol=1e-12)
    for pose in (right, down):
        assert degrees_between(pose[:3, 2], straight[:3, 2]) == pytest.approx(20)
        np.testing.assert_allclose(pose[:3, 3], straight[:3, 3])
    assert right[:3, 2] @ straight[:3, 0] > 0.3  # towards the camera's right
    assert down[:3, 2] @ straight[:3, 1] > 0.3  # towards the camera's down


def region_samples(rng, count):
    directions = []
    while sum(map(len, directions)) < count:
        drawn = rng.normal(size=(count, 3))
        drawn /= np.linalg.norm(drawn, axis=1, keepdims=True)
        directions.append(drawn[np.abs(drawn[:, 1]) <= math.sin(math.radians(80))])
    directions = np.concatenate(directions)[:count]
    radius = rng.choice([1.2, 2.0, -1], count)
    radius = np.where(radius < 0, rng.uniform(1.2, 2.0, count), radius)
    return directions * radius[:, None]


@pytest.mark.parametrize("frame_kind", FRAMES)
def test_position_is_the_nearest_point_of_the_region(frame_kind):
    rng = np.random.default_rng(1)
    samples = region_samples(rng, 200_000)
    counts = {True: 0, False: 0}
    special = [[0, 0, 0], [0, 0.9, 0], [0, -0.7, 0], [0, 1, 0], [1e-9, 0.5, 0], [1, 1, 1], [0.01, 0, 0]]
    for action in [*special, *rng.uniform(-1, 1, (80, 3))]:
        frame = random_frame(rng, frame_kind)
        wanted = frame[:3, :3] @ np.multiply(action, 2.0) + frame[:3, 3]
        pose, inside = act("position", action, random_directions(rng, 1)[0], frame)
        got = pose[:3, 3]
        assert in_region(got, 1e-9)
        np.testing.assert_allclose(pose, looking_at_origin(got), atol=1e-6)
        assert inside == in_region(wanted)
        counts[inside] += 1
        distance = np.linalg.norm(got - wanted)
        nearest = np.linalg.norm(samples - wanted, axis=1).min()
        # at the object's centre every point of the inner sphere is as near: there the anchor decides
        assert distance <= nearest + (1e-3 if np.linalg.norm(wanted) < 1e-3 else 1e-6)
        assert distance >= nearest - 0.12  # the samples are dense: the twin can notice
        if inside:
            assert distance < 1e-5
    assert min(counts.values()) > 10


def test_position_at_the_object_s_centre_goes_to_the_anchor():
    u = unit(np.array([0.3, 0.5, -0.8]))
    pose, inside = act("position", [0, 0, 0], u, np.eye(4))
    assert not inside
    np.testing.assert_allclose(pose[:3, 3], 1.2 * u, atol=1e-6)


POLES = [[0, 1, 0], [0, -1, 0], [1e-7, 1, 0], [0, -1, 1e-9], [1e-5, 1, 1e-5], [1e-4, -1, 0]]


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("kind", KINDS)
def test_never_nan_and_rigid_everywhere(kind, dtype):
    rng = np.random.default_rng(2)
    grid = np.array([-1, -0.5, -1e-12, 0, 1e-7, 0.5, 1])
    for anchor in [*map(np.array, POLES), *np.eye(3), *-np.eye(3)]:
        for frame_kind in FRAMES:
            frame = random_frame(rng, frame_kind)
            actions = torch.as_tensor(rng.choice(grid, (60, KINDS[kind])), dtype=dtype)
            many = [torch.as_tensor(x, dtype=dtype)[None].expand(60, *x.shape) for x in (unit(anchor), frame)]
            poses, _ = pose_from_action(kind, actions, *many, REGION)
            rotation = poses[:, :3, :3].double()
            assert torch.isfinite(poses).all()
            assert (rotation @ rotation.mT - torch.eye(3)).abs().max() < 1e-5
            assert (torch.linalg.det(rotation) - 1).abs().max() < 1e-5
            assert REGION.contains(poses[:, :3, 3].double().numpy()).all()


def test_tangents_at_the_poles_are_those_of_the_limit_along_z():
    """At a pole east is +X, as on the meridian +Z; coming along it nothing jumps."""
    for sign in (1, -1):
        exact, _ = act("shell", [0.2, 0.1, 0.3], [0, sign, 0], np.eye(4))
        near, _ = act("shell", [0.2, 0.1, 0.3], unit(np.array([0, sign, 1e-5])), np.eye(4))
        np.testing.assert_allclose(exact, near, atol=1e-4)
        east, _ = act("shell", [0.5, 0, 0], [0, sign, 0], np.eye(4))
        np.testing.assert_allclose(east[:3, 3], [1.6, 0, 0], atol=1e-9)


def test_look_at_over_the_pole_is_finite_and_its_right_is_x():
    from spatial_envs.geometry.camera import look_at

    for sign in (1.0, -1.0):
        pose = look_at(torch.tensor([[0.0, sign * 1.5, 0.0]], dtype=torch.float64))[0].numpy()
        np.testing.assert_allclose(pose, looking_at_origin([0, sign * 1.5, 0]), atol=1e-12)
        np.testing.assert_allclose(pose[:3, 0], [1, 0, 0])


@pytest.mark.parametrize("kind", KINDS)
def test_continuous_away_from_the_poles(kind):
    rng = np.random.default_rng(3)
    tried = 0
    while tried < 200:
        frame, anchor = random_frame(rng, "gravity"), random_directions(rng, 1)[0]
        action = rng.uniform(-1, 1, KINDS[kind])
        if tried % 4 == 0:
            action[:2] = [action[0], action[0]]  # the corner of max(|a1|, |a2|)
        if tried % 4 == 1:
            action[:2] = 0
        pose, inside = act(kind, action, anchor, frame)
        across = np.linalg.norm(pose[[0, 2], 3])
        if not inside and (kind != "position" or across < 0.4):
            continue  # the cap round a pole, where azimuth turns fast
        step = rng.normal(size=KINDS[kind]) * 1e-6
        moved, _ = act(kind, action + step, anchor, frame)
        assert np.abs(moved - pose).max() < 200 * np.abs(step).max()
        tried += 1


def test_the_rim_of_the_shell_is_one_point():
    rng, u = np.random.default_rng(4), unit(np.array([0.4, 0.2, 0.7]))
    for edge in rng.uniform(-1, 1, 20):
        for rim in ([1, edge], [-1, edge], [edge, 1], [edge, -1]):
            np.testing.assert_allclose(act("shell", [*rim, 0], u, np.eye(4))[0][:3, 3], -1.6 * u, atol=1e-9)


@pytest.mark.parametrize("kind", KINDS)
def test_gradients(kind):
    rng = np.random.default_rng(5)
    anchors = [*map(unit, map(np.array, POLES)), *random_directions(rng, 6)]
    for anchor in anchors:
        for action in (np.zeros(KINDS[kind]), np.ones(KINDS[kind]), rng.uniform(-1, 1, KINDS[kind])):
            leaf = torch.tensor(action[None], requires_grad=True)
            u = torch.tensor(anchor[None], requires_grad=True)
            pose, _ = pose_from_action(
                kind, leaf, u, torch.tensor(random_frame(rng, "first_view")[None]), REGION
            )
            weights = torch.tensor(rng.normal(size=(1, 4, 4)))
            (pose * weights).sum().backward()
            assert torch.isfinite(leaf.grad).all()
            assert u.grad is None or torch.isfinite(u.grad).all()
    # and they are the derivative
    for _ in range(20):
        frame, anchor = random_frame(rng, "gravity"), random_directions(rng, 1, 60)[0]
        action = rng.uniform(-0.25, 0.25, KINDS[kind]) + (0.35 if kind == "position" else 0)
        leaf = torch.tensor(action[None], requires_grad=True)
        anchors, frames = torch.tensor(anchor[None]), torch.tensor(frame[None])
        weights = rng.normal(size=(4, 4))
        pose, _ = pose_from_action(kind, leaf, anchors, frames, REGION)
        (pose[0] * torch.tensor(weights)).sum().backward()
        for k in range(KINDS[kind]):
            ends = []
            for sign in (1, -1):
                shifted = action.copy()
                shifted[k] += sign * 1e-6
                ends.append((act(kind, shifted, anchor, frame)[0] * weights).sum())
            slope = (ends[0] - ends[1]) / 2e-6
            assert leaf.grad[0, k].item() == pytest.approx(slope, abs=1e-3, rel=1e-3)


@pytest.mark.parametrize("kind", ["shell", "sphere", "pose"])
def test_a_zero_action_has_a_useful_gradient(kind):
    leaf = torch.zeros((1, KINDS[kind]), dtype=torch.float64, requires_grad=True)
    pose, _ = pose_from_action(
        kind, leaf, torch.tensor([[0.0, 0, 1]]).double(), torch.eye(4)[None].double(), REGION
    )
    pose[0, :2, 3].sum().backward()
    assert torch.isfinite(leaf.grad).all()
    if kind != "position":  # whose zero is the object's centre, outside the region
        assert (leaf.grad[0, :2].abs() > 1).all()  # pi times the radius of 1.6 m


@pytest.mark.parametrize("anchor", ["farthest", "antipode", "origin", "first_view"])
@pytest.mark.parametrize("frame", FRAMES)
@pytest.mark.parametrize("kind", KINDS)
def test_action_from_pose_inverts(make, kind, frame, anchor):
    env = make(action=kind, frame=frame, anchor=anchor, views=20, image_size=28, observations=["poses"])
    env.reset(seed=3)
    rng = np.random.default_rng(6)
    reached = 0
    for direction in random_directions(rng, 18):
        target = looking_at_origin(direction * rng.uniform(1.2, 2.0))
        if kind == "pose":
            yaw, pitch = np.radians(rng.uniform(-19, 19, 2))
            cy, sy, cp, sp = math.cos(yaw), math.sin(yaw), math.cos(pitch), math.sin(pitch)
            target[:3, :3] @= np.array([[cy, 0, sy], [0, 1, 0], [-sy, 0, cy]]) @ [
                [1, 0, 0],
                [0, cp, -sp],
                [0, sp, cp],
            ]
        if kind == "sphere":
            target = looking_at_origin(direction * 1.6)
        in_frame = np.linalg.inv(frame_of(frame, poses_of(env)[0])) @ target
        action = env.action_from_pose(target)
        assert action.dtype == np.float32
        assert env.action_space.contains(action)
        *_, info = env.step(action)
        if kind == "position" and np.abs(in_frame[:3, 3]).max() > 2:
            continue  # beyond what [-1, 1] reaches from the first camera
        reached += 1
        np.testing.assert_allclose(poses_of(env)[-1], target, atol=2e-4)
        assert not info["invalid"] or np.linalg.norm(target[:3, 3]) > 1.9999
    assert reached >= 8


def test_action_from_pose_of_the_object_s_centre_is_finite(make):
    for kind in KINDS:
        env = make(action=kind, observations=["poses"])
        env.reset(seed=0)
        assert np.isfinite(env.action_from_pose(np.eye(4))).all()


def test_action_from_pose_of_candidates(make):
    env = make(NBVDiscreteEnv, start="fixed", observations=["poses"])
    env.reset(seed=0)
    azimuth_0 = [looking_at_origin(1.6 * d) for d in fibonacci(64, 80)]
    free = np.flatnonzero(env.action_masks())
    assert [int(env.action_from_pose(azimuth_0[k])) for k in free] == free.tolist()
    env.step(int(free[7]))
    others = np.flatnonzero(env.action_masks())
    angles = [degrees_between(azimuth_0[k][:3, 3], azimuth_0[free[7]][:3, 3]) for k in others]
    assert env.action_from_pose(azimuth_0[free[7]]) == others[np.argmin(angles)]


@pytest.mark.parametrize("kind", KINDS)
def test_only_position_and_pose_are_penalised(make, kind):
    env = make(
        action=kind, views=40, image_size=28, invalid_penalty=0.25, anchor="origin", observations=["poses"]
    )
    env.reset(seed=1)
    rng = np.random.default_rng(7)
    frame = frame_of("gravity", poses_of(env)[0])
    outside = 0
    pole = [[0, 0.5, 0], [0, -0.5, 0], [0, 0.5, 1]]  # straight over the object
    actions = [[*p, 0, 0][: KINDS[kind]] for p in pole] + list(rng.uniform(-1, 1, (30, KINDS[kind])))
    for action in actions:
        _, reward, _, _, info = env.step(np.float32(action))
        _, inside = act(kind, np.float32(action), [0, 0, 1.0], frame)
        outside += not inside
        assert info["invalid"] is (not inside and kind in ("position", "pose"))
        assert reward == pytest.approx(info["gain"] - 0.25 * info["invalid"], abs=1e-12)
        assert in_region(poses_of(env)[-1][:3, 3])
    assert outside >= 2


# ---- starts


def starts(make, count, **arguments):
    env = make(image_size=28, backbone=None, observations=["remaining"], **arguments)
    env.reset(seed=0)
    out = []
    for _ in range(count):
        env.reset()
        out.append(env.task.episode(0).views[0].cam_to_world)
    return np.array(out, float)


FIXED = 1.6 * np.array([0, math.sin(math.radians(20)), math.cos(math.radians(20))])


def test_start_fixed(make):
    for start in ("fixed", 0):
        for pose in starts(make, 3, start=start):
            np.testing.assert_allclose(pose, looking_at_origin(FIXED), atol=1e-6)


@pytest.mark.parametrize("degrees", [10, 30, 75.0])
def test_start_cone(make, degrees):
    poses = starts(make, 400, start=degrees)
    angles = np.array([degrees_between(pose[:3, 3], FIXED) for pose in poses])
    assert angles.max() <= degrees + 1e-3
    assert angles.max() > 0.97 * degrees
    assert all(in_region(pose[:3, 3]) for pose in poses)
    radius = np.linalg.norm(poses[:, :3, 3], axis=1)
    assert np.abs(radius - 1.6).max() <= 0.4 * degrees / 180 + 1e-5
    if degrees == 30:  # the cone is inside the region: uniform over its area
        assert (
            kstest((1 - np.cos(np.radians(angles))) / (1 - math.cos(math.radians(30))), "uniform").pvalue
            > 1e-3
        )


def test_start_random_is_uniform_over_the_region(make):
    poses = starts(make, 1500)
    assert all(in_region(pose[:3, 3]) for pose in poses)
    radius = np.linalg.norm(poses[:, :3, 3], axis=1)
    height = poses[:, 1, 3] / radius / math.sin(math.radians(80))  # by area
    azimuth = np.arctan2(poses[:, 0, 3], poses[:, 2, 3])
    for values in ((radius - 1.2) / 0.8, (height + 1) / 2, azimuth / (2 * np.pi) + 0.5):
        assert kstest(values, "uniform").pvalue > 1e-3
    for pose in poses[:50]:
        np.testing.assert_allclose(pose, looking_at_origin(pose[:3, 3]), atol=1e-5)


def test_further_initial_views_are_farthest_from_those_before(make):
    env = make(initial_views=4, observations=["view_mask", "remaining"])
    observation, info = env.reset(seed=5)
    assert info["views"] == 4
    assert observation["view_mask"].tolist() == [1, 1, 1, 1, 0]
    assert observation["remaining"] == pytest.approx(1 / 5)
    centres = poses_of(env)[:, :3, 3]
    for n in range(1, 4):
        assert np.linalg.norm(centres[n]) == pytest.approx(1.6, abs=1e-5)
        taken = np.array([unit(c) for c in centres[:n]])
        assert degrees_between(centres[n], farthest_twin(taken, np.eye(3))[0]) < 0.01


# ---- anchors


def farthest_twin(taken, rotation):
    """Of 256 Fibonacci directions in the frame, in the region; and whether the 1 degree rule mattered."""
    best = []
    for candidate in fibonacci(256):
        if abs(elevation(rotation @ candidate)) <= 80:
            best.append((candidate, min(degrees_between(candidate, t) for t in taken)))
    largest = max(angle for _, angle in best)
    chosen = next(candidate for candidate, angle in best if angle >= largest - 1)
    return chosen, not any(angle == largest and candidate is chosen for candidate, angle in best)


def test_farthest_direction_by_brute_force():
    rng = np.random.default_rng(8)
    mattered = 0
    for _ in range(25):
        taken = random_directions(rng, rng.integers(1, 8))
        rotation = random_frame(rng, str(rng.choice(FRAMES)))[:3, :3]
        chosen, by_rule = farthest_twin(taken, rotation)
        mattered += by_rule
        np.testing.assert_allclose(farthest_direction(taken, rotation, REGION), chosen, atol=1e-9)
    assert mattered >= 3


@pytest.mark.parametrize("frame", FRAMES)
@pytest.mark.parametrize("kind", ["farthest", "antipode", "origin", "first_view"])
def test_anchors(make, kind, frame):
    env = make(anchor=kind, frame=frame, views=4, observations=["anchor", "poses"])
    rng = np.random.default_rng(9)
    for seed in range(4):
        observation, _ = env.reset(seed=seed)
        over = False
        while not over:
            poses = poses_of(env)
            to_world = frame_of(frame, poses[0])
            taken = np.array([unit(c) @ to_world[:3, :3] for c in poses[:, :3, 3]])
            mean = taken.mean(axis=0)
            if kind == "first_view":
                expected = taken[0]
            elif kind == "origin":
                expected = np.array([0, 0, 1.0])
            elif kind == "antipode" and np.linalg.norm(mean) >= 0.2:
                expected = -unit(mean)
            else:
                expected = farthest_twin(taken, to_world[:3, :3])[0]
            if abs(elevation(to_world[:3, :3] @ expected)) <= 80:
                np.testing.assert_allclose(observation["anchor"], expected, atol=1e-4)
            assert np.linalg.norm(observation["anchor"]) == pytest.approx(1, abs=1e-5)
            assert abs(elevation(to_world[:3, :3] @ observation["anchor"])) < 80.01
            # a zero action goes there
            before = observation["anchor"]
            if rng.random() < 0.5:
                observation, _, over, _, _ = env.step(np.zeros(3))
                np.testing.assert_allclose(
                    poses_of(env)[-1][:3, 3], 1.6 * to_world[:3, :3] @ before, atol=1e-4
                )
            else:
                observation, _, over, _, _ = env.step(rng.uniform(-1, 1, 3))


def test_antipode_falls_back_to_farthest(make):
    env = make(anchor="antipode", initial_views=2, observations=["anchor"])
    opposite = np.stack([looking_at_origin([0, 0.3, 1.5]), looking_at_origin([0.1, -0.3, -1.5])])
    observation, _ = env.reset(options={"views": opposite})
    to_world = frame_of("gravity", opposite[0])[:3, :3]
    taken = np.array([unit(c) @ to_world for c in opposite[:, :3, 3]])
    assert np.linalg.norm(taken.mean(axis=0)) < 0.2
    np.testing.assert_allclose(observation["anchor"], farthest_twin(taken, to_world)[0], atol=1e-5)


# ---- observations


@pytest.mark.parametrize("frame", FRAMES)
def test_poses_decode_to_world(make, frame):
    env = make(frame=frame, observations=["poses", "view_mask", "remaining"])
    for seed in range(3):
        observation, _ = env.reset(seed=seed)
        for count in range(1, 6):
            truth = poses_of(env)
            assert len(truth) == count
            assert observation["view_mask"].tolist() == [1] * count + [0] * (5 - count)
            assert observation["remaining"] == pytest.approx([(5 - count) / 5])
            assert not observation["poses"][count:].any()
            rows = observation["poses"][:count].astype(float)
            if frame == "gravity":
                assert rows[0, 0] == pytest.approx(0, abs=1e-5)  # azimuth 0: in the plane x = 0, z > 0
                assert rows[0, 2] > 0
                assert rows[0, 1] == pytest.approx(truth[0, 1, 3], abs=1e-5)  # the height is kept
            if frame == "first_view":
                np.testing.assert_allclose(rows[0], [0, 0, 0, 1, 0, 0, 0, 1, 0], atol=1e-5)
            local = np.tile(np.eye(4), (count, 1, 1))
            local[:, :3, 3], local[:, :3, 0], local[:, :3, 1] = rows[:, :3], rows[:, 3:6], rows[:, 6:]
            local[:, :3, 2] = np.cross(rows[:, 3:6], rows[:, 6:])
            np.testing.assert_allclose(frame_of(frame, truth[0]) @ local, truth, atol=1e-5)
            if count < 5:
                observation, *_ = env.step(env.action_space.sample())


def test_all_keys_by_default_and_a_choice(make):
    keys = {"features", "poses", "view_mask", "anchor", "remaining", "rgb", "depth"}
    env = make(image_size=(56, 84))
    observation, _ = env.reset(seed=0)
    assert set(observation) == keys == set(env.observation_space.spaces)
    assert observation["features"].shape == (5, 32)
    assert observation["poses"].shape == (5, 9)
    assert observation["rgb"].shape == (56, 84, 3)
    assert observation["depth"].shape == (56, 84, 1)
    assert {
        key: value.dtype for key, value in observation.items() if key not in ("rgb", "view_mask")
    } == dict.fromkeys(keys - {"rgb", "view_mask"}, np.dtype(np.float32))
    for chosen in (["depth", "rgb"], ["poses"]):
        assert set(make(observations=chosen).reset(seed=0)[0]) == set(chosen)
    assert set(make(backbone=None).reset(seed=0)[0]) == keys - {"features"}
    assert set(make(NBVDiscreteEnv).reset(seed=0)[0]) == keys | {"candidates"}


def test_pictures_are_of_the_latest_view_and_hold_the_whole_object(make):
    env = make(views=12, action="position", image_size=112)
    observation, _ = env.reset(seed=0)
    for action in np.random.default_rng(10).uniform(-1, 1, (11, 3)):
        view = env.render_view(poses_of(env)[-1])
        np.testing.assert_array_equal(observation["rgb"], view.rgb)
        np.testing.assert_array_equal(observation["depth"][..., 0], view.depth)
        hit = view.depth > 0
        assert hit.sum() > 100
        assert not hit[0].any() and not hit[-1].any() and not hit[:, 0].any() and not hit[:, -1].any()  # noqa: PT018
        observation, *_ = env.step(action)


@pytest.mark.parametrize("frame", FRAMES)
@pytest.mark.parametrize("pooling", ["mean", "grid", "none"])
def test_features_are_the_standardised_tokens(make, frame, pooling):
    env = make(frame=frame, pooling=pooling)
    env.reset(seed=1)
    for _ in range(3):
        observation, *_ = env.step(env.action_space.sample())
    views = env.get_state()["task"]["views"]
    to_frame = np.linalg.inv(frame_of(frame, views.cam_to_world[0]))
    moved = views.moved(to_frame)
    backbone = env.task.backbone
    tokens = backbone.encode(moved[None], np.ones((1, 4), bool)).tokens[0].numpy()
    assert tokens.shape == (4, 16, 32)
    mean, std = backbone.statistics(frame, pooling)
    raw = tokens.mean(axis=1) if pooling == "mean" else tokens
    expected = np.zeros(env.observation_space["features"].shape)
    assert expected.shape == ((5, 32) if pooling == "mean" else (5, 16, 32))
    expected[:4] = np.clip((raw - mean) / std, -10, 10)
    np.testing.assert_allclose(observation["features"], expected, atol=2e-3)
    assert np.abs(observation["features"][:4]).max() > 0.5


class Drifting:
    """A backbone like a network's: the tokens and points of ALL views shift with every new one."""

    name, dim, patch, independent = "drifting", 6, 14, False

    def __init__(self, scale=1.0):
        self.calls, self.scale = [], scale

    def encode(self, views, view_mask):
        self.calls.append(view_mask.copy())
        sets, count = view_mask.shape
        height, width = views.image_size
        points = np.zeros((sets, count, height, width, 3), np.float32)
        tokens = np.zeros((sets, count, (height // 14) * (width // 14), self.dim), np.float32)
        for b in range(sets):
            n = int(view_mask[b].sum())
            for k in range(n):
                view = views[b, k]
                columns, rows = np.meshgrid(np.arange(width) + 0.5, np.arange(height) + 0.5)
                rays = np.stack([columns, rows, np.ones_like(rows)], -1) @ np.linalg.inv(view.intrinsics).T
                world = (rays * view.depth[..., None]) @ view.cam_to_world[:3, :3].T + view.cam_to_world[
                    :3, 3
                ]
                points[b, k] = world + 0.02 / n  # every point moves
                centre = views.cam_to_world[b, :n, :3, 3].mean(axis=0)
                tokens[b, k, :, :3] = self.scale * (view.cam_to_world[:3, 3] - centre)
                tokens[b, k, :, 3] = n
                tokens[b, k, :, 4] = np.arange(tokens.shape[2])
        mask = (views.depth > 0) & view_mask[..., None, None]
        give = torch.from_numpy
        return Encoding(give(tokens), give(points), give(mask.astype(np.float32)), give(mask))

    def statistics(self, frame, pooling):
        return np.full(6, 0.5, np.float32), np.full(6, 2.0, np.float32)


def thinned(points):
    """One point per voxel of 0.5 % of the diameter, which is 1 m: first come."""
    cells = np.floor(np.asarray(points, np.float64) / np.float64(0.005)).astype(int)
    _, first = np.unique(cells, axis=0, return_index=True)
    return points[np.sort(first)]


def unprojected(view):
    rows, columns = np.nonzero(view.depth)
    rays = (
        np.stack([columns + 0.5, rows + 0.5, np.ones(len(rows))], 1)
        @ np.linalg.inv(view.intrinsics.astype(float)).T
    )
    pose = view.cam_to_world.astype(float)
    return (rays * view.depth[rows, columns, None].astype(float)) @ pose[:3, :3].T + pose[:3, 3]


def figures(points, env):
    reference = env.task.episode(0).reference
    return chamfer(points.astype(np.float32), reference.points, reference.dense.points)


@pytest.mark.parametrize("reconstruction", ["backbone", "depth"])
def test_info_is_the_chamfer_of_the_unprojected_views(make, reconstruction):
    env = make(reconstruction=reconstruction)
    _, info = env.reset(seed=4)
    for _ in range(4):
        *_, info = env.step(env.action_space.sample())
        views = env.get_state()["task"]["views"]
        cloud = thinned(np.concatenate([unprojected(views[k]) for k in range(len(views.depth))]))
        assert len(cloud) == pytest.approx(env.task.episode(0).cloud.tracker.count, rel=2e-3)
        for key, value in figures(cloud, env).items():
            # rounding moves a few points into the next voxel: as many as that may be thinned otherwise
            assert info[key] == pytest.approx(value, rel=2e-3, abs=2e-5), key
    reference = env.task.episode(0).reference
    assert reference.points.shape == (10_000, 3)
    assert reference.dense.points.shape == (100_000, 3)


def test_figures_by_brute_force_distances(make):
    """``chamfer`` itself, against all pairs of distances, on a thinned set of points."""
    env = make()
    env.reset(seed=4)
    reference = env.task.episode(0).reference
    cloud = thinned(unprojected(env.task.episode(0).views[0]))[::10]
    some, dense = reference.points[::50], reference.dense.points[::50]
    to_dense = np.linalg.norm(cloud[:, None] - dense[None], axis=2).min(axis=1)
    to_cloud = np.linalg.norm(some[:, None] - cloud[None], axis=2).min(axis=1)
    got = chamfer(cloud.astype(np.float32), some, dense)
    share, near = (to_cloud <= 0.02).mean(), (to_dense <= 0.02).mean()
    expected = {
        "accuracy": to_dense.mean(), "completeness": to_cloud.mean(),
        "chamfer": to_dense.mean() + to_cloud.mean(),
        "chamfer_squared": (to_dense**2).mean() + (to_cloud**2).mean(),
        "chamfer_sum": (to_dense**2).sum() + (to_cloud**2).sum(),
        "coverage": share, "f_score": 2 * share * near / (share + near),
    }  # fmt: skip
    assert set(got) == set(expected)
    for key, value in expected.items():
        assert got[key] == pytest.approx(value, rel=1e-4), key


def test_depth_equals_unproject_s_points(make):
    envs = [make(reconstruction=way, frame="first_view") for way in ("backbone", "depth")]
    for seed in range(3):
        infos = [env.reset(seed=seed)[1] for env in envs]
        for action in np.random.default_rng(seed).uniform(-1, 1, (4, 3)):
            for key in ("chamfer", "accuracy", "completeness", "coverage", "f_score", "chamfer_squared"):
                assert infos[0][key] == pytest.approx(infos[1][key], abs=1e-5), key
            infos = [env.step(action)[4] for env in envs]


def test_a_dependent_backbone_is_recomputed_in_full(make):
    backbone = Drifting()
    env = make(backbone=backbone)
    _, info = env.reset(seed=2)
    assert info["backbone"] == "drifting"
    for count in range(2, 6):
        observation, _, _, _, info = env.step(env.action_space.sample())
        assert backbone.calls[-1].tolist() == [[True] * count]  # all views, every time
        views = env.get_state()["task"]["views"]
        frame = frame_of("gravity", views.cam_to_world[0])
        encoding = Drifting().encode(views.moved(np.linalg.inv(frame))[None], np.ones((1, count), bool))
        points = []
        for k in range(count):
            own = encoding.points[0, k][encoding.mask[0, k]].numpy().astype(float)
            own = own[:: math.ceil(len(own) / 2000)]  # at most 2,000 of each view by a fixed stride
            assert len(own) <= 2000
            points.append(own @ frame[:3, :3].T + frame[:3, 3])
        cloud = thinned(np.concatenate(points))
        for key, value in figures(cloud, env).items():
            assert info[key] == pytest.approx(value, rel=3e-3, abs=2e-5), key
        tokens = encoding.tokens[0].mean(dim=1).numpy()
        np.testing.assert_allclose(observation["features"][:count], (tokens - 0.5) / 2, atol=1e-4)
        assert observation["features"][0, 3] == pytest.approx((count - 0.5) / 2)  # the first view's token too


def test_features_are_clipped(make):
    env = make(backbone=Drifting(scale=1000))
    env.reset(seed=0)
    features = env.step(np.float32([0.3, 0, 0]))[0]["features"]
    assert np.abs(features).max() == 10
    assert env.observation_space["features"].contains(features)


@pytest.mark.parametrize("pooling", ["mean", "grid", "none"])
def test_a_dependent_backbone_batched_equals_single(make, pooling):
    backbone = Drifting()
    many = make(NBVVectorEnv, 3, backbone=backbone, pooling=pooling)
    singles = [make(backbone=Drifting(), pooling=pooling) for _ in range(3)]
    many.reset(seed=30)
    each = [env.reset(seed=30 + k) for k, env in enumerate(singles)]
    rng = np.random.default_rng(0)
    for step in range(9):
        if step == 2:  # from here on the rows have different numbers of views
            many.reset(options={"reset_mask": np.array([False, True, False])})
            each[1] = singles[1].reset()
        before = len(backbone.calls)
        actions = rng.uniform(-1, 1, (3, 3))
        over = many._over.copy()
        observation, rewards, terminated, _, info = many.step(actions)
        assert len(backbone.calls) - before == int(not over.all()) + int(over.any())  # one for all that step
        for k, env in enumerate(singles):
            each[k] = (
                (*env.reset()[:1], 0.0, False, False, env.task.info(0)) if over[k] else env.step(actions[k])
            )
            for key, value in each[k][0].items():
                np.testing.assert_allclose(observation[key][k], value, atol=1e-6)
            assert rewards[k] == pytest.approx(each[k][1], abs=1e-12)
            assert terminated[k] == each[k][2]
            assert info["chamfer"][k] == pytest.approx(each[k][4]["chamfer"], abs=1e-12)


def test_state_of_a_dependent_backbone(make):
    env = make(backbone=Drifting())
    env.reset(seed=2)
    for _ in range(2):
        env.step(env.action_space.sample())
    twin = make(backbone=Drifting())
    twin.set_state(pickle.loads(pickle.dumps(env.get_state())))
    one, two = env.step(np.full(3, 0.3)), twin.step(np.full(3, 0.3))
    np.testing.assert_allclose(one[0]["features"], two[0]["features"], atol=1e-6)
    assert one[4] == two[4]


# ---- rewards, ends, infos


def potential(name, info, first):
    if name == "log":
        return -math.log(info["chamfer"])
    if name == "relative":
        return -info["chamfer"] / first["chamfer"]
    return info["coverage"] if name == "coverage" else -info[name]


@pytest.mark.parametrize("reward", REWARDS)
def test_gain_is_a_difference_of_potentials_and_telescopes(make, reward):
    env = make(reward=reward, action="position", initial_views=2)
    for seed in range(3):
        _, first = env.reset(seed=seed)
        assert first["gain"] == 0
        assert first["invalid"] is False
        before, total, over = first, 0.0, False
        while not over:
            _, got, over, _, info = env.step(env.action_space.sample())
            gain = potential(reward, info, first) - potential(reward, before, first)
            assert info["gain"] == pytest.approx(gain, abs=1e-12)
            assert got == pytest.approx(gain - 0.05 * info["invalid"], abs=1e-12)
            before, total = info, total + info["gain"]
        assert total == pytest.approx(
            potential(reward, info, first) - potential(reward, first, first), abs=1e-9
        )


def test_reward_callable(make):
    seen = []

    def reward(before, after):
        seen.append((before["coverage"], after["coverage"]))
        return 100 * (after["coverage"] - before["coverage"])

    env = make(reward=reward, invalid_penalty=0)
    _, info = env.reset(seed=0)
    covered = info["coverage"]
    _, got, _, _, info = env.step(np.zeros(3))
    assert seen == [(covered, info["coverage"])]
    assert got == pytest.approx(100 * (info["coverage"] - covered))
    assert info["gain"] == got


def test_the_last_view_terminates_and_success_does_not(make):
    for views in (2, 3, 40):
        env = make(views=views, image_size=112, observations=["remaining"])
        env.reset(seed=0)
        for count in range(2, views + 1):
            _, _, terminated, truncated, info = env.step(np.zeros(3))
            assert info["views"] == count
            assert terminated is (count == views)
            assert truncated is False
    assert info["is_success"] is True  # 40 farthest views, and only the last ended it


def test_stop_at(make):
    free = make(views=9, observations=["remaining"])
    free.reset(seed=0)
    coverage = [free.step(np.zeros(3))[4]["coverage"] for _ in range(8)]
    threshold = (coverage[1] + coverage[2]) / 2
    assert coverage[1] < coverage[2]
    env = make(views=9, stop_at=threshold, observations=["remaining"])
    env.reset(seed=0)
    ends = [env.step(np.zeros(3))[2] for _ in range(3)]
    assert ends == [False, False, True]


def test_success_is_a_share_of_what_64_views_reach(make):
    env = make(views=30, observations=["remaining"])
    env.reset(seed=0, options={"object": "thing"})
    cloud = np.concatenate(
        [unprojected(env.render_view(looking_at_origin(1.6 * d))) for d in fibonacci(64, 80)]
    )
    attainable = figures(thinned(cloud), env)["coverage"]
    assert 0.9 < attainable <= 1
    outcomes = set()
    over = False
    while not over:
        _, _, over, _, info = env.step(np.zeros(3))
        if abs(info["coverage"] - 0.95 * attainable) > 1e-3:
            assert info["is_success"] is (info["coverage"] >= 0.95 * attainable)
            outcomes.add(info["is_success"])
    assert outcomes == {True, False}


def test_info_keys_and_path_length(make):
    env = make()
    _, info = env.reset(seed=0)
    expected = {
        "chamfer", "chamfer_squared", "chamfer_sum", "accuracy", "completeness", "coverage", "f_score",
        "gain",
        "views", "path_length", "invalid", "is_success", "object", "backbone",
    }  # fmt: skip
    assert set(info) == expected
    assert info["path_length"] == 0
    assert info["backbone"] == "unproject"
    assert make(backbone=None).reset(seed=0)[1]["backbone"] == "none"
    for _ in range(4):
        *_, info = env.step(env.action_space.sample())
    centres = poses_of(env)[:, :3, 3]
    path = sum(float(np.linalg.norm(b - a)) for a, b in itertools.pairwise(centres))
    assert info["path_length"] == pytest.approx(path, abs=1e-6)
    assert path > 1


# ---- Discrete


@pytest.mark.parametrize("frame", FRAMES)
def test_candidates_and_masks(make, frame):
    env = make(
        NBVDiscreteEnv, frame=frame, views=64, image_size=28, observations=["remaining"], invalid_penalty=0.5
    )
    rng = np.random.default_rng(0)
    _, info = env.reset(seed=3)
    first = poses_of(env)[0]
    turn = np.eye(4) if frame == "world" else frame_of("gravity", first)
    candidates = [turn[:3, :3] @ (1.6 * d) for d in fibonacci(64, 80)]
    masked_choices = 0
    for step in range(50):
        taken = poses_of(env)[:, :3, 3]
        mask = [min(degrees_between(c, t) for t in taken) > 5 for c in candidates]
        np.testing.assert_array_equal(env.action_masks(), mask)
        np.testing.assert_array_equal(info["action_mask"], mask)
        chosen = int(rng.integers(64))
        _, reward, _, _, info = env.step(chosen)
        np.testing.assert_allclose(poses_of(env)[-1], looking_at_origin(candidates[chosen]), atol=1e-5)
        assert info["invalid"] is not mask[chosen]
        assert info["views"] == step + 2  # spent either way
        assert reward == pytest.approx(info["gain"] - 0.5 * (not mask[chosen]), abs=1e-12)
        masked_choices += not mask[chosen]
        if not mask[chosen] and chosen in {
            int(np.argmin([degrees_between(c, t) for c in candidates])) for t in taken
        }:
            assert abs(info["gain"]) < 0.05
    assert masked_choices > 3


@pytest.mark.parametrize("frame", FRAMES)
def test_candidates_are_observed_in_the_frame(make, frame):
    env = make(NBVDiscreteEnv, frame=frame, observations=["candidates"])
    observation, info = env.reset(seed=3)
    for chosen in (5, 40):
        rows = observation["candidates"]
        assert rows.shape == (64, 4)
        np.testing.assert_array_equal(rows[:, 3], info["action_mask"])
        world = rows[:, :3] @ frame_of(frame, poses_of(env)[0])[:3, :3].T
        observation, _, _, _, info = env.step(chosen)
        np.testing.assert_allclose(1.6 * world[chosen], poses_of(env)[-1][:3, 3], atol=1e-5)


def test_true_gains_are_observed_where_asked_for(make):
    env = make(NBVDiscreteEnv, views=3, observations=["gains"])
    observation, _ = env.reset(seed=0)
    for choice in (3, 50):
        candidates = env.task.candidate_poses(env.task.episode(0))
        np.testing.assert_allclose(observation["gains"], env.evaluate(candidates), atol=1e-6)
        foretold = observation["gains"][choice]
        observation, reward, terminated, _, _ = env.step(choice)
        assert reward == pytest.approx(foretold, abs=1e-6)
    assert terminated
    assert not observation["gains"].any()


def test_candidates_near_a_view_are_masked_at_5_degrees(make):
    env = make(NBVDiscreteEnv, frame="world", image_size=28, observations=["remaining"])
    target = 1.6 * fibonacci(64, 80)[40]
    east, _ = tangents(unit(target))
    for degrees, free in ((4.9, False), (5.1, True)):
        start = looking_at_origin(
            1.3 * rotated(unit(target), np.cross(unit(target), east), math.radians(degrees))
        )
        _, info = env.reset(options={"views": start[None]})
        assert bool(info["action_mask"][40]) is free


# ---- looking ahead, options, pictures


@pytest.mark.parametrize("backbone", ["unproject", "drifting"])
@pytest.mark.parametrize("reward", ["log", "relative", "coverage"])
def test_evaluate_is_what_step_then_gives(make, reward, backbone):
    backbone = Drifting() if backbone == "drifting" else backbone
    env = make(NBVDiscreteEnv, reward=reward, frame="world", backbone=backbone)
    env.reset(seed=6)
    env.step(3)
    poses = np.stack([looking_at_origin(1.6 * d) for d in fibonacci(64, 80)[::7]])
    outside = np.stack([looking_at_origin(p) for p in ([0, 0, 1.1], [0, 0, 2.1], [0, 1.5, 0.1])])
    before = pickle.dumps([env.get_state(), env.task.observe(0), env.task.info(0)])
    gains = env.evaluate(np.concatenate([poses, outside, np.full((1, 4, 4), np.nan)]))
    assert pickle.dumps([env.get_state(), env.task.observe(0), env.task.info(0)]) == before
    assert gains.dtype == np.float64
    assert gains.shape == (len(poses) + 4,)
    assert np.isnan(gains[len(poses) :]).all()
    assert len(np.unique(gains[: len(poses)])) > 3
    state = env.get_state()
    for k, gain in enumerate(gains[: len(poses)]):
        env.set_state(state)
        *_, info = env.step(7 * k)
        assert info["gain"] == pytest.approx(gain, abs=1e-7)
    assert env.evaluate(np.zeros((0, 4, 4))).shape == (0,)


@pytest.mark.parametrize("backbone", ["unproject", None])
def test_true_gains_of_measured_depth_are_to_the_bit_what_a_step_then_gives(make, backbone):
    """At the first of the states, and at a later one, where their views are known already."""
    env = make(NBVDiscreteEnv, backbone=backbone, observations=["gains"], image_size=112)
    env.reset(seed=7)
    for _ in range(2):
        gains, state = env.evaluate(env.task.candidate_poses(env.task.episode(0))), env.get_state()
        np.testing.assert_array_equal(env.task.observe(0)["gains"], gains.astype(np.float32))
        for k in range(0, 64, 5):
            *_, info = env.step(k)
            assert info["gain"] == gains[k]
            env.set_state(state)
            env.evaluate(env.task.candidate_poses(env.task.episode(0))[:1])
        env.step(int(np.argmax(gains)))
        assert len(np.unique(gains)) > 30


def test_evaluate_many_is_evaluate_one_by_one(make):
    env = make()
    env.reset(seed=6)
    poses = np.stack([looking_at_origin(1.7 * d) for d in random_directions(np.random.default_rng(0), 70)])
    together = env.evaluate(poses)  # in several chunks
    assert together == pytest.approx([env.evaluate(pose[None])[0] for pose in poses])


def test_reset_options(make):
    env = make(initial_views=2, observations=["poses"])
    wanted = np.stack([looking_at_origin([0.4, 0.5, 1.4]), looking_at_origin([-1.5, 0.1, 0.3])])
    for choice, name in (("thing", "thing"), ("box", "box"), (0, "box"), (np.int64(1), "thing")):
        _, info = env.reset(options={"object": choice, "views": wanted})
        assert info["object"] == name
        assert info["views"] == 2
        np.testing.assert_allclose(poses_of(env), wanted, atol=1e-6)
    names = {env.reset(seed=seed, options={"views": wanted})[1]["object"] for seed in range(8)}
    assert names == {"box", "thing"}  # an object not asked for is drawn
    assert len({poses_of(env).tobytes() for _ in range(4) if env.reset(options={"object": 0})}) == 4
    turned = looking_at_origin([0.4, 0.5, 1.4]) @ turned_about_y(0.2)  # need not look at the object's centre
    env.reset(options={"views": np.stack([turned, wanted[1]])})
    np.testing.assert_allclose(poses_of(env)[0], turned, atol=1e-6)


def test_references_differ(make, tmp_path):
    """A ball within a ball, a fifth of the surface, which no camera sees."""
    balls = [trimesh.creation.icosphere(3, radius) for radius in (0.5, 0.25)]
    trimesh.util.concatenate(balls).export(tmp_path / "nested.obj")
    coverage = {}
    for reference in ("visible", "surface"):
        env = make(scenes=str(tmp_path), reference=reference, views=30, observations=["remaining"])
        env.reset(seed=0)
        over = False
        while not over:
            _, _, over, _, info = env.step(np.zeros(3))
        coverage[reference] = info["coverage"]
    assert coverage["visible"] > 0.97
    assert coverage["surface"] == pytest.approx(0.8 * coverage["visible"], abs=0.01)


def test_render(make):
    env = make(render_mode="rgb_array")
    env.reset(seed=0, options={"object": "thing"})
    pictures = [env.render()]
    while not env.step(np.zeros(3))[2]:
        pictures.append(env.render())
    for picture in pictures:
        assert picture.dtype == np.uint8
        assert picture.shape == (480, 1200, 3)
        assert len(np.unique(picture.reshape(-1, 3), axis=0)) > 200
    panel = [picture[50:420, 480:960].astype(int) for picture in pictures]
    coloured = [(np.ptp(each, axis=-1) > 40).sum() for each in panel]
    assert 100 < coloured[0] < 0.9 * coloured[-1]  # points have colours, what is missing is grey
    assert all((a != b).any() for a, b in itertools.pairwise(pictures))


@pytest.mark.parametrize("action", ["candidates", "shell", "sphere"])
def test_a_stop_ends_without_a_view_and_costs_nothing(action):
    env = NBVEnv(backbone=None, num_objects=1, image_size=56, views=4, action=action, view_cost=0.2)
    free = NBVEnv(backbone=None, num_objects=1, image_size=56, views=4, action=action)
    for each in (env, free):
        each.reset(seed=0)
    pose = env.task.region.fibonacci_poses(9)[5]
    look = env.action_from_pose(pose)
    (_, costly, over, _, seen), (_, whole, *_) = env.step(look), free.step(free.action_from_pose(pose))
    assert costly == pytest.approx(whole - 0.2)
    assert not over
    stop = np.int64(64) if action == "candidates" else np.append(look[:-1], np.float32(0.5))
    _, reward, over, late, info = env.step(stop)
    assert (reward, over, late, info["gain"]) == (0.0, True, False, 0.0)
    assert info["views"] == seen["views"] == 2
    assert info["chamfer"] == seen["chamfer"]
    if action == "candidates":
        assert info["action_mask"].shape == (65,)
        assert info["action_mask"][64] == 1
        with pytest.raises(ValueError, match="stops"):
            env.poses_from_actions(np.array([64]))


def test_rows_that_stop_leave_the_others_as_they_were():
    arguments = {"backbone": "unproject", "num_objects": 2, "image_size": 56, "views": 4, "view_cost": 0.1}
    envs = NBVVectorEnv(3, autoreset_mode="Disabled", **arguments)
    single = NBVEnv(**arguments)
    envs.reset(seed=5)
    single.reset(seed=7)
    actions = np.array([[0.1, 0.2, 0, 1], [0, 0, 0, 1], [0.3, -0.2, 0.5, -1]], np.float32)
    _, rewards, over, _, _ = envs.step(actions)
    _, reward, *_ = single.step(actions[2])
    assert over.tolist() == [True, True, False]
    assert rewards.tolist() == [0.0, 0.0, reward]


# ---- a baseline of the reward


@pytest.mark.parametrize("env_type", [NBVEnv, NBVDiscreteEnv])
def test_a_baseline_takes_off_what_the_anchor_would_have_gained(env_type, make):
    plain, less = make(env_type), make(env_type, reward_baseline="anchor")
    for env in (plain, less):
        env.reset(seed=3)
    for _ in range(3):
        episode = plain.task.episode(0)
        if env_type is NBVEnv:
            usual = np.zeros(plain.action_space.shape)
        else:
            anchor = episode.frame_to_world[:3, :3] @ plain.task.anchor_direction(episode)
            towards = plain.task.candidate_poses(episode)[:, :3, 3] @ anchor
            usual = np.flatnonzero(plain.action_masks())[np.argmax(towards[plain.action_masks()])]
        gains = plain.evaluate(plain.poses_from_actions(np.asarray(usual)[None]))
        plain.action_space.seed(int(1e3 * abs(gains[0])))
        action = plain.action_space.sample()
        _, reward, _, _, info = plain.step(action)
        _, lower, _, _, other = less.step(action)
        assert lower == pytest.approx(reward - gains[0], abs=1e-9)
        assert other["gain"] == info["gain"]
    with pytest.raises(ValueError, match="reward_baseline: got 'farthest'; expected"):
        make(env_type, reward_baseline="farthest")
