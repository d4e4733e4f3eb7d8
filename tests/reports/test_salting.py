"""Salted evidence: who guesses learns nothing from the digest, and who holds the file reads what was put."""

import hashlib
import secrets
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from reports.canonical import canonical_json
from reports.model import Confidentiality, Evidence, evidence_path
from reports.salting import SALT_BYTES, salted, unsalted

TRUE_PATIENT = 417


def candidates() -> Iterator[bytes]:
    """The small world that a record comes from: a thousand patients, one of whom tested positive."""
    return (canonical_json({"patient": number, "result": "positive"}) for number in range(1000))


def confirmed(digest: str, salts: tuple[bytes, ...] = (b"",)) -> list[int]:
    """What a guesser does with a digest: hash each candidate, with each salt that they know, and compare."""
    return [
        number
        for number, record in enumerate(candidates())
        if any(hashlib.sha256(salt + record).hexdigest() == digest for salt in salts)
    ]


def test_a_bare_digest_confirms_one_record_of_a_thousand() -> None:
    record = list(candidates())[TRUE_PATIENT]
    assert confirmed(hashlib.sha256(record).hexdigest()) == [TRUE_PATIENT]


def test_a_salted_digest_confirms_none_and_with_its_salt_the_same_guesser_succeeds() -> None:
    record = list(candidates())[TRUE_PATIENT]
    file = salted(record, secrets.token_bytes)
    digest = hashlib.sha256(file).hexdigest()
    assert confirmed(digest, (b"", bytes(SALT_BYTES), secrets.token_bytes(SALT_BYTES))) == []
    assert confirmed(digest, (file[:SALT_BYTES],)) == [TRUE_PATIENT]  # so nothing but the salt stood in the way


def test_equal_records_under_fresh_salts_cannot_be_linked() -> None:
    files = {salted(b"positive", secrets.token_bytes) for _ in range(100)}
    assert len({hashlib.sha256(file).hexdigest() for file in files}) == 100


@given(st.binary(max_size=200))
def test_what_was_put_is_what_is_read(data: bytes) -> None:
    file = salted(data, secrets.token_bytes)
    assert len(file) == SALT_BYTES + len(data)
    assert unsalted(file) == data


def test_a_salt_that_was_kept_gives_the_same_file_again() -> None:
    kept = secrets.token_bytes(SALT_BYTES)
    assert salted(b"x", lambda size: kept[:size]) == salted(b"x", lambda size: kept[:size]) == kept + b"x"


def test_a_short_salt_and_a_file_without_room_for_one_are_refused() -> None:
    with pytest.raises(ValueError, match="32 bytes, not 31"):
        salted(b"x", lambda size: b"s" * (size - 1))
    assert unsalted(bytes(32)) == b""
    with pytest.raises(ValueError, match="at least 32 bytes, not 31"):
        unsalted(bytes(31))


@pytest.mark.parametrize(
    ("suffix", "flag", "sound"),
    [
        (".json.salted", True, True),
        (".salted", True, True),
        (".json", False, True),
        (".json", True, False),
        (".json.salted", False, False),
        (".salted", False, False),
        (".salted.json", True, False),
    ],
)
def test_the_name_of_a_file_says_whether_it_is_salted(suffix: str, flag: bool, sound: bool) -> None:
    sha256 = "ab" * 32

    def piece() -> Evidence:
        return Evidence(
            sha256=sha256,
            path=evidence_path(sha256, suffix),
            size=40,
            media_type="application/json",
            confidentiality=Confidentiality.RESTRICTED,
            name="scores",
            salted=flag,
        )

    if sound:
        assert piece().salted == flag
        return
    with pytest.raises(ValidationError, match=r"\.salted|pattern"):
        piece()
