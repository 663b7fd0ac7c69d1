"""Scores of directions by the voxels: what they read, what they are taught from, and how."""

import numpy as np
import pytest
import torch

from agents.export import Flags as ExportFlags
from agents.export import export
from agents.exported import load_agent
from agents.nbv import states as recorded
from agents.nbv.candidates import measures
from agents.nbv.states import Flags as StateFlags
from agents.nbv.states import read_states, record, states, surface
from agents.nbv.surface_gains import REGION
from agents.nbv.voxel_policy import VoxelPolicy
from agents.nbv.voxel_scores import VoxelScores, reading, told
from agents.nbv.voxel_training import Flags, directions_of_records, regret, train, unpacked
from agents.run_folder import load
from spatial_envs.nbv import NBVDiscreteEnv
from spatial_envs.nbv.starts import initial_poses
from spatial_envs.scenes.objects import open_objects


def centres(side):
    line = (np.arange(side) + 0.5) * 2 / side - 1
    return np.stack(np.meshgrid(line, line, line, indexing="ij"), -1).reshape(-1, 3)


def test_a_direction_reads_round_the_points_of_its_lattice():
    """The mean place of what a lattice's point counts lies towards that point, in the direction's axes."""
    direction = np.array([0.6, 0.48, 0.64])
    east = np.cross([0, 1, 0], direction) / np.hypot(direction[0], direction[2])
    axes = np.stack([east, np.cross(direction, east), direction])
    weights = reading(torch.as_tensor(direction)[None, None], 8)[0, 0].numpy()
    np.testing.assert_allclose(weights.sum(axis=1), 1)
    places = (weights @ centres(8) @ axes.T).reshape(3, 3, 3, 3)
    for axis in range(3):
        along = np.moveaxis(places[..., axis], axis, 0).reshape(3, 9)
        assert along[0].max() < -0.3
        assert np.abs(along[1]).max() < 0.1
        assert along[2].min() > 0.3


def test_turned_by_a_quarter_the_directions_read_the_same():
    """Cells and directions turned together about +Y: X becomes Z, Z becomes -X."""
    generator = torch.Generator().manual_seed(0)
    cells = torch.rand(8, 8, 8, generator=generator)
    directions = torch.nn.functional.normalize(torch.randn(5, 3, generator=generator), dim=-1)
    turned = torch.stack([-directions[:, 2], directions[:, 1], directions[:, 0]], dim=-1)
    before = reading(directions[None], 8) @ cells.flatten()
    after = reading(turned[None], 8) @ cells.flip(2).transpose(0, 2).flatten()
    torch.testing.assert_close(before, after)


def test_it_begins_as_the_measures_and_its_scores_are_each_direction_s_own():
    network = VoxelScores()
    known = (torch.rand(2, 2, 32, 32, 32) > 0.8).float()
    directions, measured = directions_of_records()[None].expand(2, -1, -1), torch.randn(2, 64, 2)
    torch.testing.assert_close(network(known, directions, measured), measured.sum(dim=-1))
    torch.nn.init.normal_(network.score[-1].weight)
    order = torch.randperm(64)
    scores = network(known, directions, measured)
    torch.testing.assert_close(network(known, directions[:, order], measured[:, order]), scores[:, order])
    assert (scores[0] - scores[1]).abs().max() > 0.01


def test_states_are_what_the_environment_shows(monkeypatch):
    """Of the same first view; and the gains by few points follow the true ones."""
    monkeypatch.setattr(recorded, "EPISODES", 1)
    mesh = open_objects("procedural", "train").load(3)
    made = states(mesh, None, np.random.default_rng(0))
    assert made.views.tolist() == [1, 2, 3, 4]
    assert made.foreign.shape == (0, 2, 4096)
    env = NBVDiscreteEnv(
        backbone=None, split="train", num_objects=4, candidate_radius=1.2,
        observations=[*VoxelPolicy.KEYS, "gains"],
    )  # fmt: skip
    generator = np.random.default_rng(0)
    surface(mesh, generator)
    first = initial_poses(generator, REGION, "random", 1)
    observation, _ = env.reset(options={"object": 3, "views": first})
    shown = {key: torch.as_tensor(value)[None] for key, value in observation.items()}
    torch.testing.assert_close(unpacked(made.seen[:1]), told(shown["voxels"]))
    left = shown["candidates"][..., 3]
    torch.testing.assert_close(torch.as_tensor(made.left[:1]), left > 0.5)
    torch.testing.assert_close(torch.as_tensor(made.measured[:1]), measures(shown["glimpses"], left))
    torch.testing.assert_close(directions_of_records()[None], shown["candidates"][..., :3])
    assert np.corrcoef(made.gains[0], observation["gains"])[0, 1] > 0.9


def test_a_training_goes_on_where_it_stopped_and_ends_as_an_agent(tmp_path):
    records, config = tmp_path / "states", {"hyper": ("steps=4", "batch_size=4")}
    record(StateFlags(records, "validation", objects=2))
    before = {path: path.stat().st_mtime_ns for path in records.iterdir()}
    record(StateFlags(records, "validation", objects=2))
    assert {path: path.stat().st_mtime_ns for path in records.iterdir()} == before
    found = read_states(records)
    assert found.seen.shape == found.foreign.shape == (24, 2, 4096)
    assert regret(found.gains, found).max() == 0
    common = {"records": records, "validation": records, **config}
    figures = train(Flags(out=tmp_path / "run", **common))
    assert figures["regret, network"][0] >= 0
    (tmp_path / "run" / "model.zip").unlink()  # interrupted before the end
    assert train(Flags(out=tmp_path / "run", **common)) == figures
    with pytest.raises(ValueError, match="already holds a run"):
        train(Flags(out=tmp_path / "run", **common))
    export(ExportFlags(tmp_path / "run", tmp_path / "agent"))
    agent = load_agent(tmp_path / "agent")
    env = NBVDiscreteEnv(
        **{**agent.env_kwargs, "split": "validation", "num_objects": 1, "observations": [*VoxelPolicy.KEYS]}
    )
    observation, _ = env.reset(seed=0)
    _, model = load(tmp_path / "run")
    own, _ = model.predict(observation, deterministic=True)
    assert agent.predict(observation, deterministic=True)[0] == own
    assert REGION.radius[0] == agent.env_kwargs["candidate_radius"]
