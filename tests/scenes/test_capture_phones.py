"""Recordings of phones' apps by writers of our own, no real one could be had: poses, metres, confidence."""

import json
import zipfile
from itertools import pairwise

import cv2
import numpy as np
import pytest
from buildings import furnished_room
from capture_rooms import LENS, SIZE, path
from PIL import Image
from scipy.spatial.transform import Rotation

from scenes.capture import frames, poses
from scenes.capture.pose_files import OPENGL
from scenes.capture.sources import open_footage
from scenes.capture.stages import CaptureError
from spatial_envs.geometry.camera import measured_points
from spatial_envs.rendering.builtin import BuiltinRenderer
from spatial_envs.scenes.mesh_files import read_named

COUNT, TWICE = 10, 2  # pictures, and how many of their pixels a pixel of depth is wide
HIGH, WIDE = SIZE
FORMS = (
    "polycam",
    "polycam_uncorrected",
    "record3d",
    "record3d_unzipped",
    "record3d_exr",
    "stray",
    "stray_old",
)


@pytest.fixture(scope="module")
def seen(tmp_path_factory):
    """Pose, depth and picture of each view of a room, and a confidence that is low in the right third."""
    place = tmp_path_factory.mktemp("truth") / "room.glb"
    furnished_room().export(place)
    mesh = read_named(place, "y")[0]
    views = []
    for pose in path(24)[:COUNT]:
        view = BuiltinRenderer().render(mesh, pose, LENS, SIZE)
        rgb = cv2.resize(view.rgb, (TWICE * WIDE, TWICE * HIGH), interpolation=cv2.INTER_NEAREST)
        views.append((pose, view.depth, rgb))
    confidence = np.full(SIZE, 2, np.uint8)
    confidence[:, 2 * WIDE // 3 :] = 0
    return views, confidence


def millimetres(file, depth):
    file.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(file), np.rint(1000 * depth).astype(np.uint16))


def grey(file, values):
    file.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(file), values)


def polycam(folder, views, confidence, corrected=True):
    keys = folder / "keyframes"
    for k, (pose, depth, rgb) in enumerate(views):
        stem = str(99_000_000 + 1_500_000 * k)  # the number of digits grows on the way
        millimetres(keys / "depth" / f"{stem}.png", depth)
        grey(keys / "confidence" / f"{stem}.png", np.array([0, 127, 255], np.uint8)[confidence])
        kinds = ("cameras", "images"), *((("corrected_cameras", "corrected_images"),) if corrected else ())
        for cameras, pictures in kinds:
            arkit = pose @ OPENGL
            if corrected and cameras == "cameras":
                arkit = arkit + 0.1 * np.eye(4, k=3)  # before it was corrected
            told = {f"t_{row}{column}": arkit[row, column] for row in range(3) for column in range(4)}
            told |= {"width": TWICE * WIDE, "height": TWICE * HIGH, "blur_score": 90.0, **lens()}
            (keys / cameras).mkdir(exist_ok=True)
            (keys / pictures).mkdir(exist_ok=True)
            (keys / cameras / f"{stem}.json").write_text(json.dumps(told), encoding="utf-8")
            Image.fromarray(rgb).save(keys / pictures / f"{stem}.jpg", quality=95)
    return folder


def lens():
    fx, fy, cx, cy = (float(TWICE * LENS[k]) for k in ((0, 0), (1, 1), (0, 2), (1, 2)))
    return {"fx": fx, "fy": fy, "cx": cx, "cy": cy}


def metadata(views):
    rows = []
    for pose, *_ in views:
        arkit = pose @ OPENGL
        rows.append([*Rotation.from_matrix(arkit[:3, :3]).as_quat(), *arkit[:3, 3]])
    matrix = LENS * [[TWICE], [TWICE], [1]]
    told = {"w": TWICE * WIDE, "h": TWICE * HIGH, "fps": 60, "K": matrix.T.ravel().tolist(), "poses": rows}
    return json.dumps(told)


def record3d(folder, views, confidence, zipped=True):
    lzfse = pytest.importorskip("lzfse", reason="needs lzfse")
    (folder / "rgbd").mkdir(parents=True)
    (folder / "metadata").write_text(metadata(views), encoding="utf-8")
    for k, (_, depth, rgb) in enumerate(views):
        values = np.where(confidence > 0, depth, np.nan).astype("<f4")
        (folder / "rgbd" / f"{k}.depth").write_bytes(lzfse.compress(values.tobytes()))
        (folder / "rgbd" / f"{k}.conf").write_bytes(lzfse.compress(confidence.tobytes()))
        Image.fromarray(rgb).save(folder / "rgbd" / f"{k}.jpg", quality=95)
    if not zipped:
        return folder
    with zipfile.ZipFile(folder.with_suffix(".r3d"), "w") as archive:
        for file in sorted(folder.rglob("*")):
            archive.write(file, file.relative_to(folder).as_posix())
    return folder.with_suffix(".r3d")


def record3d_exr(folder, views, confidence):
    exr = pytest.importorskip("OpenEXR", reason="needs the extra [exr]")
    (folder / "depth").mkdir(parents=True)
    (folder / "rgb").mkdir()
    (folder / "metadata.json").write_text(metadata(views), encoding="utf-8")
    for k, (_, depth, rgb) in enumerate(views):
        channels = {"R": np.where(confidence > 0, depth, 0).astype(np.float32)}
        header = {"compression": exr.ZIP_COMPRESSION, "type": exr.scanlineimage}
        exr.File(header, channels).write(str(folder / "depth" / f"{k}.exr"))
        Image.fromarray(rgb).save(folder / "rgb" / f"{k}.jpg", quality=95)
    return folder


