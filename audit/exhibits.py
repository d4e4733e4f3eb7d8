"""What a reconstruction leaves behind: measurements, a plot of the arms, arrays, and pictures where records are such.

Arrays and pictures are restricted evidence; the plots that point at them by digest are internal.
"""

import io
import math
from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from audit.arms import Played
from audit.decision import Arms, Decision
from audit.identify import nearest_distance, psnr
from audit.scene import Scene
from reports.context import Context
from reports.model import Confidentiality, Interval, Measurement, Threshold
from reports.plot import ImageRow, ImagesPlot, IntervalRow, IntervalsPlot
from reports.png import PNG_MEDIA_TYPE, encode_png
from reports.statistics import clopper_pearson

Array = npt.NDArray[np.float64]

MOST_PICTURES = 8
"""Records shown as pictures."""
LEAST_PIXELS = 64
"""Vectors shorter than this are not taken for square pictures."""
HIGHEST_PSNR = 200.0
"""Reported for reconstructions without error, in dB: no number is infinite."""
ONE_SIDED = "one-sided Clopper-Pearson bounds, 95 % each"


def arm_measurements(arms: Arms, decision: Decision, name: str, method: str) -> list[Measurement]:
    """Return the headline `name` with its chance, null and control, as every reconstruction check reports them."""
    n = decision.records
    if n == 0:
        return []
    control = decision.control_hits / n
    headline = Measurement(
        name=name,
        value=decision.hits / n,
        interval=Interval(low=decision.low, high=decision.high, confidence=0.95),
        n=n,
        method=f"{method}; {ONE_SIDED}",
        threshold=Threshold(op="<=", limit=decision.limit),
        control=control,
    )
    return [
        headline,
        Measurement(name="chance", value=arms.chance, method="share that a guess at random gets right"),
        _share(f"null_{name}", decision.null_hits, n, "the same attack on views of other records"),
        _share(
            f"control_{name}",
            decision.control_hits,
            n,
            "the same attack on unprotected twins, the weakest reading called for",
        ),
    ]


def likeness_measurements(scene: Scene, played: Played, decision: Decision) -> list[Measurement]:
    """Return the secondary figures, which decide nothing: exact records, reconstruction rate, median PSNR."""
    n = decision.records
    if n == 0:
        return []
    found = [
        Measurement(
            name="exact_records", value=float(decision.exact), n=n,
            method="records back with a largest error of 0.1 % of the range",
        )
    ]  # fmt: skip
    truth = scene.candidates[played.used]
    made = np.isfinite(played.best).all(axis=1)
    error = np.where(made, np.sqrt(((np.nan_to_num(played.best) - truth) ** 2).sum(axis=1)), np.inf)
    low, high = scene.span
    neighbour = ""
    if scene.reference is not None:
        public = nearest_distance(truth, scene.candidates[len(scene.planted) :])
        method = "records nearer to their reconstruction than to any public record"
        found.append(_share("reconstruction_rate", int((error < public).sum()), n, method, side="both"))
        typical = float(np.median(public**2)) / truth.shape[1]
        if typical > 0 and high > low:
            neighbour = f"; the best public neighbour reaches {10 * math.log10((high - low) ** 2 / typical):.1f} dB"
    if made.any() and high > low:
        ratios = [
            min(psnr(guess, record, data_range=high - low), HIGHEST_PSNR)
            for guess, record in zip(played.best[made], truth[made], strict=True)
        ]
        method = f"peak signal-to-noise ratio of each record's closest reconstruction{neighbour}"
        found.append(
            Measurement(name="psnr_median", value=float(np.median(ratios)), unit="dB", n=len(ratios), method=method)
        )
    return found


def arms_plot(ctx: Context, arms: Arms, decision: Decision, title: str, x: str) -> list[str]:
    """Keep the plot of the three arms and the limit, and return its digest in a list; empty without records."""
    n = decision.records
    if n == 0:
        return []
    rows = []
    for label, hits in (("system", decision.hits), ("control", decision.control_hits), ("null", decision.null_hits)):
        bounds = clopper_pearson(hits, n, side="one")
        limit = decision.limit if label == "system" else None
        rows.append(IntervalRow(label=label, value=hits / n, low=bounds.low, high=bounds.high, limit=limit))
    rows.append(IntervalRow(label="chance", value=arms.chance))
    return [ctx.plot(IntervalsPlot(title=title, x=x, rows=tuple(rows)))]


