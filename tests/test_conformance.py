"""The checklist of a first-class suite (facts/gymnasium.md), over every id that this package registers."""

import gc
import importlib
import inspect
import pickle
import random
import re
import shutil
import subprocess
import sys
import textwrap
import warnings
import weakref

import gymnasium as gym
import numpy as np
import pytest
import torch
import trimesh
from buildings import furnished_room
from gymnasium.envs.registration import EnvSpec
from gymnasium.utils.env_checker import check_env
from gymnasium.vector import AsyncVectorEnv, AutoresetMode, SyncVectorEnv
from gymnasium.wrappers import RecordVideo
from gymnasium.wrappers.vector import RecordEpisodeStatistics

import spatial_envs
from spatial_envs.core.vector_env import TaskVectorEnv
from spatial_envs.scenes.sets import SceneSet

IDS = sorted(id for id, spec in gym.registry.items() if str(spec.entry_point).startswith("spatial_envs."))
MODES = list(AutoresetMode)
IMAGELESS = {"Foresight-Prototype-v0"}  # ids whose environments have no backbone


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    """Two small objects in a folder, a building, and the references made of them: arguments of an environment
    by id."""
    folder = tmp_path_factory.mktemp("objects")
    ball, box = trimesh.creation.icosphere(2, 0.4), trimesh.creation.box((0.3, 0.5, 0.9))
    box.apply_translation((0.5, 0.2, 0.1))
    trimesh.util.concatenate([ball, box]).export(folder / "thing.obj")
    box.export(folder / "box.obj")

    building = tmp_path_factory.mktemp("buildings") / "room.glb"
    furnished_room().export(building)

    def arguments(id):
        family, cache = id.split("-")[0], str(folder.parent / "cache")
        if family == "NBV":
            return {"scenes": str(folder), "image_size": 42, "views": 4, "cache_dir": cache}
        if family in ("PointNav", "ImageNav", "ObjectNav", "Explore"):
            return {"scenes": str(building), "image_size": 42, "max_steps": 3, "cache_dir": cache}
        if family == "SceneFit":
            return {"num_frames": 8, "num_objects": 2, "slots": 2, "steps": 3, "image_size": 42, "points": 64}
        if family == "VideoFit":
            few = {"num_videos": 8, "num_objects": 2, "slots": 2, "frames": 4}
            return {**few, "steps": 3, "image_size": 42, "points": 32}
        if family == "Foresight":
            return {"num_objects": 2, "slots": 2, "frames": 4, "steps": 3, "guesses": 3}
        return pytest.fail(f"{id}: say here how to make a small one of the family {family}")

    return arguments


@pytest.fixture(scope="module")
def exact(small):
    """The same with a backbone whose numbers do not depend on how many rows go through it at once."""
    return lambda id: {**small(id), **({} if id in IMAGELESS else {"backbone": "unproject"})}


@pytest.fixture(params=IDS)
def id(request):
    return request.param


@pytest.fixture
def env(id, small):
    made = gym.make(id, **small(id))
    yield made
    made.close()


def python(code):
    """Run code in a new interpreter; what it printed."""
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(code)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


def same(a, b, path=""):
    """Assert that two nested results are equal: types, keys, dtypes, values."""
    if isinstance(a, dict):
        assert isinstance(b, dict), (path, a, b)
        assert list(a) == list(b), (path, list(a), list(b))
        for key in a:
            same(a[key], b[key], f"{path}/{key}")
    elif isinstance(a, list | tuple) or (isinstance(a, np.ndarray) and a.dtype == object):
        assert (type(a), len(a)) == (type(b), len(b)), path
        for k, (left, right) in enumerate(zip(a, b, strict=True)):
            same(left, right, f"{path}[{k}]")
    elif isinstance(a, np.ndarray):
        assert isinstance(b, np.ndarray), (path, a, b)
        assert (a.dtype, a.shape) == (b.dtype, b.shape), (path, a, b)
        np.testing.assert_array_equal(a, b, err_msg=path)
    else:
        assert type(a) is type(b), (path, a, b)
        assert a == b, (path, a, b)


