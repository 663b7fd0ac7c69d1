"""The contact sheets of sets of objects, buildings and depth frames."""

from importlib.util import find_spec

import numpy as np
import pytest
import trimesh
from depth_files import Street, drive, write_png, write_text
from PIL import Image

from scenes.inspect import COLUMNS, DEPTH_SIZE, ROOM_TILE, TILE, main
from spatial_envs.scenes.depth_frames import open_depth


def test_a_sheet_shows_what_is_whole_and_names_what_is_broken(tmp_path, capsys):
    trimesh.creation.box((1, 2, 3)).export(tmp_path / "box.obj")
    (tmp_path / "cut.ply").write_text("ply nonsense")
    out = tmp_path / "sheet.png"
    main([str(tmp_path), "--out", str(out)])
    printed = capsys.readouterr().out
    assert "2 objects, no splits: train = test" in printed
    assert "cut.ply" in printed.split("broken: ")[1]
    picture = np.asarray(Image.open(out))
    assert picture.shape == (TILE + 16, 2 * TILE, 3)
    assert picture[:TILE, :TILE].std() > 20  # the box
    assert picture[:TILE, TILE:].std() < 20  # nothing but a word


def test_procedural_and_typos(tmp_path, capsys):
    out = tmp_path / "sheet.png"
    main(["procedural", "--split", "test", "--count", "9", "--out", str(out)])
    assert "128 objects, split test" in capsys.readouterr().out
    assert Image.open(out).size == (TILE * COLUMNS, 2 * (TILE + 16))
    with pytest.raises(SystemExit, match="procedral"):
        main(["procedral"])


def test_buildings_have_a_map_and_two_views_from_inside(tmp_path, capsys):
    out = tmp_path / "sheet.png"
    main(["procedural", "--buildings", "--split", "validation", "--count", "1", "--out", str(out)])
    assert "64 buildings, split validation" in capsys.readouterr().out
    picture = np.asarray(Image.open(out))
    assert picture.shape == (ROOM_TILE + 18, 3 * ROOM_TILE, 3)
    dark = (picture[:ROOM_TILE] == (24, 26, 32)).all(axis=-1)
    assert 0.05 < dark[:, :ROOM_TILE].mean() < 0.7  # round the map
    assert dark[:, ROOM_TILE:].mean() < 0.01  # rooms are closed
    (tmp_path / "cut.glb").write_text("glTF nonsense")
    main([str(tmp_path / "cut.glb"), "--buildings", "--out", str(out)])
    assert "broken: " in capsys.readouterr().out
    with pytest.raises(SystemExit, match="split: got 'test_category'"):
        main(["procedural", "--buildings", "--split", "test_category"])


def test_depth_frames_have_statistics_a_sheet_and_a_cloud(tmp_path, capsys):
    out = tmp_path / "sheet.png"
    main(["procedural", "--depth", "--split", "test", "--count", "2", "--out", str(out)])
    printed = capsys.readouterr().out
    assert "procedural/test: split test" in printed
    assert "128 frames in 128 sequences; of 2 that were read" in printed
    assert "ground found in 2" in printed
    height, width = DEPTH_SIZE
    picture = np.asarray(Image.open(out))
    assert picture.shape == (2 * (height + 18), 3 * width, 3)
    frame = open_depth(split="test", image_size=DEPTH_SIZE).load(0)
    right = picture[:height, 2 * width :]
    assert (right[~frame.target].std(axis=0) < 30).all()
    assert len(np.unique(right[frame.target], axis=0)) == len(np.unique(frame.point_ids))
    cloud = trimesh.load(tmp_path / "sheet.ply")
    assert len(cloud.vertices) == (frame.view.depth > 0).sum()
    assert abs(np.percentile(cloud.vertices[:, 1], 10)) < 0.01  # the ground
    assert (tmp_path / "sheet.rrd").is_file() == (find_spec("rerun") is not None)


def test_a_depth_data_set_is_known_by_its_layout_and_its_frames_meet_in_the_cloud(tmp_path, capsys):
    poses = drive(3)
    intrinsics, size = (725.0087 / 3, 725.0087 / 3, 207.0, 62.5), (125, 414)
    base = tmp_path / "set/Scene01/clone"
    rows = ["frame cameraID"]
    for k, pose in enumerate(poses):
        true = Street().depth(pose, intrinsics, size)
        counts = np.where((true > 0) & (true < 60), np.rint(true * 100), 65535).astype(np.uint16)
        write_png(base / f"frames/depth/Camera_0/depth_{k:05d}.png", counts)
        to_camera = np.linalg.inv(np.diag([1.0, -1, -1, 1]) @ pose)
        rows.append(f"{k} 0 " + " ".join(f"{value:.9g}" for value in to_camera.ravel()))
    write_text(base / "extrinsic.txt", *rows)
    broken = base / "frames/depth/Camera_0/depth_00003.png"
    broken.write_bytes(b"cut")
    out = tmp_path / "sheet.png"
    main([str(tmp_path / "set"), "--out", str(out)])
    printed = capsys.readouterr().out
    assert "set: no splits: train = test" in printed
    assert "4 frames in 1 sequences; of 3 that were read" in printed
    assert "3 with a pose" in printed
    assert "broken: " in printed
    assert "depth_00003.png: no PNG file" in printed
    points = trimesh.load(tmp_path / "sheet.ply").vertices
    low, high = (np.array(corner) for corner in Street.boxes[0])
    front = np.abs(points[:, 2] - high[2]) < 0.03  # the face of a box that all three frames see
    inside = front & (points[:, 0] > low[0]) & (points[:, 0] < high[0]) & (points[:, 1] > 0.2)
    assert inside.sum() > 1000
    broken.write_bytes(b"cut")
    for k in range(3):
        (base / f"frames/depth/Camera_0/depth_{k:05d}.png").unlink()
    with pytest.raises(SystemExit, match="none of 1 frames can be read"):
        main([str(tmp_path / "set"), "--out", str(out)])


def test_a_plain_depth_file_needs_its_intrinsics(tmp_path, capsys):
    depth = Street().depth(drive(1)[0], (50.0, 50.0, 40.0, 30.0), (60, 80))
    np.save(tmp_path / "one.npy", depth)
    main(
        [str(tmp_path / "one.npy"), "--intrinsics", "50", "50", "40", "30", "--out", str(tmp_path / "a.png")]
    )
    assert "field of view 77.3 x 61.9 degrees; 0 with a pose" in capsys.readouterr().out
    with pytest.raises(SystemExit, match="is needed"):
        main([str(tmp_path / "one.npy")])
