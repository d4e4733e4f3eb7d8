"""DOCX (ECMA-376 part 1, WordprocessingML) by the standard library: paragraphs and tables in order, notes at the end.

Concealed are hidden runs (`w:vanish`), white ones and comments; deleted text is left out. Pictures, charts, embedded
files and foreign chunks are counted as not read.
"""

import re
from collections.abc import Iterator
from xml.etree.ElementTree import Element

from compliance.archive import Archive
from compliance.extracted import Extracted, Writing

_W = "{http://schemas.openxmlformats.org/wordprocessingml/2006/main}"
_STRICT = "{http://purl.oclc.org/ooxml/wordprocessingml/main}"
_FALLBACK = "{http://schemas.openxmlformats.org/markup-compatibility/2006}Fallback"
_MACROS = re.compile(r"(?:^|/)vba\w*\.(?:bin|xml)$", re.IGNORECASE)
_UNREAD = re.compile(r"^word/(?:media|embeddings|charts|diagrams|activeX)/[^/]+\.\w+$|(?:^|/)afchunk", re.IGNORECASE)
_NOTES = re.compile(r"^word/(?:header|footer)\d*\.xml$|^word/(?:footnotes|endnotes)\.xml$")
_HEADING = re.compile(r"heading ([1-9])$", re.IGNORECASE)
_DEEPEST = 6
_OFF = frozenset({"0", "false", "off", "none"})
_WHITE = frozenset({"FFFFFF", "FFF", "WHITE"})


def read_docx(name: str, data: bytes) -> Extracted:
    """Return the text of a DOCX file; paragraphs styled as headings make sections, rows of tables become lines.

    Raises:
        DocumentError: `document.archive` for a bomb, a document type, macros, or an archive that is none;
            `document.encrypted`.
    """
    archive = Archive(name, data)
    if any(_MACROS.search(member) for member in archive.members):
        raise archive.refused("holds macros", "Save it as .docx without macros.")
    body = archive.tree("word/document.xml")
    if body is None:
        raise archive.refused("holds no word/document.xml", "Save it as .docx.")
    styles = archive.tree("word/styles.xml")
    reader = _OfficeReader(_levels(styles), _hiding(styles))
    reader.block(body)
    for member in sorted(member for member in archive.members if _NOTES.match(member)):
        notes = archive.tree(member)
        if notes is not None:
            reader.block(notes)
    comments = archive.tree("word/comments.xml")
    if comments is not None:
        reader.writing.conceal("comment", " ".join(_said(comments)))
    reader.writing.not_read += sum(bool(_UNREAD.search(member)) for member in archive.members)
    return reader.writing.finish()


def _levels(styles: Element | None) -> dict[str, int]:
    """Return the level of each paragraph style that is a heading, by its id; names are English in every language."""
    found: dict[str, int] = {}
    for style in () if styles is None else styles:
        if _name(style) == "style":
            named = next((_value(part) for part in style if _name(part) == "name"), "")
            if heading := _HEADING.match(named):
                found[_attribute(style, "styleId")] = min(int(heading[1]), _DEEPEST)
            elif named.lower() == "title":
                found[_attribute(style, "styleId")] = 1
    return found


def _hiding(styles: Element | None) -> frozenset[str]:
    """Return the ids of the styles that hide what is set in them; what a style is based on is not followed."""
    every = () if styles is None else tuple(styles)
    return frozenset(_attribute(style, "styleId") for style in every if _name(style) == "style" and _hides(style))


