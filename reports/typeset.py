"""Pages from data, by typst: one template of ours, data that is never markup, fonts that are always the same.

Standards: PDF/A-3a (ISO 19005-3, level A: tagged, every letter has its Unicode value) holds all that PDF/A-3b asks for
and more, and PDF/UA-1 (ISO 14289-1) is what a screen reader needs; typst refuses to write what breaks either.

Only the fonts inside typst are used, so that equal data give equal bytes on every machine: Latin, Greek, Cyrillic,
Hebrew, Arabic, Georgian, Armenian, signs. A letter that none of them has (Chinese, Japanese, Korean, Thai, emoji) is
written out as `⟦U+4E2D⟧`; nothing is dropped in silence.
"""

import json
import re
import unicodedata
from collections.abc import Collection, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

from reports.errors import FedauditError, IncompleteError
from reports.wording import visible

PAPER = Path(__file__).parent / "templates" / "paper.typ"
"""Colours, marks and tables of every document of ours; templates import it as `paper.typ`."""
STANDARDS = ("a-3a", "ua-1")
"""What the pages are held to while they are written."""
SPELT = "⟦U+"
"""How a letter begins that is written out."""
_NOWHERE = "\U0010ffff"
"""A noncharacter: no font has it."""
_GLYPH = re.compile(rb'<use xlink:href="(#g[0-9A-F]+)"')
_PROBE = b'#set page(width: 60pt, height: 60pt)\n#for letter in json("letters.json") { page(letter) }\n'


def typeset(main: str, data: object, moment: datetime, files: Mapping[str, bytes]) -> bytes:
    """Return a PDF; equal arguments give equal bytes.

    Args:
        main: which of `files` is the document; it reads `view.json`, and `spelt.json`: whether letters are written out.
        data: JSON values for `view.json`; text in it stays text, and what could hide or reorder it is written out.
        moment: the date of the document, in UTC; no clock is read.
        files: templates and what they read besides, by name.

    Raises:
        FedauditError: `extra.missing`: typst is not installed.
        IncompleteError: `render.pdf`: typst could not set the page.
    """
    typst = _typst()
    text = json.dumps(_shown(data), ensure_ascii=False)
    letters = {letter for letter in text if not letter.isascii()}
    absent = _absent(typst, letters)
    marks = {letter for letter in letters if unicodedata.category(letter).startswith("M") or letter in "\u200c\u200d"}
    # a mark may be in another font than the letter below it; where typst cannot join them, marks are written out
    for spelt in (absent, absent | marks, letters - set("⟦⟧")):
        written = text.translate({ord(letter): f"{SPELT}{ord(letter):04X}⟧" for letter in spelt})
        sources = {name: data for name, data in files.items() if name != main}
        sources |= {"main.typ": files[main], PAPER.name: PAPER.read_bytes(), "view.json": written.encode()}
        sources["spelt.json"] = json.dumps(SPELT in written).encode()
        try:
            return bytes(typst.compile(sources, ignore_system_fonts=True, pdf_standards=[*STANDARDS], timestamp=moment))
        except typst.TypstError as error:
            problem = error
            if "could not be displayed" not in str(error):
                break
    raise IncompleteError("render.pdf", f"typst could not set the page: {problem.message}") from problem


def _shown(value: object) -> object:
    if isinstance(value, str):
        return visible(value)
    if isinstance(value, Mapping):
        return {name: _shown(entry) for name, entry in value.items()}
    if isinstance(value, list | tuple):
        return [_shown(entry) for entry in value]
    return value


def _typst() -> Any:
    try:
        import typst
    except ImportError as error:
        raise FedauditError(
            "extra.missing", "PDF needs typst, which is not installed", "pip install 'fedaudit[pdf]'"
        ) from error
    return typst


def _absent(typst: Any, letters: Collection[str]) -> set[str]:
    """Return the letters that no font has: they are drawn with the sign that stands for a missing glyph."""
    asked = [_NOWHERE, *sorted(letters)]
    sources = {"main.typ": _PROBE, "letters.json": json.dumps(asked).encode()}
    drawn = typst.compile(sources, ignore_system_fonts=True, format="svg")
    glyphs = [_GLYPH.findall(page) for page in (drawn if isinstance(drawn, list) else [drawn])]
    return {letter for letter, found in zip(asked, glyphs, strict=True) if found == glyphs[0]}