def rollout(env, seed, steps=10, first_seed=None):
    """What a seeded agent sees: list of (observation, reward, terminated, truncated, info)."""
    actions = np.random.default_rng(0 if first_seed is None else first_seed)
    seen = [env.reset(seed=seed)]
    for _ in range(steps):
        seen.append(env.step(sample(env.action_space, actions)))
        if seen[-1][2] or seen[-1][3]:
            seen.append(env.reset())
    return seen


def sample(space, rng):
    if isinstance(space, gym.spaces.Discrete):
        return int(rng.integers(space.n))
    if isinstance(space, gym.spaces.MultiDiscrete):
        return rng.integers(space.nvec)
    return rng.uniform(-1, 1, space.shape).astype(np.float32)


# ---- 1 to 4: ids


def test_the_ids_are_there():
    walks = {f"{task}-Habitat-v0" for task in ("PointNav", "ImageNav", "ObjectNav", "Explore")}
    assert {"NBV-MapAnything-v0", "NBV-MapAnything-Discrete-v0", *walks} <= set(IDS)


def test_import_registers_and_loads_nothing_heavy():
    printed = python("""
        import sys, gymnasium, spatial_envs
        heavy = {"torch", "numba", "scipy", "trimesh", "PIL", "pytorch3d", "mapanything"} & set(sys.modules)
        ids = [i for i, s in gymnasium.registry.items() if str(s.entry_point).startswith("spatial_envs.")]
        print(sorted(heavy), sorted(ids))
    """)
    assert printed.strip() == f"[] {IDS}"


def test_the_classes_are_found_by_their_names_after_the_import_alone():
    printed = python("""
        import pydoc, sys, spatial_envs
        print(dir(spatial_envs), "torch" in sys.modules)
        print(pydoc.plain(pydoc.render_doc(spatial_envs.nbv.NBVEnv)).splitlines()[0])
        print(spatial_envs.chamfer.chamfer.__name__, hasattr(spatial_envs, "sofa"))
    """)
    assert printed.splitlines() == [
        "['__version__', 'chamfer', 'foresight', 'navigation', 'nbv', 'scene_fit', 'video_fit'] False",
        "Python Library Documentation: class NBVEnv in module spatial_envs.nbv.env",
        "chamfer False",
    ]


def test_reload_is_idempotent():
    before = dict(gym.registry)
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # registering an id again makes gymnasium warn
        importlib.reload(spatial_envs)
        gym.register_envs(spatial_envs)
    assert dict(gym.registry) == before
    assert all(gym.registry[i] is before[i] for i in before)


def test_prefixed_form_needs_no_import():
    made = python(f"""
        import sys, gymnasium as gym
        assert "spatial_envs" not in sys.modules
        for id in {IDS}:
            print(gym.make("spatial_envs:" + id).unwrapped.spec.id)
    """)
    assert made.split() == IDS


def test_versioned_and_documented(id):
    assert re.fullmatch(r"[A-Z]\w+(-\w+)+-v\d+", id)
    env_class = gym.envs.registration.load_env_creator(gym.spec(id).entry_point)
    doc = inspect.cleandoc(vars(env_class)["__doc__"])
    version = id.rpartition("-")[2]
    history = doc.partition("## Version History")[2]
    assert f"- {version}:" in history, f"{env_class.__name__}: no {version} in its Version History"
    assert "## Action Space" in doc


def test_spec_round_trips_through_json(env, id):
    back = EnvSpec.from_json(env.spec.to_json())
    assert back.id == id
    assert back.kwargs == env.spec.kwargs
    assert back == env.spec
    again = gym.make(back)
    same(rollout(again, 5), rollout(env, 5))


def test_no_registered_time_limit(id):
    assert gym.spec(id).max_episode_steps is None


# ---- 5, 6: the checkers of gymnasium and Stable-Baselines3


def test_gymnasium_check_env(id, small):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        check_env(gym.make(id, render_mode="rgb_array", **small(id)).unwrapped)


