"""What is written is what TOML's own reader reads."""

import math
import tomllib
from datetime import date

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from reports.toml_writer import toml_text

TEXT = st.text(st.characters(exclude_categories=("Cs",)))
SCALAR = st.one_of(
    TEXT, st.booleans(), st.integers(-(2**63), 2**63 - 1), st.floats(allow_nan=False, allow_infinity=False), st.dates()
)
VALUE = st.recursive(SCALAR, lambda inner: st.lists(inner, max_size=3), max_leaves=6)
TABLE = st.recursive(
    st.dictionaries(TEXT, VALUE, max_size=4),
    lambda inner: st.dictionaries(TEXT, st.one_of(VALUE, inner, st.lists(inner, min_size=1, max_size=2)), max_size=4),
    max_leaves=8,
)


@settings(max_examples=60, suppress_health_check=[HealthCheck.too_slow])  # nested tables are slow to draw under load
@given(TABLE)
def test_what_is_written_reads_back(table: dict[str, object]) -> None:
    assert tomllib.loads(toml_text(table)) == table


def test_own_keys_stand_before_tables_whatever_their_order() -> None:
    table = {"below": {"b": 1}, "own": 2, "rows": [{"x": [1, 2]}, {"y": "é\n"}], "day": date(2026, 11, 20)}
    assert tomllib.loads(toml_text(table)) == table


def test_a_key_without_a_value_is_left_out() -> None:
    assert toml_text({"a": None, "b": 1, "c": {"d": None}}) == "b = 1\n\n[c]\n"


@pytest.mark.parametrize("value", [math.nan, math.inf, object(), [{"a": 1}, 2], b"bytes"])
def test_what_toml_cannot_hold_is_told(value: object) -> None:
    with pytest.raises(ValueError, match="holds"):
        toml_text({"key": value})
