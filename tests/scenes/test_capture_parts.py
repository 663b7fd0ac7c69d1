"""Files of poses, fusion, up and floor, plane sweep: each against a slow twin or a known answer."""

import numpy as np
import pytest
from capture_rooms import path
from conftest import SHARED
from PIL import Image
from scipy.spatial.transform import Rotation

from scenes.capture import tsdf
from scenes.capture.__main__ import STAGES, arguments
from scenes.capture.alignment import similarity, trajectory_error
from scenes.capture.gravity import Surfels, find_up
from scenes.capture.pose_files import Camera, read_colmap, read_transforms, write_colmap, write_transforms
from scenes.capture.poses import parallax_of
from scenes.capture.stages import CaptureError, Gate, Stage, failed, run
from scenes.capture.surface import facing_share
from scenes.capture.sweep import sweep
from scenes.capture.upright import find_floor, floor_area, floor_normal, squared
from spatial_envs.geometry.mesh import Mesh
from spatial_envs.rendering.builtin import BuiltinRenderer


def test_a_stage_that_fails_loses_nothing(tmp_path):
    """Made once, again for other options, else kept; a full disk or an error leaves what was."""
    made, said = [], []

    def write(name, gate=True, error=None):
        def make(folder, before, options):
            (folder / "half").write_text("x", encoding="utf-8")
            if error is not None:
                raise error
            made.append(name)
            return [Gate("g", gate, "1", "2", "Do so.")]

        return Stage(name, make, ("number",) if name == "b" else ())

    def go(stages, number=1, anew=None):
        made.clear()
        return run(stages, tmp_path, {"number": number}, "films", anew, said.append)

    both = [write("a"), write("b"), write("c", gate=False), write("d")]
    assert failed(go(both)[-1]).advice == "Do so."
    assert made == ["a", "b", "c"]
    go(both)
    assert made == []
    go(both, number=2)
    assert made == ["b", "c"]
    go(both, number=2, anew="c")
    assert made == ["c"]
    for error, expected in (
        (OSError(28, "No space left on device"), "free some space, or pass another --out"),
        (PermissionError(13, "Permission denied", "there"), "there: Permission denied"),
        (CaptureError("too dark"), "too dark"),
    ):
        with pytest.raises(CaptureError, match=expected):
            go([write("a"), write("b", error=error)], number=3)
        assert (tmp_path / "2_b" / "stage.json").is_file()
        assert sorted(path.name for path in tmp_path.iterdir()) == ["1_a", "2_b", "3_c"]


def cameras(count=5):
    lens, bent = (500.25, 501.5, 320.125, 239.75), (0.1, -0.02, 0.001, -0.002)
    return [Camera(f"{k:03d}.jpg", (640, 480), lens, pose, bent) for k, pose in enumerate(path(count))]


@pytest.mark.parametrize("form", ["transforms", "colmap"])
def test_poses_survive_a_file(form, tmp_path):
    given = cameras()
    if form == "colmap":
        write_colmap(tmp_path, given)
        read = read_colmap(tmp_path)
    else:
        write_transforms(tmp_path / "transforms.json", given)
        read = read_transforms(tmp_path / "transforms.json")
    assert [camera.name for camera in read] == [camera.name for camera in given]
    for a, b in zip(given, read, strict=True):
        assert np.abs(a.pose - b.pose).max() < 1e-6
        assert (a.size, a.intrinsics, a.distortion) == (b.size, b.intrinsics, b.distortion)


def test_colmap_reads_what_is_written(tmp_path):
    pycolmap = pytest.importorskip("pycolmap", reason="needs the extra [capture]")
    write_colmap(tmp_path / "text", cameras())
    (tmp_path / "binary").mkdir()
    pycolmap.Reconstruction(str(tmp_path / "text")).write_binary(str(tmp_path / "binary"))
    for a, b in zip(cameras(), read_colmap(tmp_path / "binary"), strict=True):
        assert np.abs(a.pose - b.pose).max() < 1e-6
        assert np.allclose(a.distortion, b.distortion)


