"""PNG files of 8 and 16 bits against an encoder of the test's own, Pillow and OpenCV, and damaged ones."""

import numpy as np
import pytest
from depth_files import write_png
from PIL import Image

from spatial_envs.foundation.errors import SceneError
from spatial_envs.scenes.png import read_png


@pytest.mark.parametrize("filters", [(0,), (1,), (2,), (3,), (4,), (4, 0, 3, 1, 2)])
@pytest.mark.parametrize("kind", [np.uint8, np.uint16])
@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_every_filter_depth_and_number_of_channels(tmp_path, filters, kind, channels):
    rng = np.random.default_rng(0)
    samples = rng.integers(0, np.iinfo(kind).max + 1, (11, 7, channels)).astype(kind)
    samples[3:6] = samples[3:4]  # rows that are alike, as neighbours in a picture are
    write_png(tmp_path / "a.png", samples, filters, parts=3)
    read = read_png(tmp_path / "a.png")
    assert read.dtype == kind
    assert np.array_equal(read, samples)


def test_pillow_reads_and_writes_the_same(tmp_path):
    rng = np.random.default_rng(1)
    colours = rng.integers(0, 256, (30, 40, 3)).astype(np.uint8)
    smooth = np.add.outer(np.arange(60), np.arange(50) * 3).astype(np.uint16) * 100
    Image.fromarray(colours).save(tmp_path / "rgb.png")
    Image.fromarray(smooth).save(tmp_path / "grey.png")
    assert np.array_equal(read_png(tmp_path / "rgb.png"), colours)
    assert np.array_equal(read_png(tmp_path / "grey.png")[..., 0], smooth)
    write_png(tmp_path / "mine.png", smooth, (0, 1, 2, 3, 4))
    assert np.array_equal(np.asarray(Image.open(tmp_path / "mine.png")), smooth)


def test_opencv_reads_and_writes_the_same(tmp_path):
    cv2 = pytest.importorskip("cv2", reason="needs OpenCV to compare with")
    samples = np.random.default_rng(2).integers(0, 65536, (25, 31, 3)).astype(np.uint16)
    assert cv2.imwrite(str(tmp_path / "cv.png"), samples[..., ::-1])
    assert np.array_equal(read_png(tmp_path / "cv.png"), samples)
    write_png(tmp_path / "mine.png", samples, (4, 3, 2, 1, 0))
    assert np.array_equal(cv2.imread(str(tmp_path / "mine.png"), cv2.IMREAD_UNCHANGED)[..., ::-1], samples)


def test_every_cut_and_every_flipped_byte_is_noticed(tmp_path):
    path = tmp_path / "a.png"
    write_png(path, np.arange(12, dtype=np.uint16).reshape(3, 4) * 999)
    whole = path.read_bytes()
    for end in range(
        0, len(whole) - 12, 3
    ):  # without IEND the picture may still be whole, but the file is not
        path.write_bytes(whole[:end])
        with pytest.raises(SceneError, match=r"a\.png"):
            read_png(path)
    for at in range(8, len(whole)):
        path.write_bytes(whole[:at] + bytes([whole[at] ^ 0x41]) + whole[at + 1 :])
        with pytest.raises(SceneError, match=r"a\.png"):
            read_png(path)


def test_what_is_no_depth_png_is_named(tmp_path):
    with pytest.raises(SceneError, match=r"gone\.png: cannot be read: No such file"):
        read_png(tmp_path / "gone.png")
    (tmp_path / "text.png").write_text("not a picture")
    with pytest.raises(SceneError, match="no PNG file"):
        read_png(tmp_path / "text.png")
    Image.new("P", (4, 4)).save(tmp_path / "palette.png")
    with pytest.raises(SceneError, match="colour type 3, 1 bits; expected grey or RGB"):
        read_png(tmp_path / "palette.png")
    Image.new("1", (4, 4)).save(tmp_path / "bits.png")
    with pytest.raises(SceneError, match="1 bits"):
        read_png(tmp_path / "bits.png")
