"""habitat-sim in a process that goes on living: its GL context, and the ways in which it ends a process.

It calls exit(1) where it cannot render; dies of a file that it cannot show, as of one with a broken texture;
aborts when it is used or let go in another thread, or when the first simulator is closed before the others;
and hangs after a fork. Each is an error here, or cannot happen.
"""

from __future__ import annotations

import atexit
import contextlib
import ctypes
import functools
import importlib.util
import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import weakref
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch

from spatial_envs.foundation.errors import MeshError
from spatial_envs.simulators.stage import write_configuration

INSTALL = "https://github.com/facebookresearch/habitat-sim/blob/main/BUILD_FROM_SOURCE.md"
# Without these lines habitat-sim spends up to 20 s of a CPU on an environment map that nothing here shows.
NO_ENVIRONMENT = {"enable_ibl": False, "ibl_blut_filename": "none.png", "ibl_envmap_filename": "none.hdr"}

# habitat-sim's simulators that hold something, by id: they have no hash
_OPEN: weakref.WeakValueDictionary[int, Any] = weakref.WeakValueDictionary()
# By process and thread: an empty simulator. habitat-sim gives its GL context to the first simulator of a
# thread, the others use it, and when the first is closed they abort. So the first one is this, closed last.
_CONTEXTS: dict[tuple[int, int], Any] = {}


def require() -> None:
    """ImportError where habitat_sim is absent."""
    if importlib.util.find_spec("habitat_sim") is None:
        raise ImportError(
            f"simulator='habitat' needs the package habitat_sim, which is not installed: see {INSTALL} "
            "(it is not on PyPI), or use simulator='builtin', which needs nothing more"
        )


def share_context(gpu: int | None = None) -> None:
    """Have habitat-sim's GL context in this thread, on a GPU, or -1: none; None tries which one works.

    Raises ImportError where habitat_sim is absent, RuntimeError where no context can be had.
    """
    require()
    if any(process != os.getpid() for process, _ in _CONTEXTS):
        raise RuntimeError(
            "simulator='habitat': habitat-sim was in use before this process was forked off, and does not "
            "survive a fork: start workers before, or with 'spawn'"
        )
    if here() in _CONTEXTS:
        return
    gpu = working_gpu() if gpu is None else gpu
    if (reason := probe(gpu)) is not None:
        raise RuntimeError(f"gpu: got {gpu}; habitat-sim cannot render on it: {reason}")
    _CONTEXTS[here()] = _empty(gpu)


@functools.cache
def working_gpu() -> int:
    """The first GPU where there is one that habitat-sim can use, else -1: it renders on the CPU."""
    return 0 if torch.cuda.device_count() and probe(0) is None else -1


@functools.cache
def probe(gpu: int) -> str | None:
    """None where habitat-sim can render on a GPU, -1: without one; else what it says."""
    return _fault_of(f"_empty({gpu}).close()")


def check_file(path: str, up: str) -> None:
    """MeshError for a building's file, its up axis "y" or "z", of which habitat-sim would die. It is loaded
    and shown in another process, once for each state of the file. `share_context` comes first."""
    gpu = _CONTEXTS[here()].config.sim_cfg.gpu_device_id
    if (reason := _fault_of_file(path, up, gpu, os.stat(path).st_mtime_ns)) is not None:
        raise MeshError(
            f"{path}: habitat-sim would end the process that shows it: {reason}; expected a file that it can "
            "show (are its textures whole?), or simulator='builtin'"
        )


@functools.cache
def _fault_of_file(path: str, up: str, gpu: int, changed: int) -> str | None:
    return _fault_of(f"_show({path!a}, {up!r}, {gpu})")


def _fault_of(call: str) -> str | None:
    """None where a call of this module goes well; else what habitat-sim says. It is tried in another process:
    habitat-sim ends the process, rather than raising an error."""
    code = f"from spatial_envs.simulators import habitat_process; habitat_process.{call}"
    paths = os.pathsep.join(path for path in sys.path if path)
    environment = {**os.environ, "HABITAT_SIM_LOG": "error", "PYTHONPATH": paths}
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code],  # what it warns of is not what ended it
        capture_output=True,
        text=True,
        encoding="utf-8",
        errors="replace",
        env=environment,
    )
    if done.returncode == 0:
        return None
    end = signal.strsignal(-done.returncode) if done.returncode < 0 else f"exit status {done.returncode}"
    said = (done.stderr.strip() or done.stdout.strip()).splitlines()[-2:]
    return f"{'; '.join(said)[-500:]} ({end})"


