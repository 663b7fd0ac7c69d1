"""Films of policies: some episodes, one after another, or one episode by several policies side by side."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import imageio.v2 as imageio
import numpy as np
from PIL import Image, ImageDraw, ImageFont

from agents.families import Family

FPS = 10
WIDTH = 416  # pixels of each policy in a film of several; codecs want multiples of 16
MOST = 256  # pictures of the longest episode there


def film(kind: Family, env, policy, folder: Path, episodes: int = 3) -> None:
    """Film the first episodes of one policy into episode.mp4; the first one's last picture is episode.png.
    The environment is in "rgb_array" mode."""
    shown = kind.episodes(env, episodes)
    with imageio.get_writer(folder / "episode.mp4", fps=FPS, macro_block_size=2) as writer:
        for episode in shown:
            for picture in kind.reel(env, policy, episode):
                for _ in range(kind.hold):
                    writer.append_data(picture)  # type: ignore[attr-defined]
            if episode == shown[0]:
                imageio.imwrite(folder / "episode.png", picture)
            for _ in range(18 - kind.hold):  # the end is seen longer
                writer.append_data(picture)  # type: ignore[attr-defined]


def film_abreast(kind: Family, policies: dict[str, tuple[Any, Any]], episode: int, path: Path) -> None:
    """Film one episode as each policy plays it in its environment, side by side, the names above; a policy
    without pictures is left out, and where there are none at all there is no film."""
    reels = []
    for name, (env, policy) in policies.items():
        mode, env.unwrapped.render_mode = env.unwrapped.render_mode, "rgb_array"
        pictures, stride = _thinned(_titled(each, name) for each in kind.reel(env, policy, episode))
        env.unwrapped.render_mode = mode
        if pictures:
            reels.append((pictures, stride))
    if not reels:
        return
    common = max(stride for _, stride in reels)
    thin = [pictures[:: common // stride] + pictures[-1:] for pictures, stride in reels]
    longest, tallest = (max(f(reel) for reel in thin) for f in (len, lambda reel: len(reel[0])))
    with imageio.get_writer(path, fps=FPS, macro_block_size=16) as writer:
        for n in range(longest):
            row = [_padded(reel[min(n, len(reel) - 1)], tallest) for reel in thin]
            for _ in range(kind.hold):
                writer.append_data(np.hstack(row))  # type: ignore[attr-defined]


def _thinned(pictures: Iterator[np.ndarray]) -> tuple[list[np.ndarray], int]:
    """Every n-th picture, n the power of two that leaves at most ``MOST``, and the last; and n."""
    kept: list[np.ndarray] = []
    stride = 1
    for n, picture in enumerate(pictures):
        last = picture
        if n % stride == 0:
            kept.append(picture)
        if len(kept) > MOST:
            kept, stride = kept[::2], 2 * stride
    return ([*kept, last] if stride > 1 else kept), stride


def _titled(picture: np.ndarray, name: str) -> np.ndarray:
    height = round(picture.shape[0] * WIDTH / picture.shape[1])
    canvas = Image.new("RGB", (WIDTH, (height + 47) // 16 * 16), "white")
    canvas.paste(Image.fromarray(picture).resize((WIDTH, height), Image.Resampling.LANCZOS), (0, 32))
    ImageDraw.Draw(canvas).text((12, 7), name, "black", ImageFont.load_default(17))
    return np.asarray(canvas)


def _padded(picture: np.ndarray, height: int) -> np.ndarray:
    return np.pad(picture, ((0, height - len(picture)), (0, 0), (0, 0)), constant_values=255)
