"""Claims without a number: nothing can be rebuilt, updates are seen in sum alone, somebody was forgotten.

Two of them are negations by themselves (`cannot be reconstructed`, `never sees`): what a match consists of is blanked
out before the sentence is searched for a negation, so that only a denial of the whole counts.
"""

import re
from collections.abc import Iterator
from typing import NamedTuple

from compliance.claim_words import CLIENTS

_CANNOT = (
    r"(?:cannot|can ?not|can['’]t|could not be|impossible|not possible|infeasible|unfeasible|unable|not able|no way|"
    r"never (?:allows?|permits?|lets?)|do(?:es)? not (?:allow|permit|let))"
)
_REBUILD = (
    r"(?:reconstruct\w*|rebuil[dt]\w*|recover(?!y)\w*|restor\w*|invert\w*|revers\w*|deriv\w*|re-?identif\w*|"
    r"(?:turned|read|traced) back|inferr?ed?|extract\w*|regenerat\w*|decod\w*)"
)
_REBUILDING = (
    r"(?:reconstruction|reconstructing|rebuilding|recovering|inversion|inverting|restoration|restoring|reversal|"
    r"reversing|re-?identification|re-?identifying|extraction|extracting|decoding)"
)
_RULED_OUT = r"(?:impossible|infeasible|not possible|ruled out|excluded|prevented)"
_SOURCE = (
    r"(?:updates?|gradients?|parameters?|weights?|embeddings?|codes?|aggregates?|logits?|activations?|"
    r"the server\b|what the server (?:receives|gets|sees)|transmitted|shared|leaves? the)"
)


def _each(*patterns: str) -> tuple[re.Pattern[str], ...]:
    return tuple(re.compile(pattern, re.IGNORECASE) for pattern in patterns)


_RECONSTRUCTION_NEEDS = re.compile(rf"\b{_SOURCE}", re.IGNORECASE)
_NO_RECONSTRUCTION = _each(
    rf"\b{_CANNOT}\b[^.;]{{0,60}}?\b{_REBUILD}\b",
    rf"\b{_REBUILDING}\b[^.;]{{0,80}}?\b(?:is|are|remains?)\s+(?:\w+ )?{_RULED_OUT}\b",
    rf"\bno(?:ne)?\b(?: of the)?(?: \w+){{0,3}}? can be {_REBUILD}\b",
    r"\b(?:nobody|no one|no-one|nothing)\b(?: \w+){0,3}? can(?: be)? (?:\w+ )?"
    rf"(?:{_REBUILD}|tell|read|see|learn(?:ed)?)\b",
    r"\b(?:reveals?|discloses?|leaks?|tells?|betrays?|says?) (?:nothing|no information)\b[^.;]{0,40}?"
    r"\b(?:individual|single|record|person|patient|data|form)",
    r"\birreversib\w+\b",
    rf"\bnever be {_REBUILD}\b",
)
_SERVER = r"(?:server|coordinator|aggregator|operator|central (?:party|node|instance)|cloud)"
_SEES = (
    r"(?:sees?|learns?|receives?|obtains?|gets?|observes?|reads?|knows?|is (?:given|sent|shown)|has access to|"
    r"decrypts?|recovers?|inspects?)"
)
_SUM = r"(?:sums?|aggregates?|aggregated|averages?|means?|totals?)"
_PART = r"(?:updates?|gradients?|contributions?)"
_PIECE = (
    r"(?:individual|single|separate|unaggregated|any (?:single |one )?client['’]s|(?:a|each) client['’]s|an?|any)"
    r"(?: \w+)?? (?:updates?|gradients?|contributions?|models?|parameters?)"
)
_OF_A_CLIENT = rf"{_PART} of (?:any|a|each) (?:single |individual |one )?{CLIENTS}"
_NOTHING_BUT = r"(?:only|nothing (?:but|except|beyond|other than)|no more than|solely|exclusively)"
_NEVER = r"(?:never|cannot|can not|can['’]t|does not|is (?:unable|not able) to)"
_UNSEEN = r"(?:(?:never|not) (?:visible|seen|revealed|disclosed|exposed)|hidden|invisible|concealed|masked)"
_SEEN = r"(?:revealed|visible|disclosed|exposed|decrypted|unmasked|readable|seen|shown|known|sent|released)"
_SECURE = _each(
    rf"(?<!not )\b{_SERVER}\b(?! (?:do|does|did) not)\s+(?:\w+ )??{_SEES}\s+{_NOTHING_BUT}\b[^.;]{{0,40}}?\b{_SUM}\b",
    rf"\b{_SERVER}\b\s+(?:only|solely|exclusively)(?: ever)?\s+{_SEES}\b[^.;]{{0,30}}?\b{_SUM}\b",
    rf"\b{_SERVER}\b\s+{_SEES}\b[^.;]{{0,30}}?\b{_SUM}\b[^.;]{{0,40}}?\b(?:and nothing (?:else|more)|alone)\b",
    rf"\b{_SERVER}\b\s+{_NEVER}\s+(?:\w+ )??{_SEES}\b\s+(?:the )?(?:{_PIECE}|{_OF_A_CLIENT})\b",
    rf"\b(?:individual|single)\s+(?:\w+ )??{_PART}\s+(?:is|are|was|were|remains?|stays?)\s+{_UNSEEN}\b",
    rf"\bno (?:individual|single|client)\s*(?:\w+ )??{_PART} (?:is|are|was|were|becomes?) (?:ever )?{_SEEN}\b",
    r"\b(?:secure aggregation|mask(?:s|ing)|the protocol)\b[^.;]{0,40}?\b(?:hides?|conceals?|protects?|masks?)\s+"
    rf"(?:each|every|single|individual|all|the)\b[^.;]{{0,15}}?\b{_PART}\b",
    rf"\bonly\s+(?:the |their )?(?:\w+ )??{_SUM}\b[^.;]{{0,50}}?\b(?:is|are)\s+(?:ever )?{_SEEN}\b",
    r"\bonly aggregated (?:updates|gradients|models|parameters)\b[^.;]{0,20}?\b(?:leaves?|reach(?:es)?|are \w+)\b",
)
_SECURE_NEEDS = re.compile(rf"{_PART}|{CLIENTS}|secure aggregation|mask|encrypt|model|\bsums?\b", re.IGNORECASE)
_BEEN = r"(?:is|are|was|were|(?:has|have) been|been)"
_GONE = r"(?:forgotten|un-?learn(?:ed|t)|erased|deleted|removed|purged|eliminated|taken out)"
_HONOURED = r"(?:honou?red|carried out|fulfilled|executed|completed|granted|implemented)"
_ERASURE = r"(?:erasure|deletion|unlearning|forgetting|removal)"
_PERSON = (
    rf"(?:{CLIENTS}|records?|patients?|persons?|people|individuals?|requests?|subjects?|whoever|data|contributions?|"
    r"influence|traces?|forms?|images?)"
)
_UNLEARNED = _each(
    rf"\b{_BEEN}\s+(?:\w+ )??(?:forgotten|un-?learn(?:ed|t))\b",
    rf"\b{_BEEN}\s+(?:\w+ly )?{_GONE}\b[^.;]{{0,60}}?"
    r"\b(?:from|by|out of|of|in)\s+(?:the|our|its|this)?\s*(?:\w+ )?model\b",
    rf"\b{_BEEN}\s+{_GONE}\b[^.;]{{0,60}}?\bforgotten\b",
    r"\bmodel\b[^.;]{0,20}?\bno longer (?:contains?|holds?|includes?|knows?|remembers?)\b",
    rf"\b{_ERASURE}\s+requests?\b[^.;]{{0,25}}?\b{_BEEN}\s+(?:\w+ly )?{_HONOURED}\b",
    rf"\brequest [`\"']?\w*\d\w*[`\"']?[^.;]{{0,15}}?\b{_BEEN}\s+(?:\w+ly )?{_HONOURED}\b",
)
_UNLEARNED_NEEDS = re.compile(rf"\b{_PERSON}\b|\b{CLIENTS}[-_ ]?\d", re.IGNORECASE)
_UNLEARNED_NEVER = re.compile(
    r"\b(?:layers?|noise|outliers?|columns?|backups?|logs?|temporary|cookies|accounts?|mailing|habits?|features?|cache|"
    r"duplicates?|parameters? were|bias(?:es)?|triggers?|looks? like)\b",
    re.IGNORECASE,
)
_CAPABLE = re.compile(
    r"\bcan\b|\b(?:up)?on request\b|\bpossible\b|\bable to\b|\bsupports?\b|\ballows?\b", re.IGNORECASE
)
_NAMED = re.compile(
    rf"\b(?P<word>{CLIENTS}|records?|patients?|persons?|subjects?|requests?|users?)(?P<join>[-_ #]{{1,2}})"
    r"[`\"']?(?P<token>(?-i:[A-Z](?=[\s.,]))|[A-Za-z]{0,3}[-_]?\d\w*)",
    re.IGNORECASE,
)


