"""A check, and what it may do to the world: draw numbers, run trials, keep evidence, write findings.

How a check is declared and found stands in `reports.check`, from which everybody imports these names.
"""

import hashlib
import secrets
from collections.abc import Callable, Iterable, Iterator, Mapping, MutableMapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, TypeVar, cast

from reports.canonical import canonical
from reports.executor import Executor, Serial
from reports.model import (
    Auditor,
    Basis,
    Confidentiality,
    Effort,
    Evidence,
    Finding,
    Measurement,
    Noun,
    Remedy,
    Severity,
    Status,
    Strength,
    System,
    fingerprint,
)
from reports.trials import TrialStore, run_trials

if TYPE_CHECKING:
    import numpy
    import torch

Ask = Callable[[System, "Context"], Iterator[Finding]]
Trial = TypeVar("Trial")
Result = TypeVar("Result")
PLOT_MEDIA_TYPE = "application/vnd.fedaudit.plot+json"


class EvidenceStore(Protocol):
    """Keeps bytes under their digest."""

    def put_evidence(self, data: bytes, media_type: str, confidentiality: Confidentiality, name: str) -> Evidence:
        """Keep `data` and return how it is cited."""
        ...


@dataclass(frozen=True)
class Options:
    """How a run was asked for, as far as a check may know."""

    trust_code: bool = False
    """Whether `[model].definition` may be executed."""
    expected_digests: Mapping[str, str] = field(default_factory=dict)
    """The table `[digests]` of the system file: relative path to SHA-256."""
    policy_sha256: str | None = None
    """Digest of the policy that was fixed before the run."""
    engine: str = "auto"
    """Which engine matches gradients: "auto" (each attack chooses), "factored", "vmap" or "sequential"."""
    device: str = "auto"
    """Where attacks compute: "cpu", "cuda", or "auto" for a GPU where there is one."""
    oracles: int | None = None
    """How many models a verification of unlearning trains; None for what the effort says."""
    cache: Path | None = None
    """A folder of the auditor's where trained oracles are kept between runs; None to keep none."""
    judge: Path | None = None
    """A judge.toml of the auditor's that names who reads the documents; None for what the system names."""
    allow_remote_llm: tuple[str, ...] = ()
    """Hosts that documents may be sent to, if judge.toml allows them as well."""
    pinned: tuple[str, ...] = ()
    """Digests of assessments, calibrations and cassettes that the policy believes."""
    auditor: Auditor | None = None
    """The person who answers for the test, where one was named."""
    policy: Path | None = None
    """The policy that was fixed before the run; a time stamp may lie beside it."""
    policy_recorded_first: bool = False
    """Whether the run recorded the policy's digest before the first trial."""
    previous: Path | None = None
    """The bundle of the report that this one follows."""
    trust: Path | None = None
    """A trust.toml: whose signature on the previous report is believed; None for nobody's."""
    code_sha256: str | None = None
    """Of everything in our packages, where a self-test is to be held against it."""
    selftest: Path | None = None
    """Evidence of a self-test of the auditor, which the report cites."""


def stream_seed(seed: int, check_id: str, purpose: str) -> int:
    """Return the 128-bit seed of one purpose of one check: adding a check changes no other check's numbers."""
    return int.from_bytes(hashlib.sha256(f"{seed}/{check_id}/{purpose}".encode()).digest()[:16], "big")


def _silent(_done: int, _total: int) -> None:
    """Report no progress."""


@dataclass(frozen=True)
class Check:
    """One question put to a system."""

    id: str
    """Parts joined by dots, words by hyphens: `secagg.double-reveal`."""
    title: str
    """A sentence that is true when the check passes."""
    ask: Ask
    """Yields the findings, at least one."""
    needs: tuple[str, ...] = ()
    """Words that `missing` resolves; all must hold."""
    controls: tuple[str, ...] = ()
    """Ids of the law catalogue that its findings bear on."""
    kinds: tuple[str, ...] = ()
    """Kinds of evidence that it emits, as the law catalogue names them."""
    strength: Strength = Strength.STATISTICAL
    """The kind of proof of its findings, unless a finding says otherwise."""
    severity: Severity = Severity.MEDIUM
    """The harm of a failure, unless a finding says otherwise."""
    after_others: bool = False
    """Whether it is asked when the others are done, since it judges what the run left behind."""

    @property
    def reads_findings(self) -> bool:
        """Whether it reads the findings of the others, and so is planned last."""
        return "findings" in self.needs


