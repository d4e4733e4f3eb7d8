"""Scripted readers of documents: a question of the judge, read back, and an answer in form to it.

scripted(answer) ──FakeModel──▶ a reader that obeys, invents, refuses or counts words, as a test needs it
"""

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from compliance.llm.fake_model import Request, Say, Step

__all__ = ["Asked", "asked_of", "says", "scripted"]

_PART = re.compile(r"<<<DOCUMENT ([0-9a-f]{16})\n(.*)\n\1 DOCUMENT>>>\Z", re.DOTALL)
_CODE = re.compile(r"\nCODE WORD\n([0-9a-f]{16})\n")
_DUTY = re.compile(r"\ADUTY\n(.*?)\n\nWhere it stands: ([^\n]*)\n", re.DOTALL)


@dataclass(frozen=True)
class Asked:
    """One question of the judge."""

    duty: str
    """In our own words."""
    citation: str
    """Where it stands."""
    code: str
    """To be repeated."""
    part: str
    """Of the document, as it was shown."""
    sample: int
    """The seed that was sent."""


def asked_of(request: Request) -> Asked | None:
    """Return the question in a request; None where it is no question of the judge."""
    content = next((message["content"] for message in request.messages if message["role"] == "user"), "")
    part, code, duty = _PART.search(content), _CODE.search(content), _DUTY.search(content)
    if part is None or code is None or duty is None:
        return None
    seed = request.body.get("seed")
    return Asked(duty[1], duty[2], code[1], part[2], seed if isinstance(seed, int) else 0)


def says(answer: str, score: int, quotes: Sequence[str] = (), gaps: Sequence[str] = ()) -> Mapping[str, object]:
    """Return the members of an answer; the code word is added when it is given."""
    return {"reason": "Scripted.", "answer": answer, "score": score, "quotes": list(quotes), "gaps": list(gaps)}


def scripted(answer: Callable[[Asked], Mapping[str, object] | Step]) -> Callable[[Request], Step]:
    """Return what a `FakeModel` answers with: members become an answer with the right code word, steps stay."""

    def step(request: Request) -> Step:
        asked = asked_of(request)
        if asked is None:
            return Say("This reader answers the questions of the judge alone.")
        found = answer(asked)
        return Say(json.dumps({"code": asked.code, **found})) if isinstance(found, Mapping) else found

    return step
