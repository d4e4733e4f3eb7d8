"""Files made to run code, or to lie, at every place where a system file can name one: refused before anything is built.

Each is put where a sound file lay, and both commands that read a system are asked about it: exit code 2, one sentence,
no bundle, and no trace of the code that a file carries. The formats one by one are in `tests/reports/test_formats.py`.
"""

import contextlib
import io
import itertools
import json
import os
import pickle
import struct
import warnings
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from audit.cli.main import run

PLACES = ("model.safetensors", "updates/00001.safetensors", "updates/00001.npz", "reference.npz", "layers.json")
"""Files of the planted federation, each named by another key of its system file."""
REFUSED = "is a pickle-based format that can run code; save it as safetensors"


class Trap:
    """Runs code when it is unpickled: leaves a sentinel."""

    def __init__(self, sentinel: Path) -> None:
        self.sentinel = sentinel

    def __reduce__(self) -> tuple[Any, ...]:
        return (os.mkdir, (str(self.sentinel),))


@dataclass(frozen=True)
class Victim:
    """A planted federation, and both ways to ask about it."""

    folder: Path
    sentinel: Path
    capsys: pytest.CaptureFixture[str]

    def declare(self, place: str, name: str, content: bytes) -> None:
        """Put a file beside the one at `place`, and let the system file name it instead."""
        path = str(Path(place).with_name(name))
        (self.folder / path).write_bytes(content)
        file = self.folder / "system.toml"
        text = file.read_text()
        assert f'"{place}"' in text
        file.write_text(text.replace(f'"{place}"', f'"{path}"'))

    def refusals(self) -> set[str]:
        """What both commands say on stderr, each in one sentence and with exit code 2."""
        system, bundle = str(self.folder / "system.toml"), self.folder / "bundle"
        said = set()
        for line in (["run", system, "-o", str(bundle)], ["attack", "run", system]):
            assert run([*line, "--effort", "smoke"]) == 2
            out, err = self.capsys.readouterr()
            assert out == ""
            assert err.startswith("error: ")
            assert "Traceback" not in err
            said.add(err.splitlines()[0].removeprefix("error: "))
        assert not bundle.exists()
        assert not self.sentinel.exists()
        return said


