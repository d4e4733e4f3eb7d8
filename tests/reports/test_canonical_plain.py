"""The fast way to canonical bytes gives the bytes of the slow one, which is somebody else's: the package rfc8785."""

from typing import Any

import rfc8785
from hypothesis import example, given
from hypothesis import strategies as st

from reports.canonical import canonical_json

EDGES = [0.0, -0.0, 1.0, -3.0, 1e-4, 9.9e-5, 1e-6, 1e-7, 1e15, 1e16, 1e17, 1e21, 1e22, 0.1, 1 / 3, 123456789012345.6]
NUMBERS = (
    st.integers(-(2**53) + 1, 2**53 - 1) | st.floats(allow_nan=False, allow_infinity=False) | st.sampled_from(EDGES)
)
TEXTS = st.text(st.characters(codec="utf-8")) | st.sampled_from(
    ["\x00\x1f\x7f", '"\\/\b\f\n\r\t', "\u2028é😀", "\ufb33"]
)
JSON = st.recursive(
    st.none() | st.booleans() | NUMBERS | TEXTS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXTS, inner, max_size=4) | st.tuples(inner, inner),
    max_leaves=16,
)


@given(JSON)
@example(EDGES)
@example({"é": 1, "z": 2, "\ufb33": 3, "😀": 4, "a": {"b": 1.0, "A": []}})
def test_every_value_is_written_as_the_peer_writes_it(value: Any) -> None:
    assert canonical_json(value) == rfc8785.dumps(value)


PLACES = ["\x000", "\x001", "\x0099", "\x00", '"\x000"', "\\u00000"]


@given(st.lists(st.sampled_from([*PLACES, *EDGES]), max_size=6), st.dictionaries(st.sampled_from(PLACES), NUMBERS))
def test_text_that_looks_like_the_place_of_a_number_stays_text(listed: list[Any], members: dict[str, Any]) -> None:
    values: tuple[Any, ...] = (listed, members, {"a": listed, "b": members})
    for value in values:
        assert canonical_json(value) == rfc8785.dumps(value)


@given(st.floats(1e-5, 1e17))
def test_every_usual_number_is_written_as_the_peer_writes_it(number: float) -> None:
    assert canonical_json([number, -number]) == rfc8785.dumps([number, -number])
