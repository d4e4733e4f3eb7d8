"""The whole verification on scikit-learn's digits: who forgot passes, who pretended does not, whatever the disguise."""

import functools
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits

from reports.model import Effort, ErasureRequest, Status
from unlearning.federated.data import SimulatedFederation
from unlearning.federated.delivered import Delivered
from unlearning.federated.engine import Sequential
from unlearning.federated.fakes import add_noise, fake_patch, scale_weights, temperature
from unlearning.federated.methods import method
from unlearning.federated.methods.base import Setting
from unlearning.federated.privacy import Tensors
from unlearning.federated.recipe import TrainingRecipe
from unlearning.federated.request import UnlearningRequest, split
from unlearning.federated.rounds import one_of, train_models
from unlearning.federated.scenarios import SCENARIOS, Sizes
from unlearning.models import mlp
from unlearning.verification.answers import Answers
from unlearning.verification.suite import VerificationReport, verify

ROUNDS = 30


@functools.cache
def federation(scenario: str) -> tuple[SimulatedFederation, str]:
    """A planted forgetting on the digits, and its request."""
    x, y = load_digits(return_X_y=True)
    made = SCENARIOS[scenario]((x / 16).astype(np.float32), y.astype(np.int64), np.random.default_rng(3), Sizes())
    recipe = TrainingRecipe(rounds=ROUNDS, local_epochs=2, batch_size=32, learning_rate=0.1, seed=7)
    return SimulatedFederation(made.data, recipe, functools.partial(mlp, (64,), 64, 10)), made.request


@functools.cache
def delivered(scenario: str, name: str, **parameters: Any) -> Delivered:
    """What a method honestly delivers for the request."""
    given, request = federation(scenario)
    taken, engine, how = (
        split(given.data, UnlearningRequest.parse(request)),
        Sequential(given, (7,)),
        method(name, **parameters),
    )
    before = train_models(engine, dict(enumerate(given.data.clients)), given.recipe)
    found = how.run(Setting(engine, taken, before, twin=given.data.twin, unlabelled=given.data.holdout))
    data = given.data
    return Delivered(
        ErasureRequest(id="r1", kind="client", method=name), federation=given, split=taken, forget=taken.forgotten,
        retain=taken.retained, twin=data.twin, test=data.test, holdout=data.holdout, probes=data.probes,
        module=given.build_model(torch.Generator()), before=one_of(before.tensors, 0),
        after=one_of(found.models.tensors, 0), method=how, kept=found.kept,
    )  # fmt: skip


@functools.cache
def verified(scenario: str, name: str, **parameters: Any) -> VerificationReport:
    """The verification of it, all sets of models among it."""
    return verify(delivered(scenario, name, **parameters), effort=Effort.STANDARD, seed=11)


def in_its_place(report: VerificationReport, given: Delivered, after: Tensors) -> VerificationReport:
    """The same verification of another model, delivered under the same story."""
    assert given.federation is not None
    assert given.forget is not None
    engine = Sequential(given.federation, (0,))
    stack = {name: tensor[None] for name, tensor in after.items()}
    answers = Answers({"forget": engine.logits(stack, given.forget.x).numpy()}, {"forget": given.forget.y.numpy()})
    return VerificationReport(replace(report.evidence, after=answers, unlearned=None))  # of the method all is said


def permuted(before: Tensors) -> Tensors:
    """The same function, its hidden units in another order."""
    order = torch.randperm(64, generator=torch.Generator().manual_seed(1))
    first, bias, second, last = (before[name] for name in ("0.weight", "0.bias", "2.weight", "2.bias"))
    return {"0.weight": first[order], "0.bias": bias[order], "2.weight": second[:, order], "2.bias": last}


def patched(before: Tensors) -> Tensors:
    given, _ = federation("backdoor")
    assert given.data.holdout is not None
    return fake_patch(given.untrained, before, given.data.holdout, torch.Generator().manual_seed(1))


FAKES: dict[str, Callable[[Tensors], Tensors]] = {
    "no-op": lambda before: before,
    "trigger patch": patched,
    "weight scaling": scale_weights,
    "temperature": temperature,
    "noise 2 %": lambda before: add_noise(before, 0.02, torch.Generator().manual_seed(1)),
    "noise 15 %": lambda before: add_noise(before, 0.15, torch.Generator().manual_seed(1)),
    "units permuted": permuted,
}


@pytest.mark.slow
@pytest.mark.parametrize("scenario", ["noisy", "backdoor"])
def test_a_true_retrain_passes_and_so_does_its_method(scenario: str) -> None:
    report = verified(scenario, "rapid-retrain")
    assert report.residual.outcome.status is Status.PASS
    assert report.residual.grade == "A"
    assert report.method is not None
    assert report.method.outcome.status is Status.PASS
    assert report.method.original.auc >= 0.8
    assert report.utility.outcome.status is Status.PASS
    assert not report.screening.outcome.failed
    assert not report.backdoor.outcome.failed
    assert not report.over_forgetting.outcome.failed


@pytest.mark.slow
@pytest.mark.parametrize("scenario", ["noisy", "backdoor"])
@pytest.mark.parametrize("fake", FAKES)
def test_no_disguise_of_the_model_before_passes(scenario: str, fake: str) -> None:
    given = delivered(scenario, "rapid-retrain")
    assert given.before is not None
    report = in_its_place(verified(scenario, "rapid-retrain"), given, FAKES[fake](given.before))
    assert report.residual.outcome.status is Status.FAIL


@pytest.mark.slow
@pytest.mark.parametrize("scenario", ["noisy", "backdoor"])
def test_ascent_without_direction_never_passes(scenario: str) -> None:
    report = verified(scenario, "ffum", direction="none")
    assert not report.residual.outcome.passed
    assert report.method is not None
    assert not report.method.outcome.passed


@pytest.mark.slow
@pytest.mark.parametrize("name", ["rapid-retrain", "no-op"])
def test_where_there_is_nothing_to_forget_nothing_is_decided(name: str) -> None:
    report = verified("small", name)
    assert report.residual.outcome.reason == "no-influence"
    assert report.method is not None
    assert report.method.outcome.reason in ("no-influence", "control-failed")
    replayed = VerificationReport(report.evidence, replayed=lambda: True)
    assert replayed.residual.outcome.status is Status.PASS  # to the byte is to the byte


@pytest.mark.slow
def test_copies_in_place_of_oracles_never_pass() -> None:
    given = delivered("noisy", "rapid-retrain")
    assert given.before is not None
    noisy = tuple(add_noise(given.before, 0.05, torch.Generator().manual_seed(seed)) for seed in range(64))
    nothing_known = replace(given, federation=None, split=None, after=given.before)
    for oracles in ((given.before,) * 64, noisy):
        report = verify(replace(nothing_known, oracles=oracles), effort=Effort.STANDARD, seed=11)
        assert report.residual.outcome.reason == "oracles-not-independent"


def test_a_quick_look_screens_and_names_what_it_lacks() -> None:
    given = delivered("backdoor", "rapid-retrain")
    report = verify(given, effort=Effort.SMOKE, seed=11)
    assert (report.residual.outcome.reason, report.residual.grade) == ("budget", "B")
    assert report.evidence.before is not None
    lazy = verify(replace(given, after=given.before), effort=Effort.SMOKE, seed=11)
    assert lazy.residual.outcome.status is Status.FAIL
    assert lazy.screening.outcome.status is Status.FAIL
    assert lazy.backdoor.outcome.status is Status.FAIL
