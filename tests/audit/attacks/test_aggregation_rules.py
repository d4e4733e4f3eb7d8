"""Aggregation rules against slow definitions and other people's code, and what a declaration may call them."""

import itertools

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from audit.attacks.aggregation_rules import (
    Rule,
    coordinate_median,
    declared_rule,
    krum,
    norm_clipped_mean,
    reckoned_with,
    trimmed_mean,
)


def drawn(seed: int, clients: int, length: int = 5) -> torch.Tensor:
    return torch.randn(clients, length, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@settings(deadline=None)
@given(seed=st.integers(0, 2**32), clients=st.integers(1, 12))
def test_the_median_is_numpys(seed: int, clients: int) -> None:
    updates = drawn(seed, clients)
    np.testing.assert_allclose(coordinate_median(updates).numpy(), np.median(updates.numpy(), axis=0), rtol=1e-12)


@settings(deadline=None)
@given(seed=st.integers(0, 2**32), clients=st.integers(1, 12), share=st.floats(0, 0.49))
def test_the_trimmed_mean_is_scipys(seed: int, clients: int, share: float) -> None:
    updates = drawn(seed, clients)
    expected = stats.trim_mean(updates.numpy(), share, axis=0)
    np.testing.assert_allclose(trimmed_mean(updates, share).numpy(), expected, rtol=1e-9, atol=1e-12)


def naive_krum(updates: np.ndarray, malicious: int, kept: int) -> np.ndarray:
    """Blanchard et al. 2017, section 4, written out."""
    n = len(updates)
    scores = []
    for i in range(n):
        apart = sorted(float(((updates[i] - updates[j]) ** 2).sum()) for j in range(n) if j != i)
        scores.append(sum(apart[: n - malicious - 2]))
    return updates[sorted(range(n), key=lambda i: scores[i])[:kept]].mean(axis=0)


@settings(deadline=None)
@given(seed=st.integers(0, 2**32), clients=st.integers(5, 12), malicious=st.integers(0, 5), kept=st.integers(1, 5))
def test_krum_is_the_paper_written_out(seed: int, clients: int, malicious: int, kept: int) -> None:
    updates = drawn(seed, clients)
    if not 2 * malicious + 2 < clients:
        with pytest.raises(ValueError, match="needs more than"):
            krum(updates, malicious, kept=kept)
        return
    expected = naive_krum(updates.numpy(), malicious, kept)
    np.testing.assert_allclose(krum(updates, malicious, kept=kept).numpy(), expected, rtol=1e-9, atol=1e-12)


@pytest.mark.flower
def test_the_rules_are_flowers() -> None:
    aggregate = pytest.importorskip("flwr.server.strategy.aggregate")
    updates = drawn(3, 10)
    results = [([row.numpy()], 1) for row in updates]
    for ours, theirs in (
        (coordinate_median(updates), aggregate.aggregate_median(results)),
        (trimmed_mean(updates, 0.2), aggregate.aggregate_trimmed_avg(results, 0.2)),
        (krum(updates, 3), aggregate.aggregate_krum(results, 3, 0)),
        (krum(updates, 3, kept=7), aggregate.aggregate_krum(results, 3, 7)),
    ):
        np.testing.assert_allclose(ours.numpy(), theirs[0], rtol=1e-9)


@settings(deadline=None)
@given(seed=st.integers(0, 2**32), bound=st.floats(0.1, 10))
def test_clipping_leaves_short_updates_and_shortens_long_ones(seed: int, bound: float) -> None:
    updates = drawn(seed, 6) * torch.logspace(-2, 2, 6, dtype=torch.float64)[:, None]
    clipped = [row * min(1.0, bound / float(row.norm())) for row in updates]
    torch.testing.assert_close(norm_clipped_mean(updates, bound), torch.stack(clipped).mean(0))
    middle = float(np.median(updates.norm(dim=1).numpy()))
    torch.testing.assert_close(norm_clipped_mean(updates), norm_clipped_mean(updates, middle))


@pytest.mark.parametrize("name", ["median", "trimmed-mean", "krum", "multi-krum", "norm-clipping"])
def test_one_wild_update_moves_the_mean_and_no_robust_rule(name: str) -> None:
    updates = drawn(1, 10)
    wild = torch.cat([updates[:-1], torch.full((1, 5), 1e9, dtype=torch.float64)])
    assert Rule("mean")(wild).norm() > 1e8  # the control: it is wild
    assert Rule(name)(wild).norm() < 10


def test_a_rule_does_not_care_who_sends_what() -> None:
    updates = drawn(2, 5)
    for name, order in itertools.product(
        ("mean", "median", "trimmed-mean", "krum", "norm-clipping"), ([4, 2, 0, 1, 3],)
    ):
        torch.testing.assert_close(Rule(name)(updates), Rule(name)(updates[order]))


@pytest.mark.parametrize(
    ("words", "rule"),
    [
        ("mean", Rule("mean")),
        ("FedAvg", Rule("mean")),
        ("Coordinate_Median", Rule("median")),
        ("trimmed-mean", Rule("trimmed-mean")),
        ("trimmed-mean(0.1)", Rule("trimmed-mean", 0.1)),
        ("trimmed_mean: 0.3", Rule("trimmed-mean", 0.3)),
        ("krum(2)", Rule("krum", 2.0)),
        ("multi-krum=0.25", Rule("multi-krum", 0.25)),
        ("norm-clipping(4.0)", Rule("norm-clipping", 4.0)),
        ("trimmed-mean(0.5)", None),
        ("mean(2)", None),
        ("norm-clipping(0)", None),
        ("secret sauce", None),
        ("krum(", None),
        ("krum(2", Rule("krum", 2.0)),
        ("", None),
    ],
)
def test_a_declaration_names_a_rule_or_none(words: str, rule: Rule | None) -> None:
    assert declared_rule(words) == rule


@pytest.mark.parametrize("clients", range(3, 40))
def test_krum_reckons_with_as_many_as_it_can(clients: int) -> None:
    most = reckoned_with(clients, None)
    assert 2 * most + 2 < clients <= 2 * (most + 1) + 2
    assert reckoned_with(clients, 0.3) == int(0.3 * clients + 1e-9)
    assert reckoned_with(clients, 2) == 2


def test_a_trimmed_mean_of_nobody_is_refused() -> None:
    with pytest.raises(ValueError, match="mean of none"):
        trimmed_mean(drawn(0, 4), 0.5)
