"""Two reports side by side: nothing lost, nothing invented, and numbers that overlap are not told as moved."""

from collections.abc import Callable, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reports.compare import Comparison, compare
from reports.model import Finding, Interval, Measurement, Report
from reports.nouns import Status
from tests.reports.export_cases import SAMPLE

Found = Callable[..., Finding]
Reported = Callable[..., Report]


def rate(value: float, low: float | None = None, high: float | None = None, name: str = "rate") -> Measurement:
    interval = None if low is None or high is None else Interval(low=low, high=high, confidence=0.95)
    return Measurement(name=name, value=value, interval=interval, n=100, method="counted")


def mirrored(found: Comparison) -> Comparison:
    changed = tuple(
        one.model_copy(
            update={
                "old": one.new,
                "new": one.old,
                "measurements": tuple(m.model_copy(update={"old": m.new, "new": m.old}) for m in one.measurements),
            }
        )
        for one in found.changed
    )
    return found.model_copy(update={"added": found.removed, "removed": found.added, "changed": changed})


def test_a_report_differs_in_nothing_from_itself() -> None:
    found = compare(SAMPLE.report, SAMPLE.report)
    assert (found.added, found.removed, found.changed) == ((), (), ())
    assert found.unchanged == len(SAMPLE.report.findings)
    assert found.same_system
    assert not found.provenance.differs


def test_what_came_went_and_changed_is_told(found: Found, report: Reported) -> None:
    old = report(found("a.stays", "pass"), found("a.goes", "pass"), found("a.turns", "pass", key="client=1"))
    new = report(found("a.stays", "pass"), found("a.comes", "fail"), found("a.turns", "fail", key="client=1"))
    told = compare(old, new)
    assert [(one.check, one.status) for one in told.added] == [("a.comes", Status.FAIL)]
    assert [(one.check, one.status) for one in told.removed] == [("a.goes", Status.PASS)]
    [turned] = told.changed
    assert (turned.check, turned.key, turned.old, turned.new) == ("a.turns", "client=1", Status.PASS, Status.FAIL)
    assert turned.fingerprint == new.findings[-1].fingerprint
    assert told.unchanged == 1


@pytest.mark.parametrize(
    ("old", "new", "strength", "overlap"),
    [
        ((rate(0.1, 0.05, 0.15),), (rate(0.2, 0.14, 0.26),), "statistical", True),
        ((rate(0.1, 0.05, 0.15),), (rate(0.2, 0.15, 0.26),), "statistical", True),  # they touch
        ((rate(0.1, 0.05, 0.15),), (rate(0.2, 0.16, 0.26),), "statistical", False),
        ((rate(0.2, 0.16, 0.26),), (rate(0.1, 0.05, 0.15),), "statistical", False),
        ((rate(0.1),), (rate(0.2),), "exact", False),
        ((rate(0.1),), (rate(0.2),), "statistical", None),  # a number without interval or proof says nothing
        ((rate(0.1, 0.05, 0.15),), (rate(0.2),), "statistical", None),
        ((), (rate(0.2, 0.1, 0.3),), "statistical", None),
    ],
)
def test_intervals_decide_whether_a_number_moved(
    found: Found,
    report: Reported,
    old: Sequence[Measurement],
    new: Sequence[Measurement],
    strength: str,
    overlap: bool | None,
) -> None:
    def told(measurements: Sequence[Measurement]) -> Report:
        return report(found("a.check", "pass", strength=strength, measurements=measurements))

    [change] = compare(told(old), told(new)).changed
    [moved] = change.measurements
    assert moved.overlap is overlap
    assert (moved.old, moved.new) == (old[0].value if old else None, new[0].value)


def test_equal_names_are_held_together_in_their_order(found: Found, report: Reported) -> None:
    old = report(found("a.check", "pass", measurements=[rate(0.1), rate(0.2), rate(0.3, name="other")]))
    new = report(found("a.check", "pass", measurements=[rate(0.1), rate(0.25)]))
    [change] = compare(old, new).changed
    assert [(one.name, one.old, one.new) for one in change.measurements] == [("rate", 0.2, 0.25), ("other", 0.3, None)]


def test_another_system_and_another_way_of_asking_are_said(found: Found, report: Reported) -> None:
    old, new = report(found("a.check", "pass")), report(found("a.check", "pass"), name="other", root_seed=8)
    told = compare(old, new)
    assert not told.same_system
    assert told.unchanged == 1
    assert told.provenance.differs == ("root_seed",)


@given(
    st.lists(st.tuples(st.sampled_from("abc"), st.sampled_from(list(Status)), st.sampled_from([0.1, 0.2])), max_size=3),
    st.lists(st.tuples(st.sampled_from("abc"), st.sampled_from(list(Status)), st.sampled_from([0.1, 0.2])), max_size=3),
)
def test_old_and_new_change_places(
    found: Found, report: Reported, first: list[tuple[str, Status, float]], second: list[tuple[str, Status, float]]
) -> None:
    def told(rows: list[tuple[str, Status, float]]) -> Report:
        named = {check: (status, value) for check, status, value in rows}
        return report(*(found(f"a.{c}", s, measurements=[rate(v, v - 0.1, v + 0.1)]) for c, (s, v) in named.items()))

    old, new = told(first), told(second)
    there, back = compare(old, new), compare(new, old)
    assert there == mirrored(back)
    assert len(there.added) + len(there.changed) + there.unchanged == len(new.findings)
    assert len(there.removed) + len(there.changed) + there.unchanged == len(old.findings)
