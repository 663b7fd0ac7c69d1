"""Every data set of depth, from small files of its layout and coding: metres, intrinsics, pose, picture."""

import pickle

import numpy as np
import pytest
from depth_files import Street, drive, three, write_jpg, write_png, write_text
from PIL import Image
from scipy.spatial.transform import Rotation

from spatial_envs.foundation.errors import SceneError
from spatial_envs.geometry.camera import unproject
from spatial_envs.scenes.depth_frames import is_depth, open_depth
from spatial_envs.scenes.depth_layouts.synthia import depth_residual

FRAMES = 3
CM = 0.0051


def centimetres(depth):
    """16 bits; the sky is 65535."""
    return np.where((depth > 0) & (depth < 600), np.rint(depth * 100), 65535).astype(np.uint16)


def numbers(matrix) -> str:
    return " ".join(f"{value:.9g}" for value in np.ravel(matrix))


def frames_of(folder, size, **arguments):
    found = open_depth(folder, image_size=size, **arguments)
    return found, [found.load(k) for k in range(len(found))]


def check(frame, pose, intrinsics, size, tolerance=CM, sky=0.01):
    """The frame shows the street as it is from this pose."""
    true = Street().depth(pose, intrinsics, size)
    near = (true > 0) & (true < 80)
    view = frame.view
    assert (view.depth.shape, view.depth.dtype) == (size, np.float32)
    off = np.abs(view.depth - true)[near & (view.depth > 0)]
    assert off.max() < tolerance
    assert (near ^ (view.depth > 0)).mean() < sky
    assert np.allclose(
        view.intrinsics,
        [[intrinsics[0], 0, intrinsics[2]], [0, intrinsics[1], intrinsics[3]], [0, 0, 1]],
        atol=1e-3,
    )
    return near


def check_world(frames, poses):
    """Poses as they were: metres, Y up, ground y = 0."""
    for frame, pose in zip(frames, poses, strict=True):
        assert frame.posed
        assert np.allclose(frame.view.cam_to_world, pose, atol=2e-3)
        assert np.allclose(frame.ground, [0, 1, 0, 0], atol=0.02)
        low = unproject(frame.view.depth, frame.view.intrinsics, frame.view.cam_to_world)[frame.target]
        assert low[:, 1].min() > -0.05


def synthia(folder, poses, to_world=True, inner="Omni_F"):
    """SYNTHIA-SEQS at a tenth of its size, with intrinsics.txt of the full one, as the real ones are."""
    intrinsics, size = (53.2740352, 53.2740352, 64.0, 38.0), (76, 128)
    side = f"Stereo_Left/{inner}"
    for k, pose in enumerate(poses):
        counts = centimetres(Street().depth(pose, intrinsics, size))
        write_png(folder / f"Depth/{side}/{k:06d}.png", three(counts), (0, 1, 2, 3, 4))
        write_jpg(folder / f"RGB/{side}/{k:06d}.png", (128, 76), (10 * k, 50, 90))
        raw = np.diag([1.0, -1, -1, 1]) @ pose  # any world will do, as data sets have their own
        raw = raw if to_world else np.linalg.inv(raw)
        write_text(folder / f"CameraParams/{side}/{k:06d}.txt", numbers(raw.T))
    write_text(folder / "CameraParams/intrinsics.txt", "532.740352", "", "640", "", "380", "", "0.8")
    return intrinsics, size


@pytest.mark.parametrize("to_world", [True, False])
def test_synthia_seqs_whichever_way_its_poses_are(tmp_path, to_world):
    poses = drive(FRAMES)
    intrinsics, size = synthia(tmp_path / "SYNTHIA-SEQS-01-DAWN", poses, to_world)
    found, frames = frames_of(tmp_path, size)
    assert found.names[1] == "SYNTHIA-SEQS-01-DAWN/Depth/Stereo_Left/Omni_F/000001"
    assert found.leaky
    assert list(found.sequences.values()) == [(0, 1, 2)]
    for k, (frame, pose) in enumerate(zip(frames, poses, strict=True)):
        check(frame, pose, intrinsics, size)
        assert (frame.view.rgb == (10 * k, 50, 90)).all()
        assert frame.number == k
        assert frame.view.segment is None
        assert frame.truth is None
    check_world(frames, poses)


