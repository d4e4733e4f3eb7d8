"""The kernels behind shared logits, each against its definition."""

import itertools
import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binom
from scipy.stats import entropy as scipy_entropy

from audit.attacks.cells import Cell, cells_of
from audit.attacks.label_mix import (
    Answers,
    accusation,
    as_logits,
    entropy,
    estimated_mixes,
    least_clients,
    matched,
    nearest,
)
from audit.attacks.paired_logits import LEAD, drawn, pair_of, remembering
from audit.attacks.shared_logits import shared_logits
from audit.attacks.transfer_members import confidences, own_records
from audit.load import Truth
from audit.load_arrays import PlantedArray
from reports.statistics import clopper_pearson


@given(seed=st.integers(0, 2**32), clients=st.integers(2, 6), rounds=st.integers(1, 3))
def test_a_mix_written_into_common_logits_is_read_back_up_to_the_common_mix(seed, clients, rounds) -> None:
    rng = np.random.default_rng(seed)
    mixes = rng.dirichlet(np.ones(4), clients)
    answers = []
    for _ in range(rounds):
        common = rng.normal(size=(9, 4))
        shift = rng.normal(size=(clients, 9, 1))  # no probability changes with it
        answers.append(Answers(np.arange(clients), common + np.log(mixes)[:, None, :] + shift))
    expected = mixes / np.exp(np.log(mixes).mean(axis=0))
    np.testing.assert_allclose(
        estimated_mixes(answers, clients, 1.0)["mean logits"], expected / expected.sum(axis=1, keepdims=True)
    )


def test_a_client_that_misses_a_round_is_compared_with_those_that_were_there() -> None:
    rng = np.random.default_rng(0)
    lean = rng.normal(size=(3, 4))
    first = Answers(np.array([0, 1]), 5 + rng.normal(size=(1, 6, 4)) + lean[[0, 1], None, :])
    second = Answers(np.array([2, 0]), rng.normal(size=(1, 6, 4)) + lean[[2, 0], None, :])
    level = np.array(
        [((lean[0] - lean[1]) / 2 + (lean[0] - lean[2]) / 2) / 2, (lean[1] - lean[0]) / 2, (lean[2] - lean[0]) / 2]
    )
    expected = torch.softmax(torch.from_numpy(level), dim=1).numpy()
    np.testing.assert_allclose(estimated_mixes([first, second], 3, 1.0)["mean logits"], expected)


@given(seed=st.integers(0, 2**32), temperature=st.floats(0.2, 20.0))
def test_no_temperature_hides_a_matched_mix(seed: int, temperature: float) -> None:
    rng = np.random.default_rng(seed)
    levels = np.log(rng.dirichlet(np.ones(5), 4))
    mixes = torch.softmax(torch.from_numpy(levels), dim=1).numpy()
    known = float(np.mean([scipy_entropy(mix) for mix in mixes]))
    assert entropy(mixes) == pytest.approx(known)
    np.testing.assert_allclose(matched(levels / temperature, known), mixes, atol=1e-6)


def test_probabilities_and_one_logit_become_logits() -> None:
    logits = np.random.default_rng(0).normal(size=(5, 3))
    shares = torch.softmax(torch.from_numpy(logits), dim=1).numpy()
    back = as_logits(shares)
    np.testing.assert_allclose(back - back[:, :1], logits - logits[:, :1])
    np.testing.assert_array_equal(as_logits(logits), logits)
    np.testing.assert_array_equal(as_logits(np.array([[2.0]])), [[0.0, 2.0]])


def test_a_tie_names_nobody() -> None:
    histograms = np.array([[1.0, 0.0], [0.0, 1.0], [0.0, 1.0]])
    assert nearest(np.array([[0.9, 0.1], [0.2, 0.8], [0.5, 0.5]]), histograms).tolist() == [0, -1, -1]


@given(st.lists(st.integers(-1, 4), min_size=2, max_size=5))
def test_the_accusation_is_the_larger_of_two_exact_p_values(guesses: list[int]) -> None:
    k = len(guesses)
    hits = sum(guess == client for client, guess in enumerate(guesses))
    orders = list(itertools.permutations(range(k)))
    as_many = sum(sum(g == o for g, o in zip(guesses, order, strict=True)) >= hits for order in orders)
    expected = max(binom.sf(hits - 1, k, 1 / k), as_many / math.factorial(k))
    assert accusation(np.array(guesses), np.random.default_rng(0)) == pytest.approx(expected)


