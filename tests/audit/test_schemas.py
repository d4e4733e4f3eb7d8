"""Everything that we publish a schema of is what its nouns say today, and every command has one."""

import json
from collections.abc import Iterator
from typing import Any

import click
import jsonschema
import pytest

from audit.cli.main import cli
from audit.schemas import ANSWERS, DOCUMENTS, schema_name, schema_texts
from reports.schema import FOLDER, PUBLISHED
from tests.reports.test_schema import undescribed


@pytest.fixture(scope="module")
def texts() -> dict[str, str]:
    return schema_texts()


def test_the_files_are_what_the_nouns_say_today(texts: dict[str, str]) -> None:
    published = {path.stem: path.read_text(encoding="utf-8") for path in FOLDER.glob("*.json")}
    assert published == texts, "run python -m audit.schemas"


def test_each_is_a_schema_under_its_own_id_and_every_field_has_a_sentence(texts: dict[str, str]) -> None:
    for name in set(texts) - set(PUBLISHED):  # those of reports: tests/reports/test_schema.py
        schema = json.loads(texts[name])
        jsonschema.Draft202012Validator.check_schema(schema)
        assert schema["$id"] == f"fedaudit.{name}/1"
        assert undescribed(schema, name) == []


def commands(group: click.Group, before: str = "") -> Iterator[str]:
    """The words of every command that there is."""
    context = click.Context(group)
    for name in group.list_commands(context):
        found = group.get_command(context, name)
        if isinstance(found, click.Group):
            yield from commands(found, f"{before}{name} ")
        else:
            yield f"{before}{name}"


def test_every_command_has_an_answer_that_is_described() -> None:
    assert isinstance(cli, click.Group)
    assert sorted(commands(cli)) == sorted(ANSWERS)


def test_names_do_not_collide() -> None:
    names = [*PUBLISHED, *DOCUMENTS, *(schema_name(command) for command in ANSWERS)]
    assert len(names) == len(set(names))


@pytest.mark.parametrize("command", sorted(ANSWERS))
def test_a_failure_needs_the_common_keys_and_a_success_its_own(command: str, texts: dict[str, str]) -> None:
    schema: dict[str, Any] = json.loads(texts[schema_name(command)])
    validator = jsonschema.Draft202012Validator(schema)
    told = {"fedaudit": "1", "command": command, "exit_code": 2, "code": "usage", "message": "No.", "hint": ""}
    assert validator.is_valid(told)
    assert not validator.is_valid(told | {"exit_code": 0})
    assert not validator.is_valid(told | {"exit_code": 1})
    assert not validator.is_valid(told | {"command": "other"})
    for key in told:
        assert not validator.is_valid({name: value for name, value in told.items() if name != key})
