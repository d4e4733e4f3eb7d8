"""What the nouns of a report refuse, each beside the twin that they take: lengths, forms, letters and numbers."""

from typing import Any

import pytest
from pydantic import ValidationError

from reports.model import (
    Confidentiality,
    Evidence,
    Finding,
    Interval,
    Measurement,
    Provenance,
    Status,
    Strength,
    Threshold,
    evidence_path,
)
from reports.nouns import Noun
from tests.reports.conformance.world import finding, measurement, sound_report

DIGEST = "ab" * 32
NOUNS: dict[type[Noun], Noun] = {
    Finding: finding("a.b", Status.FAIL, Strength.EXACT),
    Measurement: measurement(),
    Interval: Interval(low=0.0, high=0.1, confidence=0.95),
    Threshold: Threshold(op="<=", limit=0.1),
    Provenance: sound_report("12" * 32).provenance,
    Evidence: Evidence(
        sha256=DIGEST,
        path=evidence_path(DIGEST, ".json"),
        size=1,
        media_type="application/json",
        confidentiality=Confidentiality.INTERNAL,
        name="a plot",
    ),
}
CASES: list[tuple[type[Noun], str, Any, Any]] = [
    (Finding, "key", "k" * 200, "k" * 201),
    (Finding, "title", "t" * 300, "t" * 301),
    (Finding, "summary", "s" * 300, "s" * 301),
    (Finding, "summary", "s", ""),
    (Finding, "detail", "tab\tand\nline", "bell\a"),
    (Finding, "detail", "\U0001f600", "\ud83d"),
    (Finding, "detail", "x", "\x00"),
    (Finding, "fingerprint", "0" * 32, "0" * 31),
    (Finding, "fingerprint", "a" * 32, "A" * 32),
    (Finding, "check", "a.b", "a"),
    (Finding, "status", "error", "ok"),
    (Finding, "severity", "critical", "severe"),
    (Finding, "strength", "screening", "strong"),
    (Finding, "basis", "recorded", "believed"),
    (Measurement, "name", "tpr_at_fpr_0.001", "TPR"),
    (Measurement, "unit", "nats", "\x1b"),
    (Measurement, "value", -1.5, float("nan")),
    (Measurement, "value", 0.0, float("inf")),
    (Measurement, "control", None, float("-inf")),
    (Measurement, "n", 0, -1),
    (Measurement, "n", 2**53 - 1, 2**53),
    (Measurement, "n", 1, True),
    (Interval, "confidence", 0.5, 1.0),
    (Interval, "confidence", 0.5, 0.0),
    (Interval, "low", 0.1, 0.2),  # above its high
    (Threshold, "op", ">=", "<"),
    (Threshold, "limit", 1e308, float("nan")),
    (Provenance, "root_seed", 2**53 - 1, 2**53),
    (Provenance, "root_seed", 0, -1),
    (Provenance, "schema_version", 1, 2),
    (Evidence, "name", "n" * 120, "n" * 121),
    (Evidence, "name", "a name", "two\nlines"),
    (Evidence, "path", f"ab/{DIGEST}.json", f"ab/{DIGEST}.abcdefghi"),
    (Evidence, "path", f"ab/{DIGEST}", f"ac/{DIGEST}"),
    (Evidence, "path", f"ab/{DIGEST}", f"ab/../ab/{DIGEST}"),
    (Evidence, "path", f"ab/{DIGEST}", f"cd/{'cd' * 32}"),  # the name of other content
    (Evidence, "sha256", DIGEST, DIGEST.upper()),
    (Evidence, "confidentiality", "restricted", "secret"),
]


@pytest.mark.parametrize(("kind", "field", "taken", "refused"), CASES, ids=lambda value: repr(value)[:24])
def test_a_noun_takes_the_one_and_refuses_the_other(kind: type[Noun], field: str, taken: Any, refused: Any) -> None:
    given = NOUNS[kind].model_dump()
    read = kind.model_validate({**given, field: taken})
    assert getattr(read, field) == taken
    with pytest.raises(ValidationError):
        kind.model_validate({**given, field: refused})


@pytest.mark.parametrize("kind", NOUNS, ids=lambda kind: kind.__name__)
def test_a_field_that_nobody_knows_is_refused_and_none_may_change(kind: type[Noun]) -> None:
    given = NOUNS[kind].model_dump()
    assert kind.model_validate(given) == NOUNS[kind]
    with pytest.raises(ValidationError):
        kind.model_validate({**given, "verdict": "passed"})
    with pytest.raises(ValidationError):
        setattr(NOUNS[kind], next(iter(given)), None)
