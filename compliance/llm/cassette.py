"""A recording of requests and replies: an audit can be derived again from it, byte for byte, with the network off.

    key = sha256(rfc8785([path, body, sample]))        neither host nor key of the API is in it
    DIR/xx/<key>.json = {"body", "request", "retries", "sha256", "status"}, RFC 8785; sha256 is that of the others

`record` asks and writes, `replay` reads alone, `auto` reads what is there and asks for the rest, `off` does neither.
Digests stop accidents, not forgers: `root`, an RFC 6962 tree head over all entries, is what a policy can pin.
"""

import os
import re
from collections.abc import Iterator
from pathlib import Path

from compliance.errors import CassetteError
from compliance.judge_file import CassetteMode
from compliance.llm.cassette_entry import AlteredEntryError, Asked, Entry, entry_bytes, exchange_key, read_entry
from reports.canonical import canonical_json
from reports.errors import BundleError, ReportError
from reports.merkle import root as tree_head
from reports.regular import open_regular

__all__ = ["Asked", "Cassette", "CassetteMiss", "Entry", "exchange_key"]

LARGEST_ENTRY = 16 << 20
"""Bytes; a request holds a part of a document, a reply at most 1 MiB."""
_FILE = re.compile(r"[0-9a-f]{64}\.json")


class CassetteMiss(CassetteError):  # noqa: N818 - it tells what is missing
    """No answer to this request was recorded."""


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
        return self.path / f"{key[:2]}/{key}.json"

    def find(self, key: str, asked: Asked | None = None) -> Entry | None:
        """Return a recorded exchange, None where there is none.

        Args:
            key: Of the request.
            asked: What the key was made of; saves making it again from the entry.

        Raises:
            CassetteError: `cassette.altered`: it is not what was recorded.
        """
        entry = self._read(key, asked)
        if entry is not None:
            self._used[key] = entry.sha256
        return entry

    def record(self, key: str, entry: Entry) -> None:
        """Write an exchange; an older one with this key is replaced.

        Raises:
            CassetteError: `cassette.write`: the folder cannot be written.
        """
        data, sha256 = entry_bytes(entry)
        file = self.file_of(key)
        try:
            file.parent.mkdir(parents=True, exist_ok=True)
            _write_whole(file, data)
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

    def _read(self, key: str, asked: Asked | None = None) -> Entry | None:
        file = self.file_of(key)
        try:
            with open_regular(file) as opened:
                # asked for a length, Python sets that much memory aside, whatever the file holds
                data = opened.read() if os.fstat(opened.fileno()).st_size <= LARGEST_ENTRY else b""
        except BundleError as error:
            if error.code == "file.missing":
                return None
            raise CassetteError(
                "cassette.missing", f"{error.message}, no entry", "Put the recorded file there."
            ) from error
        except OSError as error:
            raise CassetteError("cassette.missing", f"{file}: cannot be read ({error.strerror})") from error
        try:
            entry = read_entry(data, asked)
            named = key if asked is not None else exchange_key(entry.request)
        except (AlteredEntryError, ReportError) as error:  # a request with NaN has no key
            raise _altered(file, str(error)) from error
        if named != key:
            raise _altered(file, "it answers another request than its name says")
        return entry


def _altered(file: Path, why: str) -> CassetteError:
    return CassetteError("cassette.altered", f"{file}: was altered; {why}", "Record it anew.")


def _write_whole(file: Path, data: bytes) -> None:
    """Write a file so that it is there whole or not at all."""
    part = file.with_name(f".{file.stem}.{os.getpid()}.part")
    try:
        part.write_bytes(data)
        part.replace(file)
    finally:
        part.unlink(missing_ok=True)
