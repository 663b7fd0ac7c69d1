"""Paths as users type them, and names in any script on any machine."""

import csv
import importlib
import os
import subprocess
import sys
from pathlib import Path
from typing import get_args, get_type_hints

import pytest
import trimesh
import tyro
from buildings import furnished_room

from agents.runs import place
from scenes import fit, inspect
from spatial_envs.backbones.compact import Compact
from spatial_envs.navigation import PointNavEnv
from spatial_envs.nbv import NBVEnv
from spatial_envs.scene_fit import SceneFitEnv
from spatial_envs.scenes.building_files import read_building
from spatial_envs.scenes.mesh_files import read_mesh
from spatial_envs.scenes.objects import open_objects

ROOT = Path(__file__).resolve().parents[1]
SCRIPTS = [path.stem for path in (ROOT / "agents").glob("*.py") if "class Flags" in path.read_text("utf-8")]


@pytest.fixture
def home(tmp_path, monkeypatch):
    """A user's own folder, with a ball and a room in it; the working directory is elsewhere."""
    folder = tmp_path / "home"
    folder.mkdir()
    monkeypatch.setenv("USERPROFILE" if os.name == "nt" else "HOME", str(folder))
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    trimesh.creation.icosphere(2, 0.5).export(folder / "ball.obj")
    furnished_room().export(folder / "room.glb")
    return folder


def test_environments_know_the_home(home, weights):
    (home / "w.safetensors").write_bytes(weights.read_bytes())
    looking = NBVEnv(scenes="~/ball.obj", image_size=28, backbone=None, cache_dir="~/kept")
    looking.reset(seed=0)
    assert [path.suffix for path in (home / "kept").iterdir()] == [".npz"]
    walking = PointNavEnv(scenes="~/room.glb", backbone=None, cache_dir="~/kept")
    assert walking.task.places.cache_dir == home / "kept"
    assert SceneFitEnv(backbone=None, prototypes="~/w.safetensors").task.weights == home / "w.safetensors"
    (home / "c.safetensors").write_bytes(Compact().weights.read_bytes())
    assert Compact("~/c.safetensors").weights == home / "c.safetensors"
    assert not list(Path.cwd().iterdir())


def test_sets_and_readers_know_the_home(home):
    (home / "set.yaml").write_text("splits: {train: [~/ball.obj]}", encoding="utf-8")
    assert len(open_objects("~/set.yaml").load(0).faces) == len(read_mesh("~/ball.obj").faces)
    assert read_building("~/room.glb").path == str(home / "room.glb")


def test_a_place_is_the_same_however_it_is_written(home):
    for scenes in ("~/ball.obj", "../home/ball.obj", str(home / "ball.obj")):
        assert place({"env_kwargs": {"scenes": scenes}}) == str(home / "ball.obj")


@pytest.mark.parametrize("script", SCRIPTS)
def test_no_flag_takes_a_home_for_a_folders_name(script, home):
    """``--out=~/a`` reaches a script as it is written."""
    flags = importlib.import_module(f"agents.{script}").Flags
    for name, hint in get_type_hints(flags).items():
        if hint is Path or Path in get_args(hint):
            known = {n: getattr(flags, n, None) for n in ("run", "out") if n in get_type_hints(flags)}
            told = {n: "there" for n, value in known.items() if value is None} | {name: "~/a"}
            where = {n: "" if "Positional" in str(flags.__annotations__[n]) else f"--{n}=" for n in told}
            args = [where[n].replace("_", "-") + path for n, path in told.items()]
            assert getattr(tyro.cli(flags, args=args), name) in (home / "a", (home / "a",))


def test_scenes_scripts_know_the_home(home, capsys):
    inspect.main(["~/ball.obj", "--count", "1", "--out=~/sheet.png"])
    assert (home / "sheet.png").is_file()
    with pytest.raises(SystemExit, match=f"{home}/none.png"):
        fit.main(["~/none.png", "--intrinsics", "9", "9", "4", "4"])


@pytest.mark.skipif(sys.platform != "linux", reason="other systems keep names as Unicode")
def test_a_comparison_is_written_whatever_the_names_and_the_locale(tmp_path):
    """Files in Chinese, one of them named in GBK, where neither terminal nor locale know a letter of it."""
    folder = tmp_path / "物体"
    folder.mkdir()
    ball = trimesh.creation.icosphere(1, 0.5).export(file_type="obj")
    for name in ("椅子.obj".encode(), "床.obj".encode("gbk")):
        (folder / os.fsdecode(name)).write_text(ball, encoding="utf-8")
    command = [
        sys.executable, ROOT / "evaluate_agent.py", "--scenes", folder, "--baselines", "random",
        "--episodes", "2", "--budgets", "2", "--set", "views=3", "image_size=28", "backbone=null",
        "--out", tmp_path / "out",
    ]  # fmt: skip
    locale = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0", "PYTHONIOENCODING": "ascii"}
    done = subprocess.run(command, capture_output=True, env={**os.environ, **locale, "PYTHONPATH": str(ROOT)})
    assert done.returncode == 0, done.stderr.decode()
    assert rb"\u7269\u4f53" in done.stdout
    for name in ("tables.md", "report.html"):
        assert "物体" in (tmp_path / "out" / name).read_text(encoding="utf-8")
    with (tmp_path / "out" / "scores.csv").open(encoding="utf-8", newline="") as file:
        assert {row["scene"] for row in csv.DictReader(file)} == {"椅子", r"\xb4\xb2"}