def _show(path: str, up: str, gpu: int) -> None:
    """Load a building's file and show all of it, wherever it is."""
    import habitat_sim

    color = habitat_sim.CameraSensorSpec()
    color.uuid, color.sensor_type, color.resolution = "rgb", habitat_sim.SensorType.COLOR, [16, 16]
    agent = habitat_sim.agent.AgentConfiguration(sensor_specifications=[color])
    with tempfile.TemporaryDirectory() as folder:
        simulator = _simulator(_settings(str(write_configuration(Path(folder), path, up)), gpu), agent)
    simulator.frustum_culling = False
    simulator.get_sensor_observations()
    simulator.close()


def _empty(gpu: int) -> Any:
    """A simulator without a scene, on a GPU; it owns a GL context."""
    import habitat_sim

    depth = habitat_sim.CameraSensorSpec()
    depth.uuid, depth.sensor_type, depth.resolution = "depth", habitat_sim.SensorType.DEPTH, [16, 16]
    agent = habitat_sim.agent.AgentConfiguration(sensor_specifications=[depth])
    return _simulator(_settings("NONE", gpu), agent)


def open_stage(
    stage: Path, agent: Any, sliding: bool, agent_height: float, agent_radius: float, agent_climb: float
) -> Any:
    """habitat-sim's simulator of a stage, its navigation mesh computed with the defaults for this agent.

    `share_context` comes first, `close` in the end.
    """
    import habitat_sim

    settings = _settings(str(stage), -1)
    settings.allow_sliding = sliding
    settings.navmesh_settings = habitat_sim.NavMeshSettings()
    settings.navmesh_settings.set_defaults()
    settings.navmesh_settings.agent_height = agent_height
    settings.navmesh_settings.agent_radius = agent_radius
    settings.navmesh_settings.agent_max_climb = agent_climb
    with _quiet():
        simulator = _simulator(settings, agent)
    _OPEN[id(simulator)] = simulator
    return simulator


def _settings(scene: str, gpu: int) -> Any:
    import habitat_sim

    settings = habitat_sim.SimulatorConfiguration()
    settings.scene_id, settings.gpu_device_id, settings.enable_physics = scene, gpu, False
    return settings


def _simulator(settings: Any, agent: Any) -> Any:
    os.environ.setdefault("HABITAT_SIM_LOG", "quiet")
    os.environ.setdefault("MAGNUM_LOG", "quiet")
    import habitat_sim

    with tempfile.TemporaryDirectory() as folder:
        data = Path(folder, "data")
        data.mkdir()
        (data / "default.pbr_config.json").write_text(json.dumps(NO_ENVIRONMENT), encoding="utf-8")
        before = os.getcwd()
        os.chdir(folder)  # the only place where it looks for its default configuration
        try:
            mediator = habitat_sim.metadata.MetadataMediator(settings)
        finally:
            os.chdir(before)
    simulator = habitat_sim.Simulator(habitat_sim.Configuration(settings, [agent], mediator))
    simulator.made_in = here()
    return simulator


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Keep what habitat-sim prints of missing environment maps off the terminal, unless there is an error."""
    sys.stderr.flush()
    with tempfile.TemporaryFile() as printed:
        terminal = os.dup(2)
        os.dup2(printed.fileno(), 2)
        try:
            yield
        except Exception as error:
            printed.seek(0)
            said = printed.read().decode(errors="replace").strip()[-2000:]
            raise RuntimeError(f"habitat-sim: {error}\n{said}") from error
        finally:
            os.dup2(terminal, 2)
            os.close(terminal)


def here() -> tuple[int, int]:
    """The process and the thread."""
    return os.getpid(), threading.get_ident()


def close(simulator: Any) -> None:
    """Let go of habitat-sim's simulator, where it was made; elsewhere that would abort the process, and it
    stays until the process ends."""
    _OPEN.pop(id(simulator), None)
    if simulator.made_in == here():
        simulator.close()
    else:
        ctypes.pythonapi.Py_IncRef(ctypes.py_object(simulator))


@atexit.register
def _close_all() -> None:
    """Simulators first, then the context that they share."""
    for simulator in list(_OPEN.values()):
        close(simulator)
    for empty in _CONTEXTS.values():
        close(empty)