def test_of_many_clients_orders_are_drawn() -> None:
    all_named, rng = np.arange(12), np.random.default_rng(0)
    assert accusation(all_named, rng) <= 0.001
    assert accusation(np.zeros(12, dtype=int), rng) == 1.0  # always the same name: one is right in any order


def test_the_fewest_clients_are_the_fewest() -> None:
    k = least_clients()
    bounds = [clopper_pearson(0, n, side="one").high <= 1 / n + 0.05 for n in range(2, k + 1)]
    assert bounds == [False] * (k - 2) + [True]


def test_confidence_is_the_logit_of_the_probability() -> None:
    logits = np.random.default_rng(0).normal(size=(3, 7, 4)) * 2
    labels = np.array([0, 1, 2, 3, 0, 1, 2])
    shares = torch.softmax(torch.from_numpy(logits), dim=2).numpy()
    p = np.take_along_axis(shares, np.broadcast_to(labels[None, :, None], (3, 7, 1)), axis=2)[..., 0]
    np.testing.assert_allclose(confidences(logits, labels), np.log(p / (1 - p)))
    sure = confidences(np.array([[[800.0, 0.0]]]), np.array([0]))
    assert sure == pytest.approx(800.0)  # 1 - p rounds to zero long before


def test_own_records_are_compared_with_others_of_client_and_label() -> None:
    rng = np.random.default_rng(0)
    scores, labels = rng.normal(size=(4, 12)), rng.integers(0, 2, 12)
    member = rng.random((4, 12)) < 0.25
    expected, truth = [], []
    for client, record in itertools.product(range(4), range(12)):
        strangers = [c for c in range(4) if c != client and not member[c, record]]

        def left(r, client=client):
            rest = [scores[c, r] for c in range(4) if c != client and not member[c, r]]
            return scores[client, r] - np.mean(rest)

        alike = [
            r for r in range(12)
            if r != record and labels[r] == labels[record] and not member[client, r]
            and any(c != client and not member[c, r] for c in range(4))
        ]  # fmt: skip
        if strangers and len(alike) >= (2 if member[client, record] else 1):
            expected.append(left(record) - np.mean([left(r) for r in alike]))
            truth.append(member[client, record])
    found = own_records(scores, member, labels)
    np.testing.assert_allclose(found.scores, expected)
    np.testing.assert_array_equal(found.member, truth)


def test_what_a_client_remembers_is_drawn_exactly() -> None:
    rng = np.random.default_rng(0)
    records, secret = rng.uniform(size=(300, 6)), rng.uniform(0.2, 0.8, size=6)
    logits = np.zeros((3, 300, 4))
    guesses = drawn([pair_of(remembering(logits, records, 1, {2: secret}), 1, [2])], records)[LEAD]
    np.testing.assert_allclose(guesses[0, 0], secret, atol=1e-4)


def test_a_cell_is_a_client_and_a_label() -> None:
    found = cells_of([np.array([0, 1, 2]), np.array([2, 3])], [np.array([5, 7, 5]), np.array([5, 5])], np.zeros((4, 1)))
    assert found.cells == (Cell(0, 5), Cell(0, 7), Cell(1, 5))
    assert [own.tolist() for own in found.owners] == [[0, 2], [1], [2, 3]]


def test_logits_are_put_in_order_by_client_and_round() -> None:
    rng = np.random.default_rng(0)
    x = torch.from_numpy(rng.normal(size=(4, 2))).float()
    truth = Truth(x, torch.tensor([0, 1, 1, 2]))

    def array(index, client, number, own):
        return PlantedArray(index, "", "logits", client, number, rng.normal(size=(5, 3)), own)

    arrays = [array(0, "a", 0, None), array(1, "b", 0, truth), array(2, "b", 1, truth), array(3, None, 1, truth)]
    shared = shared_logits(arrays)
    assert (shared.clients, shared.asked) == (3, 2)  # "a" has no planted data and comes last
    assert [one.clients.tolist() for one in shared.rounds] == [[2, 0], [0, 1]]
    np.testing.assert_allclose(shared.mean[0], (arrays[1].values + arrays[2].values) / 2)
    np.testing.assert_allclose(shared.histograms, [[0.25, 0.5, 0.25]] * 2)  # a record sent twice counts once
    public = Truth(torch.cat([x[1:2], torch.zeros(1, 2)]), torch.tensor([1, 1]))
    assert shared.owned(public).tolist() == [[True, False]] * 2
