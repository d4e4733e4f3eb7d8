"""The record of a round: written line by line as it happens, and opened again.

    DIR/transcript.jsonl        one canonical record a line, each naming the digest of the line before
    DIR/blobs/<sha256>          raw little-endian ring words, named by their content
    DIR/identities.json         optional: the keys that somebody vouches for

What a transcript says is judged in `secagg.verify`. It holds the secrets that the server learnt, so it reveals the sum
and no more; it is confidential evidence all the same.
"""

import hashlib
import json
import os
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from reports.errors import FileError
from secagg.messages import FIRST_PREVIOUS, Message, record_line
from secagg.source import BLOBS, IDENTITIES, LINES, FolderSource, MemorySource, Source, read_identities
from secagg.wire import encode_bytes

__all__ = ["FolderSource", "MemorySource", "Source", "TranscriptWriter", "read_identities", "read_transcript"]


class TranscriptWriter:
    """Records a round in a folder of its own; a `Recorder` for `secagg.server`.

    A line reaches the system whole before the next is begun, so a killed process leaves complete lines. A vector is
    stored before the line that names it.

    Args:
        folder: made if missing; must be empty.
        keep_blobs: False stores digests alone; the sum can then not be computed again from the record.
        identities: Client to Ed25519 public key, written beside the lines for whoever verifies them.

    Raises:
        FileError: the folder holds something, or cannot be written.
    """

    def __init__(self, folder: Path, *, keep_blobs: bool = True, identities: Mapping[str, bytes] | None = None) -> None:
        self.folder = folder
        self._keep_blobs = keep_blobs
        self._sequence, self._previous = 0, FIRST_PREVIOUS
        try:
            folder.mkdir(parents=True, exist_ok=True)
            if any(folder.iterdir()):
                message = f"{folder} is not empty, and a transcript is never overwritten"
                raise FileError("secagg.transcript_exists", message, "Give a folder that is empty or not there yet.")
            if keep_blobs:
                (folder / BLOBS).mkdir()
            if identities is not None:
                named = {client: encode_bytes(key) for client, key in sorted(identities.items())}
                (folder / IDENTITIES).write_text(json.dumps(named, indent=1) + "\n")
            self._file = (folder / LINES).open("xb")
        except OSError as error:
            message = f"cannot write a transcript to {folder}: {error.strerror}"
            raise FileError("secagg.transcript_unwritable", message) from error

    def record(self, message: Message[Any]) -> None:
        """Append one message, byte for byte as it was sent."""
        line = record_line(self._sequence, self._previous, message)
        self._file.write(line + b"\n")
        self._file.flush()
        self._previous = hashlib.sha256(line).hexdigest()
        self._sequence += 1

    def blob(self, vector: NDArray[Any]) -> str:
        """Store a vector of ring words and return the hexadecimal SHA-256 of its little-endian bytes."""
        words = np.ascontiguousarray(vector, vector.dtype.newbyteorder("<"))
        digest = hashlib.sha256(words.data).hexdigest()
        path = self.folder / BLOBS / digest
        if self._keep_blobs and not path.exists():
            unfinished = path.with_suffix(".part")
            with unfinished.open("wb") as file:
                words.tofile(file)
            unfinished.replace(path)
        return digest

    def close(self) -> None:
        """Bring all lines to the disk; nothing can be recorded afterwards."""
        if not self._file.closed:
            self._file.flush()
            os.fsync(self._file.fileno())
            self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def read_transcript(path: Path) -> FolderSource:
    """Return the source of a transcript: its folder, or its file of lines.

    Raises:
        FileError: neither is there, or it cannot be read.
    """
    file = path / LINES if path.is_dir() else path
    if not file.is_file():
        message = f"{path} is no transcript: there is no file {file.name!r}"
        raise FileError("secagg.no_transcript", message, f"Give the folder that holds {LINES}, or that file itself.")
    try:
        file.open("rb").close()
    except OSError as error:
        raise FileError("secagg.no_transcript", f"{path} cannot be read: {error.strerror}") from error
    return FolderSource(file, str(path))
