"""What a finding of `dp.lower-bound` says: a claim held against what canaries prove, in words, numbers and pictures."""

from dataclasses import dataclass

import numpy as np

from audit.dp.bar import epsilon_bar, recomputed
from audit.dp.canary_scores import CanaryScores
from audit.dp.claim import Claim
from audit.dp.lower_bound import (
    ALPHA,
    NOT_NORMAL,
    POWER,
    LowerBound,
    canaries_needed,
    gaussian_power,
    lower_bound,
    one_run_power,
)
from reports.check import Context
from reports.model import Basis, Finding, Interval, Measurement, Remedy, Status, Strength, System, Threshold
from reports.plot import HistogramPlot, HistogramSample, IntervalRow

SIMULATED, FEWEST_SIMULATED = 200, 20
"""Runs in which the power of the one-run route is counted; fewer where canaries are very many."""
MOST_SIMULATED = 4_000_000
"""Scores that are drawn for it in all, beyond the fewest runs."""
BINS = 30


@dataclass(frozen=True)
class _Judged:
    """A claim beside what the canaries prove."""

    claim: Claim
    found: LowerBound
    control: LowerBound | None
    power: float
    """Probability of noticing half of the claimed noise."""

    @property
    def decided(self) -> tuple[Status, str]:
        """Status and reason."""
        if self.found.low > self.claim.epsilon:
            return Status.FAIL, ""
        if self.control is None:
            return Status.INCONCLUSIVE, "missing:control_score"
        if self.control.low <= self.claim.epsilon:
            return Status.INCONCLUSIVE, "control-failed"
        return (Status.PASS, "") if self.power >= POWER else (Status.INCONCLUSIVE, "too-few-records")


def held_against(
    claim: Claim, scores: CanaryScores, system: System, ctx: Context, *, key: str = "", rehearsed: bool = False
) -> Finding:
    """Return the finding on one claim.

    Args:
        claim: With its delta.
        scores: Of the canaries, and of the control.
        system: Whose claim it is.
        ctx: Of the check.
        key: Tells findings apart.
        rehearsed: Whether the canaries ran in a rehearsal, and not in the system.

    Raises:
        ValueError: the claim has no delta.
    """
    delta = claim.delta
    if delta is None:
        raise ValueError("a claim without delta bounds nothing")
    own, clear = scores.system, scores.control
    found = lower_bound(own.score, own.included, delta=delta)
    control = None if clear is None else lower_bound(clear.score, clear.included, delta=delta)
    if found.gaussian is not None:
        power = gaussian_power(found.canaries, claim.epsilon, delta)
    else:
        runs = _simulated_runs(found.canaries)
        power = one_run_power(found.canaries, claim.epsilon, delta, ctx.rng(f"power{key}"), runs)
    judged = _Judged(claim, found, control, power)
    status, reason = judged.decided
    measured = IntervalRow(label="measured, at least", value=found.low, low=found.low, high=found.high)
    evidence = [ctx.plot(epsilon_bar(claim, recomputed(system, claim), measured)), ctx.plot(_histogram(scores))]
    return ctx.finding(
        status,
        _summary(judged, status, reason),
        key=key,
        strength=Strength.SCREENING if rehearsed and status is not Status.FAIL else None,
        basis=Basis.MEASURED if rehearsed else Basis.RECORDED,
        detail=_detail(judged),
        measurements=_measurements(judged),
        evidence=evidence,
        remedy=_remedy(judged, status, reason),
        limitations=_limitations(judged, rehearsed=rehearsed),
        reason=reason,
    )


