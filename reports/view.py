"""The one view of a report that every renderer reads: ordered, grouped, in words. It does no I/O, they compute nothing.

Text in a view is raw: a renderer makes it safe in its own way (`reports.render_html`, `reports.render_markdown`).
"""

import shlex
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

from reports.model import Confidentiality, Finding, Severity, Status
from reports.statement import Statement
from reports.verdict import Verdict
from reports.view_finding import FindingView, Shelf, finding_view
from reports.view_law import (
    ArticleRow,
    DueDay,
    DutyRow,
    HeatCell,
    ParagraphRow,
    articles_of,
    by_day,
    duties_of,
    law_tally,
    paragraphs_of,
    without_evidence,
)
from reports.view_provenance import (
    EvidenceRow,
    Limit,
    Withholding,
    evidence_rows,
    limits_of,
    provenance_of,
    withholding_of,
)
from reports.view_signature import Signer as Signer
from reports.view_system import ArtifactRow, ClaimRow, Facts, artifacts_of, claims_of, facts_of
from reports.view_verdict import VerdictView, verdict_view
from reports.wording import STATUS_MEANING, STATUS_SHAPE, STATUS_WORD, STRENGTH_LETTER, STRENGTH_MEANING, counted

GRAVEST = 5
"""Findings on the first screen."""
FIRST_SUBJECTS = 3
"""Subjects named in the line that verifies."""
_TALLY_ORDER = (Status.PASS, Status.FAIL, Status.INCONCLUSIVE, Status.SKIPPED, Status.ERROR)
_GRAVEST_FIRST = (Status.FAIL, Status.ERROR, Status.INCONCLUSIVE, Status.PASS, Status.SKIPPED)


@dataclass(frozen=True)
class Tally:
    """How many findings have a status."""

    status: str
    """The machine's word."""
    word: str
    """The people's word."""
    shape: str
    """The mark that goes with it."""
    meaning: str
    """What it says of the system."""
    count: int
    """How many."""


@dataclass(frozen=True)
class Untested:
    """Checks that were not asked, for one reason."""

    sentence: str
    """Why, for people."""
    reason: str
    """Why, for machines."""
    checks: tuple[str, ...]
    """Which."""
    findings: tuple[FindingView, ...]
    """What they would have told."""


@dataclass(frozen=True)
class SeverityGroup:
    """Findings of one severity, gravest first."""

    severity: str
    """The severity."""
    findings: tuple[FindingView, ...]
    """Those that were asked."""


@dataclass(frozen=True)
class View:
    """A report as people read it."""

    name: str
    """Of the system."""
    version: str
    """Of the system."""
    report_id: str
    """sha256 of the payload, in full."""
    day: str
    """When the audit was finished."""
    scope: str
    """What was tested, by whom, when, how hard, in one sentence."""
    tallies: tuple[Tally, ...]
    """Five, in the order pass, fail, inconclusive, not tested, error."""
    verdict: VerdictView | None
    """None where no policy was given."""
    gravest: tuple[FindingView, ...]
    """At most five that failed, broke or stayed undecided."""
    held: tuple[FindingView, ...]
    """Passed findings, gravest harm and strongest proof first, as far as the first screen has room."""
    untested: tuple[Untested, ...]
    """Every reason for which something was not asked."""
    verify_line: str
    """The command that checks this report."""
    more_subjects: int
    """Subjects that the line does not name."""
    signers: tuple[Signer, ...]
    """Unchecked."""
    law_table: bool
    """Whether the table of duties was filled."""
    gaps: tuple[DutyRow, ...]
    """Duties without evidence, by date."""
    due: tuple[DueDay, ...]
    """The same, gathered by day."""
    law_tally: tuple[HeatCell, ...]
    """Duties that apply, or will, by state."""
    articles: tuple[ArticleRow, ...]
    """The same by article."""
    law_version: str
    """Of the law that the table speaks of, or empty."""
    undeclared: int
    """Duties that hang on a condition that the owner neither declares nor denies."""
    duties: tuple[DutyRow, ...]
    """All duties."""
    paragraphs: tuple[ParagraphRow, ...]
    """Paragraphs that findings name."""
    facts: tuple[Facts, ...]
    """What the owner declares."""
    artifacts: tuple[ArtifactRow, ...]
    """What the owner handed in."""
    claims: tuple[ClaimRow, ...]
    """Claims beside measurements."""
    groups: tuple[SeverityGroup, ...]
    """Findings that were asked, by severity."""
    skipped: tuple[FindingView, ...]
    """Findings that say why a check was not asked."""
    limits: tuple[Limit, ...]
    """What the findings do not show."""
    methods: tuple[tuple[str, str], ...]
    """Measurement and method."""
    strengths: tuple[tuple[str, str], ...]
    """Words for kinds of proof, and what they mean."""
    letters: Mapping[str, str]
    """Letters for kinds of proof, by their words."""
    provenance: tuple[tuple[str, str], ...]
    """How the report came about."""
    packages: tuple[tuple[str, str], ...]
    """Distributions and versions."""
    evidence_root: str
    """One value over all evidence."""
    evidence: tuple[EvidenceRow, ...]
    """The index."""
    withholding: Withholding
    """What of it may be withheld, what is, and what a bare digest gives away."""
    shelf: Shelf
    """Where drawings find their images."""


