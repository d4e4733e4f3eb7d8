"""`unlearning.federated.screening` and `.backdoor`: quick looks that can speak against a model and never for it."""

from collections.abc import Iterator

from reports.check import Context, check
from reports.model import ErasureRequest, Finding, Measurement, Severity, Status, Strength, System
from reports.plot import IntervalRow, IntervalsPlot
from reports.statistics import clopper_pearson
from unlearning.federated.checks.figures import at_most, ratio_measurement, ratio_plot
from unlearning.federated.checks.verified import (
    CONTROLS,
    KINDS,
    RETRAIN,
    asked_of_models,
    delivered_of,
    key_of,
    report_of,
    setting,
    skip,
)
from unlearning.verification.backdoor import LEAST_PROBES, DeletionDecision
from unlearning.verification.distance import FloorRatio
from unlearning.verification.judge_screening import ScreeningVerdict
from unlearning.verification.suite import VerificationReport

NO_PROOF = "Near to retrained models is not forgetting: a model that hides its memory is near, too."
PATCHED = "A trigger that was trained away on public data looks like one that was forgotten."


@check(
    "unlearning.federated.screening",
    "The delivered model is as near to retrained ones as they are to one another",
    needs=("unlearning.after", "unlearning.forget", "unlearning.oracles|unlearning.transcript"),
    controls=CONTROLS,
    kinds=KINDS,
    strength=Strength.SCREENING,
    severity=Severity.HIGH,
)
def screening(system: System, ctx: Context) -> Iterator[Finding]:
    """Ask how far the delivered model's answers lie from retrained models', over theirs from one another.

    Fails when the ratio surely exceeds 1.5 on the forget set or on the test set; inconclusive else, and with fewer than
    three retrained models. Told beside, and deciding nothing: the same by the Euclidean distance of probabilities.
    """
    yield from asked_of_models(system, ctx, _screened)


def _screened(system: System, ctx: Context, declared: ErasureRequest) -> Finding:
    report = report_of(system, ctx, declared)
    verdict, limits = report.screening, report.thresholds
    named = (("js_forget_ratio", verdict.forget, verdict.before), ("js_test_ratio", verdict.test, None))
    rows = {"on the forget set": verdict.forget, "on the test set": verdict.test, "model before": verdict.before}
    drawn = {label: ratio for label, ratio in rows.items() if ratio is not None}
    activations = _activations(report)
    plots = [ratio_plot(drawn, limits)] if drawn else []
    if activations:
        plots.append(ratio_plot(activations, None, "Euclidean ratio of probabilities"))
    return ctx.finding(
        verdict.outcome.status,
        _screening_summary(verdict)[:300],
        key=key_of(declared),
        measurements=[
            *(ratio_measurement(name, one, limits, control) for name, one, control in named if one is not None),
            *_activation_measurements(activations),
        ],
        evidence=[ctx.plot(plot) for plot in plots],
        remedy=RETRAIN if verdict.outcome.failed else None,
        limitations=(NO_PROOF, *setting(report.evidence)),
        reason=verdict.outcome.reason,
    )


def _activations(report: VerificationReport) -> dict[str, FloorRatio]:
    """Return V7 of the delivered model on both sets and of the model before, by label; it decides nothing."""
    asked = {
        "on the forget set": report.activation("forget"),
        "on the test set": report.activation("test"),
        "model before": report.activation("forget", before=True),
    }
    return {label: ratio for label, ratio in asked.items() if ratio is not None}


def _activation_measurements(ratios: dict[str, FloorRatio]) -> list[Measurement]:
    before = ratios.get("model before")
    controls = {"on the forget set": before, "on the test set": None}
    names = {"on the forget set": "activation_forget_ratio", "on the test set": "activation_test_ratio"}
    return [
        Measurement(
            name=names[label], value=ratios[label].value, interval=ratios[label].interval, n=ratios[label].oracles,
            method="mean Euclidean distance of probabilities to the oracles over theirs to one another "
            "(arXiv:2201.05629); jackknife over oracles; decides nothing",
            control=None if control is None else control.value,
        )
        for label, control in controls.items()
        if label in ratios
    ]  # fmt: skip


