"""The ladder: which refusal means which other way to ask."""

import pytest

from compliance.llm.ladder import (
    Manner,
    Rung,
    adapted,
    first_manner,
    next_rung,
    refused_parameter,
    refuses_format,
    request_body,
)
from tests.compliance.llm.asking import MESSAGES, SCHEMA, endpoint

# What llama-cpp-python 0.3.x answers with status 500: the older form, and the one that 0.3.36 was heard to send.
LLAMA_CPP = (
    """{"error":{"message":"[{'type': 'literal_error', 'loc': ('body', 'response_format', 'type')}]","code":null}}""",
    """{"error":{"message":"1 validation error: {'type': 'literal_error', 'loc': ('body', 'response_format', 'type'),
    'msg': \\"Input should be 'text' or 'json_object'\\"}","type":"internal_server_error","param":null}}""",
)
# OpenAI's answer for its reasoning models
MAX_TOKENS = """{"error": {"message": "Unsupported parameter: 'max_tokens' is not supported with this model. Use
'max_completion_tokens' instead.", "type": "invalid_request_error", "param": "max_tokens"}}"""
TOP = Manner("/v1/chat/completions")


def test_four_rungs_lead_down() -> None:
    rungs = [Rung.JSON_SCHEMA]
    while (below := next_rung(rungs[-1])) is not None:
        rungs.append(below)
    assert rungs == ["json_schema", "json_object_schema", "json_object", "text"]


@pytest.mark.parametrize("body", LLAMA_CPP)
def test_llama_cpp_python_refuses_json_schema_with_500(body: str) -> None:
    assert refuses_format(500, body)
    assert adapted(TOP, 500, body, settled=True) == Manner(TOP.path, Rung.JSON_OBJECT_SCHEMA)


@pytest.mark.parametrize("word", ["response_format", "json_schema", "JSON Schema", "grammar"])
@pytest.mark.parametrize(("status", "refuses"), [(400, True), (404, True), (415, True), (422, True), (500, True),
                                                 (501, True), (429, False), (503, False), (409, False)])  # fmt: skip
def test_a_refusal_names_what_it_refuses(word: str, status: int, refuses: bool) -> None:
    assert refuses_format(status, f"{word} is no good") is refuses
    assert not refuses_format(status, "the model is not loaded")


def test_a_plain_5xx_steps_down_only_where_the_rung_never_worked() -> None:
    assert adapted(TOP, 503, "busy", settled=True) is None
    assert adapted(TOP, 503, "busy", settled=False) == Manner(TOP.path, Rung.JSON_OBJECT_SCHEMA)
    assert adapted(Manner(TOP.path, Rung.TEXT), 503, "busy", settled=False) is None
    assert adapted(Manner(TOP.path, Rung.TEXT), 400, "grammar", settled=False) is None


@pytest.mark.parametrize(
    ("status", "body", "parameter"),
    [
        (400, MAX_TOKENS, "max_tokens"),
        (400, "Unsupported value: 'temperature' does not support 0 with this model.", "temperature"),
        (400, "unknown field `seed`", "seed"),
        (422, """{"detail":[{"type":"extra_forbidden","loc":["body","seed"],"msg":"Extra inputs"}]}""", "seed"),
        (400, "Unrecognized request argument supplied: top_p", "top_p"),
        (400, "'max_completion_tokens' is not supported", "max_completion_tokens"),
        (400, "temperature must be between 0 and 1", None),
        (400, "unsupported model", None),
        (400, "reseeding is unsupported", None),
        (500, "unknown field seed", None),
    ],
)
def test_an_unsupported_parameter_is_found_by_its_name(status: int, body: str, parameter: str | None) -> None:
    assert refused_parameter(status, body) == parameter


def test_a_parameter_is_dropped_once() -> None:
    without = adapted(TOP, 400, "unknown field seed", settled=True)
    assert without == Manner(TOP.path, Rung.JSON_SCHEMA, frozenset({"seed"}))
    assert without is not None
    assert adapted(without, 400, "unknown field seed", settled=True) is None
    body = request_body(endpoint(), without, MESSAGES, SCHEMA, 2)
    assert "seed" not in body
    renamed = adapted(TOP, 400, MAX_TOKENS, settled=False)
    assert renamed is not None
    body = request_body(endpoint(max_tokens=5), renamed, MESSAGES, SCHEMA, 0)
    assert (body.get("max_tokens"), body["max_completion_tokens"]) == (None, 5)
    neither = adapted(renamed, 400, "max_completion_tokens is not supported", settled=False)
    assert neither is not None
    assert "max_completion_tokens" not in request_body(endpoint(), neither, MESSAGES, SCHEMA, 0)


@pytest.mark.parametrize(
    ("url", "first", "other"),
    [
        ("http://127.0.0.1:1/v1", "/v1/chat/completions", "/chat/completions"),
        ("http://127.0.0.1:1", "/chat/completions", "/v1/chat/completions"),
        ("http://127.0.0.1:1/api/", "/api/chat/completions", "/api/v1/chat/completions"),
    ],
)
def test_a_404_leads_to_the_other_path_once(url: str, first: str, other: str) -> None:
    manner = first_manner(endpoint(url))
    assert manner.path == first
    second = adapted(manner, 404, "not found", settled=False)
    assert second is not None
    assert second.path == other
    assert adapted(second, 404, "not found", settled=False) is None
    assert adapted(manner, 404, "no such model", settled=True) is None  # this path has worked


def test_each_rung_asks_in_its_own_words() -> None:
    bodies = {rung: request_body(endpoint(seed=3), Manner("/", rung), MESSAGES, SCHEMA, 2) for rung in Rung}
    strict = {"type": "json_schema", "json_schema": {"name": "answer", "strict": True, "schema": SCHEMA}}
    assert bodies[Rung.JSON_SCHEMA]["response_format"] == strict
    assert bodies[Rung.JSON_OBJECT_SCHEMA]["response_format"] == {"type": "json_object", "schema": SCHEMA}
    assert bodies[Rung.JSON_OBJECT]["response_format"] == {"type": "json_object"}
    assert "response_format" not in bodies[Rung.TEXT]
    assert all(body["seed"] == 5 for body in bodies.values())  # of the endpoint, plus the sample's number
    assert bodies[Rung.JSON_SCHEMA]["messages"] == MESSAGES
    for rung in (Rung.JSON_OBJECT_SCHEMA, Rung.JSON_OBJECT, Rung.TEXT):
        [system, user] = bodies[rung]["messages"]  # type: ignore[misc]
        assert '"quotes"' in system["content"]
        assert user == MESSAGES[1]
    alone = request_body(endpoint(), Manner("/", Rung.TEXT), MESSAGES[1:], SCHEMA, 0)["messages"]
    assert [message["role"] for message in alone] == ["system", "user"]  # type: ignore[attr-defined]
    assert MESSAGES[0]["content"] == "You read."  # what was handed in stays as it was
