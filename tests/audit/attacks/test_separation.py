"""The rule of membership: figures as others compute them, a pass where a leak would have shown, few false alarms."""

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score, roc_curve

from audit.attacks.membership_answer import curve
from audit.attacks.separation import CONFIDENCE, Separation, halved, judge
from reports.model import Severity, Status, Strength
from reports.statistics import clopper_pearson

RNG = np.random.default_rng


def separation(members: int, others: int, *, lift: float = 0.0, share: float = 1.0, seed: int = 0) -> Separation:
    """Normal scores; those of a share of the members are `lift` higher."""
    rng = RNG(seed)
    member = np.arange(members + others) < members
    known = member & (rng.random(members + others) < share)
    return Separation(rng.standard_normal(members + others) + lift * known, member)


LEAKING = separation(300, 300, lift=6.0, share=0.3)
"""A third of the members stands out; the rest do not."""


def judged(attack: Separation, control: Separation | None = LEAKING, **asked):
    attacks = asked.pop("attacks", {"LiRA online": attack})
    controls = None if control is None else dict.fromkeys(attacks, control)
    return judge(attacks, controls, half=halved(attack.member, RNG(1)), **asked)


def test_figures_are_scikit_learn_s() -> None:
    found = separation(300, 500, lift=1.0)
    assert found.auc == pytest.approx(roc_auc_score(found.member, found.scores))
    false, true, _ = roc_curve(found.member, found.scores, drop_intermediate=False)
    for rate in (0.001, 0.01, 0.1):
        assert found.found(rate).value == pytest.approx(true[false <= rate + 1e-12].max())
    drawn = curve("x", found)
    for rate, share in zip(drawn.fpr, drawn.tpr, strict=True):
        assert share == pytest.approx(true[false <= rate + 1e-12].max())
    assert (drawn.fpr[0], drawn.fpr[-1], drawn.tpr[-1]) == (0, 1, 1)


def test_a_leak_fails_and_its_severity_follows_the_share_found() -> None:
    found = judged(separation(400, 400, lift=6.0, share=0.15))
    assert (found.status, found.severity, found.reason) == (Status.FAIL, Severity.HIGH, "")
    assert found.accusation is not None
    assert (found.accusation.found, found.accusation.ranked) == (True, False)  # fifteen in a hundred move no AUC


def test_members_that_rank_higher_fail_by_the_area_alone() -> None:
    found = judged(separation(4000, 4000, lift=0.5))
    assert found.accusation is not None
    assert (found.accusation.found, found.accusation.ranked) == (False, True)
    assert found.severity is Severity.MEDIUM


def test_reversed_membership_is_a_leak_too() -> None:
    found = judged(separation(400, 400, lift=-1.0))
    assert found.accusation is not None
    assert found.accusation.reversed
    assert found.status is Status.FAIL


def test_a_claimed_advantage_is_held_to() -> None:
    leaky = separation(3000, 3000, lift=0.3)  # an advantage of 0.12
    assert judged(leaky, claim=0.02).status is Status.FAIL
    assert judged(leaky, claim=0.02).accusation.claim
    assert judged(leaky, claim=0.3).accusation is None


def test_a_pass_is_earned() -> None:
    sound = separation(400, 400)
    assert judged(sound).status is Status.PASS
    assert judged(sound, None).reason == "control-failed"
    assert judged(sound, separation(300, 300, seed=5)).reason == "control-failed"
    both = {"LiRA online": sound, "loss threshold": sound}
    lacking = judge(both, {"loss threshold": LEAKING}, half=halved(sound.member, RNG(1)))
    assert lacking.reason == "control-failed"  # the control says nothing of the stronger attack
    assert judged(separation(99, 400)).reason == "too-few-records"
    assert judged(separation(400, 99)).reason == "too-few-records"
    assert judged(sound, complete=False).reason == "budget"
    assert judged(sound, calibrated=False).strength is Strength.SCREENING


def test_every_attack_must_be_quiet_and_any_may_accuse() -> None:
    sound, loud = separation(400, 400), separation(400, 400, lift=6.0, share=0.2, seed=3)
    found = judged(sound, attacks={"LiRA online": sound, "loss threshold": loud})
    assert (found.status, found.attack) == (Status.FAIL, "loss threshold")
    murmuring = separation(400, 400, lift=6.0, share=0.04, seed=3)
    assert judged(sound, attacks={"LiRA online": sound, "RMIA": murmuring}).reason == "undecided"


def test_few_non_members_cannot_show_that_a_threshold_is_low() -> None:
    few = separation(2000, 25)  # no leak: the highest of 25 is exceeded by about one member in 26
    shares = [separation(2000, 25, seed=seed) for seed in range(200)]
    above = sum(one.found_bounds(CONFIDENCE).low > 0.05 for one in shares)
    accused = sum(judged(one).status is Status.FAIL for one in shares)
    assert above > 20  # negative control: the bare lower bound would accuse one sound system in five
    assert accused <= 10
    assert few.false_bounds(CONFIDENCE).high == clopper_pearson(0, 25, CONFIDENCE, side="one").high


@pytest.mark.parametrize(
    ("members", "others", "systems"),
    [
        (20, 20, 200),
        (1000, 100, 200),
        pytest.param(100, 100, 1000, marks=pytest.mark.slow),
        pytest.param(400, 400, 1000, marks=pytest.mark.slow),
    ],
)
def test_at_most_one_in_twenty_sound_systems_is_accused(members: int, others: int, systems: int) -> None:
    accused = 0
    for seed in range(systems):
        attacks = {name: separation(members, others, seed=1000 * seed + n) for n, name in enumerate("abcd")}
        half = halved(attacks["a"].member, RNG(seed))
        accused += judge(attacks, dict.fromkeys(attacks, LEAKING), half=half, claim=0.0).status is Status.FAIL
    assert accused <= systems / 20


def test_the_advantage_is_measured_where_its_threshold_was_not_chosen() -> None:
    sound = [separation(50, 50, seed=seed) for seed in range(300)]
    found = [one.advantage(halved(one.member, RNG(seed))) for seed, one in enumerate(sound)]
    assert abs(np.mean([one.value for one in found])) < 0.02
    best = [np.max(np.subtract(*roc_curve(one.member, one.scores)[1::-1])) for one in sound]
    assert np.mean(best) > 0.1  # negative control: the best threshold in hindsight always looks good
    assert np.mean([one.low <= 0 for one in found]) >= 0.95
    leaky = separation(2000, 2000, lift=2.0)
    exact = 2 * 0.8413 - 1  # Phi(1) - Phi(-1), the largest difference of two normals two apart
    measured = leaky.advantage(halved(leaky.member, RNG(0)))
    assert measured.low < exact < measured.high
    assert measured.value == pytest.approx(exact, abs=0.04)
    assert measured.records == 2000
