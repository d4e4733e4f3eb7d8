"""The report as one HTML file: no script, no request, nothing from the report that is not text."""

import functools
from pathlib import Path
from typing import TYPE_CHECKING

from reports.plot import Plot
from reports.view import View
from reports.wording import NOT_ADVICE, visible

if TYPE_CHECKING:
    from jinja2 import Environment
    from markupsafe import Markup

TEMPLATES = Path(__file__).parent / "templates"


@functools.cache
def environment(templates: Path = TEMPLATES) -> "Environment":
    """Return the environment of a folder's HTML templates: everything is escaped, an unknown name is an error."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    return Environment(
        loader=FileSystemLoader(templates),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=_shown,
    )


def _shown(value: object) -> object:
    """Write out what could hide or reorder text; markup of our own is left alone."""
    return visible(value) if type(value) is str else value


def render_html(view: View) -> str:
    """Return the report as one HTML page; equal views give equal pages."""
    from markupsafe import Markup

    from reports.plot_svg import svg

    def drawn(plot: Plot) -> "Markup":
        return svg(plot, view.shelf.content)

    style = Markup((TEMPLATES / "report.css").read_text(encoding="utf-8"))  # noqa: S704  our own file
    page = environment().get_template("report.html.j2")
    return page.render(view=view, drawn=drawn, style=style, not_advice=NOT_ADVICE)
