"""What a user sees of input that is broken, odd or too little: one test for each row of the table, by the command.

Files made to run code, headers that lie and zip bombs are in `tests/audit/test_hostile_files.py`; tensors that do not
fit, the owner's code and an interrupt in `test_attack.py`; sequences too long for their model in the tests of texts.
"""

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
from reports.check import Check, Context
from reports.model import Finding, System

Ran = tuple[int, dict[str, Any], dict[str, dict[str, Any]]]
Attack = Callable[..., Ran]
OPEN_UPDATES = ("attack.labels", "attack.linear")
"""Exact attacks on single updates: quick, and enough to see what becomes of an odd file."""


@pytest.fixture
def attack(capsys: pytest.CaptureFixture[str]) -> Attack:
    """`fedaudit attack run` at effort smoke: exit code, JSON document, findings by check."""

    def called(folder: Path, *checks: str) -> Ran:
        line = ["attack", "run", str(folder / "system.toml"), *checks, "--effort", "smoke", "--json"]
        code = run(line)
        document = json.loads(capsys.readouterr().out)
        assert document["exit_code"] == code
        return code, document, {finding["check"]: finding for finding in document.get("findings", ())}

    return called


def rewrite_updates(folder: Path, change: Callable[[str, torch.Tensor], torch.Tensor], *numbers: int) -> None:
    """Change the tensors of all updates, or of those with these numbers."""
    files = sorted((folder / "updates").glob("*.safetensors"))
    for file in [files[number] for number in numbers] or files:
        save_file({name: change(name, tensor) for name, tensor in load_file(file).items()}, file)


def measured(finding: dict[str, Any]) -> set[tuple[float, int]]:
    """The share of records or labels that came back, and of how many."""
    names = ("identifiability", "label_accuracy")
    return {(one["value"], one["n"]) for one in finding["measurements"] if one["name"] in names}


def declare(folder: Path, section: str) -> None:
    file = folder / "system.toml"
    file.write_text(f"{file.read_text()}\n{section}\n")


@pytest.mark.parametrize("bad", [float("nan"), float("-inf")])
def test_an_update_with_nan_is_left_out_and_named_and_the_others_are_attacked(attack: Attack, planted, bad) -> None:
    folder = planted(clients=12)
    rewrite_updates(folder, lambda _, tensor: torch.full_like(tensor, bad), 3)
    code, _, findings = attack(folder, *OPEN_UPDATES)
    assert code == 0
    for check in OPEN_UPDATES:
        assert measured(findings[check]) == {(1.0, 11)}
        assert any("updates/00003.safetensors" in line for line in findings[check]["limitations"])


def test_if_no_update_is_left_every_check_says_so_and_none_breaks(attack: Attack, planted) -> None:
    folder = planted(clients=3, reference=20)
    rewrite_updates(folder, lambda _, tensor: torch.full_like(tensor, torch.nan))
    code, _, findings = attack(folder)
    assert code == 0
    assert findings["attack.linear"]["status"] == "inconclusive"
    assert findings["attack.linear"]["reason"] == "no-usable-record"
    assert {finding["status"] for check, finding in findings.items() if check.startswith("attack.")} <= {
        "inconclusive",
        "skipped",
    }


@pytest.mark.parametrize("half", [torch.float16, torch.bfloat16])
def test_updates_in_half_precision_are_read(attack: Attack, planted, half: torch.dtype) -> None:
    folder = planted(clients=12)
    rewrite_updates(folder, lambda _, tensor: tensor.to(half))
    code, _, findings = attack(folder, *OPEN_UPDATES)
    assert (code, [measured(findings[check]) for check in OPEN_UPDATES]) == (0, [{(1.0, 12)}, {(1.0, 12)}])


def test_updates_of_tiny_numbers_are_read_as_any_others(attack: Attack, planted) -> None:
    folder = planted(clients=12)
    rewrite_updates(folder, lambda _, tensor: tensor * 1e-6)
    code, _, findings = attack(folder, "attack.linear")
    assert (code, measured(findings["attack.linear"])) == (0, {(1.0, 12)})


def test_a_missing_bias_is_met_by_a_variant_that_is_named(attack: Attack, planted, perceptron) -> None:
    code, _, findings = attack(planted(clients=12, model=perceptron(bias=False)), "attack.linear")
    [identified] = [one for one in findings["attack.linear"]["measurements"] if one["name"] == "identifiability"]
    assert (code, identified["value"]) == (0, 1.0)
    assert "singular vector" in identified["method"]
    assert "no bias" in findings["attack.linear"]["detail"]