RANK = (
    "Your observation {} has an unconventional shape (neither an image, nor a 1D vector). We recommend you "
    "to flatten the observation to have only a 1D vector or use a custom policy to properly process the data."
)
IMAGE = (
    "It seems that your observation {} is an image but its `dtype` is (float32) whereas it has to be "
    "`np.uint8`. If your observation is not an image, we recommend you to flatten the observation to have "
    "only a 1D vector",
    "It seems that your observation space {} is an image but the upper and lower bounds are not in "
    "[0, 255]. Because the CNN policy normalize automatically the observation you may encounter issue if the "
    "values are not in that range.",
)
NO_IMAGES = {  # said of tracks and guesses, which have three axes
    "The minimal resolution for an image is 36x36 for the default `CnnPolicy`. You might need to use a "
    "custom features extractor cf. https://stable-baselines3.readthedocs.io/en/master/guide/custom_policy.html",
    "Treating image space as channels-last, while second dimension was smallest of the three.",
}
SB3_NOTICES = {
    *NO_IMAGES,
    RANK.format("features"),
    RANK.format("poses"),
    RANK.format("candidates"),
    RANK.format("slots"),
    RANK.format("residuals"),
    *(RANK.format(key) for key in ("shapes", "reference", "draft")),
    *(notice.format(key) for notice in IMAGE for key in ("depth", "fit_depth", "close_up")),
    *(notice.format(key) for notice in IMAGE for key in ("tracks", "guesses", "slots", "residuals")),
    *(RANK.format(key) for key in ("motion", "camera")),
}


def test_sb3_check_env(id, small):
    checker = pytest.importorskip("stable_baselines3.common.env_checker")
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        checker.check_env(gym.make(id, render_mode="rgb_array", **small(id)).unwrapped)
    assert {str(warning.message) for warning in caught} <= SB3_NOTICES


def test_not_taken_for_a_goal_env(env):
    assert not hasattr(env.unwrapped, "compute_reward")
    assert not {"achieved_goal", "desired_goal"} & set(env.observation_space.spaces)


# ---- 7 to 11: randomness, infos, types


def test_all_randomness_is_from_np_random(env, id, small, monkeypatch):
    expected = rollout(env, 3)
    random.seed(1), np.random.seed(1), torch.manual_seed(1)  # noqa: NPY002
    same(rollout(env, 3), expected)
    random.seed(2), np.random.seed(2), torch.manual_seed(2)  # noqa: NPY002
    same(rollout(gym.make(id, **small(id)), 3), expected)

    def refuse(*_, **__):
        raise AssertionError("randomness that is not from np_random")

    monkeypatch.setattr(random, "random", refuse)
    for name in (
        "rand",
        "randn",
        "random",
        "uniform",
        "normal",
        "randint",
        "choice",
        "shuffle",
        "permutation",
    ):
        monkeypatch.setattr(np.random, name, refuse)
    for name in ("rand", "randn", "randint", "randperm", "normal"):
        monkeypatch.setattr(torch, name, refuse)
    same(rollout(env, 3), expected)


def test_seeds_matter_and_later_resets_continue_the_generator(id, small):
    arguments = {**small(id), "scene_steps": 0}  # in one scene two beginnings may be the same
    env = gym.make(id, **arguments)
    first, _ = env.reset(seed=3)
    second, _ = env.reset()
    assert any((first[key] != second[key]).any() for key in first)
    other = gym.make(id, **arguments)
    other.reset(seed=3)
    same(other.reset()[0], second)
    assert any((env.reset(seed=4)[0][key] != first[key]).any() for key in first)
    generator = np.random.default_rng(3)
    assert generator.bit_generator.state["bit_generator"] == "PCG64"
    other.reset(seed=3)
    assert other.unwrapped.np_random.bit_generator.state != generator.bit_generator.state  # it is drawn from


def test_two_envs_with_one_seed_agree(env, id, small):
    same(rollout(env, 11, 20), rollout(gym.make(id, **small(id)), 11, 20))


def test_no_wall_clock_in_info(env, monkeypatch):
    expected = rollout(env, 11)
    import time

    for name in ("time", "perf_counter", "monotonic", "time_ns", "perf_counter_ns", "monotonic_ns"):
        real = getattr(time, name)
        monkeypatch.setattr(time, name, lambda real=real: real() * 2 + 12345)
    same(rollout(env, 11), expected)
    assert not [key for key in expected[0][1] if re.search("time|clock|second|fps|duration", key)]


