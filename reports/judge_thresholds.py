"""Rules c and d of the judge: a limit is kept, or broken, only by the whole confidence interval.

An interval that straddles its limit is lack of trials, not a proven fault: both block, with different advice.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from fnmatch import fnmatchcase
from typing import Literal, NamedTuple

from reports.model import Finding, Measurement
from reports.nouns import Status, Strength
from reports.policy import Policy, ThresholdRule
from reports.verdict import Judgement, Outcome, called
from reports.wording import number

_DECIDED = (Status.PASS, Status.FAIL)


class Measured(NamedTuple):
    """A measurement and the finding that holds it."""

    finding: Finding
    measurement: Measurement


class Bounds(NamedTuple):
    """The ends of an interval; both the value where it is exact."""

    low: float
    high: float


def bounds(measurement: Measurement) -> Bounds:
    """Return the interval's ends, or the value twice where it has none."""
    interval = measurement.interval
    return Bounds(measurement.value, measurement.value) if interval is None else Bounds(interval.low, interval.high)


def judge_thresholds(findings: Mapping[str, Sequence[Finding]], policy: Policy) -> Iterator[Judgement]:
    """Rule c: every measurement that a threshold speaks of keeps its limit, and there is one."""
    for index, rule in enumerate(policy.threshold):
        place, found = f"threshold[{index}]", list(_measured(rule, findings))
        if not found:
            message = f"No finding of {rule.check} measured {rule.measurement}; run the check, or correct the name."
            yield Judgement(
                rule=place,
                check=rule.check,
                measurement=rule.measurement,
                outcome=Outcome.INCOMPLETE,
                code="threshold.missing",
                op=rule.op,
                limit=rule.limit,
                message=message,
            )
        for one in found:
            outcome, code, advice = _against_limit(one, rule, policy.confidence)
            yield _judgement(place, one, outcome, code, f"{_spoken(one, rule.limit)}: {advice}", held_to=rule)


def _measured(rule: ThresholdRule, findings: Mapping[str, Sequence[Finding]]) -> Iterator[Measured]:
    checks = [rule.check] if "*" not in rule.check else [check for check in findings if fnmatchcase(check, rule.check)]
    for check in checks:
        for finding in findings.get(check, ()):
            for measurement in finding.measurements:
                if measurement.name == rule.measurement:
                    yield Measured(finding, measurement)


def _against_limit(measured: Measured, rule: ThresholdRule, confidence: float) -> tuple[Outcome, str, str]:
    """Return outcome, code and advice; the first doubt in the order of the ladder counts."""
    finding, measurement = measured
    interval, trials = measurement.interval, measurement.n
    if finding.status not in _DECIDED:
        return (
            Outcome.INCOMPLETE,
            "threshold.control",
            f"the finding is {finding.status}, so its number decides nothing.",
        )
    if rule.min_n is not None and (trials is None or trials < rule.min_n):
        rests = "states no number of trials" if trials is None else f"rests on {trials} trials"
        return (
            Outcome.INCOMPLETE,
            "threshold.trials",
            f"{rests}, the policy asks for {rule.min_n}; run with more effort.",
        )
    if interval is None and finding.strength is not Strength.EXACT:
        return Outcome.INCOMPLETE, "threshold.confidence", "it has no interval, and its proof is not exact."
    if interval is not None and interval.confidence < confidence:
        advice = f"its interval holds with {interval.confidence:g}, the policy asks for {confidence:g}."
        return Outcome.INCOMPLETE, "threshold.confidence", advice
    low, high = bounds(measurement)
    worse, better = (high, low) if rule.op == "<=" else (low, high)
    if _keeps(worse, rule.op, rule.limit):
        return Outcome.OK, "ok", f"keeps {rule.op} {number(rule.limit)}."
    if not _keeps(better, rule.op, rule.limit):
        return Outcome.FAIL, "threshold.broken", f"breaks {rule.op} {number(rule.limit)}."
    needed = trials_to_decide(measurement, rule.limit)
    advice = f"about {needed:,} trials would decide" if needed else "more trials would not decide, so near is the value"
    return Outcome.INCOMPLETE, "threshold.undecided", f"the interval straddles {number(rule.limit)}; {advice}."


def _keeps(end: float, op: Literal["<=", ">="], limit: float) -> bool:
    return end <= limit if op == "<=" else end >= limit


def trials_to_decide(measurement: Measurement, limit: float) -> int | None:
    """Return roughly how many trials would take the limit out of the interval, if the value stays what it is.

    The width of an interval falls with the square root of n, so n · (half width / distance)²; None where n is not
    known, or where the value lies on the limit.
    """
    low, high = bounds(measurement)
    distance = abs(limit - measurement.value)
    arm = high - measurement.value if limit > measurement.value else measurement.value - low
    if not measurement.n or distance == 0:
        return None
    ratio = max((high - low) / 2, arm) / distance
    needed = measurement.n * ratio * ratio
    if not math.isfinite(needed) or needed > 1e12:
        return None
    step = int(10 ** max(0, math.floor(math.log10(max(needed, 1))) - 1))  # two digits: a rough figure looks rough
    return math.ceil(needed / step) * step


