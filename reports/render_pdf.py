"""The report on paper: PDF with the signed payload inside, the same content in the same order as the HTML page."""

import re
from collections.abc import Mapping
from dataclasses import fields, is_dataclass, replace
from functools import cache

from pydantic import BaseModel

from reports.figure import described
from reports.plot import Plot
from reports.render_html import TEMPLATES
from reports.statement import Statement
from reports.typeset import typeset
from reports.view import View
from reports.view_finding import FindingView, Shelf
from reports.wording import NOT_ADVICE

ATTACHED = "report.json"
"""Name of the payload inside the PDF."""
_RULE = re.compile(r"([^{}]+)\{([^{}]*)\}")
_VARIABLE = re.compile(r"var\((--[\w-]+)\)")
_SIDES = re.compile(r' width="([\d.]+)" height="([\d.]+)"')
_STATES = (".pass", ".fail", ".inconclusive", ".skipped", ".error")
_FAMILY = "Libertinus Serif"


def render_pdf(view: View, statement: Statement) -> bytes:
    """Return the report as PDF/A-3 with `statement.body` attached; equal arguments give equal bytes.

    Args:
        view: what is shown.
        statement: the report behind it: its bytes, and the moment that becomes the date of the document.

    Raises:
        FedauditError: `extra.missing`: typst is not installed.
        IncompleteError: `render.pdf`: typst could not set the page.
    """
    told = {entry.name: _told(getattr(view, entry.name), view.shelf) for entry in fields(view)}
    for first in ("gravest", "held"):  # the first page cites findings and repeats no plots
        told[first] = [_told(replace(one, figures=()), view.shelf) for one in getattr(view, first)]
    told["not_advice"] = NOT_ADVICE
    told["places"] = _places(view)
    files = {name: (TEMPLATES / name).read_bytes() for name in ("report.typ", "marks.typ")}
    return typeset("report.typ", told, statement.report.provenance.finished, {**files, ATTACHED: statement.body})


def _told(value: object, shelf: Shelf) -> object:
    """Return a view as JSON values: plots as drawings, marks left to the template, which draws them."""
    if isinstance(value, BaseModel):
        return _drawing(value, shelf)  # type: ignore[arg-type]  # the only models in a view are plots
    if isinstance(value, Shelf):
        return None
    if is_dataclass(value):
        return {
            entry.name: _told(getattr(value, entry.name), shelf) for entry in fields(value) if entry.name != "shape"
        }
    if isinstance(value, tuple):
        return [_told(entry, shelf) for entry in value]
    if isinstance(value, Mapping):
        return {name: _told(entry, shelf) for name, entry in value.items()}
    return value


def _drawing(plot: Plot, shelf: Shelf) -> Mapping[str, object]:
    """Return the drawing of a plot for paper, its proportions, and what it shows in words."""
    from reports.plot_svg import svg

    drawn = str(svg(plot, shelf.content))
    sides = _SIDES.search(drawn)
    tall = float(sides[2]) / float(sides[1]) if sides else 1.0
    return {"svg": drawn.replace(">", f">{_paper_style()}", 1), "tall": tall, "words": described(plot)}


@cache
def _paper_style() -> str:
    """Return the style of plots with the colours of the light scheme: typst reads classes, and no variables."""
    sheet = re.sub(r"/\*.*?\*/", "", (TEMPLATES / "report.css").read_text(encoding="utf-8"), flags=re.DOTALL)
    rules = [(selector.strip(), body.strip()) for selector, body in _RULE.findall(sheet.partition("@media")[0])]
    rules += [(s.strip(), b.strip()) for s, b in _RULE.findall(sheet) if s.strip().startswith("svg")]
    colours = dict(re.findall(r"(--[\w-]+):\s*(#[0-9a-f]+)", dict(rules)[":root"]))
    kept = {s: b for s, b in rules if s.startswith("svg") or s in _STATES}
    kept["svg.plot"] = f"font-family: '{_FAMILY}'; font-size: 12px; fill: currentColor; color: {colours['--ink']}"
    written = (f"{selector} {{ {body} }}" for selector, body in kept.items())
    return f"<style>{_VARIABLE.sub(lambda found: colours.get(found[1], found[0]), ' '.join(written))}</style>"


def _places(view: View) -> dict[str, bool]:
    """Return the anchors that name one place only; a link to any other would be ambiguous."""
    shown: list[FindingView] = [one for group in view.groups for one in group.findings] + [*view.skipped]
    anchors = [one.anchor for one in shown] + [row.anchor for row in view.evidence]
    counts: dict[str, int] = {}
    for anchor in anchors:
        counts[anchor] = counts.get(anchor, 0) + 1
    return {anchor: True for anchor, count in counts.items() if count == 1}
