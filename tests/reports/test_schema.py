"""The published schemas are those of the nouns, and somebody else's validator agrees with us about what is a report."""

import json
import tomllib
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from reports.judge import judge
from reports.model import Finding, Report
from reports.plot import IntervalRow, IntervalsPlot
from reports.policy import Policy
from reports.schema import FOLDER, PUBLISHED, schema_text, write_schemas


def schema(name: str) -> dict[str, Any]:
    return dict(json.loads((FOLDER / f"{name}.json").read_text(encoding="utf-8")))


def accepts(name: str, document: object) -> bool:
    return bool(jsonschema.Draft202012Validator(schema(name)).is_valid(document))


def test_the_files_are_what_the_nouns_say_today() -> None:
    published = {name: (FOLDER / f"{name}.json").read_text(encoding="utf-8") for name in PUBLISHED}
    assert published == {name: schema_text(name) for name in PUBLISHED}, "run python -m audit.schemas"


def test_writing_leaves_the_schemas_of_other_rooms_alone(tmp_path: Path) -> None:
    (tmp_path / "other.json").write_text("{}")
    write_schemas({"trust": schema_text("trust")}, tmp_path)
    assert {path.stem for path in tmp_path.iterdir()} == {"other", "trust"}


@pytest.mark.parametrize("name", sorted(PUBLISHED))
def test_each_schema_is_one_and_bears_its_id(name: str) -> None:
    jsonschema.Draft202012Validator.check_schema(schema(name))
    assert schema(name)["$id"] == f"fedaudit.{name}/1"


def undescribed(node: object, at: str) -> list[str]:
    """Return the places of fields without a sentence."""
    if isinstance(node, list):
        return [place for part in node for place in undescribed(part, at)]
    if not isinstance(node, dict):
        return []
    bare = [f"{at}.{field}" for field, body in node.get("properties", {}).items() if not body.get("description")]
    return bare + [place for key, part in node.items() for place in undescribed(part, f"{at}.{key}")]


@pytest.mark.parametrize("name", sorted(PUBLISHED))
def test_every_field_has_a_sentence(name: str) -> None:
    assert undescribed(schema(name), name) == []


def test_a_report_of_ours_is_a_report_and_one_field_more_or_less_is_not(
    found: Callable[..., Finding], report: Callable[..., Report]
) -> None:
    document = report(found("attack.linear", "fail")).model_dump(mode="json")
    assert accepts("report", document)
    assert accepts("system", document["system"])
    assert not accepts("report", document | {"verdict": "passed"})
    for field in document:
        assert not accepts("report", {name: value for name, value in document.items() if name != field})
    [finding] = document["findings"]
    for broken in ({"status": "ok"}, {"summary": ""}, {"fingerprint": "0" * 31}, {"key": "k" * 201}, {"score": 1}):
        assert not accepts("report", document | {"findings": [finding | broken]})


def test_a_verdict_of_ours_is_a_verdict(
    found: Callable[..., Finding], report: Callable[..., Report], policy: Callable[..., Policy]
) -> None:
    verdict = judge(report(found("attack.linear", "fail")), policy(), date(2026, 11, 21)).model_dump(mode="json")
    assert accepts("verdict", verdict)
    assert not accepts("verdict", verdict | {"result": "maybe"})


def test_a_plot_of_ours_is_a_plot() -> None:
    row = IntervalRow(label="final model", value=0.004, low=0.001, high=0.009)
    document = IntervalsPlot(title="Rates", x="rate", rows=(row,)).model_dump(mode="json")
    assert accepts("plot", document)
    assert not accepts("plot", document | {"kind": "pie"})


POLICY = """
version = 1
name = "house"
fail_on = "medium"
[[require]]
check = "secagg.parameters"
min_strength = "exact"
[[threshold]]
check = "attack.*"
measurement = "rate"
op = "<="
limit = 0.01
"""


def test_a_policy_as_people_write_it_is_a_policy() -> None:
    document = tomllib.loads(POLICY)
    assert accepts("policy", document)
    assert not accepts("policy", document | {"failon": "high"})
    assert not accepts("policy", document | {"fail_on": "hihg"})


def test_a_trust_file_as_people_write_it_is_a_trust_file() -> None:
    key = {"name": "A. Auditor", "role": "auditor", "public_key": "a.pub", "not_before": "2026-01-01T00:00:00Z"}
    document = {"version": 1, "require": {"auditor": 1}, "keys": [key]}
    assert accepts("trust", document)
    assert not accepts("trust", document | {"keys": [key | {"role": "owner"}]})
    assert not accepts("trust", document | {"keys": [key | {"rolle": "auditor"}]})