@pytest.fixture
def victim(planted: Callable[..., Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Victim:
    return Victim(planted(clients=2, reference=20), tmp_path / "code-was-run", capsys)


def zipped(members: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return buffer.getvalue()


def npy(array: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    np.lib.format.write_array(buffer, array, allow_pickle=True)
    return buffer.getvalue()


def torch_saved(value: object, **options: Any) -> bytes:
    buffer = io.BytesIO()
    torch.save(value, buffer, **options)
    return buffer.getvalue()


def safetensors(header: object, data: bytes = b"") -> bytes:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + data


def crafted_export(trap: Trap) -> bytes:
    """An exported program whose sample inputs are a pickle that `weights_only=True` refuses.

    `deserialize_torch_artifact` of torch/_export/serde/serialize.py then loads it again with `weights_only=False`.
    """
    buffer = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch's own, about its export
        torch.export.save(torch.export.export(torch.nn.Linear(2, 2), (torch.zeros(1, 2),)), buffer)
    with zipfile.ZipFile(buffer) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    [inputs] = [name for name in members if "sample_inputs" in name or name.endswith("example_inputs.pt")]
    return zipped(members | {inputs: torch_saved((trap,))})


def forged_export(trap: Trap) -> bytes:
    """The members by which such a program is known, without the three seconds that torch takes to write one."""
    members = {
        "archive_format": b"pt2",
        "models/model.json": b"{}",
        "data/sample_inputs/model.pt": torch_saved((trap,)),
    }
    return zipped({f"m/{name}": data for name, data in members.items()})


NAMES = ("model.pt2", "model.safetensors.pt2", "weights.safetensors", "weights.dat")


@pytest.mark.parametrize("name", NAMES)
def test_an_exported_program_is_refused_under_every_name(victim: Victim, name: str) -> None:
    victim.declare("model.safetensors", name, forged_export(Trap(victim.sentinel)))
    assert victim.refusals() == {f"system.toml: model.checkpoint: refused: {name} {REFUSED}"}


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_a_crafted_exported_program_is_live_and_refused_all_the_same(victim: Victim) -> None:
    content = crafted_export(Trap(victim.sentinel))
    for earlier, name in itertools.pairwise(("model.safetensors", *NAMES)):
        victim.declare(earlier, name, content)
        assert victim.refusals() == {f"system.toml: model.checkpoint: refused: {name} {REFUSED}"}
    with contextlib.suppress(Exception):  # whatever torch says afterwards, the code has run
        torch.export.load(victim.folder / "model.pt2")
    assert victim.sentinel.exists()  # positive control: torch's own reader runs what the program carries


PICKLED: dict[str, Callable[[Trap], bytes]] = {
    "pickle": lambda trap: pickle.dumps(trap),
    "torch.save": lambda trap: torch_saved({"w": trap}),
    "torch.save, legacy": lambda trap: torch_saved({"w": trap}, _use_new_zipfile_serialization=False),
    "TorchScript": lambda trap: zipped({"m/code/__torch__.py": b"import os", "m/data.pkl": pickle.dumps(trap)}),
    "array of objects": lambda trap: npy(np.array([trap], dtype=object)),
    "npz of objects": lambda trap: zipped({"x.npy": npy(np.ones(3)), "y.npy": npy(np.array([trap], dtype=object))}),
}


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("kind", PICKLED)
def test_a_pickle_under_the_suffix_of_the_file_it_replaces_is_refused(victim: Victim, place: str, kind: str) -> None:
    content = PICKLED[kind](Trap(victim.sentinel))
    name = f"changed{Path(place).suffix}"
    victim.declare(place, name, content)
    [said] = victim.refusals()
    assert said.endswith(f"refused: {name} {REFUSED}")


@pytest.mark.parametrize(
    "name", ["m.pt", "m.pth", "m.bin", "m.pkl", "m.PT2", "m.pickle", "m.ckpt", "m.joblib", "m.pt.gz"]
)
def test_a_suffix_that_stands_for_a_pickle_is_refused_whatever_is_in_the_file(victim: Victim, name: str) -> None:
    victim.declare("model.safetensors", name, b"harmless words")
    [said] = victim.refusals()
    assert said == f"system.toml: model.checkpoint: refused: {name} {REFUSED}"


def test_every_trap_is_live(victim: Victim) -> None:
    """The positive control: each of the pickles above runs code when somebody opens it as one."""
    readers: dict[str, Callable[[bytes], object]] = {
        "pickle": pickle.loads,
        "torch.save": lambda data: torch.load(io.BytesIO(data), weights_only=False),
        "torch.save, legacy": lambda data: torch.load(io.BytesIO(data), weights_only=False),
        "TorchScript": lambda data: pickle.loads(zipfile.ZipFile(io.BytesIO(data)).read("m/data.pkl")),
        "array of objects": lambda data: np.load(io.BytesIO(data), allow_pickle=True),
        "npz of objects": lambda data: np.load(io.BytesIO(data), allow_pickle=True)["y"],
    }
    for kind, read in readers.items():
        read(PICKLED[kind](Trap(victim.sentinel)))
        assert victim.sentinel.is_dir(), kind
        victim.sentinel.rmdir()


ENTRY = {"dtype": "F32", "shape": [2, 2], "data_offsets": [0, 16]}
HUGE = {"dtype": "F32", "shape": [2**40, 2], "data_offsets": [0, 2**43]}


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"", "header says it is 0 bytes long, the file has 0"),
        (struct.pack("<Q", 2**63) + b"{}", "header says it is 9223372036854775808 bytes long, the file has 10"),
        (struct.pack("<Q", 32 << 20) + bytes(32 << 20), "header says it is 33554432 bytes long, more than 16777216"),
        (safetensors({"w": ENTRY}, bytes(15)), "header says the tensors take 16 bytes, the file holds 15"),
        (safetensors({"w": ENTRY | {"shape": [2, 3]}}, bytes(16)), "header says tensor 'w' has 16 bytes"),
        (safetensors({"w": HUGE}, bytes(16)), "header says the tensors take 8796093022208 bytes, the file holds 16"),
        (safetensors({"w": ENTRY, "v": ENTRY}, bytes(16)), "header says tensor 'v' begins at byte 0, 16 comes next"),
    ],
    ids=["empty", "length-lies", "oversized", "truncated", "shape-lies", "tensor-of-terabytes", "overlap"],
)
@pytest.mark.parametrize("place", ["model.safetensors", "updates/00001.safetensors"])
def test_a_header_that_lies_is_told(victim: Victim, place: str, content: bytes, problem: str) -> None:
    victim.declare(place, "changed.safetensors", content)
    [said] = victim.refusals()
    assert f"cannot read changed.safetensors: {problem}" in said


def bomb() -> bytes:
    """Two arrays of zeros that the directory says unpack to 4 GiB each."""
    rows = {"descr": "|u1", "fortran_order": False, "shape": (2**32 - 130,)}
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(header, rows)
    content = bytearray(zipped({f"{name}.npy": header.getvalue() + bytes(1 << 16) for name in "xy"}))
    at = 0
    while (at := content.find(b"PK\x01\x02", at)) >= 0:
        content[at + 24 : at + 28] = struct.pack("<I", 2**32 - 2)
        at += 4
    return bytes(content)


@pytest.mark.parametrize("place", ["updates/00001.npz", "reference.npz"])
def test_a_zip_bomb_is_told_before_it_is_unpacked(victim: Victim, place: str) -> None:
    victim.declare(place, "bomb.npz", bomb())
    [said] = victim.refusals()
    assert "cannot read bomb.npz: header says it unpacks to 8589934588 bytes, more than the 4294967296 allowed" in said


def test_a_file_that_unpacks_to_more_than_it_declares_is_told(victim: Victim) -> None:
    rows = {"descr": "<f8", "fortran_order": False, "shape": (2**40,)}
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(header, rows)
    victim.declare("reference.npz", "more.npz", zipped({"x.npy": header.getvalue() + bytes(800)}))
    [said] = victim.refusals()
    assert "cannot read more.npz: header says array 'x' takes 8796093022" in said


def test_a_layer_list_that_no_memory_holds_is_told(victim: Victim) -> None:
    layers = [
        {"type": "Linear", "in_features": 64, "out_features": 10**9},
        {"type": "Linear", "in_features": 10**9, "out_features": 10**9},
    ]
    (victim.folder / "layers.json").write_text(json.dumps(layers))
    assert run(["attack", "run", str(victim.folder / "system.toml"), "attack.linear"]) == 2
    assert "layers.json: the layers have 1,000,000,066,000,000,000 parameters" in victim.capsys.readouterr().err


def test_one_pickle_in_a_folder_of_weights_refuses_the_folder(victim: Victim) -> None:
    folder = victim.folder / "llm"
    folder.mkdir()
    (victim.folder / "model.safetensors").rename(folder / "model.safetensors")
    (folder / "pytorch_model.bin").write_bytes(torch_saved({"w": Trap(victim.sentinel)}))
    file = victim.folder / "system.toml"
    file.write_text(file.read_text().replace('"model.safetensors"', '"llm"'))
    [said] = victim.refusals()
    assert said.endswith(f"refused: pytorch_model.bin {REFUSED}")


def test_the_sound_federation_is_not_refused(victim: Victim) -> None:
    """The negative control: with none of this, both commands do their work."""
    system = str(victim.folder / "system.toml")
    assert run(["attack", "run", system, "attack.linear", "--effort", "smoke"]) == 0
    line = ["run", system, "-o", str(victim.folder / "bundle"), "--no-render", "--only", "attack.linear"]
    assert run([*line, "--effort", "smoke"]) == 0
