"""From bytes to one object, or to the reason why not: nothing is guessed."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from compliance.llm.reply import InvalidReply, parse_reply, read_completion, schema_fault
from tests.compliance.llm.asking import GOOD, SCHEMA


def envelope(content: object, **more: object) -> str:
    choice = {"message": {"role": "assistant", "content": content}, **more}
    return json.dumps({"model": "m-7b", "choices": [choice], "usage": {"prompt_tokens": 5, "completion_tokens": 2}})


def why(text: str) -> str:
    with pytest.raises(InvalidReply) as refusal:
        parse_reply(text, SCHEMA)
    return str(refusal.value)


@pytest.mark.parametrize(
    "text",
    [
        GOOD,
        f"  \n{GOOD}\n",
        f"```json\n{GOOD}\n```",
        f"```\n{GOOD}\n```",
        f"<think>score 1? {{}} no</think>{GOOD}",
        f"\n<think>\n</think>\n\n```JSON\n{GOOD}\n```\n",
        GOOD.replace("}", ', "more": 1}'),
    ],
)
def test_one_object_is_found_behind_thoughts_and_a_fence(text: str) -> None:
    assert parse_reply(text, SCHEMA)["score"] == 4


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "not exactly one"),
        ("It says so.", "not exactly one"),
        (f"Here it is: {GOOD}", "not exactly one"),
        (GOOD + GOOD, "not exactly one"),
        (f"{GOOD}\n{GOOD}", "not exactly one"),
        (f"{GOOD} I hope this helps.", "not exactly one"),
        (GOOD[:-1], "not exactly one"),
        (GOOD[:20], "not exactly one"),
        (f"<think>{GOOD}", "not exactly one"),
        (f"```json\n{GOOD}\n``` and ```json\n{GOOD}\n```", "not exactly one"),
        (GOOD.replace('"score": 4', '"score": 4, "score": 5'), "twice"),
        (GOOD.replace("4", "NaN"), "no number"),
        (GOOD.replace("4", "Infinity"), "no number"),
        (f"[{GOOD}]", "not a JSON object"),
        ("4", "not a JSON object"),
        ('"supports"', "not a JSON object"),
        ("null", "not a JSON object"),
        ("{}", "reason is missing"),
        (GOOD.replace("4", "0"), "score is not one of"),
        (GOOD.replace("4", "6"), "score is not one of"),
        (GOOD.replace("4", '"5"'), "score is not of the type integer"),
        (GOOD.replace("4", "4.5"), "score is not of the type integer"),
        (GOOD.replace("4", "4.0"), "score is not of the type integer"),
        (GOOD.replace("4", "null"), "score is not of the type integer"),
        (GOOD.replace("4", "true"), "score is not of the type integer"),
        (GOOD.replace("it says so", "so" * 21), "reason is longer than 40"),
        (GOOD.replace("[]", '["a", "b", "c"]'), "quotes is longer than 2"),
        (GOOD.replace("[]", '["a", 1]'), r"quotes[1] is not of the type string"),
        (GOOD.replace("it says so", "\\ud800"), "not exactly one"),
        ('{"a":' * 70 + "1" + "}" * 70, "not exactly one"),
    ],
)
def test_everything_else_is_refused_with_its_reason(text: str, reason: str) -> None:
    assert reason in why(text)


@pytest.mark.parametrize(
    ("value", "schema", "fault"),
    [
        ({"a": {"b": 1}}, {"properties": {"a": {"properties": {"b": {"enum": [2]}}}}}, "a.b is not one of 2"),
        ({"a": {}}, {"properties": {"a": {"required": ["b"]}}}, "a.b is missing"),
        (None, {"type": ["string", "null"]}, ""),
        (5, {"type": ["string", "null"]}, "it is not of the type string or null"),
        (True, {"enum": [1, 0]}, "it is not one of 1, 0"),
        (1, {"enum": [True]}, "it is not one of True"),
        ("ab", {"minLength": 3}, "it is shorter than 3"),
        ([], {"minItems": 1}, "it is shorter than 1"),
        (1.5, {"type": "number"}, ""),
        (7, {"type": "unheard of"}, ""),
        (7, True, ""),
    ],
)  # fmt: skip
def test_the_schema_is_held_to_its_words(value: object, schema: object, fault: str) -> None:
    assert schema_fault(value, schema) == fault


def test_a_completion_is_read_with_what_it_cost() -> None:
    read = read_completion(envelope(GOOD))
    assert (read.text, read.problem, read.model, read.prompt_tokens, read.completion_tokens) == (GOOD, "", "m-7b", 5, 2)
    parts = [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}, "c"]
    assert read_completion(envelope(parts)).text == "ab"
    usage = {"prompt_tokens": -1, "completion_tokens": "7"}
    odd = read_completion(json.dumps({"choices": [{"message": {"content": "x"}}], "usage": usage, "model": 5}))
    assert (odd.prompt_tokens, odd.completion_tokens, odd.model) == (0, 0, "")


@pytest.mark.parametrize(
    ("body", "word"),
    [
        (envelope("half", finish_reason="length"), "truncated"),
        (envelope(None), "refused"),
        (envelope("  "), "refused"),
        (envelope("x", finish_reason="content_filter"), "refused"),
        (json.dumps({"choices": [{"message": {"content": "x", "refusal": "I cannot."}}]}), "refused"),
    ],
)
def test_half_an_answer_and_a_refusal_are_told_apart(body: str, word: str) -> None:
    assert read_completion(body).problem.startswith(f"{word}:")


@pytest.mark.parametrize(
    "body", ["", "<html>", "[]", "{}", '{"choices": []}', '{"choices": [5]}', '{"choices": {}}', '{"choices": [{}]}',
             '{"choices": [{"message": "x"}]}', '{"choices": NaN}', '{"choices": [], "choices": []}'],
)  # fmt: skip
def test_what_is_no_completion_is_said_so(body: str) -> None:
    with pytest.raises(InvalidReply, match="no chat completion"):
        read_completion(body)


@given(st.text(max_size=60))
def test_garbage_raises_nothing_else(text: str) -> None:
    for read in (lambda: parse_reply(text, SCHEMA), lambda: read_completion(text)):
        with pytest.raises(InvalidReply):
            read()


@given(st.dictionaries(st.text(max_size=5), st.integers(-9, 9) | st.text(max_size=9), max_size=4), st.text(max_size=9))
def test_every_object_comes_back_as_it_was_written(value: dict[str, object], thought: str) -> None:
    if "</think>" not in thought:
        try:
            text = json.dumps(value, ensure_ascii=False)
            text.encode()
        except UnicodeEncodeError:
            return
        assert parse_reply(f"<think>{thought}</think>{text}", {}) == value
