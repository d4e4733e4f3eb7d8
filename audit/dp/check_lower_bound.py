"""The check `dp.lower-bound`: whether canaries refute the epsilon that is claimed."""

from collections.abc import Iterator

from audit.dp.canary_scores import CanaryScores, read_canary_scores
from audit.dp.claim import Claim, claims_of
from audit.dp.comparison import SECTION
from audit.dp.lower_bound_answer import held_against
from audit.dp.rehearsed import Unrehearsed, rehearsed_scores
from reports.check import Context, check
from reports.model import Basis, Effort, Finding, Remedy, Severity, Status, Strength, System

_GRAVITY = (Status.PASS, Status.INCONCLUSIVE, Status.FAIL)


@check(
    "dp.lower-bound",
    "No canary refutes the claimed epsilon",
    needs=(f"data.canary-scores|{SECTION}", "data.canary-scores|model.layers|model.definition"),
    controls=("EU-AIA:9(6)", "EU-AIA:55(1)(a)", "EU-AIA:annex-IV(2)(g)"),
    kinds=("dp",),
    strength=Strength.STATISTICAL,
    severity=Severity.HIGH,
)
def lower(system: System, ctx: Context) -> Iterator[Finding]:
    """Bound epsilon from below by the scores of canaries, and hold every claim against it.

    Fails when the bound, at 95 % confidence, lies above a claim. Passes when it does not, the same bound on scores of a
    run without noise lies above the claim, and half of the claimed noise would have been noticed with probability 0.8.
    Inconclusive else: without a control (`missing:control_score`), with one that proves nothing (`control-failed`),
    with too few canaries for the claim (`too-few-records`), and without a claim. Without recorded scores the declared
    mechanism is rehearsed with canaries at effort full, which passes as a screening only; at less effort it is skipped.
    """
    files = [(index, entry.path) for index, entry in enumerate(system.data) if entry.role == "canary-scores"]
    claims = claims_of(system)
    for index, artifact in files:
        scores = read_canary_scores(ctx.folder, artifact, f"data[{index}]")
        key = artifact.path[:200] if len(files) > 1 else ""
        yield _gravest(claims, scores, system, ctx, key=key)
    if not files:
        yield _rehearsed(claims, system, ctx)


def _gravest(
    claims: tuple[Claim, ...],
    scores: CanaryScores,
    system: System,
    ctx: Context,
    *,
    key: str = "",
    rehearsed: bool = False,
) -> Finding:
    """Return the finding on the claim that fares worst: one false claim is a false claim."""
    findings = [
        held_against(claim, scores, system, ctx, key=key, rehearsed=rehearsed)
        for claim in claims
        if claim.delta is not None
    ]
    if not findings:
        return _without_claim(claims, key, ctx)
    return max(findings, key=lambda finding: _GRAVITY.index(finding.status))


def _rehearsed(claims: tuple[Claim, ...], system: System, ctx: Context) -> Finding:
    if not any(claim.delta is not None for claim in claims):
        summary = "Neither canaries' scores nor an epsilon with its delta are declared, so there is nothing to refute."
        return ctx.finding(Status.SKIPPED, summary, reason="not-applicable:nothing-claimed")
    if ctx.effort is not Effort.FULL:
        summary = "No canary scores are declared; canaries are rehearsed in the declared mechanism at effort full."
        return ctx.finding(Status.SKIPPED, summary, reason="budget", remedy=_ADD_SCORES)
    try:
        scores = rehearsed_scores(system, ctx)
    except Unrehearsed as why:
        return ctx.finding(Status.SKIPPED, why.sentence, reason=f"not-applicable:{why.word}", remedy=_ADD_SCORES)
    return _gravest(claims, scores, system, ctx, rehearsed=True)


_ADD_SCORES = Remedy(
    parameter="data", direction="add", value="canary-scores",
    text="Plant canaries by fair coins, in the system and in a run without noise, and record their scores.",
)  # fmt: skip


def _without_claim(claims: tuple[Claim, ...], key: str, ctx: Context) -> Finding:
    parameter = f"{SECTION}.delta" if claims else "claims.epsilon"
    what = "delta" if claims else "epsilon"
    return ctx.finding(
        Status.INCONCLUSIVE,
        f"Canaries are scored, but no {what} is claimed that they could refute.",
        key=key,
        basis=Basis.RECORDED,
        remedy=Remedy(parameter=parameter, direction="add", text=f"State the {what} that you answer for."),
        reason=f"missing:{parameter}",
    )
