from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor

from unlearning.errors import TrainingDiverged, UnlearningError
from unlearning.federated.engine import Sequential
from unlearning.federated.methods import Setting, method
from unlearning.federated.methods.ascent import ProjectedAscent
from unlearning.federated.methods.base import RoundNote
from unlearning.federated.objectives import Ascent
from unlearning.federated.stacked import StackedFederation

Flatten = Callable[[Any], Tensor]


@pytest.fixture(scope="module")
def trained(scenes: Any) -> Setting:
    given = scenes.federation(5, 3, 4, 2, rounds=4, dtype=torch.float64)
    return scenes.asked(Sequential(given, (11,)))


def centre_of(flattened: Flatten, setting: Setting, **options: Any) -> Tensor:
    """Where projected ascent starts: it stops before its first step, and no rounds follow."""
    standing = ProjectedAscent(stop_at=1e-12, post_rounds=0, **options)
    return flattened(standing.run(setting).models.tensors)


def mean_of_others(flattened: Flatten, setting: Setting, forgotten: set[int]) -> Tensor:
    """The definition: the mean of what the others made of the last round, by their examples."""
    last = setting.before.rounds
    start, updates = flattened(setting.history.globals[last - 1]), setting.history.updates[last]
    weights = {client: weight for client, weight in setting.history.weights[last].items() if client not in forgotten}
    total = torch.stack(list(weights.values())).sum(0).unsqueeze(1)
    moved = [(start + flattened(updates[client])) * weight.unsqueeze(1) for client, weight in weights.items()]
    return torch.stack(moved).sum(0) / total


def test_ascent_is_one_round_of_the_forget_client_up_the_loss_then_retained_rounds(trained: Setting) -> None:
    seen: list[RoundNote] = []
    method("ascent", lr_max=0.2).run(replace(trained, twin=None, watch=seen.append))
    assert [note.kind for note in seen] == ["max", *["post"] * 4]
    assert seen[0].outcome.participants(0) == (0,)
    [before] = [float(torch.nn.functional.cross_entropy(
        trained.engine.logits(trained.before.tensors, trained.split.forgotten.x)[0], trained.split.forgotten.y
    ))]  # fmt: skip
    assert seen[0].loss_forget is not None
    assert seen[0].loss_forget > before + 0.05


def test_ascent_is_clipped_step_by_step(scenes: Any, trained: Setting) -> None:
    spy = scenes.spy(trained.engine)
    method("ascent", lr_max=50.0, clip_max=0.01, max_epochs=3, post_rounds=0).run(replace(trained, engine=spy))
    [phase] = spy.phases("max")
    assert isinstance(phase.local.objective, Ascent)
    _, outcome = trained.engine.round(trained.before, phase)
    assert 0 < float(outcome.update_norms) <= 50.0 * 0.01 * 2 * 3 * (1 + 1e-6)  # two batches, three epochs


def test_ascent_that_diverges_twice_names_the_round_and_the_parameter(trained: Setting) -> None:
    with pytest.raises(TrainingDiverged, match="round 5, max phase: ") as caught:
        method("ascent", lr_max=1e300, clip_max=1e9, max_epochs=9).run(trained)
    assert caught.value.hint == "Lower lr_max (it is 1e+300; 5e+299 diverged too)."


def test_ascent_that_diverges_once_goes_on_at_half_the_rate(scenes: Any, trained: Setting) -> None:
    spy = scenes.spy(trained.engine, failures=1)
    method("ascent", lr_max=0.3).run(replace(trained, engine=spy))
    assert [phase.recipe.learning_rate for phase in spy.phases("max")] == [0.3, 0.15]
    assert spy.asked[0][0] is spy.asked[1][0]


def test_projected_ascent_starts_from_the_mean_of_the_others(scenes: Any, trained: Setting, flattened: Flatten) -> None:
    for request, forgotten in (("client:0", {0}), ("client:0,3", {0, 3})):
        setting = scenes.asked_for(trained, request)
        expected = mean_of_others(flattened, setting, forgotten)
        torch.testing.assert_close(centre_of(flattened, setting), expected, rtol=0, atol=1e-12)
    assert (centre_of(flattened, trained) - flattened(trained.before.tensors)).norm() > 1e-3


