"""Depth videos: filmed recordings, and sequences of files."""

import numpy as np
import pytest
from PIL import Image

from spatial_envs.foundation.errors import SceneError
from spatial_envs.geometry.bodies import radial
from spatial_envs.geometry.camera import unproject
from spatial_envs.procedural.filming import CAMERA_MOTIONS
from spatial_envs.prototypes.video import make_video_target
from spatial_envs.scenes.depth_videos import open_videos, shown_stamps


def test_every_fifth_stamp_is_held_out_and_the_last_is_shown():
    assert np.flatnonzero(~shown_stamps(10)).tolist() == [2, 7]
    for frames in range(3, 65):
        shown = shown_stamps(frames)
        assert shown.sum() == frames
        assert shown[-1]
        assert not shown.all()


@pytest.mark.parametrize("motion", CAMERA_MOTIONS)
def test_what_is_filmed_is_where_the_truth_says(motion):
    video = open_videos(split="validation", num_objects=4, camera_motion=motion).load(3)
    assert (np.diff(video.times) > 0).all()
    assert video.times[-1] == 0
    first, last = (video.frames[k].view.cam_to_world for k in (0, -1))
    assert np.allclose(first, last) == (motion == "still")
    off = []
    for frame in video.frames:
        view = frame.view
        world = unproject(view.depth, view.intrinsics, view.cam_to_world)
        for j, pose in enumerate(frame.truth.object_to_world):
            mine = world[(view.segment == j + 1) & frame.target].astype(np.float64)
            own = (mine - pose[:3, 3]) @ pose[:3, :3]
            away = np.linalg.norm(own, axis=1)
            kind, half = video.bodies.kind[j], video.bodies.extents[j]
            off.append(away - radial(kind, half, own / np.maximum(away, 1e-9)[:, None]))
    off = np.concatenate(off)
    assert len(off) > 1000
    assert np.abs(off).max() < 0.03  # meshes have edges where bodies are round


def test_a_seed_is_one_video_and_splits_share_none():
    one, other = (open_videos(split="train", num_objects=2).load(5) for _ in range(2))
    for a, b in zip(one.frames, other.frames, strict=True):
        np.testing.assert_array_equal(a.view.depth, b.view.depth)
    test = open_videos(split="test", num_objects=2).load(5)
    assert not np.array_equal(test.times, one.times)


def write_tum(folder, count, posed=True):
    """A box before a wall over a floor, seen by a camera that moves 1 cm to the right in every frame."""
    (folder / "depth").mkdir(parents=True)
    lines = []
    for k in range(count):
        depth = np.full((48, 64), 15000, np.uint16)
        depth[16:32, 20 + k : 36 + k] = 10000
        stamp = f"{1305031102 + 0.1 * k:.6f}"
        Image.fromarray(depth).save(folder / "depth" / f"{stamp}.png")
        lines.append(f"{stamp} {0.01 * k} 0 1 -0.70710678 0 0 0.70710678")
    if posed:
        (folder / "groundtruth.txt").write_text("\n".join(lines) + "\n")


LENS = (50.0, 50.0, 32.0, 24.0)


def test_a_sequence_of_files_is_cut_into_videos_with_their_stamps_and_cameras(tmp_path):
    write_tum(tmp_path / "seq", 26)
    videos = open_videos(tmp_path, image_size=(48, 64), intrinsics=LENS)
    assert videos.names == ("seq/depth/0000", "seq/depth/0001")
    video = videos.load(1)
    np.testing.assert_allclose(video.times, 0.1 * np.arange(-11, 1), atol=1e-6)
    target = make_video_target(video)
    moved = np.diff(target.true_poses[:, :3, 3], axis=0)
    np.testing.assert_allclose(
        np.linalg.norm(moved, axis=1), 0.01 * np.diff(np.flatnonzero(video.shown)), atol=1e-5
    )


def test_what_is_no_video_says_so(tmp_path):
    write_tum(tmp_path / "short", 5)
    with pytest.raises(ValueError, match=r"frames: got 10 .* longest sequence has 5 files"):
        open_videos(tmp_path / "short", intrinsics=LENS)
    write_tum(tmp_path / "unposed", 12, posed=False)
    video = open_videos(tmp_path / "unposed", image_size=(48, 64), intrinsics=LENS).load(0)
    with pytest.raises(SceneError, match="no camera poses; expected them, or camera='estimated'"):
        make_video_target(video)
    assert make_video_target(video, camera_given=False).true_poses is None
    with pytest.raises(ValueError, match=r"noise: got 0\.5; expected 0"):
        open_videos(tmp_path / "short", noise=0.5, intrinsics=LENS)
    with pytest.raises(ValueError, match=r"intrinsics: got .*; expected None"):
        open_videos("procedural", intrinsics=LENS)
    with pytest.raises(ValueError, match=r"duration: got 9; expected .*3\.4"):
        open_videos("procedural", duration=9)
    with pytest.raises(ValueError, match="frames: got 2"):
        open_videos("procedural", frames=2)


def test_plain_files_of_a_folder_are_a_sequence_and_equal_stamps_none(tmp_path):
    for k in range(5):
        depth = np.full((48, 64), 3.0, np.float32)
        depth[16:32, 20 + k : 36 + k] = 2.0
        np.save(tmp_path / f"depth{k}.npy", depth)
    (video,) = open_videos(tmp_path, image_size=(48, 64), intrinsics=LENS, frames=4, fps=10).sources
    np.testing.assert_allclose(video.load().times, [-0.4, -0.3, -0.2, -0.1, 0])
    with pytest.raises(SceneError, match=r"times: got .*; expected increasing"):
        video._replace(times=(0.0, 0.1, 0.1, 0.2, 0.3)).load()


@pytest.mark.parametrize("seed", [4, 26])
def test_a_lone_thing_that_goes_far_is_in_every_frame(seed):
    video = open_videos(num_objects=1, image_size=42, frames=4).load(seed)
    assert min(np.count_nonzero(frame.view.segment[frame.target]) for frame in video.frames) > 0


def test_recordings_are_filmed(reference):
    videos = open_videos(reference / "motion", "test", frames=4)
    video = videos.load(0)
    assert videos.leaky
    assert len(video.frames) == 5
    assert len(video.bodies.kind) == 6
