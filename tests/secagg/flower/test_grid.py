"""The grid: one reply that is the survivors' mean, whoever drops out; and what it does not pretend to be."""

import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from secagg.flower.exchange import RECORD, VECTOR
from secagg.flower.grid import IndividualReplies, require_averaging
from secagg.flower.harness import InProcessGrid, kind_of, node_id
from secagg.flower.message import OnceFolder, SecAggConfig, SecAggGrid, secagg_mod
from secagg.keys import Identity
from secagg.limits import ParameterError
from secagg.params import InfeasibleParameters
from secagg.policy import ClientPolicy
from secagg.quantize import Quantization
from secagg.transcript import TranscriptWriter
from secagg.verify import verify_transcripts

pytestmark = pytest.mark.flower
WEIGHTED = SecAggConfig(modulus_bits=64, quantization=Quantization(8.0, 2**22, "integer", 100))
STEP = 2 * 8.0 / 2**22
"""Stochastic rounding moves each element by less than this, and so the mean."""
SHAPES: dict[str, tuple[tuple[int, ...], Any]] = {
    "zeta": ((3, 4), np.float32),
    "alpha": ((5,), np.float64),
    "scalar": ((), np.float32),
    "count": ((), np.int64),
}


def initial() -> Any:
    from flwr.app import Array, ArrayRecord

    rng = np.random.default_rng(0)
    return ArrayRecord({k: Array(np.asarray(5 * rng.normal(size=s), dtype=d)) for k, (s, d) in SHAPES.items()})


def trained(arrays: Mapping[str, Any], partition: int) -> dict[str, Any]:
    """A client's own step: some way towards a point of its own, so that rounds build on one another."""
    rng = np.random.default_rng(100 + partition)
    goals = {name: rng.normal(size=shape) for name, (shape, _) in SHAPES.items()}
    moved = {name: one + 0.25 * (goals[name] - one) for name, one in arrays.items() if name != "count"}
    return {name: np.asarray(one, SHAPES[name][1]) for name, one in moved.items()} | {"count": arrays["count"] + 3}


def weight(partition: int) -> int:
    return 1 + 7 * partition


def app(mods: list[Any]) -> Any:
    from flwr.app import Array, ArrayRecord, Message, MetricRecord, RecordDict
    from flwr.clientapp import ClientApp

    client = ClientApp()

    @client.train(mods=mods)
    def train(message: Any, context: Any) -> Any:
        number = int(context.node_config["partition-id"])
        arrays = trained({name: one.numpy() for name, one in message.content["arrays"].items()}, number)
        names = sorted(arrays) if mods else list(SHAPES)  # an order of its own: FedAvgM by itself would stumble over it
        shuffled = {name: Array(np.asarray(arrays[name])) for name in names}
        metrics = MetricRecord({"num-examples": weight(number)})
        return Message(RecordDict({"arrays": ArrayRecord(shuffled), "metrics": metrics}), reply_to=message)

    return client


def secure_app(**policy: Any) -> Any:
    return app([secagg_mod(ClientPolicy(**policy))])


def train_messages(grid: Any, models: Callable[[int], Any] | None = None) -> list[Any]:
    from flwr.app import Message, RecordDict

    content = RecordDict({"arrays": initial()})
    nodes = grid.get_node_ids()
    return [Message(RecordDict({"arrays": models(n)}) if models else content, n, "train") for n in nodes]


def one_round(grid: InProcessGrid, config: SecAggConfig = WEIGHTED, **options: Any) -> list[Any]:
    return list(SecAggGrid(grid.as_grid, config, **options).send_and_receive(train_messages(grid), timeout=5.0))


def plaintext_mean(partitions: Any, weigh: Callable[[int], int] = weight) -> dict[str, Any]:
    """The definition: each client's model, times its weight, over the weights."""
    sent = {name: one.numpy() for name, one in initial().items()}
    models = {p: trained(sent, p) for p in partitions}
    total = sum(weigh(p) for p in partitions)
    return {k: sum(weigh(p) * models[p][k].astype(np.float64) for p in partitions) / total for k in SHAPES}


def assert_mean(reply: Any, partitions: Any, weigh: Callable[[int], int] = weight) -> None:
    [(name, record)] = reply.content.array_records.items()
    assert name == "arrays"
    assert list(record) == list(SHAPES)
    for key, expected in plaintext_mean(partitions, weigh).items():
        shape, dtype = SHAPES[key]
        array = record[key].numpy()
        assert (array.shape, array.dtype) == (shape, dtype)
        np.testing.assert_allclose(array, expected, atol=STEP, rtol=1e-6)  # rtol: the model's own float32
    assert dict(reply.content.metric_records["metrics"]) == {"num-examples": sum(weigh(p) for p in partitions)}


