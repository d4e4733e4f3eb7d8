"""The gate as CI meets it: five exit codes, one verdict line, one JSON document, and no pass by accident."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from reports.digests import file_sha256
from reports.model import Finding
from tests.audit.cli.gate_desk import NOW, POLICY, RATE, Desk, finding

REQUIRE = '[[require]]\ncheck = "integrity.artifacts"\n'
WAIVER = """
[[waivers]]
id = "W-1"
check = "attack.linear"
system = "ward"
reason = "Retraining is scheduled for March."
owner = "lead@example.org"
approved_by = "dpo@example.org"
created = 2026-11-01
expires = 2026-11-21
"""
GATE_KEYS = {"result", "authentic", "policy", "report", "baseline", "counts", "judgements", "waivers", "withheld"}
COMMON_KEYS = {"fedaudit", "command", "exit_code", "code", "message", "hint"}


@pytest.fixture
def desk(tmp_path: Path) -> Callable[..., Desk]:
    made = Desk(tmp_path)

    def build(*findings: Finding, policy: str = POLICY) -> Desk:
        made.bundle(*findings)
        made.write_policy(policy)
        return made

    return build


# --- the five exit codes --------------------------------------------------------------------------------------------


def test_a_sound_bundle_passes_signed_and_unsigned(
    desk: Callable[..., Desk], capsys: pytest.CaptureFixture[str]
) -> None:
    sound = desk(policy=POLICY + REQUIRE)
    assert sound.trusting() == 0
    out, err = capsys.readouterr()
    assert out.startswith("PASSED: ward 1, report ")
    assert "(authentic), by policy house on 2026-11-21" in out
    assert err == ""
    assert sound.unsigned() == 0
    assert "(NOT VERIFIED, --unsigned)" in capsys.readouterr().out


def test_a_failed_finding_is_exit_1_whoever_signed_it(
    desk: Callable[..., Desk], capsys: pytest.CaptureFixture[str]
) -> None:
    failing = desk(finding("attack.linear", "fail"))
    assert failing.trusting() == 1
    out, err = capsys.readouterr()
    head, row, *tail = out.splitlines()
    assert head.startswith("FAILED")
    assert row.split()[:2] == ["fail", "finding.fail"]
    assert tail == ["  1 fail", "  findings: 1 fail"]
    assert err == ""
    assert failing.unsigned() == 1


@pytest.mark.parametrize("status", ["inconclusive", "skipped", "error"])
def test_what_is_required_and_not_decided_is_exit_3(desk: Callable[..., Desk], status: str) -> None:
    undecided = desk(finding("integrity.artifacts", status, reason="budget"), policy=POLICY + REQUIRE)
    assert undecided.trusting() == 3


def test_a_bundle_that_is_not_authentic_is_exit_4_and_not_judged(
    desk: Callable[..., Desk], capsys: pytest.CaptureFixture[str]
) -> None:
    sound = desk()
    plot = next((sound.folder / "bundle" / "evidence").rglob("*.txt"))
    plot.write_bytes(b"PLOT")
    assert sound.trusting() == 4
    assert capsys.readouterr().out.startswith("NOT AUTHENTIC evidence.")
    assert sound.trusting("--json") == 4
    document = json.loads(capsys.readouterr().out)
    assert (document["authentic"], document["result"], document["judgements"]) == (False, None, [])
    assert set(document) == GATE_KEYS | COMMON_KEYS


def test_another_model_is_exit_4(desk: Callable[..., Desk], capsys: pytest.CaptureFixture[str]) -> None:
    sound = desk()
    (sound.folder / "model.bin").write_bytes(b"WEIGHTS")
    assert sound.trusting() == 4
    assert "subject.mismatch" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "policy", "code"),
    [
        ([], POLICY, "usage"),  # neither --trust nor --unsigned
        (["--unsigned", "--trust", "trust.toml"], POLICY, "usage"),
        (["--unsigned", "--subject", "model.bin"], POLICY, "usage"),
        (["--trust", "{}/trust.toml"], POLICY, "subject.not_given"),
        (["--trust", "{}/trust.toml", "--subject", "{}/absent"], POLICY, "subject.not_found"),
        (["--trust", "{}/absent.toml", "--subject", "{}/model.bin"], POLICY, "trust.not_found"),
        (["--unsigned"], POLICY + "require_trust = true\n", "policy.require_trust"),
        (["--unsigned"], "version = 1\n", "policy.missing_key"),
        (["--unsigned"], 'version = 1\nname = "void"\n', "policy.empty"),
    ],
)
def test_a_call_at_fault_is_exit_2_and_says_the_mend(
    desk: Callable[..., Desk],
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    policy: str,
    code: str,
) -> None:
    sound = desk(policy=policy)
    arguments = [argument.replace("{}", str(sound.folder)) for argument in arguments]
    assert sound.gate(*arguments, "--now", NOW) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("error: ")
    assert len(err.splitlines()) == 2
    assert sound.gate(*arguments, "--now", NOW, "--json") == 2
    document = json.loads(capsys.readouterr().out)
    assert (document["code"], document["authentic"]) == (code, None)
    assert document["hint"]


def test_a_missing_bundle_is_exit_2_and_what_is_no_bundle_3_or_with_trust_4(desk: Callable[..., Desk]) -> None:
    sound = desk()
    shutil.rmtree(sound.folder / "bundle")
    assert sound.unsigned() == 2
    assert sound.trusting() == 2
    (sound.folder / "bundle").mkdir()
    assert sound.unsigned() == 3
    assert sound.trusting() == 4


def test_an_unsigned_bundle_that_is_torn_or_contradicts_itself_is_not_judged(
    desk: Callable[..., Desk], capsys: pytest.CaptureFixture[str]
) -> None:
    sound = desk()
    evidence = sorted((sound.folder / "bundle" / "evidence").rglob("*.txt"), key=lambda path: path.stat().st_size)
    evidence[1].unlink()  # the digits are restricted and may be absent
    assert sound.unsigned() == 0
    evidence[0].unlink()  # the plot is public and may not
    capsys.readouterr()
    assert sound.unsigned("--json") == 3
    assert json.loads(capsys.readouterr().out)["code"] == "evidence.missing"
    shutil.rmtree(sound.folder / "bundle")
    lying = desk(finding("attack.linear", "pass", measurements=(RATE,), fingerprint="0" * 32))
    assert lying.unsigned() == 3
    assert "fingerprint" in capsys.readouterr().err


# --- what else counts -----------------------------------------------------------------------------------------------


def test_withheld_evidence_is_counted_where_the_policy_denies_it(desk: Callable[..., Desk]) -> None:
    sound = desk(policy=POLICY + 'withheld = "deny"\n')
    assert (sound.trusting(), sound.unsigned()) == (0, 0)
    evidence = sorted((sound.folder / "bundle" / "evidence").rglob("*.txt"), key=lambda path: path.stat().st_size)
    evidence[1].unlink()
    assert (sound.trusting(), sound.unsigned()) == (3, 3)
    sound.write_policy(POLICY)
    assert (sound.trusting(), sound.unsigned()) == (0, 0)


def test_a_waiver_holds_through_its_last_day_and_stays_visible(
    desk: Callable[..., Desk], capsys: pytest.CaptureFixture[str]
) -> None:
    failing = desk(finding("attack.linear", "fail"), policy=POLICY + WAIVER)
    assert failing.trusting() == 0  # --now is its last day
    out = capsys.readouterr().out
    assert "waived" in out
    assert "(waiver W-1)" in out
    assert failing.trusting("--today", "2026-11-22") == 1
    out = capsys.readouterr().out
    assert "Waiver W-1 expired on 2026-11-21" in out
    assert failing.trusting("--today", "soon") == 2


def test_a_waiver_for_one_model_is_known_by_the_subjects_of_the_report(desk: Callable[..., Desk]) -> None:
    failing = desk(finding("attack.linear", "fail"))
    for digest, code in ((file_sha256(failing.folder / "model.bin"), 0), ("f" * 64, 1)):
        failing.write_policy(POLICY + WAIVER + f'subject_sha256 = "{digest}"\n')
        assert failing.trusting() == code


def test_json_holds_the_keys_of_the_specification(
    desk: Callable[..., Desk], capsys: pytest.CaptureFixture[str]
) -> None:
    threshold = '[[threshold]]\ncheck = "attack.*"\nmeasurement = "rate"\nop = "<="\nlimit = 0.002\n'
    sound = desk(policy=POLICY + threshold + WAIVER)
    assert sound.trusting("--json") == 3
    document = json.loads(capsys.readouterr().out)
    assert set(document) == GATE_KEYS | COMMON_KEYS
    assert (document["command"], document["code"], document["result"]) == ("gate", "gate.incomplete", "incomplete")
    assert document["authentic"] is True
    assert document["counts"] == {"pass": 2, "fail": 0, "inconclusive": 0, "skipped": 0, "error": 0}
    assert document["waivers"] == [{"id": "W-1", "state": "unused"}]
    assert document["report"]["finished"] == "2026-11-20T12:00:00Z"
    judged = document["judgements"][0]
    assert set(judged) == {
        "rule", "check", "key", "fingerprint", "measurement", "outcome", "code", "value", "low", "high", "n", "op",
        "limit", "message", "waiver",
    }  # fmt: skip
    assert (judged["code"], judged["high"], judged["limit"]) == ("threshold.undecided", 0.004, 0.002)
    assert "trials would decide" in judged["message"]


def test_hostile_words_of_a_report_cannot_steer_the_terminal(
    desk: Callable[..., Desk], capsys: pytest.CaptureFixture[str]
) -> None:
    hostile = finding("attack.linear", "fail").model_copy(update={"summary": "safe\u202eliaf\nPASSED: ward"})
    assert desk(hostile).unsigned() == 1
    out = capsys.readouterr().out
    assert "\u202e" not in out
    assert not any(line.startswith("PASSED") for line in out.splitlines())
