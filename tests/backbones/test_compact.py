"""The compact backbone: its contract, its equalities, its gradients, and what training writes."""

from __future__ import annotations

import dataclasses

import gymnasium as gym
import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from test_mapanything import all_views, made_views

from spatial_envs.backbones import compact, make_backbone
from spatial_envs.backbones.compact import Compact, CompactNet, Sizes, focus
from spatial_envs.geometry.camera import facing_origin, turn_about_y

NAMES = ("tokens", "points", "confidence", "ray_directions", "depth_along_ray", "cam_to_world", "scale")


@pytest.fixture(scope="module")
def backbone() -> Compact:
    return Compact(device="cpu")


def lively() -> Compact:
    """Random weights, the zeroed heads included."""
    torch.manual_seed(0)
    net = CompactNet(Sizes(width=32, heads=2, encoder_layers=1, fusion_layers=2))
    with torch.no_grad():
        for value in net.parameters():
            value.add_(0.05 * torch.randn_like(value))
    made = Compact(device="cpu")
    made.use(net)
    return made


def test_shapes_without_reading_weights_first():
    backbone = make_backbone("compact", device="cpu")
    assert backbone.dim == 128
    assert backbone._net is None
    views = made_views(2, 3)
    encoding = backbone.encode(views, all_views(views))
    assert encoding.tokens.shape == (2, 3, 16, 128)
    assert encoding.points.shape == (2, 3, 56, 56, 3)
    assert (
        encoding.confidence.shape == encoding.mask.shape == encoding.depth_along_ray.shape == (2, 3, 56, 56)
    )
    assert encoding.ray_directions.shape == (2, 3, 56, 56, 3)
    assert encoding.cam_to_world.shape == (2, 3, 4, 4)
    assert encoding.scale.shape == (2,)
    assert encoding.mask.dtype == torch.bool


def test_nothing_is_decoded_that_nobody_reads(backbone, monkeypatch):
    decoded = []
    decode = CompactNet.decode
    monkeypatch.setattr(CompactNet, "decode", lambda *inputs: decoded.append(1) or decode(*inputs))
    views = made_views(1, 2)
    encoding = backbone.encode(views, all_views(views))
    assert encoding.tokens.isfinite().all()
    assert encoding.per_view is not None
    assert decoded == []
    assert encoding.points is encoding.points  # the same tensor
    assert encoding.mask.any()
    assert decoded == [1]
    for reconstruction, times in (("depth", 0), ("backbone", 6)):
        decoded.clear()
        env = gym.make_vec(
            "NBV-MapAnything-v0", num_envs=3, backbone=backbone, image_size=28, num_objects=1,
            reconstruction=reconstruction,
        )  # fmt: skip
        env.reset(seed=0)
        env.step(env.action_space.sample())
        env.step(env.action_space.sample())
        assert len(decoded) == times  # one for every two rows: reward and observation share it


def test_sets_side_by_side_are_those_one_after_another(backbone, monkeypatch):
    views = made_views(5, 3)
    mask = all_views(views)
    mask[1, 2] = mask[4, 1:] = False

    def encoded(threads):
        monkeypatch.setattr(backbone, "threads", threads)
        encoding = backbone.encode(views, mask)
        assert len(encoding.per_view) == 5
        again = backbone.encode(views, mask, encoding.per_view)
        return [encoding.tokens, encoding.points, encoding.mask, encoding.scale, again.tokens, again.points]

    alone = encoded(1)
    for threads in (2, None):
        assert all(torch.equal(a, b) for a, b in zip(alone, encoded(threads), strict=True))
    monkeypatch.setattr(compact, "SETS", 5)
    for a, b in zip(alone, encoded(1), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-4)