@pytest.mark.parametrize(("weighting", "config"), [("integer", WEIGHTED), ("uniform", SecAggConfig())])
def test_one_reply_is_the_plaintext_mean(weighting: str, config: SecAggConfig) -> None:
    with InProcessGrid([secure_app()] * 6) as grid:
        [reply] = one_round(grid, config)
    assert_mean(reply, range(6), weight if weighting == "integer" else lambda p: 1)


@pytest.mark.parametrize("phase", ["advertise", "shares", "masked_input", "unmask"])
@pytest.mark.parametrize("lost", [(0,), (2, 5)])
def test_the_mean_of_the_survivors_is_exact_whenever_others_drop_out(phase: str, lost: tuple[int, ...]) -> None:
    gone = {node_id(p) for p in lost}
    with InProcessGrid([secure_app()] * 8, drop=lambda kind, node: kind == phase and node in gone) as grid:
        [reply] = one_round(grid)
    in_the_sum = range(8) if phase == "unmask" else [p for p in range(8) if p not in lost]
    assert_mean(reply, in_the_sum)


@pytest.mark.parametrize("phase", ["advertise", "shares", "masked_input", "unmask"])
def test_too_many_drop_outs_give_no_reply_and_a_reason(phase: str, caplog: pytest.LogCaptureFixture) -> None:
    gone = {node_id(p) for p in range(5)}
    with InProcessGrid([secure_app()] * 8, drop=lambda kind, node: kind == phase and node in gone) as grid:
        assert one_round(grid) == []
    assert "round 1 is aborted: " in caplog.text
    assert f"dropped out in phase {phase}: no answer in time" in caplog.text


@pytest.mark.parametrize("name", ["FedAvg", "FedProx", "FedAvgM", "FedAdam"])
def test_an_averaging_strategy_ends_where_it_ends_without(name: str) -> None:
    import flwr.serverapp.strategy as strategies

    options = {"FedProx": {"proximal_mu": 0.1}, "FedAvgM": {"server_momentum": 0.5}, "FedAdam": {"tau": 0.1}}
    models = []
    for secure in (True, False):
        with InProcessGrid([secure_app() if secure else app([])] * 6) as grid:
            over = SecAggGrid(grid.as_grid, WEIGHTED) if secure else grid.as_grid
            strategy = getattr(strategies, name)(fraction_evaluate=0.0, **options.get(name, {}))
            result = strategy.start(grid=over, initial_arrays=initial(), num_rounds=3)
            assert not grid.errors
        models.append(result.arrays)
    for key in SHAPES:
        ours, plain = models[0][key].numpy(), models[1][key].numpy()
        np.testing.assert_allclose(ours, plain, atol=3 * 4 * STEP, rtol=1e-5)  # three rounds, no step grows fourfold
        assert np.abs(plain - initial()[key].numpy()).max() > 0.05  # control: the model moved far more than that


def test_a_round_without_a_sum_leaves_the_strategy_its_model() -> None:
    from flwr.serverapp.strategy import FedAvg

    number = 0

    def second_round(kind: str, node: int) -> bool:
        nonlocal number
        number += kind == "advertise" and node == node_id(0)
        return number == 2 and kind == "unmask"

    with InProcessGrid([secure_app()] * 5, drop=second_round) as grid:
        kept = {}
        strategy = FedAvg(fraction_evaluate=0.0)
        strategy.start(
            grid=SecAggGrid(grid.as_grid, WEIGHTED), initial_arrays=initial(), num_rounds=3,
            evaluate_fn=lambda number, arrays: kept.update({number: arrays["zeta"].numpy().copy()}),
        )  # fmt: skip
    assert np.array_equal(kept[1], kept[2])
    assert not np.array_equal(kept[2], kept[3])


@pytest.mark.parametrize("name", ["FedMedian", "FedTrimmedAvg", "Krum", "MultiKrum", "Bulyan", "QFedAvg"])
def test_a_strategy_that_compares_replies_is_refused_by_name(name: str) -> None:
    import flwr.serverapp.strategy as strategies

    class Mine(getattr(strategies, name)):  # type: ignore[misc]
        pass

    options = {"client_learning_rate": 0.1} if name == "QFedAvg" else {}
    with InProcessGrid([secure_app()] * 5) as grid:
        with pytest.raises(IndividualReplies, match="Mine works on single replies"):
            Mine(fraction_evaluate=0.0, **options).start(grid=SecAggGrid(grid.as_grid), initial_arrays=initial())
        assert not grid.uploaded  # nobody was asked for anything


