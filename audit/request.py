"""What a run is asked for, what it tells while it goes on, and what it leaves behind."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from audit.plan import Planned
from audit.store import Leftover
from reports.check import Check, Options
from reports.dsse import Signature
from reports.model import Auditor, Effort, Finding, Report, System
from reports.statement import Statement

Render = Callable[[Statement, Sequence[Signature], Callable[[str], bytes | None]], Mapping[str, bytes]]
"""(statement, signatures over it, content of evidence up to internal) to files for `render/`."""


class Progress:
    """Told how a run goes; silent. The command line hands in one that draws."""

    def planned(self, planned: Sequence[Planned]) -> None:
        """Learn what will be asked."""

    def asking(self, check: Check) -> None:
        """Learn that a check begins."""

    def trials(self, done: int, total: int) -> None:
        """Learn how many trials of the current check are done."""

    def answered(self, check: Check, findings: Sequence[Finding]) -> None:
        """Learn what a check answered."""


@dataclass(frozen=True)
class Request:
    """What a run was asked for."""

    system_file: Path
    """The system under review."""
    bundle: Path | None
    """The folder to write; must not exist. None where findings are asked for and no bundle."""
    now: datetime
    """The clock of the whole run."""
    effort: Effort = Effort.STANDARD
    """How much work each check may do."""
    seed: int | None = None
    """Root seed; derived from system file, policy and nonce where None."""
    nonce: str | None = None
    """A verifier's word, part of the derived seed."""
    only: tuple[str, ...] = ()
    """Globs of checks to ask."""
    skip: tuple[str, ...] = ()
    """Globs of checks to leave out."""
    extra_checks: tuple[Check, ...] = ()
    """Checks of a local plug-in."""
    policy_sha256: str | None = None
    """Digest of the policy that is fixed before the run."""
    auditor: Auditor | None = None
    """Who answers for the test."""
    options: Options = field(default_factory=Options)
    """What the checks may know of the command line."""
    files_must_fit: bool = False
    """Whether a file that a check cannot use ends the run, instead of being that check's finding."""
    leftover: Leftover = "discard"
    """What becomes of an earlier run of this bundle that did not end."""
    now_was_said: bool = True
    """Whether somebody chose the clock; else a resumed run keeps the one that it was begun with."""
    keep_run: bool = False
    """Whether the run store stays beside the bundle, with the seconds of checks and trials, and with salts."""
    salted_evidence: bool = False
    """Whether evidence that may be withheld is salted."""


@dataclass(frozen=True)
class Audited:
    """What a run left behind."""

    bundle: Path
    """The folder."""
    statement: Statement
    """The report, and the bytes that were signed."""
    keyid: str | None
    """Of the key that signed, if one did."""

    @property
    def report(self) -> Report:
        """The report."""
        return self.statement.report


@dataclass(frozen=True)
class Answered:
    """What a system answered, where no bundle was asked for."""

    system: System
    """The system."""
    seed: int
    """Root seed."""
    findings: tuple[Finding, ...]
    """One or more of every check, those that were left out among them, sorted by check and key."""
    shared: Mapping[str, object] = field(default_factory=dict)
    """What the checks made once for all of them, under the keys of `Context.once`."""
