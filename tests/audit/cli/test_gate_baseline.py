"""The gate beside an earlier report: what got worse or lost blocks, and the earlier report has to be authentic too."""

import json
from pathlib import Path
from typing import Any

import pytest

from reports.keys import generate
from reports.model import ControlRow, Interval, Measurement, fingerprint
from tests.audit.cli.gate_desk import POLICY, RATE, SOUND, Desk, finding

STEP = (
    '[[threshold]]\ncheck = "attack.linear"\nmeasurement = "rate"\nop = "<="\nlimit = 0.5\nmin_n = 100\n'
    "max_regression = 0.125\n"
)


def rate(high: float) -> tuple[Measurement, ...]:
    interval = Interval(low=0.0, high=high, confidence=0.95)
    return (Measurement(name="rate", value=0.0, interval=interval, n=900, method="counted", control=0.9),)


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    """Two bundles of one system, nothing changed between them."""
    made = Desk(tmp_path)
    made.write_policy(POLICY + STEP)
    made.bundle(
        finding("attack.linear", "pass", measurements=rate(0.25)),
        finding("integrity.artifacts", "pass", measurements=(RATE,)),
    )
    made.bundle(
        finding("attack.linear", "pass", measurements=rate(0.25)),
        finding("integrity.artifacts", "pass", measurements=(RATE,)),
        name="old",
        day=1,
    )
    return made


def old(desk: Desk) -> tuple[str, str]:
    return "--baseline", str(desk.folder / "old")


