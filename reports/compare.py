"""Two reports of one system held side by side: what came, what went, what changed, and whether a number really moved.

Findings are paired by check and key. Two intervals that overlap are the same to anybody who does not know more; the
comparison says so and judges nothing: that is the gate's, with a baseline.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from itertools import zip_longest

from reports.model import Finding, Fingerprint, Interval, Key, Measurement, MeasurementName, Report
from reports.nouns import Count, FiniteNumber, Noun, Status, Strength, Word

_APART = ("started", "finished")
"""Of provenance: two runs are never at one time, and that is no difference in how they were done."""


class Told(Noun):
    """A finding that one of two reports has."""

    fingerprint: Fingerprint
    """By which waivers know it."""
    check: Word
    """Id of the check."""
    key: Key
    """What tells several findings of the check apart."""
    status: Status
    """What it answers."""


class MeasurementChange(Noun):
    """One number of a finding, then and now."""

    name: MeasurementName
    """What was measured."""
    old: FiniteNumber | None
    """Its value in the old report; None where that has none."""
    new: FiniteNumber | None
    """Its value in the new report."""
    overlap: bool | None
    """Whether the two intervals meet, an exact value being a point; None where one has neither interval nor proof."""


class Change(Noun):
    """A finding that both reports have, with another answer or other numbers."""

    fingerprint: Fingerprint
    """In the new report."""
    check: Word
    """Id of the check."""
    key: Key
    """What tells several findings of the check apart."""
    old: Status
    """What it answered."""
    new: Status
    """What it answers."""
    measurements: tuple[MeasurementChange, ...]
    """The numbers that differ, in value or interval."""


class ProvenanceChange(Noun):
    """How differently two reports came about."""

    differs: tuple[Word, ...]
    """Fields of the provenance that differ, the time of the run apart."""


class Comparison(Noun):
    """Two reports, side by side."""

    same_system: bool
    """Whether both are of a system of this name."""
    added: tuple[Told, ...]
    """Findings that only the new report has."""
    removed: tuple[Told, ...]
    """Findings that only the old report has."""
    changed: tuple[Change, ...]
    """Findings that both have and that differ."""
    unchanged: Count
    """Number of findings that both have with the same answer and numbers."""
    provenance: ProvenanceChange
    """How differently they came about."""


def compare(old: Report, new: Report) -> Comparison:
    """Return what changed between two reports; pure, and in the order of check and key."""
    before, after = _by_name(old.findings), _by_name(new.findings)
    both = sorted(before.keys() & after.keys())
    changes = [change for name in both if (change := _change(before[name], after[name]))]
    return Comparison(
        same_system=old.system.name == new.system.name,
        added=tuple(_told(after[name]) for name in sorted(after.keys() - before.keys())),
        removed=tuple(_told(before[name]) for name in sorted(before.keys() - after.keys())),
        changed=tuple(changes),
        unchanged=len(both) - len(changes),
        provenance=ProvenanceChange(differs=_differs(old, new)),
    )


def _by_name(findings: Iterable[Finding]) -> dict[tuple[str, str], Finding]:
    return {(finding.check, finding.key): finding for finding in findings}


def _told(finding: Finding) -> Told:
    return Told(fingerprint=finding.fingerprint, check=finding.check, key=finding.key, status=finding.status)


def _change(old: Finding, new: Finding) -> Change | None:
    numbers = tuple(_moved(old, new))
    if old.status is new.status and not numbers:
        return None
    return Change(
        fingerprint=new.fingerprint,
        check=new.check,
        key=new.key,
        old=old.status,
        new=new.status,
        measurements=numbers,
    )


def _moved(old: Finding, new: Finding) -> Iterable[MeasurementChange]:
    """Yield the numbers that differ; of several under one name, the first is held against the first."""
    before, after = _by_measure(old.measurements), _by_measure(new.measurements)
    for name in dict.fromkeys((*before, *after)):
        for was, now in zip_longest(before.get(name, ()), after.get(name, ())):
            if was is None or now is None or (was.value, was.interval) != (now.value, now.interval):
                yield MeasurementChange(
                    name=name,
                    old=was.value if was else None,
                    new=now.value if now else None,
                    overlap=_overlap(_range(was, old.strength), _range(now, new.strength)),
                )


def _by_measure(measurements: Sequence[Measurement]) -> dict[str, list[Measurement]]:
    found: dict[str, list[Measurement]] = defaultdict(list)
    for measurement in measurements:
        found[measurement.name].append(measurement)
    return found


def _range(measurement: Measurement | None, strength: Strength) -> tuple[float, float] | None:
    """Return between what the true value lies: its interval, the value itself where the proof is exact, or None."""
    if measurement is None:
        return None
    interval: Interval | None = measurement.interval
    if interval is not None:
        return interval.low, interval.high
    return (measurement.value, measurement.value) if strength is Strength.EXACT else None


def _overlap(old: tuple[float, float] | None, new: tuple[float, float] | None) -> bool | None:
    if old is None or new is None:
        return None
    return max(old[0], new[0]) <= min(old[1], new[1])


def _differs(old: Report, new: Report) -> tuple[str, ...]:
    was, now = (one.provenance.model_dump(mode="json") for one in (old, new))
    return tuple(name for name in sorted(was) if name not in _APART and was[name] != now[name])
