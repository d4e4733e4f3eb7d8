"""A bundle on disk: `report.dsse.json`, `evidence/`, `render/`. Read without trust (`reports.bundle_writer` writes it).

Only the envelope is a root of trust. Reading a bundle here says what it claims; `reports.verify` says what is so.
"""

import os
from dataclasses import dataclass, replace
from pathlib import Path

from reports.dsse import Envelope, parse_envelope
from reports.durable import sync_folder, write_new
from reports.errors import BundleError, ReportError
from reports.evidence import ENVELOPE
from reports.keys import PrivateKey
from reports.model import Report
from reports.regular import open_regular
from reports.statement import Statement, parse_statement

MAX_ENVELOPE = 64 * 2**20
"""Bytes of the largest envelope that is read."""


class UnreadableBundleError(BundleError):
    """The folder holds no bundle that can be read; nothing was asked about trust."""

    exit_code = 3


@dataclass(frozen=True)
class Bundle:
    """What a bundle claims; no trust implied."""

    path: Path
    """Its folder."""
    envelope: Envelope
    """The signed bytes and who signed them, unchecked."""
    statement: Statement
    """The reading of those bytes."""

    @property
    def report(self) -> Report:
        """The report that it claims to be signed."""
        return self.statement.report


def read_envelope(path: Path) -> bytes:
    """Return the bytes of a bundle's envelope.

    Raises:
        BundleError: `bundle.not_found`, there is nothing at `path` (exit 2); `bundle.missing_envelope`,
            `bundle.not_file` (a link, a FIFO, a folder), `bundle.too_large` (over 64 MiB).
        OSError: it cannot be read.
    """
    if not path.exists():
        raise BundleError("bundle.not_found", f"{path}: no such folder", "Check the path.")
    try:
        file = open_regular(path / ENVELOPE)
    except BundleError as error:
        if error.code == "file.missing":
            hint = "Give the folder that `fedaudit run` wrote."
            raise BundleError("bundle.missing_envelope", f"{path} is no bundle: it has no {ENVELOPE}", hint) from error
        raise BundleError("bundle.not_file", error.message, "A bundle's envelope is a plain file.") from error
    with file:
        size = os.fstat(file.fileno()).st_size
        if size > MAX_ENVELOPE:
            raise BundleError("bundle.too_large", f"{ENVELOPE} is larger than 64 MiB")
        return file.read(size)  # not MAX_ENVELOPE: unbuffered, it would reserve 64 MiB each time


def read_bundle(path: Path) -> Bundle:
    """Return what the bundle in a folder claims: its form is checked as strictly as for verifying, its seal is not.

    Raises:
        BundleError: `bundle.not_found`, nothing is there (exit 2).
        UnreadableBundleError: with the code of the first of verification's steps 2 to 10 that refuses it (exit 3).
    """
    try:
        envelope = parse_envelope(read_envelope(path))
        return Bundle(path, envelope, parse_statement(envelope.body))
    except ReportError as error:
        if error.code == "bundle.not_found":
            raise
        raise UnreadableBundleError(error.code, f"{path}: {error.message}", error.hint) from error
    except OSError as error:
        raise UnreadableBundleError("bundle.unreadable", f"{path} cannot be read: {error.strerror}") from error


def add_signature(path: Path, key: PrivateKey) -> Bundle:
    """Sign the bytes of a bundle with one more key, or again with one that signed before; return what is there now.

    Whatever happens, either the old envelope is there or the new one.

    Raises:
        BundleError: as `read_bundle`; `dsse.too_many_signatures`.
        OSError: the folder cannot be written.
    """
    bundle = read_bundle(path)
    envelope = bundle.envelope.with_signature(key)
    folder = path.resolve()
    partial = folder.with_name(f".{folder.name}.{os.getpid()}.envelope")  # not inside: a bundle holds nothing unsigned
    partial.unlink(missing_ok=True)
    try:
        write_new(partial, envelope.to_bytes())
        partial.replace(folder / ENVELOPE)
    finally:
        partial.unlink(missing_ok=True)
    sync_folder(folder)
    return replace(bundle, envelope=envelope)