def test_opengl_axes(tmp_path):
    """instant-ngp's fields: an angle for the focal length; the camera looks along its -Z, +Y up."""
    (tmp_path / "t.json").write_text(
        '{"camera_angle_x": 1.5707963267948966, "w": 200, "h": 100, "frames": [{"file_path": "a", '
        '"transform_matrix": [[1, 0, 0, 5], [0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]]}]}',
        encoding="utf-8",
    )
    (camera,) = read_transforms(tmp_path / "t.json")
    assert camera.intrinsics == pytest.approx((100, 100, 100, 50))
    assert camera.pose[:3, 2] == pytest.approx([0, 0, -1])
    assert camera.pose[:3, 1] == pytest.approx([0, -1, 0])
    assert camera.project(np.array([[5.0, 0, -2]]))[0] == pytest.approx([100])


def test_every_third_pixel_looks_where_it_did():
    camera = cameras(1)[0]
    for pixel in (0, 3, 102):
        whole = (pixel + 0.5 - camera.matrix[:2, 2]) / np.diag(camera.matrix)[:2]
        few = camera.strided(3)
        assert (pixel / 3 + 0.5 - few[:2, 2]) / np.diag(few)[:2] == pytest.approx(whole)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("{", "not a JSON file"),
        ('{"frames": []}', "frames: expected a list"),
        ('{"frames": [{"file_path": 3}]}', r"frames\[0\]: file_path: missing"),
        ('{"frames": [{"file_path": "a"}]}', r"frames\[0\]: 'w'"),
        (
            '{"w": 2, "h": 2, "fl_x": 3, "frames": [{"file_path": "a", "transform_matrix": [[2]]}]}',
            "a rotation",
        ),
    ],
)
def test_bad_transforms_are_named(content, said, tmp_path):
    (tmp_path / "t.json").write_text(content, encoding="utf-8")
    with pytest.raises(CaptureError, match=said):
        read_transforms(tmp_path / "t.json")


@pytest.mark.parametrize(
    ("camera", "image", "said"),
    [
        ("1 FISHEYE 4 4 1 2 3", "1 1 0 0 0 0 0 0 1 a.jpg", "camera model FISHEYE"),
        ("1 PINHOLE 4 4 1 2", "1 1 0 0 0 0 0 0 1 a.jpg", "got 2 parameters; PINHOLE has 4"),
        ("1 PINHOLE 4 4 1 1 2 2", "1 1 0 0 0 0 0 0 7 a.jpg", "of a camera in cameras.txt"),
        ("1 PINHOLE 4 4 1 1 2 2", "1 9 0 0 0 0 0 0 1 a.jpg", "expected one of length 1"),
    ],
)
def test_bad_colmap_files_are_named(camera, image, said, tmp_path):
    (tmp_path / "cameras.txt").write_text(camera, encoding="utf-8")
    (tmp_path / "images.txt").write_text(f"{image}\n\n", encoding="utf-8")
    with pytest.raises(CaptureError, match=said):
        read_colmap(tmp_path)


def test_trajectories_are_laid_over_each_other():
    rng = np.random.default_rng(0)
    poses = path(12)
    moved = poses.copy()
    turn = Rotation.random(random_state=1).as_matrix()
    moved[:, :3, 3] = 2.5 * poses[:, :3, 3] @ turn.T + [1, 2, 3]
    scale, found, shift = similarity(poses[:, :3, 3], moved[:, :3, 3])
    assert scale == pytest.approx(2.5)
    assert found == pytest.approx(turn)
    assert shift == pytest.approx([1, 2, 3])
    assert trajectory_error(poses, moved) < 1e-12
    assert trajectory_error(poses, moved, scaled=True) > 0.1
    noisy = moved.copy()
    noisy[:, :3, 3] += rng.normal(0, 0.01, (12, 3))
    assert 0.005 < trajectory_error(poses, noisy) < 0.02


