"""What forgetting did beside: how the forgotten is learnt again, and what neighbours are exposed to; in figures."""

import numpy as np

from reports.model import Effort, Measurement
from reports.plot import IntervalRow, IntervalsPlot, LinePlot, LineSeries
from unlearning.verification.exposure import Exposure
from unlearning.verification.membership import Membership
from unlearning.verification.relearn import Anamnesis
from unlearning.verification.relearning import Relearning
from unlearning.verification.suite import VerificationReport
from unlearning.verification.thresholds import Thresholds

ONE_RUN = "Each model learnt the forgotten again once, on one order of batches: a screening."
AT_CHANCE = (
    "The model before knows the forget set no better than chance, so a model that knows nothing gets there, too."
)
NOT_RELEARNT = "How quickly the forgotten is learnt again was not measured; effort full does."
NO_RELEARNING = (
    "How quickly the forgotten is learnt again was not measured: there is no model before, there are no references of "
    "the same length, or the training diverges."
)
CHOSEN = "No [[data]] of role neighbours is declared, so the retained examples nearest in input space were taken."
NO_NEIGHBOURS = "Whether neighbours of the forgotten were exposed was not measured: no model before, or no neighbour."


def side_effect_measurements(report: VerificationReport) -> list[Measurement]:
    """Return the anamnesis index, where there is one, and what neighbours are exposed to."""
    found: list[Measurement] = []
    if (learnt := report.relearning) is not None:
        found += _of_relearning(learnt, report.thresholds)
    if (exposed := report.exposure) is not None:
        found += _of_exposure(exposed)
    return found


def side_effect_plots(report: VerificationReport) -> list[LinePlot | IntervalsPlot]:
    """Return the curves of learning again, and the neighbours beside everybody and beside retrained models."""
    found: list[LinePlot | IntervalsPlot] = []
    if (learnt := report.relearning) is not None and learnt.steps:
        found.append(_curves(learnt))
    if (exposed := report.exposure) is not None:
        found.append(_rows(exposed))
    return found


def side_effect_limitations(report: VerificationReport) -> list[str]:
    """Return what was not measured, and what the figures do not say."""
    found = []
    if (learnt := report.relearning) is None:
        found.append(NO_RELEARNING if report.evidence.effort is Effort.FULL else NOT_RELEARNT)
    else:
        found.append(ONE_RUN if (why := _why_no_index(learnt)) is None else why)
        if learnt.goal >= learnt.chance:
            found.append(AT_CHANCE)
    if report.exposure is None:
        found.append(NO_NEIGHBOURS)
    elif not report.evidence.neighbours_declared:
        found.append(CHOSEN)
    return found


def _why_no_index(learnt: Relearning) -> str | None:
    index = learnt.index()
    if index.reason == "too-quick":
        return "Retrained models learn the forgotten again in fewer than ten steps, too few to compare."
    if index.reason == "budget":
        lacking = sum(one is None for one in index.oracle_steps)
        return (
            f"{lacking} of {len(index.oracle_steps)} retrained models did not learn the forgotten again within "
            f"{learnt.steps} steps, so there is no index."
        )
    return None


def _of_relearning(learnt: Relearning, limits: Thresholds) -> list[Measurement]:
    index: Anamnesis = learnt.index()
    if index.value is None or index.interval is None:
        return []
    reached = f"{index.steps}" if index.steps is not None else f"not within {learnt.steps}"
    return [
        Measurement(
            name="anamnesis_index", value=index.value, interval=index.interval, n=len(index.oracle_steps),
            method=f"steps ({reached}) to the loss before, + 5 %, over the mean of retrained models "
            f"(arXiv:2201.05629), at rate {learnt.learning_rate:g}; control: originals; fails where the interval lies "
            f"above {limits.most_anamnesis:g}",
            control=learnt.control(),
        )
    ]  # fmt: skip


def _of_exposure(exposed: Exposure) -> list[Measurement]:
    def area(name: str, side: Membership, of: str, control: float | None) -> Measurement:
        return Measurement(
            name=name, value=side.auc, interval=side.interval, n=side.first, control=control,
            method=f"AUC of -loss, after against before, on {of}; 0.5 where both know them alike; DeLong, two-sided",
        )  # fmt: skip

    retrained = float(exposed.references.mean()) if len(exposed.references) else None
    of = "retained neighbours of the forget set" + ("" if retrained is None else "; control: retrained models")
    found = [area("neighbour_exposure_auc", exposed.neighbours, of, retrained)]
    if exposed.retained is not None:
        found.append(area("retained_exposure_auc", exposed.retained, "retained examples at large", None))
    return found


def _curves(learnt: Relearning) -> LinePlot:
    sides = {
        "delivered model": learnt.delivered,
        "retrained (floor)": learnt.references.mean(axis=0),
        "originals (control)": learnt.originals.mean(axis=0),
    }
    steps = tuple(float(step) for step in range(learnt.steps + 1))
    series = tuple(
        LineSeries(label=label, x=steps, y=tuple(round(float(loss), 6) for loss in curve))
        for label, curve in sides.items()
    )
    title = "Learning the forget set again, means of models; the limit is the loss of the model before, + 5 %"
    return LinePlot(title=title, x="steps", y="mean loss (nats)", series=series, limit=learnt.reached_at)


def _rows(exposed: Exposure) -> IntervalsPlot:
    sides = {"neighbours": exposed.neighbours, "all retained": exposed.retained}
    rows = [
        IntervalRow(label=label, value=side.auc, low=side.interval.low, high=side.interval.high)
        for label, side in sides.items()
        if side is not None
    ]
    if models := len(exposed.references):
        low, high = (float(end) for end in np.quantile(exposed.references, [0.025, 0.975]))
        mean = float(exposed.references.mean())
        rows.append(IntervalRow(label=f"{models} retrained (floor)", value=mean, low=low, high=high))
    title = "Retained examples near to the forgotten: above 0.5 they are known better than before"
    return IntervalsPlot(title=title, x="AUC of -loss, after against before", rows=tuple(rows))
