"""From a depth file to its values as they are stored, whatever its form."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image

from spatial_envs.foundation.errors import SceneError
from spatial_envs.scenes.png import read_png


def stored(path: Path) -> np.ndarray:
    """The values of a file as they are: (H, W), or (H, W, C) with C > 1, integers or floats, of .png, .tiff,
    .pgm, .npy, .npz (one array, or "depth") or .exr (its Z, or only, channel). Raises SceneError."""
    suffix = path.suffix.lower()
    if suffix not in READERS:
        raise SceneError(f"{path}: unsupported ending {suffix!r}; supported: {' '.join(READERS)}")
    values = READERS[suffix](path)
    values = values[..., 0] if values.ndim == 3 and values.shape[2] == 1 else values
    shape_fits = values.ndim == 2 or (values.ndim == 3 and suffix == ".png")
    if not shape_fits or 0 in values.shape or values.dtype.kind not in "fiu":
        raise SceneError(
            f"{path}: got an array {values.shape} {values.dtype}; expected depth (H, W) or (H, W, 1), floats "
            "or integers"
        )
    return values


def _numpy(path: Path) -> np.ndarray:
    try:
        content = np.load(path, allow_pickle=False)
        if isinstance(content, np.ndarray):
            return content
        with content:
            names = content.files
            if "depth" not in names and len(names) != 1:
                raise SceneError(f"{path}: has arrays {', '.join(names) or 'none'}; expected one, or 'depth'")
            return content["depth" if "depth" in names else names[0]]
    except SceneError:
        raise
    except Exception as error:  # NumPy and zipfile raise a dozen kinds, by what is damaged
        raise SceneError(f"{path}: no {path.suffix} file that can be read: {error}") from None


def _tiff(path: Path) -> np.ndarray:
    try:
        with Image.open(path, formats=["TIFF"]) as image:
            return np.asarray(image).astype(np.uint16) if image.mode.startswith("I;16") else np.asarray(image)
    except Exception as error:  # Pillow raises a dozen kinds, by what is damaged
        raise SceneError(
            f"{path}: no TIFF that can be read; expected one channel of 16 or 32 bits: {error}"
        ) from None


def _pgm(path: Path) -> np.ndarray:
    """Netpbm's binary grey, 8 or 16 bits, which Pillow stretches to the full range."""
    try:
        content = path.read_bytes()
    except OSError as error:
        raise SceneError(f"{path}: cannot be read: {error.strerror}") from None
    space = rb"(?:\s|#[^\n]*\n)+"
    header = re.match(
        rb"P5" + space + rb"(\d{1,6})" + space + rb"(\d{1,6})" + space + rb"(\d{1,5})\s", content
    )
    if header is None:
        raise SceneError(f"{path}: no binary PGM: it begins with {content[:8]!r}; expected 'P5'")
    width, height, most = (int(number) for number in header.groups())
    kind = np.dtype(">u2" if most > 255 else "u1")
    if len(content) - header.end() < width * height * kind.itemsize:
        raise SceneError(f"{path}: is cut short: {len(content)} bytes for {width} x {height} pixels")
    values = np.frombuffer(content, kind, width * height, header.end()).reshape(height, width)
    return values.astype(kind.newbyteorder("="))


def _exr(path: Path) -> np.ndarray:
    try:
        import OpenEXR
    except ImportError:
        raise SceneError(f"{path}: .exr needs OpenEXR: pip install OpenEXR") from None
    try:
        with OpenEXR.File(str(path), separate_channels=True) as file:
            channels = {name: channel.pixels for name, channel in file.channels().items()}
    except Exception as error:  # of the library's own kinds
        raise SceneError(f"{path}: no EXR that can be read: {error}") from None
    named = [name for name in channels if name.rpartition(".")[2].lower() in ("z", "depth", "y", "v")]
    same = all(np.array_equal(pixels, next(iter(channels.values()))) for pixels in channels.values())
    if len(named) != 1 and not same:
        raise SceneError(f"{path}: has channels {', '.join(channels)}; expected Z, or one")
    return channels[named[0]] if named else next(iter(channels.values()))


READERS: dict[str, Callable[[Path], np.ndarray]] = {
    ".png": read_png,
    ".tiff": _tiff,
    ".tif": _tiff,
    ".pgm": _pgm,
    ".npy": _numpy,
    ".npz": _numpy,
    ".exr": _exr,
}
