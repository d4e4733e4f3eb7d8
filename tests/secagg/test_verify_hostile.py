"""Records cut short, withheld, broken, edited bit by bit, or made up: told as documented, and never a traceback."""

import json
import random
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from reports.errors import FileError
from secagg.draft import Draft
from secagg.source import LONGEST_LINE, MemorySource, Source
from secagg.verify import NotATranscript, Verification, verify_sources
from secagg.violations import NOT_AUTHENTIC, VIOLATIONS

Recorded = Callable[[str], MemorySource]


def codes(found: Verification) -> set[str]:
    return {violation.code for violation in found.violations}


def edited(source: Source, change: Callable[[Draft], None]) -> Verification:
    """What verification says after a change, chained anew."""
    draft = Draft.of(source)
    change(draft)
    return verify_sources([draft.edited()])


@pytest.mark.parametrize("name", ["a", "b"])
def test_a_transcript_that_ends_early_is_incomplete_and_not_false(name: str, vector_transcript: Recorded) -> None:
    source = vector_transcript(name)
    for kept in range(1, len(source.data)):
        found = verify_sources([replace(source, data=source.data[:kept])])
        assert (found.status, found.violations, found.transcripts[0].aggregate) == ("inconclusive", (), "absent")
        assert found.transcripts[0].last.startswith(f"line {kept} ")
    found = verify_sources([replace(source, cut_short=True)])
    assert (found.status, found.violations) == ("inconclusive", ())


@pytest.mark.parametrize("name", ["a", "b"])
def test_a_withheld_vector_makes_the_sum_inconclusive(name: str, vector_transcript: Recorded) -> None:
    source = vector_transcript(name)
    for digest in source.blobs:
        rest = {kept: data for kept, data in source.blobs.items() if kept != digest}
        found = verify_sources([replace(source, blobs=rest)])
        assert (found.status, found.violations) == ("inconclusive", ())
        assert (found.transcripts[0].aggregate, found.transcripts[0].withheld) == ("withheld", (digest,))
    found = verify_sources([replace(source, blobs={})])
    assert (found.status, found.violations, len(found.transcripts[0].withheld)) == (
        "inconclusive", (), len(source.blobs),
    )  # fmt: skip


def test_a_vector_of_another_length_is_not_looked_at(vector_transcript: Recorded) -> None:
    source = vector_transcript("b")
    digest = next(iter(source.blobs))
    for data in (b"", source.blobs[digest][:-4], source.blobs[digest] + b"\0"):
        assert codes(verify_sources([replace(source, blobs={**source.blobs, digest: data})])) == {"bad-length"}


BAD_LINES: Sequence[tuple[str, bytes, str]] = (
    ("an edited byte", b'"seq":3', b'"seq":4'),
    ("a key twice", b'{"body":{', b'{"body":{},"body":{'),
    ("an unknown field", b',"prev":', b',"praise":1,"prev":'),
    ("invalid base64", b"=", b"!"),
    ("an id outside the pattern", b'"sender":"c00002"', b'"sender":"../c02"'),
    ("half a surrogate pair", b'"sender":"c00002"', b'"sender":"\\ud800"'),
    ("a real number", b'"seq":3', b'"seq":3.0'),
    ("a number too large", b'"seq":3', b'"seq":99999999999999999999'),
    ("white space", b'"seq":3', b'"seq": 3'),
    ("no object", None, b"[]"),
    ("no text", None, b"\xff\xfe\x00"),
    ("nothing", None, b""),
    ("depth", None, b'{"a":' * 100_000),
    ("another type", b'"type":"advertise"', b'"type":"advert"'),
    ("a client as server", b'"sender":"c00002"', b'"sender":"server"'),
)  # fmt: skip


@pytest.mark.parametrize(("_", "old", "new"), BAD_LINES, ids=[row[0] for row in BAD_LINES])
def test_a_broken_line_is_not_authentic_and_named_by_number(
    _: str, old: bytes | None, new: bytes, vector_transcript: Recorded
) -> None:
    source = vector_transcript("b")
    line = new if old is None else source.data[3].replace(old, new, 1)
    assert line != source.data[3]
    found = verify_sources([replace(source, data=[*source.data[:3], line, *source.data[4:]])])
    assert found.authenticity == "broken"
    named = {one.detail for one in found.violations if one.code in ("malformed-record", "chain-broken")}
    assert any(detail.startswith("line 4:") for detail in named), named


