"""A case that is sealed: audited, signed with a key of the moment, done something to, and verified as a reader would.

audit ─▶ signed bundle ─▶ what happens to it ─▶ `reports.verify` with the files that the reader has in hand
"""

import shutil
from dataclasses import replace
from pathlib import Path

from audit.request import Request
from audit.run import run_audit
from audit.selftest.flaw import VERIFY
from audit.selftest.play import gravest
from audit.selftest.workshop import Workshop
from reports.keys import PrivateKey, generate
from reports.model import Status
from reports.trust import Trust, TrustedKey
from reports.verified import StepError
from reports.verify import verify

REFUSED = 4
"""Exit code of a refusal that speaks of the bundle; others tell of a wrong call."""


def sealed_answers(request: Request, make: Workshop, folder: Path) -> dict[str, Status]:
    """Run an audit into a bundle, let happen to it what the flaw says, verify it, and return what everybody answered.

    Args:
        request: what to ask; its `bundle` is not read.
        make: says what happens to the bundle, and which files the reader has.
        folder: the system's.

    Returns:
        Check to its gravest answer, with `VERIFY` among them: passed, or failed where the bundle was refused.

    Raises:
        reports.errors.FedauditError: the audit could not be run, or a file of the reader's is not there.
    """
    key = generate()
    place = folder.with_name(f".{folder.name}.sealed")  # no name by chance: an error that tells it is evidence
    place.mkdir()
    try:
        bundle = place / "bundle"
        audited = run_audit(replace(request, bundle=bundle), key=key)
        for happens in make.after_sealing:
            happens(bundle)
        subjects = [folder / path for path in make.subjects]
        return {**gravest(audited.statement.report.findings), VERIFY: _verified(bundle, key, subjects, request)}
    finally:
        shutil.rmtree(place)


def _verified(bundle: Path, key: PrivateKey, subjects: list[Path], request: Request) -> Status:
    """Return whether a reader who trusts this key alone takes the bundle for a report on these files."""
    trust = Trust(keys=(TrustedKey("self-test", "auditor", key.public),), require={"auditor": 1})
    try:
        verify(bundle, trust, subjects, request.now)
    except StepError as refused:
        if refused.exit_code != REFUSED:
            raise
        return Status.FAIL
    return Status.PASS
