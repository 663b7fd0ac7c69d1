"""The benchmark: each second of the stopwatch is one part's; rasterisers that are compared see the same."""

import threading

import numpy as np
import pytest
from PIL import Image

from spatial_envs.benchmark import rasterisers, stopwatch
from spatial_envs.benchmark.stopwatch import Part, Stopwatch
from spatial_envs.geometry.camera import Region, pinhole
from spatial_envs.geometry.mesh import Mesh
from spatial_envs.prototypes.sphere import sphere


class Work:
    """Calls that take known seconds of a clock that stands still otherwise."""

    def __init__(self, monkeypatch):
        self.now = 0.0
        monkeypatch.setattr(stopwatch.time, "thread_time", lambda: self.now)

    def outer(self):
        self.now += 1
        self.inner()
        self.now += 2

    def inner(self):
        self.now += 10
        self.innermost()

    def innermost(self):
        self.now += 100


def spent(work, *parts):
    watch, before = Stopwatch(), Work.inner
    with watch.running(parts):
        work.outer()
    assert Work.inner is before
    return watch.seconds


def test_a_second_is_the_innermost_parts(monkeypatch):
    work = Work(monkeypatch)
    every = Part("a", Work, "outer"), Part("b", Work, "inner"), Part("c", Work, "innermost")
    assert spent(work, *every) == {"a": 3, "b": 10, "c": 100}
    assert spent(work, *every[::2]) == {"a": 13, "c": 100}


def test_what_is_in_a_closed_part_is_its_own(monkeypatch):
    work, inner = Work(monkeypatch), Part("b", Work, "inner", closed=True)
    assert spent(work, Part("a", Work, "outer"), inner, Part("c", Work, "innermost")) == {"a": 3, "b": 110}
    both = inner, Part("c", Work, "innermost", closed=True)
    assert spent(work, *both) == {"b": 10, "c": 100}


def test_threads_do_not_take_from_each_other(monkeypatch):
    work = Work(monkeypatch)

    def in_a_thread():
        thread = threading.Thread(target=work.innermost)
        thread.start()
        thread.join()

    watch = Stopwatch()
    with watch.running([Part("c", Work, "innermost")]):
        in_a_thread()
        work.innermost()
    assert watch.seconds == {"c": 200}
    assert watch.calls == 2


def test_embree_and_our_rasteriser_see_the_same():
    pytest.importorskip("embreex", reason="embreex has no wheel for this machine")
    ball = sphere(4)
    mesh = Mesh(ball.vertices, ball.faces, np.full(ball.vertices.shape, 200, np.uint8))
    poses = Region((2.0, 2.0)).fibonacci_poses(rasterisers.POSES)
    contenders, made = rasterisers._prepared(mesh)
    assert list(contenders) == list(made) == ["ours", "Embree"]
    timing = rasterisers._timed("sphere", mesh, poses, 64, contenders, made, 0.0)
    assert timing.alike == 1
    (_, ours), (_, theirs) = (draw(poses[0], pinhole(60, (64, 64)), (64, 64)) for draw in contenders.values())
    assert (ours >= 0).mean() > 0.3
    assert (ours == theirs).mean() > 0.999


def test_the_comparison_is_plotted(tmp_path):
    views = {"ours": 1.0, "Embree": 2.0}
    timings = [
        rasterisers.Timing(scene, count, pixels, views, {"ours": 5.0}, 1.0)
        for scene in ("sphere", "apartment")
        for count in (1000, 4000)
        for pixels in rasterisers.SIZES
    ]
    rasterisers.plot(timings, tmp_path / "plot.png")
    with Image.open(tmp_path / "plot.png") as picture:
        assert picture.size == (11 * 120, 4.5 * 120)
    assert "| sphere | 1,000 | 56 | 1.00 | 2.00 | 2.00 | 100.00 % | ours 5 |" in rasterisers.table_of(timings)