def answered(capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    document = json.loads(capsys.readouterr().out)
    assert isinstance(document, dict)
    return document


def test_where_nothing_got_worse_the_baseline_is_named_and_the_gate_passes(
    desk: Desk, capsys: pytest.CaptureFixture[str]
) -> None:
    assert desk.trusting(*old(desk)) == 0
    out = capsys.readouterr().out
    assert "\n  compared with ward 1, report " in out
    assert "NOT VERIFIED" not in out
    assert desk.unsigned(*old(desk), "--json") == 0
    document = answered(capsys)
    assert document["baseline"]["finished"] == "2026-11-01T12:00:00Z"
    assert document["baseline"]["sha256"] != document["report"]["sha256"]


def test_without_a_baseline_a_rule_about_steps_says_that_nothing_was_compared(
    desk: Desk, capsys: pytest.CaptureFixture[str]
) -> None:
    assert desk.trusting("--json") == 0
    document = answered(capsys)
    assert document["baseline"] is None
    assert [j["code"] for j in document["judgements"]] == ["ok", "regression.no_baseline"]


@pytest.mark.parametrize(("high", "code"), [(0.375, 0), (0.3751, 1)])
def test_a_step_beyond_what_is_allowed_fails(
    desk: Desk, capsys: pytest.CaptureFixture[str], high: float, code: int
) -> None:
    desk.bundle(finding("attack.linear", "pass", measurements=rate(0.25)), name="before", day=2)
    desk.bundle(finding("attack.linear", "pass", measurements=rate(high)), name="after", day=20)
    before, after = desk.folder / "before", desk.folder / "after"
    (desk.folder / "bundle").rename(desk.folder / "set-aside")
    after.rename(desk.folder / "bundle")
    assert desk.trusting("--baseline", str(before), "--json") == code
    worse = [j for j in answered(capsys)["judgements"] if j["rule"] == "threshold[0].max_regression"]
    assert [j["code"] for j in worse] == (["regression"] if code else ["ok"])


def test_an_answer_that_got_lost_is_incomplete(desk: Desk, capsys: pytest.CaptureFixture[str]) -> None:
    desk.bundle(*SOUND, finding("dp.accounting", "pass", measurements=(RATE,)), name="more", day=2)
    desk.write_policy(POLICY)
    assert desk.trusting("--baseline", str(desk.folder / "more")) == 3
    assert "regression.lost  dp.accounting passed in the baseline and is absent now" in capsys.readouterr().out


def test_a_baseline_of_another_system_is_exit_2(desk: Desk, capsys: pytest.CaptureFixture[str]) -> None:
    other = desk.bundle(
        finding("attack.linear", "pass", system="clinic", measurements=(RATE,)), name="clinic", system="clinic"
    )
    for called in (desk.trusting, desk.unsigned):
        assert called("--baseline", other, "--json") == 2
        document = answered(capsys)
        assert (document["code"], document["result"]) == ("baseline.other_system", None)
        assert document["hint"]


def test_a_baseline_by_a_stranger_is_exit_4_and_said_to_be_the_baseline(
    desk: Desk, capsys: pytest.CaptureFixture[str]
) -> None:
    strange = desk.bundle(
        finding("attack.linear", "pass", measurements=rate(0.25)), name="strange", day=1, key=generate()
    )
    assert desk.trusting("--baseline", strange, "--json") == 4
    document = answered(capsys)
    assert document["code"] == "signature.untrusted"
    assert "the baseline" in document["message"]
    assert desk.trusting("--baseline", strange) == 4
    assert capsys.readouterr().out.startswith("NOT AUTHENTIC signature.untrusted: the baseline ")
    assert desk.unsigned("--baseline", strange) == 0  # the twin: nobody asked who signed


def test_a_baseline_that_was_edited_is_exit_4(desk: Desk) -> None:
    envelope = desk.folder / "old" / "report.dsse.json"
    document = json.loads(envelope.read_text())
    first = document["payload"][40]
    document["payload"] = document["payload"][:40] + ("A" if first != "A" else "B") + document["payload"][41:]
    envelope.write_text(json.dumps(document))
    assert desk.trusting(*old(desk)) == 4


def test_a_baseline_may_be_older_than_a_report_may_and_may_lack_its_evidence(
    desk: Desk, capsys: pytest.CaptureFixture[str]
) -> None:
    fresh = (desk.folder / "trust.toml").read_text().replace("version = 1", "version = 1\nmax_age_days = 5")
    desk.write("trust.toml", fresh)
    for file in (desk.folder / "old" / "evidence").rglob("*.txt"):
        file.unlink()
    assert desk.trusting(*old(desk)) == 0
    (desk.folder / "bundle").rename(desk.folder / "set-aside")
    (desk.folder / "old").rename(desk.folder / "bundle")  # the same age, as the report itself
    capsys.readouterr()
    assert desk.trusting("--json") == 4
    assert answered(capsys)["code"] == "time.expired"


def test_a_missing_baseline_is_exit_2_and_what_is_none_3_or_with_trust_4(desk: Desk) -> None:
    absent = ("--baseline", str(desk.folder / "absent"))
    assert (desk.trusting(*absent), desk.unsigned(*absent)) == (2, 2)
    (desk.folder / "absent").mkdir()
    assert (desk.trusting(*absent), desk.unsigned(*absent)) == (4, 3)


def test_a_baseline_that_contradicts_itself_is_not_compared_with(desk: Desk) -> None:
    lying = desk.bundle(
        finding("attack.linear", "pass", measurements=(RATE,), fingerprint="0" * 32), name="lying", day=1
    )
    assert (desk.trusting("--baseline", lying), desk.unsigned("--baseline", lying)) == (4, 3)


# --- duties of the law ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("state", "support", "code"),
    [
        ("supported", "direct", 0),
        ("supported", "partial", 0),
        ("supported", "document", 3),
        ("insufficient", "partial", 3),
        ("contradicted", "direct", 1),
        (None, None, 3),
    ],
)
def test_a_required_duty_is_judged_by_the_table_of_the_report(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], state: str | None, support: str | None, code: int
) -> None:
    duty = "EU-AIA:15(5)#confidentiality"
    row = {
        "control": duty,
        "title": "Keep training data confidential",
        "role": "provider",
        "law_version": "2024-07-12",
        "applicability": "applies",
        "applicability_reason": "high-risk",
        "ceiling": "direct",
        "state": state,
        "support": support,
        "next_step": "Run the attacks.",
        "findings": [fingerprint("ward", "attack.linear", "")],
    }
    desk = Desk(tmp_path)
    desk.bundle(*SOUND, controls=[] if state is None else [ControlRow.model_validate(row)])
    desk.write_policy(POLICY + f'[[require]]\ncontrol = "{duty}"\n')
    assert desk.trusting("--json") == code
    [judged] = answered(capsys)["judgements"]
    assert judged["key"] == f"control={duty}"
