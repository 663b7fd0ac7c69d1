"""Training from the command line to the run folder, and the SB3 adapter under it."""

import csv
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import gymnasium as gym
import numpy as np
import pytest
import torch
import trimesh
from buildings import furnished_room
from gymnasium.vector import AutoresetMode
from scipy.special import log_softmax, softmax, sph_harm_y
from stable_baselines3.common.save_util import load_from_pkl
from stable_baselines3.common.vec_env import VecMonitor

import spatial_envs
from agents.comparison.scores import Scores, evaluate
from agents.comparison.table import table
from agents.families import family
from agents.nbv.baselines import BASELINES
from agents.nbv.candidates import CandidateScores, smooth
from agents.nbv.evaluation import needed, normalised, stopped
from agents.nbv.family import NEXT_BEST_VIEW as KIND
from agents.nbv.policy import ViewFeatures
from agents.nbv.ranking import TEMPERATURE, listwise_loss
from agents.nbv.research_plan import AttentionNBVPolicy
from agents.nbv.transfer import Bridge, ForeignFeatures
from agents.networks import ViewAttention
from agents.play import choose
from agents.run_folder import load, steps_learned
from agents.runs import ALGORITHMS, falling, policy_type, single_env, training_envs, untrained
from agents.sb3.vec_env import SB3VecEnv
from agents.statistics import interval
from agents.training import train as training
from agents.training.config import CONFIGS, resolve
from spatial_envs.foundation import yaml_files
from spatial_envs.nbv import NBVDiscreteEnv, NBVEnv

pytestmark = pytest.mark.usefixtures("no_film")

gym.register_envs(spatial_envs)
ROOT = Path(__file__).resolve().parents[2]
SMALL = ("num_objects=2", "image_size=56", "views=3")
QUICK = ("--eval-every", "64", "--validation-starts", "2")


def train(*flags, cwd=ROOT, check=True):
    command = [sys.executable, str(ROOT / "train_agent.py"), "--backbone", "unproject", *map(str, flags)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
    return subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True, check=check)


@pytest.fixture(scope="module")
def short_config(tmp_path_factory):
    """Both algorithms, so short that a run takes seconds."""
    path = tmp_path_factory.mktemp("configs") / "short.yml"
    entry = {"n_timesteps": 128, "n_envs": 4, "batch_size": 32, "policy_kwargs": {"net_arch": [16]}}
    discrete = {**entry, "n_steps": 16}
    path.write_text(yaml_files.text({"NBV-MapAnything-v0": entry, "NBV-MapAnything-Discrete-v0": discrete}))
    return path


@pytest.fixture(scope="module", params=["ppo", "sac"])
def run(request, short_config, tmp_path_factory):
    """A finished run of each algorithm: its folder and what it printed."""
    folder = tmp_path_factory.mktemp("runs") / request.param
    flags = ["--algo", request.param, "--config", short_config, "--out", folder, *QUICK]
    config = yaml_files.read(short_config)
    config["NBV-MapAnything-v0"].update(
        {"n_steps": 16} if request.param == "ppo" else {"learning_starts": 32}
    )
    path = folder.with_suffix(".yml")
    path.write_text(yaml_files.text(config))
    flags[flags.index(short_config)] = path
    done = train(*flags, "--final-starts", "2", "--set", *SMALL)
    return folder, done.stdout


def test_a_run_leaves_all_that_it_should(run):
    folder, printed = run
    expected = {
        "model.zip",
        "vecnormalize.pkl",
        "config.yaml",
        "evaluations.csv",
        "curves.png",
        "episode.mp4",
    }
    assert expected | {"table.md"} <= {path.name for path in folder.iterdir()}
    assert any(folder.glob("log_*/events.*")), "TensorBoard"
    config = yaml_files.read(folder / "config.yaml")
    assert config["resolved_backbone"] == "unproject"
    assert config["env_kwargs"]["views"] == 3
    rows = list(csv.DictReader((folder / "evaluations.csv").open()))
    assert [row["policy"] for row in rows[:3]] == ["random", "agent", "agent"]
    assert int(rows[-1]["timesteps"]) >= 64
    text = (folder / "table.md").read_text()
    for name in (
        "random",
        "untrained",
        "farthest",
        "agent",
        "farthest-inner",
        "--baselines random farthest farthest-inner oracle",
        "another object's features",
    ):
        assert name in text
    if config["algo"] == "sac":
        assert "replay buffer" in printed
        held = load_from_pkl(folder / "replay_buffer.pkl")
        assert held.size() == 128 // held.n_envs < held.buffer_size == len(held.rewards)
        stored = sum(array[: held.size()].nbytes for array in held.observations.values())
        assert (folder / "replay_buffer.pkl").stat().st_size < 2.2 * stored + 1_000_000, "what it holds alone"


def test_other_action_spaces_train(tmp_path):
    for action in ("sphere", "pose"):  # fewer and more dimensions than the configured exploration names
        train(
            "--timesteps", 8, "--num-envs", 2, "--out", tmp_path / action, "--final-starts", 0, *QUICK,
            "--set", *SMALL, f"action={action}",
        )  # fmt: skip
        assert (tmp_path / action / "model.zip").exists()


