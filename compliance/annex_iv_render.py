"""The evidence file of Annex IV for people: Markdown, or one HTML page without script and without request.

Whatever came from a system, a document or a finding stays text: it is escaped, and what could hide or reorder it is
written out.
"""

import functools
from pathlib import Path
from typing import TYPE_CHECKING

from compliance.annex_iv_nouns import AnnexIV, PointEvidence, Statement
from reports.render_markdown import Marked, cell, code, escaped
from reports.wording import NOT_ADVICE, STATUS_WORD, number, visible

if TYPE_CHECKING:
    from jinja2 import Environment

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
    return _html().get_template("annex_iv.html.j2").render(**_names(file))


def render_markdown(file: AnnexIV) -> str:
    """Return the file as Markdown; equal files give equal text."""
    return _markdown().get_template("annex_iv.md.j2").render(**_names(file))


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


def _shown(value: object) -> object:
    """Write out what could hide or reorder text; markup of our own is left alone."""
    return visible(value) if type(value) is str else value


@functools.cache
def _html() -> "Environment":
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    return Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=_shown,
    )


@functools.cache
def _markdown() -> "Environment":
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    made = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=False,  # noqa: S701  not HTML: `finalize` escapes for Markdown
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        finalize=lambda value: value if isinstance(value, Marked) else escaped(str(value)),
    )
    made.filters |= {"code": code, "cell": cell}
    return made
