"""What checks share that ask declaration and record alike: two findings, the second under the key `recorded`."""

from collections.abc import Sequence

from reports.check import Context
from reports.errors import FileError
from reports.model import Basis, Finding, Remedy, Status, System, fingerprint
from secagg.checks.transcript_answer import UNSIGNED, unreadable
from secagg.checks.transcript_codes import TRANSCRIPTS
from secagg.checks.transcript_rounds import Recorded, recorded
from secagg.declaration import SECTION
from secagg.verification import BROKEN, SIGNED, VerifiedRound
from secagg.wire import MalformedRecord

KEY = "recorded"
"""Of the finding on the recorded rounds; that on the declaration has none."""
DECLARED_ALONE = "This follows from declared numbers; whether a round kept to them only its transcript can show."


def read_rounds(system: System, ctx: Context) -> Recorded | Finding | None:
    """Return the declared transcripts, the finding where one cannot be read, or None where none is declared."""
    try:
        records = recorded(system, ctx)
    except (FileError, MalformedRecord) as error:
        return as_recorded(unreadable(error, ctx), system)
    return records if records.sources else None


def as_recorded(finding: Finding, system: System) -> Finding:
    """Return a finding under the key `recorded`."""
    return finding.model_copy(update={"key": KEY, "fingerprint": fingerprint(system.name, finding.check, KEY)})


def lacking(keys: Sequence[str], ctx: Context) -> Finding:
    """Return the finding where the declaration lacks `keys`, and no record is declared that could stand in."""
    return ctx.finding(
        Status.SKIPPED,
        f"The declaration lacks {', '.join(keys)}.",
        basis=Basis.DECLARED,
        reason=f"missing:{SECTION}.{keys[0]}",
    )


def doubtful(rounds: Sequence[VerifiedRound], ctx: Context) -> Finding | None:
    """Return the finding that stands in for a pass where a record is not authentic; None where all are."""
    broken = [one for one in rounds if one.authenticity == BROKEN]
    if not broken:
        return None
    text = "Declare the folder as it was written; secagg.transcript says where the record breaks."
    return ctx.finding(
        Status.INCONCLUSIVE,
        f"{len(broken)} of {len(rounds)} transcripts are not what they say they are, so nothing can be told from them.",
        key=KEY,
        basis=Basis.RECORDED,
        detail="\n".join(one.path for one in broken[:20]),
        remedy=Remedy(parameter=TRANSCRIPTS, direction="set", text=text),
        reason="not-authentic",
    )


def unsigned_limits(rounds: Sequence[VerifiedRound]) -> tuple[str, ...]:
    """Return what an unsigned record leaves open, nothing where all are signed."""
    return (UNSIGNED,) if any(one.authenticity != SIGNED for one in rounds) else ()
