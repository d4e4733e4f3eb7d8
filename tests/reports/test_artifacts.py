"""The door for files from outside: what is sound comes through, what lies about itself is told."""

import io
import json
import os
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
    check_readable,
    read_jsonl,
    read_npz,
    read_tensors,
    refuse_unsafe,
    tensor_entries,
)


class Row(BaseModel):
    model_config = ConfigDict(extra="forbid")
    text: str
    score: float


DOORS: dict[str, Callable[[Path], object]] = {
    ".npz": read_npz,
    ".safetensors": read_tensors,
    ".jsonl": lambda path: read_jsonl(path, Row),
}


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


def safetensors(header: object, data: bytes = b"") -> bytes:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + data


def everything_that_reads(path: Path) -> None:
    """Hand the file to each door."""
    check_readable(path)
    DOORS.get(path.suffix, refuse_unsafe)(path)


def test_a_header_length_that_looks_like_a_pickle_is_no_pickle(tmp_path: Path) -> None:
    # a header of 0x280 bytes makes the file begin with 80 02, as a pickle of protocol 2 does
    header = json.dumps({"__metadata__": {}}).encode().ljust(0x280)
    (tmp_path / "m.safetensors").write_bytes(safetensors(header))
    check_readable(tmp_path / "m.safetensors")
    assert read_tensors(tmp_path / "m.safetensors") == {}


def test_tensors_of_every_number_format_come_through(tmp_path: Path) -> None:
    kinds = (torch.float32, torch.float64, torch.float16, torch.bfloat16, torch.int64, torch.uint8, torch.bool)
    tensors = {str(kind): torch.tensor([[0, 1], [1, 0]]).to(kind) for kind in kinds}
    tensors |= {"scalar": torch.tensor(2.5), "empty": torch.zeros(0, 3)}
    save_file(tensors, tmp_path / "t.safetensors", metadata={"format": "pt"})
    check_readable(tmp_path / "t.safetensors")
    back = read_tensors(tmp_path / "t.safetensors")
    assert set(back) == set(tensors)
    assert all(torch.equal(back[name], tensors[name]) and back[name].dtype == tensors[name].dtype for name in tensors)
    entries = tensor_entries(tmp_path / "t.safetensors")
    assert {name: entry.shape for name, entry in entries.items()} == {n: tuple(t.shape) for n, t in tensors.items()}


def test_tensors_do_not_follow_the_file(tmp_path: Path) -> None:
    file = tmp_path / "t.safetensors"
    save_file({"w": torch.ones(4)}, file)
    tensors = read_tensors(file)
    file.write_bytes(b"")
    assert torch.equal(tensors["w"], torch.ones(4))


def test_a_folder_of_shards_is_one_set_of_tensors(tmp_path: Path) -> None:
    save_file({"a": torch.ones(1)}, tmp_path / "model-1.safetensors")
    save_file({"b": torch.ones(2)}, tmp_path / "model-2.safetensors")
    assert set(read_tensors(tmp_path)) == {"a", "b"}
    save_file({"a": torch.ones(1)}, tmp_path / "model-3.safetensors")
    with pytest.raises(BrokenFile, match="two of its files"):
        read_tensors(tmp_path)
    (tmp_path / "none").mkdir()
    with pytest.raises(BrokenFile, match=r"no \.safetensors"):
        read_tensors(tmp_path / "none")


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_arrays_come_through(tmp_path: Path, save: Any) -> None:
    arrays = {
        "x": np.arange(6.0).reshape(2, 3),
        "fortran": np.asfortranarray(np.arange(6).reshape(2, 3)),
        "flag": np.array([True, False]),
        "words": np.array(["über", "b"]),
        "scalar": np.float32(1.5),
        "empty": np.zeros((0, 4)),
        "big_endian": np.arange(3, dtype=">i4"),
        "pixels": np.arange(3, dtype=np.uint8),
        "unsigned": np.arange(3, dtype=np.uint32),
        "complex": np.array([1 + 2j], dtype=np.complex64),
    }
    save(tmp_path / "a.npz", **arrays)
    check_readable(tmp_path / "a.npz")
    back = read_npz(tmp_path / "a.npz", required=("x", "flag"))
    assert set(back) == set(arrays)
    for name, array in arrays.items():
        np.testing.assert_array_equal(back[name], array)
        assert back[name].dtype == np.asarray(array).dtype


def test_json_lines_come_through_as_models(tmp_path: Path) -> None:
    (tmp_path / "r.jsonl").write_text('{"text": "ä", "score": 1.5}\n{"text": "b", "score": 2}\n', "utf-8")
    assert read_jsonl(tmp_path / "r.jsonl", Row) == (Row(text="ä", score=1.5), Row(text="b", score=2.0))


# What lies is told; each beside its honest twin.

