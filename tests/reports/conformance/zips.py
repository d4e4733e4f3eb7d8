"""Zips as a bundle travels in them, and zips that no tool writes: built field by field (PKWARE APPNOTE 6.3.10)."""

import struct
import zlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

REGULAR, LINK = 0o100644 << 16, 0o120777 << 16


@dataclass(frozen=True)
class Part:
    """One member, sound unless a field says otherwise."""

    name: bytes
    data: bytes = b""
    packed: bytes | None = None
    """What stands in the zip; None for `data`, deflated or as it is, as `method` says."""
    method: int = 8
    flags: int = 0
    attributes: int = REGULAR
    extra: bytes = b""
    """In both headers."""
    local: Mapping[str, int | bytes] = field(default_factory=dict)
    """What its own header says instead: name, flags, method, crc, packed, size, extra."""
    central: Mapping[str, int | bytes] = field(default_factory=dict)
    """The same of the directory's entry; also disk, comment, header."""
    before: bytes = b""
    """Bytes in front of its own header."""
    behind: bytes = b""
    """Bytes after its data."""


def parts_of(folder: Path) -> list[Part]:
    """What is in a folder, as parts; folders too, as `zip -r` packs them."""
    return [
        Part(path.relative_to(folder).as_posix().encode(), path.read_bytes())
        if path.is_file()
        else Part(path.relative_to(folder).as_posix().encode() + b"/", method=0, attributes=0o040755 << 16)
        for path in sorted(folder.rglob("*"))
    ]


def zipped(parts: Iterable[Part], *, tail: bytes = b"", end: Mapping[str, int] | None = None) -> bytes:
    """The zip of these parts; `tail` stands in front of the directory, `end` replaces fields of the last record."""
    out, directory, count = b"", b"", 0
    for part in parts:
        packed = part.packed
        if packed is None:
            packed = deflated(part.data) if part.method == 8 else part.data
        told: dict[str, int | bytes] = {
            "name": part.name, "flags": part.flags, "method": part.method, "crc": zlib.crc32(part.data),
            "packed": len(packed), "size": len(part.data), "extra": part.extra,
            "disk": 0, "comment": b"", "header": len(out) + len(part.before),
        }  # fmt: skip
        out += part.before + _local({**told, **part.local}) + packed + part.behind
        directory += _central({**told, **part.central}, part.attributes)
        count += 1
    out += tail
    last = {"disk": 0, "here": count, "count": count, "length": len(directory), "start": len(out), **(end or {})}
    return out + directory + struct.pack(
        "<4s4H2LH", b"PK\x05\x06", last["disk"], 0, last["here"], last["count"], last["length"], last["start"], 0
    )  # fmt: skip


def deflated(data: bytes) -> bytes:
    """Raw deflate."""
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    return packer.compress(data) + packer.flush()


def _local(told: Mapping[str, int | bytes]) -> bytes:
    name, extra = told["name"], told["extra"]
    assert isinstance(name, bytes)
    assert isinstance(extra, bytes)
    head = struct.pack(
        "<4s5H3L2H", b"PK\x03\x04", 20, told["flags"], told["method"], 0, 33, told["crc"], told["packed"],
        told["size"], len(name), len(extra),
    )  # fmt: skip
    return head + name + extra


def _central(told: Mapping[str, int | bytes], attributes: int) -> bytes:
    name, extra, comment = told["name"], told["extra"], told["comment"]
    assert isinstance(name, bytes)
    assert isinstance(extra, bytes)
    assert isinstance(comment, bytes)
    head = struct.pack(
        "<4s2B5H3L5H2L", b"PK\x01\x02", 20, 3, 20, told["flags"], told["method"], 0, 33, told["crc"],
        told["packed"], told["size"], len(name), len(extra), len(comment), told["disk"], 0, attributes,
        told["header"],
    )  # fmt: skip
    return head + name + extra + comment
