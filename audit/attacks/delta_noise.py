"""Noise in a delta of several steps, told by its rank.

One step on B records changes a linear layer by a matrix of rank B at most, and several steps by the sum of such, so
singular values beyond that belong to noise. Only the first layer sees the same inputs at every step, and keeps the
rank of one.
"""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from torch import nn

from audit.defences import NOISE_FLOOR, Defence, DefenceName, detect
from audit.twin import LayerNames
from audit.view import View

Array = npt.NDArray[np.float64]

LEAST_FREE = 4
"""Singular values beyond the rank that are needed to tell."""
MOST_ROWS = 256
"""Rows and columns that are looked at."""
MOST_ZEROS = 1e-3
"""Share of exact zeros that speaks of pruning or rounding, beside which noise is not told."""


def noise_in(views: Sequence[View], first: LayerNames | None) -> tuple[Defence, ...]:
    """Return the noise that most views show, or nothing.

    Args:
        views: Deltas of one model.
        first: The linear layer that sees the record itself, if there is one.
    """
    found = [_deviation(view, first) for view in views]
    amount = float(np.median(found))
    if not amount > 0:
        return ()
    return (Defence(DefenceName.NOISE, f"estimated deviation {amount:.2g} a coordinate", amount=amount),)


def noise_deviation(matrix: Array, rank: int) -> float:
    """Return the standard deviation of white noise in a matrix of rank `rank` without it; 0 where none shows.

    Args:
        matrix: Change of a linear layer's weight, shape (out, in).
        rank: The largest it has without noise.
    """
    rows, columns = (np.unique(np.linspace(0, side - 1, min(side, MOST_ROWS)).astype(int)) for side in matrix.shape)
    part = matrix[np.ix_(rows, columns)]
    if min(part.shape) < rank + LEAST_FREE:
        return 0.0
    values = np.linalg.svd(part, compute_uv=False)
    free = (part.shape[0] - rank) * (part.shape[1] - rank)
    deviation = float(np.sqrt((values[rank:] ** 2).sum() / free))
    edge = deviation * (np.sqrt(part.shape[0]) + np.sqrt(part.shape[1]))
    return deviation if edge > NOISE_FLOOR * values[0] else 0.0


def _deviation(view: View, first: LayerNames | None) -> float:
    """Return the deviation that the largest weight which can tell shows; 0 where none can, or something hides it."""
    names = [
        f"{name}.weight" if name else "weight"
        for name, module in view.base.named_modules()
        if isinstance(module, nn.Linear)
    ]
    records = len(view.truth)
    step = min(view.batch_size or records, records)
    told: list[tuple[int, float]] = []
    for name in names:
        matrix = view.tensors[name].double().numpy() if name in view.tensors else np.zeros((0, 0))
        rank = records if first is not None and name == first.weight else view.local_steps * step
        if matrix.size and min(matrix.shape) >= rank + LEAST_FREE:
            hidden = detect([matrix], records=records, low_rank=[np.zeros(1)])
            clean = not hidden and float((matrix == 0).mean()) < MOST_ZEROS
            told.append((matrix.size, noise_deviation(matrix, rank) if clean else 0.0))
    return max(told)[1] if told else 0.0
