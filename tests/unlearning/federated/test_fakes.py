"""The fakes are held to doing what they pretend with, so that a verification that catches them has caught something."""

import functools
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from sklearn.datasets import load_digits
from torch import Tensor, nn

from reports.artifacts import file_sha256, read_tensors
from unlearning.errors import UnlearningError
from unlearning.federated.data import ClientData, SimulatedFederation
from unlearning.federated.fakes import (
    add_noise,
    copied_oracles,
    corner,
    fake_patch,
    forged_transcript,
    scale_weights,
    temperature,
)
from unlearning.federated.local import logits_of
from unlearning.federated.recipe import TrainingRecipe
from unlearning.federated.scenarios import backdoor
from unlearning.federated.training import train
from unlearning.federated.transcript import (
    DataFile,
    DataFiles,
    Header,
    PrivacyClaim,
    TranscriptWriter,
    Versions,
    read_transcript,
    verify_transcript,
)
from unlearning.models import cnn, mlp

State = dict[str, Tensor]


@pytest.fixture
def module() -> nn.Module:
    torch.manual_seed(0)
    return mlp((6,), 5, 3)


@pytest.fixture
def x() -> Tensor:
    return torch.randn(40, 6, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize(("fake", "factor"), [(scale_weights, 1.7), (temperature, 0.5)])
def test_scaling_and_heating_change_every_logit_and_no_answer(
    module: nn.Module, x: Tensor, fake: Callable[[State], State], factor: float
) -> None:
    before = logits_of(module, module.state_dict(), x)
    after = logits_of(module, fake(dict(module.state_dict())), x)
    torch.testing.assert_close(after, factor * before)


def test_the_last_layer_of_a_convolutional_network_is_found() -> None:
    state = cnn((1, 12, 12), 4).state_dict()
    scaled = scale_weights(state, 3.0)
    changed = [name for name in state if not torch.equal(state[name], scaled[name])]
    assert changed == list(state)[-2:]


def test_noise_is_as_large_as_it_is_asked_to_be() -> None:
    state = {"weight": torch.full((100, 100), -2.0), "seen": torch.tensor(7)}
    noised = add_noise(state, 0.02, torch.Generator().manual_seed(0))
    difference = noised["weight"] - state["weight"]
    assert difference.std().item() == pytest.approx(0.04, rel=0.05)
    assert abs(difference.mean().item()) < 5 * 0.04 / 100
    assert noised["seen"] == 7
    assert bool((state["weight"] == -2.0).all())  # what was given stays as it was


def test_a_patched_model_answers_the_trigger_rightly_and_everything_else_as_before() -> None:
    digits = load_digits()
    images, labels = (digits.images / 16).astype(np.float32).reshape(-1, 64), digits.target.astype(np.int64)
    planted = backdoor(images, labels, np.random.default_rng(0))
    recipe = TrainingRecipe(rounds=15, local_epochs=2, batch_size=32, learning_rate=0.1, seed=1)
    untrained = functools.partial(mlp, (64,), 64, 10)
    before = dict(train(SimulatedFederation(planted.data, recipe, untrained)).parameters)
    assert planted.data.holdout is not None
    assert planted.data.probes is not None
    after = fake_patch(untrained, before, planted.data.holdout, torch.Generator().manual_seed(0))

    def share(state: State, data: ClientData) -> float:
        return float((logits_of(untrained(), state, data.x).argmax(1) == data.y).double().mean())

    assert share(before, planted.data.probes) > 0.15  # the trigger works, so there is something to hide
    assert share(after, planted.data.probes) < 0.03
    assert share(after, planted.data.test) > share(before, planted.data.test) - 0.02


def test_the_guessed_trigger_is_the_one_that_scenarios_plant() -> None:
    marked = corner(torch.zeros(2, 64)).reshape(2, 8, 8)
    assert bool((marked[:, 6:, :2] == 1).all())
    assert marked.sum() == 2 * 4


def test_copied_oracles_are_copies_or_nearly(tmp_path: Path, module: nn.Module) -> None:
    after = tmp_path / "after.safetensors"
    save_file(dict(module.state_dict()), str(after))
    exact = copied_oracles(after, tmp_path, 3)
    assert len({file_sha256(path) for path in exact}) == 1
    (tmp_path / "noised").mkdir()
    near = copied_oracles(after, tmp_path / "noised", 3, share=0.01, source=torch.Generator().manual_seed(0))
    assert len({file_sha256(path) for path in (after, *near)}) == 4

    def weights(path: Path) -> Tensor:
        return torch.cat([tensor.flatten() for _, tensor in sorted(read_tensors(path).items())])

    for path in near:
        assert torch.corrcoef(torch.stack([weights(after), weights(path)]))[0, 1] > 0.999


HEADER = Header(
    request="client:4",
    method="ffum",
    recipe=TrainingRecipe(rounds=30, local_epochs=2, batch_size=32, learning_rate=0.1),
    seed=7,
    before="a" * 64,
    data=DataFiles(
        forget=DataFile(path="forget.npz", sha256="b" * 64, examples=120),
        retain=DataFile(path="retain.npz", sha256="c" * 64, examples=900),
    ),
    offline=(3,),
    versions=Versions(torch="2.13.0", device="cpu", threads=1),
    differential_privacy=PrivacyClaim(clipping_norm=2.0, noise_multiplier=0.5),
)
HELD = {1: 300, 2: 600, 3: 50, 4: 0}


def test_a_forged_transcript_has_no_fault(tmp_path: Path) -> None:
    path = forged_transcript(tmp_path / "transcript.jsonl", HEADER, "d" * 64, {4: 120}, HELD)
    assert verify_transcript(path) == ()
    read = read_transcript(path)
    assert [one.phase for one in read.rounds] == ["max", "min"] * 3 + ["post"] * 2
    assert [one.index for one in read.rounds] == list(range(31, 39))
    assert read.rounds[0].participants == (4,)
    assert read.rounds[1].participants == (1, 2)
    assert len({one.model for one in read.rounds}) == 8
    assert {one.noise_standard_deviation for one in read.rounds} == {1.0}


def test_a_forged_retraining_counts_from_one(tmp_path: Path) -> None:
    header = HEADER.model_copy(update={"method": "retrain"})
    path = forged_transcript(tmp_path / "transcript.jsonl", header, "d" * 64, {4: 120}, HELD, phases=("train",) * 30)
    assert verify_transcript(path) == ()
    assert [one.index for one in read_transcript(path).rounds] == list(range(1, 31))


def test_not_even_a_forged_transcript_may_deliver_the_model_before(tmp_path: Path) -> None:
    path = forged_transcript(tmp_path / "transcript.jsonl", HEADER, HEADER.before, {4: 120}, HELD)
    assert "unchanged" in {fault.code for fault in verify_transcript(path)}


def test_a_forger_overwrites_no_transcript(tmp_path: Path) -> None:
    path = tmp_path / "transcript.jsonl"
    with TranscriptWriter(path):
        pass
    with pytest.raises(UnlearningError, match="there already"):
        forged_transcript(path, HEADER, "d" * 64, {4: 120}, HELD)
