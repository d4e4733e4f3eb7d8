"""Reading a linear layer: algebra against autograd, single-hit neurons, defences, and a pass that is earned."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from torch import nn

from audit.arms import Reconstruction
from audit.attacks.linear import PER_RECORD, Knowledge, linear, reconstruct
from audit.capture import Capture
from audit.defences import DefenceName, clip, gaussian, quantise, sign, top_k
from audit.load import Truth
from audit.twin import LayerNames, Scale, clear_gradient, first_impulses
from reports.model import Severity, Status, Strength

Array = npt.NDArray[np.float64]
PLAIN = Scale(np.zeros(1), np.ones(1))
FIRST = LayerNames("0.weight", "0.bias")


def knowing(records: int, d: int, *, low: float = -10.0, high: float = 10.0, **keys: object) -> Knowledge:
    return Knowledge(records, low, high, np.zeros(d), np.ones(d), **keys)


def reading(found: tuple[Reconstruction, ...], variant: str) -> Array:
    (one,) = [reconstruction for reconstruction in found if reconstruction.variant == variant]
    return one.records


@given(seed=st.integers(0, 2**32), rows=st.integers(1, 9), columns=st.integers(2, 9))
def test_one_record_inverts_autograd(seed: int, rows: int, columns: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    weight, bias, record = (torch.randn(s, generator=generator) for s in ((rows, columns), (rows,), (columns,)))
    loss = (weight.requires_grad_() @ record + bias.requires_grad_()).exp().sum()  # exp: no unit is ever dead
    gradients = [g.double().numpy() for g in torch.autograd.grad(loss, (weight, bias))]
    found = reconstruct(*gradients, knowing(1, columns))
    assert len(reading(found, "ratio")) <= PER_RECORD
    for guess in reading(found, "ratio"):
        np.testing.assert_allclose(guess, record.numpy(), rtol=1e-4, atol=1e-5)
    direction = record.numpy() / np.linalg.norm(record.numpy())
    np.testing.assert_allclose(reading(found, "singular vector")[0], direction, atol=1e-5)


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 2**16), batch=st.integers(2, 6))
def test_every_record_with_a_neuron_to_itself_comes_back_exactly(seed: int, batch: int) -> None:
    torch.manual_seed(seed)
    model = nn.Sequential(nn.Linear(12, 40), nn.ReLU(), nn.Linear(40, 4))
    truth = Truth(torch.randn(batch, 12), torch.randint(0, 4, (batch,)))
    gradient = clear_gradient(model, truth, PLAIN, ("0.weight", "0.bias"))
    active = (model[0](truth.x) > 0).numpy()
    alone = active[:, active.sum(axis=0) == 1].any(axis=1)
    assume(alone.sum() >= 3)  # fewer share their factor with nobody, or as many as luck does, and may lose their place

    def impulses(records: Array, neurons: npt.NDArray[np.int64]) -> Array:
        return first_impulses(model, FIRST, torch.from_numpy(records).float(), PLAIN, neurons)

    knowledge = knowing(batch, 12, impulses=impulses)
    guesses = reading(reconstruct(gradient["0.weight"], gradient["0.bias"], knowledge), "ratio")
    assert len(guesses) <= PER_RECORD * batch
    for record in truth.x.double().numpy()[alone]:
        assert np.abs(guesses - record).max(axis=1).min() < 1e-3


@given(st.integers(0, 2**16), st.floats(1e-6, 1e6), st.booleans())
def test_scale_sign_and_row_order_change_nothing(seed: int, factor: float, negative: bool) -> None:
    rng = np.random.default_rng(seed)
    record, impulses = rng.uniform(0, 1, 8), rng.normal(size=6)
    weight = np.outer(impulses, record)
    order = rng.permutation(6)
    scale = -factor if negative else factor
    plain = reading(reconstruct(weight, impulses, knowing(1, 8, low=0.0, high=1.0)), "ratio")
    other = reading(
        reconstruct(scale * weight[order], scale * impulses[order], knowing(1, 8, low=0.0, high=1.0)), "ratio"
    )
    np.testing.assert_allclose(plain[0], record, atol=1e-9)
    np.testing.assert_allclose(other[0], record, atol=1e-9)


def test_normalisation_is_undone() -> None:
    record, mean, deviation = np.array([3.0, 5.0]), np.array([1.0, 2.0]), np.array([2.0, 4.0])
    impulses = np.array([0.5, -2.0])
    knowledge = Knowledge(1, 0.0, 6.0, mean, deviation)
    found = reconstruct(np.outer(impulses, (record - mean) / deviation), impulses, knowledge)
    np.testing.assert_allclose(reading(found, "ratio")[0], record)


def test_a_dead_layer_gives_nothing() -> None:
    assert reconstruct(np.zeros((4, 3)), np.zeros(4), knowing(1, 3)) == ()


def test_without_a_bias_both_directions_are_handed_in() -> None:
    record, impulses = np.array([0.6, -0.8]), np.array([1.0, -3.0])
    found = reconstruct(np.outer(impulses, record), None, knowing(1, 2))
    guesses = reading(found, "singular vector")
    assert sorted(np.round(guesses @ record, 6)) == [-1.0, 1.0]
    assert reconstruct(np.outer(impulses, record), None, knowing(2, 2)) == ()


def test_signs_defeat_the_ratio_but_not_the_sign_codes() -> None:
    rng = np.random.default_rng(4)
    record = np.where(rng.random(40) < 0.4, 0.0, rng.normal(size=40))
    impulses = rng.normal(size=25)
    weight, bias = np.sign(np.outer(impulses, record)), np.sign(impulses)
    found = reconstruct(weight, bias, knowing(1, 40, defences=frozenset({DefenceName.SIGNS})))
    np.testing.assert_array_equal(reading(found, "sign codes")[0], np.sign(record))
    assert np.abs(reading(found, "ratio") - record).max(axis=1).min() > 0.1
    codes = reading(reconstruct(weight, None, knowing(1, 40, defences=frozenset({DefenceName.SIGNS}))), "sign codes")
    assert any((code == np.sign(record)).all() for code in codes)


def test_pruned_coordinates_are_unknown_not_zero() -> None:
    rng = np.random.default_rng(6)
    record, impulses = rng.uniform(1, 2, 30), rng.normal(size=20)
    pruned = top_k({"w": np.outer(impulses, record), "b": 5 * impulses}, 0.1)
    knowledge = knowing(1, 30, low=0.0, high=20.0, defences=frozenset({DefenceName.ZEROS}))
    (guess,) = reading(reconstruct(pruned["w"], pruned["b"] / 5, knowledge), "surviving coordinates")
    known = ~np.isnan(guess)
    assert 0 < known.sum() < 30
    np.testing.assert_allclose(guess[known], record[known])


def as_they_are(update, _rng):
    return update


@pytest.mark.parametrize(
    ("defend", "most", "least", "reading_name"),
    [
        (as_they_are, 1.0, 1.0, "ratio"),
        (lambda u, r: {n: 1e-6 * v for n, v in u.items()}, 1.0, 1.0, "ratio"),
        (lambda u, r: top_k(u, 0.1), 1.0, 0.95, "surviving coordinates"),
        (lambda u, r: top_k(u, 0.01), 1.0, 0.80, "surviving coordinates"),
        (lambda u, r: sign(u), 1.0, 0.90, "sign codes"),
        (lambda u, r: quantise(u), 1.0, 0.95, "ratio"),
        (lambda u, r: gaussian(clip(u, 1.0), 0.01, r), 1.0, 0.90, "singular vector"),
    ],
    ids=["clear", "tiny", "prune-90", "prune-99", "signs", "int8", "little-noise"],
)
def test_what_is_no_protection_fails(planted, ask, defend, most, least, reading_name) -> None:
    asked = ask(linear, planted(clients=24, reference=300, defend=defend))
    assert asked.finding.status is Status.FAIL
    assert asked.finding.severity is Severity.CRITICAL
    assert least <= asked.value("identifiability") <= most
    assert asked.value("null_identifiability") <= 0.05
    assert f"Reading by {reading_name}: system" in asked.finding.detail


@pytest.mark.parametrize(
    "defend",
    [
        lambda u, r: gaussian(clip(u, 1.0), 1.0, r),
        lambda u, r: sign(gaussian(clip(u, 1.0), 1.0, r)),
        pytest.param(lambda u, r: quantise(gaussian(clip(u, 1.0), 1.0, r)), marks=pytest.mark.slow),
        pytest.param(lambda u, r: top_k(gaussian(clip(u, 1.0), 1.0, r), 0.01), marks=pytest.mark.slow),
    ],
    ids=["noised", "sign-of-noised", "noised-int8", "noised-pruned"],
)
def test_the_noised_twin_passes(planted: Callable[..., Path], ask, defend) -> None:
    asked = ask(linear, planted(defend=defend))
    assert asked.finding.status is Status.PASS, asked.finding.summary
    assert asked.finding.strength is Strength.STATISTICAL
    assert asked.value("control_identifiability") > 0.9


def test_a_clear_update_gives_every_record_back_exactly_and_shows_it(planted, ask) -> None:
    asked = ask(linear, planted(clients=20))
    finding = asked.finding
    assert (finding.status, finding.strength) == (Status.FAIL, Strength.EXACT)
    assert asked.value("exact_records") == 20
    pictures = [piece for piece in asked.kept.pieces.values() if piece.media_type == "image/png"]
    assert pictures
    assert {str(piece.confidentiality) for piece in pictures} == {"restricted"}
    kinds = {piece.media_type for piece in asked.kept.pieces.values()}
    assert {"application/x-npz", "application/vnd.fedaudit.plot+json"} < kinds
    assert set(finding.evidence) == set(asked.kept.pieces)


@pytest.mark.parametrize("kind", ["gradient", "delta"])
def test_every_kind_of_single_update_is_read(planted, ask, kind: str) -> None:
    assert ask(linear, planted(clients=12, kind=kind)).value("identifiability") == 1.0


def test_larger_batches_lose_the_records_with_a_neuron_to_themselves(planted, ask, digits, perceptron) -> None:
    model = perceptron()
    asked = ask(linear, planted(clients=16, batch=4, model=model))
    active = (model[0](torch.from_numpy(digits.x[:64])) > 0).numpy().reshape(16, 4, -1)
    alone = (active & (active.sum(axis=1, keepdims=True) == 1)).any(axis=2).sum()
    assert alone > 48
    assert asked.value("exact_records") >= alone
    assert any("neuron to themselves" in line for line in asked.finding.limitations)


def test_a_layer_without_bias_fails_too(planted, ask, perceptron) -> None:
    assert ask(linear, planted(clients=12, model=perceptron(bias=False))).value("identifiability") == 1.0


def test_larger_batches_without_bias_are_no_pass(planted, ask, perceptron) -> None:
    finding = ask(linear, planted(clients=8, batch=2, model=perceptron(bias=False))).finding
    assert (finding.status, finding.reason) == (Status.INCONCLUSIVE, "undecided")
    assert "no-bias" in finding.summary


def test_signs_of_larger_batches_are_no_pass(planted, ask) -> None:
    finding = ask(linear, planted(clients=8, batch=8, defend=lambda u, r: sign(u))).finding
    assert finding.status is not Status.PASS
    assert "signs" in finding.detail


def test_a_dead_model_is_inconclusive(planted, ask, perceptron) -> None:
    finding = ask(linear, planted(clients=20, model=perceptron(dead=True))).finding
    assert (finding.status, finding.reason) == (Status.INCONCLUSIVE, "control-failed")
    assert "dead units" in finding.summary


def test_updates_that_hold_nothing_are_no_pass(planted, ask) -> None:
    finding = ask(linear, planted(clients=12, defend=lambda u, r: {n: 0 * v for n, v in u.items()})).finding
    assert (finding.status, finding.reason) == (Status.INCONCLUSIVE, "no-usable-record")


def test_few_records_never_pass(planted, ask) -> None:
    finding = ask(linear, planted(clients=30, defend=lambda u, r: gaussian(clip(u, 1.0), 1.0, r))).finding
    assert (finding.status, finding.reason) == (Status.INCONCLUSIVE, "too-few-records")
    assert finding.remedy.value == "59"


def test_few_candidates_never_pass(planted, ask) -> None:
    folder = planted(clients=8, batch=8, reference=200, defend=lambda u, r: gaussian(clip(u, 1.0), 1.0, r))
    assert ask(linear, folder).finding.reason == "too-few-candidates"


def test_without_public_records_other_views_are_the_null(planted, ask) -> None:
    asked = ask(linear, planted(clients=24, reference=0))
    assert asked.finding.status is Status.FAIL
    assert asked.value("null_identifiability") == 0.0


def test_sums_alone_are_none_of_its_business(planted, ask) -> None:
    finding = ask(linear, planted(clients=4, federation={"visibility": "aggregate"})).finding
    assert (finding.status, finding.reason) == (Status.SKIPPED, "not-applicable:sums-only")


def test_a_first_layer_that_is_not_linear_is_skipped(planted, ask) -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Unflatten(1, (1, 8, 8)), nn.Conv2d(1, 2, 3), nn.Flatten(), nn.Linear(72, 10))
    finding = ask(linear, planted(clients=4, model=model)).finding
    assert (finding.status, finding.reason) == (Status.SKIPPED, "not-applicable:first-layer-not-linear")


def test_a_declared_epsilon_stands_beside_a_pass(planted, ask) -> None:
    noise = {"epsilon": 3.5, "delta": 1e-5, "noise_multiplier": 1.0, "clipping_norm": 1.0}
    folder = planted(defend=lambda u, r: gaussian(clip(u, 1.0), 1.0, r), federation={"differential_privacy": noise})
    assert "declared epsilon 3.5 at delta 1e-05" in ask(linear, folder).finding.summary


def test_the_answer_is_the_same_twice_and_holds_no_record(planted, ask) -> None:
    folder = planted(clients=12)
    first, second = ask(linear, folder), ask(linear, folder)
    assert first.finding == second.finding
    assert first.kept.data == second.kept.data
    assert len(first.finding.model_dump_json()) < 6000


def test_the_same_record_in_several_rounds_is_read_from_all_of_them(tmp_path: Path, ask, digits, perceptron) -> None:
    model, rng = perceptron(), np.random.default_rng(1)
    records = [Truth(torch.from_numpy(digits.x[i : i + 1]), torch.from_numpy(digits.y[i : i + 1])) for i in range(12)]
    found = []
    for rounds in (1, 12):
        folder = tmp_path / f"rounds{rounds}"
        with Capture(folder, model, name="repeated", reference=(digits.x[100:600], digits.y[100:600])) as capture:
            for number in range(rounds):
                for client, truth in enumerate(records):
                    clear = clip(clear_gradient(model, truth, PLAIN, [n for n, _ in model.named_parameters()]), 1.0)
                    noised = gaussian(clear, 0.08, rng)
                    for name, parameter in model.named_parameters():
                        parameter.grad = torch.from_numpy(noised[name]).float()
                    capture.record_gradient(model, (truth.x, truth.y), client=f"c{client}", round=number)
        found.append(ask(linear, folder).value("identifiability"))
    assert found[1] >= found[0] + 0.3
