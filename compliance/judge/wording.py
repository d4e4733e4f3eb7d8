"""The official words of a duty, where they are carried and are those of the law version that is assessed.

`law/articles_2024.txt` holds Arts. 9, 10, 12(1)-(2), 14(1)-(4) and 15 as published on 12 July 2024. The paragraphs of
Art. 10 were changed by Regulation (EU) 2026/1744, so its words are shown for the 2024 text alone.
"""

import re
from collections.abc import Sequence
from functools import cache
from importlib.resources import files

__all__ = ["article_wording", "official_wording"]

FIRST_VERSION = "2024"
_UNCHANGED = frozenset({"9", "12", "14", "15"})
_HEADING = re.compile(r"^\*\*Article (\d+)[^*\n]*\*\*$", re.MULTILINE)
_CITED = re.compile(r"EU-AIA:(\d+)(?:\((\d+)\))?(?:\(([a-z])\))?")


@cache
def _articles() -> dict[str, str]:
    """Return the words of each article by its number, as lines that begin with `1.` or `(a)`."""
    text = (files("compliance") / "law" / "articles_2024.txt").read_text(encoding="utf-8")
    _before, *pairs = _HEADING.split(text)
    return {number: body.strip() for number, body in zip(pairs[::2], pairs[1::2], strict=True)}


def article_wording(article: int) -> str:
    """Return the whole article as published in 2024; empty where it is not carried."""
    return _articles().get(str(article), "")


def official_wording(citations: Sequence[str], law_version: str) -> str:
    """Return the cited paragraphs and points in the words of the law; empty unless all are carried for the version."""
    found = [_cited(citation, law_version) for citation in citations]
    return "\n".join(found) if found and all(found) else ""


def _cited(citation: str, law_version: str) -> str:
    parsed = _CITED.fullmatch(citation)
    if parsed is None or (law_version != FIRST_VERSION and parsed[1] not in _UNCHANGED):
        return ""
    number, paragraph, point = parsed.groups()
    body = _articles().get(number, "")
    if paragraph is None:
        return body
    lines = body.split("\n")
    start = next((i for i, line in enumerate(lines) if line.startswith(f"{paragraph}. ")), None)
    if start is None:
        return ""
    end = next((i for i in range(start + 1, len(lines)) if re.match(r"\d+\. ", lines[i])), len(lines))
    if point is None:
        return "\n".join(lines[start:end])
    points = [line for line in lines[start + 1 : end] if line.startswith(f"({point}) ")]
    return "\n".join([lines[start], *points]) if points else ""
