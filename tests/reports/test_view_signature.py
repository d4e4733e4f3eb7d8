"""Signers as the page shows them: a key, a role, and the time that a time-stamp claims, read without checking it."""

import shutil
import subprocess
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reports.dsse import Signature
from reports.render_html import render_html
from reports.render_markdown import render_markdown
from reports.view import Signer, view_of
from reports.view_signature import claimed_moment, signer_of
from tests.reports.sample_report import sample

SAMPLE = sample()
KEYID = "9f2c41d07be3a55c" * 4
CONTENT = bytes.fromhex("060b2a864886f70d0109100104")
BACKDATING = "No RFC 3161 time-stamp: whoever steals this key can sign with an earlier date."


def both(signer: Signer) -> list[str]:
    view = view_of(SAMPLE.statement, signers=[signer])
    return [render_html(view), render_markdown(view)]


def test_beside_a_signature_without_a_time_stamp_stands_what_a_thief_could_do() -> None:
    for text in both(signer_of(Signature(KEYID, b"sig"))):
        assert BACKDATING in text


def test_beside_one_with_a_time_stamp_stands_its_time_and_that_nobody_has_checked_it() -> None:
    token = b"before" + CONTENT + b"\x30\x20\x18\x0f20261121093100Z" + b"\x18\x0f20270101000000Z"
    for text in both(signer_of(Signature(KEYID, b"sig", token))):
        assert BACKDATING not in text
        assert "Its RFC 3161 time-stamp says 2026-11-21 09:31:00 UTC; verifying tells whether" in text


def test_a_token_that_holds_no_time_is_shown_as_one() -> None:
    assert signer_of(Signature(KEYID, b"sig", b"junk")).stamped == "a time that is not readable"


@pytest.mark.parametrize("time", ["20261121093100Z", "20261121093100.5Z", "20261121093100.123456Z"])
def test_fractions_of_seconds_are_dropped(time: str) -> None:
    token = CONTENT + b"\x18" + bytes([len(time)]) + time.encode()
    assert claimed_moment(token) == datetime(2026, 11, 21, 9, 31, tzinfo=UTC)


@pytest.mark.parametrize("time", ["20261321093100Z", "20260230093100Z", "00000101000000Z"])
def test_a_day_that_is_none_is_no_time(time: str) -> None:
    assert claimed_moment(CONTENT + b"\x18\x0f" + time.encode()) is None


@given(st.binary(max_size=200), st.booleans())
def test_no_bytes_are_too_strange(token: bytes, content: bool) -> None:
    claimed_moment(CONTENT + token if content else token)


@pytest.mark.skipif(shutil.which("openssl") is None, reason="no openssl on this machine")
def test_the_time_is_the_one_that_openssl_reads(tmp_path: Path) -> None:
    """Oracle: a token that openssl makes, and the time that openssl prints of it."""

    def openssl(*words: str) -> str:
        done = subprocess.run(["openssl", *words], cwd=tmp_path, capture_output=True, text=True, check=True)
        return done.stdout

    (tmp_path / "tsa.cnf").write_text(
        "[tsa]\nserial=serial\nsigner_digest=sha256\ndigests=sha256\ndefault_policy=1.2.3\n"
        "[req]\ndistinguished_name=dn\nx509_extensions=v3\nprompt=no\n[dn]\nCN=tsa\n"
        "[v3]\nextendedKeyUsage=critical,timeStamping\n"
    )
    openssl("req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", "k", "-out", "c", "-config", "tsa.cnf")
    (tmp_path / "data").write_bytes(b"sig")
    (tmp_path / "serial").write_text("01")
    openssl("ts", "-query", "-data", "data", "-sha256", "-no_nonce", "-out", "q")
    openssl("ts", "-reply", "-queryfile", "q", "-config", "tsa.cnf", "-section", "tsa", "-signer", "c", "-inkey", "k",
            "-token_out", "-out", "token")  # fmt: skip
    told = openssl("ts", "-reply", "-in", "token", "-token_in", "-text")
    [line] = [line for line in told.splitlines() if line.startswith("Time stamp: ")]
    expected = datetime.strptime(line, "Time stamp: %b %d %H:%M:%S %Y GMT").replace(tzinfo=UTC)
    assert claimed_moment((tmp_path / "token").read_bytes()) == expected
