"""What an unlearning reads: requests, transcripts, recordings, federations; refused in documented words, or sound.

An input is a letter, which says what it is, and the content. A transcript that is accepted hangs together: its lines
are read once more here, by the definition.
"""

import hashlib
import io
import json
import random
import re
import tempfile
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import rfc8785
import torch
from mutation import Mutate, fuzz, mutate_bytes, mutate_lines, mutate_value, refusal
from torch import nn

from reports.errors import FedauditError
from unlearning.errors import UnlearningError
from unlearning.federated.data import ClientData, FederatedData, SimulatedFederation, load_federation
from unlearning.federated.recipe import TrainingRecipe
from unlearning.federated.recording import Modes, Recorder, load_recording
from unlearning.federated.request import UnlearningRequest, split
from unlearning.federated.training import train
from unlearning.federated.transcript import (
    FAULTS,
    Close,
    DataFile,
    DataFiles,
    Header,
    Round,
    RoundCounts,
    TotalWork,
    TranscriptWriter,
    Versions,
    read_transcript,
    verify_transcript,
)

FEDERATION = """schema = "fedaudit.federation/1"
[data]
train = "train.npz"
test = "train.npz"
holdout = "train.npz"
[model]
architecture = "mlp"
hidden = 6
classes = 3
[training]
rounds = 2
batch_size = 4
learning_rate = 0.1
seed = 7
[recording]
global_models = "interval"
client_updates = "last"
interval = 2
dtype = "float16"
[secure_aggregation]
enabled = true
minimum_group = 2
"""
UNREADABLE = {"malformed", "order", "incomplete"}
"""Faults with which a transcript cannot be read whole."""
DTYPES = ("i1", "u1", "<u2", ">i4", "<f2", ">f4", "<f8", "?", "<c8", "<U3")


def examples(count: int) -> ClientData:
    return ClientData(torch.arange(4.0 * count).reshape(count, 4) / 99, torch.arange(count) % 3)


DATA = FederatedData(tuple(examples(count) for count in (7, 0, 5, 6)), test=examples(3))
SIMULATED = SimulatedFederation(
    DATA, TrainingRecipe(rounds=2, batch_size=4, learning_rate=0.1), lambda: nn.Sequential(nn.Linear(4, 3))
)


def write_transcript(path: Path) -> None:
    """Write a sound transcript."""
    digests = [hashlib.sha256(word).hexdigest() for word in (b"before", b"31", b"32", b"33", b"file")]
    file = DataFile(path="forget.npz", sha256=digests[4], examples=7)
    rounds = [
        Round(index=31, phase="max", participants=(0,), weights=(1.0,), model=digests[1], work=14, capped=0.5),
        Round(index=32, phase="min", participants=(2, 3), weights=(0.5, 0.5), model=digests[2], work=11, loss=0.3),
        Round(index=33, phase="post", participants=(2, 3), model=digests[3], work=11, loss_forget=2.5),
    ]
    with TranscriptWriter(path) as transcript:
        transcript.write(Header(
            request="client:0", method="ffum", parameters={"divergence": "kl", "margin": 0.01}, recipe=SIMULATED.recipe,
            seed=7, before=digests[0], data=DataFiles(forget=file, retain=file),
            versions=Versions(torch="2.13.0", device="cpu", threads=1),
        ))  # fmt: skip
        for one in rounds:
            transcript.write(one)
        transcript.write(Close(
            after=digests[3], kept=32, rounds=RoundCounts(max=1, min=1, post=1),
            work=TotalWork(example_gradients=36, retrain_example_gradients=22), progress="ok",
        ))  # fmt: skip


def ask_for(text: str) -> None:
    """Read a request; what is accepted survives its own string, and splits the data without remainder."""
    request = UnlearningRequest.parse(text)
    assert UnlearningRequest.parse(str(request)) == request
    parts = split(DATA, request)
    assert len(parts.forgotten) + len(parts.retained) == 18
    assert 0 < len(parts.forgotten) < 18


def judge(path: Path) -> str:
    """Judge and read a transcript; both agree on whether it can be read."""
    found = verify_transcript(path)
    codes = {one.code for one in found}
    assert codes <= FAULTS.keys()
    assert list(found) == sorted(found, key=lambda one: one.line)
    assert readable(path) == (not codes & UNREADABLE)
    if not found:
        assert hangs_together(path.read_bytes())
        return "accepted"
    told = sorted({f"{one.code} {re.sub(r'[0-9a-f]{12,}|[0-9]+', '_', one.message)[:60]}" for one in found})
    return f"faults: {' '.join(told)}"[:300]


def readable(path: Path) -> bool:
    """Tell whether a transcript can be read whole; what is refused, is refused as documented."""
    try:
        read_transcript(path)
    except UnlearningError as error:
        refusal(error, prefix="unlearning.transcript")
        return False
    return True


def hangs_together(data: bytes) -> bool:
    """Tell, by the definition, whether every line is canonical and names the digest of the one before."""
    previous = "0" * 64
    for line in data.split(b"\n")[:-1]:
        if rfc8785.dumps(json.loads(line)) != line or json.loads(line)["prev"] != previous:
            return False
        previous = hashlib.sha256(line).hexdigest()
    return data.endswith(b"\n")


def load(folder: Path) -> None:
    """Load a recording; what is accepted can be read to the last tensor."""
    recording = load_recording(folder)
    for number in recording.global_rounds:
        recording.global_model(number)
    for number, held in recording.history().updates.items():
        assert all(recording.client_update(number, client) for client in held)


