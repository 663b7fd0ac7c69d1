"""A made film of a furnished room becomes that room; what cannot become one is refused in a sentence."""

import json
import shutil

import cv2
import gymnasium as gym
import numpy as np
import pytest
from buildings import furnished_room
from capture_rooms import SIZE, film, path
from filelock import FileLock
from PIL import Image

from scenes.capture import upright
from scenes.capture.__main__ import STAGES, main
from scenes.capture.alignment import similarity, trajectory_error
from scenes.capture.frames import read_frames
from scenes.capture.pose_files import read_transforms
from scenes.capture.surface import load_mesh
from spatial_envs.geometry.kdtree import KDTree
from spatial_envs.geometry.sampling import surface_samples
from spatial_envs.scenes.buildings import open_buildings
from spatial_envs.scenes.mesh_files import read_named

COUNT = 20
QUICK = ["--voxel", "0.05", "--faces", "20000"]


@pytest.fixture(scope="module")
def truth(tmp_path_factory):
    place = tmp_path_factory.mktemp("truth") / "room.glb"
    furnished_room().export(place)
    return read_named(place, "y")[0]


@pytest.fixture(scope="module")
def filmed(truth, tmp_path_factory):
    folder = tmp_path_factory.mktemp("film") / "seq"
    film(truth, folder, path(COUNT))
    return folder


@pytest.fixture(scope="module")
def captured(filmed, tmp_path_factory):
    out = tmp_path_factory.mktemp("captured") / "my_room"
    assert main([str(filmed), "--out", str(out), *QUICK]) == 0
    return out


def test_the_room_stands_upright_where_it_was_and_as_large(captured, truth):
    """Up within half a degree, floor within 2 cm, surfaces within 2 cm in the middle; nothing told which
    way is up."""
    cameras = read_transforms(captured / "4_upright" / "transforms.json")
    poses, true = np.stack([camera.pose for camera in cameras]), path(COUNT)
    scale, turn, shift = similarity(poses[:, :3, 3], true[:, :3, 3])
    assert trajectory_error(poses, true, scaled=True) < 1e-3
    assert scale == pytest.approx(1, abs=1e-3)
    assert np.degrees(np.arccos(turn[1, 1])) < 0.5
    assert abs(shift[1]) < 0.02
    mesh = load_mesh(captured / "5_surface" / "mesh.npz")
    there = KDTree(surface_samples(truth, 100_000, np.random.default_rng(0))[0].astype(np.float32))
    moved = (mesh.vertices @ turn.T + shift).astype(np.float32)
    assert np.median(np.sqrt(there.squared_distances(moved))) < 0.02


def test_an_agent_plays_in_it_and_what_was_not_seen_is_marked(captured):
    (name,) = open_buildings(str(captured)).names
    building = open_buildings(str(captured)).load(0)
    assert name == "7_building/room"
    assert building.floors == (0.0,)
    assert {building.objects[number].category for number in building.unseen} == {
        "floor_unseen",
        "wall_unseen",
    }
    for task in ("Explore", "PointNav"):
        env = gym.make(f"spatial_envs:{task}-Habitat-v0", scenes=str(captured), image_size=32, backbone=None,
                       cache_dir=None)  # fmt: skip
        env.reset(seed=0)
        assert env.step(1)[4]["position"][1] == pytest.approx(0, abs=0.1)


def test_the_report_has_every_gate_and_a_stage_is_made_once(captured, filmed, capsys):
    report = (captured / "report.html").read_text(encoding="utf-8")
    for stage in STAGES["room"]:
        (folder,) = captured.glob(f"?_{stage.name}")
        record = json.loads((folder / "stage.json").read_text(encoding="utf-8"))
        for gate in record["gates"]:
            assert gate["name"].replace("'", "&#x27;") in report
            assert not gate["picture"] or (folder / gate["picture"]).is_file()
    assert report.count("src='data:image/") >= 5
    before = (captured / "5_surface" / "mesh.npz").stat().st_mtime_ns
    assert main([str(filmed), "--out", str(captured), *QUICK]) == 0
    assert capsys.readouterr().out.count("kept") == len(STAGES["room"])
    shutil.rmtree(captured / "7_building")
    shutil.rmtree(captured / "8_certificate")
    (captured / ".unfinished_7_building").mkdir()  # what a killed run leaves
    assert main([str(filmed), "--out", str(captured), *QUICK]) == 0
    assert capsys.readouterr().out.count("kept") == 6
    assert (captured / "5_surface" / "mesh.npz").stat().st_mtime_ns == before


