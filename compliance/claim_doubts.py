"""Why a sentence does not plainly assert the figure in it: hedged, negated, compared, per round.

Bounds are said with negations and comparisons (`no more than 3`, `below 3`, `never exceeds 3`); they are taken out of
the sentence first, with the way they point.
"""

import re
from typing import Literal, TypeAlias

from compliance.claim_words import whole_words

Doubt: TypeAlias = Literal[
    "", "hedged", "negated", "compared", "per-round", "several", "other-direction",
    "attributed", "other-object", "other-time",
]  # fmt: skip
"""Empty where the sentence asserts plainly; the last three are those of `compliance.claim_about`."""
Direction: TypeAlias = Literal["", "up", "down"]
"""Whether a bound says at most (`up`), at least (`down`) or neither."""

_NUMBER = r"(?=\W{0,3}\ue000)"
"""Right before a bare number, as `compliance.claim_words` masks it."""


_AT_MOST = whole_words(
    "at (?:the )?most", "(?:no|not) (?:more|greater|higher|larger) than", f"(?:less|fewer|smaller|lower) than{_NUMBER}",
    "(?:do(?:es)? not|never|cannot|did not) exceeds?", "not exceeding", "bounded by", "capped at", "limited to",
    "up to", "as many as", "a maximum of", f"(?:below|under|within){_NUMBER}",
    "(?:stays?|remains?|keeps?|kept|lies|is|are) (?:well )?(?:below|under)",
    marks=r"[≤⩽]|<=?|\\leq?\b",
)  # fmt: skip
_AT_LEAST = whole_words(
    "at (?:the very )?least", "(?:no|not) (?:less|fewer|lower|smaller) than",
    f"(?:more|greater|higher|larger) than{_NUMBER}", f"(?:above|over|exceeds?){_NUMBER}",
    r"exceeds?(?=\W{0,3}an? [\w ]{1,30} of \ue000)", "exceeding", "a minimum of",
    marks=r"[≥⩾]|>=?|\\geq?\b",
)  # fmt: skip
_BOUNDS: tuple[tuple[re.Pattern[str], Direction], ...] = ((_AT_MOST, "up"), (_AT_LEAST, "down"))
_CLOSE = 3
"""Characters between a bound and its number: spaces and marks."""
_IDIOMS = whole_words(
    "without (?:a |any )?(?:trace|losing|aborting|interrupting|loss)", "not only", "nothing (?:but|else|more)",
    "no longer (?:contains?|holds?|includes?|knows?|remembers?)",
    "intended (?:users?|purposes?|use)", "(?:in|since|of|from|during|by) (?-i:May)",
    r"as (?:proposed|recommended|suggested) (?:in|by) (?:\[\d|\w+ (?:and \w+ )?et al)",
)  # fmt: skip
_HEDGED = whole_words(
    "aim(?:s|ed|ing)?", "target(?:s|ed|ing)?", "plan(?:s|ned|ning)?", "goals?", "objectives?", "intend(?:s|ed|ing)?",
    "intention", "attempt(?:s|ed)?", "try|tries|tried|trying", "seeks?", "strives?", "wish(?:es|ed)?", "want(?:s|ed)?",
    "hop(?:e|es|ed|ing)", "would", "should", "could", "might", "will", "shall", "must", "lets?", "unless", "whether",
    "expect(?:s|ed|ing|ations?)?", "assum(?:e|es|ed|ing|ptions?)", "suppos(?:e|es|ed|ing)", r"hypothe\w+", "imagine",
    "perhaps", "possibly", "probably", "presumably", "likely", "ideally", "in theory", "in principle",
    "theoretical(?:ly)?", "typical(?:ly)?", "usual(?:ly)?", "propos(?:e|es|ed|als?)", "recommend(?:s|ed|ations?)?",
    "estimat(?:e|es|ed|ion)", "provisional", "preliminary", "draft", "future", "roadmap", "upcoming", "next",
    "later version", "envisaged?", "foreseen", "scheduled", "not yet", "once", "until", "desired?", "desirable",
    "required?", "requires", "requirements?", "claimed that", "nobody has", "by mistake", "defaults?",
    "training set", "calibration set", "first version", "considered",
    "(?:needs?|has|have) to", r"e\.g\.", "for (?:example|instance)",
    "an example", "such as",
    r"(?:about|around|roughly|nearly|almost|approximately|approx\.?|circa|some)(?=\s+[\ue000\ue002])",
    marks="[~≈?]",
)  # fmt: skip
_HEDGED_HEADING = whole_words("examples?", "outlook", "open (?:points|issues|questions)", "risks")
_CONDITIONAL = whole_words("if", "may", "in case", "provided that", "as long as", "when")
_NEGATED = whole_words(
    "not", "no", "never", "cannot", "none", "nor", "neither", "nobody", "nothing", "without", "fail(?:s|ed)? to",
    "lacks?", "lacking", "instead of", "rather than", "hardly", "scarcely", "barely", "false", "wrong(?:ly)?", "untrue",
    "void(?:ed)?", "switched off", "disabled",
    marks=r"n['’]t\b",
)  # fmt: skip
_ASSERTED = (
    "true|claim(?:s|ed)?|say|says|said|assert|case|shown|proven|proved|demonstrated|established|tested|verified|mean|"
    "follow|imply|certain|sure|confirmed"
)
_DENIED = whole_words(
    rf"(?:not|never|nor|hardly)\b[^.;]{{0,25}}?\b(?:{_ASSERTED})", "false", "untrue", "wrong", "doubt(?:s|ful)?",
    "den(?:y|ies|ied)", "refuted?", "myth", "no (?:proof|evidence|guarantee|claim)",
    marks=rf"n['’]t\b[^.;]{{0,25}}?\b(?:{_ASSERTED})\b",
)  # fmt: skip
_COMPARED = whole_words(
    "than", "versus", r"vs\.?", "compar(?:ed|es|ing|isons?|able)", "baselines?", "relative to", "unlike",
    "previous(?:ly)?", "earlier", "former(?:ly)?", "prior", "predecessor", "used to", "last year", "pilot",
    "others? (?:systems?|models?|work)", "state of the art", "higher", "lower",
    "better", "worse", "faster", "slower", "larger", "smaller", "fewer", "more", "less", "rose", "fell", "falls",
    "gains?", r"as \w+ as",
    marks=r"\bby\W{0,6}\ue000",  # by so much: a difference
)  # fmt: skip
_PER_ROUND = whole_words(
    r"(?:per|each|every|a single|in a|any) (?:\w+ )?(?:round|step|epoch|iteration|update|query|release|batch)",
    marks=r"/ ?(?:round|step|epoch)\b",
)


