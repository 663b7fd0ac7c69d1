"""Habitat's scene instances: where objects stand, by the file's own numbers, and what is missing by name."""

import json

import numpy as np
import pytest
import trimesh
from buildings import boxes, room

from spatial_envs.foundation.errors import MeshError
from spatial_envs.scenes.buildings import open_buildings
from spatial_envs.simulators import make_simulator

BOX = (0.0, 1.0, 0.0, 0.5, 0.0, 0.2)  # 1 x 0.5 x 0.2 m, a corner at its origin
QUARTER = [np.sqrt(0.5), 0, np.sqrt(0.5), 0]  # w, x, y, z: a quarter turn about Y, which takes +X to -Z


def write(path, mesh):
    path.parent.mkdir(parents=True, exist_ok=True)
    trimesh.Trimesh(mesh.vertices, mesh.faces, process=False).export(path)


def scene(root, *objects, **instance):
    """A data set with a stage of 6 x 5 m and a box, and one scene instance with these objects in it."""
    write(root / "stages/a.glb", room(0, 6, 0, 5))
    write(root / "objects/0/box.glb", boxes(BOX))
    path = root / "scenes/a.scene_instance.json"
    path.parent.mkdir(exist_ok=True)
    content = {"stage_instance": {"template_name": "stages/a"}, "object_instances": objects, **instance}
    path.write_text(json.dumps(content))
    (root / "set.scene_dataset_config.json").write_text("{}")
    return path


def placed(root, *objects, **instance):
    """(2, 3): the bounds of what stands in the stage."""
    mesh = open_buildings(scene(root, *objects, **instance)).load(0).mesh
    points = mesh.vertices[len(room(0, 6, 0, 5).vertices) :]
    return np.array([points.min(axis=0), points.max(axis=0)])


def test_objects_stand_where_the_instance_has_them(tmp_path):
    entry = {"template_name": "box", "translation": [2, 0, 3], "rotation": QUARTER}
    entry["non_uniform_scale"] = [2, 1, 1]
    local = placed(tmp_path / "local", entry, translation_origin="asset_local")
    np.testing.assert_allclose(local, [[2, 0, 1], [2.2, 0.5, 3]], atol=1e-5)
    centred = placed(tmp_path / "centred", entry)  # where nothing else is said, by the middle of the box
    np.testing.assert_allclose(centred, [[1.9, -0.25, 2], [2.1, 0.25, 4]], atol=1e-5)
    (tmp_path / "config/objects").mkdir(parents=True)
    config = {"render_asset": "0/box.glb", "scale": [0.5, 0.5, 0.5], "COM": [0, 0, 0]}
    (tmp_path / "config/objects/half.object_config.json").write_text(json.dumps(config))
    half = placed(tmp_path / "config", {**entry, "template_name": "objects/half"})
    np.testing.assert_allclose(half, [[2, 0, 2], [2.1, 0.25, 3]], atol=1e-5)


def test_the_stage_stands_where_the_instance_has_it(tmp_path):
    path = scene(tmp_path)
    path.write_text('{"stage_instance": {"template_name": "a", "translation": [1, 2, 3]}}')
    low = open_buildings(path).load(0).mesh.vertices.min(axis=0)
    np.testing.assert_allclose(low, [0.8, 1.9, 2.8], atol=1e-5)


def test_objects_stand_in_the_way(tmp_path):
    entry = {"template_name": "box", "translation": [2.9, 0, 0], "non_uniform_scale": [0.1, 3, 26]}
    path = scene(tmp_path, entry, translation_origin="asset_local")
    for scenes in (path, tmp_path, tmp_path / "set.scene_dataset_config.json"):
        buildings = open_buildings(scenes)
        assert buildings.names == ("a",)
    building = buildings.load(0)
    islands = make_simulator("builtin", building, image_size=32).islands
    assert len(islands) == 2
    assert islands.max() < 15
    assert "Y up and metres" in building.frame.reason


def test_what_is_missing_is_counted_and_named(tmp_path):
    entries = [{"template_name": name} for name in ("box", "sofa", "sofa", "broken")]
    path = scene(tmp_path, *entries, articulated_object_instances=[{"template_name": "door"}])
    (tmp_path / "objects/broken.glb").write_bytes(b"glTF")
    with pytest.warns(
        UserWarning, match=r"left out 4 of its 5 objects: sofa is not there; door is art.*broken "
    ):
        building = open_buildings(path).load(0)
    assert len(building.mesh.faces) == len(room(0, 6, 0, 5).faces) + 12
    for content, said in (
        ("[", "not a JSON file"),
        ("{}", "expected {'stage_instance'"),
        ('{"stage_instance": {"template_name": "b"}}', "its stage 'b' is not in"),
    ):
        path.write_text(content)
        with pytest.raises(MeshError, match=said):
            open_buildings(path).load(0)
    scene(tmp_path, {"template_name": "box", "translation": [1, 2]})
    with pytest.raises(MeshError, match=r"translation: got \[1, 2\]; expected 3 numbers"):
        open_buildings(path).load(0)
    with pytest.raises(ValueError, match="up= and scale= are for mesh files"):
        open_buildings(path, up="z")