def test_the_same_info_keys_always_and_plain_types(env):
    observation, info = env.reset(seed=0)
    keys = list(info)
    assert "is_success" in keys
    assert type(info["is_success"]) is bool
    actions = np.random.default_rng(0)
    for _ in range(9):
        observation, reward, terminated, truncated, info = env.unwrapped.step(
            sample(env.action_space, actions)
        )
        assert (type(reward), type(terminated), type(truncated)) == (float, bool, bool)
        assert list(info) == keys
        assert type(info["is_success"]) is bool
        for key, value in info.items():
            assert type(value) in (bool, int, float, str, np.ndarray), (key, type(value))
            assert type(value) is not float or np.isfinite(value)
        assert env.observation_space.contains(observation)
        if terminated or truncated:
            _, info = env.reset()
            assert list(info) == keys


# ---- 12 to 14: spaces


def test_flat_dict_with_finite_bounds(env):
    assert isinstance(env.observation_space, gym.spaces.Dict)
    for key, space in env.observation_space.spaces.items():
        assert isinstance(space, gym.spaces.Box | gym.spaces.MultiBinary | gym.spaces.Discrete), key
        if isinstance(space, gym.spaces.Box):
            assert np.isfinite(space.low).all(), key
            assert np.isfinite(space.high).all(), key
            assert (space.low < space.high).all(), key
        if isinstance(space, gym.spaces.Box) and len(space.shape) == 3 and space.shape[-1] == 3:
            assert space.dtype == np.uint8, key


PRESETS = [
    (id, preset)
    for id in IDS
    for preset in ("state", *["image"] * (id not in IMAGELESS), *["points"] * id.startswith("NBV"))
]


@pytest.mark.parametrize(("id", "preset"), PRESETS)
def test_presets_train_without_wrappers(id, preset, small):
    """A CNN, an MLP, or a network for points: Stable-Baselines3's own policies take them as they are."""
    sb3 = pytest.importorskip("stable_baselines3")
    env = gym.make(id, **small(id), observations=preset)
    observed = env.observation_space.spaces
    pictures = {key for key, space in observed.items() if space.shape[-1:] == (3,) and len(space.shape) == 3}
    assert bool(pictures) == (preset == "image"), "state has none, and image has some"
    assert ("points_mask" in observed) == (preset == "points")
    model = sb3.PPO("MultiInputPolicy", env, n_steps=4, batch_size=4, n_epochs=1, device="cpu")
    before = [value.clone() for value in model.policy.parameters()]
    model.learn(4)
    after = model.policy.parameters()
    assert any(not torch.equal(a, b) for a, b in zip(before, after, strict=True))


def test_observations_are_the_callers_own(env):
    before, _ = env.reset(seed=0)
    kept = {key: value.copy() for key, value in before.items()}
    env.step(sample(env.action_space, np.random.default_rng(0)))
    same(before, kept)
    after, *_ = env.step(sample(env.action_space, np.random.default_rng(1)))
    shown = {key for key, value in after.items() if np.any(value)}
    for value in after.values():
        if isinstance(value, np.ndarray):
            value[...] = 0  # a careless user
    state = env.unwrapped.get_state()
    env.unwrapped.set_state(state)
    assert {key for key, value in env.unwrapped.task.observe(0).items() if np.any(value)} == shown


def test_action_spaces(env):
    space = env.action_space
    if isinstance(space, gym.spaces.Discrete):
        assert space.start == 0
    else:
        assert isinstance(space, gym.spaces.Box)
        assert space.dtype == np.float32
        assert (space.low == -1).all()
        assert (space.high == 1).all()


def test_action_masks_agree(env):
    if "Discrete" not in env.spec.id:
        assert not hasattr(env.unwrapped, "action_masks")
        assert "action_mask" not in env.reset(seed=0)[1]
        return
    _, info = env.reset(seed=0)
    seen = set()
    for _ in range(4):
        mask = env.unwrapped.action_masks()
        assert mask.shape == (env.action_space.n,)
        assert mask.dtype == np.bool_
        assert info["action_mask"].dtype == np.int8  # what Discrete.sample(mask) wants
        np.testing.assert_array_equal(mask, info["action_mask"].astype(bool))
        seen.add(mask.tobytes())
        if mask.sum() < len(mask) - 2:
            break
        _, _, over, _, info = env.step(env.action_space.sample(info["action_mask"]))
        if over:
            break
    assert len(seen) > 1  # it changes


