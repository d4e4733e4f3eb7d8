"""Hold a `--json` document against the schema of its command, as somebody who reads it would. No test itself."""

import functools
import json
from typing import Any

import jsonschema

from audit.schemas import ANSWERS, schema_name
from reports.schema import FOLDER

LAWFULLY_MORE = {"unlearn lunar": {"federation"}, "unlearn verify": {"samples"}}
"""Keys that an option adds, and that the sentence over the shape tells of."""


@functools.cache
def _schema(command: str) -> dict[str, Any]:
    return dict(json.loads((FOLDER / f"{schema_name(command)}.json").read_text(encoding="utf-8")))


@functools.cache
def _validator(command: str) -> jsonschema.Draft202012Validator:
    """Of the published schema, closed: here a key that nobody described is a fault."""
    schema = json.loads(json.dumps(_schema(command)))
    common, then = schema["properties"], schema["then"]
    more = dict.fromkeys(LAWFULLY_MORE.get(command, ()), True)
    _close(then)
    _close(schema["$defs"])
    for shape in then.get("anyOf", [then]):
        shape["properties"] |= dict.fromkeys(common, True) | more
    return jsonschema.Draft202012Validator(schema)


def _close(node: Any) -> None:
    """Forbid unknown keys wherever keys are named."""
    if isinstance(node, dict):
        if "properties" in node:
            node["additionalProperties"] = False
        node = list(node.values())
    for part in node if isinstance(node, list) else ():
        _close(part)


def described(document: dict[str, Any]) -> None:
    """Fail unless the schema of its command tells of all that is in the document."""
    command = document["command"]
    assert command in ANSWERS, command
    jsonschema.Draft202012Validator(_schema(command)).validate(document)
    _validator(command).validate(document)
