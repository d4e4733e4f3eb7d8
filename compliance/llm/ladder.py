"""How an endpoint wants to be asked: four rungs of structured output, and what it refused on the way. Pure.

    json_schema (strict) ─▶ json_object with schema ─▶ json_object ─▶ text

A `Manner` is one way to ask; `adapted` gives the next one after a refusal, or None where there is none. The shapes are
those of OpenAI's `response_format` and of llama.cpp's server, which reads a `schema` beside `json_object`.
"""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum

from compliance.llm.endpoint import Endpoint

__all__ = [
    "Manner",
    "Rung",
    "adapted",
    "first_manner",
    "next_rung",
    "refused_parameter",
    "refuses_format",
    "request_body",
]

Message = Mapping[str, str]
Schema = Mapping[str, object]
CHAT = "/chat/completions"
_VERSION = re.compile(r"/v1$")
_FORMAT_STATUSES = frozenset({400, 404, 415, 422, 500, 501})
_FORMAT_WORDS = ("response_format", "json_schema", "schema", "grammar")
_PARAMETERS = ("max_completion_tokens", "max_tokens", "temperature", "top_p", "seed")
_REFUSED = re.compile(
    r"unsupported|not supported|does(?: not|n't) support|unknown|unrecogni[sz]ed|unexpected|extra|not permitted|"
    r"not allowed|deprecated"
)


class Rung(StrEnum):
    """How an answer in JSON is asked for, strongest first."""

    JSON_SCHEMA = "json_schema"
    JSON_OBJECT_SCHEMA = "json_object_schema"
    JSON_OBJECT = "json_object"
    TEXT = "text"


def next_rung(rung: Rung) -> Rung | None:
    """Return the rung below, None at the bottom."""
    rungs = list(Rung)
    below = rungs.index(rung) + 1
    return rungs[below] if below < len(rungs) else None


@dataclass(frozen=True)
class Manner:
    """One way to ask an endpoint."""

    path: str
    """Of the address, such as `/v1/chat/completions`."""
    rung: Rung = Rung.JSON_SCHEMA
    dropped: frozenset[str] = field(default=frozenset())
    """Parameters that it does not know."""
    other_path_tried: bool = False


def first_manner(endpoint: Endpoint) -> Manner:
    """Return how an endpoint is asked first."""
    return Manner(endpoint.target.written.path + CHAT)


def request_body(
    endpoint: Endpoint, manner: Manner, messages: Sequence[Message], schema: Schema, sample: int
) -> dict[str, object]:
    """Return what is sent; members keep the schema's order, which a server's grammar follows."""
    body: dict[str, object] = {
        "model": endpoint.model,
        "messages": _instructed(messages, schema, manner.rung),
        "temperature": _short(endpoint.temperature),
        "top_p": _short(endpoint.top_p),
        "seed": endpoint.seed + sample,
        "max_tokens": endpoint.max_tokens,
    }
    if "max_tokens" in manner.dropped:
        body["max_completion_tokens"] = endpoint.max_tokens
    for name in manner.dropped:
        body.pop(name, None)
    wanted = _response_format(manner.rung, schema)
    if wanted is not None:
        body["response_format"] = wanted
    return body


def adapted(manner: Manner, status: int, body: str, *, settled: bool) -> Manner | None:
    """Return how to ask after an answer other than 200; None where nothing is left to change.

    Args:
        manner: How it was asked.
        status: What it answered, after all retries.
        body: Its text.
        settled: Whether this rung has worked before; then a plain 5xx says nothing about it.
    """
    refused = refused_parameter(status, body)
    if refused is not None and refused not in manner.dropped:
        return replace(manner, dropped=manner.dropped | {refused})
    below = next_rung(manner.rung)
    if below is not None and (refuses_format(status, body) or (status >= 500 and not settled)):
        return replace(manner, rung=below)
    if status == 404 and not manner.other_path_tried and not settled:
        return replace(manner, path=_other_path(manner.path), other_path_tried=True)
    return None


def refuses_format(status: int, body: str) -> bool:
    """Tell whether a server refuses this kind of structured output, rather than the request."""
    return status in _FORMAT_STATUSES and any(word in body.casefold() for word in _FORMAT_WORDS)


def refused_parameter(status: int, body: str) -> str | None:
    """Return the parameter that a 400 (or 422, as FastAPI answers) names as unsupported; None where it names none."""
    if status not in (400, 422):
        return None
    text = body.casefold()
    named = next((name for name in _PARAMETERS if re.search(rf"(?<![a-z_]){name}(?![a-z_])", text)), None)
    if named is None or not _REFUSED.search(text):
        return None
    first = re.search(r"(?<![a-z_])(max_tokens|max_completion_tokens)(?![a-z_])", text)
    # "'max_tokens' is not supported, use 'max_completion_tokens'": the first of the two is the one that is refused
    return first[1] if first and named.startswith("max") else named


def _short(number: float) -> float | int:
    """Return a number that is written alike on the wire and in a recording."""
    return int(number) if number.is_integer() else number


def _other_path(path: str) -> str:
    base = path.removesuffix(CHAT)
    return (_VERSION.sub("", base) if _VERSION.search(base) else f"{base}/v1") + CHAT


def _response_format(rung: Rung, schema: Schema) -> dict[str, object] | None:
    match rung:
        case Rung.JSON_SCHEMA:
            return {"type": "json_schema", "json_schema": {"name": "answer", "strict": True, "schema": dict(schema)}}
        case Rung.JSON_OBJECT_SCHEMA:
            return {"type": "json_object", "schema": dict(schema)}
        case Rung.JSON_OBJECT:
            return {"type": "json_object"}
        case Rung.TEXT:
            return None


def _instructed(messages: Sequence[Message], schema: Schema, rung: Rung) -> list[dict[str, str]]:
    """Return the messages; below the first rung the schema is told in words too: a server may not read it."""
    told = [dict(message) for message in messages]
    if rung is Rung.JSON_SCHEMA:
        return told
    shown = json.dumps(schema, ensure_ascii=False)
    text = f"Answer with one JSON object that follows this JSON Schema, and with nothing else: {shown}"
    if told and told[0].get("role") == "system":
        told[0]["content"] = f"{told[0]['content']}\n\n{text}"
        return told
    return [{"role": "system", "content": text}, *told]
