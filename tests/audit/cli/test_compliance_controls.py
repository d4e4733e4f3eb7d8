"""`fedaudit compliance controls`: the duties of a day, citations with their status, and every slip met with advice."""

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from audit.cli.main import run
from compliance.timeline import STATES

ON = ("--on", "2026-11-22")
Captured = pytest.CaptureFixture[str]


def asked(capsys: Captured, *arguments: str, code: int = 0) -> dict[str, Any]:
    """Return the JSON answer to one line, having checked its exit code and envelope."""
    assert run(["compliance", "controls", *arguments, "--json"]) == code
    found: dict[str, Any] = json.loads(capsys.readouterr().out)
    assert (found["command"], found["exit_code"]) == ("compliance controls", code)
    return found


def test_the_listing_has_every_duty_of_the_version_of_the_day(capsys: Captured) -> None:
    found = asked(capsys, *ON)
    assert (found["law_version"], found["on"]) == ("2026-07-27", "2026-11-22")
    assert found["counts"]["total"] == len(found["controls"]) == 140
    states = [one["applicability"]["state"] for one in found["controls"]]
    assert {state: states.count(state) for state in set(states)} == {
        state: number for state, number in found["counts"].items() if state != "total"
    }
    assert "not_addressed" not in states and set(states) <= set(STATES)
    by_id = {one["id"]: one for one in found["controls"]}
    assert set(by_id["EU-AIA:15(5)#confidentiality"]) == {
        *("id", "citations", "text", "role", "condition", "polarity", "ceiling", "evidence_kinds", "oscal"),
        "applicability",
    }
    leak = by_id["EU-AIA:15(5)#confidentiality"]
    assert (leak["oscal"], leak["ceiling"]) == ("eu-aia-15.5-confidentiality", "direct")
    assert leak["applicability"]["dates"] == {"annex_iii": "2027-12-02", "annex_i": "2028-08-02"}
    assert (leak["applicability"]["state"], leak["applicability"]["from"]) == ("not_yet", "2027-12-02")
    assert by_id["EU-AIA:50(2)"]["applicability"]["state"] == "condition_unknown"
    assert {"EU-AIA:9(3)", "EU-AIA:13(3)(b)(vii)"} <= set(found["uncovered"])


def test_a_day_before_the_amendment_asks_the_text_of_2024(capsys: Captured) -> None:
    assert asked(capsys, "--on", "2026-07-26")["law_version"] == "2024"
    old = asked(capsys, *ON, "--law-version", "2024", "--match", "EU-AIA:10(5)")
    assert [one["applicability"]["state"] for one in old["controls"]] == ["repealed"]


def test_role_condition_annex_market_day_and_state_decide(capsys: Captured) -> None:
    deployer = asked(capsys, *ON, "--role", "deployer")
    states = {one["id"]: one["applicability"]["state"] for one in deployer["controls"]}
    assert (states["EU-AIA:9(1)"], states["EU-AIA:26(1)"]) == ("not_addressed", "not_yet")
    words = ("--condition", "generates-content", "--condition", "no-personal-data")
    declared = {one["id"]: one["applicability"]["state"] for one in asked(capsys, *ON, *words)["controls"]}
    assert (declared["EU-AIA:50(2)"], declared["GDPR:5(2)"]) == ("applies", "not_addressed")
    one = ("--match", "EU-AIA:15(5)", "--on", "2028-01-01")
    late = ("--annex", "III", "--placed-on-market", "2027-12-01")
    assert asked(capsys, *one)["counts"] == {"total": 1, "applies": 1}
    assert asked(capsys, *one, "--annex", "I")["counts"] == {"total": 1, "not_yet": 1}
    assert asked(capsys, *one, *late)["counts"] == {"total": 1, "transitional": 1}
    assert asked(capsys, *one, "--state", "repealed")["controls"] == []


def test_all_adds_the_duties_of_the_other_versions(capsys: Captured) -> None:
    found = asked(capsys, *ON, "--all")
    assert found["counts"]["total"] == 143 and found["counts"]["not_in_version"] == 3


def test_a_citation_is_answered_with_its_status_successor_and_duties(capsys: Captured, tmp_path: Path) -> None:
    file = tmp_path / "cited.txt"
    file.write_text("Art. 10(5)\n\n  Annex IV(10)\nnonsense\n", encoding="utf-8")
    cites = ("--cite", "Art. 10(2)(f)-(g)", "--cite", "EU-AIA:13(3)(b)(vii)", "--cite-file", str(file))
    found = asked(capsys, *ON, *cites)
    assert "controls" not in found and "uncovered" not in found
    rows = [(one["input"], one["canonical"], one["status"], one["successor"]) for one in found["citations"]]
    assert rows == [
        ("Art. 10(2)(f)-(g)", "EU-AIA:10(2)(f)", "ok", None),
        ("Art. 10(2)(f)-(g)", "EU-AIA:10(2)(g)", "ok", None),
        ("EU-AIA:13(3)(b)(vii)", "EU-AIA:13(3)(b)(vii)", "ok", None),
        ("Art. 10(5)", "EU-AIA:10(5)", "deleted", "EU-AIA:4a(1)"),
        ("Annex IV(10)", "EU-AIA:annex-IV(10)", "no_such_point", None),
        ("nonsense", None, "unparsable", None),
    ]
    held = [one["controls"] for one in found["citations"]]
    assert held == [["EU-AIA:10(2)(f)"], ["EU-AIA:10(2)(g)"], [], [], [], []]
    assert "10 in all of EU-AIA:13" in found["citations"][2]["message"]
    assert found["citations"][3]["on"] == "2026-07-27"


