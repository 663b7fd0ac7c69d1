"""Textures: decoding pictures, and laying them out so that they may repeat."""

from __future__ import annotations

import io
import threading
from collections.abc import Callable
from typing import Literal

import numpy as np
from PIL import Image

from spatial_envs.scenes.formats.beside import Beside, Missing

MAX_PIXELS = 400_000_000  # of a file; what is decoded takes three bytes each
LARGE = 178_956_970  # pixels, beyond which Pillow suspects a bomb, and a picture is taken at half its size
MAX_TEXELS = 2**26  # of a texture whose edges are drawn out
UNREAD = {
    b"\xabKTX": "KTX textures cannot be read; export PNG or JPEG",
    b"sB": "Basis textures cannot be read; export PNG or JPEG",
}
REPEAT, CLAMP, MIRROR = 10497, 33071, 33648  # as glTF has them
_opening = threading.Lock()


def texture_of(
    beside: Beside,
    name: str,
    load: Callable[[], bytes] | None = None,
    instead: str = "its surface is grey",
) -> np.ndarray | None:
    """(h, w, 3) uint8, row 0 at the top, of the file ``name``, or of what ``load`` gives; None, and a warning
    that says why and what is there ``instead``, where there is no such picture."""
    try:
        texture, note = _decoded(beside[name] if load is None else load())
    except Missing as missing:
        beside.warn(f"texture {name} is missing or broken ({missing}); {instead}")
        return None
    if note:
        beside.warn(f"texture {name} {note}")
    return texture


def _decoded(data: bytes) -> tuple[np.ndarray, str]:
    for head, reason in UNREAD.items():
        if data.startswith(head):
            raise Missing(reason)
    try:
        with _opening:  # Pillow's limit is of the whole process
            limit, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, None
            try:
                image = Image.open(io.BytesIO(data))
            finally:
                Image.MAX_IMAGE_PIXELS = limit
        width, height = image.size
        if width * height > MAX_PIXELS:
            raise Missing(f"{width} x {height} pixels, of which at most {MAX_PIXELS:,} are read; shrink it")
        if width * height > LARGE:
            image.draft("RGB", (width // 2, height // 2))
        pixels = _rgb(image)
    except Missing:
        raise
    except Exception as error:  # Pillow's decoders raise whatever they trip over
        raise Missing(f"{type(error).__name__}: {error}") from None
    if len(pixels) * len(pixels[0]) > LARGE:
        pixels = np.asarray(Image.fromarray(pixels).reduce(2))
    note = f"of {width} x {height} pixels is taken at half its size" if width * height > LARGE else ""
    return pixels, note


def _rgb(image: Image.Image) -> np.ndarray:
    if image.mode[0] not in "IF":
        return np.asarray(image.convert("RGB"))
    grey = np.asarray(image)  # 16 bits, which Pillow would cut off at 255, or floats
    top = 1.0 if image.mode == "F" else 65535
    if not 0 <= grey.min() <= grey.max() <= top:
        raise Missing(f"its values go from {grey.min()} to {grey.max()}; expected 0 to {top:g}")
    return np.repeat((grey / top * 255).round().astype(np.uint8)[..., None], 3, axis=2)


def repeating(
    texture: np.ndarray, uv: np.ndarray, modes: tuple[int, int], beside: Beside
) -> tuple[np.ndarray, np.ndarray]:
    """Texture and uv (n, 2), origin at the lower left, that look when repeated as those given do when they
    go on as ``modes`` has it in u and in v: REPEAT, CLAMP or MIRROR."""
    for axis, mode in enumerate(modes):
        low, high = uv[:, axis].min(initial=0.0), uv[:, axis].max(initial=1.0)
        size = texture.shape[1 - axis]
        if mode == MIRROR and (low < 0 or high > 1):
            texture = _laid(texture, axis, (0, size), "symmetric", beside)
            uv = uv * np.where(np.arange(2) == axis, 0.5, 1.0)
        elif mode == CLAMP:
            before, after = _edge(-low, size), _edge(high - 1, size)
            if texture.size // 3 // size * (size + before + after) > MAX_TEXELS:
                beside.warn("texture coordinates far outside of a texture that ends are taken at its edge")
            elif before or after:
                texture = _laid(texture, axis, (before, after), "edge", beside)
                uv = uv.copy()
                uv[:, axis] = (uv[:, axis] * size + before) / (size + before + after)
            inside = uv[:, axis].clip(1e-6, 1 - 1e-6)  # where it ends it does not begin again
            uv = np.stack([inside, uv[:, 1]] if axis == 0 else [uv[:, 0], inside], axis=1)
    return texture, uv


def _edge(beyond: float, size: int) -> int:
    """How many texels reach this far beyond a texture's end, one of two, four, ..., of which others may make
    use; none for half a texel."""
    texels = int(np.ceil(min(beyond * size - 0.5, 1e9)))
    return 1 << texels.bit_length() if texels > 0 else 0


def _laid(
    texture: np.ndarray, axis: int, more: tuple[int, int], mode: Literal["edge", "symmetric"], beside: Beside
) -> np.ndarray:
    """The texture with more texels before its u or v and after it, which is made once."""
    key = id(texture), axis, more, mode
    if key not in beside.laid:
        pads = [(0, 0)] * 3
        pads[1 - axis] = more if axis == 0 else more[::-1]
        beside.laid[key] = texture, np.pad(texture, pads, mode=mode)
    return beside.laid[key][1]
