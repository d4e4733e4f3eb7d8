"""Evidence being gathered: files named by their digests, and how each is cited."""

import hashlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path

from reports.durable import write_whole
from reports.evidence import may_be_withheld, suffix_of
from reports.model import Confidentiality, Evidence, evidence_path
from reports.salting import SUFFIX, salted

Salt = Callable[[str], bytes]
"""SHA-256 of a content to the salt that goes before it, the same whenever it is asked for in one run."""


@dataclass(frozen=True)
class KeptEvidence:
    """One piece, and what was put in for it."""

    piece: Evidence
    """As the report lists it."""
    content_sha256: str
    """Digest of the content without its salt; that of the file where there is none."""


@dataclass
class EvidenceFolder:
    """The evidence of one run, as far as it has come.

    What lies here is on the disk and not in memory; equal content is kept once.
    """

    folder: Path
    """Its folder, which is there."""
    salt: Salt | None = None
    """Gives salts for what may be withheld; None where digests are to be bare."""
    _pieces: dict[str, Evidence] = field(default_factory=dict)
    _known: dict[str, str] = field(default_factory=dict)
    """Digest of a content to that of its file."""

    @property
    def evidence(self) -> tuple[Evidence, ...]:
        """What was put so far, in the order of its digests, as the report lists it."""
        return tuple(self._pieces[sha256] for sha256 in sorted(self._pieces))

    @property
    def kept(self) -> tuple[KeptEvidence, ...]:
        """The same in the order in which it was put."""
        return tuple(KeptEvidence(self._pieces[sha256], content) for content, sha256 in self._known.items())

    def take(self, kept: Iterable[KeptEvidence]) -> None:
        """Learn of pieces whose files are there already."""
        for one in kept:
            self._known[one.content_sha256] = one.piece.sha256
            self._pieces[one.piece.sha256] = one.piece

    def put_evidence(self, data: bytes, media_type: str, confidentiality: Confidentiality, name: str) -> Evidence:
        """Keep bytes under the digest of their file and return how they are cited.

        Equal bytes are kept once: under the first name and media type, and the most guarded of the confidentialities;
        salted where the first to put them said that they may be withheld.

        Raises:
            OSError: the disk is full, or the folder cannot be written.
        """
        content = hashlib.sha256(data).hexdigest()
        if (sha256 := self._known.get(content)) is not None:
            known = self._pieces[sha256]
            guarded = max(known.confidentiality, confidentiality, key=lambda word: word.rank)
            piece = known.model_copy(update={"confidentiality": guarded})
        else:
            piece = self._written(data, content, media_type, confidentiality, name)
        self._known[content] = piece.sha256
        self._pieces[piece.sha256] = piece
        return piece

    def _written(
        self, data: bytes, content: str, media_type: str, confidentiality: Confidentiality, name: str
    ) -> Evidence:
        suffix, salt = suffix_of(media_type), self.salt
        blinded = salt is not None and confidentiality.at_least(Confidentiality.CONFIDENTIAL)
        if salt is not None and blinded:
            of_content = salt(content)
            data, suffix = salted(data, lambda _: of_content), suffix + SUFFIX
        sha256 = hashlib.sha256(data).hexdigest() if blinded else content
        piece = Evidence(
            sha256=sha256,
            path=evidence_path(sha256, suffix),
            size=len(data),
            media_type=media_type,
            confidentiality=confidentiality,
            name=name,
            salted=blinded,
        )
        place = self.folder / piece.path
        place.parent.mkdir(exist_ok=True)
        write_whole(place, data)
        return piece

    def content(self, sha256: str) -> bytes | None:
        """Return the bytes of a piece that renderings may show; None above `internal`: withholding must withhold."""
        piece = self._pieces.get(sha256)
        if piece is None or may_be_withheld(piece):
            return None
        return (self.folder / piece.path).read_bytes()
