"""The examples learn: what a policy gains without exploration, before and after a short training.

The margin asked for is about half of the smallest rise that seeds 0 to 3 (CleanRL: to 4) gave.
"""

import importlib
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).resolve().parents[2] / "agents" / "examples"


def improvement(name: str, steps: int) -> float:
    """By how much the mean return of the example rises."""
    before, after = importlib.import_module(f"agents.examples.{name}").main(steps=steps)
    return after - before


def test_each_is_short_and_names_its_own_command():
    for path in {*EXAMPLES.glob("[a-z]*.py")} - {EXAMPLES / "new_family.py"}:  # which is a template
        text = path.read_text(encoding="utf-8")
        assert len(text.splitlines()) < 80, path.name
        assert f"python -m agents.examples.{path.stem}\n" in text


def test_cleanrl_ppo_learns():
    assert improvement("cleanrl_ppo", 2048) > 0.35


def test_torchrl_sac_learns():
    pytest.importorskip("torchrl", reason="needs torchrl, which is no part of the test extra")
    assert improvement("torchrl_sac", 1024) > 0.3


def test_tianshou_td3_learns():
    pytest.importorskip("tianshou", reason="needs tianshou 2, which is no part of the test extra")
    assert improvement("tianshou_td3", 1024) > 0.35
