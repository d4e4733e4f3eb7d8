"""What is left of a recorded sum when the contributions it was made of are taken away, read once, block by block.

No array larger than a block is copied: tensors may be views of files. Everything is summed in float64.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]
Tensors = Mapping[str, npt.NDArray[np.floating]]
Round = tuple[Tensors, Sequence[Tensors]]
"""A released sum, and the contributions that it is the sum of, tensors by name."""
BLOCK = 1 << 22
"""Numbers that are held at once, over all rounds and contributions."""
SMALLEST_BLOCK = 1 << 10
SAMPLED = 10_000
"""Coordinates whose residuals are kept, evenly spaced."""


@dataclass(frozen=True, eq=False)
class Residuals:
    """Sums over the coordinates of R = released - sum of contributions; r rounds, t tensors."""

    names: tuple[str, ...]
    """Of the tensors."""
    sizes: Array
    """Coordinates of each tensor, shape (t,)."""
    energy: Array
    """Sum of R squared, shape (r, t)."""
    products: Array
    """Inner products of the residuals of two rounds, over all tensors, shape (r, r)."""
    along: Array
    """Inner product of R with the sum of the contributions, shape (r,)."""
    length: Array
    """Squared norm of the sum of the contributions, shape (r,)."""
    norms: tuple[Array, ...]
    """For each round the L2 norm of each contribution, shape (contributions,)."""
    leaning: tuple[Array, ...]
    """For each round the inner product of R with each contribution."""
    untouched: tuple[str, ...]
    """Tensors that are zero in every contribution and every sum; left out of all the rest."""
    sample: Array
    """Residuals at evenly spaced coordinates, each over the root mean square of its tensor in its round."""


def residuals(rounds: Sequence[Round]) -> Residuals:
    """Return the sums over all rounds; those of a round that holds NaN or infinity are not finite.

    Args:
        rounds: At least one, all with the same tensors.

    Raises:
        ValueError: there is no round, a round has no contribution, or names or shapes differ.
    """
    names = _names(rounds)
    count = len(rounds)
    along, length = np.zeros(count), np.zeros(count)
    squares = [np.zeros(len(deltas)) for _, deltas in rounds]
    leaning = [np.zeros(len(deltas)) for _, deltas in rounds]
    used: list[str] = []
    products = np.zeros((count, count))
    sizes, energy, samples = [], [], []
    stride = max(1, sum(_size(rounds[0][0][name]) for name in names) * count // SAMPLED)
    for name in names:
        gram, touched, kept = np.zeros((count, count)), False, []
        for position, blocks in _blocks(rounds, name):
            left = np.empty((count, len(blocks[0][0])))
            with np.errstate(invalid="ignore", over="ignore"):  # NaN and infinity stay in their round, and are told
                for number, (released, deltas) in enumerate(blocks):
                    total = deltas.sum(axis=0)
                    left[number] = released - total
                    along[number] += left[number] @ total
                    length[number] += total @ total
                    squares[number] += np.einsum("ij,ij->i", deltas, deltas)
                    leaning[number] += deltas @ left[number]
                    touched = touched or bool(released.any() or deltas.any())
                gram += left @ left.T
            kept.append(left[:, -position % stride :: stride])
        if touched:
            used.append(name)
            sizes.append(_size(rounds[0][0][name]))
            energy.append(np.diag(gram))
            products += gram
            samples.append(_standardised(np.concatenate(kept, axis=1), energy[-1], sizes[-1]))
    return Residuals(
        names=tuple(used),
        sizes=np.array(sizes, dtype=np.float64),
        energy=np.array(energy).reshape(len(used), count).T,
        products=products,
        along=along,
        length=length,
        norms=tuple(np.sqrt(square) for square in squares),
        leaning=tuple(leaning),
        untouched=tuple(name for name in names if name not in used),
        sample=np.concatenate(samples) if samples else np.zeros(0),
    )


def _names(rounds: Sequence[Round]) -> list[str]:
    """Return the tensors that all have, checked against one another."""
    if not rounds:
        raise ValueError("there is no round")
    shapes = {name: np.shape(values) for name, values in rounds[0][0].items()}
    for number, (released, deltas) in enumerate(rounds):
        if not deltas:
            raise ValueError(f"round {number} has no contribution")
        for tensors in (released, *deltas):
            if {name: np.shape(values) for name, values in tensors.items()} != shapes:
                raise ValueError(f"round {number} holds tensors of other names or shapes than the first")
    return list(shapes)


def _blocks(rounds: Sequence[Round], name: str) -> Iterator[tuple[int, list[tuple[Array, Array]]]]:
    """Yield the first coordinate of each block of a tensor, and for each round its sum and its contributions."""
    flat = [(_flat(released[name]), [_flat(delta[name]) for delta in deltas]) for released, deltas in rounds]
    step = max(SMALLEST_BLOCK, BLOCK // sum(len(deltas) + 2 for _, deltas in flat))
    for begin in range(0, len(flat[0][0]), step):
        part = slice(begin, begin + step)
        yield (
            begin,
            [
                (released[part].astype(np.float64), np.stack([delta[part] for delta in deltas]).astype(np.float64))
                for released, deltas in flat
            ],
        )


def _standardised(kept: Array, energy: Array, size: int) -> Array:
    """Return sampled residuals over their round's root mean square; those of a round without any are left out."""
    scale = np.sqrt(energy / size)
    loud = np.isfinite(scale) & (scale > 0)
    return np.asarray((kept[loud] / scale[loud, None]).reshape(-1))


def _flat(values: npt.NDArray[np.floating]) -> npt.NDArray[np.floating]:
    return values.reshape(-1)


def _size(values: npt.NDArray[np.floating]) -> int:
    return int(np.prod(values.shape, dtype=np.int64))
