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


def test_a_shipped_agent_is_loaded():
    done = subprocess.run(
        [sys.executable, "-c", "\n".join([*PYTHON, "print(action.shape)"])],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.endswith("(3,)\n")


def test_set_up_commands():
    assert [block.strip() for block in BASH if "pip install -e" in block] == [
        'pip install -e ".[train]" && python train_agent.py --algo ppo',
        'pip install -e ".[test]" && python -m pytest',
        'pip install -e ".[docs]" && mkdocs serve',
    ]


def test_every_environment_is_listed():
    ours = [name for name, spec in gym.registry.items() if str(spec.entry_point).startswith("spatial_envs.")]
    assert ours
    for name in ours:
        assert f"| `{name}` |" in TEXT


@pytest.mark.parametrize("name", ["README.md", "README.zh-CN.md"])
def test_links_and_pictures_are_there(name):
    for target in re.findall(r"\]\(([^)]+)\)", (ROOT / name).read_text(encoding="utf-8")):
        assert target.startswith("https://") or (ROOT / target.partition("#")[0]).exists(), target


def test_the_chinese_one_mirrors_it():
    chinese = (ROOT / "README.zh-CN.md").read_text(encoding="utf-8")
    for pattern in (r"^##", r"^!\[", r"^```(?:python|bash)$", r"^\|"):
        assert len(re.findall(pattern, chinese, re.M)) == len(re.findall(pattern, TEXT, re.M)), pattern
    figures = re.compile(r"\d\.\d{3}|\[[\d., ]+\]")
    assert figures.findall(chinese) == figures.findall(TEXT)
    assert re.findall(r"^(?:pip|python) .*", chinese, re.M) == re.findall(r"^(?:pip|python) .*", TEXT, re.M)
