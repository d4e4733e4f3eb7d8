"""A bundle on disk: `report.dsse.json`, `evidence/`, `render/`. Written whole or not at all, read without trust.

Only the envelope is a root of trust. Reading a bundle here says what it claims; `reports.verify` says what is so.
"""

import glob
import hashlib
import os
import shutil
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Self

from reports.dsse import PAYLOAD_TYPE, Envelope, Signature, parse_envelope
from reports.errors import BundleError, ReportError
from reports.evidence import ENVELOPE, FOLDER, RENDERINGS, may_be_withheld, suffix_of
from reports.keys import PrivateKey
from reports.model import Confidentiality, Evidence, Report, evidence_path
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
        _write(partial, envelope.to_bytes())
        partial.replace(folder / ENVELOPE)
    finally:
        partial.unlink(missing_ok=True)
    _sync_folder(folder)
    return replace(bundle, envelope=envelope)


class BundleWriter:
    """Builds a bundle beside its place and renames it there when it is whole.

    A context manager: left before `finish`, for whatever reason, it leaves nothing behind. What a killed process left,
    the next writer of the same bundle removes.

    Args:
        target: the folder to be; nothing may be there. Missing parents are made.
    """

    def __init__(self, target: Path) -> None:
        self._target = target.absolute()  # a link is not followed: it is something that exists
        self._partial = self._target.with_name(f".{self._target.name}.{os.getpid()}.partial")
        self._evidence: dict[str, Evidence] = {}

    def __enter__(self) -> Self:
        """Make the partial folder.

        Raises:
            BundleError: `bundle.exists`.
            OSError: the folder cannot be written.
        """
        self._refuse_existing()
        self._target.parent.mkdir(parents=True, exist_ok=True)
        for left in self._target.parent.glob(f".{glob.escape(self._target.name)}.*.partial"):
            if not _is_running(left.name.split(".")[-2]):
                shutil.rmtree(left)
        (self._partial / FOLDER).mkdir(parents=True)
        return self

    def __exit__(self, *_exception: object) -> None:
        """Remove what was not finished."""
        if self._partial.exists():
            shutil.rmtree(self._partial)

    @property
    def evidence(self) -> tuple[Evidence, ...]:
        """What was put so far, in the order of its digests, as the report lists it."""
        return tuple(self._evidence[sha256] for sha256 in sorted(self._evidence))

    def put_evidence(self, data: bytes, media_type: str, confidentiality: Confidentiality, name: str) -> Evidence:
        """Keep bytes under their digest and return how they are cited.

        Equal bytes are kept once: under the first name and media type, and the most guarded of the confidentialities.
        """
        sha256 = hashlib.sha256(data).hexdigest()
        known = self._evidence.get(sha256)
        if known is None:
            path = evidence_path(sha256, suffix_of(media_type))
            piece = Evidence(
                sha256=sha256,
                path=path,
                size=len(data),
                media_type=media_type,
                confidentiality=confidentiality,
                name=name,
            )
            place = self._partial / FOLDER / path
            place.parent.mkdir(exist_ok=True)
            _write(place, data)
        else:
            guarded = max(known.confidentiality, confidentiality, key=lambda word: word.rank)
            piece = known.model_copy(update={"confidentiality": guarded})
        self._evidence[sha256] = piece
        return piece

    def content(self, sha256: str) -> bytes | None:
        """Return the bytes of a piece that renderings may show; None above `internal`: withholding must withhold."""
        piece = self._evidence.get(sha256)
        if piece is None or may_be_withheld(piece):
            return None
        return (self._partial / FOLDER / piece.path).read_bytes()

    def finish(
        self, statement_body: bytes, signatures: Iterable[Signature] = (), renderings: Mapping[str, bytes] | None = None
    ) -> Path:
        """Write the renderings, then the envelope, rename the folder into its place, and return that place.

        Args:
            statement_body: the bytes that are, or will be, signed.
            signatures: over them (`reports.dsse.sign`).
            renderings: name below `render/` to content.

        Raises:
            BundleError: `bundle.exists`, something came to be there meanwhile.
            OSError: the disk is full, or the folder cannot be written.
        """
        (self._partial / RENDERINGS).mkdir()
        for name, content in (renderings or {}).items():
            _write(self._partial / RENDERINGS / name, content)
        _write(self._partial / ENVELOPE, Envelope(PAYLOAD_TYPE, statement_body, tuple(signatures)).to_bytes())
        _sync_folder(self._partial)
        self._refuse_existing()
        self._partial.rename(self._target)
        _sync_folder(self._target.parent)
        return self._target

    def _refuse_existing(self) -> None:
        if self._target.exists() or self._target.is_symlink():
            raise BundleError("bundle.exists", f"{self._target} exists already", "Choose another name, or remove it.")


def _is_running(pid: str) -> bool:
    """Tell whether another process holds the number; our own held by a leftover is that of an earlier life of it."""
    if not pid.isdecimal() or int(pid) == os.getpid():
        return False
    try:
        os.kill(int(pid), 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:
        return True
    return True


def _write(path: Path, data: bytes) -> None:
    """Write a new file and wait until it is on the disk."""
    with path.open("xb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def _sync_folder(path: Path) -> None:
    """Wait until the names in a folder are on the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
