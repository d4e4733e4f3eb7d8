"""The page with everything on it: a verdict, duties in every state, salted and withheld evidence. No test itself."""

from datetime import date

from reports.model import Confidentiality, ControlRow, Evidence, evidence_path
from reports.render_html import render_html
from reports.view import Signer, View, view_of
from tests.reports.export_cases import LIMIT, WAIVER, row, verdict_on
from tests.reports.sample_plots import Shelves
from tests.reports.sample_report import Sample, assemble, findings

STATES = ("not-assessed", "contradicted", "insufficient", "supported")
STEP = "The provider describes how this is done: {}. Then the auditor asks again."


def duties(prints: list[str], count: int = 48) -> tuple[ControlRow, ...]:
    """Return duties of two laws, in every state, on three days."""
    rows = []
    for number in range(count):
        state = STATES[number % 4]
        control = f"EU-AIA:{9 + number % 7}({1 + number})" if number % 3 else f"GDPR:{5 + number % 5}({1 + number})"
        title = f"A duty of the law in our words, number {number}"
        rows.append(
            row(control, state, "partial" if state == "supported" else None, *prints[number % 5 : number % 5 + 3],
                title=title, applies_from=(date(2025, 2, 2), date(2026, 8, 2), date(2027, 12, 2))[number % 3],
                role="provider" if number % 3 else "controller", missing=("document", "log")[: number % 3],
                next_step=STEP.format(title) if state == "insufficient" else "Ask more.",
                strength="exact" if state in ("supported", "contradicted") else None)
        )  # fmt: skip
    return tuple(rows)


def whole() -> Sample:
    """Return the careless report with duties, and with its restricted evidence salted by half."""
    shelves = Shelves()
    found = findings(shelves)
    for number, (digest, piece) in enumerate(sorted(shelves.pieces.items())):
        if piece.confidentiality is Confidentiality.RESTRICTED and number % 2:
            path = evidence_path(digest, ".png.salted")
            shelves.pieces[digest] = Evidence.model_validate(piece.model_dump() | {"salted": True, "path": path})
    asked = [one.fingerprint for one in found if one.status != "skipped"]
    return assemble(found, shelves, controls=duties(asked))


def whole_view(*, withhold: int = 2) -> View:
    """Return its view: restricted evidence shown, some of it withheld, two signers, a verdict with a waiver."""
    made = whole()
    kept_back = [piece.sha256 for piece in made.report.evidence if piece.confidentiality == "restricted"][:withhold]
    return view_of(
        made.statement,
        lookup=made.contents.get,
        signers=[Signer("9f2c41d07be3a55c" * 4), Signer("17ab" * 16, stamped="2026-11-21 09:31:00 UTC")],
        include=Confidentiality.RESTRICTED,
        withheld=kept_back,
        verdict=verdict_on(made.report, waivers=[WAIVER], threshold=[LIMIT], require=[{"check": "secagg.parameters"}]),
    )


def whole_page() -> str:
    """Return the page of it."""
    return render_html(whole_view())