def test_discrete_actions_train(short_config, tmp_path):
    folder = tmp_path / "run"
    train(
        "--env", "NBV-MapAnything-Discrete-v0", "--config", short_config, "--out", folder, "--timesteps", 64,
        "--final-starts", 2, *QUICK, "--set", *SMALL,
    )  # fmt: skip
    assert "| agent |" in (folder / "table.md").read_text()


def test_dqn_trains_on_images_and_is_compared(tmp_path):
    """From images, and from features; and the study that compares them."""
    from agents.studies.features import Flags, study

    config = tmp_path / "dqn.yml"
    entry = {"n_envs": 4, "batch_size": 16, "learning_starts": 16}
    entry["policy"] = "agents.nbv.candidates.CandidateDQNPolicy"
    config.write_text(yaml_files.text({"NBV-MapAnything-Discrete-v0": entry}))
    shown = "observations=[poses, view_mask, candidates, remaining, rgb]"
    quick = training.Flags(
        algo="dqn", env="NBV-MapAnything-Discrete-v0", config=config, timesteps=32, backbone="unproject",
        set=(*SMALL, "reconstruction=depth"), eval_every=64, validation_starts=2, final_starts=0,
    )  # fmt: skip
    training.train(replace(quick, out=tmp_path / "images", set=(*quick.set, shown)))
    training.train(replace(quick, out=tmp_path / "features"))
    text = study(Flags(run=(tmp_path / "images", tmp_path / "features"), episodes=2))
    for row in ("random", "farthest", "raw RGB", "unproject features", "another object's features"):
        assert f"{row} |" in text, row
    with pytest.raises(
        ValueError, match="dqn for NBV-MapAnything-v0, whose actions are continuous; expected one of ppo"
    ):
        resolve(replace(quick, env="NBV-MapAnything-v0"))
    training.train(replace(quick, out=tmp_path / "own", set=SMALL))
    with pytest.raises(ValueError, match="reconstruction=depth"):
        study(Flags(run=(tmp_path / "own",)))


SHORT = {
    "learning_starts": 16,
    "n_steps": 8,
    "batch_size": 16,
    "n_envs": 4,
    "buffer_size": 500,
    "workers": 1,
    "gradient_steps": 4,
}
PLAYED = [(algo, env) for algo in ALGORITHMS for env in yaml_files.read(CONFIGS / f"{algo}.yml")]


@pytest.mark.parametrize(("algo", "env_id"), PLAYED)
def test_every_published_configuration_trains_saves_and_plays(algo, env_id, tmp_path):
    entry = yaml_files.read(CONFIGS / f"{algo}.yml")[env_id]
    entry |= {key: value for key, value in SHORT.items() if key in entry}
    few = dict.fromkeys(family(env_id).few, 1)
    fits, walks, foresees = "num_frames" in few, "num_buildings" in few, env_id.startswith("Foresight")
    small, scenes = ("num_objects=1", "image_size=28", "views=3"), "procedural"
    if fits:
        small = ("num_frames=1", "num_objects=2", "slots=2", "steps=4")
    elif "num_videos" in few:
        small = ("num_videos=1", "num_objects=2", "slots=2", "steps=4", "frames=4", "image_size=28")
    elif foresees:
        small = ("num_objects=1", "slots=1", "steps=4")
    elif walks:
        small, scenes = ("num_buildings=1", "image_size=36", "max_steps=9"), str(tmp_path / "room.glb")
        furnished_room().export(scenes)
    (tmp_path / "short.yml").write_text(yaml_files.text({env_id: entry}))
    folder = training.train(
        training.Flags(
            algo=algo, env=env_id, config=tmp_path / "short.yml", timesteps=64, out=tmp_path / "run",
            backbone="compact" if algo == "differentiable" else "none" if walks or foresees else "unproject",
            scenes=scenes, set=small, track="none",
            eval_every=64, validation_starts=1, final_starts=0,
        )
    )  # fmt: skip
    assert not list(folder.glob("**/events.*"))
    run, model = load(folder)
    new = untrained(run, model.env or training_envs(run))
    pairs = zip(model.policy.parameters(), new.policy.parameters(), strict=True)
    assert any(not torch.equal(a, b) for a, b in pairs)
    env = single_env(run, split="validation", **few)
    observation, info = env.reset(seed=0)
    memory = None
    for _ in range(2):
        action, memory = choose(model, env, observation, memory)
        assert env.action_space.contains(
            action if isinstance(env.action_space, gym.spaces.Box) else int(action)
        )
        observation, _, terminated, truncated, info = env.step(action)
        assert algo != "maskable_ppo" or not info["invalid"]
        if terminated or truncated:  # one that walks may stop at once
            break
    assert (memory is not None) == (algo == "recurrent_ppo")


