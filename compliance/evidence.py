"""What the findings of an audit say of each duty of the law: one row a control, never above its ceiling.

A pass counts as far as its proof carries: exact and statistical proof is direct, screening partial, a document or the
owner's declaration no more than a document. What a control lists and nobody measured is named as missing, and the row
says who does what to close it. No row decides whether a duty is fulfilled.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Literal, NamedTuple, TypeAlias

from compliance.catalogue import Catalogue, Control, applicability_of
from compliance.errors import CitationError
from compliance.next_step import Standing, next_step
from reports.model import Basis, ControlRow, Finding, Status, Strength, System

State: TypeAlias = Literal["supported", "contradicted", "insufficient", "not-assessed"]
Support: TypeAlias = Literal["direct", "partial", "document", "attestation"]

LEVELS: tuple[Support, ...] = ("attestation", "document", "partial", "direct")
"""How far evidence carries, weakest first."""
_LEVEL_OF: Mapping[Strength, Support] = {
    Strength.EXACT: "direct",
    Strength.STATISTICAL: "direct",
    Strength.SCREENING: "partial",
    Strength.DOCUMENT: "document",
}
_DECIDED = (Status.PASS, Status.FAIL)
_UNDECIDED = (Status.INCONCLUSIVE, Status.ERROR)


class Judged(NamedTuple):
    """What the findings that bear on one control come to."""

    state: State
    support: Support | None
    strength: Strength | None
    missing: tuple[str, ...]


@dataclass(frozen=True)
class Coverage:
    """How many duties are in which state, by whether they apply. There is no single score."""

    cells: Mapping[tuple[str, str], int]
    """(state, applicability) to the number of rows; pairs without a row are left out."""

    def count(self, state: str | None = None, applicability: str | None = None) -> int:
        """Return the number of rows of one state, of one applicability, of both, or of all."""
        return sum(
            number
            for (found_state, found_applicability), number in self.cells.items()
            if state in (None, found_state) and applicability in (None, found_applicability)
        )


def control_rows(
    findings: Iterable[Finding], kinds: Mapping[str, tuple[str, ...]], catalogue: Catalogue, on: date, *, system: System
) -> tuple[ControlRow, ...]:
    """Return one row for every control of the catalogue's law version, in its order and for every role.

    Args:
        findings: Of the whole run.
        kinds: By id of a check, the kinds of evidence that it emits; a check that is not there emits none.
        catalogue: The law of one version.
        on: The day for which the rows say whether a duty applies.
        system: Whose roles, conditions and dates decide that.
    """
    bearing = _by_control(findings, catalogue)
    return tuple(
        _row(control, bearing.get(control.id, ()), kinds, catalogue, on, system) for control in catalogue.controls
    )


def coverage(rows: Iterable[ControlRow]) -> Coverage:
    """Return how many rows are in which state, by applicability."""
    counted = Counter((row.state, row.applicability) for row in rows)
    return Coverage(dict(sorted(counted.items())))


def level(finding: Finding) -> Support:
    """Return how far one finding carries; what rests on a declaration carries no further than a document."""
    return "document" if finding.basis is Basis.DECLARED else _LEVEL_OF[finding.strength]


def about_another_model(finding: Finding, system: System) -> bool:
    """Tell whether a finding speaks of an erasure whose model is not, by its digest, the one under review.

    Such evidence is stale: the model that forgot was replaced since, or never became the system's.
    """
    deployed = system.model.checkpoint if system.model else None
    if deployed is None or not finding.check.startswith("unlearning."):
        return False
    request = finding.key.removeprefix("unlearning=")
    after = next((one.after for one in system.unlearning if one.id == request), None)
    return after is not None and after.sha256 != deployed.sha256


def judge_control(
    control: Control, findings: Sequence[Finding], kinds: Mapping[str, tuple[str, ...]], system: System
) -> Judged:
    """Return state, support and missing kinds of one control from the findings that bear on it.

    Any fail contradicts; else any undecided finding of screening strength or above leaves it insufficient; else any
    pass supports it, at the ceiling only if every kind but documents has one and else at most partially. For a duty to
    test (`activity`) a decided finding of either kind counts as a pass and none contradicts. A duty that a person has
    to vouch for is never more than insufficient. A pass about another model leaves it insufficient, a fail counts.
    """
    activity = control.polarity == "activity"
    for_it = _DECIDED if activity else (Status.PASS,)
    stale = [one for one in findings if one.status in for_it and about_another_model(one, system)]
    passes = [one for one in findings if one.status in for_it and one not in stale]
    fails = [] if activity else [one for one in findings if one.status is Status.FAIL]
    undecided = [one for one in findings if one.status in _UNDECIDED]
    blocking = [one for one in (*undecided, *(() if activity else stale)) if one.strength.at_least(Strength.SCREENING)]
    missing = _missing(control, passes, kinds)
    if control.ceiling == "attestation":
        return Judged("insufficient", "attestation", None, missing) if findings else _unasked(missing)
    if fails:
        return Judged("contradicted", _attained(control, fails), _best(fails), missing)
    if passes and not blocking:
        whole = all(kind == "document" for kind in missing)
        reached = _attained(control, passes)
        return Judged("supported", reached if whole else _lower(reached, "partial"), _best(passes), missing)
    return Judged("insufficient", None, None, missing) if findings else _unasked(missing)


def _unasked(missing: tuple[str, ...]) -> Judged:
    return Judged("not-assessed", None, None, missing)


def _by_control(findings: Iterable[Finding], catalogue: Catalogue) -> dict[str, list[Finding]]:
    """Return the findings that bear on each control, each once; a check that was not asked bears on none."""
    # a check that names a control by its id means that duty alone, not the others of its paragraph
    resolved: dict[str, tuple[str, ...]] = {control.id: (control.id,) for control in catalogue.controls}
    bearing: dict[str, list[Finding]] = {}
    for finding in findings:
        if finding.status is Status.SKIPPED:
            continue
        for text in finding.controls:
            if text not in resolved:
                resolved[text] = _resolved(text, catalogue)
        for control in dict.fromkeys(one for text in finding.controls for one in resolved[text]):
            bearing.setdefault(control, []).append(finding)
    return bearing


def _resolved(text: str, catalogue: Catalogue) -> tuple[str, ...]:
    try:
        return tuple(control.id for control in catalogue.resolve(text))
    except CitationError:
        return ()  # a plug-in may name a law that is not in here; `compliance.citations` tells of what does not exist


def _row(
    control: Control,
    findings: Sequence[Finding],
    kinds: Mapping[str, tuple[str, ...]],
    catalogue: Catalogue,
    on: date,
    system: System,
) -> ControlRow:
    applies = applicability_of(control, on, catalogue, system)
    judged = judge_control(control, findings, kinds, system)
    stale = control.polarity == "result" and _stale(findings, system)
    said = {kind for one in findings if one.status is Status.PASS for kind in kinds.get(one.check, ())}
    declared = tuple(kind for kind in judged.missing if kind in said)
    return ControlRow(
        control=control.id,
        title=control.text,
        role=control.role,
        law_version=catalogue.version if catalogue.version in control.law_versions else control.law_versions[-1],
        applies_from=applies.from_,
        applicability=applies.state,
        applicability_reason=applies.reason,
        ceiling=control.ceiling,
        state=judged.state,
        support=judged.support,
        strength=judged.strength,
        missing=judged.missing,
        next_step=next_step(control, applies.state, Standing(judged.state, judged.missing, declared, findings, stale)),
        findings=tuple(one.fingerprint for one in findings),
    )


def _stale(findings: Iterable[Finding], system: System) -> bool:
    return any(one.status is Status.PASS and about_another_model(one, system) for one in findings)


def _missing(control: Control, passes: Iterable[Finding], kinds: Mapping[str, tuple[str, ...]]) -> tuple[str, ...]:
    """Return the kinds that the control lists and no pass brings; the owner's word brings none but `document`."""
    brought: set[str] = set()
    for one in passes:
        emitted = kinds.get(one.check, ())
        brought.update(kind for kind in emitted if kind == "document" or level(one) != "document")
    return tuple(kind for kind in control.evidence_kinds if kind not in brought)


def _attained(control: Control, deciding: Iterable[Finding]) -> Support:
    best = max((level(one) for one in deciding), key=LEVELS.index)
    return _lower(best, control.ceiling)


def _lower(a: Support, b: Support) -> Support:
    return min(a, b, key=LEVELS.index)


def _best(deciding: Iterable[Finding]) -> Strength:
    return max((one.strength for one in deciding), key=lambda strength: strength.rank)
