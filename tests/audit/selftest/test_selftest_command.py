"""`fedaudit selftest`: its exit codes, that it notices a check that is switched off, and that it can be stopped."""

import importlib
import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from audit.cli.main import run
from audit.selftest import play as playing
from audit.selftest.kept import KeptCases
from audit.selftest.play import Case, Observed
from audit.selftest.series import series
from audit.store_errors import StoppedError
from audit.store_lock import StoreLock
from reports.check import Check, Context, discover
from reports.model import Effort, Finding, Status, System
from tests.audit.cli.described import described

NOW = "2026-11-22T00:00:00Z"
FLAW, CHECK = "secagg-threshold-low", "secagg.parameters"
"""Built and audited in a moment."""
Called = Callable[..., tuple[int, dict[str, Any]]]


@pytest.fixture
def selftest(capsys: pytest.CaptureFixture[str]) -> Called:
    """One command line in this process: its exit code and its document, which is described."""

    def called(*words: object, only: str = FLAW) -> tuple[int, dict[str, Any]]:
        capsys.readouterr()
        chosen = ("--only", only) if only else ()
        line = ["selftest", "--executor", "serial", "--now", NOW, *chosen, *map(str, words), "--json"]
        code = run(line)
        document = json.loads(capsys.readouterr().out)
        described(document)
        assert document["exit_code"] == code
        return code, document

    return called


@pytest.fixture
def with_check(monkeypatch: pytest.MonkeyPatch) -> Callable[[Status | None], None]:
    """Put another answer into the mouth of the check; None: it breaks off."""

    def answering(status: Status | None) -> None:
        def ask(_system: System, ctx: Context) -> Iterator[Finding]:
            if status is None:
                raise RuntimeError("broken for this test")
            yield ctx.finding(status, "So it is, says this test.")

        def known() -> tuple[Check, ...]:
            return tuple(replace(one, ask=ask) if one.id == CHECK else one for one in discover())

        monkeypatch.setattr("audit.run.discover", known)

    return answering


def test_a_flaw_that_is_caught_and_a_quiet_twin_are_exit_0(selftest: Called) -> None:
    code, told = selftest()
    [flaw] = told["flaws"]
    assert (code, told["code"], told["seed"], told["effort"]) == (0, "ok", 2026, "smoke")
    assert (flaw["id"], flaw["caught_by"], flaw["seed"]) == (FLAW, [CHECK], 2026)
    assert (flaw["flaw"][CHECK], flaw["twin"][CHECK]) == ("fail", "pass")
    assert (flaw["detected"], flaw["false_alarm"], flaw["undecided"]) == (True, False, [])
    told["summary"].pop("seconds")
    assert told["summary"] == {"flaws": 1, "detected": 1, "false_alarms": 0, "undecided": 0, "errors": 0}


@pytest.mark.parametrize("status", [Status.PASS, Status.INCONCLUSIVE, Status.SKIPPED])
def test_switching_a_check_off_makes_the_self_test_fail(
    selftest: Called, with_check: Callable[[Status], None], status: Status
) -> None:
    with_check(status)
    code, told = selftest()
    assert (code, told["code"], told["summary"]["detected"]) == (1, "selftest.not_clean", 0)


@pytest.mark.parametrize(
    ("one", "name", "status"),
    [
        ("report-nobody-answers", "report.responsible-person", Status.SKIPPED),
        ("report-of-another-system", "report.lineage", Status.INCONCLUSIVE),
    ],
)
def test_a_check_that_says_nothing_of_anybody_has_not_noticed_that_nothing_can_be_said(
    selftest: Called, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], one: str, name: str,
    status: Status,
) -> None:  # fmt: skip
    def ask(_system: System, ctx: Context) -> Iterator[Finding]:
        yield ctx.finding(status, "So it is, says this test.")

    off = tuple(replace(check, ask=ask) if check.id == name else check for check in discover())
    assert selftest(only=one)[0] == 0
    monkeypatch.setattr("audit.run.discover", lambda: off)
    code, told = selftest(only=one)
    assert (code, told["code"], told["summary"]["detected"]) == (1, "selftest.not_clean", 0)
    run(["selftest", "--executor", "serial", "--only", one, "--no-color"])
    assert f"missed: it said {name} {status} of both" in " ".join(capsys.readouterr().out.split())


def test_a_twin_that_is_accused_makes_the_self_test_fail(selftest: Called, with_check: Any) -> None:
    with_check(Status.FAIL)
    code, told = selftest()
    assert (code, told["summary"]["detected"], told["summary"]["false_alarms"]) == (1, 1, 1)


def test_a_check_that_breaks_off_is_an_error_before_it_is_a_miss(selftest: Called, with_check: Any) -> None:
    with_check(None)
    code, told = selftest()
    assert (code, told["code"], told["summary"]["errors"]) == (3, "selftest.errors", 1)
    assert told["flaws"][0]["errors"] == [f"{CHECK} broke off on the flaw", f"{CHECK} broke off on the twin"]


