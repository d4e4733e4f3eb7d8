"""Whether the recorded updates are what the declared model, normalisation and loss give for their records.

The twins of the control arm are made with what is declared. Where the clients did something else - batch statistics of
a model in training mode, another normalisation, another loss - a search of their updates fails while the control
succeeds, and the failure says nothing. The auditor holds the truth, and so can ask.
"""

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt
from torch import nn

from audit.defences import Defence, DefenceName, imitate
from audit.scene import Scene
from audit.twin import clear_update
from audit.view import View

Array = npt.NDArray[np.float64]

LEAST_LIKENESS = 0.9
"""Median cosine between an update and that of its truth, over what the noise allows, for one step."""
LEAST_AFTER_STEPS = 0.5
"""Likewise after several local steps, whose batches are not on record, and of sums of clipped updates."""
LEAST_SIGNAL = 0.5
"""Share of an update's length that noise must leave, else nothing can be asked of it."""


def likeness(scene: Scene, views: Sequence[View], names: Sequence[str], met: Sequence[Defence]) -> float:
    """Return the median over views of cos(update, update of its truth), over what noise allows; NaN where it hides all.

    Args:
        scene: Gives the normalisation.
        views: What is asked about.
        names: Tensors that are compared.
        met: What the views have been put through.
    """
    deviation = next((one.amount for one in met if one.name is DefenceName.NOISE), 0.0)
    found = []
    for view in views:
        seen = {name: view.tensors[name].double().numpy() for name in names}
        squared = _product(seen, seen)
        allowed = 1 - deviation**2 * sum(value.size for value in seen.values()) / squared if squared > 0 else 0.0
        if allowed < LEAST_SIGNAL**2 or (deviation and len(view.truth) > 1):  # several records hide part of the noise
            continue
        clear = clear_update(
            view.base, view.truth, scene.scale, names, of=view.of, clients=view.clients, steps=view.local_steps,
            learning_rate=view.learning_rate,
        )  # fmt: skip
        certain = [one for one in met if one.name is not DefenceName.NOISE]
        expected = imitate(_rescaled(clear, squared), certain, np.random.default_rng(0))  # draws nothing without noise
        length = np.sqrt(_product(expected, expected) * squared * allowed)
        found.append(_product(seen, expected) / length if length > 0 else 0.0)
    return float(np.median(found)) if found else float("nan")


def misfit(scene: Scene, views: Sequence[View], names: Sequence[str], met: Sequence[Defence]) -> str:
    """Return why the updates are not what the declared model gives, half a sentence; empty otherwise."""
    loose = any(view.local_steps > 1 or view.clients > 1 for view in views)
    found = likeness(scene, views, names, met)
    if np.isnan(found) or found >= (LEAST_AFTER_STEPS if loose else LEAST_LIKENESS):
        return ""
    cause = "normalisation, loss or base is another, or noise is not declared"
    if any(isinstance(module, nn.modules.batchnorm._BatchNorm) for module in views[0].base.modules()):
        cause = "BatchNorm ran in training mode"
    return f"recorded updates are not what the model gives for their records, cosine {found:.2f}: {cause}"


def _product(one: Mapping[str, Array], other: Mapping[str, Array]) -> float:
    return float(sum((one[name] * other[name]).sum() for name in one))


def _rescaled(tensors: Mapping[str, Array], squared: float) -> dict[str, Array]:
    """Return tensors whose squared length is `squared`, so that levels of a quantiser fall where they fell."""
    own = _product(tensors, tensors)
    factor = np.sqrt(squared / own) if own > 0 else 0.0
    return {name: factor * value for name, value in tensors.items()}
