"""Cases as folders: those of the zoo are tried as anybody's are, and one that cannot be used is one sentence."""

import json
from collections.abc import Callable, Mapping
from itertools import product
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from audit.cli.main import run
from audit.run import ask_system
from audit.selftest.case_folders import CaseError, Expectation, expected_of, read_expected
from audit.selftest.zoo import chosen
from reports.model import Status
from reports.schema import FOLDER
from tests.audit.cli.described import described

FLAW, CHECK = "secagg-threshold-low", "secagg.parameters"
SYSTEM = '[system]\nname = "ward"\nversion = "2"\n'
Called = Callable[..., tuple[int, dict[str, Any]]]


@pytest.fixture
def selftest(capsys: pytest.CaptureFixture[str]) -> Called:
    """One command line in this process: its exit code and its document, which is described."""

    def called(*words: object) -> tuple[int, dict[str, Any]]:
        capsys.readouterr()
        code = run(["selftest", "--executor", "serial", *map(str, words), "--json"])
        document = json.loads(capsys.readouterr().out)
        described(document)
        return code, document

    return called


def case(folder: Path, expect: object, *, name: str = "mine", system: str = SYSTEM) -> Path:
    folder.mkdir(parents=True)
    (folder / "system.toml").write_text(system)
    told = {"schema": "fedaudit.case/1", "id": name, "title": "A case of mine", "expect": expect}
    (folder / "expected.json").write_text(json.dumps(told))
    return folder


def test_cases_of_the_zoo_are_as_expected_when_they_are_anybodys(selftest: Called, tmp_path: Path) -> None:
    code, told = selftest("--only", FLAW, "--export", tmp_path / "cases")
    assert code == 0
    assert {Path(folder).relative_to(tmp_path).as_posix() for folder in told["exported"]} == {
        f"cases/{FLAW}/flaw", f"cases/{FLAW}/twin",
    }  # fmt: skip
    code, told = selftest("--cases", tmp_path / "cases")
    assert (code, [one["id"] for one in told["cases"]]) == (0, [f"{FLAW}/flaw", f"{FLAW}/twin"])
    assert (told["cases"][0]["observed"][CHECK], told["cases"][1]["observed"][CHECK]) == ("fail", "pass")
    assert (told["summary"]["cases"], told["summary"]["ok"]) == (2, 2)


