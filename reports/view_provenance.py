"""How a report came about, what it rests on and what it does not show, prepared for people."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from reports.model import Confidentiality, Evidence, Report
from reports.view_finding import Shelf, evidence_anchor
from reports.wording import byte_size, counted, number


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
    salted: bool
    """Whether its digest is over a secret salt too."""
    sha256: str
    """In full."""


@dataclass(frozen=True)
class Withholding:
    """What may be kept back without breaking the seal, and what its digest gives away all the same."""

    may: int
    """Pieces that are confidential or restricted."""
    absent: int
    """How many of them are."""
    sentences: tuple[str, ...]
    """The same for people; empty where nothing may be withheld."""


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
            salted=piece.salted,
            sha256=piece.sha256,
        )


def withholding_of(report: Report, shelf: Shelf) -> Withholding:
    """Return what of the evidence may be withheld, what is, and what a guesser can confirm from the digests alone."""
    may = [piece for piece in report.evidence if piece.confidentiality.at_least(Confidentiality.CONFIDENTIAL)]
    absent = sum(piece.sha256 in shelf.withheld for piece in may)
    if not may:
        return Withholding(0, 0, ())
    return Withholding(len(may), absent, (_how_many_absent(len(may), absent), _ORACLE, _salted_sentence(may)))


_ORACLE = (
    "A bare digest confirms a guess: whoever can list all that such a piece may hold, such as the scores of one record "
    "or a small image, hashes each and sees which one is there, though the file is withheld."
)


def _how_many_absent(may: int, absent: int) -> str:
    which = f"{counted(may, 'piece')} of evidence may be withheld, being confidential or restricted"
    return f"{which}; {number(absent) if absent else 'none'} {'is' if absent < 2 else 'are'}."


def _salted_sentence(may: Sequence[Evidence]) -> str:
    salted = sum(piece.salted for piece in may)
    if salted == len(may):
        return (
            "Each of them begins with 32 secret random bytes, withheld with it, so that its digest confirms nothing; "
            "its type, its size and its name are still told, and the system's own files are listed by bare digests."
        )
    which = f"{number(salted)} of them {'begins' if salted == 1 else 'begin'}" if salted else "None of them begins"
    return (
        f"{which} with 32 secret random bytes that prevent this: whoever means to withhold evidence runs the audit "
        "with --salted-evidence."
    )
