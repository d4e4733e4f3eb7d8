"""Files that a system names, at every place where one is read: loaded or refused in documented words, and nothing runs.

An input is a letter, which says whose file it is, and the file. Each goes the whole way: `load_system`, then the reader
that a check would call. Some mutations smuggle a live pickle in; the directory that it would make must never appear.
"""

import io
import json
import os
import pickle
import random
import tempfile
import warnings
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from mutation import Mutate, fuzz, mutate_bytes, mutate_value, refusal
from safetensors.torch import save

from audit.attacks.membership_scores import read_scores
from audit.dp.canary_scores import read_canary_scores
from audit.dp.record import read_record
from audit.dp.recorded import recorded_rounds
from audit.load import planted_updates, reference_records
from audit.load_arrays import planted_arrays
from audit.manifest import LoadedSystem, load_system
from reports.errors import FedauditError
from unlearning.models import load_model

SYSTEM = """[system]
name = "ward"
version = "1"
[federation.differential_privacy]
record = "record.json"
[model]
checkpoint = "model.safetensors"
layers = "layers.json"
input_shape = [4]
classes = 3
[[updates]]
path = "update.safetensors"
kind = "gradient"
truth = "truth.npz"
round = 1
[[updates]]
path = "sum.safetensors"
kind = "aggregate"
of = "gradient"
clients = 1
round = 1
[[updates]]
path = "embedding.npz"
kind = "embedding"
truth = "truth.npz"
[[data]]
role = "reference"
path = "reference.npz"
[[data]]
role = "membership-scores"
path = "membership.npz"
[[data]]
role = "canary-scores"
path = "canaries.npz"
"""
LAYERS = [{"type": "Linear", "in_features": 4, "out_features": 3, "bias": True}, {"type": "ReLU"}]
TENSORS = {"0.weight": torch.arange(12.0).reshape(3, 4) / 7, "0.bias": torch.ones(3)}
RECORD = {
    "schema": "fedaudit.dp-record/1", "history": [[1.1, 0.01, 100]], "accountant": "prv", "poisson_sampling": True,
    "secure_mode": False, "clipping": "flat", "max_grad_norm": 1.0, "expected_batch_size": 256, "dataset_size": 60000,
    "generator_seed": None, "modules": ["Conv2d", "Linear"],
}  # fmt: skip


