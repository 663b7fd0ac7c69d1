"""Agents as files that hold no code: what is exported plays as it did, what is damaged or malicious is named
and runs nothing, and pickles of others are not read unasked."""

import base64
import json
import os
import pickle
import shutil
import subprocess
import sys
import zipfile
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
import torch
import tyro
from safetensors.torch import load_file, save_file

import agents.export as exporting
from agents import signatures
from agents.comparison.compare import Flags as Comparison
from agents.comparison.compare import compare
from agents.export import Flags, export
from agents.exported import load_agent
from agents.nbv.scoring import ScoringPolicy
from agents.play import choose
from agents.run_folder import keep, load, read_config, resumed, save, write_config
from agents.runs import adapted, single_env, training_envs, untrained
from agents.training import config
from spatial_envs.foundation import yaml_files

ROOT = Path(__file__).resolve().parents[2]
VIEWS = ("num_objects=1", "image_size=56", "views=3")
DISCRETE, CONTINUOUS = "NBV-MapAnything-Discrete-v0", "NBV-MapAnything-v0"
SHOWN = f"observations=[{','.join((*ScoringPolicy.KEYS, 'rgb'))}]"
AGENTS = {  # algorithm, environment, settings, backbone
    "ppo": ("ppo", CONTINUOUS, VIEWS, "unproject"),
    "ppo with images": ("ppo", CONTINUOUS, (*VIEWS, SHOWN), "unproject"),
    "a2c": ("a2c", DISCRETE, VIEWS, "none"),
    "recurrent_ppo": ("recurrent_ppo", CONTINUOUS, VIEWS, "unproject"),
    "maskable_ppo": ("maskable_ppo", DISCRETE, VIEWS, "unproject"),
    "dqn": ("dqn", DISCRETE, VIEWS, "unproject"),
    "ranking": ("ranking", DISCRETE, VIEWS, "unproject"),
    "sac": ("sac", CONTINUOUS, VIEWS, "unproject"),
    "td3": ("td3", CONTINUOUS, VIEWS, "none"),
    "tqc": ("tqc", CONTINUOUS, VIEWS, "unproject"),
    "crossq": ("crossq", CONTINUOUS, VIEWS, "unproject"),
    "differentiable": ("differentiable", CONTINUOUS, VIEWS, "compact"),
    "expert_iteration": ("expert_iteration", "SceneFit-Prototype-v0", ("num_frames=1",), "none"),
    "group": ("group", "Foresight-Prototype-v0", ("rotations=false",), "none"),
    "ppo walking": ("ppo", "ImageNav-Habitat-v0", ("num_buildings=1", "image_size=56"), "none"),
    "sac walking": ("sac", "PointNav-Habitat-v0", ("num_buildings=1", "image_size=56"), "none"),
    "ppo fitting": ("ppo", "SceneFit-Prototype-v0", ("num_frames=1",), "none"),
    "sac fitting": ("sac", "SceneFit-Prototype-v0", ("num_frames=1", "action=all"), "unproject"),
}


@dataclass
class Made:
    """A run folder, as if trained, its configuration and its model."""

    folder: Path
    run: dict
    model: object


def make(folder, algo="ppo", env=CONTINUOUS, settings=VIEWS, backbone="unproject", hyper=()):
    """Without training: the weights are noise."""
    flags = config.Flags(
        algo=algo, env=env, backbone=backbone, set=settings, num_envs=2, final_starts=0, track="none",
        hyper=(*hyper, *(["buffer_size=64"] if algo in BUFFERED else [])),
    )  # fmt: skip
    run = config.resolve(flags)
    envs = training_envs(run)
    model = untrained(run, envs)
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for value in model.policy.parameters():
            value += 0.1 * torch.randn(value.shape, generator=generator)
    model.num_timesteps = 40
    folder.mkdir(parents=True)
    write_config(folder, run)
    save(model, folder)
    return Made(folder, run, model)


BUFFERED = ("dqn", "ranking", "sac", "td3", "tqc", "crossq")


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """Of ppo, not to be changed."""
    cache = tmp_path_factory.mktemp("cache")
    return make(tmp_path_factory.mktemp("made") / "run", settings=(*VIEWS, f"cache_dir={cache}"))