def _simulated_runs(canaries: int) -> int:
    return min(SIMULATED, max(FEWEST_SIMULATED, MOST_SIMULATED // canaries))


def _summary(judged: _Judged, status: Status, reason: str) -> str:
    found, claim = judged.found, judged.claim
    proved = f"{found.canaries} canaries prove an epsilon of at least {found.low:.3g} at delta {claim.delta:g}"
    if status is Status.FAIL:
        return f"{proved}, with 95 % confidence; {claim.epsilon:g} is claimed."
    if status is Status.PASS:
        return f"{proved}; the {claim.epsilon:g} claimed stands, and half of its noise would have been noticed."
    if judged.control is None:
        return f"{proved}, below the claim; without scores of a run without noise nobody knows what they can prove."
    if reason == "control-failed":
        return f"The canaries cannot refute {claim.epsilon:g}: without any noise they prove {judged.control.low:.3g}."
    return f"{proved}; half of the noise behind {claim.epsilon:g} would go unnoticed in {1 - judged.power:.0%} of runs."


def _detail(judged: _Judged) -> str:
    found = judged.found
    lines = [
        f"One run: {found.right} of {found.guesses} guesses right, epsilon at least {found.one_run:.4g}.",
        f"Normality (Anderson-Darling), smaller p-value of the two groups: {found.normality:.2g}.",
    ]
    if found.gaussian is None:
        lines.append("The distance of the groups was not used: their scores are not normal.")
    else:
        bounds = f"[{found.gaussian.low:.4g}, {found.gaussian.high:.4g}]"
        lines.append(f"Distance of the groups: {found.gaussian.effect:.4g} standard deviations, epsilon in {bounds}.")
    if judged.control is not None:
        lines.append(f"Positive control, a run without noise: epsilon at least {judged.control.low:.4g}.")
    lines.append(f"Power against half of the claimed noise: {judged.power:.2f}.")
    return "\n".join(lines)


def _measurements(judged: _Judged) -> tuple[Measurement, ...]:
    found, claim = judged.found, judged.claim
    return (
        Measurement(
            name="epsilon_lower_bound",
            value=found.low,
            interval=Interval(low=found.low, high=found.high, confidence=1 - 2 * ALPHA),
            n=found.canaries,
            method=f"{found.route}; one-sided bounds, 95 %",
            threshold=Threshold(op="<=", limit=claim.epsilon),
            control=None if judged.control is None else judged.control.low,
        ),
        Measurement(name="epsilon_claimed", value=claim.epsilon, method=f"as declared in {claim.parameter}"),
        Measurement(
            name="power",
            value=judged.power,
            method="probability of refuting the claim if half of its noise were missing"
            + ("" if found.gaussian is not None else f", {_simulated_runs(found.canaries)} simulated runs"),
            threshold=Threshold(op=">=", limit=POWER),
        ),
    )


def _histogram(scores: CanaryScores) -> HistogramPlot:
    own = scores.system
    edges = np.histogram_bin_edges(own.score, bins=BINS)
    if not (np.diff(edges) > 0).all():  # all scores alike
        edges = np.array([own.score[0] - 0.5, own.score[0] + 0.5])
    samples = tuple(
        HistogramSample(label=label, counts=tuple(int(count) for count in np.histogram(group, bins=edges)[0]))
        for label, group in (("took part", own.score[own.included]), ("did not", own.score[~own.included]))
    )
    return HistogramPlot(
        title="Scores of the canaries", x="score", edges=tuple(float(edge) for edge in edges), samples=samples
    )


def _remedy(judged: _Judged, status: Status, reason: str) -> Remedy | None:
    claim, found = judged.claim, judged.found
    if status is Status.FAIL:
        text = "Find out where more leaves than was accounted for: look for missing noise, clipping or sampling."
        return Remedy(parameter=claim.parameter, direction="raise", value=f"{found.low * 1.005:.3g}", text=text)
    if reason == "missing:control_score":
        text = "Add control_score and control_included, from a run of the same canaries without noise."
        return Remedy(parameter="data.canary-scores", direction="add", value="control_score", text=text)
    if reason == "control-failed":
        text = "Give the canaries a stronger signal, or use more of them: without noise they must give themselves away."
        return Remedy(parameter="data.canary-scores", direction="set", text=text)
    if reason == "too-few-records":
        value = str(canaries_needed(claim.epsilon, claim.delta or 0.5)) if found.gaussian is not None else None
        text = f"Plant {value} canaries or more." if value else "Plant more canaries, of scores that are normal."
        return Remedy(parameter="data.canary-scores", direction="add", value=value, text=text)
    return None


def _limitations(judged: _Judged, *, rehearsed: bool) -> tuple[str, ...]:
    found = judged.found
    said = [
        "A lower bound can refute a claim; it cannot show that the claim holds.",
        "The mechanism was rehearsed as declared, on the declared model; the code that adds the noise did not run."
        if rehearsed
        else "The scores are taken to be the declared system's, of canaries that a fair coin chose.",
    ]
    if found.gaussian is not None:
        said.append("The bound by distance takes the scores of both groups to be normal, of equal variance.")
    else:
        said.append(f"The scores are not normal (p below {NOT_NORMAL:g}), and guesses in one run prove less.")
    return tuple(said)
