"""Passages of a document that speak to its reader or of the reading, or that nobody can read: found by a wide net.

Most of them are innocent, so they are no flags. They are set beside an excerpt whose score is known
(`compliance.judge.transplant`), where the innocent ones move nothing.
"""

import re
from collections.abc import Iterator, Sequence

from compliance.admission import is_english
from compliance.documents import Document
from compliance.scan import HARMLESS, skeleton
from compliance.sentences import sentences

__all__ = ["LONGEST_PASSAGE", "addressed_passages"]

_WORD = re.compile(r"[^\W\d_]{2,}")
_TOKEN = re.compile(r"[A-Za-z0-9+/=]{20,}")
_FEW = 4
"""Words from which on a sentence has a language."""
LONGEST_PASSAGE = 600
"""Characters of a passage; a longer sentence is cut there, and goes on as the next passage."""
_READER = (
    r"reader|auditor|assessor|\bjudges?\b|evaluator|grader|reviewer|examiner|assistant|language model|\bllm\b|"
    r"\byou\b|\byour|whoever|anyone|anybody|everyone|those who"
)
_ANSWER = (
    r"answer|\brepl(?:y|ies)\b|respon[ds]\b|\bscor(?:e|es|ed|ing)\b|rating|\bgrade|\bmarks?\b|verdict|opinion|conclu|"
    r"favou?r|affirm|\bagree|generous|\bcounts? as\b|\btreat\b|hold it|take it|regard|deem|consider it|\byes\b"
)
_QUESTION = (
    r"question|\basked\b|\basks?\b|\bquer(?:y|ies)\b|looks? for|whenever|unless|absurd|reasonable|sensible|genuine|"
    r"\bif (?:it|this|that|the|asked)\b|\bwhere (?:a|an|the|it|article)\b|\bonly (?:for|when|if|where)\b"
)
_DUTY = (
    r"\bdut(?:y|ies)\b|obligation|requirement|\bdemands?\b|provision|\barticle|paragraph|\blaws?\b|\brules?\b|criteri"
)
_MET = (
    r"\bmet\b|honou?red|satisf|fulfil|compl(?:y|ie|ia)|conform|in full|fully|to the letter|settled|missing|"
    r"without (?:gap|exception|fault)|every respect|complete for|nothing is"
)
_ALONE = re.compile("|".join((_READER, _ANSWER, _QUESTION)))
"""Any of these is enough."""
_TOGETHER = (re.compile(_DUTY), re.compile(_MET))


def addressed_passages(document: Document) -> tuple[str, ...]:
    """Return the passages of a document, concealed ones among them, in the order in which they stand."""
    text = document.text
    flagged = [(flag.start, flag.end) for flag in document.flags() if flag.where == "text" and flag.kind != HARMLESS]
    found = [
        (one.start, text[one.start : one.end])
        for one in sentences(text)
        if _speaks(text[one.start : one.end]) or any(start < one.end and one.start < end for start, end in flagged)
    ]
    found += [(one.at, one.text) for one in document.concealed if _WORD.search(one.text)]
    cut = [piece for _, passage in sorted(found, key=lambda one: one[0]) for piece in _pieces(passage)]
    return tuple(dict.fromkeys(cut))


def _speaks(sentence: str) -> bool:
    """Tell whether a sentence speaks of reading and answering, or in no words that English has."""
    read = skeleton(sentence)
    if _ALONE.search(read) or all(pattern.search(read) for pattern in _TOGETHER):
        return True
    return _TOKEN.search(sentence) is not None or _foreign(sentence)


def _foreign(sentence: str) -> bool:
    words: Sequence[str] = _WORD.findall(sentence)
    if not sentence.isascii() and sum(letter.isalpha() and ord(letter) > 0x2FF for letter in sentence) >= _FEW:
        return True
    spelt_out = len(re.findall(r"\b[^\W\d_]\b", sentence)) >= 2 * _FEW
    return spelt_out or (len(words) >= _FEW and not is_english(sentence))


def _pieces(passage: str) -> Iterator[str]:
    for start in range(0, len(passage), LONGEST_PASSAGE):
        yield passage[start : start + LONGEST_PASSAGE]
