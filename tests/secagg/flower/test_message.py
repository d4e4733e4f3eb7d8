"""The Message-API mod: what a client answers, what it refuses, what it keeps, and what never leaves it."""

import logging
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from secagg.flower.exchange import RECORD, VECTOR
from secagg.flower.harness import InProcessGrid, kind_of
from secagg.flower.message import SESSIONS, SecAggConfig, SecAggGrid, secagg_mod
from secagg.policy import ClientPolicy
from secagg.quantize import Quantization

pytestmark = pytest.mark.flower
WEIGHTED = SecAggConfig(modulus_bits=64, quantization=Quantization(8.0, 2**22, "integer", 100))
PHASES = ("advertise", "shares", "masked_input", "unmask")


def start() -> Any:
    from flwr.app import Array, ArrayRecord

    return ArrayRecord({"w": Array(np.zeros((3, 4), np.float32)), "b": Array(np.ones(4, np.float32))})


def app(mods: list[Any], during: Callable[[Any], None] = lambda context: None) -> Any:
    """A client whose update is its partition's number over ten, its weight that number plus one."""
    from flwr.app import Array, ArrayRecord, Message, MetricRecord, RecordDict
    from flwr.clientapp import ClientApp

    client = ClientApp()

    @client.train(mods=mods)
    def train(message: Any, context: Any) -> Any:
        assert RECORD not in message.content  # the app sees the strategy's message and nothing of ours
        during(context)
        number = int(context.node_config["partition-id"])
        arrays = {name: Array(one.numpy() + np.float32(number / 10)) for name, one in message.content["arrays"].items()}
        metrics = MetricRecord({"num-examples": number + 1, "loss": 0.5})
        return Message(RecordDict({"arrays": ArrayRecord(arrays), "metrics": metrics}), reply_to=message)

    @client.evaluate()
    def evaluate(message: Any, context: Any) -> Any:
        return Message(RecordDict({"metrics": MetricRecord({"num-examples": 1, "seen": 7})}), reply_to=message)

    return client


def train_messages(grid: Any) -> list[Any]:
    from flwr.app import ConfigRecord, Message, RecordDict

    content = RecordDict({"arrays": start(), "config": ConfigRecord({"lr": 0.1})})
    return [Message(content, node, "train") for node in grid.get_node_ids()]


def one_round(grid: InProcessGrid, config: SecAggConfig = WEIGHTED) -> list[Any]:
    secure = SecAggGrid(grid.as_grid, config)
    return list(secure.send_and_receive(train_messages(grid)))


def states(grid: InProcessGrid) -> list[set[str]]:
    return [set(context.state) for context in grid.contexts.values()]


class Wire:
    """What passes between server and nodes: kept, and bent where a test says so."""

    def __init__(self, bend: Callable[[str, Any, Any], Any] = lambda kind, message, deliver: deliver(message)) -> None:
        self.bend, self.requests, self.replies = bend, [], []

    def __call__(self, message: Any, deliver: Any) -> Any:
        self.requests.append(message)
        reply = self.bend(kind_of(message), message, deliver)
        self.replies.append(reply)
        return reply


def refusal(reply: Any) -> Any:
    return reply.content.config_records[RECORD].get("refused")


def test_nothing_of_the_round_is_left_in_the_state_after_it() -> None:
    kept: list[set[str]] = []

    def watch(kind: str, message: Any, deliver: Any) -> Any:
        reply = deliver(message)
        kept.append(set(grid.contexts[message.metadata.dst_node_id].state))
        return reply

    with InProcessGrid([app([secagg_mod()])] * 4, tamper=Wire(watch)) as grid:
        assert one_round(grid)
        assert states(grid) == [{SESSIONS}] * 4
        assert kept[:12] == [{SESSIONS, RECORD}] * 12  # control: between the phases the round does live there
        for context in grid.contexts.values():
            assert len(context.state[SESSIONS]["joined"]) == 32  # one digest a round, and no key


def test_the_app_never_sees_the_secrets_while_it_trains() -> None:
    seen: list[set[str]] = []
    apps = [app([secagg_mod()], lambda context: seen.append(set(context.state)))] * 4
    with InProcessGrid(apps) as grid:
        assert one_round(grid)
    assert seen == [{SESSIONS}] * 4