@pytest.fixture(scope="module")
def exported(made, tmp_path_factory):
    """What becomes of it, not to be changed."""
    return export(Flags(made.folder, tmp_path_factory.mktemp("exported") / "agent"))


# ---- what is exported plays as it did


@pytest.mark.parametrize("name", AGENTS)
def test_an_exported_agent_acts_as_it_did_bit_for_bit(name, tmp_path):
    made = make(tmp_path / "run", *AGENTS[name])
    agent = load_agent(export(Flags(made.folder, tmp_path / "agent")), device="cpu")
    assert {path.name for path in (tmp_path / "agent").iterdir()} == {
        "agent.yaml", "policy.safetensors", "README.md"
    }  # fmt: skip
    state, kept = made.model.policy.state_dict(), agent.policy.state_dict()
    assert state.keys() == kept.keys()
    assert all(torch.equal(value, kept[key]) for key, value in state.items())
    env = single_env({"env": agent.env_id, "env_kwargs": agent.env_kwargs})
    env.observation_space.seed(0)
    memories = None, None
    for count in range(6):
        observation = env.observation_space.sample()
        if "view_mask" in observation:  # none at all would make NaN
            observation["view_mask"] = np.ones_like(observation["view_mask"])
        masks = {"action_masks": np.arange(64) % 3 == 0} if "maskable" in name else {}
        answers = []
        for policy, memory in zip((made.model, agent), memories, strict=True):
            torch.manual_seed(count)
            np.random.seed(count)  # noqa: NPY002
            policy.action_space.seed(count)
            more = {"state": memory, "episode_start": np.array([count == 0])} if "recurrent" in name else {}
            answers.append(policy.predict(observation, deterministic=count < 4, **more, **masks))
        (one, memory), (other, again) = answers
        memories = memory, again
        assert one.dtype == other.dtype
        np.testing.assert_array_equal(one, other)
        if memory is not None:
            np.testing.assert_array_equal(memory, again)
    before, twin = untrained(made.run, adapted(env)), agent.untrained(adapted(env))
    for key, value in before.policy.state_dict().items():
        assert torch.equal(value, twin.policy.state_dict()[key]), key


def test_a_fresh_process_needs_no_pickle(made, exported, tmp_path):
    space = made.model.observation_space
    observations = [{**space.sample(), "view_mask": np.ones(3, np.float32)} for _ in range(3)]
    np.savez(
        tmp_path / "in.npz", **{f"{k} {key}": v for k, o in enumerate(observations) for key, v in o.items()}
    )
    code = f"""
import cloudpickle, numpy as np, torch
from stable_baselines3.common.base_class import BaseAlgorithm
import agents.exported
def refuse(*_, **__):
    raise AssertionError("a pickle is read")
cloudpickle.load = cloudpickle.loads = torch.load = BaseAlgorithm.load = refuse
agent = agents.exported.load_agent({str(exported)!r})
found = np.load({str(tmp_path / "in.npz")!r})
for k in range(3):
    observation = {{name.partition(" ")[2]: found[name] for name in found if name.startswith(f"{{k}} ")}}
    print(agent.predict(observation, deterministic=True)[0].tobytes().hex())
"""
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    expected = [made.model.predict(each, deterministic=True)[0].tobytes().hex() for each in observations]
    assert done.stdout.split() == expected


def test_an_exported_folder_is_compared_as_its_run(made, exported):
    one = ("num_objects=1", f"cache_dir={made.run['env_kwargs']['cache_dir']}")
    flags = Comparison(baselines=("farthest",), episodes=1, set=one)
    tables = [compare(replace(flags, run=(folder,)))[""] for folder in (made.folder, exported)]
    assert tables[0].keys() == tables[1].keys() == {"farthest", "ppo", "ppo, untrained"}
    for row, scores in tables[0].items():
        for figure, values in scores.figures.items():
            np.testing.assert_array_equal(values, tables[1][row].figures[figure], err_msg=f"{row} {figure}")


