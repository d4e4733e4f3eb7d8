"""Two readers of one report must not disagree, so nothing lax gets in."""

from datetime import UTC, date, datetime, timedelta, timezone
from typing import Any

import pytest
from pydantic import TypeAdapter, ValidationError

from reports.nouns import (
    Confidentiality,
    Count,
    Day,
    Effort,
    FiniteNumber,
    Moment,
    Noun,
    Severity,
    Sha256,
    Strength,
    Text,
    WholeNumber,
)


@pytest.mark.parametrize(
    ("kind", "good", "bad"),
    [
        (FiniteNumber, [0, 1.5, -3], ["1", True, float("nan"), float("inf"), None]),
        (WholeNumber, [0, -(2**53) + 1], ["1", 1.0, True, 2**53]),
        (Count, [0, 7], [-1, 0.0]),
        (Text, ["", "a\tb\nc", "žluť 漢"], ["a\x00b", "\x1b[31m", "\ud800", 3, b"a"]),
        (Sha256, ["0" * 64], ["0" * 63, "A" * 64, "0" * 64 + "\n"]),
        (Day, [date(2026, 1, 1), "2026-01-01"], ["2026-1-1", 0, "20260101", datetime(2026, 1, 1, tzinfo=UTC)]),
        (Moment, ["2026-01-01T00:00:00Z"], ["2026-01-01T00:00:00+00:00", 0, "2026-01-01", datetime(2026, 1, 1)]),
    ],
)
def test_a_scalar_takes_its_own_spelling_and_no_other(kind: Any, good: list[object], bad: list[object]) -> None:
    adapter: TypeAdapter[Any] = TypeAdapter(kind)
    for value in good:
        adapter.validate_python(value)
    for value in bad:
        with pytest.raises(ValidationError):
            adapter.validate_python(value)


def test_a_moment_is_utc_in_whole_seconds() -> None:
    class Note(Noun):
        at: Moment

    given = datetime(2026, 1, 1, 2, 0, 0, 999_999, tzinfo=timezone(timedelta(hours=2)))
    assert Note(at=given).model_dump(mode="json") == {"at": "2026-01-01T00:00:00Z"}


def test_words_with_an_order_compare_by_their_place_not_by_their_letters() -> None:
    assert Severity.CRITICAL.at_least(Severity.HIGH)
    assert not Severity.LOW.at_least(Severity.MEDIUM)
    assert [s.rank for s in Strength] == [0, 1, 2, 3]
    assert Effort.STANDARD.at_least(Effort.STANDARD)
    assert Confidentiality.RESTRICTED.at_least(Confidentiality.PUBLIC)


def test_a_noun_is_frozen_and_refuses_what_it_does_not_know() -> None:
    class Note(Noun):
        text: Text

    with pytest.raises(ValidationError):
        Note.model_validate({"text": "a", "more": 1})
    with pytest.raises(ValidationError):
        Note(text="a").text = "b"
