"""`fedaudit keygen`, `sign` and `verify` as their users meet them: two signers, two machines, an authority between."""

import json
import shlex
import shutil
import stat
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from audit.cli.main import run
from reports.bundle import read_bundle
from reports.export_sigstore import sigstore_bundles
from reports.keyfile import private_pem
from reports.timestamp import timestamp_query
from tests.reports.authority import TSA
from tests.reports.conformance.world import AUDITOR, FINISHED, PROVIDER, STRANGER, World, sound_world
from tests.reports.openssl_authority import STAMPER, OpensslAuthority

LATER = FINISHED + timedelta(hours=1)
NOW = "2026-11-21T12:00:00Z"
Fedaudit = Callable[..., dict[str, Any]]


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    """The sound world, with its keys and that of a stranger; commands run in its folder."""
    world = sound_world(tmp_path / "world")
    for name, key in {"auditor": AUDITOR, "provider": PROVIDER, "stranger": STRANGER}.items():
        (world.folder / f"{name}.key").write_bytes(private_pem(key, None))
        (world.folder / f"{name}.key").chmod(0o600)
    monkeypatch.chdir(world.folder)
    monkeypatch.delenv("FEDAUDIT_KEY_PASSWORD", raising=False)
    return world


@pytest.fixture
def fedaudit(capsys: pytest.CaptureFixture[str]) -> Fedaudit:
    """Runs a command line and returns its JSON document; `code` is the exit code that it must have."""

    def call(line: str, *, code: int = 0) -> dict[str, Any]:
        capsys.readouterr()
        assert run([*shlex.split(line), "--json"]) == code
        return dict(json.loads(capsys.readouterr().out))

    return call


