"""From rehearsed federations to the finding of `attack.poisoning`: arms, figures, and what they do not show."""

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import numpy.typing as npt

from audit.attacks.malicious_clients import ATTACKS, MEAN, Cell, Compared, Question
from audit.decision import LEAST_RECORDS, Arms, Decision, Paired, verdict
from reports.check import Context
from reports.model import Finding, Interval, Measurement, Remedy, Severity, Status, Strength, System, Threshold
from reports.plot import IntervalRow, IntervalsPlot
from reports.statistics import bootstrap, clopper_pearson

Array = npt.NDArray[np.float64]

LOSS = 0.1
"""Accuracy that a rule may cost where nobody is malicious; a federation that learns nothing withstands everything."""
RESAMPLES = 2_000
"""Of a bootstrap over federations."""
STAND_IN = (
    "The rule was rehearsed on a stand-in: handwritten digits, a perceptron, clients of one distribution. Clients that "
    "differ more make honest updates harder to tell from malicious ones."
)
SIMPLE = (
    "Attackers who search for the weak spot of a rule (arXiv:1911.11815) were not tried, only such as hide their "
    "updates in the spread of honest ones (arXiv:1902.06156)."
)


def answered(system: System, ctx: Context, question: Question, compared: Sequence[Compared]) -> Finding:
    """Return the finding: three arms over the same federations, and the one rule; its strength is screening.

    Args:
        system: The system under review.
        ctx: Of the check.
        question: What was rehearsed.
        compared: The federations, at least one.
    """
    cells = list(compared[0].system)
    strongest = [cell for cell in cells if cell.share == max(question.shares) and not cell.hidden]
    variants = {
        _named(cell, question): Paired(
            system=np.array([one.system[cell].subverted for one in compared]),
            null=np.array([one.null[cell.attack].subverted for one in compared]),
            control=np.array([one.control[cell.plain].subverted for one in compared]),
        )
        for cell in cells
    }
    arms = Arms(
        control=np.array([all(one.control[cell].subverted for cell in strongest) for one in compared]),
        system=np.array([any(outcome.subverted for outcome in one.system.values()) for one in compared]),
        null=np.array([any(outcome.subverted for outcome in one.null.values()) for one in compared]),
        variants=variants,
    )
    decision = verdict(arms)
    honest = np.array([[one.null[ATTACKS[0]].accuracy, one.clean] for one in compared])
    status, reason = decision.status, decision.reason
    idle = status is Status.PASS and bool(honest[:, 0].mean() < honest[:, 1].mean() - LOSS)
    if idle:
        status, reason = Status.INCONCLUSIVE, "control-failed"
    severity = Severity.HIGH if decision.low >= 0.1 else Severity.MEDIUM
    return ctx.finding(
        status,
        _summary(question, decision, variants, status, idle),
        severity=severity if status is Status.FAIL else None,
        strength=Strength.SCREENING,
        measurements=_measurements(ctx, compared, decision, honest),
        evidence=[_plot(ctx, variants, question)],
        remedy=_remedy(question, decision, status),
        limitations=[STAND_IN, SIMPLE, *_limits(system, question)],
        detail="\n".join(
            f"{name}: {int(paired.system.sum())} of {len(compared)} federations subverted, "
            f"under the plain mean {int(paired.control.sum())}, with nobody malicious {int(paired.null.sum())}."
            for name, paired in variants.items()
        ),
        reason=reason,
    )


def _named(cell: Cell, question: Question) -> str:
    return f"{'hidden ' if cell.hidden else ''}{cell.attack}, {cell.malicious(question.clients)} of {question.clients}"


def _summary(question: Question, decision: Decision, variants: Mapping[str, Paired], status: Status, idle: bool) -> str:
    n, rule = decision.records, question.rule.name
    worst = max(variants, key=lambda name: int(variants[name].system.sum()))
    count = int(variants[worst].system.sum())
    if status is Status.FAIL:
        return f"Under the rule {rule}, {count} of {n} rehearsed federations were subverted by {worst} clients."
    found = f"Under the rule {rule}, {decision.hits} of {n} rehearsed federations were subverted"
    if status is Status.PASS:
        return (
            f"{found}, at most {decision.high:.1%} with 95 % confidence; under the plain mean every attack together "
            f"{decision.control_hits}. Not found by these attacks at this budget."
        )
    if idle:
        return f"{found}, but under that rule the stand-in hardly learns, so nothing is shown."
    if decision.reason == "control-failed":
        return f"{found}; the attacks failed under the plain mean too ({decision.control_hits}), so nothing is shown."
    if decision.reason == "too-few-records":
        return f"{found}; fewer than {LEAST_RECORDS} can fail, but never pass."
    return f"{found}, at most {decision.high:.1%} with 95 % confidence: neither clear of the limit nor above it."