def npz(**arrays: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    np.savez(buffer, **arrays)  # type: ignore[arg-type]  # its stub mixes the arrays up with its own options
    return buffer.getvalue()


def half(count: int) -> np.ndarray:
    return np.arange(count) % 2 == 0


RECORDS = npz(x=np.arange(8, dtype=np.float32).reshape(2, 4) / 8, y=np.array([0, 2]))
FILES: dict[bytes, tuple[str, bytes]] = {
    b"u": ("update.safetensors", save(TENSORS)),
    b"a": ("sum.safetensors", save(TENSORS)),
    b"m": ("model.safetensors", save(TENSORS)),
    b"t": ("truth.npz", RECORDS),
    b"r": ("reference.npz", RECORDS),
    b"e": ("embedding.npz", npz(embedding=np.arange(6.0).reshape(2, 3))),
    b"s": (
        "membership.npz",
        npz(target=np.arange(40.0), member=half(40), shadow=np.ones((2, 40)), shadow_member=np.stack([half(40)] * 2)),
    ),
    b"c": ("canaries.npz", npz(score=np.arange(40.0), included=half(40))),
    b"l": ("layers.json", json.dumps(LAYERS).encode()),
    b"d": ("record.json", json.dumps(RECORD).encode()),
}
"""By letter: the file's name, and a sound one."""
DTYPES = ("i1", "u1", "<u2", ">i4", "<i8", "<f2", ">f4", "<f8", "?", "<c8", "<U3", "S2")


def records(found: LoadedSystem) -> None:
    """Read updates and embeddings, both of which name the truth; what comes through is finite and fits the model."""
    for update in planted_updates(found.system, found.folder).updates:
        assert {name: tensor.shape for name, tensor in update.tensors.items()} == {
            name: tensor.shape for name, tensor in TENSORS.items()
        }
        assert all(torch.isfinite(tensor).all() for tensor in update.tensors.values())
        if update.truth is None:
            continue  # the sum names none
        assert update.truth.x.shape[1:] == (4,)
        assert torch.isfinite(update.truth.x).all()
        assert set(update.truth.y.tolist()) <= {0, 1, 2}
    arrays, _ = planted_arrays(found.system, found.folder, "embedding")
    assert all(np.isfinite(one.values).all() for one in arrays)


def rounds(found: LoadedSystem) -> None:
    """Read a round's sum and contributions as views of their files, every number of them."""
    for released, contributions in recorded_rounds(found.system, found.folder).rounds:
        for tensors in (released, *contributions):
            for name in tensors:
                assert np.asarray(tensors[name]).tobytes() is not None


def both(found: LoadedSystem) -> None:
    """Read an update by both doors; what the one refuses, the other is still asked."""
    try:
        records(found)
    finally:
        rounds(found)


def model(found: LoadedSystem) -> None:
    assert found.system.model is not None
    load_model(found.system.model, found.folder)


def membership(found: LoadedSystem) -> None:
    for scored in filter(None, read_scores(found.system.data[1].path, found.folder)):
        assert np.isfinite(scored.target).all()
        assert scored.member.dtype == np.bool_


def canaries(found: LoadedSystem) -> None:
    scores = read_canary_scores(found.folder, found.system.data[2].path, "data[2]").system
    assert np.isfinite(scores.score).all()
    assert 0 < scores.included.sum() < len(scores.included)


def record(found: LoadedSystem) -> None:
    read_record(found.folder / "record.json")


def public(found: LoadedSystem) -> None:
    reference_records(found.system, found.folder)


READERS: dict[bytes, Callable[[LoadedSystem], object]] = {
    b"u": both, b"a": rounds, b"m": model, b"t": records, b"r": public, b"e": records, b"s": membership, b"c": canaries,
    b"l": model, b"d": record,
}  # fmt: skip


class Trap:
    """Makes a directory when it is unpickled."""

    def __init__(self, sentinel: Path) -> None:
        self.sentinel = sentinel

    def __reduce__(self) -> tuple[Any, ...]:
        return (os.mkdir, (str(self.sentinel),))


def mutate_file(data: bytes, rng: random.Random) -> bytes:
    """Return an input with bytes of its file changed; the letter stays."""
    return data[:1] + mutate_bytes(data[1:], rng)


def mutate_inside(data: bytes, rng: random.Random) -> bytes:
    """Return an input whose file is still of its format: a header, an array or a JSON value is another."""
    letter, content = data[:1], data[1:]
    try:
        if FILES[letter][0].endswith(".json"):
            return letter + json.dumps(mutate_value(json.loads(content), rng)).encode()
        if FILES[letter][0].endswith(".npz"):
            return letter + _other_arrays(content, rng)
        size = int.from_bytes(content[:8], "little")
        header = json.dumps(mutate_value(json.loads(content[8 : 8 + size]), rng)).encode()
        return letter + len(header).to_bytes(8, "little") + header + content[8 + size :]
    except Exception:  # NumPy and zipfile raise a dozen kinds on a file that an earlier mutation left unreadable
        return mutate_file(data, rng)


def _other_arrays(content: bytes, rng: random.Random) -> bytes:
    """Return an npz with one array of another kind or shape, gone, renamed, or with its own header edited."""
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    name = rng.choice(list(members))
    match rng.randrange(6):
        case 0:
            members[rng.choice(("x.npy", "z.npy", "../x.npy", "x", "control_score.npy"))] = members.pop(name)
        case 1:
            head = members[name].find(b"}")
            members[name] = mutate_bytes(members[name][:head], rng) + members[name][head:]
        case _:
            members[name] = _npy(_odd_array(members[name], rng))
    buffer = io.BytesIO()
    with warnings.catch_warnings(), zipfile.ZipFile(buffer, "w") as archive:
        warnings.simplefilter("ignore")  # of a name that is there twice
        for member, data in members.items():
            archive.writestr(member, data)
    return buffer.getvalue()


def _odd_array(data: bytes, rng: random.Random) -> np.ndarray:
    array = np.load(io.BytesIO(data), allow_pickle=False)
    match rng.randrange(5):
        case 0:
            return array.astype(rng.choice(DTYPES))
        case 1:
            return np.zeros(tuple(rng.choice((0, 1, 2, 3, 40)) for _ in range(rng.randrange(4))), array.dtype)
        case 2:
            return array[..., None] if rng.random() < 0.5 else array[:1]
        case 3 if array.dtype.kind == "f" and array.size:
            array.flat[rng.randrange(array.size)] = rng.choice((np.nan, np.inf, -np.inf, 1e38, -0.0))
            return array
        case _:
            return np.asfortranarray(np.flip(array))


def _npy(array: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    np.lib.format.write_array(buffer, array, allow_pickle=True)
    return buffer.getvalue()


def smuggling(sentinel: Path) -> Mutate:
    """Return the mutation that puts a live pickle into a file: as the whole of it, in its midst, or as an array."""
    trap = Trap(sentinel)

    def smuggle(data: bytes, rng: random.Random) -> bytes:
        carried = pickle.dumps(trap, rng.choice((0, 2, 4, 5)))
        match rng.randrange(4):
            case 0:
                return data[:1] + carried
            case 1:
                return data[:1] + npz(x=np.ones(2), y=np.array([trap], dtype=object))
            case 2:
                saved = io.BytesIO()
                torch.save({"w": trap}, saved)
                return data[:1] + saved.getvalue()
            case _:
                at = rng.randrange(1, len(data) + 1)
                return data[:at] + carried + data[at:]

    return smuggle


def write(folder: Path) -> None:
    """Write the sound folder."""
    (folder / "system.toml").write_text(SYSTEM)
    for name, content in FILES.values():
        (folder / name).write_bytes(content)


def step(data: bytes, folder: Path, sentinel: Path) -> str:
    """Put a file in its place, load the system, read the file, and put the sound one back."""
    letter, content = data[:1], data[1:]
    name, sound = FILES[letter]
    (folder / name).write_bytes(content)
    try:
        READERS[letter](load_system(folder / "system.toml"))
    except FedauditError as error:
        return f"{refusal(error)} [{name}]"
    finally:
        (folder / name).write_bytes(sound)
        assert not sentinel.exists(), "code of a file was run"
    return "accepted"


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as place:
        root, sentinel = Path(place) / "system", Path(place) / "code-was-run"
        root.mkdir()
        write(root)
        torch.set_num_threads(1)
        mutations: list[Mutate] = [mutate_inside, mutate_inside, mutate_inside, mutate_file, smuggling(sentinel)]
        seeds = [letter + content for letter, (_, content) in FILES.items()]
        warnings.simplefilter("ignore", RuntimeWarning)  # numbers that a narrower format cannot hold
        fuzz("artifacts", seeds, lambda data: step(data, root, sentinel), mutations)
