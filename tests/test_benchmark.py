"""The benchmark's stopwatch: each second is one part's."""

import threading

from spatial_envs.benchmark import stopwatch
from spatial_envs.benchmark.stopwatch import Part, Stopwatch


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
