"""Training of encoder and agents end to end, in small, and the table that they end up in."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
import yaml

from agents import fitting_agents, fitting_data, fitting_encoder, fitting_table
from spatial_envs.fitting_scores import score_fit
from spatial_envs.prototypes.bank import BankSizes, PrototypeBank
from spatial_envs.prototypes.encoder import EncoderSizes, SlotEncoder
from spatial_envs.scene_fit import SceneFitEnv
from spatial_envs.slot_state import action_to, moved


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data")
    fitting_data.prepare(fitting_data.Flags(folder, scenes=3, counts=(2,)))
    return folder


def test_scenes_survive_the_disk_and_a_mirror_is_its_own_inverse(data):
    paths = sorted(data.glob("*.npz"))
    assert len(paths) == 3
    before = [path.stat().st_mtime_ns for path in paths]
    fitting_data.prepare(fitting_data.Flags(data, scenes=3, counts=(2,)))
    assert [path.stat().st_mtime_ns for path in paths] == before  # nothing is made twice
    target = fitting_data.read(paths[0])
    twice = fitting_data.mirrored(fitting_data.mirrored(target))
    for name, value in vars(target).items():
        if isinstance(value, np.ndarray):
            np.testing.assert_allclose(getattr(twice, name), value, atol=1e-5, err_msg=name)
    mirror = fitting_data.mirrored(target)
    ray = mirror.points[0].astype(np.float64) - mirror.cam_to_frame[:3, 3]
    local = ray @ mirror.cam_to_frame[:3, :3]
    row, column = divmod(int(mirror.pixels[0]), 96)
    lens = mirror.intrinsics
    assert lens[0, 0] * local[0] / local[2] + lens[0, 2] == pytest.approx(column + 0.5, abs=0.01)
    assert lens[1, 1] * local[1] / local[2] + lens[1, 2] == pytest.approx(row + 0.5, abs=0.01)
    assert local[2] == pytest.approx(mirror.depth[row, column], abs=1e-3)


def test_the_encoder_learns_and_a_killed_run_goes_on(data, tmp_path):
    config = yaml.safe_load(fitting_encoder.Flags.config.read_text())
    config |= {
        "encoder": {"stages": [8, 8, 16], "width": 16, "layers": 1}, "minutes": 0.15, "batch_objects": 12,
        "bank": {"prototypes": 3, "subdivisions": 2}, "warmup": 5, "log_every": 2, "save_every": 2,
        "reseed_every": 4,
    }  # fmt: skip
    (tmp_path / "small.yml").write_text(yaml.safe_dump(config))
    flags = fitting_encoder.Flags(data, tmp_path / "run", tmp_path / "small.yml")
    folder = fitting_encoder.train(flags)
    rows = np.genfromtxt(folder / "losses.csv", delimiter=",", names=True)
    assert rows["own"][-1] < rows["own"][0]
    trained = SlotEncoder.load(folder / "encoder.safetensors")
    assert trained.bank.sizes == BankSizes(prototypes=3, subdivisions=2)
    with pytest.raises(ValueError, match="already holds a run; choose another, or add --resume"):
        fitting_encoder.train(flags)
    steps = torch.load(folder / "state.pt", weights_only=True)["step"]
    fitting_encoder.train(replace(flags, resume=True, minutes=0.2))
    assert torch.load(folder / "state.pt", weights_only=True)["step"] > steps


def test_losses_may_be_weighed_instead_of_vertices(data):
    torch.manual_seed(0)
    bank = PrototypeBank(BankSizes(prototypes=3, subdivisions=1))
    model = SlotEncoder(EncoderSizes((8, 8, 16), 16, 1), bank)
    targets, labels = fitting_data.Pool(data).draw(2, 2, np.random.default_rng(0), 2, 0.0)
    terms = {
        weigh: fitting_encoder.losses(model, targets, labels, 2, 1.0, np.random.default_rng(1), weigh)[0]
        for weigh in ("vertices", "losses")
    }
    assert terms["losses"]["own"] != terms["vertices"]["own"]
    torch.testing.assert_close(terms["losses"]["free_space"], terms["vertices"]["free_space"])
    assert all(term.isfinite() for each in terms.values() for term in each.values())


def test_dead_prototypes_start_again_beside_the_busiest():
    bank = PrototypeBank(BankSizes(prototypes=4, subdivisions=1))
    before = bank.stretch_raw.detach().clone()
    usage = fitting_encoder.reseed(bank, torch.tensor([0.5, 0.3, 0.2, 0.001]), np.random.default_rng(0))
    after = bank.stretch_raw.detach()
    torch.testing.assert_close(after[:3], before[:3])
    assert (after[3] - before[0]).norm() < (before[3] - before[0]).norm()
    assert (after[3] != before[0]).any()
    assert usage[3] == 0.25


def test_the_teachers_way_leads_to_better_slots():
    env = SceneFitEnv(num_objects=3, slots=3, num_frames=4, backbone=None, points=256)
    env.reset(seed=0)
    episode = env.task.episode(0)
    wanted = fitting_agents.superquadric_slots(env.task, episode.state)
    before = episode.state.figures()
    for _ in range(6):
        for k in range(3):
            action = action_to(episode.state.slots[k], wanted[k], episode.state.target.unit)
            episode.state.put(k, moved(episode.state.slots[k], action, episode.state.target.unit))
    assert episode.state.figures()["one_directional"] < 0.8 * before["one_directional"]


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("weights") / "encoder.safetensors"
    bank = PrototypeBank(BankSizes(prototypes=3, subdivisions=2))
    SlotEncoder(EncoderSizes((8, 8, 16), 16, 1), bank).save(path)
    return path


@pytest.mark.parametrize("algo", ["bc_ppo", "sac"])
def test_agents_train_and_enter_the_table(algo, weights, tmp_path, monkeypatch):
    monkeypatch.setitem(fitting_agents.HYPERPARAMETERS["ppo"], "n_steps", 16)
    monkeypatch.setitem(fitting_agents.HYPERPARAMETERS["ppo"], "batch_size", 16)
    flags = fitting_agents.Flags(
        algo, tmp_path / algo, steps=160, teacher_episodes=2, num_envs=2, slots=2, prototypes=weights
    )
    folder = fitting_agents.train(flags)
    with pytest.raises(ValueError, match="already holds a run"):
        fitting_agents.train(flags)
    shown = fitting_table.Flags(
        tmp_path / "cache", rows=("k-means spheres", "encoder, refined"), counts=(2,), tracks=("clean",),
        scenes=2, split="validation", encoder=weights, runs=(folder,),
    )  # fmt: skip
    text = fitting_table.main(shown)
    assert "2 objects, clean: 2 scenes of procedural/validation" in text
    for row in ("k-means spheres", "encoder, refined", algo):
        assert f"| {row} | " in text
    lines = (tmp_path / "cache" / f"validation-clean-02-{algo}.jsonl").read_text().splitlines()
    assert [json.loads(line)["scene"] for line in lines] == [0, 1]
    assert fitting_table.main(replace(shown, show=True)) == text  # from the cache alone


def test_unknown_rows_are_refused(tmp_path):
    with pytest.raises(ValueError, match="rows: got 'kmeans'; expected some of random"):
        fitting_table.main(fitting_table.Flags(tmp_path, rows=("kmeans",)))
    with pytest.raises(ValueError, match="tracks: got 'dirty'; expected some of clean, noisy"):
        fitting_table.main(fitting_table.Flags(tmp_path, tracks=("dirty",)))
    with pytest.raises(ValueError, match=r"algo: got 'td3'; .*'ppo', 'bc_ppo', 'sac'"):
        fitting_agents.train(fitting_agents.Flags("td3", tmp_path / "td3"))


def test_every_figure_of_the_table_is_a_score(weights):
    env = SceneFitEnv(num_objects=2, slots=2, num_frames=1, backbone=None, prototypes=str(weights))
    env.reset(seed=0)
    _, target = env.task._load(0)
    figures = score_fit(target, env.task.episode(0).state.fit())
    assert set(fitting_table.COLUMNS) - {"score"} <= set(figures)
