"""The system under review, prepared for people: what it declares and holds, what it claims and what was measured."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date

from reports.model import Artifact, Finding, Noun, Report, System
from reports.view_finding import finding_anchor
from reports.wording import STATUS_WORD, byte_size, counted, number, phrase, quantity

_MEASURED_BY = {
    "epsilon": ("epsilon_accounted", "epsilon_lower_bound"),
    "dropout_tolerance": ("dropout_tolerance",),
    "membership_advantage": ("membership_advantage",),
    "accuracy": ("accuracy",),
}
"""Which measurements speak to which claim."""
_CLAIM = "claim="
"""How the key of a finding begins that compares a claim with what others measured."""


@dataclass(frozen=True)
class Facts:
    """What one section of the system file declares."""

    title: str
    """Of the section."""
    rows: tuple[tuple[str, str], ...]
    """Name and value; keys that were not given are absent."""


@dataclass(frozen=True)
class ArtifactRow:
    """One file or folder."""

    path: str
    """Relative to the system file."""
    kind: str
    """Which key names it."""
    size: str
    """For people."""
    sha256: str
    """In full."""


@dataclass(frozen=True)
class Measured:
    """A measurement beside a claim."""

    anchor: str
    """Of the finding."""
    check: str
    """That measured it."""
    text: str
    """Name, value and interval; or the sentence of a finding that compares."""
    word: str
    """Status of the finding."""


@dataclass(frozen=True)
class ClaimRow:
    """A claim, and what was measured of it."""

    name: str
    """What is claimed."""
    claimed: str
    """The figure or word."""
    source: str
    """Where it stands in the system file."""
    measured: tuple[Measured, ...]
    """Empty where nothing was measured."""


def facts_of(system: System) -> tuple[Facts, ...]:
    """Return the declared sections, in the order of the system file, without those that say nothing."""
    groups = [Facts("Identity", tuple(_scalars(system)))]
    if system.federation:
        groups.append(Facts("Federation", tuple(_scalars(system.federation))))
        for title, noun in (
            ("Secure aggregation", system.federation.secure_aggregation),
            ("Differential privacy", system.federation.differential_privacy),
        ):
            groups.append(Facts(title, tuple(_scalars(noun)) if noun else (("declared", "none"),)))
    if system.model:
        groups.append(Facts("Model", tuple(_scalars(system.model))))
    groups.append(Facts("Material handed in", tuple(_material(system))))
    return tuple(group for group in groups if group.rows)


def _scalars(noun: Noun) -> Iterator[tuple[str, str]]:
    for name in type(noun).model_fields:
        text = _words(getattr(noun, name))
        if text:
            yield phrase(name), text


def _words(value: object) -> str:
    """Return a plain value as text; nothing for what is absent, a file, or a table of its own."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int | float):
        return number(value)
    if isinstance(value, str | date):
        return str(value)
    if isinstance(value, tuple):
        return ", ".join(filter(None, (_words(entry) for entry in value if not isinstance(entry, Noun))))
    return ""


def _material(system: System) -> Iterator[tuple[str, str]]:
    for role in dict.fromkeys(entry.role for entry in system.data):
        yield f"data: {role}", counted(sum(entry.role == role for entry in system.data), "file")
    for kind in dict.fromkeys(entry.kind for entry in system.updates):
        listed = [entry for entry in system.updates if entry.kind == kind]
        planted = sum(entry.truth is not None for entry in listed)
        yield f"updates: {kind}", f"{number(len(listed))}, {number(planted)} with planted truth"
    for request in system.unlearning:
        yield f"erasure request {request.id}", f"{request.kind}" + (f", by {request.method}" if request.method else "")
    for document in system.documents:
        yield f"document: {document.kind}", f"{document.path.path} ({document.classification})"


def artifacts_of(system: System) -> tuple[ArtifactRow, ...]:
    """Return every file and folder that the system names, once each, by path."""
    found = {(artifact.path, artifact.kind): artifact for artifact in _artifacts(system)}
    return tuple(ArtifactRow(a.path, a.kind, byte_size(a.size), a.sha256) for _, a in sorted(found.items()))


def _artifacts(value: object) -> Iterator[Artifact]:
    if isinstance(value, Artifact):
        yield value
    elif isinstance(value, Noun):
        for name in type(value).model_fields:
            yield from _artifacts(getattr(value, name))
    elif isinstance(value, tuple):
        for entry in value:
            yield from _artifacts(entry)


def claims_of(report: Report) -> tuple[ClaimRow, ...]:
    """Return what the owner claims beside what was measured, in the order of the claims."""
    federation = report.system.federation
    sources: list[tuple[str, Noun | None]] = [("claims", report.system.claims)]
    if federation:
        sources.append(("federation.differential_privacy", federation.differential_privacy))
    rows = []
    for source, noun in sources:
        for name in type(noun).model_fields if noun else ():
            text = _words(getattr(noun, name))
            if text and (source == "claims" or name in ("epsilon", "delta")):
                rows.append(ClaimRow(phrase(name), text, f"{source}.{name}", _measured(report.findings, name)))
    return tuple(rows)


def _measured(findings: tuple[Finding, ...], claim: str) -> tuple[Measured, ...]:
    """Return what speaks to a claim: figures, each told once by whoever measured it; else who compared the claim."""
    figures: dict[str, tuple[bool, Measured]] = {}
    compared = []
    for finding in findings:
        compares = finding.key.startswith(f"{_CLAIM}{claim} ")
        if compares:
            compared.append(_said(finding, finding.summary))
        for measurement in finding.measurements:
            if measurement.name in _MEASURED_BY.get(claim, ()):
                text = f"{phrase(measurement.name)} {quantity(measurement)}"
                if text not in figures or figures[text][0]:  # who compares only repeats the figure
                    figures[text] = (finding.key.startswith(_CLAIM), _said(finding, text))
    return tuple(one for _, one in figures.values()) or tuple(compared)


def _said(finding: Finding, text: str) -> Measured:
    return Measured(finding_anchor(finding.fingerprint), finding.check, text, STATUS_WORD[finding.status])
