"""How many threads torch and BLAS use within environments, after them, and in commands."""

import multiprocessing
import os
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest
import torch

from spatial_envs.backbones.unproject import Unproject
from spatial_envs.foundation.threads import VARIABLES, cores, set_threads, side_by_side
from spatial_envs.nbv import NBVEnv, NBVVectorEnv

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture
def process(monkeypatch):
    """A process of three threads whose user chose nothing; as before afterwards."""
    before = torch.get_num_threads()
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
    torch.set_num_threads(3)
    yield monkeypatch
    torch.set_num_threads(before)


class Counting(Unproject):
    """Notes torch's threads whenever it is asked."""

    def __init__(self, light: bool) -> None:
        self.light, self.noted = light, set()

    def encode(self, views, view_mask, known=None):
        self.noted.add(torch.get_num_threads())
        return super().encode(views, view_mask)


def play(backbone, env_type=NBVEnv, **arguments) -> None:
    env = env_type(backbone=backbone, num_objects=1, image_size=28, **arguments)
    env.reset(seed=0)
    env.step(env.action_space.sample())
    env.unwrapped.task.backbone.noted.add(torch.get_num_threads() * 100)


@pytest.mark.parametrize(("env_type", "arguments"), [(NBVEnv, {}), (NBVVectorEnv, {"num_envs": 2})])
def test_a_step_of_a_light_backbone_has_one_thread_and_gives_the_others_back(process, env_type, arguments):
    play(light := Counting(light=True), env_type, **arguments)
    play(large := Counting(light=False), env_type, **arguments)
    assert light.noted == {1, 300}
    assert large.noted == {3, 300}


def test_a_number_that_the_user_chose_stands(process):
    process.setenv("OMP_NUM_THREADS", "3")
    play(light := Counting(light=True))
    assert light.noted == {3, 300}
    assert set_threads() == 3


def test_large_work_keeps_all_threads(process):
    assert set_threads(large=True) == 3


def test_threads_are_given_back_after_an_error(process):
    env = NBVEnv(backbone="unproject", num_objects=1, image_size=28)
    env.reset(seed=0)
    with pytest.raises(ValueError, match="action"):
        env.step(np.full(3, np.nan))
    assert torch.get_num_threads() == 3


def test_less_than_one_thread_is_an_error():
    with pytest.raises(ValueError, match="threads: got 0; expected at least 1"):
        set_threads(0)


SHOW = """
import sys, torch
from threadpoolctl import threadpool_info
import scipy.linalg
from spatial_envs.foundation.threads import set_threads
set_threads(*eval(sys.argv[1]))
blas = {pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "blas"}
print(torch.get_num_threads(), *sorted(blas))
"""


@pytest.mark.skipif((os.cpu_count() or 1) < 2, reason="needs two cores, on one nothing has two threads")
@pytest.mark.parametrize(
    ("arguments", "variables", "expected"),
    [
        ("()", {}, {1}),
        ("()", {"OMP_NUM_THREADS": "2"}, {2}),
        ("(1,)", {"OMP_NUM_THREADS": "2"}, {1}),
        ("(2,)", {"OMP_NUM_THREADS": "1"}, {2}),
    ],
)
def test_a_command_sets_torch_and_blas(arguments, variables, expected):
    environment = {name: value for name, value in os.environ.items() if name not in VARIABLES}
    environment |= {"PYTHONPATH": str(ROOT), **variables}
    printed = subprocess.run(
        [sys.executable, "-c", SHOW, arguments], env=environment, capture_output=True, text=True, check=True
    ).stdout
    assert {int(number) for number in printed.split()} == expected


# ---- rows side by side


def test_side_by_side_is_a_loop():
    assert side_by_side(pow, [2, 3, 4], [5, 6, 7], threads=1) == [32, 729, 16384]
    assert side_by_side(pow, range(40), range(40), threads=3) == [n**n for n in range(40)]
    assert side_by_side(abs, [], threads=3) == []


def test_one_thread_and_one_row_stay_where_they_are():
    def here(_):
        return threading.get_ident()

    assert set(side_by_side(here, range(5), threads=1)) == {threading.get_ident()}
    assert set(side_by_side(here, range(1), threads=4)) == {threading.get_ident()}


def test_rows_do_run_at_once():
    both = threading.Barrier(2, timeout=60)
    assert sorted(side_by_side(lambda _: both.wait(), range(2), threads=2)) == [0, 1]


def test_nested_rows_do_not_wait_for_each_other():
    def inner(k):
        return sum(side_by_side(lambda n: n * k, range(5), threads=4))

    assert side_by_side(inner, range(20), threads=4) == [10 * k for k in range(20)]


def test_the_first_error_is_raised_when_all_have_ended():
    ended = []

    def work(k):
        if k == 1:
            raise ValueError("row 1")
        ended.append(k)

    with pytest.raises(ValueError, match="row 1"):
        side_by_side(work, range(50), threads=3)
    assert 0 in ended


def _in_child(queue) -> None:
    queue.put(side_by_side(abs, [-1, -2, -3], threads=3))


@pytest.mark.skipif("fork" not in multiprocessing.get_all_start_methods(), reason="no fork here")
def test_a_forked_process_has_threads_of_its_own():
    side_by_side(abs, [-1, -2, -3], threads=3)
    context = multiprocessing.get_context("fork")
    queue = context.SimpleQueue()
    child = context.Process(target=_in_child, args=(queue,))
    child.start()
    child.join(60)
    assert child.exitcode == 0
    assert queue.get() == [1, 2, 3]


def test_cores_are_those_that_the_process_may_use():
    assert 1 <= cores() <= os.cpu_count()
