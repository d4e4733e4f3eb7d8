"""The file that a command was asked to write: whole or not at all, and never in a folder that is not there."""

import os
from pathlib import Path

from reports.errors import FedauditError


def write_whole(path: Path, data: bytes) -> None:
    """Write a file whole or not at all; one that was there is replaced.

    Raises:
        FedauditError: `io.no_folder`, the folder is not there; `io.write`, the file cannot be written.
    """
    if not path.parent.is_dir():
        raise FedauditError("io.no_folder", f"{path}: there is no folder {path.parent}", "Make it first.")
    if path.is_dir():
        raise FedauditError("io.write", f"{path}: is a folder", "Name a file.")
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        partial.write_bytes(data)
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)
