"""A recording of requests and replies: an audit can be derived again from it, byte for byte, with the network off.

    key = sha256(rfc8785([path, body, sample]))        neither host nor key of the API is in it
    DIR/xx/<key>.json = {"body", "request", "retries", "sha256", "status"}, RFC 8785; sha256 is that of the others

`record` asks and writes, `replay` reads alone, `auto` reads what is there and asks for the rest, `off` does neither.
Digests stop accidents, not forgers: `root`, an RFC 6962 tree head over all entries, is what a policy can pin.
"""

import contextlib
import hashlib
import os
import re
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from compliance.errors import CassetteError
from compliance.judge_file import CassetteMode
from reports.canonical import canonical_json, strict_json
from reports.errors import ReportError
from reports.merkle import root as tree_head

__all__ = ["Cassette", "CassetteMiss", "Entry", "exchange_key"]

LARGEST_ENTRY = 16 << 20
"""Bytes; a request holds a part of a document, a reply at most 1 MiB."""
_FILE = re.compile(r"[0-9a-f]{64}\.json")
_SHA256 = re.compile(r"[0-9a-f]{64}")


class CassetteMiss(CassetteError):  # noqa: N818 - it tells what is missing
    """No answer to this request was recorded."""


@dataclass(frozen=True)
class Entry:
    """One recorded exchange."""

    request: Mapping[str, object]
    """`{"body", "path", "sample"}`."""
    status: int
    body: str
    """The reply as it came, without the API key should it echo one."""
    retries: int = 0
    """Attempts before it that failed in passing."""
    sha256: str = ""
    """Of the other members."""


def exchange_key(path: str, body: Mapping[str, object], sample: int) -> str:
    """Return the key of an exchange, 64 hexadecimal digits."""
    return hashlib.sha256(canonical_json([path, body, sample])).hexdigest()


class Cassette:
    """A folder of recorded exchanges.

    Args:
        path: The folder; made when the first answer is recorded.
        mode: What is done with it.

    Raises:
        CassetteError: `cassette.missing`: there is no such folder to replay.
    """

    def __init__(self, path: Path, mode: CassetteMode) -> None:
        self.path, self.mode = path, mode
        self._used: dict[str, str] = {}
        if mode == "replay" and not path.is_dir():
            raise CassetteError(
                "cassette.missing", f"{path}: there is no such recording", "Record it, or name another folder."
            )

    @property
    def reads(self) -> bool:
        """Whether recorded answers are taken."""
        return self.mode in ("replay", "auto")

    @property
    def writes(self) -> bool:
        """Whether new answers are recorded."""
        return self.mode in ("record", "auto")

    @property
    def used(self) -> tuple[str, ...]:
        """The keys that were read or written here, in order."""
        return tuple(sorted(self._used))

    def file_of(self, key: str) -> Path:
        """Return where the entry of a key lies, or would lie."""
        return self.path / key[:2] / f"{key}.json"

    def find(self, key: str) -> Entry | None:
        """Return a recorded exchange, None where there is none.

        Raises:
            CassetteError: `cassette.altered`: it is not what was recorded.
        """
        entry = self._read(key)
        if entry is not None:
            self._used[key] = entry.sha256
        return entry

    def _read(self, key: str) -> Entry | None:
        file = self.file_of(key)
        try:
            with file.open("rb") as opened:
                data = opened.read(LARGEST_ENTRY + 1)
        except FileNotFoundError:
            return None
        except OSError as error:
            raise CassetteError("cassette.missing", f"{file}: cannot be read ({error.strerror})") from error
        entry = _read_entry(file, data)
        if exchange_key_of(entry.request) != key:
            raise _altered(file, "it answers another request than its name says")
        return entry

    def record(self, key: str, entry: Entry) -> None:
        """Write an exchange; an older one with this key is replaced.

        Raises:
            CassetteError: `cassette.write`: the folder cannot be written.
        """
        members = _members(entry)
        sha256 = hashlib.sha256(canonical_json(members)).hexdigest()
        file = self.file_of(key)
        try:
            file.parent.mkdir(parents=True, exist_ok=True)
            _write_whole(file, canonical_json(members | {"sha256": sha256}))
        except OSError as error:
            raise CassetteError("cassette.write", f"{file}: cannot be written ({error.strerror})") from error
        self._used[key] = sha256

    def keys(self) -> Iterator[str]:
        """Yield the key of every entry in the folder, in order."""
        for file in sorted(self.path.glob("[0-9a-f][0-9a-f]/*.json")):
            if _FILE.fullmatch(file.name) and file.name[:2] == file.parent.name:
                yield file.stem

    def root(self) -> str:
        """Return the RFC 6962 tree head over rfc8785([key, entry sha256]) of every entry, in the order of their keys.

        Raises:
            CassetteError: `cassette.altered`: an entry is not what was recorded.
        """
        leaves = []
        for key in self.keys():
            entry = self._read(key)
            if entry is not None:
                leaves.append(canonical_json([key, entry.sha256]))
        return tree_head(leaves).hex()


def exchange_key_of(request: Mapping[str, object]) -> str:
    """Return the key of a recorded request."""
    return hashlib.sha256(canonical_json([request["path"], request["body"], request["sample"]])).hexdigest()


def _members(entry: Entry) -> dict[str, object]:
    return {"body": entry.body, "request": entry.request, "retries": entry.retries, "status": entry.status}


def _read_entry(file: Path, data: bytes) -> Entry:
    try:
        value = strict_json(data)
    except ReportError as error:
        raise _altered(file, error.message) from error
    match value:
        case {
            "body": str() as body,
            "request": {"body": dict(), "path": str(), "sample": int()} as request,
            "retries": int() as retries,
            "sha256": str() as sha256,
            "status": int() as status,
            **more,
        } if not more and _SHA256.fullmatch(sha256):
            entry = Entry(request, status, body, retries, sha256)
        case _:
            raise _altered(file, "it is no recorded exchange")
    if hashlib.sha256(canonical_json(_members(entry))).hexdigest() != sha256:
        raise _altered(file, "its digest is not that of its content")
    return entry


def _altered(file: Path, why: str) -> CassetteError:
    return CassetteError("cassette.altered", f"{file}: was altered; {why}", "Record it anew.")


def _write_whole(file: Path, data: bytes) -> None:
    """Write a file so that it is there whole or not at all."""
    handle, name = tempfile.mkstemp(dir=file.parent, prefix=".", suffix=".part")
    try:
        with os.fdopen(handle, "wb") as opened:
            opened.write(data)
        Path(name).replace(file)
    except BaseException:
        with contextlib.suppress(OSError):
            Path(name).unlink()
        raise
