"""`compliance.judge`: is the reader of the documents fit to be believed."""

from collections.abc import Iterator

from compliance.assessment import Assessment
from compliance.calibration_file import Calibration
from compliance.calibration_records import Estimate
from compliance.reading import Reading, reading_of
from reports.check import Context, check
from reports.model import Finding, Interval, Measurement, Severity, Status, Strength, System, Threshold

_WHY = {
    "not_admitted": "The reader does not meet the calibration bar.",
    "expired": "The calibration of the reader is more than 90 days old.",
    "mismatch": "The calibration is that of another reader.",
    "uncalibrated": "The reader was never measured against legal experts.",
}


@check(
    "compliance.judge",
    "The reader of the documents was measured against legal experts and is fit to be believed",
    needs=("documents.judge|documents.assessment|run:judge",),
    strength=Strength.STATISTICAL,
    severity=Severity.MEDIUM,
)
def judge(system: System, ctx: Context) -> Iterator[Finding]:
    """Ask whether what the reader says may decide anything.

    Passes when the reader meets the calibration bar with a calibration that is its own and fresh, told planted gaps
    from sound excerpts in this very run, and nothing that was handed in is unpinned. Inconclusive otherwise, with the
    reason: the state of the calibration, `control-failed`, `unpinned:WHAT`, or what stopped the questions. Never fails:
    an unfit reader says nothing of the system. Skipped where nobody read.
    """
    reading = reading_of(system, ctx)
    assessment = reading.assessment
    if assessment is None or assessment.judge is None:
        yield ctx.finding(Status.SKIPPED, "Nobody read the documents.", reason="missing:judge")
        return
    status, summary, reason = _decided(reading, assessment)
    yield ctx.finding(
        status,
        summary,
        basis=reading.basis,
        detail=_detail(assessment),
        measurements=() if reading.calibration is None else _measurements(reading.calibration),
        evidence=reading.evidence,
        limitations=assessment.limitations,
        reason=reason,
    )


def _decided(reading: Reading, assessment: Assessment) -> tuple[Status, str, str]:
    state = reading.admission or "uncalibrated"
    planted = assessment.planted
    if reading.errors:
        return Status.INCONCLUSIVE, "Not every question could be asked of the reader.", reading.errors[0].code
    if state != "admitted":
        return Status.INCONCLUSIVE, _WHY[state], state.replace("_", "-")
    if not planted or not all(one.ok for one in planted):
        wrong = sum(not one.ok for one in planted)
        told = (
            f"The reader misread {wrong} of {len(planted)} planted excerpts." if planted else "No excerpt was planted."
        )
        return Status.INCONCLUSIVE, told, "control-failed"
    if reading.unpinned:
        named = ", ".join(reading.unpinned)
        return Status.INCONCLUSIVE, f"No policy pins what was handed in: {named}.", f"unpinned:{reading.unpinned[0]}"
    told = f"The reader meets the calibration bar and told all {len(planted)} planted excerpts apart."
    return Status.PASS, told, ""


def _measurements(calibration: Calibration) -> Iterator[Measurement]:
    kappa, missed = calibration.metrics.kappa_qw, calibration.false_compliant
    if isinstance(kappa, Estimate):
        interval = None
        if kappa.low is not None and kappa.high is not None:
            interval = Interval(low=kappa.low, high=kappa.high, confidence=0.95)
        yield Measurement(
            name="reader_kappa",
            value=kappa.value,
            interval=interval,
            n=calibration.n,
            method="quadratic-weighted kappa against experts' medians, percentile bootstrap over items",
            threshold=Threshold(op=">=", limit=0.65),
        )
    if missed.rate is not None:
        yield Measurement(
            name="reader_false_compliant",
            value=missed.rate,
            interval=Interval(low=0.0, high=missed.upper, confidence=0.95),
            n=missed.of,
            method="share of excerpts with a gap that were scored 4 or 5, Wilson's interval",
            threshold=Threshold(op="<=", limit=0.20),
        )


def _detail(assessment: Assessment) -> str:
    lines = [
        f"Planted {one.id}: a {one.expected} excerpt, scored {one.score if one.score is not None else 'not at all'}."
        for one in assessment.planted
    ]
    lines += [
        f"A duty of our invention put to {one.document}: {one.answer or 'no answer'}." for one in assessment.decoys
    ]
    return "\n".join(lines)
