"""Agents that walk: baselines, evaluation, networks, the warm start, and runs from the command line."""

import csv
from dataclasses import replace
from itertools import pairwise

import gymnasium as gym
import numpy as np
import pytest
import torch
from gymnasium import spaces
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import dijkstra

import spatial_envs
from agents.comparison import compare as comparison
from agents.comparison.scores import evaluate, play
from agents.comparison.table import page, table
from agents.hyperparameters import Lessons
from agents.navigation.baselines import Random
from agents.navigation.evaluation import begin, walk
from agents.navigation.family import EXPLORATION, GOALS
from agents.navigation.grid_paths import in_sight, trace, ways
from agents.navigation.imitation import mirror
from agents.navigation.policy import NavigationFeatures
from agents.play import FIRST_SEED
from agents.run_folder import load, steps_learned
from agents.runs import names, observed, training_envs, untrained
from agents.training import train as training
from agents.training.config import resolve
from agents.training.warm_start import Record, WarmStart
from spatial_envs.navigation import ExploreEnv, ObjectNavEnv, PointNavEnv
from spatial_envs.navigation.occupancy import FREE, OCCUPIED, UNKNOWN

pytestmark = pytest.mark.usefixtures("no_film")

gym.register_envs(spatial_envs)
SMALL = {"num_buildings": 2, "image_size": 32, "backbone": None}
QUICK = training.Flags(
    env="PointNav-Habitat-v0", backbone="none", set=("num_buildings=1", "image_size=32", "max_steps=24"),
    eval_every=64, validation_starts=1, final_starts=0, track="none",
)  # fmt: skip
SHORT = "{n_envs: 4, n_steps: 16, batch_size: 32, policy: agents.policies.WalkingPolicy, n_timesteps: 320}"
LESSONS = ("steps=128", "rounds=2", "value_steps=64", "batch_size=32")


@pytest.fixture(scope="module")
def env():
    return PointNavEnv(**SMALL, split="validation", max_steps=120, observations=["gps"])


@pytest.fixture(scope="module")
def short(tmp_path_factory):
    path = tmp_path_factory.mktemp("configs") / "short.yml"
    path.write_text(f"PointNav-Habitat-v0: {SHORT}\nExplore-Habitat-v0: {SHORT}\n")
    return path


@pytest.fixture(scope="module")
def run(short, tmp_path_factory):
    """A finished run with a warm start."""
    folder = tmp_path_factory.mktemp("runs") / "run"
    flags = replace(QUICK, config=short, out=folder, warm_start="greedy", warm=LESSONS, final_starts=1)
    return training.train(flags)


# ---- ways over cells


def test_ways_are_dijkstras():
    generator = np.random.default_rng(0)
    cost = generator.choice([1.0, 4.0, np.inf], (14, 17), p=[0.6, 0.2, 0.2]).astype(np.float32)
    cost[3, 4] = 1.0
    edges = {}
    for i, j in np.ndindex(cost.shape):
        for di, dj in np.ndindex(3, 3):
            r, c = i + di - 1, j + dj - 1
            if (r, c) == (i, j) or not (0 <= r < 14 and 0 <= c < 17):
                continue
            if not np.isfinite([cost[i, j], cost[r, c], cost[i, c], cost[r, j]]).all():
                continue
            edges[i * 17 + j, r * 17 + c] = np.hypot(di - 1, dj - 1) * (cost[i, j] + cost[r, c]) / 2
    graph = coo_matrix((list(edges.values()), tuple(zip(*edges, strict=True))), (238, 238))
    expected = dijkstra(graph.tocsr(), indices=3 * 17 + 4).reshape(14, 17)
    total, before = ways(cost, (3, 4))
    np.testing.assert_allclose(total, expected, rtol=1e-5)
    end = np.unravel_index(np.where(np.isfinite(total), total, -1).argmax(), total.shape)
    way = trace(before, tuple(int(k) for k in end))
    assert way[0].tolist() == [3, 4]
    lengths = [edges[a[0] * 17 + a[1], b[0] * 17 + b[1]] for a, b in pairwise(way)]
    assert sum(lengths) == pytest.approx(total[end], rel=1e-5)