@pytest.mark.parametrize("straight", [True, False])
def test_the_direction_of_poses_is_told_by_depth_alone(straight):
    poses, intrinsics, size = drive(2), (53.0, 53.0, 64.0, 38.0), (76, 128)
    if straight:
        poses[1] = poses[0].copy()
        poses[1][2, 3] -= 1.2
    before, after = (Street().depth(pose, intrinsics, size).astype(np.float32) for pose in poses)
    matrix = np.array([[53.0, 0, 64], [0, 53, 38], [0, 0, 1]])
    motion = np.linalg.inv(poses[1]) @ poses[0]
    right, wrong = (depth_residual(before, after, m, matrix) for m in (motion, np.linalg.inv(motion)))
    assert right < 0.03
    assert wrong > 1.3 * right
    assert depth_residual(before, after, np.diag([-1.0, 1, -1, 1]), matrix) == np.inf  # behind the camera


@pytest.mark.parametrize("folder", ["Depth", "Depth/Depth"])
def test_synthia_rand_cityscapes(tmp_path, folder):
    intrinsics, size = (53.2740352, 53.2740352, 64.0, 38.0), (76, 128)
    pose = drive(1)[0]
    write_png(
        tmp_path / folder / "0000007.png", three(centimetres(Street().depth(pose, intrinsics, size))), (4,)
    )
    write_jpg(tmp_path / "RGB/0000007.png", (128, 76), (7, 8, 9))
    _, (frame,) = frames_of(tmp_path, size)
    check(frame, pose, intrinsics, size)
    assert (frame.view.rgb == (7, 8, 9)).all()
    assert (frame.number, frame.posed) == (7, False)
    assert np.allclose(frame.ground, [0, 1, 0, 0], atol=1e-6)  # the world is made to stand on it
    assert np.allclose(frame.view.cam_to_world[:3, 3], [0, 1.6, 0], atol=0.05)
    turn = frame.view.cam_to_world[:3, :3]
    assert np.allclose(turn @ turn.T, np.eye(3), atol=1e-6)
    assert np.linalg.det(turn) > 0
    assert np.allclose(turn[:, 2], [0, -np.sin(0.05), -np.cos(0.05)], atol=0.01)  # pitched down, as it was


