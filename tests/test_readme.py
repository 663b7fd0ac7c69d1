"""What the README shows is run as it stands there."""

import re
import subprocess
import sys
from pathlib import Path

import gymnasium as gym
import pytest

import spatial_envs

ROOT = Path(__file__).resolve().parents[1]
TEXT = (ROOT / "README.md").read_text(encoding="utf-8")
PYTHON = re.findall(r"```python\n(.*?)```", TEXT, re.S)
BASH = re.findall(r"```bash\n(.*?)```", TEXT, re.S)

gym.register_envs(spatial_envs)


def test_the_first_block_runs_and_needs_its_import(tmp_path):
    first = TEXT[TEXT.index("```") :].removeprefix("```python\n").split("```")[0]
    assert first == PYTHON[0]
    assert "import spatial_envs" in first
    assert "gym.make(" in first
    done = subprocess.run([sys.executable, "-c", first], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert re.match(r"procedural-\d+ 0\.\d+ 0\.\d+", done.stdout)
    without = first.replace("import spatial_envs", "")
    assert subprocess.run([sys.executable, "-c", without], capture_output=True).returncode != 0
    prefixed = without.replace('gym.make("', 'gym.make("spatial_envs:')
    assert subprocess.run([sys.executable, "-c", prefixed], capture_output=True).returncode == 0


def test_there_are_two_set_up_commands():
    assert [block.strip() for block in BASH if "pip install -e" in block] == [
        'pip install -e ".[train]" && python train_agent.py --algo ppo',
        'pip install -e ".[test]" && python -m pytest',
    ]


def test_every_environment_is_listed():
    ours = [name for name, spec in gym.registry.items() if str(spec.entry_point).startswith("spatial_envs.")]
    assert ours
    for name in ours:
        assert f"| `{name}` |" in TEXT


def test_links_and_pictures_are_there():
    for target in re.findall(r"\]\(([^)]+)\)", TEXT):
        assert target.startswith("https://") or (ROOT / target).exists(), target


def test_the_own_agent_is_compared(tmp_path, monkeypatch):
    pytest.importorskip("tyro", reason="needs the [train] extra")
    from agents.comparison.compare import Flags, compare

    (tmp_path / "my_module.py").write_text(next(block for block in PYTHON if "# my_module.py" in block))
    monkeypatch.syspath_prepend(tmp_path)
    out = tmp_path / "table.md"
    (results,) = compare(
        Flags(
            agent="my_module:MyAgent", baselines=("random", "farthest"), episodes=3, out=out,
            set=("num_objects=2", "image_size=56", "views=3"),
        )
    ).values()  # fmt: skip
    gains = {name: scores.mean("gains") for name, scores in results.items()}
    assert gains["my_module:MyAgent"] > gains["random"]
    assert f"| my_module:MyAgent | {gains['my_module:MyAgent']:.3f} |" in out.read_text(encoding="utf-8")
    assert "unseen objects" in out.read_text(encoding="utf-8")
    for bad, message in [("my_module", "module:Class"), (None, "expected --run")]:
        with pytest.raises(ValueError, match=message):
            compare(Flags(agent=bad))
    with pytest.raises(ValueError, match="baselines: got 'best'"):
        compare(Flags(agent="my_module:MyAgent", baselines=("best",)))