def test_an_exported_memory_is_kept_through_an_episode(tmp_path):
    made = make(tmp_path / "run", "recurrent_ppo")
    run, agent = load(export(Flags(made.folder, tmp_path / "agent")))
    env = single_env(run)
    observation, _ = env.reset(seed=0)
    one, other = ([choose(policy, env, observation)] for policy in (made.model, agent))
    for path, policy in ((one, made.model), (other, agent)):
        path.append(choose(policy, env, observation, path[0][1]))
    np.testing.assert_array_equal([action for action, _ in one], [action for action, _ in other])
    assert not np.array_equal(*[action for action, _ in one])


def test_the_card_and_the_settings_tell_nothing_of_the_computer(tmp_path):
    (tmp_path / "meshes").mkdir()
    shutil.copy(ROOT / "docs" / "objects.png", tmp_path / "meshes" / "no_mesh.png")
    made = make(tmp_path / "run")
    run = {**made.run, "scenes": str(tmp_path / "meshes")}
    run["env_kwargs"] = {**run["env_kwargs"], "scenes": run["scenes"], "cache_dir": str(tmp_path), "up": "z"}
    run["env_kwargs"]["threads"] = 3
    write_config(made.folder, run)
    (made.folder / "table.md").write_text("The agent of the last step, 40; no evaluation has\n\n| a row |\n")
    folder = export(Flags(made.folder, tmp_path / "my agent"))
    text, card = ((folder / name).read_text() for name in ("agent.yaml", "README.md"))
    assert str(tmp_path) not in text + card
    said = yaml_files.parse(text, "")
    assert said["training"]["scenes"] == "meshes"
    assert said["training"]["settings"] == {"num_objects": 1, "up": "z"}
    assert not {"scenes", "threads"} & said["env_kwargs"].keys()
    assert len({path.stat().st_mode for path in folder.iterdir()}) == 1  # whoever may read one may read all
    for part in (
        "# my agent\n",
        "| a row |",
        "40 steps of a run of 6,144",
        'load_agent("my agent")',
        "--scenes",
    ):
        assert part in card
    with pytest.raises((ValueError, FileNotFoundError), match="meshes"):  # which the reader has to give
        compare(Comparison(run=(folder,), episodes=1))


def test_the_best_agent_is_exported_with_its_score(made, tmp_path):
    folder = shutil.copytree(made.folder, tmp_path / "run")
    (folder / "checkpoints").mkdir()
    made.model.num_timesteps = 16
    keep(folder, "checkpoints/16.zip", made.model.save)
    made.model.num_timesteps = 40
    lines = ["policy,timesteps,over_farthest,low,high,backbone", "agent,16,0.25,0.125,0.5,unproject"]
    (folder / "evaluations.csv").write_text("\n".join([*lines, "agent,40,0.1,0.0,0.2,unproject", ""]))
    agent = load_agent(export(Flags(folder, tmp_path / "agent")))
    assert agent.num_timesteps == 16
    expected = {"figure": "over_farthest", "score": 0.25, "low": 0.125, "high": 0.5}
    assert agent.description["validation"] == expected
    assert "over_farthest 0.250 [0.125, 0.500]" in (tmp_path / "agent" / "README.md").read_text()


# ---- what cannot be exported, or not written whole


def test_what_is_not_exported_is_named_and_leaves_nothing(made, exported, tmp_path, monkeypatch):
    def refused(message, run=made.folder, out=tmp_path / "out"):
        before = sorted(tmp_path.rglob("*"))
        with pytest.raises((ValueError, FileNotFoundError), match=message):
            export(Flags(run, out))
        assert sorted(tmp_path.rglob("*")) == before

    refused("run: got nowhere; expected a run folder", Path("nowhere"))
    refused("exported already; expected a run folder", exported)
    refused("already holds something", out=exported)
    encoder = tmp_path / "encoder"
    encoder.mkdir()
    (encoder / "config.yaml").write_text(
        "{algo: encoder, env: SceneFit-Prototype-v0, scenes: procedural, resolved_backbone: none, "
        "env_kwargs: {}, hyperparameters: {}}"
    )
    refused("of an encoder, which has no policy", encoder)
    refused("use_sde: got True", make(tmp_path / "sde", hyper=("use_sde=True",)).folder)
    kwargs = "policy_kwargs={net_arch: [8], optimizer_kwargs: {eps: 0.1}, normalize_images: false}"
    refused("policy_kwargs: got normalize_images", make(tmp_path / "odd", hyper=(kwargs,)).folder)

    def full(*_):
        raise OSError("the disk is full")

    monkeypatch.setattr(exporting, "card", lambda *_: "\ud800")  # which cannot be written
    refused("surrogates not allowed")
    monkeypatch.undo()
    monkeypatch.setattr(exporting, "load_agent", full)
    with pytest.raises(OSError, match="the disk is full"):
        export(Flags(made.folder, tmp_path / "out"))
    assert not (tmp_path / "out").exists()
    assert not list(tmp_path.glob("unfinished*"))


