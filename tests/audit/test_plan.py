"""Every check that is known appears once, with what becomes of it."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from audit.plan import capabilities, load_plugin, plan
from reports.check import Check, Context
from reports.errors import CheckError
from reports.model import Finding, System

SYSTEM = System.model_validate(
    {"name": "s", "version": "1", "source": {"path": "s.toml", "sha256": "0" * 64, "size": 1, "kind": "source"}}
)


def nothing(system: System, ctx: Context) -> Iterator[Finding]:
    return iter(())


A, B = Check("a.one", "t", nothing), Check("b.two", "t", nothing, needs=("model.checkpoint",))
READER = Check("a.reader", "t", nothing, needs=("findings",))
AFTER = Check("a.after", "t", nothing, after_others=True)


def test_readers_of_findings_come_last_and_judges_of_the_run_before_them() -> None:
    assert [p.check.id for p in plan(SYSTEM, (READER, AFTER, B, A))] == ["a.one", "b.two", "a.after", "a.reader"]


def test_what_is_missing_is_said_as_a_word_and_as_a_sentence() -> None:
    one, two = plan(SYSTEM, (A, B))
    assert one.runs
    assert (two.runs, two.reason) == (False, "missing:model.checkpoint")
    assert two.because == "It needs model.checkpoint in the system file."


def test_an_extra_that_is_not_installed_says_what_to_install() -> None:
    [planned] = plan(SYSTEM, (Check("c.three", "t", nothing, needs=("extra:llm",)),))
    assert planned.reason == "extra:llm"
    assert "pip install fedaudit[llm]" in planned.because


def test_an_option_is_asked_for_on_the_command_line_and_not_in_the_file() -> None:
    alone, either = (
        Check(name, "t", nothing, needs=(need,)) for name, need in (("c.a", "run:policy"), ("c.b", "data|run:judge"))
    )
    one, two = plan(SYSTEM, (alone, either))
    assert one.because == "It needs --policy on the command line."
    assert two.because == "It needs data in the system file or --judge on the command line."


def test_a_key_or_an_extra_is_said_as_a_choice_of_the_two() -> None:
    check = Check("c.three", "t", nothing, needs=("federation", "federation.framework=flower|extra:llm"))
    [planned] = plan(SYSTEM, (check,))
    choice = "federation.framework=flower in the system file or 'pip install fedaudit[llm]'"
    assert planned.because == f"It needs federation in the system file and {choice}."
    [able] = plan(SYSTEM, (Check("c.three", "t", nothing, needs=check.needs[1:]),), capabilities=("extra:llm",))
    assert able.runs


@pytest.mark.parametrize(("only", "skip", "runs"), [((), (), True), (("a.*",), (), True), ((), ("a.*",), False)])
def test_globs_select(only: tuple[str, ...], skip: tuple[str, ...], runs: bool) -> None:
    planned = plan(SYSTEM, (A,), only=only, skip=skip)[0]
    assert planned.runs is runs
    assert planned.reason == ("" if runs else "deselected")


@pytest.mark.parametrize("option", ["only", "skip"])
def test_a_glob_that_matches_nothing_is_no_selection(option: str) -> None:
    with pytest.raises(CheckError, match=r"secagg\.tpyo"):
        plan(SYSTEM, (A,), **{option: ("secagg.tpyo",)})


def test_a_policy_and_a_judge_are_capabilities() -> None:
    assert "run:policy" in capabilities(policy=True)
    assert "run:judge" in capabilities(judge=True)
    assert not [word for word in capabilities() if word.startswith("run:")]


def test_a_plugin_is_loaded_by_path_and_leaves_the_path_alone(tmp_path: Path) -> None:
    import sys

    file = tmp_path / "mine.py"
    file.write_text("from reports.check import Check\nfound = Check('mine.one', 'It is so', lambda s, c: iter(()))\n")
    before = list(sys.path)
    assert [c.id for c in load_plugin(file)] == ["mine.one"]
    assert sys.path == before


@pytest.mark.parametrize("text", ["", "raise RuntimeError('no')", "def ("])
def test_a_plugin_without_checks_or_that_breaks_is_refused(tmp_path: Path, text: str) -> None:
    file = tmp_path / "mine.py"
    file.write_text(text)
    with pytest.raises(CheckError, match=r"mine\.py"):
        load_plugin(file)
    with pytest.raises(CheckError):
        load_plugin(tmp_path / "absent.py")
