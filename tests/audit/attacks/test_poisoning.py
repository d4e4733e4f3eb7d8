"""Poisoned federations: what each attack does, what the rule's answer is, and that luck accuses nobody."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

from audit.attacks import poisoning as module
from audit.attacks.aggregation_rules import Rule
from audit.attacks.malicious_clients import (
    ATTACKS,
    MEAN,
    SOURCE,
    TARGET,
    Attack,
    Cell,
    Compared,
    Outcome,
    Question,
    compare,
    patched,
    poisoned,
    within_band,
)
from audit.attacks.poisoning import FEDERATIONS, poisoning
from audit.attacks.poisoning_answer import answered
from audit.cli.main import run
from reports.check import Check, Context
from reports.model import Effort, Finding, Status, Strength, System
from unlearning.federated.data import ClientData

Declare = Callable[..., Path]


@pytest.fixture
def declared(tmp_path: Path) -> Declare:
    """The folder of a system that declares a federation and nothing else."""

    def write(aggregation: str | None = "mean", **federation: str) -> Path:
        keys = {"clients": 10, **({"aggregation": aggregation} if aggregation else {}), **federation}
        lines = "\n".join(f"{key} = {json.dumps(value)}" for key, value in keys.items())
        (tmp_path / "system.toml").write_text(f'[system]\nname = "s"\nversion = "1"\n[federation]\n{lines}\n')
        return tmp_path

    return write


def holding(labels: list[int]) -> ClientData:
    generator = torch.Generator().manual_seed(1)
    return ClientData(torch.rand(len(labels), 64, generator=generator), torch.tensor(labels))


@pytest.mark.parametrize("attack", ATTACKS)
def test_a_malicious_client_holds_as_many_examples_as_before(attack: Attack) -> None:
    own, everybodys = holding([*range(10)] * 4), holding([*range(10)] * 9)
    changed = poisoned(own, everybodys, attack, torch.Generator().manual_seed(0))
    assert (changed.x.shape, changed.y.shape, changed.y.dtype) == (own.x.shape, own.y.shape, own.y.dtype)


def test_a_flipped_label_is_that_of_a_real_seven() -> None:
    own, everybodys = holding([*range(10)] * 4), holding([*range(10)] * 9)
    changed = poisoned(own, everybodys, "label flip", torch.Generator().manual_seed(0))
    sevens = everybodys.x[everybodys.y == SOURCE]
    is_seven = (changed.x[:, None] == sevens[None]).all(2).any(1)
    assert int(is_seven.sum()) == 20
    assert set(changed.y[is_seven].tolist()) == {TARGET}
    assert SOURCE not in changed.y.tolist()


def test_a_patched_digit_is_called_the_target_and_the_others_keep_their_labels() -> None:
    own = holding([*range(10)] * 4)
    changed = poisoned(own, own, "backdoor patch", torch.Generator())
    marked = (changed.x.reshape(-1, 8, 8)[:, :2, :2] == 1).all(2).all(1)
    assert int(marked.sum()) == 20
    assert set(changed.y[marked].tolist()) == {TARGET}
    assert torch.equal(changed.y[~marked], own.y[~marked])


def test_the_patch_touches_four_pixels() -> None:
    x = torch.zeros(3, 64)
    assert (patched(x) != x).sum(1).tolist() == [4, 4, 4]
    assert not x.any()  # the digits themselves are left as they are


def test_every_attack_subverts_the_plain_mean_and_not_the_median() -> None:
    question = Question(Rule("median"), 10, (0.3,))
    compared = compare(question, np.random.default_rng(3))
    assert {cell.attack for cell in compared.system if cell.hidden} == {"label flip", "backdoor patch"}
    for cell, outcome in compared.system.items():
        assert compared.control[cell.plain].subverted, cell  # positive control
        assert not outcome.subverted, cell
        assert not compared.null[cell.attack].subverted, cell
    assert compared.clean > 0.7
    assert compared.system[Cell("model replacement", 0.3)].accuracy > 0.7 > compared.control[
        Cell("model replacement", 0.3)
    ].accuracy  # fmt: skip


def test_a_federation_is_the_same_whenever_it_is_asked_and_the_mean_is_its_own_control() -> None:
    question = Question(MEAN, 10, (0.1,))
    once, again = (compare(question, np.random.default_rng(5)) for _ in range(2))
    assert once == again
    assert once.system is once.control


def test_whoever_hides_in_the_spread_of_honest_updates_subverts_krum() -> None:
    [hidden] = [
        outcome
        for cell, outcome in compare(Question(Rule("krum"), 10, (0.3,)), np.random.default_rng(0)).system.items()
        if cell == Cell("label flip", 0.3, hidden=True)
    ]
    assert hidden.subverted


def test_a_hidden_update_lies_in_the_band_and_a_modest_one_is_left_alone() -> None:
    honest = torch.randn(7, 50, generator=torch.Generator().manual_seed(0))
    low, high = honest.mean(0) - 1.5 * honest.std(0), honest.mean(0) + 1.5 * honest.std(0)
    hidden = within_band(torch.linspace(-9, 9, 50), honest)
    assert bool(((hidden >= low) & (hidden <= high)).all())
    torch.testing.assert_close(within_band(honest.mean(0), honest), honest.mean(0))


def test_at_least_one_client_is_malicious() -> None:
    assert [Cell("label flip", share).malicious(10) for share in (0.01, 0.1, 0.3)] == [1, 1, 3]


@pytest.mark.slow  # 36 federations
def test_a_plain_mean_fails_at_smoke(declared: Declare, ask) -> None:
    finding = ask(poisoning, declared("mean")).finding
    assert (finding.status, finding.strength) == (Status.FAIL, Strength.SCREENING)
    measured = {one.name: one for one in finding.measurements}
    assert measured["attack_success"].value == 1.0
    assert measured["attack_success"].interval.low > 0.7
    assert measured["accuracy_under_attack"].interval.high < measured["accuracy_without_attack"].interval.low
    assert finding.remedy.parameter == "federation.aggregation"


@pytest.mark.slow
def test_at_standard_a_rule_is_told_from_another(declared: Declare, ask) -> None:
    """No rule here withstands three of ten clients that hide; how often each gives way tells them apart."""
    krum, median = (ask(poisoning, declared(rule), effort=Effort.STANDARD) for rule in ("krum", "median"))
    assert (krum.finding.status, krum.finding.strength) == (Status.FAIL, Strength.SCREENING)
    success = {
        name: next(one for one in asked.finding.measurements if one.name == "attack_success")
        for name, asked in (("krum", krum), ("median", median))
    }
    assert success["median"].interval.high < success["krum"].interval.low
    assert {one.control for one in success.values()} == {1.0}
    assert {one.n for one in success.values()} == {59}


@pytest.mark.parametrize(
    ("federation", "reason"),
    [
        ({"aggregation": "secret sauce"}, "not-applicable:unknown-rule"),
        ({"aggregation": "krum(5)"}, "not-applicable:unknown-rule"),
        ({"aggregation": "krum(2)", "clients": 4}, "not-applicable:unknown-rule"),
    ],
)
def test_what_cannot_be_rehearsed_is_said_to_be(declared: Declare, ask, federation, reason: str) -> None:
    finding = ask(poisoning, declared(**federation)).finding
    assert (finding.status, finding.reason) == (Status.INCONCLUSIVE, reason)
    assert finding.remedy is not None
    assert not finding.measurements


def test_without_a_federation_nobody_asks(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "system.toml").write_text('[system]\nname = "s"\nversion = "1"\n')
    assert run(["attack", "run", str(tmp_path / "system.toml"), "attack.poisoning", "--json"]) == 0
    [finding] = json.loads(capsys.readouterr().out)["findings"]
    assert (finding["status"], finding["reason"]) == ("skipped", "missing:federation")


@pytest.mark.slow  # two workers import torch
def test_processes_find_what_the_loop_finds(
    declared: Declare, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(FEDERATIONS, Effort.SMOKE, 3)
    said = []
    for executor in ("serial", "process"):
        line = ["attack", "run", str(declared("mean") / "system.toml"), "attack.poisoning", "--effort", "smoke"]
        assert run([*line, "--executor", executor, "--json"]) == 0
        said.append(json.loads(capsys.readouterr().out)["findings"])
    assert said[0] == said[1]
    assert said[0][0]["measurements"]


@pytest.mark.slow  # two workers import torch
def test_processes_write_the_report_that_the_loop_writes(
    declared: Declare, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(FEDERATIONS, Effort.SMOKE, 3)
    line = ["run", str(declared("mean") / "system.toml"), "--only", "attack.poisoning", "--effort", "smoke"]
    for executor in ("serial", "process"):
        how = ["-o", str(tmp_path / executor), "--executor", executor, "--now", "2026-11-21T12:00:00Z", "--no-render"]
        assert run([*line, *how]) == 0
    serial, process = ((tmp_path / name / "report.dsse.json").read_bytes() for name in ("serial", "process"))
    assert serial == process


# The rule, on federations that nobody trained.


def made(system: float, control: float, null: float, rng: np.random.Generator, clean: float = 0.8) -> Compared:
    """A federation in which each attack succeeds with these probabilities."""

    def outcome(chance: float) -> Outcome:
        return Outcome(float(rng.random() < chance), float(rng.uniform(0.7, 0.8)))

    cells = [Cell(attack, 0.3) for attack in ATTACKS]
    return Compared(
        {cell: outcome(system) for cell in cells},
        {cell: outcome(control) for cell in cells},
        {attack: outcome(null) for attack in ATTACKS},
        clean,
    )


def answering(compared: list[Compared]) -> Check:
    def says(system: System, ctx: Context) -> Iterator[Finding]:
        yield answered(system, ctx, Question(Rule("median"), 10, (0.3,)), compared)

    return Check("attack.made", "It withstands", says, strength=Strength.SCREENING)


@pytest.mark.parametrize(
    ("chances", "count", "clean", "status", "reason"),
    [
        ((0.0, 1.0, 0.0), 59, 0.8, Status.PASS, ""),
        ((1.0, 1.0, 0.0), 9, 0.8, Status.FAIL, ""),
        ((0.0, 1.0, 0.0), 58, 0.8, Status.INCONCLUSIVE, "too-few-records"),
        ((0.0, 0.2, 0.0), 59, 0.8, Status.INCONCLUSIVE, "control-failed"),  # attacks without power earn no pass
        ((0.0, 1.0, 0.0), 59, 0.99, Status.INCONCLUSIVE, "control-failed"),  # a rule under which nothing is learnt
        ((0.5, 1.0, 0.5), 59, 0.8, Status.INCONCLUSIVE, "undecided"),  # the wish holds as often by itself
    ],
)
def test_a_pass_is_earned_and_a_failure_too(declared, ask, chances, count, clean, status, reason) -> None:
    rng = np.random.default_rng(8)
    finding = ask(answering([made(*chances, rng, clean) for _ in range(count)]), declared()).finding
    assert (finding.status, finding.reason) == (status, reason)
    assert finding.strength is Strength.SCREENING


def test_luck_accuses_one_rule_in_a_hundred_at_most(declared: Declare, ask, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("audit.attacks.poisoning_answer.RESAMPLES", 1)  # the intervals are not asked about here
    rng = np.random.default_rng(20260101)
    accused = 0
    for _ in range(100):
        null = float(rng.uniform(0, 0.5))
        finding = ask(answering([made(null, 1.0, null, rng) for _ in range(20)]), declared()).finding
        accused += finding.status is Status.FAIL
    assert accused <= 4  # at a rate of 1 % more than four of 100 come about with a probability of 0.3 %


def test_the_budgets_allow_what_the_spec_asks() -> None:
    assert FEDERATIONS[Effort.STANDARD] >= 59
    assert module.SHARES[Effort.FULL] == (0.1, 0.2, 0.3)


@pytest.mark.parametrize(
    ("federation", "reason"),
    [
        ({"aggregation": None}, "not-applicable:undeclared-rule"),
        ({"aggregation": "mean", "visibility": "aggregate"}, "not-applicable:sums-only"),
    ],
)
def test_where_there_is_no_rule_to_rehearse_it_is_skipped(declared: Declare, ask, federation, reason: str) -> None:
    finding = ask(poisoning, declared(**federation)).finding
    assert (finding.status, finding.reason) == (Status.SKIPPED, reason)
