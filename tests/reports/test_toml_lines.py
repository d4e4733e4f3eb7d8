"""Lines of a TOML document: nothing in a string, a comment or a bracket passes for a header or a key."""

import tomllib
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reports.toml_lines import toml_lines

TEXT = '''# [comment]
[system]
name = "ward"   # = "other"
text = """
[not.a.table]
name = 1
"""
raw = \'\'\'
[[neither]]
\'\'\'
list = [
  "a]",  # ]
  { x = 1 },
]
"quoted.key" = 1

  [ federation . "secure_aggregation" ]
  degree=12
dotted.key.deep = true

[[updates]]
path = "a"
[updates.more]
deep = 1
[[updates]]
client = "b"
path = "b"
'''


def test_tables_and_keys_are_found_where_they_stand() -> None:
    assert toml_lines(TEXT) == {
        "system": 2, "system.name": 3, "system.text": 4, "system.raw": 8, "system.list": 11, "system.quoted.key": 15,
        "federation.secure_aggregation": 17, "federation.secure_aggregation.degree": 18,
        "federation.secure_aggregation.dotted.key.deep": 19,
        "updates[0]": 21, "updates": 21, "updates[0].path": 22, "updates.path": 22,
        "updates[0].more": 23, "updates.more": 23, "updates[0].more.deep": 24, "updates.more.deep": 24,
        "updates[1]": 25, "updates[1].client": 26, "updates.client": 26, "updates[1].path": 27,
    }  # fmt: skip


def paths(table: Any, at: str = "") -> set[str]:
    """Every key of a parsed document, as tomllib sees it."""
    found = set()
    for name, value in table.items():
        path = f"{at}{name}"
        if isinstance(value, dict):
            found |= {path, *paths(value, f"{path}.")}
        elif isinstance(value, list) and value and isinstance(value[0], dict):
            for number, entry in enumerate(value):
                found |= {f"{path}[{number}]", *paths(entry, f"{path}[{number}].")}
        else:
            found.add(path)
    return found


def test_every_key_that_tomllib_sees_is_found_and_no_other() -> None:
    text = TEXT.replace("  { x = 1 },\n", "").replace('"quoted.key" = 1\n', "").replace("dotted.key.deep = true\n", "")
    numbered = {path for path in toml_lines(text) if not path.startswith("updates.") and path != "updates"}
    assert numbered == paths(tomllib.loads(text)) - {"federation"}  # a table that no line begins


WORDS = st.text("ab#[]{}\"'=\n\\ ", max_size=12)


@settings(max_examples=40)
@given(words=st.lists(WORDS, min_size=1, max_size=5))
def test_whatever_stands_in_strings_moves_no_line(words: list[str]) -> None:
    lines = []
    for number, word in enumerate(words):
        basic = word.replace("\\", "\\\\").replace('"', '\\"')
        lines += [f"# {word}".replace("\n", " "), f'key{number} = """{basic}"""', f"list{number} = [\n  1,  # ]\n]"]
    text = "\n".join(lines)
    assert set(tomllib.loads(text)) == set(toml_lines(text))
    told = text.split("\n")
    for key, line in toml_lines(text).items():
        assert told[line - 1].startswith(f"{key} = ")


@pytest.mark.parametrize("text", ["", "\n\n", "#", "[[[[", '"""', "a = [[[", "]" * 1000, "\x00"])
def test_what_is_no_document_is_borne(text: str) -> None:
    assert isinstance(toml_lines(text), dict)
