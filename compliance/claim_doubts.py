"""Why a sentence does not plainly assert the figure in it: hedged, negated, compared, per round.

Bounds are said with negations and comparisons (`no more than 3`, `below 3`, `never exceeds 3`); they are taken out of
the sentence first, with the way they point.
"""

import re
from typing import Literal, TypeAlias

Doubt: TypeAlias = Literal["", "hedged", "negated", "compared", "per-round", "several", "other-direction"]
"""Empty where the sentence asserts plainly."""
Direction: TypeAlias = Literal["", "up", "down"]
"""Whether a bound says at most (`up`), at least (`down`) or neither."""

_AT_MOST = re.compile(
    r"\b(?:at (?:the )?most|(?:no|not) (?:more|greater|higher|larger) than|(?:less|fewer|smaller|"
    r"lower) than(?=\W{0,3}\uE000)"
    r"|(?:do(?:es)? not|never|cannot|did not) exceeds?|not exceeding|(?:stays?|remains?|keeps?|"
    r"kept|lies|is|are) (?:well )?"
    r"(?:below|under)|below(?=[^\w]{0,3}\uE000)|under(?=[^\w]{0,3}\uE000)|bounded by|capped at|"
    r"limited to|up to|as many as"
    r"|a maximum of|within(?=[^\w]{0,3}\uE000))\b|[≤⩽]|<=?|\\leq?\b",
    re.IGNORECASE,
)
_AT_LEAST = re.compile(
    r"\b(?:at (?:the very )?least|(?:no|not) (?:less|fewer|lower|smaller) than|(?:more|greater|"
    r"higher|larger) than(?=\W{0,3}\uE000)"
    r"|above(?=\W{0,3}\uE000)|over(?=\W{0,3}\uE000)|exceeds?(?=\W{0,3}(?:an? [\w ]{1,30} of )?\uE000)|exceeding"
    r"|a minimum of)\b|[≥⩾]|>=?|\\geq?\b",
    re.IGNORECASE,
)
_BOUNDS: tuple[tuple[re.Pattern[str], Direction], ...] = ((_AT_MOST, "up"), (_AT_LEAST, "down"))
_CLOSE = 3
"""Characters between a bound and its number: spaces and marks."""
_IDIOMS = re.compile(
    r"\bwithout (?:a |any )?(?:trace|losing|aborting|interrupting|loss)\b|\bnot only\b|\bno longer"
    r" (?:contains?|holds?|includes?|"
    r"knows?|remembers?)\b|\bnothing (?:but|else|more)\b|\bno more and no less\b",
    re.IGNORECASE,
)
_HEDGED = re.compile(
    r"\b(?:lets?|aim(?:s|ed|ing)?|targets?|targeted|targeting|plan(?:s|ned|ning)?|would|should|expect"
    r"(?:s|ed|ing|ations?)?|e\.g\.|"
    r"for example|for instance|such as|not yet|intend(?:s|ed|ing)?|intention|goals?|objectives?|"
    r"could|might|will|shall|"
    r"unless|assum(?:e|es|ed|ing|ption|ptions)|suppos(?:e|es|ed|ing)|hypothe\w+|typical(?:ly)?|"
    r"usual(?:ly)?|(?:about|around|"
    r"roughly|nearly|almost|approximately|approx\.?|circa|some)(?=\s+[\ue000\ue002])|hop(?:e|es|"
    r"ed|ing)|wish(?:es|ed)?|propos(?:e|es|ed|al|als)|recommend"
    r"(?:s|ed|ation|ations)?|estimat(?:e|es|ed|ion)|provisional|preliminary|draft|future|roadmap|"
    r"upcoming|next|later version|"
    r"ideally|theoretical(?:ly)?|in theory|in principle|must|required?|requires|requirements?|"
    r"needs? to|has to|have to|"
    r"desired?|desirable|attempt(?:s|ed)?|try|tried|trying|tries|want(?:s|ed)?|whether|perhaps|"
    r"possibly|probably|likely|"
    r"presumably|imagine|once|until|seek(?:s)?|strive(?:s)?|envisaged?|foreseen|scheduled|an example)\b|[~≈?]",
    re.IGNORECASE,
)
_HEDGED_HEADING = re.compile(r"\bexamples?\b|\boutlook\b|\bopen (?:points|issues|questions)\b|\brisks\b", re.IGNORECASE)
_CONDITIONAL = re.compile(r"\b(?:if|may|in case|provided that|as long as|when)\b", re.IGNORECASE)
_NEGATED = re.compile(
    r"\b(?:not|no|never|cannot|none|nor|neither|nobody|nothing|without|fail(?:s|ed)? to|void|lacks?|"
    r"lacking|instead of|"
    r"rather than|hardly|scarcely|barely|false|wrong(?:ly)?|untrue|withdrawn claim|void(?:ed)?|"
    r"switched off|disabled)\b|n['’]t\b",
    re.IGNORECASE,
)
_OUTER_NEGATION = re.compile(
    r"\b(?:not|n['’]t|never|nor|hardly)\b[^.;]{0,25}?\b(?:true|claim(?:s|ed)?|say|says|said|assert|"
    r"case|shown|proven|proved|"
    r"demonstrated|established|tested|verified|mean|follow|imply|certain|sure|confirmed)\b"
    r"|\b(?:false|untrue|wrong|doubt(?:s|ful)?|den(?:y|ies|ied)|refuted?|myth|no (?:proof|evidence|"
    r"guarantee|claim))\b",
    re.IGNORECASE,
)
_COMPARED = re.compile(
    r"\b(?:than|versus|vs\.?|compar(?:ed|es|ing|ison|isons|able)|baselines?|relative to|unlike|"
    r"previous(?:ly)?|earlier|former(?:ly)?|"
    r"prior|literature|et al|others? (?:systems?|models?|work)|competitors?|pilot|higher|lower|"
    r"better|worse|faster|slower|"
    r"larger|smaller|fewer|more|less|rose|fell|falls|gains?|drops? by|as \w+ as|used to|last year|"
    r"predecessor|state of the art)\b|\bby\W{0,6}\ue000",
    re.IGNORECASE,
)
_PER_ROUND = re.compile(
    (
        r"\b(?:per|each|every|a single|in a|any) (?:\w+ )?(?:round|step|epoch|iteration|update|query|"
        r"release|batch)\b|/ ?(?:round|step|epoch)\b"
    ),
    re.IGNORECASE,
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
    if (_OUTER_NEGATION if denied else _NEGATED).search(rest):
        return "negated"
    if _COMPARED.search(sentence):
        return "compared"
    return "per-round" if rounds and _PER_ROUND.search(sentence) else ""
