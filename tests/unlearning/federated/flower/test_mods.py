"""Receipts name what came and went, in an order that shows a gap; the guard lets a client stop."""

import hashlib
from typing import Any

import pytest
import torch

from secagg.flower.harness import InProcessGrid, node_id
from tests.unlearning.federated.flower.federations import (
    CLIENTS,
    FORGET,
    FORGET_NODE,
    arrays_of,
    client_app,
    fed_avg,
    federation,
    grid_of,
    trained,
)
from unlearning.errors import UnlearningError
from unlearning.federated.data import SimulatedFederation
from unlearning.federated.flower import (
    FFUMStrategy,
    deletion_guard_mod,
    deletion_requested,
    receipts,
    recorder_mod,
    request_deletion,
)
from unlearning.federated.flower.receipts import RECEIPTS
from unlearning.federated.recorder import tensor_bytes
from unlearning.federated.rounds import Models, one_of

pytestmark = pytest.mark.flower


@pytest.fixture(scope="module")
def simulated() -> SimulatedFederation:
    return federation()


@pytest.fixture(scope="module")
def before(simulated: SimulatedFederation) -> Models:
    return trained(simulated)


def digest(tensors: Any) -> str:
    return hashlib.sha256(tensor_bytes(dict(tensors))).hexdigest()


def asking_app(simulated: SimulatedFederation) -> Any:
    """The usual app, with a function in which the client asks to be forgotten, and one that is no training."""
    from flwr.app import ArrayRecord, Message, MetricRecord, RecordDict

    app = client_app(simulated.data.clients, [recorder_mod, deletion_guard_mod])

    @app.query("leave")
    def leave(message: Any, context: Any) -> Any:
        request_deletion(context)
        request_deletion(context)  # said twice
        return Message(RecordDict(), reply_to=message)

    @app.train("other")
    def other(message: Any, context: Any) -> Any:
        return Message(message.content, reply_to=message)

    @app.evaluate()
    def evaluate(message: Any, context: Any) -> Any:
        arrays = ArrayRecord([torch.ones(2).numpy()])
        return Message(RecordDict({"a": arrays, "b": MetricRecord({"num-examples": 1})}), reply_to=message)

    return app


def say(grid: InProcessGrid, kind: str, arrays: Any) -> Any:
    """The forget client's answer to one message."""
    from flwr.app import ConfigRecord, Message, RecordDict

    content = RecordDict({"arrays": arrays, "config": ConfigRecord({"server-round": 3})})
    [reply] = grid.send_and_receive([Message(content, FORGET_NODE, kind)])
    return reply


def test_receipts_name_every_model_that_came_and_went(simulated: SimulatedFederation, before: Models) -> None:
    sent: list[Any] = []
    with grid_of(simulated, [recorder_mod]) as grid:
        first = one_of(before.tensors, 0)
        fed_avg(CLIENTS).start(
            grid.as_grid, arrays_of(before), num_rounds=3,
            evaluate_fn=lambda number, arrays: sent.append(arrays.to_torch_state_dict()),
        )  # fmt: skip
        kept = receipts(grid.contexts[node_id(2)])
    assert [(one.act, one.message, one.round) for one in kept] == [("answered", "train", n) for n in (1, 2, 3)]
    assert [one.received["arrays"] for one in kept] == [digest(model) for model in sent[:3]]
    moved = {name: tensor + 3 for name, tensor in first.items()}  # what node 2 makes of a model, by its app
    assert kept[0].sent == {"arrays": digest(moved)}


@pytest.mark.parametrize("how", ["drop", "swap", "alter", "reformat"])
def test_a_receipt_that_is_missing_or_altered_is_noticed(
    simulated: SimulatedFederation, before: Models, how: str
) -> None:
    with grid_of(simulated, [recorder_mod]) as grid:
        fed_avg(CLIENTS).start(grid.as_grid, arrays_of(before), num_rounds=3)
        context = grid.contexts[node_id(1)]
    assert len(receipts(context)) == 3  # control
    lines = context.state.config_records[RECEIPTS]["lines"]
    if how == "drop":
        del lines[1]
    elif how == "swap":
        lines[0], lines[1] = lines[1], lines[0]
    elif how == "alter":
        lines[1] = lines[1].replace('"round":2', '"round":9')
    else:
        lines[1] = lines[1].replace(",", ", ", 1)
    with pytest.raises(UnlearningError, match="receipt"):
        receipts(context)


