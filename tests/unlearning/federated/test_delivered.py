"""What was delivered, joined with its record: complete where both are sound, and as far as can be where not."""

from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from reports.artifacts import read_tensors
from unlearning.errors import FederationFileError, ModelMismatch
from unlearning.federated.delivered import Delivered
from unlearning.federated.methods import method
from unlearning.federated.transcript import DataFile

DATA = '[[data]]\nrole = "{}"\npath = "{}"\n'
CODE = "import torch\n\n\ndef build():\n    return torch.nn.Sequential({})\n"
PERCEPTRON = "torch.nn.Linear(6, 5), torch.nn.ReLU(), torch.nn.Linear(5, 3)"


def codes(delivered: Delivered) -> list[str]:
    return [fault.code for fault in delivered.faults]


def same(one: Any, other: Any) -> bool:
    return torch.equal(one.x, other.x) and torch.equal(one.y, other.y)


def named(folder: Path, file: str, **changed: Any) -> DataFile:
    """What a transcript says of a file that lies there."""
    read = np.load(folder / file, allow_pickle=False)
    said = {"path": file, "sha256": sha256((folder / file).read_bytes()).hexdigest(), "examples": len(read["y"])}
    return DataFile(**(said | changed))


def put(folder: Path, name: str, **changed: Any) -> None:
    """Write an npz file again with other arrays; None leaves one out."""
    arrays = dict(np.load(folder / name, allow_pickle=False)) | changed
    np.savez(folder / name, **{key: one for key, one in arrays.items() if one is not None})


def renamed(erased: Any, **files: DataFile) -> None:
    """Let the transcript name other files."""
    erased.retell(header=lambda one: one.model_copy(update={"data": one.data.model_copy(update=files)}))


@pytest.mark.parametrize("request_", ["client:1", "client:0,3", "sample:0=0,1,4/3=2", "class:2"])
def test_the_federation_stands_as_it_stood_before_the_request(erased, request_: str) -> None:
    written = erased(request_)
    delivered = written.delivered()
    assert (delivered.faults, delivered.lacking) == ((), ())
    assert delivered.header is not None
    assert delivered.close is not None
    federation, split = delivered.federation, delivered.split
    assert federation is not None
    assert split is not None
    assert str(delivered.header.request) == request_
    assert delivered.method == method("rapid-retrain")
    sizes = [len(one) for one in federation.data.clients]
    assert sizes == [8, 6, 7, 5]
    assert delivered.forget is not None
    assert delivered.retain is not None
    assert len(delivered.forget) == len(split.forgotten) == sum(sizes) - len(delivered.retain)
    assert same(delivered.forget, split.forgotten)
    assert same(delivered.retain, split.retained)
    for name, count in {"twin": len(delivered.forget), "test": 20, "holdout": 60, "probes": 9}.items():
        assert len(getattr(delivered, name)) == count
        assert same(getattr(delivered, name), getattr(federation.data, name))


@pytest.mark.parametrize("request_", ["client:1", "sample:0=0,1,4/3=2"])
def test_every_example_stands_in_its_place(erased, small, request_: str) -> None:
    """A class request says no places, and its methods need none."""
    federation = erased(request_).delivered().federation
    assert all(same(*pair) for pair in zip(federation.data.clients, small().data.clients, strict=True))


def test_the_kept_round_is_counted_as_methods_count(erased) -> None:
    written = erased(name="ffum", rounds=3, tol=0.0)
    delivered = written.delivered()
    mins = [one.index for one in delivered.rounds if one.phase == "min"]
    assert delivered.close.kept in mins
    assert delivered.kept == mins.index(delivered.close.kept) + 1
    written.retell(close=lambda one: one.model_copy(update={"kept": mins[1]}))
    assert written.delivered().kept == 2
    written.retell(close=lambda one: one.model_copy(update={"kept": None}))
    assert written.delivered().kept is None


@pytest.mark.parametrize(
    ("old", "new", "code", "told"),
    [
        (
            'kind = "client"',
            'kind = "class"',
            "request",
            "line 1: the request is client:1, declared is",
        ),
        ('"rapid-retrain"', '"retrain"', "method", "line 1: the method is 'rapid-retrain', declared is 'retrain'"),
        ('"before.safetensors"', '"other.safetensors"', "before", "line 1: before is not the digest"),
        ('"after.safetensors"', '"other.safetensors"', "after", "line 3: after is not the digest"),
    ],
)
def test_what_is_declared_otherwise_is_a_fault_of_the_record(erased, old: str, new: str, code: str, told: str) -> None:
    written = erased()
    state = read_tensors(written.folder / "after.safetensors")
    save_file({name: one + 1 for name, one in state.items()}, written.folder / "other.safetensors")
    written.edit(old, new)
    [fault] = written.delivered().faults
    assert fault.code == code
    assert fault.message.startswith(told)