def test_the_next_header_ends_a_round_that_nobody_ended() -> None:
    with InProcessGrid([app([secagg_mod()])] * 5, drop=lambda kind, node: node == lost and kind == losing) as grid:
        lost, losing = grid.get_node_ids()[0], "masked_input"
        assert one_round(grid)
        forgotten = dict(grid.contexts[lost].state[RECORD])
        losing = "shares"
        assert one_round(grid)
        held = grid.contexts[lost].state[RECORD]
        assert held["session"] != forgotten["session"]
        assert held["private"] != forgotten["private"]


def test_an_aborted_round_is_closed_where_a_client_still_answers() -> None:
    with InProcessGrid([app([secagg_mod()])] * 5, drop=lambda kind, node: node in lost and kind == "unmask") as grid:
        lost = grid.get_node_ids()[:3]
        assert one_round(grid) == []
        assert [RECORD in grid.contexts[node].state for node in grid.get_node_ids()] == [True] * 3 + [False] * 2
    with InProcessGrid([app([secagg_mod()])] * 5, drop=lambda kind, node: node in gone and kind == "shares") as grid:
        gone = grid.get_node_ids()[:3]
        assert one_round(grid) == []
        assert [RECORD in grid.contexts[node].state for node in grid.get_node_ids()] == [True] * 3 + [False] * 2


def test_what_one_client_sends_holds_no_number_of_its_own() -> None:
    wire = Wire()
    with InProcessGrid([app([secagg_mod()])] * 4, tamper=wire) as grid:
        assert one_round(grid)
    assert len(wire.replies) == 16
    vectors = []
    for reply in wire.replies:
        assert set(reply.content) <= {RECORD, VECTOR}
        assert set(reply.content[RECORD]) == {"phase", "message"}
        if VECTOR in reply.content:
            vectors.append(np.frombuffer(reply.content[VECTOR]["vector"].data, "<u8"))
    assert len(vectors) == 4
    for vector in vectors:
        assert vector.min() > 100 * 2**22  # a weighted level is below that; a word under a mask is not, nor the weight
    model = [request for request in wire.requests if "arrays" in request.content]
    assert {kind_of(request) for request in model} == {"masked_input"}  # the model goes out in that phase alone


def test_metrics_that_stay_behind_are_named_once(caplog: pytest.LogCaptureFixture) -> None:
    with InProcessGrid([app([secagg_mod()])] * 4) as grid:
        one_round(grid)
        one_round(grid)
    told = [record for record in caplog.records if "not sent" in record.message]
    assert [record.message.endswith(": loss") for record in told] == [True]


def test_training_without_secure_aggregation_is_refused() -> None:
    trained: list[Any] = []
    with InProcessGrid([app([secagg_mod()], trained.append)] * 3) as grid:
        replies = grid.send_and_receive(train_messages(grid))
        assert [refusal(reply) for reply in replies] == ["bad-header"] * 3
        assert all(set(reply.content) == {RECORD} for reply in replies)
    assert not trained


def test_other_messages_pass_by() -> None:
    from flwr.app import ConfigRecord, Message, RecordDict

    with InProcessGrid([app([secagg_mod()])] * 3) as grid:
        content = RecordDict({"config": ConfigRecord({"a": 1})})
        secure = SecAggGrid(grid.as_grid, WEIGHTED)
        messages = [Message(content, node, "evaluate") for node in secure.get_node_ids()]
        replies = list(secure.send_and_receive(messages))
        assert [reply.content["metrics"]["seen"] for reply in replies] == [7, 7, 7]


@pytest.mark.parametrize("phase", PHASES)
def test_a_phase_asked_for_twice_is_refused_and_ends_the_round_for_that_client(phase: str) -> None:
    answers: list[Any] = []

    def twice(kind: str, message: Any, deliver: Any) -> Any:
        reply = deliver(message)
        if kind == phase:
            answers.append(refusal(deliver(message)))
        return reply

    with InProcessGrid([app([secagg_mod()])] * 4, tamper=Wire(twice)) as grid:
        replies = one_round(grid)
        assert set(answers) == {"session-reused" if phase == "advertise" else "phase-order"}
        assert bool(replies) is (phase == "unmask")  # after the last step there is nothing left to end
        assert all(RECORD not in state for state in states(grid))


