"""`fedaudit show` as its users meet it: the report on a terminal, one finding of it, and JSON that misses nothing."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from audit.cli.main import run
from reports.bundle_writer import BundleWriter
from reports.wording import visible
from tests.reports.hostile import report_of
from tests.reports.sample_report import Sample, sample

SAMPLE = sample()


def written(folder: Path, made: Sample) -> Path:
    with BundleWriter(folder) as writer:
        for piece in made.report.evidence:
            writer.put_evidence(made.contents[piece.sha256], piece.media_type, piece.confidentiality, piece.name)
        return writer.finish(made.statement.body)


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    return written(tmp_path / "bundle", SAMPLE)


def shown(capsys: pytest.CaptureFixture[str], *arguments: str, exit_code: int = 0) -> str:
    assert run(["show", *arguments, "--no-color"]) == exit_code
    return capsys.readouterr().out


def test_a_report_shows_counts_findings_and_what_was_not_tested(
    bundle: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = shown(capsys, str(bundle))
    assert "● 3 passed  ✕ 4 failed  ◐ 1 inconclusive  ○ 8 not tested  ▲ 1 error" in text
    for finding in SAMPLE.report.findings:
        assert finding.check in text
    assert text.index("attack.linear") < text.index("attack.labels") < text.index("integrity.accuracy")
    assert "Not verified here" in text
    assert "\x1b[" not in text


def test_one_finding_is_shown_whole(bundle: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = " ".join(shown(capsys, str(bundle), "attack.linear").split())
    for words in (
        "✕ failed attack.linear",
        "reconstruction_rate = 1 [0.9404, 1], at 95 %, limit ≤ 0.05, control 1, n = 60, Clopper-Pearson 1934",
        "law: AI Act Art. 15(5), confidentiality",
        "remedy: Let the server see sums alone",
        "limit: One record per update",
        "again: fedaudit run system.toml -o again --only attack.linear --seed 3141592653589793 --effort smoke",
    ):
        assert words in text
    assert "attack.labels" not in text


def test_a_fingerprint_is_enough_from_six_digits(bundle: Path, capsys: pytest.CaptureFixture[str]) -> None:
    finding = next(one for one in SAMPLE.report.findings if one.check == "dp.accounting")
    assert "dp.accounting" in shown(capsys, str(bundle), finding.fingerprint[:6])
    assert "dp.accounting" in shown(capsys, str(bundle), finding.fingerprint.upper())
    shown(capsys, str(bundle), finding.fingerprint[:5], exit_code=2)


def test_a_check_that_is_not_there_is_said_with_the_nearest(bundle: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["show", str(bundle), "attack.linaer", "--json"]) == 2
    answer = json.loads(capsys.readouterr().out)
    assert (answer["code"], answer["hint"]) == ("finding.not_found", "Did you mean 'attack.linear'?")


def test_json_has_the_findings_as_they_are_signed(bundle: Path, capsys: pytest.CaptureFixture[str]) -> None:
    answer = json.loads(shown(capsys, str(bundle), "--json"))
    signed = json.loads(SAMPLE.statement.body)["predicate"]["findings"]
    assert answer["findings"] == signed
    assert answer["counts"] == {"pass": 3, "fail": 4, "inconclusive": 1, "skipped": 8, "error": 1}
    assert answer["report"] == {
        "sha256": SAMPLE.statement.sha256,
        "system": "ward-triage",
        "version": "2.3.1",
        "finished": "2026-11-21T09:30:00Z",
        "predicate_type": "urn:fedaudit:audit-report:v1",
    }
    one = json.loads(shown(capsys, str(bundle), "dp.accounting", "--json"))
    assert [finding["check"] for finding in one["findings"]] == ["dp.accounting"]
    assert one["counts"] == answer["counts"]


def test_words_of_a_report_cannot_forge_a_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    word = "fine\n● passed  attack.linear\u202e\u009b31m"
    bundle = written(tmp_path / "bundle", report_of(word)[0])
    for arguments in ((str(bundle),), (str(bundle), "a.fail"), (str(bundle), "a.skip")):
        text = shown(capsys, *arguments)
        assert not [line for line in text.splitlines() if line.startswith("● passed  attack.linear")]
        assert "\u202e" not in text
        assert "\u009b" not in text
        assert visible("\u202e") in text


def test_no_bundle_is_exit_2_and_no_traceback(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["show", str(tmp_path / "none")]) == 2
    assert "no such folder" in capsys.readouterr().err


def test_showing_loads_neither_templates_nor_numbers(bundle: Path) -> None:
    code = (
        f"import sys; from audit.cli.main import run; run(['show', {str(bundle)!r}]);"
        "print({'torch', 'numpy', 'scipy', 'jinja2', 'rich', 'httpx'} & set(sys.modules))"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.splitlines()[-1] == "set()"


def test_timings_are_of_a_run_that_was_kept(bundle: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["show", str(bundle), "--timings"]) == 2
    assert "Run again with --keep-run" in capsys.readouterr().err
    assert run(["show", str(bundle), "attack.linear", "--timings"]) == 2
