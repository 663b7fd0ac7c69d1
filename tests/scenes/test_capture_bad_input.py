"""Captures that are damaged, wrong or cut off: each is mended and counted, or refused in a sentence."""

import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import cv2
import numpy as np
import pytest
from buildings import boxes, furnished_room, joined
from capture_rooms import LENS, SIZE, film, path
from PIL import Image
from test_capture_phones import stray

from scenes.capture.__main__ import STAGES, main
from scenes.capture.depth import read_depth
from scenes.capture.footage import read_picture
from scenes.capture.frames import read_frames
from scenes.capture.names import read_names
from scenes.capture.poses import read_cameras
from scenes.capture.stages import CaptureError, Stage, run
from scenes.capture.surface import load_mesh
from spatial_envs.rendering.builtin import BuiltinRenderer
from spatial_envs.scenes.mesh_files import read_named

COUNT = 14
OPTIONS = {"frames": 100, "size": 960, "depth_scale": None, "poses": "given"}


@pytest.fixture(scope="module")
def truth(tmp_path_factory):
    place = tmp_path_factory.mktemp("truth") / "room.glb"
    furnished_room().export(place)
    return read_named(place, "y")[0]


@pytest.fixture(scope="module")
def filmed(truth, tmp_path_factory):
    """A third of a way round a room."""
    folder = tmp_path_factory.mktemp("film") / "seq"
    film(truth, folder, path(3 * COUNT)[:COUNT])
    return folder


def gates(source, out, **options):
    """What the first two stages say, by gate; CaptureError where one cannot be made."""
    given = {**OPTIONS, **options, "source": str(source)}
    results = run(STAGES["room"][:2], out, given, "source", tell=lambda _: None)
    return {gate.name: gate for result in results for gate in result.gates}


def noise(count, size=(240, 320)):
    rng = np.random.default_rng(0)
    return [rng.integers(0, 255, (*size, 3), dtype=np.uint8) for _ in range(count)]


def every(folder, kind):
    return sorted(folder.glob(f"*.{kind}"))


def no_pictures(folder):
    for file in every(folder, "color.png"):
        file.unlink()


def half_the_pictures(folder):
    for file in every(folder, "color.png")[::2]:
        file.unlink()


def empty_depth(folder):
    for file in every(folder, "depth.png"):
        cv2.imwrite(str(file), np.zeros(SIZE, np.uint16))


def half_a_file(folder):
    file = every(folder, "color.png")[3]
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])


def no_numbers(folder):
    for k, word in ((2, "nan"), (5, "-inf"), (7, "1 2 3"), (9, "2")):
        every(folder, "pose.txt")[k].write_text(f"{word} " * 16, encoding="utf-8")


def no_numbers_in_most(folder):
    for file in every(folder, "pose.txt")[:-4]:
        file.write_text("nan " * 16, encoding="utf-8")


def one_pose_jumps(folder):
    file = every(folder, "pose.txt")[6]
    pose = np.loadtxt(file)
    pose[:3, 3] += 0.4
    np.savetxt(file, pose)


def one_pose_for_all(folder):
    first, *others = every(folder, "pose.txt")
    for file in others:
        shutil.copyfile(first, file)


def pictures_of_other_moments(folder):
    content = [file.read_bytes() for file in every(folder, "color.png")]
    for k, file in enumerate(every(folder, "color.png")):
        file.write_bytes(content[(k + 5) % COUNT])


@pytest.mark.parametrize(
    ("damage", "name", "passed", "said"),
    [
        (no_pictures, "pictures", False, f"0 of {COUNT} ({COUNT} without a picture beside it)"),
        (half_the_pictures, "pictures", False, f"7 of {COUNT} (7 without a picture beside it)"),
        (half_a_file, "pictures", True, f"13 of {COUNT} (1 broken)"),
        (empty_depth, "depth unit", False, "The depth maps are empty"),
        (no_numbers, "registered", True, f"10 of {COUNT}, by the poses given"),
        (no_numbers_in_most, "registered", False, "pass --poses colmap"),
        (one_pose_jumps, "poses fit depth", True, "1 left out, whose pose contradicts both neighbours'"),
        (one_pose_for_all, "poses fit depth", False, "check their units, order and axes"),
        (pictures_of_other_moments, "pictures fit depth", False, "not of the same moments"),
    ],
)
def test_a_damaged_recording_is_mended_or_refused(damage, name, passed, said, filmed, tmp_path):
    shutil.copytree(filmed, tmp_path / "seq")
    damage(tmp_path / "seq")
    gate = gates(tmp_path / "seq", tmp_path / "out")[name]
    assert gate.passed == passed
    assert said in f"{gate.got} {gate.advice}"


def test_a_sound_recording_passes_them_all(filmed, tmp_path):
    found = gates(filmed, tmp_path / "out")
    assert len(found) == 7
    assert [gate.name for gate in found.values() if not gate.passed] == []