def test_a_flaw_that_cannot_be_built_is_an_error_and_the_others_are_played(
    selftest: Called, monkeypatch: pytest.MonkeyPatch
) -> None:
    module = importlib.import_module("audit.selftest.flaws.secagg_28_bit_seed")

    def broken(_make: Any, *, planted: bool) -> System:
        raise ValueError(f"no luck\n\x1b[31m{planted}")

    monkeypatch.setattr(module, "secagg_28_bit_seed", replace(module.secagg_28_bit_seed, build=broken))
    code, told = selftest("--only", "secagg-28-bit-seed")
    assert (code, told["summary"]["errors"], told["summary"]["detected"]) == (3, 1, 1)
    errors = told["flaws"][0]["errors"]
    assert errors[0].startswith("the flaw could not be played: ValueError: no luck ")
    assert not any(letter in error for error in errors for letter in "\n\x1b")


def test_several_seeds_are_told_one_by_one_and_counted_together(selftest: Called) -> None:
    code, told = selftest("--seed", 7, "--seeds", 3)
    assert (code, [flaw["seed"] for flaw in told["flaws"]], told["summary"]["flaws"]) == (0, [7, 8, 9], 3)
    [power] = [one for one in told["power"] if one["check"] == CHECK]
    assert (power["trials"], power["caught"], power["flaws"]) == (3, 3, [FLAW])
    assert power["caught_at_least"] == pytest.approx(0.05 ** (1 / 3))


def test_every_check_of_the_catalogue_has_its_power_told(selftest: Called) -> None:
    _, told = selftest()
    assert [one["check"] for one in told["power"]] == sorted([*(one.id for one in discover()), "verify"])


