"""The files that judge: waivers from elsewhere, a lint without a bundle; and the verdict as an attestation."""

import base64
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from audit.cli.main import run
from reports.dsse import parse_envelope
from reports.keyfile import write_key_pair
from reports.keys import Algorithm, generate
from tests.audit.cli.gate_desk import NOW, POLICY, RATE, TRUST, Desk, finding

WAIVER = """
[[waivers]]
id = "W-1"
check = "attack.linear"
system = "ward"
reason = "Retraining is scheduled for March."
owner = "lead@example.org"
approved_by = "dpo@example.org"
created = 2026-11-01
expires = 2027-01-31
"""


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    """A bundle with one failure, on an empty policy but for fail_on."""
    made = Desk(tmp_path)
    made.bundle(finding("attack.linear", "fail", measurements=(RATE,)))
    return made


def answered(capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    document = json.loads(capsys.readouterr().out)
    assert isinstance(document, dict)
    return document


# --- waivers from a file that the change cannot edit ----------------------------------------------------------------


def test_a_waiver_in_its_own_file_excuses_and_stays_visible(desk: Desk, capsys: pytest.CaptureFixture[str]) -> None:
    assert desk.trusting() == 1
    waivers = desk.write("waivers.toml", WAIVER)
    capsys.readouterr()
    assert desk.trusting("--waivers", waivers, "--json") == 0
    document = answered(capsys)
    assert document["waivers"] == [{"id": "W-1", "state": "applied"}]
    assert [(j["outcome"], j["waiver"]) for j in document["judgements"]] == [("waived", "W-1")]


def test_a_change_cannot_exempt_itself_where_ci_says_where_waivers_are(
    desk: Desk, capsys: pytest.CaptureFixture[str]
) -> None:
    """The base branch holds a file without waivers; the change put one into its policy."""
    desk.write_policy(POLICY + WAIVER)
    assert desk.trusting() == 0  # the twin: nobody said where waivers are read
    capsys.readouterr()
    base = desk.write("base-waivers.toml", "")
    assert desk.trusting("--waivers", base, "--json") == 2
    document = answered(capsys)
    assert (document["code"], document["result"]) == ("policy.waivers_twice", None)
    desk.write_policy(POLICY)
    assert desk.trusting("--waivers", base) == 1


def test_the_last_days_of_a_waiver_are_told_and_it_still_holds(desk: Desk, capsys: pytest.CaptureFixture[str]) -> None:
    waivers = desk.write("waivers.toml", WAIVER)
    for day, told, code in (
        ("2027-01-16", False, 0),
        ("2027-01-17", True, 0),
        ("2027-01-31", True, 0),
        ("2027-02-01", False, 1),
    ):
        assert desk.trusting("--waivers", waivers, "--today", day) == code
        assert ("waiver.expires_soon" in capsys.readouterr().out) == told


@pytest.mark.parametrize(
    ("text", "code"),
    [
        (WAIVER.replace('owner = "lead@example.org"\n', ""), "policy.missing_key"),
        (WAIVER.replace("lead@", "dpo@"), "policy.waiver_approver"),
        (WAIVER.replace("2027-01-31", "2027-11-01"), "policy.waiver_length"),
        (WAIVER.replace("2027-01-31", "2026-10-01"), "policy.waiver_dates"),
        (WAIVER.replace("reason", "because"), "policy.missing_key"),
        ("waivers = [", "policy.syntax"),
    ],
)
def test_a_fault_in_the_waivers_is_exit_2_judging_and_linting(
    desk: Desk, capsys: pytest.CaptureFixture[str], text: str, code: str
) -> None:
    waivers = desk.write("waivers.toml", text)
    assert desk.trusting("--waivers", waivers, "--json") == 2
    judging = answered(capsys)
    assert desk_lint(desk, "--waivers", waivers, "--json") == 2
    linting = answered(capsys)
    for document in (judging, linting):
        assert (document["code"], document["judgements"]) == (code, [])
        assert "waivers.toml" in document["message"]
        assert document["hint"]


# --- lint -----------------------------------------------------------------------------------------------------------


def desk_lint(desk: Desk, *more: str) -> int:
    return run(["gate", "--lint", "--policy", str(desk.folder / "policy.toml"), "--now", NOW, *more])


def test_files_without_fault_are_named_and_nothing_is_judged(desk: Desk, capsys: pytest.CaptureFixture[str]) -> None:
    waivers, trust = desk.write("waivers.toml", WAIVER), str(desk.folder / "trust.toml")
    assert desk_lint(desk, "--trust", trust, "--waivers", waivers) == 0
    out = capsys.readouterr().out
    assert out.startswith("no fault in ")
    assert all(name in out for name in ("policy.toml", "trust.toml", "waivers.toml", "house"))
    assert len(out.splitlines()) == 1
    assert desk_lint(desk, "--json") == 0
    document = answered(capsys)
    assert (document["code"], document["result"], document["authentic"]) == ("ok", None, None)
    assert document["policy"]["name"] == "house"
    assert (document["judgements"], document["waivers"], document["report"]) == ([], [], None)


@pytest.mark.parametrize(
    ("policy", "trust", "code"),
    [
        ("version = 1\n", TRUST, "policy.missing_key"),
        ('version = 1\nname = "void"\n', TRUST, "policy.empty"),
        (POLICY + "limit = nan\n", TRUST, "policy.unknown_key"),
        (POLICY + WAIVER.replace("lead@", "dpo@"), TRUST, "policy.waiver_approver"),
        (POLICY, TRUST.replace("auditor = 1", "auditor = 0"), "trust.no_requirement"),
        (POLICY, TRUST.replace('role = "auditor"', 'role = "boss"'), "trust.role"),
    ],
)
def test_a_fault_is_exit_2_with_file_and_mend(
    desk: Desk, capsys: pytest.CaptureFixture[str], policy: str, trust: str, code: str
) -> None:
    desk.write_policy(policy)
    assert desk_lint(desk, "--trust", desk.write("trust.toml", trust), "--json") == 2
    document = answered(capsys)
    assert document["code"] == code
    assert ".toml" in document["message"]
    assert document["hint"]


def test_what_can_never_be_satisfied_or_soon_lapses_is_a_warning(
    desk: Desk, capsys: pytest.CaptureFixture[str]
) -> None:
    duties = '[[require]]\ncontrol = "EU-AIA:15(5)#confidentiality"\n[[require]]\ncontrol = "EU-AIA:15(5)#nonsense"\n'
    desk.write_policy(POLICY + duties + WAIVER.replace("2027-01-31", "2026-11-30"))
    trust = desk.write("trust.toml", TRUST + "not_after = 2026-11-21T11:59:59Z\n")
    assert desk_lint(desk, "--trust", trust, "--json") == 0
    warned = [(j["outcome"], j["rule"], j["code"]) for j in answered(capsys)["judgements"]]
    assert warned == [
        ("warn", "require[1]", "policy.control"),
        ("warn", "trust.require.auditor", "trust.too_few_keys"),
        ("warn", "waivers[0]", "waiver.expires_soon"),
    ]
    assert desk_lint(desk, "--trust", trust, "--now", "2026-11-01T00:00:00Z") == 0
    assert len(capsys.readouterr().out.splitlines()) == 2  # on that day only the duty that nobody knows


@pytest.mark.parametrize(
    ("more", "word"),
    [
        (["bundle"], "BUNDLE"),
        (["--unsigned"], "--unsigned"),
        (["--subject", "model.bin"], "--subject"),
        (["--baseline", "old"], "--baseline"),
        (["--sarif", "out"], "--sarif"),
        (["--svr", "out"], "--svr"),
    ],
)
def test_what_speaks_of_a_bundle_is_refused_beside_lint(
    desk: Desk, capsys: pytest.CaptureFixture[str], more: Sequence[str], word: str
) -> None:
    assert desk_lint(desk, *more, "--json") == 2
    assert word in answered(capsys)["message"]


def test_without_a_bundle_and_without_lint_the_call_is_at_fault(desk: Desk, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["gate", "--policy", str(desk.folder / "policy.toml"), "--unsigned"]) == 2
    assert "BUNDLE" in capsys.readouterr().err


@pytest.mark.parametrize("policy", [POLICY, POLICY + '[[require]]\ncontrol = "EU-AIA:15(3)"\n'])
def test_linting_and_judging_load_no_renderer_and_no_numbers(desk: Desk, policy: str) -> None:
    desk.write_policy(policy)
    heavy = ["numpy", "scipy", "torch", "httpx", "rich", "jinja2", "opacus", "sklearn", "joblib"]
    script = (
        "import sys; from audit.cli.main import run; run(sys.argv[1:]); "
        f"sys.exit(7 if [m for m in {heavy!r} if m in sys.modules] else 0)"
    )
    rules = ["--policy", str(desk.folder / "policy.toml")]
    for arguments in (["gate", "--lint", *rules], ["gate", str(desk.folder / "bundle"), "--unsigned", *rules]):
        done = subprocess.run([sys.executable, "-c", script, *arguments], capture_output=True, check=False)
        assert done.returncode == 0, done.stderr


# --- the verdict, attested ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("status", "code", "word"), [("pass", 0, "PASSED"), ("fail", 1, "FAILED")])
def test_the_verdict_is_attested_whatever_it_is(tmp_path: Path, status: str, code: int, word: str) -> None:
    desk = Desk(tmp_path)
    desk.bundle(finding("attack.linear", status, measurements=(RATE,)))
    svr = tmp_path / "verdict.json"
    assert desk.trusting("--svr", str(svr)) == code
    statement = json.loads(svr.read_text())
    assert statement["predicateType"] == "https://in-toto.io/attestation/svr/v0.2"
    assert statement["predicate"]["timeCreated"] == NOW
    assert f"FEDAUDIT_GATE_{word}" in statement["predicate"]["properties"]


@pytest.mark.parametrize("passphrase", [None, b"correct horse battery"])
def test_a_key_signs_the_attestation(desk: Desk, monkeypatch: pytest.MonkeyPatch, passphrase: bytes | None) -> None:
    key = generate()
    files = write_key_pair(desk.folder / "ci.key", key, passphrase)
    if passphrase:
        monkeypatch.setenv("FEDAUDIT_KEY_PASSWORD", passphrase.decode())
    svr = desk.folder / "verdict.json"
    assert desk.trusting("--svr", str(svr), "--key", str(files.private)) == 1
    envelope = parse_envelope(svr.read_bytes())
    assert envelope.signed_by(key.public)
    assert not envelope.signed_by(desk.key.public)
    assert envelope.body == base64.b64decode(json.loads(svr.read_text())["payload"])
    assert json.loads(envelope.body)["predicateType"] == "https://in-toto.io/attestation/svr/v0.2"


@pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl is not installed")
@pytest.mark.parametrize("algorithm", ["ecdsa-p256", "ed25519"])
def test_openssl_verifies_the_attestation(desk: Desk, algorithm: Algorithm) -> None:
    files = write_key_pair(desk.folder / "ci.key", generate(algorithm), None)
    svr = desk.folder / "verdict.json"
    assert desk.trusting("--svr", str(svr), "--key", str(files.private)) == 1
    envelope = json.loads(svr.read_text())
    body, kind = base64.b64decode(envelope["payload"]), envelope["payloadType"]
    signature = desk.folder / "signature"
    signature.write_bytes(base64.b64decode(envelope["signatures"][0]["sig"]))

    def verified(signed: bytes) -> bool:
        encoded = desk.folder / "pae"  # secure-systems-lab/dsse: protocol.md, by its own words
        encoded.write_bytes(b"DSSEv1 %d %s %d %s" % (len(kind), kind.encode(), len(signed), signed))
        line = ["openssl", "pkeyutl", "-verify", "-pubin", "-inkey", str(files.public), "-rawin"]
        done = subprocess.run(
            [*line, "-in", str(encoded), "-sigfile", str(signature)], capture_output=True, check=False
        )
        return done.returncode == 0

    assert verified(body)
    assert not verified(body.replace(b"GATE_FAILED", b"GATE_PASSED"))


def test_of_what_nobody_verified_nothing_is_attested(desk: Desk, capsys: pytest.CaptureFixture[str]) -> None:
    svr = desk.folder / "verdict.json"
    assert desk.unsigned("--svr", str(svr), "--json") == 2
    assert answered(capsys)["code"] == "usage"
    (desk.folder / "model.bin").write_bytes(b"WEIGHTS")
    assert desk.trusting("--svr", str(svr)) == 4
    assert not svr.exists()


def test_a_key_without_an_attestation_a_bad_key_and_a_bad_place_are_exit_2(
    desk: Desk, capsys: pytest.CaptureFixture[str]
) -> None:
    svr, public = str(desk.folder / "verdict.json"), str(desk.folder / "auditor.pub")
    for arguments, code in (
        (["--key", public], "usage"),
        (["--svr", svr, "--key", public], "key.not_private"),
        (["--svr", svr, "--key", str(desk.folder / "absent")], "key.not_found"),
        (["--svr", str(desk.folder / "no" / "verdict.json")], "io.no_folder"),
        (["--svr", str(desk.folder / "bundle" / "verdict.json")], "render.inside_bundle"),
    ):
        assert desk.trusting(*arguments, "--json") == 2
        assert answered(capsys)["code"] == code
    assert not os.path.lexists(svr)