def test_clipping_by_the_server_is_refused_though_it_wraps_an_average() -> None:
    from flwr.serverapp.strategy import DifferentialPrivacyServerSideFixedClipping, FedAvg

    wrapped = DifferentialPrivacyServerSideFixedClipping(FedAvg(), 1.0, 1.0, 5)
    with pytest.raises(IndividualReplies):
        require_averaging(wrapped)
    require_averaging(FedAvg())  # control


def test_the_other_party_of_a_wrapper_is_looked_into() -> None:
    from flwr.serverapp.strategy import FedMedian

    class Logged:
        strategy = FedMedian()

    with pytest.raises(IndividualReplies):
        require_averaging(Logged())


def test_it_is_a_grid_and_passes_on_the_rest() -> None:
    from flwr.app import Message, RecordDict
    from flwr.serverapp import Grid

    with InProcessGrid([secure_app()] * 3) as grid:
        secure = SecAggGrid(grid.as_grid)
        assert isinstance(secure, Grid)
        assert list(secure.get_node_ids()) == grid.get_node_ids()
        assert [one.node_id for one in secure.get_nodes()] == grid.get_node_ids()
        assert secure.run is grid.run
        secure.set_run(grid.run)
        message = secure.create_message(RecordDict(), "evaluate", grid.get_node_ids()[0], "1")
        [reply] = secure.pull_messages(secure.push_messages([message]))
        assert reply.has_error()  # this app has no evaluate: the reply is the node's own
        [reply] = secure.send_and_receive([Message(RecordDict(), grid.get_node_ids()[0], "query")])
        assert reply.has_error()


def test_messages_that_make_no_round_are_refused() -> None:
    from flwr.app import Array, ArrayRecord, Message, RecordDict

    with InProcessGrid([secure_app()] * 4) as grid:
        secure = SecAggGrid(grid.as_grid)
        first, *rest = train_messages(grid)
        with pytest.raises(ValueError, match="two messages"):
            secure.send_and_receive([first, first, *rest])
        with pytest.raises(ValueError, match="by themselves"):
            secure.send_and_receive([first, Message(RecordDict(), 1, "query")])
        with pytest.raises(ValueError, match="different models"):
            secure.send_and_receive(train_messages(grid, lambda n: ArrayRecord({"a": Array(np.full(3, n / 2**64))})))
        with pytest.raises(ValueError, match="0 array records"):
            secure.send_and_receive([Message(RecordDict(), n, "train") for n in grid.get_node_ids()])
        with pytest.raises(ValueError, match="only numbers"):
            secure.send_and_receive(train_messages(grid, lambda n: ArrayRecord({"a": Array(np.array(["x"]))})))
        equal = lambda n: ArrayRecord({"a": Array(np.zeros(3))})  # noqa: E731
        assert list(secure.send_and_receive(train_messages(grid, equal))) == []  # control: equal, but not its own model
        assert not list(secure.send_and_receive([]))


@pytest.mark.parametrize(
    ("clients", "config", "error", "told"),
    [
        (6, SecAggConfig(quantization=Quantization(8.0, 2**22, "integer", 1000)), ParameterError, "a ring of 64 bits"),
        (2, SecAggConfig(), InfeasibleParameters, "not even without drop-outs"),
        (6, SecAggConfig(identities={}), ParameterError, "a public key for every client"),
    ],
)
def test_a_configuration_that_does_not_suit_the_cohort_is_an_error(
    clients: int, config: SecAggConfig, error: type[Exception], told: str
) -> None:
    with InProcessGrid([secure_app()] * clients) as grid, pytest.raises(error, match=told):
        one_round(grid, config)


