from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from unlearning.errors import UnlearningError
from unlearning.federated.data import ClientData, FederatedData, SimulatedFederation
from unlearning.federated.engine import Sequential
from unlearning.federated.federation_file import GroupRule
from unlearning.federated.methods import METHODS, Method, Setting, method
from unlearning.federated.methods.base import RoundNote
from unlearning.federated.plan import (
    Conditions,
    Plan,
    aggregation_conflicts,
    model_bytes,
    needs_of,
    plan,
    stored_bytes,
)
from unlearning.federated.recipe import ClientPrivacy, TrainingRecipe
from unlearning.federated.recording import Modes, Recorder, load_recording
from unlearning.federated.rehearsal import examples_taken
from unlearning.federated.request import UnlearningRequest, split
from unlearning.federated.rounds import Models, stacked
from unlearning.federated.training import local_update, train
from unlearning.models import cnn

ALL = Modes(global_models="all", client_updates="all")
HIDDEN = GroupRule(enabled=True)
CLIENT = UnlearningRequest.client(1)
FREE = ("retrain", "rapid-retrain", "finetune", "negation", "momentum-degradation", "rewind", "no-op")
"""Methods that secure aggregation allows."""


@pytest.fixture
def federation() -> SimulatedFederation:
    """Four clients of three classes, class 2 at client 3 alone; eight rounds of one epoch."""
    rng = np.random.default_rng(0)
    sizes = (7, 5, 6, 4)

    def examples(n: int, y: list[int]) -> ClientData:
        return ClientData(torch.from_numpy(rng.random((n, 4), dtype=np.float32)), torch.tensor(y))

    clients = tuple(examples(n, [i % 2 for i in range(n - 1)] + [2 if n == 4 else 0]) for n in sizes)
    recipe = TrainingRecipe(rounds=8, batch_size=3, learning_rate=0.1, seed=5)
    data = FederatedData(clients, test=clients[0], holdout=examples(6, [0, 1, 0, 1, 0, 1]))
    return SimulatedFederation(data, recipe, lambda: nn.Sequential(nn.Linear(4, 5), nn.ReLU(), nn.Linear(5, 3)))


def planned(federation: SimulatedFederation, name: str, request: UnlearningRequest = CLIENT, **given: Any) -> Plan:
    return plan(method(name), federation, request, Conditions(**{"modes": ALL, **given}))


CASES = [
    ("ffum", {}), ("ffum", {"reset": "init"}), ("ffum", {"reset": "rewind:2", "rounds": 2}), ("retrain", {}),
    ("rapid-retrain", {}), ("finetune", {"rounds": 3}), ("ascent", {}), ("projected-ascent", {"stop_at": 1e9}),
    ("federaser", {}), ("distillation", {"post_rounds": 1}), ("negation", {}), ("momentum-degradation", {}),
    ("rewind", {}), ("no-op", {}),
]  # fmt: skip


@pytest.mark.parametrize(("name", "parameters"), CASES, ids=[f"{name}{parameters or ''}" for name, parameters in CASES])
@pytest.mark.parametrize("recipe", [{}, {"clients_per_round": 2, "local_steps": 3, "local_epochs": 2}])
def test_what_is_planned_is_what_a_run_takes(
    federation: SimulatedFederation, tmp_path: Path, name: str, parameters: dict[str, Any], recipe: dict[str, Any]
) -> None:
    """The oracle is the method itself, trained on a recording."""
    if name in ("projected-ascent", "federaser"):  # who took part in which recorded round is not known before
        recipe = {key: value for key, value in recipe.items() if key != "clients_per_round"}
    federation = replace(federation, recipe=federation.recipe.model_copy(update=recipe))
    chosen = method(name, **parameters)
    with Recorder(tmp_path / "recording", federation, ALL) as recorder:
        trained = train(federation, recorder=recorder)
    sent = 0

    def watch(note: RoundNote) -> None:
        nonlocal sent
        sent += 2 * sum(client < 4 for client in note.outcome.participants(0))

    setting = Setting(
        Sequential(federation, (federation.recipe.seed,)), split(federation.data, CLIENT),
        Models(stacked([trained.parameters]), trained.rounds), load_recording(tmp_path / "recording").history(),
        unlabelled=federation.data.holdout, watch=watch,
    )  # fmt: skip
    taken = chosen.run(setting).models.work
    found = plan(chosen, federation, CLIENT, Conditions(modes=ALL))
    assert found.feasible, found.conflicts
    assert found.work == taken
    assert found.messages >= sent
    assert (found.messages > sent) == (name in ("ffum", "momentum-degradation"))  # where a teacher travels


def test_every_method_is_planned(federation: SimulatedFederation) -> None:
    assert {name for name, _ in CASES} == set(METHODS)
    for name in METHODS:
        found = planned(federation, name)
        assert (found.method, found.feasible, found.alternatives) == (name, True, ())
        assert found.retrain_example_gradients == 8 * (7 + 6 + 4)
    assert planned(federation, "retrain").work.example_gradients == 8 * (7 + 6 + 4)


