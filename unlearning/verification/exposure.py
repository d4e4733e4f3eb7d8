"""V15 of models: are retained neighbours of the forget set known better, or worse, after forgetting than before?

Rounds of training alone make retained examples better known; so the same is asked of all retained examples, and of
retrained models.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from unlearning.verification.answers import Answers
from unlearning.verification.membership import Membership, neighbour_exposure
from unlearning.verification.scores import Array

__all__ = ["Exposure", "exposure"]


@dataclass(frozen=True, eq=False)
class Exposure:
    """How well -loss tells the model after from the model before; 0.5 where they know the examples alike."""

    neighbours: Membership
    """Of the delivered model, on the neighbours."""
    retained: Membership | None
    """Of the delivered model, on retained examples at large; None without any."""
    references: Array
    """AUC of each reference against the model before, on the neighbours, shape (N,)."""


def exposure(after: Answers, before: Answers | None, references: Answers | None) -> Exposure | None:
    """Return what forgetting did to the neighbours of the forget set; None without neighbours or a model before.

    Args:
        after: Of the delivered model.
        before: Of the model before.
        references: Of retrained models, where there are any.
    """
    if before is None or not (after.has("neighbours") and before.has("neighbours")):
        return None
    known = before.losses("neighbours")[0]
    everybody = None
    if after.has("retain") and before.has("retain"):
        everybody = neighbour_exposure(after.losses("retain")[0], before.losses("retain")[0])
    others: Sequence[Array] = ()
    if references is not None and references.has("neighbours"):
        others = list(references.losses("neighbours"))
    return Exposure(
        neighbours=neighbour_exposure(after.losses("neighbours")[0], known),
        retained=everybody,
        references=np.array([neighbour_exposure(one, known).auc for one in others]),
    )
