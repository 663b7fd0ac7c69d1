"""Boxes and masks of a detector become named things of the mesh; a real one finds the chairs of an office."""

from dataclasses import replace

import numpy as np
import pytest
import trimesh
from buildings import boxes, joined
from capture_rooms import FLIP
from conftest import SHARED
from PIL import Image
from scipy.spatial.transform import Rotation

from scenes.capture.detectors import Detection, GridDetector, open_detector
from scenes.capture.names import by_hand, numbered, parse_labels
from scenes.capture.pose_files import Camera
from scenes.capture.votes import draw_votes, looked, upright_turn, voted
from spatial_envs.geometry.mesh import Mesh
from spatial_envs.rendering.builtin import BuiltinRenderer

SIZE = (120, 160)
RED, BLUE = (200, 40, 40), (40, 40, 200)
FASTEST = SHARED / "captures" / "fastestdet" / "FastestDet.onnx"


def finely(mesh: Mesh) -> Mesh:
    """Its faces in 256 parts each: what stands left of the middle is red, right of it blue, the rest grey."""
    vertices, faces = mesh.vertices.astype(np.float64), mesh.faces
    for _ in range(4):
        vertices, faces = trimesh.remesh.subdivide(vertices, faces)
    x, y, _ = vertices[faces].mean(axis=1).T
    colors = np.full((len(faces), 3), 150, np.uint8)
    colors[(x < -0.3) & (x > -0.9) & (y > 0)], colors[(x > 0.3) & (x < 0.9) & (y > 0)] = RED, BLUE
    corners = vertices[faces].reshape(-1, 3).astype(np.float32)
    return Mesh(corners, np.arange(len(corners), dtype=np.int32).reshape(-1, 3), np.repeat(colors, 3, 0))


@pytest.fixture(scope="module")
def scene():
    """A red and a blue box on a floor, 0.6 m apart."""
    return finely(
        joined(
            boxes((-2.0, 2.0, -0.1, 0.0, -2.0, 2.0)),
            boxes((-0.8, -0.3, 0.0, 0.5, -0.2, 0.2), (0.3, 0.6, 0.0, 0.8, -0.2, 0.3)),
        )
    )


@pytest.fixture(scope="module")
def cameras(scene, tmp_path_factory):
    """Twelve pictures from round about, every third with the camera on its side; and their folder."""
    folder = tmp_path_factory.mktemp("pictures")
    given = []
    for k in range(12):
        roll = 90 * (k % 3 == 0)
        turn = Rotation.from_euler("YXZ", [30 * k, -30, roll], degrees=True).as_matrix() @ FLIP[:3, :3]
        pose = np.eye(4)
        pose[:3, :3], pose[:3, 3] = turn, np.array([0, 0.3, 0]) - 2.2 * turn[:, 2]
        camera = Camera(f"{k}.png", SIZE[::-1], (130.0, 130.0, 80.0, 60.0), pose)
        view = BuiltinRenderer(lit=False).render(scene, pose, camera.matrix, SIZE)
        Image.fromarray(view.rgb).save(folder / camera.name)
        given.append(camera)
    return folder, given


class ByColour:
    """What is red is a chair, what is blue a sofa, missed in two pictures of three; a dog is all over."""

    def __init__(self, masks):
        self.masks, self.calls = masks, 0

    def __call__(self, rgb):
        self.calls += 1
        found = [Detection("dog", 0.9, (0, 0, rgb.shape[1], rgb.shape[0]))]
        for k, (word, colour) in enumerate((("Chair", RED), ("sofa", BLUE))):
            here = (np.abs(rgb.astype(int) - colour) < 60).all(axis=2)
            if (self.calls + k) % 3 == 0 and here.any():
                rows, columns = np.nonzero(here)
                box = (columns.min(), rows.min(), columns.max() + 1, rows.max() + 1)
                found.append(Detection(word, 0.7, box, here if self.masks else None))
        return found


@pytest.mark.parametrize("masks", [False, True])
def test_boxes_and_masks_vote_for_the_things_that_they_are_of(scene, cameras, masks, tmp_path):
    (folder, given), detector = cameras, ByColour(masks)
    views = [looked(folder, camera, detector) for camera in given]
    found = voted(scene, views)
    assert sorted(word for word, _ in found) == ["chair", "sofa"]
    colors = scene.colors[scene.faces[:, 0]]
    standing = scene.vertices[scene.faces].mean(axis=1)[:, 1] > 0.05
    for word, faces in found:
        true = (colors == (RED if word == "chair" else BLUE)).all(axis=1) & standing
        both, either = scene.areas[faces & true].sum(), scene.areas[faces | true].sum()
        assert both / scene.areas[faces].sum() > 0.9  # what it names is of the thing
        assert both / either > 0.6  # the bottom of it no camera saw
    things = numbered(scene, found)
    draw_votes(tmp_path / "sheet.png", scene, things.segment, things.named, views, folder)
    assert Image.open(tmp_path / "sheet.png").width == 800


