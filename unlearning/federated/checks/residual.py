"""`unlearning.federated.residual`: whether the forgotten data still speaks through the delivered model."""

from collections.abc import Iterator

from reports.check import Context, check
from reports.model import ErasureRequest, Finding, Measurement, Remedy, Severity, Status, Strength, System
from unlearning.federated.checks.figures import (
    plain,
    rank_measurements,
    ratio_measurement,
    ratio_plot,
    share_plots,
    standing,
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
from unlearning.verification.judge_residual import ResidualVerdict
from unlearning.verification.rank import RankResult
from unlearning.verification.suite import VerificationReport
from unlearning.verification.thresholds import LEAST_RANKED

GRADES = {
    "A+": "an exact method, run again by the auditor from recipe, seed and retained data, gave the delivered bytes",
    "A": "an exact rank test among retrained models of the auditor's, which rejects models that did see the data",
    "B": "a screening: too few retrained models, or not the auditor's, or a test that sees too little",
    "C": "no retrained model to compare with",
    "D": "a record alone",
}


@check(
    "unlearning.federated.residual",
    "No influence of the forgotten data was detected, and less than half of the original's is left",
    needs=("unlearning.after", "unlearning.forget", "unlearning.transcript|unlearning.oracles"),
    controls=CONTROLS,
    kinds=KINDS,
    strength=Strength.STATISTICAL,
    severity=Severity.HIGH,
)
def residual(system: System, ctx: Context) -> Iterator[Finding]:
    """Ask whether one delivered model could be a model that never saw the forgotten data.

    Passes when it ranks among at least 64 retrained models (level 0.02, or 0.01 among 128), at most half and at least
    minus half of the original's trace is left with 95 % confidence, and the same test rejects at least four in five
    originals; or when an exact method was run again to the same bytes. Fails when the test rejects it. Inconclusive
    where originals are not told from retrained models (`no-influence`), models are too few (`budget`), lengths differ
    (`length-mismatch`), or the method is shown not to forget (`method-failed`).
    """
    yield from asked_of_models(system, ctx, _answer)


def _answer(system: System, ctx: Context, declared: ErasureRequest) -> Finding:
    report = report_of(system, ctx, declared)
    verdict = report.residual
    outcome = verdict.outcome
    return ctx.finding(
        outcome.status,
        _summary(report, verdict)[:300],
        key=key_of(declared),
        severity=outcome.severity,
        strength=verdict.strength,
        detail=_detail(report, verdict),
        measurements=_measurements(report, verdict),
        evidence=_evidence(ctx, report, verdict),
        remedy=_remedy(verdict),
        limitations=setting(report.evidence),
        reason=outcome.reason,
    )


def _measurements(report: VerificationReport, verdict: ResidualVerdict) -> list[Measurement]:
    """Return the figures; beside a replay to the byte the statistics decide nothing and are held to no limit."""
    reference, limits = report.evidence.reference, report.thresholds
    found: list[Measurement] = []
    if verdict.rank is not None:
        found += rank_measurements(verdict.rank, reference, limits, decides=verdict.grade != "A+")
    if verdict.distance is not None:
        found.append(ratio_measurement("js_forget_ratio", verdict.distance, limits, verdict.before_distance))
    if report.strict_rank is not None:
        found += standing(report.strict_rank, "strict", prefix="strict_")
    return found


def _evidence(ctx: Context, report: VerificationReport, verdict: ResidualVerdict) -> list[str]:
    """Keep the plots."""
    plots = share_plots(verdict, report.rank_before, report.thresholds)
    if verdict.distance is not None:
        rows = {"delivered model": verdict.distance}
        if verdict.before_distance is not None:
            rows["model before"] = verdict.before_distance
        return [ctx.plot(ratio_plot(rows, report.thresholds))]
    return [ctx.plot(plot) for plot in plots]


def _summary(report: VerificationReport, verdict: ResidualVerdict) -> str:
    rank, outcome = verdict.rank, verdict.outcome
    if verdict.grade == "A+" and outcome.passed:
        beside = "" if rank is None else f"; {_rank_told(rank)}"
        if rank is not None and rank.interval is not None:
            beside += f", at most {rank.interval.high:.0%} of the trace left"
        return f"Run again without the forgotten data, the exact method gave the delivered model, bit for bit{beside}."
    if outcome.failed:
        return _accusation(verdict)
    if outcome.passed and rank is not None and rank.interval is not None:
        return (
            f"No influence was detected: {_rank_told(rank)}, at most {rank.interval.high:.0%} of the original's trace "
            f"is left, and the same test rejects {rank.power:.0%} of models that did see the data."
        )
    return _undecided(report, verdict)


def _rank_told(rank: RankResult) -> str:
    return f"p = {rank.p_value:.3f} among {len(rank.oracles.statistic)} retrained models (level {rank.level:g})"


def _accusation(verdict: ResidualVerdict) -> str:
    rank = verdict.rank
    if rank is None:
        assert verdict.distance is not None  # noqa: S101  what else it failed by
        return (
            f"On the forgotten data the model lies {verdict.distance.value:.1f} times as far from retrained models as "
            f"they from one another (at least {verdict.distance.interval.low:.1f}), as the model before did."
        )
    share = "no share of a trace"
    if rank.interval is not None:
        share = f"{rank.residual_share:.0%} [{plain(rank.interval)}] of the original's trace"
    match verdict.direction:
        case "remembers":
            return f"The forgotten data still speaks through the model: {share} is left; {_rank_told(rank)}."
        case "over-forgotten":
            return f"The model was pushed beyond models that never saw the data: {share}; {_rank_told(rank)}."
    return f"The model is none that forgetting leaves: {_rank_told(rank)}, {share}."


def _undecided(report: VerificationReport, verdict: ResidualVerdict) -> str:
    rank, reference, limits = verdict.rank, report.evidence.reference, report.thresholds
    match verdict.outcome.reason:
        case "no-influence" if rank is not None:
            return (
                f"There is no influence to forget that could be measured: of models that did see the data the test "
                f"rejects {rank.power:.0%} [{plain(rank.power_interval)}]; {_rank_told(rank)}."
            )
        case "budget" if rank is None:
            return (
                f"{reference.models} retrained models screen and cannot pass: an exact test at 0.05 needs "
                f"{LEAST_RANKED} oracles, a pass {limits.least_oracles}."
            )
        case "budget":
            return f"{reference.models} retrained models are too few for a pass, which needs {limits.least_oracles}."
        case "length-mismatch":
            return (
                f"The delivered model has {reference.delivered_rounds} behind it, its method leaves "
                f"{reference.rounds}: length alone would tell them apart."
            )
        case "share-not-bounded" if rank is not None and rank.interval is not None:
            return f"Not detected, and not excluded: {_rank_told(rank)}; {plain(rank.interval)} of the trace is left."
        case "method-failed":
            return "The method was shown not to forget on this data, so this one model cannot pass."
        case "contradicts-replay":
            return "The exact method gave these very bytes again, and yet the model stands out among retrained ones."
        case "oracles-not-independent":
            return (
                f"{len(reference.dropped)} of the supplied oracles are copies, and {reference.models} are too few to "
                "compare with."
            )
        case "supplied-oracles":
            return f"Not told from {reference.models} oracles of the owner's, which can speak against a model alone."
        case "unknown-method":
            return "The method is not known here, so the references are not its own: a trace would show, no pass can."
    return "There are no retrained models to compare with, and no recipe to train them by."


def _detail(report: VerificationReport, verdict: ResidualVerdict) -> str:
    reference = report.evidence.reference
    lines = [f"Grade {verdict.grade}: {GRADES[verdict.grade]}."]
    if reference.models:
        length = "" if reference.rounds is None else f", each after {reference.rounds}"
        engine = f" ({report.evidence.engine} engine, cpu)" if report.evidence.engine else ""
        made = f"trained by the {reference.trained_by}{engine}{length}"
        lines.append(f"Reference: {reference.models} {reference.kind} models, {made}.")
    if (strict := report.strict_rank) is not None:
        share = "" if strict.residual_share is None else f", share {strict.residual_share:.2f}"
        lines.append(
            f"Against models retrained by the recipe alone: p = {strict.p_value:.3f}{share}; where lengths differ, "
            "that alone can tell them apart."
        )
    return "\n".join(lines)


def _remedy(verdict: ResidualVerdict) -> Remedy | None:
    if verdict.outcome.status is Status.FAIL or verdict.outcome.reason == "method-failed":
        return RETRAIN
    return MORE_MODELS if verdict.outcome.reason == "budget" else None
