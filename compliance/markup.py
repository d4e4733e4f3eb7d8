"""HTML as tokens, and which elements a person does not see.

A tokenizer of our own, since `html.parser` of Python 3.11 takes quadratic time on tags that are never closed (measured:
17 s for 40,000 characters of `<a `). This one looks at every character once: what a browser would swallow up to the
end of the file is swallowed, and told. Style sheets are not read; only what the element itself says hides it.
"""

import html
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import NamedTuple

VOID = frozenset({"area", "base", "br", "col", "embed", "hr", "img", "input", "link", "meta", "source", "track", "wbr"})
DROPPED = frozenset({"script", "style", "template"})
"""Elements whose content is no text."""
UNREAD = frozenset({"img", "svg", "canvas", "object", "embed", "iframe", "video", "audio"})
"""Elements that hold something which is not read."""
PROSE = frozenset({"alt", "title", "aria-label", "aria-description", "placeholder", "summary", "content", "label"})
"""Attributes that hold words; those that start with `data-` do too."""
_NAME = re.compile(r"[A-Za-z][^\s/>]*")
_ATTRIBUTE = re.compile(
    r"""[\s/]*(?P<name>[^\s/>=][^\s/>=]*)(?:\s*=\s*(?:"(?P<double>[^"]*)(?:"|\Z)|'(?P<single>[^']*)(?:'|\Z)|(?P<bare>[^\s>]*)))?"""
)
_BETWEEN = re.compile(r"[\s/=]*")
_CLOSED_BY = {
    "p": frozenset({
        "p", "div", "ul", "ol", "table", "h1", "h2", "h3", "h4", "h5", "h6", "section", "article",
        "blockquote", "pre", "hr",
    }),
    "li": frozenset({"li"}),
    "dt": frozenset({"dt", "dd"}),
    "dd": frozenset({"dt", "dd"}),
    "tr": frozenset({"tr"}),
    "td": frozenset({"td", "th", "tr"}),
    "th": frozenset({"td", "th", "tr"}),
    "option": frozenset({"option"}),
}  # fmt: skip
"""Elements that end where one of these begins."""
_WHITE = re.compile(
    r"white|#f{3,4}|#f{6}(?:f{2})?|rgba?\(255,255,255(?:,[\d.]+%?)?\)|hsla?\([^)]*,100%(?:,[\d.]+%?)?\)"
)
_CLEAR = re.compile(r"transparent|rgba\([^)]*,0?\.?0*%?\)|#[0-9a-f]{3}0|#[0-9a-f]{6}00")
_ZERO = re.compile(r"[+-]?0*\.?0*(?:px|pt|em|rem|%|ex|ch|vw|vh)?")


class Tag(NamedTuple):
    """A start or an end tag."""

    name: str
    attributes: Mapping[str, str]
    closing: bool
    empty: bool
    """Whether it has no content: `<br>`, `<x/>`."""


class Words(NamedTuple):
    """Text between tags, character references resolved."""

    text: str


class Comment(NamedTuple):
    """What a browser shows nowhere: a comment, a declaration, or a tag that never ends."""

    text: str


Token = Tag | Words | Comment


def tokens(text: str) -> Iterator[Token]:
    """Yield the tokens of an HTML text in one pass."""
    place = 0
    while place < len(text):
        opened = text.find("<", place)
        if opened < 0:
            opened = len(text)
        if opened > place:
            yield Words(html.unescape(text[place:opened]))
        if opened == len(text):
            return
        if text.startswith("<!--", opened):
            place, content = _until(text, opened + 4, "-->")
            yield Comment(content)
        elif text.startswith(("<!", "<?"), opened):
            place, content = _until(text, opened + 2, ">")
            if not content.lower().startswith("doctype"):
                yield Comment(content)
        elif _NAME.match(text, opened + 1 + text.startswith("</", opened)):
            place, token = _tag(text, opened)
            yield token
            if isinstance(token, Tag) and token.name in DROPPED and not token.closing and not token.empty:
                place = _after_content(text, place, token.name)
        else:
            yield Words("<")
            place = opened + 1


