"""One recorded exchange: its key, its bytes, and what is believed of a file that claims to be one."""

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass

from reports.canonical import canonical_json, strict_json
from reports.errors import ReportError

__all__ = ["AlteredEntryError", "Asked", "Entry", "entry_bytes", "exchange_key", "read_entry"]

_END = re.compile(rb',"retries":([0-9]{1,9})(,"sha256":"([0-9a-f]{64})")(,"status":([0-9]{3})\})\n?\Z')
"""What follows the request in canonical form."""
_LONGEST_END = 130
_SHA256 = re.compile(r"[0-9a-f]{64}")


class AlteredEntryError(ValueError):
    """A file is not what was recorded; the text says why."""


@dataclass(frozen=True)
class Entry:
    """One recorded exchange."""

    request: Mapping[str, object]
    """`{"body", "path", "sample"}`; what was sent had the members of its schema in their own order."""
    status: int
    body: str
    """The reply as it came, without the API key should it echo one."""
    retries: int = 0
    """Attempts before it that failed in passing."""
    sha256: str = ""
    """Of the other members in canonical form."""


class Asked:
    """A request with its canonical bytes, which are made once for its key, its size and the search in a recording.

    Args:
        request: `{"body", "path", "sample"}`.
        body: RFC 8785 form of its body.
    """

    def __init__(self, request: Mapping[str, object], body: bytes) -> None:
        path, sample = canonical_json(request["path"]), canonical_json(request["sample"])
        self.request, self.size = request, len(body)
        self.key = hashlib.sha256(b"".join((b"[", path, b",", body, b",", sample, b"]"))).hexdigest()
        self.canonical = b"".join((b'{"body":', body, b',"path":', path, b',"sample":', sample, b"}"))


def exchange_key(request: Mapping[str, object]) -> str:
    """Return the key of a request with `path`, `body` and `sample`, 64 hexadecimal digits."""
    return Asked(request, canonical_json(request["body"])).key


def entry_bytes(entry: Entry) -> tuple[bytes, str]:
    """Return an entry as its file holds it (RFC 8785), and the digest of its other members."""
    members = _members(entry)
    sha256 = hashlib.sha256(canonical_json(members)).hexdigest()
    return canonical_json(members | {"sha256": sha256}), sha256


def read_entry(data: bytes, asked: Asked | None = None) -> Entry:
    """Return what a file holds.

    Args:
        data: The bytes of the file.
        asked: The request that it should hold. Where it does, letter by letter, only the reply is read.

    Raises:
        AlteredEntryError: it is no entry, or its digest is not that of its content, or it answers another request.
    """
    end = _stated_end(data)
    if end is not None and asked is not None and (found := _reply_to(asked, data, end)) is not None:
        return found
    try:
        # what is, byte for byte, what was hashed needs no second, strict reading
        value = json.loads(data) if end else strict_json(data)
    except (ReportError, ValueError, RecursionError) as error:
        raise AlteredEntryError(getattr(error, "message", str(error))) from error
    match value:
        case {
            "body": str() as body,
            "request": {"body": dict(), "path": str(), "sample": int()} as request,
            "retries": int() as retries,
            "sha256": str() as sha256,
            "status": int() as status,
            **more,
        } if not more and _SHA256.fullmatch(sha256) and retries >= 0:
            entry = Entry(request, status, body, retries, sha256)
        case _:
            raise AlteredEntryError("it is no recorded exchange")
    if end is None and hashlib.sha256(_canonical(entry)).hexdigest() != sha256:
        raise AlteredEntryError("its digest is not that of its content")
    if asked is not None and entry.request != asked.request:
        raise AlteredEntryError("it answers another request than its name says")
    return entry


def _reply_to(asked: Asked, data: bytes, end: re.Match[bytes]) -> Entry | None:
    """Return the entry where the bytes hold this very request in canonical form, None where they do not."""
    middle = b',"request":' + asked.canonical
    start = end.start() - len(middle)
    if start < 0 or not data.startswith(b'{"body":"') or not data.startswith(middle, start):
        return None
    try:
        body = json.loads(data[len(b'{"body":') : start])
    except ValueError:
        return None
    return Entry(asked.request, int(end[5]), body, int(end[1]), end[3].decode()) if isinstance(body, str) else None


def _stated_end(data: bytes) -> re.Match[bytes] | None:
    """Return the end of an entry whose bytes without the digest have that digest, as those of an untouched file do.

    In canonical form the digest stands before the last member, so that nothing need be written anew to check it.
    """
    end = _END.search(data, max(0, len(data) - _LONGEST_END))
    if end is None:
        return None
    digest = hashlib.sha256(memoryview(data)[: end.start(2)])
    digest.update(end[4])
    return end if digest.hexdigest().encode() == end[3] else None


def _members(entry: Entry) -> dict[str, object]:
    return {"body": entry.body, "request": entry.request, "retries": entry.retries, "status": entry.status}


def _canonical(entry: Entry) -> bytes:
    try:
        return canonical_json(_members(entry))
    except ReportError as error:
        raise AlteredEntryError(error.message) from error
