"""Vertex colours of prototypes: what the pixels that they explain look like."""

from __future__ import annotations

import numpy as np
import torch
from tqdm import tqdm

from spatial_envs.foundation.errors import SceneError
from spatial_envs.prototypes.encoder import SlotEncoder, encoded
from spatial_envs.prototypes.slots import Shapes, SlotState
from spatial_envs.prototypes.target import make_target
from spatial_envs.scenes.depth_frames import DepthSet

PRIOR = 3.0  # pixels' worth of the mean colour at every vertex
DARKEST = 0.02  # as logits have no zero


def color_prototypes(model: SlotEncoder, frames: DepthSet, count: int, slots: int) -> None:
    """Set the bank's vertex colours to the mean colour of the pixels that the encoder's fits of the first
    ``count`` frames explain there: each pixel counts by the prototype's weight in its slot and the vertex's
    in its face. Where few were seen it is near the mean over all. These are colours as seen, in the light."""
    bank = model.bank
    shapes = Shapes.of(bank)
    faces, size = shapes.topology.faces, (bank.sizes.prototypes, len(shapes.topology.vertices))
    seen, total = np.zeros(size), np.zeros((*size, 3))
    for index in tqdm(range(count), desc="colours", leave=False):
        frame = frames.load(index)
        try:
            target = make_target(frame)
        except SceneError:  # next to nothing of it is in the picture
            continue
        given = encoded(model, [target], slots)[0].double().numpy()
        state = SlotState(target, shapes, given, len(target.points))
        rgb = frame.view.rgb.reshape(-1, 3)[target.pixels] / 255.0
        owner = state.squared.argmin(axis=0)
        for k in np.flatnonzero(state.present):
            own = np.flatnonzero(owner == k)
            corners, share = faces[state.faces[k, own]], state.bary[k, own]
            explained = np.zeros((size[1], 4))  # colour and weight
            np.add.at(explained, corners, share[..., None] * np.insert(rgb[own], 3, 1, axis=1)[:, None])
            weights = shapes.weights(state.slots[k])
            seen += weights[:, None] * explained[:, 3]
            total += weights[:, None, None] * explained[:, :3]
    mean = total.sum(axis=(0, 1)) / max(seen.sum(), 1e-9)
    colors = (total + PRIOR * mean) / (seen + PRIOR)[..., None]
    with torch.no_grad():
        bank.color_logits.copy_(torch.as_tensor(colors).clamp(DARKEST, 1 - DARKEST).logit())
