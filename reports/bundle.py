"""A bundle on disk: `report.dsse.json`, `evidence/`, `render/`. Read without trust (`reports.bundle_writer` writes it).

Only the envelope is a root of trust. Reading a bundle here says what it claims; `reports.verify` says what is so.
"""

import os
import shlex
from dataclasses import dataclass, replace
from pathlib import Path

from reports.bundle_files import BundleFiles, FolderFiles, files_of, read_content
from reports.dsse import Envelope, parse_envelope
from reports.durable import sync_folder, write_new
from reports.errors import BundleError, ReportError
from reports.evidence import ENVELOPE
from reports.keys import PrivateKey
from reports.model import Report
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
    """Its folder, or its zip."""
    files: BundleFiles
    """What lies in it."""
    envelope: Envelope
    """The signed bytes and who signed them, unchecked."""
    statement: Statement
    """The reading of those bytes."""

    @property
    def report(self) -> Report:
        """The report that it claims to be signed."""
        return self.statement.report


def read_envelope(files: BundleFiles) -> bytes:
    """Return the bytes of a bundle's envelope.

    Raises:
        BundleError: `bundle.missing_envelope`, `bundle.not_file` (a link, a FIFO, a folder), `bundle.too_large` (over
            64 MiB); `zip.member`, `zip.ratio`.
        OSError: it cannot be read.
    """
    try:
        content = files.open(ENVELOPE)
    except BundleError as error:
        if error.code == "file.missing":
            problem = f"{files.path} is no bundle: it has no {ENVELOPE}"
            raise BundleError("bundle.missing_envelope", problem, _mend(files)) from error
        if error.code.startswith("file."):
            raise BundleError("bundle.not_file", error.message, "A bundle's envelope is a plain file.") from error
        raise
    if content.size > MAX_ENVELOPE:
        content.file.close()
        raise BundleError("bundle.too_large", f"{ENVELOPE} is larger than 64 MiB")
    return read_content(content)


def _mend(files: BundleFiles) -> str:
    """Return what to do where no envelope lies: often the folder was packed into a zip, not what is in it."""
    tops = [name for name in files.entries(".") if files.kind(f"{name}/{ENVELOPE}") == "file"]
    if tops and not isinstance(files, FolderFiles):
        return f"Pack what is in the folder, not the folder: cd {shlex.quote(tops[0])} && zip -r ../bundle.zip ."
    return "Give the folder that `fedaudit run` wrote, or a zip of what is in it."


def read_bundle(path: Path) -> Bundle:
    """Return what the bundle at a path claims: its form is checked as strictly as for verifying, its seal is not.

    Args:
        path: a folder, or a zip of what is in it.

    Raises:
        BundleError: `bundle.not_found`, nothing is there (exit 2).
        UnreadableBundleError: with the code of the first of verification's steps 2 to 10 that refuses it (exit 3).
    """
    try:
        files = files_of(path)
        envelope = parse_envelope(read_envelope(files))
        return Bundle(path, files, envelope, parse_statement(envelope.body))
    except ReportError as error:
        if error.code == "bundle.not_found":
            raise
        where = "" if error.message.startswith(str(path)) else f"{path}: "
        raise UnreadableBundleError(error.code, f"{where}{error.message}", error.hint) from error
    except OSError as error:
        raise UnreadableBundleError("bundle.unreadable", f"{path} cannot be read: {error.strerror}") from error


def add_signature(path: Path, key: PrivateKey) -> Bundle:
    """Sign the bytes of a bundle with one more key, or again with one that signed before; return what is there now.

    Whatever happens, either the old envelope is there or the new one.

    Raises:
        BundleError: as `read_bundle`; `bundle.zip`, a zip is read and never written; `dsse.too_many_signatures`.
        OSError: the folder cannot be written.
    """
    bundle = read_bundle(path)
    return replace_envelope(bundle, bundle.envelope.with_signature(key))


def replace_envelope(bundle: Bundle, envelope: Envelope) -> Bundle:
    """Put another envelope over the same bytes into a bundle's folder; errors as `add_signature`, after reading."""
    require_folder(bundle)
    folder = bundle.path.resolve()
    partial = folder.with_name(f".{folder.name}.{os.getpid()}.envelope")  # not inside: a bundle holds nothing unsigned
    partial.unlink(missing_ok=True)
    try:
        write_new(partial, envelope.to_bytes())
        partial.replace(folder / ENVELOPE)
    finally:
        partial.unlink(missing_ok=True)
    sync_folder(folder)
    return replace(bundle, envelope=envelope)


def require_folder(bundle: Bundle) -> None:
    """Refuse (`bundle.zip`, exit 2) to write into a zip: it would have to be packed anew, by us or by nobody."""
    if not isinstance(bundle.files, FolderFiles):
        hint = "Unpack it into an empty folder, sign that, and pack what is in it again."
        raise BundleError("bundle.zip", f"{bundle.path} is a zip, which is read in place and never written", hint)