def test_a_file_that_the_record_does_not_name_is_a_fault_and_still_used(erased) -> None:
    written = erased()
    x = np.load(written.folder / "retain.npz")["x"]
    put(written.folder, "retain.npz", x=x + np.float32(0.5))
    delivered = written.delivered()
    assert [fault.message for fault in delivered.faults] == [
        "line 1: data.retain: its digest is not that of retain.npz"
    ]
    assert delivered.federation is not None
    assert float(delivered.retain.x.mean()) == pytest.approx(float(x.mean()) + 0.5, abs=1e-5)


def test_a_wrong_count_of_examples_is_a_fault(erased) -> None:
    written = erased()
    renamed(written, forget=named(written.folder, "forget.npz", examples=7))
    renamed(written, probes=named(written.folder, "probes.npz", examples=8))
    assert [fault.message for fault in written.delivered().faults] == [
        "line 1: data.forget: it has 6 examples, not 7",
        "line 1: data.probes: probes.npz has 9 examples, not 8",
    ]


def outside(folder: Path) -> None:
    (folder.parent / "test.npz").write_bytes((folder / "test.npz").read_bytes())
    (folder / "test.npz").unlink()
    (folder / "test.npz").symlink_to(folder.parent / "test.npz")


def loop(folder: Path) -> None:
    (folder / "test.npz").unlink()
    (folder / "test.npz").symlink_to(folder / "test.npz")


def pickled(folder: Path) -> None:
    np.savez(folder / "test.npz", x=np.array([object()]), y=np.zeros(1, dtype=np.int64))


@pytest.mark.parametrize(
    ("spoil", "told"),
    [
        (lambda folder: put(folder, "test.npz", note=np.zeros(1)), "its digest is not that of test.npz"),
        (outside, "'test.npz' leads out of the transcript's folder"),
        (loop, ""),
    ],
)
def test_a_named_file_that_cannot_be_used_is_a_fault_and_declared_data_takes_over(erased, spoil, told: str) -> None:
    written = erased()
    (written.folder / "other.npz").write_bytes((written.folder / "probes.npz").read_bytes())
    written.declare(DATA.format("nonmembers", "other.npz"))
    assert len(written.delivered().test) == 20
    spoil(written.folder)
    delivered = written.delivered()
    [fault] = delivered.faults
    assert (fault.line, fault.code) == (1, "data")
    assert told in fault.message
    assert len(delivered.test) == 9  # of the declared nonmembers
    assert delivered.federation is not None


def test_declared_neighbours_are_read_and_must_be_of_the_models_kind(erased) -> None:
    written = erased()
    assert written.delivered().neighbours is None
    (written.folder / "near.npz").write_bytes((written.folder / "probes.npz").read_bytes())
    written.declare(DATA.format("neighbours", "near.npz"))
    assert same(written.delivered().neighbours, written.delivered().probes)
    put(written.folder, "near.npz", x=np.zeros((9, 4), np.float32))
    with pytest.raises(FederationFileError, match=r"data\.neighbours.*have shape \(4,\), not \(6,\)"):
        written.delivered()


def test_a_named_file_that_is_not_there_is_no_lie(erased) -> None:
    written = erased()
    (written.folder / "test.npz").unlink()
    (written.folder / "probes.npz").unlink()
    delivered = written.delivered()
    assert (delivered.faults, delivered.absent) == ((), ("test.npz", "probes.npz"))
    assert delivered.test is delivered.probes is None
    assert delivered.federation is not None


@pytest.mark.parametrize(
    ("spoil", "told"),
    [
        (pickled, "pickle-based"),
        (lambda folder: put(folder, "test.npz", y=np.full(20, 3)), "y of 'test.npz' reaches from 3 to 3"),
        (lambda folder: put(folder, "test.npz", x=np.zeros((20, 4), np.float32)), "have shape (4,), not (6,)"),
        (lambda folder: put(folder, "test.npz", x=np.full((20, 6), np.nan)), "holds NaN"),
    ],
)
def test_a_named_file_that_holds_something_else_is_a_fault(erased, spoil, told: str) -> None:
    written = erased()
    spoil(written.folder)
    digest = sha256((written.folder / "test.npz").read_bytes()).hexdigest()
    renamed(written, test=DataFile(path="test.npz", sha256=digest, examples=20))
    delivered = written.delivered()
    [fault] = delivered.faults
    assert told in fault.message
    assert delivered.test is None
    assert len(delivered.federation.data.test) == 0


