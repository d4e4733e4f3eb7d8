"""Shadows for a declared model: the declared recipe, cut to the effort, the same numbers on every executor."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from audit.attacks.membership import membership
from audit.attacks.membership_shadows import (
    CONTROL_RECORDS,
    MISLABELLED,
    Records,
    declared_recipe,
    operations,
    planned,
    scored,
    trials,
)
from audit.attacks.shadow import Recipe, Splits, halves
from audit.executors import Process
from reports.check import Options
from reports.errors import SystemFileError
from reports.model import Artifact, DifferentialPrivacy, Effort, Federation, Status, System
from tests.audit.released_model import released, trained_on
from unlearning.models import mlp

SOURCE = Artifact(path="system.toml", sha256="0" * 64, size=1, kind="source")


def declared(**federation: Any) -> Recipe | None:
    return declared_recipe(System(name="a", version="1", source=SOURCE, federation=Federation(**federation)))


def test_the_recipe_is_what_the_federation_declares() -> None:
    noise = DifferentialPrivacy(unit="client", clipping_norm=0.5, noise_multiplier=1.5)
    found = declared(
        rounds=7, learning_rate=0.2, local_epochs=3, batch_size=8, clients=24, clients_per_round=6,
        differential_privacy=noise,
    )  # fmt: skip
    expected = Recipe(7, 3, 8, 0.2, clients=24, clients_per_round=6, clipping_norm=0.5, noise_multiplier=1.5)
    assert found == expected
    assert declared(rounds=7) is None
    assert declared(learning_rate=0.1) is None
    by_example = DifferentialPrivacy(unit="example", clipping_norm=0.5, noise_multiplier=1.5)
    bare = declared(rounds=1, learning_rate=0.1, differential_privacy=by_example)
    assert bare is not None
    assert bare.clipping_norm is None  # single gradients are not clipped here


@pytest.mark.parametrize(
    ("recipe", "steps", "gradients"),
    [
        (Recipe(rounds=2, local_epochs=3, batch_size=4), 2 * 3 * 5, 2 * 3 * 20),
        (Recipe(rounds=2, local_epochs=3, batch_size=4, local_steps=2), 2 * 2, 2 * 2 * 4),
        (Recipe(rounds=2, local_epochs=1, batch_size=2, clients=4), 2 * 3, 4 * 2 * 5),  # five records a client
        (Recipe(rounds=2, local_epochs=1, batch_size=2, clients=4, clients_per_round=1), 2 * 3, 2 * 5),
    ],
)
def test_steps_and_gradients_are_counted(recipe: Recipe, steps: int, gradients: int) -> None:
    assert (recipe.steps(20), recipe.gradients(20)) == (steps, gradients)


def everybody(records: int = 900, members: int = 600) -> Records:
    source = torch.Generator().manual_seed(1)
    y = torch.randint(10, (records,), generator=source)
    return Records(torch.randn(records, 64, generator=source), y, np.arange(records) < members)


def test_a_plan_that_fits_keeps_everybody_and_one_that_does_not_says_what_it_cut() -> None:
    rng, model = np.random.default_rng(0), mlp((64,), 16, 10)
    whole = planned(model, everybody(), Recipe(local_epochs=2), Effort.SMOKE, rng)
    assert (whole.cut, len(whole.records.y), whole.member.shape) == ("", 900, (4, 900))
    assert planned(model, everybody(), Recipe(), Effort.STANDARD, rng).member.shape == (16, 900)
    long = Recipe(rounds=10**6, batch_size=1)
    cut = planned(model, everybody(), long, Effort.SMOKE, rng)
    assert "400 of 900" in cut.cut
    assert 1 <= cut.recipe.rounds < 10**3
    assert (cut.records.member.sum(), len(cut.records.y)) == (200, 400)


def test_a_quarter_of_the_twins_records_bears_a_wrong_label() -> None:
    given = everybody()
    plan = planned(mlp((64,), 16, 10), given, Recipe(), Effort.SMOKE, np.random.default_rng(0))
    assert len(plan.control.y) == CONTROL_RECORDS
    rows = {row.numpy().tobytes(): int(label) for row, label in zip(given.x, given.y, strict=True)}
    wrong = [rows[row.numpy().tobytes()] != int(y) for row, y in zip(plan.control.x, plan.control.y, strict=True)]
    assert sum(wrong) == MISLABELLED * CONTROL_RECORDS
    assert plan.control_member.shape == (5, CONTROL_RECORDS)
    assert np.array_equal(plan.control_member[-1], plan.control.member)  # the twin is the last


def test_shadows_of_public_records_never_saw_anybody_who_is_judged() -> None:
    given, rng = everybody(), np.random.default_rng(0)
    others = Records(torch.randn(500, 64), torch.randint(10, (500,)), np.zeros(500, dtype=bool))
    plan = planned(mlp((64,), 16, 10), given, Recipe(), Effort.SMOKE, rng, others)
    known = {row.tobytes() for row in others.x.numpy()}
    for records, splits in ((plan.records, plan.public), (plan.control, plan.control_public)):
        assert splits is not None
        assert torch.equal(splits.x[: len(records.y)], records.x)
        assert not splits.member[:, : len(records.y)].any()
        assert {row.tobytes() for row in splits.x.numpy()[splits.member.any(axis=0)]} <= known
        assert len({row.tobytes() for row in splits.member}) == 4  # no two learn from the same
    assert plan.public is not None
    assert plan.public.member.sum(axis=1).tolist() == [375] * 4  # three quarters of 500, fewer than half of 900


def test_shadows_of_public_records_count_towards_the_work() -> None:
    model, given = mlp((64,), 16, 10), everybody()
    others = replace(given, member=np.zeros(900, dtype=bool), x=given.x + 1)
    long = Recipe(rounds=10**6, batch_size=1)
    alone = planned(model, given, long, Effort.SMOKE, np.random.default_rng(0))
    both = planned(model, given, long, Effort.SMOKE, np.random.default_rng(0), others)
    assert both.recipe.rounds == pytest.approx(alone.recipe.rounds / 2, abs=1)


def test_large_stacks_are_split_and_no_shadow_is_lost() -> None:
    given = everybody(40, 20)
    member = halves(17, 40, np.random.default_rng(0))
    parts = trials(mlp((64,), 16, 10), Splits(given.x, given.y, member), Recipe(), "cpu")
    assert [len(part.splits.member) for part in parts] == [8, 8, 1]
    assert np.array_equal(np.concatenate([part.splits.member for part in parts]), member)
    crowd = Recipe(clients=4000)  # as many models at once
    wide = trials(mlp((64,), 128, 10), Splits(given.x, given.y, member), crowd, "cpu")
    assert [len(part.splits.member) for part in wide] == [1] * 17


def test_operations_are_those_of_the_layers() -> None:
    assert operations(mlp((64,), 16, 10), torch.zeros(1, 64)) == 2 * (64 * 16 + 16 * 10)
    convolution = nn.Conv2d(1, 3, 3, bias=False)
    assert operations(convolution, torch.zeros(1, 1, 8, 8)) == 2 * 9 * 3 * 36


def test_shadows_that_diverged_are_left_out() -> None:
    target, member = np.zeros(6), np.arange(6) < 3
    shadow = np.array([[0.0] * 6, [np.nan] * 6, [1.0] * 6])
    within = halves(3, 6, np.random.default_rng(0))
    found = scored(target, member, shadow, within)
    assert found.shadow is not None
    assert found.shadow_member is not None
    assert found.shadow[:, 0].tolist() == [0.0, 1.0]
    assert np.array_equal(found.shadow_member, within[[0, 2]])
    assert scored(target, member, shadow * np.nan, within).shadow is None


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Twins that are trained for a moment, where they are not what is asked about."""
    brief = replace(Recipe(optimiser="adam", learning_rate=1e-2), local_epochs=1)
    monkeypatch.setattr("audit.attacks.membership_shadows.BY_HEART", brief)


