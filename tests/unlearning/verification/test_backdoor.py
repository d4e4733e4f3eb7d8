"""V10: the exact binomial test of a deletion, its published figures, and both of its errors."""

import math

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from unlearning.verification.backdoor import deletion_decision, retrained_hit_rate


def at_least(k: int, n: int, rate: float) -> float:
    """P(Bin(n, rate) >= k), term by term."""
    return math.fsum(math.comb(n, i) * rate**i * (1 - rate) ** (n - i) for i in range(k, n + 1))


@pytest.mark.parametrize(("probes", "k_alpha", "beta"), [(100, 4, 5.8e-7), (50, 3, 0.0013), (30, 3, 0.044)])
def test_known_answers(probes: int, k_alpha: int, beta: float) -> None:
    decision = deletion_decision(0, probes, before_rate=0.2, retrained_rate=0.003)
    assert decision.rejection_hits == k_alpha
    assert decision.miss_probability == pytest.approx(beta, rel=0.02)  # to the digits that are written down
    assert decision.informative
    assert not decision.rejected


@given(
    probes=st.integers(1, 60),
    before=st.floats(0, 1),
    retrained=st.floats(0, 1),
    significance=st.sampled_from([0.05, 1e-3]),
)
def test_the_rule_is_the_definition(probes: int, before: float, retrained: float, significance: float) -> None:
    decision = deletion_decision(0, probes, before_rate=before, retrained_rate=retrained, significance=significance)
    k = decision.rejection_hits
    assert k > probes or at_least(k, probes, retrained) <= significance * (1 + 1e-9)
    assert k == 1 or at_least(k - 1, probes, retrained) > significance * (1 - 1e-9)  # no smaller number would do
    assert decision.miss_probability == pytest.approx(1 - at_least(k, probes, before), abs=1e-9)


def test_the_number_of_hits_decides() -> None:
    decisions = [deletion_decision(hits, 100, before_rate=0.2, retrained_rate=0.003) for hits in range(101)]
    assert [one.rejected for one in decisions] == [False] * 4 + [True] * 97


def test_few_probes_and_weak_triggers_say_nothing() -> None:
    assert not deletion_decision(0, 29, before_rate=0.9, retrained_rate=0.0).informative
    assert not deletion_decision(0, 100, before_rate=0.01, retrained_rate=0.003).informative
    hopeless = deletion_decision(20, 20, before_rate=1.0, retrained_rate=1.0)  # every model is hit: nothing to see
    assert (hopeless.rejection_hits, hopeless.rejected, hopeless.informative) == (21, False, False)


def test_the_rate_of_retrained_models_is_an_upper_one() -> None:
    none = np.zeros((4, 100), dtype=np.bool_)
    assert retrained_hit_rate(none) == pytest.approx(1 - 0.05 ** (1 / 400))  # closed form for no hit at all
    uneven = none.copy()
    uneven[2, :30] = True
    assert retrained_hit_rate(uneven) == 0.3  # pooled it would be below .11


def test_retrained_models_are_seldom_accused_and_lazy_servers_nearly_always() -> None:
    rng = np.random.default_rng(5)
    accused = caught = 0
    for _ in range(2000):
        rates = rng.beta(2, 98, size=5)  # retrained models differ among themselves: 2 % on average, up to 6 %
        hits = rng.random((5, 100)) < rates[:, None]
        q = retrained_hit_rate(hits[1:])
        accused += deletion_decision(int(hits[0].sum()), 100, before_rate=0.4, retrained_rate=q).rejected
        kept = int(rng.binomial(100, 0.4))
        caught += deletion_decision(kept, 100, before_rate=0.4, retrained_rate=q).rejected
    assert accused <= 20  # 1 %: the level of .001 is for one rate; models that differ and q from four of them cost more
    assert caught >= 1980


@pytest.mark.parametrize(
    ("hits", "probes", "changed"),
    [
        (3, 2, {}),
        (-1, 2, {}),
        (0, 0, {}),
        (0, 2, {"before_rate": 1.5}),
        (0, 2, {"retrained_rate": math.nan}),
        (0, 2, {"significance": 0.0}),
    ],
)
def test_counts_and_rates_that_mean_nothing_are_refused(hits: int, probes: int, changed: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=r"need|lies"):
        deletion_decision(hits, probes, **{"before_rate": 0.2, "retrained_rate": 0.003, **changed})


@pytest.mark.parametrize("hits", [np.zeros((0, 3), dtype=np.bool_), np.zeros(3, dtype=np.bool_), np.zeros((2, 3))])
def test_hits_that_are_no_truth_values_are_refused(hits: npt.ArrayLike) -> None:
    with pytest.raises(ValueError, match="truth values"):
        retrained_hit_rate(hits)
