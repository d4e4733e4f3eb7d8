"""Whether a sentence speaks of another object: a sibling of the system, a part of it, other data, statistics.

The system under review is `the model`, `our system`, `this release`. `A centrally trained model` brings in one that the
reader does not know yet; `the tablet version` and `our model for Spanish users` tell it from others. A sentence that
begins with `On toy data,` holds there, and nobody says that it holds elsewhere.
"""

import re

from compliance.claim_whose import BEGINNING, NAME, Own, known
from compliance.claim_words import CLIENTS, whole_words

__all__ = ["of_another_object"]

_ARTEFACT = (
    r"(?:models?|systems?|products?|projects?|networks?|classifiers?|versions?|releases?|editions?|variants?|apps?|"
    r"applications?|federations?|deployments?|services?|tools?|pipelines?|programmes?|programs?|assistants?|"
    r"detectors?|predictors?|installations?|instances?|consorti(?:um|a)|backbones?|encoders?|engines?)"
)
_CONTRAST = (
    r"(?:other|another|second|third|sister|sibling|separate|different|companion|parallel|related|neighbouring|lite|"
    r"shadow|surrogate|teacher|pre-?trained|public|base|baseline|foundation|central(?:i[sz]ed)?|centrally trained|"
    r"stand-?alone|non-private|unprotected|undefended|experimental|beta|preview|rival|competing|alternative|external|"
    r"third-party|commercial|off-the-shelf|sandbox|test-bed|demonstration|comparable|similar)"
)
_PRESENT = "this|the|present|current|deployed|released|described|final|production|latest|shipped|new|audited"
_SIBLING = whole_words(
    rf"{_CONTRAST},? (?:[\w-]+ ){{0,2}}?{_ARTEFACT}(?! of (?:this|our|the) (?:system|model))",
    rf"(?:another|others?|one|some|most|all) of our (?:\w+ )?{_ARTEFACT}",
    r"(?<!this )(?<!present )(?<!deployed )(?<!released )(?<!described )[\w-]+ "
    "(?:edition|variant|spin-?off|fork)(?! of)",
    rf"(?!(?:{_PRESENT}|each|every|our|that|which|its|law|in|of|since|from|under|with|for|by|to|and)\b)[\w-]+ version",
    "(?<!this )(?<!present )version for", "elsewhere", "ablations?", "simulat(?:ed|ions?)",
    rf"\A\W{{0,3}}(?:an?|any|some|most|many) (?:[\w-]+ ){{0,3}}?{_ARTEFACT}",
    "trained on (?:a single|one|only|public|half|synthetic|part of)", rf"other (?:\w+ )?{CLIENTS}",
    "(?:test|demo|demonstration|staging|lab|laboratory|sandbox|stress|pilot)[- ]"
    "(?:environment|set-?up|bench|run|test|clients)",
    r"(?:extra|additional|further|remaining|separate) (?:\w+ )?(?:epsilon|budget|delta)", "hyper-?parameter tuning",
    "dry runs?", "rehearsals?", "trial runs?", "stress test",
)  # fmt: skip
_LOCAL = re.compile(
    rf"\b{_ARTEFACT}(?: [\w-]+)? (?:for|in|of|sold in|used in) (?:the )?((?-i:[A-ZÀ-Þ][a-zß-ÿ]{{2,}}))(?:-speaking)?\b"
    r"|\b((?-i:[A-Z][a-z]+(?:ish|ese|ian|ench|erman|utch|reek|zech|wiss)))(?:-language)? "
    rf"(?:{_ARTEFACT}|labels?|users?|data)\b",
    re.IGNORECASE,
)
"""For whom it is made, or where it is sold: by a country, a language, a people."""
_NO_PLACE = frozenset((
    "annex", "article", "section", "chapter", "table", "appendix", "part", "gaussian", "bayesian", "laplacian",
    "hessian", "january", "february", "march", "april", "may", "june", "july", "august", "september", "october",
    "november", "december", "spring", "summer", "autumn", "winter",
))  # fmt: skip
_DESCRIBED = whole_words(
    "(?:this|the present) (?:file|document|documentation|report|audit) (?:describes|covers|documents|is about)",
    "(?:described|audited|documented|assessed) here", "under (?:review|audit)",
)  # fmt: skip
_APPOSED = re.compile(rf"\A\W{{0,3}}({NAME}(?: {NAME}){{0,4}}), (?:our|an?|the) (?:[\w-]+ ){{0,3}}?(?i:{_ARTEFACT})\b")
_PRIVACY = ("epsilon", "delta", "noise_multiplier", "clipping_norm")
_STATISTICS = whole_words(
    r"(?:(?:aggregate|summary|usage|published|official|descriptive)(?: \w+)? )?statistics", "(?<!we )surveys?",
    "census", "dashboards?", "histograms?", "telemetry", "synthetic", "analytics", "queries", "query results?",
    r"tables(?! \d)", "(?:usage|visit(?:or)?|page|download|case|event|crash) (?:counts?|figures|numbers|reports?)",
    "open data", "(?:monitoring|sensor|location|billing|logging) data", "data releases?",
    r"(?:the|a|our|that|which)\b(?: \w+){0,2} data ?sets? (?:that |which )?(?:we )?"
    r"(?:share|release|publish|publi[cs])\w*",
    "heat ?maps?", "mobility (?:data|reports?)", "newsletter",
)  # fmt: skip
"""What is released beside a model, with a privacy of its own."""
_RESTRICTED = re.compile(r"(?:on|in|at|for|with|without|under|among)\b ((?:[^\s,]+ ?){1,10}),", re.IGNORECASE)
_NO_RESTRICTION = whole_words(
    r"train\w*", "runs?", r"test\w*", "held-out", "unseen", r"valid\w*", "benchmark", r"deploy\w*", "production",
    "operation", "practice", "all", "every", "each", "total", "whole", "entire", "our", "this", "these", "systems?",
    "models?", r"federat\w+", "rounds?", "secure", "protocol", r"participa\w+", r"configur\w+", "final", r"release\w*",
    r"aggregat\w+", "noise", r"clip\w*", "epsilon", "delta", "privacy", "differential", "method", r"attack\w*", "line",
    "accordance", "addition", "average", "own", "short", "sum", "summary", "fact", "particular", "general", "detail",
    "effect", "consequence", "result", "present", "current", "published", "server", "updates?", r"mask\w*",
    "withdrawal", "request", "end", "it", "them", "that", "consultation", "article", "annex", "tune", "comparison",
    "contrast", "month", "year", "quarter", CLIENTS,
    marks=r"\d|[εϵδ]",
)  # fmt: skip
"""Words with which such a beginning restricts nothing."""
_VERSION = re.compile(r"\b(?:version|release) v?(\d+(?:\.\d+)*)\b", re.IGNORECASE)


