"""The report that a run follows: read without trust, and checked where somebody said whose signature counts."""

from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path

from reports.bundle import read_bundle
from reports.model import Report
from reports.trust import load_trust
from reports.verify import verify


@dataclass(frozen=True)
class PreviousReport:
    """What an earlier bundle says, and who vouches for it."""

    sha256: str
    """Its id: SHA-256 of the signed bytes."""
    report: Report
    """What it says."""
    signers: tuple[str, ...]
    """Names of the trusted people whose signatures count; empty where no trust file was given."""
    stamped: bool = False
    """Whether a listed authority vouches for when one of them signed."""


def read_previous(bundle: Path, trust_file: Path | None, now: datetime) -> PreviousReport:
    """Return the report of an earlier audit.

    Its age is no objection, whatever the trust file says of age: an old report is what a new one follows. Its evidence
    is not read.

    Args:
        bundle: the earlier bundle.
        trust_file: a trust.toml; without one nothing is known of who signed.
        now: the clock of the run.

    Raises:
        BundleError: nothing is there (exit 2), or no bundle that can be read (exit 3).
        TrustError: the trust file cannot be used (exit 2).
        VerificationError: a trust file was given, and the report is not authentic by it (exit 4).
    """
    if trust_file is None:
        statement = read_bundle(bundle).statement
        return PreviousReport(statement.sha256, statement.report, ())
    trust = replace(load_trust(trust_file), max_age_days=None)
    verified = verify(bundle, trust, [], now, signature_only=True)
    counted = [signer for signer in verified.signers if signer.counted]
    stamped = any(signer.stamped_at is not None for signer in counted)
    names = tuple(signer.name for signer in counted)
    return PreviousReport(verified.statement.sha256, verified.report, names, stamped)
