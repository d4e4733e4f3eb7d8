"""Are oracles that somebody else supplies models of their own, or copies of one another or of the delivered model?

Two trainings from different initial weights have next to nothing in common, coordinate by coordinate; a copy, a copy
with noise and a fine-tuned copy have nearly all. So has a second training from the same initial weights, which is no
independent oracle either.
"""

from collections.abc import Collection, Mapping, Sequence

import numpy as np
import torch
from torch import Tensor

from unlearning.verification.scores import Array

MOST_CORRELATION = 0.9
"""Of the weights of two models, above which one of them is taken for a copy."""


def copies(
    after: Mapping[str, Tensor], oracles: Sequence[Mapping[str, Tensor]], weights: Collection[str] | None = None
) -> dict[int, str]:
    """Return which oracles are no independent models, by position, and why.

    Of two oracles that are copies of one another the first is kept.

    Args:
        after: State dict of the delivered model.
        oracles: State dicts of the same names and shapes.
        weights: Names of the tensors to correlate, such as the parameters without running statistics; None for all
            that are floating.

    Raises:
        ValueError: names or shapes differ from those of `after`.
    """
    known, found = [("the delivered model", after, _flat(after, weights))], {}
    for place, oracle in enumerate(oracles):
        if {name: one.shape for name, one in oracle.items()} != {name: one.shape for name, one in after.items()}:
            raise ValueError(f"oracle {place} has other tensors than the delivered model")
        flat = _flat(oracle, weights)
        why = next((told for name, state, other in known if (told := _alike(name, oracle, state, flat, other))), "")
        if why:
            found[place] = why
        else:
            known.append((f"oracle {place + 1}", oracle, flat))
    return found


def _alike(name: str, one: Mapping[str, Tensor], other: Mapping[str, Tensor], first: Array, second: Array) -> str:
    """Say in what way two models are the same, or nothing."""
    if all(torch.equal(one[key], other[key]) for key in one):
        return f"equal to {name}"
    scale = float(np.linalg.norm(first) * np.linalg.norm(second))
    correlation = float(first @ second) / scale if scale > 0 else 0.0
    return f"its weights correlate at {correlation:.3f} with {name}" if correlation > MOST_CORRELATION else ""


def _flat(state: Mapping[str, Tensor], weights: Collection[str] | None) -> Array:
    """Return the weights as one vector around its mean."""
    kept = [
        one.detach().double().flatten()
        for name, one in state.items()
        if one.is_floating_point() and (weights is None or name in weights)
    ]
    vector = torch.cat(kept).numpy() if kept else np.zeros(0)
    return np.asarray(vector - vector.mean()) if vector.size else vector
