import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from unlearning.errors import UnlearningError
from unlearning.federated.data import ClientData, FederatedData, SimulatedFederation
from unlearning.federated.recipe import TrainingRecipe
from unlearning.federated.recording import Modes, Recorder, load_recording, tensor_bytes
from unlearning.federated.training import RoundRecord, train

Record = Callable[..., "Recorded"]


class Recorded:
    """A training of five rounds by clients 0, 1 and 3, in a folder and in memory."""

    def __init__(self, folder: Path, federation: SimulatedFederation, **modes: Any) -> None:
        self.folder, self.federation, self.rounds = folder, federation, list[RoundRecord]()
        with Recorder(folder, federation, Modes(**modes)) as recorder:

            def both(one: RoundRecord) -> None:
                self.rounds.append(one)
                recorder(one)

            self.final = train(federation, recorder=both).parameters

    def files(self) -> list[str]:
        return sorted(path.relative_to(self.folder).as_posix() for path in self.folder.rglob("*.safetensors"))


@pytest.fixture
def record(tmp_path: Path) -> Record:
    rng = np.random.default_rng(0)
    sizes = (6, 9, 0, 5)
    clients = tuple(
        ClientData(torch.from_numpy(rng.random((n, 4), dtype=np.float32)), torch.from_numpy(rng.integers(3, size=n)))
        for n in sizes
    )

    def recorded(recipe: dict[str, Any] | None = None, **modes: Any) -> Recorded:
        asked: dict[str, Any] = {"rounds": 5, "batch_size": 3, "learning_rate": 0.2, "seed": 3} | (recipe or {})
        trained = TrainingRecipe(**asked)
        layers = lambda: nn.Sequential(nn.Linear(4, 5), nn.BatchNorm1d(5), nn.Linear(5, 3))  # noqa: E731
        federation = SimulatedFederation(FederatedData(clients, test=clients[0]), trained, layers)
        return Recorded(tmp_path / "recording", federation, **modes)

    return recorded


def same(one: dict[str, Tensor], other: Any) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


def test_everything_that_was_kept_is_read_as_it_was(record: Record) -> None:
    made = record(global_models="all", client_updates="all")
    recording = load_recording(made.folder, made.federation)
    assert recording.global_rounds == (0, 1, 2, 3, 4, 5)
    assert same(recording.global_model(0), made.rounds[0].before)
    for one in made.rounds:
        assert same(recording.global_model(one.round), one.after)
        for client, delta in zip(one.participants, one.deltas, strict=True):
            assert same(recording.client_update(one.round, client), delta)
    assert same(recording.global_model(5), made.final)
    assert (recording.told.examples, recording.told.rounds) == ((6, 9, 0, 5), 5)
    assert recording.same_code()


def test_the_files_alone_give_the_next_model(record: Record) -> None:
    """The oracle is the definition of federated averaging, on files that safetensors reads itself."""
    made = record(global_models="all", client_updates="all")
    folder, told = made.folder, json.loads((made.folder / "recording.json").read_text())
    assert told["schema"] == "fedaudit.recording/1"
    shares = np.array([6, 9, 5]) / 20
    for number in range(1, 6):
        before, after = (load_file(folder / f"round-{one:04d}/global.safetensors") for one in (number - 1, number))
        deltas = [load_file(folder / f"round-{number:04d}/client-{client:04d}.safetensors") for client in (0, 1, 3)]
        [stored] = [one for one in told["kept"] if one["round"] == number]
        assert (stored["participants"], stored["weights"]) == ([0, 1, 3], pytest.approx(shares.tolist()))
        for name in ("0.weight", "2.bias"):
            step = sum(share * delta[name].double() for share, delta in zip(stored["weights"], deltas, strict=True))
            torch.testing.assert_close(after[name].double(), before[name].double() + step, rtol=0, atol=1e-6)


