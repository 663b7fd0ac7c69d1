"""Films of policies, each of them in a panel under its name."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import imageio.v2 as imageio
import numpy as np
from PIL import Image, ImageDraw, ImageFont

from agents.families import Family

FPS = 10  # where a picture is held for one frame
EPISODES = 3
LAST = 18  # frames that the end of an episode is held, of those
WIDTH, HEIGHT = 1280, 1040  # pixels, at most, of all panels together
BLOCK = 16  # codecs want multiples of so many pixels
TITLE = 32  # pixels, above a panel
ASPECT = 1.6  # of all panels together, as nearly as may be
MOST = 256  # pictures of the longest episode


def film(
    kind: Family,
    policies: Mapping[str, tuple[Any, Any]],
    path: Path,
    tick: Callable[[], Any],
    episodes: int = EPISODES,
) -> None:
    """Film the first episodes as each policy plays them, side by side, into ``path``; the first one's last
    picture lies beside it, .png. policies: by its name each one's environment and itself. ``tick`` is called
    after each episode."""
    env, _ = next(iter(policies.values()))
    with _writer(kind, path) as writer:
        for k, episode in enumerate(kind.episodes(env, episodes)):
            pictures = abreast(kind, policies, episode)
            for picture in [*pictures, *[pictures[-1]] * (LAST // kind.hold - 1)]:  # the end is seen longer
                writer.append_data(picture)
            if k == 0:
                imageio.imwrite(path.with_suffix(".png"), pictures[-1])
            tick()


def film_abreast(kind: Family, policies: Mapping[str, tuple[Any, Any]], episode: int, path: Path) -> None:
    """Film one episode as each policy plays it in its environment, side by side, the names above; a policy
    without pictures is left out, and where there are none at all there is no film."""
    pictures = abreast(kind, policies, episode)
    if not pictures:
        return
    with _writer(kind, path) as writer:
        for picture in pictures:
            writer.append_data(picture)


def _writer(kind: Family, path: Path) -> Any:
    # ffmpeg warns of too few pictures to guess a rate from, though it is told the rate
    return imageio.get_writer(path, fps=FPS / kind.hold, macro_block_size=BLOCK, ffmpeg_log_level="error")


def abreast(kind: Family, policies: Mapping[str, tuple[Any, Any]], episode: int) -> list[np.ndarray]:
    """The pictures (H, W, 3) uint8 of an episode as each policy plays it, side by side, under their names."""
    reels = []
    for name, (env, policy) in policies.items():
        mode, env.unwrapped.render_mode = env.unwrapped.render_mode, "rgb_array"
        pictures, stride = _thinned(kind.reel(env, policy, episode))
        env.unwrapped.render_mode = mode
        if pictures:
            reels.append((name, pictures, stride))
    if not reels:
        return []
    common = max(stride for *_, stride in reels)
    names = [name for name, *_ in reels]
    thin = [pictures[:: common // stride] + pictures[-1:] for _, pictures, stride in reels]
    return [panels(names, [reel[min(n, len(reel) - 1)] for reel in thin]) for n in range(max(map(len, thin)))]


def panels(names: Sequence[str], pictures: Sequence[np.ndarray]) -> np.ndarray:
    """(H, W, 3) uint8: pictures in rows and columns, each under its name, as large as there is room for and
    never larger than they are."""
    height, width = (max(picture.shape[axis] for picture in pictures) for axis in (0, 1))
    height += TITLE

    def shape(columns: int) -> tuple[float, float]:
        return columns * width, math.ceil(len(pictures) / columns) * height

    columns = min(
        range(1, len(pictures) + 1),
        key=lambda n: abs(math.log(shape(n)[0] / shape(n)[1] / ASPECT)),
    )
    across, down = shape(columns)
    scale = min(1.0, WIDTH / across, HEIGHT / down)
    cell = round(width * scale), TITLE + round((height - TITLE) * scale)
    size = columns * cell[0], math.ceil(len(pictures) / columns) * cell[1]
    canvas = Image.new("RGB", tuple(math.ceil(n / BLOCK) * BLOCK for n in size), "white")
    draw = ImageDraw.Draw(canvas)
    for k, (name, picture) in enumerate(zip(names, pictures, strict=True)):
        left, top = k % columns * cell[0], k // columns * cell[1]
        draw.text((left + 12, top + 7), name, "black", ImageFont.load_default(17))
        image = Image.fromarray(picture)
        if scale < 1:
            size = round(image.width * scale), round(image.height * scale)
            image = image.resize(size, Image.Resampling.LANCZOS)
        canvas.paste(image, (left, top + TITLE))
    return np.asarray(canvas)


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
