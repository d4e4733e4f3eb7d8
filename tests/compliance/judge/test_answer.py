"""An answer is in form or it is none: no score is ever made up."""

import json
import re
from collections.abc import Mapping

import jsonschema
import pytest

from compliance.aggregate import ANSWERS
from compliance.judge.answer import ANSWER_SCHEMA, parse_answer

CODE = "0123456789abcdef"
SOUND: Mapping[str, object] = {
    "reason": "It describes tests.",
    "answer": "partially_supports",
    "score": 3,
    "quotes": ["each release is tested"],
    "gaps": [],
    "code": CODE,
}


def test_a_sound_answer_passes_schema_and_check() -> None:
    jsonschema.validate(SOUND, ANSWER_SCHEMA)
    assert parse_answer(SOUND, CODE).score == 3


def test_what_is_longest_is_still_in_form() -> None:
    whole = {"reason": "r" * 600, "quotes": ["q"] * 5, "gaps": ["g" * 200] * 5}
    jsonschema.validate({**SOUND, **whole}, ANSWER_SCHEMA)
    assert len(parse_answer({**SOUND, **whole}, CODE).gaps) == 5


def test_the_form_lists_its_numbers_and_asks_for_the_reason_first() -> None:
    properties = ANSWER_SCHEMA["properties"]
    assert isinstance(properties, dict)
    assert list(properties) == ["reason", "answer", "score", "quotes", "gaps", "code"] == ANSWER_SCHEMA["required"]
    assert properties["score"]["enum"] == [1, 2, 3, 4, 5]  # servers enforce lists and no bounds of numbers
    assert properties["answer"]["enum"] == list(ANSWERS)
    assert not re.search("minimum|maximum|exclusive", json.dumps(ANSWER_SCHEMA), re.IGNORECASE)


def test_a_member_that_nobody_asked_for_is_ignored() -> None:
    assert parse_answer({**SOUND, "confidence": "high"}, CODE).answer == "partially_supports"


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"score": 0}, "score"),
        ({"score": 6}, "score"),
        ({"score": "5"}, "score"),
        ({"score": 4.5}, "score"),
        ({"score": 4.0}, "score"),
        ({"score": True}, "score"),
        ({"score": None}, "score"),
        ({"answer": "yes"}, "answer"),
        ({"answer": "supports", "score": 3}, "4 or 5"),
        ({"answer": "contradicts", "score": 3}, "1 or 2"),
        ({"quotes": "one"}, "quotes"),
        ({"quotes": ["a"] * 6}, "quotes"),
        ({"quotes": [3]}, "quotes"),
        ({"gaps": ["g" * 201]}, "gaps"),
        ({"gaps": ["g"] * 6}, "gaps"),
        ({"reason": "r" * 601}, "reason"),
        ({"reason": "bell \x07"}, "reason"),
        ({"code": "fedcba9876543210"}, "code word"),
        ({"code": ""}, "code word"),
    ],
)
def test_what_is_out_of_form_is_no_answer(change: Mapping[str, object], told: str) -> None:
    with pytest.raises(ValueError, match=told):
        parse_answer({**SOUND, **change}, CODE)


@pytest.mark.parametrize("name", list(SOUND))
def test_a_missing_member_is_no_answer(name: str) -> None:
    with pytest.raises(ValueError, match=name):
        parse_answer({key: value for key, value in SOUND.items() if key != name}, CODE)


def test_what_is_wrong_is_told_without_the_code_word() -> None:
    with pytest.raises(ValueError, match="code word") as told:
        parse_answer({**SOUND, "code": "guess"}, CODE)
    assert CODE not in str(told.value)
