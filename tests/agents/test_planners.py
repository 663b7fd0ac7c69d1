"""Planners with a learned part: what they learn from, what they plan by, and the folders that they are in."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from agents.comparison.compare import Flags as Comparison
from agents.comparison.compare import compare
from agents.navigation import baselines, place_views, planner_training, walks
from agents.navigation.baselines import CLOSE, NAVIGATION_BASELINES, PATIENCE, FreeSpace, Random
from agents.navigation.completion import Completed, Completion, coarse, planes_of
from agents.navigation.evaluation import begin, score
from agents.navigation.frontier_scores import FrontierScores, ScoredFrontiers
from agents.navigation.frontiers import BLOCK, NewPoints, crops, in_view, new_points
from agents.navigation.image_alignment import align
from agents.navigation.lessons import CompletionLesson, FrontierLesson
from agents.navigation.place_lesson import Pairs, PlaceLesson, pairs_of
from agents.navigation.place_matching import PlaceMatch, PlaceSeeker
from agents.navigation.planners import load_planner
from spatial_envs.geometry.camera import measured_points
from spatial_envs.navigation import ExploreEnv, ImageNavEnv, PointNavEnv
from spatial_envs.navigation.occupancy import CELL, FREE, OCCUPIED, UNKNOWN
from spatial_envs.simulators.simulator import LEFT, STOP, AgentState

QUICK = {"num_buildings": 1, "backbone": None, "split": "validation", "observations": ["gps"]}
PLAIN = {"reconstruction": "none", "weights": {"chamfer": 0}}
HYPER = {
    "completion": ("steps=4", "batch_size=2", "sizes={width: 4}"),
    "frontier-scores": ("steps=4", "batch_size=2", "sizes={hidden_dim: 8}"),
    "place-match": ("steps=4", "batch_size=4", "sizes={width: 4}"),
}  # fmt: skip


@pytest.fixture(scope="module")
def explore():
    return ExploreEnv(**QUICK, max_steps=24)


@pytest.fixture(scope="module")
def pointnav():
    return PointNavEnv(**QUICK, **PLAIN, image_size=32)


@pytest.fixture(scope="module")
def recorded(tmp_path_factory):
    folder = tmp_path_factory.mktemp("walks")
    return walks.record(walks.Flags(folder, split="validation", buildings=1, episodes=1))


@pytest.fixture(scope="module")
def looked(tmp_path_factory):
    folder = tmp_path_factory.mktemp("views")
    return place_views.record(place_views.Flags(folder, split="validation", buildings=1))


def after(env, policy, steps):
    begin(env, 0)
    for _ in range(steps):
        env.step(policy.predict(None)[0])
    policy.predict(None)
    return policy


# ---- what is known of frontiers


def test_new_points_are_those_that_a_look_round_would_cover(explore):
    policy = after(explore, NewPoints(explore), 6)
    frontier = policy.frontier()
    found = policy.candidates(frontier)
    places = policy.places(found)[:3]
    episode = explore.task.episode(0)
    covered = []
    for place in places:
        twin = episode.cloud.copy()
        for turn in range(4):
            pose = episode.simulator.camera_pose(AgentState(place, turn * np.pi / 2))
            view = episode.simulator.render_view(pose)
            twin.add(measured_points(view.depth, view.intrinsics, view.cam_to_world))
        share = twin.metrics()["coverage"] - episode.cloud.metrics()["coverage"]
        covered.append(share * len(twin.tracker.reference))
    counts = new_points(explore.task, 0, places)
    np.testing.assert_allclose(counts, covered, rtol=0.25)  # far pixels are more than 5 cm apart
    rate = new_points(explore.task, 0, policy.places(found)) / (found.features[:, 0] + 1)
    assert policy.nearest(frontier) == tuple(found.cells[rate.argmax()])


def test_candidates_are_the_best_of_their_parts(explore):
    policy = after(explore, NAVIGATION_BASELINES["unknown-area"](explore), 6)
    frontier = policy.frontier()
    chooser = after(explore, ScoredFrontiers(explore, FrontierScores()), 6)
    found = chooser.candidates(frontier)
    rate = np.where(frontier, policy.area() / (policy.steps() + 1), -1)
    for (row, column), features in zip(found.cells, found.features, strict=True):
        part = rate[row // BLOCK * BLOCK :, column // BLOCK * BLOCK :][:BLOCK, :BLOCK]
        assert rate[row, column] == part.max()
        assert features[2] == (part >= 0).sum()
        assert features[3] == pytest.approx(np.hypot(row - policy.here[0], column - policy.here[1]) * CELL)
    assert chooser.nearest(frontier) == policy.nearest(frontier)  # until something is learned


def test_a_place_nearer_than_a_step_can_tell_is_looked_round_at_once(explore, monkeypatch):
    policy = after(explore, NAVIGATION_BASELINES["unknown-area"](explore), 6)
    row, column = policy.here
    monkeypatch.setattr(policy, "choose", lambda: (row + 1, column - 2))
    policy._left = PATIENCE
    assert policy.explore() == LEFT
    assert policy._left == 36  # a whole turn, after which it is given up
    far = tuple(int(k) for k in np.argwhere(np.isfinite(policy.ways) & (policy.ways > 8))[0])
    monkeypatch.setattr(policy, "choose", lambda: far)
    assert policy.explore() == policy.walk(far)


def test_crops_are_of_the_map_round_the_place():
    grid = np.random.default_rng(0).integers(0, 3, (80, 90)).astype(np.uint8)
    (crop,) = crops(grid, np.array([[40, 50]]))
    for channel, kind in enumerate((OCCUPIED, FREE, UNKNOWN)):
        for row, column in ((0, 0), (16, 16), (31, 7)):
            window = grid[8 + 2 * row : 10 + 2 * row, 18 + 2 * column : 20 + 2 * column]
            assert crop[channel, row, column] == 255 * (window == kind).any()
    (corner,) = crops(grid, np.array([[0, 0]]))
    assert (corner[2, :16] == 255).all()
    assert not corner[:2, :16].any()


# ---- planning


def test_known_floor_alone_is_walked_on(pointnav):
    policy = after(pointnav, NAVIGATION_BASELINES["nearest-frontier"](pointnav), 1)
    assert np.isinf(policy.cost[policy.map.grid == UNKNOWN]).all()


def test_unknown_cells_cost_by_their_probability(pointnav):
    torch.manual_seed(0)
    network = Completion(4).eval()
    policy = after(pointnav, Completed(pointnav, network, 2.0), 3)
    grid = policy.map.grid
    with torch.no_grad():
        free = network(torch.as_tensor(planes_of(grid))[None])[0].sigmoid().numpy()
    for row, column in np.argwhere(grid == UNKNOWN)[::97]:
        expected = 1 - 2 * np.log(free[row // 2, column // 2])
        assert policy.cost[row, column] in (pytest.approx(expected, rel=1e-4), CLOSE)
    same = after(pointnav, FreeSpace(pointnav), 3)
    known = grid != UNKNOWN
    np.testing.assert_array_equal(policy.cost[known], same.cost[known])


def test_planes_are_shares_of_coarse_cells():
    grid = np.array([[FREE, FREE, UNKNOWN], [FREE, OCCUPIED, UNKNOWN]], np.uint8)
    planes = planes_of(grid)
    assert planes.shape == (4, 8, 8)
    np.testing.assert_array_equal(planes[:, 0, 0], [0.25, 0.75, 0, 1])
    np.testing.assert_array_equal(planes[:, 0, 1], [0, 0, 0.5, 0.5])
    assert not planes[:, 1:].any()
    assert coarse(np.ones((16, 16), np.bool_)).min() == 1


def test_an_episode_does_not_hang_on_those_before(pointnav):
    first, second = Random(pointnav), Random(pointnav)
    score(pointnav, first, 0)
    assert score(pointnav, first, 1) == score(pointnav, second, 1)


# ---- learning, and folders


def test_walks_hold_the_true_floor(recorded):
    (walk,) = walks.read_walks(recorded)
    known_free = walk.free[walk.maps[-1] == FREE]
    assert known_free.mean() > 0.8  # the rest is nearer to a wall than the agent's radius
    assert not walk.free[walk.maps[-1] == OCCUPIED].any()
    assert walk.counts.sum() == len(walk.gains) == len(walk.features) == len(walk.crops)
    assert len(walk.maps) == walks.STEPS // walks.EVERY
    before = [path.stat().st_mtime_ns for path in recorded.iterdir()]
    walks.record(walks.Flags(recorded, split="validation", buildings=1, episodes=1))
    assert [path.stat().st_mtime_ns for path in recorded.iterdir()] == before


def invented(seed=0):
    """A walk of two maps and two choices, of 3 and 5 candidates; where more is unknown less is new."""
    generator = np.random.default_rng(seed)
    steps, gains = generator.uniform(1, 30, 8), generator.uniform(1, 900, 8)
    features = np.stack([steps, 1e4 / gains * (steps + 1), np.ones(8), steps], axis=1).astype(np.float32)
    maps = generator.integers(0, 3, (2, 32, 48)).astype(np.uint8)
    crop = generator.integers(0, 2, (8, 3, 32, 32)).astype(np.uint8) * 255
    return walks.Walk(maps, generator.random((32, 48)) < 0.5, features, crop, gains, np.array([3, 5]))


def test_who_knows_the_gains_chooses_best():
    walk = invented()
    rates = {
        float(row[0]): float(np.log(gain / (row[0] + 1)))
        for row, gain in zip(walk.features, walk.gains, strict=True)
    }
    lesson = FrontierLesson([walk])

    def oracle(features, crops):
        return torch.tensor([rates[float(row[0])] for row in features])

    assert lesson.figures(oracle)["share of the best"][0] == 1
    rule = lesson.figures(FrontierScores())
    assert rule["share of the best"] == rule["share of the best by the unknown-area rule"]
    assert rule["share of the best"][0] < 1
    losses = [float(lesson.loss(each, 8, np.random.default_rng(0))) for each in (oracle, FrontierScores())]
    assert losses[0] < losses[1]


def test_only_what_is_unknown_is_learned():
    walk = invented()
    lesson = CompletionLesson([walk])
    free = {planes_of(grid).tobytes(): coarse(walk.free) for grid in walk.maps}

    def oracle(planes):
        found = torch.as_tensor(np.stack([free[plane.numpy().tobytes()] for plane in planes]))
        return torch.logit(torch.where(planes[:, 2] > 0, found, 1 - found), 1e-6)

    figures = lesson.figures(oracle)
    entropy = [
        -(p * np.log(p) + (1 - p) * np.log(1 - p)) for p in coarse(walk.free)[None].clip(1e-6, 1 - 1e-6)
    ]
    unknown = np.mean([planes_of(grid)[2] for grid in walk.maps], axis=0)
    least = (entropy[0] * unknown).sum() / unknown.sum()
    assert figures["cross-entropy"][0] == pytest.approx(least, rel=1e-3)
    assert figures["cross-entropy of a constant"][0] == pytest.approx(np.log(2), rel=0.02)


def flags_of(part, out, recorded):
    return planner_training.Flags(part, out, records=recorded, validation=recorded, hyper=HYPER[part])


@pytest.mark.parametrize("part", planner_training.LESSONS)
def test_a_training_goes_on_where_it_was_ended(part, recorded, looked, tmp_path, monkeypatch):
    recorded = looked if part == "place-match" else recorded
    monkeypatch.setattr(planner_training, "SAVE_EVERY", 2)
    whole = planner_training.train(flags_of(part, tmp_path / "whole", recorded))
    lesson = planner_training.LESSONS[part]
    calls, loss = [], lesson.loss

    def ended(self, *arguments):
        calls.append(0)
        if len(calls) == 4:
            raise KeyboardInterrupt
        return loss(self, *arguments)

    monkeypatch.setattr(lesson, "loss", ended)
    with pytest.raises(KeyboardInterrupt):
        planner_training.train(flags_of(part, tmp_path / "ended", recorded))
    again = planner_training.train(flags_of(part, tmp_path / "ended", recorded))
    assert len(calls) == 4 + 2
    for name, value in whole.network.state_dict().items():
        torch.testing.assert_close(again.network.state_dict()[name], value)
    with pytest.raises(ValueError, match="already holds a planner"):
        planner_training.train(flags_of(part, tmp_path / "ended", recorded))


def test_what_is_seen_in_another_picture_is_counted(looked):
    """By the definition, at one pixel; a view sees all of itself, and twins see each other."""
    (views,) = place_views.read_views(looked)
    assert views.rgb.shape == (96, 64, 64, 3)
    assert (np.diag(views.share) == 1).mean() > 0.9  # what has no depth at all sees nothing
    strange = views.share < 0.02
    assert 0.3 < strange.mean() < 0.95
    env = ImageNavEnv(**QUICK, **PLAIN, image_size=64)
    begin(env, 0)
    simulator = env.task.episode(0).simulator
    rng = np.random.default_rng(0)
    for _ in range(12):  # every pixel against those that are looked for
        place, yaw = simulator.sample(rng), rng.uniform(-3, 3)
        one, other = (
            simulator.render_view(simulator.camera_pose(AgentState(place, yaw + turn)))
            for turn in (0, rng.uniform(0.6, 1.4))
        )
        points = measured_points(one.depth, one.intrinsics, one.cam_to_world).astype(np.float64)
        lens = (other.depth, other.intrinsics, other.cam_to_world)
        whole = in_view(points, *lens, np.inf, place_views.SAME).mean()
        assert abs(place_views.shares(one, [other])[0] - whole) < 0.06
    assert (strange == strange.T).mean() > 0.9
    before = [path.stat().st_mtime_ns for path in looked.iterdir()]
    place_views.record(place_views.Flags(looked, split="validation", buildings=1))
    assert [path.stat().st_mtime_ns for path in looked.iterdir()] == before


class Knowing(torch.nn.Module):
    """Answers as is true of a pair of views, which it finds by their pictures."""

    def __init__(self, views):
        super().__init__()
        self.views = views
        pictures = torch.as_tensor(views.rgb).movedim(-1, 1).float() / 255
        self.known = {picture.numpy().tobytes(): k for k, picture in enumerate(pictures)}

    def forward(self, rgb, depth, goal):
        said = []
        for one, other in zip(rgb, goal, strict=True):
            i, j = (self.known[each.contiguous().numpy().tobytes()] for each in (one, other))
            away, yaw = self.views.position[j] - self.views.position[i], self.views.yaw[i]
            ahead = np.array([-np.sin(yaw), 0, -np.cos(yaw)])
            right = np.cross(ahead, [0, 1, 0])
            turn = self.views.yaw[j] - yaw
            same = 9.0 if self.views.share[j, i] > 0.2 else -9.0
            said.append([same, away @ right, away @ ahead, -3.0, np.cos(turn), np.sin(turn)])
        return torch.tensor(said, dtype=torch.float32)


def test_who_knows_the_places_makes_no_error(looked, monkeypatch):
    (views,) = place_views.read_views(looked)
    lesson, oracle = PlaceLesson([views]), Knowing(views)
    figures = {name: value[0] for name, value in lesson.figures(oracle).items()}
    assert figures["area under the curve"] == 1
    assert 0.5 < figures["area under the curve of 8 x 8 pixels"] < 1
    assert max(figures[name] for name in figures if name.startswith(("metres", "degrees"))) < 1e-2
    torch.manual_seed(0)
    monkeypatch.setattr(Pairs, "mirrored", lambda pairs, which: pairs)
    with torch.no_grad():
        known, guessed = (
            lesson.loss(network, 32, np.random.default_rng(0)) for network in (oracle, PlaceMatch(4))
        )
    assert known < -5.9  # 2 log 0.05, and next to nothing else
    assert guessed > 0


def test_a_pair_in_the_mirror_is_the_pair_of_mirrored_rooms(looked):
    (views,) = place_views.read_views(looked)
    plain = pairs_of(views, np.array([3, 8]), np.array([5, 11]))
    other = plain.mirrored(np.array([False, True]))
    for one, two in zip(plain.pictures(), other.pictures(), strict=True):
        assert torch.equal(one[0], two[0])
        assert torch.equal(one[1].flip(-1), two[1])
    np.testing.assert_allclose(other.offset, plain.offset * [[1, 1], [-1, 1]])
    np.testing.assert_allclose(other.turn, plain.turn * [1, -1])


def test_the_seeker_goes_to_where_the_picture_was_taken():
    """By a network that knows where that is from near by, it succeeds; by one that is never sure it never
    stops; a place that does not hold is given up."""
    env = ImageNavEnv(**QUICK, **PLAIN, image_size=32, max_steps=400)
    policy = PlaceSeeker(env, None)
    begin(env, 0)
    episode = env.task.episode(0)

    def knowing(rgb, depth, goal, sure=9.0):
        state, mission = env.task.episode(0).state, env.task.episode(0).mission
        away, turn = episode.goal - state.position, mission.goal_yaw - state.yaw
        right = np.cos(state.yaw) * away[0] - np.sin(state.yaw) * away[2]
        ahead = -np.sin(state.yaw) * away[0] - np.cos(state.yaw) * away[2]
        near = np.hypot(right, ahead) < 3
        return torch.tensor([[sure if near else -9.0, right, ahead, -2.0, np.cos(turn), np.sin(turn)]])

    policy.network = knowing
    assert score(env, policy, 0)["success"] == 1
    policy.network = lambda *pictures: knowing(*pictures, sure=0.0)
    assert score(env, policy, 0)["steps"] == 400

    begin(env, 0)
    policy.network = lambda *pictures: torch.tensor([[9.0, 0.0, 0.0, -2.0, 1.0, 0.0]])
    policy.predict(None)
    assert policy._weight > 0
    policy.network = lambda *pictures: torch.tensor([[-9.0, 0.0, 0.0, -2.0, 1.0, 0.0]])
    for _ in range(3):
        env.step(policy.predict(None)[0])
    assert len(policy._refused) == 1
    assert not policy._weight

    begin(env, 0)
    policy.network = lambda *pictures: torch.tensor([[9.0, 40.0, 40.0, -2.0, 1.0, 0.0]])  # out of the house
    actions = [policy.predict(None)[0]]
    while STOP not in actions and len(actions) < 2 * PATIENCE:
        env.step(actions[-1])
        actions.append(policy.predict(None)[0])
    assert STOP not in actions
    assert policy._refused


def test_the_most_alike_place_is_gone_back_to(monkeypatch):
    env = ImageNavEnv(**QUICK, **PLAIN, image_size=32, max_steps=200)
    monkeypatch.setattr(baselines, "EXPLORED", 40)
    policy = baselines.MostAlike(env)
    scores = score(env, policy, 0)
    assert scores["steps"] < 200  # it stopped
    end = env.task.episode(0).state.position[[0, 2]]
    assert np.hypot(*(end - policy._best)) < 0.25


def test_a_planner_is_played_as_runs_are(recorded, tmp_path):
    planner_training.train(flags_of("completion", tmp_path / "planner", recorded))
    settings = (
        "num_buildings=1", "image_size=32", "max_steps=8", "reconstruction=none", "weights={chamfer: 0}"
    )  # fmt: skip
    flags = Comparison(
        run=(tmp_path / "planner",), baselines=("free-space",), split="validation", episodes=1, set=settings,
        out=tmp_path / "out",
    )  # fmt: skip
    (results,) = compare(flags).values()
    assert set(results) == {"free-space", "completion"}
    np.testing.assert_array_equal(results["free-space"].starts, results["completion"].starts)
    kept = [tmp_path / "out" / f"{name}-0.jsonl" for name in ("free_space", "completion")]
    lines = [path.read_text(encoding="utf-8") for path in kept]
    (again,) = compare(flags).values()  # goes on, with nothing left to play
    assert [path.read_text(encoding="utf-8") for path in kept] == lines
    assert again["completion"].figures["steps"] == results["completion"].figures["steps"]


def test_who_scores_frontiers_looks_for_objects_too(recorded, tmp_path):
    """And one that completes maps for a way to a point does not."""
    for part in ("frontier-scores", "completion"):
        planner_training.train(flags_of(part, tmp_path / part, recorded))
    settings = (
        "num_buildings=1", "image_size=32", "max_steps=4", "reconstruction=none", "weights={chamfer: 0}"
    )  # fmt: skip
    flags = Comparison(
        env="ObjectNav-Habitat-v0", run=(tmp_path / "frontier-scores",), split="validation", episodes=1,
        set=settings, out=tmp_path / "out",
    )  # fmt: skip
    (results,) = compare(flags).values()
    assert results["frontier-scores"].figures["steps"].shape == (1, 1)
    with pytest.raises(ValueError, match="expected runs of one kind of task"):
        compare(replace(flags, run=(tmp_path / "completion",), out=tmp_path / "other"))


def test_what_is_no_planner_is_refused(recorded, tmp_path):
    folder = tmp_path / "planner"
    planner_training.train(flags_of("frontier-scores", folder, recorded))
    path = folder / "planner.yaml"
    text = path.read_text(encoding="utf-8")
    for old, new, fault in (
        ("format: 1", "format: 2", "format"),
        ("part: frontier-scores", "part: other", "part"),
        ("hidden_dim: 8", "hidden_dim: 9", "weights"),
        ("hidden_dim: 8", "hidden_dim: 10000000", "hidden_dim"),
        ("seed: 0", "seed: -1", "seed"),
    ):
        assert old in text
        path.write_text(text.replace(old, new), encoding="utf-8")
        with pytest.raises(ValueError, match=fault):
            load_planner(folder)


def test_pictures_are_aligned_to_centimetres():
    """The goal's picture was taken 0.3 m to the right, 0.4 m ahead and 8 degrees to the left; the guess is
    0.25 m and 9 degrees off it."""
    env = ImageNavEnv(**QUICK, **PLAIN, image_size=64)
    begin(env, 0)
    simulator = env.task.episode(0).simulator
    rng, off = np.random.default_rng(0), []
    while len(off) < 6:
        here = AgentState(simulator.sample(rng), rng.uniform(-3, 3))
        sin, cos = np.sin(here.yaw), np.cos(here.yaw)
        place = here.position + np.array([0.3 * cos - 0.4 * sin, 0, -0.3 * sin - 0.4 * cos])
        there = AgentState(place, here.yaw + np.radians(8))
        try:
            simulator.snap(place, 0.01)
        except ValueError:  # in a wall
            continue
        seen, goal = (simulator.render_view(simulator.camera_pose(state)) for state in (here, there))
        found = align(seen.rgb / 255, seen.depth, goal.rgb / 255, seen.intrinsics, (0.5, 0.25, -0.02))
        off.append([np.hypot(found.right - 0.3, found.forward - 0.4), abs(found.turn - np.radians(8))])
    assert np.median(off, axis=0) == pytest.approx([0, 0], abs=0.03)
    blank = np.zeros((64, 64, 3))
    assert align(blank, seen.depth, blank, seen.intrinsics, (0.0, 0.0, 0.0)).alike == -1
