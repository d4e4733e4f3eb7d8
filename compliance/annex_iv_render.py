"""The evidence file of Annex IV for people: Markdown, one HTML page without script and without request, or PDF/A-3.

Whatever came from a system, a document or a finding stays text: it is escaped, and what could hide or reorder it is
written out.
"""

import hashlib
from datetime import UTC, datetime, time
from pathlib import Path

from compliance.annex_iv import annex_iv_bytes
from compliance.annex_iv_nouns import AnnexIV, PointEvidence, Section, Statement
from reports import render_html as html
from reports import render_markdown as markdown
from reports.typeset import typeset
from reports.wording import NOT_ADVICE, STATUS_WORD, number

TEMPLATES = Path(__file__).parent / "templates"
GAP_WORDS = {
    "no_evidence": "no evidence",
    "document_only": "words only",
    "contradicted": "contradicted",
    "insufficient": "not enough evidence",
    "unsigned": "not signed",
    "stale": "about something else",
    "person_needed": "a person is needed",
    "unread": "not read",
}
"""Gap codes as people read them."""


def render_html(file: AnnexIV) -> str:
    """Return the file as one HTML page; equal files give equal pages."""
    return html.environment(TEMPLATES).get_template("annex_iv.html.j2").render(**_names(file))


def render_markdown(file: AnnexIV) -> str:
    """Return the file as Markdown; equal files give equal text."""
    return markdown.environment(TEMPLATES).get_template("annex_iv.md.j2").render(**_names(file))


def render_pdf(file: AnnexIV) -> bytes:
    """Return the file as PDF with `annex-iv.json` inside; equal files give equal bytes.

    Raises:
        FedauditError: `extra.missing`: typst is not installed.
        IncompleteError: `render.pdf`: typst could not set the pages.
    """
    inside = annex_iv_bytes(file)
    told = file.model_dump(mode="json", exclude={"sections"}) | {
        "sections": [_section(section) for section in file.sections],
        "sha256": hashlib.sha256(inside).hexdigest(),
        "not_advice": NOT_ADVICE,
    }
    files = {"annex_iv.typ": (TEMPLATES / "annex_iv.typ").read_bytes(), "annex-iv.json": inside}
    return typeset("annex_iv.typ", told, datetime.combine(file.on, time(), UTC), files)


def _section(section: Section) -> dict[str, object]:
    """Return one point as its pages show it."""
    return {
        "point": section.point,
        "title": section.title,
        "applies": f"{section.applicability.state.replace('_', ' ')}: {section.applicability.reason}",
        "note": section.note,
        "gaps": [{"word": GAP_WORDS[gap.code], "text": gap.text} for gap in section.gaps],
        "statements": [{"text": statement.text, "place": _place(statement)} for statement in section.statements],
        "evidence": [
            {**one.model_dump(mode="json"), "word": STATUS_WORD[one.status], "figures": _figures(one)}
            for one in section.evidence
        ],
    }


def _names(file: AnnexIV) -> dict[str, object]:
    return {
        "file": file,
        "not_advice": NOT_ADVICE,
        "gap_words": GAP_WORDS,
        "status_words": STATUS_WORD,
        "figures": _figures,
        "place": _place,
    }


def _figures(evidence: PointEvidence) -> str:
    """Return the measurements of a finding in one line."""
    return "; ".join(
        f"{one.name} = {number(one.value)}{f' {one.unit}' if one.unit else ''}"
        + (f" [{number(one.interval.low)}, {number(one.interval.high)}]" if one.interval else "")
        + (f", n = {one.n}" if one.n is not None else "")
        for one in evidence.measurements
    )


def _place(statement: Statement) -> str:
    """Return where a statement stands, and what reader and measurements say of it."""
    where = statement.source
    if statement.start is not None:
        where += f", characters {statement.start} to {statement.end}"
    if statement.answer is not None:
        believed = "" if statement.believed else "; the reader may not decide"
        where += f"; read as: {statement.answer.replace('_', ' ')}{believed}"
    if statement.claim is not None:
        where += f"; claim of {statement.claim.replace('_', ' ')}: {(statement.state or '').replace('_', ' ')}"
    return where
