"""The numbers and pictures of a verification: each figure with its interval, its trials and what it is held against."""

import numpy as np

from reports.model import Interval, Measurement, Threshold
from reports.plot import HistogramPlot, HistogramSample, IntervalRow, IntervalsPlot, RocPlot, RocSeries
from unlearning.verification.distance import FloorRatio
from unlearning.verification.evidence import Reference
from unlearning.verification.judge_method import MethodVerdict
from unlearning.verification.judge_residual import ResidualVerdict
from unlearning.verification.likelihood_ratio import ULiraResult
from unlearning.verification.rank import RankResult, ResidualShare
from unlearning.verification.scores import Array
from unlearning.verification.thresholds import Thresholds

BINS = 24
"""Of a histogram of shares."""
MOST_POINTS = 200
"""Of one curve."""
MIDDLE = 0.95
"""Of the models, that a row of a plot spans."""
DECIMALS = 12
"""Of a mean of shares; what lies beyond is rounding."""


def at_most(limit: float) -> Threshold:
    """Return a limit from above."""
    return Threshold(op="<=", limit=limit)


def at_least(limit: float) -> Threshold:
    """Return a limit from below."""
    return Threshold(op=">=", limit=limit)


def rank_measurements(
    rank: RankResult, reference: Reference, limits: Thresholds, *, decides: bool
) -> list[Measurement]:
    """Return the figures of a rank test; without limits where it does not decide."""
    power = Measurement(
        name="rank_power", value=rank.power, interval=rank.power_interval, n=len(rank.originals.statistic),
        method="share of held-out originals that the same test rejects; Clopper-Pearson, two-sided",
        threshold=at_least(limits.least_power) if decides else None, control=rank.level,
    )  # fmt: skip
    return [*standing(rank, reference.kind, at_most(limits.most_residual) if decides else None), power]


def standing(rank: RankResult, kind: str, limit: Threshold | None = None, prefix: str = "") -> list[Measurement]:
    """Return where a model stands among references of a kind: its share of the trace, where there is one, and p."""
    oracles = len(rank.oracles.statistic)
    found = [
        Measurement(
            name=f"{prefix}rank_p_value", value=rank.p_value, n=oracles,
            method=f"exact rank test among {oracles} {kind} references, rejected from {rank.level:g} (Barnard 1963)",
        )
    ]  # fmt: skip
    if (residual := rank.residual) is not None:
        share = Measurement(
            name=f"{prefix}residual_influence_share", value=residual.value, interval=residual.interval, n=oracles,
            method=f"projection on the originals' trace, by {oracles} {kind} references; 0 like a retrained model",
            threshold=limit, control=float(residual.originals.mean()),
        )  # fmt: skip
        found.insert(0, share)
    return found


def ratio_measurement(name: str, ratio: FloorRatio, limits: Thresholds, control: FloorRatio | None) -> Measurement:
    """Return a Jensen-Shannon ratio to the floor of retrained models, beside that of the model before."""
    return Measurement(
        name=name, value=ratio.value, interval=ratio.interval, n=ratio.oracles,
        method="mean Jensen-Shannon divergence to the oracles over theirs to one another; jackknife over oracles",
        threshold=at_most(limits.most_floor_ratio), control=None if control is None else control.value,
    )  # fmt: skip


def method_measurements(verdict: MethodVerdict, limits: Thresholds) -> list[Measurement]:
    """Return the figures of U-LiRA and of the forgetting quality."""
    how = "U-LiRA (arXiv:2403.01218), 4 folds over models; the larger of exchange and bootstrap over models"
    n = verdict.models

    def area(name: str, side: ULiraResult, threshold: Threshold | None, control: float | None) -> Measurement:
        return Measurement(
            name=name, value=side.auc, interval=side.interval, n=n, method=how, threshold=threshold, control=control
        )

    return [
        area("u_lira_auc", verdict.unlearned, at_most(limits.highest_auc), verdict.original.auc),
        area("u_lira_control_auc", verdict.control, None, None),
        area("u_lira_original_auc", verdict.original, at_least(limits.least_original_auc), None),
        Measurement(
            name="u_lira_tpr_at_1_percent", value=verdict.unlearned.tpr_at_1_percent,
            interval=verdict.unlearned.tpr_interval, n=n, method=how, threshold=at_most(limits.most_found),
            control=verdict.original.tpr_at_1_percent,
        ),
        Measurement(
            name="exposed_examples", value=verdict.unlearned.exposed_share, n=n,
            method=f"share of examples with an AUC above 0.9; of the control {verdict.control.exposed_share:.3f}",
            control=verdict.original.exposed_share,
        ),
        Measurement(
            name="forgetting_quality", value=verdict.quality.score, n=n,
            method=f"F of arXiv:2406.09073, biased by the number of models; the control's is "
            f"{verdict.control_quality.score:.3f}",
        ),
        Measurement(
            name="forgetting_quality_share", value=verdict.quality_share, n=n, method="F over that of the control",
            threshold=at_least(limits.least_quality),
        ),
    ]  # fmt: skip


