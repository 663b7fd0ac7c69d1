"""From a depth map to slots: a small ResNet over the picture, and one query for each slot that starts at a
group of points."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import cast

import numpy as np
import torch
import torch.nn.functional as F
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import nn

from spatial_envs.foundation.arguments import check_range
from spatial_envs.geometry.camera import transform_points, unproject
from spatial_envs.prototypes.bank import BankSizes, PrototypeBank, read_module
from spatial_envs.prototypes.pieces import pieces
from spatial_envs.prototypes.superquadric import ellipsoid
from spatial_envs.prototypes.target import Target

SHIPPED = Path(__file__).with_name("encoder.safetensors")
HEIGHT = 72  # pixels that the network sees from top to bottom
CHANNELS = 9  # to explain or not, measured or not, position, normal, one over depth
GROUP = 10  # share of the points, centre and half extents of their upright box, its yaw, one
FAR = 4.0  # units: positions are cut off there


@dataclass(frozen=True)
class EncoderSizes:
    """Widths of the three stages of the ResNet and of the queries, and the number of decoder layers."""

    stages: tuple[int, int, int] = (32, 64, 128)
    width: int = 128
    layers: int = 3


@dataclass(frozen=True, eq=False)
class Picture:
    """What the network sees of B targets; lengths in each target's unit, frame as the target's.

    image   (B, 9, H, W) float32, the channels as in CHANNELS
    labels  (B, H, W) int64: the group of each pixel to explain; -1 elsewhere
    groups  (B, K, 10) float32: of each group the share of points, the centre and half extents of the upright
            box of its points, sine and cosine of twice the box's yaw, and 1 (0: no such group)
    """

    image: torch.Tensor
    labels: torch.Tensor
    groups: torch.Tensor


class SlotEncoder(nn.Module):
    """A depth map to K slots of a bank, which it brings along; K is that of the groups it is given."""

    def __init__(self, sizes: EncoderSizes | None = None, bank: PrototypeBank | None = None) -> None:
        super().__init__()
        self.sizes = sizes = sizes or EncoderSizes()
        self.bank = bank or PrototypeBank()
        first, second, third = sizes.stages
        width = sizes.width
        for name, value in (*(("stages", stage) for stage in sizes.stages), ("width", width)):
            check_range(name, value, 1, 4096, int)
        check_range("layers", sizes.layers, 1, 100, int)
        self.stem = nn.Sequential(
            nn.Conv2d(CHANNELS, first, 3, 2, 1, bias=False), nn.BatchNorm2d(first), nn.ReLU()
        )
        self.fine = nn.Sequential(Residual(first, first), Residual(first, second, 2))
        self.coarse = nn.Sequential(
            Residual(second, second), Residual(second, third, 2), Residual(third, third)
        )
        self.tokens = nn.Linear(third + 4, width)
        self.query = nn.Linear(second + GROUP, width)
        self.layers = nn.ModuleList(Decoder(width) for _ in range(sizes.layers))
        self.head = nn.Sequential(
            nn.LayerNorm(width),
            nn.Linear(width, 2 * width),
            nn.GELU(),
            nn.Linear(2 * width, 1 + 3 + 4 + self.bank.sizes.prototypes + 1),
        )
        self.sharpness = nn.Parameter(torch.tensor(10.0))
        last = self.head[-1]
        assert isinstance(last, nn.Linear)
        nn.init.normal_(last.weight, std=0.01)
        nn.init.zeros_(last.bias)
        with torch.no_grad():
            last.bias[4] = 1.0  # the cosine of the yaw
            last.bias[-1] = -2.0  # there is something

    def forward(self, picture: Picture, units: torch.Tensor) -> torch.Tensor:
        """Slots (B, K, 7 + P + 1), metres; units (B,), metres, as of the targets."""
        image, groups = picture.image, picture.groups
        fine = self.fine(self.stem(image))  # a quarter of the size
        coarse = self.coarse(fine)
        size = (coarse.shape[-2], coarse.shape[-1])
        place = F.adaptive_avg_pool2d(image[:, [0, 2, 3, 4]], size)
        tokens = self.tokens(torch.cat([coarse, place], dim=1).flatten(2).transpose(1, 2))
        grid = F.interpolate(fine, image.shape[-2:], mode="nearest").flatten(2)
        chosen = F.one_hot(picture.labels.flatten(1) + 1, groups.shape[1] + 1)[..., 1:].to(grid.dtype)
        pooled = torch.einsum("bcn,bnk->bkc", grid, chosen) / chosen.sum(1).clamp_min(1)[..., None]
        queries = self.query(torch.cat([pooled, groups], dim=-1))
        for layer in self.layers:
            queries = layer(queries, tokens)
        raw = self.head(queries)
        box = groups[..., 4:7].clamp_min(0.01)  # starts the scale, and says which prototypes are like it
        extent = box.amax(dim=-1).clamp_min(0.05)
        unlike = ((box / extent[..., None])[..., None, :] - self.bank.extents()) ** 2
        alike = torch.cat([-self.sharpness * unlike.sum(-1), torch.zeros_like(raw[..., :1])], dim=-1)
        scale = extent * raw[..., 0].clamp(-3, 3).exp()
        position = groups[..., 1:4] + raw[..., 1:4].clamp(-3, 3)
        yaw = torch.atan2(groups[..., 7], groups[..., 8]) / 2 + torch.atan2(raw[..., 5], raw[..., 4] + 1e-6)
        tilt = 0.6 * torch.tanh(raw[..., 6:8])
        lengths = torch.cat([scale[..., None], position], dim=-1) * units[:, None, None]
        return torch.cat([lengths, yaw[..., None], tilt, raw[..., 8:] + alike], dim=-1)

    def save(self, path: Path) -> None:
        """Write network and bank as safetensors in half precision, the sizes in the metadata."""
        tensors = {
            name: value.detach().half().cpu().contiguous() for name, value in self.state_dict().items()
        }
        sizes = {"encoder": asdict(self.sizes), "bank": asdict(self.bank.sizes)}
        path.write_bytes(save(tensors, {"sizes": json.dumps(sizes)}))

    @classmethod
    def load(cls, path: Path) -> SlotEncoder:
        """Read what ``save`` wrote; ValueError, with the file's name, for anything else."""

        def build(sizes: dict) -> SlotEncoder:
            own = sizes["encoder"]
            first, second, third = own.pop("stages")
            return cls(EncoderSizes((first, second, third), **own), PrototypeBank(BankSizes(**sizes["bank"])))

        return cast(SlotEncoder, read_module(path, build)).eval()


