"""`unlearning.federated.over-forgetting`: whether what was to be forgotten is known less than by a stranger."""

from collections.abc import Iterator

from reports.check import Context, check
from reports.model import ErasureRequest, Finding, Interval, Measurement, Remedy, Severity, Strength, System
from reports.plot import IntervalRow, IntervalsPlot
from unlearning.federated.checks.figures import at_least
from unlearning.federated.checks.side_effects import (
    side_effect_limitations,
    side_effect_measurements,
    side_effect_plots,
)
from unlearning.federated.checks.verified import (
    CONTROLS,
    KINDS,
    MORE_MODELS,
    RETRAIN,
    asked_of_models,
    key_of,
    report_of,
    setting,
)
from unlearning.verification.judge_side_effects import MeanPower, OverForgettingVerdict
from unlearning.verification.rank import RankResult
from unlearning.verification.suite import VerificationReport
from unlearning.verification.thresholds import Thresholds

NO_TWIN = "The twin has other labels than the forget set, so the two were not compared."


@check(
    "unlearning.federated.over-forgetting",
    "Forgetting did not overshoot",
    needs=("unlearning.after", "unlearning.forget", "unlearning.twin", "unlearning.oracles|unlearning.transcript"),
    controls=CONTROLS,
    kinds=KINDS,
    strength=Strength.STATISTICAL,
    severity=Severity.MEDIUM,
)
def over_forgetting(system: System, ctx: Context) -> Iterator[Finding]:
    """Ask whether the forget set is known less than if it had never been seen, which gives it away as well.

    Fails when it is surely known less than its twin (AUC below 0.45), or less than by retrained models (exact rank test
    of the mean score), or learnt again in more than three times their steps (effort full, arXiv:2201.05629). Passes
    when that rank test could have seen an overshoot as large as the original's memory. Told beside, and deciding
    nothing: whether retained neighbours of the forget set are known better than before (arXiv:2206.10469).
    """
    yield from asked_of_models(system, ctx, _answer, ("after", "forget", "twin"))


def _answer(system: System, ctx: Context, declared: ErasureRequest) -> Finding:
    report = report_of(system, ctx, declared)
    verdict = report.over_forgetting
    told = [*([NO_TWIN] if verdict.twin is None else []), *side_effect_limitations(report)]
    plot = _plot(verdict, report.thresholds)
    plots = [*([] if plot is None else [plot]), *side_effect_plots(report)]
    return ctx.finding(
        verdict.outcome.status,
        _summary(report, verdict)[:300],
        key=key_of(declared),
        measurements=[*_measurements(verdict, report.thresholds), *side_effect_measurements(report)],
        evidence=[ctx.plot(one) for one in plots],
        remedy=_remedy(verdict),
        limitations=(*told, *setting(report.evidence)),
        reason=verdict.outcome.reason,
    )


def _summary(report: VerificationReport, verdict: OverForgettingVerdict) -> str:
    parts = []
    if verdict.twin is not None:
        twin = verdict.twin
        parts.append(f"AUC against the twin {twin.auc:.2f} [{twin.interval.low:.2f}, {twin.interval.high:.2f}]")
    if verdict.rank is not None:
        shift, p_value = verdict.rank.mean_shift, verdict.rank.mean_p_value
        parts.append(f"mean score {shift:+.2f} deviations from retrained models (p = {p_value:.3f})")
    if (learnt := verdict.anamnesis) is not None and learnt.value is not None:
        parts.append(f"learnt again in {learnt.value:.1f} times the steps")
    told = ", ".join(parts) or "nothing could be compared"
    if verdict.outcome.failed:
        return f"The forget set is known less than if it had never been seen: {told}."
    if verdict.outcome.passed:
        return f"No overshoot was detected: {told}."
    match verdict.outcome.reason:
        case "no-power" if verdict.power is not None:
            least = f"at least {verdict.power.interval.low:.0%}"
            return f"The mean rejects too few originals ({least}) to exclude an overshoot; {told}."
        case "length-mismatch":
            return f"The references were trained for other rounds than the delivered model; {told}."
    return f"{report.evidence.reference.models} retrained models are too few to exclude an overshoot; {told}."


def _measurements(verdict: OverForgettingVerdict, limits: Thresholds) -> list[Measurement]:
    found = []
    if verdict.rank is not None:
        found += _of_rank(verdict.rank, verdict.power, limits)
    if verdict.twin is not None:
        twin = verdict.twin
        found.append(
            Measurement(
                name="twin_auc", value=twin.auc, interval=twin.interval, n=twin.first + twin.second,
                method="AUC of -loss, forget set against twin; DeLong, two-sided", control=0.5,
            )
        )  # fmt: skip
    return found


def _of_rank(rank: RankResult, power: MeanPower | None, limits: Thresholds) -> list[Measurement]:
    width = 1.96 * float(rank.oracles.mean.std(ddof=1))
    shift = rank.mean_shift
    found = [
        Measurement(
            name="mean_shift", value=shift, interval=Interval(low=shift - width, high=shift + width, confidence=0.95),
            n=len(rank.oracles.mean), method="mean z of the forget set, by the retrained models' spread",
            control=float(rank.originals.mean.mean()),
        ),
        Measurement(
            name="mean_rank_p_value", value=rank.mean_p_value, n=len(rank.oracles.mean),
            method=f"exact rank test of the mean, two-sided; rejected at or below {rank.level:g}",
        ),
    ]  # fmt: skip
    if power is not None:
        found.append(
            Measurement(
                name="mean_rank_power", value=power.value, interval=power.interval, n=power.originals,
                method="share of held-out originals that the mean alone rejects; Clopper-Pearson, two-sided",
                threshold=at_least(limits.least_power), control=rank.level,
            )
        )  # fmt: skip
    return found


def _plot(verdict: OverForgettingVerdict, limits: Thresholds) -> IntervalsPlot | None:
    twin, rank = verdict.twin, verdict.rank
    if rank is not None:
        width = 1.96 * float(rank.oracles.mean.std(ddof=1))
        rows = (
            IntervalRow(label="delivered model", value=rank.mean_shift, control=float(rank.originals.mean.mean())),
            IntervalRow(label="retrained models (floor)", value=0.0, low=-width, high=width),
        )
        title = "Mean score of the forget set: below the retrained models' it overshot"
        return IntervalsPlot(title=title, x="mean z", rows=rows)
    if twin is None:
        return None
    row = IntervalRow(
        label="delivered model", value=twin.auc, low=twin.interval.low, high=twin.interval.high,
        limit=limits.least_twin_auc,
    )  # fmt: skip
    return IntervalsPlot(title="Forget set against its twin", x="AUC of -loss", rows=(row,))


def _remedy(verdict: OverForgettingVerdict) -> Remedy | None:
    if verdict.outcome.failed:
        return RETRAIN
    return MORE_MODELS if verdict.outcome.reason == "budget" else None
