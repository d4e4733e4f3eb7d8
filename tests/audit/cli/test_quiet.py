import os

import pytest

from audit.cli.main import run
from audit.cli.quiet import UNASKED


def test_a_command_switches_off_what_libraries_would_send(monkeypatch: pytest.MonkeyPatch, capsys: object) -> None:
    for name in UNASKED:
        monkeypatch.delenv(name, raising=False)
    assert run(["checks", "--json"]) == 0
    assert {name: os.environ.get(name) for name in UNASKED} == UNASKED


def test_a_choice_that_was_made_stays(monkeypatch: pytest.MonkeyPatch, capsys: object) -> None:
    monkeypatch.setenv("FLWR_TELEMETRY_ENABLED", "1")
    assert run(["checks", "--json"]) == 0
    assert os.environ["FLWR_TELEMETRY_ENABLED"] == "1"