def test_masks_and_memory_reach_those_that_need_them(tmp_path):
    """A policy that would choose a masked candidate does not; one with a memory acts by it."""
    run = {
        "algo": "maskable_ppo", "env": "NBV-MapAnything-Discrete-v0", "num_envs": 1, "seed": 0,
        "device": "cpu",
        "hyperparameters": {"n_steps": 8},
        "env_kwargs": {
            "backbone": None, "image_size": 28, "num_objects": 1, "views": 9,
            "observations": ["poses", "view_mask", "anchor", "remaining"],
        },
    }  # fmt: skip
    model = untrained(run, training_envs(run))
    env = single_env(run)
    observation, _ = env.reset(seed=0)
    torch.nn.init.zeros_(model.policy.action_net.weight)  # always the same favourite
    taken = []
    for _ in range(5):
        action, _ = choose(model, env, observation)
        taken.append(int(action))
        observation, *_ = env.step(action)
    assert len(set(taken)) == 5
    recurrent = {**run, "algo": "recurrent_ppo"}
    recurrent["hyperparameters"] = {"policy": "MultiInputLstmPolicy", "n_steps": 8}
    model = untrained(recurrent, training_envs(recurrent))
    _, first = choose(model, env, observation)
    _, second = choose(model, env, observation, first)
    assert not np.allclose(first[0], second[0])


def test_audit_finds_no_fault_with_perfect_points():
    """With the measured depth as the backbone the reconstructor has no regret; and a greedy planner none."""
    from agents.studies.audit import Flags, audit

    rows = [line.split(" | ") for line in audit(Flags(backbone="unproject", episodes=1)).splitlines()[4:]]
    assert len(rows) == 4
    for _, best, reconstructor, planner, spread, noise, _ in rows:
        assert abs(float(reconstructor)) < 0.005
        assert float(noise) < 0.005
        assert 0 <= float(planner) <= float(best)
        assert float(spread) > 0


def test_a_saved_model_plays_again(run):
    folder, _ = run
    config, model = load(folder)
    env = single_env(config, split="test", num_objects=None)
    observation, _ = env.reset(seed=0)
    action, _ = model.predict(observation, deterministic=True)
    again, _ = load(folder)[1].predict(observation, deterministic=True)
    np.testing.assert_array_equal(action, again)
    assert env.action_space.contains(action)


def test_resume_goes_on_in_the_same_folder(run):
    folder, _ = run
    before = yaml_files.read(folder / "config.yaml")
    refused = train("--resume", folder, check=False)
    assert refused.returncode != 0
    assert "timesteps: got 128" in refused.stderr
    train("--resume", folder, "--timesteps", 256, "--final-starts", 0)
    assert steps_learned(folder / "model.zip") >= 256
    after = yaml_files.read(folder / "config.yaml")
    assert {**before, "timesteps": 256} == after
    steps = [int(row["timesteps"]) for row in csv.DictReader((folder / "evaluations.csv").open())]
    assert steps == sorted(steps)


@pytest.mark.parametrize("end", [signal.SIGINT, signal.SIGKILL])
def test_an_interrupted_run_can_go_on(short_config, tmp_path, end):
    folder = tmp_path / "run"
    command = [
        sys.executable, "train_agent.py", "--algo", "ppo", "--timesteps", "100000", *QUICK,
        "--config", str(ROOT / "configs" / "ppo.yml"), "--out", str(folder), "--num-envs", "4",
        "--final-starts", "0", "--set", *SMALL,
    ]  # fmt: skip
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    deadline = time.monotonic() + 300
    while not (folder / "vecnormalize.pkl").exists() and time.monotonic() < deadline:
        time.sleep(0.2)
    process.send_signal(end)
    printed, _ = process.communicate(timeout=180)
    if end == signal.SIGINT:
        assert process.returncode == 0, printed
        assert "interrupted and saved" in printed
    saved = steps_learned(folder / "model.zip")
    assert saved >= 64
    train("--resume", folder, "--timesteps", saved + 300, "--final-starts", 0)
    assert steps_learned(folder / "model.zip") >= saved + 300


BAD_FLAGS = {
    "sac on discrete": (["--algo", "sac", "--env", "NBV-MapAnything-Discrete-v0"], "actions are discrete"),
    "unknown env": (["--env", "NBV-v9"], "env: got 'NBV-v9'"),
    "unknown argument": (["--set", "veiws=3"], "did you mean 'views'"),
    "no value": (["--set", "views"], "expected name=value"),
    "bad value": (["--set", "views=1"], "views: got 1"),
    "a split to train on": (["--set", "split=test"], "got split"),
    "scenes typo": (["--scenes", "procedral"], "procedral"),
    "no such config": (["--config", "no.yml"], "no.yml"),
    "resume nowhere": (["--resume", "nowhere"], "expected a run folder"),
    "unknown backbone": (["--backbone", "dino"], "backbone: got 'dino'"),
    "unknown algorithm": (["--algo", "trpo"], "trpo"),
}


@pytest.mark.parametrize("name", BAD_FLAGS)
def test_bad_flags_are_named(name, tmp_path):
    flags, message = BAD_FLAGS[name]
    done = train(*flags, cwd=tmp_path, check=False)
    assert done.returncode != 0
    assert message in done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    assert not list(tmp_path.glob("runs/*"))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("NBV-MapAnything-v0: {learning_rat: 1}", "unknown key 'learning_rat'"),
        ("Other-v0: {}", "no entry for NBV-MapAnything-v0"),
        ("a: [", "not plain YAML: line 1"),
        ("[1, 2]", "no entry for"),
    ],
)
def test_bad_configs_are_named(tmp_path, text, message):
    path = tmp_path / "bad.yml"
    path.write_text(text)
    done = train("--config", path, cwd=tmp_path, check=False)
    assert done.returncode != 0
    assert message in done.stderr
    assert "Traceback" not in done.stderr


