"""How the pictures of several policies are put together."""

import numpy as np
import pytest

from agents.films import BLOCK, HEIGHT, TITLE, WIDTH, panels


@pytest.mark.parametrize("count", [1, 2, 3, 4])
@pytest.mark.parametrize("size", [(480, 1200), (480, 720), (300, 300), (64, 48)])
def test_panels_are_whole_titled_and_not_blown_up(size, count):
    inks = [np.array([40 + 50 * k, 0, 200], np.uint8) for k in range(count)]
    pictures = [np.broadcast_to(ink, (*size, 3)) for ink in inks]
    film = panels([f"policy {k}" for k in range(count)], pictures)
    assert film.shape[0] % BLOCK == film.shape[1] % BLOCK == 0
    assert film.shape[0] <= HEIGHT + 2 * TITLE + BLOCK
    assert film.shape[1] <= WIDTH + BLOCK
    areas = [(film == ink).all(axis=-1) for ink in inks]
    assert len({int(area.sum()) for area in areas}) == 1, "all are of one size"
    rows, columns = np.nonzero(areas[0])
    assert np.ptp(rows) + 1 <= size[0]
    assert np.ptp(columns) + 1 <= size[1]
    above = film[rows.min() - TITLE : rows.min(), columns.min() : columns.max()]
    assert (above < 128).any(), "its name"


def test_two_wide_pictures_lie_one_below_the_other():
    wide = [np.zeros((480, 1200, 3), np.uint8)] * 2
    assert panels(["a", "b"], wide).shape[:2] == (1024, 1200)
    assert panels(["a", "b"], [np.zeros((480, 480, 3), np.uint8)] * 2).shape[:2] == (512, 960)
