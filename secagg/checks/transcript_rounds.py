"""The declared transcripts as every check reads them: verified once, and named as the system file names them."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from reports.check import Context
from reports.model import Artifact, SecureAggregation, System
from secagg.failures import MALICIOUS
from secagg.source import Source
from secagg.transcript import read_identities, read_transcript
from secagg.verification import Verification, VerifiedRound
from secagg.verify import verify_sources


@dataclass(frozen=True)
class Recording:
    """One transcript under the path that the system file declares: a report names no path of this machine."""

    base: Source
    name: str
    """Relative to the system file."""
    vectors: bool = True
    """Whether vectors are handed out; without them a verification costs next to nothing."""

    @property
    def cut_short(self) -> bool:
        """As the base."""
        return self.base.cut_short

    def lines(self) -> Iterator[bytes]:
        """Yield the lines of the base."""
        return self.base.lines()

    def blob(self, sha256: str) -> NDArray[np.uint8] | None:
        """Return the bytes under a digest, None where vectors are held back."""
        return self.base.blob(sha256) if self.vectors else None

    def identities(self) -> Mapping[str, bytes] | None:
        """Return what the base is vouched for with."""
        return self.base.identities()


@dataclass(frozen=True)
class Recorded:
    """All declared transcripts and what they show."""

    sources: tuple[Recording, ...]
    verification: Verification
    identities: Mapping[str, bytes] | None = field(repr=False)
    """The declared vouching file; None takes what lies beside each transcript."""
    server_trust: str | None
    """What they were judged by; None takes each header's word."""

    @property
    def pairs(self) -> tuple[tuple[Recording, VerifiedRound], ...]:
        """Each transcript with what it shows."""
        return tuple(zip(self.sources, self.verification.transcripts, strict=True))

    def verify(self, *sources: Source) -> Verification:
        """Verify other sources the same way."""
        return verify_sources(sources, self.identities, server_trust=self.server_trust)


def section_of(system: System) -> SecureAggregation:
    """Return the declared section, an empty one where there is none."""
    declared = system.federation.secure_aggregation if system.federation else None
    return declared or SecureAggregation()


def recorded(system: System, ctx: Context) -> Recorded:
    """Return the declared transcripts, verified; the checks of one run share the answer.

    Raises:
        FileError: a declared file is no transcript, or cannot be read.
        MalformedRecord: the vouching file is none.
    """
    section = section_of(system)
    malicious = system.federation is not None and system.federation.server_trust == MALICIOUS
    return _verified(ctx.folder, section.transcripts, section.identities, MALICIOUS if malicious else None)


@lru_cache(maxsize=1)  # a dozen checks ask for the same answer, one after another
def _verified(
    folder: Path, transcripts: tuple[Artifact, ...], vouched: Artifact | None, server_trust: str | None
) -> Recorded:
    identities = None if vouched is None else read_identities(folder / vouched.path)
    sources = tuple(Recording(read_transcript(folder / one.path), one.path) for one in transcripts)
    return Recorded(sources, verify_sources(sources, identities, server_trust=server_trust), identities, server_trust)
