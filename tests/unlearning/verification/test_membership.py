"""V2: two-sided membership by loss, with pairs counted by hand and chance as a control."""

import numpy as np
import pytest

from unlearning.verification.membership import neighbour_exposure, population_membership


def test_pairs_are_counted_by_hand() -> None:
    found = population_membership([0.1, 0.4, 0.4], [0.3, 0.4])
    # of six pairs the forgotten example is easier in (.1, .3), (.1, .4); a tie counts half: (.4, .4) twice
    assert found.auc == pytest.approx((2 + 2 * 0.5) / 6)
    assert (found.first, found.second) == (3, 2)
    assert found.interval.low <= found.auc <= found.interval.high


def test_both_ways_of_standing_out_are_seen() -> None:
    rng = np.random.default_rng(0)
    losses = rng.exponential(size=200)
    twin = rng.exponential(size=200)
    assert population_membership(0.2 * losses, twin).side == "above"  # remembered
    hidden = population_membership(losses + 1, twin)  # pushed beyond: a one-sided test would call it forgotten
    assert hidden.auc < 0.3
    assert hidden.side == "below"


def test_sets_that_look_alike_stand_out_about_as_often_as_the_interval_allows() -> None:
    rng = np.random.default_rng(1)
    sides = [population_membership(rng.exponential(size=60), rng.exponential(size=60)).side for _ in range(300)]
    outside = sum(side != "none" for side in sides)
    assert 4 <= outside <= 30  # 15 expected; 99.9 % ends of the binomial
    assert {"above", "below"} <= set(sides)


def test_an_average_hides_what_each_example_tells() -> None:
    rng = np.random.default_rng(2)
    losses = np.concatenate([np.full(100, 0.1), np.full(100, 3.0)])  # half remembered, half overshot
    assert population_membership(losses, rng.uniform(0.5, 2, size=200)).side == "none"


def test_exposed_neighbours_are_told_from_unmoved_ones() -> None:
    before = np.random.default_rng(3).exponential(size=80)
    assert neighbour_exposure(0.3 * before, before).side == "above"
    unmoved = neighbour_exposure(before, before)
    assert unmoved.auc == 0.5
    assert unmoved.side == "none"


def test_one_example_a_side_gives_a_wide_interval_not_a_verdict() -> None:
    alone = population_membership([0.0], [5.0])
    assert alone.auc == 1.0
    assert alone.side == "none"


def test_losses_that_mean_nothing_are_refused() -> None:
    with pytest.raises(ValueError, match="at least one score"):
        population_membership([], [1.0])
    with pytest.raises(ValueError, match="not finite"):
        population_membership([np.nan], [1.0])
    with pytest.raises(ValueError, match="same examples"):
        neighbour_exposure([1.0, 2.0], [1.0])