def test_factors_make_the_points(backbone):
    views = made_views(1, 3)
    encoding = backbone.encode(views, all_views(views))
    local = encoding.ray_directions * encoding.depth_along_ray[..., None]
    rotation, centre = encoding.cam_to_world[..., :3, :3], encoding.cam_to_world[..., :3, 3]
    points = torch.einsum("bnij,bnhwj->bnhwi", rotation, local) + centre[:, :, None, None]
    torch.testing.assert_close(points, encoding.points, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(encoding.cam_to_world[:, 0], torch.from_numpy(views.cam_to_world[:, 0]))
    torch.testing.assert_close(rotation @ rotation.mT, torch.eye(3).expand_as(rotation), rtol=0, atol=1e-5)


@pytest.mark.parametrize("make", [lively, lambda: Compact(device="cpu")], ids=["random", "shipped"])
def test_cached_equals_uncached_and_sees_only_the_new_view(make, monkeypatch):
    backbone, views = make(), made_views(2, 3)
    whole = backbone.encode(views, all_views(views))
    start = backbone.encode(views[:, :2], all_views(views)[:, :2])
    seen = []
    see = backbone.net.see
    monkeypatch.setattr(
        backbone.net, "see", lambda given, index: seen.append(len(index)) or see(given, index)
    )
    again = backbone.encode(views, all_views(views), [[*row, None] for row in start.per_view])
    assert seen == [2]  # one new view in each of the two sets
    for name in NAMES:
        torch.testing.assert_close(getattr(again, name), getattr(whole, name), rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("make", [lively, lambda: Compact(device="cpu")], ids=["random", "shipped"])
def test_batched_equals_single_with_different_numbers_of_views(make):
    backbone, views = make(), made_views(3, 3)
    mask = np.array([[True, True, True], [True, False, False], [True, True, False]])
    batched = backbone.encode(views, mask)
    for row, count in enumerate(mask.sum(axis=1)):
        single = backbone.encode(views[row : row + 1, :count], mask[row : row + 1, :count])
        assert not batched.mask[row, count:].any()
        for name in NAMES[:-1]:
            torch.testing.assert_close(
                getattr(batched, name)[row, :count], getattr(single, name)[0], rtol=1e-3, atol=1e-4
            )
        torch.testing.assert_close(batched.scale[row], single.scale[0])


def test_other_views_matter():
    backbone, views = lively(), made_views(1, 3)
    alone = backbone.encode(views[:, :1], all_views(views)[:, :1])
    among = backbone.encode(views, all_views(views))
    assert (alone.tokens[0, 0] - among.tokens[0, 0]).abs().max() > 1e-3


def test_depth_that_is_not_given_is_not_read():
    """Nonsense in a depth that is withheld changes nothing; the same depth, given, matters."""
    backbone, views = lively(), made_views(1, 3)
    other = views.depth.copy()
    other[:, 1:] = other[:, 1:] * 1.7
    spoiled = dataclasses.replace(views, depth=other)
    given = {"depth": np.zeros((1, 3), np.bool_)}
    withheld = [backbone.encode(v, all_views(views), given=given) for v in (views, spoiled)]
    torch.testing.assert_close(withheld[0].points, withheld[1].points)
    torch.testing.assert_close(withheld[0].tokens, withheld[1].tokens)
    whole = [backbone.encode(v, all_views(views)) for v in (views, spoiled)]
    assert (whole[0].tokens - whole[1].tokens).abs().max() > 1e-4


@pytest.mark.parametrize("frame", ["origin", "aside"])
def test_images_are_compared_along_rays(backbone, frame):
    """From posed images alone: four views tell the depth of a thing better than one, in any frame."""
    views = made_views(1, 4, size=112)
    if frame == "aside":
        to = turn_about_y(0.7)
        to[:3, 3] = (0.4, -0.3, 0.2)
        views = views.moved(to)
    errors = []
    for count in (1, 4):
        some = views[:, :count]
        given = {"depth": np.zeros((1, count), np.bool_)}
        encoding = backbone.encode(some, np.ones((1, count), np.bool_), given=given)
        assert encoding.depth_along_ray is not None
        length = 1 / encoding.ray_directions.numpy()[..., 2]
        z = encoding.depth_along_ray.numpy() / length
        hit = some.depth > 0
        errors.append((np.abs(z - some.depth)[hit] / some.depth[hit]).mean())
    assert errors[1] < 0.06
    assert errors[1] < 0.8 * errors[0]


@pytest.mark.parametrize("make", [lively, lambda: Compact(device="cpu")], ids=["random", "shipped"])
def test_gradient_from_points_to_pose_agrees_with_finite_differences(make):
    backbone, views = make(), made_views(1, 3)
    backbone.use(backbone.net.double())
    depth = views.depth.astype(np.float64)
    poses = torch.from_numpy(views.cam_to_world).double().requires_grad_()
    weights = torch.randn(1, 3, 56, 56, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    weights *= torch.from_numpy(depth > 0)[..., None]

    def loss(cam_to_world: torch.Tensor, grad: bool = False) -> torch.Tensor:
        moving = dataclasses.replace(
            views, cam_to_world=cam_to_world, depth=depth, intrinsics=views.intrinsics.astype(np.float64)
        )
        return (backbone.encode(moving, all_views(views), grad=grad).points * weights).mean()

    (gradient,) = torch.autograd.grad(loss(poses, grad=True), poses)
    assert gradient.isfinite().all()
    assert not loss(poses).requires_grad
    checked = 0
    for view in range(3):
        for row, column in ((0, 3), (1, 3), (2, 3), (0, 0), (1, 2)):
            if abs(gradient[0, view, row, column]) < 1e-4 * gradient.abs().max():
                continue
            step = torch.zeros_like(poses)
            step[0, view, row, column] = 1e-6  # depths are looked up: a longer step leaves pixels, and jumps
            with torch.no_grad():
                slope = (loss(poses + step) - loss(poses - step)) / 2e-6
            assert abs(slope - gradient[0, view, row, column]) < 0.02 * gradient.abs().max(), (
                view,
                row,
                column,
            )
            checked += 1
    assert checked >= 9


def test_an_exact_sensor_is_hardly_changed_and_a_noisy_one_is_bettered(backbone):
    views = made_views(1, 4, size=112)
    hit = views.depth > 0
    clean = backbone.encode(views, all_views(views))
    length = np.linalg.norm(clean.ray_directions.numpy() / clean.ray_directions.numpy()[..., 2:], axis=-1)
    assert (
        np.abs(clean.depth_along_ray.numpy() / length - views.depth)[hit] / views.depth[hit]
    ).mean() < 0.005
    rng = np.random.default_rng(0)
    noisy = (views.depth * (1 + 0.01 * rng.standard_normal(views.depth.shape))).astype(np.float32)
    better = backbone.encode(dataclasses.replace(views, depth=noisy), all_views(views))
    z = better.depth_along_ray.numpy() / length
    assert np.abs(z - views.depth)[hit].mean() < 0.8 * np.abs(noisy - views.depth)[hit].mean()


def test_the_focus_is_what_cameras_look_at():
    rng = np.random.default_rng(0)
    poses = facing_origin(rng.normal(size=(2, 4, 3)) + np.array([0, 0, 2]))
    there = np.array([[True] * 4, [True, True, False, False]])
    to = turn_about_y(0.3)
    to[:3, 3] = (1, 2, 3)
    moved = torch.from_numpy(to @ poses)
    found = focus(moved[..., :3, 3], moved[..., :3, 2], torch.from_numpy(there))
    torch.testing.assert_close(found, torch.tensor([[1.0, 2.0, 3.0]] * 2).double(), rtol=0, atol=0.02)
    alone = torch.from_numpy(facing_origin(np.array([[[0.0, 1.0, 2.0]]])))
    found = focus(alone[..., :3, 3], alone[..., :3, 2], torch.ones(1, 1, dtype=torch.bool))
    torch.testing.assert_close(found, torch.zeros(1, 3).double(), rtol=0, atol=1e-6)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"weights": "nowhere.safetensors"}, "weights: there is no file"),
        ({"inputs": ("depth",)}, "inputs: .* depth needs intrinsics"),
        ({"inputs": ("colour",)}, "inputs: .*'intrinsics', 'depth', 'pose'"),
        ({"inputs": ("intrinsics",)}, "inputs: .*compact needs 'intrinsics' and 'pose' among them"),
        ({"inputs": ()}, "inputs: .*compact needs 'intrinsics' and 'pose' among them"),
        ({"max_error": 0}, "max_error"),
        ({"wieghts": 1}, "backbone_kwargs: got 'wieghts'.*weights, inputs, max_error"),
    ],
)
def test_bad_arguments(arguments, message):
    with pytest.raises((ValueError, FileNotFoundError), match=message):
        make_backbone("compact", arguments)


