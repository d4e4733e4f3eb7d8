"""A real language model reads a document through the whole path: plumbing alone; its card says it may not be used."""

import json
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from audit.cli.main import run
from compliance.calibration import read_calibration

pytestmark = pytest.mark.llm

TEXT = """# Risk management

A risk management system is kept for the whole life of the product. Risks to health are listed and reviewed each month.
"""
JUDGE = """version = 1
max_tokens = 200
budget = {{ requests = 2 }}
[[members]]
name = "small"
base_url = "{url}"
model = "smollm2"
max_concurrency = 1
max_retries = 0
timeout_s = 1200
deadline_s = 2400
"""
"""An answer and its repair at most: the model is slow, and what it says is of no account."""
Answered = Callable[..., tuple[int, dict[str, Any]]]


@pytest.fixture
def answered(capsys: pytest.CaptureFixture[str]) -> Answered:
    def command(*arguments: object) -> tuple[int, dict[str, Any]]:
        code = run(["compliance", *map(str, arguments), "--on", "2026-11-21", "--json"])
        return code, json.loads(capsys.readouterr().out)

    return command


@pytest.fixture
def judge(llama_url: str, tmp_path: Path) -> Path:
    path = tmp_path / "judge.toml"
    path.write_text(JUDGE.format(url=llama_url), encoding="utf-8")
    return path


def refuse(*_arguments: object) -> None:
    raise AssertionError("a socket was opened")


def test_what_a_small_model_reads_is_replayed_with_the_network_off(
    answered: Answered, judge: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "td.md").write_text(TEXT, encoding="utf-8")
    asked = (
        "assess",
        tmp_path / "td.md",
        "--judge",
        judge,
        "--controls",
        "EU-AIA:9(1)",
        "--samples",
        1,
        "--planted",
        0,
    )
    code, first = answered(*asked, "--record", tmp_path / "tape")
    [one] = first["assessments"]
    assert one["status"] in ("answered", "invalid_output", "not_asked", "withheld")
    assert code == (0 if one["status"] in ("answered", "withheld") else 3)
    assert all(TEXT[quote["start"] : quote["end"]] == quote["text"] for quote in one["quotes"])
    assert (one["band"], first["judge"]["state"]) == ("unclear", "uncalibrated")
    assert first["judge"]["members"][0]["reply_models"] in ([], ["smollm2"])

    monkeypatch.setattr(socket.socket, "connect", refuse)
    again, second = answered(*asked, "--replay", tmp_path / "tape")
    assert (again, second["assessment_sha256"]) == (code, first["assessment_sha256"])


def test_the_card_of_a_small_model_says_that_it_may_not_be_used(
    answered: Answered, judge: Path, tmp_path: Path
) -> None:
    code, found = answered("calibrate", "--judge", judge, "--limit", 1, "-o", tmp_path / "calibration.json")
    assert code in (0, 3)  # 3 where its answer was in no form that can be used
    assert found["status"] == "not_admitted"
    assert "too_few_items" in found["reasons"]
    assert read_calibration(tmp_path / "calibration.json").status == "not_admitted"
