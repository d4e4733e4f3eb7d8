"""Whether a sentence gives somebody else's figure: a paper's, a company's, that of a subject which is no part of ours.

A citation beside a method (`clipped as in [3]`, `the accountant of [7]`) says whose method it is, not whose figure; it
is taken out before anybody else is looked for. A first person, or the system by its name, keeps a cited figure its own.
"""

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from compliance.claim_words import CLIENTS, whole_words

__all__ = ["BEGINNING", "NAME", "NOBODY", "Own", "known", "of_somebody_else"]


@dataclass(frozen=True)
class Own:
    """How the system under review may be called."""

    words: frozenset[str] = frozenset()
    """Of its name, its provider and its purpose, casefolded."""
    version: str = ""
    """Under review; empty where it is not known, and then no version is another one."""


NOBODY = Own()
"""Where nothing is known of the system."""
BEGINNING = " \t\n|`*_\"'“([-"
"""Marks before the first word of a sentence."""
NAME = r"(?-i:[A-ZÀ-Þ][\w.’'-]{0,30}\w)"
"""A word with a capital."""
_NAMES = rf"{NAME}(?:(?:,? (?:and|&) |, | ){NAME}){{0,4}}"
_YEAR = r"(?:19|20)\d\d[a-z]?"
_CITED = (
    rf"(?:{_NAMES},? et al\b\.?(?:,? \(?{_YEAR}\)?)?"
    rf"|{_NAMES} and (?:others|(?:\w+ )?(?:colleagues|co-?workers|co-?authors))\b(?: \(?{_YEAR}\)?)?"
    rf"|\({_NAMES},? {_YEAR}\)|{_NAMES} \({_YEAR}\)|\[\d{{1,3}}(?:\s?[,;–-]\s?\d{{1,3}})*\])"
)
_CITATION = re.compile(_CITED, re.IGNORECASE)
_METHODS = (
    r"(?:accountant|account(?:ing)?|protocol|method|algorithm|scheme|approach|definition|construction|mechanism|"
    r"library|toolkit|framework|benchmark|technique|procedure|attacks?|attacker|analysis|theorem|bound|metric|"
    r"optimi[sz]er|architecture|sampling|clipping|aggregation|DP-SGD|FedAvg|SecAgg\+?|LiRA|composition)"
)
_MADE_BY = (
    r"(?:following|after|due to|introduced by|proposed by|described by|defined (?:as )?(?:in|by)|in the sense of|"
    r"in the manner of|based on|building on|adapted from|taken from|according to)"
)
_SAYS = (
    r"(?:reports?|reported|states?|stated|says?|said|claims?|claimed|finds?|found|shows?|showed|shown|obtains?|"
    r"obtained|publish(?:es|ed)?|announc(?:es|ed)|promis(?:es|ed)|advertis(?:es|ed)|argues?|argued|observes?|observed|"
    r"notes?|noted|writes?|wrote|recommends?|recommended|suggests?|suggested|demonstrates?|demonstrated|proves?|proved|"
    r"assures?|assured|tells?|told|speaks? of|chooses?|chose|chosen|adopt(?:s|ed)?)"
)
_DOES = (
    rf"(?:{_SAYS}|us(?:es|ed)|appl(?:ies|ied)|sp(?:ends|ent)|runs?|ran|trains?|trained|deploy(?:s|ed)?|releas(?:es|ed)|"
    r"sets?|picks?|picked|work(?:s|ed)? with|operat(?:es|ed))"
)
_METHOD_CITED = re.compile(
    rf"\b{_MADE_BY}(?: the)?(?: \w+){{0,2}}? {_CITED}"
    rf"|\b(?:by|with|using|under|via|through|on|against|for|in)\b(?: \S+){{0,4}}? {_METHODS}"
    rf"(?: (?:of|by|from|in))? {_CITED}"
    rf"|\b{_METHODS}(?: (?:of|by|from|in))? (?:{_NAMES} )?\(?{_CITED}(?! (?:has|have|is|are|was|were|{_SAYS}))",
    re.IGNORECASE,
)
_FIRST_PERSON = whole_words(
    "we", "ours",
    r"our (?:[\w-]+ ){0,3}?(?:models?|systems?|classifiers?|networks?|training|servers?|deployments?|federation|"
    "protocol|clients?|updates?|accountant|budget|guarantee|analysis|accuracy|epsilon|delta|noise|version|release|"
    "configuration|provider|run|checkpoint|weights)",
    r"(?:this|the present|the deployed|the described) (?:\w+ )?"
    "(?:system|model|version|file|document|classifier|release)",
)  # fmt: skip
_THEIRS = whole_words(
    rf"(?:they|he|she) (?:also )?{_SAYS}", "their (?:paper|work|system|model|protocol|experiments?|method|study)",
    "its authors?", "the authors?", "authors of", rf"per {NAME}(?: and {NAME})?(?=,)",
    r"(?<!we )(?<!that )(?:promises?|promised|states?|stated|says?|said|claims?|claimed|asserts?|asserted|argues?|"
    r"argued|believes?|believed|thinks?|thought|assures?|assured)(?: \w+)? that",
    r"(?-i:[A-Z])\w+ (?:models|networks|systems|deployments|federations)(?= \w+)",
    "(?:is|are|was|were|been) (?:published|reported|believed|known|said|thought)",
    r"\A\W{0,3}(?:for|in|with|of|on) (?!our\b|the\b|these\b|all\b)(?:[\w-]+ ){0,2}"
    "(?:models|networks|systems|deployments|federations)",
)  # fmt: skip
_GENRES = (
    r"(?:papers?|articles?(?! \d)|publications?|preprints?|stud(?:y|ies)|literature|textbooks?|handbooks?|tutorials?|"
    r"blog(?: post)?s?|white ?papers?|thes[ei]s|surveys? of|guidelines?|guidance|standards?|recommendations?|"
    r"challenge|competition|contest|leaderboard|experiments? of|press|news(?:papers?)?|reviews? of)"
)
_PEOPLE = (
    r"(?:researchers?|scientists?|academics?|experts?|critics?|scholars?|practitioners?|vendors?|suppliers?|"
    r"manufacturers?|competitors?|rivals?|winners?|runners?-up|compan(?:y|ies)|firms?|start-?ups?|industry|"
    r"ministr(?:y|ies)|agenc(?:y|ies)|authorit(?:y|ies)|bureaus?|bureaux|regulators?|government|universit(?:y|ies)|"
    r"statistic(?:s|al) offices?|census offices?|contractors?|developers? of|makers? of|consultants?|teams? at|"
    r"partners?)"
)
_SOMEBODY = re.compile(
    # as whoever says or does it; as whose it is or where it stands; or as whoever reached it
    rf"\b(?:{_GENRES}|{_PEOPLE})\b(?:[^.;,]{{0,40}}?\b{_DOES}\b|,? [^.;,]{{0,40}}?, {_DOES}\b)"
    r"|\b(?:of|by|in|at|from|with|according to|for)\b "
    r"(?:(?:the|an?|one|some|other|another|many|recent|its|their|any)\b )?"
    rf"(?:\w+ ){{0,2}}?(?:{_GENRES}|{_PEOPLE})\b"
    rf"|\b{_PEOPLE}\b (?:of|in) [^.;]{{0,40}}?\b(?:reach\w*|achiev\w*|ha[sd]|g[eo]ts?|got)\b",
    re.IGNORECASE,
)
_OTHERS_USE = whole_words(
    r"for (?:its|their)(?: own)? (?!updates?|data|records?|gradients?|part|share|client|purposes? here)\w+",
    r"(?:on|in|across|by|to|into) (?:its|their)(?: own)? (?:\w+ )?(?:phones?|products?|apps?|services?|keyboards?|"
    "dashboards?|browsers?|platforms?|compan(?:y|ies)|customers?|models?|systems?|website|reports?|statistics)",
)  # fmt: skip
_AGENT = re.compile(
    r"\b(?:used|chosen|published|reported|proposed|found|shown|advertised|released|trained|obtained|adopted|claimed|"
    rf"announced|recommended|set|run|operated|sold|promised) by (?:the )?({NAME})",
)
_SPEAKERS = (
    re.compile(rf"(?:\b[Tt]he )?\b({NAME}(?: (?:{NAME}|of|and)){{0,4}}) (?:has |have |had )?{_SAYS}\b"),
    re.compile(rf"\b[Tt]he ({NAME}(?: (?:of )?{NAME}){{1,4}}) {_DOES}\b"),
    re.compile(
        rf"\b({NAME})['’]s? (?:\w+ )?(?:models?|systems?|networks?|products?|keyboards?|phones?|apps?|services?|"
        r"platforms?|documentation|papers?|handbooks?|manuals?|engineers?|teams?|federations?)\b"
    ),
)
"""Names that say something, do something, or own something."""
_COINED = re.compile(r"(?<![\w-])(?:[A-Z][a-z]+[A-Z]\w*|[A-Z][a-z]+-[A-Z][a-z]\w*|[A-Z]{5,}\w*)(?![\w-])")
"""A product or a project: one word with a capital in its midst."""
_COMMON = re.compile(r"SecAgg|FedAvg|FedProx|FedSGD|Fed[A-Z]{2}|DP-|PyTorch|LiRA|ResNet|Poisson|GDPR|SHAP|Rényi|MNIST")
_PIPELINE = frozenset((
    "accountant", "aggregation", "analysis", "annex", "appendix", "article", "audit", "auditing", "chapter", "clipping",
    "evaluation", "experiment", "experiments", "figure", "gradients", "it", "logs", "measurements", "measurement",
    "model", "monitoring", "noise", "opacus", "records", "results", "section", "system", "table", "tests", "test",
    "testing", "this", "that", "training", "these", "those", "updates", "validation", "we",
))  # fmt: skip
"""Words of a system's own file that begin a sentence with a capital and are no name."""
_PREPOSITION = (
    r"(?:on|in|at|for|from|with|without|by|to|under|over|after|before|against|across|through|than|that|which|who|where|"
    r"as|during|per|about|between|among|since|until|within)"
)
_SUBJECT_ENDS = re.compile(
    r"\s(?:is|are|was|were|ha[sd]|have|do(?:es)?|did|can|cannot|could|may|must|never|only|reach\w*|achiev\w*|attain\w*|"
    r"\w+(?:es|ed|s)(?= (?:an?|the|only|with|at|to|on|in|for|by|of|nothing|no|from|under|its|their|all|every|each|up|"
    rf"epsilon|delta)\b)|{_PREPOSITION})\b|[,:;=|(≤<>]",
    re.IGNORECASE,
)
_ADVERBIAL = re.compile(rf"(?:{_PREPOSITION}|following|according|measured|evaluated|tested)\b", re.IGNORECASE)
_LEADING = re.compile(
    r"(?:formally|overall|together|today|currently|now|here|thus|so|hence|in total|also|moreover|finally|throughout|"
    r"up to|as many as|at most|at least|[\w -]{1,40} aside),? ",
    re.IGNORECASE,
)
_SUBJECTS = whole_words(
    "i", "we", "you", "it", "this", "these", "all", "no", "nobody", "nothing", "none", "whoever", "only", "single",
    "individual", "each", "every", "models?", "systems?", "classifiers?", "networks?", "training", "servers?",
    "coordinators?", "aggregators?", "operators?", "cloud", "updates?", "gradients?", "noise", "protocols?",
    r"aggregat\w+", r"federat\w+", "accountants?", "accounting", r"accura\w+", "epsilon", "delta", "budgets?",
    "privacy", "loss(?:es)?", "mechanisms?", "guarantees?", "records?", "data", "patients?", "persons?", "requests?",
    "erasures?", "deletions?", "advantage", "attack(?:er)?s?", r"adversar\w+", "memberships?", "inference",
    r"reconstruct\w+", r"rebuild\w+", r"recover\w+", r"invers\w+", r"invert\w+", r"restor\w+", "embeddings?", "codes?",
    "weights", "parameters?", r"clip\w*", "norms?", "multipliers?", "rounds?", r"toleran\w+", "drop-?outs?", "sums?",
    "influence", "contributions?", "traces?", r"differential\w*", "predictions?", "answers?", "classifications?",
    "decisions?", "images?", "cases", "inputs?", "forms?", "signals", "samples?", "examples?", r"mask\w*", "secure",
    "secagg", "probability", "release", "results?", "measurements?", r"figures? \d", r"tables? \d", "run", "provider",
    "auditors?", "red team", "dp-sgd", "opacus", "flower", "pytorch", "lira", "analysis", "evaluation", "validation",
    "tests?", "testing", "benchmark(?:s|ing)?", "audits?", "study of", "consortium", "total", "algorithm",
    "learning", "half", r"batch\w*", "layers?",
    "optimi[sz]er", "logits?", "activations?", "outputs?", CLIENTS,
    marks=r"\d|[εϵδ]|_",
)  # fmt: skip
"""With what a file about a federated system begins a sentence on it. Another subject is taken for another's, so that a
company, a paper or a product of which no list knows is doubted all the same."""
_FOREIGN_HEADING = whole_words(
    "related work", "literature", "state of the art", "prior art", "background", "references", "bibliography",
    "competitors?", "market", "other (?:systems?|products?|models?)", "further reading",
)  # fmt: skip


