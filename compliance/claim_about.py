"""Of whom, of what and of when a sentence speaks: a figure of somebody else's is no claim of the system under review.

    who    another paper, another company, whoever demands it      ─▶ attributed
    which  a sibling system, another release, statistics           ─▶ other-object
    when   before a change, at launch, from January on             ─▶ other-time

A citation beside a method (`clipped as in [3]`, `the accountant of [7]`) says whose method it is, not whose figure; it
is taken out before anybody else is looked for. A first person, or the system by its name, keeps a cited figure its own.
"""

import re
from collections.abc import Collection
from dataclasses import dataclass
from typing import Literal, TypeAlias

__all__ = ["NOBODY", "Elsewhere", "Own", "elsewhere"]

Elsewhere: TypeAlias = Literal["", "attributed", "other-object", "other-time"]
"""What a sentence is about instead; empty where it is about the system, as far as its words tell."""


@dataclass(frozen=True)
class Own:
    """How the system under review may be called."""

    words: frozenset[str] = frozenset()
    """Of its name, its provider and its purpose, casefolded."""
    version: str = ""
    """Under review; empty where it is not known, and then no version is another one."""


NOBODY = Own()
"""Where nothing is known of the system."""


def _any_of(*words: str, marks: str = "") -> re.Pattern[str]:
    return re.compile(rf"\b(?:{'|'.join(words)})\b" + (f"|{marks}" if marks else ""), re.IGNORECASE)