def test_batched_action_masks_agree(id, small):
    envs = gym.make_vec(id, num_envs=2, **small(id))
    if "Discrete" not in id:
        pytest.skip("all of its actions are always valid")
    _, info = envs.reset(seed=0)
    np.testing.assert_array_equal(envs.unwrapped.action_masks(), info["action_mask"].astype(bool))
    _, _, _, _, info = envs.step(np.array([5, 50]))
    assert not info["action_mask"][0, 5]
    assert not info["action_mask"][1, 50]
    np.testing.assert_array_equal(envs.unwrapped.action_masks(), info["action_mask"].astype(bool))


# ---- 15: pictures


def test_render_modes(id, small):
    env_class = gym.envs.registration.load_env_creator(gym.spec(id).entry_point)
    assert env_class.metadata["render_modes"] == ["human", "rgb_array"]
    assert env_class.metadata["render_fps"] > 0
    env = gym.make(id, render_mode="rgb_array", **small(id))
    env.reset(seed=0)
    picture = env.render()
    assert picture.dtype == np.uint8
    assert picture.ndim == 3
    assert picture.shape[2] == 3
    env.step(sample(env.action_space, np.random.default_rng(0)))
    assert (env.render() != picture).any()
    blind = gym.make(id, **small(id)).unwrapped
    blind.reset(seed=0)
    assert blind.render() is None


def test_human_mode_headless(id, small):
    pytest.importorskip("pygame")
    env = gym.make(id, render_mode="human", **small(id))
    env.reset(seed=0)
    env.step(sample(env.action_space, np.random.default_rng(0)))
    assert env.unwrapped._window is not None
    env.close()
    env.close()
    assert env.unwrapped._window is None


def test_record_video_headless(id, small, tmp_path):
    pytest.importorskip("moviepy", reason="gymnasium's RecordVideo writes with moviepy")
    env = RecordVideo(
        gym.make(id, render_mode="rgb_array", **small(id)), str(tmp_path / "films"), disable_logger=True
    )
    env.reset(seed=0)
    over = False
    while not over:
        _, _, terminated, truncated, _ = env.step(sample(env.action_space, np.random.default_rng(0)))
        over = terminated or truncated
    env.close()
    films = list(tmp_path.glob("films/*.mp4"))
    assert len(films) == 1
    assert films[0].stat().st_size > 1000


# ---- 16 to 18: processes, laziness, leaks, pickles


def test_async_vector_env_with_spawn(id, small):
    arguments = small(id)  # a closure over the fixture itself would not pickle
    envs = AsyncVectorEnv([lambda: gym.make("spatial_envs:" + id, **arguments)] * 2, context="spawn")
    try:
        seen = [envs.reset(seed=7)]
        singles = [gym.make(id, **arguments) for _ in range(2)]
        expected = [env.reset(seed=7 + k) for k, env in enumerate(singles)]
        actions = [sample(env.action_space, np.random.default_rng(k)) for k, env in enumerate(singles)]
        seen.append(envs.step(np.array(actions)))
        then = [env.step(action) for env, action in zip(singles, actions, strict=True)]
        for k in range(2):
            for key in expected[k][0]:
                np.testing.assert_array_equal(seen[0][0][key][k], expected[k][0][key])
                np.testing.assert_array_equal(seen[1][0][key][k], then[k][0][key])
            assert seen[1][1][k] == then[k][1]
    finally:
        envs.close()


