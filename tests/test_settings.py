"""What follows from a family's settings: names, defaults, signatures, tables, checks."""

import inspect
import re
from dataclasses import FrozenInstanceError, dataclass, fields

import gymnasium as gym
import pytest

import spatial_envs  # noqa: F401
from spatial_envs.core.settings import (
    FLAG,
    Settings,
    number,
    one_of,
    one_of_or_callable,
    or_none,
    setting,
    whole,
)
from spatial_envs.core.task import check_arguments
from spatial_envs.nbv import NBVEnv

IDS = sorted(id for id, spec in gym.registry.items() if str(spec.entry_point).startswith("spatial_envs."))


def classes(id):
    """The single and the batched environment."""
    spec = gym.spec(id)
    return [gym.envs.registration.load_env_creator(at) for at in (spec.entry_point, spec.vector_entry_point)]


@pytest.mark.parametrize("id", IDS)
def test_signatures_show_every_argument_with_its_default(id):
    for env_class in classes(id):
        shown = dict(inspect.signature(env_class).parameters)
        own = {"num_envs", "max_episode_steps", "autoreset_mode", "render_mode"} & set(shown)
        settings = env_class.task_type.settings_type
        assert set(shown) - own == {each.name for each in fields(settings)}
        for each in fields(settings):
            assert shown[each.name].default is each.default
            assert shown[each.name].kind is inspect.Parameter.KEYWORD_ONLY


@pytest.mark.parametrize("id", IDS)
def test_docstrings_list_every_argument_with_its_values_and_default(id):
    env_class = classes(id)[0]
    doc = vars(env_class)["__doc__"]
    table = doc.partition("## Arguments\n\n")[2].partition("\n\n")[0].splitlines()
    assert table[1] == "|---|---|---|---|"  # at the margin: a table, no code
    assert "{" not in "".join(table)
    rows = {row.split("|")[1].strip(): row for row in table[2:]}
    assert list(rows) == [each.name for each in fields(env_class.task_type.settings_type)]
    for each in fields(env_class.task_type.settings_type):
        default = f'"{each.default}"' if isinstance(each.default, str) else str(each.default)
        assert f"| {default} |" in rows[each.name]


@pytest.mark.parametrize("id", IDS)
def test_defaults_pass_their_own_checks(id):
    settings_type = classes(id)[0].task_type.settings_type
    assert {each.name: each.default for each in fields(settings_type)} == vars(settings_type())


def test_the_discrete_defaults_and_choices_differ_in_their_action():
    single, discrete = (classes(id)[0].task_type.settings_type() for id in IDS if id.startswith("NBV"))
    if single.action == "candidates":
        single, discrete = discrete, single
    differ = {key for key, value in vars(single).items() if value != vars(discrete)[key]}
    assert differ == {"action"}


def test_a_class_derived_from_an_environment_has_its_own_signature():
    class Mine(NBVEnv):
        def __init__(self, colour: str = "red"):
            super().__init__(backbone=None)

    class Further(NBVEnv):
        def __init__(self, colour: str = "red", **arguments):
            super().__init__(**arguments)

    assert list(inspect.signature(Mine).parameters) == ["colour"]
    assert list(inspect.signature(Further).parameters)[:2] == ["colour", "scenes"]


def test_unknown_names_are_listed_with_the_nearest():
    task_type = classes("PointNav-Habitat-v0")[0].task_type
    check_arguments(task_type, {"turn_step": "whatever"})
    with pytest.raises(TypeError, match=r"'turn_stp' \(did you mean 'turn_step'\?\); valid are action"):
        check_arguments(task_type, {"turn_stp": 3})


@dataclass(frozen=True, kw_only=True, eq=False)
class Small(Settings):
    word: str = setting("a", one_of("a", "b"), "a word")
    share: float = setting(0.5, number(0, 1))
    length: float | None = setting(None, or_none(number(0.1, 2, "m")))
    count: int = setting(3, whole(1, 5000))
    endless: int = setting(3, whole(2))
    flag: bool = setting(True, FLAG)
    what: object = setting("a", one_of_or_callable(("a", "b"), "a callable"))


def test_each_check_by_hand():
    assert '| word | "a", "b" | "a" | a word |' in Small.table().splitlines()
    assert "| length | None, 0.1 to 2 m | None |  |" in Small.table().splitlines()
    assert "| count | an integer from 1 to 5,000 | 3 |  |" in Small.table().splitlines()
    assert "| endless | an integer from 2 | 3 |  |" in Small.table().splitlines()
    kept = Small(word="b", share=1, length=2, count=5000, flag=False, what=len)
    assert (kept.word, kept.share, kept.length, kept.count) == ("b", 1, 2, 5000)
    assert (kept.flag, kept.what) == (False, len)
    with pytest.raises(FrozenInstanceError):
        kept.word = "a"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"word": "c"}, "word: got 'c'; expected one of 'a', 'b'"),
        ({"share": 1.1}, "share: got 1.1; expected float from 0 to 1"),
        ({"length": 0}, "length: got 0; expected float from 0.1 to 2"),
        ({"count": 2.0}, "count: got 2.0; expected int from 1 to 5000"),
        ({"endless": 1}, "endless: got 1; expected int from 2"),
        ({"flag": 1}, "flag: got 1; expected True or False"),
        ({"what": "c"}, "what: got 'c'; expected one of 'a', 'b'"),
        ({"scenes": 3}, "scenes: got 3; expected 'procedural' or a path"),
        ({"pooling": None}, "pooling: got None; expected one of 'mean', 'grid', 'none'"),
    ],
)
def test_what_a_check_refuses(arguments, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        Small(**arguments)
