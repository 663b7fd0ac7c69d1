"""One depth file to a scene: a 16-bit PNG of three channels, as SYNTHIA writes it, without RGB."""

import struct
import zlib

import numpy as np
import pytest
import trimesh

from scenes.fit import main
from spatial_envs.scenes.depth_frames import open_depth


def png16(path, samples):
    """Write (H, W, C) uint16 as PNG, which Pillow cannot."""
    height, width, channels = samples.shape
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in samples)

    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, 16, 0 if channels == 1 else 2, 0, 0, 0)
    path.write_bytes(
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"IDAT", zlib.compress(rows))
        + chunk(b"IEND", b"")
    )


@pytest.fixture(scope="module")
def frame():
    return open_depth("procedural", "validation", num_objects=3, image_size=(144, 192)).load(0)


def test_a_synthia_png_becomes_a_scene(frame, tmp_path, capsys):
    centimetres = np.round(100 * frame.view.depth).astype(np.uint16)
    png16(tmp_path / "depth.png", np.repeat(centimetres[..., None], 3, axis=2))
    intrinsics = frame.view.intrinsics
    numbers = [str(intrinsics[k]) for k in ((0, 0), (1, 1), (0, 2), (1, 2))]
    written = ["--out", str(tmp_path / "scene.glb"), "--picture", str(tmp_path / "fit.png")]
    main([str(tmp_path / "depth.png"), "--intrinsics", *numbers, *written, "--slots", "3", "--steps", "20"])
    said = capsys.readouterr().out
    assert "shapes in" in said
    assert "held out" in said
    scene = trimesh.load(tmp_path / "scene.glb")
    assert 1 <= len(scene.geometry) <= 3
    for mesh in scene.geometry.values():
        assert mesh.is_watertight
        assert np.isfinite(mesh.vertices).all()
        assert 0.02 < np.ptp(mesh.vertices, axis=0).max() < 6
    assert (tmp_path / "fit.png").stat().st_size > 1000


def test_errors_name_the_file(tmp_path):
    with pytest.raises(SystemExit, match=r"nothing\.png"):
        main([str(tmp_path / "nothing.png"), "--intrinsics", "1", "1", "1", "1"])
    (tmp_path / "bad.png").write_bytes(b"bad")
    with pytest.raises(SystemExit, match=r"bad\.png"):
        main([str(tmp_path / "bad.png"), "--intrinsics", "50", "50", "48", "36"])
    np.save(tmp_path / "empty.npy", np.zeros((72, 96), np.float32))
    with pytest.raises(SystemExit, match=r"empty\.npy: nothing is measured"):
        main([str(tmp_path / "empty.npy"), "--intrinsics", "50", "50", "48", "36"])
