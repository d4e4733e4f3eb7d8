"""`secagg.quantization`: how much of an update is lost between the client and the ring."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from reports.artifacts import read_tensors
from reports.canonical import canonical_json
from reports.check import Context, check
from reports.model import (
    Basis,
    Confidentiality,
    Finding,
    Measurement,
    Remedy,
    SecureAggregation,
    Severity,
    Status,
    Strength,
    System,
    Threshold,
    Update,
)
from secagg.checks.recorded import lacking
from secagg.checks.transcript_rounds import section_of
from secagg.declaration import SECTION
from secagg.quantize import MOST_LEVELS, Quantization, dequantize_mean, quantize

if TYPE_CHECKING:
    from torch import Tensor

MOST_SATURATED = 0.01
MOST_ERROR = 0.01
KINDS = ("delta", "gradient")
"""What one client sends; a sum over clients is never quantised itself."""
_NEEDED = ("clipping_range", "quantization_levels")
_RING_BITS = 64
"""Wide enough for any levels: whether the declared ring holds the sum is the question of `secagg.overflow`."""
_SMALLEST = 1e-100
_CONTROL_SHARE = 0.01
"""The control clips at this share of an update's root mean square, which takes at least 98 % of its norm."""


@dataclass(frozen=True)
class Loss:
    """What quantisation does to one update."""

    saturated: float
    """Share of elements beyond the clipping range."""
    error: float
    """L2 norm of the change, over that of the update."""
    clipping_error: float
    """The part of it that clipping alone does."""

    @property
    def tolerable(self) -> bool:
        """Whether both shares stay within a hundredth."""
        return self.saturated <= MOST_SATURATED and self.error <= MOST_ERROR


@dataclass(frozen=True)
class Measured:
    """One update that was quantised twice."""

    path: str
    elements: int
    largest: float
    """Largest absolute value of an element."""
    loss: Loss
    control: Loss
    """The same with a clipping range far too small."""


@check(
    "secagg.quantization",
    "Clipping and rounding change updates by less than one part in a hundred",
    needs=(SECTION, "updates"),
    controls=("EU-AIA:15(4)", "GDPR:32(1)(d)", "EU-AIA:annex-IV(2)(g)"),
    kinds=("secagg",),
    strength=Strength.EXACT,
    severity=Severity.MEDIUM,
)
def quantization(system: System, ctx: Context) -> Iterator[Finding]:
    """Quantise the recorded updates of single clients as declared, and compare what comes back.

    Fails when, of any update, more than 1 % of the elements lie beyond the clipping range, or the dequantised update
    differs from it by more than 1 % in L2 norm. Passes when no update does *and* each does with a clipping range far
    too small. Inconclusive where no update can be used; skipped, with the missing key, where clipping range, levels or
    updates of single clients are not declared.
    """
    section = section_of(system)
    single = [update for update in system.updates if update.kind in KINDS]
    if missing := [key for key in _NEEDED if getattr(section, key) is None]:
        yield lacking(missing, ctx)
    elif not single:
        summary = "No update of a single client is recorded; sums are not quantised."
        yield ctx.finding(Status.SKIPPED, summary, basis=Basis.DECLARED, reason="missing:updates.delta")
    elif (section.quantization_levels or 0) > MOST_LEVELS:
        key = f"{SECTION}.quantization_levels"
        yield ctx.finding(
            Status.INCONCLUSIVE,
            f"{section.quantization_levels} levels are finer than float64; allowed is 1 to 2^52.",
            remedy=Remedy(parameter=key, direction="lower", value=str(MOST_LEVELS), text="Take at most 2^52 levels."),
            reason=f"invalid:{key}",
        )
    else:
        yield _on_updates(single, section, ctx)


def _on_updates(single: Sequence[Update], section: SecureAggregation, ctx: Context) -> Finding:
    declared = Quantization(section.clipping_range or 1.0, section.quantization_levels or 1)
    measured, unused = [], []
    for done, update in enumerate(single):
        vector = _vector(read_tensors(ctx.folder / update.path.path))
        if why := _unusable(vector):
            unused.append(f"{update.path.path}: {why}")
        else:
            measured.append(_measure(update.path.path, vector, declared, ctx.rng(f"rounding#{done}")))
        ctx.progress(done + 1, len(single))
    if not measured:
        summary = f"None of {len(single)} recorded updates can be used."
        return ctx.finding(Status.INCONCLUSIVE, summary, detail="\n".join(unused), reason="no-usable-update")
    return _told(measured, unused, declared, ctx)


