"""The real MapAnything (Keetha et al. 2025, "MapAnything: Universal Feed-Forward Metric 3D Reconstruction").

The package and its weights are not on PyPI: see PAGE. Its image encoder looks at one view at a time, so what
it makes of a view is kept and handed back (``Encoding.per_view``); a new view then costs one encoding, and
the multi-view transformer over all. Points, depths and poses are metric; MapAnything answers in the frame of
a set's first view, whose pose takes them to the frame of the views.
"""

from __future__ import annotations

import contextlib
import copy
import importlib.util
import logging
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import Any
from unittest import mock

import numpy as np
import torch

from spatial_envs.backbones.backbone import INPUTS, Encoding
from spatial_envs.backbones.checkpoint import (
    CONFIG,
    PAGE,
    V1,
    check_hub,
    download,
    local_folder,
    open_checkpoint,
    width,
)
from spatial_envs.backbones.networks import as_tensor, checked_batch, checked_inputs, split_known
from spatial_envs.foundation.arguments import resolve_device
from spatial_envs.geometry.view import View

logger = logging.getLogger(__name__)

PATCH = 14


class MapAnythingBackbone:
    """See ``spatial_envs.backbones.backbone.Backbone``. Weights are loaded at the first ``encode``.

    checkpoint       a local folder with config.json and model.safetensors (or the index and the shards of a
                     large one), as the package saves them, or a name on the Hugging Face hub
    inputs           which of "intrinsics", "depth", "pose" the model is given besides the images; depth needs
                     intrinsics
    max_batch_views  views that go through the model at once, which bounds its memory
    drop_share       share of each view's pixels, those of least confidence, that the mask leaves out
    Raises ImportError where the package is absent, FileNotFoundError where the weights are neither here nor
    on the hub, ValueError, with the file's name, where they are not what they should be.
    """

    name = "mapanything"
    patch = PATCH
    independent = False
    image_size = 518
    needs: tuple[str, ...] = ()

    def __init__(
        self,
        checkpoint: str = V1,
        inputs: Sequence[str] = INPUTS,
        device: str = "auto",
        max_batch_views: int = 40,
        drop_share: float = 0.1,
    ) -> None:
        if not is_installed():
            raise ImportError(
                f"backbone: 'mapanything' needs the package of that name, which is not on PyPI: {PAGE}; it "
                f"would load the checkpoint {checkpoint!r}. Without it, there is backbone='compact'"
            )
        if max_batch_views < 1:
            raise ValueError(f"max_batch_views: got {max_batch_views}; expected at least 1")
        if not 0 <= drop_share < 1:
            raise ValueError(f"drop_share: got {drop_share}; expected 0 or more, less than 1")
        self.checkpoint, self.device_name = str(checkpoint), device
        self.inputs = checked_inputs(inputs)
        self.max_batch_views, self.drop_share = max_batch_views, drop_share
        self.dim = width(self.checkpoint)
        if local_folder(self.checkpoint) is None:
            check_hub(self.checkpoint)
        self._net: Any = None

    def statistics(self, frame: str, pooling: str) -> tuple[np.ndarray, np.ndarray]:
        """0 and 1: the tokens come out of a layer norm."""
        return np.zeros(self.dim, np.float32), np.ones(self.dim, np.float32)

    # ---- the model

    @property
    def net(self) -> Any:
        """The network, on its device, loaded when first asked for."""
        if self._net is None:
            device = resolve_device(self.device_name)
            self.use(load(self.checkpoint).to(device))
        return self._net

    @property
    def device(self) -> torch.device:
        """Where the network is."""
        return next(self.net.parameters()).device

    def use(self, net: Any) -> None:
        """Take this network (a ``mapanything.models.MapAnything``) instead of the checkpoint's."""
        self._net = net.eval().requires_grad_(False)
        net._encode_n_views = _handed_back
        self.dim = int(net.info_sharing.dim)

    def encode(
        self,
        views: View,
        view_mask: np.ndarray,
        known: Sequence[Sequence[Any]] | None = None,
        given: Mapping[str, np.ndarray] | None = None,
        grad: bool = False,
    ) -> Encoding:
        """Encode B sets of N views; H and W multiples of 14. See ``NetworkBackbone``."""
        flags = checked_batch(views, view_mask, PATCH, self.inputs, given)
        model = self.net
        device = self.device
        with torch.set_grad_enabled(grad), _precision(device):
            tensors = {
                "depth_z": as_tensor(views.depth, device),
                "intrinsics": as_tensor(views.intrinsics, device),
                "camera_poses": as_tensor(views.cam_to_world, device),
            }
            per_view = self._see(model, views, view_mask, known, device)
            groups = defaultdict(list)  # rows of one shape: as many views, with the same inputs
            for row, mask in enumerate(view_mask):
                kinds = tuple(flags[name][row].tobytes() for name in INPUTS)
                groups[int(mask.sum()), kinds].append(row)
            answers: dict[int, dict[str, torch.Tensor]] = {}
            for (count, _), rows in groups.items():
                step = max(1, self.max_batch_views // count)
                for start in range(0, len(rows), step):
                    chunk = rows[start : start + step]
                    sets = _as_dicts(tensors, per_view, flags, chunk, count)
                    answer = self._run(model, sets, tensors["camera_poses"][chunk, 0])
                    answers |= {row: {k: v[i] for k, v in answer.items()} for i, row in enumerate(chunk)}
        longest = view_mask.shape[1]
        stacked = {
            name: torch.stack([_padded(answers[row][name], longest) for row in range(len(view_mask))])
            for name in answers[0]
            if name != "scale"
        }
        scale = torch.stack([answers[row]["scale"] for row in range(len(view_mask))])
        return Encoding(**stacked, scale=scale, per_view=per_view)

    def _see(
        self, model: Any, views: View, view_mask: np.ndarray, known: Any, device: torch.device
    ) -> list[list[Any]]:
        """[B][N] what the image encoder makes of each view, (features (C, h, w), registers or None)."""
        from uniception.models.encoders.base import ViTEncoderInput
        from uniception.models.encoders.image_normalizations import IMAGE_NORMALIZATION_DICT

        kind = model.encoder.data_norm_type
        norm = IMAGE_NORMALIZATION_DICT[kind]
        mean, std = norm.mean.to(device).view(3, 1, 1), norm.std.to(device).view(3, 1, 1)
        per_view, new = split_known(view_mask, known)
        for start in range(0, len(new), self.max_batch_views):
            chunk = new[start : start + self.max_batch_views]
            rgb = torch.stack([as_tensor(views.rgb[index], device) for index in chunk])
            images = (rgb.permute(0, 3, 1, 2).float() / 255 - mean) / std
            with torch.set_grad_enabled(rgb.requires_grad):
                out = model.encoder(ViTEncoderInput(image=images, data_norm_type=kind))
            registers = out.registers if model.use_register_tokens_from_encoder else None
            for k, (b, n) in enumerate(chunk):
                per_view[b][n] = (out.features[k], None if registers is None else registers[k])
        return per_view

    def _run(self, model: Any, sets: list[dict[str, Any]], first: torch.Tensor) -> dict[str, torch.Tensor]:
        """One forward pass over sets of as many views each; first (b, 4, 4): poses of the first views."""
        from mapanything.utils.inference import preprocess_input_views_for_inference

        caught = []
        handle = model.info_sharing.register_forward_hook(lambda module, args, out: caught.append(out))
        model._configure_geometric_input_config(
            True, True, True, True, True
        )  # else inputs drop out at random
        try:
            answers = model(preprocess_input_views_for_inference(sets))
        finally:
            model._restore_original_geometric_input_config()
            handle.remove()
        out = caught[0][0] if isinstance(caught[0], tuple) else caught[0]
        joined = {name: torch.stack([a[name].float() for a in answers], dim=1) for name in answers[0]}
        confidence = joined["conf"]
        pixels = confidence.flatten(2)
        dropped = int(self.drop_share * pixels.shape[2])
        confident = torch.ones_like(confidence, dtype=torch.bool)
        if dropped:
            confident = confidence > pixels.kthvalue(dropped, dim=2).values[..., None, None]
        local = _pose_matrices(joined["cam_quats"], joined["cam_trans"])
        points = (
            joined["pts3d"] @ first[:, None, None, :3, :3].transpose(-1, -2)
            + first[:, None, None, None, :3, 3]
        )
        return {
            "tokens": torch.stack([f.float().flatten(2).transpose(1, 2) for f in out.features], dim=1),
            "points": points,
            "confidence": confidence,
            "mask": joined["non_ambiguous_mask"].bool() & confident,
            "ray_directions": joined["ray_directions"],
            "depth_along_ray": joined["depth_along_ray"][..., 0],
            "cam_to_world": first[:, None] @ local,
            "scale": joined["metric_scaling_factor"][:, 0, 0],
        }


def is_installed() -> bool:
    """Whether the package is there; nothing is imported."""
    return (
        importlib.util.find_spec("mapanything") is not None
        and importlib.util.find_spec("uniception") is not None
    )


def load(checkpoint: str) -> Any:
    """The model with its weights; they are fetched only for a hub name that is not here yet.

    FileNotFoundError for a missing file, ValueError for files that are not a MapAnything's.
    """
    from safetensors.torch import load_file

    found = open_checkpoint(local_folder(checkpoint) or download(checkpoint))
    try:
        model = build(found.config)
    except (AssertionError, AttributeError, LookupError, TypeError, ValueError) as error:
        raise ValueError(f"{found.folder / CONFIG}: MapAnything cannot be built of it: {error!r}") from error
    own = model.state_dict(keep_vars=True)
    state: dict[str, torch.Tensor] = {}
    for path in found.weights:
        state |= load_file(path)
        for name, value in state.items():
            if name in own and value.shape != own[name].shape:
                raise ValueError(
                    f"{path}: got {name} of shape {tuple(value.shape)}; expected {tuple(own[name].shape)}, "
                    f"by {found.folder / CONFIG}"
                )
    result = model.load_state_dict(state, strict=False)
    loaded = {id(own[name]) for name in state if name in own}  # under one of its names
    missing = {id(own[name]): name for name in result.missing_keys if id(own[name]) not in loaded}
    if missing:
        raise ValueError(
            f"{', '.join(map(str, found.weights))}: lacks {len(missing)} tensors, among them "
            f"{min(missing.values())}, that {found.folder / CONFIG} calls for"
        )
    if result.unexpected_keys:
        logger.warning(
            "%s: %d tensors are not used, first %s",
            found.folder, len(result.unexpected_keys), result.unexpected_keys[0],
        )  # fmt: skip
    return model


def build(config: Mapping[str, Any]) -> Any:
    """The network of a config.json, without weights and without a network connection."""
    from mapanything.models.mapanything.model import MapAnything

    known = ("name", "encoder_config", "info_sharing_config", "pred_head_config", "geometric_input_config",
             "use_register_tokens_from_encoder", "info_sharing_mlp_layer_str")  # fmt: skip
    arguments = {key: copy.deepcopy(config[key]) for key in known if key in config}  # it writes into them
    with _vendored_dinov2(), contextlib.redirect_stdout(None):
        return MapAnything(**arguments)


@contextlib.contextmanager
def _vendored_dinov2() -> Iterator[None]:
    """Its encoder asks torch.hub for DINOv2, although MapAnything brings the same code along: answer with
    that, without weights, which the checkpoint has."""
    from mapanything.models.external.dinov2.hub import backbones

    def answer(repository: str, name: str, *_, **__) -> Any:
        if repository != "facebookresearch/dinov2":
            raise OSError(
                f"expected the encoder facebookresearch/dinov2; the checkpoint asks for {repository}"
            )
        return getattr(backbones, name)(pretrained=False)

    with mock.patch.object(torch.hub, "load", answer):
        yield


def _handed_back(views: Sequence[Mapping[str, Any]]) -> tuple[Any, Any]:
    """In place of MapAnything's ``_encode_n_views``: the encodings that come with the views."""
    registers = [view["image_registers"] for view in views]
    return [view["image_features"] for view in views], None if registers[0] is None else registers


def _as_dicts(tensors, per_view, flags, rows: list[int], count: int) -> list[dict[str, Any]]:
    """What MapAnything takes: a dict for each of the ``count`` views, batched over ``rows``."""
    dicts = []
    names = {"intrinsics": "intrinsics", "depth": "depth_z", "pose": "camera_poses"}
    for n in range(count):
        features = torch.stack([per_view[row][n][0] for row in rows])
        registers = [per_view[row][n][1] for row in rows]
        height, width = tensors["depth_z"].shape[-2:]
        view = {
            "img": features.new_zeros(()).expand(len(rows), 3, height, width),  # only its shape is read
            "image_features": features,
            "image_registers": None if registers[0] is None else torch.stack(registers),
        }
        view |= {key: tensors[key][rows, n] for name, key in names.items() if flags[name][rows[0], n]}
        dicts.append(view)
    return dicts


def _pose_matrices(quaternions: torch.Tensor, translations: torch.Tensor) -> torch.Tensor:
    """(..., 4, 4) from unit quaternions xyzw (..., 4) and translations (..., 3)."""
    x, y, z, w = (quaternions / quaternions.norm(dim=-1, keepdim=True)).unbind(-1)
    zero, one = torch.zeros_like(x), torch.ones_like(x)
    a, b, c = translations.unbind(-1)
    rows = [
        1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w), a,
        2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w), b,
        2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y), c,
        zero, zero, zero, one,
    ]  # fmt: skip
    return torch.stack(rows, dim=-1).unflatten(-1, (4, 4))


def _padded(rows: torch.Tensor, longest: int) -> torch.Tensor:
    return (
        torch.cat([rows, rows.new_zeros(longest - len(rows), *rows.shape[1:])])
        if len(rows) < longest
        else rows
    )


def _precision(device: torch.device) -> Any:
    """bfloat16 on a GPU, float32 on a CPU."""
    return torch.autocast(device.type, torch.bfloat16, enabled=device.type == "cuda")
