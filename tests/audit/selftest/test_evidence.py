"""The evidence of a self-test: read as it was written, and refused where it is anything else."""

import json
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from audit.selftest.evidence import evidence_of
from audit.selftest.matrix import Matrix, Row
from reports.canonical import canonical_json, strict_json
from reports.model import Effort, Status
from reports.nouns import moment_text
from reports.schema import FOLDER
from reports.self_test import LARGEST, NotTried, SelfTest, SelfTestError, canonical_self_test, read_self_test

DAY = date(2026, 11, 22)


def evidence(*, detected: bool = True, alarm: bool = False, is_whole: bool = True) -> SelfTest:
    flawed = {"dp.mechanism": Status.FAIL if detected else Status.PASS, "attack.text": Status.SKIPPED}
    twin = {"dp.mechanism": Status.FAIL if alarm else Status.PASS}
    rows = tuple(
        Row("dp-no-noise", "No noise is added", ("dp.mechanism",), Status.FAIL, seed, flawed, twin, seed / 7)
        for seed in (1, 2)
    )
    left = (NotTried(id="leak-convnet", title="A convolution leaks", reason="effort:standard"),)
    return evidence_of(Matrix(Effort.SMOKE, (1, 2), rows, left, ("attack.text", "verify"), is_whole), DAY)


def document() -> dict[str, Any]:
    found = strict_json(canonical_self_test(evidence()))
    assert isinstance(found, dict)
    return found


def test_what_was_written_is_read_and_holds_no_time_of_day(tmp_path: Path) -> None:
    file = tmp_path / "selftest.json"
    file.write_bytes(canonical_self_test(evidence()))
    read = read_self_test(file)
    assert read.document == evidence()
    assert b"seconds" not in read.data and moment_text(datetime(2026, 11, 22, tzinfo=UTC)).encode() not in read.data
    assert [one.check for one in read.document.power] == ["attack.text", "dp.mechanism", "verify"]


def test_the_published_schema_describes_it() -> None:
    jsonschema.validate(document(), json.loads((FOLDER / "selftest.json").read_text(encoding="utf-8")))


@pytest.mark.parametrize(
    ("spoil", "word"),
    [
        (lambda told: told["summary"].update(detected=1), "value"),
        (lambda told: told["flaws"][0].update(detected=False), "value"),
        (lambda told: told["flaws"][0]["twin"].update({"dp.mechanism": "fail"}), "value"),
        (lambda told: told["flaws"][0]["twin"].update({"dp.mechanism": "great"}), "value"),
        (lambda told: told["flaws"].pop(), "value"),
        (lambda told: told["power"][1].update(caught_at_least=0.99), "value"),
        (lambda told: told["power"][1].update(trials=40, caught=40), "value"),
        (lambda told: told["power"][0].update(twins=400, false_alarms_at_most=0.01), "value"),
        (lambda told: told.update(seeds=[1, 2, 3]), "value"),
        (lambda told: told.update(seeds=[1]), "value"),
        (lambda told: told["flaws"][1].update(seed=1), "value"),
        (lambda told: told["left_out"][0].update(id="dp-no-noise"), "value"),
        (lambda told: told.update(schema="fedaudit.selftest/2"), "schema"),
        (lambda told: told.update(opinion="fine"), "unknown_key"),
        (lambda told: told.pop("packages"), "missing_key"),
    ],
)
def test_a_document_that_contradicts_itself_is_refused(tmp_path: Path, spoil: Any, word: str) -> None:
    told, file = document(), tmp_path / "selftest.json"
    spoil(told)
    file.write_bytes(canonical_json(told))
    with pytest.raises(SelfTestError) as refused:
        read_self_test(file)
    assert refused.value.code == f"selftest.{word}"
    assert str(file) in refused.value.message


@pytest.mark.parametrize(
    ("data", "word"),
    [
        (b"", "syntax"),
        (b"[]", "schema"),
        (b'{"schema": "fedaudit.selftest/1", "schema": "fedaudit.selftest/1"}', "syntax"),
        (b"[" * 100_000, "syntax"),
        (b'{"schema": "fedaudit.report/1"}', "schema"),
        (canonical_self_test(evidence()) + b"\n", "canonical"),
        (b" " * (LARGEST + 1), "too_large"),
    ],
)
def test_bytes_that_no_self_test_wrote_are_refused(tmp_path: Path, data: bytes, word: str) -> None:
    file = tmp_path / "selftest.json"
    file.write_bytes(data)
    with pytest.raises(SelfTestError) as refused:
        read_self_test(file)
    assert (refused.value.code, refused.value.exit_code) == (f"selftest.{word}", 2)


def test_a_file_that_is_not_there_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(SelfTestError) as refused:
        read_self_test(tmp_path / "none.json")
    assert refused.value.code == "selftest.not_found"
