"""The check `dp.lower-bound`: whether canaries refute the epsilon that is claimed."""

from collections.abc import Iterator
from dataclasses import dataclass

from audit.dp.bar import epsilon_bar, recomputed
from audit.dp.canary_scores import CanaryScores, read_canary_scores
from audit.dp.claim import Claim, claims_of
from audit.dp.comparison import SECTION
from audit.dp.gaussian import gdp_mu
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
from reports.check import Context, check
from reports.model import (
    Basis,
    Finding,
    Interval,
    Measurement,
    Remedy,
    Severity,
    Status,
    Strength,
    System,
    Threshold,
)
from reports.plot import HistogramPlot, HistogramSample, IntervalRow

SIMULATED = 200
"""Runs in which the power of the one-run route is counted."""
BINS = 30
_GRAVITY = (Status.PASS, Status.INCONCLUSIVE, Status.FAIL)


@check(
    "dp.lower-bound",
    "No canary refutes the claimed epsilon",
    needs=("data.canary-scores",),
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
    with too few canaries for the claim (`too-few-records`), and without a claim.
    """
    files = [(index, entry.path) for index, entry in enumerate(system.data) if entry.role == "canary-scores"]
    claims = claims_of(system)
    for index, artifact in files:
        scores = read_canary_scores(ctx.folder, artifact, f"data[{index}]")
        key = artifact.path[:200] if len(files) > 1 else ""
        complete = [claim for claim in claims if claim.delta is not None]
        if not complete:
            yield _without_claim(claims, key, ctx)
            continue
        findings = [_held_against(claim, scores, system, key, ctx) for claim in complete]
        yield max(findings, key=lambda finding: _GRAVITY.index(finding.status))  # one false claim is a false claim


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


def _held_against(claim: Claim, scores: CanaryScores, system: System, key: str, ctx: Context) -> Finding:
    delta = claim.delta
    if delta is None:
        raise ValueError("a claim without delta bounds nothing")
    own, clear = scores.system, scores.control
    found = lower_bound(own.score, own.included, delta=delta)
    control = None if clear is None else lower_bound(clear.score, clear.included, delta=delta)
    if found.gaussian is not None:
        power = gaussian_power(found.canaries, claim.epsilon, delta)
    else:
        power = one_run_power(found.canaries, claim.epsilon, delta, ctx.rng(f"power{key}"), SIMULATED)
    judged = _Judged(claim, found, control, power)
    status, reason = judged.decided
    measured = IntervalRow(label="measured, at least", value=found.low, low=found.low, high=found.high)
    evidence = [ctx.plot(epsilon_bar(claim, recomputed(system, claim), measured)), ctx.plot(_histogram(scores))]
    return ctx.finding(
        status,
        _summary(judged, status, reason),
        key=key,
        basis=Basis.RECORDED,
        detail=_detail(judged),
        measurements=_measurements(judged),
        evidence=evidence,
        remedy=_remedy(judged, status, reason),
        limitations=_limitations(judged),
        reason=reason,
    )


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
            + ("" if found.gaussian is not None else f", {SIMULATED} simulated runs"),
            threshold=Threshold(op=">=", limit=POWER),
        ),
    )


def _histogram(scores: CanaryScores) -> HistogramPlot:
    import numpy as np

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


def _limitations(judged: _Judged) -> tuple[str, ...]:
    found = judged.found
    said = [
        "A lower bound can refute a claim; it cannot show that the claim holds.",
        "The scores are taken to come from canaries that a fair coin chose, and from the system that is declared.",
    ]
    if found.gaussian is not None:
        mu = gdp_mu(judged.claim.epsilon, judged.claim.delta or 0.5)
        said.append(
            f"The bound by distance takes scores to be normal, of equal variance; a claim of {mu:.3g} standard "
            "deviations was held against it."
        )
    else:
        said.append(f"The scores are not normal (p below {NOT_NORMAL:g}), and guesses in one run prove less.")
    return tuple(said)


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