def test_the_start_of_clients_with_equal_weight_is_the_published_formula(scenes: Any, flattened: Flatten) -> None:
    setting = scenes.asked(Sequential(scenes.federation(4, 4, 4, dtype=torch.float64), (11,)))
    last = setting.before.rounds
    theirs = flattened(setting.history.globals[last - 1]) + flattened(setting.history.updates[last][0])
    expected = (3 * flattened(setting.before.tensors) - theirs) / (3 - 1)
    torch.testing.assert_close(centre_of(flattened, setting), expected, rtol=0, atol=1e-12)


def test_without_stored_globals_the_last_updates_suffice_unless_the_server_has_momentum(
    scenes: Any, trained: Setting, flattened: Flatten
) -> None:
    last = trained.before.rounds
    alone = replace(trained.history, globals={}, updates={last: trained.history.updates[last]})
    torch.testing.assert_close(centre_of(flattened, replace(trained, history=alone)), centre_of(flattened, trained),
                               rtol=0, atol=1e-12)  # fmt: skip
    pushed = scenes.asked(Sequential(scenes.federation(server_momentum=0.5), (11,)))
    centre_of(flattened, pushed)
    with pytest.raises(UnlearningError, match="the global model of round 3") as caught:
        centre_of(flattened, replace(pushed, history=replace(pushed.history, globals={})))
    assert "global_models" in caught.value.hint


def test_a_missing_last_update_is_told_with_what_to_record(trained: Setting) -> None:
    history = replace(trained.history, updates={1: trained.history.updates[1]})
    with pytest.raises(UnlearningError, match="projected-ascent needs the clients' updates of round 4") as caught:
        ProjectedAscent().run(replace(trained, history=history))
    assert (caught.value.code, caught.value.exit_code) == ("unlearning.recording", 2)
    assert 'client_updates = "last"' in caught.value.hint


def test_models_whose_last_round_the_client_was_not_drawn_for_start_where_they_are(
    scenes: Any, flattened: Flatten
) -> None:
    given = scenes.federation(3, 3, 3, dtype=torch.float64, clients_per_round=1)
    setting = scenes.asked(StackedFederation(given, tuple(range(9))))
    drawn = setting.history.weights[setting.before.rounds][0] > 0
    assert bool(drawn.any())
    assert not bool(drawn.all())
    centre, before = centre_of(flattened, setting), flattened(setting.before.tensors)
    # alone in its last round or not in it: there is no mean of the others in either
    torch.testing.assert_close(centre, before, rtol=0, atol=1e-12)


def test_projected_ascent_stays_within_a_third_of_the_way_to_random_models(
    scenes: Any, trained: Setting, flattened: Flatten
) -> None:
    spy = scenes.spy(trained.engine)
    far = ProjectedAscent(stop_at=1e9, lr_max=0.5, max_epochs=40, post_rounds=0, clip_max=100.0)
    end = flattened(far.run(replace(trained, engine=spy)).models.tensors)
    centre = centre_of(flattened, trained)
    fresh = [flattened(trained.engine.initial(f"unlearn/ball/{number}/").tensors) for number in range(10)]
    radius = torch.stack([(one - centre).norm(dim=1) for one in fresh]).mean(0) / 3
    assert len({float(one.sum()) for one in fresh}) == 10
    torch.testing.assert_close((end - centre).norm(dim=1), radius)
    torch.testing.assert_close(spy.phases("max")[0].radius, radius)


def test_projected_ascent_stops_where_the_forget_set_is_lost_enough(scenes: Any, trained: Setting) -> None:
    seen: list[RoundNote] = []
    options = {"lr_max": 0.2, "momentum": 0.0, "max_epochs": 20, "post_rounds": 0}
    ProjectedAscent(stop_at=2.0, **options).run(replace(trained, twin=None, watch=seen.append))
    ProjectedAscent(stop_at=1e9, **options).run(replace(trained, twin=None, watch=seen.append))
    stopped, free = (note.work for note in seen)
    assert 0 < stopped < free == 20 * 5
