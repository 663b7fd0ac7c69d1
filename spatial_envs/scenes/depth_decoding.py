"""From the bytes of a depth file to metres along the optical axis, as each data set encodes them.

Every function takes a path and returns (H, W) float32, metres, 0 where the file has no measurement, or raises
SceneError that names the file, what was got and what was expected.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from spatial_envs.foundation.errors import SceneError
from spatial_envs.scenes.png import read_png


def centimetres(path: Path) -> np.ndarray:
    """SYNTHIA: 16-bit PNG, the same centimetres in all three channels; 0 and 65535 are no measurement."""
    samples = read_png(path)
    if samples.dtype != np.uint16:
        raise SceneError(f"{path}: {_got(samples)}; expected centimetres in 16 bits")
    if samples.shape[2] >= 3 and (samples[..., :1] != samples[..., 1:3]).any():
        raise SceneError(f"{path}: its channels differ; expected the same centimetres in all of them")
    return _counts(samples[..., 0], 100.0)


def packed_rgb(path: Path) -> np.ndarray:
    """SYNTHIA-SF: 8-bit RGB, (R + 256 G + 65536 B) / (256^3 - 1) * 1000 m; both ends are no measurement."""
    samples = read_png(path)
    if samples.dtype != np.uint8 or samples.shape[2] < 3:
        raise SceneError(f"{path}: {_got(samples)}; expected RGB of 8 bits, R + 256 G + 65536 B")
    count = samples[..., :3].astype(np.int64) @ [1, 256, 65536]
    most = 256**3 - 1
    return np.where((count > 0) & (count < most), count * (1000.0 / most), 0).astype(np.float32)


def centimetres_grey(path: Path) -> np.ndarray:
    """Virtual KITTI 2: 16-bit grey PNG, centimetres; 65535 is the sky."""
    return _counts(_grey16(path), 100.0)


def millimetres(path: Path) -> np.ndarray:
    """ScanNet: 16-bit grey PNG, millimetres; 0 and 65535 are no measurement."""
    return _counts(_grey16(path), 1000.0)


def replica(path: Path) -> np.ndarray:
    """Replica as rendered for NICE-SLAM: 16-bit grey PNG, 6553.5 to the metre; 0 is no measurement."""
    samples = _grey16(path)
    return (samples / np.float32(6553.5)).astype(np.float32)


def array(path: Path) -> np.ndarray:
    """.npy (H, W): floats are metres, integers millimetres; what is not finite or not positive is 0."""
    try:
        values = np.load(path, allow_pickle=False)
    except (OSError, ValueError, EOFError, SyntaxError, MemoryError) as error:
        raise SceneError(f"{path}: no .npy file that can be read: {error}") from None
    if (
        not isinstance(values, np.ndarray)
        or values.ndim != 2
        or 0 in values.shape
        or values.dtype.kind not in "fiu"
    ):
        got = getattr(values, "shape", type(values).__name__), getattr(values, "dtype", "")
        raise SceneError(f"{path}: got an array {got[0]} {got[1]}; expected depth (H, W), floats or integers")
    if values.dtype.kind in "iu":
        values = values / 1000.0
    with np.errstate(over="ignore"):
        values = values.astype(np.float32)
    return np.where(np.isfinite(values) & (values > 0), values, 0)


def any_file(path: Path) -> np.ndarray:
    """A depth file of no known data set, told by its form: .npy as `array`; PNG of 16 bits and one channel,
    millimetres; of 16 bits and three, as SYNTHIA; RGB of 8 bits, as SYNTHIA-SF."""
    if path.suffix.lower() == ".npy":
        return array(path)
    samples = read_png(path)
    if samples.dtype == np.uint16:
        return centimetres(path) if samples.shape[2] >= 3 else _counts(samples[..., 0], 1000.0)
    if samples.shape[2] >= 3:
        return packed_rgb(path)
    raise SceneError(f"{path}: {_got(samples)}; expected depth of 16 bits, or packed into RGB")


def _counts(samples: np.ndarray, per_metre: float) -> np.ndarray:
    return np.where(samples < 65535, samples / np.float32(per_metre), 0).astype(np.float32)


def _grey16(path: Path) -> np.ndarray:
    samples = read_png(path)
    if samples.dtype != np.uint16 or samples.shape[2] != 1:
        raise SceneError(f"{path}: {_got(samples)}; expected one channel of 16 bits")
    return samples[..., 0]


def _got(samples: np.ndarray) -> str:
    return f"got {samples.shape[2]} channel(s) of {8 * samples.dtype.itemsize} bits"