@pytest.mark.parametrize(
    ("request_", "told_request", "told"),
    [
        ("client:1", "client:2", "of client 1 the files hold other examples to be forgotten than client:2 names"),
        ("client:1", "client:9", "there is no client 9 with examples"),
        ("sample:0=0-1", "sample:0=0-2", "of client 0 the files hold other examples"),
        ("sample:0=0-1", "sample:0=0,40", "client 0 has no example 40"),
        ("class:2", "class:1", "of client 0 the files hold other examples"),
    ],
)
def test_a_record_of_another_request_is_a_fault(erased, request_: str, told_request: str, told: str) -> None:
    written = erased(request_)
    written.retell(header=lambda one: one.model_copy(update={"request": told_request}))
    delivered = written.delivered()
    assert "request" in codes(delivered)
    assert any(told in fault.message for fault in delivered.faults)
    assert same(delivered.split.forgotten, delivered.forget)  # what can be measured is measured on the files


@pytest.mark.parametrize("content", [b"", b"\n", b"{}\n", b"\x80\x04", b"nothing of the kind\n", b"[" * 9])
def test_without_a_readable_record_the_rest_is_still_there(erased, content: bytes) -> None:
    written = erased()
    (written.folder / "transcript.jsonl").write_bytes(content)
    delivered = written.delivered()
    assert delivered.faults
    assert all(fault.message.startswith("line ") for fault in delivered.faults)
    assert (delivered.header, delivered.close, delivered.rounds) == (None, None, ())
    assert delivered.lacking == ("unlearning.transcript",)
    assert delivered.federation is delivered.split is delivered.method is delivered.kept is None
    assert (len(delivered.forget), len(delivered.retain), len(delivered.twin)) == (6, 20, 6)
    assert delivered.after.keys() == delivered.before.keys() == delivered.module.state_dict().keys()


def test_a_recipe_that_would_keep_an_auditor_for_ever_is_not_run(erased) -> None:
    written = erased()
    written.retell(lambda header: header.model_copy(
        update={"recipe": header.recipe.model_copy(update={"rounds": 10**9})}
    ))  # fmt: skip
    delivered = written.delivered()
    assert (delivered.federation, delivered.lacking) == (None, ("unlearning.transcript:recipe",))


def test_a_parameter_that_would_keep_an_auditor_for_ever_is_a_fault(erased) -> None:
    written = erased()
    written.retell(lambda header: header.model_copy(update={"parameters": {"rounds": 10**9}}))
    delivered = written.delivered()
    assert delivered.method is None
    assert any("beyond 10000" in fault.message for fault in delivered.faults)


def test_an_endless_record_is_a_fault(erased) -> None:
    written = erased()
    with (written.folder / "transcript.jsonl").open("ab") as file:
        file.write(b"{}\n" * 20_000)
    [fault] = written.delivered().faults
    assert fault.code == "unreadable"
    assert "beyond what a transcript holds" in fault.message


def test_without_a_transcript_the_oracles_of_the_owner_are_what_there_is(erased) -> None:
    written = erased()
    state = read_tensors(written.folder / "after.safetensors")
    save_file({name: one * 2 for name, one in state.items()}, written.folder / "oracle.safetensors")
    written.edit('transcript = "transcript.jsonl"', 'oracles = ["oracle.safetensors", "before.safetensors"]')
    written.declare(DATA.format("nonmembers", "test.npz") + DATA.format("calibration", "holdout.npz"))
    delivered = written.delivered()
    assert (delivered.faults, delivered.header, delivered.lacking) == ((), None, ("unlearning.transcript",))
    assert [torch.equal(one["0.weight"], 2 * state["0.weight"]) for one in delivered.oracles] == [True, False]
    assert (len(delivered.test), len(delivered.holdout), delivered.probes) == (20, 60, None)


def test_what_is_not_declared_is_taken_as_the_record_names_it(erased) -> None:
    written = erased()
    for name in ("forget", "retain", "twin"):
        written.edit(f'{name} = "{name}.npz"\n', "")
    delivered = written.delivered()
    assert (delivered.faults, delivered.lacking) == ((), ())
    assert (len(delivered.forget), len(delivered.retain), len(delivered.twin)) == (6, 20, 6)


