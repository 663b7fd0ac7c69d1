"""Damaged texts and files, drawn by seed: whatever they hold, the answer is a result or an error that we
raise and that names the argument or the file, within bounds of time and memory; a start that fails leaves
nothing behind.

    python tests/test_fuzz.py --cases 20000 --seed 1    # the same, for longer
"""

from __future__ import annotations

import argparse
import inspect
import io
import json
import linecache
import os
import re
import resource
import shutil
import signal
import sys
import tempfile
import time
import traceback
import warnings
from base64 import b64encode
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import trimesh
from PIL import Image

from agents import progress, run_folder, runs
from agents.backbone import training as backbone_training
from agents.comparison import compare as comparison
from agents.comparison.scores import Kept, joined
from agents.curves import plot_curves
from agents.families import family
from agents.hyperparameters import Lessons
from agents.nbv.family import NEXT_BEST_VIEW
from agents.scene_fit.family import FITTING
from agents.studies import open_problem
from agents.training import train as training
from agents.training.config import CONFIGS, Flags, resolve
from spatial_envs.foundation import yaml_files
from spatial_envs.foundation.errors import MeshError, SceneError
from spatial_envs.scenes.buildings import open_buildings
from spatial_envs.scenes.depth_frames import open_depth
from spatial_envs.scenes.mesh_files import read_mesh
from spatial_envs.scenes.objects import open_objects

SEED, CASES = 0, 2000  # of all properties together
SECONDS, BYTES = 20, 6 * 2**30  # that a case may take: of one core, and beyond what is there before
ROOT = Path(__file__).resolve().parents[1]
VIEWS, FITS = "NBV-MapAnything-v0", "SceneFit-Prototype-v0"
TEXTS = [  # that stand in a value's place
    "", "~", "null", "true", "on", "0", "-1", "1", "2", "7", "1.5", "-0.0", "1e3", "1e400", "-1e400", ".nan",
    "-.inf", "2147483648", "4294967295", "9223372036854775807", "-9223372036854775808", "9" * 40, "9" * 5000,
    "0x1F", "017", "2001-12-14", "1:30", "''", '"\\0"', '"a\\nb"', "\u2028", "\x85", "e\u0301\U0001f600",
    "\udcff", "lin_1e400", "lin_0.1", "auto", "auto_1e999", "cuda:99", "procedural", "no/such/place", "a.b",
    "x" * 2000, "[]", "{}", "[[[1]]]", "[1, x, ~, .nan]", "{a: {b: [1]}}", "{1: 2, ~: 3}", "? [a]\n: b",
    "[" * 400, "[" * 20_000, "{a: " * 400, "&a [*a]", "*nowhere", "<<: 1", "!!binary aGk=", "!!set {a}",
    "!!float x",
    "!!python/object/apply:os.system ['true']", "!!python/name:os.system", "!a b", "%YAML 9.9\n---\n1",
    "- 1\n--- 2", "'", '"', "\t", "#", "|", ">", "@", "`",
]  # fmt: skip
VALUES = [  # that stand in a value's place once the text is read
    None, True, False, -1, 0, 1, 2, 3, 7, 100, 2**31, 2**32 - 1, 2**63 - 1, -(2**63), 0.5, -0.0, 1e-320,
    1e308, float("nan"), float("inf"), "", "x", "auto", "lin_1e400", "\0", "a\nb", "x" * 2000, [], {}, [1],
    ["x", None], [[1, 2], 3], [1, "episode"], {"a": 1}, {1: {"b": None}}, "procedural", "cuda:99", ".",
    "agents.nowhere.X", [0, 0], [3, -1.5], ["poses"],
]  # fmt: skip


class Enough(Exception):
    """What begins now is none of this test's business."""


# ---- damage