@pytest.mark.parametrize(
    ("modes", "globals_", "updates"),
    [
        ({}, (0, 1, 2, 3, 4, 5), ()),
        ({"global_models": "none"}, (), ()),
        ({"global_models": "last", "client_updates": "last"}, (5,), (5,)),
        ({"global_models": "interval", "client_updates": "interval"}, (0, 2, 4, 5), (2, 4, 5)),
        ({"global_models": "last", "client_updates": "interval", "interval": 3}, (5,), (3, 5)),
        ({"global_models": "interval", "client_updates": "all", "interval": 5}, (0, 5), (1, 2, 3, 4, 5)),
    ],
)
def test_each_mode_keeps_its_rounds_and_no_others(
    record: Record, modes: dict[str, Any], globals_: tuple[int, ...], updates: tuple[int, ...]
) -> None:
    made = record(**modes)
    recording = load_recording(made.folder)
    assert recording.global_rounds == globals_
    assert {recording.updates_of(client) for client in (0, 1, 3)} == {updates}
    assert recording.updates_of(2) == ()
    expected = [f"round-{one:04d}/global.safetensors" for one in globals_]
    expected += [f"round-{one:04d}/client-{client:04d}.safetensors" for one in updates for client in (0, 1, 3)]
    assert made.files() == sorted(expected)


def test_the_latest_update_of_each_client_is_kept_where_not_all_take_part(record: Record) -> None:
    made = record({"clients_per_round": 1, "rounds": 9}, client_updates="last")
    latest = {one.participants[0]: one.round for one in made.rounds}
    assert len(set(latest.values())) > 1  # else this tests nothing
    recording = load_recording(made.folder)
    for client, number in latest.items():
        assert recording.updates_of(client) == (number,)
        assert same(recording.client_update(number, client), made.rounds[number - 1].deltas[0])


def test_float16_rounds_all_but_the_last_global_model(record: Record) -> None:
    made = record(global_models="all", client_updates="last", dtype="float16")
    recording = load_recording(made.folder)
    first, last = recording.global_model(1), recording.global_model(5)
    assert same(last, made.final)
    assert all(one.dtype != torch.float16 for one in first.values())
    assert torch.equal(first["0.weight"], made.rounds[0].after["0.weight"].half().float())
    assert torch.equal(first["1.num_batches_tracked"], made.rounds[0].after["1.num_batches_tracked"])
    size = (made.folder / "round-0001/global.safetensors").stat().st_size
    assert size < (made.folder / "round-0005/global.safetensors").stat().st_size


def test_a_number_that_float16_cannot_hold_is_told(record: Record, tmp_path: Path) -> None:
    made = record(global_models="none")
    large = replace(made.rounds[0], after={"0.weight": torch.tensor([1e5])}, before={"0.weight": torch.tensor([1.0])})
    recorder = Recorder(tmp_path / "half", made.federation, Modes(dtype="float16"))
    with pytest.raises(UnlearningError, match=r"round 1: '0\.weight' holds a number beyond float16"):
        recorder(large)


def test_a_history_holds_what_a_method_asks_for(record: Record) -> None:
    made = record(client_updates="interval")
    history = load_recording(made.folder).history()
    assert (list(history.globals), list(history.updates)) == ([0, 1, 2, 3, 4, 5], [2, 4, 5])
    assert torch.equal(history.globals[3]["0.weight"], made.rounds[2].after["0.weight"][None])
    assert list(history.updates[4]) == [0, 1, 3]
    assert torch.equal(history.updates[4][1]["0.bias"], made.rounds[3].deltas[1]["0.bias"][None])
    assert {client: float(weight) for client, weight in history.weights[3].items()} == {0: 0.3, 1: 0.45, 3: 0.25}
    with pytest.raises(KeyError):
        history.updates[1]


def told_of(folder: Path, federation: SimulatedFederation | None = None) -> str:
    with pytest.raises(UnlearningError) as caught:
        load_recording(folder, federation)
    assert (caught.value.code, caught.value.exit_code) == ("unlearning.recording", 2)
    assert "\n" not in caught.value.message
    return caught.value.message


