from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor

from unlearning.errors import UnlearningError
from unlearning.federated.data import ClientData
from unlearning.federated.engine import Sequential
from unlearning.federated.methods import Setting, method

Flatten = Callable[[Any], Tensor]


@pytest.fixture(scope="module")
def trained(scenes: Any) -> Setting:
    given = scenes.federation(5, 3, 4, rounds=4, dtype=torch.float64, clients_per_round=2)
    return scenes.asked(Sequential(given, (11,)))


@pytest.mark.parametrize(("request_", "forgotten"), [("client:0", {0}), ("client:1,2", {1, 2})])
def test_all_that_the_clients_have_sent_is_taken_back_first(
    scenes: Any, trained: Setting, flattened: Flatten, request_: str, forgotten: set[int]
) -> None:
    spy = scenes.spy(trained.engine)
    method("distillation").run(scenes.asked_for(trained, request_, engine=spy))
    expected = flattened(trained.history.globals[0])
    for number, updates in trained.history.updates.items():  # what the others alone would have added
        for client, update in updates.items():
            if client not in forgotten:
                expected = expected + trained.history.weights[number][client].unsqueeze(1) * flattened(update)
    torch.testing.assert_close(flattened(spy.asked[0][0].tensors), expected, rtol=0, atol=1e-12)


def test_the_server_distils_alone_without_reading_a_label(scenes: Any, trained: Setting, flattened: Flatten) -> None:
    spy = scenes.spy(trained.engine)
    first = method("distillation").run(replace(trained, engine=spy)).models
    assert [(phase.kind, list(phase.shares)) for _, phase in spy.asked] == [("min", [3])] * 4
    assert trained.unlabelled is not None
    other = ClientData(trained.unlabelled.x, torch.zeros_like(trained.unlabelled.y))
    again = method("distillation").run(replace(trained, unlabelled=other)).models
    assert torch.equal(flattened(first.tensors), flattened(again.tensors))


def test_it_comes_nearer_to_the_answers_of_the_model_before(scenes: Any, trained: Setting) -> None:
    spy = scenes.spy(trained.engine)
    after = method("distillation", rounds=8).run(replace(trained, engine=spy)).models
    assert trained.unlabelled is not None

    def distance(tensors: Any) -> float:
        of_teacher, of_student = (trained.engine.logits(one, trained.unlabelled.x).log_softmax(-1)  # type: ignore[union-attr]
                                  for one in (trained.before.tensors, tensors))  # fmt: skip
        return float((of_teacher.exp() * (of_teacher - of_student)).sum(-1).mean())

    assert distance(after.tensors) < 0.5 * distance(spy.asked[0][0].tensors)


def test_the_temperature_reaches_both_sides_and_its_square_the_weight(scenes: Any, trained: Setting) -> None:
    spy = scenes.spy(trained.engine)
    method("distillation", temperature=2.0).run(replace(trained, engine=spy))
    objective = spy.phases("min")[0].local.objective
    assert (objective.divergence.name, objective.temperature, objective.alpha, objective.gamma) == ("kl", 2.0, 4.0, 0.0)


def test_an_offline_clients_updates_are_taken_back_all_the_same(
    scenes: Any, trained: Setting, flattened: Flatten
) -> None:
    here, away = (scenes.spy(trained.engine) for _ in range(2))
    method("distillation").run(replace(trained, engine=here))
    result = method("distillation").run(replace(trained, engine=away, offline=frozenset({0})))
    assert torch.equal(flattened(here.asked[0][0].tensors), flattened(away.asked[0][0].tensors))
    assert result.progress == "ok"


def test_without_public_data_it_is_told_what_to_name(trained: Setting) -> None:
    with pytest.raises(UnlearningError, match="needs public data") as caught:
        method("distillation").run(replace(trained, unlabelled=None))
    assert "data.holdout" in caught.value.hint


def test_every_rounds_updates_must_be_recorded(trained: Setting) -> None:
    updates = {number: trained.history.updates[number] for number in (1, 4)}
    with pytest.raises(UnlearningError, match="the clients' updates of round 2 and 1 more") as caught:
        method("distillation").run(replace(trained, history=replace(trained.history, updates=updates)))
    assert 'client_updates = "all"' in caught.value.hint
