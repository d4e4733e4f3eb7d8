"""The tour: two federations are trained, audited, sealed and judged by one policy, and one of the two should pass.

    train ─▶ careless/, careful/ ─▶ audit ─▶ *.bundle ─▶ verify, judge ─▶ careless.html, careful.html

The digits are public and planted, so the pages beside the bundles show restricted evidence too: what was recovered
stands next to the original. `expected` is the outcome that design and README promise; the tour checks itself by it.
"""

import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

from audit.federations import write_careful, write_careless
from audit.run import Progress, Request, run_audit
from audit.scripted_reader import Occasion
from audit.system_folder import FolderError, rendered
from reports.bundle import read_bundle
from reports.judge import Result, Verdict, judge
from reports.keyfile import write_key_pair
from reports.keys import PrivateKey, generate
from reports.model import Auditor, Confidentiality, Effort, Finding, Report, Status
from reports.policy import Policy, load_policy, policy_digest
from reports.renderings import bundle_view, standard_renderings
from reports.trust import Trust, load_trust
from reports.verify import verify

SEED = 2026
"""Of the federations; the audits derive theirs from what they audit."""
Name = Literal["careless", "careful"]
WRITERS: Mapping[Name, Callable[[Path, int, Occasion], Path]] = {"careless": write_careless, "careful": write_careful}
FAIL, PASS, SKIPPED, UNDECIDED = Status.FAIL, Status.PASS, Status.SKIPPED, Status.INCONCLUSIVE
EXPECTED: Mapping[Name, Mapping[str, Status]] = {
    "careless": {
        "secagg.parameters": FAIL,
        "attack.labels": FAIL,
        "attack.linear": FAIL,
        "dp.accounting": FAIL,
        "dp.mechanism": FAIL,
        "integrity.accuracy": FAIL,
        "secagg.double-reveal": FAIL,
        "unlearning.federated.transcript": FAIL,
        "compliance.claims": FAIL,
        "compliance.citations": FAIL,
        "compliance.judge": UNDECIDED,  # a script that counts words is no reader to rely on
        "compliance.documents": UNDECIDED,
        "integrity.artifacts": PASS,  # its files are what they are said to be; that is all it can say for itself
    },
    "careful": {
        "integrity.artifacts": PASS,
        "secagg.parameters": PASS,
        "secagg.transcript": PASS,
        "secagg.double-reveal": PASS,
        "secagg.cohort": PASS,
        "dp.accounting": PASS,
        "dp.mechanism": PASS,
        "integrity.accuracy": PASS,
        "attack.aggregate": PASS,
        "unlearning.federated.request": PASS,
        "unlearning.federated.transcript": PASS,
        "compliance.citations": PASS,
        "compliance.injection": PASS,
        "compliance.judge": UNDECIDED,
        "compliance.documents": UNDECIDED,
        "attack.labels": SKIPPED,
        "attack.linear": SKIPPED,
        "attack.inversion": SKIPPED,
    },
}
"""What each system's checks must say at any effort; the careful one has no failure besides."""
EXPECTED_BEYOND_SMOKE: Mapping[Name, Mapping[str, Status]] = {
    "careless": {"unlearning.federated.residual": FAIL},
    "careful": {"unlearning.federated.replay": PASS, "unlearning.federated.residual": PASS},
}
"""What they must say besides where sixty-four models are trained to compare with."""
_GRAVITY = (Status.SKIPPED, Status.PASS, Status.INCONCLUSIVE, Status.ERROR, Status.FAIL)
VERDICTS: Mapping[Name, Result] = {"careless": Result.FAILED, "careful": Result.PASSED}


@dataclass(frozen=True)
class Toured:
    """One system at the end of the tour."""

    name: Name
    """Which of the two."""
    system: Path
    """Its folder."""
    bundle: Path
    """The sealed report."""
    page: Path
    """The report to look at, restricted evidence included."""
    report: Report
    """What was found, as verified."""
    verdict: Verdict
    """What the policy says of it."""

    @property
    def subject(self) -> Path:
        """The file that a verifier has in hand."""
        return self.system / "model.safetensors"


@dataclass(frozen=True)
class Tour:
    """Both systems, and what judged them."""

    folder: Path
    """Where everything lies."""
    systems: tuple[Toured, ...]
    """Careless, then careful."""

    @property
    def policy(self) -> Path:
        """The policy that both were judged by."""
        return self.folder / "policy.toml"

    @property
    def trust(self) -> Path:
        """The file that names whose signature counts."""
        return self.folder / "trust.toml"


@dataclass(frozen=True)
class _Office:
    """What an auditor has at hand: a key, a trust file, a policy, a clock."""

    key: PrivateKey
    trust: Trust
    policy: Policy
    now: datetime
    effort: Effort


def _silent(_sentence: str) -> None:
    """Say nothing."""


@contextmanager
def _undrawn(_title: str) -> Iterator[Progress]:
    yield Progress()


