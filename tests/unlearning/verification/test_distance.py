"""V6 and V7: distances over the floor, by hand, by slow loops, and where retraining says nothing."""

import itertools
import math

import numpy as np
import pytest

from unlearning.verification.distance import Array, activation_ratio, js_ratio


def answers(rng: np.random.Generator, models: int, examples: int = 40, *, common: float = 2.0) -> Array:
    """Logits of models that agree on what an example is and differ by their own luck."""
    return common * rng.normal(size=(1, examples, 5)) + 0.5 * rng.normal(size=(models, examples, 5))


def probabilities(logits: Array) -> Array:
    powers = np.exp(logits)
    return np.asarray(powers / powers.sum(axis=-1, keepdims=True))


def js(one: Array, other: Array) -> float:
    """The definition, example by example and class by class."""
    total = 0.0
    for p, q in zip(probabilities(one), probabilities(other), strict=True):
        for a, b in zip(p, q, strict=True):
            total += (a * math.log(2 * a / (a + b)) + b * math.log(2 * b / (a + b))) / 2
    return total / len(one)


def euclidean(one: Array, other: Array) -> float:
    return sum(math.dist(p, q) for p, q in zip(probabilities(one), probabilities(other), strict=True)) / len(one)


@pytest.mark.parametrize(("ratio", "distance"), [(js_ratio, js), (activation_ratio, euclidean)])
def test_ratio_and_floor_are_the_slow_loops(ratio, distance) -> None:  # type: ignore[no-untyped-def]
    models = answers(np.random.default_rng(0), 6)
    found = ratio(models[0], models[1:])
    to_oracles = np.mean([distance(models[0], oracle) for oracle in models[1:]])
    floor = np.mean([distance(a, b) for a, b in itertools.combinations(models[1:], 2)])
    assert (found.distance, found.floor) == (pytest.approx(to_oracles, rel=1e-9), pytest.approx(floor, rel=1e-9))
    assert found.value == pytest.approx(to_oracles / floor, rel=1e-9)
    left_out = [math.log(ratio(models[0], np.delete(models[1:], i, axis=0)).value) for i in range(5)]
    error = math.sqrt(4 / 5 * sum((one - np.mean(left_out)) ** 2 for one in left_out))
    half = 2.776445105 * error  # Student's t of 4 degrees, from tables
    assert found.interval.high == pytest.approx(found.value * math.exp(half), rel=1e-9)
    assert found.interval.low == pytest.approx(found.value * math.exp(-half), rel=1e-9)


def test_an_example_by_hand() -> None:
    # one example of two classes; probabilities of the first class .5, .6, .7, and .9 for the model under question
    oracles = np.log([[[0.5, 0.5]], [[0.6, 0.4]], [[0.7, 0.3]]])
    found = activation_ratio(np.log([[0.9, 0.1]]), oracles)
    # sqrt 2 times the differences: .4, .3, .2 to the oracles; .1, .2, .1 between them
    assert found.distance == pytest.approx(math.sqrt(2) * 0.3)
    assert found.floor == pytest.approx(math.sqrt(2) * 0.4 / 3)
    assert found.value == pytest.approx(2.25)
    assert found.oracles == 3


def test_one_more_retrained_model_is_near_the_floor_and_a_stranger_far_above_it() -> None:
    high_enough = above = 0
    for seed in range(40):
        rng = np.random.default_rng(seed)
        models = answers(rng, 6)
        fresh = js_ratio(models[0], models[1:])  # negative control: an honest retraining
        stranger = js_ratio(answers(rng, 1)[0], models[1:])  # positive control: another opinion of every example
        high_enough += fresh.interval.low <= 1.5
        above += stranger.interval.low > 1.5
    assert high_enough == 40
    assert above == 40


def test_destroying_the_model_is_no_way_to_the_floor() -> None:
    models = answers(np.random.default_rng(3), 8)
    uniform = np.zeros_like(models[0])
    assert js_ratio(uniform, models[1:]).interval.low > 1.5


def test_the_jackknife_covers_the_ratio_of_many_oracles() -> None:
    covered = 0
    for seed in range(60):
        models = answers(np.random.default_rng(seed), 50, 10)
        truth = js_ratio(models[0], models[9:]).value
        interval = js_ratio(models[0], models[1:9]).interval
        covered += interval.low <= truth <= interval.high
    assert covered >= 52  # 57 expected; the binomial lower 99.9 % end of 60 draws at 95 %


def test_extreme_logits_stay_finite() -> None:
    oracles = np.array([[[700.0, 0.0]], [[600.0, 0.0]], [[0.0, 0.0]], [[0.0, 700.0]]])
    found = js_ratio(np.array([[0.0, 350.0]]), oracles)
    # ln 2 between certainties that disagree, m between a certainty and an even guess, nothing between ones that agree
    m = (math.log(4 / 3) + math.log(2 / 3) / 2 + math.log(2) / 2) / 2
    assert found.distance == pytest.approx((2 * math.log(2) + m) / 4, rel=1e-9)
    assert found.floor == pytest.approx((2 * math.log(2) + 3 * m) / 6, rel=1e-9)


@pytest.mark.parametrize("ratio", [js_ratio, activation_ratio])
def test_what_gives_no_floor_is_refused(ratio) -> None:  # type: ignore[no-untyped-def]
    models = answers(np.random.default_rng(1), 5)
    with pytest.raises(ValueError, match="answer alike"):
        ratio(models[0], np.stack([models[1]] * 4))
    with pytest.raises(ValueError, match="answer alike"):
        ratio(models[0], np.stack([models[1], models[1], models[2]]))  # without the third there is no floor
    with pytest.raises(ValueError, match="needs 3"):
        ratio(models[0], models[1:3])
    with pytest.raises(ValueError, match="shape"):
        ratio(models[0], models[1:, :-1])
    with pytest.raises(ValueError, match="not finite"):
        ratio(np.full_like(models[0], np.nan), models[1:])
