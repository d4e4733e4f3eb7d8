"""The run: every planned check is asked, and a report is always written.

System → plan → findings → report → sealed bundle. A check that raises becomes a finding with status `error`; a run that
is killed leaves no bundle, since the folder appears under its name only when it is whole.
"""

import importlib.metadata
import platform
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path

from audit.asking import ask
from audit.manifest import LoadedSystem, load_system
from audit.plan import Planned, capabilities, plan
from compliance.catalogue import Catalogue, load_catalogue
from compliance.errors import CatalogueError
from compliance.evidence import control_rows
from reports.bundle_writer import BundleWriter
from reports.check import Check, Context, Options, discover, unique
from reports.context import EvidenceStore
from reports.dsse import Signature, sign
from reports.errors import SystemFileError
from reports.evidence import evidence_root
from reports.executor import Executor, Serial
from reports.keys import PrivateKey
from reports.model import Auditor, ControlRow, Effort, Finding, Provenance, Report, System
from reports.seed import derived_seed
from reports.statement import Statement, declared_subjects, make_statement
from reports.version import VERSION

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


@dataclass(frozen=True)
class Audited:
    """What a run left behind."""

    bundle: Path
    """The folder."""
    statement: Statement
    """The report, and the bytes that were signed."""
    keyid: str | None
    """Of the key that signed, if one did."""


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


def run_audit(
    request: Request,
    *,
    key: PrivateKey | None = None,
    render: Render | None = None,
    executor: Executor | None = None,
    progress: Progress | None = None,
) -> Audited:
    """Audit one system and write its bundle.

    Args:
        request: what to ask, of what, with which clock and seed.
        key: signs the report; unsigned where None.
        render: writes the report for people into the bundle.
        executor: runs the trials; one after another where None.
        progress: told how it goes.

    Raises:
        SystemFileError, CheckError, BundleError: nothing was written.
        ValueError: `request.bundle` is None.
    """
    if request.bundle is None:
        raise ValueError("a request without a bundle is one for `ask_system`")
    progress = progress or Progress()
    loaded, planned = _prepared(request)
    catalogue = _law_of(loaded, request)
    progress.planned(planned)
    with BundleWriter(request.bundle) as writer, _one_thread():
        findings = _findings(request, loaded, planned, writer, executor or Serial(), progress, {})
        report = _report(request, loaded, findings, writer, _duties(request, loaded, planned, findings, catalogue))
        statement = make_statement(report, declared_subjects(loaded.system))
        signatures = (sign(statement.body, key),) if key else ()
        renderings = render(statement, signatures, writer.content) if render else {}
        writer.finish(statement.body, signatures, renderings)
    return Audited(request.bundle, statement, key.keyid if key else None)


def ask_system(
    request: Request,
    store: EvidenceStore,
    *,
    executor: Executor | None = None,
    progress: Progress | None = None,
    loaded: LoadedSystem | None = None,
) -> Answered:
    """Ask one system what a run would ask it, and write no bundle.

    Args:
        request: as for `run_audit`; `bundle` is not read.
        store: takes the evidence.
        executor: as for `run_audit`.
        progress: as for `run_audit`.
        loaded: the system, where only a part of what its file declares is to be asked about.

    Raises:
        SystemFileError, CheckError: nothing was asked.
        FedauditError: a file cannot be used, and `request.files_must_fit`.
    """
    progress = progress or Progress()
    shared: dict[str, object] = {}
    loaded, planned = _prepared(request, loaded)
    progress.planned(planned)
    with _one_thread():
        findings = _findings(request, loaded, planned, store, executor or Serial(), progress, shared)
    return Answered(loaded.system, root_seed(request, loaded.system.source.sha256), findings, shared)


def _prepared(request: Request, loaded: LoadedSystem | None = None) -> tuple[LoadedSystem, tuple[Planned, ...]]:
    """Return the system and what becomes of each check."""
    loaded = loaded or load_system(request.system_file)
    checks = unique((*discover(), *request.extra_checks))
    can = capabilities(policy=request.policy_sha256 is not None, judge=request.options.judge is not None)
    planned = plan(loaded.system, checks, only=request.only, skip=request.skip, capabilities=can)
    _require_trust(loaded, planned, trusted=request.options.trust_code)
    return loaded, planned