def bank_sizes(path: Path) -> BankSizes:
    """Return the sizes of the bank in an encoder's file, from its first bytes. FileNotFoundError, or
    ValueError with its name."""
    if not Path(path).is_file():
        raise FileNotFoundError(f"{path}: no such file; expected weights as safetensors")
    try:
        with safe_open(path, "pt") as file:
            return BankSizes(**json.loads((file.metadata() or {})["sizes"])["bank"])
    except (KeyError, TypeError, SafetensorError, json.JSONDecodeError) as error:
        raise ValueError(f"{path}: not the weights of an encoder and its bank: {error}") from error


def picture_of(targets: list[Target], labels: list[np.ndarray], slots: int) -> tuple[Picture, torch.Tensor]:
    """What the network sees of the targets, with each one's points in up to ``slots`` groups, labels (N,),
    and the units (B,). The pictures must be of one size."""
    images, pixels, groups = [], [], []
    for target, found in zip(targets, labels, strict=True):
        image, kept = _image(target)
        label = np.full(target.depth.size, -1, np.int64)
        label[target.pixels] = found
        rows = np.zeros((slots, GROUP), np.float32)
        for k in np.unique(found):
            own = target.points[found == k] / target.unit
            box = ellipsoid(own)
            share, yaw = len(own) / len(found), 2 * box[5]
            rows[k] = [share, *box[8:], *np.exp(box[:3]), np.sin(yaw), np.cos(yaw), 1]
        images.append(image)
        pixels.append(label.reshape(target.depth.shape)[kept])
        groups.append(rows)
    picture = Picture(*(torch.as_tensor(np.stack(each)) for each in (images, pixels, groups)))
    return picture, torch.tensor([target.unit for target in targets])


