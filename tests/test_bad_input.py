"""Bad input, one row each: what was done, the error, and what its message must say.

A message names the argument (or the file), what was got, and what would have been right. What was
refused changes nothing.
"""

import os
import pickle

import gymnasium as gym
import numpy as np
import pytest
import trimesh
from gymnasium.error import Error, ResetNeeded

import spatial_envs  # noqa: F401
from spatial_envs.core.env import TaskEnv
from spatial_envs.foundation.errors import MeshError
from spatial_envs.nbv import NBVDiscreteEnv, NBVDiscreteVectorEnv, NBVEnv, NBVVectorEnv

TETRA = "v 0 0 0\nv 1 0 0\nv 0 2 0\nv 0 0 3\nf 1 3 2\nf 1 2 4\nf 2 3 4\nf 3 1 4\n"
SMALL = {"image_size": 28, "backbone": "unproject"}


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """Files, good and broken; the working directory of every row."""
    folder = tmp_path_factory.mktemp("bad")
    trimesh.creation.icosphere(2, 0.5).export(folder / "ball.obj")
    (folder / "tetra.obj").write_text(TETRA)
    (folder / "notes.txt").write_text("no mesh")
    (folder / "empty.obj").write_text("")
    (folder / "nan.obj").write_text(TETRA.replace("v 0 0 3", "v 0 0 nan"))
    (folder / "flat.obj").write_text(TETRA.replace("v 0 0 3", "v 3 3 0"))
    (folder / "cut.obj").write_text(TETRA + "f 1 2\n")
    (folder / "beyond.obj").write_text(TETRA + "f 1 2 9\n")
    (folder / "noise.glb").write_bytes(bytes(range(256)))
    (folder / "nothing").mkdir()
    (folder / "ruins").mkdir()
    (folder / "ruins" / "a.obj").write_text("")
    (folder / "ruins" / "b.obj").write_text(TETRA + "f 1 2\n")
    yamls = {
        "syntax": "splits: [",
        "list": "- ball.obj",
        "key": "split: {train: [ball.obj]}",
        "split": "splits: {training: [ball.obj]}",
        "missing": "splits: {train: [bull.obj]}",
        "twice": "splits: {train: [ball.obj], test: [ball.obj]}",
        "axis": "up: x\nsplits: {train: [ball.obj]}",
        "code": "splits: !!python/object/apply:os.system ['true']",
        "lines": 'splits: {train: ["a\\nb"]}',
        "notrain": "splits: {test: [ball.obj]}",
        "string": "splits: {train: ball.obj}",
    }
    for name, text in yamls.items():
        (folder / f"{name}.yaml").write_text(text)
    before = os.getcwd()
    os.chdir(folder)
    yield folder
    os.chdir(before)


def make(**arguments):
    return lambda: NBVEnv(**{"scenes": "ball.obj", **SMALL, **arguments})


def make_vec(**arguments):
    return lambda: NBVVectorEnv(**{"scenes": "ball.obj", **SMALL, **arguments})


def begin(scenes, **arguments):
    """Files are read at the first reset."""
    return lambda: NBVEnv(**{"scenes": scenes, **SMALL, **arguments}).reset(seed=0)


class Half:
    """Something that is nearly a backbone or a renderer."""

    name, dim, patch = "half", 8, 14


IDENTITY = np.eye(4)
INSIDE = np.array([[1, 0, 0, 0], [0, -1, 0, 0], [0, 0, -1, 1.5], [0, 0, 0, 1.0]])