def test_a_key_is_made_encrypted_for_its_owner_alone_and_never_twice(
    tmp_path: Path, fedaudit: Fedaudit, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("word").write_text("correct horse battery\n")
    made = fedaudit("keygen -o k --passphrase-file word")
    assert (made["encrypted"], made["algorithm"], made["public_key"]) == (True, "ecdsa-p256", "k.pub")
    assert b"ENCRYPTED" in Path("k").read_bytes()
    assert stat.S_IMODE(Path("k").stat().st_mode) == 0o600
    before = Path("k").read_bytes()
    assert fedaudit("keygen -o k --passphrase-file word", code=2)["code"] == "key.exists"
    assert Path("k").read_bytes() == before
    assert fedaudit("keygen -o bare --no-passphrase --algorithm ed25519")["encrypted"] is False


def test_a_passphrase_comes_from_a_file_or_the_environment_and_never_from_a_guess(
    tmp_path: Path,
    world: World,
    fedaudit: Fedaudit,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    Path("word").write_text("correct horse battery\n")
    Path("short").write_text("elevenchars\n")
    fedaudit("keygen -o k --passphrase-file word")
    assert fedaudit("keygen -o other --passphrase-file short", code=2)["code"] == "key.passphrase"
    assert not Path("other").exists()
    sign = "sign bundle --key k --role provider"
    assert fedaudit(sign, code=2)["code"] == "key.passphrase"  # nowhere to ask: no terminal
    monkeypatch.setenv("FEDAUDIT_KEY_PASSWORD", "correct horse batterz")
    refused = fedaudit(sign, code=2)
    assert refused["code"] == "key.passphrase"
    assert "batter" not in json.dumps(refused)
    assert len(read_bundle(world.bundle).envelope.signatures) == 2
    monkeypatch.setenv("FEDAUDIT_KEY_PASSWORD", "correct horse battery")
    assert len(fedaudit(sign)["signatures"]) == 3


@pytest.mark.parametrize(
    ("key", "code"),
    [("auditor.pub", "key.not_private"), ("gone.key", "key.not_found"), ("trust.toml", "key.not_private")],
)
def test_what_is_no_private_key_signs_nothing(world: World, fedaudit: Fedaudit, key: str, code: str) -> None:
    before = world.envelope.read_bytes()
    assert fedaudit("sign bundle --key auditor.key --role auditor")["keyid"] == AUDITOR.keyid
    assert fedaudit(f"sign bundle --key {key} --role auditor", code=2)["code"] == code
    assert read_bundle(world.bundle).envelope.signatures_of(AUDITOR.public)
    assert len(before) == len(world.envelope.read_bytes())


def test_a_key_that_others_may_read_signs_with_a_warning(
    world: World, fedaudit: Fedaudit, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("auditor.key").chmod(0o644)
    assert run(["sign", "bundle", "--key", "auditor.key", "--role", "auditor"]) == 0
    assert "can be read by others; 'chmod 600 auditor.key' mends it" in capsys.readouterr().err


WALK = """
keygen -o provider.key --no-passphrase
sign bundle --key provider.key --role provider
"""
"""What the provider runs, on a machine of its own, on the bundle that the auditor sent."""
TRUST = """version = 1
[require]
auditor = 1
provider = 1
[[keys]]
name = "A. Auditor, Audit Office"
role = "auditor"
public_key = "auditor.pub"
[[keys]]
name = "P. Provider, Ward Systems"
role = "provider"
public_key = "provider.key.pub"
"""


def test_auditor_and_provider_sign_the_same_bytes_on_two_machines(
    tmp_path: Path, fedaudit: Fedaudit, monkeypatch: pytest.MonkeyPatch
) -> None:
    office, ward = tmp_path / "office", tmp_path / "ward"
    world = sound_world(office)
    world.set_envelope(signatures=world.members()["signatures"][:1])  # the auditor's alone
    ward.mkdir()
    shutil.copytree(office / "bundle", ward / "bundle")
    monkeypatch.chdir(ward)
    for line in WALK.strip().splitlines():
        fedaudit(line)
    verifier = tmp_path / "verifier"
    shutil.copytree(ward / "bundle", verifier / "bundle")
    for path in (office / "auditor.pub", office / "model.bin", ward / "provider.key.pub"):
        shutil.copy(path, verifier)
    monkeypatch.chdir(verifier)
    Path("trust.toml").write_text(TRUST)
    verify = f"verify bundle --trust trust.toml --subject model.bin --now {NOW}"
    answer = fedaudit(verify)
    assert [(one["role"], one["algorithm"], one["counted"]) for one in answer["signers"]] == [
        ("auditor", "ecdsa-p256", True),
        ("provider", "ecdsa-p256", True),
    ]
    assert world.members()["payload"] == json.loads(Path("bundle/report.dsse.json").read_text())["payload"]
    shutil.rmtree("bundle")
    shutil.copytree(office / "bundle", "bundle")  # the control: as it left the auditor
    assert fedaudit(verify, code=4)["code"] == "signature.threshold"


def test_a_signature_is_stamped_between_the_query_and_the_reply(world: World, fedaudit: Fedaudit) -> None:
    [before, _] = read_bundle(world.bundle).envelope.signatures
    asked = fedaudit("sign bundle --key auditor.key --role auditor --timestamp-query a.tsq")
    assert (asked["timestamp_query"], asked["stamped"], len(asked["signatures"])) == ("a.tsq", False, 2)
    [signature] = read_bundle(world.bundle).envelope.signatures_of(AUDITOR.public)
    assert signature == before  # who signed before does not sign again
    Path("a.tsr").write_bytes(TSA.reply(signature.sig, LATER))
    assert fedaudit("sign bundle --key auditor.pub --role auditor --timestamp a.tsr")["stamped"] is True
    Path("tsa.pem").write_bytes(TSA.pem)
    world.write_trust(timestamp_authorities=[{"certificate": '"tsa.pem"'}])
    verified = fedaudit(f"verify bundle --trust trust.toml --subject model.bin --now {NOW} --renderings")
    assert [one["stamped_at"] for one in verified["signers"]] == ["2026-11-20T10:30:00Z", None]
    assert any("back-date (P. Provider)" in warning for warning in verified["warnings"])
    envelope = read_bundle(world.bundle).envelope
    for name, data in sigstore_bundles(envelope).items():
        assert (world.bundle / "render" / name).read_bytes() == data
    (world.bundle / "render" / f"{AUDITOR.keyid[:16]}.sigstore.json").write_bytes(b"{}")
    refused = fedaudit(f"verify bundle --trust trust.toml --subject model.bin --now {NOW} --renderings", code=4)
    assert refused["code"] == "render.mismatch"


def test_a_real_authority_s_reply_is_attached_and_counts(
    tmp_path: Path, world: World, fedaudit: Fedaudit, capsys: pytest.CaptureFixture[str]
) -> None:
    if datetime.now(UTC) < LATER:
        pytest.skip("the clock of this machine is before the report's")
    fedaudit("sign bundle --key provider.key --role provider --timestamp-query p.tsq")
    Path("p.tsr").write_bytes(OpensslAuthority(tmp_path).reply(Path("p.tsq").read_bytes()))
    fedaudit("sign bundle --key provider.key --role provider --timestamp p.tsr")
    Path("tsa.pem").write_bytes(STAMPER.pem)
    entry = {"name": '"P"', "role": '"provider"', "public_key": '"provider.pub"'}
    revoked = {"revoked_at": "2026-11-20T00:00:00Z", "revoked_reason": '"compromised"'}
    keys = {"require": {"provider": 1}, "timestamp_authorities": [{"certificate": '"tsa.pem"'}], "max_age_days": None}
    world.write_trust(**keys, require_timestamp="true", keys=[entry])
    verify = ["verify", "bundle", "--trust", "trust.toml", "--subject", "model.bin"]
    now = f"{datetime.now(UTC) + timedelta(seconds=2):%Y-%m-%dT%H:%M:%SZ}"
    capsys.readouterr()
    assert run([*verify, "--now", now]) == 0
    assert "(time-stamped 20" in capsys.readouterr().out
    world.write_trust(**keys, keys=[entry | revoked])  # stamped after it was stolen: the stamp convicts
    assert run([*verify, "--now", now]) == 4


def test_a_zip_is_asked_about_and_never_written(world: World, fedaudit: Fedaudit) -> None:
    shutil.make_archive("sealed", "zip", "bundle")
    before = Path("sealed.zip").read_bytes()
    fedaudit("sign sealed.zip --key auditor.key --role auditor --timestamp-query a.tsq")
    [signature] = read_bundle(world.bundle).envelope.signatures_of(AUDITOR.public)
    assert Path("a.tsq").read_bytes() == timestamp_query(signature.sig)
    Path("a.tsr").write_bytes(TSA.reply(signature.sig, LATER))
    for options in ("", "--timestamp a.tsr"):
        refused = fedaudit(f"sign sealed.zip --key auditor.key --role auditor {options}", code=2)
        assert refused["code"] == "bundle.zip"
    assert fedaudit("sign sealed.zip --key stranger.key --role auditor --timestamp-query s.tsq", code=2)
    assert not Path("s.tsq").exists()
    assert Path("sealed.zip").read_bytes() == before


REFUSED: dict[str, tuple[bytes, str, str]] = {
    "no reply": (b"ward", "auditor.pub", "timestamp.syntax"),
    "too long": (b"0" * (1 << 17), "auditor.pub", "timestamp.too_large"),
    "refused": (TSA.reply(b"", LATER, status=2), "auditor.pub", "timestamp.rejected"),
    "about another signature": (TSA.reply(b"another", LATER), "auditor.pub", "timestamp.imprint"),
    "of a key that did not sign": (TSA.reply(b"another", LATER), "stranger.key", "timestamp.no_signature"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_a_reply_that_is_not_about_the_signature_changes_nothing(world: World, fedaudit: Fedaudit, name: str) -> None:
    reply, key, code = REFUSED[name]
    Path("a.tsr").write_bytes(reply)
    before = world.envelope.read_bytes()
    assert fedaudit(f"sign bundle --key {key} --role auditor --timestamp a.tsr", code=2)["code"] == code
    assert world.envelope.read_bytes() == before


def test_signing_again_keeps_the_stamp_where_the_signature_stays_the_same(world: World, fedaudit: Fedaudit) -> None:
    [signature] = read_bundle(world.bundle).envelope.signatures_of(PROVIDER.public)
    Path("p.tsr").write_bytes(TSA.reply(signature.sig, LATER))
    fedaudit("sign bundle --key provider.pub --role provider --timestamp p.tsr")
    again = fedaudit("sign bundle --key provider.key --role provider")  # Ed25519: always the same
    assert again["stamped"] is True


@pytest.mark.parametrize(
    ("options", "code"),
    [
        ("--timestamp-query a.tsq --timestamp a.tsr", "usage"),
        ("--timestamp gone.tsr", "file.missing"),
        ("--timestamp .", "file.folder"),
        ("--timestamp-query gone/a.tsq", "io.no_folder"),
        ("--timestamp-query bundle/a.tsq", "render.inside_bundle"),
    ],
)
def test_a_wrong_call_is_refused_and_signs_nothing(world: World, fedaudit: Fedaudit, options: str, code: str) -> None:
    before = world.envelope.read_bytes()
    assert fedaudit(f"sign bundle --key stranger.key --role auditor {options}", code=2)["code"] == code
    assert world.envelope.read_bytes() == before
