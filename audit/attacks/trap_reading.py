"""Reading a trap: the records that the gradient of one layer hands over, in three arms.

Public records stand for a client's batch. System: the layer as it is. Control: the same layer with a trap planted in
it. Null: the layer initialised anew, read as if it were the trap. A deep layer hands over its inputs, which single a
record out although they are not the record.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from torch import nn

from audit.arms import EXACT
from audit.attacks.bins import Bins, neighbour_differences
from audit.attacks.layers_watched import Layer, parameter_name
from audit.attacks.linear import MARGIN, PER_RECORD, Knowledge, reconstruct
from audit.attacks.traps import Inspection, weight_rows
from audit.identify import identified
from audit.load import Truth
from audit.twin import Scale, clear_gradient, records_of

Array = npt.NDArray[np.float64]
BoolArray = npt.NDArray[np.bool_]
IntArray = npt.NDArray[np.int64]

ROWS_PER_RECORD = 8
"""Units of a layer for each record of a batch: fewer bins hold several records each."""
LARGEST_BATCH = 64
"""Records of a batch, at most."""


@dataclass(frozen=True, eq=False)
class Reading:
    """What one layer gave away of the records that were shown to it."""

    hits: BoolArray
    """Records that were identified by the layer's input, shape (n,)."""
    exact: BoolArray
    """Records that came back exactly, which a deep layer's inputs are not, shape (n,)."""
    best: Array
    """The closest reconstruction of each, in units of the layer's input, shape (n, d); NaN where there is none."""


def batches_of(records: int, rows: int) -> list[IntArray]:
    """Return the batches in which `records` are shown to a layer of `rows` units, the last one perhaps smaller."""
    size = min(max(rows // ROWS_PER_RECORD, 1), LARGEST_BATCH)
    return [np.arange(start, min(start + size, records)) for start in range(0, records, size)]


def readable(model: nn.Module, layer: Layer) -> bool:
    """Tell whether a trap in that layer could be read: it is linear and has a bias."""
    return layer.given is not None and parameter_name(layer.name, "bias") in dict(model.named_parameters())


def read_batches(
    model: nn.Module, found: Inspection, shown: Truth, inputs: Array, scale: Scale, batches: Sequence[IntArray]
) -> Reading:
    """Return what a layer gives away, batch by batch.

    Args:
        model: The model with that layer as it stands in this arm.
        found: What the layer looks like to the attacker who built it.
        shown: The records that are shown to it.
        inputs: What every candidate becomes at the layer, shape (N, d), those of `shown` first.
        scale: Normalisation of a record.
        batches: Positions in `shown`.
    """
    names = [parameter_name(found.layer.name, part) for part in ("weight", "bias")]
    n = len(shown)
    hits, error = np.zeros(n, dtype=bool), np.full(n, np.inf)
    best = np.full((n, inputs.shape[1]), np.nan)
    for batch in batches:
        gradient = clear_gradient(model, records_of(shown, batch), scale, names)
        guesses = read_trap(model, found, gradient, len(batch))
        if not len(guesses):
            continue
        hits |= identified(guesses, [batch] * len(guesses), inputs)[:n]
        for record in batch:
            distances = np.abs(guesses - inputs[record]).max(axis=1)
            error[record], best[record] = distances.min(), guesses[distances.argmin()]
    exact = hits & (error <= EXACT * np.ptp(inputs)) & found.layer.sees_records
    return Reading(hits, exact, best)


def read_trap(model: nn.Module, found: Inspection, gradient: dict[str, Array], records: int) -> Array:
    """Return what the gradient of a suspicious layer hands over: inputs of that layer, shape (r, d).

    Args:
        model: The model.
        found: What its layer looks like; a linear one with a bias.
        gradient: Of that layer's weight and bias.
        records: Records behind the gradient; at most four times as many inputs are handed in.
    """
    layer = found.layer
    assert layer.given is not None, "only linear layers are read"  # noqa: S101
    weight, bias = gradient[parameter_name(layer.name, "weight")], gradient[parameter_name(layer.name, "bias")]
    low, high = float(layer.given.min()), float(layer.given.max())
    most = PER_RECORD * records
    kept = [np.zeros((0, weight.shape[1]))]
    for bins in found.groups:
        guesses = neighbour_differences(weight, bias, bins, _outgoing(model, layer, bins), most)
        slack = MARGIN * (high - low)
        kept.append(guesses[((guesses >= low - slack) & (guesses <= high + slack)).all(axis=1)])
    if found.rare:
        width = weight.shape[1]
        knowledge = Knowledge(records, low, high, np.zeros(width), np.ones(width))
        kept.extend(one.records for one in reconstruct(weight, bias, knowledge) if one.variant == "ratio")
    return np.concatenate(kept)[:most]


def _outgoing(model: nn.Module, layer: Layer, bins: Bins) -> Array:
    """Return the factor by which each unit of a group reaches the loss, shape (m,), up to one common factor.

    The columns of the layer behind, along the longest of them; where no linear layer reads the units one to one, the
    attacker is taken to have undone the scale of the rows.
    """
    if layer.following is None:
        return np.asarray(1.0 / np.abs(bins.slopes))
    columns = weight_rows(model, layer.following).astype(np.float64)[:, bins.members]
    longest = columns[:, np.einsum("ij,ij->j", columns, columns).argmax()]
    return np.asarray(longest @ columns)
