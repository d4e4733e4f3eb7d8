import functools
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from unlearning.errors import TrainingDiverged, UnlearningError
from unlearning.federated.data import ClientData
from unlearning.federated.engine import Sequential
from unlearning.federated.methods import Setting, UnlearningResult
from unlearning.federated.methods.base import RoundNote
from unlearning.federated.methods.ffum import FFUM
from unlearning.federated.rounds import Models, one_of
from unlearning.models import cnn

Flatten = Callable[[Any], Tensor]


@pytest.fixture(scope="module")
def trained(scenes: Any) -> Setting:
    """A model that has learnt what its clients hold, labels that are wrong included."""
    given = scenes.federation(9, 9, 9, rounds=12, learning_rate=0.3, batch_size=9)
    setting: Setting = scenes.asked(Sequential(given, (11,)))
    return replace(setting, twin=labelled(setting, given.data.holdout.x))


def labelled(setting: Setting, x: Tensor) -> ClientData:
    """Other inputs under the labels of the forget set."""
    wanted = setting.split.forgotten.y
    return ClientData(x[: len(wanted)], wanted)


def run(method: FFUM, setting: Setting) -> tuple[UnlearningResult, list[RoundNote]]:
    seen: list[RoundNote] = []
    return method.run(replace(setting, watch=seen.append)), seen


def loss(setting: Setting, models: Models, data: ClientData) -> float:
    module = setting.engine.federation.build_model(torch.Generator())
    module.load_state_dict(one_of(models.tensors, 0))
    return float(cross_entropy(module(data.x), data.y).detach())


def test_the_max_phase_raises_the_loss_on_the_forget_set_and_the_min_phase_lowers_the_others(trained: Setting) -> None:
    _, seen = run(FFUM(rounds=1, post_rounds=0, lr_max=0.2), replace(trained, twin=None))
    assert [note.kind for note in seen] == ["max", "min"]
    forgotten, retained = trained.split.forgotten, trained.split.retained
    start = loss(trained, trained.before, forgotten)
    assert seen[0].loss_forget == pytest.approx(loss(trained, seen[0].after, forgotten), rel=1e-5)
    assert seen[0].loss_forget > start + 0.05
    assert loss(trained, seen[1].after, retained) < loss(trained, seen[0].after, retained)


def test_undirected_ascent_needs_a_kick_and_gets_one_of_the_length_it_asks_for(
    scenes: Any, trained: Setting, flattened: Flatten
) -> None:
    spy = scenes.spy(trained.engine)
    kicked = FFUM(direction="none", rounds=1, kick=0.01).run(replace(trained, engine=spy))
    before = flattened(trained.before.tensors)
    start = flattened(spy.asked[0][0].tensors)
    assert float((start - before).norm() / before.norm()) == pytest.approx(0.01, rel=1e-4)
    assert kicked.progress == "ok"
    again = scenes.spy(trained.engine)
    FFUM(direction="none", rounds=1, kick=0.01).run(replace(trained, engine=again))
    assert torch.equal(flattened(again.asked[0][0].tensors), start)


def test_a_method_that_does_not_move_says_that_it_did_not_act(trained: Setting, flattened: Flatten) -> None:
    result, seen = run(FFUM(direction="none", kick=0.0), trained)
    assert (result.progress, result.kept) == ("none", 0)
    assert "did not act" in result.warnings[0]
    assert [note.kind for note in seen] == ["max"]
    assert torch.equal(flattened(result.models.tensors), flattened(trained.before.tensors))
    assert run(FFUM(), trained)[0].progress == "ok"  # negative control: with the guard it moves


def test_the_kept_round_is_the_one_whose_loss_is_nearest_to_the_twins(trained: Setting, flattened: Flatten) -> None:
    setting = replace(trained, twin=labelled(trained, trained.split.retained.x))
    result, seen = run(FFUM(rounds=6, max_epochs=3, lr_max=0.15, post_rounds=0, tol=1e-4), setting)
    ends = [note for note in seen if note.kind == "min"]
    allowed = (1 + 1e-4) * loss(setting, setting.before, setting.split.retained)
    assert setting.twin is not None
    distances = {
        number: abs(loss(setting, note.after, setting.split.forgotten) - loss(setting, note.after, setting.twin))
        for number, note in enumerate(ends, start=1)
        if loss(setting, note.after, setting.split.retained) <= allowed
    }
    assert len(ends) == 6
    assert len(distances) > 1
    assert result.kept == min(distances, key=lambda number: distances[number])
    assert torch.equal(flattened(result.models.tensors), flattened(ends[result.kept - 1].after.tensors))
    assert result.models.work == seen[-1].after.work  # rounds that were not kept were paid for


