"""Where the lines and vectors of a recorded round come from: a folder on disk, or memory. Nothing here is believed.

A source gives bytes and no more. Lines come one at a time, of bounded length; a vector is mapped, not read, so that one
larger than the memory costs nothing until somebody looks at it.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from secagg.wire import MalformedRecord, decode_bytes, parse_loosely, require_id

LONGEST_LINE = 8 << 20
"""Bytes of the longest line that is read; what is longer is cut there and told as malformed."""
LARGEST_IDENTITIES = 64 << 20
"""Bytes of the largest file of identities that is read."""
LINES, BLOBS, IDENTITIES = "transcript.jsonl", "blobs", "identities.json"
_DIGEST = re.compile(r"[0-9a-f]{64}")


class Source(Protocol):
    """One recorded round, as bytes."""

    @property
    def name(self) -> str:
        """How people are told of it: a path, or a word."""
        ...

    @property
    def cut_short(self) -> bool:
        """Whether bytes follow the last newline: a line that was still being written."""
        ...

    def lines(self) -> Iterator[bytes]:
        """Yield the complete lines without their newlines; one longer than `LONGEST_LINE` is cut one byte after it."""
        ...

    def blob(self, sha256: str) -> NDArray[np.uint8] | None:
        """Return the bytes kept under a digest, not yet compared with it; None where they are withheld."""
        ...

    def identities(self) -> Mapping[str, bytes] | None:
        """Return the identity keys that came beside the lines, None where none did.

        Raises:
            MalformedRecord: the file beside them is none of identities.
        """
        ...


@dataclass(frozen=True)
class MemorySource:
    """A round in memory."""

    data: Sequence[bytes] = field(repr=False)
    """The lines, without newlines."""
    blobs: Mapping[str, bytes] = field(default_factory=dict, repr=False)
    """Digest to bytes."""
    vouched: Mapping[str, bytes] | None = None
    """Client to Ed25519 public key, as if from a file beside the lines."""
    name: str = "memory"
    cut_short: bool = False

    def lines(self) -> Iterator[bytes]:
        """Yield the lines."""
        return (line[: LONGEST_LINE + 1] for line in self.data)

    def blob(self, sha256: str) -> NDArray[np.uint8] | None:
        """Return the bytes kept under a digest."""
        found = self.blobs.get(sha256)
        return None if found is None else np.frombuffer(found, np.uint8)

    def identities(self) -> Mapping[str, bytes] | None:
        """Return the identity keys that came beside the lines."""
        return self.vouched


@dataclass(frozen=True)
class FolderSource:
    """A round on disk: a file of lines, with `blobs/` and perhaps `identities.json` beside it."""

    file: Path
    name: str
    """The path as it was given: of the folder or of the file."""

    @property
    def cut_short(self) -> bool:
        """Whether bytes follow the last newline."""
        with self.file.open("rb") as file:
            if not file.seek(0, 2):
                return False
            file.seek(-1, 2)
            return file.read(1) != b"\n"

    def lines(self) -> Iterator[bytes]:
        """Yield the complete lines without their newlines."""
        with self.file.open("rb") as file:
            while line := file.readline(LONGEST_LINE + 2):
                kept = line[: LONGEST_LINE + 1]
                while line and not line.endswith(b"\n"):
                    line = file.readline(LONGEST_LINE)
                    if not line:
                        return  # what no newline ends was still being written
                yield kept.removesuffix(b"\n")

    def blob(self, sha256: str) -> NDArray[np.uint8] | None:
        """Return a map of the file kept under a digest; only names that are digests are ever opened."""
        if not _DIGEST.fullmatch(sha256):
            raise ValueError("a blob is named by its SHA-256")
        path = self.file.parent / BLOBS / sha256
        try:
            if not path.is_file():  # opening a FIFO would wait for ever
                return None
            if not path.stat().st_size:
                return np.empty(0, np.uint8)  # nothing can be mapped of an empty file
            return np.memmap(path, np.uint8, "r")
        except OSError:
            return None

    def identities(self) -> Mapping[str, bytes] | None:
        """Return the identity keys of the file beside the lines."""
        path = self.file.parent / IDENTITIES
        return read_identities(path) if path.is_file() else None


def read_identities(path: Path) -> dict[str, bytes]:
    """Return client to Ed25519 public key (32 bytes) of a file `{id: base64}`.

    Raises:
        MalformedRecord: the file cannot be read, or is none of identities.
    """
    try:
        with path.open("rb") as file:
            data = file.read(LARGEST_IDENTITIES + 1)
    except OSError as error:
        raise MalformedRecord(f"{path.name}: {error.strerror or 'it cannot be read'}") from error
    if len(data) > LARGEST_IDENTITIES:
        raise MalformedRecord(f"{path.name}: longer than {LARGEST_IDENTITIES} bytes")
    try:
        fields = parse_loosely(data)
        if type(fields) is not dict:
            raise MalformedRecord("an object of client ids and keys belongs there")
        return {require_id(client): decode_bytes(key, 32) for client, key in fields.items()}
    except MalformedRecord as error:
        raise MalformedRecord(f"{path.name}: {error}") from error