ENTRY = {"dtype": "F32", "shape": [2, 2], "data_offsets": [0, 16]}


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"", "header says"),
        (b"\x00" * 7, "header says"),
        (struct.pack("<Q", 2**63) + b"{}", "header says it is 9223372036854775808 bytes long"),
        (struct.pack("<Q", 3) + b"{}", "header says it is 3 bytes long, the file has 10"),
        (safetensors(b"[]"), "no JSON object"),
        (safetensors(b" {}"), "no JSON object"),
        (safetensors(b'{"a": 1, "a": 2}'), "twice"),
        (safetensors(b'{"a": NaN}'), "NaN"),
        (safetensors(b"\xff\xfe{}"), "UTF-8"),
        (safetensors({"w": ENTRY}, bytes(15)), "take 16 bytes, the file holds 15"),
        (safetensors({"w": ENTRY}, bytes(17)), "take 16 bytes, the file holds 17"),
        (safetensors({"w": ENTRY | {"shape": [2, 3]}}, bytes(16)), "F32 of shape"),
        (safetensors({"w": ENTRY | {"shape": [2.0, 2]}}, bytes(16)), "shape"),
        (safetensors({"w": ENTRY | {"shape": [True, 4]}}, bytes(16)), "shape"),
        (safetensors({"w": ENTRY | {"shape": [-2, -2]}}, bytes(16)), "shape"),
        (safetensors({"w": ENTRY | {"shape": [2**40, 2**40]}}, bytes(16)), "shape"),
        (safetensors({"w": ENTRY | {"shape": [1] * 65}}, bytes(16)), "shape"),
        (safetensors({"w": ENTRY | {"dtype": "F4"}}, bytes(16)), "no known number format"),
        (safetensors({"w": ENTRY | {"data_offsets": [4, 20]}}, bytes(20)), "begins at byte 4, 0 comes next"),
        (safetensors({"w": ENTRY, "v": ENTRY}, bytes(16)), "begins at byte 0, 16 comes next"),
        (safetensors({"w": ENTRY | {"code": 1}}, bytes(16)), "other things"),
        (safetensors({"w": {"dtype": "F32"}}), "other things"),
        (safetensors({"__metadata__": {"a": 1}}), "metadata"),
        (safetensors({"w\x00": ENTRY}, bytes(16)), "control character"),
    ],
)
def test_a_lying_tensor_header_is_told(tmp_path: Path, content: bytes, problem: str) -> None:
    file = tmp_path / "m.safetensors"
    file.write_bytes(safetensors({"w": ENTRY}, bytes(16)))
    everything_that_reads(file)  # the honest twin
    file.write_bytes(content)
    for door in (check_readable, read_tensors):
        with pytest.raises(BrokenFile, match=problem) as caught:
            door(file)
        assert caught.value.message.startswith("cannot read m.safetensors: ")
        assert str(tmp_path) not in str(caught.value)  # a report holds no absolute path


def header(descr: str = "'<f8'", order: str = "False", shape: str = "(3,)") -> bytes:
    text = f"{{'descr': {descr}, 'fortran_order': {order}, 'shape': {shape}, }}".encode()
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text


@pytest.mark.parametrize(
    ("members", "problem"),
    [
        ({"x.npy": b""}, "does not begin"),
        ({"x.npy": b"\x93NUMPY\x09\x00" + bytes(20)}, "does not begin"),
        ({"x.txt": b"words"}, "is no .npy array"),
        ({"x.npy": header()}, "takes 91 bytes, the archive 67"),
        ({"x.npy": header(shape="(2**3,)") + bytes(24)}, "no Python literal"),
        ({"x.npy": header(shape="__import__('os')") + bytes(24)}, "no Python literal"),
        ({"x.npy": header(shape="(" * 900) + bytes(24)}, "no Python literal"),
        ({"x.npy": header(shape="(-3,)") + bytes(24)}, "shape"),
        ({"x.npy": header(shape="(3.0,)") + bytes(24)}, "shape"),
        ({"x.npy": header(shape="(99999999999999999999,)")}, "shape"),
        ({"x.npy": header(shape="3") + bytes(24)}, "shape"),
        ({"x.npy": header(order="0") + bytes(24)}, "shape"),
        ({"x.npy": header(descr="'<f9'") + bytes(24)}, "no number format"),
        ({"x.npy": header(descr="'a'") + bytes(24)}, "no number format"),
        ({"x.npy": header(descr="'i4,i4'") + bytes(24)}, "no number format"),
        ({"x.npy": header(descr="'|V8'") + bytes(24)}, "plain numbers"),
        ({"x.npy": header(descr="'<M8[ns]'") + bytes(24)}, "plain numbers"),
        ({"x.npy": header(descr="[('a', '<f8')]") + bytes(24)}, "plain numbers"),
        ({"x.npy": header(descr="7") + bytes(24)}, "no number format"),
        ({"x.npy": b"\x93NUMPY\x02\x00" + struct.pack("<I", 2**31) + bytes(24)}, "more than 10000"),
    ],
)
def test_a_lying_array_header_is_told(tmp_path: Path, members: dict[str, bytes], problem: str) -> None:
    file = tmp_path / "a.npz"
    file.write_bytes(zipped({"x.npy": header() + bytes(24)}))
    everything_that_reads(file)  # the honest twin
    file.write_bytes(zipped(members))
    for door in (check_readable, read_npz):
        with pytest.raises(BrokenFile, match=problem):
            door(file)


