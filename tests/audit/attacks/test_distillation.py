"""Shared logits: clients named by their label mix, their own transfer records told, records drawn; and what is none."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from audit.attacks.cells import cells_of, play_cells
from audit.attacks.distillation import distillation
from audit.attacks.label_mix import accusation, least_clients, nearest
from audit.attacks.separation import halved, judge
from audit.attacks.transfer_members import own_records
from audit.decision import verdict
from reports.errors import SystemFileError
from reports.model import Effort, Severity, Status
from reports.toml_writer import toml_text

Array = npt.NDArray[np.float64]
Records = tuple[Array, npt.NDArray[np.int64]]
Answer = Callable[[list[Records], Array], Array]
"""Takes the clients' data and the public records, returns logits of shape (clients, records, 10)."""


def trained(steps: int = 60, rate: float = 0.5, decay: float = 0.0) -> Answer:
    """Softmax regressions, each trained on its client's data by plain gradient descent."""

    def answer(clients: list[Records], public: Array) -> Array:
        found = []
        for x, y in clients:
            inputs, weight = np.c_[x, np.ones(len(x))], np.zeros((65, 10))
            for _ in range(steps):
                odds = np.exp(inputs @ weight)
                weight += rate * (
                    inputs.T @ (np.eye(10)[y] - odds / odds.sum(1, keepdims=True)) / len(x) - decay * weight
                )
            found.append(np.c_[public, np.ones(len(public))] @ weight)
        return np.array(found)

    return answer


def luck(seed: int = 0) -> Answer:
    """Logits that say nothing of anybody."""
    return lambda clients, public: np.random.default_rng(seed).normal(size=(len(clients), len(public), 10))


def dealt(digits, clients: int, each: int, *, skewed: bool, start: int = 0) -> list[Records]:
    """Digits for every client; skewed ones hold mostly a few labels."""
    rng = np.random.default_rng(8)
    x, y = digits.x[start:].astype(np.float64), digits.y[start:]
    found = []
    for _ in range(clients):
        shares = rng.dirichlet(np.full(10, 0.5)) if skewed else np.full(10, 0.1)
        weights = shares[y] / np.bincount(y)[y]
        rows = rng.choice(len(x), each, replace=False, p=weights / weights.sum())
        found.append((x[rows], y[rows]))
    return found


@pytest.fixture
def shared(tmp_path: Path, digits) -> Callable[..., Path]:
    """Write a federation whose clients share logits on public digits; its folder."""

    def write(
        answer: Answer,
        clients: list[Records],
        *,
        public: Records | None = None,
        rounds: int = 1,
        reference: bool = True,
        change: Callable[[Array], Array] = lambda logits: logits,
        tables: Mapping[str, Any] | None = None,
    ) -> Path:
        x, y = (digits.x[:100].astype(np.float64), digits.y[:100]) if public is None else public
        updates = []
        for number in range(rounds):
            for client, logits in enumerate(change(answer(clients, x))):
                path = f"r{number}c{client}.npz"
                np.savez(tmp_path / path, logits=logits)
                np.savez(tmp_path / f"t{client}.npz", x=clients[client][0].astype(np.float32), y=clients[client][1])
                keys = {"client": f"c{client}", "round": number, "truth": f"t{client}.npz"}
                updates.append({"path": path, "kind": "logits", **keys})
        np.savez(tmp_path / "reference.npz", x=x.astype(np.float32), y=y)
        written = {
            "system": {"name": "distillation", "version": "1"},
            "model": {"input_shape": [64], "classes": 10},
            "data": [{"role": "reference", "path": "reference.npz"}] if reference else [],
            "updates": updates,
            **(tables or {}),
        }
        (tmp_path / "system.toml").write_text(toml_text(written))
        return tmp_path

    return write


def softmax(logits: Array) -> Array:
    odds = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return odds / odds.sum(axis=-1, keepdims=True)


@pytest.mark.parametrize(
    "change",
    [
        lambda z: z,
        softmax,
        lambda z: z / 5,
        lambda z: np.eye(10)[z.argmax(axis=2)],
        lambda z: z + 3 * np.random.default_rng(0).normal(size=(*z.shape[:2], 1)),
        lambda z: np.round(z),
    ],
    ids=["logits", "probabilities", "tempered", "hard-labels", "shifted", "rounded"],
)
def test_clients_of_skewed_data_are_named(shared, ask, digits, change) -> None:
    asked = ask(distillation, shared(trained(), dealt(digits, 20, 60, skewed=True, start=100), change=change))
    assert asked.finding.status is Status.FAIL, asked.finding.summary
    assert asked.finding.severity is Severity.CRITICAL
    assert asked.value("identifiability") >= 0.8
    assert asked.value("control_identifiability") >= 0.9
    assert asked.value("chance") == pytest.approx(1 / 20)


