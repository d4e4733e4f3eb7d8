"""The directory of a zip, read so strictly that no two readers can see two archives (PKWARE APPNOTE 6.3.10).

A zip names each member twice, in front of its data and in the directory at the end, and may hold bytes that belong to
none. Readers differ in what they believe, and hide one archive inside another that way. Here every byte of the file
belongs to one member or to the directory, both names and both sizes must agree, and what a bundle never needs is
refused: encryption, links, comments, names in other alphabets, several disks.
"""

import stat
import struct
from collections.abc import Iterator, Sequence
from io import RawIOBase
from typing import NamedTuple

from reports.errors import BundleError
from reports.zip_names import require_names

MAX_MEMBERS = 2**18
"""More than a report of 64 MiB can list."""
MAX_DIRECTORY = 64 * 2**20
"""Bytes of the largest directory that is read."""
MAX_BYTES = 2**37
"""128 GiB: what all members together may hold."""
MAX_RATIO = 100
"""Bytes that may come out of one."""
SMALL = 2**20
"""Up to here a member alone may be packed better than that: a page of zeros is no bomb."""
MAX_VERSION = 45
"""Of the format: what sizes beyond 4 GiB need; all else is packed in a way that is not read."""
STORED, DEFLATED = 0, 8

_END = struct.Struct("<4s4H2LH")
_END_64 = struct.Struct("<4sQ2H2L4Q")
_LOCATOR = struct.Struct("<4sLQL")
_CENTRAL = struct.Struct("<4s6H3L5H2L")
_LOCAL = struct.Struct("<4s5H3L2H")
_FULL_16, _FULL_32 = 0xFFFF, 0xFFFFFFFF
_STREAMED = 1 << 3
_KNOWN_FLAGS = 0b110 | _STREAMED | 1 << 11
_ZIP_64, _OTHER_NAME = 0x0001, 0x7075
_REPARSE_POINT, _DOS_FOLDER = 0x400, 0x10


class Member(NamedTuple):
    """One file or folder of a zip."""

    name: str
    """As it is written; that of a folder ends in a slash."""
    method: int
    """`STORED` or `DEFLATED`."""
    crc: int
    """CRC-32 of its content."""
    packed: int
    """Bytes that it takes in the zip."""
    size: int
    """Bytes of its content."""
    start: int
    """Where its data begins."""


class _Entry(NamedTuple):
    """What the directory says of a member."""

    name: bytes
    flags: int
    method: int
    crc: int
    packed: int
    size: int
    header: int


def read_members(file: RawIOBase, size: int) -> tuple[Member, ...]:
    """Return the members of a zip in the order of their data.

    Args:
        file: the zip.
        size: its bytes.

    Raises:
        BundleError: `zip.syntax`, the directory cannot be found or read; `zip.member`, a member is not what a bundle
            may hold; `zip.ratio`, it would grow too much.
    """
    start, length, count = _directory(file, size)
    _require(count <= MAX_MEMBERS, "zip.ratio", f"the zip holds {count} members; at most {MAX_MEMBERS} are read")
    _require(length <= MAX_DIRECTORY, "zip.ratio", "the directory of the zip is larger than 64 MiB")
    entries = sorted(_entries(_exactly(file, start, length), count), key=lambda entry: entry.header)
    _require_sizes(entries, size)
    require_names([entry.name for entry in entries])
    ends = [*(entry.header for entry in entries), start][1:]
    members: list[Member] = []
    place = 0
    for entry, end in zip(entries, ends, strict=False):  # without a member there is nothing in front of the directory
        _require(entry.header == place, "zip.member", f"there are bytes around the member {_said(entry)} that are none")
        members.append(_member(file, entry, end))
        place = end
    _require(place == start, "zip.member", "there are bytes in front of the directory that belong to no member")
    return tuple(members)


