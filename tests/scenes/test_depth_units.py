"""Metres from every form and coding of depth, and what is refused because it can hardly be metres."""

import sys

import numpy as np
import pytest
from depth_files import three, write_jpg, write_png, write_text
from PIL import Image

from scenes import fit, inspect
from spatial_envs.foundation.errors import SceneError
from spatial_envs.scenes.depth_frames import open_depth

SIZE = (48, 64)
LENS = (60.0, 60.0, 32.0, 24.0)
IDENTITY = "0 0 0 0 0 0 1"


def room():
    """(48, 64) whole millimetres: a floor, a wall 3 m away and a box, with a few holes."""
    rows, columns = np.mgrid[: SIZE[0], : SIZE[1]] + 0.5
    depth = np.minimum(1.2 * 60 / np.maximum(rows - 20, 0.1), 3.0) + 0.002 * (columns - 32)
    depth[18:34, 20:38] = 1.4
    depth[:2, :5] = 0
    return np.rint(1000 * depth).astype(np.uint16)


MM = room()


def load(path, **arguments):
    return open_depth(path, image_size=SIZE, **({"intrinsics": LENS} | arguments)).load(0).view


def decoded(path, **arguments):
    return load(path, **arguments).depth


def pgm(path, values, most=65535):
    path.write_bytes(b"P5\n# a comment\n64 48\n%d\n" % most + values.astype(">u2").tobytes())


def write(path, values):
    if path.suffix in (".tiff", ".tif"):
        Image.fromarray(values).save(path)
    elif path.suffix == ".pgm":
        pgm(path, values, 5000)  # whose values Pillow would stretch
    elif path.suffix == ".npz":
        np.savez(path, depth=values, other=np.ones(3))
    elif path.suffix == ".npy":
        np.save(path, values)
    else:
        write_png(path, values)


@pytest.mark.parametrize("form", ["a.png", "a.tiff", "a.tif", "a.pgm", "a.npy", "a.npz"])
def test_whole_numbers_are_millimetres_in_every_form(tmp_path, form):
    write(tmp_path / form, MM)
    assert np.allclose(decoded(tmp_path / form), MM / 1000, atol=1e-6)
    if form != "a.pgm":
        write(tmp_path / form, 5 * MM)
        assert np.allclose(decoded(tmp_path / form, depth_scale=5000), MM / 1000, atol=1e-6)


@pytest.mark.parametrize("form", ["a.tiff", "a.npy", "a.npz"])
def test_floats_are_metres_in_every_form(tmp_path, form):
    metres = (MM / 1000).astype(np.float32)
    metres[4, 4] = np.nan
    write(tmp_path / form, metres)
    assert np.allclose(decoded(tmp_path / form), np.nan_to_num(metres), atol=1e-6)
    if form != "a.tiff":
        write(tmp_path / form, metres[..., None])
        assert np.allclose(decoded(tmp_path / form), np.nan_to_num(metres), atol=1e-6)


def test_exr_is_an_extra(tmp_path, monkeypatch):
    exr = pytest.importorskip("OpenEXR")
    metres = (MM / 1000).astype(np.float32)
    header = {"compression": exr.ZIP_COMPRESSION, "type": exr.scanlineimage}
    exr.File(header, {"Z": metres, "R": 0 * metres}).write(str(tmp_path / "a.exr"))
    assert np.allclose(decoded(tmp_path / "a.exr"), metres)
    monkeypatch.setitem(sys.modules, "OpenEXR", None)
    with pytest.raises(SceneError, match=r"a\.exr: \.exr needs OpenEXR: pip install OpenEXR"):
        decoded(tmp_path / "a.exr")


def test_a_value_for_no_measurement(tmp_path):
    values = MM.copy()
    values[:, :9] = 9999
    write_png(tmp_path / "a.png", values)
    depth = decoded(tmp_path / "a.png", invalid=9999)
    assert (depth[:, :9] == 0).all()
    assert np.allclose(depth[:, 9:], MM[:, 9:] / 1000)
    far = MM / 1000
    far[:9] = 1e10
    np.save(tmp_path / "a.npy", far)
    with pytest.raises(SceneError, match=r"a background.*invalid=1e\+10 or max_depth="):
        decoded(tmp_path / "a.npy")
    assert decoded(tmp_path / "a.npy", invalid=1e10).max() < 4
    assert decoded(tmp_path / "a.npy", max_depth=20).max() < 4


def jet():
    """A colour-mapped picture, (48, 64, 3) uint8."""
    share = MM / MM.max()
    return np.stack([255 * np.clip(1.5 - np.abs(4 * share - k), 0, 1) for k in (3, 2, 1)], axis=-1).astype(
        np.uint8
    )


