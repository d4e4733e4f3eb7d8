"""U-LiRA against its definition in loops, its coverage where nothing is to be seen, and what it must see."""

import itertools
import math
from collections.abc import Iterable
from statistics import fmean, stdev
from typing import Any

import numpy as np
import pytest

from unlearning.verification.likelihood_ratio import ULiraResult, log_likelihood_ratio, u_lira
from unlearning.verification.scores import Array

Ratios = list[tuple[list[list[float]], list[list[float]]]]


def draw(seed: int, models: int = 12, examples: int = 8, common: float = 0.0) -> tuple[Array, Array]:
    """Return two sides of one distribution; `common` is what the examples of one model share, in deviations."""
    rng = np.random.default_rng(seed)
    shared = common * rng.normal(size=(2 * models, 1)) * rng.normal(size=examples)
    scores = rng.normal(size=(2 * models, examples)) + shared
    return scores[:models], scores[models:]


def ask(unlearned: Any, reference: Any, seed: int = 0, folds: int = 4) -> ULiraResult:
    return u_lira(unlearned, reference, folds=folds, rng=np.random.default_rng(seed))


def log_density(x: float, fitted: list[float]) -> float:
    """Return the log density at `x` of the Gaussian fitted to a few numbers, but for its constant."""
    mean = sum(fitted) / len(fitted)
    variance = sum((y - mean) ** 2 for y in fitted) / (len(fitted) - 1)
    return -math.log(variance) / 2 - (x - mean) ** 2 / variance / 2


def slow_ratios(unlearned: Array, reference: Array, folds: int) -> Ratios:
    """Return each fold's held-out ratios: consecutive models, the larger folds first."""
    parts: Ratios = []
    blocks = [np.array_split(np.arange(len(side)), folds) for side in (unlearned, reference)]
    for mine, theirs in zip(*blocks, strict=True):
        u, r = np.delete(unlearned, mine, 0).T.tolist(), np.delete(reference, theirs, 0).T.tolist()
        held_out = [
            [[log_density(x, u[i]) - log_density(x, r[i]) for i, x in enumerate(row)] for row in rows.tolist()]
            for rows in (unlearned[mine], reference[theirs])
        ]
        parts.append((held_out[0], held_out[1]))
    return parts


def wins(a: Iterable[float], b: Iterable[float]) -> float:
    each = [(x > y) + (x == y) / 2 for x, y in itertools.product(a, b)]
    return sum(each) / len(each)


def slow_auc(parts: Ratios) -> float:
    areas = [wins((x for row in u for x in row), (y for row in r for y in row)) for u, r in parts]
    sizes = [len(u) * len(r) for u, r in parts]
    return sum(a * s for a, s in zip(areas, sizes, strict=True)) / sum(sizes)


def slow_rate(parts: Ratios) -> float:
    positive = [x for u, _ in parts for row in u for x in row]
    negative = [x for _, r in parts for row in r for x in row]
    least = next(t for t in sorted(negative) if sum(y > t for y in negative) <= 0.01 * len(negative))
    return fmean(x > least for x in positive)


@pytest.mark.parametrize(("seed", "models", "folds", "apart"), [(0, 4, 2, 0.0), (1, 5, 2, 1.0), (2, 6, 3, 0.5)])
def test_every_number_is_that_of_the_definition(seed: int, models: int, folds: int, apart: float) -> None:
    unlearned, reference = draw(seed, models, 4)
    unlearned = unlearned + apart
    found, parts = ask(unlearned, reference, seed, folds), slow_ratios(unlearned, reference, folds)
    assert found.auc == pytest.approx(slow_auc(parts))
    assert found.tpr_at_1_percent == slow_rate(parts)
    right = [x > 0 for u, _ in parts for row in u for x in row] + [x < 0 for _, r in parts for row in r for x in row]
    assert found.accuracy == pytest.approx(fmean(right))
    each = [[[list(z) for z in zip(*side, strict=True)] for side in part] for part in parts]
    sizes = [len(u) * len(r) for u, r in parts]
    per_example = [
        sum(wins(u[i], r[i]) * s for (u, r), s in zip(each, sizes, strict=True)) / sum(sizes) for i in range(4)
    ]
    np.testing.assert_allclose(found.per_example_auc, per_example)
    assert found.exposed_share == fmean(a > 0.9 for a in per_example)
    assert found.most_exposed.tolist() == [per_example.index(max(per_example))]

    rng, both, exchanged = np.random.default_rng(seed), np.concatenate([unlearned, reference]), []
    for _ in range(200):
        dealt = both[rng.permutation(2 * models)]
        exchanged.append(slow_auc(slow_ratios(dealt[:models], dealt[models:], folds)))
    as_far = sum(abs(a - 0.5) >= abs(slow_auc(parts) - 0.5) - 1e-12 for a in exchanged)
    assert found.p_value == (1 + as_far) / 201
    assert found.exchange_deviation == pytest.approx(stdev(exchanged))


