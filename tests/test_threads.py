"""How many threads torch and BLAS use within environments, after them, and in commands."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from spatial_envs.backbones.unproject import Unproject
from spatial_envs.foundation.threads import VARIABLES, set_threads
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