@pytest.mark.parametrize("one_file", [False, True])
def test_nothing_starts_before_the_first_reset(id, small, one_file, monkeypatch, tmp_path):
    """Only that one building can be walked in is asked before, of its mesh alone."""

    def refuse(*_, **__):
        raise AssertionError("not before the first reset")

    gym.make(id, **small(id)).close()  # no module is to be imported while it could keep what is patched
    walks = small(id).get("scenes", "").endswith(".glb")
    if walks and not one_file:
        for name in ("one.glb", "two.glb"):
            shutil.copy(small(id)["scenes"], tmp_path / name)
        arguments = {**small(id), "scenes": str(tmp_path)}
    elif one_file and not walks:
        pytest.skip("asked of buildings alone")
    else:
        arguments = small(id)
    with monkeypatch.context() as patched:
        if not one_file:
            patched.setattr(SceneSet, "load", refuse)
            patched.setattr("spatial_envs.navigation.places.make_simulator", refuse)
        patched.setattr("spatial_envs.rendering.builtin.rasterise", refuse)
        patched.setattr("spatial_envs.nbv.reference.rasterise", refuse)
        patched.setattr("spatial_envs.reconstruction.visibility.rasterise_where", refuse)
        patched.setattr("spatial_envs.nbv.task.build_reference", refuse)
        patched.setattr(torch.cuda, "init", refuse)
        patched.setattr(torch.cuda, "_lazy_init", refuse)
        env = gym.make(id, **arguments)
        envs = gym.make_vec(id, num_envs=2, **arguments)
        gym.make(id, **arguments).close()  # as AsyncVectorEnv does in the parent
        with pytest.raises(AssertionError, match="not before"):  # the patches do bite
            env.reset(seed=0)
    env.reset(seed=0)
    envs.reset(seed=0)


def test_close_twice_and_go_on_elsewhere(env, id, small):
    other = gym.make(id, **small(id))
    other.reset(seed=0)
    env.reset(seed=0)
    env.close()
    env.close()
    other.step(sample(other.action_space, np.random.default_rng(0)))
    envs = gym.make_vec(id, num_envs=2, **small(id))
    envs.close()
    envs.close()


def resident():
    with open("/proc/self/statm", encoding="utf-8") as file:
        return int(file.read().split()[1]) * 4096


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
def test_twenty_cycles_do_not_leak(id, small):
    def cycle():
        env = gym.make(id, render_mode="rgb_array", **small(id))
        env.reset(seed=0)
        env.close()
        return weakref.ref(env.unwrapped), weakref.ref(env.unwrapped.task)

    for _ in range(5):
        cycle()
    gc.collect()
    before, objects = resident(), len(gc.get_objects())
    references = [reference for _ in range(20) for reference in cycle()]
    gc.collect()
    assert not [reference for reference in references if reference() is not None]
    assert len(gc.get_objects()) - objects < 200
    assert resident() - before < 40e6  # twenty environments hold 120 MB and more


def test_pickles_before_and_after_reset(env):
    fresh = pickle.loads(pickle.dumps(env))
    same(rollout(fresh, 9), rollout(env, 9))
    env.reset(seed=2)
    env.step(sample(env.action_space, np.random.default_rng(1)))
    twin = pickle.loads(pickle.dumps(env))
    action = sample(env.action_space, np.random.default_rng(2))
    same(twin.step(action), env.step(action))
    same(twin.reset(), env.reset())


def test_vector_pickles(id, small):
    envs = gym.make_vec(id, num_envs=2, **small(id)).unwrapped
    fresh = pickle.loads(pickle.dumps(envs))
    same(fresh.reset(seed=1), envs.reset(seed=1))
    twin = pickle.loads(pickle.dumps(envs))
    actions = np.array([sample(envs.single_action_space, np.random.default_rng(k)) for k in range(2)])
    same(twin.step(actions), envs.step(actions))


def test_state_gives_the_same_future(env, id, small):
    actions = np.random.default_rng(4)
    env.reset(seed=8)
    env.step(sample(env.action_space, actions))
    state = pickle.loads(pickle.dumps(env.unwrapped.get_state()))
    plan = [sample(env.action_space, actions) for _ in range(12)]

    def future(env):
        seen = []
        for action in plan:
            seen.append(env.step(action))
            if seen[-1][2] or seen[-1][3]:
                seen.append(env.reset())  # which needs the generator
        return seen

    expected = future(env.unwrapped)
    env.unwrapped.set_state(state)
    close(future(env.unwrapped), expected)
    other = gym.make(id, **small(id)).unwrapped  # never reset
    other.set_state(state)
    close(future(other), expected)
    another = gym.make(id, **small(id)).unwrapped
    another.reset(seed=1234)
    another.set_state(state)
    close(another.get_state(), state)
    close(future(another), expected)
    assert any(step[2] or step[3] for step in expected if len(step) == 5)