def test_synthia_sf(tmp_path):
    intrinsics, size = (84.7630211643, 84.7630211643, 96.0, 54.0), (108, 192)
    pose = drive(1)[0]
    true = Street().depth(pose, intrinsics, size)
    count = np.where(true > 0, np.rint(np.minimum(true, 1000) / 1000 * (256**3 - 1)), 256**3 - 1).astype(int)
    packed = np.stack([count % 256, count // 256 % 256, count // 65536], axis=-1).astype(np.uint8)
    for side in ("Left", "Right"):
        write_png(tmp_path / f"SEQ1/Depth{side}/0000000.png", packed, (1,))
    write_jpg(tmp_path / "SEQ1/RGBLeft/0000000.png", (192, 108), (1, 2, 3))
    found, frames = frames_of(tmp_path, size)
    assert found.names == ("SEQ1/DepthLeft/0000000", "SEQ1/DepthRight/0000000")
    for frame in frames:
        check(frame, pose, intrinsics, size, 1e-3)
    assert (frames[0].view.rgb == (1, 2, 3)).all()
    shading = frames[1].view.rgb  # it has no picture
    assert (shading[..., 0] == shading[..., 1]).all()
    assert ((shading[..., 0] > 0) == (frames[1].view.depth > 0)).all()


def test_virtual_kitti(tmp_path):
    intrinsics, size = (725.0087 / 3, 725.0087 / 3, 207.0, 62.5), (125, 414)
    base, poses = tmp_path / "Scene01/clone", drive(FRAMES)
    table = ["frame cameraID r1,1 r1,2 r1,3 t1 r2,1 r2,2 r2,3 t2 r3,1 r3,2 r3,3 t3 0 0 0 1"]
    rows = ["frame cameraID K[0,0] K[1,1] K[0,2] K[1,2]"]
    for k, pose in enumerate(poses):
        for camera in (0, 1):
            shifted = pose.copy()
            shifted[:3, 3] += 0.53 * camera * pose[:3, 0]
            counts = centimetres(Street().depth(shifted, intrinsics, size))
            write_png(base / f"frames/depth/Camera_{camera}/depth_{k:05d}.png", counts, (2,))
            write_jpg(base / f"frames/rgb/Camera_{camera}/rgb_{k:05d}.jpg", (414, 125), (90, 90, 90))
            to_camera = np.linalg.inv(np.diag([1.0, -1, -1, 1]) @ shifted)
            table.append(f"{k} {camera} {numbers(to_camera)}")
            rows.append(f"{k} {camera} 725.0087 725.0087 620.5 187")
    write_text(base / "extrinsic.txt", *table)
    write_text(base / "intrinsic.txt", *rows)
    found, frames = frames_of(tmp_path, size)
    assert [len(indices) for indices in found.sequences.values()] == [FRAMES, FRAMES]
    for frame, pose in zip(frames, poses, strict=False):
        check(frame, pose, intrinsics, size)
        assert np.abs(frame.view.rgb.astype(int) - 90).max() < 4
    check_world(frames[:FRAMES], poses)
    baseline = frames[FRAMES].view.cam_to_world[:3, 3] - frames[0].view.cam_to_world[:3, 3]
    assert np.linalg.norm(baseline) == pytest.approx(0.53, abs=1e-3)
    for name in ("extrinsic.txt", "intrinsic.txt"):  # the pictures' archives do not have them
        (base / name).unlink()
    _, (frame, *_) = frames_of(tmp_path, size)
    check(frame, poses[0], intrinsics, size)
    assert not frame.posed


def test_tartanair(tmp_path):
    intrinsics, size = (32.0, 32.0, 32.0, 24.0), (48, 64)
    base, poses = tmp_path / "abandonedfactory/Easy/P000", drive(FRAMES)
    lines = []
    for k, pose in enumerate(poses):
        true = Street().depth(pose, intrinsics, size)
        (base / "depth_left").mkdir(parents=True, exist_ok=True)
        np.save(
            base / f"depth_left/{k:06d}_left_depth.npy", np.where(true > 0, true, 10000).astype(np.float32)
        )
        write_jpg(base / f"image_left/{k:06d}_left.png", (64, 48), (3, 2, 1))
        right, down, forward = pose[:3, :3].T
        ned = [np.array([-v[2], v[0], -v[1]]) for v in (forward, right, down, pose[:3, 3])]  # -Z is north
        quaternion = Rotation.from_matrix(np.stack(ned[:3], axis=1)).as_quat()
        lines.append(numbers([*ned[3], *quaternion]))
    write_text(base / "pose_left.txt", *lines)
    found, frames = frames_of(tmp_path, size)
    assert found.names[0] == "abandonedfactory/Easy/P000/depth_left/000000_left_depth"
    for frame, pose in zip(frames, poses, strict=True):
        check(frame, pose, intrinsics, size, 1e-4)
        assert (frame.view.rgb == (3, 2, 1)).all()
    check_world(frames, poses)


def z_up(pose):
    """The same camera in a world with Z up: x, -z, y."""
    turn = np.array([[1.0, 0, 0, 0], [0, 0, -1, 0], [0, 1, 0, 0], [0, 0, 0, 1]])
    return turn @ pose


def test_scannet(tmp_path):
    intrinsics, size = (57.8, 57.9, 32.1, 24.2), (48, 64)
    base, poses = tmp_path / "scene0000_00", drive(FRAMES)
    for k, pose in enumerate(poses):
        true = Street().depth(pose, intrinsics, size)
        write_png(base / f"depth/{k}.png", np.where(true < 65, np.rint(true * 1000), 0).astype(np.uint16))
        write_jpg(base / f"color/{k}.jpg", (128, 96), (200, 200, 200))  # larger than the depth, as there
        write_text(base / f"pose/{k}.txt", *(numbers(row) for row in z_up(pose)))
    matrix = np.eye(4)
    matrix[0, 0], matrix[1, 1], matrix[0, 2], matrix[1, 2] = 57.8, 57.9, 31.6, 23.7
    write_text(base / "intrinsic/intrinsic_depth.txt", *(numbers(row) for row in matrix))
    _, frames = frames_of(tmp_path, size, max_depth=64.0)
    for frame, pose in zip(frames, poses, strict=True):
        check(frame, pose, intrinsics, size, 6e-4, sky=0.03)
        assert np.abs(frame.view.rgb.astype(int) - 200).max() < 4
    check_world(frames, poses)
    (base / "pose/1.txt").write_text("-inf " * 16)  # where ScanNet lost track
    with pytest.raises(SceneError, match=r"1\.txt: got '-inf.*expected 16 finite numbers"):
        open_depth(tmp_path).load(1)
    (base / "intrinsic/intrinsic_depth.txt").unlink()
    with pytest.raises(SceneError, match=r"intrinsic_depth\.txt: is missing; expected.*intrinsics="):
        open_depth(tmp_path).load(0)
    frame = open_depth(tmp_path, image_size=size, intrinsics=intrinsics, max_depth=64.0).load(0)
    check(frame, poses[0], intrinsics, size, 6e-4, sky=0.03)


def test_replica(tmp_path):
    intrinsics, size = (60.0, 60.0, 60.0, 34.0), (68, 120)
    base, poses = tmp_path / "office0", drive(FRAMES)
    for k, pose in enumerate(poses):
        true = Street().depth(pose, intrinsics, size)
        count = np.where(true < 9.99, np.rint(true * 6553.5), 0).astype(np.uint16)
        write_png(base / f"results/depth{k:06d}.png", count, (4,))
        write_jpg(base / f"results/frame{k:06d}.jpg", (120, 68), (40, 40, 40))
    write_text(base / "traj.txt", *(numbers(z_up(pose)) for pose in poses))
    found, frames = frames_of(tmp_path, size)
    assert found.names[2] == "office0/results/depth000002"
    for frame, pose in zip(frames, poses, strict=True):
        true = Street().depth(pose, intrinsics, size)
        seen = frame.view.depth > 0
        assert np.abs(frame.view.depth - true)[seen].max() < 1e-4
        assert ((true > 0) & (true < 9.99) == seen).all()
        assert np.allclose(frame.view.intrinsics, [[60, 0, 60], [0, 60, 34], [0, 0, 1]])
        assert np.allclose(frame.view.cam_to_world, pose, atol=1e-3)


def test_sizes_are_sampled_with_the_lens_to_match(tmp_path):
    poses = drive(1)
    synthia(tmp_path, poses)
    full, small = (open_depth(tmp_path, image_size=size).load(0) for size in ((76, 128), (19, 32)))
    assert np.allclose(small.view.intrinsics[:2], full.view.intrinsics[:2] / 4)
    assert np.isin(small.view.depth, full.view.depth).all()
    near = open_depth(tmp_path, max_depth=12.0).load(0)
    assert 10 < near.view.depth.max() <= 12


def test_sets_travel_to_other_processes(tmp_path):
    synthia(tmp_path, drive(2))
    for frames in (open_depth(tmp_path), open_depth(num_objects=2)):
        there = pickle.loads(pickle.dumps(frames))
        assert there.names == frames.names
        assert np.array_equal(there.load(1).view.depth, frames.load(1).view.depth)


def test_one_file_alone_and_a_folder_of_files_in_no_layout(tmp_path):
    pose, intrinsics, size = drive(1)[0], (53.2740352, 53.2740352, 64.0, 38.0), (76, 128)
    true = Street().depth(pose, intrinsics, size)
    codes = {
        "cm.png": three(centimetres(true)),
        "mm.png": np.where(true < 60, np.rint(true * 1000), 65535).astype(np.uint16),
    }
    for name, samples in codes.items():
        write_png(tmp_path / "plain" / name, samples)
    np.save(tmp_path / "plain/m.npy", np.where(true > 0, true, np.nan))
    np.save(tmp_path / "plain/mm.npy", np.rint(np.minimum(true, 90) * 1000).astype(np.int64))
    for name in ("cm.png", "mm.png", "m.npy", "mm.npy"):
        frame = open_depth(
            tmp_path / "plain" / name, image_size=size, intrinsics=intrinsics, max_depth=59.0
        ).load(0)
        near = (frame.view.depth > 0) & (true < 59)
        assert np.abs(frame.view.depth - true)[near].max() < CM
        assert near.mean() > 0.3
        assert (frame.name, frame.posed) == (name, False)
    assert open_depth(tmp_path / "plain", intrinsics=intrinsics).names == (
        "cm.png",
        "m.npy",
        "mm.npy",
        "mm.png",
    )
    with pytest.raises(ValueError, match=r"in no known layout.*intrinsics=\(fx, fy, cx, cy\) is needed"):
        open_depth(tmp_path / "plain")
    synthia(tmp_path / "set", drive(2))
    alone = open_depth(tmp_path / "set/Depth/Stereo_Left/Omni_F/000001.png")  # where it is says what it is
    assert alone.load(0).posed
    assert alone.names == ("000001",)
    assert is_depth(tmp_path / "set")
    assert is_depth(tmp_path / "plain/m.npy")
    assert not is_depth(tmp_path / "plain")
    assert not is_depth(tmp_path / "gone")


def test_links_are_followed_once_and_what_is_left_out_is_named(tmp_path):
    synthia(tmp_path / "set/a", drive(2))
    (tmp_path / "set/a/loop").symlink_to(tmp_path / "set")
    (tmp_path / "set/again").symlink_to("a")
    (tmp_path / "set/gone.png").symlink_to("nowhere.png")
    write_png(tmp_path / "set/a/other_depth.png", np.ones((4, 4, 3), np.uint16))
    links = r"1 links to nothing \(gone.png\); 2 links to what is there already \(a/loop, again\)"
    other = r"1 called depth, in no layout \(a/other_depth.png\)"
    with pytest.warns(UserWarning, match=rf"set: left out: {other}; {links}"):
        found = open_depth(tmp_path / "set")
    assert found.names == tuple(f"a/Depth/Stereo_Left/Omni_F/00000{k}" for k in range(2))


def test_pointers_are_refused_by_name(tmp_path):
    synthia(tmp_path, drive(2))
    pointer = b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n"
    (tmp_path / "Depth/Stereo_Left/Omni_F/000000.png").write_bytes(pointer)
    (tmp_path / "RGB/Stereo_Left/Omni_F/000001.png").write_bytes(pointer)
    (tmp_path / "plain.npy").write_bytes(pointer)
    frames = open_depth(tmp_path / "Depth")
    for load in (
        lambda: frames.load(0),
        lambda: frames.load(1),
        lambda: open_depth(tmp_path / "plain.npy", intrinsics=(100, 100, 64, 38)).load(0),
    ):
        with pytest.raises(SceneError, match="a Git LFS pointer, not the file itself; fetch it by"):
            load()


def test_scene_sets_name_splits(tmp_path):
    for name in ("a", "b"):
        synthia(tmp_path / name, drive(2))
    write_text(tmp_path / "set.yaml", "splits:", "  train: [a]", "  test: [b]")
    train, test = (open_depth(tmp_path / "set.yaml", split) for split in ("train", "test"))
    assert train.names[0] == "a/Depth/Stereo_Left/Omni_F/000000"
    assert not train.leaky
    assert not set(train.names) & set(test.names)
    with pytest.raises(ValueError, match="'validation' is missing"):
        open_depth(tmp_path / "set.yaml", "validation")


def spoil(folder, what):
    side = "Stereo_Left/Omni_F"
    depth = folder / f"Depth/{side}/000000.png"
    if what == "cut":
        depth.write_bytes(depth.read_bytes()[:-200])
    elif what == "eight bits":
        write_png(depth, np.zeros((76, 128, 3), np.uint8))
    elif what == "channels":
        samples = np.ones((76, 128, 3), np.uint16)
        samples[5, 5, 2] = 9
        write_png(depth, samples)
    elif what == "gone":
        depth.unlink()
    elif what == "picture":
        (folder / f"RGB/{side}/000000.png").write_bytes(b"\x89PNG")
    elif what == "no pose":
        (folder / f"CameraParams/{side}/000000.txt").unlink()
    elif what == "short pose":
        (folder / f"CameraParams/{side}/000000.txt").write_text("1 0 0")
    elif what == "skewed pose":
        (folder / f"CameraParams/{side}/000000.txt").write_text(numbers(2 * np.eye(4)))
    elif what == "intrinsics":
        (folder / "CameraParams/intrinsics.txt").write_text("f")
    elif what == "empty":
        write_png(depth, np.zeros((76, 128, 3), np.uint16))


@pytest.mark.parametrize(
    ("what", "message"),
    [
        ("cut", r"000000\.png: is cut short"),
        ("eight bits", r"000000\.png: got 3 channel\(s\) of 8 bits; expected"),
        ("channels", r"000000\.png: its channels differ"),
        ("gone", r"000000\.png: cannot be read: No such file"),
        ("picture", r"000000\.png: no picture that can be read"),
        ("no pose", r"000000\.txt: cannot be read: No such file"),
        ("short pose", r"000000\.txt: got '1 0 0'; expected 16 finite numbers"),
        ("skewed pose", r"000000\.txt: got .*expected a rotation and a translation"),
        ("intrinsics", r"intrinsics\.txt: got 1 lines"),
        ("empty", r"000000: nothing is measured"),
    ],
)
def test_missing_and_damaged_files_are_named_and_passed_over(tmp_path, what, message):
    synthia(tmp_path, drive(2))
    frames = open_depth(tmp_path)
    spoil(tmp_path, what)
    with pytest.raises(SceneError, match=message):
        frames.load(0)
    if what != "intrinsics":  # which is the whole sequence's
        with pytest.warns(UserWarning, match="skipped 1 of 2 files"):
            assert {frames.draw(np.random.default_rng(k), frames.load)[0] for k in range(8)} == {1}


def test_other_damage(tmp_path):
    base = tmp_path / "P000"
    write_text(base / "pose_left.txt", "0 0 0 0 0 0 2")
    (base / "depth_left").mkdir()
    for k, values in enumerate([np.ones((48, 64)), np.ones((48, 64)), np.ones(5), np.array([["a"]])]):
        np.save(base / f"depth_left/{k:06d}_left_depth.npy", values)
    (base / "depth_left/000004_left_depth.npy").write_bytes(b"nonsense")
    frames = open_depth(tmp_path)
    for index, message in enumerate(
        [
            "expected a unit quaternion",
            "got 1 lines",
            r"got an array \(5,\)",
            r"got an array \(1, 1\)",
            "no .npy",
        ]
    ):
        with pytest.raises(SceneError, match=message):
            frames.load(index)
    base = tmp_path / "Scene01/clone"
    write_png(base / "frames/depth/Camera_0/depth_00000.png", np.ones((4, 4), np.uint16))
    write_text(base / "extrinsic.txt", "frame cameraID", "1 0 " + numbers(np.eye(4)))
    with pytest.raises(SceneError, match="has no line for frame 0, camera 0"):
        open_depth(base).load(0)
    write_png(tmp_path / "grey.png", np.ones((4, 4), np.uint8))
    with pytest.raises(SceneError, match=r"grey\.png: got 1 channel\(s\) of 8 bits; expected depth"):
        open_depth(tmp_path / "grey.png", intrinsics=(9, 9, 2, 2)).load(0)
    (tmp_path / "empty").mkdir()
    with pytest.raises(ValueError, match="no depth in"):
        open_depth(tmp_path / "empty")
    for name, value in (("noise", 1.0), ("split", "test_category")):
        with pytest.raises(ValueError, match=f"{name}: .* is for scenes='procedural' only"):
            open_depth(tmp_path, **{name: value})
    Image.new("RGB", (8, 8)).save(tmp_path / "a.jpg")
    with pytest.raises(ValueError, match="no depth in"):
        open_depth(tmp_path / "a.jpg")
