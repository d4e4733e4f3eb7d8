"""V2: are the forgotten examples easier, or harder, for the model than examples of the same kind that it never saw?

Averages hide: over a whole forget set this test sits at chance for models that keep most of the trace example by
example. It can therefore speak against a model and never for one.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from reports.statistics import Interval, auc, delong

Side = Literal["above", "below", "none"]


@dataclass(frozen=True)
class Membership:
    """How well the loss alone tells two sets of examples apart."""

    auc: float
    """Probability that an example of the first set has the smaller loss; 0.5 where the sets look alike."""
    interval: Interval
    """DeLong's, two-sided."""
    first: int
    """Examples of the first set."""
    second: int
    """Examples of the second."""

    @property
    def side(self) -> Side:
        """On which side of 0.5 the whole interval lies; "below" is as telling as "above"."""
        if self.interval.low > 0.5:
            return "above"
        return "below" if self.interval.high < 0.5 else "none"


def population_membership(forget_loss: npt.ArrayLike, twin_loss: npt.ArrayLike, confidence: float = 0.95) -> Membership:
    """Return how well -loss tells the forget set from its twin: examples of the same labels, never trained on.

    Above 0.5 the model still knows the forget set; below, it was pushed beyond what it would be had it never seen it.

    Args:
        forget_loss: Loss of each forgotten example, shape (m,).
        twin_loss: Loss of each example of the twin, shape (n,).
        confidence: Of the interval.

    Source: Yeom et al. 2018 (arXiv:1709.01604) for the loss as a sign of membership.

    Raises:
        ValueError: a set is empty, or a loss is not finite.
    """
    first, second = np.asarray(forget_loss, dtype=np.float64), np.asarray(twin_loss, dtype=np.float64)
    value = auc(-first, -second)
    known = np.arange(first.size + second.size) < first.size
    interval = delong(-np.concatenate([first, second]), known, confidence)
    return Membership(value, interval, first.size, second.size)


def neighbour_exposure(after_loss: npt.ArrayLike, before_loss: npt.ArrayLike, confidence: float = 0.95) -> Membership:
    """Return how well -loss tells the model after from the model before, on retained neighbours of the forget set.

    Above 0.5 they are known better than before: forgetting exposed them (the onion effect, Carlini et al. 2022,
    arXiv:2206.10469). The examples are the same on both sides, which the interval does not use: it is rather too wide.

    Args:
        after_loss: Loss of each neighbour under the model after unlearning, shape (n,).
        before_loss: Loss of the same neighbours under the model before, shape (n,).
        confidence: Of the interval.

    Raises:
        ValueError: shapes differ, a set is empty, or a loss is not finite.
    """
    after, before = np.asarray(after_loss, dtype=np.float64), np.asarray(before_loss, dtype=np.float64)
    if after.shape != before.shape:
        raise ValueError(f"losses after have shape {after.shape}, before {before.shape}; need the same examples")
    return population_membership(after, before, confidence)