def run_demo(
    folder: Path,
    now: datetime,
    *,
    effort: Effort = Effort.SMOKE,
    seed: int = SEED,
    say: Callable[[str], None] = _silent,
    drawn: Callable[[str], AbstractContextManager[Progress]] = _undrawn,
) -> Tour:
    """Train, audit, seal and judge both systems; the folder appears when all is done.

    Args:
        folder: Must not exist.
        now: The clock of audits, verification and verdicts.
        effort: Of the audits.
        seed: Of the federations.
        say: Told, in a sentence, what begins.
        drawn: Gives the progress of the audit of a system, by its name.

    Raises:
        FolderError: The folder exists.
        FedauditError: A step did not work; nothing is left.
    """
    if folder.exists():
        raise FolderError("demo.exists", f"{folder} exists already", "Name a folder that does not, or remove it.")
    draft = folder.with_name(f".{folder.name}.partial")
    shutil.rmtree(draft, ignore_errors=True)
    draft.mkdir(parents=True)
    try:
        office = _office(draft, now, effort)
        toured = []
        for name, write in WRITERS.items():
            say(f"training the {name} federation on handwritten digits")
            write(draft / name, seed, Occasion(now.astimezone(UTC).date(), effort))
            with drawn(name) as progress:
                toured.append(_toured(draft, name, office, progress))
        draft.replace(folder)
    finally:
        shutil.rmtree(draft, ignore_errors=True)

    def moved(path: Path) -> Path:
        return folder / path.relative_to(draft)

    return Tour(folder, tuple(
        replace(one, system=moved(one.system), bundle=moved(one.bundle), page=moved(one.page)) for one in toured
    ))  # fmt: skip


def deviations(tour: Tour) -> tuple[str, ...]:
    """Return, as sentences, where the tour did not end as `EXPECTED` and `VERDICTS` say; empty when all is well."""
    found: list[str] = []
    for one in tour.systems:
        said = {check: finding.status for check, finding in gravest(one.report.findings).items()}
        for check, status in expected(one.name, one.report.provenance.effort).items():
            if said.get(check) is not status:
                found.append(f"{one.name}: {check} ended {said.get(check, 'unasked')}, not {status}.")
        if one.name == "careful":
            failed = [check for check, status in said.items() if status is FAIL and check not in EXPECTED[one.name]]
            found.extend(f"careful: {check} failed." for check in failed)
        if one.verdict.result is not VERDICTS[one.name]:
            found.append(f"{one.name}: the gate says {one.verdict.result}, not {VERDICTS[one.name]}.")
    return tuple(found)


def expected(name: Name, effort: Effort) -> dict[str, Status]:
    """Return what the checks of one system must say at an effort."""
    return {**EXPECTED[name], **({} if effort is Effort.SMOKE else EXPECTED_BEYOND_SMOKE[name])}


def gravest(findings: Iterable[Finding]) -> dict[str, Finding]:
    """Return, by check, what it must answer for where it has several findings: a failure before a pass."""
    ordered = sorted(findings, key=lambda finding: (_GRAVITY.index(finding.status), finding.severity.rank))
    return {finding.check: finding for finding in ordered}


def _office(folder: Path, now: datetime, effort: Effort) -> _Office:
    """Make a key, and write the policy and the trust file that names it."""
    key = generate("ecdsa-p256")
    write_key_pair(folder / "auditor.key", key, None)
    for name in ("policy.toml", "trust.toml"):
        (folder / name).write_text(rendered(name, {}), encoding="utf-8")
    return _Office(key, load_trust(folder / "trust.toml"), load_policy(folder / "policy.toml"), now, effort)


def _toured(folder: Path, name: Name, office: _Office, progress: Progress) -> Toured:
    """Audit one system, verify its bundle as a stranger would, judge it, and write its page."""
    from reports.render_html import render_html

    system, bundle, page = folder / name, folder / f"{name}.bundle", folder / f"{name}.html"
    request = Request(
        system_file=system / "system.toml",
        bundle=bundle,
        now=office.now,
        effort=office.effort,
        policy_sha256=policy_digest(office.policy),
        auditor=Auditor(
            name="Auditor of the demonstration", organisation="fedaudit demonstration", independence="internal"
        ),
    )
    run_audit(request, key=office.key, render=standard_renderings, progress=progress)
    subjects = (system / "model.safetensors",)
    verified = verify(bundle, office.trust, subjects, office.now, policy_sha256=policy_digest(office.policy))
    verdict = judge(
        verified.report,
        office.policy,
        office.now.astimezone(UTC).date(),
        withheld=verified.withheld,
        report_sha256=verified.statement.sha256,
        subject_sha256s=[subject.digest.sha256 for subject in verified.statement.subjects],
    )
    view = bundle_view(read_bundle(bundle), include=Confidentiality.RESTRICTED, verdict=verdict)
    page.write_text(render_html(view), encoding="utf-8")
    return Toured(name, system, bundle, page, verified.report, verdict)
