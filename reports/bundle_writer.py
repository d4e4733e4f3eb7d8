"""Writing a bundle: beside its place, and renamed there when it is whole; written whole or not at all."""

import glob
import hashlib
import os
import shutil
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Self

from reports.dsse import PAYLOAD_TYPE, Envelope, Signature
from reports.durable import sync_folder, write_new
from reports.errors import BundleError
from reports.evidence import ENVELOPE, FOLDER, RENDERINGS, may_be_withheld, suffix_of
from reports.model import Confidentiality, Evidence, evidence_path


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
            write_new(place, data)
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
            write_new(self._partial / RENDERINGS / name, content)
        write_new(self._partial / ENVELOPE, Envelope(PAYLOAD_TYPE, statement_body, tuple(signatures)).to_bytes())
        sync_folder(self._partial)
        self._refuse_existing()
        self._partial.rename(self._target)
        sync_folder(self._target.parent)
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