@pytest.mark.parametrize(
    "found",
    [("chair", 0.5), "chair", ("chair", "sure", (0, 0, 1, 1)), (3, 0.5, (0, 0, 1, 1)), ("chair", 0.5, (0, 1)),
     ("chair", 0.5, (0, 0, 1, 1), np.ones((2, 2)))],
)  # fmt: skip
def test_what_is_no_detection_is_named(found, cameras):
    folder, given = cameras
    with pytest.raises(ValueError, match=r"--detector: got .*; expected Detection\(word, score"):
        looked(folder, given[1], lambda rgb: [found])


def test_a_picture_is_turned_so_that_up_is_up(cameras):
    _, given = cameras
    for camera, sideways in ((given[3], True), (given[1], False)):
        turn, size = upright_turn(camera)
        assert size == ((120, 160) if sideways else (160, 120))
        u, v, _ = camera.project(np.array([[0, 0.3, 0], [0, 0.5, 0]]))
        low, high = np.stack([u, v, np.ones(2)], axis=1) @ turn.T
        assert low == pytest.approx([size[0] / 2, size[1] / 2], abs=1)
        assert high[0] == pytest.approx(low[0], abs=1)
        assert high[1] < low[1] - 5
    flat = np.diag([1.0, 1, 1, 1])
    flat[:3, :3] = [[1, 0, 0], [0, 0, -1], [0, 1, 0]]  # straight down
    assert upright_turn(replace(given[0], cam_to_world=flat))[0].tolist() == np.eye(2, 3).tolist()


def test_names_by_hand_go_first(scene):
    pieces = np.zeros(len(scene.faces), np.int32)
    pieces[:10] = 1
    voted_for = np.zeros(len(pieces), bool)
    voted_for[5:20] = True
    things = numbered(scene, [*by_hand(pieces, parse_labels(["Lamp=1"])), ("lamp", voted_for)])
    assert things.named == {1: ("wall_1", "wall"), 2: ("lamp_1", "lamp"), 3: ("lamp_2", "lamp")}
    assert [int((things.segment == k).sum()) for k in (2, 3)] == [10, 10]


@pytest.mark.parametrize(
    ("told", "said"),
    [
        ("detector", "expected file.onnx, or module:name"),
        ("no_such_module:find", "No module named 'no_such_module'"),
        ("math:no_such_name", "has no attribute"),
        ("math:pi", "math:pi is a float; expected a function"),
        ("{}/lone.onnx", "0 files \\*.names beside"),
        ("{}/broken/broken.onnx", "no detector that can be read"),
    ],
)
def test_what_is_no_detector_is_refused(told, said, tmp_path):
    (tmp_path / "broken").mkdir()
    for name in ("lone.onnx", "broken/broken.onnx", "broken/a.names"):
        (tmp_path / name).write_text("x", encoding="utf-8")
    with pytest.raises(ValueError, match=said):
        open_detector(told.format(tmp_path))


@pytest.mark.skipif(not FASTEST.is_file(), reason=f"{FASTEST} is not here")
def test_a_real_detector_finds_the_chairs_of_a_real_office(tmp_path):
    detector = open_detector(str(FASTEST))
    assert isinstance(detector, GridDetector)
    rgb = np.asarray(Image.open(SHARED / "captures" / "tum_fr3_office" / "rgb" / "000.jpg"))
    chairs = sorted(d.box for d in detector(rgb) if d.word == "chair")
    assert len(chairs) == 2
    for box, true in zip(chairs, ((20, 265, 240, 480), (375, 230, 530, 430)), strict=True):
        assert np.abs(np.array(box) - true).max() < 40
    (tmp_path / "few.names").write_text("chair\n", encoding="utf-8")
    (tmp_path / "f.onnx").write_bytes(FASTEST.read_bytes())
    with pytest.raises(ValueError, match="80 classes; expected as many as words: 1"):
        open_detector(str(tmp_path / "f.onnx"))(rgb)