# what is done, the error, what the message must say: argument, got, expected
ARGUMENTS = {
    "unknown argument": (make(view=5), TypeError, r"'view'.*did you mean 'views'.*valid are .*action.*views"),
    "unknown, like none": (make(zzz=5), TypeError, r"'zzz'(?!.*did you mean).*valid are .*views"),
    "unknown through gym.make": (
        lambda: gym.make("NBV-MapAnything-v0", imagesize=28),
        TypeError,
        r"'imagesize'.*did you mean 'image_size'.*NBV-MapAnything-v0",
    ),
    "unknown through make_vec": (
        lambda: gym.make_vec("NBV-MapAnything-v0", num_envs=2, rewards="log"),
        TypeError,
        r"'rewards'.*did you mean 'reward'",
    ),
    "num_rows is not the user's": (make(num_rows=2), TypeError, "'num_rows'.*valid are"),
    "views too few": (make(views=1), ValueError, "views: got 1; expected int from 2 to 100"),
    "views too many": (make(views=101), ValueError, "views: got 101; .*2 to 100"),
    "views a float": (make(views=5.0), ValueError, r"views: got 5\.0; expected int"),
    "views a bool": (make(views=True), ValueError, "views: got True; expected int"),
    "views beyond the candidates": (
        lambda: NBVDiscreteEnv(scenes="ball.obj", views=65, **SMALL),
        ValueError,
        "views: got 65; .*2 to 64",
    ),
    "initial_views 0": (make(initial_views=0), ValueError, "initial_views: got 0; .*1 to 4"),
    "initial_views all": (make(initial_views=5), ValueError, "initial_views: got 5; .*1 to 4"),
    "radius one number": (make(radius=1.5), ValueError, r"radius: got 1\.5; .*inner, outer"),
    "radius swapped": (make(radius=(2, 1.2)), ValueError, r"radius: got \(2, 1.2\); .*inner <= outer"),
    "radius in the object": (make(radius=(0.4, 2)), ValueError, r"radius: got \(0.4, 2\); .*0.5 < inner"),
    "radius NaN": (make(radius=(np.nan, 2)), ValueError, r"radius: got \(nan, 2\); .*inner, outer"),
    "radius infinite": (make(radius=(1, np.inf)), ValueError, r"radius: got \(1, inf\); .*inner, outer"),
    "radius words": (make(radius=("a", "b")), ValueError, r"radius: got \('a', 'b'\); .*inner, outer"),
    "radius ragged": (make(radius=(1, (2, 3))), ValueError, r"radius: got \(1, \(2, 3\)\); .*inner, outer"),
    "fov too wide": (make(fov=180), ValueError, "fov: got 180; .*10 to 120"),
    "fov a word": (make(fov="wide"), ValueError, "fov: got 'wide'; expected float"),
    "image_size no multiple": (make(image_size=100), ValueError, "image_size: got 100; .*14: 98 or 112"),
    "image_size pair": (make(image_size=(56, 65)), ValueError, r"image_size: got \(56, 65\); .*56 or 70"),
    "image_size smallest": (make(image_size=16), ValueError, "image_size: got 16; .*28 or 42"),
    "image_size largest": (make(image_size=4095), ValueError, "image_size: got 4095; .*4074 or 4088"),
    "image_size too small": (make(image_size=14), ValueError, "image_size: got 14; .*16 to 4096"),
    "image_size a float": (
        make(image_size=112.0),
        ValueError,
        r"image_size: got 112\.0; expected an integer",
    ),
    "image_size three": (
        make(image_size=(28, 28, 3)),
        ValueError,
        r"image_size: got \(28, 28, 3\); .*\(H, W\)",
    ),
    "start a word": (make(start="randm"), ValueError, "start: got 'randm'; .*'random', 'fixed'"),
    "start negative": (make(start=-3), ValueError, "start: got -3; .*0 to 180"),
    "start None": (make(start=None), ValueError, "start: got None; .*'random', 'fixed' or degrees"),
    "frame": (
        make(frame="gravitas"),
        ValueError,
        "frame: got 'gravitas'; .*'gravity', 'first_view', 'world'",
    ),
    "anchor": (make(anchor="nearest"), ValueError, "anchor: got 'nearest'; .*'farthest', 'antipode'"),
    "action": (
        make(action="shel"),
        ValueError,
        "action: got 'shel'; .*'shell', 'sphere', 'pose', 'position'",
    ),
    "action, discrete": (
        lambda: NBVDiscreteEnv(action="shell"),
        ValueError,
        "action: got 'shell'; .*'candidates'",
    ),
    "action, discrete, batched": (
        lambda: NBVDiscreteVectorEnv(2, action="pose"),
        ValueError,
        "action: got 'pose'; .*'candidates'",
    ),
    "action an array": (make(action=np.ones(2)), ValueError, "action: got array.*; .*'shell'"),
    "reward": (make(reward="logs"), ValueError, "reward: got 'logs'; .*'log', 'relative', 'chamfer'"),
    "reward a number": (make(reward=3), ValueError, "reward: got 3; .*'log'"),
    "invalid_penalty negative": (make(invalid_penalty=-1), ValueError, "invalid_penalty: got -1; .* from 0"),
    "invalid_penalty inf": (make(invalid_penalty=np.inf), ValueError, "invalid_penalty: got inf; .* from 0"),
    "stop_at": (make(stop_at=1.5), ValueError, r"stop_at: got 1\.5; .*0 to 1"),
    "stop_at NaN": (make(stop_at=np.nan), ValueError, "stop_at: got nan; .*0 to 1"),
    "reference": (make(reference="all"), ValueError, "reference: got 'all'; .*'visible', 'surface'"),
    "pooling": (make(pooling="max"), ValueError, "pooling: got 'max'; .*'mean', 'grid', 'none'"),
    "reconstruction": (
        make(reconstruction="nerf"),
        ValueError,
        "reconstruction: got 'nerf'; .*'backbone', 'depth'",
    ),
    "reconstruction without a backbone": (
        make(reconstruction="backbone", backbone=None),
        ValueError,
        "reconstruction: got 'backbone' with backbone=None; expected 'depth'",
    ),
    "backbone": (
        make(backbone="mapanythin"),
        ValueError,
        "backbone: got 'mapanythin'; .*'auto'.*'unproject'",
    ),
    "backbone half": (make(backbone=Half()), ValueError, "backbone: got .*Half.*members of"),
    "renderer": (make(renderer="opengl"), ValueError, "renderer: got 'opengl'; .*'builtin', 'pytorch3d'"),
    "renderer half": (make(renderer=Half()), ValueError, r"renderer: got .*Half.*name and render"),
    "observations": (make(observations=["rgbd"]), ValueError, "observations: got 'rgbd'; .*'rgb', 'depth'"),
    "observations a word": (
        make(observations="rgb"),
        ValueError,
        "observations: got 'rgb'; .*'image', 'points', 'all', or a list of keys among poses",
    ),
    "observations none": (make(observations=[]), ValueError, "observations: got none; .*poses.*rgb"),
    "features without a backbone": (
        make(observations=["features"], backbone=None),
        ValueError,
        "observations: got 'features'; expected one of 'poses'",
    ),
    "device": (make(device="gpu"), ValueError, "device: got 'gpu'; .*'auto', 'cpu', 'cuda'"),
    "cache_size": (make(cache_size=0), ValueError, "cache_size: got 0; .*from 1"),
    "cache_dir a file": (make(cache_dir="notes.txt"), ValueError, "cache_dir: got 'notes.txt'; .*folder"),
    "cache_dir of nobody": (
        make(cache_dir="~no-such-user/kept"),
        ValueError,
        "cache_dir: got '~no-such-user/kept'; .*no such home",
    ),
    "cache_dir no path": (make(cache_dir="a\0b"), ValueError, r"cache_dir: got 'a\\x00b'; .*a path"),
    "cache_dir a number": (make(cache_dir=5), ValueError, "cache_dir: got 5; .*a path"),
    "num_objects": (make(num_objects=2), ValueError, "num_objects: got 2; expected int from 1 to 1"),
    "render_mode": (make(render_mode="rgb"), ValueError, "render_mode: got 'rgb'; .*'rgb_array' or 'human'"),
    "split": (make(split="training"), ValueError, "split: got 'training', .*train, validation, test"),
    "split of a file": (make(split="test_category"), ValueError, "split: 'test_category'.*procedural.*ball"),
    "up": (make(up="x"), ValueError, "up: got 'x', expected 'auto', 'y' or 'z'"),
    "up of procedural": (make(up="z", scenes="procedural"), ValueError, "up: got 'z', .*Y up"),
    # many at once
    "num_envs 0": (make_vec(num_envs=0), ValueError, "num_envs: got 0; .*at least 1"),
    "num_envs a word": (make_vec(num_envs="two"), ValueError, "num_envs: got 'two'; .*integer"),
    "autoreset_mode": (
        make_vec(autoreset_mode="later"),
        ValueError,
        "autoreset_mode: got 'later'; .*NextStep",
    ),
    "max_episode_steps": (make_vec(max_episode_steps=0), ValueError, "max_episode_steps: got 0; .*from 1"),
    "human, many": (make_vec(render_mode="human"), ValueError, "render_mode: got 'human'; .*'rgb_array'"),
    # files
    "scenes a typo": (make(scenes="procedual"), ValueError, "scenes: 'procedual'.*did you mean 'procedural'"),
    "scenes missing": (
        make(scenes="no/such.obj"),
        ValueError,
        "scenes: 'no/such.obj' does not exist.*mesh file",
    ),
    "scenes None": (make(scenes=None), ValueError, "scenes: got None; expected 'procedural' or a path"),
    "no mesh file": (make(scenes="notes.txt"), ValueError, r"scenes: .*notes\.txt is no mesh file.*\.obj"),
    "an empty folder": (make(scenes="nothing"), ValueError, r"scenes: no mesh file in .*nothing.*\.obj"),
    "an empty file": (begin("empty.obj"), MeshError, r"empty\.obj"),
    "NaN in a mesh": (begin("nan.obj"), MeshError, r"nan\.obj.*(finite|NaN|nan)"),
    "a flat mesh": (begin("flat.obj"), MeshError, r"flat\.obj.*flat"),
    "a cut mesh": (begin("cut.obj"), MeshError, r"cut\.obj.*corners"),
    "an index beyond": (begin("beyond.obj"), MeshError, r"beyond\.obj.*range"),
    "noise": (begin("noise.glb"), MeshError, r"noise\.glb"),
    "a folder of broken files": (begin("ruins"), ValueError, "scenes: all 2 files of ruins are broken"),
    "YAML syntax": (make(scenes="syntax.yaml"), ValueError, r"syntax\.yaml: not plain YAML"),
    "YAML a list": (make(scenes="list.yaml"), ValueError, r"list\.yaml.*got list, expected a mapping"),
    "YAML key": (make(scenes="key.yaml"), ValueError, r"key\.yaml.*unknown key 'split', expected up, splits"),
    "YAML split": (make(scenes="split.yaml"), ValueError, r"split\.yaml.*'training', expected train"),
    "YAML split missing": (
        make(scenes="notrain.yaml"),
        ValueError,
        r"notrain\.yaml.*'train' is missing.*test",
    ),
    "YAML path": (
        make(scenes="missing.yaml"),
        ValueError,
        r"missing\.yaml: splits: train: 'bull\.obj' does not",
    ),
    "YAML lines": (
        make(scenes="lines.yaml"),
        ValueError,
        r"^[^\n]*lines\.yaml.*'a\\nb' does not exist[^\n]*$",
    ),
    "YAML twice": (make(scenes="twice.yaml"), ValueError, r"twice\.yaml.*ball\.obj is already in train"),
    "YAML axis": (make(scenes="axis.yaml"), ValueError, r"axis\.yaml: up: got 'x', expected 'auto'"),
    "YAML code": (make(scenes="code.yaml"), ValueError, r"code\.yaml: not plain YAML"),
    "YAML no list": (
        make(scenes="string.yaml"),
        ValueError,
        r"string\.yaml.*got 'ball\.obj', expected a list",
    ),
}