def test_sight_ends_at_obstacles():
    cost = np.ones((9, 9), np.float32)
    cost[4, 2:] = np.inf
    assert in_sight(cost, np.array([1.5, 1.5]), np.array([7.5, 1.5]))
    assert not in_sight(cost, np.array([1.5, 5.5]), np.array([7.5, 5.5]))


# ---- baselines and evaluation


def test_baselines_stand_in_their_order(env):
    """The oracle arrives by the shortest way, the goal's sensor and a map nearly so, chance does not; and who
    walks to frontiers sees more than who walks at random."""
    rows = {name: [(env, policy)] for name, policy in GOALS.policies(env).items()}
    results = play(GOALS, rows, 3, progress=None)
    spl = {name: scores.figures["spl"].mean() for name, scores in results.items()}
    coverage = {name: scores.figures["coverage"].mean() for name, scores in results.items()}
    assert spl["greedy"] > 0.97
    assert spl["greedy"] >= spl["nearest-frontier"] > 0.5
    assert max(spl["random"], spl["forward"], spl["frontier"]) < spl["nearest-frontier"]
    assert coverage["frontier"] > coverage["forward"] + 0.1 > coverage["random"] + 0.1
    for scores in results.values():
        np.testing.assert_array_equal(scores.starts, results["greedy"].starts)
        assert scores.scenes.tolist() == [0, 1, 0]
    text = page(GOALS, env, results)
    assert "3 paired episodes, 2 buildings" in text
    assert "| SPL | " in text
    assert "| coverage after" not in text  # of no interest where there is a goal


def test_an_episode_is_its_building_and_its_seed(env):
    _, info = begin(env, 3)
    assert info["building"] == env.task.buildings.names[1]
    _, again = env.reset(seed=FIRST_SEED + 3, options={"building": 1})
    np.testing.assert_array_equal(info["position"], again["position"])
    first, second = (list(walk(env, Random(env), 0))[-1] for _ in range(2))
    np.testing.assert_array_equal(first["position"], second["position"])


def test_other_episodes_are_not_paired(env):
    scores = evaluate(GOALS, env, Random(env), 2)
    other = replace(scores, starts=scores.starts + 1)
    assert "other episodes" in table(GOALS, {"a": scores, "b": other}, ["b"])


def test_baselines_walk_with_velocities():
    env = PointNavEnv(**SMALL, split="validation", max_steps=160, action="velocity", observations=["gps"])
    for name, policy in GOALS.policies(env).items():
        env.reset(seed=0)
        for _ in range(3):
            action, _ = policy.predict(None)
            assert env.action_space.contains(action), name
            env.step(action)
    assert evaluate(GOALS, env, GOALS.policies(env)["greedy"], 2).mean("success") == 1


def test_without_a_goal_there_is_no_way_to_it():
    env = ExploreEnv(**SMALL, observations=["gps"])
    assert set(EXPLORATION.policies(env)) == {"random", "forward", "frontier", "unknown-area", "new-points"}


def test_what_is_unknown_costs_more_but_is_no_wall():
    env = PointNavEnv(**SMALL, split="validation", observations=["gps"])
    policy = GOALS.policies(env)["free-space"]
    begin(env, 0)
    policy.predict(None)
    grid, cost = policy.map.grid, policy.cost
    assert {*np.unique(cost[grid == UNKNOWN])} == {1.5, 4.0}
    assert {*np.unique(cost[grid == FREE])} <= {1.0, 4.0}
    assert np.isinf(cost[grid == OCCUPIED]).all()
    assert np.isfinite(policy.ways[policy.goal])


