"""What becomes of a run's folder: failed starts, interruptions, resuming, the best model, a machine without
the GPU it was made on. Policies are scored by a script here, so that a run takes a second."""

import csv
import json
import os
import shutil
import signal
import time
import zipfile
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from agents import run_folder
from agents.comparison import compare as comparison
from agents.hyperparameters import checked
from agents.nbv.family import NEXT_BEST_VIEW
from agents.run_folder import best, evaluations, load, steps_learned
from agents.runs import ALGORITHMS, names
from agents.training import train as training
from agents.training import validation
from agents.training.config import Flags, resolve
from agents.training.train import train
from spatial_envs.foundation import yaml_files

TINY = Flags(
    backbone="none", set=("num_objects=1", "image_size=16", "views=2"),
    hyper=("n_steps=4", "batch_size=4", "n_epochs=1", "policy=MultiInputPolicy", "policy_kwargs=null"),
    timesteps=24, num_envs=2, eval_every=16, validation_starts=1, final_starts=1, track="none",
)  # fmt: skip


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    """A run whose one object is built once for all tests."""
    return replace(TINY, set=(*TINY.set, f"cache_dir={tmp_path_factory.mktemp('cache')}"))


def scripted(monkeypatch):
    """Plays nothing: the agent's scores come from this list, the baselines' are 0; what is shown in the end
    is kept beside them."""

    class Script(list):
        shown: dict = {}  # noqa: RUF012

        def evaluate(self, kind, env, policy, starts, progress):
            return self.pop(0) if policy.__class__.__name__ == "PPO" else 0.0

    found = Script()
    kind = replace(
        NEXT_BEST_VIEW,
        figures=lambda score, rival: {"over_farthest": score, "low": score, "high": score},
    )
    monkeypatch.setattr(validation, "evaluate", found.evaluate)
    monkeypatch.setattr(validation.Keeper, "prepare", lambda self, model: None)
    filmed = lambda kind, policies, *_: found.shown.update(film=weights([*policies.values()][0][1]))  # noqa: E731, RUF015
    monkeypatch.setattr(training, "film", filmed)
    tabled = lambda run, model, folder: found.shown.update(table=weights(model)) or "the table\n"  # noqa: E731
    monkeypatch.setattr(training, "final_tables", tabled)
    for module in (training, run_folder):
        monkeypatch.setattr(module, "family", lambda env_id: kind)
    return found


@pytest.fixture
def script(monkeypatch):
    """See ``scripted``."""
    return scripted(monkeypatch)


def weights(model):
    return torch.cat([value.flatten() for value in model.policy.parameters()]).detach().clone()


def steps(folder):
    with (folder / "evaluations.csv").open(encoding="utf-8") as file:
        return [int(row["timesteps"]) for row in csv.DictReader(file) if row["policy"] == "agent"]


# ---- starts that fail

BAD = {
    "no validation": ({"validation_starts": 0}, "validation_starts: got 0"),
    "no steps": ({"timesteps": 0}, "timesteps: got 0"),
    "no episodes": ({"num_envs": 0}, "num_envs: got 0"),
    "no machine's episodes": ({"num_envs": 2**31}, "num_envs: got 2147483648; expected int from 1 to 4096"),
    "such in a setting": ({"hyper": ("n_envs=1e9",)}, "hyper: n_envs: got 1000000000; expected int from 1"),
    "a seed": ({"seed": -1}, "seed: got -1"),
    "a file": ({"out": Path("file")}, "out: got file, which is a file; expected a folder"),
    "below a file": ({"out": Path("file/run")}, "out: got file/run; expected a place that can be written to"),
    "another's environment": ({"env": "CartPole-v1"}, "env: got 'CartPole-v1'; expected one of NBV-"),
    "an unfinished setting": ({"set": ("views=[",)}, "set: views: not plain YAML: line 1, column 2"),
    "a setting twice": ({"set": ("views=2", "views=3")}, "set: got views twice"),
    "a name": ({"hyper": ("n_step=4",)}, r"hyper: unknown key 'n_step' \(did you mean 'n_steps'\?\)"),
    "a type": ({"hyper": ("learning_rate=fast",)}, "hyper: learning_rate: got 'fast'; expected a number or"),
    "a spread": ({"hyper": ("policy_kwargs={log_std_init: x}",)}, "hyper: ppo cannot be made of these hyp"),
    "no batch": ({"hyper": ("batch_size=1",)}, "hyper: ppo cannot be made of these hyperparameters"),
    "a GPU": ({"device": "cuda:99"}, "device: got 'cuda:99', which torch does not see"),
    "resuming nothing": ({"resume": Path("nowhere")}, "resume: got nowhere; expected a run folder"),
}


