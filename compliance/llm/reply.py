"""From the bytes of a reply to one JSON object that follows the schema, or to the reason why there is none. Pure.

    body ──read_completion──▶ Completion (text, tokens, who answered) ──parse_reply──▶ object

An answer is never guessed: two objects, a member twice, NaN, or a word beside the object are invalid.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from reports.canonical import strict_json
from reports.errors import ReportError
from reports.nouns import LARGEST_INTEGER

__all__ = ["Completion", "InvalidReply", "parse_reply", "read_completion", "schema_fault"]

_THINK = re.compile(r"\s*<think>.*?</think>", re.DOTALL)
_FENCE = re.compile(r"```[a-zA-Z]*[ \t]*\n(.*)\n[ \t]*```", re.DOTALL)
_TYPES: Mapping[str, tuple[type, ...]] = {
    "object": (dict,),
    "array": (list,),
    "string": (str,),
    "integer": (int,),
    "number": (int, float),
    "boolean": (bool,),
    "null": (type(None),),
}


class InvalidReply(ValueError):  # noqa: N818 - it tells what came
    """A reply holds no usable answer; its text says why, for people and for the repair turn."""


@dataclass(frozen=True)
class Completion:
    """What a server sent, read."""

    text: str
    """What the model said; empty where it said nothing."""
    problem: str
    """Why the text is no whole answer: truncated or refused; else empty."""
    model: str
    """The model's name as the server gives it."""
    system_fingerprint: str | None
    prompt_tokens: int
    completion_tokens: int


def read_completion(body: str) -> Completion:
    """Return a chat completion; missing numbers are 0.

    Raises:
        InvalidReply: it is no strict JSON, or holds no choice with a message.
    """
    try:
        reply = strict_json(body.encode("utf-8", "replace"))
    except ReportError as error:
        raise InvalidReply(f"the reply is no chat completion; {error.message}") from error
    choices = _member(reply, "choices")
    first = choices[0] if isinstance(choices, list) and choices else None
    message = _member(first, "message")
    if not isinstance(message, dict):
        raise InvalidReply("the reply is no chat completion; it has no message")
    text, usage = _text(message.get("content")), _member(reply, "usage")
    return Completion(
        text=text,
        problem=_problem(text, message.get("refusal"), _member(first, "finish_reason")),
        model=_word(_member(reply, "model")) or "",
        system_fingerprint=_word(_member(reply, "system_fingerprint")),
        prompt_tokens=_count(_member(usage, "prompt_tokens")),
        completion_tokens=_count(_member(usage, "completion_tokens")),
    )


def parse_reply(text: str, schema: Mapping[str, object]) -> dict[str, object]:
    """Return the one JSON object in a text; a leading `<think>` part and one code fence are left out.

    Raises:
        InvalidReply: there is none, or more than one, or it does not follow the schema.
    """
    said = text[found.end() :] if (found := _THINK.match(text)) else text
    said = said.strip()
    if fenced := _FENCE.fullmatch(said):
        said = fenced[1]
    try:
        value = strict_json(said.encode("utf-8", "replace"))
    except ReportError as error:
        raise InvalidReply(f"the answer is not exactly one JSON object; {error.message}") from error
    if not isinstance(value, dict):
        raise InvalidReply("the answer is not a JSON object")
    if fault := schema_fault(value, schema):
        raise InvalidReply(f"the answer does not follow the schema; {fault}")
    return value


def schema_fault(value: object, schema: object, place: str = "") -> str:
    """Return where a value departs from a JSON Schema, empty where it does not.

    Read are `type`, `enum`, `required`, `properties`, `items`, and the bounds of lengths; other words are passed over.
    Bounds of numbers are among those: an answer lists its numbers in `enum`, which servers enforce.
    """
    if not isinstance(schema, dict):
        return ""
    kinds, allowed = schema.get("type"), schema.get("enum")
    if type(kinds) is str:
        kinds = (kinds,)
    if kinds is not None and not _is_one_of(type(value), kinds):
        return f"{place or 'it'} is not of the type {' or '.join(kinds)}"
    if allowed is not None and (value not in allowed or type(value) is not type(allowed[allowed.index(value)])):
        return f"{place or 'it'} is not one of {', '.join(map(str, allowed))}"
    if type(value) is str:
        return _length_fault(len(value), schema.get("minLength"), schema.get("maxLength"), place)
    if type(value) is list:
        length = _length_fault(len(value), schema.get("minItems"), schema.get("maxItems"), place)
        return length or _items_fault(value, schema.get("items"), place)
    return _object_fault(value, schema, place) if type(value) is dict else ""


def _items_fault(values: list[object], schema: object, place: str) -> str:
    for index, one in enumerate(values):
        if fault := schema_fault(one, schema, f"{place or 'it'}[{index}]"):
            return fault
    return ""


def _object_fault(value: dict[str, object], schema: dict[str, Any], place: str) -> str:
    for name in schema.get("required", ()):
        if name not in value:
            return f"{_inside(place, name)} is missing"
    for name, one in schema.get("properties", {}).items():
        if name in value and (fault := schema_fault(value[name], one, _inside(place, name))):
            return fault
    return ""


def _inside(place: str, name: str) -> str:
    return f"{place}.{name}" if place else name


def _length_fault(length: int, least: int | None, most: int | None, place: str) -> str:
    if most is not None and length > most:
        return f"{place or 'it'} is longer than {most}"
    return f"{place or 'it'} is shorter than {least}" if least is not None and length < least else ""


def _is_one_of(kind: type, names: Iterable[str]) -> bool:
    for name in names:  # noqa: SIM110  asked of every value of every answer; a generator takes three times as long
        if kind in _TYPES.get(name, (kind,)):
            return True
    return False


def _member(value: object, name: str) -> object:
    return value.get(name) if isinstance(value, dict) else None


def _text(content: object) -> str:
    """Return what was said, also where a server sends it in parts."""
    if isinstance(content, list):
        return "".join(str(part.get("text", "")) for part in content if isinstance(part, dict))
    return content if isinstance(content, str) else ""


def _problem(text: str, refusal: object, finish_reason: object) -> str:
    if finish_reason == "length":
        return "truncated: the reply ended at the limit of its tokens"
    if (isinstance(refusal, str) and refusal) or finish_reason == "content_filter":
        return "refused: the model declined to answer"
    return "" if text.strip() else "refused: the reply is empty"


def _word(value: object) -> str | None:
    """Return a name as a report can hold it."""
    return "".join(letter for letter in value if letter.isprintable())[:200] if isinstance(value, str) else None


def _count(value: object) -> int:
    return min(value, LARGEST_INTEGER) if isinstance(value, int) and not isinstance(value, bool) and value > 0 else 0
