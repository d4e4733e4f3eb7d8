"""Digests of what the owner holds: a file by its bytes, a folder by its names and their bytes.

Standard library and RFC 8785 alone, so that verifying a report against a model needs nothing else.
"""

import hashlib
import os
from pathlib import Path

import rfc8785

from reports.errors import ReportError

PIECE = 1 << 20
"""Bytes that are read at a time: a model of many gigabytes is hashed in one mebibyte of memory."""


def file_sha256(path: Path) -> str:
    """Return the SHA-256 of a file's bytes, 64 hexadecimal digits.

    Raises:
        OSError: the file cannot be read.
    """
    digest = hashlib.sha256()
    piece = memoryview(bytearray(PIECE))
    with path.open("rb", buffering=0) as file:
        while size := file.readinto(piece):
            digest.update(piece[:size])
    return digest.hexdigest()


def folder_sha256(path: Path) -> str:
    """Return the digest of a folder: sha256(rfc8785(sorted [[relative POSIX path, sha256], ...])).

    Names count, empty folders do not. A link to a file counts as the file that it leads to.

    Raises:
        ReportError: `artifact.not_file`, the folder holds something that is neither file nor folder, or a link to a
            folder, whose content the digest would miss; `artifact.name`, a name is not Unicode.
        OSError: something in it cannot be read.
    """
    listed = sorted([found.relative_to(path).as_posix(), file_sha256(found)] for found in _files(path))
    try:
        return hashlib.sha256(rfc8785.dumps([list(pair) for pair in listed])).hexdigest()
    except rfc8785.CanonicalizationError as error:
        raise ReportError("artifact.name", f"{path} holds a file whose name is not Unicode", "Rename it.") from error


def artifact_sha256(path: Path) -> str:
    """Return the digest of a file or of a folder, whichever `path` is; errors as theirs, of a FIFO or device too."""
    if path.is_dir():
        return folder_sha256(path)
    if path.exists() and not path.is_file():  # reading it might never end
        raise ReportError("artifact.not_file", f"{path} is neither a file nor a folder", "Name a file or a folder.")
    return file_sha256(path)


def _files(folder: Path) -> list[Path]:
    found: list[Path] = []
    with os.scandir(folder) as entries:
        for entry in entries:
            here = Path(entry.path)
            if entry.is_dir(follow_symlinks=False):
                found.extend(_files(here))
            elif entry.is_file():
                found.append(here)
            else:
                kind = "a link to a folder" if entry.is_dir() else "neither a file nor a folder"
                raise ReportError("artifact.not_file", f"{here} is {kind}", "Leave files and folders alone in it.")
    return found
