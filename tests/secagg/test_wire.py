"""Canonical JSON against the rfc8785 package, and everything that is not it."""

import base64
import json
from typing import Any

import pytest
import rfc8785
from hypothesis import given
from hypothesis import strategies as st

from secagg.wire import (
    LARGEST_INTEGER,
    MalformedRecord,
    canonical,
    decimal,
    decode_bytes,
    decode_each,
    encode_bytes,
    parse,
    require_boolean,
    require_decimal,
    require_id,
    require_ids,
    require_integer,
    require_keys,
    require_sha256,
    require_text,
)

keys = st.text(st.characters(max_codepoint=127), max_size=8)
plain = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-LARGEST_INTEGER, LARGEST_INTEGER)
    | st.text(st.characters(exclude_categories=["Cs"]), max_size=12),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(keys, inner, max_size=4),
    max_leaves=12,
)


@given(value=plain)
def test_canonical_form_is_that_of_rfc_8785(value: Any) -> None:
    assert canonical(value) == rfc8785.dumps(value)
    assert parse(canonical(value)) == value


@given(value=plain)
def test_nothing_but_the_canonical_form_is_read(value: Any) -> None:
    loose = json.dumps(value, indent=1).encode()
    if loose != canonical(value):
        with pytest.raises(MalformedRecord, match="canonical"):
            parse(loose)


@pytest.mark.parametrize(
    "value", [1.0, float("nan"), 2**53, -(2**53), {"é": 1}, {1: 2}, b"", {"a": {1, 2}}, "\ud800", {"a": [0.5]}]
)
def test_what_has_no_canonical_form_is_not_written(value: Any) -> None:
    with pytest.raises(MalformedRecord):
        canonical(value)


@pytest.mark.parametrize(
    ("line", "why"),
    [
        (b'{"a":1,"a":1}', "twice"),
        (b'{"a":{"b":1,"b":2}}', "twice"),
        (b'{"a":1.0}', "real"),
        (b'{"a":1e3}', "real"),
        (b'{"a":NaN}', "real"),
        (b'{"a":-Infinity}', "real"),
        (b'{"a":9007199254740992}', "2\\^53"),
        (b'{"a":' + b"9" * 5000 + b"}", "2\\^53"),
        (b'{"b":1,"a":1}', "canonical"),
        (b'{"a": 1}', "canonical"),
        (b'{"a":1}\n', "canonical"),
        (b'{"a":"\\u0041"}', "canonical"),
        (b'{"a":"\\/"}', "canonical"),
        (b'{"a":-0}', "canonical"),
        (b'{"a":1', "JSON"),
        (b"", "JSON"),
        (b'"\xff"', "JSON"),
        (b"\xef\xbb\xbf{}", "JSON|canonical"),
        (b"[" * 100_000, "deep"),
        (b'"\\ud800"', "surrogate"),
    ],
)
def test_other_lines_are_refused(line: bytes, why: str) -> None:
    with pytest.raises(MalformedRecord, match=why):
        parse(line)


@given(line=st.binary(max_size=40))
def test_arbitrary_bytes_are_read_or_refused(line: bytes) -> None:
    try:
        value = parse(line)
    except MalformedRecord:
        return
    assert canonical(value) == line


@given(data=st.binary(max_size=40))
def test_base64_is_the_standard_one(data: bytes) -> None:
    text = base64.b64encode(data).decode()
    assert encode_bytes(data) == text
    assert decode_bytes(text, len(data)) == data


@pytest.mark.parametrize(
    "text", ["QR==", "QUJ=", "QQ", "QQ=", "QQ==\n", " QQ==", "Q Q==", "QQ==QQ==", "_w==", "é", "="]
)
def test_base64_has_one_text_for_its_bytes(text: str) -> None:
    with pytest.raises(MalformedRecord):
        decode_bytes(text)


@pytest.mark.parametrize("value", [None, 1, b"QQ==", ["QQ=="]])
def test_base64_is_text(value: Any) -> None:
    with pytest.raises(MalformedRecord):
        decode_bytes(value)


def test_bytes_of_another_length_are_refused() -> None:
    with pytest.raises(MalformedRecord, match="1 bytes where 2 belong"):
        decode_bytes("QQ==", 2)


@given(data=st.data(), length=st.integers(1, 40))
def test_many_texts_are_read_as_one_by_one(data: st.DataObject, length: int) -> None:
    alphabet = "ABQRgwE048xyz+/="
    texts = data.draw(
        st.lists(
            st.binary(min_size=length, max_size=length).map(lambda one: base64.b64encode(one).decode())
            | st.text(alphabet, min_size=4 * -(-length // 3), max_size=4 * -(-length // 3)),
            max_size=3,
        )
    )
    try:
        expected = [decode_bytes(text, length) for text in texts]
    except MalformedRecord:
        with pytest.raises(MalformedRecord):
            decode_each(texts, length)
    else:
        assert decode_each(texts, length) == expected


@pytest.mark.parametrize("value", ["", "a" * 65, "a b", "é", "a/b", "../x", "a\n", 1, None, "a\x00"])
def test_other_ids_are_refused(value: Any) -> None:
    with pytest.raises(MalformedRecord):
        require_id(value)


@pytest.mark.parametrize("value", [["b", "a"], ["a", "a"], ["a", 1], "ab", None, ["a", "b c"], {"a": 1}])
def test_ids_are_sorted_and_distinct(value: Any) -> None:
    with pytest.raises(MalformedRecord):
        require_ids(value)


def test_ids_are_read() -> None:
    assert require_ids(["A-1", "a.b", "a:b", "z_" + "z" * 62]) == ("A-1", "a.b", "a:b", "z_" + "z" * 62)
    assert require_ids([]) == ()


@pytest.mark.parametrize("value", ["0" * 63, "0" * 65, "A" * 64, "g" * 64, 0, None, "0" * 64 + "\n"])
def test_other_digests_are_refused(value: Any) -> None:
    with pytest.raises(MalformedRecord):
        require_sha256(value)


@pytest.mark.parametrize("value", [-1, 11, True, "3", 3.0, None])
def test_other_integers_are_refused(value: Any) -> None:
    with pytest.raises(MalformedRecord):
        require_integer(value, 0, 10)


@pytest.mark.parametrize("value", [0, 1, "true", None])
def test_other_truth_values_are_refused(value: Any) -> None:
    with pytest.raises(MalformedRecord):
        require_boolean(value)


@pytest.mark.parametrize("value", [{}, {"a": 1}, {"a": 1, "b": 2, "c": 3}, [], None])
def test_objects_have_exactly_their_fields(value: Any) -> None:
    with pytest.raises(MalformedRecord):
        require_keys(value, frozenset(("a", "b")))


def test_text_is_not_endless() -> None:
    with pytest.raises(MalformedRecord, match="at most 3"):
        require_text("four", 3)


@given(number=st.floats(allow_nan=False, allow_infinity=False))
def test_a_real_number_is_its_shortest_decimal(number: float) -> None:
    assert require_decimal(decimal(number)) == number


@pytest.mark.parametrize("text", ["0.050", "nan", "inf", "1e400", "1_0.0", "8", " 8.0", "", "٣.0", 8.0, None])
def test_other_decimals_are_refused(text: Any) -> None:
    with pytest.raises(MalformedRecord):
        require_decimal(text)
