"""open_buildings: every data set's layout in small, the up axis, semantics, and what is wrong by name."""

import json
import re
import struct
from dataclasses import replace

import buildings as made
import numpy as np
import pytest
import trimesh
from PIL import Image

from spatial_envs.foundation.errors import MeshError
from spatial_envs.geometry.building import STRUCTURE
from spatial_envs.rendering.builtin import BuiltinRenderer
from spatial_envs.scenes.buildings import PROCEDURAL, open_buildings
from spatial_envs.simulators import make_simulator

RED, BLUE = (0xD7, 0x10, 0x20), (0x10, 0x20, 0xB9)


def room(names=("floor_0", "sofa_3", "bed_1"), image=None, high=3.0) -> trimesh.Scene:
    """Three boxes side by side along X, 1 m wide, 2 m deep along Y, `high` along Z; textured by an image,
    of which each box has its own third."""
    scene = trimesh.Scene()
    for n, name in enumerate(names):
        box = trimesh.creation.box((0.9, 2.0, high))
        box.apply_translation((n, 0, 0))
        if image is not None:
            uv = np.tile([(n + 0.5) / len(names), 0.5], (len(box.vertices), 1))
            material = trimesh.visual.material.PBRMaterial(baseColorTexture=Image.fromarray(image))
            box.visual = trimesh.visual.TextureVisuals(uv=uv, material=material)
        scene.add_geometry(box, node_name=name, geom_name=f"mesh{n}")
    return scene


def write(path, scene=None, text=None):
    path.parent.mkdir(parents=True, exist_ok=True)
    if text is not None:
        path.write_text(text)
    else:
        (scene or room(("a", "b", "c"))).export(path)
    return path


def sizes(building) -> np.ndarray:
    return np.ptp(building.mesh.vertices.astype(float), axis=0).round(3)


UP_Y, UP_Z = [2.9, 3.0, 2.0], [2.9, 2.0, 3.0]  # of a room that is read as Z up, as Y up: x, y, z


def test_procedural_splits_are_disjoint_and_the_set_works_as_objects_do():
    seen = set()
    for split, (first, count) in PROCEDURAL.items():
        buildings = open_buildings("procedural", split)
        assert (len(buildings), buildings.leaky, buildings.label) == (count, False, f"procedural/{split}")
        assert buildings.names[0] == f"procedural-{first:07d}"
        assert not seen & set(buildings.names)
        seen |= set(buildings.names)
    some = open_buildings("procedural", "test").first(3)
    assert some.index("procedural-2000002") == 2
    index, building = some.draw(np.random.default_rng(0), some.load)
    assert building.name == some.names[index]
    assert "sofa" in building.categories
    assert not set(building.categories) & set(STRUCTURE)
    (number, *_) = building.of_category("sofa")
    assert building.objects[number].name == "sofa_1"
    assert (building.mesh.face_segments == number).sum() > 100
    with pytest.raises(ValueError, match=r"category: got 'piano', not in procedural.*bed"):
        building.of_category("piano")
    with pytest.raises(ValueError, match="building: got 'procedural-1', not in procedural/test; close to it"):
        some.index("procedural-1")


def test_gibson_and_habitat_test_scenes_are_z_up_by_their_navmesh(tmp_path):
    for name in ("Denmark", "Elmira"):
        write(tmp_path / f"{name}.glb")
        write(tmp_path / f"{name}.navmesh", text="")
    write(tmp_path / "plain.glb")
    buildings = open_buildings(tmp_path, "validation")
    assert (buildings.names, buildings.leaky) == (("Denmark", "Elmira", "plain"), True)
    assert [sizes(buildings.load(n)).tolist() for n in range(3)] == [UP_Y, UP_Y, UP_Z]
    assert sizes(open_buildings(tmp_path, up="y").load(0)).tolist() == UP_Z
    assert sizes(open_buildings(tmp_path / "plain.glb", up="z").load(0)).tolist() == UP_Y
    building = buildings.load(buildings.index("Denmark"))
    assert building.objects == {}
    assert (building.mesh.face_segments == 0).all()
    reason = r"category: got 'sofa', but Denmark has no semantics: .*semantics.json"
    with pytest.raises(ValueError, match=reason):
        building.of_category("sofa")