def test_parallax_is_the_way_in_depths_of_what_was_seen():
    """Steps of 1 m sideways before a wall 4 m off; what is behind the cameras does not count."""
    given = []
    for x in (-1.0, 0.0, 1.0):
        pose = np.eye(4)
        pose[0, 3] = x
        given.append(Camera(str(x), (640, 480), (500.0, 500.0, 320.0, 240.0), pose))
    wall = np.column_stack([np.linspace(-1, 1, 50), np.zeros(50), np.full(50, 4.0)])
    expected = 2 * np.sqrt(2 / 3) / 4
    assert parallax_of(given, wall) == pytest.approx(expected)
    assert parallax_of(given, np.concatenate([wall, wall * [1, 1, -9]])) == pytest.approx(expected)
    assert parallax_of(given[1:2] * 3, wall) == 0


def slow_field(low, shape, voxel, frames):
    """Distances and weights (X, Y, Z) by plain arrays."""
    points = low + np.stack(np.meshgrid(*(np.arange(n) for n in shape), indexing="ij"), axis=-1) * voxel
    total, weight = np.zeros(shape), np.zeros(shape)
    reach = tsdf.TRUNCATION * voxel
    for depth, lens, pose in frames:
        local = (points - pose[:3, 3]) @ pose[:3, :3]
        z = np.where(local[..., 2] > 0.05, local[..., 2], np.nan)
        u, v = (lens[k, k] * local[..., k] / z + lens[k, 2] for k in (0, 1))
        inside = (u >= 0) & (v >= 0) & (u < depth.shape[1]) & (v < depth.shape[0])
        told = np.zeros(shape)
        told[inside] = depth[v[inside].astype(int), u[inside].astype(int)]
        use = inside & (told > 0) & (told - z >= -reach)
        total[use] += np.minimum((told - z)[use] / reach, 1) / z[use] ** 2
        weight[use] += 1 / z[use] ** 2
    return np.where(weight > 0, total / np.where(weight > 0, weight, 1), 1), weight


def test_fusion_against_plain_arrays_and_a_sphere():
    """The field is the slow one's; the surface of a ball lies on it, faces outwards, and has its colour."""
    import trimesh

    ball = trimesh.creation.icosphere(4, radius=0.5)
    mesh = Mesh(ball.vertices.astype(np.float32), ball.faces.astype(np.int32),
                np.tile(np.array([200, 100, 50], np.uint8), (len(ball.vertices), 1)))  # fmt: skip
    lens, size = np.array([[100.0, 0, 48], [0, 100, 40], [0, 0, 1]]), (80, 96)
    field = tsdf.Field(np.full(3, -0.6), np.full(3, 0.6), 0.06)
    frames, seen = [], []
    for k, turn in enumerate(
        Rotation.from_euler("YX", [(40 * k, 25 * (-1) ** k) for k in range(9)], degrees=True)
    ):
        pose = np.eye(4)
        pose[:3, :3] = turn.as_matrix()
        pose[:3, 3] = -1.4 * pose[:3, 2]
        view = BuiltinRenderer(lit=False).render(mesh, pose, lens, size)
        field.add(view.depth, view.rgb, lens, pose)
        frames.append((view.depth, lens, pose))
        seen.append(Camera(str(k), (96, 80), (100.0, 100.0, 48.0, 40.0), pose))
    distance, weight = slow_field(field.low, field.distance.shape, 0.06, frames)
    same = np.isclose(field.weight, weight, rtol=1e-4)
    assert same.mean() > 0.999  # a voxel on the border of a pixel may round to either side
    assert np.abs(field.distance - distance)[same].max() < 1e-3
    surface = field.surface()
    off = np.abs(np.linalg.norm(surface.vertices, axis=1) - 0.5)
    assert off.max() < 0.06  # a voxel: nothing hangs where what was seen ends
    assert np.median(off) < 0.015
    assert facing_share(surface, seen) > 0.99
    assert np.abs(surface.colors.astype(int) - [200, 100, 50]).max() <= 2
    with pytest.raises(ValueError, match="no surface"):
        tsdf.Field(np.zeros(3), np.ones(3), 0.1).surface()
    with pytest.raises(ValueError, match="at most 60,000,000 voxels"):
        tsdf.Field(np.zeros(3), np.full(3, 100.0), 0.01)