@pytest.mark.filterwarnings("ignore:ruins")
@pytest.mark.parametrize("name", ARGUMENTS)
def test_arguments_and_files(place, name):
    call, error, message = ARGUMENTS[name]
    with pytest.raises(error, match=f"(?s){message}"):
        call()


def test_a_broken_file_in_a_folder_is_skipped_with_a_count(place, tmp_path):
    (tmp_path / "good.obj").write_text((place / "ball.obj").read_text())
    (tmp_path / "bad.obj").write_text("")
    env = NBVEnv(scenes=str(tmp_path), **SMALL)
    with pytest.warns(UserWarning, match=r"skipped 1 of 2 files: .*bad\.obj"):
        infos = [env.reset(seed=seed)[1] for seed in range(6)]
    assert {info["object"] for info in infos} == {"good"}


# ---- what happens in an episode: nothing may change


@pytest.fixture(scope="module")
def envs(place):
    made = {
        "shell": NBVEnv(scenes="ball.obj", **SMALL),
        "discrete": NBVDiscreteEnv(scenes="ball.obj", **SMALL),
        "two": NBVEnv(scenes="ball.obj", initial_views=2, **SMALL),
        "many": NBVVectorEnv(2, scenes="ball.obj", **SMALL),
        "many_discrete": NBVDiscreteVectorEnv(2, scenes="ball.obj", **SMALL),
    }
    for env in made.values():
        env.reset(seed=0)
    return made