def _screening_summary(verdict: ScreeningVerdict) -> str:
    forget = verdict.forget
    if forget is None:
        return "Fewer than three retrained models, so there is no floor to compare with."
    told = f"{forget.value:.2f} times the floor on the forget set"
    if verdict.test is not None:
        told += f", {verdict.test.value:.2f} on the test set"
    if verdict.outcome.failed:
        return f"The delivered model lies off the retrained ones: {told}."
    if verdict.outcome.reason == "no-influence":
        return f"Not told from retrained models ({told}), but neither was the model before: there is nothing to see."
    if verdict.outcome.reason == "length-mismatch":
        return f"The references were trained for other rounds, so distances to them say nothing: {told}."
    before = "" if verdict.before is None else f"; the model before lay at {verdict.before.value:.2f}"
    return f"Not off the retrained models: {told}{before}. That is no proof of forgetting."


@check(
    "unlearning.federated.backdoor",
    "Planted triggers of the forgotten client are gone",
    needs=("unlearning.after", "unlearning.before", "unlearning.forget", "unlearning.transcript"),
    controls=CONTROLS,
    kinds=KINDS,
    strength=Strength.SCREENING,
    severity=Severity.HIGH,
)
def backdoor(system: System, ctx: Context) -> Iterator[Finding]:
    """Ask whether triggers that only the forgotten client planted still work (Sommer et al., PoPETs 2022).

    Fails when more probes are hit than retraining explains (exact binomial test, level 1e-3); inconclusive else.
    """
    yield from asked_of_models(system, ctx, _probed, ("after", "before", "forget"))


def _probed(system: System, ctx: Context, declared: ErasureRequest) -> Finding:
    probes = delivered_of(system, ctx, declared).probes
    if probes is None or not len(probes):
        return skip(ctx, declared, "No probes were declared, so no trigger was tried.", "missing:probes")
    report = report_of(system, ctx, declared)
    verdict = report.backdoor
    decision = verdict.decision
    if decision is None:
        told = "There are no retrained models, or no model before, to compare the probes with."
        return ctx.finding(Status.INCONCLUSIVE, told, key=key_of(declared), reason=verdict.outcome.reason)
    return ctx.finding(
        verdict.outcome.status,
        _backdoor_summary(decision, verdict.outcome.failed),
        key=key_of(declared),
        measurements=_rates(decision),
        evidence=[ctx.plot(_rates_plot(decision))],
        remedy=RETRAIN if verdict.outcome.failed else None,
        limitations=(PATCHED, *setting(report.evidence)),
        reason=verdict.outcome.reason,
    )


def _backdoor_summary(decision: DeletionDecision, failed: bool) -> str:
    least = decision.rejection_hits
    told = f"{decision.hits} of {decision.probes} probes are hit, the deletion is rejected from {least}"
    if failed:
        return f"The planted trigger still works: {told}."
    if decision.probes < LEAST_PROBES:
        return f"{told}; fewer than {LEAST_PROBES} probes decide nothing."
    if not decision.informative:
        return f"{told}; but a server that did nothing would get away in {decision.miss_probability:.0%} of cases."
    return f"The trigger does not work ({told}); so would it look had it been patched, so that this is no proof."


def _rates(decision: DeletionDecision) -> list[Measurement]:
    n = decision.probes
    return [
        Measurement(
            name="probe_rate", value=decision.hits / n, interval=clopper_pearson(decision.hits, n), n=n,
            method="share of probes answered with the trigger's label; Clopper-Pearson, two-sided",
            threshold=at_most(max(decision.rejection_hits - 1, 0) / n), control=decision.before_rate,
        ),
        Measurement(
            name="probe_rate_retrained", value=decision.retrained_rate, n=n,
            method="upper bound of the rate of retrained models, 95 %",
        ),
        Measurement(
            name="miss_probability", value=decision.miss_probability, n=n,
            method="beta: how often the model before itself would stay below the rejection",
        ),
    ]  # fmt: skip


def _rates_plot(decision: DeletionDecision) -> IntervalsPlot:
    interval = clopper_pearson(decision.hits, decision.probes)
    rows = (
        IntervalRow(
            label="delivered model", value=decision.hits / decision.probes, low=interval.low, high=interval.high,
            limit=min(decision.rejection_hits, decision.probes) / decision.probes, control=decision.before_rate,
        ),
        IntervalRow(label="retrained, at most (floor)", value=decision.retrained_rate),
    )  # fmt: skip
    return IntervalsPlot(title="Planted triggers that still work", x="share of probes hit", rows=rows)
