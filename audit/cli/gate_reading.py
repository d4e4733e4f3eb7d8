"""What is judged: the report, and the earlier one that it is held against; `gate` and `render` ask alike."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime
from pathlib import Path

from reports.bundle import Bundle, read_bundle
from reports.consistency import inconsistencies
from reports.errors import BundleError, IncompleteError, VerificationError
from reports.evidence import evidence_faults, withheld
from reports.judge import Verdict, judge
from reports.policy import Policy, Waiver
from reports.statement import Statement
from reports.trust import Trust
from reports.verify import verify


@dataclass(frozen=True)
class Opened:
    """A report that may be judged, and what is known of its seal."""

    statement: Statement
    """The report with its subjects."""
    authentic: bool | None
    """True if verified; None if nobody asked."""
    withheld: tuple[str, ...] = ()
    """Paths of the evidence that is absent, as it may be."""


def open_report(bundle: Path, trust: Trust | None, subjects: Sequence[Path], now: datetime) -> Opened:
    """Return the report to be judged: verified, or without `trust` read as strictly, its seal left alone.

    Raises:
        VerificationError: with `trust`: the code of the first refusal (exit 4).
        BundleError: without: it cannot be read.
        IncompleteError: without: `report.inconsistent` or an evidence code (exit 3: of an unsigned bundle nobody
            promised more).
    """
    if trust is not None:
        verified = verify(bundle, trust, subjects, now)
        return Opened(verified.statement, authentic=True, withheld=verified.withheld)
    read = _read(bundle)
    report = read.report
    for fault in evidence_faults(read.files, report.evidence, report.evidence_root, deny_withheld=False):
        raise IncompleteError(fault.code, f"{bundle}: {fault.message}", "Fetch the bundle again, whole.")
    return as_read(read)


def as_read(bundle: Bundle) -> Opened:
    """Return the report of a bundle of which nothing was verified."""
    absent = withheld(bundle.files, bundle.report.evidence)
    return Opened(bundle.statement, None, tuple(piece.path for piece in absent))


def open_baseline(bundle: Path, trust: Trust | None, now: datetime) -> Opened:
    """Return the report to compare with.

    It is about an earlier model and holds its numbers in the signed bytes themselves: so it is verified without
    subjects and evidence, and its age does not count against it.

    Raises:
        VerificationError: with `trust`: as `open_report`, the message says that it is the baseline.
        BundleError: without: as `open_report`; in both cases `bundle.not_found` is exit 2.
        IncompleteError: without: `report.inconsistent`.
    """
    if trust is None:
        return Opened(_read(bundle).statement, None)
    if not bundle.exists():
        raise BundleError("bundle.not_found", f"the baseline {bundle}: no such folder", "Check the path.")
    try:
        verified = verify(bundle, replace(trust, max_age_days=None), (), now, signature_only=True)
    except VerificationError as error:
        raise VerificationError(error.code, f"the baseline {bundle}: {error.message}", error.hint) from error
    return Opened(verified.statement, authentic=True)


def verdict_of(
    opened: Opened, policy: Policy, today: date, baseline: Opened | None = None, waivers: Sequence[Waiver] = ()
) -> Verdict:
    """Return what a policy says of an opened report on a day, with waivers from elsewhere.

    Raises:
        PolicyError: `baseline.other_system`.
    """
    statement = opened.statement
    return judge(
        statement.report,
        policy,
        today,
        None if baseline is None else baseline.statement.report,
        waivers,
        withheld=opened.withheld,
        report_sha256=statement.sha256,
        subject_sha256s=[subject.digest.sha256 for subject in statement.subjects],
    )


def _read(bundle: Path) -> Bundle:
    read = read_bundle(bundle)
    for sentence in inconsistencies(read.report):
        raise IncompleteError("report.inconsistent", f"{bundle}: {sentence}", "Run the audit again.")
    return read
