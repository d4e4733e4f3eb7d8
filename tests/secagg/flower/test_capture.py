"""The recorder writes down what Flower said, all of it, and changes nothing."""

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from reports.errors import FileError
from secagg.flower.capture import CapturingGrid, read_flower
from secagg.flower.harness import InProcessGrid, node_id, run_workflow
from secagg.flower.records import FROM, RECORDS, TO
from secagg.flower.rehearsal import FlowerRound, client_app, record_flower_run, rehearse
from secagg.wire import MalformedRecord

VECTORS = Path(__file__).parents[2] / "vectors/secagg/flower-capture"
RECORDED = sorted(path.parent for path in VECTORS.rglob("transcript.jsonl"))
STAGES = [kind.STAGE for kind in RECORDS]


@pytest.mark.parametrize("folder", RECORDED, ids=lambda folder: f"{folder.parent.name}-{folder.name}")
def test_every_record_is_read_and_written_alike(folder: Path) -> None:
    capture = read_flower(folder)
    for record in capture.records:
        assert type(record).parse(record.fields()) == record
    assert type(capture.header).parse(capture.header.fields()) == capture.header


def test_a_capture_names_the_code_that_was_run() -> None:
    header = read_flower(VECTORS / "whole/round-0001").header
    assert header.software == "flwr 1.41.0"
    assert "SecAggPlusWorkflow" in header.function
    assert "secaggplus_mod" in header.function
    assert list(header.clients) == sorted(str(node_id(i)) for i in range(5))


def test_a_drop_out_is_a_missing_answer() -> None:
    records = read_flower(VECTORS / "dropout/round-0001").records
    asked = {record.node for record in records if record.STAGE == "collect_masked_vectors" and record.direction == TO}
    answered = {one.node for one in records if one.STAGE == "collect_masked_vectors" and one.direction == FROM}
    assert asked - answered == {str(node_id(2))}


@pytest.mark.parametrize(
    "change",
    [
        lambda line: line.replace('"direction":"to"', '"direction":"up"'),
        lambda line: line.replace('"signature":null', '"signature":"AAAA"'),
        lambda line: line.replace('"sender":"server"', '"sender":"1"'),
        lambda line: line.replace(',"threshold":2', ""),
        lambda line: line.replace('"max_weight":"1000.0"', '"max_weight":"nan"'),
        lambda line: line.replace("flwr.setup", "flwr.other"),
        lambda line: line[:-1],
    ],
)
def test_a_line_of_another_form_is_refused(tmp_path: Path, change: Any) -> None:
    lines = (VECTORS / "whole/round-0001/transcript.jsonl").read_text().splitlines()
    assert change(lines[1]) != lines[1]
    file = tmp_path / "transcript.jsonl"
    file.write_text("\n".join([lines[0], change(lines[1]), *lines[2:]]) + "\n")
    with pytest.raises(MalformedRecord):
        read_flower(tmp_path)


@pytest.mark.flower
def test_a_recorded_round_ends_as_an_unrecorded_one(tmp_path: Path) -> None:
    updates = np.random.default_rng(1).normal(size=(5, 20))
    weights = [100, 200, 300, 400, 500]
    plain = rehearse(updates, weights)
    recorded = rehearse(updates, weights, record=tmp_path / "run")
    wanted = np.average(updates, axis=0, weights=weights)
    assert plain.mean is not None
    assert recorded.mean is not None
    np.testing.assert_allclose(plain.mean, wanted, atol=2e-5)
    np.testing.assert_allclose(recorded.mean, wanted, atol=2e-5)
    assert not plain.folders
    assert [folder.name for folder in recorded.folders] == ["round-0001"]


@pytest.mark.flower
def test_what_was_said_stands_there_word_for_word(tmp_path: Path) -> None:
    seen: list[tuple[str, str, str, dict[str, Any]]] = []

    def listen(message: Any, deliver: Any) -> Any:
        sent = dict(message.content["secaggplus_configs"])
        node, stage = str(message.metadata.dst_node_id), str(sent["stage"])
        seen.append((TO, stage, node, sent))
        reply = deliver(message)
        seen.append((FROM, stage, node, dict(reply.content["secaggplus_configs"])))
        return reply

    run = rehearse(np.ones((4, 6)), tamper=listen, record=tmp_path)
    capture = read_flower(run.folders[0])
    assert len(seen) == len(capture.records) == 4 * 4 * 2
    written = {(one.direction, one.STAGE, one.node): one for one in capture.records}
    for direction, stage, node, configs in seen:
        record = written[direction, stage, node]
        configs.pop("stage", None)
        if stage == "collect_masked_vectors" and direction == FROM:
            for data, array in zip(configs["masked_params"], record.values["masked_params"], strict=True):
                words = capture.source.blob(array.blob)
                assert words is not None
                masked = np.load(io.BytesIO(data))
                np.testing.assert_array_equal(words.view(array.dtype).reshape(array.shape), masked)
            assert record.clear["fitres.num_examples"] == {"num_examples": 1000}
            continue
        plain = {key: value for key, value in record.values.items() if key != "model_sha256"}
        assert {key: _plain(value) for key, value in configs.items()} == {k: _plain(v) for k, v in plain.items()}