def without_bounds(sentence: str) -> str:
    """Return a sentence with bounds and idioms blanked out, so that `no more than 3` neither denies nor compares.

    Numbers in the sentence are masked: a bare one begins with U+E000.
    """
    for pattern in (_AT_MOST, _AT_LEAST, _IDIOMS):
        sentence = pattern.sub(lambda found: " " * len(found[0]), sentence)
    return sentence


def direction_of(sentence: str, number: int) -> Direction:
    """Return which way the bound right before a number points; empty where there is none.

    Args:
        sentence: With its numbers masked.
        number: Offset of the number.
    """
    for pattern, direction in _BOUNDS:
        if any(0 <= number - found.end() <= _CLOSE for found in pattern.finditer(sentence)):
            return direction
    return ""


def doubt_in(
    sentence: str, rest: str, heading: str, *, denied: bool = False, conditions: bool = True, rounds: bool = True
) -> Doubt:
    """Return the first reason to doubt a sentence whose bounds are blanked out; empty where there is none.

    Args:
        sentence: The sentence.
        rest: The same, where the claim is a negation by itself with its own words blanked out too.
        heading: The heading above; what stands under `Targets` need not be reached.
        denied: Whether only a denial of the whole counts as a negation, not any negation.
        conditions: Whether `if` and `may` make the claim conditional.
        rounds: Whether a figure per round is another figure.
    """
    if _HEDGED.search(sentence) or _HEDGED.search(heading) or _HEDGED_HEADING.search(heading):
        return "hedged"
    if conditions and _CONDITIONAL.search(sentence):
        return "hedged"
    if (_DENIED if denied else _NEGATED).search(rest):
        return "negated"
    if _COMPARED.search(sentence):
        return "compared"
    return "per-round" if rounds and _PER_ROUND.search(sentence) else ""
