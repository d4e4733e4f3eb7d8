"""`secagg.parameters`: what degree and threshold are worth, as declared and as recorded."""

from collections import Counter
from collections.abc import Iterator, Sequence

from reports.check import Context, check
from reports.model import Basis, Finding, Remedy, SecureAggregation, Severity, Status, Strength, System
from secagg.checks.assessment import Judged, assessed
from secagg.checks.recorded import DECLARED_ALONE, KEY, doubtful, lacking, read_rounds, unsigned_limits
from secagg.checks.transcript_codes import TRANSCRIPTS
from secagg.checks.transcript_rounds import section_of
from secagg.declaration import SECTION, DeclaredRound, declared_round, missing_keys
from secagg.limits import ParameterError
from secagg.remedy import sufficient_parameters
from secagg.verification import VerifiedRound

_RECORDED = "The shares of corrupt and of dropped clients are those that the rounds counted on, not any that were seen."
_USUAL_FRACTION = 0.05
"""Of corrupt and of dropped clients, where neither a record nor the declaration states one."""


@check(
    "secagg.parameters",
    "Degree and threshold reach 40 privacy bits and 20 correctness bits",
    needs=(f"{SECTION}|{TRANSCRIPTS}",),
    controls=("EU-AIA:15(5)#confidentiality", "GDPR:32(1)(b)", "GDPR:32(1)(d)", "EU-AIA:annex-IV(2)(g)"),
    kinds=("secagg",),
    strength=Strength.EXACT,
    severity=Severity.HIGH,
)
def parameters(system: System, ctx: Context) -> Iterator[Finding]:
    """Assess degree and threshold against the shares of corrupt and of dropped clients, declared and recorded.

    Fails when privacy has less than 40 bits or correctness less than 20; a failure that cannot happen has more than any
    number of bits. Passes when neither falls short *and* the weakest choice, degree 2 and threshold 2, does fall short;
    if it does not, so few clients count as corrupt or dropped that nothing could fail, and the answer is inconclusive
    (`control-failed`). Inconclusive when no round can have a number. One finding is on the declaration and one, with
    the key `recorded`, on the weakest of the recorded rounds; skipped, with the missing key, when there is neither.
    """
    declared, records = declared_round(system), read_rounds(system, ctx)
    if declared is not None:
        yield _on_declaration(declared, system, ctx)
    if isinstance(records, Finding):
        yield records
    elif records is not None:
        yield _on_rounds(records.verification.transcripts, system, ctx)
    elif declared is None:
        yield lacking([key.removeprefix(f"{SECTION}.") for key in missing_keys(system)], ctx)


def _on_declaration(declared: DeclaredRound, system: System, ctx: Context) -> Finding:
    try:
        judged = Judged.of(declared)
    except ParameterError as error:
        key = f"{SECTION}.{error.name}"
        return ctx.finding(
            Status.INCONCLUSIVE,
            f"No round can have the declared {error.name} {error.value}; allowed is {error.allowed}.",
            basis=Basis.DECLARED,
            remedy=sufficient_parameters(declared) or Remedy(parameter=key, direction="set", text=f"Correct {key}."),
            reason=f"invalid:{key}",
        )
    return assessed(judged, system, ctx, basis=Basis.DECLARED, limitations=(DECLARED_ALONE,))


def _on_rounds(rounds: Sequence[VerifiedRound], system: System, ctx: Context) -> Finding:
    """Return the finding on the weakest recorded round; rounds with the same parameters are assessed once."""
    section = section_of(system)
    found = Counter(_parameters_of(one, section) for one in rounds)
    unread = found.pop(None, 0)
    judged = [Judged.of(one) for one in found if one is not None]
    weakest = min(judged, key=lambda one: one.rank, default=None)
    if weakest is None or (unread and weakest.status is Status.PASS):
        text = "Record rounds whose header states parameters that a round can have."
        return ctx.finding(
            Status.INCONCLUSIVE,
            f"{unread} of {len(rounds)} recorded rounds state no parameters that a round can have.",
            key=KEY,
            basis=Basis.RECORDED,
            remedy=Remedy(parameter=TRANSCRIPTS, direction="set", text=text),
            reason=f"invalid:{TRANSCRIPTS}",
        )
    if weakest.status is Status.PASS and (doubt := doubtful(rounds, ctx)):
        return doubt
    several = f"In the weakest of {len(rounds)} recorded rounds, " if len(rounds) > 1 else "In the recorded round, "
    limitations = [_RECORDED, *unsigned_limits(rounds)]
    if any(one.header is None for one in rounds):
        limitations.append(f"Of a capture that states no fractions, the declared ones or {_USUAL_FRACTION} were taken.")
    if unread:
        limitations.append(f"{unread} recorded rounds state no parameters that a round can have, and were left out.")
    return assessed(weakest, system, ctx, basis=Basis.RECORDED, key=KEY, which=several, limitations=tuple(limitations))


def _parameters_of(one: VerifiedRound, section: SecureAggregation) -> DeclaredRound | None:
    """Return what a recorded round was run with; None where no round can have it."""
    if one.parameters is None:
        return None
    corrupt, dropout = section.corrupt_fraction, section.dropout_fraction
    if one.header is not None:
        corrupt, dropout = one.header.corrupt_fraction, one.header.dropout_fraction
    return DeclaredRound(
        one.clients,
        one.degree,
        one.threshold,
        _USUAL_FRACTION if corrupt is None else corrupt,
        _USUAL_FRACTION if dropout is None else dropout,
        one.server_trust,
    )