@dataclass(frozen=True)
class Context:
    """What one check is given beside the system."""

    check: Check
    """The check that is asked."""
    system: System
    """The system it is asked of."""
    seed: int
    """Root seed of the run."""
    effort: Effort
    """How much work it may do."""
    folder: Path
    """Folder of the system file; an artifact lies at `folder / artifact.path`."""
    now: datetime
    """The clock of the run, fixed."""
    store: EvidenceStore
    """Where evidence goes."""
    options: Options = field(default_factory=Options)
    """How the run was asked for."""
    executor: Executor = field(default_factory=Serial)
    """Runs the trials."""
    findings: tuple[Finding, ...] = ()
    """What the others found; empty, save for a check that needs `findings`."""
    report_progress: Callable[[int, int], None] = _silent
    """Told (done, total) by `progress`."""
    trials: TrialStore | None = None
    """Keeps what `map` has run; None where nothing is kept."""
    shared: MutableMapping[str, object] = field(default_factory=dict)
    """What `once` keeps, the same for all checks of a run."""

    def rng(self, purpose: str) -> "numpy.random.Generator":
        """Return NumPy's generator for one purpose, derived from root seed, check and purpose."""
        import numpy

        return numpy.random.default_rng(stream_seed(self.seed, self.check.id, purpose))

    def generator(self, purpose: str) -> "torch.Generator":
        """Return torch's generator (on the CPU) for one purpose."""
        import torch

        stream = stream_seed(self.seed, self.check.id, purpose)
        return torch.Generator().manual_seed(stream & (2**63 - 1))

    def entropy(self, size: int) -> bytes:
        """Return bytes of the system's entropy, for keys and masks; never seeded."""
        return secrets.token_bytes(size)

    def map(
        self, fn: "Callable[[Trial, numpy.random.Generator], Result]", trials: Iterable[Trial], *, purpose: str
    ) -> Iterator[Result]:
        """Yield `fn(trial, rng)` in the order of the trials; trial i draws from the stream `purpose#i`.

        `fn` is a function of a module. Progress is reported as trials finish. What is kept of them is not run again.
        """
        listed = list(trials)
        seeded = [(stream_seed(self.seed, self.check.id, f"{purpose}#{i}"), t) for i, t in enumerate(listed)]
        kept = None if self.trials is None else self.trials.opened(purpose, fn, listed)
        return run_trials(fn, seeded, self.executor, kept=kept, progress=self.progress)

    def once(self, key: str, make: Callable[[], Result]) -> Result:
        """Return what `make` gives, made once in a run for all checks that name the same `key`.

        What is made must not depend on the check: its randomness comes from `seed` and `key`, not from `rng`.
        """
        if key not in self.shared:
            self.shared[key] = make()
        return cast("Result", self.shared[key])

    def progress(self, done: int, total: int) -> None:
        """Report how far the check has come."""
        self.report_progress(done, total)

    def evidence(self, name: str, data: bytes, media_type: str, confidentiality: Confidentiality | str) -> str:
        """Keep a piece of evidence and return its SHA-256, to be cited in a finding."""
        return self.store.put_evidence(data, media_type, Confidentiality(confidentiality), name).sha256

    def plot(self, plot: Noun, confidentiality: Confidentiality | str = Confidentiality.INTERNAL) -> str:
        """Keep a plot (a noun of `reports.plot`) as evidence and return its SHA-256."""
        name = f"{self.check.id} {getattr(plot, 'kind', 'plot')}"
        return self.evidence(name, canonical(plot), PLOT_MEDIA_TYPE, confidentiality)

    def finding(
        self,
        status: Status,
        summary: str,
        *,
        key: str = "",
        severity: Severity | None = None,
        strength: Strength | None = None,
        basis: Basis = Basis.MEASURED,
        detail: str = "",
        measurements: Iterable[Measurement] = (),
        evidence: Iterable[str] = (),
        controls: Iterable[str] | None = None,
        remedy: Remedy | None = None,
        limitations: Iterable[str] = (),
        reason: str = "",
    ) -> Finding:
        """Return a finding of this check; title, controls, severity and strength are the check's unless given."""
        return Finding(
            check=self.check.id,
            key=key,
            title=self.check.title,
            status=status,
            severity=severity or self.check.severity,
            strength=strength or self.check.strength,
            basis=basis,
            summary=summary,
            detail=detail,
            measurements=tuple(measurements),
            evidence=tuple(evidence),
            controls=self.check.controls if controls is None else tuple(controls),
            remedy=remedy,
            limitations=tuple(limitations),
            reason=reason,
            fingerprint=fingerprint(self.system.name, self.check.id, key),
        )
