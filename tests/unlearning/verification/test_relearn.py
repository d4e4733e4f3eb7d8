"""V8: relearn time and the anamnesis index, by hand, on small trainings, and where it says nothing."""

import math

import numpy as np
import pytest
from scipy import stats

from unlearning.verification.relearn import anamnesis_index, relearn_steps


def test_steps_are_counted_to_the_first_loss_that_is_near_enough() -> None:
    assert relearn_steps([2.0, 1.2, 1.05, 0.9, 1.3], before_loss=1.0) == 2
    assert relearn_steps([1.0, 0.5], before_loss=1.0) == 0
    assert relearn_steps([2.0, 1.2, 1.06], before_loss=1.0) is None
    assert relearn_steps([2.0, 1.2, 1.06], before_loss=1.0, tolerance=0.1) == 2


def test_an_index_by_hand() -> None:
    found = anamnesis_index(30, [10, 20, 30], budget=100)
    assert found.value == pytest.approx(1.5)
    logs = np.log([10, 20, 30])
    spread = math.sqrt(logs.var(ddof=1) + 1 / (12 * 400))
    half = stats.t.ppf(0.975, 2) * spread * math.sqrt(4 / 3)
    assert found.interval is not None
    assert found.interval.high == pytest.approx(1.5 * math.exp(half))
    assert found.interval.low == pytest.approx(1.5 * math.exp(-half))
    assert found.reason == ""


def test_what_cannot_be_compared_is_said_and_not_measured() -> None:
    quick = anamnesis_index(3, [8, 9, 11], budget=100)
    assert (quick.value, quick.interval, quick.reason) == (None, None, "too-quick")
    slow = anamnesis_index(3, [20, None, 30], budget=100)
    assert (slow.value, slow.interval, slow.reason) == (None, None, "budget")
    assert slow.oracle_steps == (20, None, 30)


def test_a_model_that_never_gets_there_counts_with_all_steps_tried() -> None:
    found = anamnesis_index(None, [20, 21, 19, 20], budget=200)
    assert found.value == 10.0
    assert found.steps is None
    assert found.interval is not None
    assert found.interval.low > 3  # over-forgotten


def test_one_more_oracle_is_seldom_told_from_the_others_and_planted_memory_always() -> None:
    rng = np.random.default_rng(0)
    outside = remembered = overshot = 0
    for _ in range(300):
        steps = [int(one) for one in np.maximum(rng.lognormal(math.log(40), 0.2, size=6).round(), 1)]
        for factor in (1.0, 0.05, 12.0):
            index = anamnesis_index(round(factor * steps[0]), steps[1:], budget=10_000)
            assert index.interval is not None
            if factor == 1.0:
                outside += not index.interval.low <= 1 <= index.interval.high
            remembered += factor < 1 and index.interval.high < 1
            overshot += factor > 1 and index.interval.low > 3
    assert outside <= 29  # 15 expected; the binomial upper 99.9 % end
    assert remembered >= 290
    assert overshot >= 290


def descent(start: float, target: float, rate: float, steps: int) -> list[float]:
    """Losses of gradient descent on the squared distance to `target`, from `start`."""
    place, losses = start, []
    for _ in range(steps + 1):
        losses.append((place - target) ** 2)
        place -= rate * 2 * (place - target)
    return losses


def test_a_model_that_only_hid_its_memory_relearns_sooner_than_retrained_ones() -> None:
    # the distance shrinks by .9 a step, so a start at distance d needs ln(d / limit) / -ln .9 steps, rounded up
    limit = math.sqrt(1.05 * 1e-4)
    steps = [relearn_steps(descent(start, 0.0, 0.05, 200), 1e-4) for start in (1.0, 1.5, 2.0, 0.02)]
    assert steps == [math.ceil(math.log(start / limit) / -math.log(0.9)) for start in (1.0, 1.5, 2.0, 0.02)]
    *oracles, covered = steps
    found = anamnesis_index(covered, oracles, budget=200)
    assert found.interval is not None
    assert found.interval.high < 1


def test_curves_and_counts_that_mean_nothing_are_refused() -> None:
    with pytest.raises(ValueError, match="finite losses"):
        relearn_steps([], before_loss=1.0)
    with pytest.raises(ValueError, match="finite losses"):
        relearn_steps([1.0, math.nan], before_loss=1.0)
    with pytest.raises(ValueError, match="zero or more"):
        relearn_steps([1.0], before_loss=-1.0)
    with pytest.raises(ValueError, match="needs two"):
        anamnesis_index(5, [10], budget=100)
    with pytest.raises(ValueError, match=r"lie in 0\.\.100"):
        anamnesis_index(101, [10, 12], budget=100)
