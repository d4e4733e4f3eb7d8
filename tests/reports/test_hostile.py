"""The hostile report leaves no field out: whatever takes free text is found by walking the model, not from a list."""

from collections.abc import Iterator
from types import UnionType
from typing import Any, get_args, get_origin

from pydantic import TypeAdapter, ValidationError

from reports.model import Report
from reports.nouns import Noun
from reports.plot import Plot, parse_plot
from reports.verdict import Verdict
from tests.reports.hostile import report_of

MARK = "<b> & {{x}}"
"""Free text, and of no form that a field may ask for."""


def nouns(annotation: Any) -> Iterator[type[Noun]]:
    """Yield the nouns that an annotation names, and those that they hold."""
    if isinstance(annotation, type) and issubclass(annotation, Noun):
        yield annotation
        for field in annotation.model_fields.values():
            yield from nouns(field.annotation)
    elif get_origin(annotation) is not None or isinstance(annotation, UnionType):
        for part in get_args(annotation):
            yield from nouns(part)


def takes(annotation: Any, value: object) -> bool:
    try:
        TypeAdapter(annotation).validate_python(value)
    except ValidationError:
        return False
    return True


def free_text() -> set[tuple[str, str]]:
    """Return every field, by its noun and name, that takes a text of any form, a tuple or a table of such."""
    kinds = {kind for root in (Report, Verdict, Plot) for kind in nouns(root)}
    return {
        (kind.__name__, name)
        for kind in kinds
        for name, field in kind.model_fields.items()
        if any(takes(field.rebuild_annotation(), value) for value in (MARK, (MARK,), {MARK: MARK}))
    }


def marked(value: object) -> Iterator[tuple[str, str]]:
    """Yield the fields that hold the mark."""
    if isinstance(value, Noun):
        for name in type(value).model_fields:
            held = getattr(value, name)
            if MARK in (held if isinstance(held, str | tuple | dict) else ()):
                yield type(value).__name__, name
            yield from marked(held)
    elif isinstance(value, tuple):
        for entry in value:
            yield from marked(entry)


def test_every_field_that_takes_free_text_is_hostile_in_the_hostile_report() -> None:
    sample, verdict = report_of(MARK)
    plots = [plot for data in sample.contents.values() if (plot := parse_plot(data))]
    wanted = free_text()
    assert len(wanted) > 70  # positive control: the walk does find them
    assert {("Finding", "detail"), ("Remedy", "value"), ("Auditor", "organisation"), ("Judgement", "message")} <= wanted
    assert wanted - set(marked((sample.report, verdict, *plots))) == set()
