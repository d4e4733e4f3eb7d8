"""The client's answers: what fits Flower's own mods, what is refused, and what a max phase leaves alone."""

import hashlib
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from secagg.flower.harness import InProcessGrid
from secagg.flower.message import SecAggConfig, SecAggGrid, secagg_mod
from secagg.quantize import Quantization
from tests.unlearning.federated.flower.federations import (
    FORGET,
    FORGET_NODE,
    RATE,
    Loader,
    arrays_of,
    client_app,
    clusters,
    fed_avg,
    federation,
    grid_of,
    network,
    trained,
)
from unlearning.errors import ModelMismatch, UnlearningError
from unlearning.federated.data import SimulatedFederation
from unlearning.federated.flower import FFUMStrategy, unlearn_max, unlearn_min
from unlearning.federated.flower.assignment import METHOD, PHASE, TEACHER, TENSORS, Assignment
from unlearning.federated.flower.teacher import Teacher
from unlearning.federated.methods.ffum import FFUM
from unlearning.federated.rounds import Models

pytestmark = pytest.mark.flower


@pytest.fixture(scope="module")
def simulated() -> SimulatedFederation:
    return federation()


@pytest.fixture(scope="module")
def before(simulated: SimulatedFederation) -> Models:
    return trained(simulated)


@pytest.fixture
def context(simulated: SimulatedFederation) -> Iterator[Any]:
    with grid_of(simulated) as grid:  # messages are made in its name
        yield grid.contexts[FORGET_NODE]


def message(arrays: Any, phase: str = "max", teacher: Any = None, **changed: Any) -> Any:
    from flwr.app import ConfigRecord, Message, RecordDict

    held = Teacher(teacher if teacher is not None else arrays)
    config = Assignment("max", 1, 0, FFUM(), held.digest).config() | {PHASE: phase} | changed
    content = RecordDict({"arrays": arrays, "config": ConfigRecord(config)})
    return Message(content, FORGET_NODE, "train.unlearn_max")


def test_flowers_own_clipping_mods_take_the_messages(simulated: SimulatedFederation, before: Models) -> None:
    """Each asks for one array record and one config record, and the fixed one for arrays in the order they came."""
    from flwr.app import ConfigRecord
    from flwr.clientapp.mod import LocalDpMod, fixedclipping_mod

    runs = []
    for mods in ([], [fixedclipping_mod, LocalDpMod(1e6, 0.0, 1.0, 0.1)]):
        with grid_of(simulated, mods) as grid:
            strategy = FFUMStrategy(fed_avg(), [FORGET_NODE], {"rounds": 2, "post_rounds": 0})
            config = ConfigRecord({"clipping_norm": 1e6})
            runs.append(strategy.start(grid.as_grid, arrays_of(before), train_config=config).arrays)
            assert strategy.progress == "ok"
            assert [len(one.nodes) for one in strategy.executed] == [1, 3, 1, 3]
    for name, array in runs[0].items():
        np.testing.assert_allclose(runs[1][name].numpy(), array.numpy(), atol=1e-6)


def test_from_fresh_weights_it_runs_under_secure_aggregation() -> None:
    """The min phase alone: one sum a round, and nobody's single update; equal to the plain run to its rounding."""
    simulated = federation(6)
    before, parameters = trained(simulated), {"reset": "init", "rounds": 2}
    secure = SecAggConfig(modulus_bits=64, quantization=Quantization(8.0, 2**22, "integer", 100))
    runs = []
    for hidden in (True, False):
        app = client_app(simulated.data.clients, [secagg_mod()] if hidden else [])
        with InProcessGrid([app] * 6) as grid:
            over = SecAggGrid(grid.as_grid, secure) if hidden else grid.as_grid
            strategy = FFUMStrategy(fed_avg(5), [FORGET_NODE], parameters, teacher=arrays_of(before))
            runs.append(strategy.start(over, arrays_of(before)).arrays)
            assert not grid.errors
            assert [len(one.nodes) for one in strategy.executed] == ([1, 1] if hidden else [5, 5])
    for name, array in runs[1].items():
        np.testing.assert_allclose(runs[0][name].numpy(), array.numpy(), atol=3 * 16 / 2**22)


def test_a_torch_data_loader_will_do(simulated: SimulatedFederation, before: Models, context: Any) -> None:
    held = simulated.data.clients[FORGET]
    loader: DataLoader[Any] = DataLoader(TensorDataset(held.x, held.y), batch_size=8)
    arrays = arrays_of(before)
    replies = [
        unlearn_max(message(arrays), context, model=network(), loader=one).content for one in (loader, Loader(held))
    ]
    assert dict(replies[0]["metrics"]) == dict(replies[1]["metrics"])
    assert replies[0]["metrics"]["num-examples"] == len(held)
    assert replies[0]["arrays"] == replies[1]["arrays"]


