"""The run: every planned check is asked, and a report is always written.

System → plan → findings → report → sealed bundle. A check that raises becomes a finding with status `error`; a run that
is killed leaves no bundle, since the folder appears under its name only when it is whole, and a store from which it can
be resumed (`audit.store`).
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime

from audit.asking import ask
from audit.manifest import LoadedSystem, load_system
from audit.plan import Planned, capabilities, plan
from audit.provenance import packages, provenance_of, root_seed
from audit.request import Answered, Audited, Progress, Render, Request
from audit.store import RunStore
from audit.store_binding import binding, code_sha256
from audit.worker import one_thread
from compliance.catalogue import Catalogue, load_catalogue
from compliance.errors import CatalogueError
from compliance.evidence import control_rows
from reports.bundle import Bundle
from reports.check import Context, discover, unique
from reports.context import EvidenceStore
from reports.dsse import sign
from reports.errors import SystemFileError
from reports.evidence import evidence_root
from reports.executor import Executor, Serial
from reports.keys import PrivateKey
from reports.model import Finding, Report
from reports.statement import declared_subjects, make_statement

__all__ = [
    "Answered", "Audited", "Progress", "Render", "Request", "ask_system", "packages", "root_seed", "run_audit",
]  # fmt: skip


@dataclass(frozen=True)
class _Session:
    """Everything that is at hand while checks are asked."""

    request: Request
    loaded: LoadedSystem
    planned: tuple[Planned, ...]
    store: EvidenceStore
    executor: Executor
    progress: Progress
    kept: RunStore | None = None
    """Keeps what is finished; None where a run cannot be resumed."""
    shared: dict[str, object] = field(default_factory=dict)

    @property
    def seed(self) -> int:
        return root_seed(self.request, self.loaded.system.source.sha256)

    def findings(self) -> tuple[Finding, ...]:
        """Return what all checks answer, by check and key."""
        measured: list[Finding] = []  # what checks that need `findings` may read: not one another's
        last: list[Finding] = []
        context = self._context()
        for one in self.planned:
            self.progress.asking(one.check)
            read = tuple(measured) if one.check.reads_findings else ()
            found = self._answers(one, replace(context, check=one.check, findings=read))
            self.progress.answered(one.check, found)
            (last if one.check.reads_findings else measured).extend(found)
        return tuple(sorted((*measured, *last), key=lambda finding: (finding.check, finding.key)))

    def _context(self) -> Context:
        request, kept = self.request, self.kept
        options = replace(
            request.options,
            expected_digests=self.loaded.expected_digests,
            policy_sha256=request.policy_sha256,
            auditor=request.auditor,
            code_sha256=None if request.options.selftest is None else code_sha256(),
            policy_recorded_first=kept is not None and kept.policy_recorded_first,
            cache=kept.models if kept is not None and request.options.cache is None else request.options.cache,
        )
        return Context(
            check=self.planned[0].check,
            system=self.loaded.system,
            seed=self.seed,
            effort=request.effort,
            folder=self.loaded.folder,
            now=request.now,
            store=self.store,
            options=options,
            executor=self.executor,
            report_progress=self.progress.trials,
            shared=self.shared,
        )

    def _answers(self, one: Planned, context: Context) -> tuple[Finding, ...]:
        """Return what a check answers, or has answered to the run that this one goes on with."""
        must_fit, kept = self.request.files_must_fit, self.kept
        if kept is None or not one.runs:
            return ask(one, context, files_must_fit=must_fit)
        if (known := kept.answered(one.check.id)) is not None:
            return known
        begun = time.perf_counter()
        found = ask(one, replace(context, trials=kept.trials(one.check.id)), files_must_fit=must_fit)
        kept.finish_check(one.check.id, found, time.perf_counter() - begun)
        return found


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
        RunStoreError: an earlier run is there that cannot be gone on with as was asked; nothing was written.
        StoreWriteError: the disk is full; what was finished is kept, and `request.leftover` "resume" goes on with it.
        ValueError: `request.bundle` is None.
    """
    if (bundle := request.bundle) is None:
        raise ValueError("a request without a bundle is one for `ask_system`")
    loaded, planned = _prepared(request)
    store = RunStore(bundle, leftover=request.leftover, keep=request.keep_run, salted=request.salted_evidence)
    with one_thread(), store as kept:
        request = replace(request, now=_bound(kept, request, loaded, planned))
        if (sealed := kept.sealed()) is not None:
            return _audited(sealed)
        session = _Session(request, loaded, planned, kept, executor or Serial(), progress or Progress(), kept)
        catalogue = _law_of(loaded, request)
        session.progress.planned(planned)
        statement = make_statement(_report(session, kept, catalogue), declared_subjects(loaded.system))
        signatures = (sign(statement.body, key),) if key else ()
        renderings = render(statement, signatures, kept.content) if render else {}
        kept.seal(statement.body, signatures, renderings)
    return Audited(bundle, statement, key.keyid if key else None)


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
    loaded, planned = _prepared(request, loaded)
    session = _Session(request, loaded, planned, store, executor or Serial(), progress or Progress())
    session.progress.planned(planned)
    with one_thread():
        findings = session.findings()
    return Answered(loaded.system, session.seed, findings, session.shared)


def _prepared(request: Request, loaded: LoadedSystem | None = None) -> tuple[LoadedSystem, tuple[Planned, ...]]:
    """Return the system and what becomes of each check."""
    loaded = loaded or load_system(request.system_file)
    checks = unique((*discover(), *request.extra_checks))
    given = request.options
    can = capabilities(
        policy=request.policy_sha256 is not None,
        judge=given.judge is not None,
        previous=given.previous is not None,
        selftest=given.selftest is not None,
    )
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


def _law_of(loaded: LoadedSystem, request: Request) -> Catalogue:
    """Return the law that the system names, else the one in force on the day of the run."""
    try:
        return load_catalogue(loaded.system.law_version, request.now.date())
    except CatalogueError as error:
        at = f"{loaded.system.source.path}: system.law_version"
        raise SystemFileError("system.law_version", f"{at}: {error.message}", error.hint) from error


def _bound(kept: RunStore, request: Request, loaded: LoadedSystem, planned: Sequence[Planned]) -> datetime:
    """Bind the store to everything that decides the report, and return the clock of the run."""
    made = provenance_of(request, loaded.system.source.sha256)
    checks = [one.check for one in planned if one.runs]
    told = binding(loaded.system, made, request.options, checks, salted=request.salted_evidence)
    return kept.bind(told, request.now, now_was_said=request.now_was_said)


def _audited(sealed: Bundle) -> Audited:
    """Return what a run left that was killed after its bundle was whole."""
    signers = [signature.keyid for signature in sealed.envelope.signatures]
    return Audited(sealed.path, sealed.statement, signers[0] if signers else None)


def _report(session: _Session, kept: RunStore, catalogue: Catalogue) -> Report:
    """Ask every check, and return what the report holds."""
    findings, system, request = session.findings(), session.loaded.system, session.request
    kinds = {one.check.id: one.check.kinds for one in session.planned}
    evidence = kept.evidence
    return Report(
        system=system,
        findings=findings,
        evidence=evidence,
        evidence_root=evidence_root(evidence),
        controls=control_rows(findings, kinds, catalogue, request.now.date(), system=system),
        provenance=provenance_of(request, system.source.sha256),
    )
