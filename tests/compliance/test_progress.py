"""Two audits side by side, and the guard against going round in circles."""

from datetime import date

import pytest

from compliance.progress import compare_rows, stalled
from reports.model import ControlRow, Finding, Interval, Measurement, Remedy, Status, Threshold
from tests.compliance.audited import finding

RAISE = Remedy(parameter="federation.secure_aggregation.threshold", direction="raise", value="7", text="Raise it to 7.")


def row(control: str, state: str, support: str | None = None, missing: tuple[str, ...] = ()) -> ControlRow:
    return ControlRow.model_validate(
        {
            "control": control, "title": "A duty", "role": "provider", "law_version": "2024",
            "applies_from": date(2026, 8, 2), "applicability": "applies", "applicability_reason": "Art. 113",
            "ceiling": "direct", "state": state, "support": support, "missing": missing, "next_step": "Somebody acts.",
        }
    )  # fmt: skip


@pytest.mark.parametrize(
    ("before", "after", "direction"),
    [
        (("contradicted", "direct"), ("insufficient", None), "better"),
        (("not-assessed", None), ("insufficient", None), "better"),
        (("insufficient", None), ("supported", "document"), "better"),
        (("supported", "partial"), ("supported", "direct"), "better"),
        (("supported", "direct"), ("contradicted", "document"), "worse"),
        (("contradicted", "document"), ("contradicted", "direct"), "worse"),
        (("supported", "partial", ("dp",)), ("supported", "partial"), "better"),
        (("supported", "partial"), ("supported", "partial"), "same"),
    ],
)
def test_a_duty_moves_by_state_then_support_then_what_is_missing(
    before: tuple[str, ...], after: tuple[str, ...], direction: str
) -> None:
    [change] = compare_rows([row("EU-AIA:15(5)", *before)], [row("EU-AIA:15(5)", *after)])  # type: ignore[arg-type]
    assert change.direction == direction


def test_a_duty_of_one_audit_alone_is_new_or_gone() -> None:
    changes = compare_rows([row("EU-AIA:10(5)", "supported")], [row("EU-AIA:4a(1)", "supported")])
    assert [(change.control, change.direction) for change in changes] == [
        ("EU-AIA:4a(1)", "new"),
        ("EU-AIA:10(5)", "gone"),
    ]


def failed(value: float, remedy: Remedy | None = RAISE, status: Status = Status.FAIL, width: float = 0.0) -> Finding:
    interval = Interval(low=value - width, high=value + width, confidence=0.95) if width else None
    figure = Measurement(
        name="leak", value=value, interval=interval, n=60, method="any", threshold=Threshold(op="<=", limit=0.05)
    )
    return finding("secagg.parameters", status, measurements=(figure,), remedy=remedy)


def test_the_same_remedy_for_a_finding_that_did_not_move_is_exhausted() -> None:
    [found] = stalled([failed(0.5)], [failed(0.5)], [failed(0.5)])
    assert (found.finding.check, found.remedy, found.proposed) == ("secagg.parameters", RAISE, 3)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (failed(0.5), failed(0.4)),  # it moved towards its limit
        (failed(0.5, width=0.05), failed(0.4, width=0.05)),  # beyond the earlier interval
        (failed(0.5), failed(0.5, RAISE.model_copy(update={"value": "9"}))),  # another value
        (failed(0.5), failed(0.5, None)),  # nothing is proposed
        (failed(0.5, None), failed(0.5)),  # proposed for the first time
        (failed(0.5, status=Status.INCONCLUSIVE), failed(0.5)),  # another status
        (failed(0.5), failed(0.5).model_copy(update={"fingerprint": "0" * 32})),  # another finding
    ],
)
def test_what_moved_or_is_another_thing_is_not_exhausted(before: Finding, after: Finding) -> None:
    assert stalled([before], [after]) == ()


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (failed(0.5), failed(0.6)),  # it moved the wrong way
        (failed(0.5), failed(0.49999)),  # by rounding
        (failed(0.5, width=0.2), failed(0.4, width=0.2)),  # by chance
    ],
)
def test_chance_rounding_and_a_step_back_are_no_progress(before: Finding, after: Finding) -> None:
    assert [one.proposed for one in stalled([before], [after])] == [2]


def test_progress_in_between_starts_the_count_anew() -> None:
    audits = [[failed(0.9)], [failed(0.5)], [failed(0.5)]]
    assert [one.proposed for one in stalled(*audits)] == [2]
    assert stalled(audits[0]) == ()
    assert stalled() == ()
