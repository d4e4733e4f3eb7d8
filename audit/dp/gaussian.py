"""The Gaussian mechanism, exactly: epsilon, delta and mu of Gaussian differential privacy.

A mechanism is mu-GDP if telling whether one unit took part is as hard as telling N(0, 1) from N(mu, 1); T sums with
noise multiplier z are sqrt(T)/z-GDP. Tail probabilities are kept as logarithms: at epsilon 700 the plain formula is
infinity times zero.

Source: Balle and Wang 2018 (arXiv:1805.06530, theorem 8), Dong, Roth, Su 2019 (arXiv:1905.02383, corollary 2.13).
"""

import math


def gdp_delta(epsilon: float, mu: float) -> float:
    """Return the smallest delta for which a mu-GDP mechanism is (epsilon, delta)-private.

    delta = Phi(-epsilon/mu + mu/2) - e^epsilon Phi(-epsilon/mu - mu/2).

    Raises:
        ValueError: `epsilon` or `mu` is negative or not finite.
    """
    return math.exp(_log_delta(epsilon, mu))


def gdp_epsilon(mu: float, delta: float) -> float:
    """Return the smallest epsilon for which a mu-GDP mechanism is (epsilon, delta)-private; never below zero.

    Raises:
        ValueError: `mu` is negative or not finite, or `delta` not in (0, 1).
    """
    from scipy.optimize import brentq

    target = _log_of(delta)
    if _log_delta(0.0, mu) <= target:
        return 0.0
    # solved for the cut t = epsilon/mu - mu/2 of the best test; Phi(-t) <= exp(-t^2 / 2) / 2 bounds it above
    lowest, highest = max(-mu / 2, -40.0), math.sqrt(-2 * target)  # at -40 delta is 1 to the last bit
    cut = float(brentq(lambda t: _log_delta_at(t, mu) - target, lowest, highest, xtol=1e-14, rtol=1e-14))
    return max(0.0, mu * (cut + mu / 2))


def gdp_mu(epsilon: float, delta: float) -> float:
    """Return the largest mu for which a mu-GDP mechanism is (epsilon, delta)-private.

    Raises:
        ValueError: `epsilon` is negative or not finite, or `delta` not in (0, 1).
    """
    from scipy.optimize import brentq

    target = _log_of(delta)
    highest = 1.0
    while _log_delta(epsilon, highest) < target:
        highest *= 2
    lowest = highest
    while _log_delta(epsilon, lowest) > target:
        lowest /= 2
    return float(brentq(lambda mu: _log_delta(epsilon, mu) - target, lowest, highest, xtol=1e-15, rtol=1e-14))


def one_step_epsilon(noise_multiplier: float, sampling_rate: float, delta: float) -> float:
    """Return the exact epsilon of one noised sum over a Poisson sample, the unit being removed.

    More steps never hide more, so this bounds any number of steps from below: delta(epsilon) = q delta'(epsilon') with
    e^epsilon = 1 + q (e^epsilon' - 1), where the primed are those of the sum without sampling.

    Source: amplification by Poisson sampling is tight (Balle, Barthe, Gaboardi 2018, arXiv:1807.01647, theorem 8).

    Raises:
        ValueError: an argument is out of its range.
    """
    if not 0 < sampling_rate <= 1 or not noise_multiplier > 0:
        raise ValueError(f"need 0 < sampling rate <= 1 and noise > 0, got {sampling_rate} and {noise_multiplier}")
    if delta / sampling_rate >= 1:
        return 0.0
    unsampled = gdp_epsilon(1 / noise_multiplier, delta / sampling_rate)
    return max(0.0, unsampled + math.log(sampling_rate + (1 - sampling_rate) * math.exp(-unsampled)))


def _log_delta(epsilon: float, mu: float) -> float:
    if not (0 <= epsilon < math.inf and 0 <= mu < math.inf):
        raise ValueError(f"epsilon and mu are finite and not negative, got {epsilon} and {mu}")
    return _log_delta_at(epsilon / mu - mu / 2, mu) if mu > 0 else -math.inf


def _log_delta_at(cut: float, mu: float) -> float:
    """Return log delta for epsilon = mu cut + mu^2 / 2, without forming an e^epsilon or a square of mu.

    e^epsilon Phi(-cut - mu) = exp(-cut^2 / 2) erfcx((cut + mu) / sqrt 2) / 2.
    """
    from scipy.special import erfcx, log_ndtr

    first = float(log_ndtr(-cut))
    second = -cut * cut / 2 + math.log(float(erfcx((cut + mu) / math.sqrt(2))) / 2)
    if second >= first:  # they agree to the last bit: delta lies below what doubles can tell
        return -math.inf
    return first + math.log(-math.expm1(second - first))


def _log_of(delta: float) -> float:
    if not 0 < delta < 1:
        raise ValueError(f"delta lies strictly between 0 and 1, not {delta}")
    return math.log(delta)
