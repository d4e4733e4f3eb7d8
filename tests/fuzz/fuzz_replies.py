"""Replies of language models, and their recordings: an object that follows the schema, or one documented refusal."""

import json
import random
import re

from mutation import fuzz, mutate_bytes, mutate_value

from compliance.llm.cassette_entry import AlteredEntryError, Entry, entry_bytes, read_entry
from compliance.llm.endpoint import redact
from compliance.llm.reply import InvalidReply, parse_reply, read_completion

KEY = "sk-canary/0123456789"
SCHEMA = {
    "type": "object",
    "properties": {
        "reason": {"type": "string", "maxLength": 600},
        "score": {"type": "integer", "enum": [1, 2, 3, 4, 5]},
        "quotes": {"type": "array", "items": {"type": "string"}, "maxItems": 5},
    },
    "required": ["reason", "score", "quotes"],
}
ANSWER = '<think>a</think>```json\n{"reason": "r", "score": 4, "quotes": ["a quote of it"]}\n```'
REPLY = json.dumps(
    {
        "model": "m",
        "system_fingerprint": None,
        "choices": [{"index": 0, "message": {"role": "assistant", "content": ANSWER}, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 9, "completion_tokens": 3},
    }
).encode()
REQUEST = {"body": {"model": "m"}, "path": "/v1/chat/completions", "sample": 0}


def step(data: bytes) -> str:
    """Record a reply, read it back, and read the answer in it."""
    text = redact(data.decode("utf-8", "replace"), KEY)
    assert KEY not in text
    entry, _ = entry_bytes(Entry(REQUEST, 200, text))
    assert read_entry(entry).body == text
    try:
        read_entry(data)
        raise ValueError("a reply was taken for a recording")
    except AlteredEntryError:
        pass
    try:
        heard = read_completion(text)
        value = parse_reply(heard.text, SCHEMA)
    except InvalidReply as error:
        return "reply: " + re.sub(r"'.*?'|[0-9]+", "_", str(error))[:60]
    assert value["score"] in (1, 2, 3, 4, 5)
    assert type(value["score"]) is int
    assert isinstance(value["reason"], str)
    assert heard.prompt_tokens >= 0
    assert heard.model.isprintable() or not heard.model
    return "accepted"


def mutate_reply(data: bytes, rng: random.Random) -> bytes:
    """Return a reply with one member changed; one that is no JSON is left to `mutate_bytes`."""
    try:
        return json.dumps(mutate_value(json.loads(data), rng)).encode()
    except (ValueError, RecursionError):
        return mutate_bytes(data, rng)


def mutate_answer(data: bytes, rng: random.Random) -> bytes:
    """Return a reply whose answer has some bytes changed."""
    try:
        reply = json.loads(data)
        message = reply["choices"][0]["message"]
        message["content"] = mutate_bytes(message["content"].encode(), rng).decode("utf-8", "replace")
        return json.dumps(reply).encode()
    except (ValueError, RecursionError, TypeError, KeyError, IndexError, AttributeError):
        return mutate_bytes(data, rng)


if __name__ == "__main__":
    fuzz("replies", [REPLY], step, [mutate_reply, mutate_answer, mutate_bytes])
