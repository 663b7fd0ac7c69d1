"""Seeded objects of great variety: what next-best-view agents train on when nobody has a data set.

Two ways of making a closed surface, and every family uses one of them:
- a *lattice*: rings of points, joined to their neighbours (smooth.py: superquadrics, lofts, tubes, ...);
- a *solid*: primitives united with, or cut out of, one another as a signed distance field, whose surface
  is found by dual contouring (household.py, structures.py, nature.py: all with handles and holes; scans.py:
  more compact, printed).

Builders work in metres, Y up, at a size of about one; `procedural_object` turns and normalises the result.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from math import tau

import numpy as np

from spatial_envs.geometry.mesh import Mesh
from spatial_envs.geometry.rotations import rotation
from spatial_envs.procedural.objects.household import cage, chair, lamp, mug, shelf, table
from spatial_envs.procedural.objects.nature import creature, sponge, tree
from spatial_envs.procedural.objects.scans import SCAN_FAMILIES
from spatial_envs.procedural.objects.smooth import blob, loft, superquadric, tube, vessel
from spatial_envs.procedural.objects.structures import bracket, building, vehicle

FAMILIES: dict[str, Callable[[np.random.Generator], Mesh]] = {
    "superquadric": superquadric,
    "blob": blob,
    "vessel": vessel,
    "loft": loft,
    "tube": tube,
    "mug": mug,
    "creature": creature,
    "table": table,
    "shelf": shelf,
    "lamp": lamp,
    "building": building,
    "bracket": bracket,
    "tree": tree,
    "cage": cage,
    "sponge": sponge,
    "chair": chair,
    "vehicle": vehicle,
    **SCAN_FAMILIES,
}
TEST_FAMILIES: tuple[str, ...] = ("chair", "vehicle")  # never trained on: split "test_category"
TRAIN_FAMILIES: tuple[str, ...] = tuple(
    name for name in FAMILIES if name not in TEST_FAMILIES and name not in SCAN_FAMILIES
)
TEST_SCANS: tuple[str, ...] = ("appliance",)
TRAIN_SCANS: tuple[str, ...] = tuple(name for name in SCAN_FAMILIES if name not in TEST_SCANS)


def procedural_object(seed: int, families: Sequence[str] = TRAIN_FAMILIES) -> Mesh:
    """The object of this seed: watertight, 1,000-20,000 triangles, normalised (diameter 1 m), Y up.

    families: names out of `FAMILIES`, one of which the seed chooses uniformly.
    """
    unknown = [name for name in families if name not in FAMILIES]
    if unknown or not families:
        raise ValueError(f"families: got {list(families)}; expected some of {', '.join(FAMILIES)}")
    rng = np.random.default_rng(seed)
    mesh = FAMILIES[families[int(rng.integers(len(families)))]](rng)
    turned = mesh.vertices @ rotation(y=rng.uniform(0, tau)).astype(np.float32)
    return replace(mesh, vertices=turned).normalised()
