"""Prototypes: a few learned shapes, deformations of one sphere, that explain depth maps.

sphere.py     the sphere that is never trained
bank.py       ``PrototypeBank``: slots [scale, x, y, z, yaw, pitch, roll, logits...] to surfaces
distance.py   from points to those surfaces, compiled, with gradients for torch
losses.py     what fits are trained with
encoder.py    from depth maps to slots; the trained one, and the bank in it, are beside it (encoder.md)
refine.py     slots made better on one depth map
kmeans.py, superquadric.py, turn.py  the classical tools
"""

from spatial_envs.prototypes.bank import PrototypeBank, rotation
from spatial_envs.prototypes.sphere import Sphere, sphere

__all__ = ["PrototypeBank", "Sphere", "rotation", "sphere"]
