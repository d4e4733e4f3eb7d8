"""`fedaudit attack`: what it lists, what it answers, and when its exit code is not 0."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

import audit.attacks.linear
from audit.cli.main import run
from audit.run import Request, ask_system, run_audit
from reports.bundle import read_bundle
from reports.check import Check, Context, discover
from reports.model import Finding, Status, System
from tests.audit.cli.described import described

Run = Callable[..., tuple[int, dict[str, Any]]]


@pytest.fixture
def attack(capsys: pytest.CaptureFixture[str]) -> Run:
    """One `fedaudit attack` command line: its exit code, and its JSON document."""

    def called(*arguments: str | Path) -> tuple[int, dict[str, Any]]:
        code = run(["attack", *map(str, arguments), "--json"])
        document = json.loads(capsys.readouterr().out)
        assert document["exit_code"] == code
        described(document)
        return code, document

    return called


def rewrite(file: Path, **changed: torch.Tensor) -> None:
    save_file({**load_file(file), **changed}, file)


def test_the_list_holds_every_attack_and_nothing_of_other_rooms(attack: Run) -> None:
    code, document = attack("list")
    families = ("attack.", "dp.", "integrity.")
    assert code == 0
    assert document["command"] == "attack list"
    assert [row["check"] for row in document["attacks"]] == [c.id for c in discover() if c.id.startswith(families)]
    assert set(document["attacks"][0]) == {"check", "title", "needs", "controls", "runs", "reason"}
    assert {row["runs"] for row in document["attacks"]} == {None}


def test_with_a_system_the_list_says_what_would_run_and_why_not(attack: Run, planted) -> None:
    _, document = attack("list", "--system", planted(clients=2) / "system.toml")
    rows = {row["check"]: row for row in document["attacks"]}
    assert (rows["attack.linear"]["runs"], rows["attack.linear"]["reason"]) == (True, None)
    assert rows["dp.accounting"]["runs"] is False
    assert rows["dp.accounting"]["reason"] == "missing:federation.differential_privacy"


def test_a_failing_system_is_a_result_and_exit_0(attack: Run, planted) -> None:
    code, document = attack("run", planted(clients=64) / "system.toml", "attack.linear", "--effort", "smoke")
    assert (code, document["code"]) == (0, "ok")
    assert document["system"] == "digits"
    assert (document["effort"], document["engine"]) == ("smoke", "auto")
    assert document["device"] in ("cpu", "cuda")
    [finding] = document["findings"]
    assert Finding.model_validate_json(json.dumps(finding)).status is Status.FAIL
    measured = {one["name"]: one for one in finding["measurements"]}
    assert measured["identifiability"]["value"] == 1.0
    assert {"low", "high", "confidence"} == set(measured["identifiability"]["interval"])


def test_without_a_name_all_three_families_are_asked_and_no_other(attack: Run, planted) -> None:
    _, document = attack("run", planted(clients=1) / "system.toml", "--effort", "smoke")
    assert {finding["check"].partition(".")[0] for finding in document["findings"]} == {"attack", "dp", "integrity"}
    assert all(finding["reason"] != "deselected" for finding in document["findings"])


def test_the_findings_are_those_of_a_whole_run_of_the_same_seed(attack: Run, planted, tmp_path: Path) -> None:
    file = planted(clients=20) / "system.toml"
    bundle = tmp_path / "bundle"
    code, alone = attack("run", file, "attack.linear", "--effort", "smoke")
    assert code == 0
    _, kept = attack("run", file, "attack.linear", "--effort", "smoke", "-o", bundle)
    whole = read_bundle(bundle).statement.report
    [finding] = [one for one in whole.findings if one.check == "attack.linear"]
    assert alone["findings"] == kept["findings"] == [json.loads(finding.model_dump_json())]
    assert alone["seed"] == whole.provenance.root_seed
    assert {piece.sha256 for piece in whole.evidence} >= set(finding.evidence) != set()


def test_the_command_writes_nothing_unless_it_is_told_where(attack: Run, planted, tmp_path: Path) -> None:
    file = planted(clients=2) / "system.toml"
    before = sorted(tmp_path.rglob("*"))
    attack("run", file, "attack.*", "--effort", "smoke")
    assert sorted(tmp_path.rglob("*")) == before


def test_a_chosen_seed_is_the_one_that_is_told(attack: Run, planted) -> None:
    _, document = attack("run", planted(clients=2) / "system.toml", "attack.linear", "--seed", "11")
    assert document["seed"] == 11


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["nope.*"], "'nope.*' names no check"),
        (["--effort", "huge"], "huge"),
        (["--engine", "steam"], "steam"),
        (["--device", "abacus"], "abacus"),
        (["--executor", "threads"], "threads"),
        *([] if torch.cuda.is_available() else [(["--device", "cuda"], "no GPU")]),
    ],
)
def test_a_wrong_word_is_exit_2(attack: Run, planted, arguments: list[str], words: str) -> None:
    code, document = attack("run", planted(clients=1) / "system.toml", *arguments)
    assert (code, document["code"]) == (2, "usage")
    assert words in document["message"]


def test_a_check_that_breaks_off_is_exit_3_and_the_others_still_answer(
    attack: Run, planted, monkeypatch: pytest.MonkeyPatch
) -> None:
    def breaks(system: System, ctx: Context) -> Iterator[Finding]:
        raise ZeroDivisionError("somebody's name")
        yield

    broken = Check("attack.broken", "Nothing breaks", breaks)
    monkeypatch.setattr(audit.attacks.linear, "broken", broken, raising=False)  # found as any check of the package is
    code, document = attack("run", planted(clients=2) / "system.toml", "attack.broken", "attack.linear")
    assert (code, document["code"]) == (3, "attack.broke-off")
    assert "attack.broken" in document["message"]
    assert {f["check"]: f["status"] for f in document["findings"]}["attack.broken"] == "error"
    assert len(document["findings"]) == 2
    assert "somebody" not in json.dumps(document)


def test_tensors_that_do_not_fit_are_exit_2_in_one_sentence(attack: Run, planted) -> None:
    folder = planted(clients=2)
    rewrite(folder / "updates" / "00001.safetensors", **{"0.bias": torch.zeros(3)})
    code, document = attack("run", folder / "system.toml", "attack.linear")
    assert (code, document["code"]) == (2, "model.mismatch")
    assert "00001.safetensors: '0.bias' has shape (3,), in the model (128,)" in document["message"]
    rewrite(folder / "updates" / "00001.safetensors", **{"0.bias": torch.zeros(128), "0.bais": torch.zeros(128)})
    code, document = attack("run", folder / "system.toml", "attack.linear")
    assert code == 2
    assert "no tensor '0.bais', whose shape here is (128,)" in document["message"]
    assert "'0.bias'" in document["hint"]


def test_in_a_whole_run_the_same_fault_is_one_checks_finding(planted, tmp_path: Path) -> None:
    folder = planted(clients=2)
    rewrite(folder / "updates" / "00001.safetensors", **{"0.bias": torch.zeros(3)})
    bundle = tmp_path / "bundle"
    assert run(["run", str(folder / "system.toml"), "-o", str(bundle), "--no-render", "--effort", "smoke"]) == 0
    found = {finding.check: finding for finding in read_bundle(bundle).statement.report.findings}
    assert found["attack.linear"].status is Status.ERROR
    assert found["integrity.artifacts"].status is Status.FAIL


def test_the_owners_code_runs_only_if_somebody_says_so(attack: Run, planted, monkeypatch) -> None:
    folder = planted(clients=1)
    monkeypatch.chdir(folder)
    (folder / "model.py").write_text("open('it-ran', 'w').close()\ndef build():\n    raise ValueError\n")
    file = folder / "system.toml"
    file.write_text(file.read_text().replace('layers = "layers.json"', 'definition = "model.py:build"'))
    code, document = attack("run", file, "attack.linear")
    assert code == 2
    assert "--trust-code" in document["message"] + document["hint"]
    assert not (folder / "it-ran").exists()
    code, document = attack("run", file, "attack.linear", "--trust-code")
    assert (folder / "it-ran").exists()  # the control: the sentinel works
    assert (code, document["code"]) == (2, "model.definition")


def test_an_interrupt_is_one_line_and_leaves_nothing(
    planted, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def stopped(system: System, ctx: Context) -> Iterator[Finding]:
        ctx.evidence("some", b"some", "text/plain", "internal")
        raise KeyboardInterrupt  # what Ctrl-C is to Python
        yield

    stop = Check("attack.stopped", "Nobody stops it", stopped)
    monkeypatch.setattr(audit.attacks.linear, "stopped", stop, raising=False)
    file, out = planted(clients=1) / "system.toml", tmp_path / "out"
    for place in ([], ["-o", str(out / "bundle")]):
        assert run(["attack", "run", str(file), "attack.stopped", *place]) == 3
        last = capsys.readouterr().err.splitlines()[-1]
        assert last.startswith("error: interrupted")
    assert list(out.iterdir()) == []


def test_a_request_without_a_bundle_is_not_audited_by_mistake(planted, tmp_path: Path) -> None:
    from datetime import UTC, datetime

    from audit.cli.attack import Unkept

    request = Request(planted(clients=1) / "system.toml", None, datetime(2026, 11, 21, tzinfo=UTC), only=("dp.*",))
    with pytest.raises(ValueError, match="ask_system"):
        run_audit(request)
    assert {finding.status for finding in ask_system(request, Unkept()).findings} == {Status.SKIPPED}


def test_evidence_that_is_not_kept_is_still_named_by_its_digest() -> None:
    from hashlib import sha256

    from audit.cli.attack import Unkept
    from reports.model import Confidentiality

    data = np.arange(4).tobytes()
    piece = Unkept().put_evidence(data, "application/octet-stream", Confidentiality.RESTRICTED, "numbers")
    assert (piece.sha256, piece.size) == (sha256(data).hexdigest(), len(data))