_NAME = r"(?-i:[A-ZÀ-Þ][\w.’'-]*\w)"
_NAMES = rf"{_NAME}(?:(?:,? (?:and|&) |, | ){_NAME})*"
_YEAR = r"\(?(?:19|20)\d\d[a-z]?\)?"
_REFERENCE = r"\[\d{1,3}(?:\s?[,;–-]\s?\d{1,3})*\]"
_CITED = (
    rf"(?:{_NAMES},? et al\b\.?(?:,? {_YEAR})?|{_NAMES} and (?:others|(?:\w+ )?(?:colleagues|co-?workers|co-?authors))\b"
    rf"(?: {_YEAR})?|\({_NAMES},? (?:19|20)\d\d[a-z]?\)|{_NAMES} \((?:19|20)\d\d[a-z]?\)|{_REFERENCE})"
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
    r"assures?|assured|tells?|told|speaks? of|chooses?|chose|chosen|adopt(?:s|ed)?|claim)"
)
_DOES = (
    rf"(?:{_SAYS}|us(?:es|ed)|appl(?:ies|ied)|sp(?:ends|ent)|runs?|ran|trains?|trained|deploy(?:s|ed)?|releas(?:es|ed)|"
    r"sets?|picks?|picked|work(?:s|ed)? with|operat(?:es|ed))"
)
_METHOD_CITED = re.compile(
    rf"\b{_MADE_BY}(?: the)?(?: \w+){{0,2}}? {_CITED}"
    rf"|\b(?:by|with|using|under|via|through|on|against|for|in)\b(?: \S+){{0,4}}? {_METHODS}(?: (?:of|by|from|in))? {_CITED}"
    rf"|\b{_METHODS}(?: (?:of|by|from|in))? (?:{_NAMES} )?{_CITED}(?! (?:has|have|is|are|was|were|{_SAYS}))",
    re.IGNORECASE,
)
_FIRST_PERSON = _any_of(
    r"we", "our", "ours",
    r"(?:this|the present|the deployed|the described) (?:\w+ )?(?:system|model|version|file|document|classifier|release)",
)  # fmt: skip
_THEIRS = _any_of(
    rf"(?:they|he|she) (?:also )?{_SAYS}", "their (?:paper|work|system|model|protocol|experiments?|method|study)",
    "its authors?", "the authors?", "authors of",
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
    r"statistic(?:s|al) offices?|census offices?|contractors?|developers? of|makers? of|consultants?|teams? at)"
)
_SOMEBODY = re.compile(
    # as whoever says or does it; as whose it is or where it stands; or in the passive
    rf"\b(?:{_GENRES}|{_PEOPLE})\b(?:[^.;,]{{0,40}}?\b{_DOES}\b|,? [^.;,]{{0,40}}?, {_DOES}\b)"
    rf"|\b(?:of|by|in|at|from|with|according to|for)\b (?:(?:the|an?|one|some|other|another|many|recent|its|their|any)\b )?"
    rf"(?:\w+ ){{0,2}}?(?:{_GENRES}|{_PEOPLE})\b"
    rf"|\b{_PEOPLE}\b (?:of|in) [^.;]{{0,40}}?\b(?:reach\w*|achiev\w*|ha[sd]|g[eo]ts?|got)\b",
    re.IGNORECASE,
)
_OTHERS_USE = re.compile(
    r"\bfor (?:its|their)(?: own)? (?!updates?|data|records?|gradients?|part|share|client|purposes? here)\w+"
    r"|\b(?:on|in|across|by|to|into) (?:its|their)(?: own)? (?:\w+ )?(?:phones?|products?|apps?|services?|keyboards?|dashboards?|"
    r"browsers?|platforms?|compan(?:y|ies)|customers?|model|models|systems?|website|reports?|statistics)\b",
    re.IGNORECASE,
)
_AGENT = re.compile(
    rf"\b(?:used|chosen|published|reported|proposed|found|shown|advertised|released|trained|obtained|adopted|claimed|"
    rf"announced|recommended|set|run|operated|sold|promised) by (?:the )?({_NAME})",
)
_NAMED = re.compile(rf"(?:\b[Tt]he )?\b({_NAME}(?: (?:{_NAME}|of|and))*) (?:has |have |had )?{_SAYS}\b")
_TITLED = re.compile(rf"\b[Tt]he ({_NAME}(?: (?:of )?{_NAME})+) {_DOES}\b")
_POSSESSOR = re.compile(rf"\b({_NAME})['’]s?\b (?!{_METHODS}|noise|test)")
_PIPELINE = frozenset(
    "accountant aggregation analysis annex appendix article audit auditing chapter clipping evaluation experiment "
    "experiments figure gradients it logs measurements measurement model monitoring noise opacus records results section "
    "system table tests test testing this that training these those updates validation we".split()
)
"""Words of a system's own file that begin a sentence with a capital and are no name."""
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
_SIBLING = _any_of(
    rf"{_CONTRAST}(?:,)? (?:[\w-]+ ){{0,2}}?{_ARTEFACT}(?! of (?:this|our|the) (?:system|model))",
    rf"(?:another|others?|one|some|most|all) of our (?:\w+ )?{_ARTEFACT}",
    rf"(?<!this )(?<!present )(?<!deployed )(?<!released )(?<!described )(?:[\w-]+ )(?:edition|variant|spin-?off|fork)(?! of)",
    "elsewhere", "shadow models?", "in our twin",
)  # fmt: skip
_LOCAL = re.compile(
    rf"\b{_ARTEFACT}(?: [\w-]+)? (?:for|in|of|sold in|used in) (?:the )?((?-i:[A-ZÀ-Þ][a-zß-ÿ]{{2,}}))(?:-speaking)?\b"
    rf"|\b((?-i:[A-Z][a-z]+(?:ish|ese|ian|ench|erman|utch|reek|zech|wiss)))(?:-language)? {_ARTEFACT}\b",
    re.IGNORECASE,
)
_NO_PLACE = frozenset("annex article section chapter table appendix part gaussian bayesian laplacian hessian".split())
_DESCRIBED = _any_of(
    r"(?:this|the present) (?:file|document|documentation|report|audit) (?:describes|covers|documents|is about|concerns)",
    r"(?:described|audited|documented|under review|assessed) here", "under (?:review|audit)",
)  # fmt: skip
_PRIVACY = ("epsilon", "delta", "noise_multiplier", "clipping_norm")
_STATISTICS = _any_of(
    r"(?:(?:aggregate|summary|usage|published|official|descriptive)(?: \w+)? )?statistics", r"(?<!we )surveys?", "census",
    "dashboards?", "histograms?", "telemetry", "synthetic", "analytics", r"queries", r"query results?", r"tables(?! \d)",
    r"(?:usage|visit(?:or)?|page|download|case|event|crash) (?:counts?|figures|numbers|reports?)", "open data",
    r"data releases?", r"(?:the|a|our|that|which)\b(?: \w+){0,2} data ?sets? (?:that |which )?(?:we )?"
    "(?:share|release|publish|publi[cs])\\w*", "crash reports?", "heat ?maps?", "mobility (?:data|reports?)", "newsletter",
)  # fmt: skip
_CHANGED = (
    r"(?:chang|switch|introduc|replac|migrat|upgrad|updat(?:ed|ing)\b|revis|retrain|re-train|correct|fix|mov|redesign|"
    r"reworked|rework|tighten|rais|lower|adopt|enabl|roll|went live|clean|patch|refactor|overhaul|add|remov|turn|"
    r"start|join|reorgani|restructur|merg|deploy|launch|mend|repair|improv|extend|rebuil)"
)
_PAST_CHANGE = re.compile(
    rf"\b(?:before|prior to|ahead of|preceding|up to)\b (?:the |our |this |that |a |any )?"
    rf"(?:(?:[\w-]+ ){{0,5}}?(?:{_CHANGED}\w*|switch|change|reform|move)\b|(?:19|20)\d\d\b|"
    r"(?-i:January|February|March|April|May|June|July|August|September|October|November|December)\b)",
    re.IGNORECASE,
)
_STEP = re.compile(r"before [^.;,]{0,30}?\b(?:is|are|leaves?|adding|masking|sampling)\b", re.IGNORECASE)
"""In the present tense it is a step of every round, not a change that was made once."""
_PAST = _any_of(
    "originally", "initially", "at first", "formerly", "historically", "back then", "at (?:the|that) time(?! of writing)",
    "at the time of (?!writing|this)", "in those days", "in the days? of", "at launch", "in the past", "(?:years|months) ago",
    "at the (?:beginning|start|outset)(?! of (?:training|each|every))", "to begin with", "by then", "had been", "had once",
    r"in the (?:first|early|opening) (?:years?|months?|weeks?|days|phase|phases|season)", "in its (?:first|early) \\w+",
    r"(?:old|older|retired|legacy|discontinued|deprecated|superseded|obsolete|archived|decommissioned|original|initial|"
    rf"interim|early|outdated|abandoned) (?:[\w-]+ )?(?:{_ARTEFACT}|protocol|accountant|schedule|run|configuration|settings?)",
    r"version one", r"(?:in|of|during) the (?:first|early) (?:run|trial|version|release|prototype|model|system)",
    rf"yesterday|last (?:month|spring|summer|autumn|winter|quarter|season)",
)  # fmt: skip
_TO_COME = _any_of(
    r"(?:is|are) to (?!date)\w+", r"from (?:[\w.]+ ){1,3}on(?:wards?)?", "in preparation", "under (?:development|construction)",
    "in progress", "under ?way", "pending", "awaiting", "going to", "about to", "soon", "prototypes?", "in future",
    "tomorrow", "later this year", "by the end of", r"by (?:19|20)\d\d", "coming",
)  # fmt: skip
_ONLY_IF = _any_of(
    r"\A\W{0,3}given (?!that|by|the)", r"given (?:enough|sufficient|more|ideal|perfect)", "subject to", "on condition",
    r"\A\W{0,3}(?:were|had|should) (?:we|it|the|our)", "with (?:enough|sufficient|ideal|perfect)", "under ideal",
    "in the best case", "at best", "best-case", "otherwise", "depending on", "were it", "in the event",
)  # fmt: skip
_DEMANDED = _any_of(
    "demand(?:s|ed)?", "stipulat(?:es|ed)", "prescrib(?:es|ed)", "mandat(?:es|ed|ory)", "call(?:s|ed)? for", "insist(?:s|ed)?",
    "obliges? us", "agreed on",
)  # fmt: skip
_FOREIGN_HEADING = _any_of(
    "related work", "literature", "state of the art", "prior art", "background", "references", "bibliography",
    "competitors?", "market", "other (?:systems?|products?|models?)", "further reading",
)  # fmt: skip
_OLD_HEADING = _any_of("history", "change ?log", "superseded", "archive", "past", "previous versions?", "release notes")
_VERSION = re.compile(r"\b(?:version|release) v?(\d+(?:\.\d+)*)\b", re.IGNORECASE)


