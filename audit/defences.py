"""What a view has been put through, and what a closed-form attacker then does about it.

A defence that only hides the record from a naive formula is no defence: pruning, signs and few levels each leave a
reading of their own. A defence met by no variant leaves the question open; the finding is then never a pass.
Simulators of the defences stand here too, for the null arm and for the tests.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Literal

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]
Tensors = Mapping[str, Array]

MANY_ZEROS = 0.3
"""Share of exact zeros, where both the row and the column hold something, that speaks of pruning."""
SMALLEST_SURVIVOR = 0.2
"""Least magnitude over the median one that speaks of a threshold; products of few numbers go far below it."""
MOST_LEVELS = 2**16
"""Equally spaced values up to this many are a quantiser's."""
NOISE_FLOOR = 1e-4
"""Least noise that is told, as the largest singular value of the noise over that of the view; rounding is below it."""
_SAMPLE = 256
"""Rows and columns from which noise is estimated."""


class DefenceName(StrEnum):
    """What can be seen in a view, or is declared of it."""

    ZEROS = "zeros"
    SIGNS = "signs"
    LEVELS = "levels"
    NOISE = "noise"
    CLIPPING = "clipping"
    SUM = "sum"
    LOCAL_STEPS = "local-steps"
    NO_BIAS = "no-bias"


Variant = Literal["ratio", "surviving coordinates", "sign codes", "singular vector"]
"""The readings of a linear layer's gradient (`audit.attacks.linear`)."""


@dataclass(frozen=True)
class Defence:
    """One thing a view has been put through."""

    name: DefenceName
    """What."""
    detail: str
    """How much, for people."""
    declared: bool = False
    """Whether it is known from the declaration alone."""
    amount: float = 0.0
    """Share that survives, step between levels, or standard deviation of the noise, as the name says."""

    def adapt(self, records: int, *, has_bias: bool = True) -> Variant | None:
        """Return the reading of a linear layer that answers it for views of `records` records, None if none does.

        Sums and local steps leave the ratio of a neuron that one record alone activates as it is, for the input of
        the first layer does not change between steps.
        """
        match self.name:
            case DefenceName.ZEROS:
                return "surviving coordinates" if has_bias else None
            case DefenceName.SIGNS:
                return "sign codes" if records == 1 else None  # signs of a sum of records belong to none of them
            case DefenceName.NOISE | DefenceName.CLIPPING:
                return "singular vector" if records == 1 or has_bias else None
            case DefenceName.NO_BIAS:
                return "singular vector" if records == 1 else None
            case _:
                return "ratio" if has_bias else ("singular vector" if records == 1 else None)


def detect(tensors: Sequence[Array], *, records: int, low_rank: Sequence[Array] | None = None) -> tuple[Defence, ...]:
    """Return what the tensors that an attack reads have been put through, by their values alone.

    Args:
        tensors: Such as weight and bias gradient of a layer; the largest is judged, small ones say little.
        records: Records behind the view: without noise the weight gradient of a linear layer has at most this rank.
        low_rank: Weight gradients of linear layers, in which noise shows; None: `tensors` are such.

    Returns:
        At most one of signs and levels, zeros beside either; noise only where none of them hides it.
    """
    matrix = _largest(tensors)
    found = []
    alive = matrix[np.ix_((matrix != 0).any(axis=1), (matrix != 0).any(axis=0))]
    if not alive.size:
        return ()
    signs, step = _is_signs(alive), _step(alive)
    zeros = float((alive == 0).mean())  # a dead neuron or an empty pixel is no pruning: its row or column is all zero
    if zeros >= MANY_ZEROS or (not signs and not step and _has_no_small_values(matrix)):
        detail = f"{(matrix == 0).mean():.0%} exact zeros"
        found.append(Defence(DefenceName.ZEROS, detail, amount=float((matrix != 0).mean())))
    if signs:
        found.append(Defence(DefenceName.SIGNS, "one magnitude"))
    elif step:
        levels = round(float(np.ptp(alive)) / step) + 1
        found.append(Defence(DefenceName.LEVELS, f"{levels} equally spaced levels", amount=step))
    judged = matrix if low_rank is None else _largest(low_rank)
    # noise leaves no zero where it was added; pruning looks like noise
    untouched = judged.size > 0 and float((judged == 0).mean()) < 1e-3
    if not found and untouched and (deviation := noise_deviation(judged, records)):
        found.append(Defence(DefenceName.NOISE, f"estimated deviation {deviation:.2g} a coordinate", amount=deviation))
    return tuple(found)


def _largest(tensors: Sequence[Array]) -> Array:
    """Return the largest tensor as a matrix, a row for each output; empty where there is none."""
    if not tensors:
        return np.zeros((0, 0))
    matrix = max(tensors, key=lambda tensor: tensor.size)
    return matrix.reshape(len(matrix), -1) if matrix.ndim else matrix.reshape(1, 1)


