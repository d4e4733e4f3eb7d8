"""Differential privacy: epsilon and its time beside Google's accountant, and what canaries prove, how fast.

The peer is `dp_accounting`'s privacy loss distribution (PLD) at its own discretisation, which is also the oracle. The
canaries are scores of a Gaussian mechanism whose epsilon is known: two normal groups that lie mu apart.
"""

import importlib.util
import statistics
import time
from collections.abc import Iterator

import numpy as np
from attacks_rows import Row, by_turns, slope

from audit.dp.accounting import recompute
from audit.dp.canaries import gaussian_lower_bound
from audit.dp.gaussian import gdp_mu
from audit.dp.onerun import one_run_lower_bound
from reports.model import DifferentialPrivacy

DELTA, ALPHA = 1e-5, 0.025
SETTINGS = ((1.1, 256 / 60000, 14062), (0.943, 0.07, 215), (0.5, 0.01, 1000))
"""Noise multiplier, sampling rate, steps: the ones whose epsilon the specification's table tells."""
AGREE = 0.01
EPSILONS = (9.997, 4.377, 0.926)
"""Of the Gaussian mechanisms whose canaries are scored."""
SHARE = 0.85
"""Of the true epsilon that the lower bound should reach on average where it is 4 or more."""
CANARIES = 1000
RUNS = {"small": 400, "standard": 1000, "full": 4000}
FALSE = 0.05
SIZES = {"small": (2, 3, 4, 5), "standard": (2, 3, 4, 5, 6), "full": (2, 3, 4, 5, 6)}


def measure(points: str, seed: int, _device: str) -> Iterator[Row]:
    """Yield the rows."""
    yield from accounting(3 if points == "small" else 5)
    rng = np.random.default_rng(seed)
    for epsilon in EPSILONS:
        yield from bounds(epsilon, RUNS[points], rng)
    yield from canary_scale(SIZES[points], rng)


def accounting(repeats: int) -> Iterator[Row]:
    """Yield epsilon and its time, ours and the peer's by turns."""
    there = importlib.util.find_spec("dp_accounting") is not None
    for noise, rate, steps in SETTINGS:
        declared = DifferentialPrivacy(
            noise_multiplier=noise, sampling="poisson", sampling_rate=rate, steps=steps, delta=DELTA
        )
        works = [lambda d=declared: recompute(d), lambda s=(noise, rate, steps): pld_epsilon(*s)]
        seconds = by_turns(works if there else works[:1], repeats)
        ours = recompute(declared)
        what = f"epsilon, noise {noise}, q {rate:.4f}, T {steps}"
        if not there:
            yield Row(what, ours.estimate, "", note="dp-accounting is not installed: nothing to compare with")
            continue
        theirs = pld_epsilon(noise, rate, steps)
        near = abs(ours.estimate - theirs) <= AGREE * theirs
        yield Row(what, ours.estimate, "", f"within {AGREE:.0%}", near, "PLD", theirs)
        milliseconds, others = (1000 * one for one in seconds)
        met = milliseconds <= others
        yield Row("  its time, with RDP and GDP", milliseconds, "ms", "<= 1x", met, "PLD", others, repeats)


def pld_epsilon(noise: float, rate: float, steps: int) -> float:
    """Return the peer's figure."""
    from dp_accounting import dp_event
    from dp_accounting.pld import PLDAccountant

    accountant = PLDAccountant()
    accountant.compose(dp_event.PoissonSampledDpEvent(rate, dp_event.GaussianDpEvent(noise)), steps)
    return float(accountant.get_epsilon(DELTA))


def bounds(truth: float, runs: int, rng: np.random.Generator) -> Iterator[Row]:
    """Yield what both routes prove of a Gaussian mechanism of that epsilon, and how often they prove too much."""
    effect = gdp_mu(truth, DELTA)
    gaussian, guessed = [], []
    for _ in range(runs):
        included = rng.random(CANARIES) < 0.5
        scores = rng.standard_normal(CANARIES) + effect * included
        gaussian.append(gaussian_lower_bound(scores, included, delta=DELTA, alpha=ALPHA))
        guessed.append(one_run_lower_bound(scores, included, delta=DELTA, alpha=ALPHA))
    mean = statistics.mean(gaussian)
    asked = truth >= 4
    target, met = (f">= {SHARE:.0%} of epsilon", mean >= SHARE * truth) if asked else ("", None)
    what = f"canaries, m {CANARIES}, epsilon {truth:g}, Gaussian bound"
    yield Row(what, mean, "", target, met, n=runs, note=f"one run: {statistics.mean(guessed):.3g}")
    wrong = sum(max(pair) > truth for pair in zip(gaussian, guessed, strict=True))
    yield Row("  false accusations, both routes", 100 * wrong / runs, "%", "<= 5 %", wrong <= FALSE * runs, n=runs)


def canary_scale(powers: tuple[int, ...], rng: np.random.Generator) -> Iterator[Row]:
    """Yield the time of both bounds by the number of canaries, and its slope."""
    seconds = []
    for power in powers:
        included = rng.random(10**power) < 0.5
        scores = rng.standard_normal(10**power) + included
        begun = time.process_time()
        gaussian_lower_bound(scores, included, delta=DELTA, alpha=ALPHA)
        one_run_lower_bound(scores, included, delta=DELTA, alpha=ALPHA)
        seconds.append(time.process_time() - begun)
        yield Row(f"both bounds, 10^{power} canaries", 1000 * seconds[-1], "ms", "< 5 s", seconds[-1] < 5)
    rising = slope([10.0**power for power in powers], seconds)
    yield Row("  slope of log time over log canaries", rising, "")