def test_matterport_and_stage_configs(tmp_path):
    write(tmp_path / "17DRP5sb8fy/17DRP5sb8fy.glb")
    write(tmp_path / "17DRP5sb8fy/17DRP5sb8fy.house", text="ASCII 1.1")
    write(tmp_path / "17DRP5sb8fy/17DRP5sb8fy_semantic.ply", text="ply")
    write(tmp_path / "other/other.glb")
    write(tmp_path / "other/other.stage_config.json", text='{"up": [0, 0, 1], "front": [0, 1, 0]}')
    write(tmp_path / "third/third.glb")
    write(tmp_path / "third/third.navmesh", text="")
    write(tmp_path / "third/third.stage_config.json", text='{"up": [0, 1, 0]}')
    buildings = open_buildings(tmp_path)
    assert buildings.names == ("17DRP5sb8fy", "other", "third")
    assert [sizes(buildings.load(n)).tolist() for n in range(3)] == [UP_Y, UP_Y, UP_Z]
    config = write(tmp_path / "other/other.stage_config.json", text='{"up": [1, 0, 0]}')
    expected = re.escape(f"{config}: up: got [1, 0, 0], expected [0, 1, 0] or [0, 0, 1]")
    with pytest.raises(ValueError, match=expected):
        open_buildings(tmp_path)


def hm3d(root, table, image) -> None:
    folder = root / "00800-TEEsavR23oF"
    shown = np.random.default_rng(0).integers(0, 255, (8, 8, 3), dtype=np.uint8)
    write(folder / "TEEsavR23oF.glb", room(("chunk0", "chunk1", "chunk2"), shown))
    write(folder / "TEEsavR23oF.basis.glb", text="not read where the plain one is there")
    write(folder / "TEEsavR23oF.semantic.glb", room(("x0", "x1", "x2"), image))
    write(folder / "TEEsavR23oF.semantic.txt", text=table)
    config = {"stages": {"default_attributes": {"up": [0, 0, 1], "front": [0, 1, 0]}}}
    write(root / "hm3d_annotated.scene_dataset_config.json", text=json.dumps(config))


def painting() -> np.ndarray:
    image = np.zeros((4, 6, 3), np.uint8)
    image[:, :2], image[:, 2:4] = RED, BLUE  # and black, which the table does not have
    return image


def test_hm3d_has_its_semantics_from_colours(tmp_path):
    table = 'HM3D Semantic Annotations\n1,D71020,"couch",0\n7,1020B9,"potted plant",2\n9,FFFFFF,"lamp",-1\n'
    hm3d(tmp_path, table, painting())
    buildings = open_buildings(tmp_path)
    assert buildings.names == ("00800-TEEsavR23oF",)
    building = buildings.load(0)
    assert sizes(building).tolist() == UP_Y
    assert building.mesh.textures[0].shape == (8, 8, 3)  # what is shown is not the ids' picture
    assert {n: (o.name, o.category) for n, o in building.objects.items()} == {
        1: ("sofa_1", "sofa"),
        7: ("plant_7", "plant"),
    }
    np.testing.assert_allclose(building.objects[7].centre, [1, 0, 0], atol=1e-6)
    x = building.mesh.vertices[building.mesh.faces].mean(axis=1)[:, 0]
    np.testing.assert_array_equal(building.mesh.segment, np.choose(np.rint(x).astype(int), [1, 7, 0]))


@pytest.mark.parametrize(
    ("table", "said"),
    [
        ("HM3D\n1,D71020,couch,0\n", "line 2: got '1,D71020,couch,0'"),
        ("HM3D\n", 'no line with id,RRGGBB,"category",region'),
        ('HM3D\n1,ABCDEF,"couch",0\n', "none of its colours is in TEEsavR23oF.semantic.txt"),
    ],
)
def test_hm3d_tables_that_are_wrong(tmp_path, table, said):
    hm3d(tmp_path, table, painting())
    with pytest.raises(MeshError, match=re.escape(said)):
        open_buildings(tmp_path).load(0)