@pytest.mark.parametrize("degree", [None, 4])
def test_it_works_against_a_malicious_server_too(
    degree: int | None, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    keys = {str(node_id(p)): Identity.from_private_bytes(bytes([p] * 32)) for p in range(6)}
    public = {client: one.public_key for client, one in keys.items()}
    sparse = {} if degree is None else {"degree": degree, "threshold": 4}
    config = SecAggConfig(
        server_trust="malicious", identities=public, beacon=lambda number, ids: (bytes([number] * 32), "public:test"),
        modulus_bits=64, quantization=WEIGHTED.quantization, **sparse,
    )  # fmt: skip
    asked = {"required_sigma": 0.0, "required_eta": 0.0} if sparse else {}
    policy = ClientPolicy(identities=public, **asked)
    mod = secagg_mod(policy, lambda context: keys[str(context.node_id)], once=OnceFolder(tmp_path))
    with InProcessGrid([app([mod])] * 6) as grid:
        [reply] = one_round(grid, config)
    assert_mean(reply, range(6))
    stranger = secagg_mod(policy, Identity.generate(), once=OnceFolder(tmp_path))
    with InProcessGrid([app([stranger])] + [app([mod])] * 5) as grid:
        one_round(grid, config)
        assert grid.contexts[node_id(0)].state == {}
    assert "client " + str(node_id(0)) + " refuses in phase advertise: unknown-identity" in caplog.text


def test_a_model_that_one_client_gets_alone_is_refused() -> None:
    from flwr.app import Array, ArrayRecord

    def bend(message: Any, deliver: Any) -> Any:
        if kind_of(message) == "masked_input" and message.metadata.dst_node_id == node_id(3):
            arrays = {name: Array(np.zeros_like(one.numpy())) for name, one in message.content["arrays"].items()}
            message.content["arrays"] = ArrayRecord(arrays)
        return deliver(message)

    with InProcessGrid([secure_app()] * 6, tamper=bend) as grid:
        [reply] = one_round(grid)
    assert_mean(reply, [0, 1, 2, 4, 5])


@pytest.mark.parametrize("fault", ["another's name", "no record", "no bytes", "no vector", "short", "odd", "an error"])
def test_a_reply_that_cannot_be_used_is_a_drop_out(fault: str) -> None:
    from flwr.app import Error, Message

    def bend(message: Any, deliver: Any) -> Any:
        reply = deliver(message)
        if kind_of(message) != "masked_input" or message.metadata.dst_node_id != node_id(3):
            return reply
        record, vector = reply.content[RECORD], reply.content[VECTOR]["vector"]
        if fault == "another's name":
            record["message"] = record["message"].replace(str(node_id(3)).encode(), str(node_id(2)).encode())
        elif fault == "no record":
            del reply.content[RECORD]
        elif fault == "no bytes":
            record["message"] = "text"
        elif fault == "no vector":
            del reply.content[VECTOR]
        elif fault in ("short", "odd"):
            vector.data = vector.data[: -8 if fault == "short" else -1]
        else:
            return Message(Error(0, "gone"), reply_to=message)
        return reply

    with InProcessGrid([secure_app()] * 6, tamper=bend) as grid:
        [reply] = one_round(grid)
    assert_mean(reply, [0, 1, 2, 4, 5])


@pytest.mark.parametrize("malicious", [False, True])
def test_the_transcript_of_every_round_verifies(tmp_path: Path, malicious: bool) -> None:
    keys = {str(node_id(p)): Identity.generate() for p in range(7)}
    public = {client: one.public_key for client, one in keys.items()} if malicious else None
    config = SecAggConfig(
        server_trust="malicious" if malicious else "honest-but-curious", identities=public,
        modulus_bits=64, quantization=WEIGHTED.quantization,
    )  # fmt: skip
    once = OnceFolder(tmp_path / "steps")
    mod = secagg_mod(ClientPolicy(identities=public), lambda context: keys[str(context.node_id)], once=once)
    lossy = InProcessGrid([app([mod])] * 7, drop=lambda kind, node: kind == "masked_input" and node == node_id(4))
    with lossy as grid:
        secure = SecAggGrid(
            grid.as_grid,
            config,
            recorder=lambda n: TranscriptWriter(tmp_path / "rounds" / f"{n:04}", identities=public),
        )
        replies = [list(secure.send_and_receive(train_messages(grid))) for _ in range(2)]
    assert [len(one) for one in replies] == [1, 1]
    verified = verify_transcripts(sorted((tmp_path / "rounds").iterdir()))
    assert (verified.status, verified.complete) == ("pass", True)
    assert verified.authenticity == ("signed" if malicious else "unsigned")
    for one in verified.transcripts:
        assert (one.aggregate, set(one.survivors)) == ("equal", set(keys) - {str(node_id(4))})
    blob = next((tmp_path / "rounds" / "0002" / "blobs").iterdir())  # control: one flipped bit would have been noticed
    blob.write_bytes(bytes([blob.read_bytes()[0] ^ 1]) + blob.read_bytes()[1:])
    assert verify_transcripts(sorted((tmp_path / "rounds").iterdir())).status == "fail"


def test_the_transcript_of_an_aborted_round_is_closed_and_incomplete(tmp_path: Path) -> None:
    with InProcessGrid([secure_app()] * 6, drop=lambda kind, node: kind == "unmask") as grid:
        assert one_round(grid, recorder=lambda number: TranscriptWriter(tmp_path / "aborted")) == []
    verified = verify_transcripts([tmp_path / "aborted"])
    assert (verified.status, verified.complete) == ("inconclusive", False)


def test_the_modules_import_without_flwr() -> None:
    code = "import sys; sys.modules['flwr'] = None; import secagg.flower.message, secagg.flower.legacy"
    subprocess.run([sys.executable, "-c", code], check=True, timeout=120)