def _directory(file: RawIOBase, size: int) -> tuple[int, int, int]:
    """Return where the directory starts, its bytes and its entries: the records at the very end say so."""
    _require(size >= _END.size, "zip.syntax", "the zip is cut off")
    end = size - _END.size
    magic, disk, first_disk, here, count, length, start, comment = _END.unpack(_exactly(file, end, _END.size))
    _require(magic == b"PK\x05\x06" and comment == 0, "zip.syntax", "the zip ends with something behind its directory")
    _require((disk, first_disk) in ((0, 0), (_FULL_16, _FULL_16)), "zip.syntax", "the zip lies on several disks")
    if _FULL_16 in (here, count, disk) or _FULL_32 in (length, start):
        end -= _LOCATOR.size + _END_64.size
        _require(end >= 0, "zip.syntax", "the zip is cut off")
        magic, record, _, _, disk, first_disk, here_64, count_64, length_64, start_64 = _END_64.unpack(
            _exactly(file, end, _END_64.size)
        )
        pointer = _LOCATOR.unpack(_exactly(file, end + _END_64.size, _LOCATOR.size))
        agree = (magic, record, disk, first_disk) == (b"PK\x06\x06", _END_64.size - 12, 0, 0)
        agree &= pointer == (b"PK\x06\x07", 0, end, 1)
        agree &= all(
            narrow in (full, wide)
            for narrow, wide, full in (
                (here, here_64, _FULL_16),
                (count, count_64, _FULL_16),
                (length, length_64, _FULL_32),
                (start, start_64, _FULL_32),
            )
        )
        _require(agree, "zip.syntax", "the two ends of the zip contradict each other")
        here, count, length, start = here_64, count_64, length_64, start_64
    _require(here == count and start + length == end, "zip.syntax", "the zip does not end with its directory")
    return start, length, count


def _entries(directory: bytes, count: int) -> Iterator[_Entry]:
    place = 0
    for _ in range(count):
        _require(place + _CENTRAL.size <= len(directory), "zip.syntax", "the directory of the zip is cut off")
        (
            magic, _, version, flags, method, _, _, crc, packed, size,
            name_length, extra_length, comment, disk, _, attributes, header,
        ) = _CENTRAL.unpack_from(directory, place)  # fmt: skip
        name_at = place + _CENTRAL.size
        extra_at = name_at + name_length
        place = extra_at + extra_length + comment
        _require(
            magic == b"PK\x01\x02" and place <= len(directory), "zip.syntax", "the directory of the zip cannot be read"
        )
        name = directory[name_at:extra_at]
        wide = _wide(name, directory[extra_at : extra_at + extra_length], (size, packed, header), disk)
        entry = _Entry(name, flags, method, crc, wide[1], wide[0], wide[2])
        _require(comment == 0, "zip.member", f"the member {_said(entry)} bears a comment")
        _require(version <= MAX_VERSION, "zip.member", f"the member {_said(entry)} needs a newer reader")
        _require_plain(entry, attributes)
        yield entry
    _require(place == len(directory), "zip.syntax", "there are bytes in the directory of the zip that are no entry")


def _require_plain(entry: _Entry, attributes: int) -> None:
    """Refuse a member that is no plain file and no plain folder."""
    said = f"the member {_said(entry)}"
    mode, folder = stat.S_IFMT(attributes >> 16), entry.name.endswith(b"/")
    _require(not entry.flags & 1, "zip.member", f"{said} is encrypted")
    _require(not entry.flags & ~_KNOWN_FLAGS, "zip.member", f"{said} is packed in a way that is not read")
    _require(entry.method in (STORED, DEFLATED), "zip.member", f"{said} is packed by a method that is not read")
    linked = mode == stat.S_IFLNK or attributes & _REPARSE_POINT
    _require(not linked, "zip.member", f"{said} is a link")
    fits = mode in (0, stat.S_IFDIR if folder else stat.S_IFREG) and (folder or not attributes & _DOS_FOLDER)
    _require(fits, "zip.member", f"{said} is neither a file nor a folder, or says it is the other")
    _require(not folder or not (entry.size or entry.packed), "zip.member", f"{said} is a folder with content")
    _require(entry.method == DEFLATED or entry.size == entry.packed, "zip.member", f"{said} has two sizes")
    endless = entry.method == STORED and entry.flags & _STREAMED and entry.size  # who reads it from a pipe must guess
    _require(not endless, "zip.member", f"{said} does not say in front of its content where that ends")


def _require_sizes(entries: Sequence[_Entry], archive: int) -> None:
    hint = "Pack it without compression: zip -0 -r."
    for entry in entries:
        fits = entry.size <= max(SMALL, MAX_RATIO * entry.packed)
        _require(fits, "zip.ratio", f"the member {_said(entry)} would grow to more than {MAX_RATIO} times", hint)
    total = sum(entry.size for entry in entries)
    _require(total <= MAX_BYTES, "zip.ratio", "the zip holds more than 128 GiB", "Send it as a folder.")
    _require(total <= MAX_RATIO * archive, "zip.ratio", f"the zip would grow to more than {MAX_RATIO} times", hint)


