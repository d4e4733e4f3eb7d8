"""The hypergeometric law in log space: how many of a few drawn clients are marked (corrupt, or dropped).

A security level is a tail: the chance that too many of a client's neighbours are marked. Tails of 2^-40 and of
2^-4000 both occur, so everything here is a natural logarithm, and minus infinity means *impossible*: it comes from
the support of the law alone, never from an underflow.
"""

import math

import numpy as np
from numpy.typing import NDArray

IMPOSSIBLE = -math.inf
"""The logarithm of a probability of exactly zero."""

NEGLIGIBLE = 2.0**-60
"""What may be left out of a sum of at least 1 without a trace in its last bit (2^-52)."""


def log_choose(total: int, chosen: int) -> float:
    """Return ln of `total` choose `chosen`, for 0 <= chosen <= total."""
    return math.lgamma(total + 1) - math.lgamma(chosen + 1) - math.lgamma(total - chosen + 1)


def log_at_least(population: int, marked: int, drawn: int, count: int) -> float:
    """Return ln Pr[X >= count], X hypergeometric: the marked ones among `drawn` out of `population`.

    The lower tail needs no function of its own: "fewer than t of the drawn are unmarked" is "at least drawn - t + 1
    of the drawn are marked".

    Args:
        population: all who may be drawn, N.
        marked: how many of them are marked, 0 <= K <= N.
        drawn: how many are drawn without return, 0 <= s <= N.
        count: the least number of marked ones that counts; any integer.

    Returns:
        A number <= 0, with an error below 1e-8 up to N = 10^6; `IMPOSSIBLE` if and only if the law excludes `count`.
    """
    fewest, most = max(0, drawn - (population - marked)), min(marked, drawn)
    if count <= fewest:
        return 0.0
    if count > most:
        return IMPOSSIBLE
    if count * population <= marked * drawn:  # not past the mean: the complement is the short side
        return math.log1p(-math.exp(log_at_least(population, population - marked, drawn, drawn - count + 1)))
    ways = log_choose(marked, count) + log_choose(population - marked, drawn - count)
    first_term = ways - log_choose(population, drawn)
    return min(0.0, first_term + math.log(_tail_over_first_term(population, marked, drawn, count)))


def _tail_over_first_term(population: int, marked: int, drawn: int, count: int) -> float:
    """Return Pr[X >= count] / Pr[X = count] for a count past the mean.

    It is 1 + r + r r' + ..., r the ratio of neighbouring terms. The law is log-concave: past the mean every ratio
    is below 1 and below the one before, so the sum stops where all that is left out is `NEGLIGIBLE`.
    """
    following = min(marked, drawn) - count
    length = 64
    while True:
        i: NDArray[np.float64] = count + np.arange(min(length, following), dtype=np.float64)
        ratios = (marked - i) * (drawn - i) / ((i + 1) * (population - marked - drawn + i + 1))
        terms = np.cumprod(ratios)
        if length >= following or terms[-1] * (following - length) <= NEGLIGIBLE:
            return 1.0 + float(terms[::-1].sum())  # smallest first
        length *= 4


def bits(log_probability: float) -> float:
    """Return -log2 of the probability with this natural logarithm: 0 for one and above, infinity for `IMPOSSIBLE`."""
    return max(0.0, -log_probability / math.log(2))
