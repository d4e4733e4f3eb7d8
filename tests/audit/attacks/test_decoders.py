"""Decoders against somebody else's ridge regression, and a network that learns what a line cannot."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.linear_model import Ridge, RidgeCV

from audit.attacks.decoders import PENALTIES, fit_network, fit_ridge


def pairs(seed: int, n: int, p: int, d: int, noise: float):
    rng = np.random.default_rng(seed)
    features = rng.normal(size=(n, p)) * rng.uniform(0.1, 3, p) + rng.normal(size=p)
    return features, features @ rng.normal(size=(p, d)) + noise * rng.normal(size=(n, d)), rng.normal(size=(5, p))


@settings(max_examples=25)
@given(seed=st.integers(0, 2**32), n=st.integers(8, 60), p=st.integers(1, 30), noise=st.sampled_from([0.3, 1.0, 5.0]))
def test_the_fit_is_that_of_scikit_learn_at_the_same_penalty(seed: int, n: int, p: int, noise: float) -> None:
    features, records, asked = pairs(seed, n, p, 3, noise)
    ours = fit_ridge(features, records)
    theirs = Ridge(alpha=ours.penalty, solver="svd").fit(features, records)  # its normal equations lose half the digits
    np.testing.assert_allclose(ours(asked), theirs.predict(asked), rtol=1e-5, atol=1e-5 * np.abs(records).max())


@pytest.mark.parametrize(("n", "p"), [(40, 10), (200, 32), (30, 29)])
def test_the_penalty_is_the_one_that_leaving_out_chooses(n: int, p: int) -> None:
    features, records, _ = pairs(1, n, p, 4, 3.0)
    squared = np.linalg.svd(features - features.mean(axis=0), compute_uv=False) ** 2
    theirs = RidgeCV(alphas=PENALTIES * squared.mean()).fit(features, records)
    assert fit_ridge(features, records).penalty == pytest.approx(theirs.alpha_)


def test_the_penalty_has_the_least_error_of_fits_that_leave_one_pair_out() -> None:
    features, records, _ = pairs(2, 9, 4, 2, 2.0)
    squared = np.linalg.svd(features - features.mean(axis=0), compute_uv=False) ** 2

    def slow(penalty: float) -> float:
        total = 0.0
        for row in range(len(features)):
            rest = np.arange(len(features)) != row
            fitted = Ridge(alpha=penalty).fit(features[rest], records[rest])
            total += float(((fitted.predict(features[row : row + 1]) - records[row]) ** 2).sum())
        return total

    candidates = PENALTIES * squared.mean()
    assert fit_ridge(features, records).penalty == pytest.approx(candidates[np.argmin([slow(c) for c in candidates])])


def test_features_that_say_nothing_give_the_mean() -> None:
    records = np.random.default_rng(0).normal(size=(10, 3))
    np.testing.assert_allclose(fit_ridge(np.ones((10, 4)), records)(np.zeros((1, 4)))[0], records.mean(axis=0))


def test_a_network_learns_what_no_line_does() -> None:
    features = np.random.default_rng(0).uniform(-1, 1, size=(600, 2))
    records = np.sign(features[:, :1] * features[:, 1:])  # exclusive or
    network = fit_network(features[:500], records[:500], torch.Generator().manual_seed(0))
    line = fit_ridge(features[:500], records[:500])
    right = [(np.sign(decoder(features[500:])) == records[500:]).mean() for decoder in (network, line)]
    assert right[0] > 0.9
    assert right[1] < 0.7


def test_a_network_is_drawn_from_its_generator_alone() -> None:
    features, records, asked = pairs(0, 40, 4, 2, 0.1)
    made = []
    for _ in range(2):
        torch.manual_seed(len(made))
        made.append(fit_network(features, records, torch.Generator().manual_seed(5))(asked))
    np.testing.assert_array_equal(made[0], made[1])