def test_hm3d_with_only_basis_textures_says_what_to_download(tmp_path):
    content = b'{"asset":{"version":"2.0"},"extensionsRequired":["KHR_texture_basisu"]}'
    content += b" " * (-len(content) % 4)
    data = struct.pack("<4sIIII", b"glTF", 2, 20 + len(content), len(content), 0x4E4F534A) + content
    (tmp_path / "00801-x").mkdir()
    (tmp_path / "00801-x/x.basis.glb").write_bytes(data)
    buildings = open_buildings(tmp_path)
    assert buildings.names == ("00801-x",)
    with pytest.raises(MeshError, match=r"plain <id>\.glb"):
        buildings.load(0)


def test_replica(tmp_path):
    corners = np.array([[x, y, z] for z in (0, 1) for y in (0, 1) for x in (0, 1)], np.float32) * [2, 3, 4]
    quads = [(0, 2, 3, 1), (4, 5, 7, 6), (0, 1, 5, 4), (2, 6, 7, 3), (0, 4, 6, 2), (1, 3, 7, 5)]
    head = (
        "ply\nformat binary_little_endian 1.0\nelement vertex 8\nproperty float x\nproperty float y\n"
        "property float z\nproperty uchar red\nproperty uchar green\nproperty uchar blue\n"
        "element face 6\nproperty list uchar int vertex_indices\n"
    )
    vertices = b"".join(struct.pack("<fffBBB", *corner, 200, 10 * n, 30) for n, corner in enumerate(corners))
    faces = [struct.pack("<Biiii", 4, *quad) for quad in quads]
    folder = tmp_path / "room_0"
    (folder / "habitat").mkdir(parents=True)
    (folder / "mesh.ply").write_bytes(head.encode() + b"end_header\n" + vertices + b"".join(faces))
    ids = [5, 5, 0, 0, 3, 3]
    marked = b"".join(face + struct.pack("<i", n) for face, n in zip(faces, ids, strict=True))
    head += "property int object_id\nend_header\n"
    (folder / "habitat/mesh_semantic.ply").write_bytes(head.encode() + vertices + marked)
    info = {"objects": [{"id": 5, "class_name": "tv-screen"}, {"id": 0, "class_name": "wall"}]}
    write(folder / "habitat/info_semantic.json", text=json.dumps(info))
    buildings = open_buildings(tmp_path)
    assert buildings.names == ("room_0",)
    building = buildings.load(0)
    assert sizes(building).tolist() == [2, 4, 3]
    assert {n: o.category for n, o in building.objects.items()} == {6: "tv_monitor", 1: "wall"}
    flat = np.abs(building.mesh.face_normals[:, 1]) > 0.9  # the file's z = 0 and z = 4
    assert (building.mesh.segment[flat] == 6).all()
    assert sorted(np.unique(building.mesh.segment)) == [0, 1, 6]
    assert building.mesh.colors[:, 0].max() == 200
    write(folder / "habitat/info_semantic.json", text="[]")
    with pytest.raises(MeshError, match=r"info_semantic\.json: expected"):
        buildings.load(0)


def test_hssd_stages_only(tmp_path):
    write(tmp_path / "stages/102343992.glb")
    write(tmp_path / "stages/102343992.stage_config.json", text='{"up": [0, 1, 0]}')
    write(tmp_path / "objects/0/0a1b.glb")
    buildings = open_buildings(tmp_path)
    assert buildings.names == ("102343992",)
    assert sizes(buildings.load(0)).tolist() == UP_Z


def test_node_names_are_categories_but_exporters_names_are_not(tmp_path):
    building = open_buildings(write(tmp_path / "flat.glb", room())).load(0)
    named = {o.name: o.category for o in building.objects.values()}
    assert named == {"floor_0": "floor", "sofa_3": "sofa", "bed_1": "bed"}
    assert building.categories == ("bed", "sofa")
    np.testing.assert_allclose(building.objects[building.of_category("bed")[0]].low, [1.55, -1, -1.5])
    for names in (("chunk_1", "chunk_2", "Mesh.003"), ("wall_1", "wall_2", "12"), ("Sofa.001",)):
        plain = open_buildings(write(tmp_path / "plain.glb", room(names))).load(0)
        assert plain.objects == {}
        assert plain.no_semantics.startswith("the nodes of plain.glb have no names of objects")


