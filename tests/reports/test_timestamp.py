"""Time-stamps: openssl is the other side, both ways; nothing but the whole token of a listed authority gives a time.

What verification makes of them stands in `conformance/timestamp_cases.py`.
"""

import base64
import json
import pickle
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding
from hypothesis import given, settings
from hypothesis import strategies as st
from rfc3161_client import VerifierBuilder, decode_timestamp_response

from reports.errors import TimestampError, TrustError
from reports.nouns import moment_text
from reports.timestamp import granted, timestamp_query, token_in, token_time
from reports.timestamp_authority import Authority, parse_authority
from reports.trust import load_trust
from tests.reports.authority import ISSUER, ROOT, SHA1, TSA, StampingAuthority, certificate, pem, private
from tests.reports.conformance.timestamp_cases import list_authority, stamp
from tests.reports.conformance.world import AUDITOR, sound_world
from tests.reports.openssl_authority import Key, OpensslAuthority, openssl
from tests.reports.outsiders import needs_shell
from tests.vectors import build_timestamps

MESSAGE = b"a signature"
AT = datetime(2026, 11, 20, 10, 30, tzinfo=UTC)
LISTED = parse_authority(TSA.pem, "tsa.pem")
TOKEN = TSA.token(MESSAGE, AT)


@pytest.fixture(scope="module")
def stamper(tmp_path_factory: pytest.TempPathFactory) -> OpensslAuthority:
    return OpensslAuthority(tmp_path_factory.mktemp("tsa"))


def refusal(token: bytes, message: bytes = MESSAGE, *authorities: Authority) -> str:
    with pytest.raises(TimestampError) as refused:
        token_time(token, message, authorities or (LISTED,))
    assert "\n" not in refused.value.message
    return refused.value.code


@settings(max_examples=10)
@given(st.binary(min_size=1, max_size=99))
def test_a_query_is_the_one_that_openssl_writes(message: bytes) -> None:
    theirs = subprocess.run(
        ["openssl", "ts", "-query", "-data", "/dev/stdin", "-sha256", "-no_nonce"], input=message, capture_output=True
    )
    assert timestamp_query(message) == theirs.stdout


def test_openssl_verifies_the_replies_of_the_authority_in_these_tests(tmp_path: Path) -> None:
    """Else the refusals below would refuse what nobody accepts."""
    (tmp_path / "data").write_bytes(MESSAGE)
    (tmp_path / "root.pem").write_bytes(pem(ROOT))
    (tmp_path / "tsa.pem").write_bytes(pem(TSA.certificate))
    for name, message in (("good", MESSAGE), ("bad", b"another")):
        (tmp_path / name).write_bytes(TSA.reply(message, AT, accuracy=1, nonce=5))
    known = ["-data", "data", "-CAfile", "root.pem", "-untrusted", "tsa.pem"]
    assert "OK" in openssl(tmp_path, "ts", "-verify", "-in", "good", *known).stdout
    assert openssl(tmp_path, "ts", "-verify", "-in", "bad", *known, check=False).returncode != 0


def test_we_verify_what_openssl_stamped(stamper: OpensslAuthority) -> None:
    token = token_in(stamper.reply(timestamp_query(MESSAGE)), MESSAGE)
    moment = token_time(token, MESSAGE, [LISTED, stamper.listed])
    assert abs(datetime.now(UTC) - moment) < timedelta(minutes=5)
    assert refusal(token) == "timestamp.authority"
    assert refusal(token, b"another", stamper.listed) == "timestamp.imprint"


@pytest.mark.parametrize("digest", ["sha256", "sha384", "sha512"])
@pytest.mark.parametrize("kind", ["rsa-2048", "p-384", "p-521"])
def test_authorities_sign_and_digest_as_they_do_in_the_world(tmp_path: Path, kind: str, digest: str) -> None:
    makers: dict[str, Callable[[], Key]] = {
        "rsa-2048": lambda: rsa.generate_private_key(65537, 2048),
        "p-384": lambda: ec.generate_private_key(ec.SECP384R1()),
        "p-521": lambda: ec.generate_private_key(ec.SECP521R1()),
    }
    authority = OpensslAuthority(tmp_path, makers[kind](), digest)
    asking = openssl(tmp_path, "ts", "-query", "-data", "/dev/stdin", f"-{digest}", data=MESSAGE).raw  # with a nonce
    token = token_in(authority.reply(asking), MESSAGE)
    assert token_time(token, MESSAGE, [authority.listed])
    assert refusal(token, b"another", authority.listed) == "timestamp.imprint"
    assert refusal(token, MESSAGE, OpensslAuthority(tmp_path).listed) == "timestamp.signature"