def _measurements(ctx: Context, compared: Sequence[Compared], decision: Decision, honest: Array) -> list[Measurement]:
    """Return the share of subverted federations and accuracies with and without malicious clients."""
    n = len(compared)
    attacked = np.array(
        [[one.system[cell].accuracy, one.control[cell.plain].accuracy] for one in compared for cell in one.system]
    ).reshape(n, -1, 2)
    lowest = attacked[:, int(attacked[..., 0].mean(0).argmin())]
    return [
        Measurement(
            name="attack_success", value=decision.hits / n, n=n,
            interval=Interval(low=decision.low, high=decision.high, confidence=0.95),
            method="share of federations that some attack subverts; one-sided Clopper-Pearson bounds, 95 % each",
            threshold=Threshold(op="<=", limit=decision.limit), control=decision.control_hits / n,
        ),
        _accuracy(ctx, "accuracy_under_attack", lowest, "of the attack that costs most"),
        _accuracy(ctx, "accuracy_without_attack", honest, "with nobody malicious"),
    ]  # fmt: skip


def _accuracy(ctx: Context, name: str, values: Array, which: str) -> Measurement:
    """Return a mean over federations with its bootstrap interval; `values` has the rule's and the plain mean's."""
    ours = values[:, 0]
    steady = bool(np.ptp(ours) == 0)  # nothing to resample: the interval has no width, and says nothing of others
    interval = None if steady else bootstrap(_mean, ours, ctx.rng(name), RESAMPLES)
    method = f"mean share of test digits read right, {which}; BCa bootstrap over federations"
    return Measurement(
        name=name, value=float(ours.mean()), interval=interval, n=len(ours), method=method,
        control=float(values[:, 1].mean()),
    )  # fmt: skip


def _mean(units: Array) -> float:
    return float(units.mean())


def _plot(ctx: Context, variants: Mapping[str, Paired], question: Question) -> str:
    rows = []
    for name, paired in variants.items():
        n, hits = len(paired.system), int(paired.system.sum())
        bounds = clopper_pearson(hits, n, side="one")
        control = int(paired.control.sum()) / n
        rows.append(IntervalRow(label=name, value=hits / n, low=bounds.low, high=bounds.high, control=control))
    title = f"Rehearsed federations that malicious clients subvert under {question.rule.name}"
    return ctx.plot(IntervalsPlot(title=title, x="share of federations subverted", rows=tuple(rows)))


def _remedy(question: Question, decision: Decision, status: Status) -> Remedy | None:
    if status is Status.FAIL:
        better = "median" if question.rule.name != "median" else None
        told = (
            "Take a rule that few clients can move less, vet who may take part" if better else "Vet who may take part"
        )
        return Remedy(
            parameter="federation.aggregation", direction="set", value=better,
            text=f"{told}, and rehearse the rule again on updates of your own clients.",
        )  # fmt: skip
    if decision.reason == "too-few-records":
        return Remedy(
            parameter="effort", direction="set", value="standard",
            text=f"Ask at effort standard, which rehearses {LEAST_RECORDS} federations.",
        )  # fmt: skip
    return None


def _limits(system: System, question: Question) -> Iterator[str]:
    shares = ", ".join(f"{share:.0%}" for share in question.shares)
    yield f"Malicious were {shares} of {question.clients} clients; more were not tried."
    rule, privacy = question.rule, system.federation.differential_privacy if system.federation else None
    if rule.number is None and rule.name not in ("mean", "median", "norm-clipping"):
        yield "The rule has no number: a fifth was trimmed at each end, and Krum reckoned with the most that it can."
    if rule.name == "norm-clipping":
        yield "Norms were clipped to the median of the round: a bound for another model says nothing here."
    if privacy is not None:
        yield "Clipping and noise of the declared differential privacy were not rehearsed."
    if rule == MEAN:
        yield "The declared rule is the plain mean, so it is its own control, and nothing had to be hidden from it."
