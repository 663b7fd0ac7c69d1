"""The contact sheet of a set of objects."""

import numpy as np
import pytest
import trimesh
from PIL import Image

from scenes.inspect import COLUMNS, ROOM_TILE, TILE, main


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