def records(digits: Any, start: int, stop: int) -> Any:
    return digits.x[start:stop], digits.y[start:stop]


@pytest.mark.usefixtures("small")
def test_the_owners_code_is_asked_in_this_process_alone(tmp_path: Path, digits: Any, ask: Any) -> None:
    data = {"members": records(digits, 0, 60), "nonmembers": records(digits, 60, 120)}
    folder = released(tmp_path, trained_on(data["members"], Recipe(local_epochs=2)), data=data)
    (folder / "model.py").write_text(
        "from torch import nn\n\n\nclass Own(nn.Sequential):\n    pass\n\n\n"
        "def build():\n    return Own(nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 10))\n"
    )
    system = (folder / "system.toml").read_text().replace('layers = "layers.json"', 'definition = "model.py:build"')
    (folder / "system.toml").write_text(system)
    finding = ask(membership, folder, options=Options(trust_code=True), executor=NoWorkers()).finding
    assert finding.status is not Status.ERROR
    assert any(one.name == "auc" for one in finding.measurements)


class NoWorkers:
    """An executor that must not be asked."""

    def map(self, fn: Any, trials: Any) -> Any:
        raise AssertionError(fn, trials)


@pytest.mark.usefixtures("small")
def test_a_learning_rate_that_diverges_and_a_model_of_nan_are_told(tmp_path: Path, digits: Any, ask: Any) -> None:
    data = {"members": records(digits, 0, 120), "nonmembers": records(digits, 120, 240)}
    model = trained_on(data["members"], Recipe(local_epochs=2))
    wild = {"rounds": 1, "local_epochs": 30, "learning_rate": 1e30, "batch_size": 32}
    finding = ask(membership, released(tmp_path / "wild", model, data=data, federation=wild)).finding
    assert finding.status is Status.INCONCLUSIVE
    assert any("diverged" in said for said in finding.limitations)
    with torch.no_grad():
        model[0].weight.fill_(float("nan"))
    with pytest.raises(SystemFileError, match="no finite numbers"):
        ask(membership, released(tmp_path / "nan", model, data=data))


@pytest.mark.slow
@pytest.mark.usefixtures("small")
def test_workers_find_what_one_process_finds(tmp_path: Path, digits: Any, ask: Any) -> None:
    data = {"members": records(digits, 0, 120), "nonmembers": records(digits, 120, 240)}
    folder = released(tmp_path, trained_on(data["members"], Recipe(local_epochs=2)), data=data)
    assert ask(membership, folder, executor=Process(2)) == ask(membership, folder)  # findings and evidence


@pytest.mark.slow
@pytest.mark.usefixtures("small")
def test_at_most_one_in_twenty_models_that_know_nobody_is_accused(tmp_path: Path, digits: Any, ask: Any) -> None:
    model = trained_on(records(digits, 0, 600), Recipe(local_epochs=30))
    how = {"rounds": 1, "local_epochs": 30, "batch_size": 32, "learning_rate": 0.1}
    accused = 0
    for seed in range(200):
        order = 600 + np.random.default_rng(seed).permutation(1197)  # nobody here was trained on
        parts = {"members": order[:150], "nonmembers": order[150:300]}
        data = {role: (digits.x[chosen], digits.y[chosen]) for role, chosen in parts.items()}
        folder = released(tmp_path / str(seed), model, data=data, federation=how)
        accused += ask(membership, folder).finding.status is Status.FAIL
    assert accused <= 10