def test_an_existing_run_is_not_overwritten(run):
    folder, _ = run
    done = train("--out", folder, check=False)
    assert "already holds a run" in done.stderr


# ---- the adapter


def batched(**arguments):
    return gym.make_vec(
        "NBV-MapAnything-v0", 3, autoreset_mode=AutoresetMode.SAME_STEP,
        **{"num_objects": 2, "image_size": 56, "views": 3, "backbone": "unproject", **arguments},
    )  # fmt: skip


def test_the_adapter_equals_single_environments():
    envs = SB3VecEnv(batched())
    envs.seed(5)
    singles = [NBVEnv(num_objects=2, image_size=56, views=3, backbone="unproject") for _ in range(3)]
    observations = envs.reset()
    expected = [env.reset(seed=5 + row)[0] for row, env in enumerate(singles)]
    generator = np.random.default_rng(0)
    for step in range(5):
        actions = generator.uniform(-1, 1, (3, 3)).astype(np.float32)
        observations, rewards, dones, infos = envs.step(actions)
        for row, env in enumerate(singles):
            expected[row], reward, terminated, _, info = env.step(actions[row])
            assert rewards[row] == np.float32(reward)
            assert dones[row] == terminated == (step % 2 == 1)
            assert not infos[row].get("TimeLimit.truncated")
            if terminated:
                for key, value in expected[row].items():
                    np.testing.assert_array_equal(infos[row]["terminal_observation"][key], value)
                expected[row], _ = env.reset()
            assert {key: infos[row][key] for key in info} == info
            for key, value in expected[row].items():
                np.testing.assert_array_equal(observations[key][row], value)


def test_the_adapter_reports_time_limits_and_episodes():
    envs = VecMonitor(SB3VecEnv(batched(max_episode_steps=1)))
    envs.seed(0)
    envs.reset()
    _, rewards, dones, infos = envs.step(np.zeros((3, 3), np.float32))
    assert dones.all()
    for row, info in enumerate(infos):
        assert info["TimeLimit.truncated"]
        assert info["episode"]["l"] == 1
        assert info["episode"]["r"] == pytest.approx(rewards[row], abs=1e-5)


def test_the_adapter_passes_masks_on_and_wants_same_step():
    discrete = gym.make_vec(
        "NBV-MapAnything-Discrete-v0", 2, autoreset_mode=AutoresetMode.SAME_STEP, num_objects=1, image_size=56
    )
    envs = SB3VecEnv(discrete)
    envs.reset()
    masks = np.stack(envs.env_method("action_masks"))
    assert masks.shape == (2, 64)
    np.testing.assert_array_equal(masks, np.stack([info["action_mask"] for info in envs.reset_infos]))
    with pytest.raises(ValueError, match="autoreset_mode"):
        SB3VecEnv(gym.make_vec("NBV-MapAnything-v0", 2, num_objects=1))


# ---- the extractor


@pytest.mark.parametrize("image", [False, True])
def test_candidates_are_scored_by_where_they_lie(image):
    """The same candidates in another order have the same scores; views that are not there count for nothing,
    their order neither; what is spent has the one score for that; features and image matter."""
    keys = [*CandidateScores.KEYS, *(["rgb"] if image else [])]
    env = NBVDiscreteEnv(num_objects=2, image_size=56, backbone="unproject", observations=keys)
    observations = []
    for seed in range(2):
        env.reset(seed=seed)
        observations.append(env.step(10)[0])
    batch = {key: torch.as_tensor(np.stack([o[key] for o in observations])).float() for key in keys}
    space = env.observation_space
    if image:
        batch["rgb"] = batch["rgb"].permute(0, 3, 1, 2) / 255
        space = gym.spaces.Dict({**space.spaces, "rgb": gym.spaces.Box(0, 255, (3, 56, 56), np.uint8)})
    torch.manual_seed(0)
    extractor = CandidateScores(space)
    scores = extractor(batch)
    assert scores.shape == (2, 64) == (2, extractor.features_dim)
    spent = batch["candidates"][..., 3] == 0
    assert spent.any(dim=1).all()
    assert (scores[spent] == extractor.spent).all()
    order = torch.randperm(64)
    torch.testing.assert_close(
        extractor({**batch, "candidates": batch["candidates"][:, order]}), scores[:, order]
    )
    changed = {key: value.clone() for key, value in batch.items()}
    for key in ("poses", "features"):
        changed[key][:, 2:] = 7.0
        changed[key][:, :2] = changed[key][:, :2].flip(1)
    torch.testing.assert_close(extractor(changed), scores)
    for key in ("features", "rgb") if image else ("features",):
        assert not torch.allclose(extractor({**batch, key: batch[key] + 1}), scores)


