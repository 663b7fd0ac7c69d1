"""What lies behind an object where nothing was rendered: black, plain, noise, pictures, the walls of a room.

Pictures have the statistics of photographs, as far as these are known: a power spectrum of one over the
squared frequency (Field 1987), a slope of light, and the occlusions of dead leaves (Lee, Mumford, Huang
2001). None of these backgrounds is a surface: they are farther than anything whose depth is asked for.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from spatial_envs.geometry.view import View

KINDS = ("black", "plain", "noise", "picture", "walls")
SHARES = (0.45, 0.05, 0.06, 0.22, 0.22)  # of training
SIDE = 192  # pixels of a kept picture
PICTURES = 96  # that are kept; each is shown in parts, turned and mirrored


class Backdrops:
    """A stock of pictures, and views put before them."""

    def __init__(self, rng: np.random.Generator, pictures: int = PICTURES) -> None:
        self.rng = rng
        self.pictures = [picture(rng) for _ in range(pictures)]

    def put(self, views: View, kind: str) -> View:
        """The views (N,) with what shows no surface painted, each for itself, or the walls of one room."""
        made: dict[str, Callable[[View], np.ndarray]] = {
            "black": lambda v: np.zeros_like(v.rgb),
            "plain": lambda v: np.broadcast_to(self.rng.integers(0, 256, 3, np.uint8), v.rgb.shape),
            "noise": self._noise,
            "picture": lambda v: np.stack([self._part(*v.image_size) for _ in v.rgb]),
            "walls": self._walls,
        }
        rgb = np.where((views.depth > 0)[..., None], views.rgb, made[kind](views))
        return View(rgb, views.depth, views.intrinsics, views.cam_to_world)

    def _noise(self, views: View) -> np.ndarray:
        middle, spread = self.rng.uniform(40, 215, 3), self.rng.uniform(10, 80)
        white = self.rng.standard_normal(views.rgb.shape, np.float32)
        return np.clip(middle + spread * white, 0, 255).astype(np.uint8)

    def _picture(self) -> np.ndarray:
        chosen = self.pictures[int(self.rng.integers(len(self.pictures)))]
        return np.rot90(chosen, int(self.rng.integers(4)))[:: int(self.rng.choice([-1, 1]))]

    def _part(self, height: int, width: int) -> np.ndarray:
        image = self._picture()
        rows, columns = (
            np.arange(n) * self.rng.uniform(0.5, 1.0) * SIDE / max(height, width) for n in (height, width)
        )
        row, column = (self.rng.uniform(0, SIDE - 1 - at[-1]) for at in (rows, columns))
        return image[(rows + row).astype(int)[:, None], (columns + column).astype(int)]

    def _walls(self, views: View) -> np.ndarray:
        """Of a box about what the cameras look at, each wall with a picture."""
        centre = views.cam_to_world[:, :3, 3].astype(np.float64)
        middle = centre.mean(axis=0)
        reach = float(np.linalg.norm(centre, axis=1).max())
        half = self.rng.uniform(1.6, 4.0, 3) * max(reach, 1e-3)
        pictures = np.stack([self._picture() for _ in range(6)])
        height, width = views.image_size
        rows = []
        for view in (views[k] for k in range(len(views.rgb))):
            k = view.intrinsics.astype(np.float64)
            x = (np.arange(width) + 0.5 - k[0, 2]) / k[0, 0]
            y = (np.arange(height) + 0.5 - k[1, 2]) / k[1, 1]
            rays = np.stack([*np.meshgrid(x, y), np.ones((height, width))], axis=-1)
            rays = rays @ view.cam_to_world[:3, :3].T.astype(np.float64)
            start = view.cam_to_world[:3, 3] - middle
            with np.errstate(divide="ignore"):
                reached = (half * np.where(rays > 0, 1, -1) - start) / np.where(
                    np.abs(rays) < 1e-9, 1e-9, rays
                )
            reached = np.where(reached > 0, reached, np.inf)
            axis = reached.argmin(axis=-1)
            at = start + rays * np.take_along_axis(reached, axis[..., None], axis=-1)
            wall = 2 * axis + (np.take_along_axis(rays, axis[..., None], axis=-1)[..., 0] > 0)
            u, v = (
                np.take_along_axis(at / half, ((axis + n) % 3)[..., None], axis=-1)[..., 0] for n in (1, 2)
            )
            cells = [np.clip((0.5 + 0.5 * c) * SIDE, 0, SIDE - 1).astype(int) for c in (u, v)]
            rows.append(pictures[wall, cells[0], cells[1]])
        return np.stack(rows)


def picture(rng: np.random.Generator) -> np.ndarray:
    """(192, 192, 3) uint8: clouds of one over f, a slope of light, and in most of them dead leaves."""
    clouds = np.stack([_cloud(rng) for _ in range(3)], axis=-1) @ _mixing(rng)
    y, x = np.mgrid[0:SIDE, 0:SIDE] / SIDE - 0.5
    slope = (rng.normal() * x + rng.normal() * y)[..., None] * rng.uniform(0, 90)
    image = rng.uniform(40, 215, 3) + clouds * rng.uniform(10, 60) + slope
    if rng.random() < 0.7:
        for radius in np.sort(1 / rng.uniform(1 / 60, 1 / 4, int(rng.integers(20, 160))))[::-1]:
            row, column = rng.uniform(-10, SIDE + 10, 2)
            inside = (
                np.hypot(x * SIDE + SIDE / 2 - column, (y * SIDE + SIDE / 2 - row) * rng.uniform(0.5, 2))
                < radius
            )
            colour = rng.uniform(20, 235, 3)
            if inside.any():
                image[inside] = colour + 0.6 * (image[inside] - image[inside].mean(axis=0))
    return np.clip(image, 0, 255).astype(np.uint8)


def _cloud(rng: np.random.Generator) -> np.ndarray:
    """(192, 192): noise of amplitude one over f, mean 0, standard deviation 1."""
    frequency = np.hypot(np.fft.fftfreq(SIDE)[:, None], np.fft.rfftfreq(SIDE))
    frequency[0, 0] = np.inf
    spectrum = rng.normal(size=(*frequency.shape, 2)) @ np.array([1, 1j])
    cloud = np.fft.irfft2(spectrum / frequency ** rng.uniform(0.8, 1.4), (SIDE, SIDE))
    return (cloud - cloud.mean()) / cloud.std()


def _mixing(rng: np.random.Generator) -> np.ndarray:
    """(3, 3): colours go together, as light and shade do."""
    return np.array([[0.9], [0.3], [0.2]]) * np.ones(3) + 0.25 * rng.normal(size=(3, 3))