@pytest.mark.parametrize("common", [0.0, 3.0])
def test_resampling_models_gives_the_spread_of_their_pairs(common: float) -> None:
    unlearned, reference = draw(3, 8, 5, common)
    found, parts = ask(unlearned, reference, folds=2), slow_ratios(unlearned, reference, 2)
    rng, drawn = np.random.default_rng(1), []
    for _ in range(300):
        areas = []
        for u, r in parts:
            i, j = rng.integers(0, 4, 4), rng.integers(0, 4, 4)
            areas.append(wins((x for k in i for x in u[k]), (y for k in j for y in r[k])))
        drawn.append(fmean(areas))
    assert found.bootstrap_deviation == pytest.approx(stdev(drawn), rel=0.2)  # other dice: 200 and 300 of them


def covered(draws: int, models: int, examples: int, common: float) -> tuple[float, float]:
    """Return in how many null draws the interval holds .5, and in how many the bootstrap's alone does."""
    results = [ask(*draw(seed, models, examples, common), seed) for seed in range(draws)]
    whole = [found.interval.low <= 0.5 <= found.interval.high for found in results]
    bootstrapped = [abs(found.auc - 0.5) <= 1.96 * found.bootstrap_deviation for found in results]
    return fmean(whole), fmean(bootstrapped)


@pytest.mark.slow
@pytest.mark.parametrize("common", [0.0, 3.0])
def test_the_interval_holds_a_half_in_ninety_of_a_hundred_null_draws(common: float) -> None:
    whole, bootstrapped = covered(100, 16, 20, common)
    assert whole >= 0.9
    assert bootstrapped < 0.9  # negative control: the spread over models without refitting is too short


@pytest.mark.parametrize("trace", [1.0, -1.0])
def test_unlearned_models_that_differ_are_told_apart_on_either_side(trace: float) -> None:
    unlearned, reference = draw(5, 24, 20)
    found = ask(unlearned + trace, reference)
    assert found.interval.low > 0.6  # too much forgetting shows like too little: the ratio has learnt the direction
    assert found.p_value == 1 / 201
    assert found.tpr_interval.low > 0.01
    assert found.accuracy > 0.6


@pytest.mark.parametrize("common", [0.0, 3.0])
def test_a_control_is_not_told_apart_also_where_the_examples_of_a_model_agree(common: float) -> None:
    found = ask(*draw(6, 24, 20, common))
    assert found.interval.low <= 0.5 <= found.interval.high
    assert found.p_value > 0.05
    assert found.tpr_interval.low <= 0.01 <= found.tpr_interval.high
    assert found.exposed_share == 0.0
    assert found.exchange_deviation > found.bootstrap_deviation


def test_other_spread_alone_is_seen() -> None:
    unlearned, reference = draw(7, 24, 20)
    assert ask(3.0 * unlearned, reference).interval.low > 0.55


def test_an_area_far_below_a_half_is_as_surprising_as_one_far_above() -> None:
    unlearned, reference = draw(8, 24, 6)
    swapped = np.where(np.arange(24) < 12, 1.0, -1.0)[:, None]  # each fold contradicts what the other has learnt
    found = ask(0.1 * unlearned + swapped, 0.1 * reference - swapped, folds=2)
    assert found.auc < 0.2
    assert found.interval.high < 0.5
    assert found.p_value == 1 / 201


