"""`secagg.graph`: whether shares went where the beacon sends them, and whether survivors stay connected."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from reports.check import Context, check
from reports.errors import FileError
from reports.model import Effort, Finding, Measurement, Remedy, Severity, Strength, System
from reports.statistics import proportion
from secagg.checks.active import CONFIDENTIALITY, TESTED
from secagg.checks.transcript_answer import Judged, judge, told, unreadable, verification_evidence
from secagg.checks.transcript_codes import DISCONNECTED, TRANSCRIPTS
from secagg.checks.transcript_question import Doubt, Found, Question
from secagg.checks.transcript_rounds import recorded
from secagg.connectivity import Places, cut_on_purpose, cuts, hangs_together
from secagg.declaration import SECTION
from secagg.failures import MALICIOUS
from secagg.flower.records import PROTOCOL as CAPTURE
from secagg.graph import ring_order
from secagg.records import Header, Survivors
from secagg.verification import VerifiedRound
from secagg.violations import Violation
from secagg.wire import MalformedRecord

_TRIALS = {Effort.SMOKE: 100, Effort.STANDARD: 1000, Effort.FULL: 10_000}
"""Random removals, over all sparse transcripts together."""
_BEACON = Remedy(
    parameter=f"{SECTION}.beacon_source",
    direction="set",
    value="public:TEXT",
    text="Take the beacon from public randomness that is fixed after the list of clients, and name it: public:TEXT.",
)


def _chosen_by_server(one: VerifiedRound) -> Iterator[Found]:
    if one.server_trust != MALICIOUS or one.degree == one.clients - 1:
        return  # a complete graph leaves nothing to choose
    if one.protocol == CAPTURE:
        why = "the server chooses who is whose neighbour"
    elif one.header is not None and one.header.beacon_source == "server":
        why = "the beacon is the server's own, so it could try beacons until its clients surround somebody"
    else:
        return
    yield Found(one.path, Violation("graph-mismatch", Header.TYPE, None, why), _BEACON)


def _without_beacon(one: VerifiedRound) -> Iterator[Doubt]:
    if one.protocol == CAPTURE:
        yield Doubt(one.path, "no-beacon", "has no beacon: the server deals out neighbours as it likes")


_QUESTION = Question(
    sound="In {rounds} shares went to the neighbours that the beacon gives, and survivors stay connected.",
    doubts=_without_beacon,
    lacks=_chosen_by_server,
)


@dataclass(frozen=True)
class Removals:
    """What random removals did to the survivors of one sparse round."""

    path: str
    removed: int
    """Survivors taken away each time."""
    trials: int
    cut: int
    """Removals that left the others disconnected."""
    cut_at_two: int
    """The same removals' like on the sparsest graph, degree 2."""
    noticed: bool
    """Whether a removal made to cut the ring was seen to do so."""


@check(
    "secagg.graph",
    "The recorded graph is the one the beacon gives, and survivors stay connected",
    needs=(TRANSCRIPTS,),
    controls=(CONFIDENTIALITY, *TESTED),
    kinds=("secagg",),
    strength=Strength.EXACT,
    severity=Severity.HIGH,
)
def graph(system: System, ctx: Context) -> Iterator[Finding]:
    """Compute the graph again from the beacon; then take as many random survivors away as count as corrupt.

    Fails on `graph-mismatch`, on a sparse graph that a malicious server could choose, and when a removal leaves the
    other survivors disconnected: the server then learns the sum of each part. Inconclusive on captures, which have no
    beacon, on transcripts that are not authentic or end early, and when a planted wrong recipient, or a removal made to
    cut the ring, goes unnoticed (`control-failed`). A complete graph cannot be cut, so nothing is removed there.
    """
    try:
        records = recorded(system, ctx)
    except (FileError, MalformedRecord) as error:
        yield unreadable(error, ctx)
        return
    judged = judge(_QUESTION, records, system, ctx)
    removals = tuple(_removals(judged, ctx))
    yield told(
        _QUESTION,
        _with_removals(judged, removals),
        ctx,
        evidence=verification_evidence(records, ctx),
        strength=Strength.STATISTICAL if removals and not judged.found else None,
        measurements=_measurements(removals),
        limitations=_limitations(judged.rounds),
    )


def _removals(judged: Judged, ctx: Context) -> Iterator[Removals]:
    doubted = {one.path for one in judged.found} | {one.path for one in judged.doubts}
    sparse = [
        (one, one.header, one.parameters.corrupt)
        for one in judged.rounds
        if one.path not in doubted and one.header is not None and one.parameters and not one.parameters.complete
    ]
    for number, (one, header, corrupt) in enumerate(sparse):
        trials = max(1, _TRIALS[ctx.effort] // len(sparse))
        survivors = set(one.survivors)
        present = np.array([client in survivors for client in ring_order(header.ids, header.beacon)])
        rng = ctx.rng(f"removals/{number}")
        yield Removals(
            path=one.path,
            removed=corrupt,
            trials=trials,
            cut=cuts(present, header.degree, corrupt, trials, rng),
            cut_at_two=cuts(present, 2, corrupt, trials, rng),
            noticed=_notices(present, header.degree),
        )


def _notices(present: Places, degree: int) -> bool:
    """Return the positive control: whether a ring that was cut on purpose is seen to be."""
    cut = cut_on_purpose(present, degree)
    return cut is not None and not hangs_together(cut, degree)


def _with_removals(judged: Judged, removals: Sequence[Removals]) -> Judged:
    found = [
        Found(
            one.path,
            Violation(
                DISCONNECTED,
                Survivors.TYPE,
                None,
                f"{one.cut} of {one.trials} removals of {one.removed} survivors leave the others disconnected",
            ),
            Remedy(
                parameter=f"{SECTION}.degree",
                direction="raise",
                text="Raise the degree to what 'fedaudit secagg params' gives, so that survivors stay connected.",
            ),
        )
        for one in removals
        if one.cut
    ]
    control = judged.control
    if control.planted:
        missed = tuple(f"a ring cut on purpose in {one.path}" for one in removals if not one.noticed)
        control = replace(
            control,
            planted=control.planted + len(removals),
            noticed=control.noticed + len(removals) - len(missed),
            missed=(*control.missed, *missed),
        )
    return replace(judged, found=(*judged.found, *found), control=control)


def _measurements(removals: Sequence[Removals]) -> Iterator[Measurement]:
    if not removals:
        return
    trials = sum(one.trials for one in removals)
    at_two = sum(one.cut_at_two for one in removals) / trials
    outcomes = (place < one.cut for one in removals for place in range(one.trials))
    yield proportion("disconnected_removals", outcomes, at_most=0.0, control=at_two)


def _limitations(rounds: Sequence[VerifiedRound]) -> Iterator[str]:
    sources = {one.header.beacon_source for one in rounds if one.header is not None and one.degree < one.clients - 1}
    if "simulation" in sources:
        yield "The beacon is a simulation's: of a real round's choice of neighbours this says nothing."
    if "server" in sources:
        yield "The beacon is the server's own; that it did not choose among beacons is taken on trust."
    if public := sorted(source for source in sources if source.startswith("public:")):
        yield f"That the beacon is what {public[0].removeprefix('public:')!r} published was not looked up."
