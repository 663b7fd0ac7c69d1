"""Which way is up in a building's file and how long its unit is: said by its companions, name or geometry."""

import json
import re
import warnings
from dataclasses import replace

import numpy as np
import pytest
import trimesh
from buildings import room
from PIL import Image

from scenes import inspect
from spatial_envs.foundation.errors import MeshError
from spatial_envs.scenes.buildings import open_buildings
from spatial_envs.simulators.stage import is_read_directly

SIZE = [6.4, 2.7, 5.4]  # of the room, walls and ceiling included, metres, Y up


def house():
    """A room of 6 x 5 m under a ceiling at 2.5 m, with a table."""
    return room(0, 6, 0, 5, (-0.2, 6.2, 2.5, 2.6, -0.2, 5.2), (1, 2, 0.7, 0.75, 1, 2))


def write(path, unit=1.0, up="y"):
    """The house in a file whose unit is so many metres."""
    mesh = house()
    x, y, z = mesh.vertices.astype(np.float64).T / unit
    points = np.stack([x, -z, y] if up == "z" else [x, y, z], axis=1)
    path.parent.mkdir(parents=True, exist_ok=True)
    colours = np.full((len(points), 4), 200, np.uint8)
    trimesh.Trimesh(points, mesh.faces, vertex_colors=colours, process=False).export(path)
    return path


