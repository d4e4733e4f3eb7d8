"""A JSON file from outside becomes one value, or one error that names the file and the mend."""

from pathlib import Path

from reports.canonical import strict_json
from reports.errors import FedauditError, FileError, ReportError
from reports.formats import opened

LARGEST_FILE = 32 << 20
"""Bytes; a benchmark of thousands of texts stays below."""


def read_value(path: Path, error: type[FedauditError], prefix: str, *, largest: int = LARGEST_FILE) -> object:
    """Return the one JSON value of a file.

    Args:
        path: The file.
        error: What to raise.
        prefix: First part of its codes.
        largest: Bytes that are read at most.

    Raises:
        FedauditError: of the given class, with code `prefix.not_found`, `prefix.too_large` or `prefix.syntax`.
    """
    if not path.is_file():  # before opening: a FIFO would block for ever
        raise error(f"{prefix}.not_found", f"{path}: there is no such file", "Check the path.")
    try:
        with opened(path) as file:
            data = file.read(largest + 1)
    except FileError as cause:
        raise error(f"{prefix}.not_found", f"{path}: {cause.message}", "Check the rights.") from cause
    if len(data) > largest:
        raise error(f"{prefix}.too_large", f"{path}: is larger than {largest >> 20} MiB", f"Give a {prefix} file.")
    try:
        return strict_json(data)
    except ReportError as cause:
        raise error(f"{prefix}.syntax", f"{path}: {cause.message}", cause.hint or "Mend the JSON there.") from cause


def read_object(
    path: Path, error: type[FedauditError], prefix: str, *, largest: int = LARGEST_FILE
) -> dict[str, object]:
    """Return the one JSON object of a file; else as `read_value`, of which `prefix.syntax` tells any other value."""
    value = read_value(path, error, prefix, largest=largest)
    if not isinstance(value, dict):
        raise error(f"{prefix}.syntax", f"{path}: holds no JSON object", "Write one object, in braces.")
    return value