def noise_deviation(matrix: Array, records: int) -> float:
    """Return the standard deviation of white noise in a gradient of rank `records`; 0 where none shows.

    The singular values beyond the rank belong to the noise: their mean square over the remaining rows and columns is
    its variance. Zero, too, where the matrix is too small to tell (its shorter side below twice the rank and 8 more).

    Args:
        matrix: Weight gradient, shape (out, in).
        records: The most records that can have a part in it.
    """
    rows, columns = (np.unique(np.linspace(0, side - 1, min(side, _SAMPLE)).astype(int)) for side in matrix.shape)
    part = matrix[np.ix_(rows, columns)]
    if min(part.shape) < 2 * records + 8:
        return 0.0
    values = np.linalg.svd(part, compute_uv=False)
    free = (part.shape[0] - records) * (part.shape[1] - records)
    deviation = float(np.sqrt((values[records:] ** 2).sum() / free))
    edge = deviation * (np.sqrt(part.shape[0]) + np.sqrt(part.shape[1]))
    return deviation if edge > NOISE_FLOOR * values[0] else 0.0


def imitate(tensors: Tensors, defences: Sequence[Defence], rng: np.random.Generator) -> dict[str, Array]:
    """Return a clear update put through what was seen, so that the null arm is as hard to read as the system's view.

    Noise comes first, then pruning, then rounding: the order in which systems apply them.
    """
    order = (DefenceName.NOISE, DefenceName.ZEROS, DefenceName.LEVELS, DefenceName.SIGNS)
    seen = {defence.name: defence for defence in defences}
    result = dict(tensors)
    for name in order:
        defence = seen.get(name)
        if defence is None:
            continue
        if name is DefenceName.NOISE and defence.amount > 0:
            result = gaussian(result, defence.amount, rng)
        elif name is DefenceName.ZEROS:
            result = top_k(result, defence.amount)
        elif name is DefenceName.LEVELS:
            result = {key: np.round(value / defence.amount) * defence.amount for key, value in result.items()}
        elif name is DefenceName.SIGNS:
            result = sign(result)
    return result


def clip(tensors: Tensors, norm: float) -> dict[str, Array]:
    """Return an update scaled down, as a whole, to an L2 norm of at most `norm`."""
    length = float(np.sqrt(sum(float((value**2).sum()) for value in tensors.values())))
    factor = min(1.0, norm / length) if length > 0 else 1.0
    return {name: value * factor for name, value in tensors.items()}


def gaussian(tensors: Tensors, deviation: float, rng: np.random.Generator) -> dict[str, Array]:
    """Return an update with independent Gaussian noise of that standard deviation on every coordinate."""
    return {name: value + deviation * rng.standard_normal(value.shape) for name, value in tensors.items()}


def top_k(tensors: Tensors, keep: float) -> dict[str, Array]:
    """Return an update in which the share `keep` of all coordinates, the largest in magnitude, survives."""
    magnitudes = np.concatenate([np.abs(value).ravel() for value in tensors.values()])
    survivors = max(1, round(keep * len(magnitudes)))
    limit = np.partition(magnitudes, len(magnitudes) - survivors)[len(magnitudes) - survivors]
    return {name: np.where(np.abs(value) >= limit, value, 0.0) for name, value in tensors.items()}


def sign(tensors: Tensors) -> dict[str, Array]:
    """Return the signs of an update, -1, 0 and 1."""
    return {name: np.sign(value) for name, value in tensors.items()}


def quantise(tensors: Tensors, bits: int = 8) -> dict[str, Array]:
    """Return an update rounded, tensor by tensor, to symmetric levels of `bits` bits about zero."""
    return {name: _rounded(value, 2 ** (bits - 1) - 1) for name, value in tensors.items()}


def _rounded(value: Array, half: int) -> Array:
    step = float(np.abs(value).max(initial=0.0)) / half
    return np.round(value / step) * step if step > 0 else value


def _has_no_small_values(matrix: Array) -> bool:
    """Tell whether many entries are zero and none is small: a threshold leaves such a gap, a gradient does not."""
    magnitudes = np.abs(matrix[matrix != 0])
    pruned = magnitudes.size <= (1 - MANY_ZEROS) * matrix.size
    return pruned and bool(magnitudes.min() > SMALLEST_SURVIVOR * np.median(magnitudes))


def _is_signs(values: Array) -> bool:
    magnitudes = np.abs(values[values != 0])
    return magnitudes.size >= 8 and bool(np.ptp(magnitudes) <= 1e-6 * magnitudes.max())


def _step(values: Array) -> float:
    """Return the step between the levels of a quantiser, 0 where the values are not on equally spaced levels."""
    unique = np.unique(values)
    if not 3 <= len(unique) <= MOST_LEVELS:
        return 0.0
    unique = np.concatenate([[0.0], unique[unique != 0]])  # zero is a level of every quantiser that keeps it
    gaps = np.diff(np.sort(unique))
    least = float(gaps[gaps > 1e-6 * gaps.max()].min())  # one level stored with two roundings is one level
    for parts in (1, 2, 3):
        step = _refined(unique, least / parts)
        positions = unique / step
        if np.abs(positions).max() < MOST_LEVELS and np.abs(positions - np.round(positions)).max() < 0.02:
            return step
    return 0.0


def _refined(values: Array, step: float) -> float:
    """Return the step fitted to ever more values: a gap between large stored numbers knows it to few digits."""
    reach = 32.0
    while reach < MOST_LEVELS:
        near = values[np.abs(values) <= reach * step]
        positions = np.round(near / step)
        if positions.any():
            step = float((near * positions).sum() / (positions * positions).sum())
        reach *= 4
    return step
