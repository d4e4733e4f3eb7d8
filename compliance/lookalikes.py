"""What looks like something else: our fences, a model's turns, our answer, letters of another script, a verdict."""

import re
from collections.abc import Iterator

from compliance.traced import Traced

Span = tuple[int, int]
ANSWER_KEYS = ("reason", "answer", "score", "quotes", "gaps", "code")
"""Of the judge's answer."""
_MARKERS = re.compile(
    r"<<<(?!<) ?(?:end ?(?:of ?)?)?/?document\b|\bdocument ?>>>"
    r"|<\|(?:im_(?:start|end|sep)|system|user|assistant|endoftext|endofprompt|eot_id|eom_id|begin_of_text|end_of_text"
    r"|start_header_id|end_header_id|fim_prefix|fim_suffix|end_of_turn)\|>"
    r"|\[/?inst\]|<</?sys>>|<(?:start|end)_of_turn>"
)
_LINES = re.compile(
    r"^[ \t]*(?:(?:#{1,6}[ \t]*)?\*{0,2}(?:system|assistant|user)\*{0,2}[ \t]*:\*{0,2}[ \t]*$"
    r"|`{3,}[ \t]*(?:end[ _-]?)?(?:of[ _-]?)?document\b.*$)",
    re.IGNORECASE | re.MULTILINE,
)
_JSON = re.compile(r"[{}]|[\"“”](?P<key>" + "|".join(ANSWER_KEYS) + r")[\"“”]\s{0,20}:", re.IGNORECASE)
_WORD = re.compile(r"[^\W\d_]+")
_OTHER_SCRIPT = re.compile("[\u0370-\u03ff\u1f00-\u1fff\u0400-\u052f]")
_CYRILLIC = re.compile("[\u0400-\u052f]")
_GREEK = re.compile("[\u0370-\u03ff\u1f00-\u1fff]")
_LATIN = re.compile("[A-Za-z\u00c0-\u00d6\u00d8-\u00f6\u00f8-\u024f]")
_FORMULA = frozenset("αβγδεζηθκλμνξπρστφχψωϵϕΓΔΘΛΞΠΣΦΨΩ")
"""Greek letters that stand in formulas, alone before or behind a Latin name: Δt, σmax."""
_MEETS = (
    r"\b(?:compliant|compliance|conform\w{0,6}|compl(?:y|ies|ied)|konform|cumple"
    r"|meets? (?:all|every)[^.!?]{0,40}?\b(?:requirements?|obligations?))\b"
)
_LAW = (
    r"\b(?:ai act|artificial intelligence act|ai regulation|2024/1689|ki-verordnung|eu law|gdpr|article \d{1,3}"
    r"|art\. ?\d{1,3}|reglement (?:sur l'|europeen sur l')?(?:ia|intelligence)|reglamento de (?:ia|inteligencia))"
)
_VERDICT = re.compile(_MEETS + r"[^.!?]{0,60}?" + _LAW)


def fences(text: str, read: Traced) -> Iterator[Span]:
    """Yield what imitates the lines around a document, or a turn of a conversation; `read` is the text's skeleton."""
    for found in _LINES.finditer(text):
        yield found.span()
    for found in _MARKERS.finditer(read.text):
        yield read.span(*found.span())


def answer_lookalikes(text: str) -> Iterator[Span]:
    """Yield JSON objects that hold two or more keys of the judge's answer, closed or not."""
    opened: list[tuple[int, set[str], int]] = []
    for found in _JSON.finditer(text):
        if found.group() == "{":
            opened.append((found.start(), set(), found.end()))
        elif found.group() == "}":
            if opened:
                start, keys, _ = opened.pop()
                if len(keys) > 1:
                    yield start, found.end()
        elif opened:
            start, keys, _ = opened[-1]
            opened[-1] = (start, keys | {found["key"].lower()}, found.end())
    yield from ((start, end) for start, keys, end in opened if len(keys) > 1)


def mixed_scripts(text: str) -> Iterator[Span]:
    """Yield words of Latin and Cyrillic or Greek letters; one Greek letter beside a name, as in formulas, is none."""
    if not _OTHER_SCRIPT.search(text):
        return
    for word in _WORD.finditer(text):
        letters = word.group()
        if letters.isascii() or not _LATIN.search(letters):
            continue
        greek = _GREEK.findall(letters)
        formula = len(greek) == 1 and greek[0] in _FORMULA and greek[0] in (letters[0], letters[-1])
        if _CYRILLIC.search(letters) or (greek and not formula):
            yield word.span()


def self_assessments(skeleton: str) -> Iterator[Span]:
    """Yield where a text says of itself that it meets the law: a claim, no attack."""
    return (found.span() for found in _VERDICT.finditer(skeleton))
