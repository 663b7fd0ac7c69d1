"""From the bytes of a depth file to metres along the optical axis, as each data set encodes them.

Every function takes a path and returns (H, W) float32, metres, 0 where the file has no measurement, or raises
SceneError that names the file, what was got and what was expected.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from spatial_envs.foundation.errors import SceneError
from spatial_envs.scenes.depth_forms import stored
from spatial_envs.scenes.png import read_png

MEDIANS = (0.01, 80.0)  # metres, between which the median of a depth map in metres lies
INDOORS = (4.0, 10.0)  # metres: median and 95 % of what depth cameras that write millimetres measure
SCALES = (("centimetres", 100), ("KITTI", 256), ("millimetres", 1000), ("TUM", 5000), ("Replica", 6553.5))


def centimetres(path: Path) -> np.ndarray:
    """SYNTHIA: 16-bit PNG, the same centimetres in all three channels; 0 and 65535 are no measurement."""
    samples = read_png(path)
    if samples.dtype != np.uint16:
        raise SceneError(f"{path}: {_got(samples)}; expected centimetres in 16 bits")
    return _counts(_same_channels(path, samples), 100.0)


def _same_channels(path: Path, samples: np.ndarray) -> np.ndarray:
    if samples.shape[2] >= 3 and (samples[..., :1] != samples[..., 1:3]).any():
        raise SceneError(f"{path}: its channels differ; expected the same centimetres in all of them")
    return samples[..., 0]


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
    """ScanNet, 7-Scenes, NYUv2, Redwood: 16-bit grey PNG, millimetres; 0 and 65535 are no measurement."""
    return _counts(_grey16(path), 1000.0)


def replica(path: Path) -> np.ndarray:
    """Replica as rendered for NICE-SLAM: 16-bit grey PNG, 6553.5 to the metre; 0 is no measurement."""
    samples = _grey16(path)
    return (samples / np.float32(6553.5)).astype(np.float32)


def sun(path: Path) -> np.ndarray:
    """SUN RGB-D: 16-bit grey PNG, millimetres whose bits are rotated left by three; 0 is no measurement."""
    samples = _grey16(path)
    depth = _counts(samples >> 3 | samples << 13, 1000.0)
    if (depth > 20).sum() > 0.1 * (depth > 0).sum():
        raise SceneError(
            f"{path}: unrotated, a tenth of it is beyond 20 m; expected depth_scale=, as no SUN RGB-D"
        )
    return depth


def tum(path: Path) -> np.ndarray:
    """TUM RGB-D and ICL-NUIM: 16-bit grey PNG, 5000 to the metre; 0 is no measurement."""
    return _counts(_grey16(path), 5000.0)


def float_bits(path: Path) -> np.ndarray:
    """TartanAir v2: 8-bit RGBA PNG whose bytes B, G, R, A are a little-endian float32, metres."""
    samples = read_png(path)
    if samples.dtype != np.uint8 or samples.shape[2] != 4:
        raise SceneError(f"{path}: {_got(samples)}; expected RGBA of 8 bits, the bytes of a float")
    return _metres(np.ascontiguousarray(samples[..., [2, 1, 0, 3]]).view("<f4")[..., 0], 1.0)


def array(path: Path) -> np.ndarray:
    """.npy (H, W) or (H, W, 1): floats are metres, integers millimetres; what is not finite or not positive
    is 0."""
    values = stored(path)
    return _metres(values, 1000.0 if values.dtype.kind in "iu" else 1.0)


def lone(
    path: Path,
    depth_scale: float | None = None,
    invalid: float | None = None,
    max_depth: float | None = None,
) -> np.ndarray:
    """A depth file of no known data set: one channel is millimetres where it is of whole numbers and metres
    where of floats; three channels of 16 bits are SYNTHIA's, RGB of 8 bits SYNTHIA-SF's, RGBA of 8 bits
    TartanAir v2's.

    depth_scale  how many of the file's units are a metre, in place of these
    invalid      the file's value for no measurement, beside 0, what is negative or not finite, and 65535
    max_depth    metres, the farthest that the caller expects; more than INDOORS allows for more
    Raises SceneError for what can hardly be depth in these units, and says which would be likelier.
    """
    values = stored(path)
    if values.ndim == 3 and values.shape[2] == 2:  # grey and alpha
        values = values[..., 0]
    if values.ndim == 3:
        if values.dtype == np.uint8:
            return _eight_bits(path, values, depth_scale, invalid)
        values, unit = _same_channels(path, values), 100.0
    else:
        unit = 1.0 if values.dtype.kind == "f" else 1000.0
        if values.dtype == np.uint8 and depth_scale is None:
            raise SceneError(
                f"{path}: got 1 channel(s) of 8 bits; expected depth of 16 bits or floats: 256 steps are a "
                "picture of depth. Where they do measure, depth_scale= says how many are a metre"
            )
    if values.dtype == np.uint16:
        values = np.where(values < 65535, values, 0)
    if invalid is not None:
        values = np.where(values == invalid, 0, values)
    depth = _metres(values, unit if depth_scale is None else depth_scale)
    _check_plausible(path, values, depth, unit, depth_scale, max_depth)
    return depth


def _eight_bits(
    path: Path, samples: np.ndarray, depth_scale: float | None, invalid: float | None
) -> np.ndarray:
    """Depth packed into bytes, (H, W, 3 or 4) uint8, or SceneError for a picture."""
    if depth_scale is not None or invalid is not None:
        name = "invalid" if depth_scale is None else "depth_scale"
        raise SceneError(
            f"{path}: {_got(samples)}, for which {name}= has no meaning; expected it for one channel"
        )
    if samples.shape[2] == 4 and (samples[..., 3] != 255).any():
        depth = float_bits(path)
    else:
        _, counts = np.unique(samples[..., :3].astype(np.int64) @ [1, 256, 65536], return_counts=True)
        few = np.sort(counts)[-256:].sum() > 0.95 * counts.sum() and samples.size > 3 * 1024
        if few or (samples[..., :1] == samples[..., 1:3]).all():
            raise SceneError(
                f"{path}: {_got(samples)} with {len(counts)} colours, a grey or colour-mapped picture of "
                "depth, whose metres are lost; expected the depth itself, of 16 bits or floats"
            )
        depth = packed_rgb(path)
    measured = depth[depth > 0]
    if len(measured) and not MEDIANS[0] < np.median(measured) < MEDIANS[1]:
        raise SceneError(
            f"{path}: {_got(samples)}; unpacked, its median is {np.median(measured):.3g} m: a picture, not "
            "depth; expected 16 bits or floats"
        )
    return depth


def _check_plausible(
    path: Path,
    values: np.ndarray,
    depth: np.ndarray,
    unit: float,
    depth_scale: float | None,
    max_depth: float | None,
) -> None:
    """SceneError where the file's ``values`` (H, W) can hardly be ``depth``, metres: ``unit`` of them to the
    metre where the caller gave no ``depth_scale``."""
    measured = depth[depth > 0]
    if not len(measured):
        raise SceneError(f"{path}: nothing is measured: all of its pixels are 0, negative, NaN or invalid")
    median, far, farthest = np.percentile(measured, [50, 95, 100])
    got = f"its median is {median:.4g} m, 95 % are within {far:.4g} m, the farthest is {farthest:.4g} m"
    if depth_scale is not None:
        if not MEDIANS[0] < median < 1000:
            raise SceneError(
                f"{path}: with depth_scale={depth_scale:g} {got}; expected as many as the file has to the "
                "metre: 1000 for millimetres, 5000 for TUM"
            )
        return
    said = f"{path}: read as {'metres' if unit == 1 else f'{unit:g} to the metre'}, {got}"
    likely = ", ".join(f"{scale} ({name}: {median * unit / scale:.3g} m)" for name, scale in SCALES)
    expected = f"expected depth_scale=, how many are a metre, with its median: {likely}"
    if unit == 1.0:
        if farthest <= 1.0 and farthest > 0.99 and np.ptp(measured) > 0.5:
            raise SceneError(f"{path}: its values fill 0 to 1, a normalised picture; expected metres")
        if farthest <= 255 and farthest > 20 and (measured == np.round(measured)).all():
            raise SceneError(f"{path}: its values are whole, 0 to 255: grey levels of a picture; {expected}")
        if median > MEDIANS[1]:
            raise SceneError(f"{said}; {expected}")
        share = np.mean(measured == measured.max())
        if farthest > 1000 and share > 0.03 and max_depth is None:
            raise SceneError(
                f"{said} ({share:.1%} of pixels): a background, not a measurement; expected "
                f"invalid={float(values[np.isfinite(values)].max()):.9g} or max_depth="
            )
    elif unit == 1000.0 and (max_depth is None or max_depth <= INDOORS[1]):
        counts = values[values > 0].astype(np.int64)
        if counts.max() <= 255:
            raise SceneError(
                f"{path}: its values end at {counts.max()}: grey levels of a picture; {expected}"
            )
        if np.mean(counts % 8 == 0) > 0.9 and len(np.unique(counts)) > 64:
            raise SceneError(
                f"{said}, most of them multiples of 8, as SUN RGB-D's rotated bits are; expected "
                "depth_scale=8000 for those within 8 m, its folders (depth_layouts), or depth_scale=1000 for "
                "millimetres"
            )
        if median < 0.15 or median > INDOORS[0] or far > INDOORS[1]:
            raise SceneError(f"{said}, which depth cameras hardly measure; {expected}")
        beside = (depth[:, 1:] > 0) & (depth[:, :-1] > 0)
        if beside.sum() < 0.5 * len(measured) and len(measured) > 100:
            raise SceneError(
                f"{said}, in scattered pixels, as of a laser (KITTI has 256 to the metre); {expected}"
            )


def _metres(values: np.ndarray, per_metre: float) -> np.ndarray:
    if per_metre != 1.0:
        values = values / per_metre
    with np.errstate(over="ignore", invalid="ignore"):
        values = values.astype(np.float32)
        return np.where(np.isfinite(values) & (values > 0), values, 0)


def _counts(samples: np.ndarray, per_metre: float) -> np.ndarray:
    return np.where(samples < 65535, samples / np.float32(per_metre), 0).astype(np.float32)


def _grey16(path: Path) -> np.ndarray:
    samples = read_png(path)
    if samples.dtype != np.uint16 or samples.shape[2] != 1:
        raise SceneError(f"{path}: {_got(samples)}; expected one channel of 16 bits")
    return samples[..., 0]


def _got(samples: np.ndarray) -> str:
    return f"got {samples.shape[2]} channel(s) of {8 * samples.dtype.itemsize} bits"
