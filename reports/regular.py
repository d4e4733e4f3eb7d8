"""Opening a file that somebody else may have laid as a trap: no link is followed, no FIFO blocks, no device is read."""

import os
import stat
from io import FileIO
from pathlib import Path

from reports.errors import BundleError

_FLAGS = os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)

KIND_WORDS = {
    "missing": "not there",
    "symlink": "a symbolic link",
    "folder": "a folder",
    "file": "a file",
    "not_file": "neither a file nor a folder",
}
"""What each kind reads like in a sentence."""


def open_regular(path: Path) -> FileIO:
    """Open a regular file for reading, unbuffered.

    Raises:
        BundleError: `file.` and its kind, as `kind_of` calls it.
        OSError: the file cannot be read.
    """
    kind = kind_of(path)
    if kind != "file":
        raise BundleError(f"file.{kind}", f"{path} is {KIND_WORDS[kind]}")
    descriptor = os.open(path, _FLAGS)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):  # exchanged since it was looked at
        os.close(descriptor)
        raise BundleError("file.not_file", f"{path} is {KIND_WORDS['not_file']}")
    return FileIO(descriptor, "rb")


def kind_of(path: Path) -> str:
    """Return `file`, `folder`, `symlink`, `not_file` (a FIFO, a socket, a device) or `missing`; no link is followed."""
    try:
        mode = path.lstat().st_mode
    except (FileNotFoundError, NotADirectoryError):
        return "missing"
    if stat.S_ISLNK(mode):
        return "symlink"
    if stat.S_ISDIR(mode):
        return "folder"
    return "file" if stat.S_ISREG(mode) else "not_file"
