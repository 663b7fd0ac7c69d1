"""The observation "voxels": what the measured depth of an episode's views has told about space."""

from __future__ import annotations

import numpy as np

from spatial_envs.geometry.voxels import VoxelGrid
from spatial_envs.nbv.candidates import GRID_SIDE
from spatial_envs.nbv.episode import Episode

VOXELS = 32  # along a side of the cube


def occupancy(episode: Episode) -> np.ndarray:
    """(32, 32, 32) uint8: of each voxel of a cube of 1.1 m round the object's centre, along the frame's axes,
    the probability that it is occupied, 255 = 1; 128 is unknown."""
    if episode.voxels is None:
        episode.voxels = VoxelGrid(GRID_SIDE, VOXELS)
    turn = np.eye(4)
    turn[:3, :3] = episode.frame_to_world[:3, :3].T  # about the object's centre, whatever the frame's origin
    for view in episode.views[episode.voxels.count :]:
        episode.voxels.add(view.moved(turn))
    return np.round(255 / (1 + np.exp(-episode.voxels.log_odds))).astype(np.uint8)
