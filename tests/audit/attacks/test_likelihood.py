"""Likelihood ratios and relative odds: each against its definition, and few shadows against many."""

import math

import numpy as np
import pytest
from scipy import stats
from scipy.special import expit, gammaln
from sklearn.metrics import roc_auc_score

from audit.attacks.likelihood import offline_ratio, online_ratio, predictive
from audit.attacks.rmia import OFFLINE_SLOPE, relative_odds
from reports.statistics import auc


def world(shadows: int, records: int, seed: int, *, lift: float = 2.0):
    """Scores of records of different difficulty, `lift` higher where the record was trained on."""
    rng = np.random.default_rng(seed)
    centre = rng.normal(4, 3, records)
    width = np.sqrt(4 / rng.chisquare(8, records) * 2)
    member = rng.random((shadows + 1, records)) < 0.5
    scores = centre + lift * member + width * rng.standard_normal((shadows + 1, records))
    return scores[0], member[0], scores[1:], member[1:]


def test_the_predictive_distribution_is_the_integral_of_its_posterior() -> None:
    target, _, shadow, member = world(6, 40, 1)
    found = predictive(shadow, member)
    record = int(np.flatnonzero(member.sum(axis=0) == 3)[0])
    own = shadow[member[:, record], record]
    degrees, scale2, centre, weight = prior(shadow, member)

    # the posterior under the prior, on a grid of means and log variances, times the score's density
    mean = np.linspace(own.mean() - 25, own.mean() + 25, 801)[:, None]
    log_variance = np.linspace(math.log(scale2) - 6, math.log(scale2) + 8, 281)[None]
    variance, a, b = np.exp(log_variance), degrees / 2, degrees * scale2 / 2
    log = a * math.log(b) - gammaln(a) - a * log_variance - b / variance
    log = log + stats.norm.logpdf(mean, centre, np.sqrt(variance / weight))
    log = log + sum(stats.norm.logpdf(one, mean, np.sqrt(variance)) for one in own)
    scores = np.array([own.mean() - 2, own.mean(), own.mean() + 3, target[record]])
    evidence = [(np.exp(log) * stats.norm.pdf(score, mean, np.sqrt(variance))).sum() for score in scores]
    density = [math.exp(found.log_density(np.full(40, score))[record]) for score in scores]
    np.testing.assert_allclose(np.array(density) / density[1], np.array(evidence) / evidence[1], rtol=2e-3)


def prior(shadow, used):
    """The prior's four numbers, read off the predictive of records that no shadow speaks of."""
    silent = np.hstack([shadow, np.zeros((len(shadow), 1))])
    none = np.hstack([used, np.zeros((len(used), 1), dtype=bool)])
    found = predictive(silent, none)
    degrees, centre = found.degrees[-1], found.location[-1]
    record = int(np.flatnonzero(used.sum(axis=0) == 3)[0])
    own = shadow[used[:, record], record].mean()
    weight = 3 * (own - found.location[record]) / (found.location[record] - centre)
    return degrees, found.scale[-1] ** 2 / (1 + 1 / weight), centre, weight


@pytest.mark.parametrize("spread", [4.0, 20.0])
def test_the_prior_of_the_variances_is_found_again(spread: float) -> None:
    rng = np.random.default_rng(2)
    width = np.sqrt(9.0 * spread / rng.chisquare(spread, 4000))
    shadow = width * rng.standard_normal((8, 4000))
    silent = np.zeros((8, 1))
    found = predictive(np.hstack([shadow, silent]), np.hstack([np.ones((8, 4000), bool), np.zeros((8, 1), bool)]))
    assert found.degrees[-1] == pytest.approx(spread, rel=0.25)


def test_variances_that_are_all_alike_are_taken_for_one() -> None:
    shadow = np.random.default_rng(3).standard_normal((8, 500))
    found = predictive(shadow, np.ones((8, 500), bool))
    assert found.degrees.min() > 100
    constant = predictive(np.ones((4, 10)), np.ones((4, 10), bool))
    assert np.isfinite(constant.log_density(np.ones(10))).all()


def test_the_ratio_nears_that_of_the_true_distributions() -> None:
    rng = np.random.default_rng(4)
    member = rng.random((400, 300)) < 0.5
    shadow = np.where(member, 3.0, 1.0) + rng.standard_normal((400, 300)) * np.where(member, 0.5, 1.0)
    target = rng.normal(2, 1, 300)
    exact = stats.norm.logpdf(target, 3, 0.5) - stats.norm.logpdf(target, 1, 1)
    assert np.abs(online_ratio(target, shadow, member) - exact).max() < 1.5  # at z = -4 or so; 0.03 in the middle
    assert np.median(np.abs(online_ratio(target, shadow, member) - exact)) < 0.1
    tail = -stats.norm.logsf(target, 1, 1)
    np.testing.assert_allclose(offline_ratio(target, shadow, member), tail, rtol=0.25, atol=0.05)


def test_shrunk_variances_beat_each_records_own_with_few_shadows() -> None:
    def own(target, shadow, member):
        """LiRA as first written: each record's sample mean and variance."""
        parts = []
        for inside in (member, ~member):
            count = inside.sum(axis=0)
            mean = (shadow * inside).sum(axis=0) / count
            deviation = np.sqrt((((shadow - mean) * inside) ** 2).sum(axis=0) / (count - 1))
            parts.append(stats.norm.logpdf(target, mean, deviation))
        return parts[0] - parts[1]

    shrunk, plain, loss = [], [], []
    for seed in range(20):
        target, truth, shadow, member = world(12, 600, seed)
        enough = (member.sum(axis=0) >= 2) & ((~member).sum(axis=0) >= 2)
        given = target[enough], shadow[:, enough], member[:, enough]
        yes = truth[enough]
        for kept, scores in ((shrunk, online_ratio(*given)), (plain, own(*given)), (loss, given[0])):
            kept.append(auc(scores[yes], scores[~yes]))
    assert np.mean(shrunk) > np.mean(plain) + 0.02
    assert np.mean(shrunk) > np.mean(loss) + 0.05


@pytest.mark.parametrize("attack", [online_ratio, offline_ratio, relative_odds])
def test_where_training_changes_nothing_nobody_is_told_from_anybody(attack) -> None:
    areas = []
    for seed in range(20):
        target, truth, shadow, member = world(8, 400, seed, lift=0.0)
        areas.append(roc_auc_score(truth, attack(target, shadow, member)))
    assert abs(np.mean(areas) - 0.5) < 0.02


@pytest.mark.parametrize("online", [True, False])
def test_relative_odds_are_the_definition_s(online: bool) -> None:
    target, _, shadow, member = world(5, 30, 7)
    member = member if online else np.zeros_like(member)
    p, q = expit(target), expit(shadow)

    def marginal(record: int) -> float:
        inside, outside = q[member[:, record], record], q[~member[:, record], record]
        if not len(inside):
            return ((1 + OFFLINE_SLOPE) * outside.mean() + 1 - OFFLINE_SLOPE) / 2
        return inside.mean() if not len(outside) else (inside.mean() + outside.mean()) / 2

    odds = [p[record] / marginal(record) for record in range(30)]
    slow = [np.mean([x / z >= 1.0 for z in odds]) for x in odds]
    np.testing.assert_allclose(relative_odds(target, shadow, member), slow)


def test_a_spread_needs_two_scores_of_some_record() -> None:
    with pytest.raises(ValueError, match="spread"):
        predictive(np.zeros((1, 5)), np.ones((1, 5), bool))
