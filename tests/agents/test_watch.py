"""Watching policies: a window where there is a display, and a film where there is none."""

from __future__ import annotations

import imageio.v2 as imageio
import numpy as np
import pytest

from agents import watch as watching
from agents.comparison.compare import Flags, compare

pygame = pytest.importorskip("pygame", reason="needs the [train] extra")
SMALL = ("num_objects=1", "image_size=28", "views=2", "backbone=null", "observations=[remaining]")
ASKED = Flags(baselines=("farthest", "random"), watch=True, set=SMALL)


def test_without_a_display_there_is_a_film(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SDL_VIDEODRIVER", "dummy")
    assert compare(ASKED) == {}
    film = imageio.mimread(tmp_path / "watch.mp4", memtest=False)
    assert film[0].shape == (1024, 1200, 3), "both, one below the other"
    assert np.abs(film[0].astype(int) - film[-1]).max() > 50
    assert (tmp_path / "watch.png").exists()
    assert "no display: the film is in watch.mp4" in capsys.readouterr().out


def test_a_window_shows_all_of_it_until_it_is_closed(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SDL_VIDEODRIVER", "dummy")
    monkeypatch.setattr(watching, "NOWHERE", ())  # as if it were seen
    seen = []

    def wait(milliseconds):
        seen.append(pygame.surfarray.array3d(pygame.display.get_surface()).swapaxes(0, 1))
        if len(seen) == 12:
            pygame.event.post(pygame.event.Event(pygame.QUIT))

    monkeypatch.setattr(pygame.time, "wait", wait)
    compare(ASKED)
    assert len(seen) == 12
    assert seen[0].shape == (1024, 1200, 3)
    assert (seen[0] != seen[-1]).any(), "the second view"
    assert not list(tmp_path.iterdir())
    assert not pygame.display.get_init()


def test_what_is_watched_is_no_table(tmp_path):
    with pytest.raises(ValueError, match=r"out: got .*t\.md with --watch; expected a folder"):
        compare(Flags(baselines=("farthest",), watch=True, set=SMALL, out=tmp_path / "t.md"))