def test_a_token_that_openssl_wrote_with_its_certificates_is_named_where_they_are_not_sorted(
    stamper: OpensslAuthority,
) -> None:
    """It writes its own before its issuer's, and DER wants them sorted; the query that we write asks for none."""
    own, issuer = (one.public_bytes(Encoding.DER) for one in (stamper.listed.certificate, ROOT))
    assert own > issuer  # so it is out of order
    asking = openssl(stamper.folder, "ts", "-query", "-data", "/dev/stdin", "-sha256", "-cert", data=MESSAGE).raw
    with pytest.raises(TimestampError, match="order of DER") as refused:
        token_in(stamper.reply(asking), MESSAGE)
    assert refused.value.code == "timestamp.syntax"
    assert "--timestamp-query" in refused.value.hint


RECIPE = """
jq -r '.signatures[0].timestamp' bundle/report.dsse.json | base64 -d >token
jq -r '.signatures[0].sig' bundle/report.dsse.json | base64 -d >signature
openssl ts -verify -token_in -in token -data signature -CAfile root.pem -untrusted tsa.pem
"""
"""How a third party checks a time-stamp without us; the README shows it."""


@needs_shell
def test_a_third_party_checks_a_stamp_with_openssl_and_jq(tmp_path: Path) -> None:
    world = sound_world(tmp_path / "world")
    (world.folder / "root.pem").write_bytes(pem(ROOT))
    (world.folder / "tsa.pem").write_bytes(TSA.pem)
    command = ["sh", "-e", "-c", RECIPE]
    stamp(world, AUDITOR, lambda signature: TSA.token(signature, AT))
    assert "OK" in subprocess.run(command, cwd=world.folder, capture_output=True, text=True, check=True).stdout
    stamp(world, AUDITOR, TSA.token(b"another", AT))
    assert subprocess.run(command, cwd=world.folder, capture_output=True, check=False).returncode != 0


def test_the_time_is_the_latest_that_the_token_allows() -> None:
    assert token_time(TOKEN, MESSAGE, [LISTED]) == AT
    assert token_time(TSA.token(MESSAGE, AT, accuracy=90), MESSAGE, [LISTED]) == AT + timedelta(seconds=90)


def test_a_certificate_counts_from_its_first_second_until_its_last() -> None:
    window = StampingAuthority(window=(AT, AT + timedelta(hours=1)))
    listed = parse_authority(window.pem, "tsa.pem")
    assert token_time(window.token(MESSAGE, AT), MESSAGE, [listed]) == AT
    for moment in (AT - timedelta(seconds=1), AT + timedelta(hours=1)):
        assert refusal(window.token(MESSAGE, moment), MESSAGE, listed) == "timestamp.expired"


def test_the_library_alone_would_take_a_signature_over_sha_1() -> None:
    """Why `token_time` looks at the digest itself."""
    weak = TSA.token(MESSAGE, AT, digest=SHA1)
    library = VerifierBuilder(tsa_certificate=TSA.certificate, roots=[ROOT]).build()
    assert library.verify_message(decode_timestamp_response(granted(weak)), MESSAGE)
    assert refusal(weak) == "timestamp.syntax"


def test_a_reply_that_grants_nothing_is_named() -> None:
    assert token_in(TSA.reply(MESSAGE, AT), MESSAGE) == TOKEN
    assert granted(TOKEN) == TSA.reply(MESSAGE, AT)
    with pytest.raises(TimestampError, match="not today") as refused:
        token_in(TSA.reply(MESSAGE, AT, status=2), MESSAGE)
    assert refused.value.code == "timestamp.rejected"
    with pytest.raises(TimestampError) as refused:
        token_in(TSA.reply(MESSAGE, AT), b"another")
    assert refused.value.code == "timestamp.imprint"
    with pytest.raises(TimestampError) as refused:
        token_in(TOKEN, MESSAGE)  # a bare token where a reply belongs
    assert refused.value.code == "timestamp.syntax"


def test_the_library_alone_would_take_an_issuer_that_may_stamp_for_the_authority() -> None:
    """Why `token_time` compares the signer itself."""
    issuer = certificate("Issuer", private(17).public_key(), "Issuer", private(17), ISSUER, *TSA.extensions, serial=1)
    leaf = certificate("Leaf", private(12).public_key(), "Issuer", private(17), *TSA.extensions)
    forged = TSA.token(MESSAGE, AT, signer=issuer, signing_scalar=17)
    library = VerifierBuilder(tsa_certificate=leaf, roots=[issuer]).build()
    assert library.verify_message(decode_timestamp_response(granted(forged)), MESSAGE)
    authority = parse_authority(pem(leaf, issuer), "tsa.pem")
    assert token_time(TSA.token(MESSAGE, AT, signer=leaf), MESSAGE, [authority]) == AT
    assert refusal(forged, MESSAGE, authority) == "timestamp.authority"


def test_a_certificate_that_issued_itself_needs_nobody() -> None:
    lone = certificate("Lone", private(14).public_key(), "Lone", private(14), *TSA.extensions, serial=7)
    authority = parse_authority(pem(lone), "lone.pem")
    token = StampingAuthority("Lone", 14).token(MESSAGE, AT, signer=lone)
    assert token_time(token, MESSAGE, [authority]) == AT
    assert refusal(token) == "timestamp.authority"