class Assertion(NamedTuple):
    """A claim without a number, as a sentence makes it."""

    kind: str
    start: int
    """Of the words that make it, in the sentence."""
    end: int
    subject: str
    """Who was forgotten, where the sentence names somebody; else empty."""
    conditional: bool
    """Whether it says what can be done, not what was."""


def assertions_in(sentence: str) -> Iterator[Assertion]:
    """Yield the claims without a number that a sentence makes, at most one a kind, whatever doubts it raises."""
    if _RECONSTRUCTION_NEEDS.search(sentence) and (hit := _first(_NO_RECONSTRUCTION, sentence)) is not None:
        yield Assertion("no_reconstruction", *hit.span(), "", False)
    if _SECURE_NEEDS.search(sentence) and (hit := _first(_SECURE, sentence)) is not None:
        yield Assertion("secure_aggregation", *hit.span(), "", False)
    somebody = _UNLEARNED_NEEDS.search(sentence) and not _UNLEARNED_NEVER.search(sentence)
    if somebody and (hit := _first(_UNLEARNED, sentence)) is not None:
        capable = _CAPABLE.search(sentence) is not None
        yield Assertion("unlearned", *hit.span(), subject_of(sentence), capable)


def subject_of(sentence: str) -> str:
    """Return the client, record or request that a sentence names by a number or a letter, such as `client 7`."""
    found = _NAMED.search(sentence)
    if found is None:
        return ""
    word, join, token = found["word"], found["join"], found["token"]
    if word.casefold().startswith("request"):
        return token
    return f"{word.casefold()}{join.strip('# ') or ' '}{token}"


def _first(patterns: tuple[re.Pattern[str], ...], sentence: str) -> re.Match[str] | None:
    return next((hit for pattern in patterns if (hit := pattern.search(sentence)) is not None), None)
