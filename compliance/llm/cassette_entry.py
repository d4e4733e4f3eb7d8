"""One recorded exchange: its key, its bytes, and what is believed of a file that claims to be one."""

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass

from reports.canonical import canonical_json, strict_json
from reports.errors import ReportError

__all__ = ["AlteredEntryError", "Entry", "entry_bytes", "exchange_key", "measured", "read_entry"]

_DIGEST_AT_THE_END = re.compile(rb',"sha256":"([0-9a-f]{64})"(,"status":[0-9]{3}\}\n?)$')
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


def exchange_key(request: Mapping[str, object]) -> str:
    """Return the key of a request with `path`, `body` and `sample`, 64 hexadecimal digits."""
    return measured(request)[1]


def measured(request: Mapping[str, object]) -> tuple[int, str]:
    """Return the bytes of a request's body in canonical form, and the request's key."""
    body = canonical_json(request["body"])
    parts = (b"[", canonical_json(request["path"]), b",", body, b",", canonical_json(request["sample"]), b"]")
    return len(body), hashlib.sha256(b"".join(parts)).hexdigest()


def entry_bytes(entry: Entry) -> tuple[bytes, str]:
    """Return an entry as its file holds it (RFC 8785), and the digest of its other members."""
    members = _members(entry)
    sha256 = hashlib.sha256(canonical_json(members)).hexdigest()
    return canonical_json(members | {"sha256": sha256}), sha256


def read_entry(data: bytes) -> Entry:
    """Return what a file holds.

    Raises:
        AlteredEntryError: it is no entry, or its digest is not that of its content.
    """
    stated = _digest_of_bytes(data)
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
    return entry


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
