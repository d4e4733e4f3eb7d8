"""`unlearning.federated.method`: whether the method forgets on this data, over seeds."""

from collections.abc import Iterator

from reports.check import Context, check
from reports.model import ErasureRequest, Finding, Remedy, Severity, Status, Strength, System
from unlearning.federated.checks.figures import method_measurements, method_plots, plain
from unlearning.federated.checks.margins import BY_CHANCE, NO_MARGINS, margin_measurements, margin_plot
from unlearning.federated.checks.verified import (
    CONTROLS,
    KINDS,
    MORE_MODELS,
    RETRAIN,
    asked_of_models,
    delivered_of,
    key_of,
    report_of,
    setting,
    skip,
)
from unlearning.verification.judge_method import MethodVerdict
from unlearning.verification.thresholds import LEAST_RANKED, planned_models

ONE_MODEL = "This is of the method, over seeds; of the one model that was delivered it says nothing."


@check(
    "unlearning.federated.method",
    "The method forgets on this data, over seeds",
    needs=("unlearning.transcript",),
    controls=CONTROLS,
    kinds=KINDS,
    strength=Strength.STATISTICAL,
    severity=Severity.HIGH,
)
def method(system: System, ctx: Context) -> Iterator[Finding]:
    """Ask whether models that the method has made to forget can be told from models that never knew (arXiv:2403.01218).

    Passes when the AUC's interval lies within 0.40 and 0.60, at most 5 % are found at 1 % false positives and the
    forgetting quality is at least 0.7 of the control's; fails when the interval lies outside on either side.
    Inconclusive when the control can be told apart itself (`control-failed`) or originals cannot (`no-influence`). Told
    beside at effort full, and deciding nothing: KLoM of forgotten, retained and test examples (arXiv:2410.23232).
    """
    yield from asked_of_models(system, ctx, _answer, ("after", "forget", "transcript"))


def _answer(system: System, ctx: Context, declared: ErasureRequest) -> Finding:
    delivered = delivered_of(system, ctx, declared)
    if delivered.federation is None or not delivered.split:
        return skip(ctx, declared, "The transcript does not say how the federation trains.", "missing:recipe")
    if delivered.method is None:
        told = f"The method {declared.method or ''} is not known here, so it cannot be run again.".replace("  ", " ")
        return skip(ctx, declared, told, "unknown-method")
    if not planned_models(ctx.effort, ctx.options.oracles)[1]:
        told = f"Fewer than {LEAST_RANKED} models of a side tell nothing of a method; at standard there are 64."
        return ctx.finding(
            Status.SKIPPED, told, key=key_of(declared), severity=Severity.INFO, reason="budget", remedy=MORE_MODELS
        )
    report = report_of(system, ctx, declared)
    verdict = report.method
    if verdict is None:
        return skip(ctx, declared, "The method could not be run again.", "unknown-method")
    margins = margin_plot(report)
    plots = [*method_plots(verdict, report.thresholds), *([] if margins is None else [margins])]
    return ctx.finding(
        verdict.outcome.status,
        _summary(verdict)[:300],
        key=key_of(declared),
        measurements=[*method_measurements(verdict, report.thresholds), *margin_measurements(report)],
        evidence=[ctx.plot(plot) for plot in plots],
        remedy=_remedy(verdict),
        limitations=(ONE_MODEL, NO_MARGINS if margins is None else BY_CHANCE, *setting(report.evidence)),
        reason=verdict.outcome.reason,
    )


def _summary(verdict: MethodVerdict) -> str:
    area = verdict.unlearned
    told = f"AUC {area.auc:.2f} [{area.interval.low:.2f}, {area.interval.high:.2f}] over {verdict.models} models"
    if verdict.outcome.failed:
        side = "still known" if area.auc > 0.5 else "pushed beyond"
        return f"Unlearned models can be told from models that never knew the data: {told}; it is {side}."
    if verdict.outcome.passed:
        return (
            f"Unlearned models are not told from models that never knew the data: {told}; where nothing is forgotten "
            f"it is {verdict.original.auc:.2f}."
        )
    match verdict.outcome.reason:
        case "control-failed":
            control = verdict.control
            return (
                f"The test tells references from references (AUC {control.auc:.2f}), so it is not calibrated here; "
                f"{told}."
            )
        case "no-influence":
            original = verdict.original
            return (
                f"Models that forgot nothing are hardly told from models that never knew (AUC {original.auc:.2f}, at "
                f"least {original.interval.low:.2f}), so there is nothing to judge a method by; {told}."
            )
        case "length-mismatch":
            return f"The delivered model took other rounds than its method would, so the method is not its own; {told}."
        case "budget":
            return f"{verdict.models} models of a side are too few for a pass; {told}."
    found = verdict.unlearned.tpr_interval
    return f"Neither told apart nor sure not to be: {told}, {plain(found)} found at 1 % false positives."


def _remedy(verdict: MethodVerdict) -> Remedy | None:
    if verdict.outcome.failed:
        return RETRAIN
    return MORE_MODELS if verdict.outcome.reason == "budget" else None