def test_a_max_phase_leaves_running_statistics_alone_and_a_min_phase_does_not(context: Any) -> None:
    from flwr.app import ArrayRecord

    model = nn.Sequential(nn.Linear(8, 6), nn.BatchNorm1d(6), nn.ReLU(), nn.Linear(6, 3))
    start = ArrayRecord(model.state_dict())
    loader = Loader(clusters(20, torch.Generator().manual_seed(0)))
    for phase, answer in (("max", unlearn_max), ("min", unlearn_min)):
        options = {"learning_rate": RATE} if phase == "min" else {}
        reply = answer(message(start, phase), context, model=model, loader=loader, **options)
        after = reply.content["arrays"].to_torch_state_dict()
        held = torch.from_numpy(start["1.running_mean"].numpy())
        assert torch.equal(after["1.running_mean"], held) == (phase == "max")
        assert int(after["1.num_batches_tracked"]) == (0 if phase == "max" else 3)
        assert not torch.equal(after["0.weight"], torch.from_numpy(start["0.weight"].numpy()))


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({PHASE: "min"}, "a message for the max phase has unlearn-phase = 'min'"),
        ({METHOD: "{}}"}, "unlearn-method"),
        ({METHOD: '{"divergence":"euclid"}'}, "divergence"),
        ({METHOD: '{"speed":1}'}, "speed"),
        ({"unlearn-round": -1}, "whole numbers"),
        ({"unlearn-seed": True}, "whole numbers"),
        ({TEACHER: 3}, "text"),
        ({TEACHER: "0" * 64}, "is not here"),
        ({TEACHER: "0" * 64, TENSORS: b"no file"}, "is not the file"),
    ],
)
def test_a_malformed_message_is_one_sentence(before: Models, context: Any, changed: dict[str, Any], told: str) -> None:
    loader = Loader(clusters(4, torch.Generator()))
    with pytest.raises(UnlearningError, match=told) as raised:
        unlearn_max(message(arrays_of(before), **changed), context, model=network(), loader=loader)
    assert raised.value.hint
    assert "\n" not in raised.value.message


def test_a_teacher_that_is_no_safetensors_file_is_told(before: Models, context: Any) -> None:
    wrong = {TEACHER: hashlib.sha256(b"no file").hexdigest(), TENSORS: b"no file"}
    with pytest.raises(UnlearningError, match="is no safetensors file"):
        unlearn_max(message(arrays_of(before), **wrong), context, model=network(), loader=[])


def test_another_architecture_an_empty_loader_and_a_missing_rate_are_told(before: Models, context: Any) -> None:
    loader = Loader(clusters(4, torch.Generator()))
    with pytest.raises(ModelMismatch, match="the round's model"):
        unlearn_max(message(arrays_of(before)), context, model=nn.Linear(8, 3), loader=loader)
    with pytest.raises(UnlearningError, match="no examples"):
        unlearn_max(message(arrays_of(before)), context, model=network(), loader=[])
    with pytest.raises(UnlearningError, match="no learning rate"):
        unlearn_min(message(arrays_of(before), "min"), context, model=network(), loader=loader)


def test_a_message_without_a_model_or_with_two_is_told(before: Models, context: Any) -> None:
    asked = message(arrays_of(before))
    asked.content["more"] = arrays_of(before)
    with pytest.raises(UnlearningError, match="2 array records"):
        unlearn_max(asked, context, model=network(), loader=[])


def test_a_client_keeps_one_teacher(simulated: SimulatedFederation, before: Models, context: Any) -> None:
    loader = Loader(simulated.data.clients[FORGET])
    other = Models({name: tensor + 1 for name, tensor in before.tensors.items()})
    for models in (before, other):
        unlearn_max(message(arrays_of(models)), context, model=network(), loader=loader)
    assert list(context.state.array_records) == [f"{TEACHER}/{Teacher(arrays_of(other)).digest}"]


def test_a_node_without_a_partition_draws_by_its_own_id(
    simulated: SimulatedFederation, before: Models, context: Any
) -> None:
    del context.node_config["partition-id"]  # as in a deployment
    loader = Loader(simulated.data.clients[FORGET])
    reply = unlearn_max(message(arrays_of(before)), context, model=network(), loader=loader)
    assert reply.content["metrics"]["num-examples"] == 20