def test_a_message_of_another_round_is_refused_and_the_open_one_goes_on() -> None:
    old: dict[tuple[str, int], Any] = {}
    answers: list[Any] = []

    def delayed(kind: str, message: Any, deliver: Any) -> Any:
        late = old.setdefault((kind, message.metadata.dst_node_id), message)
        if late is not message and kind != "advertise":
            answers.append(refusal(deliver(late)))
        return deliver(message)

    with InProcessGrid([app([secagg_mod()])] * 4, tamper=Wire(delayed)) as grid:
        assert one_round(grid)
        assert one_round(grid)
    assert answers == ["phase-order"] * 12


@pytest.mark.parametrize("key", ["session", "header", "included", "peers", "phase"])
def test_a_request_of_another_form_is_refused(key: str) -> None:
    answers: list[Any] = []

    def bent(kind: str, message: Any, deliver: Any) -> Any:
        record = message.content[RECORD]
        if key in record:
            record[key] = ["x" * 99] if isinstance(record[key], list) else 7
            answers.append(refusal(deliver(message)))
            return None
        return deliver(message)

    with InProcessGrid([app([secagg_mod()])] * 4, tamper=Wire(bent)) as grid:
        assert one_round(grid) == []
        assert not grid.errors
    assert set(answers) == {"bad-header"}


def test_training_that_fails_is_a_drop_out_and_its_text_stays_with_the_client(caplog: pytest.LogCaptureFixture) -> None:
    def fail(context: Any) -> None:
        if context.node_config["partition-id"] == 2:
            raise ArithmeticError("patient 4711")

    wire = Wire()
    with InProcessGrid([app([secagg_mod()], fail)] * 5, tamper=wire) as grid, caplog.at_level(logging.WARNING):
        [reply] = one_round(grid)
        assert reply.content["metrics"]["num-examples"] == 1 + 2 + 4 + 5
        assert all(RECORD not in state for state in states(grid))
    [failed] = [reply for reply in wire.replies if reply.has_error()]
    assert "ArithmeticError" in failed.error.reason
    assert "4711" not in failed.error.reason
    assert any("4711" in (record.exc_text or "") for record in caplog.records)  # in the client's own log it is


@pytest.mark.parametrize(
    ("config", "told"),
    [
        (SecAggConfig(modulus_bits=64, quantization=Quantization(8.0, 2**22, "integer", 4)), "allowed is 1 to 4"),
        (SecAggConfig(quantization=Quantization(0.25, 2**22)), "elements were clipped"),
    ],
)
def test_a_weight_out_of_range_drops_out_and_a_clipped_update_is_told_to_its_owner_alone(
    config: SecAggConfig, told: str, caplog: pytest.LogCaptureFixture
) -> None:
    wire = Wire()
    with InProcessGrid([app([secagg_mod()])] * 5, tamper=wire) as grid:
        [_] = one_round(grid, config)
    assert any(told in record.message or told in (record.exc_text or "") for record in caplog.records)
    errors = [reply.error.reason for reply in wire.replies if reply.has_error()]
    assert errors in ([], ["ValueError in phase masked_input; the client's own log says more"])


def test_a_policy_refuses_and_says_why(caplog: pytest.LogCaptureFixture) -> None:
    wary = app([secagg_mod(ClientPolicy(min_clients=50))])
    with InProcessGrid([wary] * 4) as grid:
        assert one_round(grid) == []
        assert all(RECORD not in state for state in states(grid))
    assert "is aborted: too-few-clients" in caplog.text
    assert "refused: policy-cohort" in caplog.text
    with InProcessGrid([wary] + [app([secagg_mod()])] * 5) as grid:
        [reply] = one_round(grid)
        assert reply.content["metrics"]["num-examples"] == 2 + 3 + 4 + 5 + 6