def test_two_captures_do_not_write_into_one_folder(captured, filmed, capsys):
    with FileLock(captured / ".lock"):
        assert main([str(filmed), "--out", str(captured), *QUICK]) == 1
    assert "--out: another capture is at work in" in capsys.readouterr().err


@pytest.fixture(scope="module")
def named(captured, filmed, tmp_path_factory):
    """The same with its largest piece named."""
    out = tmp_path_factory.mktemp("named") / "my_room"
    shutil.copytree(captured, out)
    main([str(filmed), "--out", str(out), *QUICK, "--labels", "chair=1"])
    return out


def test_things_are_named_by_hand(named, filmed, capsys):
    pieces = np.load(named / "5_surface" / "pieces.npy")
    mesh = load_mesh(named / "5_surface" / "mesh.npz")
    high = mesh.vertices[mesh.faces[pieces == 1]].mean(axis=1)[:, 1].max()
    building = open_buildings(str(named)).load(0)
    (number,) = building.of_category("chair")
    assert building.objects[number].high[1] == pytest.approx(high, abs=0.06)
    for wrong, said in (
        ("chair=99", "chair=99: expected a piece, 1 to"),
        ("chair", "expected a word and numbers of pieces"),
        ("chair=1,1", "piece 1 is chair and chair"),
    ):
        assert main([str(filmed), "--out", str(named), *QUICK, "--labels", wrong]) == 1
        assert said in capsys.readouterr().err


def test_its_story_is_filmed(named, tmp_path, capsys, monkeypatch):
    """Each part is there, and as long as it should be; a story that cannot be told leaves no file."""
    import imageio.v2 as imageio

    from scenes import story

    for name, value in (("FPS", 1), ("GROW", 5), ("NAMES", 2)):
        monkeypatch.setattr(story, name, value)
    out = tmp_path / "story.mp4"
    assert story.main([str(named), "--find", "chair", "--out", str(out)]) == 0
    count = sum(1 for _ in imageio.get_reader(out))
    rest = story.GROW + story.NAMES + story.PROOF + story.END
    assert rest + story.AGENT[0] // 2 <= count <= rest + story.AGENT[1] + 2
    for arguments, said in (
        ([str(named), "--find", "sofa"], "expected some of sofa"),
        ([str(tmp_path), "--find", "chair"], "has no stage frames"),
        ([str(named), "--find", "chair", "--run", "nowhere"], "--run"),
    ):
        assert story.main([*arguments, "--out", str(tmp_path / "none.mp4")]) == 1
        assert said in capsys.readouterr().err
    assert not (tmp_path / "none.mp4").exists()


def test_a_capture_without_scale_is_refused_until_the_cameras_height_is_told(captured, tmp_path):
    before = {name: captured / f"{k}_{name}" for k, name in enumerate(("frames", "poses", "depth"), 1)}
    shutil.copytree(before["depth"], tmp_path / "unscaled")
    place = tmp_path / "unscaled" / "transforms.json"
    content = json.loads(place.read_text(encoding="utf-8"))
    place.write_text(json.dumps({**content, "metric": False}), encoding="utf-8")
    before["depth"] = tmp_path / "unscaled"
    for height in (None, 0.7):
        folder = tmp_path / str(height)
        folder.mkdir()
        gates = upright.make(folder, before, {"height": height, "marker": None})
        assert [gate.name for gate in gates if not gate.passed] == ([] if height else ["scale known"])
    told = json.loads((tmp_path / "0.7" / "upright.json").read_text(encoding="utf-8"))
    assert told["depth_scale"] == pytest.approx(0.5, rel=0.03)  # it was 1.4 m above the floor
    assert told["eye"] == pytest.approx(0.7)


def refused(source, out, capsys, *more):
    """The last line of a command that has to fail."""
    assert main([str(source), "--out", str(out), *QUICK, *more]) == 1
    return capsys.readouterr().err.strip().splitlines()[-1]


def test_depth_and_poses_that_do_not_fit_are_refused(truth, tmp_path, capsys):
    poses = path(COUNT)[:10]
    film(truth, tmp_path / "unit", poses, unit=100.0)
    assert "pass --depth-scale" in refused(tmp_path / "unit", tmp_path / "a", capsys)
    film(truth, tmp_path / "inverse", poses, inverse=True)
    said = refused(tmp_path / "inverse", tmp_path / "b", capsys)
    assert "they look like world-to-camera; expected camera-to-world" in said
    film(truth, tmp_path / "mixed", poses)
    for k in range(10):
        shutil.copyfile(
            tmp_path / "inverse" / f"frame-{(3 * k) % 10:06d}.pose.txt",
            tmp_path / "mixed" / f"frame-{k:06d}.pose.txt",
        )
    assert "Poses, intrinsics and depth do not fit" in refused(tmp_path / "mixed", tmp_path / "c", capsys)


