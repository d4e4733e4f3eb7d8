"""`fedaudit compliance calibrate`: flags, keys and exit codes; readers above and below the bar over real HTTP."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from audit.cli.main import run
from compliance.aireg import shipped_dataset
from compliance.calibration import read_calibration
from compliance.llm.fake import FakeModel, serve
from compliance.llm.fake_model import Status
from compliance.llm.stand_in import stand_in
from tests.audit.cli.described import described
from tests.compliance.made_up_repository import write_repository
from tests.compliance.scripted_readers import expert, reader

SCORES = Path(__file__).parents[3] / "compliance/data/aireg_scores.json"
HOUSE = {"fedaudit", "command", "exit_code", "code", "message", "hint", "schema"}
KEYS = {
    "status", "meets_bar", "reasons", "rater", "dataset", "metrics", "by_article", "within_violation",
    "false_compliant", "false_noncompliant", "human", "lexical", "skill", "score_set", "panel", "missing", "invalid",
    "fingerprint",
}  # fmt: skip
DAY = ("--on", "2026-11-21")
Ask = Callable[..., tuple[int, dict[str, Any]]]


@pytest.fixture
def ask(capsys: pytest.CaptureFixture[str]) -> Ask:
    def answered(*arguments: object) -> tuple[int, dict[str, Any]]:
        code = run(["compliance", "calibrate", *map(str, arguments), *DAY, "--json"])
        document = json.loads(capsys.readouterr().out)
        described(document)
        assert document["exit_code"] == code
        assert document["command"] == "compliance calibrate"
        return code, document

    return answered


@pytest.fixture(scope="module")
def endpoint() -> Iterator[str]:
    """A reader that says what the experts say."""
    with serve(FakeModel(reader(expert))) as server:
        yield server.base_url


def test_handed_in_scores_give_every_key_and_admit_nobody(ask: Ask, tmp_path: Path) -> None:
    path = tmp_path / "calibration.json"
    code, found = ask("--scores", SCORES, "--rater", "GPT-4o", "-o", path)
    assert code == 0
    assert found.keys() >= HOUSE | KEYS
    assert found["schema"] == "fedaudit.calibration/1"
    assert (found["status"], found["meets_bar"]) == ("not_admitted", False)
    assert found["reasons"] == ["scores_only", "false_compliant"]
    assert found["dataset"]["n"] == 120
    assert found["dataset"]["law_version"] == "2024"
    assert found["metrics"]["kappa_qw"]["value"] == pytest.approx(0.7745529930033688, abs=1e-9)
    assert found["metrics"]["kappa_qw"]["low"] == pytest.approx(0.7045353684776762, abs=1e-9)
    assert set(found["metrics"]["f1"]) == {"value"}
    assert found["false_compliant"]["upper"] == pytest.approx(0.240, abs=5e-4)
    assert found["lexical"] == {"kappa_qw": 0.7357, "source": "reference"}
    assert found["skill"]["value"] == pytest.approx(0.039, abs=5e-4)
    assert (found["panel"], found["fingerprint"]) == (None, None)
    assert read_calibration(path).rater == "GPT-4o"


def test_two_raters_add_a_panel(ask: Ask) -> None:
    code, found = ask("--scores", SCORES, "--rater", "o3 mini", "--rater", "Gemma 3")
    assert (code, found["rater"]) == (0, "o3 mini")
    assert found["panel"]["raters"] == ["o3 mini", "Gemma 3"]
    assert found["panel"].keys() == {"raters", "alpha_ordinal", "metrics"}


def test_undefined_numbers_come_with_their_reason(ask: Ask, tmp_path: Path) -> None:
    item = {"id": "a", "use": 1, "article": 9, "profile": "compliant", "human": [4, None, 5], "scores": {"m": 4}}
    for items in ([item], [item, item | {"id": "b", "scores": {"m": None}}]):
        path = tmp_path / "one.json"
        path.write_text(json.dumps({"schema": "fedaudit.aireg-scores/1", "items": items}))
        code, found = ask("--scores", path)
        assert (code, found["rater"]) == (0, "m")
        assert found["metrics"]["kappa_qw"]["value"] is None
        assert "one item alone" in found["metrics"]["kappa_qw"]["undefined"]
        assert found["missing"] == len(items) - 1


def test_a_reader_that_agrees_is_admitted_and_its_recording_gives_the_same_file(
    ask: Ask, endpoint: str, tmp_path: Path
) -> None:
    asked = ("--base-url", endpoint, "--model", "m")
    code, found = ask(*asked, "--record", tmp_path / "cassette", "-o", tmp_path / "first.json")
    assert (code, found["status"], found["reasons"]) == (0, "admitted", [])
    assert found["lexical"]["source"] == "computed"
    assert found["fingerprint"]["model"] == "m"
    assert found["fingerprint"]["reply_model"] == "fake"
    with serve(FakeModel(lambda _: Status(500))) as other:  # never reached
        replayed = ("--base-url", endpoint, "--model", "m", "--replay", tmp_path / "cassette")
        code, _ = ask(*replayed, "-o", tmp_path / "second.json")
        assert other.requests == []
    assert code == 0
    assert (tmp_path / "first.json").read_bytes() == (tmp_path / "second.json").read_bytes()


def test_the_word_counting_stand_in_is_not_admitted(ask: Ask) -> None:
    with serve(FakeModel(stand_in)) as server:
        code, found = ask("--base-url", server.base_url, "--model", "stand-in")
    assert (code, found["status"], found["n"]) == (0, "not_admitted", 60)
    assert "false_compliant" in found["reasons"]


def test_a_judge_file_and_a_copy_of_the_repository_are_read(ask: Ask, tmp_path: Path) -> None:
    repository = write_repository(tmp_path / "aireg-bench")
    with serve(FakeModel(stand_in)) as server:
        judge = tmp_path / "judge.toml"
        judge.write_text(f'version = 1\n[[members]]\nname = "a"\nbase_url = "{server.base_url}"\nmodel = "m"\n')
        code, found = ask("--judge", judge, "--dataset", repository, "--limit", 16, "--resamples", 100)
    assert (code, found["dataset"]["name"], found["n"]) == (0, "aireg-bench", 16)
    assert found["reasons"][0] == "too_few_items"


def test_the_models_of_a_copy_of_the_repository_are_compared_without_asking(ask: Ask, tmp_path: Path) -> None:
    repository = write_repository(tmp_path / "aireg-bench")
    code, found = ask("--dataset", repository, "--rater", "tiny")
    assert (code, found["rater"], found["n"]) == (0, "tiny", 30)
    assert found["reasons"][0] == "scores_only"
    assert found["lexical"]["source"] == "computed"


def test_items_that_were_not_asked_about_are_exit_3_and_the_rest_is_written(ask: Ask, tmp_path: Path) -> None:
    with serve(FakeModel(reader(expert))) as server:
        judge = tmp_path / "judge.toml"
        judge.write_text(
            f'[budget]\nrequests = 5\n[[members]]\nname = "a"\nbase_url = "{server.base_url}"\nmodel = "m"\n'
        )
        path = tmp_path / "calibration.json"
        code, found = ask("--judge", judge, "--limit", 8, "-o", path)
    assert (code, found["n"], found["missing"]) == (3, 5, 3)
    assert "3 of 8 items were not asked about" in found["message"]
    assert read_calibration(path).n == 5


def test_invalid_answers_are_part_of_the_figures(ask: Ask) -> None:
    silent = {item.id for item in shipped_dataset().items[:2]}
    with serve(FakeModel(reader(lambda item: None if item.id in silent else item.reference))) as server:
        code, found = ask("--base-url", server.base_url, "--model", "m")
        assert (code, found["invalid"], found["n"]) == (0, 2, 58)
        assert found["reasons"] == ["too_few_items", "invalid_answers"]
        code, found = ask("--base-url", server.base_url, "--model", "m", "--limit", 2)
    assert (code, found["code"], found["n"]) == (3, "invalid_output", 0)


@pytest.mark.parametrize(
    ("arguments", "code", "word"),
    [
        ((), 2, "usage"),
        (("--scores", "none.json"), 2, "scores.not_found"),
        (("--scores", SCORES), 2, "scores.rater"),
        (("--scores", SCORES, "--rater", "GPT-5"), 2, "scores.rater"),
        (("--scores", SCORES, "--base-url", "http://127.0.0.1:1"), 2, "usage"),
        (("--scores", SCORES, "--dataset", "folder"), 2, "usage"),
        (("--rater", "GPT-4o", "--base-url", "http://127.0.0.1:1", "--model", "m"), 2, "usage"),
        (("--rater", "GPT-4o"), 2, "scores.rater"),  # the shipped excerpts bring no scores
        (("--base-url", "http://127.0.0.1:1"), 2, "usage"),
        (("--judge", "judge.toml", "--model", "m"), 2, "usage"),
        (("--judge", "none.toml"), 2, "judge.not_found"),
        (("--base-url", "http://127.0.0.1:1", "--model", "m", "--dataset", "nowhere"), 2, "aireg.layout"),
        (("--base-url", "https://llm.example.org", "--model", "m"), 2, "egress.refused"),
        (("--base-url", "http://127.0.0.1:1", "--model", "m", "--replay", "none"), 3, "cassette.missing"),
        (("--base-url", "http://127.0.0.1:1", "--model", "m", "--replay", "a", "--record", "b"), 2, "usage"),
    ],
)
def test_what_cannot_be_done_is_told(ask: Ask, arguments: tuple[object, ...], code: int, word: str) -> None:
    found = ask(*arguments)
    assert (found[0], found[1]["code"]) == (code, word)
    assert found[1]["message"]


def test_a_key_that_is_refused_ends_it_with_the_variable_and_not_the_key(
    ask: Ask, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CANARY_API_KEY", "sk-canary-7731")
    with serve(FakeModel(lambda _: Status(401))) as server:
        code, found = ask("--base-url", server.base_url, "--model", "m", "--api-key-env", "CANARY_API_KEY")
    assert (code, found["code"]) == (3, "endpoint.unauthorised")
    assert "CANARY_API_KEY" in found["message"] + found["hint"]
    assert "sk-canary-7731" not in json.dumps(found)


def test_people_are_told_the_bar_the_reasons_and_the_limits(capsys: pytest.CaptureFixture[str]) -> None:
    code = run(["compliance", "calibrate", "--scores", str(SCORES), "--rater", "GPT-4o", *DAY, "--no-color"])
    out = capsys.readouterr().out
    assert code == 0
    assert out.startswith("GPT-4o: does not meet the calibration bar (not admitted)\n")
    for told in ("5 of 44 (at most 24.0%", "only a reader that is asked here", "alpha 0.145", "law of 2024"):
        assert told in out
    assert "compliant with" not in out