def test_without_truth_the_attacks_on_updates_say_what_to_add(attack: Attack, planted) -> None:
    folder = planted(clients=3, reference=20)
    file = folder / "system.toml"
    lines = [line for line in file.read_text().splitlines() if not line.startswith("truth")]
    file.write_text("\n".join(lines))
    code, _, findings = attack(folder, *OPEN_UPDATES)
    assert code == 0
    for check in OPEN_UPDATES:
        assert (findings[check]["status"], findings[check]["reason"]) == ("skipped", "missing:updates.truth")
        assert "updates.truth" in findings[check]["summary"]


def test_without_reference_records_a_limitation_says_so(attack: Attack, planted) -> None:
    code, _, findings = attack(planted(clients=12, reference=0), "attack.linear")
    assert code == 0
    assert any("No public records" in line for line in findings["attack.linear"]["limitations"])


def test_too_few_records_never_pass_and_the_number_to_plant_is_named(attack: Attack, planted) -> None:
    def noise(update, rng):
        return {name: rng.normal(0, 10, value.shape) for name, value in update.items()}

    code, _, findings = attack(planted(clients=20, defend=noise), "attack.linear")
    finding = findings["attack.linear"]
    assert (code, finding["status"], finding["reason"]) == (0, "inconclusive", "too-few-records")
    assert int(finding["remedy"]["value"]) >= 59


@pytest.mark.parametrize(
    ("score", "included", "array"),
    [
        (np.arange(40.0), np.ones(40, dtype=bool), "included"),
        (np.arange(40.0), np.zeros(40, dtype=bool), "included"),
        (np.arange(19.0), np.arange(19) % 2 == 0, "score"),
        (np.arange(40.0), np.arange(40) % 2, "included"),
        (np.full(40, np.nan), np.arange(40) % 2 == 0, "score"),
        (np.arange(40.0), np.arange(39) % 2 == 0, "included"),
    ],
    ids=["all-included", "none-included", "too-few", "no-truth-values", "not-finite", "lengths-differ"],
)
def test_canary_scores_that_cannot_decide_are_exit_2_and_name_the_array(
    attack: Attack, planted, score, included, array: str
) -> None:
    folder = planted(clients=1, reference=0, federation={"differential_privacy": {"epsilon": 1.0, "delta": 1e-5}})
    np.savez(folder / "canaries.npz", score=score, included=included)
    declare(folder, '[[data]]\nrole = "canary-scores"\npath = "canaries.npz"')
    code, document, _ = attack(folder, "dp.lower-bound")
    assert code == 2
    assert "canaries.npz" in document["message"]
    assert f"'{array}'" in document["message"]


def starved(kind: str) -> Check:
    def ask(system: System, ctx: Context) -> Iterator[Finding]:
        if kind == "python":
            raise MemoryError
        if kind == "numpy":
            np.zeros(2**48)
        torch.zeros(2**60 if kind == "torch" else 1)
        yield from ()

    return Check("attack.starved", "There is memory", ask)


@pytest.mark.parametrize("kind", ["python", "numpy", "torch"])
def test_too_little_memory_is_no_answer_and_no_error(attack: Attack, planted, monkeypatch, kind: str) -> None:
    monkeypatch.setattr(audit.attacks.linear, "starved", starved(kind), raising=False)  # found like its neighbours
    code, _, findings = attack(planted(clients=2), "attack.starved", "attack.linear")
    finding = findings["attack.starved"]
    assert (code, finding["status"], finding["reason"]) == (0, "inconclusive", "budget")
    assert "memory" in finding["remedy"]["text"]
    assert findings["attack.linear"]["status"] == "fail"  # the others are asked all the same


def test_another_error_of_torch_is_no_lack_of_memory(attack: Attack, planted, monkeypatch) -> None:
    def ask(system: System, ctx: Context) -> Iterator[Finding]:
        torch.zeros(2) @ torch.zeros(3)
        yield from ()

    monkeypatch.setattr(audit.attacks.linear, "wrong", Check("attack.wrong", "It fits", ask), raising=False)
    code, _, findings = attack(planted(clients=1), "attack.wrong")
    assert (code, findings["attack.wrong"]["status"]) == (3, "error")
