"""`attack.membership`: a model that knows its members by heart fails, and one that generalises passes."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.stats import binom

from audit.attacks.membership import membership, of_other_labels
from audit.attacks.membership_shadows import BY_HEART
from audit.attacks.shadow import Recipe
from reports.check import missing
from reports.errors import SystemFileError
from reports.model import Effort, Severity, Status
from tests.audit.released_model import PERCEPTRON, released, trained_on

BRIEF, LONG = Recipe(local_epochs=6, learning_rate=0.2), Recipe(local_epochs=40, learning_rate=0.2)
DECLARED = {"rounds": 1, "batch_size": 32, "learning_rate": 0.2}


def labels(digits: Any, mislabelled: float) -> Any:
    """The digits' labels, a share of them wrong."""
    rng = np.random.default_rng(3)
    wrong = rng.random(len(digits.y)) < mislabelled
    return np.where(wrong, (digits.y + rng.integers(1, 10, len(digits.y))) % 10, digits.y)


def system(
    folder: Path,
    digits: Any,
    recipe: Recipe,
    members: int = 450,
    others: int = 450,
    mislabelled: float = 0.1,
    **described: Any,
) -> Path:
    """A perceptron on digits, of which a tenth bears a wrong label that only memory can answer."""
    y = labels(digits, mislabelled)
    known, unknown = slice(0, members), slice(members, members + others)
    data = {"members": (digits.x[known], y[known]), "nonmembers": (digits.x[unknown], y[unknown])}
    model = trained_on(data["members"], recipe, layers=described.get("layers", PERCEPTRON))
    data |= described.pop("data", {})
    federation = {**DECLARED, "local_epochs": recipe.local_epochs}
    return released(folder, model, data=data, federation=federation, input_shape=[64], classes=10, **described)


def test_an_overfit_model_gives_its_members_away(tmp_path: Path, ask: Any, digits: Any) -> None:
    asked = ask(membership, system(tmp_path, digits, LONG))
    finding = asked.finding
    assert finding.status is Status.FAIL, finding.summary
    assert finding.severity.at_least(Severity.MEDIUM)
    assert asked.value("tpr_at_fpr_0.01") > 5 * max(asked.value("tpr_at_fpr_0.01_loss_threshold"), 0.01)
    assert finding.remedy is not None
    plots = [json.loads(data) for data in asked.kept.data.values() if data.startswith(b"{")]
    [roc] = [plot for plot in plots if plot["kind"] == "roc"]
    assert {series["label"] for series in roc["series"]} == {
        "LiRA online", "LiRA offline", "RMIA", "loss threshold", "positive control",
    }  # fmt: skip
    kinds = {piece.media_type: piece.confidentiality.value for piece in asked.kept.pieces.values()}
    assert kinds["application/x-npz"] == "restricted"
    headline = next(one for one in finding.measurements if one.name == "tpr_at_fpr_0.01")
    assert headline.control is not None
    assert headline.control > 0.1
    assert "non-members that set the threshold" in headline.method  # and the interval of its false-positive rate
    advantage = next(one for one in finding.measurements if one.name == "membership_advantage")
    assert advantage.interval is not None
    assert advantage.interval.low > 0


def test_its_twin_that_generalises_passes(tmp_path: Path, ask: Any, digits: Any) -> None:
    finding = ask(membership, system(tmp_path, digits, BRIEF)).finding
    assert finding.status is Status.PASS, finding.summary
    assert finding.strength == "statistical"
    assert "Not found by these attacks" in finding.summary
    assert finding.basis == "measured"


def test_a_model_too_narrow_to_know_anybody_by_heart_earns_no_pass(tmp_path: Path, ask: Any, digits: Any) -> None:
    layers = [
        {"type": "Unflatten", "dim": 1, "unflattened_size": [1, 8, 8]}, {"type": "AdaptiveAvgPool2d", "output_size": 1},
        {"type": "Flatten"}, {"type": "Linear", "in_features": 1, "out_features": 10},
    ]  # fmt: skip
    finding = ask(membership, system(tmp_path, digits, BRIEF, layers=layers)).finding
    assert (finding.status, finding.reason) == (Status.INCONCLUSIVE, "control-failed"), finding.summary
    assert finding.remedy is not None


