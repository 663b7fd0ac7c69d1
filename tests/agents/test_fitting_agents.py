"""Training of encoder and agents end to end, in small, and the table that they end up in."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image

from agents.comparison.compare import Flags, compare
from agents.comparison.scores import Kept, Scores
from agents.comparison.table import table
from agents.play import UNTRAINED
from agents.run_folder import load
from agents.scene_fit import encoder as fitting_encoder
from agents.scene_fit import encoder_data as fitting_data
from agents.scene_fit.baselines import FITTERS
from agents.scene_fit.colors import color_prototypes
from agents.scene_fit.family import FITTING
from agents.scene_fit.teacher import LeastSquares, Refinement
from agents.training import train as training
from agents.training.config import CONFIGS, resolve
from spatial_envs.foundation import yaml_files
from spatial_envs.geometry.camera import unproject
from spatial_envs.prototypes.bank import BankSizes, PrototypeBank
from spatial_envs.prototypes.encoder import SHIPPED, EncoderSizes, SlotEncoder
from spatial_envs.prototypes.pieces import pieces
from spatial_envs.prototypes.refine import refined
from spatial_envs.prototypes.scores import score_fit
from spatial_envs.prototypes.target import make_target
from spatial_envs.scene_fit import SceneFitEnv
from spatial_envs.scenes.depth_frames import open_depth

FIT = "SceneFit-Prototype-v0"


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
    intrinsics = mirror.intrinsics
    assert intrinsics[0, 0] * local[0] / local[2] + intrinsics[0, 2] == pytest.approx(column + 0.5, abs=0.01)
    assert intrinsics[1, 1] * local[1] / local[2] + intrinsics[1, 2] == pytest.approx(row + 0.5, abs=0.01)
    assert local[2] == pytest.approx(mirror.depth[row, column], abs=1e-3)


SMALL_ENCODER = (
    "encoder={stages: [8, 8, 16], width: 16, layers: 1}", "bank={prototypes: 3, subdivisions: 2}", "scenes=3",
    "colored=2", "batch_objects=12", "warmup=5", "log_every=2", "save_every=2", "reseed_every=4",
)  # fmt: skip


def test_the_encoder_learns_and_a_killed_run_goes_on(data, tmp_path):
    flags = training.Flags(
        "encoder", FIT, out=tmp_path / "run", final_starts=2, set=("num_objects=2", "slots=2"),
        hyper=(*SMALL_ENCODER, f"data={data}", "minutes=0.15"),
    )  # fmt: skip
    folder = training.train(flags)
    rows = np.genfromtxt(folder / "losses.csv", delimiter=",", names=True)
    assert rows["own"][-1] < rows["own"][0]
    trained = SlotEncoder.load(folder / "encoder.safetensors")
    assert trained.bank.sizes == BankSizes(prototypes=3, subdivisions=2)
    table = (folder / "table.md").read_text()
    for row in ("kmeans-superquadrics", "oracle", "encoder-refined", "trained here", "trained here, refined"):
        assert f"| {row} |" in table
    assert np.asarray(Image.open(folder / "episode.png")).std() > 10
    with pytest.raises(ValueError, match="already holds a run; choose another, or use --resume"):
        training.train(flags)
    steps = torch.load(folder / "state.pt", weights_only=True)["step"]
    config = yaml_files.read(folder / "config.yaml")
    config["hyperparameters"]["minutes"] = 0.2
    (folder / "config.yaml").write_text(yaml_files.text({**config, "final_starts": 0}))
    training.train(training.Flags(resume=folder))
    assert torch.load(folder / "state.pt", weights_only=True)["step"] > steps
    run, fitter = load(folder)
    assert run["algo"] == "encoder"
    assert fitter(fitting_data.read(next(data.glob("*.npz"))), 2).vertices.shape[0] == 2


def test_an_encoder_learns_from_files_of_depth_alone(tmp_path):
    frames = open_depth("procedural", num_objects=2)
    (tmp_path / "depth").mkdir()
    for k in range(3):
        np.save(tmp_path / "depth" / f"{k}.npy", frames.load(k).view.depth)
    flags = training.Flags(
        "encoder", FIT, scenes=str(tmp_path / "depth"), out=tmp_path / "run", final_starts=0,
        set=("slots=2", "intrinsics=[80, 80, 48, 36]"),
        hyper=(*SMALL_ENCODER, "minutes=0.1"),
    )  # fmt: skip
    with pytest.raises(ValueError, match=r"teacher: got 'truth' for scenes=.*depth', .*expected 'depth'"):
        training.train(replace(flags, hyper=(*flags.hyper, "teacher=truth")))
    folder = training.train(flags)
    rows = np.genfromtxt(folder / "losses.csv", delimiter=",", names=True)
    assert rows["own"][-1] < rows["own"][0]
    kept = fitting_data.read(next((folder / "data").glob("02-*.npz")))
    assert kept.objects is None
    assert kept.surface is None
    config = yaml_files.read(folder / "config.yaml")["hyperparameters"]
    assert (config["teacher"], config["weights"]["reverse"], config["weights"]["own"]) == ("depth", 0.2, 1.0)


def test_groups_stand_for_objects():
    target = make_target(open_depth("procedural", num_objects=2).load(0))
    labels = pieces(target, 3)
    told = fitting_data.by_groups(target, labels)
    assert set(told.objects) == {1, 2, 3}
    for k in range(3):
        np.testing.assert_array_equal(told.surface[told.surface_objects == k + 1], target.points[labels == k])


def test_prototypes_take_the_colours_of_what_they_explain():
    model, frames = SlotEncoder.load(SHIPPED), open_depth("procedural", num_objects=1)

    class RedAbove:
        """What lies above the middle of its scene is red, what is below blue."""

        def load(self, index):
            frame = frames.load(index)
            view = frame.view
            height = unproject(view.depth, view.intrinsics, view.cam_to_world)[..., 1]
            above = height > frame.points[:, 1].mean()
            rgb = np.where(above[..., None], [255, 0, 0], [0, 0, 255]).astype(np.uint8)
            return replace(frame, view=replace(view, rgb=rgb))

    color_prototypes(model, RedAbove(), 6, 1)
    colors = model.bank.colors().detach()
    assert colors[..., 1].max() < 0.03
    torch.testing.assert_close(
        colors[..., 0] + colors[..., 2], torch.ones(colors.shape[:2]), atol=0.05, rtol=0
    )
    top = colors[..., 0][:, model.bank.directions[:, 1] > 0.5].mean()
    bottom = colors[..., 0][:, model.bank.directions[:, 1] < -0.5].mean()
    assert top > bottom + 0.1  # what no camera saw is like the mean


BAD_ENCODERS = {
    "environment": ({"env": "NBV-MapAnything-v0"}, "expected --env SceneFit-Prototype-v0"),
    "scenes": ({"scenes": "rooms"}, "scenes: .*rooms"),
    "teacher": ({"hyper": ("teacher=me",)}, "teacher: got 'me'; .*'truth', 'depth'"),
    "timesteps": ({"timesteps": 100}, "timesteps: .* has --hyper minutes="),
    "hyper": ({"hyper": ("minute=3",)}, "hyper: unknown key 'minute'; valid are bank"),
    "weights": ({"hyper": ("weights={free: 3}",)}, "weights: unknown key 'free'; valid are distance"),
    "weigh": ({"hyper": ("weigh=loss",)}, "weigh: got 'loss'; .*'vertices', 'losses'"),
    "minutes": ({"hyper": ("minutes=soon",)}, "minutes: got 'soon'; expected a number such as 50"),
    "bank": ({"hyper": ("bank={prototype: 3}",)}, "encoder, bank: .*'prototype'"),
    "layers": ({"hyper": ("encoder={layers: 4294967296}",)}, "layers: got 4294967296; expected int from 1"),
    "set": ({"set": ("slot=3",)}, "'slot'.*did you mean 'slots'"),
    "set slots": ({"set": ("slots=0",)}, "slots: got 0; expected int from 1"),
    "warm": ({"warm": ("steps=3",)}, "warm: means nothing to the encoder"),
}


@pytest.mark.parametrize("name", BAD_ENCODERS)
def test_bad_flags_of_the_encoder_are_named(name, tmp_path):
    changes, message = BAD_ENCODERS[name]
    with pytest.raises((ValueError, TypeError), match=message):
        training.train(training.Flags(**{"algo": "encoder", "env": FIT, "out": tmp_path / "run", **changes}))
    assert not (tmp_path / "run").exists()


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
    observation, first = env.reset(seed=0)
    teacher, over, norms = LeastSquares(env), False, []
    while not over:
        action, _ = teacher.predict(observation)
        norms.append(np.abs(action[1:]).max())
        observation, _, over, _, info = env.step(action)
    assert info["one_directional"] < 0.8 * first["one_directional"]
    assert max(norms[-3:]) < 0.05  # it has arrived
    with pytest.raises(ValueError, match="LeastSquares: got action='all'"):
        LeastSquares(SceneFitEnv(num_frames=1, action="all", backbone=None))


def test_the_refinements_way_leads_to_what_refinement_finds():
    env = SceneFitEnv(num_objects=3, slots=3, num_frames=4, backbone=None, start="encoder")
    observation, first = env.reset(seed=1)
    teacher, over = Refinement(env), False
    state, bank = env.task.episode(0).state, env.task.model[0].bank
    found = refined(bank, state.target, torch.as_tensor(state.slots).float()).numpy()
    while not over:
        observation, _, over, _, info = env.step(teacher.predict(observation)[0])
    np.testing.assert_allclose(state.slots[:, :4], found[:, :4], atol=1e-3)
    assert info["occlusion_aware"] < first["occlusion_aware"]


@pytest.fixture(scope="module")
def short(tmp_path_factory):
    """Published configurations, so short that a run takes seconds."""
    folder = tmp_path_factory.mktemp("configs")
    quick = {"n_steps": 16, "batch_size": 16, "n_envs": 2, "learning_starts": 16, "buffer_size": 500}
    for algo in ("ppo", "sac"):
        entry = yaml_files.read(CONFIGS / f"{algo}.yml")[FIT]
        entry |= {key: value for key, value in quick.items() if key in entry}
        entry["env_kwargs"] = {"num_objects": 2, "slots": 2}
        (folder / f"{algo}.yml").write_text(yaml_files.text({FIT: entry}))
    return folder


@pytest.fixture(scope="module", params=["ppo", "sac"])
def run(request, short, weights, tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs") / request.param
    taught = request.param == "ppo"
    return training.train(
        training.Flags(
            request.param, FIT, config=short / f"{request.param}.yml", out=folder, backbone="none",
            timesteps=200, eval_every=64, validation_starts=2, final_starts=2 if taught else 0, track="none",
            set=(f"prototypes={weights}", "num_frames=3", "steps=8"),
            warm_start="least-squares" if taught else None,
            warm=("steps=64", "rounds=2", "value_steps=32") if taught else (),
        )
    )  # fmt: skip


def test_agents_leave_what_they_should(run):
    names = {path.name for path in run.iterdir()}
    assert {"model.zip", "config.yaml", "evaluations.csv", "curves.png", "episode.mp4"} <= names
    rows = np.genfromtxt(run / "evaluations.csv", delimiter=",", names=True, dtype=None, encoding=None)
    assert rows["policy"].tolist()[:3] == ["kmeans-spheres", "kmeans-superquadrics", "agent"]
    assert (rows["merit"] <= rows["high"]).all()
    assert (rows["low"] <= rows["merit"]).all()
    if "ppo" in run.name:
        assert len((run / "warm_start.csv").read_text().splitlines()) == 3
        assert "| agent, untrained |" in (run / "table.md").read_text()


def test_runs_are_compared_at_other_numbers_of_slots_and_a_killed_comparison_goes_on(run, tmp_path):
    flags = Flags(
        run=(run,), baselines=("kmeans-spheres", "kmeans-superquadrics"), episodes=2, out=tmp_path / "out",
        set=("num_objects=3", "noise=1"),
    )  # fmt: skip
    results = compare(flags)
    assert list(results) == ["3 objects, noisy"]
    row = run.name
    found = results["3 objects, noisy"]
    assert list(found) == [
        "kmeans-spheres",
        "kmeans-superquadrics",
        row + UNTRAINED,
        row,
        row + ", searching",
    ]
    text = (tmp_path / "out" / "tables.md").read_text()
    assert "score minus untrained" in text
    path = next((tmp_path / "out").glob(f"*{row.replace(' ', '_').replace('-', '_')}-0.jsonl"))
    lines = path.read_text().splitlines()
    assert [json.loads(line)["episode"] for line in lines] == [0, 1]
    path.write_text(f"{lines[0]}\n{lines[1][:9]}")  # killed while it wrote
    for kept in (tmp_path / "out").glob("*spheres*.jsonl"):
        kept.write_text(kept.read_text().replace('"ari": ', '"ari": 7'))  # is not made again
    again = compare(flags)["3 objects, noisy"]
    np.testing.assert_allclose(again[row].figures["full"], found[row].figures["full"])
    assert (again["kmeans-spheres"].figures["ari"] >= 7).all()


def test_an_agent_of_ones_own_and_a_file_without_truth(tmp_path):
    np.save(tmp_path / "depth.npy", open_depth("procedural", "test", num_objects=2).load(0).view.depth)
    flags = Flags(
        env=FIT, agent="agents.scene_fit.teacher:LeastSquares", baselines=("all",), episodes=1,
        scenes=str(tmp_path / "depth.npy"), out=tmp_path / "table.md",
        set=("intrinsics=[80, 80, 48, 36]", "slots=2", "steps=4"),
    )  # fmt: skip
    found = compare(flags)["depth.npy"]
    assert flags.agent in found
    assert "oracle" not in found
    assert set(found["encoder"].figures) == {
        "one_directional", "held_out", "occlusion_aware", "fsv", "depth_agreement", "slots"
    }  # fmt: skip
    assert found["kmeans-spheres"].figures["held_out"].mean() > 0
    assert "| encoder-refined |" in (tmp_path / "table.md").read_text()


def test_wrong_comparisons_are_refused(tmp_path):
    with pytest.raises(ValueError, match="baselines: got 'kmeans'; expected some of random-spheres"):
        compare(Flags(env=FIT, baselines=("kmeans",)))
    with pytest.raises(ValueError, match="budgets: got"):
        compare(Flags(env=FIT, baselines=("all",), budgets=(3,)))
    with pytest.raises(ValueError, match="episodes: got 0"):
        compare(Flags(env=FIT, baselines=("all",), episodes=0))
    with pytest.raises(ValueError, match="num_objects: got 'few'"):
        compare(Flags(env=FIT, baselines=("all",), set=("num_objects=few",)))
    taught = training.Flags("ppo", FIT, warm_start="greedy", backbone="none")
    with pytest.raises(ValueError, match="warm_start: got greedy for SceneFit"):
        resolve(taught)
    with pytest.raises(ValueError, match="Refinement: got action='all'"):
        resolve(replace(taught, warm_start="refinement", set=("action=all",)))


def test_a_folder_of_figures_belongs_to_one_comparison(tmp_path):
    quick = Flags(
        env=FIT, baselines=("kmeans-spheres",), episodes=1, out=tmp_path / "out",
        set=("num_objects=2", "noise=0"),
    )  # fmt: skip
    compare(quick)
    compare(replace(quick, baselines=("kmeans-ellipsoids",), set=("num_objects=1", "noise=0")))
    with pytest.raises(ValueError, match=r"out: .* holds another comparison \(settings.yaml there\)"):
        compare(replace(quick, split="validation"))


def test_runs_of_slots_that_do_not_take_turns_keep_their_number(weights, short, tmp_path):
    flags = training.Flags(
        "ppo", FIT, config=short / "ppo.yml", out=tmp_path / "run", backbone="none", timesteps=32,
        eval_every=64, validation_starts=1, final_starts=0, track="none",
        set=(f"prototypes={weights}", "num_frames=1", "steps=2", "action=all"),
    )  # fmt: skip
    folder = training.train(flags)
    with pytest.raises(ValueError, match="slots: got 3 for a run with 2 that do not take turns"):
        compare(Flags(run=(folder,), baselines=("kmeans-spheres",), episodes=1, set=("num_objects=3",)))
    table = compare(
        Flags(run=(folder,), baselines=("kmeans-spheres",), episodes=1, set=("num_objects=2", "noise=0"))
    )
    assert "ppo" in table["2 objects, clean"]
    with pytest.raises(ValueError, match="run: got one in SceneFit-Prototype-v0 for PointNav-Habitat-v0"):
        compare(Flags(run=(folder,), env="PointNav-Habitat-v0"))


def test_the_score_of_the_table_by_hand(weights):
    env = SceneFitEnv(num_objects=2, slots=2, num_frames=1, backbone=None, prototypes=str(weights))
    target = env.task.load(0)[1]
    fit = FITTERS["kmeans-superquadrics"](target, 2, 0)
    found, scores = (
        FITTING.score(env, FITTERS["kmeans-superquadrics"], 0),
        score_fit(target, fit),
    )
    worst = score_fit(target, FITTERS["random-spheres"](target, 2, 0))["occlusion_aware"]
    best = score_fit(target, FITTERS["oracle"](target, 2, 0))["occlusion_aware"]
    gain = min(max((worst - scores["occlusion_aware"]) / (worst - best), 0), 1)
    expected = gain * (1 - scores["fsv"]) * max(scores["ari"], 0) * scores["full"]
    assert found["score"] == pytest.approx(expected)


def test_differences_are_paired():
    rng = np.random.default_rng(0)
    base = rng.uniform(0, 1, (1, 40))
    results = {
        "kmeans-superquadrics": Scores({"score": base}, np.arange(40)),
        "ours": Scores({"score": np.concatenate([base + 0.05, base + 0.07])}, np.arange(40)),
    }
    line = table(FITTING, results, ["kmeans-superquadrics"]).splitlines()[-1]
    assert line.endswith("| +6.0 [+6.0, +6.0] |")


@pytest.mark.parametrize(
    "line",
    ["[" * 20_000, "3", "{}", '{"episode": [1]}', '{"episode": 1, "scene": 1, "score": "x"}',
     '{"episode": 1}',
     '{"episode": 1, "scene": 1}', '{"episode": 1, "scene": 1, "score": [1, [2]]}'],
)  # fmt: skip
def test_damaged_scores_of_a_comparison_are_named(line, tmp_path):
    path = tmp_path / "rows.jsonl"
    path.write_text(
        '{"episode": 0, "scene": 0, "score": 0.5}\n' + line + '\n{"episode": 2, "sc', encoding="utf-8"
    )
    expected = r"^out: .*rows\.jsonl: .*expected (scores of an|the same scores of every) episode"
    with pytest.raises(ValueError, match=expected):
        Kept(path)