def test_the_unknown_area_is_that_within_reach_for_each_step():
    env = ExploreEnv(**SMALL, split="validation", observations=["gps"])
    policy = EXPLORATION.policies(env)["unknown-area"]
    begin(env, 0)
    policy.predict(None)
    frontier = policy.frontier()
    cells = np.argwhere(frontier)
    unknown = np.argwhere(policy.map.grid == UNKNOWN)
    areas = [(((unknown - cell) ** 2).sum(axis=1) <= 15**2).sum() for cell in cells]
    np.testing.assert_array_equal(policy.area()[tuple(cells.T)], areas)
    price = np.array(areas) / (policy.steps()[tuple(cells.T)] + 1)
    assert policy.nearest(frontier) == tuple(cells[np.argmax(price)])


def test_the_category_is_found_by_what_is_seen():
    env = ObjectNavEnv(**SMALL, split="validation", observations=["gps"])
    policy = GOALS.policies(env)["nearest-frontier"]
    begin(env, 0)
    policy.predict(None)
    seen = env.task.episode(0).views[0].segment
    objects = env.task.episode(0).place.building.objects
    expected = [objects[n].category == env.task.episode(0).category for n in np.unique(seen) if n]
    assert policy.sought().any() == any(expected)
    scores = evaluate(GOALS, env, policy, 3)
    assert (scores.figures["steps"] < env.task.max_steps).any()


# ---- networks


def features_of(keys, **changes):
    env_spaces = {
        "map": spaces.Box(0, 255, (4, 64, 64), np.uint8),
        "wide_map": spaces.Box(0, 255, (4, 64, 64), np.uint8),
        "pointgoal": spaces.Box(np.array([0, -np.pi], np.float32), np.array([50, np.pi], np.float32)),
        "objectgoal": spaces.Discrete(7),
        "imagegoal": spaces.Box(0, 255, (3, 40, 40), np.uint8),
        "rgb": spaces.Box(0, 255, (3, 40, 40), np.uint8),
        "depth": spaces.Box(0, 10, (40, 40, 1), np.float32),
        "features": spaces.Box(-10, 10, (4, 12), np.float32),
        "view_mask": spaces.MultiBinary(4),
        "gps": spaces.Box(-9, 9, (2,), np.float32),
        "compass": spaces.Box(-np.pi, np.pi, (1,), np.float32),
        "odometry": spaces.Box(-1, 1, (3,), np.float32),
        "remaining": spaces.Box(0, 1, (1,), np.float32),
    }
    torch.manual_seed(0)
    return NavigationFeatures(spaces.Dict({key: env_spaces[key] for key in keys}))


def batch_of(extractor):
    generator = np.random.default_rng(0)
    batch = {}
    for key, space in extractor._observation_space.spaces.items():
        if isinstance(space, spaces.Discrete):
            batch[key] = torch.nn.functional.one_hot(torch.tensor([[1], [3]]), 7).float()  # as of a rollout
        elif key == "view_mask":
            batch[key] = torch.tensor([[1.0, 0, 0, 0], [1, 1, 1, 0]])
        else:
            scale = 255 if space.dtype == np.uint8 else 1
            values = generator.uniform(space.low / scale, space.high / scale, (2, *space.shape))
            batch[key] = torch.as_tensor(values, dtype=torch.float32)
    return batch


@pytest.mark.parametrize(
    "keys",
    [
        ("map", "pointgoal", "gps", "compass", "odometry", "remaining"),
        ("objectgoal", "features", "view_mask", "map", "wide_map"),
        ("imagegoal", "rgb", "remaining"),
        ("depth", "pointgoal"),
    ],
)
def test_all_that_is_shown_matters(keys):
    extractor = features_of(keys)
    batch = batch_of(extractor)
    out = extractor(batch)
    assert out.shape == (2, extractor.features_dim)
    for key in keys:
        assert not torch.allclose(extractor({**batch, key: batch[key].flip(0)}), out), key


