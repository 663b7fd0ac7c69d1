"""The bank of prototypes: learned deformations of one sphere, and the slots that blend and place them."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import cast

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import nn

from spatial_envs.foundation.arguments import check_choice, check_range
from spatial_envs.prototypes.sphere import Sphere, harmonics, sphere

# half extents that the first prototypes start from, of the widest: balls, plates, rods, blocks
PROPORTIONS = (
    (1, 1, 1), (1, 0.5, 1), (1, 0.15, 1), (0.5, 1, 0.5), (0.2, 1, 0.2), (1, 0.3, 0.3),
    (1, 0.9, 0.5), (1, 0.5, 0.5), (0.6, 1, 0.25), (1, 0.25, 0.55), (1, 0.75, 0.2), (0.3, 0.5, 1),
)  # fmt: skip
POSE = 7  # numbers of a slot before its logits: scale, x, y, z, yaw, pitch, roll
FLATTEST = 0.08  # of the widest: how flat a smooth shape may be along an axis


@dataclass(frozen=True)
class BankSizes:
    """What a bank is built from.

    prototypes    P, how many there are
    subdivisions  of the sphere: 10 * 4^n + 2 vertices
    deformation   "smooth" or "free", see ``PrototypeBank``
    degree        of the harmonics of smooth deformations
    bound         of smooth bumps, in sphere radii
    shared_parts  Q: 0 = every prototype is one deformed sphere of its own; else the size of the bank of
                  deformed spheres that all prototypes are assembled from
    parts         M: how many of them make up one prototype
    """

    prototypes: int = 8
    subdivisions: int = 3
    deformation: str = "smooth"
    degree: int = 6
    bound: float = 0.8
    shared_parts: int = 0
    parts: int = 1


class PrototypeBank(nn.Module):
    """P prototypes, each a learned deformation of one sphere that is not trained.

    A slot is ``[scale, x, y, z, yaw, pitch, roll, logits...]``, with P + 1 logits:

    - scale, x, y, z in metres; angles in radians. A vertex v of the shape goes to
      ``scale * Ry(yaw) Rx(pitch) Rz(roll) v + (x, y, z)``: yaw about Y (up), then pitch about the turned X,
      then roll about the turned Z, each by the right-hand rule (`rotation`).
    - The shape is the blend of the prototypes' vertices by the softmax of the first P logits.
    - The last logit is for "no shape here": the slot's presence is 1 - softmax(all logits)[P].

    ``deformation="smooth"`` (default). A shape is the sphere's vertices u moved by a vector field of low
    rank,

        v(u) = stretch * (u + sum over l = 2..degree, m of c_lm Y_lm(u)),   c_lm, stretch in R^3,

    with the stretch along each axis in (0.08, 1), and the bumps' energy sum l (l + 1) |c_lm|^2 kept below
    E^2 by c = E raw / sqrt(1 + |raw|^2). By the Cauchy-Schwarz inequality and the addition theorem
    sum_m Y_lm^2 = (2l + 1) / 4 pi, no vertex moves farther than ``bound`` (0.8) radii for
    E = bound / sqrt(sum (2l + 1) / (4 pi l (l + 1))); and as the energy is that of the field's gradient, it
    cannot be crumpled either. All this is shared by the whole data set: one scene has only 7 + P + 1 numbers
    for each slot, and a blend of bounded shapes is bounded alike. So no slot can be wrapped on a depth map:
    that takes as many free numbers as there are pixels, jumps at every silhouette where these fields have no
    detail finer than 180 degrees / degree, and spikes of the depth's range over the object's size.

    ``deformation="free"``: every vertex has its own offset, as in the plain formulation, cheats included.

    With ``shared_parts=Q`` a prototype is assembled from M ``parts``: each a blend (softmax) of the Q shared
    shapes, with a scale and a pose of its own, learned too. It then has M times the vertices.
    """

    def __init__(self, sizes: BankSizes | None = None, seed: int = 0) -> None:
        super().__init__()
        self.sizes = sizes = sizes or BankSizes()
        check_choice("deformation", sizes.deformation, ("smooth", "free"))
        check_range("prototypes", sizes.prototypes, 1, 256, int)
        check_range("degree", sizes.degree, 2, 12, int)
        check_range("bound", sizes.bound, 0.0, 0.95)
        check_range("shared_parts", sizes.shared_parts, 0, 256, int)
        check_range("parts", sizes.parts, 1, 16, int)
        if sizes.parts > 1 and not sizes.shared_parts:
            raise ValueError(f"parts: got {sizes.parts} without shared parts; expected shared_parts from 1")
        self.topology: Sphere = sphere(sizes.subdivisions, sizes.parts)
        one = sphere(sizes.subdivisions)
        directions = torch.tensor(one.vertices)
        self.register_buffer("directions", directions, persistent=False)
        elementary = sizes.shared_parts or sizes.prototypes
        rng = torch.Generator().manual_seed(seed)

        def normal(*shape: int) -> torch.Tensor:
            return torch.randn(*shape, generator=rng)

        self.energies: torch.Tensor
        self.waves: torch.Tensor
        self.directions: torch.Tensor
        if sizes.deformation == "smooth":
            columns = slice(4, (sizes.degree + 1) ** 2)  # degree 0 would move, degree 1 stretch
            waves = torch.tensor(harmonics(one.vertices, sizes.degree)[:, columns], dtype=torch.float32)
            degrees = torch.tensor([n for n in range(2, sizes.degree + 1) for _ in range(2 * n + 1)])
            self.register_buffer("waves", waves, persistent=False)
            self.register_buffer("energies", (degrees * (degrees + 1)).float(), persistent=False)
            reach = sum((2 * n + 1) / (4 * math.pi * n * (n + 1)) for n in range(2, sizes.degree + 1))
            self.energy = sizes.bound / math.sqrt(reach)
            known = torch.tensor([PROPORTIONS[k % len(PROPORTIONS)] for k in range(elementary)])
            share = ((known - FLATTEST) / (1 - FLATTEST)).clamp(0.02, 0.98)
            self.stretch_raw = nn.Parameter(share.logit() + 0.1 * normal(elementary, 3))
            self.bumps_raw = nn.Parameter(0.02 * normal(elementary, waves.shape[1], 3))
        else:
            self.offsets = nn.Parameter(0.02 * normal(elementary, len(directions), 3))
        self.color_logits = nn.Parameter(0.1 * normal(elementary, len(directions), 3))
        if sizes.shared_parts:
            start = torch.zeros(sizes.prototypes, sizes.parts, POSE)
            start[..., 0] = math.log(0.6)
            start[..., 1:4] = 0.4 * normal(sizes.prototypes, sizes.parts, 3)
            self.part_poses = nn.Parameter(start)  # log scale, position in sphere radii, angles
            self.part_logits = nn.Parameter(normal(sizes.prototypes, sizes.parts, sizes.shared_parts))

    @property
    def slot_size(self) -> int:
        """Numbers in a slot: 7 + P + 1."""
        return POSE + self.sizes.prototypes + 1

    def deformations(self) -> torch.Tensor:
        """(P or Q, V, 3): the elementary shapes less the sphere, in sphere radii."""
        if self.sizes.deformation == "free":
            return self.offsets
        size = (self.energies[:, None] * self.bumps_raw**2).sum(dim=(1, 2), keepdim=True)
        bumps = self.energy * self.bumps_raw / torch.sqrt(1 + size)
        stretch = FLATTEST + (1 - FLATTEST) * torch.sigmoid(self.stretch_raw)
        moved = self.directions + torch.einsum("vs,psk->pvk", self.waves, bumps)
        return stretch[:, None] * moved - self.directions

    def shapes(self) -> torch.Tensor:
        """(P, V M, 3): the prototypes, in sphere radii."""
        elementary = self.directions + self.deformations()
        if not self.sizes.shared_parts:
            return elementary
        parts = torch.einsum("pmq,qvk->pmvk", self.part_logits.softmax(-1), elementary)
        turned = parts @ rotation(self.part_poses[..., 4:]).transpose(-1, -2)
        scale = self.part_poses[..., 0].clamp(-3, 0).exp()[..., None, None]
        return (scale * turned + self.part_poses[..., None, 1:4].clamp(-1, 1)).flatten(1, 2)

    def colors(self) -> torch.Tensor:
        """(P, V M, 3) in (0, 1): the prototypes' vertex colours."""
        if not self.sizes.shared_parts:
            return self.color_logits.sigmoid()
        blended = torch.einsum("pmq,qvk->pmvk", self.part_logits.softmax(-1), self.color_logits)
        return blended.flatten(1, 2).sigmoid()

    def extents(self) -> torch.Tensor:
        """(P, 3): half extents of the prototypes' boxes, in sphere radii."""
        shapes = self.shapes()
        return (shapes.amax(dim=1) - shapes.amin(dim=1)) / 2

    def weights(self, slots: torch.Tensor, temperature: float = 1.0) -> torch.Tensor:
        """(..., P): the softmax of the prototypes' logits of slots (..., 7 + P + 1)."""
        return (self._checked(slots)[..., POSE:-1] / temperature).softmax(-1)

    def presence(self, slots: torch.Tensor) -> torch.Tensor:
        """(...): the probability that there is a shape in each of the slots (..., 7 + P + 1)."""
        return 1 - self._checked(slots)[..., POSE:].softmax(-1)[..., -1]

    def forward(
        self, slots: torch.Tensor, temperature: float = 1.0, shapes: torch.Tensor | None = None
    ) -> torch.Tensor:
        """Vertices (..., V M, 3), metres, of slots (..., 7 + P + 1); ``shapes`` (P, V M, 3) where the caller
        has them already."""
        shapes = self.shapes() if shapes is None else shapes
        blended = torch.einsum("...p,pvk->...vk", self.weights(slots, temperature), shapes)
        return placed(slots, blended)

    def each(self, slots: torch.Tensor) -> torch.Tensor:
        """(..., P, V M, 3), metres: every prototype unblended at the slot's place, for losses that are
        weighed per prototype instead."""
        self._checked(slots)
        return placed(slots[..., None, :], self.shapes())

    def blended_colors(self, slots: torch.Tensor) -> torch.Tensor:
        """(..., V M, 3) in (0, 1): vertex colours of slots (..., 7 + P + 1)."""
        return torch.einsum("...p,pvk->...vk", self.weights(slots), self.colors())

    def _checked(self, slots: torch.Tensor) -> torch.Tensor:
        if slots.shape[-1] != self.slot_size:
            raise ValueError(
                f"slots: got shape {tuple(slots.shape)}; expected (..., {self.slot_size}): scale, x, y, z, "
                f"yaw, pitch, roll, {self.sizes.prototypes} logits of prototypes and one of absence"
            )
        return slots

    def save(self, path: Path) -> None:
        """Write the bank as safetensors, its sizes in the metadata."""
        tensors = {name: value.detach().cpu().contiguous() for name, value in self.state_dict().items()}
        path.write_bytes(save(tensors, {"sizes": json.dumps(asdict(self.sizes))}))

    @classmethod
    def load(cls, path: Path) -> PrototypeBank:
        """Read a bank that ``save`` wrote; ValueError, with the file's name, for anything else."""
        return cast(PrototypeBank, read_module(path, lambda sizes: cls(BankSizes(**sizes))))


