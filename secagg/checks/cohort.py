"""`secagg.cohort`: how many honest clients hide one another in a sum, and whether sums of several rounds undo that."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from reports.canonical import canonical_json
from reports.check import Context, check
from reports.model import (
    Basis,
    Confidentiality,
    Finding,
    Measurement,
    Remedy,
    SecureAggregation,
    Severity,
    Status,
    Strength,
    System,
    Threshold,
)
from secagg.checks.recorded import DECLARED_ALONE, KEY, doubtful, lacking, read_rounds, unsigned_limits
from secagg.checks.transcript_codes import TRANSCRIPTS
from secagg.checks.transcript_rounds import section_of
from secagg.declaration import SECTION
from secagg.failures import HONEST_BUT_CURIOUS, Cohort
from secagg.limits import MOST_CLIENTS
from secagg.recomputation import ABSENT
from secagg.rounds import across
from secagg.verification import VerifiedRound

FEWEST_HONEST = 10
"""Honest clients that a sum should cover: our default, no published constant."""
FEWEST_DIFFERING = 3
"""Clients in which two different cohorts should differ at least."""
_NEEDED = ("clients", "corrupt_fraction", "dropout_fraction")
_SIMILAR = (
    "That two rounds together single out clients is exact as algebra; that a client sends a similar update in both is "
    "an assumption (So et al. 2021, arXiv:2106.03328; Lam et al. 2021, arXiv:2106.06089)."
)
_SHOWN = 20


@dataclass(frozen=True)
class Sums:
    """What the sums of some rounds cover."""

    rounds: int
    """Rounds that came to a sum; 0 for a declaration."""
    honest: int
    """Honest clients in the smallest sum."""
    isolated: tuple[str, ...] = ()
    """Clients whose update is a combination of sums."""
    difference: int | None = None
    """Fewest clients in which two different cohorts differ."""

    @classmethod
    def of(cls, rounds: Sequence[VerifiedRound]) -> "Sums":
        """Return what recorded rounds cover; each has come to a sum."""
        together = across(rounds)
        return cls(len(rounds), min(map(_honest, rounds)), together.isolated_clients, together.smallest_difference)

    @property
    def severity(self) -> Severity | None:
        """The harm, None where nothing is wrong."""
        fewest = min(self.honest, FEWEST_HONEST if self.difference is None else self.difference)
        if self.isolated or fewest <= 1:
            return Severity.CRITICAL
        if fewest == 2:
            return Severity.HIGH
        return Severity.MEDIUM if self.honest < FEWEST_HONEST else None


@check(
    "secagg.cohort",
    "Each sum covers at least ten honest clients and rounds do not isolate one",
    needs=(f"{SECTION}|{TRANSCRIPTS}",),
    controls=(
        "EU-AIA:15(5)#confidentiality", "GDPR:25(1)", "GDPR:5(1)(c)", "GDPR:32(1)(d)", "EU-AIA:annex-IV(2)(g)",
    ),
    kinds=("secagg",),
    strength=Strength.EXACT,
    severity=Severity.MEDIUM,
)  # fmt: skip
def cohort(system: System, ctx: Context) -> Iterator[Finding]:
    """Ask whom a sum hides among: survivors less those counted as corrupt, as declared and as recorded.

    Fails when a sum covers fewer than ten honest clients (critical at one or none, high at two), when some combination
    of recorded sums is one client's update, and when two different cohorts differ in one or two clients. Passes when
    none of this is so *and* it is found once two such rounds are added; inconclusive where no recorded round came to a
    sum or the record is not authentic. One finding is on the declaration and one, with the key `recorded`, on the
    rounds; skipped, with the missing key, when there is neither.
    """
    section, records = section_of(system), read_rounds(system, ctx)
    missing = [key for key in _NEEDED if getattr(section, key) is None]
    if not missing:
        yield _on_declaration(section, ctx)
    if isinstance(records, Finding):
        yield records
    elif records is not None:
        yield _on_rounds(records.verification.transcripts, section, ctx)
    elif missing:
        yield lacking(missing, ctx)


def _on_declaration(section: SecureAggregation, ctx: Context) -> Finding:
    clients = section.clients or 0
    honest = _declared_honest(section, clients)
    limits = (DECLARED_ALONE, "Whether rounds together isolate a client only their transcripts show.")
    return _told(Sums(0, honest), Sums(0, _declared_honest(section, 2)), section, ctx, Basis.DECLARED, limits)


def _on_rounds(rounds: Sequence[VerifiedRound], section: SecureAggregation, ctx: Context) -> Finding:
    summed = [one for one in rounds if one.aggregate != ABSENT and one.survivors]
    if not summed:
        text = "Declare rounds that were recorded to their end, with the aggregate."
        return ctx.finding(
            Status.INCONCLUSIVE,
            f"None of {len(rounds)} recorded rounds came to a sum.",
            key=KEY,
            basis=Basis.RECORDED,
            remedy=Remedy(parameter=TRANSCRIPTS, direction="set", text=text),
            reason="incomplete-transcript",
        )
    sums = Sums.of(summed)
    if sums.severity is None and (doubt := doubtful(rounds, ctx)):
        return doubt
    limits = [
        *unsigned_limits(summed),
        _SIMILAR,
        "Differences are counted as if the corrupt clients kept to themselves.",
    ]
    if len(summed) < len(rounds):
        limits.append(f"{len(rounds) - len(summed)} recorded rounds came to no sum and were left out.")
    if len(summed) == 1:
        limits.append("One round is recorded; whether others isolate a client in it is not asked.")
    return _told(sums, Sums.of([*summed, *_planted(summed)]), section, ctx, Basis.RECORDED, limits)


def _planted(summed: Sequence[VerifiedRound]) -> Iterator[VerifiedRound]:
    """Yield the control: the largest recorded sum once more, without one client, and with that client alone."""
    largest = max(summed, key=lambda one: len(one.survivors))
    yield replace(largest, survivors=largest.survivors[1:], fingerprints={}, session="planted 1")
    yield replace(largest, survivors=largest.survivors[:1], fingerprints={}, session="planted 2")


def _honest(one: VerifiedRound) -> int:
    """Return the survivors less those counted as corrupt; the server can always run one."""
    return max(0, len(one.survivors) - (one.parameters.corrupt if one.parameters else 1))


def _declared_honest(section: SecureAggregation, clients: int) -> int:
    fractions = (section.corrupt_fraction or 0.0, section.dropout_fraction or 0.0)
    counted = Cohort.of_fractions(clients, *fractions, HONEST_BUT_CURIOUS, min_corrupt=1)
    return max(0, clients - counted.dropped - counted.corrupt)


def _told(
    sums: Sums, control: Sums, section: SecureAggregation, ctx: Context, basis: Basis, limitations: Sequence[str]
) -> Finding:
    status, reason = (Status.PASS, "") if sums.severity is None else (Status.FAIL, "")
    if status is Status.PASS and (control.severity is not Severity.CRITICAL or (sums.rounds and not control.isolated)):
        status, reason = Status.INCONCLUSIVE, "control-failed"
    where = "The smallest declared sum" if basis is Basis.DECLARED else f"The smallest of {sums.rounds} recorded sums"
    summary = f"{where} covers {sums.honest} honest clients ({FEWEST_HONEST} wanted)"
    if sums.rounds:
        apart = f"differ in {sums.difference} clients at least" if sums.difference is not None else "do not differ"
        summary += f"; together the sums isolate {len(sums.isolated)} clients, and cohorts {apart}"
    isolated = ", ".join(sums.isolated[:_SHOWN]) + (", .." if len(sums.isolated) > _SHOWN else "")
    return ctx.finding(
        status,
        f"{summary}.",
        key="" if basis is Basis.DECLARED else KEY,
        severity=sums.severity,
        basis=basis,
        detail=f"Isolated: {isolated}." if isolated else "",
        measurements=_measurements(sums, control),
        evidence=(_evidence(sums, control, basis, ctx),),
        remedy=None if status is not Status.FAIL else _remedy(sums, section),
        limitations=("Ten is this tool's default, not a published constant.", *limitations),
        reason=reason,
    )


def _measurements(sums: Sums, control: Sums) -> Iterator[Measurement]:
    yield Measurement(
        name="honest_survivors",
        value=sums.honest,
        n=sums.rounds or None,
        method="fewest clients in a sum, less those counted as corrupt",
        threshold=Threshold(op=">=", limit=FEWEST_HONEST),
        control=control.honest,
    )
    if not sums.rounds:
        return
    yield Measurement(
        name="isolated_clients",
        value=len(sums.isolated),
        n=sums.rounds,
        method="unit vectors in the row space of the participation matrix, each confirmed with exact fractions",
        threshold=Threshold(op="<=", limit=0),
        control=len(control.isolated),
    )
    if sums.difference is not None:
        yield Measurement(
            name="smallest_difference",
            value=sums.difference,
            n=sums.rounds,
            method="fewest clients in which two different cohorts differ",
            threshold=Threshold(op=">=", limit=FEWEST_DIFFERING),
            control=control.difference,
        )


def _remedy(sums: Sums, section: SecureAggregation) -> Remedy:
    if sums.honest >= FEWEST_HONEST:
        text = (
            "Let two cohorts be the same or differ in three clients or more: choose fixed groups, not single clients."
        )
        return Remedy(parameter="federation.clients_per_round", direction="set", text=text)
    key, most = f"{SECTION}.clients", min(MOST_CLIENTS, 100_000)
    enough = next((n for n in range(FEWEST_HONEST, most) if _declared_honest(section, n) >= FEWEST_HONEST), None)
    if enough is None or enough <= (section.clients or 0):
        text = f"Let more clients take part, so that {FEWEST_HONEST} honest ones are left in every sum."
        return Remedy(parameter=key, direction="raise", text=text)
    text = f"Let {enough} clients take part: {FEWEST_HONEST} honest ones are then left in every sum."
    return Remedy(parameter=key, direction="raise", value=str(enough), text=text)


def _evidence(sums: Sums, control: Sums, basis: Basis, ctx: Context) -> str:
    def fields(one: Sums) -> dict[str, object]:
        return {
            "rounds": one.rounds,
            "honest_survivors": one.honest,
            "isolated_clients": list(one.isolated),
            "smallest_difference": one.difference,
        }

    document = {
        "schema": "fedaudit.secagg.cohort/1",
        "basis": basis.value,
        "wanted": {"honest_survivors": FEWEST_HONEST, "smallest_difference": FEWEST_DIFFERING},
        "sums": fields(sums),
        "control": fields(control),
    }
    data = canonical_json(document)
    return ctx.evidence("whom the sums cover", data, "application/json", Confidentiality.CONFIDENTIAL)