def test_without_a_model_there_is_no_federation_and_the_tensors_are_as_they_are(erased) -> None:
    written = erased()
    written.edit('layers = "layers.json"\n', "")
    delivered = written.delivered()
    assert (delivered.module, delivered.federation, delivered.lacking) == (None, None, ("model.layers",))
    assert set(delivered.after) == {"0.weight", "0.bias", "2.weight", "2.bias"}


def test_the_owners_code_runs_only_where_it_is_trusted(erased) -> None:
    written = erased()
    written.edit('layers = "layers.json"', 'definition = "model.py:build"')
    (written.folder / "model.py").write_text(CODE.format(PERCEPTRON))
    assert written.delivered().lacking == ("model.layers",)
    trusted = written.delivered(trust_code=True)
    assert (trusted.lacking, trusted.owner_code) == ((), True)
    assert trusted.federation.build_model(torch.Generator()) is not None


def test_a_client_must_be_told_of_every_example(erased) -> None:
    written = erased()
    put(written.folder, "forget.npz", client=None)
    delivered = written.delivered()
    assert delivered.lacking == ("unlearning.forget:client",)
    assert delivered.federation is None
    assert len(delivered.forget) == 6


@pytest.mark.parametrize(
    ("spoil", "told"),
    [
        (
            lambda folder: put(folder, "forget.npz", y=np.full(6, 3)),
            "forget: y of 'forget.npz' reaches to 3",
        ),
        (
            lambda folder: put(folder, "forget.npz", x=np.zeros((6, 4), np.float32)),
            "the model does not take",
        ),
        (lambda folder: put(folder, "retain.npz", x=np.zeros((20, 4), np.float32)), "have shape (4,), not (6,)"),
        (lambda folder: put(folder, "twin.npz", x=None), "lacks the array 'x'"),
        (lambda folder: put(folder, "retain.npz", client=np.arange(3)), "20 examples, 20 labels and 3 clients"),
        (lambda folder: put(folder, "retain.npz", client=np.full(20, -1)), "client of 'retain.npz' reaches from -1"),
    ],
)
def test_a_declared_file_that_cannot_be_used_is_an_error_with_file_key_and_mend(erased, spoil, told: str) -> None:
    written = erased()
    spoil(written.folder)
    with pytest.raises(FederationFileError) as caught:
        written.delivered()
    assert told in caught.value.message
    assert "system.toml: unlearning (r1): " in caught.value.message
    assert caught.value.hint


def test_a_model_that_gives_no_row_of_logits_is_told(erased) -> None:
    written = erased()
    written.edit('layers = "layers.json"', 'definition = "model.py:build"')
    (written.folder / "model.py").write_text(CODE.format(f"{PERCEPTRON}, torch.nn.Unflatten(1, (3, 1))"))
    with pytest.raises(FederationFileError, match=r"for one example of 'forget.npz' the model gives outputs of shape"):
        written.delivered(trust_code=True)


def test_tensors_of_another_model_are_an_error(erased) -> None:
    written = erased()
    save_file({"0.weight": torch.zeros(2, 2)}, written.folder / "after.safetensors")
    with pytest.raises(ModelMismatch, match=r"after\.safetensors"):
        written.delivered()


def test_the_weights_of_before_in_another_file_are_unchanged_all_the_same(erased) -> None:
    written = erased()
    state = read_tensors(written.folder / "before.safetensors")
    save_file(state, written.folder / "after.safetensors", metadata={"as": "new"})
    written.retell(
        close=lambda one: one.model_copy(
            update={"after": sha256((written.folder / "after.safetensors").read_bytes()).hexdigest()}
        )
    )
    delivered = written.delivered()
    assert delivered.before_sha256 != delivered.after_sha256
    assert "unchanged" in codes(delivered)


def test_a_method_of_nobodys_is_no_fault_and_a_parameter_of_nobodys_is(erased) -> None:
    written = erased()
    written.edit('"rapid-retrain"', '"our-own"')
    written.retell(header=lambda one: one.model_copy(update={"method": "our-own"}))
    delivered = written.delivered()
    assert (delivered.method, delivered.faults) == (None, ())
    written.edit('"our-own"', '"retrain"')
    written.retell(header=lambda one: one.model_copy(update={"method": "retrain", "parameters": {"depth": 3}}))
    delivered = written.delivered()
    assert delivered.method is None
    assert [fault.message for fault in delivered.faults] == ["line 1: retrain takes no parameter 'depth'"]