def loaded(path, **arguments):
    """The one building, and what was warned of."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        building = open_buildings(path, **arguments).load(0)
    return building, " ".join(str(w.message) for w in caught if str(path) in str(w.message))


def check(building):
    assert np.allclose(np.ptp(building.mesh.vertices, axis=0), SIZE, atol=1e-3)


@pytest.mark.parametrize("ending", ["glb", "ply", "obj"])
@pytest.mark.parametrize("up", ["y", "z"])
def test_floors_tell_the_axis_where_nothing_else_does(tmp_path, ending, up):
    building, warned = loaded(write(tmp_path / f"a.{ending}", up=up))
    check(building)
    assert building.frame.up == up
    assert ("Z up by its geometry" in warned) == (up == "z")
    if up == "z":
        assert "up= and scale= decide" in warned
        other, _ = loaded(tmp_path / f"a.{ending}", up="y")  # decides
        assert np.ptp(other.mesh.vertices, axis=0)[1] == pytest.approx(5.4, abs=1e-3)


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("scene0000_00/scene0000_00_vh_clean_2.ply", "ScanNet"),
        ("office/habitat/mesh_semantic.ply", "Replica"),
        ("00800-TEEsavR23oF/TEEsavR23oF.glb", "Habitat-Matterport 3D"),
    ],
)
def test_names_of_data_sets_tell_it(tmp_path, name, said):
    building, warned = loaded(write(tmp_path / name, up="z"))
    check(building)
    assert said in building.frame.reason
    assert not warned


@pytest.mark.parametrize(
    ("unit", "word"), [(0.3048, "feet"), (0.0254, "inches"), (0.01, "centimetres"), (0.001, "millimetres")]
)
@pytest.mark.parametrize("up", ["y", "z"])
def test_ceilings_tell_the_unit_where_nothing_else_does(tmp_path, unit, word, up):
    building, warned = loaded(write(tmp_path / "a.glb", unit, up))
    check(building)
    assert (building.frame.scale, building.frame.up) == (unit, up)
    assert f"units are {word} by its geometry, probably: ceilings are {2.5 / unit:.4g}"[:50] in warned
    assert not is_read_directly(replace(building, path=building.path))  # habitat-sim takes metres
    plain, _ = loaded(tmp_path / "a.glb", scale=2 * unit)
    assert np.allclose(np.ptp(plain.mesh.vertices, axis=0), 2 * np.array(SIZE), atol=1e-3)


def test_a_hall_in_metres_is_told_from_a_room_in_feet_by_its_tables_and_doors(tmp_path):
    shell = (-0.2, 20.2, 9, 9.2, -0.2, 16.2)
    table, door_head = (8, 10, 0.7, 0.75, 8, 9), (9, 9.2, 2.03, 4, 0, 16)
    for name, extra, metres in (
        ("empty", (), 0.3048),  # which nothing tells from a room in feet
        ("table", (table,), 1.0),
        ("door", (door_head,), 1.0),
        ("feet", (tuple(v / 0.3048 for v in (2, 3, 0.7, 0.75, 2, 3)),), 0.3048),
        ("steps", ((2, 6, 0, 0.6, 2, 6),), 0.3048),  # of 18 cm
    ):
        mesh = room(0, 20, 0, 16, shell, *extra, height=9)
        trimesh.Trimesh(mesh.vertices, mesh.faces, process=False).export(tmp_path / f"{name}.glb")
        building, warned = loaded(tmp_path / f"{name}.glb")
        assert building.frame.scale == metres, name
        assert ("units are feet" in warned) == (metres != 1.0)
        assert loaded(tmp_path / f"{name}.glb", scale=2.0)[0].frame.scale == 2.0


def test_scene_sets_say_axis_and_unit(tmp_path):
    write(tmp_path / "a.glb", 0.01, "z")
    listed = "splits:\n  train: [a.glb]\n"
    (tmp_path / "set.yaml").write_text(f"up: z\nscale: 0.01\n{listed}")
    building, warned = loaded(tmp_path / "set.yaml")
    check(building)
    assert not warned
    larger, _ = loaded(tmp_path / "set.yaml", scale=0.02)  # what is given decides
    assert np.allclose(np.ptp(larger.mesh.vertices, axis=0), 2 * np.array(SIZE), atol=1e-3)
    (tmp_path / "set.yaml").write_text(f"scale: inches\n{listed}")
    with pytest.raises(ValueError, match=r"set\.yaml: scale: got 'inches'; expected float from 1e-06"):
        open_buildings(tmp_path / "set.yaml")


def test_a_file_without_a_ceiling_says_its_unit_or_its_height_does(tmp_path):
    mesh = room(0, 6, 0, 5)
    for name, words in (("said", "# Units = inches\n"), ("silent", "")):
        text = "".join("v {} {} {}\n".format(*v) for v in mesh.vertices / 0.0254)
        text += "".join("f {} {} {}\n".format(*f) for f in mesh.faces + 1)
        (tmp_path / f"{name}.obj").write_text(words + text)
        building, _ = loaded(tmp_path / f"{name}.obj")
        assert building.frame.scale == 0.0254
        assert ("its own word" in building.frame.reason) == (name == "said")


def test_stage_configurations_have_units_and_scale(tmp_path):
    write(tmp_path / "stages/a.glb", 0.01)
    config = {"stages": {"default_attributes": {"up": [0, 1, 0], "units_to_meters": 0.02}}}
    (tmp_path / "b.scene_dataset_config.json").write_text(json.dumps(config))
    (tmp_path / "stages/a.stage_config.json").write_text('{"scale": [0.5, 0.5, 0.5]}')
    building, warned = loaded(tmp_path / "stages/a.glb")
    check(building)
    assert not warned
    (tmp_path / "stages/a.stage_config.json").write_text('{"scale": [1, 2, 1]}')
    with pytest.raises(
        MeshError, match=r"a\.stage_config\.json: scale: got \[1, 2, 1\], expected one factor above 0"
    ):
        loaded(tmp_path / "stages/a.glb")


def test_bad_scales_are_named(tmp_path):
    write(tmp_path / "a.glb")
    for value in (0, -1, "big", True):
        with pytest.raises(ValueError, match=r"scale: got .*expected"):
            open_buildings(tmp_path, scale=value)


def test_inspect_prints_axis_size_and_floors(tmp_path, capsys):
    write(tmp_path / "a.glb", 0.3048, "z")
    with pytest.warns(UserWarning, match="Z up by its geometry"):
        inspect.main([str(tmp_path / "a.glb"), "--buildings", "--out", str(tmp_path / "sheet.png")])
    said = capsys.readouterr().out
    assert "a: Z up by its geometry" in said
    assert "units are feet" in said
    assert re.search(r"6\.4 x 2\.7 x 5\.4 m \(y up\); floors at -?0\.00 m \(\d+ square metres\)$", said, re.M)


def test_plain_colours_are_lit_unless_a_configuration_says_that_light_is_in_them(tmp_path):
    path = write(tmp_path / "a.glb")
    assert loaded(path)[0].lit
    (tmp_path / "a.stage_config.json").write_text('{"requires_lighting": false}')
    assert not loaded(path)[0].lit
    scan = trimesh.Trimesh(house().vertices, house().faces, process=False).subdivide()
    scan.visual.vertex_colors = np.random.default_rng(0).integers(0, 255, (len(scan.vertices), 4), np.uint8)
    scan.export(tmp_path / "scan.ply")
    assert not loaded(tmp_path / "scan.ply")[0].lit


def test_plain_walls_on_a_textured_floor_are_lit(tmp_path):
    scene, floor = trimesh.Scene(), np.arange(len(house().faces)) < 12
    for part in (floor, ~floor):
        shown = trimesh.Trimesh(house().vertices, house().faces[part], process=False)
        picture = Image.fromarray(np.full((4, 4, 3), 90, np.uint8)) if part is floor else None
        material = trimesh.visual.material.PBRMaterial(baseColorTexture=picture)
        uv = None if picture is None else house().vertices[:, [0, 2]]
        shown.visual = trimesh.visual.TextureVisuals(uv=uv, material=material)
        scene.add_geometry(shown)
    scene.export(tmp_path / "a.glb")
    building = loaded(tmp_path / "a.glb")[0]
    assert len(building.mesh.textures) == 1
    assert building.lit


@pytest.mark.parametrize(
    ("line", "scale"),
    [("# units in meters", 1.0), ("# Units: in", 0.0254), ("# File units = millimeters", 0.001), ("#", 1.0)],
)
def test_a_file_says_its_unit_in_its_own_words(tmp_path, line, scale):
    path = write(tmp_path / "a.obj")
    path.write_text(line + "\n" + path.read_text(encoding="utf-8"), encoding="utf-8")
    assert loaded(path)[0].frame.scale == scale
