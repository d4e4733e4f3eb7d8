"""`unlearning.federated.utility`: whether the rest still works."""

from collections.abc import Iterator

from reports.check import Context, check
from reports.model import ErasureRequest, Finding, Measurement, Remedy, Severity, Strength, System
from reports.plot import IntervalRow, IntervalsPlot
from unlearning.federated.checks.figures import at_least
from unlearning.federated.checks.verified import (
    CONTROLS,
    KINDS,
    asked_of_models,
    delivered_of,
    key_of,
    report_of,
    setting,
    skip,
)
from unlearning.verification.answers import Part
from unlearning.verification.judge_side_effects import UtilityVerdict
from unlearning.verification.suite import VerificationReport

MORE_TEST = Remedy(
    parameter="data", direction="add", value="nonmembers", text="Declare more test examples, or train on."
)
PARTS: tuple[tuple[Part, str], ...] = (("test", "test"), ("retain", "retained"), ("forget", "forgotten"))


@check(
    "unlearning.federated.utility",
    "The rest still works",
    needs=("unlearning.after", "data.nonmembers"),
    controls=CONTROLS,
    kinds=KINDS,
    strength=Strength.STATISTICAL,
    severity=Severity.MEDIUM,
)
def utility(system: System, ctx: Context) -> Iterator[Finding]:
    """Ask how much oftener the delivered model errs than retrained ones, or than the model before.

    Fails when its test accuracy surely lies more than 0.02 below theirs, lower than one more retrained model would by
    the luck of its training; passes when it does not and a loss of 0.05 is excluded; inconclusive else. ToW is reported
    (arXiv:2406.01257).
    """
    yield from asked_of_models(system, ctx, _answer, ("after", "forget"))


def _answer(system: System, ctx: Context, declared: ErasureRequest) -> Finding:
    delivered = delivered_of(system, ctx, declared)
    if delivered.test is None or not len(delivered.test):
        return skip(ctx, declared, "There are no test examples with labels.", "missing:data.nonmembers")
    report = report_of(system, ctx, declared)
    verdict = report.utility
    if verdict.gap is None:
        told = "There are no retrained models and no model before to compare with."
        return skip(ctx, declared, told, "missing:unlearning.oracles|unlearning.before")
    return ctx.finding(
        verdict.outcome.status,
        _summary(verdict)[:300],
        key=key_of(declared),
        measurements=_measurements(report, verdict),
        evidence=[ctx.plot(_plot(report))],
        remedy=MORE_TEST if not verdict.outcome.passed else None,
        limitations=setting(report.evidence),
        reason=verdict.outcome.reason,
    )


def _summary(verdict: UtilityVerdict) -> str:
    gap = verdict.gap
    assert gap is not None  # noqa: S101  `_answer` has looked
    models = f"{gap.models} retrained models" if verdict.against == "retrained" else "the model before"
    told = (
        f"test accuracy {gap.accuracy:.3f}, {gap.value:+.3f} [{gap.interval.low:+.3f}, {gap.interval.high:+.3f}] "
        f"against {models}"
    )
    if verdict.outcome.failed:
        return f"Forgetting cost more than it should: {told}."
    if verdict.outcome.passed:
        return f"The rest still works: {told}."
    if verdict.outcome.reason == "control-failed":
        return f"A model that learnt nothing does as well, so accuracy says nothing here: {told}."
    if verdict.outcome.reason == "luck-of-training":
        return f"Worse than retrained models on average, but so is many a retrained one: {told}."
    return f"Too few test examples to exclude a loss: {told}."


def _measurements(report: VerificationReport, verdict: UtilityVerdict) -> list[Measurement]:
    found = []
    for part, name in PARTS:
        if (gap := report.gap(part)) is None:
            continue
        found.append(
            Measurement(
                name=f"{name}_accuracy_gap", value=gap.value, interval=gap.interval, n=gap.examples,
                method=f"accuracy minus the mean of {gap.models} ({verdict.against}); Welch over examples and models",
                threshold=at_least(-report.thresholds.most_accuracy_loss) if part == "test" else None,
                control=verdict.untrained if part == "test" else None,
            )
        )  # fmt: skip
    if verdict.tug_of_war is not None:
        found.append(
            Measurement(
                name="tug_of_war", value=verdict.tug_of_war,
                method="product of 1 - |gap| over retained, forgotten and test examples (arXiv:2406.01257)",
            )
        )  # fmt: skip
    return found


def _plot(report: VerificationReport) -> IntervalsPlot:
    """Return the three gaps."""
    rows = [
        IntervalRow(
            label=f"{name} examples", value=gap.value, low=gap.interval.low, high=gap.interval.high,
            limit=-report.thresholds.most_accuracy_loss if part == "test" else None,
        )
        for part, name in PARTS
        if (gap := report.gap(part)) is not None
    ]  # fmt: skip
    rows.append(IntervalRow(label="retrained models (floor)", value=0.0))
    return IntervalsPlot(title="Accuracy against retrained models", x="difference in accuracy", rows=tuple(rows))