@pytest.fixture
def little_work(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("audit.attacks.membership_shadows.WORK", dict.fromkeys(Effort, 1e8))


@pytest.mark.usefixtures("little_work")
def test_a_recipe_too_long_for_the_effort_earns_no_pass(tmp_path: Path, ask: Any, digits: Any) -> None:
    finding = ask(membership, system(tmp_path, digits, BRIEF)).finding
    assert finding.status is Status.INCONCLUSIVE
    assert any(said.startswith("Cut to the effort smoke") for said in finding.limitations)


@pytest.mark.usefixtures("little_work")
def test_the_same_seed_gives_the_same_figures(tmp_path: Path, ask: Any, digits: Any) -> None:
    folder = system(tmp_path, digits, BRIEF, members=120, others=120)
    first, again = ask(membership, folder), ask(membership, folder)
    assert first.finding == again.finding
    assert first.kept.data.keys() == again.kept.data.keys()


@pytest.mark.usefixtures("little_work")
def test_non_members_that_are_members_are_left_out(tmp_path: Path, ask: Any, digits: Any) -> None:
    both = {"nonmembers": (digits.x[300:600], digits.y[300:600])}
    finding = ask(membership, system(tmp_path / "some", digits, BRIEF, data=both)).finding
    assert "Left out: 150 non-members that are members, too." in finding.limitations
    every = {"nonmembers": (digits.x[:300], digits.y[:300])}
    with pytest.raises(SystemFileError, match="every non-member"):
        ask(membership, system(tmp_path / "all", digits, BRIEF, data=every))


@pytest.mark.usefixtures("little_work")
def test_a_system_that_does_not_say_how_it_trains_is_told_so(tmp_path: Path, ask: Any, digits: Any) -> None:
    model = trained_on((digits.x[:120], digits.y[:120]), BRIEF)
    data = {"members": (digits.x[:120], digits.y[:120]), "nonmembers": (digits.x[120:240], digits.y[120:240])}
    finding = ask(membership, released(tmp_path, model, data=data)).finding
    assert any("recipe of ours" in said for said in finding.limitations)


def test_it_needs_records_of_both_roles_or_scores(tmp_path: Path, digits: Any) -> None:
    from audit.manifest import load_system

    def lacking(**data: Any) -> tuple[str, ...]:
        folder = tmp_path / "-".join(data)
        model = trained_on((digits.x[:9], digits.y[:9]), BRIEF, layers=PERCEPTRON)
        released(folder, model, data=data)
        return missing(membership, load_system(folder / "system.toml").system)

    records = (digits.x[:9], digits.y[:9])
    assert lacking(members=records) == ("data.nonmembers|data.membership-scores",)
    assert lacking(members=records, nonmembers=records) == ()
    assert lacking(**{"membership-scores": {"target": np.zeros(20), "member": np.arange(20) < 9}}) == ()


def public(digits: Any, records: int = 450, mislabelled: float = 0.1) -> dict[str, Any]:
    """Records of the same kind, of nobody who is judged."""
    return {"reference": (digits.x[900 : 900 + records], labels(digits, mislabelled)[900 : 900 + records])}


@pytest.fixture
def half_by_heart(monkeypatch: pytest.MonkeyPatch) -> None:
    """A twin that is trained for half as long, and leaks still."""
    brief = replace(BY_HEART, local_epochs=BY_HEART.local_epochs // 2)
    monkeypatch.setattr("audit.attacks.membership_shadows.BY_HEART", brief)


@pytest.mark.usefixtures("half_by_heart")
def test_shadows_of_public_records_alone_give_an_overfit_models_members_away(
    tmp_path: Path, ask: Any, digits: Any
) -> None:
    folder = system(tmp_path, digits, LONG, members=300, others=300, mislabelled=0.5, data=public(digits, 300, 0.5))
    asked = ask(membership, folder)
    assert asked.finding.status is Status.FAIL, asked.finding.summary
    found = {one.name: one for one in asked.finding.measurements}
    for name in ("lira_on_reference", "rmia_on_reference"):
        area = found[f"auc_{name}"]
        assert area.control is not None  # the control ran the same variant
        assert area.control > 0.60
        assert area.interval is not None
        assert area.interval.low > 0.60, asked.finding.detail
    assert "4 on public records alone" in (asked.finding.detail or "")


@pytest.mark.usefixtures("half_by_heart")
def test_shadows_of_public_records_alone_are_silent_on_a_sound_model(tmp_path: Path, ask: Any, digits: Any) -> None:
    asked = ask(membership, system(tmp_path, digits, BRIEF, data=public(digits)))
    assert asked.finding.status is Status.PASS, asked.finding.summary
    assert abs(asked.value("auc_lira_on_reference") - 0.5) < 0.1
    assert abs(asked.value("auc_rmia_on_reference") - 0.5) < 0.1
    assert asked.value("tpr_at_fpr_0.01_lira_on_reference") <= 0.05


@pytest.mark.usefixtures("little_work")
@pytest.mark.parametrize("case", ["small", "unlabelled", "nobody new"])
def test_without_enough_labelled_public_records_it_says_why_none_were_used(
    tmp_path: Path, ask: Any, digits: Any, case: str
) -> None:
    data = {
        "small": {"reference": (digits.x[900:959], digits.y[900:959])},
        "unlabelled": {"reference": {"x": digits.x[900:1200]}},
        "nobody new": {"reference": (digits.x[:240], digits.y[:240])},
    }[case]
    finding = ask(membership, system(tmp_path, digits, BRIEF, members=120, others=120, data=data)).finding
    labelled = {"small": 59, "unlabelled": 0, "nobody new": 0}[case]
    assert any(f"reference has {labelled} labelled ones" in said for said in finding.limitations)
    assert not any("reference" in one.name for one in finding.measurements)


@pytest.mark.usefixtures("little_work")
@pytest.mark.parametrize(("classes", "said"), [(10, False), (5, True)])
def test_public_records_of_other_labels_are_said_to_weaken_lira_on_reference(
    tmp_path: Path, ask: Any, digits: Any, classes: int, said: bool
) -> None:
    rows = 300 + np.flatnonzero(digits.y[300:] < classes)[:240]
    data = {"reference": (digits.x[rows], digits.y[rows])}
    folder = system(tmp_path, digits, BRIEF, members=120, others=120, mislabelled=0.0, data=data)
    finding = ask(membership, folder).finding
    assert "4 on public records alone" in (finding.detail or "")
    assert any("LiRA on reference finds less" in line for line in finding.limitations) == said


def test_luck_alone_is_hardly_ever_taken_for_another_kind_of_labels() -> None:
    rng = np.random.default_rng(8)
    alike = [of_other_labels(rng.integers(0, 10, 60), rng.integers(0, 10, 40), rng) for _ in range(200)]
    assert sum(map(bool, alike)) <= binom.ppf(0.999, 200, 0.01)  # the level, though most distances exceed a tenth
    skewed = rng.choice(10, 400, p=np.arange(1, 11) / 55)
    assert "total variation 0.2" in of_other_labels(np.repeat(np.arange(10), 40), skewed, rng)
    slight = np.repeat(np.arange(10), [1100, 900] * 5), np.repeat(np.arange(10), 1000)
    assert of_other_labels(*slight, rng) == ""  # not by luck, and too little to matter


@pytest.mark.slow
def test_sixteen_shadows_find_three_times_what_the_loss_finds(tmp_path: Path, ask: Any, digits: Any) -> None:
    longer = Recipe(local_epochs=120, learning_rate=0.2)
    asked = ask(membership, system(tmp_path, digits, longer), effort=Effort.STANDARD)
    assert asked.finding.status is Status.FAIL
    loss = max(asked.value("tpr_at_fpr_0.01_loss_threshold"), 0.01)
    assert asked.value("tpr_at_fpr_0.01") >= 3 * loss, asked.finding.detail