class _OfficeReader:
    """Writes down what paragraphs and tables show."""

    def __init__(self, levels: dict[str, int], hiding: frozenset[str]) -> None:
        self.writing = Writing()
        self._levels = levels
        self._hiding = hiding

    def block(self, root: Element) -> None:
        """Take everything below an element that holds paragraphs or tables; nesting costs no stack."""
        pending = [root]
        while pending:
            here = pending.pop()
            match _name(here):
                case "p":
                    self._paragraph(here)
                case "tbl":
                    self._table(here)
                case _ if here.tag != _FALLBACK:
                    pending.extend(reversed(here))

    def _paragraph(self, paragraph: Element) -> None:
        shown = self._shown(paragraph)
        level = self._level(paragraph)
        if level:
            self.writing.heading(shown, level)
        elif shown.strip():
            self.writing.line()
            for line in shown.strip("\n").split("\n"):
                self.writing.words(line)
                self.writing.line()
            self.writing.line(1)

    def _table(self, table: Element) -> None:
        self.writing.line(1)
        for row in _below(table, "tr"):
            cells = [
                " ".join(" ".join(self._shown(one) for one in _below(cell, "p")).split()) for cell in _below(row, "tc")
            ]
            self.writing.line()
            self.writing.words(" | ".join(cells))
        self.writing.line(1)

    def _level(self, paragraph: Element) -> int:
        """Return the level of a heading, 0 of other paragraphs."""
        for part in paragraph:
            if _name(part) == "pPr":
                for said in part:
                    if _name(said) == "pStyle" and _value(said) in self._levels:
                        return self._levels[_value(said)]
                    if _name(said) == "outlineLvl" and _value(said).isdigit() and int(_value(said)) < _DEEPEST:
                        return int(_value(said)) + 1
        return 0

    def _shown(self, paragraph: Element) -> str:
        """Return what a paragraph shows; keep apart what its runs hide."""
        parts: list[str] = []
        hidden = self._styled_away(paragraph, "pPr", "pStyle")
        pending = [paragraph]
        while pending:
            here = pending.pop()
            if here.tag == _FALLBACK or _name(here) in ("del", "moveFrom"):
                continue
            if here is not paragraph and _name(here) == "p":
                parts.append(" ")  # of a text box inside a line
            if _name(here) == "r":
                text = "".join(_run(here))
                if hidden or _hides(here) or self._styled_away(here, "rPr", "rStyle"):
                    self.writing.conceal("hidden", text)
                else:
                    parts.append(text)
                pending.extend(one for one in reversed(here) if _name(one) not in _RUN_TEXT)
            else:
                pending.extend(reversed(here))
        return "".join(parts)

    def _styled_away(self, element: Element, properties: str, key: str) -> bool:
        """Tell whether an element names a style that hides it."""
        named = (_value(said) for part in element if _name(part) == properties for said in part if _name(said) == key)
        return any(name in self._hiding for name in named)


_RUN_TEXT = {"t": "", "tab": "\t", "br": "\n", "cr": "\n", "noBreakHyphen": "\u2011", "softHyphen": "\u00ad"}


def _run(run: Element) -> Iterator[str]:
    for part in run:
        name = _name(part)
        if name == "t":
            yield part.text or ""
        elif name == "sym":
            yield "\ufffd"  # a glyph of a symbol font, which has no character
        elif name in _RUN_TEXT:
            yield _RUN_TEXT[name]


def _hides(run: Element) -> bool:
    """Tell whether a run, or a style, says that it is hidden, or white on nothing that is said to be dark."""
    said = {_name(one): one for part in run if _name(part) == "rPr" for one in part}
    for hiding in ("vanish", "webHidden", "specVanish"):
        if hiding in said and _value(said[hiding]).lower() not in _OFF:
            return True
    if "color" not in said or _value(said["color"]).upper() not in _WHITE:
        return False
    paper = _attribute(said["shd"], "fill").upper() if "shd" in said else ""
    highlighted = "highlight" in said and _value(said["highlight"]).lower() not in ("none", "white")
    return not highlighted and paper in ("", "AUTO", *_WHITE)


def _said(root: Element) -> Iterator[str]:
    yield from (one.text or "" for one in root.iter() if _name(one) == "t")


def _below(root: Element, name: str) -> Iterator[Element]:
    """Yield the outermost elements of a name below `root`, in order."""
    pending = list(reversed(root))
    while pending:
        here = pending.pop()
        if _name(here) == name:
            yield here
        elif here.tag != _FALLBACK:
            pending.extend(reversed(here))


def _name(element: Element) -> str:
    """Return the name of a WordprocessingML element, of the transitional or the strict schema; else nothing."""
    for space in (_W, _STRICT):
        if element.tag.startswith(space):
            return element.tag[len(space) :]
    return ""


def _attribute(element: Element, name: str) -> str:
    return element.get(_W + name) or element.get(_STRICT + name) or ""


def _value(element: Element) -> str:
    return _attribute(element, "val")