def test_ranking_learns_the_order_of_the_candidates():
    """On one object from new starts, its choice is nearer to the best than a mean candidate is."""
    run = {
        "algo": "ranking", "env": "NBV-MapAnything-Discrete-v0", "num_envs": 4, "seed": 0, "device": "cpu",
        "hyperparameters": {
            "policy": "agents.nbv.candidates.CandidateDQNPolicy", "learning_starts": 32, "train_freq": 1,
            "gradient_steps": 8, "batch_size": 32, "buffer_size": 500, "learning_rate": 0.002,
        },
        "env_kwargs": {
            "backbone": None, "image_size": 28, "num_objects": 1, "views": 3,
            "observations": ["poses", "view_mask", "candidates", "remaining"],
        },
    }  # fmt: skip
    envs = training_envs(run)
    assert "gains" in envs.observation_space.spaces
    model = untrained(run, envs).learn(160)
    env = single_env(run)
    assert "gains" not in env.observation_space.spaces
    shares = []
    for seed in range(100, 112):
        observation, _ = env.reset(seed=seed)
        gains = env.evaluate(env.task.candidate_poses(env.task.episode(0)))
        action, _ = model.predict(observation, deterministic=True)
        shares.append((gains.max() - gains[action]) / (gains.max() - gains.mean()))
        *_, info = env.step(action)
        assert not info["invalid"], "a spent candidate"
    assert np.mean(shares) < 0.5


def test_the_listwise_loss_is_a_cross_entropy_over_those_left():
    rng = np.random.default_rng(0)
    scores, gains = rng.normal(size=(3, 64)), rng.normal(2, 3, (3, 64))
    left = rng.random((3, 64)) < 0.7
    left[2] = [True] + 63 * [False]
    expected = []
    for row in range(2):
        some, said = gains[row][left[row]], scores[row][left[row]]
        target = softmax((some - some.mean()) / some.std() / TEMPERATURE)
        expected.append(-(target * log_softmax(said)).sum())
    found = listwise_loss(*(torch.as_tensor(x) for x in (scores, gains, left)))
    level = [scores[row][left[row]].mean() for row in range(3)]
    # one candidate alone is no choice
    assert float(found) == pytest.approx((sum(expected) + np.square(level).sum()) / 3)
    worse = listwise_loss(*(torch.as_tensor(x) for x in (-gains, gains, left)))
    assert worse > listwise_loss(*(torch.as_tensor(x) for x in (gains, gains, left)))


def test_what_is_smooth_over_directions():
    """A linear map onto the monomials up to degree 3 reaches every spherical harmonic up to degree 3, and no
    more than those."""
    normal = torch.randn(200, 3, generator=torch.manual_seed(0), dtype=torch.float64)
    directions = torch.nn.functional.normalize(normal, dim=1)
    basis = smooth(directions)
    assert torch.linalg.matrix_rank(basis) == 16
    x, y, z = directions.numpy().T
    for degree, order, reached in ((3, 2, True), (2, -1, True), (4, 1, False)):
        harmonic = torch.as_tensor(sph_harm_y(degree, order, np.arccos(y), np.arctan2(x, z)).real)
        left = harmonic - basis @ torch.linalg.lstsq(basis, harmonic, driver="gelsd").solution
        assert (left.abs().max() < 1e-5) == reached


def test_a_policy_is_named_by_its_path():
    assert policy_type("MlpPolicy") == "MlpPolicy"
    for wrong in ("agents.nbv.candidates.Nothing", "agents.nbv.candidates.CandidateScores", "no.such.module"):
        with pytest.raises(ValueError, match=f"policy: got {wrong}; expected"):
            policy_type(wrong)


def test_a_schedule_falls_to_nothing():
    schedule = falling("learning_rate", "lin_0.002")
    assert [schedule(left) for left in (1.0, 0.5, 0.0)] == [0.002, 0.001, 0.0]
    with pytest.raises(ValueError, match="learning_rate: got 'lin_fast'; expected a number, or lin_ and"):
        falling("learning_rate", "lin_fast")


def test_attention_ignores_views_that_are_not_there():
    torch.manual_seed(0)
    attention = ViewAttention(7).eval()
    views = torch.randn(2, 5, 7)
    mask = torch.tensor([[1, 1, 0, 0, 0], [1, 1, 1, 1, 1]])
    changed = views.clone()
    changed[0, 2:] = 100.0
    torch.testing.assert_close(attention(views, mask), attention(changed, mask))
    torch.testing.assert_close(attention(views[:1, :2]), attention(views[:1], mask[:1]), atol=1e-5, rtol=1e-5)
    assert not torch.allclose(attention(views, mask)[1], attention(changed + 1, mask)[1])


