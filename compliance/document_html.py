"""HTML: what a browser shows is text; comments, hidden elements and words in attributes are concealed."""

from compliance.document_text import decoded
from compliance.extracted import Extracted, Writing
from compliance.markup import UNREAD, Comment, Hidden, Tag, Words, prose, tokens

_BLOCKS = frozenset({
    "address", "article", "aside", "blockquote", "body", "br", "caption", "center", "dd", "details", "dialog",
    "div", "dl", "dt", "fieldset", "figcaption", "figure", "footer", "form", "h1", "h2", "h3", "h4", "h5",
    "h6", "head", "header", "hr", "html", "legend", "li", "main", "nav", "ol", "option", "p", "pre", "section",
    "summary", "table", "tbody", "tfoot", "thead", "title", "tr", "ul",
})  # fmt: skip
_APART = frozenset({"article", "blockquote", "div", "figure", "main", "ol", "p", "pre", "section", "table", "ul"})
"""Blocks with an empty line around them."""
_HEADINGS = {f"h{level}": level for level in range(1, 7)}
_CELLS = frozenset({"td", "th"})


def read_html(name: str, data: bytes) -> Extracted:
    """Return the text of an HTML file; headings make sections, rows of tables become lines.

    Raises:
        DocumentError: `document.encoding`.
    """
    reader = _HtmlReader()
    for token in tokens(decoded(name, data)):
        match token:
            case Words(text):
                reader.words(text)
            case Comment(text):
                reader.writing.conceal("comment", text)
            case Tag():
                reader.tag(token)
    return reader.finish()


class _HtmlReader:
    """Writes down what tokens show."""

    def __init__(self) -> None:
        self.writing = Writing()
        self._hidden = Hidden()
        self._kept_apart: list[str] = []
        self._heading: tuple[int, list[str]] | None = None
        self._preformatted = 0
        self._cells = 0

    def words(self, text: str) -> None:
        """Take text where it belongs: apart, into the open heading, or into the line."""
        if self._hidden:
            self._kept_apart.append(text)
        elif self._heading is not None:
            self._heading[1].append(text)
        elif self._preformatted:
            self.writing.exactly(text)
        else:
            self.writing.words(text)

    def tag(self, tag: Tag) -> None:
        """Open or close an element."""
        for words in prose(tag):
            self.writing.conceal("attribute", words)
        hid = bool(self._hidden)
        self._hidden.follow(tag)
        if hid and not self._hidden:
            self._keep_apart()
        if self._hidden or hid:
            if self._kept_apart and tag.name in _BLOCKS:
                self._kept_apart.append(" ")
            if hid and self._hidden:
                return
        self._lay_out(tag)

    def finish(self) -> Extracted:
        """Close what is open, and return what was written."""
        self._keep_apart()
        self._end_heading()
        return self.writing.finish()

    def _lay_out(self, tag: Tag) -> None:
        if tag.name in UNREAD and not tag.closing:
            self.writing.not_read += 1
        if tag.name in _HEADINGS:
            self._end_heading()
            if not tag.closing:
                self._heading = (_HEADINGS[tag.name], [])
        elif self._heading is not None:
            if tag.name in _BLOCKS:
                self._heading[1].append(" ")
        elif tag.name in _CELLS:
            if not tag.closing and self._cells:
                self.writing.exactly(" | ")
            self._cells += not tag.closing
        elif tag.name in _BLOCKS:
            self.writing.line(1 if tag.name in _APART else 0)
            if tag.name == "tr":
                self._cells = 0
        if tag.name == "pre":
            self._preformatted = max(0, self._preformatted + (-1 if tag.closing else 1))

    def _end_heading(self) -> None:
        if self._heading is not None:
            level, parts = self._heading
            self._heading = None
            self.writing.heading("".join(parts), level)

    def _keep_apart(self) -> None:
        self.writing.conceal("hidden", " ".join("".join(self._kept_apart).split()))
        self._kept_apart = []