def test_people_read_lines_and_no_verdict(capsys: Captured) -> None:
    assert run(["compliance", "controls", *ON, "--role", "provider", "--no-color"]) == 0
    text = capsys.readouterr().out
    assert "140 duties, AI Act version 2026-07-27" in text and "EU-AIA:26(1):" not in text
    ours = re.sub(r"(?m)^    .*$", "", text)  # the duties' own words may name a declaration of conformity
    assert not re.search(r"complian|certif|conform|legal advice", ours, re.IGNORECASE)
    assert run(["compliance", "controls", *ON, "--cite", "Art. 15(5)", "--no-color"]) == 0
    assert "duties: EU-AIA:15(5), EU-AIA:15(5)#data-poisoning" in capsys.readouterr().out


def test_the_catalogue_is_written_as_oscal_and_as_json(capsys: Captured, tmp_path: Path) -> None:
    output = tmp_path / "catalog.json"
    assert run(["compliance", "controls", *ON, "--format", "oscal", "-o", str(output)]) == 0
    assert capsys.readouterr().out.startswith("wrote ")
    catalog = json.loads(output.read_text(encoding="utf-8"))["catalog"]
    assert catalog["metadata"]["oscal-version"] == "1.2.1"
    assert sum(len(group["controls"]) for group in catalog["groups"]) == 140
    assert run(["compliance", "controls", *ON, "--format", "json"]) == 0
    assert len(json.loads(capsys.readouterr().out)["controls"]) == 140
    written = asked(capsys, *ON, "-o", str(tmp_path / "rows.json"))
    assert written["output"].endswith("rows.json")
    assert len(json.loads((tmp_path / "rows.json").read_text(encoding="utf-8"))["controls"]) == 140


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["--law-version", "2023"], "2024, 2026-07-27"),
        (["--on", "22.11.2026"], "2026-11-21"),
        (["--role", "vendor"], "provider"),
        (["--condition", "biometrics"], "remote-biometric-identification"),
        (["--match", "EU-AIA:15(9)"], "EU-AIA:15("),
        (["--state", "compliant"], "applies"),
        (["--annex", "IV"], "III"),
        (["--cite-file", "nowhere.txt"], "nowhere.txt"),
        (["--format", "oscal"], "stdout"),
        (["--format", "oscal", "--cite", "Art. 9"], "--cite"),
        (["-o", "nowhere/rows.json"], "nowhere"),
    ],
)
def test_a_slip_is_met_with_the_allowed_values(capsys: Captured, arguments: list[str], named: str) -> None:
    found = asked(capsys, *arguments, code=2)
    assert named in f"{found['message']} {found['hint']}"


def test_a_file_of_citations_that_is_no_text_is_refused(capsys: Captured, tmp_path: Path) -> None:
    file = tmp_path / "cited.txt"
    file.write_bytes(b"\xff\xfe\x00")
    assert asked(capsys, "--cite-file", str(file), code=2)["code"] == "catalogue.cite_file"
    assert asked(capsys, "--cite-file", str(tmp_path), code=2)["code"] == "catalogue.cite_file"


@pytest.mark.parametrize(
    ("arguments", "forbidden"),
    [
        (["compliance", "--help"], {"pydantic", "jinja2", "numpy", "scipy", "httpx", "torch", "pypdf", "openpyxl"}),
        (["compliance", "controls"], {"pydantic", "jinja2", "numpy", "scipy", "httpx", "torch", "pypdf", "openpyxl"}),
        (["compliance", "annex-iv", "system.toml"], {"httpx", "scipy", "torch", "pypdf", "openpyxl"}),
    ],
)
def test_the_law_is_listed_without_a_client_or_a_numerical_library(
    tmp_path: Path, arguments: list[str], forbidden: set[str]
) -> None:
    (tmp_path / "system.toml").write_text('[system]\nname = "ward"\nversion = "1"\n', encoding="utf-8")
    script = (
        f"import json, sys\nfrom audit.cli.main import run\ncode = run({arguments!r})\n"
        "print(json.dumps([code, sorted({name.partition('.')[0] for name in sys.modules})]))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, cwd=tmp_path)
    code, loaded = json.loads(done.stdout.splitlines()[-1])
    assert code == 0
    assert not forbidden & set(loaded)
