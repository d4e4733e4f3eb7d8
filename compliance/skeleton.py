"""A text as it reads aloud: what hides an instruction from a search is taken off, what the eye reads stays.

Compatibility forms and accents go (NFKD), tag characters become the ASCII they shadow, invisible characters vanish,
look-alike letters become Latin, letters spelled out one by one are joined, case is folded.
"""

import re

from compliance.confusables import CONFUSABLES
from compliance.traced import Rules, Traced, spliced, trace

INVISIBLE = (
    "\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u202a-\u202e\u2060-\u206f\u3164"
    "\ufe00-\ufe0f\ufeff\uffa0\U000e0000-\U000e001f\U000e007f-\U000e0fff"
)
"""Characters that nobody sees, for a character class; the tag characters that shadow ASCII are not among them."""
_ACCENTS = "\u0300-\u036f\u0483-\u0489\u1ab0-\u1aff\u1dc0-\u1dff\u20d0-\u20ff\ufe20-\ufe2f"
_CONTROLS = "\x00-\x08\x0b\x0c\x0e-\x1b\x7f-\x84\x86-\x9f"
_TAGS = {0xE0000 + code: chr(code) for code in range(0x20, 0x7F)}
_RULES = Rules(
    form="NFKD",
    dropped=re.compile(f"[{INVISIBLE}{_ACCENTS}{_CONTROLS}]+"),
    mapped={ord(letter): latin for letter, latin in CONFUSABLES.items()}
    | _TAGS
    | {ord(mark): "'" for mark in "‘’‚‛′"}
    | {ord(mark): '"' for mark in "“”„‟«»"}
    | {ord(dash): "-" for dash in "‐‑‒–—―−"},
    drop_again=True,
)
_SPELLED = re.compile(r"(?<![^\W_])[^\W\d_](?:[ .·*_-][^\W\d_](?![^\W_])){5,}")
_HINT = re.compile(r"[ .·*_-][^\W\d_][ .·*_-][^\W\d_][ .·*_-][^\W\d_][ .·*_-]")


def skeleton(text: str) -> str:
    """Return the skeleton of a text; patterns of the scan are written for it."""
    return traced_skeleton(text).text


def traced_skeleton(text: str) -> Traced:
    """Return the skeleton with the way back to the text; letters spelled out, six or more, are joined."""
    found = trace(text, _RULES)
    if not _HINT.search(found.text):
        return found
    edits = [
        (spelled.start() + place, spelled.start() + place + 1, "")
        for spelled in _SPELLED.finditer(found.text)
        for place in range(1, len(spelled.group()), 2)
    ]
    return spliced(found, edits) if edits else found