def record_exhibits(ctx: Context, scene: Scene, played: Played, title: str) -> list[str]:
    """Keep arrays and, where records are pictures, pictures of the closest reconstructions; return the digests."""
    if not len(played.used):
        return []
    arrays = {
        "record": played.used,
        "identified": played.system,
        "reconstruction": played.best.astype(np.float32),
        "control": played.best_control.astype(np.float32),
    }
    name = f"{ctx.check.id} reconstructions"
    kept = [ctx.evidence(name, npz_bytes(arrays), "application/x-npz", Confidentiality.RESTRICTED)]
    size = picture_size(scene.shape)
    return kept if size is None else kept + _pictures(ctx, scene, played, size, title)


def npz_bytes(arrays: Mapping[str, npt.NDArray[np.generic]]) -> bytes:
    """Return an npz that depends on its arrays alone: NumPy stamps its members with a fixed date."""
    buffer = io.BytesIO()
    np.savez_compressed(buffer, allow_pickle=False, **dict(arrays))
    return buffer.getvalue()


def picture_size(shape: tuple[int, ...]) -> tuple[int, int, int] | None:
    """Return (channels, height, width) where records of `shape` can be shown as pictures, else None.

    (h, w) and (1 | 3, h, w) are pictures; so is a vector whose length is a square of at least `LEAST_PIXELS`.
    """
    match shape:
        case (length,) if length >= LEAST_PIXELS and math.isqrt(length) ** 2 == length:
            return 1, math.isqrt(length), math.isqrt(length)
        case (height, width):
            return 1, height, width
        case (1 | 3 as channels, height, width):
            return channels, height, width
    return None


def _pictures(ctx: Context, scene: Scene, played: Played, size: tuple[int, int, int], title: str) -> list[str]:
    """Keep pictures of the first records, those identified first, and the plot that sets them side by side."""
    order = np.argsort(~played.system, kind="stable")[:MOST_PICTURES]
    low, high = scene.span
    kept: list[str] = []
    rows = []
    for position in order:
        number = int(played.used[position])
        pictures: list[str | None] = []
        for what, values in (
            ("original", scene.candidates[number]),
            ("recovered", played.best[position]),
            ("control", played.best_control[position]),
        ):
            if not np.isfinite(values).all():
                pictures.append(None)
                continue
            data = _png(values, size, low, high)
            digest = ctx.evidence(f"record {number} {what}", data, PNG_MEDIA_TYPE, Confidentiality.RESTRICTED)
            pictures.append(digest)
            kept.append(digest)
        original, recovered, control = pictures
        if original is None:
            continue
        score = None
        if recovered is not None and high > low:
            ratio = psnr(played.best[position], scene.candidates[number], data_range=high - low)
            score = round(min(ratio, HIGHEST_PSNR), 1)
        label = f"record {number}" + (" (identified)" if played.system[position] else "")
        rows.append(ImageRow(label=label, true=original, reconstructed=recovered, control=control, score=score))
    plot = ctx.plot(ImagesPlot(title=title, score="PSNR in dB", rows=tuple(rows)))
    return [plot, *dict.fromkeys(kept)]


def _png(values: Array, size: tuple[int, int, int], low: float, high: float) -> bytes:
    channels, height, width = size
    shades = np.clip((values - low) / ((high - low) or 1.0), 0.0, 1.0) * 255
    pixels = np.rint(shades).astype(np.uint8).reshape(size).transpose(1, 2, 0)
    return encode_png(height, width, channels, np.ascontiguousarray(pixels).tobytes())


def _share(name: str, hits: int, n: int, method: str, *, side: str = "one") -> Measurement:
    bounds = clopper_pearson(hits, n, side="one" if side == "one" else "both")
    told = ONE_SIDED if side == "one" else "Clopper-Pearson interval, 95 %"
    return Measurement(name=name, value=hits / n, interval=bounds, n=n, method=f"{method}; {told}")