@pytest.mark.parametrize(("examples", "epochs", "steps"), [(7, 2, None), (7, 2, 3), (7, 2, 9), (3, 1, 1), (1, 3, 2)])
def test_examples_are_counted_as_a_client_takes_them(examples: int, epochs: int, steps: int | None) -> None:
    recipe = TrainingRecipe(rounds=1, batch_size=3, learning_rate=0.1, local_epochs=epochs, local_steps=steps)
    module = nn.Linear(2, 2)
    data = ClientData(torch.rand(examples, 2), torch.zeros(examples, dtype=torch.int64))
    taken = local_update(module, dict(module.state_dict()), data, recipe, torch.Generator()).work
    assert examples_taken(examples, recipe) == taken.example_gradients


def test_the_storage_of_client_updates_is_rounds_times_clients_times_a_model() -> None:
    assert stored_bytes(29_738 * 4, 15, 10, "all") == 17_842_800  # 17.8 MB
    assert stored_bytes(11_200_000 * 4, 200, 10, "all") == 89_600_000_000  # 90 GB
    kept = {"none": 0, "last": 1, "all": 15, "interval": 8}
    for mode, rounds in kept.items():
        assert stored_bytes(29_738 * 4, 15, 10, mode) == rounds * 10 * 29_738 * 4  # type: ignore[arg-type]
    assert stored_bytes(4, 15, 10, "interval", 5) == 3 * 10 * 4


def test_the_standard_network_takes_the_bytes_of_its_parameters(federation: SimulatedFederation) -> None:
    standard = replace(federation, untrained=lambda: cnn((1, 28, 28), 10))
    assert model_bytes(standard, Modes()) == 29_738 * 4
    assert model_bytes(standard, Modes(dtype="float16")) == 29_738 * 2


@pytest.mark.parametrize("modes", [ALL, Modes(client_updates="interval", global_models="interval")])
def test_the_planned_storage_is_that_of_the_files(
    federation: SimulatedFederation, tmp_path: Path, modes: Modes
) -> None:
    with Recorder(tmp_path / "recording", federation, modes) as recorder:
        train(federation, recorder=recorder)
    files = list((tmp_path / "recording").rglob("*.safetensors"))
    tensors = sum(path.stat().st_size - 8 - int.from_bytes(path.read_bytes()[:8], "little") for path in files)
    found = planned(federation, "federaser", modes=modes)
    assert set(found.needs) == {"base", "stored-globals", "stored-updates"}
    assert found.storage_bytes == tensors
    updates = sum("client" in path.name for path in files) * model_bytes(federation, modes)
    assert planned(federation, "rewind", modes=modes).storage_bytes == tensors - updates
    assert planned(federation, "finetune", modes=modes).storage_bytes == 0


def test_secure_aggregation_refuses_what_needs_single_updates(federation: SimulatedFederation) -> None:
    for name in METHODS:
        found = planned(federation, name, group=HIDDEN)
        assert found.feasible == (name in FREE), name
        if not found.feasible:
            assert "sums of 2 clients or more" in found.conflicts[0]
            assert set(found.alternatives) == set(FREE) - {"no-op"}
    assert plan(method("ffum", reset="init"), federation, CLIENT, Conditions(ALL, HIDDEN)).feasible
    assert not plan(method("ffum", reset="rewind:2"), federation, CLIENT, Conditions(ALL, HIDDEN)).feasible


@pytest.mark.parametrize(
    ("request_", "minimum_group", "feasible"),
    [
        ("client:1", 2, False), ("client:1,2", 2, True), ("client:1,2", 3, False),
        ("class:0", 3, True), ("class:2", 2, False),  # client 3 alone holds class 2
        ("sample:1=0", 2, False), ("sample:1=0/2=0", 2, True), ("client:1", 1, True),
    ],
)  # fmt: skip
def test_forget_clients_may_hide_in_a_group_of_their_own(
    federation: SimulatedFederation, request_: str, minimum_group: int, feasible: bool
) -> None:
    group = GroupRule(enabled=True, minimum_group=minimum_group)
    asked = UnlearningRequest.parse(request_)
    if request_ == "client:1,2" and minimum_group == 3:
        federation = replace(federation, data=replace(federation.data, clients=federation.data.clients * 2))
    assert planned(federation, "ffum", asked, group=group).feasible == feasible
    assert not planned(federation, "ascent", asked, group=HIDDEN).feasible


def test_a_single_clients_delta_may_be_accepted_and_is_said(federation: SimulatedFederation) -> None:
    refused = planned(federation, "ffum", group=HIDDEN)
    accepted = planned(federation, "ffum", group=HIDDEN, accept_single_client_delta=True)
    assert refused.limitations == accepted.conflicts == ()
    assert accepted.limitations == refused.conflicts
    assert "1 forget client as a sum of their own" in accepted.limitations[0]
    assert not planned(federation, "ascent", group=HIDDEN, accept_single_client_delta=True).feasible