def _told(measured: Sequence[Measured], unused: Sequence[str], declared: Quantization, ctx: Context) -> Finding:
    failing = [one for one in measured if not one.loss.tolerable]
    status, reason = (Status.FAIL, "") if failing else (Status.PASS, "")
    if status is Status.PASS and any(one.control.tolerable for one in measured):
        status, reason = Status.INCONCLUSIVE, "control-failed"
    saturated, error = max(one.loss.saturated for one in measured), max(one.loss.error for one in measured)
    limits = [
        "The recorded updates are taken for what clients send; the formula is this tool's, rounded stochastically.",
        "A ring of 64 bits was used; whether sums fit into the declared one is the question of secagg.overflow.",
    ]
    if unused:
        limits.append(f"{len(unused)} recorded updates were left out.")
    return ctx.finding(
        status,
        f"Of {len(measured)} recorded updates, {len(failing)} are changed too much: at worst {saturated:.2%} of the "
        f"elements are clipped and the relative L2 error is {error:.2g}.",
        detail="\n".join([*(f"Changed too much: {one.path}" for one in failing[:20]), *unused[:20]]),
        measurements=_measurements(measured),
        evidence=(_evidence(measured, unused, declared, ctx),),
        remedy=_remedy(failing, declared) if failing else None,
        limitations=limits,
        reason=reason,
    )


def _vector(tensors: "dict[str, Tensor]") -> NDArray[np.float64]:
    """Return all real-valued tensors of an update in a row; whole numbers are counters, which are not averaged."""
    parts = [tensor.double().reshape(-1).numpy() for _, tensor in sorted(tensors.items()) if tensor.is_floating_point()]
    return np.concatenate(parts) if parts else np.empty(0)


def _unusable(vector: NDArray[np.float64]) -> str:
    if not len(vector):
        return "it holds no real number"
    if not np.isfinite(vector).all():
        return "it holds NaN or infinity"
    if not vector.any():
        return "it is zero throughout, so no error is relative to it"
    return "" if _SMALLEST < np.abs(vector).max() < 1 / _SMALLEST else "its squares leave the range of float64"


def _measure(path: str, vector: NDArray[np.float64], declared: Quantization, rng: np.random.Generator) -> Measured:
    narrow = replace(declared, clipping_range=_CONTROL_SHARE * float(np.sqrt(np.mean(vector**2))))
    return Measured(
        path=path,
        elements=len(vector),
        largest=float(np.abs(vector).max()),
        loss=loss_of(vector, declared, rng),
        control=loss_of(vector, narrow, rng),
    )


def loss_of(vector: NDArray[Any], q: Quantization, rng: np.random.Generator) -> Loss:
    """Return what quantisation does to an update.

    Args:
        vector: The update, one-dimensional, finite, not zero throughout.
        q: Clipping range and levels.
        rng: Draws the stochastic rounding.
    """
    made = quantize(vector, q, _RING_BITS, rng)
    back = dequantize_mean(made.vector, q, survivors=1)
    norm = float(np.linalg.norm(vector))
    clipped = np.clip(vector, -q.clipping_range, q.clipping_range)
    return Loss(
        saturated=made.saturated / len(vector),
        error=float(np.linalg.norm(back - vector)) / norm,
        clipping_error=float(np.linalg.norm(clipped - vector)) / norm,
    )


def _measurements(measured: Sequence[Measured]) -> Iterator[Measurement]:
    yield Measurement(
        name="saturated_share",
        value=max(one.loss.saturated for one in measured),
        n=len(measured),
        method="largest share of an update's elements beyond the clipping range",
        threshold=Threshold(op="<=", limit=MOST_SATURATED),
        control=min(one.control.saturated for one in measured),
    )
    yield Measurement(
        name="relative_error",
        value=max(one.loss.error for one in measured),
        n=len(measured),
        method="largest L2 norm of an update's change, over that of the update",
        threshold=Threshold(op="<=", limit=MOST_ERROR),
        control=min(one.control.error for one in measured),
    )


def _remedy(failing: Sequence[Measured], declared: Quantization) -> Remedy:
    """Return the next step: room for the largest element, then levels enough for the rounding."""
    worst = max(failing, key=lambda one: one.loss.error)
    if any(one.loss.saturated > MOST_SATURATED or one.loss.clipping_error > MOST_ERROR / 2 for one in failing):
        largest = max(one.largest for one in failing)
        text = f"Clip at {largest:.4g}, the largest element of a recorded update, or scale updates down."
        return Remedy(parameter=f"{SECTION}.clipping_range", direction="raise", value=f"{largest:.4g}", text=text)
    levels = min(MOST_LEVELS, int(declared.levels * worst.loss.error / MOST_ERROR * 1.1) + 1)
    text = f"Take {levels} levels or more (secagg.overflow says how many fit), or clip closer to the updates."
    return Remedy(parameter=f"{SECTION}.quantization_levels", direction="raise", value=str(levels), text=text)


def _evidence(measured: Sequence[Measured], unused: Sequence[str], declared: Quantization, ctx: Context) -> str:
    document = {
        "schema": "fedaudit.secagg.quantization/1",
        "clipping_range": declared.clipping_range,
        "levels": declared.levels,
        "updates": [
            {
                "path": one.path,
                "elements": one.elements,
                "largest": one.largest,
                "loss": vars(one.loss),
                "control": vars(one.control),
            }
            for one in measured
        ],
        "left_out": list(unused),
    }
    data = canonical_json(document)
    return ctx.evidence("what quantisation changes", data, "application/json", Confidentiality.INTERNAL)
