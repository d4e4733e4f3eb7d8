"""The claims of the documents and of system.toml beside what was measured.

documents, [claims] ─▶ claims ─┐
findings ─▶ measured ──────────┴─▶ compared, and then held against one another
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Literal

from compliance.claim_about import Own
from compliance.claim_kinds import Answer, ClaimKind, claim_kinds
from compliance.claim_state import GRAVEST, ClaimState, Comparison, Measured, agrees, compare
from compliance.claims import Claim, extract_claims
from compliance.evidence import about_another_model
from reports.model import Finding, Measurement, Status, System

if TYPE_CHECKING:
    from compliance.documents import Document

SYSTEM_FILE = "system.toml"
"""The source of what `[claims]` says."""
_NO_RECORDS = ("attack.membership", "attack.poisoning")
"""Attacks that bring no record back."""
_SETTLED: tuple[ClaimState, ...] = ("contradicted", "consistent", "ambiguous", "not_comparable", "inconsistent")
_STATUS: Mapping[Status, Literal["pass", "fail", "undecided"]] = {Status.PASS: "pass", Status.FAIL: "fail"}


@dataclass(frozen=True)
class ComparedClaim:
    """One claim beside the measurement that answers it."""

    claim: Claim
    """What is said."""
    document: str
    """Path of the document, or `system.toml`."""
    state: ClaimState
    """What the measurement says of it."""
    measurement: str | None = None
    """Name of the deciding measurement; None where nothing was measured or the status of a finding decides."""
    measured: float | None = None
    """Its value."""
    finding: str | None = None
    """Id of the check whose finding decides."""
    key: str = ""
    """Key of that finding."""


def compared_claims(
    documents: Iterable["Document"], system: System, findings: Iterable[Finding]
) -> tuple[ComparedClaim, ...]:
    """Return every claim of the documents, then those of `[claims]`, each with its state.

    A document and another source that give different values for one thing are both inconsistent, unless a measurement
    settles it.
    """
    asked = [finding for finding in findings if finding.status is not Status.SKIPPED]
    own = own_words(system)
    told = [(document.path, claim) for document in documents for claim in extract_claims(document.text, own)]
    told += [(SYSTEM_FILE, claim) for claim in declared_claims(system)]
    larger = _larger_deltas(told, system)
    compared = [
        _compared(claim, source, system, asked, not_at_this_delta=(source, claim.start) in larger)
        for source, claim in told
    ]
    return tuple(_beside_others(one, compared, system) for one in compared)


def compared_alone(
    told: Iterable[tuple[str, Claim]], system: System, findings: Iterable[Finding]
) -> tuple[ComparedClaim, ...]:
    """Return claims that somebody else found, each beside the findings alone: none makes another one inconsistent."""
    asked = [finding for finding in findings if finding.status is not Status.SKIPPED]
    return tuple(_compared(claim, source, system, asked, not_at_this_delta=False) for source, claim in told)


def own_words(system: System) -> Own:
    """Return how a system may be called in its documents: by its name, its provider or its purpose."""
    said = (system.name, system.provider or "", system.intended_purpose or "")
    return Own(frozenset(word.casefold() for one in said for word in re.findall(r"[\w-]+", one)), system.version or "")


def declared_claims(system: System) -> Iterator[Claim]:
    """Yield what `[claims]` of system.toml says, quoted as its lines would read."""
    given = system.claims
    if given is None:
        return
    for kind in ("epsilon", "delta", "dropout_tolerance", "membership_advantage", "accuracy"):
        value = getattr(given, kind)
        if value is not None:
            unit = (given.privacy_unit or "") if kind == "epsilon" else ""
            yield Claim(kind, float(value), unit, False, f"{kind} = {value:g}", 0, 0)
    for request in given.unlearned:
        yield Claim("unlearned", None, request, False, f'unlearned = ["{request}"]', 0, 0)


def declaration(kind: ClaimKind, system: System, *, but_claims: bool = False) -> tuple[float, ...]:
    """Return the values that system.toml gives for the same thing as a kind of claim; `[claims]` left out if asked."""
    paths = [path for path in kind.declared if not (but_claims and path.startswith("claims."))]
    return tuple(float(value) for path in paths if (value := _at(system, path)) is not None)


def gravest(states: Iterable[ClaimState]) -> ClaimState:
    """Return the gravest of several states.

    Raises:
        ValueError: there is none.
    """
    return min(states, key=GRAVEST.index)


def _at(system: System, path: str) -> float | None:
    here: object = system
    for word in path.split("."):
        here = getattr(here, word, None)
    return float(here) if isinstance(here, int | float) else None


def _compared(
    claim: Claim, source: str, system: System, asked: Sequence[Finding], *, not_at_this_delta: bool
) -> ComparedClaim:
    kind = claim_kinds()[claim.kind]
    if claim.kind == "unlearned" and not claim.hedged:
        found = _erased(claim, kind, system, asked)
    else:
        values = declaration(kind, system, but_claims=source == SYSTEM_FILE)  # none is held against itself
        found = compare(claim, list(_measured(kind, system, asked)), values, says=kind.says, slack=kind.slack)
        if found.state == "contradicted" and not_at_this_delta:
            found = Comparison("not_comparable", None)
    if (by := found.by) is None:
        return ComparedClaim(claim, source, found.state)
    return ComparedClaim(claim, source, found.state, by.name, by.value, by.check, by.key)


def _measured(kind: ClaimKind, system: System, asked: Iterable[Finding]) -> Iterator[Measured]:
    """Yield what the findings can say about a kind of claim, undecided findings among them."""
    unit = _declared_unit(system)
    for finding in asked:
        answers = [one for one in kind.compared if fnmatchcase(finding.check, one.check)]
        if not answers or (kind.says == "nothing" and finding.check in _NO_RECORDS):
            continue
        status = _STATUS.get(finding.status, "undecided")
        figures = {one.name: one for one in finding.measurements}
        named = [(one, figures[one.measurement]) for one in answers if one.measurement in figures]
        if not named and (status == "undecided" or any(one.measurement is None for one in answers)):
            yield Measured(finding.check, finding.key, status)
        for answer, figure in named:
            yield _figure(answer, figure, finding, status, unit)


def _declared_unit(system: System) -> str:
    dp = system.federation.differential_privacy if system.federation else None
    return (dp.unit or "") if dp else ""


def _figure(
    answer: Answer, figure: Measurement, finding: Finding, status: Literal["pass", "fail", "undecided"], unit: str
) -> Measured:
    interval = figure.interval
    low, high = (figure.value, figure.value) if interval is None else (interval.low, interval.high)
    return Measured(finding.check, finding.key, status, figure.name, figure.value, low, high, unit, answer.bound)


def _erased(claim: Claim, kind: ClaimKind, system: System, asked: Sequence[Finding]) -> Comparison:
    """Return what the findings on the named request say; of all requests, where nobody is named."""
    ids = [one.id for one in system.unlearning if not claim.unit or _same_name(one.id, claim.unit)]
    found = [_request(claim, kind, system, asked, id_) for id_ in ids]
    if not found:
        return Comparison("untested", None)
    states = {one.state for one in found}
    if len(states) > 1 and "contradicted" in states:
        return Comparison("ambiguous", None)  # the sentence may mean the one that was honoured
    return min(found, key=lambda one: GRAVEST.index(one.state))


def _request(claim: Claim, kind: ClaimKind, system: System, asked: Sequence[Finding], id_: str) -> Comparison:
    of_request = [finding for finding in asked if finding.key == f"unlearning={id_}"]
    found = compare(claim, list(_measured(kind, system, of_request)), says=kind.says)
    stale = any(about_another_model(finding, system) for finding in of_request)
    return Comparison("not_contradicted", found.by) if stale and found.state == "consistent" else found


def _same_name(id_: str, said: str) -> bool:
    """Tell whether `client 07` may be the request `client-7`, and `record 4711` the request `4711`."""
    names = {_bare(said), _bare(said.rpartition(" ")[2])}
    return _bare(id_) in names


def _bare(name: str) -> str:
    letters = "".join(letter for letter in name.casefold() if letter.isalnum())
    word = letters.rstrip("0123456789")
    return word + letters[len(word) :].lstrip("0")


def _larger_deltas(told: Iterable[tuple[str, Claim]], system: System) -> set[tuple[str, int]]:
    """Return (source, start) of the sentences whose delta exceeds the declared one: their epsilon may be smaller."""
    dp = system.federation.differential_privacy if system.federation else None
    declared = dp.delta if dp and dp.delta is not None else (system.claims.delta if system.claims else None)
    if declared is None:
        return set()
    return {
        (source, claim.start)
        for source, claim in told
        if source != SYSTEM_FILE and claim.kind == "delta" and claim.value is not None
        if claim.value > declared and not agrees(claim.value, declared)
    }


def _beside_others(one: ComparedClaim, all_: Sequence[ComparedClaim], system: System) -> ComparedClaim:
    """Return the claim as inconsistent where another source says something else and no measurement settles it."""
    kind, claim = claim_kinds()[one.claim.kind], one.claim
    if claim.kind == "secure_aggregation" and one.state not in ("contradicted", "ambiguous"):
        seen = system.federation.visibility if system.federation else None
        return replace(one, state="inconsistent") if seen == "update" else one
    if one.state in _SETTLED or claim.value is None or kind.says == "nothing":
        return one
    others = [other for other in all_ if other.document != one.document and _comparable(claim, other.claim)]
    said = [other.claim.value for other in others if other.claim.value is not None]
    other_unit = bool(claim.unit) and claim.unit != (_declared_unit(system) or claim.unit)
    if not other_unit:
        said += declaration(kind, system, but_claims=one.document == SYSTEM_FILE)
    if said and not any(agrees(claim.value, value) for value in said):
        return replace(one, state="inconsistent")
    return one


def _comparable(a: Claim, b: Claim) -> bool:
    same_unit = not (a.unit and b.unit) or a.unit == b.unit
    return a.kind == b.kind and not b.hedged and same_unit