def of_another_object(sentence: str, kind: str, own: Own) -> bool:
    """Tell whether a sentence speaks of something beside the system, or of a part of what it is used on.

    Args:
        sentence: As it stands.
        kind: Of the claim; statistics have an epsilon of their own, and no accuracy.
        own: How the system is called, and its version.
    """
    if _DESCRIBED.search(sentence):
        return False
    if _restricted(sentence) or _SIBLING.search(sentence) or (kind in _PRIVACY and _STATISTICS.search(sentence)):
        return True
    named, place = _APPOSED.search(sentence), _LOCAL.search(sentence)
    if named is not None and not known(named[1].split(), own.words):
        return True
    if place is not None and not known([place[1] or place[2]], own.words | _NO_PLACE):
        return True
    version = _VERSION.search(sentence)
    return version is not None and own.version != "" and not _same_version(version[1], own.version)


def _restricted(sentence: str) -> bool:
    """Tell whether a sentence begins by saying where it holds, and that is not all of the system under review."""
    found = _RESTRICTED.match(sentence.lstrip(BEGINNING))
    return found is not None and not _NO_RESTRICTION.search(found[1])


def _same_version(said: str, own: str) -> bool:
    """Tell whether `2` or `2.1` may be the version `2.1.0`."""
    ours, theirs = re.findall(r"\d+", own), said.split(".")
    return theirs == ours[: len(theirs)] or ours == theirs[: len(ours)]
