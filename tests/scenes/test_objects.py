"""open_objects: every layout in small, every fault by name, and draws that depend on their rng alone."""

import logging
import multiprocessing
import pickle
import re
import warnings
from pathlib import Path

import numpy as np
import pytest

from spatial_envs.foundation.errors import MeshError
from spatial_envs.scenes.objects import LAYOUTS, ObjectSet, open_objects
from spatial_envs.scenes.sets import PROCEDURAL

MESHES = Path(__file__).parents[2] / "../shared/meshes"
TETRA = "v 0 0 0\nv 1 0 0\nv 0 2 0\nv 0 0 3\nf 1 3 2\nf 1 2 4\nf 2 3 4\nf 3 1 4\n"  # 3 high along Z


def write(root: Path, *names: str, text: str = TETRA) -> Path:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    return root


@pytest.fixture
def folder(tmp_path):
    return write(tmp_path / "shapes", *(f"s{i}.obj" for i in range(6)))


LAYOUT_FILES = {
    "Google Scanned Objects": (["Shoe/meshes/model.obj", "Cup/meshes/model.obj"], ("Cup", "Shoe"), "z"),
    "YCB": (
        ["002_can/google_16k/textured.obj", "003_box/google_16k/textured.obj"],
        ("002_can", "003_box"),
        "z",
    ),
    "ShapeNetCore v2": (["0269/1a6f/models/model_normalized.obj"], ("0269/1a6f",), "y"),
    "OmniObject3D": (["raw_scans/anise/anise_001/Scan/Scan.obj"], ("anise/anise_001",), "y"),
    "Objaverse": (["glbs/000-001/abc.glb", "glbs/000-000/def.glb"], ("def", "abc"), "y"),
}


@pytest.mark.parametrize("title", [layout.title for layout in LAYOUTS])
@pytest.mark.parametrize("above", ["", "sets/new/"])
def test_layouts_wherever_they_are(tmp_path, title, above):
    files, names, up = LAYOUT_FILES[title]
    write(tmp_path, *(above + file for file in files), "b/x.obj", "x.stl")
    objects = open_objects(tmp_path)
    ups = dict(zip(objects.names, (source.up for source in objects.sources), strict=True))
    assert ups == {f"{above}{name}": up for name in names} | {"b/x": "y", "x": "y"}
    if not above:
        assert tuple(name for name in objects.names if name in names) == names
    assert {source.up for source in open_objects(tmp_path, up="y").sources} == {"y"}
    if title != "Objaverse":
        size = np.ptp(objects.load(f"{above}{names[0]}").vertices, axis=0)
        assert np.argmax(size) == (1 if up == "z" else 2)


def test_one_object_is_turned_as_in_its_set(tmp_path):
    write(tmp_path, "Shoe/meshes/model.obj")
    (folder,) = open_objects(tmp_path / "Shoe").sources
    (file,) = open_objects(tmp_path / "Shoe/meshes/model.obj").sources
    assert (folder.up, file.up) == ("z", "z")
    assert open_objects(tmp_path / "Shoe").names == ("Shoe",)


def test_ycb_in_its_best_form(tmp_path):
    forms = [
        "a/tsdf/textured.obj",
        "b/google_16k/nontextured.ply",
        "b/poisson/textured.obj",
        "c/poisson/nontextured.ply",
    ]
    write(tmp_path, *forms, "d/clouds/merged_cloud.ply", "d/google_64k/textured.obj", "d/tsdf/textured.obj")
    with pytest.warns(
        UserWarning, match=r"left out: 3 other forms of an object \(b/google_16k/nontextured.ply, d/cl"
    ):
        objects = open_objects(tmp_path)
    assert objects.names == ("a", "b", "c", "d")
    assert {source.up for source in objects.sources} == {"z"}
    kept = [
        "a/tsdf/textured.obj",
        "b/poisson/textured.obj",
        "c/poisson/nontextured.ply",
        "d/google_64k/textured.obj",
    ]
    assert [source.path for source in objects.sources] == [str(tmp_path / file) for file in kept]


def test_links_are_followed_once(tmp_path):
    write(tmp_path / "elsewhere", "far/x.obj")
    root = write(tmp_path / "set", "b/x.obj", "c/y.obj")
    (root / "a.obj").symlink_to("b/x.obj")
    (root / "b/loop").symlink_to(root)
    (root / "b/up").symlink_to(tmp_path)
    (root / "aa").symlink_to("c")
    (root / "far").symlink_to(tmp_path / "elsewhere/far")
    (root / "gone.obj").symlink_to("nowhere.obj")
    doubly = r"4 links to what is there already \(a.obj, aa, b/loop, ...\)"
    with pytest.warns(UserWarning, match=rf"set: left out: 1 links to nothing \(gone.obj\); {doubly}"):
        objects = open_objects(root)
    assert objects.names == ("b/x", "c/y", "far/x")
    assert len({objects.load(i).vertices.shape for i in range(3)}) == 1


