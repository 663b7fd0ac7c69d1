"""What a second process builds ahead is what would have been built here, and its end is nobody else's."""

import gc
import os
import pickle
import signal
import subprocess
import sys
import textwrap
import time
import warnings
from functools import partial

import gymnasium as gym
import numpy as np
import pytest
from buildings import furnished_room

from spatial_envs.core import prefetch
from spatial_envs.core.prefetch import Ahead
from spatial_envs.foundation.errors import MeshError

FRAMES = {
    "num_frames": 40, "num_objects": 1, "slots": 2, "steps": 3, "image_size": 16, "points": 16,
    "backbone": None, "scene_steps": 3,
}  # fmt: skip


@pytest.fixture(scope="module")
def workers():
    """The second processes of this file, of which the last may still be there."""
    made = [prefetch._Worker()]
    yield made
    for each in made:
        if each.executor is not None:
            each.executor.shutdown(kill_workers=True)


@pytest.fixture(autouse=True)
def worker(workers, monkeypatch):
    """A second process, also where there is one core."""
    if workers[-1].is_off:
        workers.append(prefetch._Worker())
    monkeypatch.setattr(prefetch, "_WORKER", workers[-1])
    monkeypatch.setattr(prefetch, "cores", lambda: 2)
    return workers[-1]


def here():
    raise AssertionError("it was to be built there")


def until(true, seconds=300):
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end
        time.sleep(0.01)


def begun(ahead, index):
    until(lambda: ahead._asked[index].future is not None)


def where():
    return os.getpid(), os.environ["OMP_NUM_THREADS"], getattr(os, "nice", lambda _: 0)(0)


def slowly(value):
    time.sleep(0.3)
    return value


def warns():
    warnings.warn("odd", UserWarning, stacklevel=2)
    return 5


def unpicklable():
    return warnings


def refuses():
    raise MeshError("broken")


def test_another_process_builds_it_and_only_one(worker):
    ahead = Ahead(True)
    ahead.want(0, 3, where)
    begun(ahead, 3)
    pid, threads, niceness = ahead.take(3, here)
    assert pid != os.getpid()
    assert (threads, niceness) == ("1", min(os.nice(0) + prefetch.NICE, 19) if hasattr(os, "nice") else 0)
    ahead.want(0, 4, where)
    begun(ahead, 4)
    assert ahead.take(4, here)[0] == pid


def test_what_has_begun_is_waited_for_and_what_has_not_is_built_here():
    ahead = Ahead(True)
    ahead.want(0, 0, partial(slowly, "there"))
    ahead.want(1, 1, partial(slowly, "there"))
    begun(ahead, 0)
    assert ahead._asked[1].future is None
    assert ahead.take(1, lambda: "here") == "here"
    assert ahead.take(0, here) == "there"
    assert ahead.take(0, lambda: "here") == "here"  # it was asked for once


def test_what_no_row_wants_any_more_is_given_up(worker):
    ahead = Ahead(True)
    ahead.want(0, 0, partial(slowly, 0))
    begun(ahead, 0)
    for row, index in enumerate((7, 8, 8)):
        ahead.want(row + 1, index, partial(slowly, index))
    assert list(ahead._asked) == [0, 7, 8]
    seven = ahead._asked[7]
    ahead.want(1, None, None)
    ahead.want(2, None, None)
    assert list(ahead._asked) == [0, 8]  # the third row still wants it
    assert ahead.take(8, lambda: "here") in (8, "here")
    ahead.want(0, 5, partial(slowly, 5))
    begun(ahead, 5)
    assert seven.future is None
    ahead.want(0, 6, partial(slowly, 6))
    forgotten = prefetch.weakref.ref(ahead._asked[6])
    del ahead
    gc.collect()
    assert forgotten() is None


