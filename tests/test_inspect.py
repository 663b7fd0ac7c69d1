"""The contact sheet of a set of objects."""

import numpy as np
import pytest
import trimesh
from PIL import Image

from scenes.inspect import COLUMNS, TILE, main


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