def chained(lines: list[Any]) -> bytes:
    """Return lines as somebody writes them who knows the format."""
    previous, written = "0" * 64, b""
    for line in lines:
        fields = dict(line) | {"prev": previous}
        if fields.pop("digest", None) is not None:
            fields["digest"] = hashlib.sha256(rfc8785.dumps(fields)).hexdigest()
        data = rfc8785.dumps(fields)
        previous, written = hashlib.sha256(data).hexdigest(), written + data + b"\n"
    return written


def mutate_chained(data: bytes, rng: random.Random) -> bytes:
    """Return a transcript whose values or lines are others, chained anew."""
    if data[:1] != b"t":
        return mutate_content(data, rng)
    try:
        lines = [json.loads(line) for line in data[1:].splitlines()]
        one, other = rng.randrange(len(lines)), rng.randrange(len(lines))
        match rng.randrange(8):
            case 0:
                del lines[one]
            case 1:
                lines.insert(one, lines[other])
            case 2:
                lines[one], lines[other] = lines[other], lines[one]
            case _:
                lines[one] = mutate_value(lines[one], rng)
        return b"t" + chained(lines)
    except (ValueError, TypeError, RecursionError):
        return b"t" + mutate_bytes(data[1:], rng)


def mutate_content(data: bytes, rng: random.Random) -> bytes:
    """Return an input of which the content is still of its format, where it has one."""
    letter, content = data[:1], data[1:]
    try:
        if letter == b"f":
            return letter + mutate_lines(content, rng)
        if letter == b"j":
            return letter + json.dumps(mutate_value(json.loads(content), rng)).encode()
        if letter == b"n":
            return letter + _other_array(content, rng)
    except Exception:  # NumPy and zipfile raise a dozen kinds on a file that an earlier mutation left unreadable
        return letter + mutate_bytes(content, rng)
    return letter + mutate_bytes(content, rng)


def mutate_any(data: bytes, rng: random.Random) -> bytes:
    """Return an input with bytes of its content changed; the letter stays."""
    return data[:1] + mutate_bytes(data[1:], rng)


def _other_array(content: bytes, rng: random.Random) -> bytes:
    """Return an npz with one array of another kind, shape or name."""
    arrays = dict(np.load(io.BytesIO(content), allow_pickle=False))
    name = rng.choice(list(arrays))
    match rng.randrange(4):
        case 0:
            arrays[rng.choice("xyz")] = arrays.pop(name)
        case 1:
            arrays[name] = arrays[name].astype(rng.choice(DTYPES))
        case 2:
            arrays[name] = arrays[name][..., None] if rng.random() < 0.5 else arrays[name][: rng.randrange(3)]
        case _:
            arrays[name].flat[0] = rng.choice((-1, 3, 99, 2**40)) if arrays[name].dtype.kind == "i" else np.nan
    return npz(arrays)


def npz(arrays: dict[str, Any]) -> bytes:
    buffer = io.BytesIO()
    np.savez(buffer, **arrays)
    return buffer.getvalue()


def write(folder: Path) -> dict[bytes, tuple[Path, bytes]]:
    """Write the sound files, and return them by letter."""
    write_transcript(folder / "transcript.jsonl")
    with Recorder(folder / "recording", SIMULATED, Modes(client_updates="last")) as recorder:
        train(SIMULATED, recorder=recorder)
    (folder / "federation.toml").write_text(FEDERATION)
    x, y = torch.cat([one.x for one in DATA.clients]).numpy(), torch.cat([one.y for one in DATA.clients]).numpy()
    (folder / "train.npz").write_bytes(npz({"x": x, "y": y, "client": np.repeat([0, 2, 3], [7, 5, 6])}))
    paths = {
        b"t": folder / "transcript.jsonl", b"j": folder / "recording/recording.json",
        b"g": folder / "recording/round-0002/global.safetensors", b"f": folder / "federation.toml",
        b"n": folder / "train.npz",
    }  # fmt: skip
    return {letter: (path, path.read_bytes()) for letter, path in paths.items()}


def step(data: bytes, folder: Path, files: dict[bytes, tuple[Path, bytes]]) -> str:
    """Put a file in its place, read it, and put the sound one back."""
    letter, content = data[:1], data[1:]
    readers: dict[bytes, Callable[[], object]] = {
        b"q": lambda: ask_for(content.decode("utf-8", "replace")),
        b"t": lambda: judge(folder / "transcript.jsonl"),
        b"j": lambda: load(folder / "recording"),
        b"g": lambda: load(folder / "recording"),
        b"f": lambda: load_federation(folder),
        b"n": lambda: load_federation(folder),
    }
    path, sound = files.get(letter, (None, b""))
    if path is not None:
        path.write_bytes(content)
    try:
        answer = readers[letter]()
    except FedauditError as error:
        return f"{refusal(error)} [{letter.decode()}]"
    finally:
        if path is not None:
            path.write_bytes(sound)
    return answer if isinstance(answer, str) else "accepted"


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as place:
        torch.set_num_threads(1)
        warnings.simplefilter("ignore", RuntimeWarning)  # numbers that a narrower format cannot hold
        root = Path(place)
        found = write(root)
        seeds = [letter + content for letter, (_, content) in found.items()]
        seeds += [b"q" + text for text in (b"client:0,3", b"sample:0=0-2,4/2=1", b"class:2", b"class:0,1")]
        mutations: list[Mutate] = [mutate_chained, mutate_content, mutate_any]
        fuzz("unlearning", seeds, lambda data: step(data, root, found), mutations)