def test_the_research_plans_policy_takes_its_authors_weights():
    """Names and shapes as in the publication's own construction, written out here in torch's parts."""
    width, hidden = 768, 512
    theirs = torch.nn.Module()
    theirs.feature_projection = torch.nn.Linear(width, hidden)
    theirs.pos_embedding = torch.nn.Parameter(torch.randn(1, 100, hidden))
    layer = torch.nn.TransformerEncoderLayer(hidden, 8, 4 * hidden, 0.1, batch_first=True)
    theirs.transformer = torch.nn.TransformerEncoder(layer, 4, enable_nested_tensor=False)
    theirs.global_pool = torch.nn.MultiheadAttention(hidden, 8, batch_first=True)
    theirs.global_token = torch.nn.Parameter(torch.randn(1, 1, hidden))
    theirs.output_head = torch.nn.Sequential(
        torch.nn.LayerNorm(hidden), torch.nn.Linear(hidden, hidden // 2), torch.nn.ReLU(),
        torch.nn.Dropout(0.1), torch.nn.Linear(hidden // 2, 7),
    )  # fmt: skip
    policy = AttentionNBVPolicy().eval()
    policy.load_state_dict(theirs.state_dict())
    tokens = torch.randn(2, 3, 5, width)
    theirs.eval()
    encoded = theirs.transformer(theirs.feature_projection(tokens.mean(2)) + theirs.pos_embedding[:, :3])
    pooled, _ = theirs.global_pool(theirs.global_token.expand(2, -1, -1), encoded, encoded)
    raw = theirs.output_head(pooled[:, 0])
    expected = torch.cat([raw[:, :3], raw[:, 3:] / raw[:, 3:].norm(dim=1, keepdim=True)], dim=1)
    torch.testing.assert_close(policy(tokens), expected)
    torch.testing.assert_close(policy(tokens.mean(2)), expected)
    padded = torch.cat([tokens, 9 * torch.ones(2, 1, 5, width)], dim=1)
    mask = torch.tensor([[1, 1, 1, 0], [1, 1, 1, 0]])
    torch.testing.assert_close(policy(padded, mask), expected, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize(("mode", "size"), [("spherical", 7), ("euler", 6), ("position_only", 3)])
@pytest.mark.parametrize("pooling", ["mean", "max", "camera"])
def test_the_research_plans_other_outputs(mode, size, pooling):
    torch.manual_seed(0)
    policy = AttentionNBVPolicy(8, 16, 2, 1, mode, pooling).eval()
    tokens = torch.randn(64, 2, 3, 8)
    pose = policy(tokens)
    assert pose.shape == (64, size)
    pooled = {"mean": tokens.mean(2), "max": tokens.max(2).values, "camera": tokens[:, :, 0]}[pooling]
    torch.testing.assert_close(policy(pooled), pose)
    if mode == "spherical":
        low, high = pose[:, :3].min(0).values, pose[:, :3].max(0).values
        assert (low >= torch.tensor([0, 0, 1])).all()
        assert (high <= torch.tensor([2 * np.pi, np.pi, 3])).all()
        torch.testing.assert_close(pose[:, 3:].norm(dim=1), torch.ones(64))
    if mode == "euler":
        assert (pose[:, 3:].abs().max(0).values <= torch.tensor([np.pi, np.pi / 2, np.pi])).all()


def test_the_research_plans_policy_says_what_it_wants():
    with pytest.raises(ValueError, match="output_mode: got 'polar'; expected one of 'cartesian'"):
        AttentionNBVPolicy(output_mode="polar")
    with pytest.raises(ValueError, match="token_pooling_mode: got 'sum'; expected one of 'mean'"):
        AttentionNBVPolicy(token_pooling_mode="sum")
    with pytest.raises(ValueError, match=r"scene_features: got shape \(2, 8\); expected \(B, N, D\)"):
        AttentionNBVPolicy(8, 16, 2, 1)(torch.zeros(2, 8))


def test_the_extractor_sees_poses_in_the_anchor_axes():
    env = NBVEnv(num_objects=1, image_size=56, observations=ViewFeatures.KEYS)
    observation, _ = env.reset(seed=0)
    extractor = ViewFeatures(env.observation_space)
    batch = {key: torch.as_tensor(value)[None].float() for key, value in observation.items()}
    assert extractor(batch).shape == (1, extractor.features_dim)
    with pytest.raises(ValueError, match="anchor"):
        ViewFeatures(NBVEnv(num_objects=1, observations=["poses", "view_mask"]).observation_space)
    whole = NBVEnv(num_objects=1, image_size=56, pooling="none", observations=ViewFeatures.KEYS)
    observation, _ = whole.reset(seed=0)
    extractor = ViewFeatures(whole.observation_space)
    batch = {key: torch.as_tensor(value)[None].float() for key, value in observation.items()}
    assert extractor(batch).shape == (1, extractor.features_dim)


# ---- baselines and evaluation


SETTINGS = {"num_objects": 3, "image_size": 56, "views": 3}


@pytest.fixture(scope="module")
def env():
    return NBVEnv(**SETTINGS)


def test_baselines_mean_what_they_say(env):
    env.reset(seed=0, options={"object": 0})
    region = env.task.region
    np.testing.assert_array_equal(BASELINES["zero-action"](env).act(), np.zeros(3, np.float32))
    np.testing.assert_allclose(BASELINES["farthest"](env).act(), 0, atol=1e-4)  # the default anchor
    np.testing.assert_allclose(BASELINES["farthest-inner"](env).act(), [0, 0, -1], atol=1e-4)
    random = BASELINES["random"](env, seed=1)
    centres = env.poses_from_actions(np.stack([random.act() for _ in range(400)]))[:, :3, 3]
    assert region.contains(centres, 1e-4).all()
    heights = centres[:, 1] / np.linalg.norm(centres, axis=1) / np.sin(np.radians(80))
    assert abs(heights.mean()) < 0.12
    assert heights.std() == pytest.approx(3**-0.5, abs=0.06)  # uniform by area
    best = env.evaluate(env.poses_from_actions(BASELINES["oracle"](env).act()[None]))[0]
    others = env.evaluate(region.fibonacci_poses(48))
    assert best >= others.max() - 0.02


def test_evaluation_is_paired_and_repeatable(env):
    first = evaluate(KIND, env, BASELINES["zero-action"](env), 5)
    again = evaluate(KIND, env, BASELINES["zero-action"](env), 5)
    gain = first.at_end("gains")
    np.testing.assert_array_equal(gain, again.at_end("gains"))
    np.testing.assert_array_equal(first.scenes, [0, 1, 2, 0, 1])
    assert gain[0, 0] != gain[0, 3], "another seed, another first view"
    random = evaluate(KIND, env, BASELINES["random"](env), 5)
    rows = table(KIND, {"zero": first, "random": random}, ["zero"]).splitlines()
    difference = (random.at_end("gains") - gain)[0]
    by_object = np.mean([difference[[0, 3]].mean(), difference[[1, 4]].mean(), difference[2]])
    assert f"| {by_object:+.3f} [" in rows[3]
    assert rows[2].endswith("|  |"), "nothing minus itself"


def test_foreign_features_are_another_objects_from_the_same_poses(env):
    asked = []

    class Spy:
        def predict(self, observation, **_):
            asked.append(observation)
            return np.full(3, 0.1, np.float32), None

    own = evaluate(KIND, env, Spy(), 1)
    mine = asked.copy()
    asked.clear()
    foreign = evaluate(KIND, env, ForeignFeatures(Spy(), env), 1)
    np.testing.assert_array_equal(
        own.at_end("gains"), foreign.at_end("gains")
    )  # the same actions, on the same object
    poses = env.get_state()["task"]["views"].cam_to_world
    other = NBVEnv(**{**SETTINGS, "num_objects": 3})
    observation, _ = other.reset(seed=0, options={"object": 1, "views": poses[:1]})
    for step, seen in enumerate(asked):
        np.testing.assert_array_equal(seen["poses"], mine[step]["poses"])
        np.testing.assert_allclose(seen["features"], observation["features"], atol=1e-4)
        assert np.abs(seen["features"] - mine[step]["features"]).max() > 0.1
        observation, *_ = other.step(np.full(3, 0.1, np.float32))


def test_a_broken_mesh_is_passed_over(tmp_path):
    for name in ("a", "c"):
        trimesh.creation.icosphere(2, 0.4).export(tmp_path / f"{name}.obj")
    (tmp_path / "b.obj").write_text("not a mesh")
    env = NBVEnv(**{**SETTINGS, "num_objects": None}, scenes=str(tmp_path))
    with pytest.warns(UserWarning, match=r"b\.obj"):
        scores = evaluate(KIND, env, BASELINES["zero-action"](env), 3)
    np.testing.assert_array_equal(scores.scenes, [0, 2, 2])


def test_intervals_cover_the_mean(monkeypatch):
    monkeypatch.setattr("agents.statistics.RESAMPLES", 300)
    generator = np.random.default_rng(0)
    objects = np.repeat(np.arange(30), 3)
    hits = 0
    for trial in range(60):
        shared = 0.5 * generator.normal(size=(5, 1))  # what a training seed does to all starts alike
        values = shared + generator.normal(size=30)[objects] + generator.normal(size=(5, 90))
        _, low, high = interval(values, objects, seed=trial)
        hits += low <= 0 <= high
    assert 49 <= hits <= 60
    mean, low, high = interval(np.ones((1, 6)), np.arange(6))
    assert (mean, low, high) == (1, 1, 1)


def test_the_table_pairs_seeds_twins_and_baselines():
    def scores(*seeds):
        gain = np.array(seeds, float)
        figures = {"gains": gain[..., None], "coverage": gain[..., None], "views": gain}
        return Scores(figures, np.arange(gain.shape[1]) % 2)

    results = {
        "base": scores([1, 2]), "agent, untrained": scores([1, 2]), "agent": scores([2, 3], [4, 5]),
        "agent, another object's features": scores([2, 2], [4, 4]),
    }  # fmt: skip
    lines = table(KIND, results, ["base"]).splitlines()
    head, _, *rows = ([cell.strip() for cell in line.split("|")] for line in lines)
    cells = {row[1]: dict(zip(head, row, strict=True)) for row in rows}
    assert cells["agent"]["log-Chamfer gain"] == "3.500 (2.500 to 4.500)"
    assert cells["agent"]["gain minus base"].startswith("+2.000 [+1.0")
    assert cells["agent"]["gain minus untrained"].startswith("+2.000 [+1.0")
    assert cells["agent, another object's features"]["gain minus own features"].startswith("-0.500 [-1.0")
    fewer = table(KIND, {"base": scores([1, 2], [3, 4]), "agent": scores([4, 5])}, ["base"])
    assert "| +2.000 [+2.000, +2.000] |" in fewer  # paired by start where there are not as many seeds


def test_a_smaller_budget_is_the_same_episodes_stopped(env):
    """What a policy scores at 3 of 4 views is what it scores in an environment of 3."""
    long, short = (
        NBVEnv(**{**SETTINGS, "num_objects": 3, "views": views, "backbone": None}) for views in (4, 3)
    )
    whole = evaluate(KIND, long, BASELINES["farthest"](long), 4)
    less, expected = stopped(long.task, whole, 3), evaluate(KIND, short, BASELINES["farthest"](short), 4)
    assert list(less.figures) == ["gains", "coverage", "auc", "chamfer", "views"]
    for name, values in expected.figures.items():
        np.testing.assert_allclose(less.figures[name], values)
    coverage = whole.figures["coverage"]
    np.testing.assert_allclose(whole.figures["auc"], coverage.mean(axis=-1))
    enough = coverage[0, :, 1]
    np.testing.assert_array_equal(needed(whole, enough, 1), [[2, 2, 2, 2]])
    np.testing.assert_array_equal(needed(whole, enough + 1, 1), [[5, 5, 5, 5]])  # never


def test_audited_gains_are_those_of_the_measured_depth():
    env = NBVEnv(num_objects=2, image_size=56, views=3, audit=True, observations=["poses"])
    scores = evaluate(KIND, env, BASELINES["farthest"](env), 2)
    depth = NBVEnv(num_objects=2, image_size=56, views=3, backbone=None, observations=["poses"])
    expected = evaluate(KIND, depth, BASELINES["farthest"](depth), 2)
    np.testing.assert_allclose(scores.figures["gains"], expected.figures["gains"])
    assert np.abs(scores.at_end("whole") - scores.at_end("gains")).min() > 1e-4
    assert "| its own gain |" in table(KIND, {"farthest": scores}, [])


def test_a_bridge_takes_the_poses_that_the_run_would_take():
    """A policy of the discrete environment in the continuous one sees and does what it would there."""
    own = NBVDiscreteEnv(num_objects=2, image_size=56, views=4, backbone="unproject", candidate_radius=1.3)
    env = NBVEnv(num_objects=2, image_size=56, views=3, backbone=None)
    asked = []

    class Policy:
        def predict(self, observation, **_):
            asked.append(observation)
            return np.int64(10 * len(asked)), None

    bridge = Bridge(Policy(), own, env)
    observation, _ = env.reset(seed=3)
    for n in range(2):
        action, _ = bridge.predict(observation)
        observation, *_ = env.step(action)
        expected = own.task.candidate_poses(own.task.episode(0))[10 * (n + 1)]
        np.testing.assert_allclose(env.task.episode(0).views[-1].cam_to_world, expected, atol=1e-4)
        assert asked[n].keys() == own.observation_space.spaces.keys()
        assert asked[n]["view_mask"].sum() == n + 1
    with pytest.raises(ValueError, match="trained for 3 views; expected a budget of at most that, not 5"):
        Bridge(Policy(), env, NBVEnv(num_objects=2, image_size=56, backbone=None))


def test_off_centre_objects_are_smaller_and_stay_in_reach():
    env = NBVEnv(num_objects=1, image_size=56, backbone=None, placement=0.2)
    env.reset(seed=0)
    centred = NBVEnv(num_objects=1, image_size=56, backbone=None)
    centred.reset(seed=0)
    there, here = (e.task.episode(0).mesh.vertices for e in (env, centred))
    offset = there - 0.6 * here
    np.testing.assert_allclose(offset, np.broadcast_to(offset[0], offset.shape), atol=1e-6)
    assert np.linalg.norm(offset[0]) == pytest.approx(0.2, abs=1e-6)
    assert np.linalg.norm(there, axis=1).max() <= 0.5
    with pytest.raises(ValueError, match=r"placement: got 0\.5"):
        NBVEnv(placement=0.5)


def test_normalised_scores_lie_between_random_and_oracle(monkeypatch):
    """Worked out by hand: objects 0 to 3 with ratios .2, .4, .6 and 3, and one without room."""
    monkeypatch.setattr("agents.statistics.RESAMPLES", 400)
    objects = np.repeat(np.arange(5), 2)

    def scores(*by_object):
        gain = np.repeat(np.array(by_object, float), 2)[None] + np.tile([-0.1, 0.1], 5)
        return Scores({"gains": gain[..., None], "views": gain}, objects)

    random, oracle = scores(0, 0, 0, 0, 1), scores(1, 2, 1, 1, 1.04)
    mean, low, high, left_out = normalised(scores(0.2, 0.8, 0.6, 3, 9), random, oracle)
    assert left_out == 1
    assert mean == pytest.approx(0.5)  # the mean of the middle two
    assert 0.2 <= low < 0.5 < high <= 3
    assert normalised(random, random, oracle)[:3] == pytest.approx((0, 0, 0))
    assert normalised(oracle, random, oracle)[:3] == pytest.approx((1, 1, 1))
    assert np.isnan(normalised(random, random, random)[0])
    text = table(KIND, {"random": random, "oracle": oracle}, [])
    assert "| normalised |" in text
    assert "| 1.00 [1.00, 1.00], 1 left out |" in text