def test_views_that_are_not_there_and_full_turns_do_not_matter():
    extractor = features_of(("features", "view_mask", "compass", "pointgoal"))
    batch = batch_of(extractor)
    out = extractor(batch)
    changed = {key: value.clone() for key, value in batch.items()}
    changed["features"][0, 1:] = 7
    changed["compass"] += 2 * np.pi
    changed["pointgoal"][:, 1] -= 2 * np.pi
    torch.testing.assert_close(extractor(changed), out, rtol=1e-3, atol=1e-4)
    with pytest.raises(ValueError, match="imagegoal without rgb"):
        features_of(("imagegoal",))
    with pytest.raises(ValueError, match="needs some of map"):
        features_of(("view_mask",))


def test_policies_are_shown_what_they_need():
    everything = ("rgb", "depth", "map", "gps", "compass", "remaining", "features", "view_mask")
    shown = observed("PointNav-Habitat-v0", {"policy": "MultiInputPolicy"}, (*everything, "pointgoal"))
    assert shown == ["map", "pointgoal", "gps", "compass", "features", "view_mask", "remaining"]
    walking = {"policy": "agents.policies.WalkingPolicy"}
    assert "rgb" in observed("ImageNav-Habitat-v0", walking, (*everything, "imagegoal"))


# ---- the warm start


def lessons_model(**changes):
    run = {
        "algo": "ppo", "env": "PointNav-Habitat-v0", "num_envs": 4, "seed": 0, "device": "cpu",
        "hyperparameters": {"policy": "agents.policies.WalkingPolicy", "n_steps": 16, "batch_size": 32},
        "env_kwargs": {
            **SMALL, "num_buildings": 1, "max_steps": 60, "reconstruction": "none", "weights": {"chamfer": 0},
            "observations": ["pointgoal", "map"], **changes,
        },
    }  # fmt: skip
    return untrained(run, training_envs(run))


@pytest.mark.parametrize("action", ["discrete", "velocity"])
def test_a_warm_start_learns_from_the_expert(action):
    """What it would do agrees with the expert more than before; its critic knows what follows."""
    model = lessons_model(action=action)
    lessons = Lessons("greedy", 1200, rounds=3, epochs=8, batch_size=64, learning_rate=1e-3, value_steps=256)
    start = WarmStart(model, lessons, GOALS)
    rounds = start.run(progress=False)
    assert [row["steps"] for row in rounds] == [400, 800, 1200]
    assert rounds[0]["expert_share"] == 1
    assert rounds[0]["success"] == 1
    assert rounds[-1]["agreement"] > rounds[0]["agreement"] + 0.1
    assert model.num_timesteps == lessons.all_steps
    held = [value.clone() for value in model.policy.action_net.parameters()]
    start._judge(lambda _: None)
    assert all(torch.equal(a, b) for a, b in zip(held, model.policy.action_net.parameters(), strict=True))


def test_the_mirror_image_of_a_state_asks_for_the_mirror_image_of_an_action():
    """What the expert does in a mirrored room is what the mirror says: here, towards a goal to the side."""
    batch = {
        "map": torch.arange(2 * 4 * 3 * 3).reshape(2, 4, 3, 3), "features": torch.ones(2, 4, 5),
        "pointgoal": torch.tensor([[2.0, 0.5], [2.0, 0.5]]), "remaining": torch.ones(2, 1),
    }  # fmt: skip
    before = {key: value.clone() for key, value in batch.items()}
    labels, where = torch.tensor([2, 2]), torch.tensor([False, True])
    mirror(batch, labels, where)
    assert labels.tolist() == [2, 3]
    assert batch["pointgoal"].tolist() == [[2.0, 0.5], [2.0, -0.5]]
    assert torch.equal(batch["map"][1], before["map"][1].flip(-1))
    assert not batch["features"][1].any()
    for key, value in batch.items():
        assert torch.equal(value[0], before[key][0])
    mirror(batch, labels, where)
    assert all(torch.equal(batch[key], before[key]) for key in ("map", "pointgoal", "remaining"))
    velocities = torch.tensor([[1.0, 0.3], [1.0, 0.3]])
    mirror({}, velocities, where)
    torch.testing.assert_close(velocities, torch.tensor([[1.0, 0.3], [1.0, -0.3]]))
    stays = torch.tensor([0, 1, 4, 5])
    mirror({}, stays, torch.ones(4, dtype=torch.bool))
    assert stays.tolist() == [0, 1, 4, 5]


