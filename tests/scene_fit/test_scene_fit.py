"""The prototype fitting environment: what its page says, the incremental residuals, and bad input."""

import pickle
from dataclasses import replace

import gymnasium as gym
import numpy as np
import pytest
import torch

import spatial_envs  # noqa: F401
from spatial_envs.geometry.rotations import turn_angles, turn_matrix
from spatial_envs.prototypes.distance import nearest
from spatial_envs.prototypes.encoder import SHIPPED, SlotEncoder, encoded
from spatial_envs.prototypes.scores import score_fit
from spatial_envs.prototypes.slots import Shapes, SlotState, action_to, bounded, moved
from spatial_envs.prototypes.target import make_target
from spatial_envs.scene_fit import SceneFitEnv, SceneFitVectorEnv
from spatial_envs.scenes.depth_frames import open_depth

SMALL = {"num_objects": 3, "num_frames": 4, "slots": 3, "backbone": None, "steps": 5}


@pytest.fixture(scope="module")
def encoder():
    return SlotEncoder.load(SHIPPED)


@pytest.fixture(scope="module")
def target():
    return make_target(open_depth("procedural", "train", num_objects=3).load(0))


def random_slots(encoder, count, seed=0):
    rng = np.random.default_rng(seed)
    slots = rng.normal(size=(count, encoder.bank.slot_size))
    slots[:, 0] = rng.uniform(0.1, 0.5, count)
    slots[:, 1:4] *= 0.3
    slots[:, -1] = -4
    return slots


# ---- slots on a target


def test_arrays_agree_with_torch(encoder):
    shapes, slots = Shapes.of(encoder.bank), random_slots(encoder, 3)
    given = torch.tensor(slots, dtype=torch.float32)
    for k in range(3):
        np.testing.assert_allclose(
            shapes.vertices(slots[k]), encoder.bank(given)[k].detach().numpy(), atol=1e-5
        )
        assert shapes.presence(slots[k]) == pytest.approx(float(encoder.bank.presence(given)[k]), abs=1e-6)
        np.testing.assert_allclose(
            shapes.vertex_colors(slots[k]), encoder.bank.blended_colors(given)[k].detach().numpy(), atol=1e-5
        )


def test_incremental_residuals_equal_those_from_nothing(encoder, target):
    shapes, rng = Shapes.of(encoder.bank), np.random.default_rng(1)
    state = SlotState(target, shapes, random_slots(encoder, 4), 300)
    for step in range(12):
        k = step % 4
        change = rng.uniform(-1, 1, state.slots.shape[1] + 1)
        change[-1] *= 3 * (step == 7)  # one goes and comes
        state.put(k, moved(state.slots[k], change, target.unit))
        anew = SlotState(target, shapes, state.slots, 300)
        assert anew.figures() == pytest.approx(state.figures(), rel=1e-6)
        np.testing.assert_array_equal(anew.residual_rows(), state.residual_rows())
        np.testing.assert_array_equal(anew.picture(), state.picture())


def test_figures_over_all_points_are_those_of_the_scores(encoder, target):
    state = SlotState(target, Shapes.of(encoder.bank), random_slots(encoder, 3), len(target.points))
    figures, scores = state.figures(), score_fit(target, state.fit())
    for name in ("one_directional", "occlusion_aware", "fsv", "depth_agreement", "slots"):
        assert figures[name] == pytest.approx(scores[name], rel=1e-6), name


def test_actions_reach_what_they_aim_at(encoder):
    unit, rng = 0.8, np.random.default_rng(0)
    slot = bounded(random_slots(encoder, 1)[0], unit)
    change = rng.uniform(-1, 1, len(slot) + 1)
    near = moved(slot, change, unit)
    np.testing.assert_allclose(moved(slot, action_to(slot, near, unit), unit), near, atol=1e-9)
    far = slot.copy()
    far[1] += 100
    action = action_to(slot, far, unit)
    assert action[0] == 1
    assert action[2] == 1
    assert (np.abs(action) <= 1).all()
    still = np.zeros(len(slot) + 1)
    np.testing.assert_allclose(moved(slot, still, unit), slot, atol=1e-12)
    smallest, largest = (moved(slot, np.r_[size, 1, np.zeros(len(slot) - 1)], unit) for size in (-1, 1))
    assert np.log(largest[0] / slot[0]) == pytest.approx(0.5)
    assert np.log(smallest[0] / slot[0]) == pytest.approx(0.005)


