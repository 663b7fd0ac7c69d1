"""The files of a MapAnything checkpoint, without its package: what is wrong with them is said by
``gym.make``."""

import json
import sys

import gymnasium as gym
import pytest
import torch
from safetensors.torch import save_file
from test_mapanything import config, save_shards

import spatial_envs  # noqa: F401
from spatial_envs.backbones import mapanything
from spatial_envs.backbones.checkpoint import V1, check_hub, is_here, open_checkpoint, width

STATE = {"info_sharing.norm.weight": torch.ones(96), "scale_token": torch.ones(8), "b": torch.ones(2)}
CONFIG, WEIGHTS, INDEX = "config.json", "model.safetensors", "model.safetensors.index.json"


@pytest.fixture
def folder(tmp_path):
    (tmp_path / CONFIG).write_text(json.dumps(config()))
    save_file(STATE, tmp_path / WEIGHTS)
    return tmp_path


def test_width_is_known_without_weights(folder):
    assert width(V1) == 768
    assert width("facebook/map-anything-apache") == 1536
    assert width(str(folder)) == 96
    (folder / CONFIG).write_text(json.dumps(config(width=384)))
    save_file({"info_sharing.norm.weight": torch.ones(384)}, folder / WEIGHTS)
    assert width(str(folder)) == 384
    with pytest.raises(FileNotFoundError, match="compact"):
        width("nobody/nothing")


def test_one_file_or_shards_and_nothing_beside_them(folder):
    save_file({"scale_token": torch.zeros(8)}, folder / "other.safetensors")
    assert [path.name for path in open_checkpoint(folder).weights] == [WEIGHTS]
    (folder / WEIGHTS).unlink()
    assert not is_here(str(folder))
    save_shards(STATE, folder)
    assert is_here(str(folder))
    found = open_checkpoint(folder)
    assert [path.name for path in found.weights] == [f"model-0000{k}-of-00003.safetensors" for k in (1, 2, 3)]
    assert found.width == 96
    assert found.config == config()


def cut(folder, name):
    path = folder / name
    path.write_bytes(path.read_bytes()[:-1])


def sharded(folder, weight_map=None):
    (folder / WEIGHTS).unlink()
    save_shards(STATE, folder)
    if weight_map is not None:
        (folder / INDEX).write_text(json.dumps({"weight_map": weight_map}))


def without_a_shard(folder):
    sharded(folder)
    (folder / "model-00002-of-00003.safetensors").unlink()


def with_a_cut_shard(folder):
    sharded(folder)
    cut(folder, "model-00003-of-00003.safetensors")


def text(content):
    return lambda folder: (folder / CONFIG).write_bytes(content)


def described(**changes):
    return lambda folder: (folder / CONFIG).write_text(json.dumps(config() | changes))


def of_width(dim):
    return described(info_sharing_config={"module_args": {"dim": dim}})


FIRST = "model-00001-of-00003.safetensors"
DAMAGED = {  # what was done to a good folder, the file, the fault
    "no config": (lambda folder: (folder / CONFIG).unlink(), CONFIG, "no such file"),
    "no weights": (lambda folder: (folder / WEIGHTS).unlink(), "", f"no weights; expected {WEIGHTS}, or"),
    "half a config": (text(b'{"name": '), CONFIG, "not JSON: Expecting value: line 1"),
    "deep config": (text(b"[" * 100_000), CONFIG, "not JSON"),
    "not UTF-8": (text(b"\xff\xfe{}"), CONFIG, "not JSON"),
    "a list": (text(b"[1]"), CONFIG, "got a list; expected an object"),
    "no encoder": (described(encoder_config=None), CONFIG, "got encoder_config = None; expected an object"),
    "no module_args": (described(info_sharing_config={}), CONFIG, "module_args = None; expected an object"),
    "width a word": (of_width("768"), CONFIG, "'768'}; expected .* dim, an integer above 0"),
    "no width": (of_width(0), CONFIG, "0}; expected .* dim, an integer above 0"),
    "another width": (of_width(192), WEIGHTS, r"norm\.weight of shape \(96,\); expected \(192,\)"),
    "empty weights": (lambda folder: (folder / WEIGHTS).write_bytes(b""), WEIGHTS, "header too small"),
    "garbage": (lambda folder: (folder / WEIGHTS).write_bytes(b"noise" * 9), WEIGHTS, "too large"),
    "cut weights": (lambda folder: cut(folder, WEIGHTS), WEIGHTS, "not whole"),
    "another's weights": (
        lambda folder: save_file({"b": torch.ones(2)}, folder / WEIGHTS),
        WEIGHTS,
        r"no tensor info_sharing\.norm\.weight; expected a MapAnything",
    ),
    "no shard": (without_a_shard, "model-00002-of-00003.safetensors", "no such file"),
    "cut shard": (with_a_cut_shard, "model-00003-of-00003.safetensors", "not whole"),
    "index without a map": (lambda folder: sharded(folder, []), INDEX, "expected one from tensors"),
    "index of numbers": (lambda folder: sharded(folder, {"b": 1}), INDEX, "expected one from tensors"),
    "index of another": (lambda folder: sharded(folder, {"c": FIRST}), FIRST, "no tensor c, which"),
}  # fmt: skip


@pytest.mark.parametrize(("damage", "file", "message"), DAMAGED.values(), ids=DAMAGED)
def test_gym_make_names_the_file_and_the_fault(folder, monkeypatch, damage, file, message):
    monkeypatch.setattr(mapanything, "is_installed", lambda: True)
    damage(folder)
    with pytest.raises((ValueError, FileNotFoundError), match=message) as caught:
        gym.make(
            "NBV-MapAnything-v0", backbone="mapanything", backbone_kwargs={"checkpoint": str(folder)},
            image_size=56, num_objects=1,
        )  # fmt: skip
    assert str(folder / file) in str(caught.value).partition(":")[0]


def test_default_weights_that_are_not_here(monkeypatch):
    """Said when the environment is made, not at the first reset."""
    monkeypatch.setattr(mapanything, "is_installed", lambda: True)
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    with pytest.raises(
        FileNotFoundError, match=r"map-anything-apache-v1' are not here and could not be fetched"
    ):
        gym.make("NBV-MapAnything-v0", backbone="mapanything", image_size=56, num_objects=1)
    with pytest.raises(
        FileNotFoundError, match=r"checkpoint'\]: got 'nowhere'; expected a folder with config"
    ):
        gym.make("NBV-MapAnything-v0", backbone="mapanything", backbone_kwargs={"checkpoint": "nowhere"})
    with pytest.raises(FileNotFoundError, match="huggingface_hub"):
        check_hub(V1)