def damaged(rng: np.random.Generator, content: bytes) -> bytes:
    """One to three changes of bytes, lines or values."""
    for _ in range(int(rng.integers(1, 4))):
        kind, place = int(rng.integers(10)), int(rng.integers(len(content) + 1))
        lines = content.split(b"\n")
        one, other = (int(n) for n in rng.integers(len(lines), size=2))
        if kind == 0:
            content = content[:place]
        elif kind == 1:
            changed = bytearray(content)
            for each in rng.integers(len(content), size=int(rng.integers(1, 6))) if content else ():
                changed[each] ^= 1 << int(rng.integers(8))
            content = bytes(changed)
        elif kind == 2:
            content = b"\n".join(lines[:one] + lines[one + 1 :])
        elif kind == 3:
            content = b"\n".join([*lines[:one], *[lines[other]] * int(rng.integers(1, 3)), *lines[one:]])
        elif kind == 4:
            lines[one], lines[other] = lines[other], lines[one]
            content = b"\n".join(lines)
        elif kind == 5:
            ends = (b"\0", b"\xef\xbb\xbf", b"\xff", b"\r", b"\x1b", b"\x0c", b",,", b'"', b"\n\n", b"\t")
            content = content[:place] + ends[int(rng.integers(len(ends)))] + content[place:]
        elif kind == 6:
            whole = content.decode("utf-8", "replace")
            forms = ("utf-8-sig", "utf-16", "utf-32", "latin-1")
            content = whole.encode(forms[int(rng.integers(len(forms)))], "replace")
        elif kind == 7:
            content = content.replace(b"\n", (b"\r\n", b"\r")[int(rng.integers(2))])
        else:  # a value by another, the most telling
            words = re.split(rb"([\s,:=\[\]{}]+)", content)
            one = 2 * int(rng.integers((len(words) + 1) // 2))
            text = some(rng, TEXTS).encode("utf-8", "surrogateescape")
            words[one] = text if kind == 8 else words[2 * int(rng.integers((len(words) + 1) // 2))]
            content = b"".join(words)
    return content


def changed(rng: np.random.Generator, content: Any) -> Any:
    """Of a mapping or list: somewhere in it a value changed, a key left out, added, or changed to another."""
    if not isinstance(content, (dict, list)) or not content or rng.random() < 0.1:
        return some(rng, VALUES)
    if isinstance(content, list):
        place = int(rng.integers(len(content)))
        if rng.random() < 0.2:
            return content[:place] + content[place + 1 :] * int(rng.integers(3))
        return [*content[:place], changed(rng, content[place]), *content[place + 1 :]]
    key = some(rng, list(content))
    kind = rng.random()
    if kind < 0.1:
        return {each: value for each, value in content.items() if each != key}
    if kind < 0.2:
        new = some(rng, [3, None, "seed", "x", f"{key}s", "", "env_kwargs", "warm_start", 0.5])
        return {**content, new: some(rng, VALUES)}
    return {**content, key: changed(rng, content[key])}


def some(rng: np.random.Generator, choices: list[Any]) -> Any:
    return choices[int(rng.integers(len(choices)))]


def spoilt(rng: np.random.Generator, content: Any) -> bytes:
    """A mapping as damaged YAML."""
    if rng.random() < 0.7:
        for _ in range(int(rng.integers(1, 3))):
            content = changed(rng, content)
        return yaml_files.text(content).encode()
    return damaged(rng, yaml_files.text(content).encode())


# ---- what must hold


@contextmanager
def answered(*names: str) -> Iterator[None]:
    """The block ends, or with an error that is raised by a line of ours, on one line, of a kind that commands
    answer, which begins with one of the names, or with that of any argument."""
    signal.setitimer(signal.ITIMER_VIRTUAL, SECONDS)
    try:
        yield
    except Enough:
        pass
    except (ValueError, TypeError, FileNotFoundError, ImportError) as error:
        if fault := _foreign(error, names):
            raise AssertionError(f"{fault}: {type(error).__name__}: {str(error)[:500]}") from error
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)


def _foreign(error: Exception, names: tuple[str, ...]) -> str:
    last = traceback.extract_tb(error.__traceback__)[-1]
    inside = Path(last.filename).is_relative_to(ROOT) and "tests" not in Path(last.filename).parts
    message = str(error)
    if not inside or not linecache.getline(last.filename, last.lineno or 0).strip().startswith("raise "):
        return f"not raised by us but in {last.filename}:{last.lineno}"
    if type(error) not in (
        ValueError,
        FileNotFoundError,
        ImportError,
        MeshError,
        SceneError,
    ) and not re.match("unexpected argument", message):
        return "another kind"
    if "\n" in message:
        return "more than a line"
    named = message.startswith(names) if names else re.match(r"[a-z_, ]+: |unexpected argument", message)
    if not named:
        return f"names none of {names}"
    return ""


def _too_long(*_: Any) -> None:
    raise RuntimeError(f"a case took more than {SECONDS} seconds of a core")


def everything(folder: Path) -> dict[str, bytes | None]:
    return {str(p.relative_to(folder)): p.read_bytes() if p.is_file() else None for p in folder.rglob("*")}


# ---- the properties: (rng, place), a folder with what ``prepare`` made


def yaml_texts(rng: np.random.Generator, place: Path) -> None:
    """What is read is read again from what is written."""
    content = some(rng, sorted(CONFIGS.glob("*.yml"), key=str)).read_bytes()
    content = damaged(rng, content if rng.random() < 0.5 else (place / "run/config.yaml").read_bytes())
    with answered("flag: not plain YAML: "):
        found = yaml_files.parse(content, "flag")
        assert repr(yaml_files.parse(yaml_files.text(found), "")) == repr(found)


SETS = {"up": "auto", "splits": {"train": ["ball.obj", "more"], "test": ["box.obj"]}}


def scene_sets(rng: np.random.Generator, place: Path) -> None:
    """None is opened, or with the paths that are there."""
    path = place / "scenes" / "set.yaml"
    path.write_bytes(spoilt(rng, SETS))
    opened = some(rng, [open_objects, open_buildings, open_depth])
    more = {"intrinsics": (9, 9, 5, 5)} if opened is open_depth else {}
    with answered(f"{path}: ", "scenes: ", "split: "):
        opened(path, some(rng, ["train", "validation", "test"]), **more)


CORNERS = np.array([[0, 0, 0], [1, 0, 0], [0, 2, 0], [0, 0, 3]], "<f4")
FACES = np.array([[0, 2, 1], [0, 1, 3], [1, 2, 3], [2, 0, 3]], "<u4")
OBJ = "mtllib m.mtl\n" + "".join(f"v {x} {y} {z} 1 0.5 0\nvt {x} {y}\n" for x, y, z in CORNERS) + (
    "usemtl a\nf 1/1 3/3 2/2\nf -4 -3 -1\nusemtl b\nf 2//1 3 4\nf 3/3 1/1 4/4 2/2 # a polygon\n"
)  # fmt: skip
MTL = "newmtl a\nKd 1 0 0\nd 0.2\nTr 0.8\nmap_Kd -s 2 2 1 -clamp on t.png\nnewmtl b\n\tKe 0.5\n"
PLY = (
    "ply\nformat {} 1.0\ncomment TextureFile t.png\nelement vertex 4\nproperty float x\nproperty float y\n"
    "property float z\nelement face 5\nproperty list uchar uint vertex_indices\nend_header\n"
)
ROWS = b"".join(b"\3" + face.tobytes() for face in FACES) + b"\4" + np.array([2, 0, 3, 1], "<u4").tobytes()
STRIP = PLY.replace("face 5", "tristrips 1").replace("uchar uint", "int int")
NUMBERS_OF_GLTF = b64encode(CORNERS.tobytes() + FACES.tobytes()).decode()
GLTF: dict[str, Any] = {
    "asset": {"version": "2.0"}, "scene": 0, "scenes": [{"nodes": [0]}], "samplers": [{"wrapS": 33071}],
    "nodes": [{"children": [1], "scale": [1, 2, 1]}, {"mesh": 0, "rotation": [0, 0, 0, 1], "name": "a"}],
    "meshes": [{"primitives": [
        {"attributes": {"POSITION": 0, "TEXCOORD_0": 2}, "indices": 1, "material": 0}, {"attributes": {}},
    ]}],
    "accessors": [
        {"bufferView": 0, "componentType": 5126, "count": 4, "type": "VEC3"},
        {"bufferView": 1, "componentType": 5125, "count": 12, "type": "SCALAR"},
        {"bufferView": 0, "componentType": 5121, "count": 4, "type": "VEC2", "normalized": True},
    ],
    "bufferViews": [{"buffer": 0, "byteLength": 48}, {"buffer": 0, "byteOffset": 48, "byteLength": 48}],
    "buffers": [{"byteLength": 96, "uri": "data:;base64," + NUMBERS_OF_GLTF}],
    "materials": [{
        "pbrMetallicRoughness": {"baseColorTexture": {"index": 0}, "baseColorFactor": [1, 1, 1, 0.2]},
        "alphaMode": "BLEND", "emissiveFactor": [1, 0, 0],
        "extensions": {"KHR_materials_transmission": {"transmissionFactor": 0.9}},
    }],
    "textures": [{"source": 0, "sampler": 0}], "images": [{"uri": "t.png"}],
}  # fmt: skip
BOX = trimesh.creation.box()
MESHES = {
    "a.obj": OBJ.encode(), "a.ply": PLY.format("binary_little_endian").encode() + CORNERS.tobytes() + ROWS,
    "b.ply": BOX.export(file_type="ply", encoding="ascii"), "a.glb": BOX.export(file_type="glb"),
    "c.ply": STRIP.format("ascii").encode() + b"0 0 0 1 0 0 0 2 0 0 0 3 9 0 1 2 3 -1 3 1 2 0",
    "a.stl": BOX.export(file_type="stl"), "b.stl": BOX.export(file_type="stl_ascii").encode(),
    "a.off": BOX.export(file_type="off").encode(),
    "b.off": b"COFF 3 1 0 0 0 0 1 0 0 1 1 1 1 0 1 0 1 1 1 0 9 0 1\n3 0 1 2",
}  # fmt: skip


def meshes(rng: np.random.Generator, place: Path) -> None:
    """A damaged file, or one beside which a file is damaged, is a sound mesh or refused."""
    folder = place / "meshes"
    folder.mkdir(exist_ok=True)
    picture = io.BytesIO()
    Image.fromarray(np.full((4, 4, 3), 99, np.uint8)).save(picture, "png")
    beside = {"m.mtl": MTL.encode(), "t.png": picture.getvalue()}
    name = some(rng, [*MESHES, "a.gltf"])
    content = MESHES.get(name, json.dumps(GLTF).encode())
    if name == "a.gltf" and rng.random() < 0.7:
        content = json.dumps(changed(rng, GLTF)).encode()
    elif name == "a.obj" and rng.random() < 0.5:
        hurt = some(rng, list(beside))
        beside[hurt] = damaged(rng, beside[hurt])
    else:
        content = damaged(rng, content)
    for file, data in {**beside, name: content}.items():
        (folder / file).write_bytes(data)
    with answered(f"{folder / name}: "), warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        mesh = read_mesh(folder / name)
        assert np.isfinite(mesh.vertices).all()
        assert (mesh.areas > 0).any()
        assert mesh.faces.min() == 0
        assert mesh.faces.max() == len(mesh.vertices) - 1 == len(mesh.colors) - 1
        if mesh.uv is not None:
            assert np.isfinite(mesh.uv).all()
            assert mesh.face_texture.max() < len(mesh.textures)


INSTANCE: dict[str, Any] = {
    "stage_instance": {"template_name": "stages/a", "translation": [0, 1, 0]},
    "object_instances": [
        {"template_name": "b", "translation": [1, 0, 2], "rotation": [1, 0, 0, 0]},
        {"template_name": "objects/c", "non_uniform_scale": [1, 2, 1], "uniform_scale": 2},
    ],
    "articulated_object_instances": [{"template_name": "d"}], "translation_origin": "asset_local",
}  # fmt: skip
CONFIG = {"render_asset": "b.glb", "scale": [1, 1, 1], "up": [0, 1, 0], "COM": [0, 0, 0]}


def scene_instances(rng: np.random.Generator, place: Path) -> None:
    """A damaged scene of habitat's is a building or refused by the name of one of its files."""
    root = place / "new"
    for name in ("stages/a.glb", "objects/b.glb", "scenes/a.scene_instance.json"):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(MESHES["a.glb"])
    written = [INSTANCE, CONFIG]
    hurt = int(rng.integers(2))
    written[hurt] = changed(rng, written[hurt])
    contents = [json.dumps(each).encode() for each in written]
    if rng.random() < 0.3:
        contents[hurt] = damaged(rng, contents[hurt])
    (root / "scenes/a.scene_instance.json").write_bytes(contents[0])
    (root / "objects/c.object_config.json").write_bytes(contents[1])
    with answered(str(root)), warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        mesh = open_buildings(root / "scenes/a.scene_instance.json").load(0).mesh
        assert np.isfinite(mesh.vertices).all()


MILLIMETRES = np.add.outer(np.arange(900, 932), 9 * np.arange(32)).astype(np.uint16)
DEPTHS = ("a.png", "b.png", "a.tiff", "b.tiff", "a.npy", "b.npy", "a.npz", "a.pgm")


def depths(rng: np.random.Generator, place: Path) -> None:
    """A damaged depth file is finite metres or refused by its name."""
    path = place / "new" / some(rng, list(DEPTHS))
    path.parent.mkdir()
    values = MILLIMETRES if path.stem == "a" else (MILLIMETRES / 1000).astype(np.float32)
    if path.name == "b.png":  # TartanAir's: the bytes of a float
        Image.fromarray(values.view(np.uint8).reshape(32, 32, 4)[..., [2, 1, 0, 3]]).save(path)
    elif path.suffix in (".png", ".tiff"):
        Image.fromarray(values).save(path)
    elif path.suffix == ".npy":
        np.save(path, values)
    elif path.suffix == ".npz":
        np.savez(path, depth=values)
    else:
        path.write_bytes(b"P5 32 32 65535\n" + values.astype(">u2").tobytes())
    path.write_bytes(damaged(rng, path.read_bytes()))
    with answered(f"{path}: ", f"{path.name}: "):
        depth = open_depth(path, intrinsics=(30, 30, 16, 16), image_size=32).load(0).view.depth
        assert np.isfinite(depth).all()
        assert (depth >= 0).all()


STARTS = [  # algorithms, environments, and settings of which these are quickly made
    ("ppo", VIEWS, ("num_objects=1", "image_size=28", "views=2")),
    ("sac", VIEWS, ("num_objects=1", "image_size=28", "views=2")),
    ("td3", VIEWS, ("num_objects=1", "image_size=28", "views=2")),
    ("dqn", "NBV-MapAnything-Discrete-v0", ("num_objects=1", "image_size=28", "views=2")),
    ("ppo", "PointNav-Habitat-v0", ("num_buildings=1", "image_size=28")),
    ("ppo", FITS, ("num_frames=1",)),
]
NUMBERS = ["seed", "timesteps", "num_envs", "eval_every", "validation_starts", "final_starts"]  # of Flags


def starts(rng: np.random.Generator, place: Path) -> None:
    """A run that is not begun leaves no folder; the configuration of one that is can be read again."""
    algo, env_id, setting = some(rng, STARTS)
    entry = yaml_files.read(CONFIGS / f"{algo}.yml")[env_id]
    if "buffer_size" in entry:
        entry = {**entry, "buffer_size": 100}
    flags = Flags(
        algo=algo, env=env_id, set=(*setting, f"cache_dir={place / 'cache'}"), backbone="none", num_envs=2,
        timesteps=200_000, track="none", config=place / "own.yml", out=place / "new" / "run",
    )  # fmt: skip
    kind = int(rng.integers(6))
    if kind < 2:
        entry = changed(rng, entry)
        flags = replace(flags, num_envs=None, timesteps=None)
    elif kind == 2:
        known = inspect.signature(runs.env_type(env_id).task_type).parameters
        name = some(rng, [name for name in known if name != "cache_dir"])
        flags = replace(flags, set=(*flags.set, f"{name}={some(rng, TEXTS)}"))
    elif kind == 3:
        names = [*entry, "gamma", "ent_coef", "train_freq", "noise_type", "learning_starts", "n_step"]
        flags = replace(flags, hyper=(f"{some(rng, names)}={some(rng, TEXTS)}",))
    elif kind == 4:
        flags = replace(flags, **{some(rng, NUMBERS): some(rng, [v for v in VALUES if type(v) is int])})
    else:
        given = {some(rng, ["scenes", "backbone", "device"]): some(rng, TEXTS)}
        if algo == "ppo" and env_id != VIEWS:
            names = [field.name for field in fields(Lessons)] + ["hyperparameters"]
            given["warm_start"] = "refinement" if env_id == FITS else "greedy"
            given["warm"] = (f"{some(rng, names)}={some(rng, TEXTS)}",)
            given.pop(some(rng, [name for name in given if "warm" not in name]))
        flags = replace(flags, **given)
    own = yaml_files.text({env_id: entry}).encode()
    (place / "own.yml").write_bytes(own if rng.random() < 0.9 else damaged(rng, own))
    with answered():
        try:
            run = resolve(flags)
            run_folder.write_config(place, run)
            assert run_folder.read_config(place, "run", run_folder.RESUMED) == run
            training.train(flags)
        finally:
            assert not (place / "new").exists()


def encoders(rng: np.random.Generator, place: Path) -> None:
    """Configurations of the encoder's training, to where it begins."""
    published = yaml_files.read(CONFIGS / "encoder.yml")[FITS]
    given = {FITS: changed(rng, published)}
    (place / "own.yml").write_bytes(yaml_files.text(given).encode())
    hyper = (f"{some(rng, list(published))}={some(rng, TEXTS)}",) if rng.random() < 0.3 else ()
    flags = Flags(
        algo="encoder", env=FITS, config=place / "own.yml", hyper=hyper,
        set=("num_frames=1",), out=place / "new" / "run",
    )  # fmt: skip
    with answered():
        try:
            training.train(flags)
        finally:
            assert not (place / "new").exists()


def backbones(rng: np.random.Generator, place: Path) -> None:
    """Configurations of the backbone's training, to its first batch, of which nothing is rendered."""
    published = yaml_files.read(CONFIGS / "compact.yml")
    small = {**published, "sizes": {"width": 32, "heads": 2, "encoder_layers": 1, "fusion_layers": 1}}
    (place / "own.yml").write_bytes(spoilt(rng, small))
    flags = backbone_training.Flags(config=place / "own.yml", out=place / "new" / "run", device="cpu")
    with answered():
        try:
            backbone_training.train(flags)
        finally:
            assert not (place / "new").exists()


def tables(rng: np.random.Generator, place: Path) -> None:
    """evaluations.csv: what is not whole is left out, the best model is one that is there, and what a resumed
    run keeps of it can be drawn."""
    folder = place / "read"
    (folder / "evaluations.csv").write_bytes(damaged(rng, (place / "run/evaluations.csv").read_bytes()))
    with answered():
        rows = run_folder.evaluations(folder)
        path, row = run_folder.best(folder, NEXT_BEST_VIEW.curve)
        assert path.is_file()
        assert row is None or row in rows
        kept = [row for row in rows if {"policy", *COLUMNS} <= {*row} and int(row["timesteps"]) <= 24]
        if rng.random() < 0.05:
            last = {**dict.fromkeys(COLUMNS, "0.5"), "policy": "agent", "timesteps": "24"}
            plot_curves([*kept, last], place / "curves.png", COLUMNS[1], "y", {"farthest": 0.0})
        (place / "progress.csv").write_bytes(damaged(rng, PROGRESS))
    with answered(f"{place / 'progress.csv'}: "):
        assert open_problem.gradient_norms(place / "progress.csv").dtype == np.float64


COLUMNS = ("timesteps", "over_farthest", "low", "high")
PROGRESS = b"time/iterations,train/gradient_norm,train/loss\n1,,\n2,0.25,1.5\n3,1e-3,nan\n4,0.5,-1\n"


def folders(rng: np.random.Generator, place: Path) -> None:
    """A run's folder, damaged, is compared or not; what cannot go on is left as it is."""
    folder = place / "damaged"
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(place / "run", folder)
    config = yaml_files.read(folder / "config.yaml")
    for _ in range(int(rng.integers(1, 3))):
        kind = int(rng.integers(6))
        if kind < 3:
            (folder / "config.yaml").write_bytes(spoilt(rng, config))
        elif kind == 3:
            path = folder / "evaluations.csv"
            path.write_bytes(damaged(rng, path.read_bytes()) if path.is_file() else b"")
        else:
            path = some(rng, [p for p in sorted(folder.rglob("*")) if p.suffix != ".yaml"])
            if path.is_file() and path.suffix == ".zip" and kind == 4:
                path.write_bytes(path.read_bytes()[: int(rng.integers(path.stat().st_size))])
            elif path.is_file():
                path.unlink()
            elif path.is_dir():
                shutil.rmtree(path)
    with answered():
        comparison.compare(comparison.Flags(run=(folder, place / "run"), baselines=("random",), episodes=1))
    before = everything(folder)
    with answered():
        try:
            training.train(Flags(resume=folder, timesteps=24 if rng.random() < 0.9 else None))
        except BaseException as error:
            if not isinstance(error, Enough):
                assert everything(folder) == before
            raise


def rows_of_tables(rng: np.random.Generator, place: Path) -> None:
    """Configurations of walks and fits: read, they can be told from each other."""
    path = place / "read" / "config.yaml"
    config = yaml_files.read(place / "walk.yaml")
    path.write_bytes(spoilt(rng, config))
    with answered(f"run: {path}: "):
        own = run_folder.read_config(path.parent, "run")
        assert len(set(runs.names([own, config], [Path("a"), Path("b")]))) in (1, 2)


def comparisons(rng: np.random.Generator, place: Path) -> None:
    """What a comparison of fits goes on with."""
    folder = place / "fits"
    folder.mkdir(exist_ok=True)
    common = {"scenes": "procedural", "split": "test", "num_objects": 3}
    settings = {"played": {"scenes": "procedural", "split": "test"}, "runs": {"ppo": [str(place / "run")]}}
    (folder / "settings.yaml").write_bytes(spoilt(rng, settings))
    with answered("out: "):
        comparison._open(folder, FITTING, common, ["ppo"], [place / "run"])
    rows = [{"episode": k, "scene": k, "score": 0.5, "chamfer": 0.01 * k} for k in range(4)]
    if rng.random() < 0.5:
        rows[2] = changed(rng, rows[2])
    content = "".join(json.dumps(row) + "\n" for row in rows).encode()
    (folder / "rows.jsonl").write_bytes(content if rng.random() < 0.3 else damaged(rng, content))
    with answered(f"out: {folder / 'rows.jsonl'}: "):
        kept = Kept(folder / "rows.jsonl").rows
        if kept:
            scores = joined([list(kept.values())])
            assert all(values.dtype.kind in "fi" for values in scores.figures.values())


Property = Callable[[np.random.Generator, Path], None]
SHARES: dict[Property, float] = {
    yaml_texts: 0.25, scene_sets: 0.15, starts: 0.15, encoders: 0.04, backbones: 0.06, tables: 0.12,
    folders: 0.08, rows_of_tables: 0.08, comparisons: 0.07, meshes: 0.4,
    scene_instances: 0.1, depths: 0.15,
}  # fmt: skip


@contextmanager
def prepared(place: Path) -> Iterator[None]:
    """A finished run of 16 steps and scenes in the folder ``place``, and nothing that takes long is begun."""
    before = os.getcwd()
    os.chdir(place)
    console, quiet = progress.console, progress.console.quiet
    console.quiet = True
    limits = resource.getrlimit(resource.RLIMIT_AS)
    alarm = signal.signal(signal.SIGVTALRM, _too_long)
    with pytest.MonkeyPatch.context() as patch:
        kind = replace(
            NEXT_BEST_VIEW, score=lambda *_: {"scene": 0, "gain": 0.5},
            figures=lambda *_: {"gain": 0.5, "over_farthest": 0.5, "low": 0.5, "high": 0.5},
        )  # fmt: skip
        patch.setattr(training, "film", lambda *_: None)
        patch.setattr(training, "final_tables", lambda *_: "")
        for module in (training, run_folder):
            patch.setattr(module, "family", lambda env_id: kind if env_id == VIEWS else family(env_id))
        flags = Flags(
            backbone="none", timesteps=16, num_envs=2, eval_every=8, validation_starts=1, final_starts=1,
            set=("num_objects=1", "image_size=16", "views=2", f"cache_dir={place / 'cache'}"), track="none",
            hyper=("n_steps=4", "batch_size=4", "n_epochs=1", "policy=MultiInputPolicy", "policy_kwargs={}"),
        )  # fmt: skip
        training.train(replace(flags, out=place / "run"))
        (place / "scenes" / "more").mkdir(parents=True)
        for name in ("ball.obj", "box.obj", "more/a.obj", "more/b.glb"):
            (place / "scenes" / name).touch()
        (place / "scenes" / "depth.npy").touch()
        shutil.copytree(place / "run", place / "read")
        walk = resolve(Flags(env="PointNav-Habitat-v0", set=("num_buildings=1",), warm_start="greedy"))
        (place / "walk.yaml").write_text(yaml_files.text(walk), encoding="utf-8")

        def enough(*_: Any, **__: Any) -> None:
            raise Enough

        patch.setattr(training.Keeper, "prepare", enough)
        patch.setattr(training, "train_encoder", enough)
        patch.setattr(training, "WarmStart", enough)
        patch.setattr(comparison, "play", enough)
        patch.setattr(backbone_training, "open_library", lambda *_: None)  # which renders for minutes
        patch.setattr(backbone_training, "DataLoader", enough)
        used = int(Path("/proc/self/statm").read_text("utf-8").split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (used + BYTES, limits[1]))
        try:
            yield
        finally:
            resource.setrlimit(resource.RLIMIT_AS, limits)
            signal.signal(signal.SIGVTALRM, alarm)
            os.chdir(before)
            console.quiet = quiet


def check(what: Property, seed: int, case: int, place: Path) -> None:
    """One case; what fails says how to do it again."""
    shutil.rmtree(place / "new", ignore_errors=True)
    try:
        what(np.random.default_rng([seed, case]), place)
    except Exception as error:
        again = f"{what.__name__}, seed {seed}, case {case}"
        raise AssertionError(f"{again}: {type(error).__name__}: {error}") from error


def count(what: Property, cases: int) -> int:
    """Of all cases, how many there are of a property."""
    return round(cases * SHARES[what] / sum(SHARES.values()))


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """See ``prepared``."""
    folder = tmp_path_factory.mktemp("fuzz")
    with prepared(folder):
        yield folder


@pytest.mark.parametrize("what", SHARES, ids=lambda what: what.__name__)
def test_whatever_texts_and_files_hold_is_answered(what: Property, place: Path) -> None:
    for case in range(count(what, CASES)):
        check(what, SEED, case, place)


def main() -> None:
    """More cases; all that fail are listed."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--cases", type=int, default=CASES, help="of all properties together")
    parser.add_argument("--seed", type=int, default=SEED)
    parser.add_argument("--only", nargs="*", default=[each.__name__ for each in SHARES], help="properties")
    flags = parser.parse_args()
    done, failed = 0, 0
    with tempfile.TemporaryDirectory() as folder, prepared(Path(folder)):
        for what in (each for each in SHARES if each.__name__ in flags.only):
            for case in range(count(what, flags.cases)):
                done += 1
                try:
                    check(what, flags.seed, case, Path(folder))
                except AssertionError as error:
                    failed += 1
                    print(str(error)[:600], flush=True)
            print(
                f"{what.__name__}: {done:,} cases so far, {time.process_time():.0f} s of a core", flush=True
            )
    print(f"{done:,} cases, {failed} failed")
    sys.exit(failed > 0)


if __name__ == "__main__":
    main()
