"""A depth video as an animated scene."""

import json
import struct

import numpy as np
import pytest
import trimesh

from scenes.animated import Moving, write_animated
from scenes.film import Flags, run
from spatial_envs.geometry.camera import turn_about_y
from spatial_envs.geometry.mesh import Mesh


def parts(path):
    """The tree and what an accessor holds."""
    raw = path.read_bytes()
    magic, version, whole = struct.unpack_from("<4sII", raw)
    assert (magic, version, whole) == (b"glTF", 2, len(raw))
    (length,) = struct.unpack_from("<I", raw, 12)
    tree, data = json.loads(raw[20 : 20 + length]), raw[28 + length :]
    assert tree["buffers"][0]["byteLength"] == len(data)

    def values(number):
        accessor = tree["accessors"][number]
        view = tree["bufferViews"][accessor["bufferView"]]
        width = {"SCALAR": 1, "VEC3": 3, "VEC4": 4}[accessor["type"]]
        found = np.frombuffer(data, "<f4", accessor["count"] * width, view["byteOffset"]).reshape(-1, width)
        np.testing.assert_allclose(accessor["min"], found.min(axis=0))
        return found

    return tree, values


def test_what_moves_is_written_as_it_moves(tmp_path):
    box = trimesh.creation.box()
    mesh = Mesh(box.vertices.astype(np.float32), box.faces.astype(np.int32), np.full((8, 3), 90, np.uint8))
    times = np.array([0.0, 0.5, 1.0])
    poses = np.stack([turn_about_y(a) for a in (0.0, 2.0, 4.0)])  # more than half round
    poses[:, 0, 3] = [0, 1, 4]
    path = tmp_path / "scene.glb"
    write_animated(path, [Moving("box", mesh, poses)], times, np.tile(np.eye(4), (3, 1, 1)), 0.9)
    tree, values = parts(path)
    (animation,) = tree["animations"]
    found = {}
    for channel in animation["channels"]:
        sampler = animation["samplers"][channel["sampler"]]
        np.testing.assert_array_equal(values(sampler["input"])[:, 0], times)
        node = tree["nodes"][channel["target"]["node"]]["name"]
        found[node, channel["target"]["path"]] = values(sampler["output"])
    np.testing.assert_array_equal(found["box", "translation"], poses[:, :3, 3])
    half = np.array([0, 1, 2])
    np.testing.assert_allclose(np.abs(found["box", "rotation"][:, 1]), np.abs(np.sin(half)), atol=1e-6)
    turns = found["box", "rotation"]
    assert ((turns[1:] * turns[:-1]).sum(axis=1) > 0).all()
    np.testing.assert_allclose(np.abs(found["camera", "rotation"][0]), [1, 0, 0, 0], atol=1e-6)
    assert trimesh.load(path).geometry["box"].extents == pytest.approx([1, 1, 1])


def test_a_video_becomes_a_film(tmp_path):
    out = tmp_path / "scene.glb"
    flags = Flags("procedural", out=out, video=3, slots=3, steps=2, frames=5, picture=tmp_path / "fit.png")
    said = run(flags)
    assert "3 shapes" in said
    tree, values = parts(out)
    assert sorted(node["name"] for node in tree["nodes"] if "name" in node and node["name"] != "world") == [
        "camera", "slot_0", "slot_1", "slot_2",
    ]  # fmt: skip
    assert len(tree["animations"][0]["channels"]) == 8
    assert values(tree["animations"][0]["samplers"][0]["input"])[-1, 0] == pytest.approx(1)
    assert (tmp_path / "fit.png").stat().st_size > 1000
    with pytest.raises(ValueError, match="slots, steps, height: got 0, 2, 72"):
        run(Flags("procedural", out=out, slots=0, steps=2))