def _plain(value: Any) -> Any:
    if isinstance(value, list | tuple):
        return [str(one) if isinstance(one, int) else one for one in value]
    return value


@pytest.mark.flower
def test_flowers_own_functions_find_the_sum_in_what_was_recorded(tmp_path: Path) -> None:
    from flwr.common.secure_aggregation.crypto.shamir import combine_shares
    from flwr.common.secure_aggregation.secaggplus_utils import pseudo_rand_gen

    updates = np.random.default_rng(2).uniform(-1, 1, (5, 8))
    run = rehearse(updates, record=tmp_path)
    capture = read_flower(run.folders[0])
    replies = [one for one in capture.records if one.direction == FROM]
    total = np.zeros(8, np.int64)
    for reply in replies:
        if reply.STAGE == "collect_masked_vectors":
            array = reply.values["masked_params"][1]
            total += capture.source.blob(array.blob).view(array.dtype).astype(np.int64)  # type: ignore[union-attr]
    for owner in capture.header.clients:
        answers = [one.values for one in replies if one.STAGE == "unmask"]
        shares = [s for one in answers for node, s in zip(one["nids"], one["shares"], strict=True) if node == owner]
        total -= pseudo_rand_gen(combine_shares(shares), 1 << 32, [(1,), (8,)])[1]
    mean = (total % (1 << 32)) * 16 / (1 << 22) / 5 - 8
    np.testing.assert_allclose(mean, updates.mean(axis=0), atol=1e-5)


@pytest.mark.flower
def test_it_records_inside_flowers_default_workflow_and_leaves_evaluation_alone(tmp_path: Path) -> None:
    from flwr.common import ndarrays_to_parameters
    from flwr.server.strategy import FedAvg
    from flwr.server.workflow import SecAggPlusWorkflow
    from flwr.serverapp import Grid

    start = ndarrays_to_parameters([np.zeros(3)])
    strategy = FedAvg(initial_parameters=start, min_fit_clients=3, min_available_clients=3, min_evaluate_clients=3)
    apps = [client_app(np.full(3, float(i)), 10) for i in range(3)]
    with InProcessGrid(apps) as grid, CapturingGrid(grid, tmp_path) as recorded:
        assert isinstance(recorded, Grid)
        run_workflow(recorded, SecAggPlusWorkflow(3, 2), strategy, rounds=2)  # type: ignore[arg-type]
    assert [folder.name for folder in recorded.folders] == ["round-0001", "round-0002"]
    for folder in recorded.folders:
        assert [one.STAGE for one in read_flower(folder).records] == [one for one in STAGES for _ in range(6)]


@pytest.mark.flower
def test_a_client_that_raises_leaves_no_answer_on_record(tmp_path: Path) -> None:
    def spoil(message: Any, deliver: Any) -> Any:
        if message.metadata.dst_node_id == node_id(1) and message.content["secaggplus_configs"]["stage"] == "setup":
            del message.content["secaggplus_configs"]["threshold"]
        return deliver(message)

    run = rehearse(np.ones((5, 4)), None, FlowerRound(5, 3), tamper=spoil, record=tmp_path)
    answered = [
        one.node for one in read_flower(run.folders[0]).records if one.direction == FROM and one.STAGE == "setup"
    ]
    assert len(answered) == 4
    assert str(node_id(1)) not in answered


@pytest.mark.flower
def test_a_folder_that_holds_a_round_is_not_overwritten(tmp_path: Path) -> None:
    from flwr.app import ConfigRecord, Message, RecordDict

    record_flower_run(tmp_path, clients=3, length=2)
    with InProcessGrid([client_app(np.zeros(2), 1)]) as grid, CapturingGrid(grid, tmp_path) as recorded:
        config = ConfigRecord({"stage": "setup", "mod_range": 1 << 32})
        message = Message(RecordDict({"secaggplus_configs": config}), node_id(0), "train", group_id="1")
        with pytest.raises(FileError, match="not empty"):
            recorded.send_and_receive([message])
