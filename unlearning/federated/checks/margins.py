"""What KLoM says of a method, part by part of the data: figures and a picture; it decides nothing."""

from reports.model import Measurement
from reports.plot import IntervalRow, IntervalsPlot
from unlearning.verification.answers import Part
from unlearning.verification.margins import MarginDivergence
from unlearning.verification.suite import VerificationReport

PARTS: dict[Part, str] = {"forget": "forget set", "retain": "retained", "test": "test set"}
NO_MARGINS = "KLoM, the divergence of margins, is measured at effort full alone."
BY_CHANCE = "KLoM of few models is large by chance: read it beside its control, never against zero. It decides nothing."


def margin_measurements(report: VerificationReport) -> list[Measurement]:
    """Return the 95th percentile of KLoM of each part, beside the control's; none below effort full."""
    return [
        Measurement(
            name=f"klom_{part}", value=found.value, unit="nats", interval=found.interval, n=found.models,
            method=f"95th percentile over {found.examples} examples of KLoM (arXiv:2410.23232) against "
            f"{found.references} references; control: more references; jackknife over models",
            control=control.value,
        )
        for part, (found, control) in _pairs(report).items()
    ]  # fmt: skip


def margin_plot(report: VerificationReport) -> IntervalsPlot | None:
    """Return unlearned models beside the control, part by part; None below effort full."""
    rows = []
    for part, pair in _pairs(report).items():
        for label, one in zip((PARTS[part], f"{PARTS[part]} (control)"), pair, strict=True):
            rows.append(IntervalRow(label=label, value=one.value, low=one.interval.low, high=one.interval.high))
    title = "Divergence of margins of unlearned models from retrained ones; control: more retrained models"
    return IntervalsPlot(title=title, x="KLoM, 95th percentile (nats)", rows=tuple(rows)) if rows else None


def _pairs(report: VerificationReport) -> dict[Part, tuple[MarginDivergence, MarginDivergence]]:
    """Return KLoM of the unlearned models and of the control, by part."""
    found = {part: (report.margins(part), report.margins(part, control=True)) for part in PARTS}
    return {part: (one, other) for part, (one, other) in found.items() if one is not None and other is not None}
