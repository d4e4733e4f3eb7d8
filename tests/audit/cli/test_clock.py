"""The clock of a command: what was said, else SOURCE_DATE_EPOCH, else that of the machine; and seeds within bounds."""

import importlib
import inspect
from datetime import UTC, datetime, timedelta
from pathlib import Path

import click
import pytest

from audit.cli.clock import the_time, the_verifiers_time
from audit.cli.main import run

SAID = datetime(2026, 11, 21, 12, tzinfo=UTC)


def test_what_was_said_comes_before_the_variable_and_that_before_the_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "86400")
    assert the_time(SAID) == SAID
    assert the_time(None) == datetime(1970, 1, 2, tzinfo=UTC)
    monkeypatch.delenv("SOURCE_DATE_EPOCH")
    found = the_time(None)
    assert (found.microsecond, found.utcoffset()) == (0, timedelta(0))
    assert timedelta(0) <= datetime.now(UTC) - found < timedelta(minutes=5)


@pytest.mark.parametrize("epoch", ["", "soon", "1.5", "9" * 30])
def test_a_variable_that_is_no_number_of_seconds_is_named(monkeypatch: pytest.MonkeyPatch, epoch: str) -> None:
    monkeypatch.setenv("SOURCE_DATE_EPOCH", epoch)
    with pytest.raises(click.UsageError, match="SOURCE_DATE_EPOCH="):
        the_time(None)


@pytest.mark.parametrize(
    ("flag", "value", "told"),
    [
        ("--now", "2026-11-21T12:00:00", "has no time zone"),
        ("--now", "yesterday", "is no date-time"),
        ("--seed", "-1", "--seed"),
        ("--seed", str(2**53), "--seed"),
        ("--seed", "1.0", "--seed"),
    ],
)
def test_a_moment_without_a_zone_and_a_seed_that_doubles_would_round_are_refused(
    flag: str, value: str, told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["run", "system.toml", "-o", "b", flag, value]) == 2
    assert told in capsys.readouterr().err


def test_who_verifies_takes_no_time_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "86400")
    assert the_time(None).year == 1970
    assert the_verifiers_time(None) > datetime(2026, 1, 1, tzinfo=UTC)
    said = datetime(2026, 11, 21, tzinfo=UTC)
    assert the_verifiers_time(said) == said


@pytest.mark.parametrize("command", ["verify", "gate", "render"])
def test_no_command_that_verifies_or_judges_reads_that_clock(command: str) -> None:
    source = Path(inspect.getfile(importlib.import_module(f"audit.cli.{command}"))).read_text(encoding="utf-8")
    assert "the_verifiers_time(" in source and "the_time(" not in source