def test_the_floor_is_under_the_cameras_and_not_the_larger_table():
    rng = np.random.default_rng(0)
    floor = np.column_stack([rng.uniform(0, 1.5, 4000), rng.normal(0, 0.01, 4000), rng.uniform(0, 1, 4000)])
    table = np.column_stack([rng.uniform(2, 5, 9000), rng.normal(0.72, 0.01, 9000), rng.uniform(0, 1, 9000)])
    speck = np.column_stack([rng.uniform(0, 0.2, 50), np.full(50, -0.6), rng.uniform(0, 0.2, 50)])
    height, levels = find_floor(np.concatenate([floor, table, speck]), 1.5)
    assert height == pytest.approx(0, abs=0.01)
    assert max(levels, key=lambda y: levels[y]) == pytest.approx(0.7, abs=0.06)
    assert find_floor(table + np.array([0, 2, 0]), 1.5)[1] == {}


def test_a_floor_is_as_large_as_what_was_seen_of_it_at_any_size_of_picture():
    """A camera 1 m above it looks straight down, with a field of view of 90 degrees."""
    pose = np.array([[1.0, 0, 0, 0], [0, 0, -1, 1], [0, 1, 0, 0], [0, 0, 0, 1]])
    for side in (128, 640):
        camera = Camera("a", (side, side), (side / 2,) * 4, pose)
        assert floor_area([(camera, np.full((side, side), 1.02, np.float32))]) == pytest.approx(
            2.04**2, rel=0.1
        )
        assert floor_area([(camera, np.full((side, side), 0.9, np.float32))]) == 0


def test_up_is_found_from_a_camera_that_looks_down_and_walls_are_squared():
    rng = np.random.default_rng(0)
    turn = Rotation.from_euler("xyz", [12, 30, -8], degrees=True).as_matrix()
    kinds = rng.choice(3, 6000, p=[0.4, 0.35, 0.25])
    normals = np.array([[0, 1, 0], [1, 0, 0], [0, 0, 1.0]])[kinds] + rng.normal(0, 0.03, (6000, 3))
    normals = normals / np.linalg.norm(normals, axis=1, keepdims=True) @ turn.T
    guess = turn @ Rotation.from_euler("x", 30, degrees=True).apply([0, 1, 0])
    places = rng.uniform(-2, 2, (6000, 3)) * np.where(kinds == 0, [[1], [0], [1]], [[1], [1], [1]]).T
    seen = Surfels(places @ turn.T, normals)
    up, share = find_up(seen, guess)
    assert np.degrees(np.arccos(up @ turn[:, 1])) < 0.2
    assert share == pytest.approx(0.4, abs=0.03)
    square = np.abs(squared(seen, up) @ turn)
    assert square.max(axis=0) == pytest.approx(1, abs=1e-3)


def test_a_floor_that_leans_is_made_level_by_all_of_it():
    rng = np.random.default_rng(0)
    x, z = rng.uniform(-2, 2, (2, 5000))
    leaning = np.column_stack([x, 0.3 + np.tan(np.radians(1)) * x + rng.normal(0, 0.01, 5000), z])
    things = np.column_stack([x[:900], rng.uniform(0.35, 0.5, 900), z[:900]])
    normal = floor_normal(np.concatenate([leaning, things]), 0.3, 0.1)
    assert np.degrees(np.arccos(normal @ [-np.sin(np.radians(1)), np.cos(np.radians(1)), 0])) < 0.2
    assert floor_normal(leaning[:50], 0.3, 0.1).tolist() == [0, 1, 0]


