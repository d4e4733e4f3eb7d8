"""The form of one answer: what a model is asked to fill in, and the check that nothing else is taken for an answer.

Servers do not enforce `minimum` and `maximum` of a JSON schema (llama.cpp, asked for 90 to 99, gave numbers outside),
but do enforce `enum`: so scores and answers are enumerated. What comes back is checked again all the same.
"""

import hashlib
from collections.abc import Mapping
from typing import Annotated, Final

from pydantic import ConfigDict, Field, ValidationError, model_validator

from compliance.aggregate import ANSWERS, Answer
from reports.canonical import canonical_json
from reports.nouns import Noun, Text

__all__ = ["ANSWER_SCHEMA", "SCHEMA_SHA256", "JudgeAnswer", "parse_answer"]

LONGEST_REASON, LONGEST_GAP, MOST_QUOTES, MOST_GAPS = 600, 200, 5, 5
ANSWER_SCHEMA: Final[Mapping[str, object]] = {
    "type": "object",
    "properties": {
        "reason": {"type": "string", "maxLength": LONGEST_REASON},
        "answer": {"type": "string", "enum": list(ANSWERS)},
        "score": {"type": "integer", "enum": [1, 2, 3, 4, 5]},
        "quotes": {"type": "array", "items": {"type": "string"}, "maxItems": MOST_QUOTES},
        "gaps": {"type": "array", "items": {"type": "string", "maxLength": LONGEST_GAP}, "maxItems": MOST_GAPS},
        "code": {"type": "string"},
    },
    "required": ["reason", "answer", "score", "quotes", "gaps", "code"],
    "additionalProperties": False,
}
"""JSON schema of an answer; the reason comes first, so that a model thinks before it decides."""
SCHEMA_SHA256: Final = hashlib.sha256(canonical_json(ANSWER_SCHEMA)).hexdigest()
"""Digest of the schema: a calibration holds for one schema alone."""


class JudgeAnswer(Noun):
    """One answer of one model, as it came, in form."""

    model_config = ConfigDict(frozen=True, extra="ignore")  # servers without a grammar let models add members

    reason: Annotated[Text, Field(max_length=LONGEST_REASON)]
    """Why, in the model's words; never shown as ours."""
    answer: Answer
    """What the part of the document does to the duty."""
    score: Annotated[int, Field(strict=True, ge=1, le=5)]
    """How probable it is that a lawyer who reads this alone would see the duty met; 5 is most."""
    quotes: Annotated[tuple[Annotated[str, Field(strict=True)], ...], Field(max_length=MOST_QUOTES)]
    """Said to stand in the document; not yet looked for."""
    gaps: Annotated[tuple[Annotated[Text, Field(max_length=LONGEST_GAP)], ...], Field(max_length=MOST_GAPS)]
    """What the document would have to say."""
    code: Annotated[str, Field(strict=True)]
    """The code word, repeated."""

    @model_validator(mode="after")
    def _score_goes_with_the_answer(self) -> "JudgeAnswer":
        if self.answer == "supports" and self.score <= 3:
            raise ValueError(f'"answer" is "supports", which goes with a score of 4 or 5, not {self.score}')
        if self.answer == "contradicts" and self.score >= 3:
            raise ValueError(f'"answer" is "contradicts", which goes with a score of 1 or 2, not {self.score}')
        return self


def parse_answer(value: Mapping[str, object], code: str) -> JudgeAnswer:
    """Return a model's JSON object as an answer.

    Raises:
        ValueError: it is none; the message says which member is wrong and is fit to be shown to the model.
    """
    try:
        answer = JudgeAnswer.model_validate(value)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        place = ".".join(str(part) for part in first["loc"])
        told = first["msg"].removeprefix("Value error, ")
        raise ValueError(f'"{place}": {told}' if place else told) from error
    if answer.code != code:
        raise ValueError('"code" is not the code word that was given')
    return answer