# ---- the environment


@pytest.fixture(scope="module")
def env():
    made = gym.make("SceneFit-Prototype-v0", **SMALL)
    yield made
    made.close()


def test_gains_telescope_and_the_round_robin_changes_one_slot(env):
    observation, info = env.reset(seed=0)
    first, rng, total = info, np.random.default_rng(0), 0.0
    task = env.unwrapped.task
    start = task.episode(0).figures["full"]
    for step in range(5):
        assert observation["turn"].tolist() == [int(k == step % 3) for k in range(3)]
        before = observation["slots"]
        observation, reward, over, _, info = env.step(rng.uniform(-1, 1, env.action_space.shape))
        changed = (before != observation["slots"]).any(axis=1)
        assert changed.tolist() == [k == step % 3 for k in range(3)]
        assert reward == info["gain"]
        total += info["gain"]
        assert over == (step == 4)
    assert total == pytest.approx(task.episode(0).figures["full"] - start)
    assert observation["remaining"][0] == 0
    assert info["chamfer"] != first["chamfer"]


@pytest.mark.parametrize("reward", ["full", "chamfer", lambda before, after: after["slots"] - 7])
def test_rewards(reward):
    env = SceneFitEnv(reward=reward, **SMALL)
    env.reset(seed=0)
    before = dict(env.task.episode(0).figures)
    got = env.step(np.full(env.action_space.shape, 0.3))[1]
    after, unit = env.task.episode(0).figures, env.task.episode(0).state.target.unit
    expected = {
        "full": lambda f: -(f["occlusion_aware"] / unit + 0.5 * f["fsv"] + 0.01 * f["slots"]),
        "chamfer": lambda f: -f["one_directional"] / unit,
    }
    if callable(reward):
        assert got == -4
    else:
        assert got == pytest.approx(expected[reward](after) - expected[reward](before), rel=1e-9)


def test_the_potential_of_the_true_surface():
    env = SceneFitEnv(reward="surface", start="encoder", **SMALL)
    env.reset(seed=0)
    episode = env.task.episode(0)
    state, target = episode.state, episode.state.target
    scores = score_fit(target, state.fit())
    missed = np.sqrt(
        nearest(target.surface, state.fit().surfaces, state.shapes.topology)[0].min(axis=0)
    ).mean()
    expected = -float((missed + scores["reverse"]) / target.unit + 0.01 * scores["slots"])
    assert episode.figures["surface"] == pytest.approx(expected, rel=0.05)  # it looks at fewer points
    before = episode.figures["surface"]
    got = env.step(np.full(env.action_space.shape, 0.3))[1]
    anew = SlotState(target, state.shapes, state.slots, 512, truth=True)
    assert got == pytest.approx(anew.figures()["surface"] - before, rel=1e-6)
    assert abs(got) > 1e-4
    assert anew.figures() == pytest.approx(state.figures(), rel=1e-6)
    away = state.slots.copy()
    away[:, 1] += 2 * target.unit
    far = SlotState(target, state.shapes, away, 512, truth=True).figures()["surface"]
    gone = state.slots.copy()
    gone[:, -1] = 20
    none = SlotState(target, state.shapes, gone, 512, truth=True).figures()["surface"]
    assert far < none < episode.figures["surface"]
    assert none == pytest.approx(-2.0)


def test_all_slots_at_once_and_the_agents_own_turn():
    together = SceneFitEnv(action="all", **SMALL)
    width = together.task.slot_size + 1
    assert together.action_space.shape == (3 * width,)
    together.reset(seed=0)
    before = together.task.episode(0).state.slots.copy()
    together.step(np.full(3 * width, 0.5))
    assert (before != together.task.episode(0).state.slots).any(axis=1).all()
    chooser = SceneFitEnv(turn="agent", **SMALL)
    assert chooser.action_space.shape == (width + 1,)
    chooser.reset(seed=0)
    for value, slot in ((-1.0, 0), (0.0, 1), (1.0, 2)):
        before = chooser.task.episode(0).state.slots.copy()
        chooser.step(np.r_[np.full(width, 0.5), value])
        changed = (before != chooser.task.episode(0).state.slots).any(axis=1)
        assert np.flatnonzero(changed).tolist() == [slot]