def view_of(
    statement: Statement,
    *,
    signers: Sequence[Signer] = (),
    lookup: Callable[[str], bytes | None] = lambda _: None,
    include: Confidentiality = Confidentiality.INTERNAL,
    withheld: Collection[str] = (),
    verdict: Verdict | None = None,
) -> View:
    """Return the view of a report.

    Args:
        statement: the report, its bytes and its subjects.
        signers: whoever the envelope names.
        lookup: content of evidence by SHA-256, None where absent; asked for plots and images only, and never for what
            `include` keeps back.
        include: the most confidential evidence whose content may be embedded.
        withheld: digests of evidence whose files are absent.
        verdict: what a policy said of it.
    """
    report = statement.report
    shelf = Shelf({piece.sha256: piece for piece in report.evidence}, lookup, include, frozenset(withheld))
    ordered = sorted(report.findings, key=_gravity)
    views = {finding.fingerprint: finding_view(finding, report, shelf) for finding in ordered}
    asked = [finding for finding in ordered if finding.status is not Status.SKIPPED]
    grave = [finding for finding in asked if finding.status is not Status.PASS]
    passed = [finding for finding in asked if finding.status is Status.PASS]
    passed.sort(key=lambda finding: (-finding.severity.rank, -finding.strength.rank))
    subjects = [subject.name for subject in statement.subjects]
    words = [word for name in subjects[:FIRST_SUBJECTS] for word in ("--subject", name)]
    gaps = without_evidence(report)
    return View(
        name=report.system.name,
        version=report.system.version,
        report_id=statement.sha256,
        day=report.provenance.finished.date().isoformat(),
        scope=scope_sentence(statement),
        tallies=tuple(_tally(status, report.findings) for status in _TALLY_ORDER),
        verdict=verdict_view(verdict) if verdict else None,
        gravest=tuple(views[finding.fingerprint] for finding in grave[:GRAVEST]),
        held=tuple(views[finding.fingerprint] for finding in passed[: max(GRAVEST - len(grave), 0)]),
        untested=_untested(report.findings, views),
        verify_line=shlex.join(["fedaudit", "verify", "BUNDLE", "--trust", "trust.toml", *words]),
        more_subjects=max(len(subjects) - FIRST_SUBJECTS, 0),
        signers=tuple(signers),
        law_table=bool(report.controls),
        gaps=gaps,
        due=by_day(gaps),
        law_tally=law_tally(report),
        articles=articles_of(report),
        law_version=report.controls[0].law_version if report.controls else "",
        undeclared=sum(row.applicability == "condition_unknown" for row in report.controls),
        duties=duties_of(report),
        paragraphs=paragraphs_of(report),
        facts=facts_of(report.system),
        artifacts=artifacts_of(report.system),
        claims=claims_of(report),
        groups=_groups(asked, views),
        skipped=tuple(views[f.fingerprint] for f in report.findings if f.status is Status.SKIPPED),
        limits=limits_of(report),
        methods=tuple(dict.fromkeys((m.name, m.method) for f in report.findings for m in f.measurements)),
        strengths=tuple((str(word), meaning) for word, meaning in STRENGTH_MEANING.items()),
        letters={str(word): letter for word, letter in STRENGTH_LETTER.items()},
        provenance=provenance_of(report),
        packages=tuple(sorted(report.provenance.packages.items())),
        evidence_root=report.evidence_root,
        evidence=tuple(evidence_rows(report, shelf)),
        withholding=withholding_of(report, shelf),
        shelf=shelf,
    )


def scope_sentence(statement: Statement) -> str:
    """Return what was tested, by whom, when, how hard and as of which law; what is unknown is said to be so."""
    report = statement.report
    system, provenance = report.system, report.provenance
    first = statement.subjects[0]
    parts = [f"{first.name} (sha256 {first.digest.sha256[:12]}…)"]
    if len(statement.subjects) > 1:
        parts.append(counted(len(statement.subjects) - 1, "further file"))
    if system.federation and system.federation.clients:
        parts.append(counted(system.federation.clients, "client"))
    if system.federation and system.federation.rounds:
        parts.append(counted(system.federation.rounds, "round"))
    if provenance.auditor:
        auditor = provenance.auditor
        place = ", ".join(filter(None, (auditor.organisation, auditor.independence)))
        parts.append(f"by {auditor.name}" + (f" ({place})" if place else ""))
    else:
        parts.append("by nobody named")
    version = report.controls[0].law_version if report.controls else system.law_version
    law = f"law as of {version}" if version else "no version of the law declared"
    return f"Tested: {', '.join(parts)}, on {provenance.finished:%Y-%m-%d}; effort {provenance.effort}; {law}."


def _gravity(finding: Finding) -> tuple[int, int, str, str]:
    return (_GRAVEST_FIRST.index(finding.status), -finding.severity.rank, finding.check, finding.key)


def _tally(status: Status, findings: Sequence[Finding]) -> Tally:
    count = sum(finding.status is status for finding in findings)
    return Tally(str(status), STATUS_WORD[status], STATUS_SHAPE[status], STATUS_MEANING[status], count)


def _untested(findings: Iterable[Finding], views: Mapping[str, FindingView]) -> tuple[Untested, ...]:
    """Group what was not asked by why; the reason that stops most comes first."""
    groups: dict[tuple[str, str], list[Finding]] = {}
    for finding in findings:
        if finding.status is Status.SKIPPED:
            groups.setdefault((finding.summary, finding.reason), []).append(finding)
    ordered = sorted(groups.items(), key=lambda item: -len(item[1]))
    return tuple(
        Untested(sentence, reason, tuple(f.check for f in found), tuple(views[f.fingerprint] for f in found))
        for (sentence, reason), found in ordered
    )


def _groups(asked: Sequence[Finding], views: dict[str, FindingView]) -> tuple[SeverityGroup, ...]:
    groups: dict[Severity, list[FindingView]] = {severity: [] for severity in reversed(Severity)}
    for finding in asked:
        groups[finding.severity].append(views[finding.fingerprint])
    return tuple(SeverityGroup(str(severity), tuple(found)) for severity, found in groups.items() if found)