def stray(folder, views, confidence, old=False):
    folder.mkdir(parents=True)
    film = cv2.VideoWriter(str(folder / "rgb.mp4"), cv2.VideoWriter.fourcc(*"mp4v"), 30,
                           (TWICE * WIDE, TWICE * HIGH))  # fmt: skip
    more = "" if old else ", fx, fy, cx, cy, distortion_center_x, distortion_center_y"
    lines = [f"timestamp, frame, x, y, z, qx, qy, qz, qw{more}"]
    for k, (pose, depth, rgb) in enumerate(views):
        film.write(rgb[..., ::-1])
        millimetres(folder / "depth" / f"{k:06d}.png", depth)
        grey(folder / "confidence" / f"{k:06d}.png", confidence)
        numbers = [*pose[:3, 3], *Rotation.from_matrix(pose[:3, :3]).as_quat()]
        own = "" if old else ", " + ", ".join(map(str, lens().values())) + ", , "
        lines.append(f"{100 + k / 30}, {k:06d}, " + ", ".join(map(repr, map(float, numbers))) + own)
    film.release()
    (folder / "odometry.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    matrix = LENS * [[TWICE], [TWICE], [1]]
    np.savetxt(folder / "camera_matrix.csv", matrix if old else np.eye(3), delimiter=", ")
    return folder


def written(form, folder, views, confidence):
    writers = {
        "polycam": polycam,
        "polycam_uncorrected": lambda *given: polycam(*given, corrected=False),
        "record3d": record3d,
        "record3d_unzipped": lambda *given: record3d(*given, zipped=False),
        "record3d_exr": record3d_exr,
        "stray": stray,
        "stray_old": lambda *given: stray(*given, old=True),
    }
    return writers[form](folder, views, confidence)


@pytest.mark.parametrize("form", FORMS)
def test_a_recording_is_read_as_it_was_taken(form, seen, tmp_path):
    """Poses, metres and pictures are the views'; what one view measures is where another measures it."""
    views, confidence = seen
    footage = open_footage(written(form, tmp_path / "scan", views, confidence))
    assert (footage.kind, footage.ordered, footage.count) == ("rgbd", True, COUNT)
    sources = list(footage.sources())
    assert len(sources) == COUNT
    for source, (pose, true, rgb) in zip(sources, views, strict=True):
        assert np.abs(source.camera.pose - pose).max() < 1e-6
        assert source.camera.resized((WIDE, HIGH)).matrix == pytest.approx(LENS)
        depth = source.depth()
        assert (depth.shape, depth.dtype) == (SIZE, np.float32)
        assert (depth[confidence == 0] == 0).all()
        assert np.abs(depth - true)[confidence > 0].max() < 1e-3
        assert np.abs(source.read().astype(int) - rgb).mean() < 12
    checked = 0
    for one, other in pairwise(sources):
        camera, there = one.camera.resized((WIDE, HIGH)), other.camera.resized((WIDE, HIGH))
        points = measured_points(one.depth(), camera.matrix, camera.pose)
        u, v, z = there.project(points.astype(np.float64))
        inside = (z > 0.1) & (u >= 0) & (v >= 0) & (u < WIDE) & (v < HIGH)
        measured = other.depth()[v[inside].astype(int), u[inside].astype(int)]
        off = np.abs(measured - z[inside])[measured > 0] / z[inside][measured > 0]
        checked += len(off)
        assert np.median(off) < 0.01
    assert checked > 5000


@pytest.mark.parametrize("form", ["polycam", "record3d", "stray"])
def test_a_recording_passes_the_first_stages(form, seen, tmp_path):
    source = written(form, tmp_path / "scan", *seen)
    options = {"source": str(source), "frames": 100, "size": 960, "depth_scale": None, "poses": "auto"}
    for name, stage in (("frames", frames), ("poses", poses)):
        (tmp_path / name).mkdir()
        gates = stage.make(tmp_path / name, {"frames": tmp_path / "frames"}, options)
        assert [gate.name for gate in gates if not gate.passed] == []
    assert "poses fit depth" in [gate.name for gate in gates]


@pytest.mark.parametrize(
    ("form", "file", "content", "said"),
    [
        ("polycam", "keyframes/corrected_cameras/99000000.json", "{}", "expected width, height, fx"),
        ("polycam", "keyframes/corrected_cameras/99000000.json", "[", "not a JSON file"),
        ("record3d_unzipped", "metadata", '{"w": 4}', "expected w, h, K"),
        ("stray", "odometry.csv", "timestamp, frame, x\n1, 000000, 2\n", "odometry.csv: line 2"),
        ("stray", "odometry.csv", "frame,x,y,z,qx,qy,qz,qw\n0,1,1,1,0,0,0,9\n", "expected a unit quaternion"),
        ("stray_old", "camera_matrix.csv", "1, 2", "expected a matrix"),
        ("stray", "rgb.mp4", "no film", "no film that can be read"),
    ],
)
def test_a_damaged_recording_is_named(form, file, content, said, seen, tmp_path):
    source = written(form, tmp_path / "scan", seen[0][:2], seen[1])
    (source / file).write_text(content, encoding="utf-8")
    with pytest.raises(CaptureError, match=said):
        list(open_footage(source).sources())


def test_damaged_depth_is_named(seen, tmp_path):
    source = written("record3d_unzipped", tmp_path / "scan", seen[0][:2], seen[1])
    (source / "rgbd" / "0.depth").write_bytes(b"damaged")
    first, second = open_footage(source).sources()
    with pytest.raises(CaptureError, match=r"rgbd/0.depth: cannot be unpacked"):
        first.depth()
    assert (second.depth() > 0).any()
    (tmp_path / "a.r3d").write_bytes(b"no archive")
    with pytest.raises(CaptureError, match=r"no \.r3d that can be read"):
        open_footage(tmp_path / "a.r3d")
