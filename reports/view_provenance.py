"""How a report came about, what it rests on and what it does not show, prepared for people."""

from collections.abc import Iterator
from dataclasses import dataclass

from reports.model import Report
from reports.view_finding import Shelf, evidence_anchor
from reports.wording import byte_size, counted


@dataclass(frozen=True)
class Limit:
    """Something that the findings do not show."""

    text: str
    """One sentence."""
    checks: tuple[str, ...]
    """Whose findings say so."""


@dataclass(frozen=True)
class EvidenceRow:
    """One piece of evidence in the index."""

    anchor: str
    """Where the page has it."""
    name: str
    """What it is."""
    media_type: str
    """Its type."""
    size: str
    """For people."""
    confidentiality: str
    """Who may read it."""
    state: str
    """present or withheld."""
    sha256: str
    """In full."""


def limits_of(report: Report) -> tuple[Limit, ...]:
    """Return every limitation once, with the checks that state it."""
    said: dict[str, dict[str, None]] = {}
    if report.provenance.seed_source == "chosen":
        said["The root seed was chosen by hand, so the run could have been repeated until it pleased."] = {}
    for finding in report.findings:
        for limitation in finding.limitations:
            said.setdefault(limitation, {})[finding.check] = None
    return tuple(Limit(text, tuple(checks)) for text, checks in said.items())


def provenance_of(report: Report) -> tuple[tuple[str, str], ...]:
    """Return how the report came about, as names and values."""
    made = report.provenance
    auditor = made.auditor
    rows = {
        "tool": f"fedaudit {made.tool_version}, report schema {made.schema_version}",
        "auditor": ", ".join(filter(None, (auditor.name, auditor.organisation, auditor.independence)))
        if auditor
        else "not named",
        "started": f"{made.started:%Y-%m-%d %H:%M:%S} UTC",
        "finished": f"{made.finished:%Y-%m-%d %H:%M:%S} UTC",
        "effort": str(made.effort),
        "root seed": f"{made.root_seed} ({made.seed_source})",
        "nonce": made.nonce or "none",
        "checks asked": ", ".join(made.only) or "all",
        "checks left out": ", ".join(made.skip) or "none",
        "policy fixed before the run": made.policy_sha256 or "none",
        "previous report": made.previous_report_sha256 or "none",
        "python": made.python,
        "platform": f"{made.platform}, {counted(made.threads, 'thread')} a trial",
    }
    return tuple(rows.items())


def evidence_rows(report: Report, shelf: Shelf) -> Iterator[EvidenceRow]:
    """Yield the rows of the index, in the order of the digests."""
    for piece in report.evidence:
        yield EvidenceRow(
            anchor=evidence_anchor(piece.sha256),
            name=piece.name,
            media_type=piece.media_type,
            size=byte_size(piece.size),
            confidentiality=str(piece.confidentiality),
            state=shelf.state(piece),
            sha256=piece.sha256,
        )