def test_post_rounds_go_on_from_the_kept_round_and_count_on_from_the_last(
    scenes: Any, trained: Setting, flattened: Flatten
) -> None:
    setting = replace(trained, twin=labelled(trained, trained.split.retained.x))
    spy = scenes.spy(trained.engine)
    result, seen = run(FFUM(rounds=4, max_epochs=3, lr_max=0.15, tol=1e-4), replace(setting, engine=spy))
    ends = [note for note in seen if note.kind == "min"]
    start = next(models for models, phase in spy.asked if phase.kind == "post")
    assert result.kept is not None
    assert torch.equal(flattened(start.tensors), flattened(ends[result.kept - 1].after.tensors))
    assert [note.index for note in seen] == list(range(13, 13 + len(seen)))


def test_it_stops_where_the_twins_loss_is_near_enough(trained: Setting) -> None:
    result, seen = run(FFUM(rounds=5, tol=10.0), trained)
    assert (result.kept, [note.kind for note in seen]) == (1, ["max", "min", "post", "post"])


def test_a_twin_of_other_labels_chooses_no_round_and_is_told_of(trained: Setting) -> None:
    other = ClientData(trained.split.retained.x[:9], torch.zeros(9, dtype=torch.int64))
    result, seen = run(FFUM(rounds=5, tol=10.0), replace(trained, twin=other))
    assert (result.kept, [note.kind for note in seen].count("min")) == (5, 5)
    assert "the twin has other labels" in result.warnings[0]
    assert run(FFUM(rounds=1), replace(trained, twin=None))[0].warnings == ()


def test_no_round_that_spoils_the_rest_is_kept_without_a_warning(trained: Setting) -> None:
    result, _ = run(FFUM(rounds=2, lr_max=20.0, max_epochs=20, tol=0.0, lr_min=1e-6), trained)
    assert "no round kept the retained loss within" in result.warnings[0]
    assert "lower lr_max" in result.warnings[0]


def test_a_matched_run_takes_the_rounds_it_is_given_and_chooses_nothing(scenes: Any) -> None:
    several = scenes.asked(Sequential(scenes.federation(), (11, 12)))
    several = replace(several, twin=labelled(several, several.split.retained.x))
    with pytest.raises(ValueError, match="give `kept`"):
        FFUM().run(several)
    result, seen = run(FFUM(rounds=5, tol=10.0), replace(several, kept=3))
    assert (result.kept, [note.kind for note in seen].count("min")) == (3, 3)


def test_a_max_phase_that_diverges_is_tried_once_more_at_half_the_rate(scenes: Any, trained: Setting) -> None:
    spy = scenes.spy(trained.engine, failures=1)
    FFUM(lr_max=0.08, rounds=1).run(replace(trained, engine=spy))
    first, second = spy.asked[:2]
    assert (first[1].recipe.learning_rate, second[1].recipe.learning_rate) == (0.08, 0.04)
    assert second[0] is first[0]  # the last good models


def test_a_max_phase_that_diverges_twice_names_the_round_and_the_parameter(trained: Setting) -> None:
    with pytest.raises(TrainingDiverged, match="round 13, max phase: ") as caught:
        FFUM(lr_max=1e38).run(trained)
    assert caught.value.hint == "Lower lr_max (it is 1e+38; 5e+37 diverged too)."
    assert (caught.value.code, caught.value.exit_code) == ("unlearning.diverged", 3)


@pytest.mark.parametrize("name", ["chi2", "alpha", "kl", "reverse-kl"])
@pytest.mark.parametrize("direction", ["label", "none"])
def test_even_a_steep_divergence_at_a_rate_of_one_gives_finite_models_or_one_sentence(
    trained: Setting, name: Any, direction: Any
) -> None:
    told, tensors = "", {}
    method = FFUM(divergence=name, lr_max=1.0, direction=direction, max_epochs=5)
    try:
        tensors = dict(method.run(replace(trained, kept=3)).models.tensors)
    except TrainingDiverged as error:
        told = str(error)
    assert tensors or ("max phase" in told and "lr_max" in told)
    assert all(bool(tensor.isfinite().all()) for tensor in tensors.values())


def test_a_forget_set_that_has_reached_the_cap_is_told(trained: Setting) -> None:
    result, _ = run(FFUM(direction="none", cap=1e-9, rounds=1), replace(trained, twin=None))
    assert (result.progress, result.capped_share) == ("capped", 1.0)
    assert "100% of the forget examples had reached the cap" in result.warnings[-1]


