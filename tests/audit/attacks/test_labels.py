"""Labels from the last layer: against autograd, against luck, and a pass that is earned."""

import itertools

import numpy as np
import numpy.typing as npt
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from audit.attacks.labels import best_constant, labels, overlap, reconstruct
from audit.capture import Capture
from audit.defences import clip, gaussian, quantise, sign, top_k
from audit.load import Truth
from audit.twin import Scale, clear_gradient
from reports.model import Status

PLAIN = Scale(np.zeros(1), np.ones(1))


def last_bias(seed: int, batch: int, classes: int) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.int64]]:
    """The gradient of the last bias of a small untrained model, by autograd, and the labels behind it."""
    torch.manual_seed(seed)
    model = nn.Sequential(nn.Linear(6, 16), nn.Tanh(), nn.Linear(16, classes))
    nn.init.normal_(model[2].weight, std=0.01)  # answers are nearly uniform, as at the start of training
    nn.init.zeros_(model[2].bias)
    truth = Truth(torch.randn(batch, 6), torch.randint(0, classes, (batch,)))
    return clear_gradient(model, truth, PLAIN, ("2.bias",))["2.bias"], np.sort(truth.y.numpy())


@given(seed=st.integers(0, 2**32), classes=st.integers(2, 12), factor=st.floats(1e-6, 1e6))
def test_the_label_of_one_record_is_read_at_any_scale(seed: int, classes: int, factor: float) -> None:
    gradient, truth = last_bias(seed, 1, classes)
    np.testing.assert_array_equal(reconstruct(factor * gradient, 1), truth)


@given(seed=st.integers(0, 2**32), batch=st.integers(2, 40), classes=st.integers(2, 10))
def test_the_labels_of_a_batch_are_counted_where_the_scale_is_known(seed: int, batch: int, classes: int) -> None:
    gradient, truth = last_bias(seed, batch, classes)
    np.testing.assert_array_equal(reconstruct(gradient, batch, scale=1.0), truth)


@given(seed=st.integers(0, 2**32), batch=st.integers(2, 8), factor=st.floats(1e-3, 1e3))
def test_without_the_scale_an_absent_label_fixes_it(seed: int, batch: int, factor: float) -> None:
    gradient, truth = last_bias(seed, batch, 10)  # fewer records than labels: one is absent
    np.testing.assert_array_equal(reconstruct(factor * gradient, batch), truth)


def test_what_the_model_answers_to_each_label_is_taken_into_account() -> None:
    rng = np.random.default_rng(3)
    confusion = 0.7 * np.eye(5) + 0.3 * rng.dirichlet(np.ones(5), size=5)  # a trained model, right in most cases
    for _ in range(50):
        truth = np.sort(rng.integers(0, 5, 12))
        shares = np.bincount(truth, minlength=5) / 12
        gradient = confusion.T @ shares - shares
        np.testing.assert_array_equal(reconstruct(gradient, 12, confusion=confusion, scale=1.0), truth)


def test_a_vanished_gradient_says_nothing() -> None:
    assert not len(reconstruct(np.zeros(4), 3))


@given(st.lists(st.integers(0, 3), max_size=6), st.lists(st.integers(0, 3), max_size=6))
def test_overlap_is_that_of_multisets(predicted: list[int], truth: list[int]) -> None:
    hits = overlap(np.array(predicted, dtype=np.int64), np.array(truth, dtype=np.int64))
    assert hits.sum() == sum(min(predicted.count(label), truth.count(label)) for label in range(4))


@given(st.lists(st.lists(st.integers(0, 2), min_size=3, max_size=3), min_size=1, max_size=5))
def test_no_constant_guess_does_better_than_the_best(batches: list[list[int]]) -> None:
    truths = [np.array(batch, dtype=np.int64) for batch in batches]

    def score(guess: npt.NDArray[np.int64]) -> int:
        return sum(int(overlap(guess, truth).sum()) for truth in truths)

    everything = itertools.combinations_with_replacement(range(3), 3)
    assert score(best_constant(truths)[3]) == max(score(np.array(guess)) for guess in everything)


