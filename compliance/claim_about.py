"""Of whom, of what and of when a sentence speaks: a figure of somebody else's is no claim of the system under review.

    when   before a change, at launch, from January on             ─▶ other-time
    which  a sibling system, another release, statistics           ─▶ other-object
    who    another paper, another company, an unknown subject      ─▶ attributed

Rules of a language are never all. Of 29 sentences about something else that were written after the last rule, 10
were read as plain all the same (34 %, Wilson's interval 20 % to 53 %; without these rules 23): the rows `blind` of
`claim_sentences.jsonl`.
"""

from typing import Literal, TypeAlias

from compliance.claim_when import of_another_time
from compliance.claim_which import of_another_object
from compliance.claim_whose import NOBODY, Own, of_somebody_else

__all__ = ["NOBODY", "Elsewhere", "Own", "elsewhere"]

Elsewhere: TypeAlias = Literal["", "attributed", "other-object", "other-time"]
"""What a sentence is about instead; empty where it is about the system, as far as its words tell."""


def elsewhere(sentence: str, kind: str, heading: str = "", own: Own = NOBODY) -> Elsewhere:
    """Return what a sentence is about if not about the system under review as it is; empty where it is about that.

    Args:
        sentence: As it stands.
        kind: Of the claim.
        heading: The heading above; what stands under `Related work` is somebody else's.
        own: How the system is called.
    """
    sentence = " ".join(sentence.split())  # the patterns know one space, documents wrap their lines
    if of_another_time(sentence, kind, heading):
        return "other-time"
    if of_another_object(sentence, kind, own):
        return "other-object"
    return "attributed" if of_somebody_else(sentence, heading, own) else ""