def test_two_clients_go_away_at_once_each_by_its_share(scenes: Any, trained: Setting) -> None:
    _, seen = run(FFUM(rounds=1), scenes.asked_for(trained, "client:0,2", twin=None))
    weights = seen[0].outcome.weights
    assert {client: float(weight) for client, weight in weights.items()} == {0: 0.5, 2: 0.5}
    assert set(seen[1].outcome.weights) == {1}


def test_one_of_two_forget_clients_that_does_not_answer_is_told(scenes: Any, trained: Setting) -> None:
    result, seen = run(FFUM(rounds=1), scenes.asked_for(trained, "client:0,2", offline=frozenset({2}), twin=None))
    assert seen[0].outcome.participants(0) == (0,)
    assert result.progress == "degraded"


def test_a_class_request_lets_every_client_run_both_phases_on_its_own_split(scenes: Any, trained: Setting) -> None:
    setting = scenes.asked_for(trained, "class:1", twin=None)
    spy = scenes.spy(trained.engine)
    FFUM(rounds=1).run(replace(setting, engine=spy))
    away, back = spy.phases("max")[0], spy.phases("min")[0]
    assert set(away.shares) == set(back.shares) == {0, 1, 2}
    assert all(bool((data.y == 1).all()) for data in away.shares.values())
    assert not any(bool((data.y == 1).any()) for data in back.shares.values())


def test_fresh_weights_meet_the_min_phase_alone_with_the_settings_of_a_reset(scenes: Any, trained: Setting) -> None:
    spy = scenes.spy(trained.engine)
    result = FFUM(reset="init").run(replace(trained, engine=spy))
    assert [phase.kind for _, phase in spy.asked] == ["min"] * 3  # a quarter of twelve rounds, none after
    [phase, *_] = spy.phases("min")
    assert (phase.recipe.momentum, phase.recipe.local_epochs) == (0.9, trained.recipe.local_epochs)
    assert phase.local.objective.alpha == 0.25
    assert phase.teacher is trained.before.tensors
    assert (result.progress, result.models.rounds) == ("ok", 3)
    start, teacher = spy.asked[0][0].tensors["0.weight"], trained.before.tensors["0.weight"]
    assert abs(float(torch.corrcoef(torch.stack([start.flatten(), teacher.flatten()]))[0, 1])) < 0.6


def test_a_recorded_round_can_be_the_start_and_one_that_is_not_there_is_told(
    scenes: Any, trained: Setting, flattened: Flatten
) -> None:
    spy = scenes.spy(trained.engine)
    FFUM(reset="rewind:4", rounds=1).run(replace(trained, engine=spy))
    assert torch.equal(flattened(spy.asked[0][0].tensors), flattened(trained.history.globals[4]))
    with pytest.raises(UnlearningError, match="round 40 is not recorded") as caught:
        FFUM(reset="rewind:40").run(trained)
    assert "global_models" in caught.value.hint


def test_defaults_of_the_max_phase_follow_the_architecture(scenes: Any, trained: Setting) -> None:
    rates = []
    for untrained, shape in ((None, (6,)), (functools.partial(cnn, (1, 12, 12), 3), (1, 12, 12))):
        given = scenes.federation(4, 4, rounds=1, untrained=untrained)
        images = [
            ClientData(torch.zeros(len(client), *shape) if untrained else client.x, client.y)
            for client in given.data.clients
        ]
        data = replace(given.data, clients=tuple(images), test=images[0], twin=None)
        spy = scenes.spy(Sequential(replace(given, data=data), (11,)))
        FFUM(rounds=1, post_rounds=0).run(scenes.asked(spy, twin=None))
        rates.append(spy.phases("max")[0].recipe.learning_rate)
    assert rates == [0.05, 0.02]


def test_running_statistics_of_the_global_model_do_not_move_in_the_max_phase(scenes: Any) -> None:
    def normalised() -> nn.Module:
        return nn.Sequential(nn.Linear(6, 5), nn.BatchNorm1d(5), nn.ReLU(), nn.Linear(5, 3))

    given = scenes.federation(6, 6, 6, untrained=normalised, batch_size=6)
    setting = scenes.asked(Sequential(given, (11,)), twin=None)
    _, seen = run(FFUM(rounds=1), setting)
    away, back, *_ = seen
    for name in ("1.running_mean", "1.running_var", "1.num_batches_tracked"):
        assert torch.equal(away.after.tensors[name], setting.before.tensors[name])
        assert not torch.equal(back.after.tensors[name], setting.before.tensors[name])
    assert not torch.equal(away.after.tensors["1.weight"], setting.before.tensors["1.weight"])


def test_the_same_request_gives_the_same_bits_again(trained: Setting, flattened: Flatten) -> None:
    first, again = (flattened(FFUM().run(trained).models.tensors) for _ in range(2))
    assert torch.equal(first, again)