def step(kind, action):
    return kind, lambda env: env.step(action)


def reset(kind, **arguments):
    return kind, lambda env: env.reset(**arguments)


def with_state(change):
    """set_state of a good state in which something was changed."""

    def call(env):
        state = pickle.loads(pickle.dumps(env.get_state()))
        state["generator"]["state"]["state"] += 1  # must not arrive
        env.set_state(change(state))

    return "shell", call


def of_task(**entries):
    return lambda state: {**state, "task": {**state["task"], **entries}}


def moved(**entries):
    pose = INSIDE.copy()
    for where, value in entries.items():
        pose[int(where[1]), int(where[2])] = value
    return pose


IN_EPISODE = {
    "action NaN": (*step("shell", [0, np.nan, 0]), ValueError, "action: got .*nan.*finite"),
    "action inf": (*step("shell", [0, np.inf, 0]), ValueError, "action: got .*inf.*finite"),
    "action short": (*step("shell", [0.0, 0.0]), ValueError, r"action: got .*\(2,\).*\(3,\)"),
    "action nested": (*step("shell", [[0.0, 0.0, 0.0]]), ValueError, r"action: got .*\(1, 3\).*\(3,\)"),
    "action ragged": (
        *step("shell", [0.0, [0.0, 0.0]]),
        ValueError,
        r"action: got \[0\.0, \[0\.0.*one array",
    ),
    "action a word": (*step("shell", "left"), ValueError, r"action: got .*expected floats of shape \(3,\)"),
    "action words": (*step("shell", ["a", "b", "c"]), ValueError, r"action: got <U1.*expected floats"),
    "action None": (*step("shell", None), ValueError, "action: got object.*expected floats"),
    "action bools": (*step("shell", [True, False, True]), ValueError, "action: got bool.*expected floats"),
    "action complex": (*step("shell", [1j, 0, 0]), ValueError, "action: got complex.*expected floats"),
    "action for discrete": (*step("shell", 3), ValueError, r"action: got int64 of shape \(\).*\(3,\)"),
    "candidate beyond": (*step("discrete", 64), ValueError, r"action: got \[64\]; expected 0 to 63"),
    "candidate negative": (*step("discrete", -1), ValueError, r"action: got \[-1\]; expected 0 to 63"),
    "candidate a float": (*step("discrete", 3.0), ValueError, "action: got float64.*integer"),
    "candidate a bool": (*step("discrete", True), ValueError, "action: got bool.*integer"),
    "candidate a word": (*step("discrete", "3"), ValueError, "action: got <U1.*integer"),
    "candidates": (*step("discrete", [3, 4]), ValueError, r"action: got .*\(2,\).*an integer"),
    "actions for one": (*step("many", np.zeros(3)), ValueError, r"actions: got shape \(3,\); expected \(2, "),
    "one action NaN": (*step("many", [[0, 0, 0], [0, 0, np.nan]]), ValueError, "action: got .*nan.*finite"),
    "one candidate beyond": (
        *step("many_discrete", [5, 64]),
        ValueError,
        r"action: got \[5, 64\]; .*0 to 63",
    ),
    "options unknown": (
        *reset("shell", options={"objects": 0}),
        ValueError,
        "options: got 'objects'; .*'object'",
    ),
    "options no dict": (*reset("shell", options="ball"), ValueError, "options: got 'ball'; expected a dict"),
    "object unknown, seeded": (
        *reset("shell", seed=9, options={"object": "bull"}),
        ValueError,
        "object: got 'bull'.*ball",
    ),
    "object unknown, all seeded": (
        *reset("many", seed=9, options={"object": "bull"}),
        ValueError,
        "object: got 'bull'.*ball",
    ),
    "object unknown": (*reset("shell", options={"object": "bull"}), ValueError, "object: got 'bull'.*ball"),
    "object beyond": (*reset("shell", options={"object": 1}), ValueError, "object: got 1, expected 0 to 0"),
    "object a float": (*reset("shell", options={"object": 0.0}), ValueError, r"object: got 0\.0, .*index"),
    "views shape": (
        *reset("shell", options={"views": INSIDE}),
        ValueError,
        r"options\['views'\]: got shape \(4, 4\); expected \(1, 4, 4\)",
    ),
    "views too many": (
        *reset("two", options={"views": INSIDE[None]}),
        ValueError,
        r"options\['views'\]: got shape \(1, 4, 4\); expected \(2, 4, 4\).*initial_views",
    ),
    "views a word": (
        *reset("shell", options={"views": "front"}),
        ValueError,
        r"\['views'\]: got 'front'; .*4, 4",
    ),
    "views in the object": (
        *reset("shell", options={"views": moved(_23=0.6)[None]}),
        ValueError,
        r"options\['views'\]: got a camera at \[0.0, 0.0, 0.6\]; expected a radius in \(1.2, 2.0\)",
    ),
    "views at the pole": (
        *reset("shell", options={"views": moved(_13=1.5, _23=0)[None]}),
        ValueError,
        r"options\['views'\]: got a camera at \[0.0, 1.5, 0.0\]; .*elevation within 80",
    ),
    "views NaN": (
        *reset("shell", options={"views": moved(_23=np.nan)[None]}),
        ValueError,
        r"\['views'\].*rigid",
    ),
    "views scaled": (
        *reset("shell", options={"views": moved(_00=2)[None]}),
        ValueError,
        r"\['views'\].*rigid",
    ),
    "views mirrored": (
        *reset("shell", options={"views": moved(_00=-1)[None]}),
        ValueError,
        r"options\['views'\]: got a reflection; expected right-handed",
    ),
    "seed negative": (*reset("shell", seed=-1), Error, "Seed must be .*zero.*-1"),
    "seed a float": (*reset("shell", seed=1.5), Error, "Seed must be a python integer.*float"),
    "seed a word": (*reset("shell", seed="one"), Error, "Seed must be a python integer.*str"),
    "seeds too few": (*reset("many", seed=[1]), ValueError, r"seed: got \[1\]; .*2 of them"),
    "seeds a float": (*reset("many", seed=1.5), ValueError, r"seed: got 1\.5; .*one integer or 2"),
    "seeds, one negative": (*reset("many", seed=[5, -1]), Error, "Seed must be .*zero.*-1"),
    "reset_mask shape": (
        *reset("many", options={"reset_mask": np.ones(3, bool)}),
        ValueError,
        r"options\['reset_mask'\]: got .*True, *True, *True.*expected \(2,\) bool",
    ),
    "reset_mask integers": (
        *reset("many", options={"reset_mask": np.array([0, 1])}),
        ValueError,
        r"options\['reset_mask'\]: got array\(\[0, 1\]\); expected \(2,\) bool",
    ),
    "reset_mask empty": (
        *reset("many", options={"reset_mask": np.zeros(2, bool)}),
        ValueError,
        r"options\['reset_mask'\]: got .*at least one True",
    ),
    "state None": (
        "shell",
        lambda env: env.set_state(None),
        ValueError,
        "state: got None; .*get_state.*task",
    ),
    "state empty": (
        "shell",
        lambda env: env.set_state({}),
        ValueError,
        r"state: got \[\]; .*get_state.*task",
    ),
    "state without a task": (
        *with_state(lambda s: {**s, "task": 3}),
        ValueError,
        r"\['task'\]: got 3; .*views",
    ),
    "state, wrong object": (*with_state(of_task(object="bull")), ValueError, "object: got 'bull'.*ball"),
    "state, views a list": (*with_state(of_task(views=[1])), ValueError, r"\['views'\]: got \[1\]; .*a View"),
    "state, another size": (
        "shell",
        lambda env: env.set_state(other_size(env)),
        ValueError,
        r"\['views'\]: got \(1, 14, 14\); expected a View of 1 to 5 images of \(28, 28\)",
    ),
    "state, generator": (
        *with_state(lambda s: {**s, "generator": {"state": 0}}),
        ValueError,
        r"state\['generator'\]: got \{'state': 0\}; expected the state of a PCG64",
    ),
    "evaluate one pose": (
        "shell",
        lambda env: env.evaluate(INSIDE),
        ValueError,
        r"cam_to_world: got shape \(4, 4\); expected \(K, 4, 4\)",
    ),
    "evaluate 3 x 4": (
        "shell",
        lambda env: env.evaluate(INSIDE[None, :3]),
        ValueError,
        r"cam_to_world: got shape \(1, 3, 4\); expected \(K, 4, 4\)",
    ),
    "evaluate a word": (
        "shell",
        lambda env: env.evaluate("all"),
        ValueError,
        "cam_to_world: got 'all'; .*4, 4",
    ),
    "action_from_pose of two": (
        "shell",
        lambda env: env.action_from_pose(np.stack([INSIDE, INSIDE])),
        ValueError,
        r"cam_to_world: got \(2, 4, 4\).*expected a finite \(4, 4\)",
    ),
    "action_from_pose NaN": (
        "shell",
        lambda env: env.action_from_pose(moved(_03=np.nan)),
        ValueError,
        r"cam_to_world: got .*nan.*expected a finite \(4, 4\)",
    ),
    "render_view of a vector": (
        "shell",
        lambda env: env.render_view(np.zeros(3)),
        ValueError,
        r"cam_to_world: got \(3,\) \[0.0, 0.0, 0.0\]; expected finite \(\.\.\., 4, 4\)",
    ),
    "render_view NaN": (
        "shell",
        lambda env: env.render_view(moved(_03=np.nan)),
        ValueError,
        r"cam_to_world: got .*nan.*expected finite",
    ),
}


