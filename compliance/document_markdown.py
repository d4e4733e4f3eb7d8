"""Markdown stays as it is, but for what its reader does not see: comments, link definitions that hold one, raw HTML.

Code is shown as it stands, so nothing in it is concealed. Of raw HTML the tags go and what they hide is concealed.
"""

import html
import re
from collections.abc import Iterator

from compliance.document_text import decoded
from compliance.extracted import Extracted, sections_of
from compliance.markup import UNREAD, Hidden, Tag, prose, tokens
from compliance.scan import Concealed

_FENCE = re.compile(r"[ ]{0,3}(`{3,}|~{3,})")
_HEADING = re.compile(r"[ ]{0,3}(#{1,6})(?:[ \t]+|$)(.*)")
_UNSEEN = re.compile(
    r"<!--(?P<comment>.*?)(?:-->|\Z)"
    r"|^[ ]{0,3}\[(?:[^\]\n]{1,200}\]:[ \t]*(?:#|<>)[ \t]*|//\]:)(?P<definition>[^\n]*)$"
    r"|(?P<tag></?[A-Za-z][A-Za-z0-9-]*(?:[\s/][^<>]*)?>|<[!?][^<>]*>)"
    r"|(?P<code>`+)|(?P<picture>!\[)",
    re.DOTALL | re.MULTILINE,
)


def read_markdown(name: str, data: bytes) -> Extracted:
    """Return the text of a Markdown file; `#` headings make sections.

    Raises:
        DocumentError: `document.encoding`.
    """
    reader = _MarkdownReader()
    for block, is_code in _blocks(decoded(name, data)):
        if is_code and not reader.hidden:
            reader.put(block)
        else:
            reader.read(block)
    reader.keep_apart()
    text = "".join(reader.parts)
    return Extracted(text, sections_of(text, list(_headings(text))), tuple(reader.concealed), (), reader.not_read)


class _MarkdownReader:
    """Writes down what is shown, and keeps apart what is not."""

    def __init__(self) -> None:
        self.parts: list[str] = []
        self.length = 0
        self.concealed: list[Concealed] = []
        self.hidden = Hidden()
        self.not_read = 0
        self._kept_apart: list[str] = []

    def put(self, text: str) -> None:
        """Add text where it belongs."""
        if self.hidden:
            self._kept_apart.append(text)
        elif text:
            self.parts.append(text)
            self.length += len(text)

    def read(self, block: str) -> None:
        """Take a block without fenced code apart."""
        place, closings = 0, _Closings(block)
        while found := _UNSEEN.search(block, place):
            self.put(block[place : found.start()])
            place = found.end()
            if found["code"] is not None:
                place = closings.after(found["code"], found.end())
                self.put(block[found.start() : place])
            elif found["picture"] is not None:
                self.not_read += 1
                self.put(found.group())
            elif found["tag"] is not None:
                self._tag(found["tag"])
            else:
                kind = "comment" if found["comment"] is not None else "definition"
                self._conceal(kind, found["comment"] if kind == "comment" else found["definition"])
        self.put(block[place:])

    def keep_apart(self) -> None:
        """Conceal what hidden elements held."""
        self._conceal("hidden", html.unescape("".join(self._kept_apart)))
        self._kept_apart = []

    def _tag(self, source: str) -> None:
        token = next(tokens(source), None)
        if not isinstance(token, Tag):
            self._conceal("comment", source[2:-1])
            return
        for words in prose(token):
            self._conceal("attribute", words)
        hid = bool(self.hidden)
        self.not_read += token.name in UNREAD and not token.closing and not hid
        self.hidden.follow(token)
        if hid and not self.hidden:
            self.keep_apart()

    def _conceal(self, kind: str, text: str) -> None:
        if text.strip():
            self.concealed.append(Concealed(kind, text, self.length))


class _Closings:
    """Finds the backticks that close a code span, each run looked at once."""

    def __init__(self, block: str) -> None:
        self._starts: dict[int, list[int]] = {}
        for found in re.finditer(r"`+", block):
            self._starts.setdefault(len(found.group()), []).append(found.start())
        for starts in self._starts.values():
            starts.reverse()

    def after(self, opening: str, place: int) -> int:
        """Return where the code span ends that `opening` begins before `place`; `place` itself if it never ends."""
        starts = self._starts.get(len(opening), [])
        while starts and starts[-1] < place:
            starts.pop()
        return starts[-1] + len(opening) if starts else place


def _blocks(text: str) -> Iterator[tuple[str, bool]]:
    """Yield the text in stretches that are fenced code or not; a fence inside a comment opens nothing."""
    begun, fence, commented, place = 0, "", False, 0
    for line in text.splitlines(keepends=True):
        start, place = place, place + len(line)
        found = _FENCE.match(line)
        if fence:
            if found and found[1].startswith(fence) and not line[found.end() :].strip():
                yield text[begun:place], True
                begun, fence = place, ""
            continue
        if found and not commented:
            yield text[begun:start], False
            begun, fence = start, found[1]
            continue
        commented = _commented(line, commented)
    if begun < len(text):
        yield text[begun:], bool(fence)


def _commented(line: str, commented: bool) -> bool:
    """Tell whether a comment is open at the end of a line."""
    opened, closed = line.rfind("<!--"), line.rfind("-->")
    return opened > closed if opened >= 0 or closed >= 0 else commented


def _headings(text: str) -> Iterator[tuple[int, int, str]]:
    place, fence = 0, ""
    for line in text.splitlines(keepends=True):
        start, place = place, place + len(line)
        found = _FENCE.match(line)
        if fence:
            if found and found[1].startswith(fence) and not line[found.end() :].strip():
                fence = ""
        elif found:
            fence = found[1]
        elif heading := _HEADING.match(line.rstrip("\n")):
            yield start, len(heading[1]), heading[2].strip().rstrip("#").strip()
