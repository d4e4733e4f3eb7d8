"""Formats that can run code are refused under every name, and ten thousand mutations run nothing."""

import gzip
import io
import os
import pickle
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from pydantic import BaseModel, ConfigDict
from safetensors.torch import save_file

from reports.artifacts import (
    BrokenFile,
    RefusedFormat,
    check_readable,
    read_jsonl,
    read_npz,
    read_tensors,
    refuse_unsafe,
)
from reports.errors import FileError


class Row(BaseModel):
    model_config = ConfigDict(extra="forbid")
    text: str
    score: float


DOORS: dict[str, Callable[[Path], object]] = {
    ".npz": read_npz,
    ".safetensors": read_tensors,
    ".jsonl": lambda path: read_jsonl(path, Row),
}


class Trap:
    """Runs code when it is unpickled: leaves a sentinel."""

    def __init__(self, sentinel: Path) -> None:
        self.sentinel = sentinel

    def __reduce__(self) -> tuple[Any, ...]:
        return (os.mkdir, (str(self.sentinel),))


@pytest.fixture
def sentinel(tmp_path: Path) -> Path:
    return tmp_path / "code-was-run"


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


def everything_that_reads(path: Path) -> None:
    """Hand the file to each door."""
    check_readable(path)
    DOORS.get(path.suffix, refuse_unsafe)(path)


def torch_files(folder: Path) -> dict[str, bytes]:
    model = torch.nn.Linear(2, 3)
    torch.save(model.state_dict(), folder / "zip.pt")
    torch.save(model.state_dict(), folder / "legacy.pt", _use_new_zipfile_serialization=False)
    return {name: (folder / name).read_bytes() for name in ("zip.pt", "legacy.pt")}


@pytest.mark.parametrize("suffix", [".safetensors", ".npz", ".json", ".weights", ".pt", ""])
def test_every_pickle_is_refused_under_every_name_and_runs_nothing(tmp_path: Path, sentinel: Path, suffix: str) -> None:
    contents = [pickle.dumps(Trap(sentinel), protocol) for protocol in (2, 3, 4, 5)]
    contents += torch_files(tmp_path).values()
    contents += [
        zipped({"archive/data.pkl": pickle.dumps(Trap(sentinel)), "archive/version": b"3"}),  # torch.save
        zipped({"m/code/__torch__.py": b"import os", "m/version": b"3"}),  # TorchScript
        zipped({"e/archive_format": b"pt2", "e/models/model.json": b"{}"}),  # torch.export, 2.8 and later
        zipped({"serialized_exported_program.json": b"{}", "version": b"1"}),  # torch.export before
        zipped({"model.weights.h5": b"\x89HDF\r\n\x1a\n", "config.json": b"{}"}),  # Keras
    ]
    for number, content in enumerate(contents):
        file = tmp_path / f"victim-{number}{suffix}"
        file.write_bytes(content)
        with pytest.raises(RefusedFormat, match=f"refused: victim-{number}"):
            everything_that_reads(file)
    assert not sentinel.exists()
    pickle.loads(contents[0])
    assert sentinel.exists()  # positive control: the trap is live