def test_starts():
    distance = {}
    for start in ("kmeans", "random", "encoder"):
        env = SceneFitEnv(start=start, **SMALL)
        infos = [env.reset(seed=seed)[1] for seed in range(4)]
        distance[start] = np.mean([info["occlusion_aware"] for info in infos])
        assert all(1 <= info["slots"] <= 3 for info in infos)
    assert distance["encoder"] < distance["random"]
    assert distance["kmeans"] < distance["random"]


def test_the_encoders_start_is_what_it_says_of_the_frame():
    env = SceneFitEnv(start="encoder", **SMALL)
    for frame in (1, 2, 1):
        env.reset(seed=0, options={"frame": frame})
        state = env.task.episode(0).state
        told = encoded(env.task.model[0], [state.target], 3)[0].double().numpy()
        np.testing.assert_array_equal(state.slots, bounded(told, state.target.unit))
        env.step(env.action_space.sample())  # changes nothing of what is kept


def test_options_say_where_to_begin(env):
    _, info = env.reset(seed=0, options={"frame": 2})
    assert info["object"] == env.unwrapped.task.frames.names[2]
    slots = env.unwrapped.task.episode(0).state.slots.copy()
    _, again = env.reset(seed=5, options={"frame": info["object"], "slots": slots})
    assert again == pytest.approx(info) if isinstance(again, float) else again == info


def test_features_are_the_backbones():
    env = SceneFitEnv(**{**SMALL, "backbone": "unproject"})
    observation, _ = env.reset(seed=0)
    assert observation["features"].shape == (env.task.backbone.dim,)
    assert np.isfinite(observation["features"]).all()
    patches = SceneFitEnv(**{**SMALL, "backbone": "unproject", "pooling": "none"})
    assert patches.reset(seed=0)[0]["features"].shape == (5 * 7, env.task.backbone.dim)  # of 70 x 98 pixels


def test_render_view_is_the_fit_in_the_world(env):
    env.reset(seed=0)
    episode = env.unwrapped.task.episode(0)
    view = env.unwrapped.render_view(episode.frame.view.cam_to_world)
    assert view.depth.shape == (240, 320)
    assert set(np.unique(view.segment)) <= {0, 1, 2, 3}
    assert (view.depth > 0).any()


def test_held_out_pixels_are_kept_from_the_agent():
    whole, part = (SceneFitEnv(held_out=share, **SMALL).task.load(0)[1] for share in (0.0, 0.25))
    assert len(part.points) + len(part.held_out) == len(whole.points)
    assert len(part.held_out) / len(whole.points) == pytest.approx(0.25, abs=0.05)


def test_residual_rows_by_hand(encoder, target):
    state = SlotState(target, Shapes.of(encoder.bank), random_slots(encoder, 3), len(target.points))
    owner = state.squared.argmin(axis=0)
    for k, row in enumerate(state.residual_rows()):
        own = target.points[owner == k] / target.unit
        if not len(own):
            continue
        assert row[0] == pytest.approx(len(own) / len(target.points), abs=1e-6)
        together = np.cov(own.T, bias=True)
        np.testing.assert_allclose(row[8:11] ** 2, together.diagonal(), atol=1e-4)
        cross = together[[1, 0, 0], [2, 2, 1]]
        np.testing.assert_allclose(np.sign(row[11:14]) * row[11:14] ** 2, cross, atol=1e-4)


