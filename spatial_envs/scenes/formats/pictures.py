"""Textures: decoding pictures, and laying them out so that they may repeat."""

from __future__ import annotations

import io
import threading
from collections.abc import Callable

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
            mirrored = [texture, np.flip(texture, 1 - axis)]
            texture = np.concatenate(mirrored if axis == 0 else mirrored[::-1], axis=1 - axis)
            uv = uv * np.where(np.arange(2) == axis, 0.5, 1.0)
        elif mode == CLAMP:
            below, above = (int(np.ceil(min(beyond * size, 1e9))) for beyond in (-low, high - 1))
            before, after = (n + 1 if n > 0 else 0 for n in (below, above))
            if texture.size // 3 // size * (size + before + after) > MAX_TEXELS:
                beside.warn("texture coordinates far outside of a texture that ends are taken at its edge")
                before = after = 0
            pads = [(0, 0)] * 3
            pads[1 - axis] = (before, after) if axis == 0 else (after, before)
            texture = np.pad(texture, pads, mode="edge")
            uv = uv.copy()
            uv[:, axis] = (uv[:, axis] * size + before) / (size + before + after)
            uv[:, axis] = uv[:, axis].clip(1e-6, 1 - 1e-6)  # where it ends it does not begin again
    return texture, uv
