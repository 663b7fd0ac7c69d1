"""Reading PNG files as they are: all channels, 16 bits where they have them, nothing converted.

Pillow reduces 16-bit files of three channels, which several depth data sets are, to 8 bits.
"""

from __future__ import annotations

import struct
import zlib
from pathlib import Path

import numpy as np

from spatial_envs.foundation.compilation import njit
from spatial_envs.foundation.errors import SceneError

SIGNATURE = b"\x89PNG\r\n\x1a\n"
CHANNELS = {0: 1, 2: 3, 4: 2, 6: 4}  # by colour type: grey, RGB, grey and alpha, RGBA
MOST_PIXELS = 1 << 28


def read_png(path: str | Path) -> np.ndarray:
    """(H, W, C) uint8 or uint16, C of CHANNELS: the samples of a PNG file (ISO/IEC 15948) of 8 or 16 bits,
    without a palette and not interlaced. Raises SceneError that names the file and what is wrong with it."""
    try:
        content = Path(path).read_bytes()
    except OSError as error:
        raise SceneError(f"{path}: cannot be read: {error.strerror}") from None
    header, packed = None, []
    for kind, data in _chunks(path, content):
        if kind == b"IHDR" and len(data) == 13:
            header = struct.unpack(">IIBBBBB", data)
        elif kind == b"IDAT":
            packed.append(data)
    if header is None or not packed:
        raise SceneError(f"{path}: a PNG file without {'IHDR' if header is None else 'IDAT'}")
    width, height, bits, colour, _, _, interlaced = header
    if colour not in CHANNELS or bits not in (8, 16) or interlaced:
        kind_got = f"colour type {colour}, {bits} bits{', interlaced' if interlaced else ''}"
        raise SceneError(f"{path}: got a PNG of {kind_got}; expected grey or RGB of 8 or 16 bits, plain")
    if not 0 < width * height <= MOST_PIXELS:
        raise SceneError(f"{path}: got {width} x {height} pixels; expected 1 to {MOST_PIXELS}")
    pixel = CHANNELS[colour] * bits // 8
    expected = height * (width * pixel + 1)
    unpacker = zlib.decompressobj()
    try:
        raw = unpacker.decompress(b"".join(packed), expected + 1)
    except zlib.error as error:
        raise SceneError(f"{path}: its picture is damaged: {error}") from None
    if len(raw) != expected:
        raise SceneError(f"{path}: is cut short: its picture has {len(raw)} of {expected} bytes")
    rows = np.frombuffer(raw, np.uint8).reshape(height, width * pixel + 1)
    if rows[:, 0].max() > 4:
        raise SceneError(f"{path}: its picture is damaged: filter {rows[:, 0].max()}, expected 0 to 4")
    samples = _unfilter(rows, pixel)
    if bits == 16:
        samples = samples.view(">u2").astype(np.uint16)
    return samples.reshape(height, width, CHANNELS[colour])


def _chunks(path: str | Path, content: bytes):
    """The (type, data) of a file's chunks, checked."""
    if not content.startswith(SIGNATURE):
        raise SceneError(f"{path}: no PNG file: it begins with {content[:8]!r}")
    at = len(SIGNATURE)
    while True:
        if at + 12 > len(content):
            raise SceneError(f"{path}: is cut short: it ends after {len(content)} bytes, before IEND")
        (length,) = struct.unpack_from(">I", content, at)
        kind, data = content[at + 4 : at + 8], content[at + 8 : at + 8 + length]
        if at + 12 + length > len(content):
            raise SceneError(f"{path}: is cut short: it ends after {len(content)} bytes, within {kind!r}")
        if zlib.crc32(kind + data) != struct.unpack_from(">I", content, at + 8 + length)[0]:
            raise SceneError(f"{path}: is damaged: the checksum of {kind!r} at byte {at} does not hold")
        if kind == b"IEND":
            return
        yield kind, data
        at += 12 + length


@njit
def _unfilter(rows, pixel):
    """Samples (H, bytes) of filtered rows (H, 1 + bytes), whose first byte is the filter (PNG, clause 9)."""
    height, width = rows.shape[0], rows.shape[1] - 1
    out = np.zeros((height, width), np.uint8)
    for row in range(height):
        kind = rows[row, 0]
        for k in range(width):
            left = int(out[row, k - pixel]) if k >= pixel else 0
            above = int(out[row - 1, k]) if row > 0 else 0
            corner = int(out[row - 1, k - pixel]) if row > 0 and k >= pixel else 0
            guess = 0
            if kind == 1:
                guess = left
            elif kind == 2:
                guess = above
            elif kind == 3:
                guess = (left + above) // 2
            elif kind == 4:  # Paeth: the neighbour nearest to left + above - corner
                a, b, c = abs(above - corner), abs(left - corner), abs(left + above - 2 * corner)
                guess = left if a <= b and a <= c else above if b <= c else corner
            out[row, k] = (int(rows[row, k + 1]) + guess) & 255
    return out