def encoded(model: SlotEncoder, targets: list[Target], slots: int) -> torch.Tensor:
    """Slots (B, K, 7 + P + 1), metres, of targets of one picture size, from their `pieces`; a slot for which
    there is no piece is absent."""
    picture, units = picture_of(targets, [pieces(target, slots) for target in targets], slots)
    with torch.no_grad():
        given = model(picture, units)
    given[..., -1] = torch.where(
        picture.groups[..., -1] > 0, given[..., -1], torch.full_like(given[..., -1], 30)
    )
    return given


def _image(target: Target) -> tuple[np.ndarray, tuple[np.ndarray, np.ndarray]]:
    """(9, 72, W') float32, and the rows and columns that were kept: the nearest to an even grid."""
    height, width = target.depth.shape
    rows = ((np.arange(HEIGHT) + 0.5) * height / HEIGHT).astype(int)
    across = max(8, round(HEIGHT * width / height / 8) * 8)
    kept = np.ix_(rows, ((np.arange(across) + 0.5) * width / across).astype(int))
    camera = unproject(target.depth, target.intrinsics, np.eye(4, dtype=np.float32))
    pose = target.cam_to_frame.astype(np.float32)
    points = transform_points(pose, camera.reshape(-1, 3)).reshape(height, width, 3)[kept]
    measured = (target.depth > 0)[kept]
    wanted = np.zeros(target.depth.size, np.float32)
    wanted[target.pixels] = 1
    place = (points / target.unit).clip(-FAR, FAR) * measured[..., None]
    down, right = np.gradient(points, axis=(0, 1))
    normal = np.cross(down, right)
    normal /= np.maximum(np.linalg.norm(normal, axis=-1, keepdims=True), 1e-9)
    nearness = np.where(measured, target.unit / np.maximum(target.depth[kept], 1e-3), 0).clip(0, FAR)
    layers = [wanted.reshape(height, width)[kept], measured, *np.moveaxis(place, -1, 0)]
    layers += [*np.moveaxis(normal * measured[..., None], -1, 0), nearness]
    return np.stack(layers).astype(np.float32), kept


class Residual(nn.Module):
    """Two 3 x 3 convolutions and the way past them (He et al. 2016)."""

    def __init__(self, before: int, after: int, stride: int = 1) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(before, after, 3, stride, 1, bias=False),
            nn.BatchNorm2d(after),
            nn.ReLU(),
            nn.Conv2d(after, after, 3, 1, 1, bias=False),
            nn.BatchNorm2d(after),
        )
        same = before == after and stride == 1
        self.past = nn.Identity() if same else nn.Conv2d(before, after, 1, stride, bias=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(B, C, H, W) to (B, C', H / stride, W / stride)."""
        return F.relu(self.body(x) + self.past(x))


class Decoder(nn.Module):
    """Queries look at each other, then at the picture, then think (Vaswani et al. 2017)."""

    def __init__(self, width: int, heads: int = 4) -> None:
        super().__init__()
        self.norms = nn.ModuleList(nn.LayerNorm(width) for _ in range(3))
        self.among = nn.MultiheadAttention(width, heads, batch_first=True)
        self.across = nn.MultiheadAttention(width, heads, batch_first=True)
        self.mlp = nn.Sequential(nn.Linear(width, 3 * width), nn.GELU(), nn.Linear(3 * width, width))

    def forward(self, queries: torch.Tensor, tokens: torch.Tensor) -> torch.Tensor:
        """(B, K, D), (B, T, D) to (B, K, D)."""
        x = self.norms[0](queries)
        queries = queries + self.among(x, x, x, need_weights=False)[0]
        x = self.norms[1](queries)
        queries = queries + self.across(x, tokens, tokens, need_weights=False)[0]
        return queries + self.mlp(self.norms[2](queries))