def of_somebody_else(sentence: str, heading: str, own: Own) -> bool:
    """Tell whether a sentence gives somebody else's figure.

    Args:
        sentence: As it stands.
        heading: The heading above; what stands under `Related work` is somebody else's.
        own: How the system is called.
    """
    if any(pattern.search(sentence) for pattern in (_THEIRS, _OTHERS_USE)) or _FOREIGN_HEADING.search(heading):
        return True
    rest = _METHOD_CITED.sub(lambda found: " " * len(found[0]), sentence)
    agent = _AGENT.search(rest)
    if agent is not None and not known(agent[1].split(), own.words):
        return True
    if _FIRST_PERSON.search(rest):
        return False
    if _CITATION.search(rest) or _SOMEBODY.search(rest) or _subject_unknown(rest, own):
        return True
    coined = [found[0] for found in _COINED.finditer(rest) if not _COMMON.match(found[0])]
    if any(not known([name], own.words) for name in coined):
        return True
    speakers = [found[1] for pattern in _SPEAKERS for found in pattern.finditer(rest)]
    return any(not known(name.split(), own.words | _PIPELINE) for name in speakers)


def known(words: Sequence[str], among: Collection[str]) -> bool:
    """Tell whether any word, without its capital and its marks, is one of those known."""
    return any(word.casefold().strip(".’'") in among for word in words)


def _subject_unknown(sentence: str, own: Own) -> bool:
    """Tell whether a sentence begins with a subject that is no word for the system or a part of it."""
    text = _LEADING.sub("", sentence.lstrip(BEGINNING), count=1)
    if _ADVERBIAL.match(text):
        text = text.partition(",")[2].strip()  # `On the test set, the model …`; without a comma nobody can tell
        if _SUBJECT_ENDS.search(text) is None:
            return False
    end = _SUBJECT_ENDS.search(text, 1)
    subject = text[: end.end()] if end else text  # `updates in`: the word at which it ends may be its noun
    return bool(subject) and not _SUBJECTS.search(subject) and not known(re.findall(r"[\w-]+", subject), own.words)
