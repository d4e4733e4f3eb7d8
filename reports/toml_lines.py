"""On which line of a TOML document each table and each key stands.

`tomllib` says what a document holds and not where. This reads nothing but the places, of a document that `tomllib` has
accepted: it walks over strings, comments and brackets, so that nothing inside them passes for a header or a key.
"""

import re
from collections import Counter
from collections.abc import Iterator

_PIECES = re.compile(
    r"""(?P<skip>\#[^\n]*|\"\"\"(?:\\.|[^\\])*?\"{3,5}|'''.*?'{3,5}|"(?:\\.|[^"\\\n])*"|'[^'\n]*')"""
    r"""|(?P<open>[\[{])|(?P<close>[\]}])|(?P<newline>\n)""",
    re.DOTALL,
)
_KEY = r"""(?:[A-Za-z0-9_-]+|"(?:\\.|[^"\\\n])*"|'[^'\n]*')"""
_PATH = rf"{_KEY}(?:[ \t]*\.[ \t]*{_KEY})*"
_STATEMENT = re.compile(
    rf"[ \t]*(?:\[\[[ \t]*(?P<entry>{_PATH})[ \t]*\]\]|\[[ \t]*(?P<table>{_PATH})[ \t]*\]|(?P<key>{_PATH})[ \t]*=)"
)


def toml_lines(text: str) -> dict[str, int]:
    """Return the line (the first is 1) of each table and key by its path, such as `updates[1].path`.

    A path without the number of an entry stands for the first one that has it: `updates.path`.

    Args:
        text: a sound TOML document.
    """
    lines: dict[str, int] = {}
    entries: Counter[str] = Counter()
    table = ""
    for line, offset in _statements(text):
        found = _STATEMENT.match(text, offset)
        if found is None:
            continue
        if found["key"]:
            path = ".".join(filter(None, (table, *_parts(found["key"]))))
        else:
            table = path = _numbered(_parts(found["entry"] or found["table"]), entries, new=bool(found["entry"]))
        lines.setdefault(path, line)
        lines.setdefault(re.sub(r"\[\d+\]", "", path), line)
    return lines


def _statements(text: str) -> Iterator[tuple[int, int]]:
    """Yield line and offset of every line that begins outside of strings and brackets."""
    line, depth = 1, 0
    yield 1, 0
    for piece in _PIECES.finditer(text):
        match piece.lastgroup:
            case "skip":
                line += piece[0].count("\n")
            case "open":
                depth += 1
            case "close":
                depth = max(0, depth - 1)
            case _:
                line += 1
                if not depth:
                    yield line, piece.end()


def _parts(path: str) -> list[str]:
    return [part.strip("\"'") for part in re.findall(_KEY, path)]


def _numbered(parts: list[str], entries: "Counter[str]", *, new: bool) -> str:
    """Return a header's path with the number of the entry that it is, or lies in."""
    path = ""
    for place, part in enumerate(parts, start=1):
        path = f"{path}.{part}" if path else part
        if new and place == len(parts):
            entries[path] += 1
        if entries[path]:
            path = f"{path}[{entries[path] - 1}]"
    return path