def test_a_line_of_ten_megabytes_is_malformed_and_the_rest_is_still_read(vector_transcript: Recorded) -> None:
    source = vector_transcript("b")
    found = verify_sources([replace(source, data=[*source.data, b"x" * 10_000_000])])
    [violation] = found.violations
    assert violation.code == "malformed-record"
    assert violation.detail == f"line {len(source.data) + 1}: longer than {LONGEST_LINE} bytes"
    assert found.transcripts[0].aggregate == "equal"


def test_a_vector_named_like_a_path_is_malformed_and_never_opened(vector_transcript: Recorded) -> None:
    def change(draft: Draft) -> None:
        draft.having("masked_input")[0]["body"]["blob"] = "../../identities.json"

    found = edited(vector_transcript("b"), change)
    assert "malformed-record" in codes(found)
    assert found.authenticity == "broken"


@pytest.mark.parametrize(
    "lines",
    [[], [b""], [b"{}"], [b"[]"], [b"null"], [b"not json"], [b'{"body":{"protocol":"other"},"type":"header"}']],
    ids=repr,
)
def test_another_file_is_no_transcript(lines: list[bytes]) -> None:
    with pytest.raises(NotATranscript, match="is not a fedaudit-secagg-v1 transcript"):
        verify_sources([MemorySource(lines)])


HEADERS: Sequence[tuple[str, Any, str]] = (
    ("modulus_bits", 16, "32 or 64"),
    ("modulus_bits", 2**40, "32 or 64"),
    ("degree", 0, "degree"),
    ("degree", 3, "degree"),
    ("degree", 2**40, "degree"),
    ("threshold", 0, "threshold"),
    ("threshold", 5, "threshold"),
    ("server_trust", "none", "server_trust"),
    ("corrupt_fraction", "1.0", "corrupt_fraction"),
    ("beacon_source", "dice", "beacon_source"),
)


@pytest.mark.parametrize(("key", "value", "told"), HEADERS)
def test_a_header_that_no_round_can_have_is_malformed(
    key: str, value: Any, told: str, vector_transcript: Recorded
) -> None:
    def change(draft: Draft) -> None:
        draft.header[key] = value

    found = edited(vector_transcript("b"), change)
    assert [(one.code, told in one.detail) for one in found.violations] == [("malformed-record", True)]
    assert found.min_honest_survivors is None


def test_a_round_of_astronomic_length_costs_no_memory(vector_transcript: Recorded) -> None:
    def change(draft: Draft) -> None:
        draft.header["length"] = 2**50

    assert {"bad-length"} <= codes(edited(vector_transcript("b"), change)) <= VIOLATIONS | NOT_AUTHENTIC


def test_a_header_of_twenty_thousand_clients_each_the_neighbour_of_all_costs_no_memory(
    vector_transcript: Recorded,
) -> None:
    ids = [f"c{number:05}" for number in range(20_000)]

    draft = Draft.of(vector_transcript("b"))
    draft.header["clients"] = [{"id": client, "identity_key": None} for client in ids]
    for degree in (len(ids) - 1, len(ids) - 2):
        draft.header["degree"] = degree
        assert codes(verify_sources([draft.edited()])) <= VIOLATIONS | NOT_AUTHENTIC


def test_violations_without_end_are_counted_and_not_all_listed(vector_transcript: Recorded) -> None:
    source = vector_transcript("b")
    found = verify_sources([replace(source, data=[*source.data, *([b"{}"] * 5000)])])
    assert len(found.violations) == 101
    assert found.violations[-1].detail == "and 4900 more of this kind"


def outcome(source: Source) -> str:
    """How verification answers; anything but the documented outcomes raises."""
    try:
        found = verify_sources([source])
    except FileError:
        return "refused"
    assert codes(found) <= VIOLATIONS | NOT_AUTHENTIC
    assert (found.status == "fail") == bool(found.violations)
    assert (found.authenticity == "broken") == bool(codes(found) & NOT_AUTHENTIC)
    json.dumps(found.as_fields(), allow_nan=False)
    return found.status


JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8) | st.floats(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(lines=st.lists(JSON_VALUES.map(lambda value: json.dumps(value).encode()) | st.binary(max_size=40), max_size=6))
def test_arbitrary_lines_are_refused_or_judged_and_nothing_else(
    lines: list[bytes], vector_transcript: Recorded
) -> None:
    lines = [line.replace(b"\n", b"") for line in lines]
    assert outcome(MemorySource(lines)) == "refused"
    assert outcome(MemorySource([vector_transcript("b").data[0], *lines])) == ("fail" if lines else "inconclusive")


@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(data=st.data(), name=st.sampled_from("ab"))
def test_a_value_put_anywhere_is_refused_or_judged_and_nothing_else(
    data: st.DataObject, name: str, vector_transcript: Recorded
) -> None:
    source = vector_transcript(name)
    draft = Draft.of(source)
    for _ in range(data.draw(st.integers(1, 3))):
        place: Any = draft.records[data.draw(st.integers(0, len(draft.records) - 1))]
        while True:
            key = data.draw(
                st.sampled_from(sorted(place)) if isinstance(place, dict) else st.integers(0, len(place) - 1)
            )
            if not isinstance(place[key], dict | list) or not place[key] or data.draw(st.booleans()):
                break
            place = place[key]
        plain = st.none() | st.booleans() | st.integers(-(2**53) + 1, 2**53 - 1) | st.text(st.characters(codec="utf-8"))
        place[key] = data.draw(plain | st.lists(plain, max_size=3) | st.dictionaries(st.sampled_from("abc"), plain))
    before = tuple(source.data)
    changed = draft.edited()
    answer = outcome(changed)
    assert (answer == "pass") == (changed.data == before)


@pytest.mark.parametrize("name", ["a", "b"])
def test_lines_in_another_order_or_left_out_or_twice_are_noticed(name: str, vector_transcript: Recorded) -> None:
    source, rng = vector_transcript(name), random.Random(1)
    for _ in range(30):
        lines = list(source.data)
        one, other = sorted(rng.sample(range(1, len(lines)), 2))
        match rng.randrange(3):
            case 0:
                lines[one], lines[other] = lines[other], lines[one]
            case 1:
                del lines[one]
            case _:
                lines.insert(one, lines[other])
        found = verify_sources([replace(source, data=lines)])
        assert found.authenticity == "broken"
        assert "chain-broken" in codes(found)


def flipped(source: MemorySource, bit: int) -> MemorySource:
    """The transcript with one bit changed: first those of the lines, newlines included, then those of the vectors."""
    text = b"".join(line + b"\n" for line in source.data)
    if bit < 8 * len(text):
        changed = bytearray(text)
        changed[bit // 8] ^= 1 << bit % 8
        *lines, rest = bytes(changed).split(b"\n")
        return replace(source, data=lines, cut_short=bool(rest))
    bit -= 8 * len(text)
    for digest, data in sorted(source.blobs.items()):
        if bit < 8 * len(data):
            altered = bytearray(data)
            altered[bit // 8] ^= 1 << bit % 8
            return replace(source, blobs={**source.blobs, digest: bytes(altered)})
        bit -= 8 * len(data)
    raise IndexError(bit)


def bits(source: MemorySource) -> int:
    """How many bits there are to change."""
    return 8 * (sum(len(line) + 1 for line in source.data) + sum(map(len, source.blobs.values())))


@pytest.mark.parametrize("name", ["a", "b"])
def test_a_flipped_bit_of_a_line_is_noticed(vector_transcript: Recorded, name: str) -> None:
    source, rng = vector_transcript(name), random.Random(0)
    lines = bits(replace(source, blobs={}))
    for bit in rng.sample(range(lines), 120):
        assert outcome(flipped(source, bit)) != "pass", bit


@pytest.mark.parametrize("name", ["a", "b"])
def test_a_flipped_bit_of_the_last_line_is_noticed(vector_transcript: Recorded, name: str) -> None:
    source = vector_transcript(name)
    lines = bits(replace(source, blobs={}))
    for bit in range(lines - 8 * (len(source.data[-1]) + 1), lines, 23):
        assert outcome(flipped(source, bit)) != "pass", bit


@pytest.mark.parametrize("name", ["a", "b"])
def test_a_flipped_bit_of_a_vector_is_noticed(vector_transcript: Recorded, name: str) -> None:
    source = vector_transcript(name)
    for bit in range(bits(replace(source, blobs={})), bits(source), 13):
        found = verify_sources([flipped(source, bit)])
        assert (found.authenticity, codes(found)) == ("broken", {"blob-digest"})


@pytest.mark.slow
@pytest.mark.parametrize("name", ["a", "b"])
def test_one_flipped_bit_in_ten_all_over_is_noticed(vector_transcript: Recorded, name: str) -> None:
    source = vector_transcript(name)
    assert outcome(source) == "pass"
    for bit in range(0, bits(source), 11):
        assert outcome(flipped(source, bit)) != "pass", bit