def residual_rows(state):
    """The rows as their docstring says them."""
    unit, rows = state.target.unit, np.zeros((len(state.slots), 22))
    owner, corners = state.squared.argmin(axis=0), state.topology.faces
    inverse = state.inverse_depth.reshape(len(state.slots), -1)[:, state.pixels]
    for k in np.flatnonzero(state.present):
        own = owner == k
        hides = np.maximum(state.measured - 1 / np.maximum(inverse[k], 1e-9), 0) * (inverse[k] > 0)
        rows[k, 20:] = state.violating[k] / max(state.areas[k], 1e-12), hides.mean() / unit
        if not own.any():
            continue
        points = state.points[own].astype(np.float64)
        surface = (state.bary[k, own][..., None] * state.vertices[k][corners[state.faces[k, own]]]).sum(
            axis=1
        )
        way, away = (points - surface) / unit, (points - state.slots[k, 1:4]) / unit
        x, y, z = (away - away.mean(axis=0)).T
        together = np.array([(y * z).mean(), (x * z).mean(), (x * y).mean()])
        axes = turn_matrix(state.slots[k, 4:7])
        rows[k, 0], rows[k, 1] = own.mean(), np.sqrt(state.squared[k, own].astype(np.float64)).mean() / unit
        rows[k, 2:5], rows[k, 5:8], rows[k, 8:11] = way.mean(axis=0), away.mean(axis=0), away.std(axis=0)
        rows[k, 11:14] = np.sign(together) * np.sqrt(np.abs(together))
        rows[k, 14:17] = np.cross(away, way).mean(axis=0)
        rows[k, 17:20] = (np.sign(away @ axes) * (way @ axes)).mean(axis=0)
    return rows.clip(-8, 8)


def test_residual_rows_are_those_of_the_twin(encoder, target):
    rng, shapes = np.random.default_rng(5), Shapes.of(encoder.bank)
    for seed in range(6):
        slots = random_slots(encoder, 5, seed)
        slots[:, 1:4] *= rng.uniform(0.1, 8)
        slots[seed % 5, -1] = 9 * (seed % 2)  # one is absent, at times
        state = SlotState(target, shapes, slots, 200)
        np.testing.assert_allclose(state.residual_rows(), residual_rows(state), rtol=1e-6, atol=1e-7)


def test_residual_rows_say_where_to_turn_and_stretch(encoder, target):
    """On points of its own surface: none; of the surface grown and turned: that."""
    shapes = Shapes.of(encoder.bank)
    slot = np.zeros(encoder.bank.slot_size)
    slot[0], slot[7:-1], slot[-1] = 0.5, np.where(np.arange(len(slot) - 8) == 4, 9.0, 0.0), -9.0
    slot[4:7] = 0.4, 0.1, -0.2

    def residuals(surface):
        points = surface[::3].astype(np.float32)
        pixels = np.resize(target.pixels, len(points))
        given = replace(target, points=points, pixels=pixels, unit=1.0, objects=None)
        return SlotState(given, shapes, slot[None], len(points)).residual_rows()[0]

    assert np.abs(residuals(shapes.vertices(slot))[[1, 2, 3, 4, *range(14, 20)]]).max() < 1e-3
    larger = slot.copy()
    larger[0] *= 1.1
    assert (residuals(shapes.vertices(larger))[17:20] > 1e-3).all()
    turned = slot.copy()
    turned[4:7] = turn_angles(turn_matrix(np.array([0.0, 0.2, 0.0])) @ turn_matrix(slot[4:7]))
    x, y, z = residuals(shapes.vertices(turned))[14:17]
    assert x > 1e-4
    assert x > 3 * max(abs(y), abs(z))


# ---- bad input


def make(**arguments):
    return lambda: SceneFitEnv(**{**SMALL, **arguments})