def test_a_client_that_raises_leaves_no_receipt(simulated: SimulatedFederation, before: Models) -> None:
    with grid_of(simulated, [recorder_mod]) as grid:
        reply = say(grid, "train.unknown", arrays_of(before))
        assert reply.has_error()
        assert receipts(grid.contexts[FORGET_NODE]) == ()


def test_the_guard_refuses_training_from_the_request_on_and_nothing_before(
    simulated: SimulatedFederation, before: Models
) -> None:
    arrays = arrays_of(before)
    with InProcessGrid([asking_app(simulated)] * CLIENTS) as grid:
        assert all(say(grid, kind, arrays).has_content() for kind in ("train", "train.other"))  # control
        assert say(grid, "query.leave", arrays).has_content()
        for kind in ("train", "train.other"):
            reply = say(grid, kind, arrays)
            assert "asked to be forgotten" in reply.error.reason
        assert say(grid, "evaluate", arrays).has_content()  # no training
        context = grid.contexts[FORGET_NODE]
        assert deletion_requested(context)
        kept = receipts(context)
    acts = [(one.act, one.message) for one in kept]
    assert acts == [
        ("answered", "train"), ("answered", "train.other"), ("deletion-requested", None), ("answered", "query.leave"),
        ("refused", "train"), ("refused", "train.other"), ("answered", "evaluate"),
    ]  # fmt: skip
    assert kept[4].received == {"arrays": digest(one_of(before.tensors, 0))}
    assert kept[4].sent == {}


def test_a_refusal_tells_the_server_which_receipt_the_client_keeps(
    simulated: SimulatedFederation, before: Models
) -> None:
    with InProcessGrid([asking_app(simulated)] * CLIENTS) as grid:
        say(grid, "query.leave", arrays_of(before))
        reason = say(grid, "train", arrays_of(before)).error.reason
        line = grid.contexts[FORGET_NODE].state.config_records[RECEIPTS]["lines"][-1]
    assert reason.endswith(f"receipt {hashlib.sha256(line.encode()).hexdigest()}")


def test_an_operator_may_ask_for_the_client(simulated: SimulatedFederation, before: Models) -> None:
    with grid_of(simulated, [deletion_guard_mod]) as grid:
        assert say(grid, "train", arrays_of(before)).has_content()
        grid.contexts[FORGET_NODE].node_config["deletion-requested"] = True
        assert say(grid, "train", arrays_of(before)).has_error()


def test_the_guard_lets_the_max_phase_through_and_the_run_forget(
    simulated: SimulatedFederation, before: Models
) -> None:
    with InProcessGrid([asking_app(simulated)] * CLIENTS) as grid:
        say(grid, "query.leave", arrays_of(before))
        strategy = FFUMStrategy(fed_avg(), [FORGET_NODE], {"rounds": 1, "post_rounds": 1})
        strategy.start(grid.as_grid, arrays_of(before))
        assert strategy.progress == "ok"
        after = fed_avg(CLIENTS).start(grid.as_grid, arrays_of(before), num_rounds=1)  # a server that goes on
        acts = [(one.act, one.message) for one in receipts(grid.contexts[FORGET_NODE])]
    assert acts[2:] == [("answered", "train.unlearn_max"), ("refused", "train")]
    weights = [len(simulated.data.clients[client]) for client in range(CLIENTS) if client != FORGET]
    step = sum(w * c for w, c in zip(weights, (2, 3, 4), strict=True)) / sum(weights)  # the mean without client 0
    found = after.arrays.to_torch_state_dict()
    for name, tensor in one_of(before.tensors, 0).items():
        assert torch.allclose(found[name], tensor + step, atol=1e-5)


def test_arrays_that_are_no_numbers_have_a_digest_of_their_bytes() -> None:
    from flwr.app import Array, ArrayRecord

    from unlearning.federated.flower.records import digest_of

    one, other = (ArrayRecord({"v": Array("uint32", (2,), "masked", data)}) for data in (b"12345678", b"12345679"))
    assert digest_of(one) != digest_of(other)
    assert digest_of(one) == digest_of(ArrayRecord({"v": Array("uint32", (2,), "masked", b"12345678")}))