def test_an_offline_forget_client_sends_nothing_that_could_be_seen(federation: SimulatedFederation) -> None:
    found = planned(federation, "ffum", group=HIDDEN, offline=frozenset({1}))
    assert found.feasible
    assert found.work.example_gradients == (3 + 2) * (7 + 6 + 4)  # min and post phases alone


def test_too_few_clients_for_one_sum_are_told(federation: SimulatedFederation) -> None:
    group = GroupRule(enabled=True, minimum_group=4)
    found = planned(federation, "retrain", group=group)
    assert found.conflicts[0].startswith("a retained round has 3 clients")
    with pytest.raises(UnlearningError, match="a retained round has 3 clients") as caught:
        found.require_feasible()
    assert caught.value.hint == "No method would."


def test_a_conflict_is_told_with_what_would_work(federation: SimulatedFederation) -> None:
    found = planned(federation, "federaser", group=HIDDEN)
    with pytest.raises(UnlearningError) as caught:
        found.require_feasible()
    assert (caught.value.code, caught.value.exit_code) == ("unlearning.conflict", 2)
    assert "federaser needs stored updates of single clients" in caught.value.message
    assert "rapid-retrain" in caught.value.hint
    planned(federation, "retrain", group=HIDDEN).require_feasible()


@pytest.mark.parametrize(
    ("name", "given", "told"),
    [
        ("federaser", {"modes": Modes()}, "needs clients' updates every 2 rounds"),
        ("federaser", {"modes": Modes(client_updates="last")}, "needs clients' updates every 2 rounds"),
        ("federaser", {"modes": Modes(client_updates="interval", interval=3)}, "none of the rounds"),
        ("rewind", {"modes": Modes(global_models="last")}, "is not recorded"),
        ("distillation", {"modes": Modes(client_updates="interval")}, "is not recorded"),
        ("projected-ascent", {"modes": Modes()}, "is not recorded"),
        ("projected-ascent", {"request": UnlearningRequest.sample({1: [0]})}, "keeps some of its data"),
    ],
)
def test_what_a_method_lacks_it_says_itself(
    federation: SimulatedFederation, name: str, given: dict[str, Any], told: str
) -> None:
    found = planned(federation, name, **given)
    assert (found.feasible, found.work.example_gradients, found.messages) == (False, 0, 0)
    assert told in found.conflicts[0]
    assert "retrain" in found.alternatives
    assert name not in found.alternatives


def test_what_suffices_is_not_refused(federation: SimulatedFederation) -> None:
    assert planned(federation, "federaser", modes=Modes(client_updates="interval")).feasible
    assert planned(federation, "projected-ascent", modes=Modes(client_updates="last")).feasible
    assert plan(method("rewind", start=2), federation, CLIENT, Conditions(Modes(global_models="interval"))).feasible
    bare = replace(federation, data=replace(federation.data, holdout=None))
    assert "public data" in planned(bare, "distillation").conflicts[0]


def test_noised_updates_are_not_single_updates(federation: SimulatedFederation) -> None:
    private = federation.recipe.model_copy(
        update={"privacy": ClientPrivacy(clipping_norm=1.0, noise_multiplier=1.0, noise_added_by="server")}
    )
    found = planned(replace(federation, recipe=private), "federaser")
    assert "differential privacy" in found.conflicts[0]


def test_planning_is_pure(federation: SimulatedFederation) -> None:
    torch.manual_seed(1)
    before = torch.random.get_rng_state()
    assert planned(federation, "ffum") == planned(federation, "ffum")
    assert torch.equal(torch.random.get_rng_state(), before)


def test_a_request_for_what_is_not_there_is_no_plan(federation: SimulatedFederation) -> None:
    with pytest.raises(UnlearningError, match="no client 9"):
        planned(federation, "ffum", UnlearningRequest.client(9))
    with pytest.raises(UnlearningError, match="nothing would be left"):
        planned(federation, "retrain", UnlearningRequest.client(0, 1, 2, 3))


@pytest.mark.parametrize(
    ("chosen", "forgetting", "conflict"),
    [
        (method("ffum"), 1, True), (method("ffum"), 2, False), (method("ffum"), 0, False),
        (method("federaser"), 0, True), (method("retrain"), 1, False),
    ],
)  # fmt: skip
def test_the_table_is_asked_without_a_federation(chosen: Method, forgetting: int, conflict: bool) -> None:
    assert bool(aggregation_conflicts(chosen, forgetting, HIDDEN)) == conflict
    assert aggregation_conflicts(chosen, forgetting, GroupRule()) == ()


def test_f_fum_from_fresh_weights_needs_no_single_client() -> None:
    assert needs_of(method("ffum")).single_client_update
    assert not needs_of(method("ffum", reset="init")).single_client_update
    assert needs_of(method("ffum", reset="rewind:3")).stored_globals
