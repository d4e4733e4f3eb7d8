"""Score files: a leak in them fails, a sound system with a control passes, and every misshapen array is named."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from audit.attacks.membership import membership
from audit.attacks.membership_scores import LOSS, ODDS, OFFLINE, ONLINE, Scored, separations
from reports.errors import FedauditError
from reports.model import Status
from tests.audit.released_model import released


def scores(shadows: int = 16, records: int = 500, *, lift: float = 3.0, seed: int = 0) -> dict[str, Any]:
    """Scores of records of very different difficulty, `lift` higher where the record was trained on."""
    rng = np.random.default_rng(seed)
    centre = rng.normal(3, 4, records)
    member, within = rng.random(records) < 0.5, rng.random((shadows, records)) < 0.5
    noise = rng.standard_normal((shadows + 1, records))
    return {
        "target": centre + lift * member + noise[0],
        "member": member,
        "shadow": centre + lift * within + noise[1:],
        "shadow_member": within,
    }


def with_control(given: dict[str, Any], **control: Any) -> dict[str, Any]:
    """The scores, and beside them those of a model that leaks, whose shadows were trained on the same records."""
    rng = np.random.default_rng(9)
    records = len(given["target"])
    centre, member = rng.normal(3, 4, records), rng.random(records) < 0.5
    found = {"control_target": centre + 4 * member + rng.standard_normal(records), "control_member": member}
    if "shadow" in given:
        within = given["shadow_member"]
        found["control_shadow"] = centre + 4 * within + rng.standard_normal(within.shape)
    return {**given, **found, **control}


def answer(folder: Path, ask: Any, arrays: dict[str, Any]) -> Any:
    return ask(membership, released(folder, data={"membership-scores": arrays}))


def test_scores_of_an_overfit_model_fail(tmp_path: Path, ask: Any) -> None:
    asked = answer(tmp_path, ask, with_control(scores()))
    assert asked.finding.status is Status.FAIL
    assert asked.finding.basis == "recorded"
    assert asked.value("tpr_at_fpr_0.01") > 5 * asked.value("tpr_at_fpr_0.01_loss_threshold")


def test_scores_of_a_sound_model_pass_only_beside_a_control_that_leaks(tmp_path: Path, ask: Any) -> None:
    sound = scores(records=1000, lift=0.0)
    assert answer(tmp_path / "with", ask, with_control(sound)).finding.status is Status.PASS
    without = answer(tmp_path / "without", ask, sound).finding
    assert (without.status, without.reason) == (Status.INCONCLUSIVE, "control-failed")
    tame = with_control(sound, control_target=sound["target"], control_shadow=sound["shadow"])
    assert answer(tmp_path / "tame", ask, tame).finding.reason == "control-failed"


def test_few_records_can_fail_but_never_pass(tmp_path: Path, ask: Any) -> None:
    sound = answer(tmp_path / "sound", ask, with_control(scores(records=150, lift=0.0))).finding
    assert (sound.status, sound.reason) == (Status.INCONCLUSIVE, "too-few-records")
    assert sound.remedy is not None
    assert sound.remedy.value == "100"
    assert answer(tmp_path / "leaky", ask, with_control(scores(records=150, lift=5.0))).finding.status is Status.FAIL


def test_the_loss_alone_earns_a_screening(tmp_path: Path, ask: Any) -> None:
    alone = {name: array for name, array in scores(records=1000, lift=0.0).items() if "shadow" not in name}
    rng = np.random.default_rng(1)
    member = rng.random(1000) < 0.5
    control = {"control_target": rng.standard_normal(1000) + 4 * member, "control_member": member}
    finding = answer(tmp_path, ask, {**alone, **control}).finding
    assert (finding.status, finding.strength) == (Status.PASS, "screening")
    assert any("loss alone" in said for said in finding.limitations)


def test_shadows_decide_which_attacks_there_are() -> None:
    given = scores()
    many = Scored(**given)
    assert list(separations(many)) == [ONLINE, OFFLINE, ODDS, LOSS]
    few = Scored(given["target"], given["member"], given["shadow"][:4], given["shadow_member"][:4])
    assert next(iter(separations(few))) in (ODDS, LOSS)
    offline = Scored(given["target"], given["member"], given["shadow"], np.zeros_like(given["shadow_member"]))
    assert list(separations(offline)) == [OFFLINE, ODDS, LOSS]
    one = Scored(given["target"], given["member"], given["shadow"][:1], np.zeros((1, 500), bool))
    assert list(separations(one)) == [LOSS]  # one shadow tells no spread


def test_a_claimed_advantage_that_is_too_small_is_contradicted(tmp_path: Path, ask: Any) -> None:
    arrays = with_control(scores(records=2000, lift=0.8))
    claimed = released(tmp_path, data={"membership-scores": arrays}, claims={"membership_advantage": 0.01})
    finding = ask(membership, claimed).finding
    assert finding.status is Status.FAIL
    [advantage] = [one for one in finding.measurements if one.name == "membership_advantage"]
    assert advantage.threshold is not None
    assert advantage.threshold.limit == 0.01
    assert advantage.interval is not None
    assert advantage.interval.low > 0.01


BAD = {
    "a target of text": ({"target": np.array(["a"] * 500)}, "target"),
    "a target in two dimensions": ({"target": np.zeros((500, 1))}, "target"),
    "a target with NaN": ({"target": np.full(500, np.nan)}, "target"),
    "a target that is too short": ({"target": np.zeros(19), "member": np.arange(19) < 9}, "target"),
    "members as integers": ({"member": np.ones(500, dtype=int)}, "member"),
    "members alone": ({"member": np.ones(500, dtype=bool)}, "member"),
    "non-members alone": ({"member": np.zeros(500, dtype=bool)}, "member"),
    "members of another length": ({"member": np.arange(400) < 9}, "member"),
    "shadows of other records": ({"shadow": np.zeros((16, 400))}, "shadow"),
    "no shadow": ({"shadow": np.zeros((0, 500)), "shadow_member": np.zeros((0, 500), bool)}, "shadow"),
    "shadows with infinity": ({"shadow": np.full((16, 500), np.inf)}, "shadow"),
    "shadow members as floats": ({"shadow_member": np.zeros((16, 500))}, "shadow_member"),
    "shadow members of fewer shadows": ({"shadow_member": np.zeros((15, 500), bool)}, "shadow_member"),
    "a control of text": ({"control_target": np.array(["a"] * 500)}, "control_target"),
    "a control with integers for members": ({"control_member": np.ones(500, dtype=int)}, "control_member"),
    "control shadows of other records": ({"control_shadow": np.zeros((16, 7))}, "control_shadow"),
}


@pytest.mark.parametrize(("changed", "named"), BAD.values(), ids=BAD.keys())
def test_a_bad_array_is_named_and_ends_with_code_two(tmp_path: Path, ask: Any, changed: Any, named: str) -> None:
    with pytest.raises(FedauditError, match=f"'{named}'") as told:
        answer(tmp_path, ask, {**with_control(scores()), **changed})
    assert told.value.exit_code == 2
    assert "membership-scores.npz" in told.value.message


@pytest.mark.parametrize("lacking", ["target", "member", "shadow_member", "control_member"])
def test_a_lacking_array_is_named(tmp_path: Path, ask: Any, lacking: str) -> None:
    given = with_control(scores())
    del given[lacking]
    with pytest.raises(FedauditError, match=f"'{lacking}'") as told:
        answer(tmp_path, ask, given)
    assert told.value.exit_code == 2


@pytest.mark.slow
def test_at_most_one_in_twenty_sound_score_files_is_accused(tmp_path: Path, ask: Any) -> None:
    statuses = []
    for seed in range(200):
        given = with_control(scores(8, 240, lift=0.0, seed=seed))
        statuses.append(answer(tmp_path / str(seed), ask, given).finding.status)
    assert statuses.count(Status.FAIL) <= 10
