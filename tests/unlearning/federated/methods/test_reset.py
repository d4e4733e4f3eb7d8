import functools
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from unlearning.errors import UnlearningError
from unlearning.federated.data import ClientData
from unlearning.federated.engine import Sequential
from unlearning.federated.methods import Setting, method
from unlearning.federated.methods.base import RoundNote
from unlearning.federated.methods.reset import first_layer
from unlearning.federated.objectives import Distillation
from unlearning.federated.request import Split
from unlearning.federated.rounds import Models
from unlearning.models import cnn, mlp

Flatten = Callable[[Any], Tensor]


@pytest.fixture(scope="module")
def trained(scenes: Any) -> Setting:
    given = scenes.federation(5, 3, 4, rounds=10, dtype=torch.float64, local_epochs=1)
    return scenes.asked(Sequential(given, (11,)))


def changed(before: Models, after: Models) -> list[str]:
    return [name for name, tensor in before.tensors.items() if not torch.equal(tensor, after.tensors[name])]


def test_negation_turns_the_weights_of_the_first_layer_and_nothing_else(trained: Setting) -> None:
    result = method("negation", post_rounds=0).run(trained)
    assert changed(trained.before, result.models) == ["0.weight"]
    assert torch.equal(result.models.tensors["0.weight"], -trained.before.tensors["0.weight"])
    assert len(result.warnings) == 1
    assert "no convolution" in result.warnings[0]
    assert "0.weight" in result.warnings[0]


def test_negation_of_a_convolutional_model_turns_a_convolution_and_warns_of_nothing(scenes: Any) -> None:
    given = scenes.federation(2, 2, untrained=functools.partial(cnn, (1, 12, 12), 3))
    engine = Sequential(given, (11,))
    images = ClientData(torch.zeros(2, 1, 12, 12), torch.zeros(2, dtype=torch.int64))
    before = engine.initial()
    result = method("negation", post_rounds=0).run(Setting(engine, Split({}, (images,), {}), before))
    assert changed(before, result.models) == ["0.weight"]
    assert (result.progress, result.warnings) == ("ok", ())


@pytest.mark.parametrize(
    ("module", "name", "convolutional"),
    [
        (nn.Sequential(nn.Flatten(), nn.Linear(4, 2)), "1.weight", False),
        (nn.Sequential(nn.LayerNorm(4), nn.Linear(4, 2)), "1.weight", False),
        (nn.Sequential(nn.Linear(4, 4), nn.Unflatten(1, (1, 4)), nn.Conv1d(1, 1, 2)), "2.weight", True),
        (nn.Conv2d(1, 1, 2), "weight", True),
    ],
)
def test_the_first_layer_is_the_first_convolution_or_else_the_first_matrix(
    module: nn.Module, name: str, convolutional: bool
) -> None:
    assert first_layer(module) == (name, convolutional)


def test_a_model_without_a_layer_to_negate_is_told() -> None:
    with pytest.raises(UnlearningError, match="has none of two dimensions or more"):
        first_layer(nn.LayerNorm(3))


def test_degradation_mixes_in_one_random_model_again_and_again(trained: Setting, flattened: Flatten) -> None:
    result = method("momentum-degradation", rounds=3, keep=0.8, post_rounds=0).run(trained)
    noise = flattened(trained.engine.initial("unlearn/degradation/").tensors)
    kept = 0.8**3
    expected = kept * flattened(trained.before.tensors) + (1 - kept) * noise
    torch.testing.assert_close(flattened(result.models.tensors), expected, rtol=0, atol=1e-12)
    for same in (trained.engine.initial().tensors, trained.history.globals[0]):
        assert not torch.equal(flattened(same), noise)  # not the weights that the training began with


def test_the_guidance_learns_the_labels_and_the_answers_of_the_model_before(scenes: Any, trained: Setting) -> None:
    spy = scenes.spy(trained.engine)
    method("momentum-degradation", alpha=2.0, gamma=0.5).run(replace(trained, engine=spy))
    [phase, *_] = spy.phases("min")
    objective = phase.local.objective
    assert isinstance(objective, Distillation)
    assert (objective.divergence.name, objective.alpha, objective.gamma) == ("kl", 2.0, 0.5)
    assert phase.teacher is trained.before.tensors
    assert len(spy.asked) == 4


def test_rewinding_starts_from_a_fifth_of_the_rounds_with_momentum(
    scenes: Any, trained: Setting, flattened: Flatten
) -> None:
    spy = scenes.spy(trained.engine)
    result = method("rewind").run(replace(trained, engine=spy))
    assert torch.equal(flattened(spy.asked[0][0].tensors), flattened(trained.history.globals[2]))
    assert len(spy.asked) == 10 // 4
    assert {(phase.recipe.momentum, phase.recipe.server_momentum) for _, phase in spy.asked} == {(0.9, 0.5)}
    assert result.models.rounds == 10 + 2
    assert not any(0 in phase.shares for _, phase in spy.asked)


@pytest.mark.parametrize(("recorded", "start"), [((0, 1, 10), 1), ((0, 1, 2, 3), 2)])
def test_rewinding_takes_the_last_recorded_round_up_to_a_fifth(
    scenes: Any, trained: Setting, flattened: Flatten, recorded: tuple[int, ...], start: int
) -> None:
    spy = scenes.spy(trained.engine)
    kept = {number: trained.history.globals[number] for number in recorded}
    method("rewind").run(replace(trained, engine=spy, history=replace(trained.history, globals=kept)))
    assert torch.equal(flattened(spy.asked[0][0].tensors), flattened(kept[start]))


@pytest.mark.parametrize(("recorded", "parameters", "missing"), [((0, 10), {}, 2), ((1, 2), {"start": 7}, 7)])
def test_a_round_to_rewind_to_that_is_not_recorded_is_told(
    trained: Setting, recorded: tuple[int, ...], parameters: dict[str, int], missing: int
) -> None:
    kept = {number: trained.history.globals[number] for number in recorded}
    with pytest.raises(UnlearningError, match=f"rewind needs the global model of round {missing}") as caught:
        method("rewind", **parameters).run(replace(trained, history=replace(trained.history, globals=kept)))
    assert caught.value.code == "unlearning.recording"


def test_rewinding_a_private_federation_goes_without_server_momentum(scenes: Any) -> None:
    privacy = {"clipping_norm": 1.0, "noise_multiplier": 0.1}
    setting = scenes.asked(Sequential(scenes.federation(rounds=5, privacy=privacy), (11,)))
    seen: list[RoundNote] = []
    method("rewind").run(replace(setting, watch=seen.append))
    assert seen[0].outcome.noise == pytest.approx(0.1)


def test_a_perceptron_recovers_some_of_what_negation_has_broken(trained: Setting) -> None:
    seen: list[RoundNote] = []
    method("negation", post_rounds=8).run(replace(trained, watch=seen.append))
    losses = [float(note.outcome.losses) for note in seen]
    assert losses[-1] < losses[0]
    assert mlp((6,), 5, 3).state_dict().keys() == seen[-1].after.tensors.keys()