def test_returns_end_with_episodes():
    """Against the plain sum: an end is the end, but where time ran out the critic says what would follow."""
    start = WarmStart(lessons_model(), Lessons("greedy", 16), GOALS)
    generator = np.random.default_rng(0)
    rewards = generator.normal(size=(6, 4))
    ends = np.zeros((6, 4), bool)
    ends[2, 1] = ends[3, 2] = True
    start.last = start.envs.reset()
    latent = start._latent(start.policy.obs_to_tensor(start.last)[0]).detach()
    values = start._value(latent).detach().numpy()
    found = start._returns(rewards, ends, [(3, 2, latent[:1])], latent, 0.9).reshape(6, 4).numpy()
    for row in range(4):
        for k in range(6):
            total, weight = 0.0, 1.0
            for n in range(k, 6):
                total += weight * rewards[n, row]
                weight *= 0.9
                if ends[n, row]:
                    total += weight * values[0] * ((n, row) == (3, 2))
                    break
            else:
                total += weight * values[row]
            assert found[k, row] == pytest.approx(total, abs=1e-5)


def test_a_record_keeps_a_fair_share():
    record, generator = Record(50), np.random.default_rng(0)
    for k in range(1000):
        record.add({"x": np.array([k, k])}, generator)
    assert len(record) == 50
    assert 700 < record.columns["x"].mean() * 2 < 1300


BAD_LESSONS = {
    "with sac": (replace(QUICK, algo="sac", set=(*QUICK.set, "action=velocity")), "expected ppo or a2c"),
    "next-best-view": (replace(QUICK, env="NBV-MapAnything-v0", set=()), "expected none there"),
    "no goal": (replace(QUICK, env="Explore-Habitat-v0"), "expected one of frontier"),
    "unknown": (replace(QUICK, warm=("step=5",)), "unknown setting 'step'; valid are steps, rounds"),
    "no steps": (replace(QUICK, warm=("steps=0",)), "steps: got 0; expected an integer from 1"),
    "too long": (replace(QUICK, timesteps=100), "expected more than the warm start's"),
    "too fast": (replace(QUICK, warm=("learning_rate=.inf",)), "learning_rate: got inf; expected a number"),
    "another": (replace(QUICK, warm=("expert=[frontier]",)), "warm: got an expert; expected --warm-start"),
    "no mapping": (
        replace(QUICK, warm=("hyperparameters=3",)),
        "warm: hyperparameters: got 3; expected a ma",
    ),
    "of PPO": (replace(QUICK, warm=("hyperparameters={gamma: 2}",)), "warm: hyperparameters: gamma: got 2"),
}


@pytest.mark.parametrize("name", BAD_LESSONS)
def test_bad_warm_starts_are_named(name, tmp_path):
    flags, message = BAD_LESSONS[name]
    with pytest.raises(ValueError, match=message):
        training.train(replace(flags, warm_start="greedy", out=tmp_path / "run"))
    assert not (tmp_path / "run").exists()
    with pytest.raises(ValueError, match="expected --warm-start too"):
        resolve(replace(QUICK, warm=("steps=5",)))


# ---- runs