# ---- what is damaged or malicious


def yaml(*path, value=...):
    """Set a key, or take it away."""

    def change(folder):
        said = yaml_files.read(folder / "agent.yaml")
        place = said
        for key in path[:-1]:
            place = place[key]
        if value is ...:
            del place[path[-1]]
        else:
            place[path[-1]] = value
        (folder / "agent.yaml").write_text(yaml_files.text(said))

    return change


def text(content):
    return lambda folder: (folder / "agent.yaml").write_bytes(content)


def weights(change):
    def changed(folder):
        tensors = load_file(folder / "policy.safetensors")
        change(tensors)
        save_file(tensors, folder / "policy.safetensors")

    return changed


def pickled(name):
    return lambda folder: (folder / name).write_bytes(pickle.dumps(Runs(folder.parent / "marker")))


class Runs:
    """What leaves a file where its pickle is read."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return Path.touch, (self.path,)


HEAD = "log_std"
TAGGED = b"format: !!python/object/apply:os.system ['touch marker']\n"
LAYERS = b"".join(b"%c: &%c [*%c,*%c]\n" % (c, c, c - 1, c - 1) for c in range(ord("b"), ord("z")))
KWARGS, TRAINING, ENV = "policy_kwargs", "training", "env_kwargs"
EXTRACTOR = "features_extractor_kwargs"
NO_FILE = "policy.safetensors: got no safetensors"
UNMADE = "policy_kwargs: got .* can be made"


def tensors(**changed):
    """Of the weights, some changed: by ``log_std`` as it is."""
    return weights(lambda kept: kept.update({name: make(kept[HEAD]) for name, make in changed.items()}))


DAMAGED = {
    "no weights": (lambda folder: (folder / "policy.safetensors").unlink(), NO_FILE),
    "an empty file": (text(b""), "agent.yaml: got None; expected a mapping"),
    "a list": (text(b"[1]"), r"agent.yaml: got \[1\]"),
    "no YAML": (text(b"a: ["), "agent.yaml: not plain YAML"),
    "too much": (text(b"#" * 2**21), "agent.yaml: got 2,097,152 bytes; expected at most 1,048,576"),
    "a tag": (text(TAGGED), "agent.yaml: not plain YAML"),
    "an object": (text(b"!!python/name:os.system"), "agent.yaml: not plain YAML"),
    "aliases": (text(b"a: &a [1,1]\n" + LAYERS), "agent.yaml: not plain YAML: more than"),
    "another format": (yaml("format", value=2), "agent.yaml: format: got 2; expected 1"),
    "no format": (yaml("format"), "agent.yaml: format: got None"),
    "an algorithm": (yaml("algorithm", value="trpo"), "agent.yaml: algorithm: got 'trpo'; expected one"),
    "an environment": (yaml("env", value="CartPole-v1"), "agent.yaml: env: got 'CartPole-v1'"),
    "an environment's module": (
        yaml("env", value="this:NBV-MapAnything-v0"),
        "agent.yaml: env: got 'this:NBV-MapAnything-v0'",
    ),
    "a class path": (yaml("policy", value="os.path.join"), "policy: got 'os.path.join'; expected one"),
    "another's policy": (yaml("policy", value="SACPolicy"), "agent.yaml: policy: got 'SACPolicy'"),
    "an extractor": (yaml("features_extractor", value="os.system"), "features_extractor: got 'os.system'"),
    "a keyword": (yaml(KWARGS, "optimizer_class", value="x"), "policy_kwargs: got 'optimizer_class'"),
    "a class in it": (yaml(KWARGS, "features_extractor_class", value="x"), "got 'features_extractor_cl"),
    "an unknown key": (yaml("more", value=1), "agent.yaml: unknown key 'more'; valid are format"),
    "a missing key": (yaml(TRAINING), "agent.yaml: lacks training"),
    "another type": (yaml(KWARGS, value=[1]), r"agent.yaml: policy_kwargs: got \[1\]; expected dict"),
    "a flag": (yaml(TRAINING, "seed", value=True), "training: seed: got True; expected int"),
    "a seed": (yaml(TRAINING, "seed", value=-1), "training: seed: got -1"),
    "a path": (yaml(TRAINING, "scenes", value="../../etc"), "scenes: got '../../etc'; expected a name"),
    "a setting": (yaml(TRAINING, "settings", value={"cache_dir": "/"}), "settings: got 'cache_dir'"),
    "its policy": (yaml(TRAINING, "hyperparameters", "policy", value="os.x"), "hyperparameters: got policy"),
    "a number": (yaml(TRAINING, "hyperparameters", "gamma", value="os"), "gamma: got 'os'"),
    "no expert": (yaml(TRAINING, "warm_start", value={}), "warm_start: lacks expert"),
    "a score": (yaml("validation", value={"figure": "x"}), "validation: lacks score"),
    "normalised": (yaml("normalisation", value={"mean": 0}), "normalisation: got .*; expected null"),
    "exploration": (yaml("exploration_rate", value=0.5), "exploration_rate: got 0.5 for ppo"),
    "a folder": (yaml(ENV, "cache_dir", value="/tmp"), "env_kwargs: cache_dir: is no part"),
    "scenes": (yaml(ENV, "scenes", value="/etc"), "env_kwargs: scenes: is no part"),
    "a checkpoint": (yaml(ENV, "backbone_kwargs", value={"checkpoint": "evil/x"}), "got 'evil/x'"),
    "its weights": (yaml(ENV, "backbone_kwargs", value={"weights": "x"}), "no files of one's own"),
    "prototypes": (yaml(ENV, "prototypes", value="/x"), "env_kwargs: prototypes: got '/x'"),
    "an argument": (yaml(ENV, "veiws", value=3), "env_kwargs: TypeError: unexpected argument 'veiws'"),
    "a value": (yaml(ENV, "views", value=1000), "env_kwargs: ValueError: views: got 1000"),
    "a backbone": (yaml("backbone", value="compact"), "backbone: got 'compact', and 'unproject'"),
    "other spaces": (yaml(ENV, "views", value=4), "agent.yaml: observation_space: 'features': got"),
    "a space": (yaml("observation_space", "poses", "shape", value=[10**12]), "'poses': got"),
    "more spaces": (yaml("observation_space", "x", value={}), "'x': got {}; expected None"),
    "actions": (yaml("action_space", "low", value=-2), "action_space: 'low': got -2; expected -1.0"),
    "a wide layer": (yaml(KWARGS, "net_arch", value=[10**9] * 2), r"expected F32 of shape \[1000000000, "),
    "a wider one": (yaml(KWARGS, "net_arch", value=[10**18] * 2), UNMADE),
    "a negative one": (yaml(KWARGS, "net_arch", value=[-1]), UNMADE),
    "no number": (yaml(KWARGS, "net_arch", value=["os"]), UNMADE),
    "many layers": (yaml(KWARGS, value={"net_arch": [4] * 50}), "got 50 layers; expected at most"),
    "deep": (yaml(KWARGS, EXTRACTOR, value={"num_layers": 10**9}), "num_layers: got 100"),
    "a wide view": (yaml(KWARGS, EXTRACTOR, value={"hidden_dim": 10**9}), "1000000000"),
    "a lacking tensor": (weights(lambda kept: kept.pop(HEAD)), "lacks log_std; expected the 49"),
    "one more": (tensors(**{"../../x": torch.exp}), r"got '\.\./\.\./x'; expected no tensor"),
    "another shape": (tensors(log_std=lambda t: t[:2].clone()), r"log_std: got F32 of shape \[2\]; exp"),
    "another dtype": (tensors(log_std=torch.Tensor.double), "log_std: got F64 of shape"),
    "not a number": (tensors(log_std=lambda t: t * np.nan), "log_std: got NaN or infinity"),
    "infinity": (tensors(log_std=lambda t: t + np.inf), "log_std: got NaN or infinity"),
    "many": (tensors(**{str(k): torch.clone for k in range(5000)}), "got 5,049 tensors"),
    "cut short": (lambda folder: os.truncate(folder / "policy.safetensors", 5000), NO_FILE),
    "pickled weights": (pickled("policy.safetensors"), NO_FILE),
    "a pickled text": (pickled("agent.yaml"), "agent.yaml: not plain YAML"),
}


@pytest.mark.parametrize("name", DAMAGED)
def test_what_is_damaged_or_malicious_is_named_and_runs_nothing(name, exported, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    folder = shutil.copytree(exported, tmp_path / "agent")
    change, message = DAMAGED[name]
    change(folder)
    with pytest.raises(ValueError, match=message) as found:
        load_agent(folder)
    assert str(found.value).startswith(str(folder))
    with pytest.raises(ValueError, match=rf"^run: .*{message}"):
        compare(Comparison(run=(folder,), episodes=1))
    assert not (tmp_path / "marker").exists()


def test_what_is_no_exported_folder_is_named(made, tmp_path):
    for folder in (made.folder, tmp_path, tmp_path / "nothing"):
        with pytest.raises(
            FileNotFoundError, match=r"holds no agent\.yaml; expected what agents\.export made"
        ):
            load_agent(folder)
    with pytest.raises(ValueError, match="device: got 'gpu'"):
        load_agent(tmp_path, device="gpu")


# ---- runs of others


def poisoned(folder, marker, name="model.zip"):
    """A model like any other, but for what runs when it is read."""
    path = folder / name
    if path.suffix == ".pkl":
        path.write_bytes(pickle.dumps(Runs(marker)))
        return
    with zipfile.ZipFile(path) as file:
        parts = {each: file.read(each) for each in file.namelist()}
    data = json.loads(parts["data"])
    data["policy_kwargs"] = {":serialized:": base64.b64encode(pickle.dumps(Runs(marker))).decode()}
    parts["data"] = json.dumps(data).encode()
    with zipfile.ZipFile(path, "w") as file:
        for each, content in parts.items():
            file.writestr(each, content)


def test_a_malicious_model_runs_nothing_unless_it_is_trusted(made, tmp_path):
    folder, marker = shutil.copytree(made.folder, tmp_path / "run"), tmp_path / "marker"
    poisoned(folder, marker)
    for play in (
        lambda: compare(Comparison(run=(folder,), episodes=1)),
        lambda: export(Flags(folder, tmp_path / "agent")),
        lambda: resumed(made.run, training_envs(made.run), folder, None),
    ):
        with pytest.raises(
            ValueError, match=r"model\.zip, which no training of yours .* runs whatever code .*--trust"
        ):
            play()
        assert not marker.exists()
    with pytest.raises(ValueError, match="expected a model of ppo"):  # and it would have run
        compare(Comparison(run=(folder,), episodes=1, trust=True))
    assert marker.exists()


@pytest.mark.parametrize("name", ["vecnormalize.pkl", "replay_buffer.pkl"])
def test_a_malicious_pickle_is_not_gone_on_with(name, tmp_path):
    made, marker = make(tmp_path / "run", "sac"), tmp_path / "marker"
    resumed(made.run, training_envs(made.run), made.folder, None)
    poisoned(made.folder, marker, name)
    with pytest.raises(ValueError, match=f"^resume: got .*{name}, which no training of yours"):
        resumed(made.run, training_envs(made.run), made.folder, None)
    assert not marker.exists()
    with pytest.raises(ValueError, match=f"{name}; expected"):
        resumed(made.run, training_envs(made.run), made.folder, None, trust=True)
    assert marker.exists()


def test_a_policy_that_is_not_ones_own_is_not_imported(made, tmp_path, monkeypatch):
    (tmp_path / "evil.py").write_text(f"open({str(tmp_path / 'marker')!r}, 'w')\n")
    monkeypatch.syspath_prepend(tmp_path)
    folder = shutil.copytree(made.folder, tmp_path / "run")
    run = yaml_files.read(folder / "config.yaml")
    run["hyperparameters"]["policy"] = "evil.Policy"
    (folder / "config.yaml").write_text(yaml_files.text(run))
    with pytest.raises(ValueError, match=r"with the policy 'evil\.Policy', which no training of yours"):
        compare(Comparison(run=(folder,), episodes=1))
    assert not (tmp_path / "marker").exists()


def test_an_environment_that_is_not_ones_own_is_not_imported(made, tmp_path, monkeypatch):
    (tmp_path / "worse.py").write_text(f"open({str(tmp_path / 'marker')!r}, 'w')\n")
    monkeypatch.syspath_prepend(tmp_path)
    folder = shutil.copytree(made.folder, tmp_path / "run")
    run = yaml_files.read(folder / "config.yaml") | {"env": f"worse:{CONTINUOUS}"}
    (folder / "config.yaml").write_text(yaml_files.text(run))
    with pytest.raises(ValueError, match=r"with the env 'worse:.*', which no training of yours"):
        compare(Comparison(run=(folder,), episodes=1))
    with pytest.raises(ValueError, match=r"^resume: .*with the env 'worse:"):
        read_config(folder, "resume")
    assert not (tmp_path / "marker").exists()
    load(folder, trust=True)
    assert (tmp_path / "marker").exists()


def test_ones_own_runs_stay_so(made, tmp_path, monkeypatch):
    """Copied and moved, after a kill in the middle of saving, and with a checkpoint in the model's place; for
    another user they are not."""
    folder = shutil.move(shutil.copytree(made.folder, tmp_path / "copy"), tmp_path / "moved")
    load(folder)

    def killed(self, target):
        raise KeyboardInterrupt

    made.model.num_timesteps = 41
    with monkeypatch.context() as context:  # signed, not renamed
        whole = Path.replace
        context.setattr(Path, "replace", lambda s, t: killed(s, t) if t.name == "model.zip" else whole(s, t))
        with pytest.raises(KeyboardInterrupt):
            save(made.model, folder)
    assert load(folder)[1].num_timesteps == 40
    save(made.model, folder)
    made.model.num_timesteps = 40
    assert load(folder)[1].num_timesteps == 41
    (folder / "checkpoints").mkdir()
    keep(folder, "checkpoints/40.zip", made.model.save)
    shutil.copy(folder / "checkpoints" / "40.zip", folder / "model.zip")
    assert load(folder)[1].num_timesteps == 40
    assert all(len(kept) <= 2 for kept in json.loads((folder / "signatures.json").read_text()).values())

    key = signatures.key_path()
    assert (key.stat().st_mode & 0o777, key.stat().st_size) == (0o600, 32)
    for damage in (b"", b"[]", b'{"model.zip": "x"}', b"\xff", b"[" * 100_000):
        copied = shutil.copytree(folder, tmp_path / "damaged", dirs_exist_ok=True)
        (copied / "signatures.json").write_bytes(damage)
        with pytest.raises(ValueError, match="which no training of yours"):
            load(copied)
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "another"))
    with pytest.raises(ValueError, match="which no training of yours"):
        load(folder)
    assert not (tmp_path / "another").exists(), "reading makes no key"
    assert load(folder, trust=True)[1].num_timesteps == 40


def test_a_home_that_cannot_be_written_to_is_said_once(made, tmp_path, monkeypatch, caplog):
    monkeypatch.setattr("spatial_envs.foundation.caches._WARNED", set())
    (tmp_path / "file").touch()
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "file"))
    folder = tmp_path / "run"
    folder.mkdir()
    write_config(folder, made.run)
    save(made.model, folder)
    save(made.model, folder)
    assert len(caplog.messages) == 1
    assert "this run has to be read with --trust" in caplog.messages[0]
    assert not (folder / "signatures.json").exists()
    with pytest.raises(ValueError, match="which no training of yours"):
        load(folder)
    assert load(folder, trust=True)[1].num_timesteps == 40


def test_trainings_that_begin_at_once_have_one_key(tmp_path):
    path = tmp_path / "data" / "run_key"
    signatures._make_key(path)
    first = path.read_bytes()
    signatures._make_key(path)
    assert path.read_bytes() == first
    assert os.listdir(path.parent) == ["run_key"]


def test_flags_are_told(capsys):
    with pytest.raises(SystemExit):
        tyro.cli(Flags, args=["--help"], description=exporting.__doc__)
    printed = capsys.readouterr().out
    for part in ("RUN", "OUT", "--trust", "safetensors", "load_agent"):
        assert part in printed