def hot():
    """One whose blue is 0, so that unpacked it is a few metres."""
    level = 510 * MM.astype(float) / MM.max()
    return np.stack([np.clip(level, 0, 255), np.clip(level - 255, 0, 255), 0 * level], axis=-1).astype(
        np.uint8
    )


@pytest.mark.parametrize(
    ("name", "values", "message"),
    [
        ("tum.png", 5 * MM, r"read as 1000 to the metre, its median.*depth_scale=.*5000 \(TUM: 2\.\d+ m\)"),
        ("sun.png", (MM << 3) | (MM >> 13), r"most of them multiples of 8, as SUN RGB-D's"),
        ("grey.png", (MM // 16).astype(np.uint8), r"got 1 channel\(s\) of 8 bits; expected depth of 16 bits"),
        ("rgb.png", np.repeat((MM // 16).astype(np.uint8)[..., None], 3, axis=2), "a grey or colour-mapped"),
        ("jet.png", jet(), r"a grey or colour-mapped picture of depth, whose metres are lost"),
        ("hot.png", hot(), "a grey or colour-mapped picture"),
        ("zeros.png", 0 * MM, "nothing is measured"),
        ("levels.png", MM // 16, "grey levels of a picture"),
        ("mm.npy", MM.astype(np.float32), r"read as metres, its median is \d+ m.*1000 \(millimetres: 2"),
        ("mm.tiff", MM.astype(np.float32), r"read as metres, its median is \d+ m"),
        ("eight.npy", (MM // 16).astype(np.uint8), "of 8 bits"),
        ("levels.npy", (MM // 16).astype(float), "grey levels"),
        ("unit.npy", MM / MM.max(), "a normalised picture"),
        ("nan.npy", np.full(SIZE, np.nan), "nothing is measured"),
        ("negative.npy", -(MM / 1000), "nothing is measured"),
        ("three.npy", np.ones((*SIZE, 3)), r"got an array \(48, 64, 3\).*expected depth \(H, W\) or"),
    ],
)  # fmt: skip
def test_nonsense_is_refused_with_what_would_be_right(tmp_path, name, values, message):
    write(tmp_path / name, values)
    with pytest.raises(SceneError, match=rf"{name}: .*{message}"):
        decoded(tmp_path / name)


def test_laser_points_and_a_wrong_scale_are_refused(tmp_path):
    sparse = np.where(np.random.default_rng(0).random(SIZE) < 0.2, MM, 0)
    write_png(tmp_path / "kitti.png", sparse)
    with pytest.raises(SceneError, match=r"scattered pixels.*KITTI has 256"):
        decoded(tmp_path / "kitti.png")
    assert decoded(tmp_path / "kitti.png", depth_scale=256).max() > 10
    with pytest.raises(ValueError, match=r"depth_scale: got 0\.001; expected float from 1"):
        open_depth(tmp_path / "kitti.png", intrinsics=LENS, depth_scale=0.001)
    np.save(tmp_path / "a.npy", MM * 1e3)
    with pytest.raises(SceneError, match=r"with depth_scale=1 its median is .*1000 for millimetres"):
        decoded(tmp_path / "a.npy", depth_scale=1)
    with pytest.raises(ValueError, match="depth_scale: expected None for scenes='procedural'"):
        open_depth(depth_scale=1000)


@pytest.mark.parametrize(
    ("lens", "message"),
    [
        ((117, 117, 64.8, 48.4), r"middle \(64\.8, 48\.4\) is that of a picture of about 130 x 97 pixels"),
        ((30, 30, 16, 12), r"of about 32 x 24 pixels, got a depth map of 64 x 48.*60 60 32 24"),
        ((1.9, 1.9, 32, 24), r"field of view of .*expected fx and fy in pixels"),
        ((900, 900, 32, 24), "field of view"),
    ],
)
def test_a_lens_of_another_picture_is_refused(tmp_path, lens, message):
    write_png(tmp_path / "a.png", MM)
    with pytest.raises(SceneError, match=message):
        decoded(tmp_path / "a.png", intrinsics=lens)


def layout_files(tmp_path):
    """Each layout's depth file, and what lies beside it, with the same metres."""
    scale = {"freiburg1": 5 * MM, "sun": (MM << 3) | (MM >> 13)}
    tum = tmp_path / "rgbd_dataset_freiburg1_desk"
    write_png(tum / "depth/1305031102.160407.png", scale["freiburg1"])
    write_png(tum / "rgb/1305031102.175304.png", np.full((*SIZE, 3), 7, np.uint8))
    half = np.sqrt(0.5)
    write_text(tum / "groundtruth.txt", "# time", f"1305031102.1658 1 2 1.5 {half} 0 0 {-half}")
    icl = tmp_path / "living_room_traj2_frei_png"
    write_png(icl / "depth/0.png", 5 * MM)
    write_text(icl / "associations.txt", "0 depth/0.png 0 rgb/0.png")
    seven = tmp_path / "chess/seq-01/frame-000003"
    write_png(seven.with_suffix(".depth.png"), np.where(MM > 0, MM, 65535).astype(np.uint16))
    write_text(seven.with_suffix(".pose.txt"), "1 0 0 .1", "0 1 0 .2", "0 0 1 .3", "0 0 0 1")
    nyu = tmp_path / "official_splits/test/bathroom"
    write_png(nyu / "sync_depth_00045.png", MM)
    write_jpg(nyu / "rgb_00045.jpg", (64, 48), (9, 9, 9))
    sun = tmp_path / "SUNRGBD/kv1/NYUdata/NYU0001"
    write_png(sun / "depth/NYU0001.png", scale["sun"])
    write_jpg(sun / "image/NYU0001.jpg", (64, 48), (9, 9, 9))
    write_text(sun / "intrinsics.txt", "60 0 32.5 0 60 24.5 0 0 1")
    write_png(tmp_path / "bedroom/depth/00000.png", MM)
    write_jpg(tmp_path / "bedroom/image/00000.jpg", (64, 48), (9, 9, 9))
    tartan = tmp_path / "House/Data_easy/P000"
    bits = (MM / 1000).astype("<f4")[..., None].view(np.uint8)[..., [2, 1, 0, 3]]
    write_png(tartan / "depth_lcam_front/000000_lcam_front_depth.png", bits)
    write_jpg(tartan / "image_lcam_front/000000_lcam_front.png", (64, 48), (9, 9, 9))
    write_text(tartan / "pose_lcam_front.txt", IDENTITY)


def test_known_layouts_decode_exactly_and_side_by_side(tmp_path):
    layout_files(tmp_path)
    frames = open_depth(tmp_path, image_size=SIZE)
    assert len(frames) == 7  # one layout hides no other
    found = {frames.sources[k].file.layout.title: frames.load(k) for k in range(7)}
    assert set(found) == {
        "TUM RGB-D", "7-Scenes", "NYUv2", "SUN RGB-D", "Redwood", "TartanAir v2"
    }  # fmt: skip
    for k in range(7):
        assert np.allclose(frames.load(k).view.depth, MM / 1000, atol=1e-6)
    tum = next(frames.load(k) for k in range(7) if "freiburg1" in frames.names[k])
    assert np.allclose(tum.view.intrinsics[0], [51.73, 0, 31.91])
    assert np.allclose(tum.view.cam_to_world[:3, 3], [1, 1.5, -2])  # Z up to Y up
    assert np.allclose(tum.view.cam_to_world[:3, 1], [0, -1, 0], atol=1e-6)  # the camera's down
    assert (tum.view.rgb == 7).all()
    assert np.allclose(found["SUN RGB-D"].view.intrinsics[:2, 2], [32, 24])
    assert found["7-Scenes"].posed
    assert found["TartanAir v2"].posed
    assert not found["Redwood"].posed
    for title in ("NYUv2", "SUN RGB-D", "Redwood", "TartanAir v2"):
        assert np.abs(found[title].view.rgb.astype(int) - 9).max() < 4


def test_without_a_sign_of_its_set_a_numbered_file_is_told_by_its_values(tmp_path):
    write_png(tmp_path / "depth/0.png", 5 * MM)
    with pytest.raises(ValueError, match="in no known layout"):
        open_depth(tmp_path)
    with pytest.raises(SceneError, match=r"5000 \(TUM"):
        decoded(tmp_path)
    write_text(tmp_path / "groundtruth.txt", "0 0 0 0 0 0 0 1")
    assert np.allclose(decoded(tmp_path), MM / 1000, atol=1e-6)
    assert np.allclose(decoded(tmp_path, depth_scale=1000), MM / 200, atol=1e-6)  # the caller decides
    with pytest.raises(SceneError, match=r"which camera .*expected intrinsics="):
        decoded(tmp_path, intrinsics=None)


def test_commands_take_the_units(tmp_path, capsys):
    write_png(tmp_path / "a.png", 5 * MM)
    lens = ["--intrinsics", *map(str, LENS)]
    with pytest.raises(SystemExit, match=r"a\.png: read as 1000 to the metre"):
        fit.main([str(tmp_path / "a.png"), *lens])
    out = ["--out", str(tmp_path / "sheet.png")]
    inspect.main([str(tmp_path / "a.png"), *lens, "--depth-scale", "5000", *out])
    assert "most): 1.40, " in capsys.readouterr().out


def test_sixteen_bits_of_three_channels_are_synthias(tmp_path):
    write_png(tmp_path / "a.png", three(MM // 10))
    assert np.allclose(decoded(tmp_path / "a.png"), MM // 10 / 100)