def test_a_link_keeps_its_ending_and_hides_no_leak(tmp_path):
    write(tmp_path, "blobs/4f9e", "b.obj")
    for name in ("a.obj", "same.obj"):
        (tmp_path / name).symlink_to("blobs/4f9e")
    train = open_objects(set_file(tmp_path, "splits: {train: [a.obj], test: [b.obj]}"))
    assert train.load(0).faces.shape == (4, 3)
    with pytest.raises(ValueError, match=r"same\.obj is already in train"):
        open_objects(set_file(tmp_path, "splits: {train: [a.obj], test: [same.obj]}"))


def test_folder_is_searched_through_and_leaky(tmp_path, caplog):
    root = write(tmp_path / "set", "b/x.obj", "b/x.ply", "a.OBJ", ".hidden/y.obj", "b/._z.obj", "notes.txt")
    with caplog.at_level(logging.INFO, logger="spatial_envs.scenes.sets"):
        objects = open_objects(str(root), split="test")
    assert objects.names == ("a", "b/x.obj", "b/x.ply")
    assert objects.leaky
    assert (objects.label, len(objects)) == ("set", 3)
    assert [record.getMessage() for record in caplog.records] == ["set: 3 objects, Y up (up='auto')"]
    mesh = objects.load(np.int64(0))
    assert np.linalg.norm(mesh.vertices, axis=1).max() == pytest.approx(0.5)
    np.testing.assert_allclose(mesh.vertices.min(0), -mesh.vertices.max(0), atol=1e-6)


def test_single_file_and_up(folder):
    objects = open_objects(folder / "s0.obj", up="z")
    assert (objects.names, objects.leaky) == (("s0",), True)
    assert np.argmax(np.ptp(objects.load(0).vertices, axis=0)) == 1


def test_files_are_read_at_load_only(tmp_path):
    objects = open_objects(write(tmp_path, "good.obj", "bad.obj", text="no mesh"))
    with pytest.raises(MeshError, match=r"bad\.obj: not an OBJ file"):
        objects.load(objects.index("bad"))


def test_index(folder):
    objects = open_objects(folder)
    assert objects.index("s3") == objects.index(3) == objects.index(np.int32(3)) == 3
    for wrong, told in [
        ("s33", r"'s33'.*s3"),
        (6, "got 6, expected 0 to 5"),
        (-1, "got -1, expected 0 to 5"),
        (1.0, "got 1.0, expected a name or an index"),
        (True, "got True, expected a name"),
    ]:
        with pytest.raises(ValueError, match=told):
            objects.index(wrong)
    with pytest.raises(ValueError, match=r"close to it: s., s., s., s., s.$"):
        objects.index("s9")


def set_file(root, text):
    (root / "set.yaml").write_text(text)
    return root / "set.yaml"


def test_scene_set(tmp_path):
    write(tmp_path, "a.obj", "more/b.obj", "more/deep/c.ply", "t.obj", "gso/Cup/meshes/model.obj")
    path = set_file(tmp_path, "splits:\n  train: [a.obj, more/]\n  test: [t.obj]\n  validation: [gso]\n")
    train, test, validation = (open_objects(path, split) for split in ("train", "test", "validation"))
    assert train.names == ("a.obj", "more/b", "more/deep/c")
    assert (test.names, validation.names) == (("t.obj",), ("gso/Cup",))
    assert (train.leaky, train.label) == (False, "set.yaml/train")
    assert [s.up for s in (*train.sources, *validation.sources)] == ["y", "y", "y", "z"]
    path = set_file(tmp_path, "up: z\nsplits: {train: [a.obj]}\n")
    assert open_objects(path).sources[0].up == "z"
    assert open_objects(path, up="y").sources[0].up == "y"


BAD_SETS = {
    "splits: {train: [a.obj], dev: [b.obj]}": "splits: unknown key 'dev', expected train, validation, test",
    "upp: y\nsplits: {train: [a.obj]}": "the file: unknown key 'upp', expected up, splits",
    "up: x\nsplits: {train: [a.obj]}": "up: got 'x', expected 'auto', 'y' or 'z'",
    "up: [y]\nsplits: {train: [a.obj]}": "up: got ['y']",
    "up: y": "splits: missing",
    "splits: {test: [a.obj]}": "splits: 'train' is missing; it has test",
    "splits: [a.obj]": "splits: got list, expected a mapping",
    "": "the file: got NoneType, expected a mapping of up, splits",
    "splits: {train: a.obj}": "train: got 'a.obj', expected a list of paths",
    "splits: {train: []}": "train: got [], expected a list of paths",
    "splits: {train: [1]}": "train: got [1], expected a list of paths",
    "splits: {train: [no.obj]}": "train: 'no.obj' does not exist",
    "splits: {train: [a.obj], test: [no.obj]}": "test: 'no.obj' does not exist",
    "splits: {train: [a.obj], test: [./a.obj]}": "a.obj is already in train",
    "splits: {train: [set.yaml]}": "set.yaml is no mesh file",
    "splits: {train: [empty]}": "no mesh file in",
    "splits: {train: [a.obj": "not plain YAML",
    "splits: !!python/object/apply:os.system [echo]": "not plain YAML",
    "\x00": "not plain YAML",
}