def other_size(env):
    state = env.get_state()
    views = state["task"]["views"]
    half = type(views)(views.rgb[:, :14, :14], views.depth[:, :14, :14], views.intrinsics, views.cam_to_world)
    return of_task(views=half)(state)


def everything(env):
    """All that an episode consists of, as bytes."""
    rows = [env] if isinstance(env, TaskEnv) else []
    whole = [row.get_state() for row in rows]
    for row in range(getattr(env, "num_envs", 1)):
        whole += [env.task.get_state(row), env.task.observe(row), env.task.info(row)]
    if not rows:
        whole += [[generator.bit_generator.state for generator in env._generators], env._elapsed, env._over]
    return pickle.dumps(whole)


@pytest.mark.parametrize("name", IN_EPISODE)
def test_in_an_episode(envs, name):
    kind, call, error, message = IN_EPISODE[name]
    before = everything(envs[kind])
    with pytest.raises(error, match=f"(?s){message}"):
        call(envs[kind])
    assert everything(envs[kind]) == before


def test_the_table_s_good_counterparts_are_accepted(envs):
    """The refused ones are refused for what is wrong with them, not for something else."""
    shell, discrete, many = envs["shell"], envs["discrete"], envs["many"]
    start = pickle.dumps([shell.get_state(), discrete.get_state()])
    shell.reset(options={"object": "ball", "views": INSIDE[None]})
    shell.step([0, 0, 0])
    shell.step(np.array([5.0, -7.0, 0.2]))  # beyond the box: clipped
    np.testing.assert_allclose(shell.evaluate(INSIDE[None]), 0, atol=0.2)
    assert shell.render_view(INSIDE).depth.shape == (28, 28)
    discrete.step(np.int32(3))
    many.reset(seed=[5, None])
    many.reset(options={"reset_mask": np.array([True, False])})
    states = pickle.loads(start)
    shell.set_state(states[0])
    discrete.set_state(states[1])
    assert pickle.dumps(shell.get_state()) == pickle.dumps(states[0])