def test_weights_that_are_not_its_own(backbone, tmp_path):
    path = tmp_path / "weights.safetensors"
    path.write_bytes(b"noise" * 9)
    with pytest.raises(ValueError, match=r"weights\.safetensors: not the weights of a compact backbone"):
        make_backbone("compact", {"weights": path})
    save_file({"b": torch.ones(2)}, path)
    with pytest.raises(ValueError, match=r"weights\.safetensors: not the weights of a compact backbone"):
        make_backbone("compact", {"weights": path})
    sizes = {name: str(n) for name, n in dataclasses.asdict(backbone.sizes).items()}
    save_file({"b": torch.ones(2)}, path, sizes)
    with pytest.raises(
        ValueError, match=r"weights\.safetensors: got the weights of edition 1 .* expected edition 2"
    ):
        make_backbone("compact", {"weights": path})
    save_file({"b": torch.ones(2)}, path, {**sizes, "edition": "2"})
    with pytest.raises(ValueError, match=r"weights\.safetensors: not the weights of its own sizes"):
        make_backbone("compact", {"weights": path}, "cpu").net  # noqa: B018


def test_bad_batches(backbone):
    views = made_views(1, 3)
    with pytest.raises(ValueError, match="padding before a view"):
        backbone.encode(views, np.array([[True, False, True]]))
    some = np.array([[False, True, True]])
    with pytest.raises(ValueError, match="without the first view"):
        backbone.encode(views, all_views(views), given={"pose": some})
    for name in ("pose", "intrinsics"):
        given = {name: np.array([[True, True, False]]), "depth": np.zeros((1, 3), np.bool_)}
        with pytest.raises(
            ValueError, match=f"given: got views without {name}; compact needs it of every view"
        ):
            backbone.encode(views, all_views(views), given=given)
    with pytest.raises(ValueError, match="given: got 'colour'"):
        backbone.encode(views, all_views(views), given={"colour": some})
    with pytest.raises(ValueError, match="multiples of 14"):
        backbone.encode(made_views(1, 2, size=50), np.ones((1, 2), np.bool_))