def test_warnings_are_said_here(recwarn):
    ahead = Ahead(True)
    ahead.want(0, 0, warns)
    begun(ahead, 0)
    until(ahead._asked[0].future.done)
    assert not [each for each in recwarn if str(each.message) == "odd"]
    assert ahead.take(0, here) == 5
    assert [each for each in recwarn if str(each.message) == "odd"]


def test_a_broken_file_is_met_again_where_it_is_needed(worker, caplog):
    ahead = Ahead(True)
    ahead.want(0, 0, refuses)
    begun(ahead, 0)
    with pytest.raises(MeshError, match="broken"):
        ahead.take(0, refuses)
    assert not caplog.messages
    assert not worker.is_off


@pytest.mark.parametrize("fault", [partial(os._exit, 3), partial(int, "x"), unpicklable])
def test_a_worker_that_fails_is_one_warning(worker, caplog, fault):
    """It dies, raises, or makes what cannot be pickled."""
    ahead = Ahead(True)
    ahead.want(0, 0, fault)
    begun(ahead, 0)
    assert ahead.take(0, lambda: "here") == "here"
    until(lambda: worker.is_off)
    for index in (1, 2):
        ahead.want(0, index, where)
        assert ahead.take(index, lambda: "here") == "here"
    (said,) = caplog.messages
    assert said.startswith("scenes are not built ahead any more, but when they are needed: ")


def test_a_process_that_cannot_start_is_one_warning(worker, caplog, monkeypatch):
    def refused(*_, **__):
        raise OSError("no more processes")

    monkeypatch.setattr(prefetch.loky, "ProcessPoolExecutor", refused)
    ahead = Ahead(True)
    for index in (1, 2):
        ahead.want(0, index, where)
        assert ahead.take(index, lambda: "here") == "here"
    (said,) = caplog.messages
    assert said.endswith("OSError: no more processes")


@pytest.mark.parametrize("reason", ["prefetch=False", "one core", "a lambda", "a child"])
def test_where_there_is_none_all_is_built_here(reason, monkeypatch):
    if reason == "one core":
        monkeypatch.setattr(prefetch, "cores", lambda: 1)
    if reason == "a child":
        monkeypatch.setattr(prefetch.multiprocessing, "parent_process", lambda: object())
    ahead = Ahead(reason != "prefetch=False")
    ahead.want(0, 0, (lambda: "there") if reason == "a lambda" else partial(slowly, "there"))
    assert not ahead._asked
    assert ahead.take(0, lambda: "here") == "here"


