"""YAML is read by its version 1.2, the same in configurations, flags, run folders and sets of scenes."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spatial_envs.foundation import yaml_files
from spatial_envs.foundation.yaml_files import parse, text

READ = {
    "1e-4": 1e-4, "5e-3": 5e-3, "-1E5": -1e5, "1.e-3": 1e-3, ".5": 0.5, ".inf": math.inf, "0o17": 15,
    "017": 17, "0x1F": 31, "on": "on", "off": "off", "yes": "yes", "no": "no", "y": "y", "true": True,
    "False": False, "~": None, "": None, "null": None, "None": "None", "1:30": "1:30",
    "190:20:30": "190:20:30", "2001-12-14": "2001-12-14", "2001-13-45": "2001-13-45", "=": "=",
    "lin_3e-4": "lin_3e-4", "auto_0.1": "auto_0.1", "[1e-4, on]": [1e-4, "on"], "{a: 1e-4}": {"a": 1e-4},
}  # fmt: skip


@pytest.mark.parametrize("written", READ)
def test_version_1_2_says_what_a_text_is(written):
    got = parse(written, "")
    assert (got, type(got)) == (READ[written], type(READ[written]))


BOMB = "k0: &k0 [1]\n" + "".join(f"k{n}: &k{n} [{', '.join([f'*k{n - 1}'] * 9)}]\n" for n in range(1, 12))
REFUSED = {
    "a: 1\na: 2": 'line 2, column 1: found duplicate key "a"', "[1, 2": "line 1",
    "!!python/name:os.system": "tag", "- 1\n--- 2": "another document", "!!set {a}": "got a set",
    "!!binary aGk=": "got a bytes", "!!float x": "could not convert", "9" * 50: "more than 64 bits",
    "9" * 5000: "4300", "&a [*a]": "1,000,000", BOMB: "1,000,000", "[" * 3000: "recursion",
    "\0": "unacceptable character",
}  # fmt: skip


@pytest.mark.parametrize("written", REFUSED, ids=lambda written: written[:12])
def test_what_is_not_plain_is_refused_in_one_line(written):
    with pytest.raises(ValueError, match=r"^set: not plain YAML: ") as caught:
        parse(written, "set")
    assert REFUSED[written] in str(caught.value)
    assert "\n" not in str(caught.value)


WORDS = st.text(st.characters(codec="utf-8", exclude_categories=["C"])) | st.sampled_from(
    [*READ, "a\nb\n", " a ", "#", "- a", "a: b", "'", '"']
)
NUMBERS = st.integers(-(2**63), 2**63 - 1) | st.floats(allow_nan=False)
PLAIN = st.recursive(
    st.none() | st.booleans() | NUMBERS | WORDS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(WORDS, inner, max_size=3),
    max_leaves=8,
)


@given(PLAIN)
def test_what_is_written_is_read_again(content):
    assert parse(text(content), "") == content


def test_a_file_that_yaml_1_1_wrote_is_read(tmp_path):
    """As older run folders hold it."""
    path = tmp_path / "config.yaml"
    path.write_text("a: 1.0e-05\nb: 'on'\nc: '1:30'\nd: null\ne:\n- x\nf: {}\n", "utf-8")
    assert yaml_files.read(path) == {"a": 1e-5, "b": "on", "c": "1:30", "d": None, "e": ["x"], "f": {}}
