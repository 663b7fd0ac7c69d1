"""The page that says what a network is worth as a backbone, of a small run."""

from dataclasses import replace

import pytest
import torch

from agents.backbone.table import Flags, table
from spatial_envs.backbones.compact import Compact, CompactNet
from spatial_envs.tools.check_mapanything import check

QUICK = Flags(
    backbone="compact", image_size=28, views=2, sets=1, objects=5, states=1, episodes=2, device="cpu"
)


@pytest.mark.filterwarnings("ignore:divide by zero")  # the gains of a single state have no variance
def test_the_page_has_every_section(tmp_path):
    path = tmp_path / "new" / "page.md"
    text = table(replace(QUICK, out=path))
    assert path.read_text(encoding="utf-8") == text
    health, points, features, gains = text.split("\n## ")[1:]
    assert health.count("- ok: ") == 5
    assert "BAD" not in health
    assert points.count("\n| all, noisy |") == 3
    for row in ("pose only", "unproject", "compact"):
        assert f"\n| {row} |" in features
    assert "its own gain" in gains
    for row in ("random", "farthest", "farthest-inner"):
        assert f"\n| {row} |" in gains
    assert "nan" not in points + gains


@pytest.mark.parametrize(("scale", "fault"), [(0.1, "point error"), (float("nan"), "points are finite")])
def test_a_network_that_is_not_healthy(scale, fault):
    torch.manual_seed(0)
    backbone = Compact(device="cpu")
    backbone.use(CompactNet(backbone.sizes))
    with torch.no_grad():
        for value in backbone.net.parameters():
            value.add_(scale * torch.randn_like(value))
    bad = [line for line, good in check(backbone, 28, 2) if not good]
    assert bad[0].startswith(f"BAD: {fault}")
    assert len(bad) == (1 if scale == 0.1 else 4)


def test_a_page_that_cannot_be_made_says_so_first(tmp_path):
    with pytest.raises(ValueError, match="objects: got 4; expected int from 5"):
        table(replace(QUICK, objects=4))
    with pytest.raises(ValueError, match=r"out: got the folder .*; expected a file"):
        table(replace(QUICK, out=tmp_path))
    with pytest.raises(FileNotFoundError, match="weights: there is no file nowhere"):
        table(replace(QUICK, checkpoint="nowhere"))
