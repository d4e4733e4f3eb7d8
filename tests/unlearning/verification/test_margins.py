"""V5 with its error: what models of one kind give by chance, what planted memory adds, and how wide the interval is."""

import numpy as np
import pytest

from unlearning.verification.forgetting_quality import klom
from unlearning.verification.margins import margin_divergence
from unlearning.verification.scores import Array


def scores(rng: np.random.Generator, models: int, shift: float = 0.0, common: float = 0.0) -> Array:
    """Scores of 60 examples, every second one shifted; `common` makes the scores of one model move together."""
    together = common * rng.normal(size=(models, 1))
    return np.asarray(rng.normal(size=(models, 60)) + together + shift * (np.arange(60) % 2 == 0))


def test_the_value_is_that_of_klom_and_lies_within_its_interval() -> None:
    rng = np.random.default_rng(0)
    first, second = scores(rng, 24), scores(rng, 40)
    found = margin_divergence(first, second)
    assert found.value == klom(first, second).percentile_95
    assert found.interval.low <= found.value <= found.interval.high
    assert (found.models, found.references, found.examples) == (24, 40, 60)


def test_the_deviation_is_the_jackknifes_over_groups() -> None:
    rng = np.random.default_rng(1)
    first, second = scores(rng, 5), scores(rng, 16)
    variance = 0.0
    for side, groups in ((0, [[place] for place in range(5)]), (1, [[2 * g, 2 * g + 1] for g in range(8)])):
        values = []
        for group in groups:
            kept = [np.array([row for i, row in enumerate(one) if s != side or i not in group]) for s, one in
                    enumerate((first, second))]  # fmt: skip
            values.append(klom(*kept).percentile_95)
        mean = sum(values) / len(values)
        variance += (len(values) - 1) / len(values) * sum((value - mean) ** 2 for value in values)
    found = margin_divergence(first, second)
    assert found.interval.high - found.value == pytest.approx(1.96 * variance**0.5)


@pytest.mark.parametrize("common", [0.0, 1.0])
def test_models_of_one_kind_lie_as_far_apart_as_their_control_and_planted_memory_farther(common: float) -> None:
    alike = apart = 0
    for seed in range(12):
        rng = np.random.default_rng([2, seed])
        references = scores(rng, 64, common=common)
        control = margin_divergence(scores(rng, 32, common=common), references)
        honest = margin_divergence(scores(rng, 32, common=common), references)
        kept = margin_divergence(scores(rng, 32, shift=4.0, common=common), references)
        alike += honest.interval.low <= control.value <= honest.interval.high
        apart += kept.interval.low > control.interval.high
        assert control.value > 0.5  # by chance alone: to be read beside it, never against zero
    assert alike >= 11
    assert apart >= 11


def test_the_interval_is_no_narrower_than_other_models_would_have_it() -> None:
    rng = np.random.default_rng(3)
    drawn = [margin_divergence(scores(rng, 32, shift=1.0), scores(rng, 64)) for _ in range(20)]
    middle = np.mean([one.value for one in drawn])
    assert sum(one.interval.low <= middle <= one.interval.high for one in drawn) >= 18


def test_too_few_models_to_leave_some_out_are_refused() -> None:
    rng = np.random.default_rng(4)
    with pytest.raises(ValueError, match="three of a side"):
        margin_divergence(scores(rng, 2), scores(rng, 8))
    with pytest.raises(ValueError, match="examples"):
        margin_divergence(scores(rng, 4)[:, :9], scores(rng, 8))
