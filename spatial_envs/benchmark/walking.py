"""Navigation: random walks with RGB-D after each step, in our own simulator and in habitat-sim."""

from __future__ import annotations

import importlib.util
import os
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from spatial_envs.benchmark.timing import Rows
from spatial_envs.geometry.building import STRUCTURE, Building
from spatial_envs.navigation import PointNavEnv
from spatial_envs.procedural.apartments.assembly import apartment
from spatial_envs.scenes.building_files import read_building, up_axis
from spatial_envs.simulators import make_simulator
from spatial_envs.simulators.simulator import FORWARD, LEFT, RIGHT
from spatial_envs.simulators.stage import write_glb

APARTMENT = 25  # the seed of a procedural one, 54,068 triangles


def navigation(seconds: float, path: str | None = None) -> Rows:
    """Steps per second of one core's time, of random walks with RGB-D after each step: our own simulator and,
    where habitat-sim is installed, both in turn in the same .glb. Two buildings: small, the file at ``path``
    or else a procedural apartment without its furniture, and large, the apartment."""
    large = apartment(APARTMENT)
    kept = [number for number, o in large.objects.items() if o.category in STRUCTURE]
    walls = np.isin(large.mesh.face_segments, kept)
    textures = large.mesh.face_texture
    bare = replace(
        large.mesh,
        faces=large.mesh.faces[walls],
        face_texture=None if textures is None else textures[walls],
        segment=large.mesh.face_segments[walls],
    )
    cores = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(cores)})
    try:
        with tempfile.TemporaryDirectory() as folder:
            files = {
                "small": Path(path) if path else Path(folder, "bare.glb"),
                "large": Path(folder, "all.glb"),
            }
            write_glb(large, files["large"])
            if not path:
                write_glb(replace(large, mesh=bare), files["small"])
            rows = []
            for size, file in files.items():
                building = replace(read_building(file, up_axis(file)), objects={})  # no semantic camera
                rows += _walks(size, building, seconds)
            rows += _walked_environment(files["large"], seconds)
    finally:
        os.sched_setaffinity(0, cores)
    return rows


def _walks(size: str, building: Building, seconds: float) -> Rows:
    """The rows of one building."""
    names = ["builtin"] + ["habitat"] * (importlib.util.find_spec("habitat_sim") is not None)
    walkers = {name: make_simulator(name, building) for name in names}
    taken, steps = dict.fromkeys(names, 0.0), dict.fromkeys(names, 0)
    rng = np.random.default_rng(0)
    for block in range(1_000_000):
        actions = rng.choice([FORWARD, LEFT, RIGHT], 50, p=[0.6, 0.2, 0.2])
        for name, walker in walkers.items():
            walker.reset(walker.sample(np.random.default_rng(block)), 0.0)
            begin = time.process_time()  # whatever else the core is busy with
            for action in actions.tolist():
                walker.step(action)
                walker.view().painted()
            if block:  # the first warms up
                taken[name] += time.process_time() - begin
                steps[name] += len(actions)
        if min(taken.values()) >= seconds:
            break
    rates = {name: steps[name] / taken[name] for name in names}
    triangles = f"{size} building, {len(building.mesh.faces):,} triangles"
    rows = [(f"{triangles}: {name}", rate, "steps per s") for name, rate in rates.items()]
    if "habitat" in rates:
        rows.append((f"{triangles}: ratio", rates["builtin"] / rates["habitat"], "times"))
    return rows


def _walked_environment(file: Path, seconds: float) -> Rows:
    """Steps per second of one core's time within episodes of PointNav, 128 px, without and with the map."""
    rows = []
    without: dict[str, Any] = {"reconstruction": "none", "weights": {"chamfer": 0.0}}
    for name, arguments in (("RGB-D alone", without), ("with the map and its Chamfer", {})):
        env = PointNavEnv(scenes=str(file), image_size=128, backbone=None, max_steps=10**6, **arguments)
        env.reset(seed=0)
        rng = np.random.default_rng(0)
        actions = rng.choice([FORWARD, LEFT, RIGHT], 2000, p=[0.6, 0.2, 0.2])
        for action in actions[:20].tolist():  # compiles
            env.step(action)
        begin, count = time.process_time(), 0
        while time.process_time() - begin < seconds:
            env.step(actions[count % len(actions)])
            count += 1
        rows.append((f"PointNav, {name}", count / (time.process_time() - begin), "steps per s"))
    return rows