def test_logits_that_say_nothing_pass_with_many_clients(shared, ask, digits) -> None:
    asked = ask(distillation, shared(luck(), dealt(digits, 120, 40, skewed=True, start=100)))
    assert asked.finding.status is Status.PASS, asked.finding.summary
    assert asked.value("control_identifiability") > 0.9
    assert any("effort full" in line for line in asked.finding.limitations)


def test_with_few_clients_the_honest_answer_is_inconclusive(shared, ask, digits) -> None:
    finding = ask(distillation, shared(luck(), dealt(digits, 10, 40, skewed=True, start=100))).finding
    assert (finding.status, finding.reason) == (Status.INCONCLUSIVE, "too-few-records")
    assert finding.remedy.value == str(least_clients())


def test_four_clients_are_never_enough_to_accuse(shared, ask, digits) -> None:
    finding = ask(distillation, shared(trained(), dealt(digits, 4, 80, skewed=True, start=100))).finding
    assert (finding.status, finding.reason) == (Status.INCONCLUSIVE, "too-few-records")


def test_equal_mixes_leave_nothing_to_tell(shared, ask, digits) -> None:
    (one,) = dealt(digits, 1, 40, skewed=False, start=100)
    finding = ask(distillation, shared(luck(), [one] * 12)).finding
    assert (finding.status, finding.reason) == (Status.INCONCLUSIVE, "control-failed")
    assert "some label mixes are equal" in finding.summary


def test_more_rounds_tell_more(shared, ask, digits) -> None:
    rng = np.random.default_rng(0)
    clients = dealt(digits, 15, 60, skewed=True, start=100)
    found = []
    for rounds in (1, 6):
        folder = shared(trained(), clients, rounds=rounds, change=lambda z: z + 20 * rng.normal(size=z.shape))
        found.append(ask(distillation, folder).value("identifiability"))
    assert found[1] > found[0] + 0.2


def test_who_sees_the_mean_alone_sees_no_client(shared, ask, digits) -> None:
    tables = {"federation": {"visibility": "aggregate"}}
    finding = ask(distillation, shared(luck(), dealt(digits, 3, 20, skewed=True), tables=tables)).finding
    assert (finding.status, finding.reason) == (Status.SKIPPED, "not-applicable:sums-only")


def test_a_client_alone_cannot_be_told_apart(shared, ask, digits) -> None:
    finding = ask(distillation, shared(luck(), dealt(digits, 1, 20, skewed=True))).finding
    assert (finding.status, finding.reason) == (Status.INCONCLUSIVE, "no-usable-record")


def test_logits_with_nan_are_left_out_and_named(shared, ask, digits) -> None:
    def spoil(logits: Array) -> Array:
        logits[3] = np.nan
        return logits

    folder = shared(trained(), dealt(digits, 20, 60, skewed=True, start=100), change=spoil)
    asked = ask(distillation, folder)
    (headline,) = [one for one in asked.finding.measurements if one.name == "identifiability"]
    assert headline.n == 19
    assert asked.finding.status is Status.FAIL
    assert any("r0c3.npz" in line for line in asked.finding.limitations)


def test_logits_of_two_shapes_are_told(shared, ask, digits) -> None:
    folder = shared(luck(), dealt(digits, 3, 20, skewed=True), reference=False)
    np.savez(folder / "r0c1.npz", logits=np.zeros((7, 10)))
    with pytest.raises(SystemFileError, match="logits have the shapes"):
        ask(distillation, folder)


def test_own_transfer_records_of_an_overfit_client_are_told(shared, ask, digits) -> None:
    clients = dealt(digits, 10, 20, skewed=False, start=300)
    x = np.concatenate([digits.x[:150].astype(np.float64), *[own for own, _ in clients]])
    y = np.concatenate([digits.y[:150], *[labels for _, labels in clients]])
    asked = ask(distillation, shared(trained(steps=3000, rate=1.0), clients, public=(x, y)))
    assert asked.finding.status is Status.FAIL
    assert "own transfer records" in asked.finding.summary
    assert asked.value("auc") > 0.7


def test_own_transfer_records_that_nobody_learnt_are_not_told(shared, ask, digits) -> None:
    clients = dealt(digits, 30, 20, skewed=True, start=300)
    x = np.concatenate([digits.x[:100].astype(np.float64), *[own[:6] for own, _ in clients]])
    y = np.concatenate([digits.y[:100], *[labels[:6] for _, labels in clients]])
    asked = ask(distillation, shared(luck(1), clients, public=(x, y)))
    assert 0.4 < asked.value("auc") < 0.6
    assert asked.finding.status is not Status.FAIL


