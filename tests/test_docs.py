"""The pages of the site that are made of code, and what the others show in code."""

import re
import sys
from dataclasses import fields
from pathlib import Path

import pytest

pytest.importorskip("tyro", reason="needs the [train] extra")

DOCS = Path(__file__).resolve().parents[1] / "docs"
sys.path.insert(0, str(DOCS / "_scripts"))

import checkout  # noqa: E402
import environment_pages  # noqa: E402

import spatial_envs  # noqa: E402
from agents import manual  # noqa: E402
from agents.comparison.compare import Flags, compare  # noqa: E402
from agents.families import env_type, family  # noqa: E402
from agents.flags import parse_flags  # noqa: E402


def block(page, beginning):
    """A page's block of Python that begins so."""
    blocks = re.findall(r"```python\n(.*?)```", (DOCS / page).read_text(encoding="utf-8"), re.S)
    return next(each for each in blocks if each.startswith(beginning))


@pytest.fixture(scope="module")
def pages():
    return environment_pages.pages()


@pytest.mark.parametrize("env_id", [*manual.DECIDES])
def test_an_environment_s_page_has_all_of_it(pages, env_id):
    page = pages[f"environments/{env_id}.md"]
    parts = environment_pages.sections(page)
    assert {*environment_pages.SECTIONS[1:], "Scores", "Train and compare"} <= parts.keys()
    for each in fields(env_type(env_id).task_type.settings_type):
        assert f"| {each.name} |" in parts["Arguments"]
    assert any(f"| {name} |" in parts["Scores"] for name in family(env_id).baselines)
    assert (DOCS / "films" / f"{env_id}.webp").exists()
    for name in (path.parent.name for path in DOCS.parent.glob("pretrained/*/agent.yaml")):
        ours = f"env: {env_id}\n" in (DOCS.parent / "pretrained" / name / "agent.yaml").read_text()
        assert (f"[{name}](../models/{name}.md)" in page) == ours


def test_every_environment_is_listed(pages):
    registered = [*spatial_envs._ENVIRONMENTS]
    assert [*manual.DECIDES] == registered
    for env_id in registered:
        assert f"| [{env_id}]({env_id}.md) |" in pages["environments/index.md"]


def test_scores_are_the_published_ones():
    published = environment_pages.Published("navigation.md", "PointNav", ("SPL", "success"))
    assert "| greedy | 0.999 [0.998, 0.999] | 100.0% [100.0%, 100.0%] |" in environment_pages.excerpt(
        published
    )
    with pytest.raises(KeyError, match="gone"):
        environment_pages.excerpt(published._replace(heading="gone"))
    with pytest.raises(ValueError, match="gone"):
        environment_pages.excerpt(published._replace(columns=("gone",)))


def test_links_lead_to_the_same_files_from_the_site():
    def moved(text):
        return checkout.moved(text, "results/README.md", "results/index.md")

    assert moved("[a](agents.md#discrete)") == "[a](agents.md#discrete)"
    assert moved("![p](../docs/episode.png)") == "![p](../episode.png)"
    assert moved("[c](../spatial_envs/backbones/compact.md)") == "[c](../models/compact.md)"
    assert moved("[code](../agents/families.py)") == "code"
    for kept in ("[no](nowhere.md)", "[far](https://example.org/a.md)", "[here](#below)"):
        assert moved(kept) == kept


def test_aligned_columns_become_lists():
    pytest.importorskip("griffe", reason="needs the [docs] extra")
    from columns import listed

    text = "Fields.\n\ntokens   (B, N) float32\n         a patch each\nand if any:\npoints, mask  m"
    assert listed(text) == (
        "Fields.\n\n- `tokens`: (B, N) float32\n  a patch each\n\nand if any:\n\n- `points, mask`: m"
    )
    assert listed("One line.\nAnother  line.") == "One line.\nAnother  line."


def test_help_names_what_there_is():
    algorithms = {env_id: manual.fitting(env_id) for env_id in manual.DECIDES}
    assert "sac" in algorithms["NBV-MapAnything-v0"]
    assert "sac" not in algorithms["NBV-MapAnything-Discrete-v0"]
    assert "encoder" in algorithms["SceneFit-Prototype-v0"]
    assert manual.short(["far", "far-in", "far-out", "near"]) == ["far[-in|-out]", "near"]
    text = manual.baselines()
    assert all(max(map(len, each.splitlines())) <= 80 for each in (text, manual.environments()))
    assert all(name.split("-")[0] in text for env_id in manual.DECIDES for name in family(env_id).baselines)


def test_help_is_told_in_whole_paragraphs(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["evaluate_agent.py", "--help"])
    monkeypatch.setenv("COLUMNS", "400")
    with pytest.raises(SystemExit):
        parse_flags(Flags, "Compare.", "evaluate_agent.py", manual.baselines)
    text = capsys.readouterr().out
    assert "usage: evaluate_agent.py" in text
    assert "    random, forward, frontier, nearest-frontier" in text
    assert "of next-best-view's oracle, beam and set-cover are slow, and the default is random" in text


def test_the_measure_runs(capsys):
    exec(block("concepts/measures.md", "import numpy"), {})
    assert "accuracy" in capsys.readouterr().out


def test_the_own_agent_is_compared(tmp_path, monkeypatch):
    (tmp_path / "my_module.py").write_text(block("howto/agent.md", "# my_module.py"))
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