def prose(tag: Tag) -> Iterator[str]:
    """Yield the attribute values of a tag in which words could stand."""
    for name, value in tag.attributes.items():
        if (name in PROSE or name.startswith("data-")) and " " in value.strip():
            yield value


class Hidden:
    """Follows start and end tags, and knows whether what stands here is hidden."""

    def __init__(self) -> None:
        self._open: list[tuple[str, bool]] = []
        self._count: Counter[str] = Counter()
        self._hiding = 0

    def __bool__(self) -> bool:
        return self._hiding > 0

    def follow(self, tag: Tag) -> None:
        """Take a tag into account."""
        if tag.closing:
            if self._count[tag.name]:
                while self._pop() != tag.name:
                    pass
            return
        while self._open and tag.name in _CLOSED_BY.get(self._open[-1][0], ()):
            self._pop()
        if not tag.empty:
            hides = hides_content(tag)
            self._open.append((tag.name, hides))
            self._count[tag.name] += 1
            self._hiding += hides

    def _pop(self) -> str:
        name, hides = self._open.pop()
        self._count[name] -= 1
        self._hiding -= hides
        return name


def hides_content(tag: Tag) -> bool:
    """Tell whether an element says of itself that nobody sees what it holds."""
    if "hidden" in tag.attributes or tag.attributes.get("aria-hidden", "").strip().lower() == "true":
        return True
    if not tag.attributes.keys() & {"style", "color"}:
        return False
    style = _style(tag.attributes.get("style", ""))
    if style.get("display") == "none" or style.get("visibility") in ("hidden", "collapse"):
        return True
    if any(_ZERO.fullmatch(style[key]) and "0" in style[key] for key in ("opacity", "font-size") if key in style):
        return True
    ink = style.get("color", re.sub(r"\s+", "", tag.attributes.get("color", "").lower()))
    paper = style.get("background-color", style.get("background", ""))
    if not ink:
        return False
    if paper and not _CLEAR.fullmatch(paper):
        return ink == paper or bool(_CLEAR.fullmatch(ink)) or bool(_WHITE.fullmatch(ink) and _WHITE.fullmatch(paper))
    return bool(_WHITE.fullmatch(ink) or _CLEAR.fullmatch(ink))


def _style(text: str) -> dict[str, str]:
    """Return the declarations of a `style` attribute, without white space, comments or importance."""
    plain = re.sub(r"/\*.*?(?:\*/|\Z)", "", text.lower(), flags=re.DOTALL)
    found: dict[str, str] = {}
    for declaration in plain.split(";"):
        key, _, value = declaration.partition(":")
        found[key.strip()] = re.sub(r"\s+", "", value.replace("!important", ""))
    return found


def _until(text: str, start: int, end: str) -> tuple[int, str]:
    """Return where to go on and what stands before `end`; an unclosed one reaches to the end of the text."""
    found = text.find(end, start)
    return (len(text), text[start:]) if found < 0 else (found + len(end), text[start:found])


def _after_content(text: str, start: int, name: str) -> int:
    """Return where the end tag of an element without text begins; the end of the text where it never ends."""
    found = re.compile(f"</{name}", re.IGNORECASE).search(text, start)
    return found.start() if found else len(text)


def _tag(text: str, opened: int) -> tuple[int, Token]:
    closing = text.startswith("</", opened)
    name = _NAME.match(text, opened + 1 + closing)
    place = name.end() if name else opened + 1
    attributes: dict[str, str] = {}
    while True:
        found = _ATTRIBUTE.match(text, place)
        if found is None:
            break
        value = next((found[kind] for kind in ("double", "single", "bare") if found[kind] is not None), "")
        attributes.setdefault(found["name"].lower(), html.unescape(value))
        place = found.end()
    gap = _BETWEEN.match(text, place)
    place = gap.end() if gap else place
    if place >= len(text):
        return len(text), Comment(text[opened:])
    called = name.group().lower() if name else ""
    return place + 1, Tag(called, attributes, closing, called in VOID or text[place - 1] == "/")