def test_state_at_the_end_of_an_episode(env):
    env.reset(seed=8)
    over = False
    while not over:
        _, _, terminated, truncated, info = env.step(sample(env.action_space, np.random.default_rng(0)))
        over = terminated or truncated
    state = env.unwrapped.get_state()
    env.reset()
    env.unwrapped.set_state(state)
    close(env.unwrapped.task.info(0), info)
    with pytest.raises(gym.error.ResetNeeded):
        env.unwrapped.step(sample(env.action_space, np.random.default_rng(0)))


def close(a, b):
    """As ``same``, but floats may differ in their last digits, and dataclasses are compared by field."""
    if isinstance(a, dict):
        assert list(a) == list(b)
        for key in a:
            close(a[key], b[key])
    elif isinstance(a, list | tuple):
        assert len(a) == len(b)
        for left, right in zip(a, b, strict=True):
            close(left, right)
    elif hasattr(a, "__dataclass_fields__"):
        close(vars(a), vars(b))
    elif isinstance(a, np.ndarray | float):
        np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-12)
    else:
        assert a == b


# ---- 19 to 21: many at once


def test_make_vec_gives_the_batched_env(id, small):
    envs = gym.make_vec(id, num_envs=3, max_episode_steps=2, **small(id))
    assert isinstance(envs.unwrapped, TaskVectorEnv)
    assert envs.unwrapped.num_envs == 3
    single = gym.make(id, **small(id))
    assert envs.single_observation_space == single.observation_space
    assert envs.single_action_space == single.action_space
    assert envs.metadata["autoreset_mode"] is AutoresetMode.NEXT_STEP
    observation, _ = envs.reset(seed=0)
    assert envs.observation_space.contains(observation)
    actions = np.array([sample(envs.single_action_space, np.random.default_rng(k)) for k in range(3)])
    _, _, terminated, truncated, _ = envs.step(actions)
    assert not (terminated | truncated).any()
    observation, rewards, terminated, truncated, _ = envs.step(actions)
    assert truncated.all()
    assert not terminated.any()
    assert (rewards.dtype, terminated.dtype, truncated.dtype) == (np.float64, np.bool_, np.bool_)
    assert envs.observation_space.contains(observation)


def both(id, arguments, mode, count=3, limit=None):
    """The batched environment, and gymnasium's loop over single ones."""
    batched = gym.make_vec(id, num_envs=count, autoreset_mode=mode, max_episode_steps=limit, **arguments)
    looped = SyncVectorEnv(
        [lambda: gym.make(id, max_episode_steps=limit, **arguments)] * count, autoreset_mode=mode
    )
    return batched, looped


@pytest.mark.parametrize("mode", MODES, ids=lambda mode: mode.name)
@pytest.mark.parametrize("limit", [None, 2])
def test_autoreset_equals_gymnasiums_loop(id, exact, mode, limit):
    batched, looped = both(id, exact(id), mode, limit=limit)
    assert batched.metadata["autoreset_mode"] is mode
    same(batched.reset(seed=21), looped.reset(seed=21))
    rng = np.random.default_rng(0)
    if mode is not AutoresetMode.DISABLED:  # let the rows end at different times
        singles = np.array([True, False, False])
        same(
            batched.reset(options={"reset_mask": singles.copy()}),
            looped.reset(options={"reset_mask": singles.copy()}),
        )
    ended = 0
    for step in range(12):
        actions = np.array([sample(batched.single_action_space, rng) for _ in range(3)])
        left, right = batched.step(actions), looped.step(actions)
        same(left, right, f"step {step}")
        over = left[2] | left[3]
        ended += over.sum()
        if mode is AutoresetMode.SAME_STEP and over.any():
            assert left[4]["_final_obs"].tolist() == over.tolist()
        if mode is AutoresetMode.DISABLED and over.any():
            same(
                batched.reset(options={"reset_mask": over.copy()}),
                looped.reset(options={"reset_mask": over.copy()}),
            )
    assert ended >= 6