@pytest.mark.parametrize("name", BAD)
def test_a_failed_start_says_why_and_leaves_nothing(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("file").touch()
    changes, message = BAD[name]
    with pytest.raises((ValueError, FileNotFoundError), match=f"^{message}"):
        train(replace(TINY, **changes))
    assert os.listdir() == ["file"]


def test_a_run_that_fails_before_it_has_learned_leaves_what_was_there(script, tiny, tmp_path):
    (tmp_path / "notes").write_text("mine")
    for folder in (tmp_path, tmp_path / "new" / "run"):
        with pytest.raises(IndexError):  # the script is empty
            train(replace(tiny, out=folder))
        assert os.listdir(tmp_path) == ["notes"]
    script += [0.0, 0.1]
    with pytest.raises(IndexError):
        train(replace(tiny, out=tmp_path / "run"))
    assert steps_learned(tmp_path / "run" / "model.zip") == 16  # the first evaluation's is kept
    with pytest.raises(ValueError, match="already holds a run"):
        train(replace(tiny, out=tmp_path / "run"))


# ---- going on


def test_evaluations_stay_on_their_grid_after_a_resume_and_the_best_model_is_shown(script, tiny, tmp_path):
    script += [0.0, 0.3, 0.1]
    folder = train(replace(tiny, out=tmp_path / "run"))
    assert steps(folder) == [0, 16, 24]
    assert "The agent of step 16 of 24, the best" in (folder / "table.md").read_text()
    _, kept = load(folder)
    assert kept.num_timesteps == 16
    last = run_folder.load_model(yaml_files.read(folder / "config.yaml"), folder / "model.zip", "run")
    assert not torch.equal(weights(kept), weights(last))
    assert torch.equal(script.shown["film"], weights(kept))
    assert torch.equal(script.shown["table"], weights(kept))

    with (folder / "evaluations.csv").open("a") as file:
        file.write("agent,32,9.9,9")  # as a kill leaves it
    script += [0.2, 0.3]
    train(Flags(resume=folder, timesteps=48))
    assert steps(folder) == [0, 16, 24, 32, 48]
    assert load(folder)[1].num_timesteps == 48  # as good as that of 16, and has learned more
    assert not list(folder.glob("**/unfinished*"))


def test_the_best_model_is_chosen_in_one_place(tmp_path):
    def saved(path, count):
        path.parent.mkdir(exist_ok=True)
        with zipfile.ZipFile(path, "w") as file:
            file.writestr("data", json.dumps({"num_timesteps": count}))

    def chosen(*rows, head="policy,timesteps,score,backbone"):
        (tmp_path / "evaluations.csv").write_text("\n".join([head, *rows, "agent,20,9"]))
        path, row = best(tmp_path, "score")
        return path.relative_to(tmp_path).as_posix(), row and row["score"]

    saved(tmp_path / "model.zip", 40)
    assert best(tmp_path, "score") == (tmp_path / "model.zip", None)
    for count in (10, 20, 30):
        saved(tmp_path / "checkpoints" / f"{count}.zip", count)
    assert chosen("random,0,9,x", "agent,10,2,x", "agent,20,1,x") == ("checkpoints/10.zip", "2")
    assert chosen("agent,10,2,x", "agent,20,2,x", "agent,30,1,x") == ("checkpoints/20.zip", "2")
    assert chosen("agent,10,nan,x", "agent,20,-2,x", "agent,30,nan,x") == ("checkpoints/20.zip", "-2")
    assert chosen("agent,10,1,x", "agent,40,2,x") == ("model.zip", "2")  # as older runs ended
    assert chosen("agent,10,1,x", "agent,50,2,x") == ("checkpoints/10.zip", "1")  # 50 was never saved
    assert chosen("agent,10,nan,x", "agent,20,nan,x") == ("model.zip", None)
    assert chosen("agent,10,1,x", "agent,x,3,x", "agent,20,,x", "agent,30,2") == ("checkpoints/10.zip", "1")
    assert chosen("agent,10,1,x", head="a,b") == ("model.zip", None)
    (tmp_path / "evaluations.csv").write_bytes(bytes(range(256)) * 9)
    assert evaluations(tmp_path) == []


# ---- being interrupted


@pytest.mark.parametrize("asked", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("where", ["the first evaluation", "a later one", "the optimiser"])
def test_an_interrupted_run_plays_no_more_and_is_saved(
    script, tiny, asked, where, tmp_path, monkeypatch, capsys
):
    calls = []

    def interrupted(*arguments, **keywords):
        calls.append(arguments)
        if where == "the optimiser" or len(calls) == {"the first evaluation": 2, "a later one": 4}[where]:
            os.kill(os.getpid(), asked)
            time.sleep(60 if where != "the optimiser" else 0)  # of playing
        return original(*arguments, **keywords)

    if where == "the optimiser":
        original = validation.Keeper._between
        script += [0.0]
        monkeypatch.setattr(validation.Keeper, "_played", lambda self, name, policy: 0.0)
        monkeypatch.setattr(validation.Keeper, "_between", interrupted)
    else:
        original = script.evaluate
        script += [0.0, 0.1]
        monkeypatch.setattr(validation, "evaluate", interrupted)
    before = [signal.getsignal(each) for each in (signal.SIGINT, signal.SIGTERM)]
    begun = time.monotonic()
    folder = train(replace(tiny, out=tmp_path / "run"))
    assert time.monotonic() - begun < 50
    count = {"the first evaluation": 2, "a later one": 4, "the optimiser": 1}[where]
    assert len(calls) == count
    assert not script.shown
    assert steps_learned(folder / "model.zip") == {"a later one": 16}.get(where, 2 if count == 2 else 8)
    assert "interrupted and saved; go on with" in capsys.readouterr().out.replace("\n", " ")
    assert [signal.getsignal(each) for each in (signal.SIGINT, signal.SIGTERM)] == before


def test_ctrl_c_before_anything_was_learned_leaves_nothing(script, tiny, tmp_path, monkeypatch):
    monkeypatch.setattr(validation.Keeper, "_played", lambda *_: os.kill(os.getpid(), signal.SIGINT))
    with pytest.raises(KeyboardInterrupt):  # asked twice
        train(replace(tiny, out=tmp_path / "run"))
    assert not os.listdir(tmp_path)


# ---- reading a run again


@pytest.fixture(scope="module")
def finished(tiny, tmp_path_factory):
    """A run of one evaluation, not to be changed."""
    folder = tmp_path_factory.mktemp("finished") / "run"
    with pytest.MonkeyPatch.context() as monkeypatch:
        scripted(monkeypatch).extend([0.0, 0.1])
        return train(replace(tiny, out=folder, timesteps=16))


def test_a_run_made_with_a_gpu_plays_and_goes_on_without_it(script, finished, tmp_path, capsys):
    folder = shutil.copytree(finished, tmp_path / "run")
    config = yaml_files.read(folder / "config.yaml")
    config["device"], config["env_kwargs"]["device"] = "cuda:98", "cuda:99"
    (folder / "config.yaml").write_text(yaml_files.text(config))
    run, model = load(folder)
    assert (run["device"], run["env_kwargs"]["device"]) == ("auto", "auto")
    assert model.num_timesteps == 16
    printed = " ".join(capsys.readouterr().out.split())
    assert "device: made on cuda:98 and cuda:99, which is not here" in printed
    script.append(0.2)
    train(Flags(resume=folder, timesteps=24))
    assert yaml_files.read(folder / "config.yaml")["device"] == "cuda:98"  # for where it was made


def test_observations_are_chosen_where_they_are_none_and_read_where_they_are_kept(finished, tiny, tmp_path):
    assert resolve(replace(tiny, set=(*tiny.set, "observations=null"))) == resolve(tiny)
    folder = shutil.copytree(finished, tmp_path / "run")
    config = yaml_files.read(folder / "config.yaml")
    for observations in (None, "poses"):
        spoil(env_kwargs={**config["env_kwargs"], "observations": observations})(folder)
        with pytest.raises(ValueError, match=f"observations: got {observations!r}; expected a list of keys"):
            train(Flags(resume=folder, timesteps=24))


def test_the_largest_seed_goes_on(script, finished, tmp_path):
    folder = shutil.copytree(finished, tmp_path / "run")
    spoil(seed=2**32 - 1)(folder)
    script.append(0.2)
    train(Flags(resume=folder, timesteps=24))
    assert steps(folder) == [0, 16, 24]


def test_runs_whose_configuration_says_no_more_than_playing_needs_are_told_apart(finished):
    whole = run_folder.read_config(finished, "run")
    played = {key: whole[key] for key in run_folder.PLAYED}
    folders = [Path("a"), Path("b")]
    assert names([played, dict(played)], folders) == ["ppo", "ppo"]
    assert names([whole, played], folders) == ["a", "b"]  # rows of their own


def spoil(**changes):
    def change(folder):
        config = {**yaml_files.read(folder / "config.yaml"), **changes}
        whole = {key: value for key, value in config.items() if value is not ...}
        (folder / "config.yaml").write_text(yaml_files.text(whole))

    return change


def write(name, content):
    return lambda folder: (folder / name).write_bytes(content)


SPOILT = {
    "an empty config": (write("config.yaml", b""), r"config.yaml: got NoneType; expected a mapping"),
    "a list": (write("config.yaml", b"[1]"), r"config.yaml: got list"),
    "no YAML": (write("config.yaml", b"a: ["), r"config.yaml: not plain YAML: line 1"),
    "no text": (write("config.yaml", b"\xff\xfe\x00"), r"config.yaml: not plain YAML"),
    "no algorithm": (spoil(algo=...), r"config.yaml: lacks algo"),
    "an algorithm": (spoil(algo="trpo"), r"config.yaml: algo: got 'trpo'"),
    "an environment": (spoil(env=["x"]), r"config.yaml: env: got \['x'\]"),
    "arguments": (spoil(env_kwargs={"veiws": 3}), r"config.yaml: unexpected argument 'veiws'"),
    "hyperparameters": (spoil(hyperparameters={"gamma": 2}), r"config.yaml: hyperparameters: gamma: got 2"),
    "a device": (spoil(device="gpu"), r"config.yaml: device: got 'gpu'"),
    "the environment's device": (spoil(env_kwargs={"device": 2**31}), r"config.yaml: device: got 2147483648"),
    "lessons": (
        spoil(warm_start=["greedy"]),
        r"config.yaml: warm_start: got \['greedy'\]; expected a mapping",
    ),
    "an expert": (spoil(warm_start={"expert": []}), r"config.yaml: warm_start: got \[\]; expected one of"),
    "a count": (spoil(num_envs=1.5), r"config.yaml: num_envs: got 1.5"),
    "a model": (write("model.zip", b"junk"), r"got .*model.zip, which no training of yours"),
    "no model": (lambda folder: (folder / "model.zip").unlink(), r".* holds no model.zip"),
}


@pytest.mark.parametrize("name", SPOILT)
def test_what_is_no_run_is_named(name, finished, tmp_path):
    folder = shutil.copytree(finished, tmp_path / "run")
    shutil.rmtree(folder / "checkpoints")
    change, message = SPOILT[name]
    change(folder)
    with pytest.raises((ValueError, FileNotFoundError), match=rf"^run: .*{message}"):
        comparison.compare(comparison.Flags(run=(folder,), episodes=1))
    with pytest.raises((ValueError, FileNotFoundError), match=rf"^resume: .*{message}"):
        train(Flags(resume=folder, timesteps=40))


COMPARED = {
    "no run": ({"run": (Path("nothing"),)}, "run: got nothing; expected a run folder"),
    "no episodes": ({"episodes": 0}, "episodes: got 0"),
    "onto a file": ({"out": Path("file")}, "out: got file, which is a file; expected a folder"),
    "onto a folder": ({"out": Path("folder.md")}, "out: got folder.md, which is a folder; expected a file"),
    "no module": ({"agent": "no_such_module:Agent"}, "agent: .* there is no module no_such_module"),
    "no class": ({"agent": "json:Agent"}, "agent: got 'json:Agent'; expected module:Class"),
    "no environment": ({"env": "CartPole-v1"}, "env: got 'CartPole-v1'"),
    "an unfinished setting": ({"set": ("views=[",)}, "set: views: not plain YAML"),
}


@pytest.mark.parametrize("name", COMPARED)
def test_bad_flags_of_a_comparison_are_named(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("file").touch()
    Path("folder.md").mkdir()
    changes, message = COMPARED[name]
    flags = comparison.Flags(baselines=("random",), set=("num_objects=1", "backbone=null"), episodes=1)
    with pytest.raises((ValueError, FileNotFoundError, ImportError), match=f"^{message}"):
        comparison.compare(replace(flags, **changes))
    assert sorted(os.listdir()) == ["file", "folder.md"]


# ---- hyperparameters

LEGAL = [
    ("ppo", "learning_rate", "lin_3e-4", "lin_3e-4"), ("ppo", "learning_rate", 1, 1),
    ("ppo", "learning_rate", 1e-4, 1e-4), ("ppo", "clip_range_vf", None, None),
    ("ppo", "target_kl", None, None), ("ppo", "policy_kwargs", {}, {}), ("ppo", "n_steps", 1e2, 100),
    ("ppo", "n_timesteps", 1e6, 1_000_000), ("sac", "ent_coef", "auto", "auto"),
    ("sac", "ent_coef", "auto_0.1", "auto_0.1"), ("sac", "ent_coef", 1e-3, 1e-3),
    ("sac", "target_entropy", -3, -3), ("sac", "train_freq", [1, "episode"], (1, "episode")),
    ("td3", "noise_type", "normal", "normal"), ("dqn", "gradient_steps", -1, -1),
    ("differentiable", "max_grad_norm", None, None),
]  # fmt: skip
ILLEGAL = [
    ("ppo", "learning_rate", "1e-4", "expected a number or lin_ and a number"),
    ("ppo", "learning_rate", "lin_x", "expected a number or lin_ and a number"),
    ("ppo", "learning_rate", -1, "expected float from 0 to inf"),
    ("ppo", "gamma", 5, "expected float from 0 to 1"), ("ppo", "gamma", float("nan"), "expected a number"),
    ("ppo", "n_steps", 1.5, "expected an integer"),
    ("ppo", "n_steps", True, "expected an integer"), ("ppo", "n_steps", 0, "expected int from 1 to inf"),
    ("ppo", "normalize_advantage", 1, "expected True or False"), ("ppo", "max_grad_norm", None, "a number"),
    ("ppo", "policy_kwargs", "dict()", "expected a mapping or null"), ("ppo", "policy", 3, "expected a word"),
    ("ppo", "policy", "MultiInput", "expected MlpPolicy, CnnPolicy, MultiInputPolicy, or the path"),
    ("sac", "ent_coef", "autos", "expected auto, or auto_ and a number or a number"),
    ("sac", "train_freq", "episode", r"expected an integer or \[1, episode\]"),
    ("sac", "noise_std", "loud", "expected a number"),
]  # fmt: skip


@pytest.mark.parametrize(("algo", "name", "given", "taken"), LEGAL)
def test_legal_hyperparameters_are_taken(algo, name, given, taken):
    found = checked(ALGORITHMS[algo], {name: given}, "hyper")[name]
    assert (found, type(found)) == (taken, type(taken))


@pytest.mark.parametrize(("algo", "name", "given", "message"), ILLEGAL)
def test_illegal_hyperparameters_are_named(algo, name, given, message):
    with pytest.raises(ValueError, match=f"^hyper: {name}: got .*{message}"):
        checked(ALGORITHMS[algo], {name: given}, "hyper")


@pytest.mark.parametrize("algo", ALGORITHMS)
def test_unknown_hyperparameters_are_named(algo):
    for name in ("seed", "env", "learning_rat", 3):
        with pytest.raises(ValueError, match=rf"^hyper: unknown key {name!r}.*; valid are .*learning_rate"):
            checked(ALGORITHMS[algo], {name: 1}, "hyper")
