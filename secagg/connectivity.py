"""Whether survivors still hang together when some more of them count for nothing.

Masks cancel within a connected part of the graph, so if the honest survivors fall apart, the server learns one sum for
each part (Bell et al. 2020, eprint 2020/704). On a ring where everybody knows the k/2 nearest on each side, two runs of
k/2 absent clients cut it, and nothing else does: the places of the absent are all that is looked at.
"""

import numpy as np
from numpy.typing import NDArray

Places = NDArray[np.bool_]
"""For each place of the ring whether its client is there, shape (clients,)."""


def hangs_together(present: Places, degree: int) -> bool:
    """Tell whether those present reach each other through one another; `degree` is even."""
    at = np.flatnonzero(present)
    if at.size < 2:
        return True
    apart = np.diff(at, append=at[0] + present.size)
    return int((apart > degree // 2).sum()) < 2


def cuts(present: Places, degree: int, removed: int, trials: int, rng: np.random.Generator) -> int:
    """Return in how many of `trials` random removals those left fall apart.

    Args:
        present: The survivors, in the order of the ring.
        degree: Neighbours of a client, even.
        removed: How many survivors are taken away, each set of that size as likely as any.
        trials: Removals.
        rng: Draws them.
    """
    at = np.flatnonzero(present)
    count = 0
    for _ in range(trials):
        left = present.copy()
        left[rng.choice(at, min(removed, at.size), replace=False)] = False
        count += not hangs_together(left, degree)
    return count


def cut_on_purpose(present: Places, degree: int) -> Places | None:
    """Return the survivors without two runs of k/2 places, one on each side of a survivor; None if none is cut off."""
    half = degree // 2
    for place in np.flatnonzero(present).tolist():
        left = present.copy()
        for step in range(1, half + 1):
            left[[(place - step) % present.size, (place + step) % present.size]] = False
        if left.sum() > 1:
            return left
    return None