def test_vector_env_equals_singles():
    arguments = {
        "num_objects": 2,
        "image_size": 56,
        "views": 4,
        "backbone": "compact",
        "device": "cpu",
        "audit": True,
    }
    envs = gym.make_vec("spatial_envs:NBV-MapAnything-v0", num_envs=3, **arguments)
    singles = [gym.make("spatial_envs:NBV-MapAnything-v0", **arguments) for _ in range(3)]
    observations, infos = envs.reset(seed=5)
    each = [env.reset(seed=5 + k) for k, env in enumerate(singles)]
    actions = np.random.default_rng(0).uniform(-1, 1, (3, 3, 3)).astype(np.float32)
    for action in [*actions, None]:
        for k, (observation, info) in enumerate(each):
            np.testing.assert_allclose(observations["features"][k], observation["features"], atol=2e-3)
            # a pixel on the edge of the mask may come or go
            assert infos["chamfer"][k] == pytest.approx(info["chamfer"], rel=0.02)
            assert infos["unproject_chamfer"][k] == info["unproject_chamfer"]
        if action is not None:
            observations, *_, infos = envs.step(action)
            stepped = [env.step(a) for env, a in zip(singles, action, strict=True)]
            each = [(step[0], step[-1]) for step in stepped]
            if stepped[0][2]:
                break


def test_audit_is_the_unproject_twin():
    arguments = {"num_objects": 1, "image_size": 56, "views": 3, "device": "cpu"}
    audited = gym.make(
        "spatial_envs:NBV-MapAnything-v0", backbone="compact", audit=True, **arguments
    ).unwrapped
    twin = gym.make("spatial_envs:NBV-MapAnything-v0", backbone="unproject", **arguments)
    left, right = audited.reset(seed=3)[1], twin.reset(seed=3)[1]
    for action in ([0.3, -0.2, 0.5], [-0.5, 0.1, -1.0]):
        for name in ("chamfer", "completeness", "coverage", "accuracy"):
            assert left[f"unproject_{name}"] == pytest.approx(right[name], rel=1e-3)
        assert left["chamfer"] != right["chamfer"]
        poses = audited.poses_from_actions(np.array([[0.1, 0.1, 0.0]]))
        audited.evaluate(poses)  # looks ahead without a trace
        action = np.array(action, np.float32)
        left, right = audited.step(action)[-1], twin.step(action)[-1]


def test_looking_ahead_is_what_a_step_then_gives():
    env = gym.make(
        "spatial_envs:NBV-MapAnything-Discrete-v0",
        backbone="compact",
        num_objects=1,
        image_size=56,
        device="cpu",
    ).unwrapped
    env.reset(seed=0)
    env.step(3)
    poses = env.task.candidate_poses(env.task.episode(0))[[10, 40]]
    gains = env.evaluate(poses)
    state = env.get_state()
    for k, candidate in enumerate((10, 40)):
        env.set_state(state)
        assert env.step(candidate)[-1]["gain"] == pytest.approx(gains[k], abs=0.03)