def _member(file: RawIOBase, entry: _Entry, end: int) -> Member:
    """Return a member whose own header says what the directory says, and whose data ends where the next one begins."""
    said = f"the member {_said(entry)}"
    head = _exactly(file, entry.header, min(_LOCAL.size + len(entry.name) + 256, end - entry.header))
    _require(len(head) >= _LOCAL.size, "zip.member", f"{said} has no header")
    magic, version, flags, method, _, _, crc, packed, size, name_length, extra_length = _LOCAL.unpack_from(head)
    start = entry.header + _LOCAL.size + name_length + extra_length
    if len(head) < start - entry.header:
        head = _exactly(file, entry.header, start - entry.header) if start <= end else b""
    name = head[_LOCAL.size : _LOCAL.size + name_length]
    same = (magic, name, flags, method) == (b"PK\x03\x04", entry.name, entry.flags, entry.method)
    same &= version <= MAX_VERSION
    _require(same, "zip.member", f"{said} is another one by its own header")
    wide = _wide(name, head[_LOCAL.size + name_length :][:extra_length], (size, packed), 0)
    told = (entry.crc, entry.packed, entry.size)
    unknown = 0 if flags & _STREAMED else None  # a streamed member may leave open what is told behind its data
    same = all(one in (unknown, other) for one, other in zip((crc, wide[1], wide[0]), told, strict=True))
    _require(same, "zip.member", f"{said} has another size by its own header")
    after = start + entry.packed
    trailer = _exactly(file, after, end - after) if flags & _STREAMED and 0 < end - after <= 24 else b""
    _require(
        after + len(trailer) == end and bool(flags & _STREAMED) == bool(trailer),
        "zip.member",
        f"there are bytes behind the member {_said(entry)} that are none",
    )
    _require(not trailer or trailer in _trailers(*told), "zip.member", f"{said} has another size behind its data")
    return Member(entry.name.decode("ascii"), method, entry.crc, entry.packed, entry.size, start)


def _trailers(crc: int, packed: int, size: int) -> Iterator[bytes]:
    """Yield what may stand behind the data of a streamed member: with and without its mark, narrow and wide."""
    for form in ("<LLL", "<LQQ"):
        if form == "<LQQ" or max(packed, size) <= _FULL_32:
            told = struct.pack(form, crc, packed, size)
            yield told
            yield b"PK\x07\x08" + told


def _wide(name: bytes, extra: bytes, narrow: tuple[int, ...], disk: int) -> list[int]:
    """Return sizes and place with what the zip64 field says in their stead; any second name is refused."""
    said = f"the member {_quoted(name)}"
    field: bytes | None = None
    place = 0
    while place < len(extra):
        _require(place + 4 <= len(extra), "zip.member", f"{said} has a field that cannot be read")
        kind, length = struct.unpack_from("<HH", extra, place)
        place += 4 + length
        _require(place <= len(extra), "zip.member", f"{said} has a field that cannot be read")
        _require(kind != _OTHER_NAME, "zip.member", f"{said} has a second name")
        if kind == _ZIP_64:
            _require(field is None, "zip.member", f"{said} has two fields for its size")
            field = extra[place - length : place]
    values: list[int] = []
    at = 0
    for value in narrow:
        if value == _FULL_32 and field is not None and at + 8 <= len(field):
            [value] = struct.unpack_from("<Q", field, at)
            at += 8
        values.append(value)
    if disk == _FULL_16 and field is not None and field[at : at + 4] == bytes(4):
        disk, at = 0, at + 4
    _require(disk == 0, "zip.member", f"{said} lies on another disk")
    _require(field is None or at == len(field), "zip.member", f"{said} has a size that cannot be read")
    return values


def _exactly(file: RawIOBase, place: int, length: int) -> bytes:
    file.seek(place)
    data = file.read(length) or b""
    _require(len(data) == length, "zip.syntax", "the zip is cut off")
    return data


def _said(entry: _Entry) -> str:
    return _quoted(entry.name)


def _quoted(name: bytes) -> str:
    return repr(name[:100].decode("ascii", "backslashreplace"))


def _require(holds: bool, code: str, message: str, hint: str = "") -> None:
    if not holds:
        raise BundleError(code, message, hint or "Pack the folder again: cd BUNDLE && zip -r ../bundle.zip .")