def test_without_public_records_the_label_mix_is_still_asked(shared, ask, digits) -> None:
    clients = dealt(digits, 20, 60, skewed=True, start=100)
    finding = ask(distillation, shared(trained(), clients, reference=False)).finding
    assert finding.status is Status.FAIL
    assert any("No public records" in line for line in finding.limitations)


def one_of_each(digits, clients: int, labels: int) -> list[Records]:
    """Clients that hold one record each of a few labels."""
    rng, found = np.random.default_rng(4), []
    for _ in range(clients):
        chosen = rng.permutation(10)[:labels]
        rows = np.array([rng.choice(np.flatnonzero(digits.y[800:1400] == label)) for label in chosen]) + 800
        found.append((digits.x[rows].astype(np.float64), digits.y[rows]))
    return found


def test_records_that_clients_learnt_by_heart_are_drawn_at_full(shared, ask, digits) -> None:
    public = digits.x[:600].astype(np.float64), digits.y[:600]
    folder = shared(trained(steps=300), one_of_each(digits, 14, 5), public=public)
    asked = ask(distillation, folder, effort=Effort.FULL)
    assert asked.finding.status is Status.FAIL
    assert asked.value("paired_identifiability") > asked.value("null_paired_identifiability") + 0.15
    assert asked.value("control_paired_identifiability") > 0.6
    assert "drawn from paired logits" in asked.finding.summary


@pytest.mark.slow
def test_logits_that_say_nothing_pass_at_full(shared, ask, digits) -> None:
    public = digits.x[:600].astype(np.float64), digits.y[:600]
    asked = ask(
        distillation, shared(luck(), dealt(digits, 120, 8, skewed=True, start=700), public=public), effort=Effort.FULL
    )
    assert asked.value("control_paired_identifiability") > 0.5
    assert asked.value("paired_identifiability") < 0.02
    assert asked.finding.status is Status.PASS, asked.finding.summary


@pytest.mark.parametrize("clients", [2, 4, 5, 7])
def test_few_clients_are_accused_by_luck_once_in_a_hundred_at_most(clients: int) -> None:
    accused = [_accused(seed, clients) for seed in range(300)]
    assert np.mean(accused) <= 0.01


@pytest.mark.slow
@pytest.mark.parametrize("clients", [10, 40])
def test_many_clients_are_accused_by_luck_in_five_percent_at_most(clients: int) -> None:
    assert np.mean([_accused(seed, clients) for seed in range(200)]) <= 0.05


def _accused(seed: int, clients: int) -> bool:
    """Whether one system whose estimated mixes are luck, but lean apart as estimates do, is accused."""
    rng = np.random.default_rng(seed)
    level = rng.normal(size=(clients, 10))
    mixes = softmax(3 * (level - level.mean(axis=0)))
    return accusation(nearest(mixes, rng.dirichlet(np.full(10, 0.5), clients)), rng) <= 0.01


@pytest.mark.slow
def test_transfer_records_that_nobody_learnt_are_called_own_in_five_percent_at_most() -> None:
    """Clients of their own sureness, for a label and in all, that hold records of some labels only."""
    accused = []
    for seed in range(200):
        rng = np.random.default_rng(seed)
        labels = rng.integers(0, 4, 80)
        sure = rng.normal(size=(8, 4)) * 2 + rng.normal(size=(8, 1)) * 2
        scores = sure[:, labels] + rng.normal(size=80) * 3 + rng.normal(size=(8, 80))
        member = (rng.random((8, 80)) < 0.3) & (labels == rng.integers(0, 4, (8, 1)))
        attack = own_records(scores, member, labels)
        if attack is not None:
            accused.append(judge({"own": attack}, None, half=halved(attack.member, rng)).status is Status.FAIL)
    assert len(accused) > 150
    assert np.mean(accused) <= 0.05


@pytest.mark.slow
def test_logits_of_nobody_draw_nobody_in_five_percent_at_most(digits) -> None:
    accused = []
    for seed in range(200):
        rng = np.random.default_rng(seed)
        x = digits.x[rng.permutation(len(digits.x))[:130]].astype(np.float64)
        owners = [np.arange(3 * client, 3 * client + 3) for client in range(10)]
        asked = cells_of(owners, [np.arange(3)] * 10, x)
        logits = np.tensordot(rng.normal(size=(10, 64, 5)), x[30:], axes=(1, 1)).transpose(0, 2, 1)
        accused.append(verdict(play_cells(asked, logits, x[30:], rng)).status is Status.FAIL)
    assert np.mean(accused) <= 0.05
