"""The JSON Schemas of what we write and read, generated from the nouns into `reports/schema/`.

`python -m reports.schema` rewrites them; `audit.schemas` adds what other rooms write and what the commands answer; a
test compares. Whoever reads our reports without our code starts here. A schema describes form: what no schema can say
(fingerprints, canonical bytes, digests) is checked in `reports.verify`.
"""

import ast
import functools
import inspect
import json
import sys
import textwrap
from collections.abc import Iterator, Mapping
from itertools import pairwise
from pathlib import Path
from typing import Any, Literal, NamedTuple

from pydantic import TypeAdapter
from pydantic.json_schema import GenerateJsonSchema
from pydantic_core import core_schema

from reports.compare import Comparison
from reports.model import Report
from reports.nouns import Noun
from reports.plot import Plot
from reports.policy import Policy, WaiverFile
from reports.system import System
from reports.trust import TrustFile
from reports.verdict import Verdict

FOLDER = Path(__file__).with_name("schema")
DIALECT = "https://json-schema.org/draft/2020-12/schema"


class Published(NamedTuple):
    """One schema that we publish."""

    shape: TypeAdapter[object]
    """What it describes."""
    mode: Literal["validation", "serialization"]
    """`serialization`: what we write, every field present; `validation`: what people may write."""
    description: str
    """What the document is."""


class EveryFieldWritten(GenerateJsonSchema):
    """In what we write every field is present, null where nothing was given; so every field is required."""

    def field_is_required(
        self,
        field: core_schema.ModelField | core_schema.DataclassField | core_schema.TypedDictField,
        total: bool,
    ) -> bool:
        """Tell whether a document without this field is none."""
        return self.mode == "serialization" or super().field_is_required(field, total)


_WRITTEN: Mapping[str, tuple[type[Noun], str]] = {
    "report": (Report, "The predicate of a report's statement, `urn:fedaudit:audit-report:v1`."),
    "system": (System, "The system under review, as a report holds it: the keys of system.toml, each file by digest."),
    "verdict": (Verdict, "What a policy says of a report on a day."),
    "comparison": (Comparison, "What changed between two reports: the keys of `fedaudit compare --json`."),
}
_READ: Mapping[str, tuple[type[Noun], str]] = {
    "policy": (Policy, "policy.toml, read as JSON (dates as strings)."),
    "waivers": (WaiverFile, "A file for `gate --waivers`, read as JSON (dates as strings)."),
    "trust": (TrustFile, "trust.toml, read as JSON (date-times as strings)."),
}
PUBLISHED: Mapping[str, Published] = {
    **{name: Published(TypeAdapter(noun), "serialization", text) for name, (noun, text) in _WRITTEN.items()},
    **{name: Published(TypeAdapter(noun), "validation", text) for name, (noun, text) in _READ.items()},
    "plot": Published(TypeAdapter(Plot), "serialization", "Evidence of type `application/vnd.fedaudit.plot+json`."),
}
"""By the NAME of their id, `fedaudit.NAME/1`, and of their file, NAME.json."""


def schema_text(name: str, published: Published | None = None) -> str:
    """Return a published schema as its file holds it: that of `PUBLISHED`, or one of another room."""
    document = described(published or PUBLISHED[name])
    head = {"$schema": DIALECT, "$id": f"fedaudit.{name}/1", "title": f"fedaudit {name}"}
    return json.dumps(head | {key: value for key, value in document.items() if key not in head}, indent=2) + "\n"


def described(published: Published) -> dict[str, Any]:
    """Return the schema of a shape, a sentence with each field."""
    generated = published.shape.json_schema(mode=published.mode, schema_generator=EveryFieldWritten)
    for title, noun in _nouns(Noun):
        for found in (generated, *generated.get("$defs", {}).values()):
            if found.get("title") == title and set(found.get("properties", {})) == set(_written_names(noun)):
                _describe(found["properties"], noun)
    return {"description": published.description} | {k: v for k, v in generated.items() if k != "description"}


@functools.cache
def field_sentences(noun: type[Noun]) -> Mapping[str, str]:
    """Return what stands under each field of a noun, those of its bases included; the last definition counts."""
    found: dict[str, str] = {}
    for base in reversed(noun.__mro__):
        if not (issubclass(base, Noun) and base.model_fields):
            continue
        [definition] = ast.parse(textwrap.dedent(inspect.getsource(base))).body
        body = definition.body if isinstance(definition, ast.ClassDef) else []
        for field, under in pairwise(body):
            named = isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name)
            if named and isinstance(under, ast.Expr) and isinstance(under.value, ast.Constant):
                found[field.target.id] = inspect.cleandoc(str(under.value.value))  # type: ignore[attr-defined]
    return found


def _nouns(base: type[Noun]) -> Iterator[tuple[str, type[Noun]]]:
    for noun in base.__subclasses__():
        yield noun.__name__, noun
        yield from _nouns(noun)


def _written_names(noun: type[Noun]) -> dict[str, str]:
    """Return the key under which each field is written, and the field."""
    return {field.alias or name: name for name, field in noun.model_fields.items()}


def _describe(properties: dict[str, Any], noun: type[Noun]) -> None:
    sentences = field_sentences(noun)
    for key, name in _written_names(noun).items():
        if name in sentences:
            properties[key] = dict(sorted({"description": sentences[name], **properties[key]}.items()))


def write_schemas(texts: Mapping[str, str], folder: Path = FOLDER) -> None:
    """Write schemas, given by name; what else lies there stays."""
    folder.mkdir(exist_ok=True)
    for name, text in texts.items():
        (folder / f"{name}.json").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    write_schemas({name: schema_text(name) for name in PUBLISHED})
    sys.stdout.write(f"wrote {len(PUBLISHED)} schemas to {FOLDER}\n")
