"""The evidence of a run that can be resumed: its files at once, how they are cited with the check that put them."""

import secrets
import shutil
from pathlib import Path

from pydantic import ValidationError

from audit.store_database import StoreDatabase
from audit.store_errors import damaged
from reports.digests import file_sha256
from reports.evidence import FOLDER, suffix_of
from reports.evidence_folder import EvidenceFolder, KeptEvidence
from reports.model import Confidentiality, Evidence, evidence_path
from reports.salting import SALT_BYTES, SUFFIX

_ROWS = "SELECT sha256, size, media_type, name, confidentiality, content_sha256 FROM evidence ORDER BY position"


class RunEvidence(EvidenceFolder):
    """The folder `evidence/` of a run store, and its tables `evidence` and `salt`.

    Args:
        store: the folder of the run store.
        database: its tables.
        salted: whether what may be withheld is salted.
    """

    def __init__(self, store: Path, database: StoreDatabase, *, salted: bool) -> None:
        super().__init__(store / FOLDER, self._salt_of if salted else None)
        self._store, self._database = store, database
        self._on_disk: set[KeptEvidence] = set()

    def restore(self) -> None:
        """Make the folder what the tables say: what checks put that have answered, and nothing else.

        Raises:
            RunStoreError: `run.damaged`, something is missing or altered.
            OSError: it cannot be read or written.
        """
        draft = self._store / "bundle"
        if (draft / FOLDER).is_dir() and not self.folder.exists():  # killed while the bundle was put together
            (draft / FOLDER).rename(self.folder)
        if draft.exists():
            shutil.rmtree(draft)
        self.folder.mkdir(exist_ok=True)
        kept = [self._piece(row) for row in self._database.rows(_ROWS)]
        for one in kept:
            place = self.folder / one.piece.path
            if not place.is_file() or file_sha256(place) != one.piece.sha256:
                raise damaged(self._store, f"its evidence {one.piece.path} is missing or altered")
        listed = {self.folder / one.piece.path for one in kept}
        for path in self.folder.glob("*/*"):
            if path not in listed:
                path.unlink()  # put by a check that has not answered, and will put it again
        self.take(kept)
        self._on_disk = set(kept)

    def _piece(self, row: tuple[object, ...]) -> KeptEvidence:
        sha256, size, media_type, name, confidentiality, content = map(str, row)
        suffix = suffix_of(media_type) + (SUFFIX if content != sha256 else "")
        try:
            piece = Evidence(
                sha256=sha256,
                path=evidence_path(sha256, suffix),
                size=int(size),
                media_type=media_type,
                confidentiality=Confidentiality(confidentiality),
                name=name,
                salted=content != sha256,
            )
        except (ValidationError, ValueError) as error:
            raise damaged(self._store, "its list of evidence is not as it was written") from error
        return KeptEvidence(piece, content)

    def write(self) -> None:
        """Write into the tables what has come since; inside the transaction of the check that put it."""
        rows = []
        for position, one in enumerate(self.kept):
            if one not in self._on_disk:
                piece = one.piece
                told = (piece.sha256, piece.size, piece.media_type, piece.name, str(piece.confidentiality))
                rows.append((*told, one.content_sha256, position))
                self._on_disk.add(one)
        self._database.write("evidence", rows)

    def _salt_of(self, content_sha256: str) -> bytes:
        """Return the salt of a content: a fresh one, kept before it is used."""
        query = "SELECT salt FROM salt WHERE content_sha256 = ?"
        for (salt,) in self._database.rows(query, (content_sha256,)):
            return bytes(salt)
        fresh = secrets.token_bytes(SALT_BYTES)
        with self._database.transaction():
            self._database.write("salt", [(content_sha256, fresh)])
        return fresh
