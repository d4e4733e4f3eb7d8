"""The check `dp.mechanism`: whether recorded rounds hold the noise and the clipping that are declared."""

from collections.abc import Iterator

from audit.dp.comparison import SECTION
from audit.dp.mechanism import residual_test
from audit.dp.mechanism_answer import answered
from audit.dp.mechanism_figures import Tested
from audit.dp.recorded import recorded_rounds
from reports.check import Context, check
from reports.model import Basis, Finding, Remedy, Severity, Status, Strength, System


@check(
    "dp.mechanism",
    "The noise and clipping applied are those declared",
    needs=(SECTION, "updates.aggregate", "updates.delta|updates.gradient"),
    controls=("EU-AIA:9(6)", "EU-AIA:annex-IV(2)(g)", "GDPR:32(1)(d)"),
    kinds=("dp",),
    strength=Strength.STATISTICAL,
    severity=Severity.HIGH,
)
def mechanism(system: System, ctx: Context) -> Iterator[Finding]:
    """Take the recorded contributions away from each recorded sum, and ask whether what is left is the declared noise.

    Fails when the upper end of the noise, as a whole or of any round, tensor or part, lies below 0.98 of the declared;
    when the noise of two rounds is correlated; or when a contribution is longer than the clipping norm (exact).
    Inconclusive when a sum is not that of the recorded contributions, when contributions may hold their noise already
    (`record-before-noise`), and when the same test would not notice half of the declared noise (`control-failed`).
    Passes else: more noise than declared is no fault. Skipped where no noise is declared, and where the unit is an
    example and contributions are of more than one.
    """
    federation = system.federation
    if federation is None or federation.differential_privacy is None:
        return  # the need says that it is there
    declared = federation.differential_privacy
    if not declared.noise_multiplier:
        summary = "No noise is declared, so there is none to look for."
        yield ctx.finding(Status.SKIPPED, summary, reason="not-applicable:no-noise-declared")
        return
    if declared.clipping_norm is None:
        yield _without_norm(ctx)
        return
    recorded = recorded_rounds(system, ctx.folder)
    if declared.unit == "example" and not (recorded.single_examples and recorded.rounds):
        summary = "The noise hides single examples, within a client's training; the recorded updates are of many."
        yield ctx.finding(Status.SKIPPED, summary, reason="not-applicable:example-level")
        return
    if not recorded.rounds:
        yield _without_rounds(recorded.left_out, ctx)
        return
    test = residual_test(
        recorded.rounds,
        declared.noise_multiplier,
        declared.clipping_norm,
        noise_may_be_recorded=declared.noise_added_by != "server",
        rounding=recorded.rounding,
    )
    yield answered(Tested(system, declared, test, recorded.labels, recorded.left_out), ctx)


def _without_norm(ctx: Context) -> Finding:
    return ctx.finding(
        Status.INCONCLUSIVE,
        "Noise is declared as a multiple of a clipping norm that is not declared.",
        basis=Basis.RECORDED,
        remedy=Remedy(
            parameter=f"{SECTION}.clipping_norm", direction="add", text="Declare the L2 bound on a contribution."
        ),
        reason=f"missing:{SECTION}.clipping_norm",
    )


def _without_rounds(left_out: tuple[str, ...], ctx: Context) -> Finding:
    return ctx.finding(
        Status.INCONCLUSIVE,
        "Of no round both the sum and all of its contributions are recorded.",
        basis=Basis.RECORDED,
        remedy=Remedy(
            parameter="updates",
            direction="add",
            value="aggregate",
            text="Record a round whole: every contribution before noise, and the sum with its divided_by.",
        ),
        limitations=left_out,
        reason="no-usable-record",
    )