def share_plots(
    verdict: ResidualVerdict, before: RankResult | None, limits: Thresholds
) -> list[IntervalsPlot | HistogramPlot]:
    """Return where the delivered model stands between retrained models and originals, and how those scatter."""
    rank = verdict.rank
    if rank is None or rank.residual is None:
        return []
    residual = rank.residual
    rows = [
        IntervalRow(
            label="delivered model", value=residual.value, low=residual.interval.low, high=residual.interval.high,
            limit=limits.most_residual, control=1.0,
        ),
        _span(f"{len(residual.oracles)} retrained (floor)", residual.oracles),
        _span(f"{len(residual.originals)} originals (control)", residual.originals),
    ]  # fmt: skip
    if before is not None and before.residual is not None:
        rows.append(IntervalRow(label="model before", value=before.residual.value))
    title = "Share of the original's trace: 0 like a retrained model, 1 like one that saw the data"
    return [IntervalsPlot(title=title, x="residual influence share", rows=tuple(rows)), _histogram(residual)]


def ratio_plot(
    rows: dict[str, FloorRatio], limits: Thresholds | None, x: str = "Jensen-Shannon ratio"
) -> IntervalsPlot:
    """Return distances to retrained models in units of the floor; without limits where they decide nothing."""
    limit = None if limits is None else limits.most_floor_ratio
    drawn = [
        IntervalRow(label=label, value=one.value, low=one.interval.low, high=one.interval.high, limit=limit)
        for label, one in rows.items()
    ]
    drawn.append(IntervalRow(label="retrained models (floor)", value=1.0))
    title = "Distance to retrained models, over theirs to one another"
    return IntervalsPlot(title=title, x=x, rows=tuple(drawn))


def method_plots(verdict: MethodVerdict, limits: Thresholds) -> list[IntervalsPlot | RocPlot]:
    """Return what U-LiRA tells apart: unlearned models, the control, and originals that forgot nothing."""
    sides = {
        "as asked": (verdict.unlearned, limits.highest_auc),
        "more references (control)": (verdict.control, None),
        "nothing forgotten": (verdict.original, None),
    }
    rows = tuple(
        IntervalRow(label=label, value=side.auc, low=side.interval.low, high=side.interval.high, limit=limit)
        for label, (side, limit) in sides.items()
    )
    curves = tuple(_curve(label, side) for label, (side, _) in sides.items())
    return [
        IntervalsPlot(title="Can unlearned models be told from retrained ones?", x="AUC of U-LiRA", rows=rows),
        RocPlot(title="Unlearned models and examples found, by false-positive rate", series=curves),
    ]


def plain(interval: Interval) -> str:
    """Return an interval in percent, such as `-7 % to 25 %`."""
    return f"{interval.low:.0%} to {interval.high:.0%}"


def _span(label: str, values: Array) -> IntervalRow:
    low, high = np.quantile(values, [(1 - MIDDLE) / 2, (1 + MIDDLE) / 2])
    mean = round(float(values.mean()), DECIMALS) + 0.0  # centred shares leave a mean of 1e-18, or of -0
    return IntervalRow(label=label, value=mean, low=float(low), high=float(high))


def _histogram(residual: ResidualShare) -> HistogramPlot:
    """Return both sides' shares over common bins, the delivered model's named in the axis."""
    everything = np.concatenate([residual.oracles, residual.originals, [residual.value]])
    room = 1e-6 * max(1.0, float(np.abs(everything).max()))  # bins have a width, even where all shares are one
    edges = np.linspace(everything.min(), everything.max() + room, BINS + 1)
    samples = tuple(
        HistogramSample(label=label, counts=tuple(int(count) for count in np.histogram(values, edges)[0]))
        for label, values in (("retrained models", residual.oracles), ("originals", residual.originals))
    )
    x = f"residual influence share; the delivered model lies at {residual.value:.2f}"
    title = "Retrained models and originals along the originals' trace"
    return HistogramPlot(title=title, x=x, edges=tuple(float(edge) for edge in edges), samples=samples)


def _curve(label: str, side: ULiraResult) -> RocSeries:
    """Return the share of unlearned (model, example) pairs above each threshold, by that of the references."""
    mine, theirs = np.sort(side.unlearned_ratios.ravel()), np.sort(side.reference_ratios.ravel())[::-1]
    rates = np.unique(np.geomspace(1 / len(theirs), 1, MOST_POINTS))
    places = np.minimum((rates * len(theirs)).astype(np.int64), len(theirs) - 1)
    found = 1 - np.searchsorted(mine, theirs[places], side="right") / len(mine)
    return RocSeries(
        label=label,
        fpr=tuple(round(float(rate), 6) for rate in places / len(theirs)),
        tpr=tuple(round(float(rate), 6) for rate in np.maximum.accumulate(found)),
    )