# ---- the wrong time


def test_before_the_first_reset_and_after_the_end(place):
    env = NBVEnv(scenes="ball.obj", views=2, render_mode="rgb_array", **SMALL)
    many = NBVVectorEnv(2, scenes="ball.obj", views=2, autoreset_mode="Disabled", **SMALL)
    calls = [
        lambda: env.step(np.zeros(3)),
        env.render,
        env.get_state,
        lambda: env.evaluate(INSIDE[None]),
        lambda: env.action_from_pose(INSIDE),
        lambda: env.render_view(INSIDE),
        lambda: many.step(np.zeros((2, 3))),
        NBVDiscreteEnv(scenes="ball.obj", **SMALL).action_masks,
    ]
    for call in calls:
        with pytest.raises(ResetNeeded, match=r"call reset\(\) first"):
            call()
    with pytest.raises(ValueError, match=r"reset_mask'\]: the first reset must be of all rows"):
        many.reset(options={"reset_mask": np.array([True, False])})
    env.reset(seed=0)
    many.reset(seed=0)
    assert env.step(np.zeros(3))[2]
    assert many.step(np.zeros((2, 3)))[2].all()
    before = everything(env), everything(many)
    with pytest.raises(ResetNeeded, match=r"over; call reset\(\) first"):
        env.step(np.zeros(3))
    with pytest.raises(ResetNeeded, match=r"rows \[0, 1\] are over"):
        many.step(np.zeros((2, 3)))
    assert (everything(env), everything(many)) == before


def test_there_are_enough_kinds():
    assert len(ARGUMENTS) + len(IN_EPISODE) >= 45