def test_a_run_leaves_all_that_it_should(run):
    expected = {
        "model.zip", "vecnormalize.pkl", "config.yaml", "evaluations.csv", "warm_start.csv", "curves.png",
        "episode.mp4", "episode.png", "table.md",
    }  # fmt: skip
    assert expected <= {path.name for path in run.iterdir()}
    rows = list(csv.DictReader((run / "evaluations.csv").open()))
    assert [row["policy"] for row in rows[:3]] == ["random", "greedy", "agent"]
    assert [int(row["timesteps"]) for row in rows[:4]] == [192, 192, 192, 256]
    assert {"spl", "low", "high", "success", "coverage", "collisions"} <= set(rows[0])
    text = (run / "table.md").read_text()
    for name in ("random", "forward", "frontier", "nearest-frontier", "greedy", "agent", "agent, untrained"):
        assert f"| {name} |" in text, name
    config, _ = load(run)
    assert config["hyperparameters"]["clip_range"] == 0.1
    assert config["warm_start"]["expert"] == "greedy"


def test_a_warm_started_run_goes_on_without_another_warm_start(run):
    training.train(training.Flags(resume=run, timesteps=448))
    assert steps_learned(run / "model.zip") == 448
    rows = list(csv.DictReader((run / "evaluations.csv").open()))
    steps = [int(row["timesteps"]) for row in rows]
    assert steps == sorted(steps)


def test_exploring_is_drawn_against_the_frontier(short, tmp_path):
    folder = training.train(
        replace(QUICK, env="Explore-Habitat-v0", config=short, out=tmp_path / "run", timesteps=64)
    )
    rows = list(csv.DictReader((folder / "evaluations.csv").open()))
    assert [row["policy"] for row in rows[:3]] == ["random", "frontier", "agent"]
    assert float(rows[1]["coverage_200"]) > 0
    assert (folder / "curves.png").exists()


def test_runs_agents_and_baselines_are_compared(run, tmp_path):
    common = {"episodes": 2, "set": ("num_buildings=1", "max_steps=20")}
    flags = comparison.Flags(run=(run,), baselines=("random",), out=tmp_path / "report", **common)
    (results,) = comparison.compare(flags).values()
    assert list(results) == ["random", "ppo, untrained", "ppo"]
    names = {path.name for path in (tmp_path / "report").iterdir()}
    assert {"tables.md", "scores.csv", "curves.png", "report.html", "start_0.mp4", "start_1.mp4"} <= names
    rows = list(csv.DictReader((tmp_path / "report/scores.csv").open()))
    assert len(rows) == 6
    own = comparison.Flags(env="PointNav-Habitat-v0", agent="agents.navigation.baselines:Random", **common)
    (results,) = comparison.compare(replace(own, baselines=("greedy",))).values()
    assert list(results) == ["greedy", "agents.navigation.baselines:Random"]
    with pytest.raises(ValueError, match="baselines: got 'farthest'"):
        comparison.compare(replace(own, baselines=("farthest",)))
    with pytest.raises(ValueError, match="budgets: got"):
        comparison.compare(replace(own, budgets=(3,)))


def test_rows_are_told_apart(tmp_path):
    plain = {
        "algo": "ppo", "resolved_backbone": "none", "env_kwargs": {"scenes": "procedural"}, "num_envs": 8,
        "hyperparameters": {"gamma": 0.9}, "timesteps": 1,
    }  # fmt: skip
    seen = {**plain, "resolved_backbone": "compact"}
    taught = {**plain, "warm_start": {"expert": "greedy"}}
    other = {**plain, "hyperparameters": {"gamma": 0.5}}
    folders = [tmp_path / name for name in "abcd"]
    assert names([plain, plain], folders) == ["ppo", "ppo"]
    assert names([plain, seen], folders) == ["ppo without features", "ppo with compact features"]
    assert names([plain, taught], folders) == ["ppo, from scratch", "ppo, warm-started by greedy"]
    assert names([plain, other], folders) == ["a", "b"]
    alike = [tmp_path / "x" / "run", tmp_path / "y" / "run"]
    assert names([plain, other], alike) == [str(folder) for folder in alike]
    blind = {**plain, "env_kwargs": {"scenes": "procedural", "weights": {"chamfer": 0}}}
    assert names([plain, blind], folders) == ["ppo", "ppo, weights={'chamfer': 0}"]