def test_a_missing_or_altered_file_is_one_sentence(record: Record) -> None:
    made = record(global_models="interval", client_updates="last")
    for name in made.files():
        path = made.folder / name
        sound = path.read_bytes()
        path.unlink()
        assert told_of(made.folder) == f"recording: {name} is missing"
        for place in (0, 9, len(sound) // 2, len(sound) - 1):
            flipped = bytearray(sound)
            flipped[place] ^= 1
            path.write_bytes(flipped)
            assert told_of(made.folder) == f"recording: {name} is not the file that was recorded: its SHA-256 differs"
        path.write_bytes(sound)
    load_recording(made.folder)


def test_a_file_that_changes_after_loading_is_noticed_when_it_is_read(record: Record) -> None:
    made = record()
    recording = load_recording(made.folder)
    save_file({"0.weight": torch.zeros(1)}, made.folder / "round-0002/global.safetensors")
    with pytest.raises(UnlearningError, match="is not the file that was recorded"):
        recording.global_model(2)


@pytest.mark.parametrize(
    ("key", "value", "told"),
    [
        ("schema", "fedaudit.recording/2", "schema"),
        ("rounds", 4, "the rounds of a recording ascend to 4"),
        ("data", "00", "data"),
        ("modes", {"global_models": "some"}, "modes.global_models"),
        ("other", 1, "other: Extra inputs"),
        ("kept", [{"round": 1, "participants": [0], "weights": []}], "1 participants have 0 weights"),
        ("kept", [{"round": 1, "updates": [{"client": 4, "sha256": "0" * 64}]}], "took no part"),
        ("kept", [{"round": 2}, {"round": 1}], "ascend"),
    ],
)
def test_a_wrong_key_is_named(record: Record, key: str, value: object, told: str) -> None:
    made = record()
    path = made.folder / "recording.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {key: value}))
    message = told_of(made.folder)
    assert message.startswith("recording: recording.json: ")
    assert told in message


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"\xff", b'{"a":1,"a":1}', b"NaN"])
def test_what_is_no_json_of_ours_is_one_sentence(record: Record, content: bytes) -> None:
    made = record()
    (made.folder / "recording.json").write_bytes(content)
    assert told_of(made.folder).startswith("recording: recording.json: ")


def test_a_training_that_was_stopped_leaves_no_recording(record: Record, tmp_path: Path) -> None:
    made = record()
    folder = tmp_path / "stopped"

    def stopped() -> None:
        with Recorder(folder, made.federation) as recorder:
            recorder(made.rounds[0])
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        stopped()
    assert told_of(folder) == "stopped: there is no recording.json, so no training was recorded here to its end"
    with pytest.raises(UnlearningError, match="no round was recorded"):
        Recorder(tmp_path / "nothing", made.federation).close()


def test_a_recording_is_never_overwritten(record: Record, tmp_path: Path) -> None:
    made = record()
    with pytest.raises(UnlearningError, match="recording is not empty"):
        Recorder(made.folder, made.federation)
    (tmp_path / "file").touch()
    with pytest.raises(UnlearningError, match="cannot record to file"):
        Recorder(tmp_path / "file", made.federation)


def test_a_recording_of_another_federation_is_refused(record: Record) -> None:
    made = record()
    federation = made.federation
    load_recording(made.folder, federation)
    moved = federation.data.clients[1].take([1, 0, *range(2, 9)])
    clients = (federation.data.clients[0], moved, *federation.data.clients[2:])
    other = replace(federation, data=replace(federation.data, clients=clients))
    assert "another data" in told_of(made.folder, other)
    longer = replace(federation, recipe=federation.recipe.model_copy(update={"rounds": 6}))
    assert "another recipe" in told_of(made.folder, longer)
    wider = replace(federation, untrained=lambda: nn.Linear(4, 3))
    assert "holds other tensors than the federation's model" in told_of(made.folder, wider)


def test_what_was_not_kept_is_told_with_what_was(record: Record) -> None:
    made = record(global_models="interval")
    recording = load_recording(made.folder)
    with pytest.raises(UnlearningError, match=r"round 3 is not kept \(kept are: 0, 2, 4, 5\)"):
        recording.global_model(3)
    with pytest.raises(UnlearningError, match="update of client 1 in round 2 is not kept"):
        recording.client_update(2, 1)


def test_a_models_bytes_are_those_of_its_file(tmp_path: Path) -> None:
    tied = torch.arange(6.0).reshape(2, 3)
    tensors = {"b": tied.T, "a": tied}
    save_file({"b": tied.T.contiguous(), "a": tied.clone()}, tmp_path / "model.safetensors")
    assert tensor_bytes(tensors) == (tmp_path / "model.safetensors").read_bytes()