def test_a_case_that_is_not_as_expected_is_exit_1_and_says_what_was_expected(
    selftest: Called, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    case(tmp_path / "a/deep", [{"check": "dp.accounting", "status": ["fail"]}])
    case(tmp_path / "b", [{"check": "*", "status": ["pass", "inconclusive", "skipped"]}], name="quiet")
    code, told = selftest("--cases", tmp_path)
    assert (code, [(one["id"], one["ok"]) for one in told["cases"]]) == (1, [("mine", False), ("quiet", True)])
    assert run(["selftest", "--executor", "serial", "--cases", str(tmp_path), "--no-color"]) == 1
    assert "dp.accounting: fail is expected; dp.accounting skipped" in capsys.readouterr().out


def test_a_case_that_cannot_be_audited_is_exit_3_and_the_others_are(selftest: Called, tmp_path: Path) -> None:
    case(tmp_path / "a", [{"check": "*", "status": ["pass"]}], system="[system]\nname = 1\n")
    case(tmp_path / "b", [{"check": "dp.*", "status": ["skipped"]}], name="other")
    code, told = selftest("--cases", tmp_path)
    assert (code, told["summary"]["errors"], told["summary"]["ok"]) == (3, 1, 1)
    assert "name" in told["cases"][0]["error"]


def test_the_code_of_a_case_is_not_run(selftest: Called, tmp_path: Path) -> None:
    model = '[model]\ncheckpoint = "m.safetensors"\ndefinition = "net.py:make"\ninput_shape = [4]\nclasses = 2\n'
    folder = case(tmp_path / "a", [{"check": "*", "status": ["skipped"]}], system=SYSTEM + model)
    (folder / "net.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')\n")
    (folder / "m.safetensors").write_bytes((2).to_bytes(8, "little") + b"{}")
    code, _ = selftest("--cases", tmp_path)
    assert code in (1, 3)
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize(
    ("spoil", "word"),
    [
        (lambda file: file.write_text("{"), "case.syntax"),
        (lambda file: file.write_text("[]"), "case.syntax"),
        (lambda file: file.write_text('{"schema": "fedaudit.case/2"}'), "case.value"),
        (lambda file: file.write_text('{"schema": "fedaudit.case/1"}'), "case.missing_key"),
        (lambda file: file.write_text(file.read_text().replace("pass", "great")), "case.value"),
        (lambda file: file.write_text(file.read_text().replace('"title"', '"titel"')), "case.missing_key"),
        (lambda file: file.write_bytes(b"\xff"), "case.syntax"),
        (lambda file: file.unlink(), "case.none"),
        (lambda file: (file.parent / "system.toml").unlink(), "case.no_system"),
        (lambda file: case(file.parent / "again", [{"check": "*", "status": ["pass"]}]), "case.duplicate"),
    ],
)
def test_a_folder_that_is_no_case_is_one_sentence_and_exit_2(
    selftest: Called, tmp_path: Path, spoil: Callable[[Path], object], word: str
) -> None:
    spoil(case(tmp_path / "a", [{"check": "*", "status": ["pass"]}]) / "expected.json")
    code, told = selftest("--cases", tmp_path)
    assert (code, told["code"]) == (2, word)
    assert "\n" not in told["message"]


def test_an_export_overwrites_nothing(selftest: Called, tmp_path: Path) -> None:
    (tmp_path / FLAW).mkdir()
    code, told = selftest("--only", FLAW, "--export", tmp_path)
    assert (code, told["code"], list((tmp_path / FLAW).iterdir())) == (2, "case.exists", [])


def test_an_export_follows_no_link_that_leads_nowhere_and_writes_into_no_file(selftest: Called, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    (tmp_path / "link").symlink_to(tmp_path / "nowhere")
    (tmp_path / "cases").mkdir()
    (tmp_path / "cases" / FLAW).symlink_to(tmp_path / "nowhere")
    for name in ("file", "link", "cases"):
        code, told = selftest("--only", FLAW, "--export", tmp_path / name)
        assert (code, told["code"]) == (2, "case.exists")
    assert not (tmp_path / "nowhere").exists()


def test_a_case_that_breaks_the_auditor_is_an_error_and_the_others_are_audited(
    selftest: Called, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("a", "b"):
        case(tmp_path / name, [{"check": "integrity.artifacts", "status": ["pass", "skipped"]}], name=name)

    def breaks(request: Any, *given: Any) -> Any:
        if request.system_file.parent.name == "a":
            raise RecursionError("too deep, for this test")
        return ask_system(request, *given)

    monkeypatch.setattr("audit.run.ask_system", breaks)
    code, told = selftest("--cases", tmp_path)
    assert (code, told["code"], told["summary"]["errors"]) == (3, "selftest.errors", 1)
    assert [one["error"] for one in told["cases"]] == ["RecursionError: too deep, for this test", None]


def test_nobody_may_break_off_where_nothing_can_be_told() -> None:
    [blind] = chosen(["blind-auditor"])
    for one in expected_of(blind, planted=True).expect:
        assert not {Status.ERROR, Status.PASS} & set(one.status)


def test_a_sealed_case_is_left_out_of_an_export_and_named(
    selftest: Called, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, told = selftest("--only", "evidence-tampered", "--export", tmp_path / "cases")
    assert (code, told["exported"], told["left_out"]) == (0, [], ["evidence-tampered"])
    run(["selftest", "--only", "evidence-tampered", "--export", str(tmp_path / "again")])
    assert "evidence-tampered" in capsys.readouterr().err


def test_what_is_expected_of_every_flaw_is_what_the_schema_says() -> None:
    schema = json.loads((FOLDER / "case.json").read_text(encoding="utf-8"))
    for one in chosen([]):
        for planted in (True, False):
            jsonschema.validate(expected_of(one, planted=planted).model_dump(mode="json", by_alias=True), schema)


def test_an_expectation_holds_for_every_check_it_names_and_for_one_at_least() -> None:
    checks, answers = ("a.one", "a.two", "b.one"), (None, Status.PASS, Status.FAIL)
    for said in product(answers, repeat=3):
        observed = {check: status for check, status in zip(checks, said, strict=True) if status is not None}
        assert holds("a.one", observed) == (said[0] is Status.FAIL)
        assert holds("a.*", observed) == (Status.PASS not in said[:2] and Status.FAIL in said[:2])
        assert holds("a.one|b.one", observed) == (Status.FAIL in (said[0], said[2]))
        assert holds("c.*", observed) is False


def holds(check: str, observed: Mapping[str, Status]) -> bool:
    return Expectation(check=check, status=(Status.FAIL,)).holds(observed)


def test_an_endless_expected_json_is_not_read(tmp_path: Path) -> None:
    file = tmp_path / "expected.json"
    file.write_bytes(b" " * (1 << 21))
    with pytest.raises(CaseError) as refused:
        read_expected(file)
    assert refused.value.code == "case.too_large"
