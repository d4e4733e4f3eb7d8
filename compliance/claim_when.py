"""Whether a sentence speaks of another time: of what was before a change, of what is planned, of what is only wished.

A figure `before noise is added` is one of today: in the present tense that is a step of every round, not a change that
was made once.
"""

import re

from compliance.claim_words import whole_words

__all__ = ["of_another_time"]

_CHANGED = (
    r"(?:chang|switch|introduc|replac|migrat|upgrad|updat(?:ed|ing)\b|revis|retrain|re-train|correct|fix|mov|redesign|"
    r"rework|tighten|rais|lower|adopt|enabl|roll|went live|clean|patch|refactor|overhaul|add|remov|turn|start|join|"
    r"reorgani|restructur|merg|deploy|launch|mend|repair|improv|extend|rebuil|reform)"
)
_MONTH = (
    r"(?-i:January|February|March|April|May|June|July|August|September|October|November|December|Spring|Summer|Autumn|"
    r"Winter)"
)
_PAST_CHANGE = re.compile(
    r"\b(?:before|prior to|ahead of|preceding|up to(?: and including)?)\b (?:the |our |this |that |a |any )?"
    rf"(?:(?:[\w-]+ ){{0,5}}?{_CHANGED}\w*\b|(?:19|20)\d\d\b|{_MONTH}\b)",
    re.IGNORECASE,
)
_STEP = re.compile(r"before [^.;,]{0,30}?\b(?:is|are|leaves?|adding|masking|sampling)\b", re.IGNORECASE)
_OLD = (
    r"(?:old|older|retired|legacy|discontinued|deprecated|superseded|obsolete|archived|decommissioned|original|initial|"
    r"interim|early|outdated|abandoned)"
)
_OLD_THING = (
    r"(?:models?|systems?|products?|projects?|networks?|classifiers?|versions?|releases?|editions?|apps?|federations?|"
    r"deployments?|services?|protocols?|accountants?|schedules?|runs?|configurations?|settings?|prototypes?|trials?)"
)
_PAST = whole_words(
    "originally", "initially", "at first", "formerly", "historically", "back then", "by then", "in those days",
    "in the days? of", "at launch", "in the past", "on day one", "to begin with", "had been", "had once", "yesterday",
    "at (?:the|that) time(?! of writing)", "at the time of (?!writing|this)", "version one",
    "at the (?:beginning|start|outset)(?! of (?:training|each|every))", "(?:years|months|weeks) (?:ago|into)",
    r"(?:in|for|during) the (?:first|early|opening) (?:\w+ )?(?:years?|months?|weeks?|days|phases?|season)",
    r"in its (?:first|early) \w+", rf"{_OLD} (?:[\w-]+ )?{_OLD_THING}", rf"(?:in|of|during) the first {_OLD_THING}",
    "last (?:month|spring|summer|autumn|winter|quarter|season)",
    r"\A\W{0,3}(?:in|during|throughout) (?:19|20)\d\d\b[^.;]{0,60}?\b(?:was|were|stood|had|ran)",
)  # fmt: skip
_TO_COME = whole_words(
    r"(?:is|are) to (?!date)\w+", r"(?:is|are) (?:still )?being \w+", r"from (?:[\w.]+ ){1,3}on(?:wards?)?",
    "in preparation", "under (?:development|construction)", "in progress", "under ?way", "pending", "awaiting",
    "going to", "about to", "soon", "prototypes?", "in future", "tomorrow", "later this year", "by the end of",
    r"by (?:19|20)\d\d", "coming",
)  # fmt: skip
_ONLY_IF = whole_words(
    r"\A\W{0,3}given (?!that|by|the)", "given (?:enough|sufficient|more|ideal|perfect)", "subject to", "on condition",
    r"\A\W{0,3}(?:were|had|should) (?:we|it|the|our)", "with (?:enough|sufficient|ideal|perfect)",
    "with (?:twice|half|double|more|fewer)",
    "under ideal", "in the best case", "at best", "best-case", "otherwise", "depending on", "were it",
    "in the event",
)  # fmt: skip
_WISHED = whole_words(
    "demand(?:s|ed)?", "stipulat(?:es|ed)", "prescrib(?:es|ed)", "mandat(?:es|ed|ory)", "call(?:s|ed)? for",
    "insist(?:s|ed)?", "obliges? us", "needs? (?:an?|at least)", "reject(?:s|ed)", "refus(?:es|ed)", r"negotiat\w+",
    r"discuss\w*", r"debat\w+",
)  # fmt: skip
_MET = re.compile(r"\bas [^.;,]{0,50}?\b(?:demand|stipulate|prescribe|mandate|call|insist)s?\b", re.IGNORECASE)
"""What Article 10(9) demands is no wish where the sentence says that it is so."""
_OLD_HEADING = whole_words("history", "change ?log", "superseded", "archive", "past", "release notes")


def of_another_time(sentence: str, kind: str, heading: str = "") -> bool:
    """Tell whether a sentence speaks of what was, is to come, or somebody wishes for, and not of what is.

    Args:
        sentence: As it stands.
        kind: Of the claim; who was forgotten before a change is forgotten.
        heading: The heading above.
    """
    changed = _PAST_CHANGE.search(sentence) if kind != "unlearned" else None
    if changed is not None and not _STEP.match(sentence, changed.start()):
        return True
    sentence = _MET.sub("", sentence)
    told = any(pattern.search(sentence) for pattern in (_PAST, _TO_COME, _ONLY_IF, _WISHED))
    return told or _OLD_HEADING.search(heading) is not None
