from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor

from unlearning.errors import UnlearningError
from unlearning.federated.engine import Sequential
from unlearning.federated.local import local_update
from unlearning.federated.methods import History, Setting, method
from unlearning.federated.methods.base import RoundNote
from unlearning.federated.privacy import norm
from unlearning.federated.request import Split
from unlearning.federated.rounds import one_of
from unlearning.federated.stacked import StackedFederation
from unlearning.federated.training import seeded

Flatten = Callable[[Any], Tensor]


@pytest.fixture(scope="module")
def trained(scenes: Any) -> Setting:
    given = scenes.federation(5, 3, 4, rounds=4, dtype=torch.float64, server_momentum=0.5)
    return scenes.asked(Sequential(given, (11,)))


def at_rounds(setting: Setting, *numbers: int) -> Setting:
    """The same setting, of which only these rounds' updates are recorded."""
    kept = {number: setting.history.updates[number] for number in numbers}
    return replace(setting, history=replace(setting.history, updates=kept))


def by_definition(setting: Setting, rounds: tuple[int, ...]) -> dict[str, Tensor]:
    """The published loop in plain words: new directions at the old lengths, from the untrained model."""
    module = setting.engine.federation.build_model(torch.Generator())
    model = one_of(setting.history.globals[0], 0)
    recipe = setting.recipe.model_copy(update={"local_epochs": 1})
    total = sum(len(data) for data in setting.retained.values())
    for place, number in enumerate(rounds, start=1):
        moved = dict(model)
        for client, data in setting.retained.items():
            source = seeded(11)(f"unlearn/round/{place}/client/{client}/batches")
            direction = local_update(module, model, data, recipe, source).delta
            length = norm(one_of(setting.history.updates[number][client], 0))
            for name in moved:
                moved[name] = moved[name] + len(data) / total * length * direction[name] / norm(direction)
        model = moved
    return model


def test_it_is_the_published_loop(trained: Setting) -> None:
    after = method("federaser", interval=2, post_rounds=0).run(trained).models
    for name, tensor in by_definition(trained, (1, 3)).items():
        torch.testing.assert_close(after.tensors[name][0], tensor, rtol=0, atol=1e-12)
    assert (after.rounds, after.work.example_gradients) == (2, 2 * (3 + 4))  # half of two epochs


@pytest.mark.parametrize(
    ("recorded", "interval", "rounds"),
    [((1, 2, 3, 4), 1, (1, 2, 3, 4)), ((1, 2, 3, 4), 3, (1, 4)), ((2, 4), 2, (2, 4)), ((1, 3, 4), 2, (1, 3))],
)
def test_it_takes_the_first_recorded_round_and_then_every_so_many(
    trained: Setting, recorded: tuple[int, ...], interval: int, rounds: tuple[int, ...]
) -> None:
    given = at_rounds(trained, *recorded)
    after = method("federaser", interval=interval, post_rounds=0).run(given).models
    for name, tensor in by_definition(trained, rounds).items():
        torch.testing.assert_close(after.tensors[name][0], tensor, rtol=0, atol=1e-12)


@pytest.mark.parametrize("recorded", [(), (4,), (1, 4), (1, 2)])
def test_a_recording_with_holes_is_refused_with_what_to_record(trained: Setting, recorded: tuple[int, ...]) -> None:
    with pytest.raises(UnlearningError, match="federaser needs clients' updates every 1 rounds") as caught:
        method("federaser", interval=1).run(at_rounds(trained, *recorded))
    assert (caught.value.code, caught.value.exit_code) == ("unlearning.recording", 2)
    assert 'client_updates = "all"' in caught.value.hint


def test_nothing_recorded_is_no_federation_of_few_rounds(trained: Setting) -> None:
    with pytest.raises(UnlearningError, match="needs clients' updates"):
        method("federaser", interval=9).run(at_rounds(trained))


def test_the_untrained_model_must_be_recorded(trained: Setting) -> None:
    history = replace(trained.history, globals={4: trained.history.globals[4]})
    with pytest.raises(UnlearningError, match="the global model of round 0, and it is not recorded") as caught:
        method("federaser").run(replace(trained, history=history))
    assert 'global_models = "all"' in caught.value.hint


def test_a_round_of_which_only_some_updates_are_kept_is_refused(trained: Setting) -> None:
    updates = {number: {0: kept[0], 1: kept[1]} for number, kept in trained.history.updates.items()}
    with pytest.raises(UnlearningError, match="the update of client 2 in round 1"):
        method("federaser").run(replace(trained, history=replace(trained.history, updates=updates)))


def test_one_client_alone_takes_steps_as_long_as_its_recorded_ones(scenes: Any, flattened: Flatten) -> None:
    setting = scenes.asked(Sequential(scenes.federation(4, 5, dtype=torch.float64, rounds=2), (11,)))
    seen: list[RoundNote] = []
    method("federaser", interval=1, post_rounds=0).run(replace(setting, watch=seen.append))
    recorded = [flattened(setting.history.updates[number][1]).norm() for number in (1, 2)]
    torch.testing.assert_close(torch.stack([note.outcome.update_norms[0] for note in seen]), torch.stack(recorded))
    assert not any(note.outcome.deltas for note in seen)  # a watcher is shown no single client's update


def test_only_clients_that_took_part_in_a_models_round_are_recalibrated(scenes: Any, flattened: Flatten) -> None:
    given = scenes.federation(4, 3, 5, 2, dtype=torch.float64, clients_per_round=2)
    federaser = method("federaser", interval=1, post_rounds=0)
    together = scenes.asked(StackedFederation(given, (11, 12, 13)))
    after = flattened(federaser.run(together).models.tensors)
    for place, seed in enumerate((11, 12, 13)):
        alone = scenes.asked(Sequential(given, (seed,)))
        present = {client for weights in alone.history.weights.values() for client in weights}
        assert present <= {0, 1, 2, 3}
        torch.testing.assert_close(after[place], flattened(federaser.run(alone).models.tensors)[0], rtol=0, atol=1e-10)


def test_a_round_of_the_forget_client_alone_moves_nothing(scenes: Any, flattened: Flatten) -> None:
    given = scenes.federation(4, 3, dtype=torch.float64, clients_per_round=1, rounds=6)
    setting = scenes.asked(Sequential(given, (11,)))
    alone = [number for number, weights in setting.history.weights.items() if set(weights) == {0}]
    assert 0 < len(alone) < 6
    after = method("federaser", interval=1, post_rounds=0).run(setting).models
    assert after.rounds == 6 - len(alone)


def test_the_control_recalibrates_the_model_that_it_is_run_on(trained: Setting) -> None:
    seen: list[RoundNote] = []
    holding = replace(trained, split=Split.nothing(trained.engine.federation.data), watch=seen.append)
    method("federaser").control(holding)
    assert {note.outcome.participants(0) for note in seen} == {(0, 1, 2)}
    with pytest.raises(UnlearningError):
        method("federaser").control(replace(trained, history=History()))
