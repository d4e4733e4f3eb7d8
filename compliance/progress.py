"""What changed between audits of one system: duties that moved, and remedies that were tried and moved nothing.

The loop guard is for whoever mends by machine: a remedy that is proposed again, for a finding that did not move since
it was proposed first, is exhausted, and somebody has to think.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

from reports.model import ControlRow, Finding, Measurement, Remedy, Status

Direction: TypeAlias = Literal["better", "worse", "same", "new", "gone"]

_STATES = ("contradicted", "not-assessed", "insufficient", "supported")
"""Of a row, worst first: an open question that was asked stands above one that was not."""
_SUPPORT = (None, "attestation", "document", "partial", "direct")
_STATUSES = (Status.FAIL, Status.ERROR, Status.SKIPPED, Status.INCONCLUSIVE, Status.PASS)
_TOLERANCE = 1e-3
"""Share by which an exact figure must move before it counts as another."""


@dataclass(frozen=True)
class RowChange:
    """One duty in two audits."""

    control: str
    """Id of the catalogue."""
    before: ControlRow | None
    """None where the earlier audit has no such row."""
    after: ControlRow | None
    """None where the later audit has no such row."""
    direction: Direction
    """By state, then by how far the evidence carries, then by how many kinds are missing."""


@dataclass(frozen=True)
class Exhausted:
    """A remedy that was proposed again and again, while its finding did not move."""

    finding: Finding
    """As it stands in the last audit."""
    remedy: Remedy
    """What is proposed once more."""
    proposed: int
    """In how many audits in a row, the last one included; at least two."""


def compare_rows(before: Iterable[ControlRow], after: Iterable[ControlRow]) -> tuple[RowChange, ...]:
    """Return every duty of either audit with the way it moved, in the later one's order, then those that are gone."""
    old, new = {row.control: row for row in before}, {row.control: row for row in after}
    controls = [*new, *(control for control in old if control not in new)]
    return tuple(_change(control, old.get(control), new.get(control)) for control in controls)


def stalled(*audits: Sequence[Finding]) -> tuple[Exhausted, ...]:
    """Return the remedies of the last audit that are exhausted, in its order.

    A finding did not move where its status is the same and no figure that has a limit came nearer to it: by more than
    0.1 % where it is exact, else out of the earlier interval.

    Args:
        audits: Findings of one system, oldest audit first.
    """
    if len(audits) < 2:
        return ()
    earlier = [{finding.fingerprint: finding for finding in audit} for audit in reversed(audits[:-1])]
    found = ((finding, _proposed(finding, earlier)) for finding in audits[-1])
    return tuple(
        Exhausted(finding, finding.remedy, times)
        for finding, times in found
        if finding.remedy is not None and times > 1
    )


def _change(control: str, before: ControlRow | None, after: ControlRow | None) -> RowChange:
    if before is None or after is None:
        return RowChange(control, before, after, "new" if before is None else "gone")
    old, new = _standing(before), _standing(after)
    return RowChange(control, before, after, "same" if old == new else "better" if new > old else "worse")


def _standing(row: ControlRow) -> tuple[int, int, int]:
    """Return a key that is larger for a better row; against a duty, evidence that carries further is worse."""
    support = _SUPPORT.index(row.support)
    return _STATES.index(row.state), -support if row.state == "contradicted" else support, -len(row.missing)


def _proposed(finding: Finding, earlier: Sequence[Mapping[str, Finding]]) -> int:
    """Return in how many audits in a row, from the last backwards, the same remedy met the same finding."""
    times, later = 1, finding
    for audit in earlier:
        before = audit.get(finding.fingerprint)
        if before is None or before.remedy is None or not _same(before.remedy, finding.remedy) or _moved(before, later):
            break
        times, later = times + 1, before
    return times


def _same(a: Remedy, b: Remedy | None) -> bool:
    return b is not None and (a.parameter, a.direction, a.value) == (b.parameter, b.direction, b.value)


def _moved(before: Finding, after: Finding) -> bool:
    if _STATUSES.index(after.status) != _STATUSES.index(before.status):
        return True
    old = {figure.name: figure for figure in before.measurements}
    return any(_nearer(old[figure.name], figure) for figure in after.measurements if figure.name in old)


def _nearer(before: Measurement, after: Measurement) -> bool:
    """Tell whether a figure moved towards its limit by more than chance or rounding."""
    if after.threshold is None:
        return False
    gained = before.value - after.value if after.threshold.op == "<=" else after.value - before.value
    if before.interval is None:
        return gained > _TOLERANCE * max(abs(before.value), abs(after.value))
    return gained > 0 and not before.interval.low <= after.value <= before.interval.high