def test_a_film_that_saw_no_floor_is_refused(truth, tmp_path, capsys):
    poses = path(COUNT)
    poses[:, :3, :3] = [[1, 0, 0], [0, -1, 0], [0, 0, -1]]  # level, towards a wall
    film(truth, tmp_path / "wall", poses[:10])
    assert "point the camera down" in refused(tmp_path / "wall", tmp_path / "out", capsys)


def photos(folder, pictures):
    folder.mkdir()
    for k, picture in enumerate(pictures):
        Image.fromarray(picture).save(folder / f"{k:03d}.png")
    return folder


@pytest.fixture(scope="module")
def sharp():
    rng = np.random.default_rng(0)
    return [rng.integers(0, 255, (*SIZE, 3), dtype=np.uint8) for _ in range(12)]


def test_pictures_of_which_nothing_can_be_made_are_refused(sharp, tmp_path, capsys):
    (tmp_path / "empty").mkdir()
    assert "no picture in it" in refused(tmp_path / "empty", tmp_path / "1", capsys)
    assert "there is no such file or folder" in refused(tmp_path / "nowhere", tmp_path / "2", capsys)
    (tmp_path / "notes.txt").write_text("x", encoding="utf-8")
    assert "expected a folder of pictures, or a film" in refused(
        tmp_path / "notes.txt", tmp_path / "3", capsys
    )
    (tmp_path / "film.mp4").write_bytes(b"no film")
    assert "no film that can be read" in refused(tmp_path / "film.mp4", tmp_path / "4", capsys)
    photos(tmp_path / "one", sharp[:1])
    assert "1 of 1" in refused(tmp_path / "one", tmp_path / "5", capsys)
    photos(tmp_path / "black", [picture // 32 for picture in sharp])
    assert "switch the light on" in refused(tmp_path / "black", tmp_path / "6", capsys)
    photos(tmp_path / "still", sharp[:1] * 12)
    assert "The camera stood still" in refused(tmp_path / "still", tmp_path / "7", capsys)
    blurred = [cv2.GaussianBlur(picture.astype(np.float32), (0, 0), 6) for picture in sharp]
    stretched = [
        np.clip(8.0 * (picture - picture.mean()) + 128, 0, 255).astype(np.uint8) for picture in blurred
    ]
    photos(tmp_path / "blurred", stretched)
    assert "The pictures are blurred" in refused(tmp_path / "blurred", tmp_path / "8", capsys)
    photos(tmp_path / "apple", []).joinpath("IMG_1.HEIC").write_bytes(b"x")
    assert "convert them" in refused(tmp_path / "apple", tmp_path / "9", capsys)
    assert "--voxel: got 9.0" in refused(tmp_path / "one", tmp_path / "10", capsys, "--voxel", "9")


def test_broken_and_doubled_pictures_are_left_out_and_counted(filmed, tmp_path):
    shutil.copytree(filmed, tmp_path / "seq")
    (tmp_path / "seq" / "frame-000003.color.png").write_bytes(b"damaged")
    (tmp_path / "seq" / "frame-000005.depth.png").write_bytes(b"damaged")
    for kind in ("color", "depth"):
        shutil.copyfile(filmed / f"frame-000007.{kind}.png", tmp_path / "seq" / f"frame-000008.{kind}.png")
    main([str(tmp_path / "seq"), "--out", str(tmp_path / "out"), *QUICK])
    record = json.loads((tmp_path / "out" / "1_frames" / "stage.json").read_text(encoding="utf-8"))
    assert record["gates"][0]["got"] == (
        "17 of 20 (1 broken, 1 the same as the one before, 1 with broken depth)"
    )


def test_large_pictures_are_made_smaller_and_turned_as_exif_says(sharp, tmp_path, capsys):
    (tmp_path / "phone").mkdir()
    for k, picture in enumerate(sharp):
        exif = Image.Exif()
        exif[0x0112] = 6  # the camera was held upright
        Image.fromarray(picture).resize((1280, 960), Image.Resampling.NEAREST).save(
            tmp_path / "phone" / f"{k}.jpg", exif=exif
        )
    main([str(tmp_path / "phone"), "--out", str(tmp_path / "out"), "--size", "200", "--poses", "given"])
    assert "no picture of it has a pose" in capsys.readouterr().err
    frames, kind, ordered = read_frames(tmp_path / "out" / "1_frames")
    assert (kind, ordered, len(frames)) == ("photos", False, 12)
    assert Image.open(frames[0].picture).size == (150, 200)
