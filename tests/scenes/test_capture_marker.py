"""A printed marker tells how large a room of photographs is; the page that it is printed on has its size."""

from dataclasses import replace

import cv2
import numpy as np
import pytest
from capture_rooms import FLIP
from PIL import Image
from scipy.spatial.transform import Rotation

from scenes.capture.marker import detected, measured_markers
from scenes.capture.pose_files import Camera
from scenes.capture.upright import by_marker
from scenes.marker import DOTS, largest_side, main, page
from spatial_envs.geometry.mesh import Mesh
from spatial_envs.rendering.builtin import BuiltinRenderer

SIDE, UNIT = 0.13, 0.4  # metres, and how many of the poses' units a metre is
SIZE = (480, 640)


def sheets(*numbers):
    """A4 pages with markers on a floor of noise, the first's middle at the origin, turned by 20 degrees."""
    rng = np.random.default_rng(0)
    floor = np.repeat(rng.integers(90, 200, (64, 64, 1), dtype=np.uint8), 3, 2)
    corners, uv, textures = [], [], []
    for k, number in enumerate(numbers):
        pixels = np.asarray(page(SIDE, number, "a4").convert("RGB").reduce(4))
        textures.append(pixels)
        high, wide = np.array(pixels.shape[:2]) * 4 / DOTS * 0.0254
        middle = (12 + 1000 * SIDE / 6 + 500 * SIDE) / 1000  # of the marker, from the top edge
        x0, x1, z0, z1 = -wide / 2, wide / 2, -middle, high - middle
        ring = np.array([[x0, 0, z0], [x0, 0, z1], [x1, 0, z1], [x1, 0, z0]])
        turned = Rotation.from_euler("y", 20, degrees=True).apply(ring)
        corners.append(turned + np.array([0.5 * k, 0.001, 0]))
        uv.append([[0, 1], [0, 0], [1, 0], [1, 1]])
    corners.append(np.array([[-2, 0, -2], [-2, 0, 2], [2, 0, 2], [2, 0, -2.0]]))
    uv.append([[0, 1], [0, 0], [1, 0], [1, 1]])
    count = len(corners)
    faces = (4 * np.arange(count)[:, None, None] + [[0, 1, 2], [0, 2, 3]]).reshape(-1, 3)
    return Mesh(
        np.concatenate(corners).astype(np.float32), faces.astype(np.int32),
        np.full((4 * count, 3), 255, np.uint8), np.concatenate(uv).astype(np.float32),
        (*textures, floor), np.repeat(np.arange(count), 2).astype(np.int32),
    )  # fmt: skip


def photographed(mesh, folder, count=8, away=1.3):
    """Photographs from round about with noise, and their cameras in a unit of their own."""
    rng, given = np.random.default_rng(1), []
    folder.mkdir()
    for k in range(count):
        turn = Rotation.from_euler("YX", [25 * k, -35 - 3 * k], degrees=True).as_matrix() @ FLIP[:3, :3]
        pose = np.eye(4)
        pose[:3, :3], pose[:3, 3] = turn, -(away + 0.05 * k) * turn[:, 2]
        camera = Camera(f"{k}.png", SIZE[::-1], (560.0, 560.0, 320.0, 240.0), pose)
        rgb = BuiltinRenderer(lit=False).render(mesh, pose, camera.matrix, SIZE).rgb
        rgb = np.clip(cv2.GaussianBlur(rgb, (0, 0), 0.6) + rng.normal(0, 4, rgb.shape), 0, 255)
        Image.fromarray(rgb.astype(np.uint8)).save(folder / camera.name)
        moved = pose.copy()
        moved[:3, 3] *= UNIT
        given.append(replace(camera, cam_to_world=moved).resized((320, 240)))  # of the depth map
    return given


def test_the_scale_is_the_printed_lengths(tmp_path):
    """Within 1 % of the truth, from one or from two markers; a page printed in another size is found out."""
    given = photographed(sheets(0, 7), tmp_path / "pictures")
    found = measured_markers(tmp_path / "pictures", given)
    assert len(found) == 2
    for one in found:
        assert SIDE / one.side == pytest.approx(1 / UNIT, rel=0.01)
        assert one.skew < 0.02
        assert one.views >= 6
    with Image.open(tmp_path / "pictures" / given[0].name) as image:
        seen = detected(np.asarray(image.convert("L")))[0]
    ring = np.array([[-1, 0, -1], [1, 0, -1], [1, 0, 1], [-1, 0, 1]]) * SIDE / 2
    ring = Rotation.from_euler("y", 20, degrees=True).apply(ring) + np.array([0, 0.001, 0])
    u, v, _ = given[0].resized(SIZE[::-1]).project(ring * UNIT)
    assert np.abs(seen - np.stack([u, v], axis=1)).max() < 0.25
    scale, gate = by_marker(tmp_path / "pictures", given, SIDE, False)
    assert scale == pytest.approx(1 / UNIT, rel=0.01)
    assert gate.passed
    scale, gate = by_marker(tmp_path / "pictures", given, SIDE * UNIT, True)
    assert (scale, gate.passed) == (None, True)
    scale, gate = by_marker(tmp_path / "pictures", given, SIDE, True)
    assert (scale, gate.passed) == (None, False)
    assert "off it" in gate.got


def test_pictures_without_a_marker_or_with_a_wrong_pose(tmp_path):
    given = photographed(sheets(3), tmp_path / "pictures")
    assert "Lay the page flat" in by_marker(tmp_path / "pictures", given[:2], SIDE, False)[1].advice
    wrong = given[0].pose.copy()
    wrong[:3, 3] += 0.2
    (one,) = measured_markers(tmp_path / "pictures", [replace(given[0], cam_to_world=wrong), *given[1:]])
    assert one.views < len(given)
    assert SIDE / one.side == pytest.approx(1 / UNIT, rel=0.01)


def test_the_page_has_the_marker_in_its_size(tmp_path, capsys):
    """As the file says it is to be printed: the distance of the marker's corners in dots."""
    assert (
        main(["--out", str(tmp_path / "m.png"), "--side", "0.1", "--number", "5", "--paper", "letter"]) == 0
    )
    with Image.open(tmp_path / "m.png") as image:
        assert image.info["dpi"] == pytest.approx((DOTS, DOTS), abs=0.01)
        (corners,) = detected(np.asarray(image)).values()
        assert set(detected(np.asarray(image))) == {5}
    sides = np.linalg.norm(corners - np.roll(corners, 1, axis=0), axis=1) / DOTS * 0.0254
    assert sides == pytest.approx(0.1, abs=3e-4)
    assert main(["--out", str(tmp_path / "m.pdf")]) == 0
    text = (tmp_path / "m.pdf").read_bytes()
    width, height = (float(n) for n in text.partition(b"/MediaBox [ 0 0 ")[2].partition(b" ]")[0].split())
    assert (width / 72 * 25.4, height / 72 * 25.4) == pytest.approx((210, 297), abs=0.1)
    assert largest_side("a4") < 0.21
    for wrong, said in ((["--side", "0.5"], "--side: got 0.5"), (["--out", "m.doc"], "expected a .pdf")):
        assert main(wrong) == 1
        assert said in capsys.readouterr().err