def read_module(path: Path, build: Callable[[dict], nn.Module]) -> nn.Module:
    """The module that ``build`` makes of the sizes in a safetensors file's metadata, with its tensors, all of
    them and no others. FileNotFoundError, or ValueError with the file's name."""
    if not Path(path).is_file():
        raise FileNotFoundError(f"{path}: no such file; expected weights as safetensors")
    try:
        with safe_open(path, "pt") as file:
            sizes = json.loads((file.metadata() or {})["sizes"])
            tensors = {name: file.get_tensor(name).float() for name in file.keys()}  # noqa: SIM118
        module = build(sizes)
        module.load_state_dict(tensors, strict=True)
    except (KeyError, RuntimeError, SafetensorError, TypeError, json.JSONDecodeError) as error:
        raise ValueError(f"{path}: not what was expected here: {error}") from error
    return module


def rotation(angles: torch.Tensor) -> torch.Tensor:
    """(..., 3, 3): Ry(yaw) Rx(pitch) Rz(roll) for angles (..., 3) = yaw, pitch, roll, radians."""
    (cy, cx, cz), (sy, sx, sz) = angles.cos().unbind(-1), angles.sin().unbind(-1)
    rows = [
        cy * cz + sy * sx * sz, sy * sx * cz - cy * sz, sy * cx,
        cx * sz, cx * cz, -sx,
        cy * sx * sz - sy * cz, sy * sz + cy * sx * cz, cy * cx,
    ]  # fmt: skip
    return torch.stack(rows, dim=-1).unflatten(-1, (3, 3))


def placed(slots: torch.Tensor, shape: torch.Tensor) -> torch.Tensor:
    """The shapes (..., V, 3) at the scale and pose of their slots (..., 7 or more)."""
    turned = shape @ rotation(slots[..., 4:POSE]).transpose(-1, -2)
    return slots[..., :1, None] * turned + slots[..., None, 1:4]
