"""A lower bound on epsilon from one training run: canaries that took part by a coin flip, guessed by their scores.

The guesses are fixed before a score is seen: the quarter of the canaries with the highest scores "in", the quarter with
the lowest "out", the rest unsaid. Choosing their number afterwards would choose the answer.

Source: Steinke, Nasr, Jagielski 2023 (arXiv:2305.08846, theorem 5.2 and appendix D).
"""

import math

import numpy as np
import numpy.typing as npt

LARGEST_EPSILON = 50.0
"""No number of right guesses below 10^20 refutes more."""


def one_run_p_value(m: int, r: int, v: int, epsilon: float, delta: float) -> float:
    """Return how likely an (epsilon, delta)-private mechanism lets `v` or more of `r` guesses be right.

    p = P[B >= v] + 2 m delta max over i of P[v - i <= B < v] / i, where B counts r throws at e^epsilon/(1 + e^epsilon).

    Args:
        m: Canaries, each in or out by a fair coin.
        r: Of them guessed.
        v: Of these guessed right.
        epsilon: At which the mechanism is taken to be private.
        delta: Likewise.

    Raises:
        ValueError: not 0 <= v <= r <= m, or `epsilon` or `delta` is out of its range.
    """
    from scipy.stats import binom

    if not 0 <= v <= r <= m or not epsilon >= 0 or not 0 <= delta <= 1:
        told = f"need 0 <= v <= r <= m, epsilon >= 0 and delta in [0, 1]; got {v}, {r}, {m}, {epsilon}, {delta}"
        raise ValueError(told)
    right = 1 / (1 + math.exp(-epsilon))
    beyond = float(binom.sf(v - 1, r, right))
    if v == 0 or delta == 0:
        return min(1.0, beyond)
    just_below = np.cumsum(binom.pmf(np.arange(v - 1, -1, -1), r, right))
    alpha = float((just_below / np.arange(1, v + 1)).max())
    return min(1.0, beyond + 2 * m * delta * alpha)


def right_guesses(scores: npt.ArrayLike, included: npt.ArrayLike) -> tuple[int, int]:
    """Return how many guesses were made, 2 floor(m / 4), and how many of them were right.

    Args:
        scores: Larger means more likely to have taken part, shape (m,).
        included: Whether each canary did, shape (m,), truth values.

    Ties are guessed wrong: the order of a file may know what the scores do not.
    """
    values, truth = np.asarray(scores, dtype=np.float64), np.asarray(included, dtype=np.bool_)
    quarter = len(values) // 4
    order = np.lexsort((~truth, values))  # ascending; of equal scores the included come first, and wrong at both ends
    ranked = truth[order]
    right = int((~ranked[:quarter]).sum()) + int(ranked[len(ranked) - quarter :].sum())
    return 2 * quarter, right


def one_run_lower_bound(scores: npt.ArrayLike, included: npt.ArrayLike, *, delta: float, alpha: float) -> float:
    """Return the largest epsilon that the guesses refute at level `alpha`; 0 where they refute none.

    Args:
        scores: Larger means more likely to have taken part, shape (m,).
        included: Whether each canary did, by a fair coin, shape (m,), truth values.
        delta: Of the claim.
        alpha: Probability of refuting a true epsilon.
    """
    guessed, right = right_guesses(scores, included)
    return refuted_epsilon(len(np.asarray(scores)), guessed, right, delta=delta, alpha=alpha)


def refuted_epsilon(m: int, r: int, v: int, *, delta: float, alpha: float) -> float:
    """Return the largest epsilon that `v` right of `r` guesses on `m` canaries refute at level `alpha`, or 0."""
    from scipy.optimize import brentq

    def surplus(epsilon: float) -> float:
        return one_run_p_value(m, r, v, epsilon, delta) - alpha

    if surplus(0.0) >= 0:
        return 0.0
    highest = 1.0
    while surplus(highest) < 0:
        if highest >= LARGEST_EPSILON:
            return LARGEST_EPSILON
        highest *= 2
    return float(brentq(surplus, 0.0, highest, xtol=1e-10))


def least_right(m: int, r: int, epsilon: float, *, delta: float, alpha: float) -> int | None:
    """Return how many of `r` guesses must be right to refute `epsilon`; None where all of them would not do."""
    if one_run_p_value(m, r, r, epsilon, delta) > alpha:
        return None
    low, high = -1, r  # the p-value falls as more are right
    while high - low > 1:
        middle = (low + high) // 2
        if one_run_p_value(m, r, middle, epsilon, delta) <= alpha:
            high = middle
        else:
            low = middle
    return high