ARGUMENTS = {
    "unknown": (make(slot=3), TypeError, "'slot'.*did you mean 'slots'"),
    "slots": (make(slots=0), ValueError, "slots: got 0; expected int from 1 to 64"),
    "steps": (make(steps=0), ValueError, "steps: got 0; .*from 1"),
    "start": (make(start="k-means"), ValueError, "start: got 'k-means'; .*'kmeans', 'random', 'encoder'"),
    "action": (make(action="one"), ValueError, "action: got 'one'; .*'slot', 'all'"),
    "turn": (make(turn="mine"), ValueError, "turn: got 'mine'; .*'round_robin', 'agent'"),
    "turn of all": (make(turn="agent", action="all"), ValueError, "turn: got 'agent' with action='all'"),
    "reward": (make(reward="log"), ValueError, "reward: got 'log'; .*'full', 'chamfer', 'surface'"),
    "held_out": (make(held_out=1.0), ValueError, "held_out: got 1.0; .*0.9"),
    "surface of files": (
        make(scenes="room.png", reward="surface"),
        ValueError,
        "reward: got 'surface' for scenes='room.png'; .*expected 'full'",
    ),
    "points": (make(points=3), ValueError, "points: got 3; .*16"),
    "image_size": (make(image_size=8), ValueError, r"image_size: got 8; .*16 to 4096"),
    "num_objects": (make(num_objects=13), ValueError, "num_objects: got 13"),
    "num_frames": (make(num_frames=5000), ValueError, "num_frames: got 5000; .*1 to 4096"),
    "split": (make(split="training"), ValueError, "split: got 'training'"),
    "scenes": (make(scenes="no/such"), ValueError, "no/such"),
    "prototypes": (make(prototypes="no.safetensors"), FileNotFoundError, "no.safetensors"),
    "backbone": (make(backbone="resnet"), ValueError, "backbone: got 'resnet'"),
    "observations": (make(observations=["mesh"]), ValueError, "observations: got 'mesh'; .*'slots'"),
    "observations none": (make(observations=[]), ValueError, "observations: got none; .*slots"),
    "features without a backbone": (
        make(observations=["features"]),
        ValueError,
        "observations: got 'features'",
    ),
    "device": (make(device="gpu"), ValueError, "device: got 'gpu'"),
    "cache_size": (make(cache_size=0), ValueError, "cache_size: got 0; .*from 1"),
    "human, many": (
        lambda: SceneFitVectorEnv(2, render_mode="human", **SMALL),
        ValueError,
        "render_mode: got 'human'",
    ),
}


@pytest.mark.parametrize("name", ARGUMENTS)
def test_bad_arguments(name):
    call, error, message = ARGUMENTS[name]
    with pytest.raises(error, match=f"(?s){message}"):
        call()


WIDTH = 21
IN_EPISODE = {
    "action NaN": (lambda env: env.step(np.full(WIDTH, np.nan)), "action: got .*nan.*finite"),
    "action short": (lambda env: env.step(np.zeros(3)), r"action: got .*\(3,\).*\(21,\)"),
    "action a word": (lambda env: env.step("left"), "action: got .*expected floats"),
    "options": (lambda env: env.reset(options={"object": 0}), "options: got 'object'; .*'frame', 'slots'"),
    "frame": (lambda env: env.reset(options={"frame": 4}), "frame: got 4, expected 0 to 3"),
    "slots": (
        lambda env: env.reset(options={"slots": np.ones((2, 20))}),
        r"options\['slots'\]: got \(2, 20\).*\(3, 20\)",
    ),
    "slots of no size": (
        lambda env: env.reset(options={"slots": np.zeros((3, 20))}),
        r"options\['slots'\]: got \(3, 20\).*positive scales",
    ),
    "state": (lambda env: env.set_state({**env.get_state(), "task": 3}), r"\['task'\]: got 3; .*slots"),
    "state, slots": (
        lambda env: env.set_state({**env.get_state(), "task": {**env.get_state()["task"], "slots": [1]}}),
        r"state\['task'\]\['slots'\]: got \(1,\)",
    ),
    "render_view": (lambda env: env.render_view(np.zeros(3)), r"cam_to_world: got \(3,\)"),
}  # fmt: skip


@pytest.mark.parametrize("name", IN_EPISODE)
def test_bad_calls_change_nothing(env, name):
    call, message = IN_EPISODE[name]
    own = env.unwrapped
    own.reset(seed=0)
    before = pickle.dumps([own.get_state(), own.task.observe(0)])
    with pytest.raises(ValueError, match=f"(?s){message}"):
        call(own)
    assert pickle.dumps([own.get_state(), own.task.observe(0)]) == before


def test_a_state_at_the_bounds_goes_on_just_as_it_was():
    env, other = (SceneFitEnv(**{**SMALL, "steps": 60}) for _ in range(2))
    env.reset(seed=7)
    rng = np.random.default_rng(1)
    for _ in range(30):  # logits so large that they are cut off
        env.step(np.r_[1.0, rng.choice([-1, 1], env.action_space.shape[0] - 1)])
    other.reset(seed=0)
    other.set_state(env.get_state())
    action = np.full(env.action_space.shape, 0.3)
    (one, gain, *_), (same, again, *_) = env.step(action), other.step(action)
    assert gain == pytest.approx(again, abs=1e-9)
    for key, value in one.items():
        np.testing.assert_allclose(same[key], value, atol=1e-6, err_msg=key)