@pytest.mark.parametrize("what", ["a wall", "a floor"])
def test_a_plane_sweep_finds_a_textured_plane(tmp_path, what):
    """Six pictures from 0.25 m apart: of a wall from 2 to 2.4 m; and of a floor 1.4 m below and a wall behind
    it, 20 degrees down."""
    rng = np.random.default_rng(0)
    texture = rng.integers(0, 255, (160, 160, 1), dtype=np.uint8).repeat(2, 0).repeat(2, 1).repeat(3, 2)
    uv = np.array([[0, 0], [1, 0], [1, 1], [0, 1]], np.float32)
    faces = np.array([[0, 1, 2], [0, 2, 3]], np.int32)
    wall = np.array([[-3, -3, 0.4], [3, -3, 0], [3, 3, 0], [-3, 3, 0.4]], np.float32)
    floor = np.array([[-3, -1.4, 2], [3, -1.4, 2], [3, -1.4, -4], [-3, -1.4, -4]], np.float32)
    x, y = rng.uniform(-2, 2, (2, 400))
    if what == "a wall":
        corners, down, back, least = wall, 0.0, 2.4, 0.5
        points = np.column_stack([x, y, 0.2 - x / 15])
    else:
        corners, down, back, least = floor, np.radians(20), 2.0, 0.72
        points = np.column_stack([x, np.full(400, -1.4), y - 1])
    mesh = Mesh(corners, faces, np.full((4, 3), 255, np.uint8), uv, (texture,), np.zeros(2, np.int32))
    lens, given = np.array([[150.0, 0, 80], [0, 150, 60], [0, 0, 1]]), []
    for k in range(6):
        pose = np.eye(4)
        pose[:3, :3] = Rotation.from_euler("x", -down).as_matrix() @ np.diag([1.0, -1, -1])
        pose[:3, 3] = [0.25 * k - 0.6, 0.05 * k, back]
        view = BuiltinRenderer(lit=False).render(mesh, pose, lens, (120, 160))
        Image.fromarray(view.rgb).save(tmp_path / f"{k}.png")
        given.append((Camera(f"{k}.png", (160, 120), (150.0, 150.0, 80.0, 60.0), pose), view.depth))
    found = list(sweep(tmp_path, [camera for camera, _ in given], points))
    for (_, depth), (_, true) in zip(found, given, strict=True):
        filled = (depth > 0) & (true > 0)
        assert filled.sum() > least * (true > 0).sum()
        assert np.median(np.abs(depth - true)[filled] / true[filled]) < 0.01


def test_photographs_of_a_real_office(tmp_path):
    """All hang together, near the truth of motion capture."""
    pytest.importorskip("pycolmap", reason="needs the extra [capture]")
    folder = SHARED / "captures" / "tum_fr3_office"
    if not folder.is_dir():
        pytest.skip(f"{folder} is not here")
    out = tmp_path / "out"
    options = vars(arguments().parse_args([str(folder / "rgb"), "--out", str(out), "--size", "640"]))
    assert failed(run(STAGES["room"][:2], out, options, "office")[-1]) is None
    rows = [
        line.split() for line in (folder / "groundtruth.txt").read_text(encoding="utf-8").splitlines()[1:]
    ]
    found = {int(c.name[:4]): c.pose for c in read_transforms(out / "2_poses" / "transforms.json")}
    assert len(found) >= 16
    known = [k for k in found if rows[k][1] != "nan"]
    true = np.tile(np.eye(4), (len(known), 1, 1))
    true[:, :3, 3] = [[float(n) for n in rows[k][1:4]] for k in known]
    assert trajectory_error(np.stack([found[k] for k in known]), true) <= 0.015