def test_a_flaw_that_the_effort_cannot_show_is_left_out_and_not_counted(
    selftest: Called, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    module = importlib.import_module("audit.selftest.flaws.secagg_28_bit_seed")
    later = replace(module.secagg_28_bit_seed, least=Effort.STANDARD)
    monkeypatch.setattr(module, "secagg_28_bit_seed", later)
    code, told = selftest("--only", "secagg-28-bit-seed")
    assert (code, told["summary"]["flaws"]) == (0, 1)
    [left] = told["left_out"]
    assert (left["id"], left["reason"]) == ("secagg-28-bit-seed", "effort:standard")
    run(["selftest", "--executor", "serial", "--only", FLAW, "--only", "secagg-28-bit-seed", "--no-color"])
    shown = capsys.readouterr().out
    assert "left to standard: secagg-28-bit-seed" in shown and "– –  secagg-28-bit-seed" in shown


def test_the_text_has_a_line_for_each_flaw_each_check_and_the_whole(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["selftest", "--executor", "serial", "--only", FLAW, "--seeds", "2", "--no-color"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert any(line.startswith(f"● ·  {FLAW}") and f"● {CHECK} 2/2" in line for line in lines)
    assert any(line.split()[:3] == [CHECK, "1", "2/2"] for line in lines)
    assert any(line.startswith("dp.accounting") and "no flaw here aims at it" in line for line in lines)
    assert not any("no twin asks:" in line for line in lines)  # of two flaws that were chosen it is no news
    assert lines[-1].startswith("clean: 2 of 2 planted flaws detected, 0 false alarms, 0 undecided, 0 errors;")


def test_the_list_plants_nothing(selftest: Called) -> None:
    code, told = selftest("--list")
    assert (code, [one["id"] for one in told["flaws"]], told["flaws"][0]["least"]) == (0, [FLAW], "smoke")


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (("--only", "no-such-flaw"), "flaw.unknown"),
        (("--seeds", "0"), "usage"),
        (("--seed", str(2**53 - 1), "--seeds", "2"), "usage"),
        (("--resume",), "usage"),
        (("--list", "--export", "x"), "usage"),
        (("--cases", "x", "--seeds", "2"), "usage"),
        (("--cases", "x", "-o", "y"), "usage"),
        (("--export", "x", "--seeds", "2"), "usage"),
        (("-o", "."), "io.write"),
        (("-o", "/"), "io.write"),
        (("-o", "no-such-folder/x.json"), "io.no_folder"),
    ],
)
def test_a_wrong_line_is_exit_2_before_anything_is_planted(selftest: Called, words: Any, code: str) -> None:
    got, told = selftest(*words)
    assert (got, told["code"]) == (2, code)


def test_a_self_test_that_is_stopped_goes_on_and_ends_in_the_same_bytes(
    selftest: Called, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    both, whole, file = ("--only", "secagg-28-bit-seed"), tmp_path / "whole.json", tmp_path / "selftest.json"
    assert selftest(*both, "-o", whole)[0] == 0
    seen: list[Case] = []

    def stops(case: Case) -> Observed:
        seen.append(case)
        if len(seen) == 3:
            raise KeyboardInterrupt
        return playing.play(case)

    monkeypatch.setattr("audit.selftest.series.play", stops)
    code, told = selftest(*both, "-o", file)
    assert (code, told["code"], file.exists()) == (3, "interrupted", False)
    assert "--resume" in told["hint"]
    code, told = selftest(*both, "-o", file)
    assert (code, told["code"]) == (2, "run.exists")
    code, told = selftest(*both, "-o", file, "--resume", "--seed", "5")
    assert (code, told["code"]) == (2, "run.other")
    code, told = selftest(*both, "-o", file, "--resume")
    assert (code, len(seen)) == (0, 5)  # two were kept, the third was cut off, two are left
    assert file.read_bytes() == whole.read_bytes()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["selftest.json", "whole.json"]


def test_a_self_test_of_no_flaw_is_refused_and_not_called_clean(
    selftest: Called, monkeypatch: pytest.MonkeyPatch
) -> None:
    module = importlib.import_module("audit.selftest.flaws.secagg_threshold_low")
    monkeypatch.setattr(module, "secagg_threshold_low", replace(module.secagg_threshold_low, least=Effort.STANDARD))
    code, told = selftest()
    assert (code, told["code"], told["hint"]) == (2, "flaw.none", "Say --effort standard.")
    assert FLAW in told["message"]


def test_one_that_is_going_on_is_not_told_to_have_been_stopped(selftest: Called, tmp_path: Path) -> None:
    file = tmp_path / "selftest.json"
    (tmp_path / "selftest.json.run").mkdir()
    (tmp_path / "selftest.json.run/cases.jsonl").write_bytes(b"{}\n")
    with StoreLock(tmp_path / "selftest.json.run"):
        assert selftest("-o", file)[1]["code"] == "run.locked"
    assert selftest("-o", file)[1]["code"] == "run.exists"


def test_what_an_audit_left_under_the_same_name_is_not_removed(selftest: Called, tmp_path: Path) -> None:
    (tmp_path / "bundle.run").mkdir()
    (tmp_path / "bundle.run/run.sqlite").write_bytes(b"salts")
    for flags in ((), ("--resume",)):
        code, told = selftest("-o", tmp_path / "bundle", *flags)
        assert (code, told["code"]) == (2, "run.foreign")
    assert (tmp_path / "bundle.run/run.sqlite").read_bytes() == b"salts"
    (tmp_path / "linked.run").symlink_to(tmp_path / "bundle.run")
    assert selftest("-o", tmp_path / "linked")[1]["code"] == "run.foreign"


def test_another_python_may_not_go_on_with_it(
    selftest: Called, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def stops(_case: Case) -> Observed:
        raise StoppedError("executor.lost", "killed for this test", "")

    file = tmp_path / "selftest.json"
    with monkeypatch.context() as patched:
        patched.setattr("audit.selftest.series.play", once_then(stops))
        assert selftest("-o", file)[0] == 3
    monkeypatch.setattr("audit.selftest.kept.python_version", lambda: "3.0.0")
    code, told = selftest("-o", file, "--resume")
    assert (code, told["code"], "Python" in told["message"]) == (2, "run.other", True)


def once_then(stops: Callable[[Case], Observed]) -> Callable[[Case], Observed]:
    """Play one case, and stop at the next."""
    seen: list[Case] = []

    def play(case: Case) -> Observed:
        seen.append(case)
        return stops(case) if len(seen) > 1 else playing.play(case)

    return play


def test_half_of_the_first_line_is_written_anew(selftest: Called, tmp_path: Path) -> None:
    folder = tmp_path / "selftest.json.run"
    folder.mkdir()
    (folder / "cases.jsonl").write_bytes(b'{"--on')
    with KeptCases(tmp_path / "selftest.json", resume=True) as kept:
        kept.bind(series(only=[FLAW], now=datetime(2026, 11, 22, tzinfo=UTC)))
        assert json.loads((folder / "cases.jsonl").read_bytes())["effort"] == '"smoke"'


def test_half_a_line_of_what_was_kept_is_played_again(
    selftest: Called, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    file, seen = tmp_path / "selftest.json", []

    def stops(case: Case) -> Observed:
        seen.append(case)
        if len(seen) == 2:
            raise KeyboardInterrupt
        return playing.play(case)

    monkeypatch.setattr("audit.selftest.series.play", stops)
    assert selftest("-o", file)[0] == 3
    kept = tmp_path / "selftest.json.run/cases.jsonl"
    kept.write_bytes(kept.read_bytes()[:-20])
    assert selftest("-o", file, "--resume")[0] == 0
    assert len(seen) == 4


@pytest.mark.slow
def test_worker_processes_write_the_same_bytes(selftest: Called, tmp_path: Path) -> None:
    files = [tmp_path / f"{name}.json" for name in ("serial", "process")]
    for file in files:
        code, _ = selftest("--only", "secagg-28-bit-seed", "--executor", file.stem, "-o", file)
        assert code == 0
    assert files[0].read_bytes() == files[1].read_bytes()


@pytest.mark.ray
@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # Ray's own
def test_ray_writes_the_same_bytes(selftest: Called, tmp_path: Path) -> None:
    pytest.importorskip("ray")
    files = [tmp_path / f"{name}.json" for name in ("serial", "ray")]
    for file in files:
        code, _ = selftest("--only", "secagg-28-bit-seed", "--executor", file.stem, "-o", file)
        assert code == 0
    assert files[0].read_bytes() == files[1].read_bytes()
