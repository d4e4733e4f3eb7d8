"""The checks `dp.*`: what the declared mechanism gives, against what is claimed of it."""

from collections.abc import Iterator

from audit.dp.accounting import completed
from audit.dp.claim import claims_of
from audit.dp.comparison import SECTION, Subject, held_against, without_claim
from reports.canonical import strict_json
from reports.check import Context, check
from reports.model import DifferentialPrivacy, Finding, Severity, Status, Strength, System

_GRAVITY = (Status.PASS, Status.INCONCLUSIVE, Status.FAIL)


@check(
    "dp.accounting",
    "The claimed epsilon follows from the declared mechanism",
    needs=(SECTION,),
    controls=("EU-AIA:9(2)(d)", "EU-AIA:annex-IV(2)(b)", "EU-AIA:annex-IV(2)(g)", "GDPR:25(1)"),
    kinds=("dp",),
    strength=Strength.EXACT,
    severity=Severity.HIGH,
)
def accounting(system: System, ctx: Context) -> Iterator[Finding]:
    """Recompute epsilon from noise multiplier, sampling, steps and delta, and hold every claim against it.

    Fails when a claim lies more than 1 % below the lower bound, when no noise is declared under a claim, or when the
    declaration contradicts itself, its federation or the claimed unit of privacy. Passes when every claim reaches the
    upper bound and half of the lower bound would have been refuted. Inconclusive between the bounds, without a claim,
    and where the declaration lacks a part; skipped where neither noise nor an epsilon is declared.
    """
    federation = system.federation
    if federation is None or federation.differential_privacy is None:
        return  # the need says that it is there
    declared = federation.differential_privacy
    subject = Subject(declared, completed(declared, federation), system, _examples(declared, ctx))
    claims = claims_of(system)
    if not claims:
        yield without_claim(subject, ctx)
        return
    findings = [held_against(claim, subject, ctx) for claim in claims]
    yield max(findings, key=lambda finding: _GRAVITY.index(finding.status))  # one false claim is a false claim


def _examples(declared: DifferentialPrivacy, ctx: Context) -> int | None:
    """Return the size of the training set from the trainer's record, where there is one that says so."""
    if declared.record is None:
        return None
    record = strict_json((ctx.folder / declared.record.path).read_bytes())
    size = record.get("dataset_size") if isinstance(record, dict) else None
    return size if type(size) is int and size > 0 else None
