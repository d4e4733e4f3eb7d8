"""Writing a bundle: beside its place, and renamed there when it is whole; written whole or not at all."""

import glob
import os
import shutil
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Self

from reports.dsse import PAYLOAD_TYPE, Envelope, Signature
from reports.durable import sync_folder, write_new
from reports.errors import BundleError
from reports.evidence import ENVELOPE, FOLDER, RENDERINGS
from reports.evidence_folder import EvidenceFolder, Salt
from reports.model import Confidentiality, Evidence


class BundleWriter:
    """Builds a bundle beside its place and renames it there when it is whole.

    A context manager: left before `finish`, for whatever reason, it leaves nothing behind. What a killed process left,
    the next writer of the same bundle removes. A run that should be resumed keeps its evidence in `audit.store`.

    Args:
        target: the folder to be; nothing may be there. Missing parents are made.
        salt: gives the salts of evidence that may be withheld; None for bare digests.
    """

    def __init__(self, target: Path, salt: Salt | None = None) -> None:
        self._target = target.absolute()  # a link is not followed: it is something that exists
        self._partial = self._target.with_name(f".{self._target.name}.{os.getpid()}.partial")
        self._evidence = EvidenceFolder(self._partial / FOLDER, salt)

    def __enter__(self) -> Self:
        """Make the partial folder.

        Raises:
            BundleError: `bundle.exists`.
            OSError: the folder cannot be written.
        """
        refuse_existing(self._target)
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
        return self._evidence.evidence

    def put_evidence(self, data: bytes, media_type: str, confidentiality: Confidentiality, name: str) -> Evidence:
        """Keep bytes under their digest and return how they are cited (`EvidenceFolder.put_evidence`)."""
        return self._evidence.put_evidence(data, media_type, confidentiality, name)

    def content(self, sha256: str) -> bytes | None:
        """Return the bytes of a piece that renderings may show; None above `internal`: withholding must withhold."""
        return self._evidence.content(sha256)

    def finish(
        self, statement_body: bytes, signatures: Iterable[Signature] = (), renderings: Mapping[str, bytes] | None = None
    ) -> Path:
        """Make the bundle whole, put it into its place, and return that place (see `put_in_place`)."""
        return put_in_place(self._partial, self._target, statement_body, signatures, renderings)


def put_in_place(
    partial: Path,
    target: Path,
    statement_body: bytes,
    signatures: Iterable[Signature] = (),
    renderings: Mapping[str, bytes] | None = None,
) -> Path:
    """Write the renderings, then the envelope, rename the folder into its place, and return that place.

    Args:
        partial: a folder on the same disk that holds `evidence/` and nothing else.
        target: the folder to be.
        statement_body: the bytes that are, or will be, signed.
        signatures: over them (`reports.dsse.sign`).
        renderings: name below `render/` to content.

    Raises:
        BundleError: `bundle.exists`, something came to be there meanwhile.
        OSError: the disk is full, or the folder cannot be written.
    """
    (partial / RENDERINGS).mkdir()
    for name, content in (renderings or {}).items():
        write_new(partial / RENDERINGS / name, content)
    write_new(partial / ENVELOPE, Envelope(PAYLOAD_TYPE, statement_body, tuple(signatures)).to_bytes())
    sync_folder(partial)
    refuse_existing(target)
    partial.rename(target)
    sync_folder(target.parent)
    return target


def refuse_existing(target: Path) -> None:
    """Raise where something is in the place of a bundle to be.

    Raises:
        BundleError: `bundle.exists`.
    """
    if target.exists() or target.is_symlink():
        raise BundleError("bundle.exists", f"{target} exists already", "Choose another name, or remove it.")


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