@pytest.mark.parametrize(
    "defend",
    [
        lambda u, r: u,
        lambda u, r: top_k(u, 0.05),
        lambda u, r: sign(u),
        lambda u, r: quantise(u),
        lambda u, r: gaussian(clip(u, 1.0), 0.01, r),
    ],
    ids=["clear", "pruned", "signs", "int8", "little-noise"],
)
def test_what_is_no_protection_fails(planted, ask, defend) -> None:
    asked = ask(labels, planted(clients=40, reference=0, defend=defend))
    assert asked.finding.status is Status.FAIL
    assert asked.value("label_accuracy") > 0.9
    assert asked.value("chance") < 0.25


@pytest.mark.parametrize("batch", [2, 8, 16])
def test_the_labels_of_larger_batches_are_told(planted, ask, batch: int) -> None:
    asked = ask(labels, planted(clients=64 // batch, batch=batch, reference=300))
    assert asked.finding.status is Status.FAIL
    assert asked.value("label_accuracy") > 0.95


def test_clipping_that_nobody_declared_hides_no_labels(planted, ask) -> None:
    folder = planted(clients=32, batch=4, reference=300, defend=lambda u, r: clip(u, 0.05))
    assert ask(labels, folder).value("label_accuracy") > 0.95


@pytest.mark.parametrize("kind", ["gradient", "delta"])
def test_a_delta_is_a_gradient_downhill(planted, ask, kind: str) -> None:
    assert ask(labels, planted(clients=40, kind=kind, reference=0)).value("label_accuracy") == 1.0


def test_the_noised_twin_passes(planted, ask) -> None:
    asked = ask(labels, planted(clients=256, reference=0, defend=lambda u, r: gaussian(clip(u, 1.0), 5.0, r)))
    assert asked.finding.status is Status.PASS, asked.finding.summary
    assert asked.value("control_label_accuracy") == 1.0


def test_a_model_with_one_logit_gives_its_labels_away(tmp_path, ask) -> None:
    torch.manual_seed(1)
    model = nn.Sequential(nn.Linear(6, 16), nn.ReLU(), nn.Linear(16, 1))
    with Capture(tmp_path / "binary", model, name="binary", classes=2) as capture:
        for client in range(64):
            x, y = torch.randn(1, 6), torch.tensor([client % 2])
            model.zero_grad()
            nn.functional.binary_cross_entropy_with_logits(model(x)[:, 0], y.float()).backward()
            capture.record_gradient(model, (x, y), client=f"c{client}", round=0)
    asked = ask(labels, tmp_path / "binary")
    assert (asked.finding.status, asked.value("label_accuracy")) == (Status.FAIL, 1.0)


def test_updates_that_hold_nothing_are_no_pass(planted, ask) -> None:
    finding = ask(labels, planted(clients=12, defend=lambda u, r: {n: 0 * v for n, v in u.items()})).finding
    assert (finding.status, finding.reason) == (Status.INCONCLUSIVE, "no-usable-record")


def test_sums_alone_are_none_of_its_business(planted, ask) -> None:
    finding = ask(labels, planted(clients=4, federation={"visibility": "aggregate"})).finding
    assert (finding.status, finding.reason) == (Status.SKIPPED, "not-applicable:sums-only")


def test_targets_of_a_regression_are_no_labels(planted, ask, perceptron) -> None:
    finding = ask(labels, planted(clients=4, reference=0, task="regression", model=nn.Sequential(nn.Linear(64, 1))))
    assert finding.finding.reason == "not-applicable:no-labels"


def trained(perceptron, digits) -> nn.Module:
    """A model that has learnt its digits by heart: its gradients say little of a batch's labels."""
    model = perceptron()
    optimiser = torch.optim.Adam(model.parameters(), lr=1e-2)
    x, y = torch.from_numpy(digits.x), torch.from_numpy(digits.y)
    for _ in range(120):
        optimiser.zero_grad()
        nn.functional.cross_entropy(model(x), y).backward()
        optimiser.step()
    return model


def test_a_reading_that_is_blind_to_clear_batches_earns_no_pass(planted, ask, perceptron, digits) -> None:
    model = trained(perceptron, digits)
    asked = ask(labels, planted(clients=32, batch=16, reference=300, model=model))
    assert asked.finding.status is Status.INCONCLUSIVE, asked.finding.summary
    assert asked.finding.reason == "control-failed"
    assert "constant guess" in asked.finding.summary


def test_noised_batches_that_would_be_told_in_the_clear_pass(planted, ask) -> None:
    noised = planted(clients=64, batch=4, reference=300, defend=lambda u, r: gaussian(clip(u, 1.0), 5.0, r))
    assert ask(labels, noised).finding.status is Status.PASS