@pytest.mark.parametrize("text", BAD_SETS)
def test_scene_set_faults_name_file_and_key(tmp_path, text):
    write(tmp_path, "a.obj", "b.obj")
    (tmp_path / "empty").mkdir()
    path = set_file(tmp_path, text)
    with pytest.raises(ValueError, match=re.escape(BAD_SETS[text])) as caught:
        open_objects(path)
    assert str(path) in str(caught.value)


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ({"scenes": "proceduarl"}, "'proceduarl' does not exist; did you mean 'procedural'?"),
        (
            {"scenes": "no/where"},
            "'no/where' does not exist; expected 'procedural', 'procedural-scans', a mesh file, a folder",
        ),
        ({"scenes": "{}"}, "no mesh file in {}; endings looked for: .obj .ply .glb .gltf .stl .off"),
        ({"scenes": "{}/a.fbx"}, "a.fbx is no mesh file; endings read: .obj"),
        ({"scenes": "{}", "split": "dev"}, "split: got 'dev', expected one of train, validation, test"),
        (
            {"scenes": "{}", "split": "test_category"},
            "'test_category' exists for scenes='procedural', 'procedural-scans' only",
        ),
        ({"scenes": "{}", "up": "x"}, "up: got 'x', expected 'auto', 'y' or 'z'"),
        ({"scenes": "procedural", "up": "z"}, "up: got 'z'"),
    ],
)
def test_arguments_are_refused(tmp_path, arguments, told):
    (tmp_path / "a.fbx").write_text("x")
    place = str(tmp_path)
    with pytest.raises(ValueError, match=re.escape(told.format(place))):
        open_objects(**{key: value.format(place) for key, value in arguments.items()})


def test_procedural_splits_are_apart():
    sets = {split: open_objects("procedural", split) for split in PROCEDURAL}
    assert [len(s) for s in sets.values()] == [4096, 64, 128, 128]
    assert not any(s.leaky for s in sets.values())
    assert len({name for s in sets.values() for name in s.names}) == 4096 + 64 + 128 + 128
    assert sets["train"].names[17] == "procedural-0000017"
    assert sets["test"].names[-1] == "procedural-2000127"


def test_procedural_loads():
    procedural = pytest.importorskip("spatial_envs.procedural.objects.families")
    mesh = open_objects("procedural", "test_category").load(3)
    expected = procedural.procedural_object(3_000_003, procedural.TEST_FAMILIES)
    np.testing.assert_array_equal(mesh.vertices, expected.vertices)


def draws(objects, count, seed=0):
    rng = np.random.default_rng(seed)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return [
            objects.draw(rng, lambda i: objects.names[objects.index(i)] if objects.load(i) else None)
            for _ in range(count)
        ]


def test_draw_passes_over_broken_files(folder):
    write(folder, "s1.obj", "s4.obj", text="junk")
    objects = open_objects(folder)
    rng = np.random.default_rng(0)
    with pytest.warns(UserWarning, match="skipped") as caught:
        drawn = [objects.draw(rng, objects.load)[0] for _ in range(60)]
    assert set(drawn) == {0, 2, 3, 5}
    told = [str(w.message) for w in caught]
    assert len(told) == 2
    assert [re.search(r"skipped \d of 6 files", t)[0] for t in told] == [
        "skipped 1 of 6 files",
        "skipped 2 of 6 files",
    ]
    assert sorted(re.search(r"s\d\.obj: not an OBJ", t)[0][:6] for t in told) == ["s1.obj", "s4.obj"]


def test_draws_do_not_depend_on_history(folder):
    write(folder, "s1.obj", "s4.obj", text="junk")
    fresh, used = open_objects(folder), open_objects(folder)
    draws(used, 50, seed=9)
    assert draws(fresh, 40) == draws(used, 40) == draws(pickle.loads(pickle.dumps(used)), 40)


def test_all_broken_and_the_only_one_broken(folder):
    write(folder, *(f"s{i}.obj" for i in range(6)), text="junk")
    objects = open_objects(folder)
    for _ in range(2):
        with pytest.raises(ValueError, match="all 6 files of shapes are broken"):
            draws(objects, 1)
    single = open_objects(folder / "s2.obj")
    for _ in range(2):
        with pytest.raises(MeshError, match=r"s2\.obj: not an OBJ file"):
            draws(single, 1)


def _radius(objects: ObjectSet) -> float:
    return float(np.linalg.norm(objects.load(1).vertices, axis=1).max())


def test_pickles_to_a_spawned_process(folder, monkeypatch):
    monkeypatch.chdir(folder.parent)
    objects = open_objects("shapes")  # a relative path, which the other process need not share
    monkeypatch.chdir("/")
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        assert pool.apply(_radius, (objects,)) == pytest.approx(0.5)


@pytest.mark.skipif(not MESHES.exists(), reason="../shared/meshes is not beside this checkout")
def test_spot_and_bob_as_a_folder():
    objects = open_objects(MESHES)
    assert objects.names == ("bob/bob_tri", "spot/spot")
    assert len(objects.load(objects.index("spot/spot")).textures) == 1
