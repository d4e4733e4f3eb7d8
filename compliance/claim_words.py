"""The words by which a sentence ties a number to a kind of claim, kind by kind.

A pattern is matched on the sentence with its numbers masked: a bare number begins with U+E000, any other with U+E002,
both filled up with U+E001, so that offsets stay. The gap between a word and its number holds no bare number.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass

BARE, FILL, COUNTED = "\ue000", "\ue001", "\ue002"
_N = rf"({BARE}{FILL}*)"
ANY_NUMBER = rf"([{BARE}{COUNTED}]{FILL}*)"
_WORDS_OF_KINDS = r"epsilon|ε|ϵ|delta|δ|noise[ _]multiplier|clipping|accuracy|advantage|rounds?\b|toleran"
_GAP = rf"(?:(?!{_WORDS_OF_KINDS})[^;.?!{BARE}{FILL}]|\.(?=\w)|(?<={COUNTED}){FILL}+){{0,60}}?"
_FEDERATED = r"federat|\btrain|tak(?:e|es|ing) part|took part|participa|collaborat|jointly|averag|communication"
CLIENTS = (
    r"(?:clients?|hospitals?|clinics?|offices?|institutions?|sites?|participants?|devices?|silos?|banks?|parties|"
    r"cent(?:er|re)s?|organi[sz]ations?|nodes?|users?|compan(?:y|ies)|practices|laborator(?:y|ies)|phones?)"
)
EXAMPLES = (
    r"(?:examples?|records?|samples?|patients?|persons?|individuals?|people|data ?points?|items?|rows?|instances?)"
)
_TABLE = r"[\s`*_]*[|:=][\s`*_|]*"


@dataclass(frozen=True)
class Figure:
    """How a kind of claim is written."""

    said: tuple[re.Pattern[str], ...]
    """As a sentence; the first group holds the number."""
    listed: tuple[re.Pattern[str], ...] = ()
    """As a line of a table or a setting, where `needs` is not asked for."""
    share: bool = False
    """Whether it is a percentage or a fraction in [0, 1]; else no percentage."""
    whole: bool = False
    """Whether it counts something."""
    least: float = 0.0
    """A smaller number means something else."""
    most: float = 1e9
    """A larger number means something else."""
    needs: re.Pattern[str] | None = None
    """What a sentence has to hold besides."""
    never: re.Pattern[str] | None = None
    """What shows that the words mean something else."""


def whole_words(*words: str, marks: str = "") -> re.Pattern[str]:
    """Return a pattern of whole words in any case, or of marks that need no border."""
    return re.compile(rf"\b(?:{'|'.join(words)})\b" + (f"|{marks}" if marks else ""), re.IGNORECASE)


def _each(*patterns: str) -> tuple[re.Pattern[str], ...]:
    return tuple(re.compile(pattern, re.IGNORECASE) for pattern in patterns)


def _one(*alternatives: str) -> re.Pattern[str]:
    return re.compile("|".join(alternatives), re.IGNORECASE | re.DOTALL)


def _both(first: str, second: str) -> str:
    """Return a pattern that holds where both do, anywhere in the sentence."""
    return rf"\A(?=.*(?:{first}))(?=.*(?:{second}))"


PAIR = re.compile(
    rf"[({{\[]\s*(?:(?:ε|ϵ|epsilon)\s*=\s*)?{ANY_NUMBER}\s*[,;]\s*(?:(?:δ|delta)\s*=\s*)?{ANY_NUMBER}\s*[)}}\]]",
    re.IGNORECASE,
)
"""`(3.0, 1e-5)`, `(ε = 3, δ = 1e-5)`."""
PAIR_CONTEXT = _one(
    r"[(\[]\s*(?:ε|ϵ|epsilon|eps)\s*,\s*(?:δ|delta)\s*[)\]]", r"differential(?:ly)?[- ]priva", r"[)\]]\s*-?\s*DP\b"
)
"""What makes a pair of numbers one of epsilon and delta."""
_OF_ALL = r"\s+of\s+(?:all\s+|the\s+|its\s+|our\s+)*"
_ANSWERS = r"(?:predictions|answers|outputs|classifications|decisions)"
_CLASSIFY = r"(?:classif|predict|recogni[sz]|label|identif|answer)\w+"
FIGURES: Mapping[str, Figure] = {
    "epsilon": Figure(
        _each(
            rf"(?:\bepsilon|[εϵ]|\beps\b|\bprivacy (?:budget|loss)|\bbudget \(epsilon\)){_GAP}{_N}",
            rf"{_N}-(?:differential(?:ly)?[- ]priva|DP\b(?!\.))",
        ),
        least=0.005,  # the epsilon of a layer or of an optimiser is far smaller
        most=1e4,
        never=_one(
            "greedy", r"\badam\b", "optimi[sz]", "solver", "numerical", "layer ?norm", "batch ?norm", "adversarial",
            r"\bball\b", "perturb", "l-?(?:inf|∞)", "convergence", "tolerance", "learning rate", r"\bltd\b", "rmsprop",
            r"euros?\b", "dollars?", "smoothing",
        ),
    ),
    "delta": Figure(
        _each(rf"(?:\bdelta|δ){_GAP}{_N}"),
        most=0.2,
        never=_one(
            "temperature", "sensor", "degrees?", "readings?", r"\bMB\b", "inhabitants", "river",
            "delta (?:of|between) two",
        ),
    ),
    "noise_multiplier": Figure(_each(rf"\bnoise[ _-]multiplier{_GAP}{_N}"), most=1e4),
    "clipping_norm": Figure(
        _each(
            rf"\bclip(?:ping|ped)?[ _-](?:norm|bound|threshold){_GAP}{_N}",
            rf"\bmax_grad_norm{_GAP}{_N}",
            rf"\b(?:clip(?:ped|s)?|scal(?:e|es|ed)|bound(?:ed|s)?)\b[^;.]{{0,60}}?[ -]norm\b{_GAP}{_N}",
        ),
        most=1e6,
        never=_one("pixel", "volts?", "signals?", "paper", "length"),
    ),
    "clients": Figure(
        _each(rf"{ANY_NUMBER}\s+(?:(?!lost|other|further)\w+\s+)?{CLIENTS}\b"),
        _each(
            rf"\b(?:number of|participating) {CLIENTS}{_TABLE}{ANY_NUMBER}",
            rf"(?:\A|\|)[\s`*_]*clients{_TABLE}{ANY_NUMBER}",
        ),
        whole=True,
        least=1,
        needs=_one(_FEDERATED),
        never=_one(
            r"\blost\b", "vanish", "drop", "insurer", "law firm", "support desk", "software vendor", "customers?",
            r"accounts?\b", "sampled", "selected", "chosen at random", r"of the [\ue000\ue002]",
        ),
    ),
    "rounds": Figure(
        _each(rf"{ANY_NUMBER}\s+(?:(?:communication|training|global|federated|aggregation)\s+)*rounds\b"),
        _each(
            rf"\bnumber of (?:\w+ )?rounds{_TABLE}{ANY_NUMBER}",
            rf"(?:\A|\|)[\s`*_]*(?:\w+[ _])?rounds{_TABLE}{ANY_NUMBER}",
        ),
        whole=True,
        least=1,
        needs=_one(_FEDERATED),
        never=_one(
            "interview", "review", "ward", "physician", r"\b(?:a )?day\b", "negotiat", "consultation", "fine-?tun",
            "warm-?up", r"after [\ue000\ue002]\ue001* (?:\w+ )?rounds",
        ),
    ),
    "dropout_tolerance": Figure(
        _each(_N),
        share=True,
        most=1.0,
        needs=_one(
            _both(
                "tolera[nt]|surviv|robust|withstand|copes? with|complet|succeed|without (?:losing|aborting|loss)|"
                "(?:may|can) (?:be lost|vanish|drop|disappear|fail)",
                r"drop[- _]?outs?|drops? out|dropped|vanish|\blost\b|\bloss of\b|disappear|absen",
            )
        ),
        never=_one(
            "hidden", "regulari[sz]", "dropout (?:rate|probability|layer)", "network uses", "student", "pupil",
            "school", "packet",
        ),
    ),
    "membership_advantage": Figure(
        _each(_N),
        share=True,
        most=1.0,
        needs=_one(
            "membership[ _-]+(?:inference )?advantage",
            _both("membership[- ]inference", r"advantage|gains?\b|over guessing|better than guessing"),
        ),
        never=_one("union", "works council", r"\bfees?\b", "hiring"),
    ),
    "accuracy": Figure(
        _each(
            rf"\baccuracy{_GAP}{_N}",
            rf"{_N}\s*(?:(?:test|validation|overall|held-out|classification|mean|top-1)\s+)?accura(?:cy|te)\b",
            rf"\b(?:right|correct(?:ly)?)\s+(?:in|on|for)\s+{_GAP}{_N}\s+of\b",
            rf"\b{_CLASSIFY}\s+{_GAP}{_N}{_GAP}\b(?:right|correct)(?:ly)?\b",
            rf"{_N}{_OF_ALL}(?:\w+\s+){{1,3}}?(?:are|is|were|was)\s+{_CLASSIFY}\s+(?:correctly|right|rightly)\b",
            rf"{_N}{_OF_ALL}(?:\w+\s+)?{_ANSWERS}\s+(?:are|were)\s+(?:correct|right)\b",
        ),
        share=True,
        most=1.0,
        never=_one(
            "thermomet", "sensor", "pump", r"\bdos(?:e|es|age)\b", r"\bGPS\b", "degrees", "gauge", "clock",
            "personal data",
            "accuracy[- ](?:loss|drop|gap|difference|gain|cost|penalty|change)",
            "(?:loss|drop|gap|difference|cost) (?:of|in) accuracy", "human", "(?:nurses?|clerks?) alone", "filled in",
            "applicants", r"\bf1\b", r"\bf-?scores?\b", r"\bauc\b", r"\bmae\b", "rmse", "declin", "degrad",
            "deteriorat", "reduc", "decreas",
        ),
    ),
}  # fmt: skip
"""By kind, in the order in which claims are yielded."""
