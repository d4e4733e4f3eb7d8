"""Canonical bytes and strict JSON: the RFC's own vectors, a naive oracle for depth, and properties."""

import json
import struct
from pathlib import Path
from typing import Any

import pytest
import rfc8785
from hypothesis import example, given
from hypothesis import strategies as st

from reports.canonical import MAX_DEPTH, canonical, canonical_json, digest, strict_json
from reports.errors import ReportError
from reports.model import Interval, Remedy

VECTORS = json.loads((Path(__file__).parents[1] / "vectors/reports/known-answers.json").read_text())
CHARACTERS = st.characters(codec="utf-8")
JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53) + 1, 2**53 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(CHARACTERS),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(CHARACTERS), inner, max_size=4),
    max_leaves=12,
)


def refused(data: bytes) -> str:
    with pytest.raises(ReportError) as refusal:
        strict_json(data)
    return refusal.value.code


@pytest.mark.parametrize(("bits", "written"), VECTORS["rfc8785_numbers"]["pairs"])
def test_numbers_are_written_as_rfc_8785_appendix_b_has_them(bits: str, written: str) -> None:
    [number] = struct.unpack(">d", bytes.fromhex(bits))
    assert canonical_json(number) == written.encode()
    assert strict_json(written.encode()) == number
    assert canonical_json(strict_json(written.encode())) == written.encode()


@pytest.mark.parametrize("bits", VECTORS["rfc8785_numbers"]["refused"])
def test_what_is_no_number_has_no_canonical_form(bits: str) -> None:
    [number] = struct.unpack(">d", bytes.fromhex(bits))
    with pytest.raises(ReportError, match="canonical form"):
        canonical_json(number)


def test_members_are_sorted_by_utf_16_as_rfc_8785_section_3_2_3_has_them() -> None:
    vector = VECTORS["rfc8785_sorting"]
    assert list(json.loads(canonical_json(vector["input"])).values()) == vector["order"]


def test_a_lone_surrogate_has_no_canonical_form() -> None:
    with pytest.raises(ReportError) as refusal:
        canonical_json("\ud800")
    assert refusal.value.code == "json.utf8"


@given(JSON)
def test_canonical_bytes_come_back_as_the_value_and_as_the_same_bytes(value: object) -> None:
    written = canonical_json(value)
    assert written == rfc8785.dumps(value)  # type: ignore[arg-type]
    assert strict_json(written) == value
    assert canonical_json(strict_json(written)) == written


@given(st.text(st.characters(codec="utf-8") | st.sampled_from('\n\r\t\b\f\0\x1f\x7f"\\\u2028')))
@example("".join(map(chr, range(256))))
def test_a_text_is_written_as_rfc_8785_writes_it(text: str) -> None:
    assert canonical_json(text) == rfc8785.dumps(text)


@given(st.floats(allow_nan=False, allow_infinity=False), st.floats(allow_nan=False, allow_infinity=False))
def test_a_noun_comes_back_from_its_canonical_bytes(one: float, other: float) -> None:
    noun = Interval(low=min(one, other), high=max(one, other), confidence=0.95)
    assert Interval.model_validate(strict_json(canonical(noun))) == noun


def test_an_absent_field_is_written_as_null() -> None:
    remedy = Remedy(parameter="federation.rounds", direction="raise", text="More.")
    assert canonical(remedy) == b'{"direction":"raise","parameter":"federation.rounds","text":"More.","value":null}'
    assert len(digest(remedy)) == 64


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (b"\xef\xbb\xbf{}", "json.bom"),
        (b'"\xff"', "json.utf8"),
        (b'"\xed\xa0\x80"', "json.utf8"),  # a surrogate in the bytes
        (b'"\\udc00"', "json.utf8"),
        (b'{"a":1,"b":{"c":1,"c":2}}', "json.duplicate_key"),
        (b'{"a":1,"\\u0061":2}', "json.duplicate_key"),  # one key in two spellings
        (b"NaN", "json.constant"),
        (b"[Infinity]", "json.constant"),
        (b"1" * 41, "json.number"),
        (b"0." + b"1" * 40, "json.number"),
        (b"-1e400", "json.number"),
        (b"", "json.syntax"),
        (b"{} {}", "json.syntax"),
        (b"01", "json.syntax"),
        (b"'a'", "json.syntax"),
        (b'"a\nb"', "json.syntax"),
        (b'{"a":1,}', "json.syntax"),
        (b'"' + b'\\"' * 100_000, "json.syntax"),  # never closed: must not take quadratic time
    ],
)
def test_what_two_readers_could_read_differently_is_refused(data: bytes, code: str) -> None:
    assert refused(data) == code


def test_a_surrogate_pair_in_escapes_is_one_letter() -> None:
    assert strict_json(b'"\\ud83d\\ude00"') == "\U0001f600"


def test_an_integer_beyond_53_bits_is_the_double_that_rfc_8785_reads() -> None:
    assert strict_json(b"9007199254740991") == 2**53 - 1
    assert isinstance(strict_json(b"9007199254740991"), int)
    assert isinstance(strict_json(b"9007199254740992"), float)
    assert canonical_json(strict_json(b"12345678901234567890")) != b"12345678901234567890"


def depth_of(value: object) -> int:
    inner: list[Any] = list(value.values()) if isinstance(value, dict) else value if isinstance(value, list) else []
    return 1 + max(map(depth_of, inner), default=0) if isinstance(value, dict | list) else 0


@given(JSON, st.integers(0, 4))
def test_depth_is_what_the_recursive_definition_says(value: object, allowed: int) -> None:
    data = json.dumps(value).encode()
    if depth_of(value) <= allowed:
        strict_json(data, max_depth=allowed)
    else:
        with pytest.raises(ReportError, match="deep"):
            strict_json(data, max_depth=allowed)


def test_depth_64_is_read_and_65_is_not() -> None:
    strict_json(b"[" * MAX_DEPTH + b"]" * MAX_DEPTH)
    assert refused(b"[" * (MAX_DEPTH + 1) + b"]" * (MAX_DEPTH + 1)) == "json.depth"
    assert refused(b'{"":' * (MAX_DEPTH + 1)) == "json.depth"
    strict_json(b'"' + b"[" * 100 + b'\\"' + b"{" * 100 + b'"')


@given(st.binary(max_size=60) | st.text('[]{}",:\\u0e+-1aN ', max_size=60).map(str.encode))
def test_any_bytes_are_read_or_refused(data: bytes) -> None:
    try:
        value = strict_json(data)
    except ReportError:
        return
    assert json.loads(data) == value