def test_a_side_file_says_what_nodes_are(tmp_path):
    path = write(tmp_path / "flat.glb", room(("A", "B", "C")))
    side = write(tmp_path / "semantics.json", text='{"A": "Floor", "C": "couch", "Z": "lamp"}')
    building = open_buildings(path).load(0)
    assert [(o.name, o.category) for o in building.objects.values()] == [("A", "floor"), ("C", "sofa")]
    assert set(np.unique(building.mesh.segment)) == {0, *building.objects}
    side.write_text('{"X": "sofa"}')
    with pytest.raises(MeshError, match=r"names no node of flat.glb; its nodes: .*A, B, C"):
        open_buildings(path).load(0)
    side.write_text("[1]")
    with pytest.raises(MeshError, match="expected a mapping of node names to categories"):
        open_buildings(path).load(0)
    side.write_text("{")
    with pytest.raises(MeshError, match=r"semantics\.json: not a JSON file"):
        open_buildings(path).load(0)


def test_yaml_splits(tmp_path):
    for name in ("a", "b"):
        write(tmp_path / f"{name}.glb")
    text = "up: z\nsplits:\n  train: [a.glb]\n  test: [b.glb]\n"
    train = open_buildings(write(tmp_path / "set.yml", text=text))
    assert (train.names, train.leaky, train.label) == (("a.glb",), False, "set.yml/train")
    assert sizes(train.load(0)).tolist() == UP_Y
    assert open_buildings(tmp_path / "set.yml", "test").names == ("b.glb",)


def test_a_broken_file_is_passed_over_with_a_warning(tmp_path):
    write(tmp_path / "a.glb", text="glTF, but not really")
    write(tmp_path / "b.glb")
    buildings = open_buildings(tmp_path)
    rng = np.random.default_rng(1)
    with pytest.warns(UserWarning, match=r"skipped 1 of 2 files: .*a.glb"):
        drawn = {buildings.draw(rng, buildings.load)[0] for _ in range(8)}
    assert drawn == {1}


def test_bad_arguments_are_named(tmp_path):
    (tmp_path / "empty").mkdir()
    write(tmp_path / "x.stl", text="solid")
    for arguments, said in [
        (("procedral",), "scenes: 'procedral' does not exist; did you mean 'procedural'"),
        (("procedural", "test_category"), "split: got 'test_category', expected one of train"),
        (("procedural", "train", "z"), "up: got 'z', but procedural"),
        (("procedural", "train", "Z"), "up: got 'Z', expected 'auto', 'y' or 'z'"),
        ((tmp_path / "empty",), "scenes: no building in"),
        ((tmp_path / "x.stl",), "x.stl is no building; endings read: .glb"),
    ]:
        with pytest.raises(ValueError, match=re.escape(said)):
            open_buildings(*arguments)


def test_the_reference_apartment(reference):
    building = open_buildings(reference / "apartment_A.glb").load(0)
    content = json.loads((reference / "semantics.json").read_text())
    assert {o.name: o.category for o in building.objects.values()} == content
    assert building.mesh.vertices[:, 1].max() == pytest.approx(2.6, abs=0.01)
    assert len(building.mesh.faces) == 944
    footprints = json.loads((reference / "floorplan.json").read_text())
    for name, corners in zip(footprints["footprint_names"], footprints["footprints_xz"], strict=True):
        if name.startswith("wall"):
            continue  # in several pieces there
        (found,) = [o for o in building.objects.values() if o.name == name]
        np.testing.assert_allclose(found.low[[0, 2]], np.min(corners, axis=0), atol=1e-4)
        np.testing.assert_allclose(found.high[[0, 2]], np.max(corners, axis=0), atol=1e-4)


