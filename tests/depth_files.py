"""Writers of small depth data sets, each file in the layout and coding of the real one."""

from __future__ import annotations

import struct
import zlib
from itertools import pairwise
from pathlib import Path

import numpy as np
from PIL import Image
from scipy.spatial.transform import Rotation


def write_png(path: Path, samples: np.ndarray, filters=(0,), parts: int = 1) -> None:
    """A PNG of samples (H, W, C), 8 or 16 bits; rows take the filters in turn; its picture in ``parts``."""
    samples = samples[..., None] if samples.ndim == 2 else samples
    height, width, channels = samples.shape
    size = samples.dtype.itemsize
    rows = samples.astype(f">u{size}").tobytes()
    pixel, stride = channels * size, width * channels * size
    raw = bytearray()
    zero = bytes(stride)
    above = zero
    for i in range(height):
        row = rows[i * stride : (i + 1) * stride]
        kind = filters[i % len(filters)]
        raw.append(kind)
        for k in range(stride):
            left = row[k - pixel] if k >= pixel else 0
            corner = above[k - pixel] if k >= pixel else 0
            paeth = min((left, above[k], corner), key=lambda v: abs(left + above[k] - corner - v))
            guess = (0, left, above[k], (left + above[k]) // 2, paeth)[kind]
            raw.append((row[k] - guess) & 255)
        above = row
    packed = zlib.compress(bytes(raw))
    header = struct.pack(">IIBBBBB", width, height, 8 * size, {1: 0, 2: 4, 3: 2, 4: 6}[channels], 0, 0, 0)
    cut = np.linspace(0, len(packed), parts + 1).astype(int)
    chunks = [(b"IHDR", header), (b"tEXt", b"Comment\0test")]
    chunks += [(b"IDAT", packed[a:b]) for a, b in pairwise(cut)]
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as out:
        out.write(b"\x89PNG\r\n\x1a\n")
        for name, data in [*chunks, (b"IEND", b"")]:
            out.write(struct.pack(">I", len(data)) + name + data)
            out.write(struct.pack(">I", zlib.crc32(name + data)))


def write_jpg(path: Path, size: tuple[int, int], colour: tuple[int, int, int]) -> None:
    """A picture of one colour; size (W, H)."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size, colour).save(path)


def write_text(path: Path, *lines: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


def three(counts: np.ndarray) -> np.ndarray:
    """(H, W, 3) uint16, the same in all channels."""
    return np.repeat(counts.astype(np.uint16)[..., None], 3, axis=2)


class Street:
    """A ground plane and boxes on it, by rays: depth from any pose, without the package's renderer.

    World: metres, Y up, ground y = 0. Boxes are (low, high).
    """

    boxes = (
        ((-4.0, 0.0, -14.0), (-2.0, 1.6, -9.0)),
        ((1.5, 0.0, -18.0), (4.0, 2.5, -12.0)),
        ((-1.0, 0.0, -25.0), (1.0, 3.0, -23.0)),
    )

    def depth(self, pose: np.ndarray, intrinsics: tuple[float, ...], size: tuple[int, int]) -> np.ndarray:
        """(H, W) metres along the optical axis, 0 in the sky; pose OpenCV, intrinsics (fx, fy, cx, cy)."""
        fx, fy, cx, cy = intrinsics
        rows, columns = np.mgrid[: size[0], : size[1]] + 0.5
        rays = np.stack([(columns - cx) / fx, (rows - cy) / fy, np.ones(size)], axis=-1)
        rays = rays @ pose[:3, :3].T
        eye = pose[:3, 3]
        with np.errstate(divide="ignore", invalid="ignore"):
            ground = -eye[1] / rays[..., 1]
            best = np.where(ground > 0, ground, np.inf)
            for low, high in self.boxes:
                near, far = (np.array(low) - eye) / rays, (np.array(high) - eye) / rays
                enter, leave = np.minimum(near, far).max(axis=-1), np.maximum(near, far).min(axis=-1)
                best = np.where((enter <= leave) & (enter > 0), np.minimum(best, enter), best)
        return np.where(np.isfinite(best), best, 0)


def drive(frames: int) -> list[np.ndarray]:
    """Poses (4, 4), OpenCV, world with Y up: along -Z at 1.6 m, turning a little and pitched down."""
    poses = []
    for k in range(frames):
        pose = np.eye(4)
        turn = Rotation.from_euler("YX", [0.06 * k - 0.03, -0.05]).as_matrix()
        pose[:3, :3] = turn @ np.diag([1.0, -1.0, -1.0])
        pose[:3, 3] = 0.2 * k, 1.6, 1.0 - 1.2 * k
        poses.append(pose)
    return poses