def test_a_chain_may_be_longer() -> None:
    middle = certificate("Middle", private(15).public_key(), "Test Root", private(11), ISSUER, serial=2)
    leaf = certificate("Leaf", private(16).public_key(), "Middle", private(15), *TSA.extensions, serial=3)
    authority = parse_authority(pem(leaf, middle, ROOT), "leaf.pem")
    token = StampingAuthority("Leaf", 16).token(MESSAGE, AT, signer=leaf)
    assert token_time(token, MESSAGE, [authority]) == AT
    with pytest.raises(TimestampError, match="right behind it"):
        parse_authority(pem(leaf, ROOT), "leaf.pem")


ESCAPE = "\x1b[2J\u202e"
"""Clears a terminal, and turns the text behind it round."""


def test_no_name_in_a_certificate_reaches_a_terminal_as_more_than_text() -> None:
    forged = certificate("Forged", private(13).public_key(), ESCAPE, private(13), *TSA.extensions)
    with pytest.raises(TimestampError) as refused:
        token_time(TSA.token(MESSAGE, AT, signer=forged), MESSAGE, [LISTED])
    assert refused.value.message.isprintable()
    lone = certificate(ESCAPE, private(14).public_key(), ESCAPE, private(14), *TSA.extensions)
    assert parse_authority(pem(lone), "lone.pem").name.isprintable()
    two = pem(certificate(ESCAPE, private(14).public_key(), "Test Root", private(14), *TSA.extensions), ROOT)
    with pytest.raises(TimestampError) as refused:
        parse_authority(two, "lone.pem")
    assert refused.value.message.isprintable()
    with pytest.raises(TimestampError) as refused:
        token_in(TSA.reply(MESSAGE, AT, status=2, told=ESCAPE), MESSAGE)
    assert refused.value.message.isprintable()


@given(st.binary(max_size=300))
def test_any_bytes_are_a_token_or_refused(data: bytes) -> None:
    assert refusal(data) in {"timestamp.syntax", "timestamp.imprint"}


@given(st.data())
def test_no_change_of_a_token_changes_its_time(data: st.DataObject) -> None:
    token = bytearray(TOKEN)
    for _ in range(data.draw(st.integers(1, 3))):
        token[data.draw(st.integers(0, len(token) - 1))] ^= data.draw(st.integers(1, 255))
    try:
        moment = token_time(bytes(token), MESSAGE, [LISTED])
    except TimestampError:
        return
    assert moment == AT  # what nobody signed may differ: a version, an algorithm's parameters


def test_the_vector_is_what_its_script_writes() -> None:
    assert build_timestamps.FILE.read_text() == build_timestamps.text()
    vector = json.loads(build_timestamps.FILE.read_text())
    token = token_in(base64.b64decode(vector["reply"]), vector["message"].encode())
    authority = parse_authority(vector["authority"].encode(), "tsa.pem")
    assert moment_text(token_time(token, vector["message"].encode(), [authority])) == vector["time"]


@pytest.mark.parametrize("broken", [b"\x7f", b"\x00"])
def test_a_broken_certificate_that_a_token_brings_is_refused(broken: bytes) -> None:
    """Found by fuzzing: the library lets other errors out than its own."""
    token = TSA.token(MESSAGE, AT, embedded=(TSA.certificate, ROOT))
    assert token_time(token, MESSAGE, [LISTED]) == AT
    version = bytes.fromhex("a003020102")  # of a certificate: v3
    assert refusal(token.replace(version, version[:-1] + broken)) in {"timestamp.signature", "timestamp.syntax"}
    serial = bytes.fromhex("a003020102020107")
    assert refusal(token.replace(serial, serial[:-1] + broken)) in {"timestamp.signature", "timestamp.syntax"}


def test_an_error_survives_the_way_from_a_worker() -> None:
    with pytest.raises(TimestampError) as refused:
        token_time(b"", MESSAGE, [LISTED])
    copy = pickle.loads(pickle.dumps(refused.value))
    assert (copy.code, copy.message, copy.hint) == (refused.value.code, refused.value.message, refused.value.hint)


def test_without_the_library_a_listed_authority_is_refused_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = sound_world(tmp_path / "world")
    monkeypatch.setitem(sys.modules, "rfc3161_client", None)
    world.verify()
    assert refusal(TOKEN) == "timestamp.extra"
    list_authority(world)
    with pytest.raises(TrustError, match="needs rfc3161-client") as refused:
        load_trust(world.folder / "trust.toml")
    assert (refused.value.code, refused.value.exit_code) == ("trust.timestamp_authorities", 2)
    assert "pip install 'fedaudit[timestamp]'" in refused.value.hint


def test_reading_about_authorities_costs_nobody_who_lists_none() -> None:
    code = "import sys, reports.verify; print({'cryptography.x509', 'rfc3161_client'} & set(sys.modules))"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "set()"
