"""Tables that several processes play are those that one plays."""

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from agents.comparison.compare import Flags, compare

SMALL = ("num_objects=2", "views=3", "image_size=28")
TABLE = Flags(baselines=("random", "farthest"), set=(*SMALL, "backbone=null"), episodes=3)


class Failing:
    """An agent that plays one episode."""

    def __init__(self, env):
        self.left = 3

    def predict(self, observation, **_):
        self.left -= 1
        if not self.left:
            raise ValueError("nothing comes to mind")
        return np.zeros(3, np.float32), None


def flags(**changes):
    return Flags(**{**vars(TABLE), **changes})


def equal(one, other):
    assert list(one) == list(other)
    for name in one:
        assert list(one[name].figures) == list(other[name].figures)
        for key, values in one[name].figures.items():
            np.testing.assert_array_equal(values, other[name].figures[key], err_msg=f"{name} {key}")
        np.testing.assert_array_equal(one[name].scenes, other[name].scenes)


def test_the_figures_are_the_same(capsys):
    (one,) = compare(TABLE).values()
    said = capsys.readouterr().out
    (two,) = compare(flags(workers=2)).values()
    equal(one, two)
    assert capsys.readouterr().out == said
    assert len(np.unique(one["random"].figures["chamfer"])) > 3  # which draws on from episode to episode


def test_one_process_goes_on_with_what_others_kept(tmp_path):
    fit = {
        "env": "SceneFit-Prototype-v0", "baselines": ("kmeans-spheres", "random-spheres"), "episodes": 2,
        "set": ("num_frames=2", "slots=3", "num_objects=3", "noise=0"),
    }  # fmt: skip
    alone = compare(flags(**fit, out=tmp_path / "alone"))
    both = compare(flags(**fit, out=tmp_path / "both", workers=2))
    assert list(alone) == list(both)
    for title in alone:
        equal(alone[title], both[title])
    files = sorted(path.name for path in (tmp_path / "alone").glob("*.jsonl"))
    assert files
    for name in files:
        lines = (tmp_path / "both" / name).read_text(encoding="utf-8")
        assert lines == (tmp_path / "alone" / name).read_text(encoding="utf-8")


def test_an_error_names_its_row():
    with pytest.raises(ValueError, match=r"^test_workers:Failing: nothing comes to mind$"):
        compare(flags(agent="test_workers:Failing", workers=2))


def test_workers_are_a_number():
    with pytest.raises(ValueError, match="workers: got 0; expected int from 1"):
        compare(flags(workers=0))


def children(pid):
    path = Path(f"/proc/{pid}/task/{pid}/children")
    return [int(each) for each in path.read_text(encoding="utf-8").split()]


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
def test_ctrl_c_ends_the_workers():
    code = (
        "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)\n"  # also in the background
    )
    code += "from test_workers import flags; from agents.comparison.compare import compare\n"
    code += "print('begins', flush=True); compare(flags(episodes=1000, workers=2))"
    root = Path(__file__).resolve().parents[2]
    paths = os.pathsep.join(map(str, (root, Path(__file__).parent)))
    playing = subprocess.Popen(
        [sys.executable, "-c", code], env={**os.environ, "PYTHONPATH": paths}, start_new_session=True,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    end = time.monotonic() + 120
    while len(found := children(playing.pid)) < 3 and time.monotonic() < end:  # and loky's tracker
        time.sleep(0.1)
    assert len(found) >= 3
    time.sleep(2)
    os.killpg(playing.pid, signal.SIGINT)
    _, said = playing.communicate(timeout=60)
    assert re.findall("^[A-Za-z]*Interrupt", said, re.MULTILINE) == ["KeyboardInterrupt"]
    while any(os.path.exists(f"/proc/{each}") for each in found) and time.monotonic() < end:
        time.sleep(0.1)
    assert not [each for each in found if os.path.exists(f"/proc/{each}")]