def test_the_exposed_examples_are_named() -> None:
    unlearned, reference = draw(9, 24, 40)
    unlearned[:, [3, 17]] += 4.0
    found = ask(unlearned, reference)
    assert found.exposed_share == 2 / 40
    assert sorted(found.most_exposed.tolist()) == [3, 17]
    assert found.most_exposed_auc > 0.95
    assert found.per_example_auc[np.delete(np.arange(40), [3, 17])].max() < 0.9


def test_the_sides_may_count_different_models() -> None:
    unlearned, reference = draw(10, 12, 8)
    found = ask(unlearned[:7], reference, folds=3)
    assert (found.unlearned_ratios.shape, found.reference_ratios.shape) == ((7, 8), (12, 8))
    assert found.auc == pytest.approx(slow_auc(slow_ratios(unlearned[:7], reference, 3)))


@pytest.mark.parametrize("constant", [50.0, 0.1])
def test_examples_that_all_models_score_alike_have_an_area_of_a_half(constant: float) -> None:
    found = ask(*(np.concatenate([side, np.full((12, 3), constant)], axis=1) for side in draw(11)))
    assert found.per_example_auc[-3:].tolist() == [0.5, 0.5, 0.5]
    assert (found.unlearned_ratios[:, -3:] == 0).all()
    silent = ask(np.full((8, 3), constant), np.full((8, 3), constant))
    assert (silent.auc, silent.accuracy, silent.p_value, silent.tpr_at_1_percent) == (0.5, 0.5, 1.0, 0.0)


def test_models_that_all_agree_say_nothing_of_one_that_does_not() -> None:
    judged = log_likelihood_ratio(np.array([[49.0], [0.1]]), np.full((7, 1), 0.1), np.full((12, 1), 0.1))
    assert np.full((7, 1), 0.1).mean() != np.full((12, 1), 0.1).mean()  # the means differ by rounding
    assert judged.tolist() == [[0.0], [0.0]]


def test_a_side_that_never_varies_is_told_from_one_that_does() -> None:
    _, reference = draw(12)
    found = ask(np.full((12, 8), 0.5), reference)
    assert np.isfinite(found.unlearned_ratios).all()
    assert np.isfinite(found.reference_ratios).all()
    assert found.auc == 1.0


def test_two_points_are_told_apart_without_a_spread() -> None:
    scores = np.array([[1.0], [2.0]])
    ratios = log_likelihood_ratio(scores, np.full((4, 1), 1.0), np.full((4, 1), 2.0))
    assert ratios[0, 0] > 0 > ratios[1, 0]
    assert ratios[0, 0] == pytest.approx(-ratios[1, 0])


def test_the_same_dice_give_the_same_result() -> None:
    first, second, other = (ask(*draw(13), seed) for seed in (1, 1, 2))
    assert (first.interval, first.p_value) == (second.interval, second.p_value)
    assert first.interval != other.interval
    assert first.auc == other.auc


unlearned, reference = draw(14)
WRONG: list[tuple[Any, Any, int, str]] = [
    (unlearned, reference[:, :-1], 4, "8 examples, references 7"),
    (unlearned[0], reference, 4, "shape"),
    (unlearned[:1], reference, 4, "unlearned: 1 models"),
    (unlearned, reference[:1], 4, "reference: 1 models"),
    (unlearned * math.nan, reference, 4, "unlearned: a score is not finite"),
    (unlearned, reference * math.inf, 4, "reference: a score is not finite"),
    (unlearned, reference, 1, "need two folds"),
    (unlearned, reference, 13, "12 models of a side in 13 folds"),
    (unlearned[:3], reference[:3], 2, "two models outside of each"),
]


@pytest.mark.parametrize(("unlearned", "reference", "folds", "problem"), WRONG)
def test_scores_that_mean_nothing_are_refused(unlearned: Any, reference: Any, folds: int, problem: str) -> None:
    with pytest.raises(ValueError, match=problem):
        ask(unlearned, reference, folds=folds)