def _require_trust(loaded: LoadedSystem, planned: Sequence[Planned], *, trusted: bool) -> None:
    """Refuse to begin where a check would have to run the owner's code and nobody said that it may."""
    model = loaded.system.model
    if trusted or model is None or model.definition is None or model.layers is not None:
        return
    if needing := [
        one.check.id for one in planned if one.runs and any("model.definition" in n for n in one.check.needs)
    ]:
        raise SystemFileError(
            "system.untrusted_code",
            f"{loaded.system.source.path}: model.definition: {model.definition.file.path} is code, which {needing[0]} "
            "would have to run",
            f"Read it, then say --trust-code; or leave out what needs it with --skip '{needing[0].split('.')[0]}.*'.",
        )


def root_seed(request: Request, system_sha256: str) -> int:
    """Return the seed of a run: the chosen one, else the one that nobody chose."""
    return (
        request.seed if request.seed is not None else derived_seed(system_sha256, request.policy_sha256, request.nonce)
    )


def _findings(
    request: Request,
    loaded: LoadedSystem,
    planned: Sequence[Planned],
    store: EvidenceStore,
    executor: Executor,
    progress: Progress,
    shared: dict[str, object],
) -> tuple[Finding, ...]:
    options = replace(request.options, expected_digests=loaded.expected_digests, policy_sha256=request.policy_sha256)
    measured: list[Finding] = []  # what checks that need `findings` may read: not one another's
    last: list[Finding] = []
    for one in planned:
        context = Context(
            check=one.check,
            system=loaded.system,
            seed=root_seed(request, loaded.system.source.sha256),
            effort=request.effort,
            folder=loaded.folder,
            now=request.now,
            store=store,
            options=options,
            executor=executor,
            findings=tuple(measured) if one.check.reads_findings else (),
            report_progress=progress.trials,
            shared=shared,
        )
        progress.asking(one.check)
        found = ask(one, context, files_must_fit=request.files_must_fit)
        progress.answered(one.check, found)
        (last if one.check.reads_findings else measured).extend(found)
    return tuple(sorted((*measured, *last), key=lambda finding: (finding.check, finding.key)))


def _law_of(loaded: LoadedSystem, request: Request) -> Catalogue:
    """Return the law that the system names, else the one in force on the day of the run."""
    try:
        return load_catalogue(loaded.system.law_version, request.now.date())
    except CatalogueError as error:
        at = f"{loaded.system.source.path}: system.law_version"
        raise SystemFileError("system.law_version", f"{at}: {error.message}", error.hint) from error


def _duties(
    request: Request,
    loaded: LoadedSystem,
    planned: Sequence[Planned],
    findings: Sequence[Finding],
    catalogue: Catalogue,
) -> tuple[ControlRow, ...]:
    """Return what the findings say of every duty of the law."""
    kinds = {one.check.id: one.check.kinds for one in planned}
    return control_rows(findings, kinds, catalogue, request.now.date(), system=loaded.system)


def _report(
    request: Request,
    loaded: LoadedSystem,
    findings: tuple[Finding, ...],
    writer: BundleWriter,
    duties: tuple[ControlRow, ...],
) -> Report:
    provenance = Provenance(
        tool_version=VERSION,
        root_seed=root_seed(request, loaded.system.source.sha256),
        seed_source="derived" if request.seed is None else "chosen",
        nonce=request.nonce,
        effort=request.effort,
        only=request.only,
        skip=request.skip,
        python=platform.python_version(),
        platform=f"{platform.system()}-{platform.machine()}".lower(),
        threads=1,
        packages=packages(),
        auditor=request.auditor,
        policy_sha256=request.policy_sha256,
        started=request.now,
        finished=request.now,
    )
    evidence = writer.evidence
    return Report(
        system=loaded.system,
        findings=findings,
        evidence=evidence,
        evidence_root=evidence_root(evidence),
        controls=duties,
        provenance=provenance,
    )


def packages() -> dict[str, str]:
    """Return the versions of the installed distributions that our own metadata names, by name."""
    found: dict[str, str] = {}
    for requirement in importlib.metadata.requires("fedaudit") or ():
        if name := re.match(r"[A-Za-z0-9._-]+", requirement):
            try:
                found[name.group().lower()] = importlib.metadata.version(name.group())
            except importlib.metadata.PackageNotFoundError:
                continue  # an extra that is not installed
    return dict(sorted(found.items()))


@contextmanager
def _one_thread() -> Iterator[None]:
    """Let torch sum in one order, so that two machines write the same report bytes."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)