def judge_regressions(
    findings: Mapping[str, Sequence[Finding]], policy: Policy, baseline: Mapping[str, Sequence[Finding]] | None
) -> Iterator[Judgement]:
    """Rule d: the worse end of an interval moved no further than allowed, and no answer got lost."""
    for index, rule in enumerate(policy.threshold):
        if rule.max_regression is not None:
            place = f"threshold[{index}].max_regression"
            if baseline is None:
                message = "No baseline was given, so nothing was compared; give --baseline."
                yield Judgement(
                    rule=place, check=rule.check, outcome=Outcome.WARN, code="regression.no_baseline", message=message
                )
            else:
                yield from _steps(place, rule, rule.max_regression, findings, baseline)
    for check, earlier in (baseline or {}).items():
        yield from _lost(check, earlier, findings.get(check, ()), policy)


def _steps(
    place: str,
    rule: ThresholdRule,
    allowed: float,
    findings: Mapping[str, Sequence[Finding]],
    baseline: Mapping[str, Sequence[Finding]],
) -> Iterator[Judgement]:
    old: dict[str, list[Bounds]] = {}
    for finding, measurement in _measured(rule, baseline):
        if finding.status in _DECIDED:
            old.setdefault(finding.fingerprint, []).append(bounds(measurement))
    for one in _measured(rule, findings):
        if one.finding.status not in _DECIDED:
            continue  # rule c has said so
        low, high = bounds(one.measurement)
        earlier = old.get(one.finding.fingerprint)
        if earlier is None:
            message = f"{_spoken(one, rule.limit)}: is not in the baseline, so nothing was compared."
            yield _judgement(place, one, Outcome.WARN, "regression.new", message)
            continue
        step = high - min(e.high for e in earlier) if rule.op == "<=" else max(e.low for e in earlier) - low
        worse = step > allowed
        moved = f"its worse end moved by {step:.4g}, allowed is {allowed:g}"  # a step may be infinite: no `number`
        message = f"{_spoken(one, rule.limit)}: {moved}."
        outcome, code = (Outcome.FAIL, "regression") if worse else (Outcome.OK, "ok")
        yield _judgement(place, one, outcome, code, message)


def _lost(check: str, earlier: Sequence[Finding], now: Sequence[Finding], policy: Policy) -> Iterator[Judgement]:
    """Yield one judgement for a check that passed in the baseline and now answers nothing, or no longer there.

    A failure that rule a lets through is no answer here: else it would be worth more than silence.
    """
    passed = {finding.fingerprint for finding in earlier if finding.status is Status.PASS}
    if not passed:
        return
    answers = {finding.fingerprint for finding in now if _answers(finding, policy)}
    lost = [finding for finding in now if finding.fingerprint in passed - answers]
    if answers and not lost:
        return
    yield Judgement(
        rule="baseline",
        check=check,
        key=lost[0].key if lost else "",
        fingerprint=lost[0].fingerprint if lost else None,
        outcome=Outcome.INCOMPLETE,
        code="regression.lost",
        message=f"{check} passed in the baseline and {_became(lost, now)}.",
    )


def _answers(finding: Finding, policy: Policy) -> bool:
    return finding.status is Status.PASS or (finding.status is Status.FAIL and policy.blocks(finding.severity))


def _became(lost: Sequence[Finding], now: Sequence[Finding]) -> str:
    if not now:
        return "is absent now; run it as before"
    if not lost:
        return "does not answer now; run it as before"
    if lost[0].status is Status.FAIL:
        return f"fails now, too mildly for fail_on to block: {lost[0].summary.rstrip('.')}"
    return f"is {lost[0].status} now; run it as before"


def _judgement(
    place: str, measured: Measured, outcome: Outcome, code: str, message: str, held_to: ThresholdRule | None = None
) -> Judgement:
    finding, measurement = measured
    low, high = bounds(measurement)
    return Judgement(
        rule=place,
        check=finding.check,
        key=finding.key,
        fingerprint=finding.fingerprint,
        measurement=measurement.name,
        outcome=outcome,
        code=code,
        value=measurement.value,
        low=low,
        high=high,
        n=measurement.n,
        op=held_to.op if held_to else None,
        limit=held_to.limit if held_to else None,
        message=message,
    )


def _spoken(measured: Measured, limit: float) -> str:
    """Name a measurement and its numbers, never rounded onto the limit."""
    finding, measurement = measured
    low, high = bounds(measurement)
    ends = f" [{number(low, (limit,))}, {number(high, (limit,))}]" if measurement.interval is not None else ""
    return f"{called(finding)} {measurement.name} = {number(measurement.value, (limit,))}{ends}"
