"""What comes out of a verification: a report that withstood its steps, or the step that refused it."""

from dataclasses import dataclass

from reports.errors import VerificationError
from reports.evidence import Fault
from reports.model import Report
from reports.statement import Statement

USAGE_CODES = frozenset({"bundle.not_found", "subject.not_given", "subject.not_found"})
"""Refusals that say nothing of the bundle: the call was wrong (exit 2)."""


class StepError(VerificationError):
    """A step of the verification that refused the bundle.

    Args:
        code: of the first fault.
        message: of the first fault.
        hint: the mend, or empty.
        step: number of the step.
        faults: all faults that were found, where all were asked for; else the first.
    """

    def __init__(self, code: str, message: str, hint: str = "", step: int = 0, faults: tuple[Fault, ...] = ()) -> None:
        super().__init__(code, message, hint)
        self.args = (code, message, hint, step, faults)  # a copy from another process keeps step and faults
        self.step, self.faults = step, faults or (Fault(code, message),)
        self.exit_code = 2 if code in USAGE_CODES else 4


@dataclass(frozen=True)
class Signer:
    """A trusted key that signed the report."""

    keyid: str
    """SHA-256 of its material."""
    name: str
    """Whose it is, by the trust file."""
    role: str
    """In what capacity, by the trust file."""
    algorithm: str
    """`ecdsa-p256` or `ed25519`."""
    counted: bool
    """Whether its signature counts towards the role."""
    reason: str
    """Why not; empty if it does."""
    stamped_at: str | None = None
    """When a listed authority saw the signature, `YYYY-MM-DDTHH:MM:SSZ`; None: its time is the report's own word."""


@dataclass(frozen=True)
class MatchedSubject:
    """A file or folder of the caller's that the report is about."""

    path: str
    """As the caller named it."""
    sha256: str
    """Its digest."""
    name: str
    """As the report names it."""


@dataclass(frozen=True)
class Verified:
    """A report that withstood every step in `steps`, and nothing more."""

    statement: Statement
    """The report with its subjects and its bytes."""
    signers: tuple[Signer, ...]
    """The trusted keys that signed it."""
    steps: tuple[int, ...]
    """The steps that were taken; all of them passed."""
    trust_sha256: str
    """Digest of the trust file."""
    subjects: tuple[MatchedSubject, ...] = ()
    """The caller's files that it is about; empty if `steps` lacks 14."""
    evidence_files: int = 0
    """Files of evidence that are present and what was signed."""
    evidence_bytes: int = 0
    """Their size."""
    withheld: tuple[str, ...] = ()
    """Paths of the evidence that is absent, as it may be."""
    warnings: tuple[str, ...] = ()
    """What a reader should know."""

    @property
    def report(self) -> Report:
        """The report."""
        return self.statement.report
