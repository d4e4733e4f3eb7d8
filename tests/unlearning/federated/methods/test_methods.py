"""What holds for every method: one code for one model and for many, and a control that only forgets nothing."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import pytest
import torch
from torch import Tensor

from unlearning.errors import UnlearningError
from unlearning.federated.engine import Sequential
from unlearning.federated.methods import METHODS, History, Method, Setting, UnlearningResult, method
from unlearning.federated.methods.base import RoundNote
from unlearning.federated.stacked import StackedFederation

Flatten = Callable[[Any], Tensor]
TRYING = {"clients_per_round": 2, "server_momentum": 0.5, "learning_rate": 0.1, "momentum": 0.5, "local_epochs": 1}
VARIANTS: dict[str, Method] = {
    **{name: method(name) for name in METHODS},
    "ffum-undirected": method("ffum", direction="none"),
    "ffum-chi2": method("ffum", divergence="chi2", retain_divergence="kl"),
    "ffum-fresh": method("ffum", reset="init"),
    "ffum-rewound": method("ffum", reset="rewind:2"),
}
NEEDS_WHOLE_CLIENTS = {"projected-ascent", "distillation"}


@pytest.fixture(scope="module")
def trained(scenes: Any) -> Setting:
    """One model of four clients, on the engine that makes what is delivered."""
    return scenes.asked(
        Sequential(scenes.federation(5, 3, 4, 2, local_epochs=1, rounds=3, batch_size=5), (11,)), twin=None
    )


@pytest.fixture(scope="module")
def several(scenes: Any) -> tuple[Setting, ...]:
    """The same models on both engines, in float64; then one of them alone."""
    given = scenes.federation(5, 3, 4, dtype=torch.float64, rounds=2, **TRYING)
    both = scenes.engines(given, 11, 12)
    return tuple(scenes.asked(engine, kept=2) for engine in (*both, StackedFederation(given, (12,))))


@pytest.mark.parametrize("name", VARIANTS)
def test_many_models_forget_as_one_by_one_whoever_else_does(
    several: tuple[Setting, ...], flattened: Flatten, name: str
) -> None:
    slow, fast, alone = (VARIANTS[name].run(setting) for setting in several)
    torch.testing.assert_close(flattened(fast.models.tensors), flattened(slow.models.tensors), rtol=0, atol=1e-10)
    assert (fast.models.rounds, fast.models.work) == (slow.models.rounds, slow.models.work)
    torch.testing.assert_close(
        flattened(alone.models.tensors)[0], flattened(fast.models.tensors)[1], rtol=0, atol=1e-12
    )
    assert (fast.progress, fast.kept, fast.warnings) == (slow.progress, slow.kept, slow.warnings)


@dataclass(frozen=True)
class Ran:
    """One run of a method, with every round it told of."""

    method: Method
    result: UnlearningResult
    notes: tuple[RoundNote, ...]

    def participants(self, *, away: bool) -> set[int]:
        """Whoever takes part in max phases, or in any other round."""
        return {one for note in self.notes if (note.kind == "max") == away for one in note.outcome.participants(0)}


@pytest.fixture(scope="module", params=METHODS)
def ran(request: pytest.FixtureRequest, scenes: Any, trained: Setting) -> Ran:
    """Every method, asked to forget clients 0 and 2."""
    notes: list[RoundNote] = []
    asked = METHODS[request.param]()
    result = asked.run(scenes.asked_for(trained, "client:0,2", watch=notes.append, kept=2))
    return Ran(asked, result, tuple(notes))


def test_the_forget_clients_train_in_no_round_but_a_max_phase(ran: Ran) -> None:
    assert ran.participants(away=False) <= {1, 3, 4}  # 4: the server itself, where it distils
    assert ran.participants(away=True) == ({0, 2} if ran.method.needs.forget_client else set())


def test_rounds_are_counted_one_by_one_and_their_work_is_the_methods(ran: Ran, trained: Setting) -> None:
    first = 1 if ran.method.name in ("retrain", "rapid-retrain", "federaser") else trained.before.rounds + 1
    assert [note.index for note in ran.notes] == list(range(first, first + len(ran.notes)))
    assert sum(note.work for note in ran.notes) == ran.result.models.work.example_gradients


def test_with_nothing_to_forget_the_method_still_does_all_else(
    ran: Ran, scenes: Any, trained: Setting, flattened: Flatten
) -> None:
    seen: list[RoundNote] = []
    after = ran.method.control(scenes.asked_for(trained, "client:0,2", watch=seen.append), kept=2)
    assert [note.kind for note in seen] == [note.kind for note in ran.notes if note.kind != "max"]
    assert {note.loss_forget for note in seen} <= {None}
    assert not {0, 2} & {client for note in seen for client in note.outcome.participants(0)}
    moved = float((flattened(after.tensors) - flattened(trained.before.tensors)).norm())
    assert (moved > 0.01) == (ran.method.name not in ("no-op", "distillation"))  # which learns from itself


PARTS = [(name, "sample:0=0-1/2=1") for name in sorted(set(METHODS) - NEEDS_WHOLE_CLIENTS)]
PARTS += [(name, "class:1") for name in ("ffum", "federaser", "rewind")]


@pytest.mark.parametrize(("name", "request_"), PARTS)
def test_a_client_keeps_training_on_what_it_keeps(scenes: Any, trained: Setting, name: str, request_: str) -> None:
    seen: list[RoundNote] = []
    setting = scenes.asked_for(trained, request_, watch=seen.append)
    METHODS[name]().run(setting)
    assert seen or name == "no-op"
    for note in seen:
        share = setting.forgetting if note.kind == "max" else setting.retained
        total = sum(len(data) for data in share.values())
        for client, data in share.items():
            assert float(note.outcome.weights[client]) == pytest.approx(len(data) / total)


@pytest.mark.parametrize("name", sorted(NEEDS_WHOLE_CLIENTS))
@pytest.mark.parametrize("request_", ["sample:0=0-1", "class:1"])
def test_what_takes_back_whole_clients_refuses_to_take_back_a_part(
    scenes: Any, trained: Setting, name: str, request_: str
) -> None:
    setting = scenes.asked_for(trained, request_)
    assert METHODS[name].needs.whole_clients
    with pytest.raises(UnlearningError, match="client 0 keeps some of its data") as caught:
        METHODS[name]().run(setting)
    assert caught.value.code == "unlearning.conflict"


@pytest.mark.parametrize("name", METHODS)
def test_clients_that_do_not_answer_are_left_alone_and_the_forget_client_is_told_of(
    trained: Setting, name: str
) -> None:
    seen: list[RoundNote] = []
    result = METHODS[name]().run(replace(trained, watch=seen.append, offline=frozenset({0, 2})))
    assert not {0, 2} & {client for note in seen for client in note.outcome.participants(0)}
    assert (result.progress == "degraded") == METHODS[name].needs.forget_client
    if result.progress == "degraded":
        assert any("did not answer" in warning for warning in result.warnings)
        assert "max" not in {note.kind for note in seen}


READS = [name for name, kind in METHODS.items() if kind.needs.stored_globals or kind.needs.stored_updates]


@pytest.mark.parametrize("name", READS)
def test_a_method_that_needs_a_recording_says_what_to_record(trained: Setting, name: str) -> None:
    with pytest.raises(UnlearningError, match=r"^[^\n]+\n  Record [^\n]+$") as caught:  # one sentence and its mend
        METHODS[name]().run(replace(trained, history=History()))
    assert caught.value.code == "unlearning.recording"


@pytest.mark.parametrize("name", sorted(set(METHODS) - set(READS)))
def test_a_method_that_needs_none_reads_none(trained: Setting, name: str) -> None:
    METHODS[name]().run(replace(trained, history=History(), unlabelled=None, kept=1))


@pytest.mark.parametrize("name", ["projected-ascent", "federaser", "distillation"])
def test_stored_updates_are_not_bare_under_privacy(scenes: Any, trained: Setting, name: str) -> None:
    privacy = {"clipping_norm": 1.0, "noise_multiplier": 0.1}
    engine = Sequential(scenes.federation(5, 3, 4, 2, rounds=3, privacy=privacy), (11,))
    with pytest.raises(UnlearningError, match="nobody sees one bare") as caught:
        METHODS[name]().run(replace(trained, engine=engine))
    assert caught.value.code == "unlearning.conflict"


def test_doing_nothing_is_told(trained: Setting, flattened: Flatten) -> None:
    result = method("no-op").run(trained)
    assert torch.equal(flattened(result.models.tensors), flattened(trained.before.tensors))
    assert (result.progress, result.warnings) == ("none", ("nothing was done",))


@pytest.mark.parametrize(
    ("name", "parameters", "told"),
    [
        ("ffun", {}, "there is no method 'ffun'\n.*Did you mean 'ffum'"),
        ("finetune", {"alpha": 1.0}, "finetune takes no parameter 'alpha'\n.*It takes rounds"),
        ("no-op", {"rounds": 1}, "takes no parameter 'rounds'\n.*It takes none"),
        ("ffum", {"cap": -1.0}, "ffum: cap = -1.0: .*greater than 0"),
        ("ffum", {"reset": "rewind:x"}, "ffum: reset = 'rewind:x'"),
        ("rewind", {"start": 0}, "rewind: start = 0"),
        ("momentum-degradation", {"keep": 1.0}, "less than 1"),
    ],
)
def test_a_wrong_name_or_value_is_told_with_the_allowed_ones(name: str, parameters: dict[str, Any], told: str) -> None:
    with pytest.raises(UnlearningError, match=f"(?s){told}") as caught:
        method(name, **parameters)
    assert caught.value.exit_code == 2
