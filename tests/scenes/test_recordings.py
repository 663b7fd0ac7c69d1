"""Recordings: files with Z up become scenes with Y up, and what is wrong with a file is said."""

import re

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from spatial_envs.foundation.errors import SceneError
from spatial_envs.scenes.recordings import open_recordings

TICKS, COUNT, SCENES = 60, 2, 3


def arrays(**changes):
    """A file's arrays: two bodies, one rises along Z, one goes along Y; one of them turns about Z."""
    time = 0.01 * np.arange(TICKS)
    position = np.zeros((SCENES, TICKS, COUNT, 3))
    position[:, :, 0, 2] = 1.0 + time
    position[:, :, 1, 1] = 2.0 * time
    angle = np.stack([time, 0 * time], axis=1)
    quaternion = np.zeros((SCENES, TICKS, COUNT, 4))
    quaternion[..., 0], quaternion[..., 3] = np.cos(angle / 2), np.sin(angle / 2)
    made = {
        "position_mm": np.round(1000 * position).astype(np.int16),
        "quaternion": np.round(32767 * quaternion).astype(np.int16),
        "kind": np.tile([0, 1], (SCENES, 1)),
        "size": np.tile([0.1, 0.2, 0.3], (SCENES, COUNT, 1)),
        "window_start": np.full(SCENES, 0.1),
        "times": np.tile([0.2, 0.0, 0.1], (SCENES, 1)),
        "observed": np.tile([[[3.0, 0, 0]], [[1.0, 0, 5]], [[2.0, 0, 0]]], (SCENES, 1, COUNT, 1)),
        **changes,
    }
    return {key: value for key, value in made.items() if value is not None}


@pytest.fixture
def written(tmp_path):
    def write(name="some.npz", **changes):
        np.savez(tmp_path / name, **arrays(**changes))
        return tmp_path / name

    return write


def test_a_file_is_read_with_y_up(written):
    found = open_recordings(written(), "test")
    assert found.names == ("some-0000", "some-0001", "some-0002")
    assert found.leaky
    recording = found.load(1)
    centres, rotations = recording.poses(np.array([0.105, 0.3]))
    np.testing.assert_allclose(centres[:, 0], [[0, 1.105, 0], [0, 1.3, 0]], atol=1e-3)
    np.testing.assert_allclose(centres[:, 1], [[0, 0, -0.21], [0, 0, -0.6]], atol=1e-3)
    own = Rotation.from_quat(rotations[:, 0])
    np.testing.assert_allclose(own[0].apply([0, 0, 1]), [0, 1, 0], atol=1e-3)  # its axis points up
    np.testing.assert_allclose((own[1] * own[0].inv()).as_rotvec(), [0, 0.195, 0], atol=1e-3)
    np.testing.assert_allclose(recording.path(0.3, 0.1), [0.2, 0.4], atol=2e-3)
    assert recording.duration == pytest.approx(0.59)
    assert recording.window.stamps.tolist() == [0.0, 0.1, 0.2]  # sorted, and what was seen with them
    np.testing.assert_array_equal(recording.window.observed[:, 0], [[1, 5, 0], [2, 0, 0], [3, 0, 0]])


def test_a_folder_holds_the_scenes_of_its_files(written):
    written("b.npz")
    path = written("a.npz", window_start=None, times=None, observed=None)
    found = open_recordings(path.parent, "train")
    assert found.names[0] == "a-0000"
    assert len(found) == 2 * SCENES
    assert found.load(0).window is None


def test_procedural_splits_share_no_seed():
    sets = [open_recordings("procedural", split) for split in ("train", "validation", "test")]
    assert not {*sets[0].names} & {*sets[1].names} | {*sets[1].names} & {*sets[2].names}
    assert [len(each) for each in sets] == [4096, 64, 128]
    np.testing.assert_array_equal(
        sets[1].load(3).bodies.centres, open_recordings("procedural", "validation").load(3).bodies.centres
    )


BAD_SCENES = {
    "equal stamps": ({"times": np.full((SCENES, 3), 0.1)}, "times: got [0.1, 0.1, 0.1]"),
    "one stamp": (
        {"times": np.zeros((SCENES, 1)), "observed": np.zeros((SCENES, 1, COUNT, 3))},
        "expected two different stamps or more",
    ),
    "nan": ({"observed": np.full((SCENES, 3, COUNT, 3), np.nan)}, "not finite"),
    "nan size": ({"size": np.full((SCENES, COUNT, 3), np.nan)}, "not finite"),
    "beyond": ({"window_start": np.full(SCENES, 0.5)}, "beyond the recording; expected it in 0 to 0.59 s"),
    "kind": ({"kind": np.full((SCENES, COUNT), 7)}, "kind: got [7, 7]; expected 0 to 4"),
    "flat": ({"size": np.zeros((SCENES, COUNT, 3))}, "expected lengths above 0"),
    "no rotation": ({"quaternion": np.zeros((SCENES, TICKS, COUNT, 4))}, "expected rotations"),
    "shapes": ({"size": np.zeros((SCENES, COUNT + 1, 3))}, "got shapes"),
}


@pytest.mark.parametrize("case", BAD_SCENES)
def test_what_is_wrong_with_a_scene_is_said(case, written):
    changes, message = BAD_SCENES[case]
    with pytest.raises(SceneError, match=f"some.npz, scene 0: .*{re.escape(message)}"):
        open_recordings(written(**changes), "train").load(0)


def test_what_is_wrong_with_a_file_is_said(written, tmp_path):
    with pytest.raises(ValueError, match="observed alone; expected all of window_start, times, observed"):
        open_recordings(written(window_start=None, times=None), "train")
    with pytest.raises(ValueError, match="kind missing; expected position_mm, quaternion, kind, size"):
        open_recordings(written("no_kind.npz", kind=None), "train")
    with pytest.raises(ValueError, match="expected as many in every array"):
        open_recordings(written("few.npz", kind=np.zeros((1, COUNT), int)), "train")
    (tmp_path / "text.npz").write_text("no zip", encoding="utf-8")
    with pytest.raises(ValueError, match=r"text\.npz cannot be read as \.npz"):
        open_recordings(tmp_path / "text.npz", "train")
    (tmp_path / "none").mkdir()
    with pytest.raises(ValueError, match=r"without \.npz files; expected recordings"):
        open_recordings(tmp_path / "none", "train")
    with pytest.raises(ValueError, match="does not exist; did you mean 'procedural'"):
        open_recordings("procedurl", "train")
    with pytest.raises(ValueError, match="'test_category' exists for scenes='procedural' only"):
        open_recordings(written(), "test_category")
    with pytest.raises(ValueError, match="split: got 'dev'"):
        open_recordings("procedural", "dev")