def test_a_pickle_has_no_part_in_what_is_asked():
    ahead = Ahead(True)
    ahead.want(0, 0, partial(slowly, "there"))
    twin = pickle.loads(pickle.dumps(ahead))
    assert twin.wanted
    assert twin.take(0, lambda: "here") == "here"


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork")
def test_after_a_fork_nothing_is_waited_for():
    ahead = Ahead(True)
    ahead.want(0, 0, partial(slowly, "there"))
    begun(ahead, 0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that this process has threads
        child = os.fork()
    if not child:
        ahead.want(1, 1, partial(slowly, "there"))
        os._exit(0 if {ahead.take(k, lambda: "here") for k in (0, 1)} == {"here"} else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert ahead.take(0, here) == "there"


# ---- environments


NBV = {"num_objects": 40, "image_size": 28, "backbone": None, "views": 2, "scene_steps": 1}
ROOMS = {"scenes": "", "image_size": 16, "backbone": None, "max_steps": 1, "scene_steps": 1}


@pytest.mark.parametrize(
    ("name", "arguments"),
    [("NBV-MapAnything-v0", NBV), ("Explore-Habitat-v0", ROOMS), ("SceneFit-Prototype-v0", FRAMES)],
    ids=["objects", "buildings", "frames"],
)
def test_what_is_built_ahead_is_the_same_bit_for_bit(name, arguments, worker, tmp_path):
    if "scenes" in arguments:
        for k in range(3):
            furnished_room().apply_scale(1 + k / 10).export(tmp_path / f"{k}.glb")
        arguments = {**arguments, "scenes": str(tmp_path)}
    ahead = gym.make(name, **arguments)
    inline = gym.make(name, prefetch=False, **arguments)
    there = 0
    for seed in (1, None, None):
        same(ahead.reset(seed=seed), inline.reset(seed=seed))
        over = False
        while not over:
            action = np.zeros_like(ahead.action_space.sample()) + (name[0] == "E")
            results = ahead.step(action), inline.step(action)
            same(*results)
            over = results[0][2] or results[0][3]
        task = ahead.unwrapped.task
        for request in getattr(task, "places", task).ahead._asked.values():
            until(lambda request=request: request.future is not None and request.future.done())
            there += 1
    assert there >= 1
    assert not worker.is_off


def same(left, right):
    assert type(left) is type(right)
    if isinstance(left, dict | tuple):
        assert len(left) == len(right)
        for key in left if isinstance(left, dict) else range(len(left)):
            same(left[key], right[key])
    else:
        np.testing.assert_array_equal(left, right)


def test_a_seed_at_every_reset_asks_for_nothing():
    env = gym.make("SceneFit-Prototype-v0", **FRAMES)
    for seed in range(3):
        env.reset(seed=seed)
        env.reset(seed=seed, options={"frame": seed})
        assert not env.unwrapped.task.ahead._asked
    env.reset(seed=0)
    env.reset()
    assert env.unwrapped.task.ahead._asked


# ---- scripts

SCRIPT = """
    import sys
    import gymnasium as gym, numpy as np, spatial_envs
    from spatial_envs.core import prefetch
    prefetch.cores = lambda: 2
    print("begins", flush=True)
    env = gym.make("SceneFit-Prototype-v0", num_frames=40, num_objects=1, slots=2, steps=3, image_size=16,
                   points=16, backbone=None, scene_steps=0)
    env.reset(seed=0)
    env.reset()
"""


def processes():
    """The parent of each process that runs, by its id."""
    found = {}
    for entry in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{entry}/stat", encoding="utf-8") as file:
                state, parent = file.read().rpartition(")")[2].split()[:2]
        except (OSError, ValueError):
            continue
        if state != "Z":
            found[int(entry)] = int(parent)
    return found


def script(tmp_path, code):
    path = tmp_path / "script.py"
    path.write_text(textwrap.dedent(SCRIPT) + textwrap.dedent(code), encoding="utf-8")
    root = str(prefetch.__file__).rpartition("spatial_envs")[0]
    paths = os.pathsep.join([root, os.environ.get("PYTHONPATH", "")])
    environment = {**os.environ, "PYTHONPATH": paths}
    return subprocess.Popen([sys.executable, str(path)], stdout=subprocess.PIPE, text=True, env=environment)


def test_a_script_without_a_main_guard_runs_once_and_ends_at_once(tmp_path):
    waiting = """
    import time, functools
    ahead = prefetch.Ahead(True)
    ahead.want(0, 0, functools.partial(time.sleep, 1000))
    while ahead._asked[0].future is None:
        time.sleep(0.01)
    print("ends")
    """
    done = script(tmp_path, waiting)
    out, _ = done.communicate(timeout=120)
    assert (done.returncode, out.split()) == (0, ["begins", "ends"])


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
def test_a_parent_that_is_killed_leaves_no_orphan(tmp_path):
    waiting = """
    import os, time
    ahead = prefetch.Ahead(True)
    ahead.want(0, 0, os.getpid)
    while ahead._asked[0].future is None:
        time.sleep(0.01)
    print(ahead.take(0, None), flush=True)
    time.sleep(1000)
    """
    parent = script(tmp_path, waiting)
    assert parent.stdout.readline() == "begins\n"
    worker = int(parent.stdout.readline())
    children = [each for each, above in processes().items() if above == parent.pid]
    assert worker in children
    os.kill(parent.pid, signal.SIGKILL)
    parent.communicate()
    until(lambda: not set(children) & set(processes()))