def test_an_archive_that_is_cut_edited_or_none_is_told(tmp_path: Path) -> None:
    file, sound = tmp_path / "a.npz", zipped({"x.npy": npy(np.arange(400.0))})
    twice = zipped({"x.npy": npy(np.ones(2)), "z.npy": npy(np.ones(2))}).replace(b"z.npy", b"x.npy")
    encrypted = bytearray(sound)
    encrypted[sound.index(b"PK\x01\x02") + 8] |= 1
    for content, problem in (
        (b"", "no sound npz"),
        (sound[:-30], "no sound npz"),
        (b"words " * 30, "no sound npz"),
        (twice, "twice"),
        (bytes(encrypted), "encrypted"),
    ):
        file.write_bytes(content)
        with pytest.raises(BrokenFile, match=problem):
            check_readable(file)
    middle = sound.index(b"PK\x01\x02") - 20  # compressed data: only unpacking can tell
    file.write_bytes(sound[:middle] + bytes([sound[middle] ^ 0xFF]) + sound[middle + 1 :])
    with pytest.raises(BrokenFile, match="no sound npz"):
        read_npz(file)


def test_a_bomb_is_told_before_it_is_unpacked(tmp_path: Path) -> None:
    file = tmp_path / "bomb.npz"
    rows = np.lib.format.header_data_from_array_1_0(np.zeros(0)) | {"shape": (2**30,)}
    with (
        zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive,
        archive.open("x.npy", "w") as out,
    ):
        np.lib.format.write_array_header_1_0(out, rows)
        for _ in range(8):
            out.write(bytes(1 << 20))
    content = bytearray(file.read_bytes())
    at = content.rindex(b"PK\x01\x02") + 24  # uncompressed size in the central directory
    content[at : at + 4] = struct.pack("<I", 2**32 - 2)
    file.write_bytes(content)
    with pytest.raises(BrokenFile, match="takes"):
        check_readable(file)  # declares 4 GiB, the array 8 GiB: they disagree
    with pytest.raises(BrokenFile, match=r"unpacks to 4294967294 bytes, more than the 1000 allowed"):
        read_npz(file, limit_bytes=1000)


def test_a_limit_is_kept_over_all_arrays_together(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", a=np.zeros(100), b=np.zeros(100))
    assert len(read_npz(tmp_path / "a.npz", limit_bytes=2000)) == 2
    with pytest.raises(BrokenFile, match="more than the 1700 allowed"):
        read_npz(tmp_path / "a.npz", limit_bytes=1700)


def test_a_required_array_is_named_when_it_lacks(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", y=np.zeros(1))
    with pytest.raises(BrokenFile, match="lacks the array 'x'; it holds y"):
        read_npz(tmp_path / "a.npz", required=("x",))


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        (b'{"text": "\xff", "score": 1}', "line 2 is not JSON.*UTF-8"),
        (b'{"text": "a", "text": "b", "score": 1}', "line 2 .*twice"),
        (b'{"text": "a", "score": NaN}', "line 2 .*NaN"),
        (b"", "line 2 .*no JSON value"),
        (b'{"text": "a"', "line 2 .*no JSON value"),
        (b'{"text": "a"}', "line 2: score: Field required"),
        (b'{"text": "a", "score": 1, "x": 1}', "line 2: x: Extra"),
        (b"[" * 100 + b"]" * 100, "line 2 .*deep"),
    ],
)
def test_a_bad_line_is_named(tmp_path: Path, line: bytes, problem: str) -> None:
    file = tmp_path / "r.jsonl"
    file.write_bytes(b'{"text": "a", "score": 1}\n' + line + b"\n")
    with pytest.raises(BrokenFile, match=problem):
        read_jsonl(file, Row)
    if "line 2:" not in problem:
        with pytest.raises(BrokenFile, match=problem):
            check_readable(file)


def test_a_file_that_is_not_there_or_no_file_is_told(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.npz")
    (tmp_path / "dangling.npz").symlink_to(tmp_path / "nowhere")
    for name, problem in (("absent.npz", "no such file"), ("dangling.npz", "no such file"), ("pipe.npz", "no regular")):
        for door in (check_readable, read_npz, read_tensors, refuse_unsafe):
            with pytest.raises(BrokenFile, match=problem):
                door(tmp_path / name)
