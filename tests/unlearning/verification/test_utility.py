"""V1: gaps in accuracy with their intervals, and the tug of war."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from unlearning.verification.utility import accuracy_gap, tug_of_war


def test_a_gap_by_hand() -> None:
    correct = np.array([True, True, False, False])
    reference = np.array([[True, True, True, False], [True, False, True, False]])
    found = accuracy_gap(correct, reference)
    assert (found.accuracy, found.reference, found.value) == (0.5, 0.625, -0.125)
    # differences 0, .5, -1, 0: variance 1.1875/3 over 4; accuracies .75, .5: variance .03125 over 2
    parts = (1.1875 / 12, 0.03125 / 2)
    freedom = sum(parts) ** 2 / (parts[0] ** 2 / 3 + parts[1] ** 2 / 1)
    half = stats.t.ppf(0.975, freedom) * math.sqrt(sum(parts))
    assert found.interval.high == pytest.approx(-0.125 + half)
    assert (found.examples, found.models) == (4, 2)
    parts = (1.1875 / 12, 0.03125 * (1 + 1 / 2))  # the model's own training has its luck as well
    freedom = sum(parts) ** 2 / (parts[0] ** 2 / 3 + parts[1] ** 2 / 1)
    assert found.excused == pytest.approx(-0.125 + stats.t.ppf(0.975, freedom) * math.sqrt(sum(parts)))


def test_of_models_that_were_retrained_hardly_one_is_accused() -> None:
    rng = np.random.default_rng(2)
    accused = by_interval = caught = 0
    for _ in range(1000):
        rates = 0.8 + rng.normal(0, 0.03, size=5)
        reference = rng.random((4, 300)) < rates[:4, None]
        honest = accuracy_gap(rng.random(300) < rates[4], reference)
        accused += honest.excused < 0
        by_interval += honest.interval.high < 0
        caught += accuracy_gap(rng.random(300) < 0.5, reference).excused < -0.02  # positive control
    assert accused <= 40  # 25 expected; the binomial upper 99.9 % end is 41
    assert by_interval > 60  # the interval alone, of a fixed model, would accuse too many
    assert caught >= 950


def test_against_one_model_it_is_the_paired_t_interval() -> None:
    rng = np.random.default_rng(0)
    correct, before = rng.random(200) < 0.7, rng.random(200) < 0.8
    found = accuracy_gap(correct, before[None])
    expected = stats.ttest_rel(correct.astype(float), before.astype(float)).confidence_interval()
    assert (found.interval.low, found.interval.high) == pytest.approx((expected.low, expected.high))
    assert found.excused == pytest.approx(expected.high)  # of one model nobody knows the luck


def test_the_interval_covers_the_gap_of_models_that_were_never_drawn() -> None:
    rng = np.random.default_rng(1)
    covered = seen = 0
    for _ in range(400):
        luck = rng.normal(0, 0.03, size=6)  # each training has its own
        reference = rng.random((5, 300)) < (0.8 + luck[:5])[:, None]
        same = accuracy_gap(rng.random(300) < 0.8, reference)  # the model's own rate is .8 as is the references' mean
        covered += same.interval.low <= 0 <= same.interval.high
        worse = accuracy_gap(rng.random(300) < 0.6, reference)  # positive control
        seen += worse.interval.high < -0.02
    assert covered >= 365  # 380 expected; the binomial lower 99.9 % end
    assert seen >= 390


def test_where_nothing_varies_the_interval_keeps_a_width() -> None:
    same = np.ones(50, dtype=np.bool_)
    found = accuracy_gap(same, np.stack([same, same]))
    assert found.value == 0
    assert found.interval.high == pytest.approx(math.sqrt(2 * math.log(40) / 50))
    single = accuracy_gap(np.array([False]), np.array([[True], [False], [True]]))
    assert (single.interval.low, single.interval.high) == (-1.0, 1.0)  # one example tells nothing


@pytest.mark.parametrize(
    ("correct", "reference", "said"),
    [
        (np.ones(3, dtype=np.bool_), np.ones((2, 4), dtype=np.bool_), "shape"),
        (np.ones(0, dtype=np.bool_), np.ones((2, 0), dtype=np.bool_), "shape"),
        (np.ones(3), np.ones((2, 3), dtype=np.bool_), "truth values"),
    ],
)
def test_answers_that_mean_nothing_are_refused(correct: object, reference: object, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        accuracy_gap(correct, reference)  # type: ignore[arg-type]


def test_the_tug_of_war_by_hand() -> None:
    assert tug_of_war(retain=-0.1, forget=0.5, test=0.0) == pytest.approx(0.45)
    assert tug_of_war(retain=0.0, forget=0.0, test=0.0) == 1.0


@given(gaps=st.tuples(*[st.floats(-1, 1)] * 3))
def test_the_tug_of_war_punishes_either_direction_alike(gaps: tuple[float, float, float]) -> None:
    retain, forget, test = gaps
    value = tug_of_war(retain=retain, forget=forget, test=test)
    assert 0 <= value <= 1
    assert value == tug_of_war(retain=-retain, forget=-forget, test=-test)


def test_a_gap_beyond_all_accuracies_is_refused() -> None:
    with pytest.raises(ValueError, match="lie in"):
        tug_of_war(retain=0.0, forget=math.nan, test=0.0)
