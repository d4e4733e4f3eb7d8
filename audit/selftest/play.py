"""One case, played: build the flawed system or its twin, audit it, and say what each check answered."""

import hashlib
import logging
import tempfile
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from audit.request import Request
from audit.selftest.flaw import VERIFY, Flaw
from audit.selftest.workshop import Workshop
from audit.selftest.zoo import zoo
from audit.store_errors import StoppedError
from audit.system_folder import SystemFolder
from reports.errors import FedauditError
from reports.model import Confidentiality, Effort, Evidence, Finding, Status, evidence_path
from reports.wording import visible

log = logging.getLogger(__name__)
GRAVITY = (Status.SKIPPED, Status.PASS, Status.INCONCLUSIVE, Status.ERROR, Status.FAIL)
"""Of several findings of one check, the last of these is what it answered."""


@dataclass(frozen=True)
class Case:
    """A trial of the self-test."""

    flaw: str
    """Id of the flaw."""
    planted: bool
    """Whether the flaw is there; else the twin."""
    seed: int
    """Root seed of the self-test."""
    effort: Effort
    """Of the audit."""
    now: datetime
    """The clock of the audit."""


@dataclass(frozen=True)
class Observed:
    """What the audit said of a case."""

    case: Case
    """Which."""
    statuses: Mapping[str, Status]
    """Check to its gravest answer; `VERIFY` among them where the bundle was sealed."""
    seconds: float
    """Of building and auditing; differs from run to run."""
    error: str | None = None
    """Why the case could not be played."""


@dataclass
class Discarded:
    """An evidence store that remembers digests and keeps no bytes."""

    pieces: dict[str, Evidence] = field(default_factory=dict)

    def put_evidence(self, data: bytes, media_type: str, confidentiality: Confidentiality, name: str) -> Evidence:
        """Return the piece for these bytes."""
        digest = hashlib.sha256(data).hexdigest()
        piece = Evidence(
            sha256=digest, path=evidence_path(digest), size=len(data), media_type=media_type,
            confidentiality=confidentiality, name=name,
        )  # fmt: skip
        return self.pieces.setdefault(digest, piece)


def case_seed(seed: int, flaw: str) -> int:
    """Return the seed of a flaw and its twin: sha256 of "seed/flaw"."""
    return int.from_bytes(hashlib.sha256(f"{seed}/{flaw}".encode()).digest()[:6], "big")


def play(case: Case) -> Observed:
    """Build one case in a temporary folder, audit it, and return what was said; what goes wrong is told, not raised.

    Raises:
        StoppedError: the disk is full, or a worker was killed; that is no answer about the case.
    """
    [one] = [entry for entry in zoo() if entry.id == case.flaw]
    begun = time.perf_counter()
    with tempfile.TemporaryDirectory(prefix="fedaudit-selftest-") as place:
        try:
            folder = Path(place) / "system"
            make = built(one, case, folder)
            statuses, error = audited(one, case, make, folder), None
        except StoppedError:
            raise
        except FedauditError as fault:
            statuses, error = {}, fault.message
        except Exception as fault:  # the other cases are still played, and the matrix says which could not be
            log.debug("%s could not be played", case, exc_info=fault)
            statuses, error = {}, f"{type(fault).__name__}: {fault}"
    if error is not None:  # the same wherever it was played, on one line
        error = visible(" ".join(error.replace(f"{place}/", "").split()))[:300]
    return Observed(case, statuses, time.perf_counter() - begun, error)


def built(one: Flaw, case: Case, folder: Path) -> Workshop:
    """Write the case's system to `folder`, which must not exist, and return the workshop that did."""
    from audit.worker import one_thread

    with one_thread(), SystemFolder(folder) as files:
        make = Workshop(files, case_seed(case.seed, one.id), case.effort, root=case.seed)
        one.build(make, planted=case.planted)
    return make


def audited(one: Flaw, case: Case, make: Workshop, folder: Path) -> dict[str, Status]:
    """Audit what was built, and return each check's gravest answer."""
    from audit.run import ask_system

    request = Request(
        system_file=folder / "system.toml",
        bundle=None,
        now=case.now,
        effort=case.effort,
        seed=make.seed,
        skip=one.spared,
    )
    if make.asked is not None:
        request = make.asked(request)
    if make.seals:
        from audit.selftest.sealing import sealed_answers

        return sealed_answers(request, make, folder)
    return gravest(ask_system(request, Discarded()).findings)


def gravest(findings: Iterable[Finding]) -> dict[str, Status]:
    """Return, by check, the gravest of its answers; checks that were left out are not in it."""
    said: dict[str, Status] = {}
    for one in findings:
        if one.reason == "deselected":
            continue
        before = said.get(one.check, Status.SKIPPED)
        said[one.check] = max(before, one.status, key=GRAVITY.index)
    return said


__all__ = ["GRAVITY", "VERIFY", "Case", "Discarded", "Observed", "audited", "built", "case_seed", "gravest", "play"]