def elsewhere(sentence: str, kind: str, heading: str = "", own: Own = NOBODY) -> Elsewhere:
    """Return what a sentence is about if not about the system under review as it is; empty where it is about that.

    Args:
        sentence: As it stands.
        kind: Of the claim.
        heading: The heading above; what stands under `Related work` is somebody else's.
        own: How the system is called.
    """
    if _of_another_time(sentence, kind) or _OLD_HEADING.search(heading):
        return "other-time"
    if _of_another_object(sentence, kind, own):
        return "other-object"
    return "attributed" if _of_somebody_else(sentence, heading, own) else ""


def _of_somebody_else(sentence: str, heading: str, own: Own) -> bool:
    if _FOREIGN_HEADING.search(heading) or _THEIRS.search(sentence) or _OTHERS_USE.search(sentence):
        return True
    rest = _METHOD_CITED.sub(lambda found: " " * len(found[0]), sentence)
    ours = _FIRST_PERSON.search(rest) is not None
    if not ours and (_CITATION.search(rest) or _SOMEBODY.search(rest)):
        return True
    if (agent := _AGENT.search(rest)) is not None and not _known(agent[1].split(), own.words):
        return True
    if ours:
        return False
    speakers = [found[1] for pattern in (_NAMED, _TITLED, _POSSESSOR) for found in pattern.finditer(rest)]
    return any(not _known(name.split(), own.words | _PIPELINE) for name in speakers)


def _of_another_object(sentence: str, kind: str, own: Own) -> bool:
    if _DESCRIBED.search(sentence):
        return False
    if _SIBLING.search(sentence) or (kind in _PRIVACY and _STATISTICS.search(sentence)):
        return True
    place = _LOCAL.search(sentence)
    if place is not None and not _known([place[1] or place[2]], own.words | _NO_PLACE):
        return True
    version = _VERSION.search(sentence)
    return version is not None and own.version != "" and not _same_version(version[1], own.version)


def _of_another_time(sentence: str, kind: str) -> bool:
    changed = _PAST_CHANGE.search(sentence) if kind != "unlearned" else None  # forgotten before a change is forgotten
    if changed is not None and not _STEP.match(sentence, changed.start()):
        return True
    return any(pattern.search(sentence) for pattern in (_PAST, _TO_COME, _ONLY_IF, _DEMANDED))


def _known(words: list[str], known: Collection[str]) -> bool:
    """Tell whether any word is one of the system's own."""
    return any(word.casefold().strip(".’'") in known for word in words)


def _same_version(said: str, own: str) -> bool:
    """Tell whether `2` or `2.1` may be the version `2.1.0`."""
    ours = re.findall(r"\d+", own)
    theirs = said.split(".")
    return theirs == ours[: len(theirs)] or ours == theirs[: len(ours)]
