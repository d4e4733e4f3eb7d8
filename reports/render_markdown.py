"""The report as Markdown (CommonMark with GitHub's tables): what is read where no page can be opened.

Every value is made text before it is written; what might become a link or call somebody by name goes into a code span.
"""

import functools
import re
from pathlib import Path
from typing import TYPE_CHECKING

from reports.render_html import TEMPLATES
from reports.view import View
from reports.wording import NOT_ADVICE, visible

if TYPE_CHECKING:
    from jinja2 import Environment

_SPECIAL = re.compile(r"([\\`*_\[\]<>~&$#])")
_LEADING = re.compile(r"^([+=:-]|\d+(?=[.)](?:\s|$)))")
_LINKS = re.compile(r"://|www\.|@|mailto:|xmpp:|(?<!\d):[\w+-]+:", re.IGNORECASE)
_TICKS = re.compile(r"`+")


class Marked(str):
    """Markdown that is meant as such; anything else is escaped."""

    __slots__ = ()


def escaped(text: str) -> Marked:
    """Return `text` so that a reader of Markdown shows it letter by letter, on one line, also inside a table."""
    pieces = " ".join(visible(text).split()).split("|")  # a bar is no part of a code span: tables would split there
    return Marked("\\|".join(_piece(piece) for piece in pieces))


def _piece(plain: str) -> str:
    if _LINKS.search(plain):
        return code(plain)
    return _LEADING.sub(_kept_apart, _SPECIAL.sub(r"\\\1", plain))


def _kept_apart(start: re.Match[str]) -> str:
    """Return the start of a text so that it opens no heading, list or rule; a number's dot is escaped behind it."""
    return f"{start[0]}\\" if start[0].isdigit() else f"\\{start[0]}"


def code(text: str) -> Marked:
    """Return `text` as a code span that nothing in it can close (CommonMark section 6.1)."""
    plain = " ".join(visible(text).split())
    if not plain:
        return Marked("")
    fence = "`" * (max((len(run) for run in _TICKS.findall(plain)), default=0) + 1)
    air = " " if plain.startswith("`") or plain.endswith("`") else ""
    return Marked(f"{fence}{air}{plain}{air}{fence}")


def cell(text: str) -> Marked:
    """Return `text` as a code span for a table, where a bar is escaped even there (GFM section 4.10)."""
    return Marked(code(text).replace("|", "\\|"))


def block(text: str) -> Marked:
    """Return `text` as an indented code block, which nothing in it can close."""
    return Marked("\n".join(f"    {line}" for line in visible(text).split("\n")))


@functools.cache
def environment(templates: Path = TEMPLATES) -> "Environment":
    """Return the environment of a folder's Markdown templates: whatever is no `Marked` is escaped."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    made = Environment(
        loader=FileSystemLoader(templates),
        autoescape=False,  # noqa: S701  not HTML: `finalize` escapes for Markdown
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        finalize=lambda value: value if isinstance(value, Marked) else escaped(str(value)),
    )
    made.filters |= {"code": code, "cell": cell, "block": block, "mark": Marked}
    return made


def render_markdown(view: View) -> str:
    """Return the report as Markdown; equal views give equal text."""
    return environment().get_template("report.md.j2").render(view=view, not_advice=NOT_ADVICE)