def test_somebody_who_walks_through_it_is_told_of(truth, tmp_path):
    (tmp_path / "seq").mkdir()
    for k, pose in enumerate(path(3 * COUNT)[:COUNT]):
        x, _, z = pose[:3, 3] + 1.2 * pose[:3, 2] + [0.3 * np.sin(2 * k), 0, 0]
        body = boxes((x - 0.2, x + 0.2, 0.0, 1.7, z - 0.15, z + 0.15))
        film(joined(truth, body) if k % 2 else truth, tmp_path / "one", pose[None])
        for file in (tmp_path / "one").iterdir():
            file.rename(tmp_path / "seq" / file.name.replace("000000", f"{k:06d}"))
        (tmp_path / "one").rmdir()
    gate = gates(tmp_path / "seq", tmp_path / "out")["nothing moved"]
    assert not gate.passed
    assert "nobody is in the room" in gate.advice


@pytest.mark.parametrize(
    ("matrix", "fits"),
    [((1.0, 1.0), True), ((1.3, 1.0), False), ((2.0, 1.0), False), ((0.5, 1.0), False), ((1.0, 0.7), False)],
)
def test_intrinsics_that_are_wrong_do_not_fit_the_depth(matrix, fits, truth, tmp_path):
    """The focal length or the principal point, as a share of the true one."""
    views = []
    for pose in path(20)[:10]:
        view = BuiltinRenderer().render(truth, pose, LENS, SIZE)
        views.append((pose, view.depth, cv2.resize(view.rgb, None, fx=2, fy=2)))
    stray(tmp_path / "scan", views, np.full(SIZE, 2, np.uint8), old=True)
    focal, middle = matrix
    np.savetxt(
        tmp_path / "scan" / "camera_matrix.csv",
        LENS * [[2 * focal, 1, 2 * middle], [1, 2 * focal, 2], [1, 1, 1]], delimiter=",",
    )  # fmt: skip
    assert gates(tmp_path / "scan", tmp_path / "out")["poses fit depth"].passed == fits


def write_film(file, pictures, code="MJPG"):
    high, wide = pictures[0].shape[:2]
    writer = cv2.VideoWriter(str(file), cv2.VideoWriter.fourcc(*code), 10, (wide, high))
    for picture in pictures:
        writer.write(picture)
    writer.release()


def frames_gate(source, out, **options):
    given = {**OPTIONS, **options, "source": str(source)}
    (result,) = run(STAGES["room"][:1], out, given, "source", tell=lambda _: None)
    return result.gates[0]


