"""How large a room of photographs is, by a printed marker of a known side that lies in it.

The marker is one of OpenCV's ArUco markers, which ``python -m scenes.marker`` draws on a page.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
from PIL import Image

from scenes.capture.pose_files import Camera

DICTIONARY = cv2.aruco.DICT_4X4_50
VIEWS = 3  # pictures that have to show a marker
OFF = 2.0  # pixels by which a corner may be off where the others' place it
SQUARE = 0.03  # of the side, by which sides and diagonals of a square may differ from one


class Measured(NamedTuple):
    """A marker that was triangulated: its side in the unit of the poses, by how much of that its sides and
    diagonals differ from a square's, and how many pictures show it."""

    side: float
    skew: float
    views: int


def measured_markers(pictures: Path, cameras: Iterable[Camera]) -> list[Measured]:
    """The markers that at least three of the cameras' pictures show, the one that most show first.

    pictures: the folder of the cameras' pictures, without distortion, of any size
    """
    seen: dict[int, list[tuple[Camera, np.ndarray]]] = {}
    for camera in cameras:
        with Image.open(pictures / camera.name) as image:
            grey = np.asarray(image.convert("L"))
        full = camera.resized((grey.shape[1], grey.shape[0]))
        for number, corners in detected(grey).items():
            seen.setdefault(number, []).append((full, corners))
    found = [measured(views) for views in seen.values()]
    return sorted((one for one in found if one is not None), key=lambda one: -one.views)


def detected(grey: np.ndarray) -> Mapping[int, np.ndarray]:
    """The corners (4, 2), pixels with centres at +0.5, of each marker in a picture (H, W) uint8, by its
    number; what is there twice is left out."""
    parameters = cv2.aruco.DetectorParameters()
    # the others place corners up to half a pixel too far inside, which makes a small marker 2 to 4 % smaller;
    # and this one's pixel centres are at +0.5 already
    parameters.cornerRefinementMethod = cv2.aruco.CORNER_REFINE_APRILTAG
    dictionary = cv2.aruco.getPredefinedDictionary(DICTIONARY)
    corners, numbers, _ = cv2.aruco.ArucoDetector(dictionary, parameters).detectMarkers(grey)
    each = [] if numbers is None else [int(number) for number in np.ravel(numbers)]
    return {
        number: np.asarray(mine, np.float64).reshape(4, 2)
        for number, mine in zip(each, corners, strict=True)
        if each.count(number) == 1
    }


def measured(views: Sequence[tuple[Camera, np.ndarray]]) -> Measured | None:
    """A marker by the corners (4, 2) that cameras see of it. A picture whose corners are over 2 pixels from
    where the others place them is left out; None where less than three are left."""
    views = list(views)
    while len(views) >= VIEWS:
        corners = np.stack([_triangulated(views, k) for k in range(4)])
        off = []
        for camera, pixels in views:
            u, v, z = camera.project(corners)
            distance = np.linalg.norm(np.stack([u, v], axis=1) - pixels, axis=1).max()
            off.append(distance if (z > 0).all() else np.inf)
        if max(off) <= OFF:
            sides = np.linalg.norm(corners - np.roll(corners, 1, axis=0), axis=1)
            diagonals = np.linalg.norm(corners[:2] - corners[2:], axis=1) / np.sqrt(2)
            every = np.concatenate([sides, diagonals])
            side = float(every.mean())
            return Measured(side, float(np.abs(every / side - 1).max()), len(views))
        views.pop(int(np.argmax(off)))
    return None


def _triangulated(views: Sequence[tuple[Camera, np.ndarray]], corner: int) -> np.ndarray:
    """(3,): the point nearest, by least squares of directions, to the rays of all views through a corner."""
    total, right = np.zeros((3, 3)), np.zeros(3)
    for camera, pixels in views:
        fx, fy, cx, cy = camera.intrinsics
        u, v = pixels[corner]
        ray = camera.pose[:3, :3] @ [(u - cx) / fx, (v - cy) / fy, 1.0]
        ray /= np.linalg.norm(ray)
        across = np.eye(3) - np.outer(ray, ray)
        total += across
        right += across @ camera.pose[:3, 3]
    return np.linalg.lstsq(total, right, rcond=None)[0]