def test_the_reference_views_without_light(reference):
    building = open_buildings(reference / "apartment_A.glb").load(0)
    given = np.load(reference / "views.npz")
    renderer = BuiltinRenderer(lit=building.lit)
    right = []
    for pose, depth, rgb in zip(given["cam_to_world"][:8], given["depth"], given["rgb"], strict=False):
        view = renderer.render(building.mesh, pose, given["intrinsics"], (128, 128))
        off = np.abs(view.rgb.astype(int) - rgb[..., :3]).max(axis=-1)
        right.append((np.abs(view.depth - depth) < 0.005) & (off <= 1))
    assert np.mean(right) > 0.995


@pytest.mark.parametrize(
    "glass",
    [
        {"alphaMode": "BLEND", "pbrMetallicRoughness": {"baseColorFactor": [0.9, 1, 0.9, 0.2]}},
        {"extensions": {"KHR_materials_transmission": {"transmissionFactor": 0.9}}},
        "d 0.2",
        "Tr 0.8",
    ],
)
def test_glass_is_seen_through_and_not_walked_through(tmp_path, glass):
    """A pane across a room of 4 x 4 m, at x = 2, and its ways from one half to the other."""
    opaque = {"pbrMetallicRoughness": {"baseColorFactor": [0.9, 0.9, 0.9, 0.2]}}  # alpha does not count
    meshes = {"m": made.room(0, 4, 0, 4), "g": made.boxes((1.98, 2.02, 0, 2.5, 0, 4))}
    if isinstance(glass, str):
        path, text, start = tmp_path / "a.obj", "mtllib a.mtl\n", 1
        for name, mesh in meshes.items():
            text += "".join("v {} {} {}\n".format(*v) for v in mesh.vertices) + f"usemtl {name}\n"
            text += "".join("f {} {} {}\n".format(*f) for f in mesh.faces + start)
            start += len(mesh.vertices)
        path.write_text(text)
        (tmp_path / "a.mtl").write_text(f"newmtl m\nKd 1 1 1\nd 1\nTr 1\nnewmtl g\nKd 1 1 1\n{glass}\n")
    else:
        path = tmp_path / "a.glb"
        scene = trimesh.Scene()
        for name, mesh in meshes.items():
            shown = trimesh.Trimesh(mesh.vertices, mesh.faces, process=False)
            shown.visual = trimesh.visual.TextureVisuals(material=trimesh.visual.material.PBRMaterial(name))
            scene.add_geometry(shown, node_name=name)
        content = {"m": opaque, "g": glass}

        def with_glass(tree):
            tree["materials"] = [{"name": m["name"], **content[m["name"]]} for m in tree["materials"]]

        path.write_bytes(trimesh.exchange.gltf.export_glb(scene, tree_postprocessor=with_glass))
    building = open_buildings(path, scale=1.0, up="y").load(0)
    assert len(building.glass.faces) == 12
    assert len(building.solid.faces) == len(building.mesh.faces) + 12
    simulator = make_simulator("builtin", building, image_size=32)
    assert len(simulator.islands) == 2
    pose = simulator.camera_pose(simulator.reset(np.array([1.0, 0, 2.0]), -np.pi / 2))  # towards +X
    assert simulator.render_view(pose).depth[16, 16] == pytest.approx(3.0, abs=0.01)
    shut = make_simulator("builtin", replace(building, mesh=building.solid, glass=None), image_size=32)
    assert shut.render_view(pose).depth[16, 16] == pytest.approx(0.98, abs=0.01)


def test_what_is_all_of_glass_is_shown(tmp_path):
    mesh, text = made.room(0, 4, 0, 4), "mtllib a.mtl\nusemtl g\n"
    text += "".join("v {} {} {}\n".format(*v) for v in mesh.vertices)
    (tmp_path / "a.obj").write_text(text + "".join("f {} {} {}\n".format(*f) for f in mesh.faces + 1))
    (tmp_path / "a.mtl").write_text("newmtl g\nTr 1\n")
    assert open_buildings(tmp_path / "a.obj").load(0).glass is None
