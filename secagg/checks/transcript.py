"""`secagg.transcript`: whether the aggregate follows from what was recorded, under the parameters as declared."""

from collections.abc import Iterator
from dataclasses import replace

from reports.check import Context, check
from reports.errors import FileError
from reports.model import Finding, Severity, Strength, System
from secagg.checks.active import CONFIDENTIALITY, INTEGRITY, TESTED
from secagg.checks.transcript_answer import judge, told, unreadable, verification_evidence
from secagg.checks.transcript_codes import TRANSCRIPTS
from secagg.checks.transcript_differences import differences
from secagg.checks.transcript_question import Doubt, Question
from secagg.checks.transcript_rounds import recorded
from secagg.flower.records import PROTOCOL as CAPTURE
from secagg.recomputation import EQUAL
from secagg.verification import VerifiedRound
from secagg.wire import MalformedRecord


def _unproven(one: VerifiedRound) -> Iterator[Doubt]:
    if one.protocol == CAPTURE:
        yield Doubt(one.path, "no-aggregate", "holds no sum: Flower's server computes it where no record is made")
    elif one.withheld:
        yield Doubt(one.path, "withheld-vectors", f"lacks {len(one.withheld)} vectors, so no sum can be computed again")
    elif not one.complete or one.aggregate != EQUAL:
        yield Doubt(one.path, "incomplete-transcript", f"is not complete; its last record is {one.last}")


_QUESTION = Question(
    sound="In {rounds} the announced sum is the one that follows from the recorded messages.",
    planted=(
        "chain-broken", "malformed-record", "blob-digest", "phase-order", "set-inclusion", "share-digest",
        "commitment-mismatch", "key-mismatch", "insufficient-shares", "bad-length", "aggregate-mismatch",
    ),
    doubts=_unproven,
    limitations=("That clients sent true updates no transcript shows: a masked vector can hold anything.",),
)  # fmt: skip


@check(
    "secagg.transcript",
    "The aggregate follows from the recorded messages",
    needs=(TRANSCRIPTS,),
    controls=(CONFIDENTIALITY, INTEGRITY, *TESTED),
    kinds=("secagg",),
    strength=Strength.EXACT,
    severity=Severity.HIGH,
)
def transcript(system: System, ctx: Context) -> Iterator[Finding]:
    """Verify every record and compute the sum again; compare what was recorded with what is declared.

    Fails when a record is not authentic or breaks the protocol in a way that no other check answers for, and when a
    declared parameter is not the recorded one. Inconclusive where a transcript ends early, lacks vectors or is a
    capture without a sum, and when a planted fault goes unnoticed (`control-failed`). Passes else.
    """
    try:
        records = recorded(system, ctx)
    except (FileError, MalformedRecord) as error:
        yield unreadable(error, ctx)
        return
    judged = judge(_QUESTION, records, system, ctx)
    found = (*judged.found, *differences(system, judged.rounds))
    yield told(_QUESTION, replace(judged, found=found), ctx, evidence=verification_evidence(records, ctx))
