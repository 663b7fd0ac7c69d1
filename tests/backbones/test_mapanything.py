"""The real MapAnything, with random weights: skipped where its package is not installed."""

from __future__ import annotations

import dataclasses
import json

import numpy as np
import pytest
import torch

from spatial_envs.backbones import make_backbone, mapanything
from spatial_envs.geometry.camera import facing_origin, fibonacci_directions, pinhole
from spatial_envs.geometry.view import View, stack_views
from spatial_envs.rendering.builtin import BuiltinRenderer
from spatial_envs.scenes.objects import open_objects

real = pytest.mark.skipif(
    not mapanything.is_installed(), reason="needs the package mapanything, which is not on PyPI"
)


def config(encoder: str = "small", width: int = 96, depth: int = 4, **encoder_arguments) -> dict:
    """A config.json in the published form; by default a small network."""
    inf = float("inf")
    geometric = {
        "ray_dirs_encoder_config": {
            "name": "rays", "in_chans": 3, "encoder_str": "dense_rep_encoder", "apply_pe": False,
        },
        "depth_encoder_config": {
            "name": "depth", "in_chans": 1, "encoder_str": "dense_rep_encoder", "apply_pe": False,
        },
        "cam_rot_encoder_config": {"name": "rot", "in_chans": 4, "encoder_str": "global_rep_encoder"},
        "cam_trans_encoder_config": {"name": "trans", "in_chans": 3, "encoder_str": "global_rep_encoder"},
        "scale_encoder_config": {"name": "scale", "in_chans": 1, "encoder_str": "global_rep_encoder"},
        "overall_prob": 0, "dropout_prob": 1, "ray_dirs_prob": 0, "depth_prob": 0, "cam_prob": 0,
        "sparse_depth_prob": 0, "sparsification_removal_percent": 0, "depth_scale_norm_all_prob": 0,
        "pose_scale_norm_all_prob": 0,
    }  # fmt: skip
    name = "raydirs+depth+pose+confidence+mask+scale"
    head = {
        "type": "dpt+pose",
        "feature_head": {
            "feature_dim": 256 if width == 768 else 32, "hooks": [0, 1, 2, 3], "checkpoint_gradient": False,
        },
        "regressor_head": {"output_dim": 6, "checkpoint_gradient": False},
        "pose_head": {"num_resconv_block": 2, "rot_representation_dim": 4},
        "scale_head": {"output_dim": 1},
        "adaptor_type": "raydirs+depth+pose+confidence+mask",
        "adaptor_config": {"input_dim": 6, "scene_rep_dim": 4, "type": "raydirs+depth+pose+confidence+mask",
                           "scene_rep_type": "raydirs+depth+pose"},
        "dpt_adaptor": {
            "name": name, "ray_directions_mode": "linear", "ray_directions_normalize_to_unit_sphere": True,
            "ray_directions_normalize_to_unit_image_plane": False, "ray_directions_vmin": -inf,
            "ray_directions_vmax": inf, "ray_directions_clamp_min_of_z_dir": False,
            "ray_directions_z_dir_min": -inf,
            "depth_mode": "exp", "depth_vmin": 0, "depth_vmax": inf,
            "confidence_type": "exp", "confidence_vmin": 1, "confidence_vmax": inf,
        },
        "pose_adaptor": {
            "name": name, "cam_trans_mode": "linear", "cam_trans_vmin": -inf, "cam_trans_vmax": inf,
            "quaternions_mode": "linear", "quaternions_normalize": True, "quaternions_vmin": -inf,
            "quaternions_vmax": inf,
        },
        "scale_adaptor": {"name": name, "mode": "exp", "vmin": 1e-8, "vmax": inf},
        "gradient_checkpointing": False,
    }  # fmt: skip
    return {
        "name": "mapanything",
        "encoder_config": {
            "encoder_str": "dinov2", "name": "dinov2", "data_norm_type": "dinov2", "size": encoder,
            "with_registers": False, "uses_torch_hub": True, "gradient_checkpointing": False,
            **encoder_arguments,
        },
        "info_sharing_config": {
            "model_type": "alternating_attention", "model_return_type": "intermediate_features",
            "custom_positional_encoding": None,
            "module_args": {
                "name": "aat", "indices": [depth // 2 - 1, 3 * depth // 4 - 1], "norm_intermediate": True,
                "size": "small", "depth": depth, "distinguish_ref_and_non_ref_views": True,
                "gradient_checkpointing": False, "dim": width, "num_heads": 12,
            },
        },
        "pred_head_config": head, "geometric_input_config": geometric,
    }  # fmt: skip


@pytest.fixture(scope="module", params=["v1", "v1.1"])
def folder(request, tmp_path_factory):
    """A checkpoint folder of a small network with random weights, built as v1 or as v1.1, which hands on the
    encoder's class tokens, and saved as the package does it."""
    path = tmp_path_factory.mktemp("checkpoint")
    torch.manual_seed(0)
    described = config(keep_first_n_layers=2)
    if request.param == "v1.1":
        described |= {"use_register_tokens_from_encoder": True, "info_sharing_mlp_layer_str": "swiglufused"}
    model = mapanything.build(described)
    with torch.no_grad():  # else its layer scales of 1e-5 hide most of the network
        for value in model.parameters():
            value.add_(0.02 * torch.randn_like(value))
    model.save_pretrained(path, config=described)
    return path


def from_pretrained(folder, strict: bool = True):
    """The package's own loading."""
    from mapanything.models import MapAnything

    with mapanything._vendored_dinov2():
        return MapAnything.from_pretrained(folder, strict=strict)


def inferred(model, views: View) -> list[dict]:
    """What ``infer``, which is what the package's users call, makes of one set of views, each."""
    from uniception.models.encoders.image_normalizations import IMAGE_NORMALIZATION_DICT

    norm = IMAGE_NORMALIZATION_DICT["dinov2"]
    images = torch.from_numpy(views.rgb[0]).permute(0, 3, 1, 2).float() / 255
    images = (images - norm.mean.view(3, 1, 1)) / norm.std.view(3, 1, 1)
    dicts = [
        {"img": images[k : k + 1], "data_norm_type": ["dinov2"],
         "intrinsics": torch.from_numpy(views.intrinsics[0, k : k + 1].copy()),
         "depth_z": torch.from_numpy(views.depth[0, k : k + 1]),
         "camera_poses": torch.from_numpy(views.cam_to_world[0, k : k + 1]),
         "is_metric_scale": torch.ones(1, dtype=torch.bool)}
        for k in range(len(images))
    ]  # fmt: skip
    return model.infer(dicts, use_amp=False, apply_mask=False, memory_efficient_inference=False)


@pytest.fixture(scope="module")
def backbone(folder):
    made = make_backbone("mapanything", {"checkpoint": str(folder)}, "cpu")
    assert made.dim == 96
    assert made._net is None
    return made


def made_views(sets: int = 1, count: int = 3, size: int = 56) -> View:
    mesh = open_objects("procedural", "validation").load(0)
    intrinsics = pinhole(50, (size, size))
    poses = facing_origin(1.6 * fibonacci_directions(sets * count))
    views = BuiltinRenderer().render(mesh, poses, intrinsics, (size, size))
    return stack_views([views[k * count : (k + 1) * count] for k in range(sets)])


def copied_config(folder, other) -> dict:
    """Also returned, as read."""
    text = (folder / "config.json").read_text()
    (other / "config.json").write_text(text)
    return json.loads(text)


def save_shards(state: dict[str, torch.Tensor], folder, count: int = 3) -> None:
    """As Hugging Face's libraries save what is too large for one file."""
    from safetensors.torch import save_file

    files = {}
    for k in range(count):
        file = f"model-{k + 1:05}-of-{count:05}.safetensors"
        part = dict(list(state.items())[k::count])
        save_file(part, folder / file)
        files |= dict.fromkeys(part, file)
    (folder / "model.safetensors.index.json").write_text(json.dumps({"metadata": {}, "weight_map": files}))


def all_views(views: View) -> np.ndarray:
    return np.ones(views.depth.shape[:2], np.bool_)


def differences(one, other, index=slice(None)) -> dict[str, float]:
    names = [f.name for f in dataclasses.fields(one) if f.name not in ("per_view", "mask")]
    return {
        name: float(
            (getattr(one, name)[index] - getattr(other, name)).abs().max() / getattr(other, name).abs().max()
        )
        for name in names
    }


@real
def test_shapes_and_no_network(backbone, monkeypatch):
    import socket

    monkeypatch.setattr(socket.socket, "connect", lambda *_: pytest.fail("asked the network"))
    views = made_views(2, 3)
    encoding = backbone.encode(views, all_views(views))
    assert encoding.tokens.shape == (2, 3, 16, 96)
    assert encoding.points.shape == (2, 3, 56, 56, 3)
    assert encoding.ray_directions.shape == (2, 3, 56, 56, 3)
    assert (
        encoding.mask.shape == encoding.confidence.shape == encoding.depth_along_ray.shape == (2, 3, 56, 56)
    )
    assert encoding.cam_to_world.shape == (2, 3, 4, 4)
    assert encoding.scale.shape == (2,)
    assert encoding.mask.dtype == torch.bool
    confidence = encoding.confidence.flatten(2)
    least = confidence.kthvalue(56 * 56 // 10, dim=2, keepdim=True).values  # within drop_share's tenth
    assert not encoding.mask.flatten(2)[confidence <= least].any()
    assert all(value.isfinite().all() for value in (encoding.tokens, encoding.points, encoding.scale))


@real
def test_equals_the_package_itself(backbone):
    """The same numbers as ``infer``, which is what its users call."""
    views = made_views(1, 3)
    encoding = backbone.encode(views, all_views(views))
    answers = inferred(from_pretrained(backbone.checkpoint), views)
    first = torch.from_numpy(views.cam_to_world[0, 0])
    for k, answer in enumerate(answers):
        expected = answer["pts3d"][0] @ first[:3, :3].T + first[:3, 3]
        torch.testing.assert_close(encoding.points[0, k], expected, rtol=1e-4, atol=1e-4)
        torch.testing.assert_close(encoding.confidence[0, k], answer["conf"][0], rtol=1e-4, atol=1e-4)
        expected = first @ answer["camera_poses"][0]
        torch.testing.assert_close(encoding.cam_to_world[0, k], expected, rtol=1e-4, atol=1e-4)


@real
def test_cached_equals_uncached_and_encodes_only_the_new_view(backbone):
    views = made_views(2, 3)
    whole = backbone.encode(views, all_views(views))
    start = backbone.encode(views[:, :2], all_views(views)[:, :2])
    seen = []
    handle = backbone.net.encoder.register_forward_hook(
        lambda module, args, out: seen.append(len(out.features))
    )
    again = backbone.encode(views, all_views(views), [[*row, None] for row in start.per_view])
    handle.remove()
    assert seen == [2]  # one new view in each of the two sets
    assert max(differences(again, whole).values()) < 1e-4
    assert (again.mask == whole.mask).float().mean() > 0.999


@real
def test_batched_equals_single_with_different_numbers_of_views(folder):
    views = made_views(3, 3)
    mask = np.array([[True, True, True], [True, False, False], [True, True, False]])
    for bound in (40, 2):
        backbone = make_backbone("mapanything", {"checkpoint": str(folder), "max_batch_views": bound}, "cpu")
        batched = backbone.encode(views, mask)
        for row, count in enumerate(mask.sum(axis=1)):
            single = backbone.encode(views[row : row + 1, :count], mask[row : row + 1, :count])
            assert batched.tokens[row, count:].abs().sum() == 0
            assert not batched.mask[row, count:].any()
            for name in ("tokens", "points", "confidence", "cam_to_world"):
                expected = getattr(single, name)[0]
                torch.testing.assert_close(
                    getattr(batched, name)[row, :count], expected, rtol=1e-3, atol=1e-3
                )


@real
def test_inputs_on_a_subset_of_views_matter(backbone):
    views = made_views(2, 3)
    everything = backbone.encode(views, all_views(views))
    none = {name: np.zeros((2, 3), np.bool_) for name in ("intrinsics", "depth", "pose")}
    images = backbone.encode(views, all_views(views), given=none)
    for name in ("intrinsics", "pose", "depth"):
        given = {key: value.copy() for key, value in none.items()}
        given[name][:, 0] = True
        given["intrinsics"] |= given["depth"]
        some = backbone.encode(views, all_views(views), given=given)
        assert (some.tokens - images.tokens).abs().max() > 1e-4
        assert (some.tokens - everything.tokens).abs().max() > 1e-4
    mixed = {key: value.copy() for key, value in none.items()}
    mixed["intrinsics"][1, :2] = True  # each row of its own kind: two calls, one answer
    some = backbone.encode(views, all_views(views), given=mixed)
    torch.testing.assert_close(some.tokens[0], images.tokens[0], rtol=1e-3, atol=1e-3)


@real
def test_gradient_from_points_to_pose(backbone):
    views = made_views(1, 3)
    poses = torch.from_numpy(views.cam_to_world).requires_grad_()
    moving = dataclasses.replace(views, cam_to_world=poses)
    encoding = backbone.encode(moving, all_views(views), grad=True)
    encoding.points[:, 1:].square().mean().backward()
    for k in range(3):
        assert poses.grad[0, k].isfinite().all()
        assert poses.grad[0, k].abs().max() > 0
    assert not backbone.encode(moving, all_views(views)).points.requires_grad


@real
@pytest.mark.parametrize("form", ["once", "under every name", "in shards"])
def test_loads_what_the_package_loads(folder, tmp_path, form):
    """Every tensor and every output, to the bit, however tensors with several names were saved."""
    from safetensors.torch import load_file, save_file

    package = from_pretrained(folder)
    if form == "once":
        assert len(load_file(folder / "model.safetensors")) == len(package.state_dict()) - 76
    else:
        copied_config(folder, tmp_path)
        if form == "under every name":
            state = {name: value.clone() for name, value in package.state_dict().items()}
            save_file(state, tmp_path / "model.safetensors")
        else:
            save_shards(load_file(folder / "model.safetensors"), tmp_path)
        folder = tmp_path
    ours = mapanything.load(str(folder)).eval()
    expected = package.state_dict()
    assert ours.state_dict().keys() == expected.keys()
    for name, value in ours.state_dict().items():
        assert torch.equal(value, expected[name]), name
    views = made_views(1, 2)
    for answer, other in zip(inferred(ours, views), inferred(package, views), strict=True):
        assert answer.keys() == other.keys() >= {"pts3d", "conf", "camera_poses", "depth_along_ray"}
        for name, value in answer.items():
            assert torch.equal(value, other[name]), name


@real
def test_a_damaged_checkpoint_says_so(folder, tmp_path):
    from safetensors.torch import load_file, save_file

    state = load_file(folder / "model.safetensors")
    described = copied_config(folder, tmp_path)
    regressor = [name for name in state if name.startswith("dense_head.1.")]  # has a second name
    for lost in (["scale_token"], regressor):
        save_file({k: v for k, v in state.items() if k not in lost}, tmp_path / "model.safetensors")
        with pytest.raises(ValueError, match=rf"model\.safetensors: lacks {len(lost)} tensors.*{min(lost)}"):
            mapanything.load(str(tmp_path))
    save_file(state | {"scale_token": torch.zeros(5)}, tmp_path / "model.safetensors")
    with pytest.raises(
        ValueError, match=r"model\.safetensors: got scale_token of shape \(5,\); expected \(384,"
    ):
        mapanything.load(str(tmp_path))
    described["info_sharing_config"]["model_type"] = "none"
    (tmp_path / "config.json").write_text(json.dumps(described))
    with pytest.raises(
        ValueError, match=r"config\.json: MapAnything cannot be built of it: .*'alternating_att"
    ):
        mapanything.load(str(tmp_path))


@real
def test_in_the_environment(folder):
    import gymnasium as gym

    env = gym.make(
        "spatial_envs:NBV-MapAnything-v0", backbone="mapanything",
        backbone_kwargs={"checkpoint": str(folder)},
        image_size=56, num_objects=1, views=3, device="cpu",
    )  # fmt: skip
    observation, info = env.reset(seed=0)
    assert observation["features"].shape == (3, 96)
    assert info["backbone"] == "mapanything"
    encoded = []
    handle = env.unwrapped.task.backbone.net.encoder.register_forward_hook(
        lambda m, a, out: encoded.append(len(out.features))
    )
    *_, info = env.step(np.zeros(3, np.float32))
    handle.remove()
    assert encoded == [1]
    assert np.isfinite(info["chamfer"])


@pytest.mark.skipif(mapanything.is_installed(), reason="the package is here")
def test_without_the_package_the_error_says_where_it_is():
    with pytest.raises(
        ImportError, match=r"(?s)github\.com/facebookresearch.*map-anything-apache-v1.*compact"
    ):
        make_backbone("mapanything")
