"""One recorded exchange: its key, its bytes, and what is believed of a file that claims to be one."""

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass

from reports.canonical import canonical_json, strict_json
from reports.errors import ReportError

__all__ = ["AlteredEntryError", "Asked", "Entry", "entry_bytes", "exchange_key", "read_entry"]

_DIGEST_AT_THE_END = re.compile(rb',"sha256":"([0-9a-f]{64})"(,"status":[0-9]{3}\}\n?)$')
_AFTER_RETRIES = re.compile(rb'([0-9]{1,9}),"sha256":"([0-9a-f]{64})","status":([0-9]{3})\}\n?')
_LONGEST_END = 110
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
    stated = _digest_of_bytes(data)
    if stated and asked is not None and (found := _reply_to(asked, data)) is not None:
        return found
    try:
        # what is, byte for byte, what was hashed needs no second, strict reading
        value = json.loads(data) if stated else strict_json(data)
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
    if not stated and hashlib.sha256(_canonical(entry)).hexdigest() != sha256:
        raise AlteredEntryError("its digest is not that of its content")
    if asked is not None and entry.request != asked.request:
        raise AlteredEntryError("it answers another request than its name says")
    return entry


def _reply_to(asked: Asked, data: bytes) -> Entry | None:
    """Return the entry where the bytes hold this very request in canonical form, None where they do not."""
    head, _, tail = data.partition(b',"request":' + asked.canonical + b',"retries":')
    rest = _AFTER_RETRIES.fullmatch(tail)
    if rest is None or not head.startswith(b'{"body":"'):
        return None
    try:
        body = json.loads(head[len(b'{"body":') :])
    except ValueError:
        return None
    return Entry(asked.request, int(rest[3]), body, int(rest[1]), rest[2].decode()) if isinstance(body, str) else None


def _digest_of_bytes(data: bytes) -> bool:
    """Tell whether the bytes without the digest have that digest, as those of an untouched file do.

    In canonical form the digest stands before the last member, so that nothing need be written anew to check it.
    """
    found = _DIGEST_AT_THE_END.search(data, max(0, len(data) - _LONGEST_END))
    if found is None:
        return False
    digest = hashlib.sha256(memoryview(data)[: found.start()])
    digest.update(found[2].rstrip(b"\n"))
    return digest.hexdigest().encode() == found[1]


def _members(entry: Entry) -> dict[str, object]:
    return {"body": entry.body, "request": entry.request, "retries": entry.retries, "status": entry.status}


def _canonical(entry: Entry) -> bytes:
    try:
        return canonical_json(_members(entry))
    except ReportError as error:
        raise AlteredEntryError(error.message) from error
