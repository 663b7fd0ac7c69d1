"""Pictures that were taken, in their order, with what is known of each."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

from scenes.capture.pose_files import Camera
from scenes.capture.stages import CaptureError

PICTURES = (".jpg", ".jpeg", ".png", ".bmp", ".tif", ".tiff", ".webp")


@dataclass(frozen=True)
class Source:
    """A picture that was taken: its name, how to read it (H, W, 3) uint8, and what is known.

    depth   reads the sensor's depth (H, W) float32, metres, 0 = not measured; None where there was no sensor
    camera  what is known of its lens, for the picture or, with depth, for the depth map; None: nothing
    """

    name: str
    read: Callable[[], np.ndarray]
    depth: Callable[[], np.ndarray] | None = None
    camera: Camera | None = None


@dataclass(frozen=True)
class Footage:
    """kind: "rgbd", "posed", "photos" or "film"; sources in the order in which they were taken where
    ``ordered``; count: how many there should be; missing: why sources has fewer; upright: whether the poses'
    +Y is up; beside: films in the folder that are not used."""

    kind: str
    ordered: bool
    count: int
    sources: Callable[[], Iterator[Source]]
    upright: bool = False
    missing: str = "damaged"
    beside: int = 0


def read_picture(path: Path) -> np.ndarray:
    """(H, W, 3) uint8, turned as EXIF says. CaptureError where it cannot be read."""
    try:
        with Image.open(path) as image:
            turned = ImageOps.exif_transpose(image)
            if turned.mode.startswith("I;16"):  # which Pillow would cut off at 255
                return np.repeat((np.asarray(turned) // 257).astype(np.uint8)[..., None], 3, axis=2)
            return np.asarray(turned.convert("RGB"))
    except Exception as error:  # Pillow raises a dozen kinds, by what is damaged
        raise CaptureError(f"{path}: no picture that can be read: {error}") from None