@pytest.mark.parametrize(
    "name",
    ["m.pt", "m.PTH", "pytorch_model.bin", "m.pkl", "m.pt2", "m.pkl.gz", "m.joblib", "m.h5", "m.keras", "m.ckpt"],
)
def test_a_suffix_is_enough_to_be_refused(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(b"harmless words")
    with pytest.raises(RefusedFormat, match=r"can (run|carry) code(.|\n)*safetensors"):
        refuse_unsafe(tmp_path / name)


def test_a_refusal_says_what_was_found_and_the_mend(tmp_path: Path) -> None:
    (tmp_path / "model.pt").write_bytes(b"")
    with pytest.raises(RefusedFormat) as caught:
        refuse_unsafe(tmp_path / "model.pt")
    assert caught.value.message == (
        "refused: model.pt is a pickle-based format that can run code; save it as safetensors"
    )
    assert "suffix .pt" in caught.value.hint
    assert (caught.value.exit_code, isinstance(caught.value, FileError)) == (2, True)
    again = pickle.loads(pickle.dumps(caught.value))  # errors of workers travel
    assert (str(again), type(again)) == (str(caught.value), RefusedFormat)


@pytest.mark.parametrize("wrapped", [False, True])
def test_an_array_of_objects_is_refused(tmp_path: Path, sentinel: Path, wrapped: bool) -> None:
    array = np.array([Trap(sentinel)], dtype=object)
    file = tmp_path / ("a.npz" if wrapped else "a.npy")
    file.write_bytes(zipped({"x.npy": npy(np.ones(3)), "y.npy": npy(array)}) if wrapped else npy(array))
    with pytest.raises(RefusedFormat, match="pickle"):
        refuse_unsafe(file)
    if wrapped:
        with pytest.raises(RefusedFormat):
            read_npz(file)
    assert not sentinel.exists()


def test_a_structured_array_with_an_object_inside_is_refused(tmp_path: Path, sentinel: Path) -> None:
    array = np.array([(1, Trap(sentinel))], dtype=[("a", "<i4"), ("b", "O")])
    (tmp_path / "a.npz").write_bytes(zipped({"x.npy": npy(array)}))
    with pytest.raises(RefusedFormat):
        check_readable(tmp_path / "a.npz")
    assert not sentinel.exists()


def test_one_unsafe_file_refuses_its_folder(tmp_path: Path) -> None:
    folder = tmp_path / "llm"
    (folder / "nested").mkdir(parents=True)
    save_file({"w": torch.ones(2)}, folder / "model.safetensors")
    check_readable(folder)  # the twin without it
    (folder / "nested" / "pytorch_model.bin").write_bytes(b"")
    with pytest.raises(RefusedFormat, match=r"pytorch_model\.bin"):
        check_readable(folder)


def test_an_office_document_is_no_pickle(tmp_path: Path) -> None:
    (tmp_path / "d.docx").write_bytes(zipped({"word/document.xml": b"<w/>", "word/printerSettings1.bin": b"x"}))
    refuse_unsafe(tmp_path / "d.docx")


def corpus(folder: Path, sentinel: Path) -> dict[str, list[bytes]]:
    save_file({"0.weight": torch.arange(6.0).reshape(2, 3), "0.bias": torch.ones(2)}, folder / "m.safetensors")
    arrays = {"x": np.arange(12.0).reshape(3, 4), "y": np.array([0, 1, 2])}
    np.savez(folder / "a.npz", **arrays)  # type: ignore[arg-type]
    np.savez_compressed(folder / "b.npz", **arrays)  # type: ignore[arg-type]
    unsafe = [
        pickle.dumps(Trap(sentinel)),
        npy(np.array([Trap(sentinel)], dtype=object)),
        *torch_files(folder).values(),
    ]
    unsafe.append(zipped({"x.npy": npy(np.array([Trap(sentinel)], dtype=object))}))
    return {
        ".safetensors": [(folder / "m.safetensors").read_bytes(), *unsafe],
        ".npz": [(folder / "a.npz").read_bytes(), (folder / "b.npz").read_bytes(), *unsafe],
        ".jsonl": [b'{"text": "a", "score": 1.5}\n{"text": "b", "score": 2}\n', *unsafe],
        ".json": [b'[{"type": "Linear", "in_features": 64, "bias": true, "x": [1e3, null]}]', *unsafe],
    }


def mutated(data: bytes, rng: np.random.Generator) -> bytes:
    bytes_ = bytearray(data)
    for _ in range(int(rng.integers(1, 4))):
        at = int(rng.integers(0, len(bytes_) + 1))
        match int(rng.integers(0, 9)):
            case 0 | 1 | 2 | 3 if bytes_:
                bytes_[at % len(bytes_)] ^= 1 << int(rng.integers(0, 8))
            case 4:
                del bytes_[at:]
            case 5:
                bytes_[at:at] = rng.bytes(int(rng.integers(1, 9)))
            case 6:
                bytes_[at : at + 4] = struct.pack("<I", int(rng.choice([0, 1, 0x7FFFFFFF, 0xFFFFFFFF])))
            case 7:
                bytes_[at : at + int(rng.integers(1, 20))] = b""
            case _:
                start = int(rng.integers(0, len(bytes_) + 1))
                bytes_[at:at] = bytes_[start : start + int(rng.integers(1, 40))]
    return bytes(bytes_)


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::SyntaxWarning")
def test_ten_thousand_mutations_are_read_or_refused_and_run_nothing(tmp_path: Path, sentinel: Path) -> None:
    rng, outcomes = np.random.default_rng(20260101), {"read": 0, "refused": 0, "broken": 0}
    for suffix, seeds in corpus(tmp_path, sentinel).items():
        file = tmp_path / f"fuzz{suffix}"
        for number in range(2600):
            # the sound files are where the deep paths are: three of four mutations go there
            seed = seeds[0] if number % 4 else seeds[int(rng.integers(0, len(seeds)))]
            file.write_bytes(mutated(seed, rng))
            try:
                check_readable(file)
                DOORS.get(suffix, check_readable)(file)
                outcomes["read"] += 1
            except RefusedFormat:
                outcomes["refused"] += 1
            except BrokenFile:
                outcomes["broken"] += 1
    assert sum(outcomes.values()) == 10_400
    assert min(outcomes.values()) > 250, outcomes  # every answer occurs, so the fuzz reaches every path
    assert not sentinel.exists()


def test_a_compressed_pickle_without_its_suffix_is_not_read_as_anything(tmp_path: Path, sentinel: Path) -> None:
    (tmp_path / "a.npz").write_bytes(gzip.compress(pickle.dumps(Trap(sentinel))))
    with pytest.raises(BrokenFile):
        read_npz(tmp_path / "a.npz")
    assert not sentinel.exists()