def test_films_that_break_off_or_lie_beside_photographs_are_told_of(tmp_path):
    write_film(tmp_path / "cut.avi", noise(40))
    content = (tmp_path / "cut.avi").read_bytes()
    (tmp_path / "cut.avi").write_bytes(content[: len(content) // 2])
    got = frames_gate(tmp_path / "cut.avi", tmp_path / "1").got
    assert "after the place where the film breaks off)" in got
    (tmp_path / "both").mkdir()
    for k, picture in enumerate(noise(10)):
        Image.fromarray(picture).save(tmp_path / "both" / f"{k}.png")
    write_film(tmp_path / "both" / "live.avi", noise(3))
    assert frames_gate(tmp_path / "both", tmp_path / "2").got == "10 of 10 (1 film beside the pictures)"
    (tmp_path / "two").mkdir()
    for name in ("a", "b"):
        write_film(tmp_path / "two" / f"{name}.avi", noise(3))
    with pytest.raises(CaptureError, match="2 films; expected pictures of one room, one film"):
        frames_gate(tmp_path / "two", tmp_path / "3")


@pytest.mark.parametrize("orientation", range(1, 9))
def test_every_way_that_exif_says_a_picture_lies(orientation, tmp_path):
    """Turned and mirrored back: red at the top left, green at the top right, blue at the bottom left."""
    upright = np.zeros((40, 60, 3), np.uint8)
    upright[:20, :30], upright[:20, 30:], upright[20:, :30] = (255, 0, 0), (0, 255, 0), (0, 0, 255)
    back = {2: np.fliplr, 3: lambda a: a[::-1, ::-1], 4: np.flipud, 5: lambda a: a.transpose(1, 0, 2),
            6: lambda a: np.rot90(a, 1), 7: lambda a: np.rot90(a, 2).transpose(1, 0, 2),
            8: lambda a: np.rot90(a, -1)}  # fmt: skip
    exif = Image.Exif()
    exif[0x0112] = orientation
    stored = back.get(orientation, np.asarray)(upright)
    Image.fromarray(np.ascontiguousarray(stored)).save(tmp_path / "a.png", exif=exif)
    assert np.array_equal(read_picture(tmp_path / "a.png"), upright)


@pytest.mark.parametrize("mode", ["L", "RGBA", "CMYK", "P", "I;16"])
def test_pictures_of_every_mode(mode, tmp_path):
    picture = cv2.GaussianBlur(noise(1)[0], (0, 0), 2)
    if mode == "I;16":
        cv2.imwrite(str(tmp_path / "a.png"), picture[..., 0].astype(np.uint16) * 257)
        assert np.array_equal(read_picture(tmp_path / "a.png"), np.repeat(picture[..., :1], 3, axis=2))
        return
    file = tmp_path / ("a.tif" if mode == "CMYK" else "a.png")
    Image.fromarray(picture).convert(mode).save(file)
    read = read_picture(file)
    assert read.shape == picture.shape
    grey = picture.mean(axis=2)
    assert np.abs(read.mean(axis=2) - grey).mean() < 25


def test_pictures_of_4k_are_made_smaller(tmp_path):
    (tmp_path / "large").mkdir()
    for k, picture in enumerate(noise(2, (216, 384))):
        large = cv2.resize(picture, (3840, 2160), interpolation=cv2.INTER_NEAREST)
        cv2.imwrite(str(tmp_path / "large" / f"{k}.jpg"), large)
    assert "2 of 2" in frames_gate(tmp_path / "large", tmp_path / "out").got
    frames, _, _ = read_frames(tmp_path / "out" / "1_frames")
    assert {Image.open(frame.picture).size for frame in frames} == {(960, 540)}


def test_a_place_that_cannot_be_written_to_is_refused(filmed, tmp_path, capsys):
    (tmp_path / "file").write_text("x", encoding="utf-8")
    for out, said in ((tmp_path / "file", "expected a folder"), (filmed / "room", "which lies in")):
        assert main([str(filmed), "--out", str(out)]) == 1
        assert said in capsys.readouterr().err
    assert not (filmed / "room").exists()


@pytest.mark.parametrize(
    ("file", "read"),
    [
        ("frames.json", lambda file: read_frames(file.parent)),
        ("points.npy", lambda file: read_cameras(file.parent)),
        ("transforms.json", lambda file: read_cameras(file.parent)),
        ("depth/a.jpg.npy", lambda file: read_depth(file.parents[1], "a.jpg")),
        ("mesh.npz", load_mesh),
        ("names.json", lambda file: read_names(file.parent)),
    ],
)
@pytest.mark.parametrize("content", [b"damaged", b"[]", b""])
def test_a_stages_file_that_is_damaged_is_named(file, read, content, tmp_path):
    if file == "points.npy":
        lens = '{"w": 2, "h": 2, "fl_x": 3, "frames": [{"file_path": "a", "transform_matrix": %s}]}'
        (tmp_path / "transforms.json").write_text(lens % np.eye(4).tolist(), encoding="utf-8")
    (tmp_path / file).parent.mkdir(exist_ok=True)
    (tmp_path / file).write_bytes(content)
    with pytest.raises(CaptureError, match=Path(file).name):
        read(tmp_path / file)


def test_a_full_disk_in_numpys_words(tmp_path):
    def make(folder, before, options):
        raise OSError("12288 requested and 10176 written")

    with pytest.raises(CaptureError, match="free some space, or pass another --out"):
        run([Stage("a", make)], tmp_path, {}, "source", tell=lambda _: None)


FOUR = """
import sys
from pathlib import Path
from scenes.capture.__main__ import STAGES
from scenes.capture.stages import run
options = {"frames": 100, "size": 960, "depth_scale": None, "poses": "given", "height": None, "marker": None}
run(STAGES["room"][:4], Path(sys.argv[2]), {**options, "source": sys.argv[1]}, "source")
"""


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="needs SIGKILL")
def test_a_run_that_was_killed_goes_on_where_it_was(filmed, tmp_path):
    """Killed in the middle of a stage: what was made before is kept, and what comes out is the same."""
    out, whole = tmp_path / "out", tmp_path / "whole"
    command = [sys.executable, "-c", FOUR, str(filmed), str(out)]
    with subprocess.Popen(command, cwd=Path(__file__).resolve().parents[2]) as killed:
        until = time.monotonic() + 60
        while not list(out.glob(".unfinished_3_depth")) and time.monotonic() < until:
            time.sleep(0.002)
        killed.kill()
    made = (out / "2_poses" / "stage.json").stat().st_mtime_ns
    options = {**OPTIONS, "height": None, "marker": None, "source": str(filmed)}
    for folder in (out, whole):
        run(STAGES["room"][:4], folder, options, "source", tell=lambda _: None)
    assert (out / "2_poses" / "stage.json").stat().st_mtime_ns == made
    for name in ("3_depth/transforms.json", "3_depth/depth/0003.jpg.npy", "4_upright/transforms.json"):
        assert (out / name).read_bytes() == (whole / name).read_bytes()
    assert not list(out.glob(".unfinished*"))