def test_reset_mask_and_staggered_rows(id, exact):
    batched, looped = both(id, exact(id), AutoresetMode.DISABLED)
    same(batched.reset(seed=21), looped.reset(seed=21))
    rng = np.random.default_rng(0)
    over = np.zeros(3, bool)
    for step in range(10):
        mask = over | (rng.random(3) < 0.3)  # the over ones, and some in mid-episode
        if mask.any():
            seed = None if step % 2 else [5, None, 9]
            same(
                batched.reset(seed=seed, options={"reset_mask": mask.copy()}),
                looped.reset(seed=seed, options={"reset_mask": mask.copy()}),
            )
        actions = np.array([sample(batched.single_action_space, rng) for _ in range(3)])
        left = batched.step(actions)
        same(left, looped.step(actions), f"step {step}")
        over = left[2] | left[3]
    batched.reset(seed=0)
    for _ in range(100):
        *_, terminated, truncated, _ = batched.step(actions)
        if (terminated | truncated).all():
            break
    with pytest.raises(gym.error.ResetNeeded, match=r"rows \[0, 1, 2\]"):
        batched.step(actions)


def test_vector_equals_singles_per_seed(id, exact):
    arguments = {**exact(id), "observations": "all"}
    envs = gym.make_vec(id, num_envs=3, **arguments)
    singles = [gym.make(id, **arguments) for _ in range(3)]
    for seed in (40, None, [1, 100, 7], None):  # later resets continue each one's own generator
        observation, info = envs.reset(seed=seed)
        own = [None] * 3 if seed is None else seed if isinstance(seed, list) else [seed + k for k in range(3)]
        each = [env.reset(seed=s) for env, s in zip(singles, own, strict=True)]
        rng = np.random.default_rng(5)
        actions = np.array([sample(envs.single_action_space, rng) for _ in range(3)])
        then = envs.step(actions)
        steps = [env.step(action) for env, action in zip(singles, actions, strict=True)]
        for k in range(3):
            same({key: value[k] for key, value in observation.items()}, each[k][0])
            single = each[k][1].items()
            assert all(np.array_equal(info[key][k], value) for key, value in single)
            same({key: value[k] for key, value in then[0].items()}, steps[k][0])
            assert then[1][k] == steps[k][1]


def test_rows_side_by_side_are_rows_one_by_one(id, exact):
    inline, threaded = (gym.make_vec(id, num_envs=5, **exact(id), threads=n) for n in (1, 4))
    same(inline.reset(seed=3), threaded.reset(seed=3))
    rng = np.random.default_rng(6)
    for step in range(4):
        actions = np.array([sample(inline.single_action_space, rng) for _ in range(5)])
        same(inline.step(actions), threaded.step(actions), f"step {step}")


def test_vector_render(id, small):
    envs = gym.make_vec(id, num_envs=2, render_mode="rgb_array", **small(id))
    envs.reset(seed=0)
    pictures = envs.render()
    assert len(pictures) == 2
    assert pictures[0].dtype == np.uint8
    assert (pictures[0] != pictures[1]).any()


# ---- 25: a loop like CleanRL's


def test_cleanrl_style_loop(id, small):
    envs = RecordEpisodeStatistics(gym.make_vec(id, num_envs=3, **small(id)))
    observation, _ = envs.reset(seed=1)
    envs.action_space.seed(1)
    returns, running, over = [], np.zeros(3), np.zeros(3, bool)
    for _ in range(16):
        observation, rewards, terminated, truncated, infos = envs.step(envs.action_space.sample())
        running = np.where(over, 0, running + rewards)
        over = terminated | truncated
        if "episode" in infos:
            for k in np.flatnonzero(infos["_episode"]):
                assert over[k]
                assert (
                    infos["episode"]["l"][k] <= 3
                )  # four views, the first of them at the reset; or max_steps
                assert infos["episode"]["r"][k] == pytest.approx(running[k], abs=1e-5)
                returns.append(float(infos["episode"]["r"][k]))
    assert len(returns) >= 3 * 4
    assert len(set(returns)) > 6
    assert set(observation) == set(envs.single_observation_space.spaces)
