"""The verdict against its definition written out, over every outcome of small experiments and over dice."""

from functools import cache
from math import comb

import numpy as np
import pytest
from scipy.stats import binom

from audit.decision import Arms, Paired, records_needed, severity_of, verdict, without_accusation
from reports.model import Severity, Status, Strength
from reports.statistics import clopper_pearson


def arms(n: int, hits: int, null: int, control: int, **keys: object) -> Arms:
    """Hits are the first records; null hits the last, so that the two overlap as little as they can."""
    count = np.arange(n)
    return Arms(control=count < control, system=count < hits, null=count >= n - null, **keys)


def by_definition(n: int, hits: int, null: int, control: int, chance: float, tolerance: float) -> tuple[str, str]:
    """The rule of the specification, in the order of its sentences, with bounds found by bisection."""
    if n == 0:
        return "inconclusive", "no-usable-record"
    both = max(0, hits + null - n)
    only_system, only_null = hits - both, null - both
    discordant = only_system + only_null
    p = sum(comb(discordant, i) for i in range(only_system, discordant + 1)) / 2**discordant
    if p <= 0.01:
        return "fail", ""
    if lower(control, n) < 0.5:
        return "inconclusive", "control-failed"
    if n < 59:
        return "inconclusive", "too-few-records"
    if chance > 0.02:
        return "inconclusive", "too-few-candidates"
    return ("pass", "") if upper(hits, n) <= chance + tolerance else ("inconclusive", "undecided")


@cache
def upper(k: int, n: int) -> float:
    """The rate at which `k` or fewer of `n` have a probability of 5 %."""
    return 1.0 if k == n else bisect(lambda p: binom.cdf(k, n, p) > 0.05)


@cache
def lower(k: int, n: int) -> float:
    return 0.0 if k == 0 else bisect(lambda p: binom.sf(k - 1, n, p) < 0.05)


def bisect(go_up) -> float:
    low, high = 0.0, 1.0
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if go_up(middle) else (low, middle)
    return (low + high) / 2


@pytest.mark.parametrize("n", range(21))
def test_every_outcome_of_few_records_is_judged_as_defined(n: int) -> None:
    for hits in range(n + 1):
        for null in range(n + 1):
            for control in {n, n // 2, 0}:
                decision = verdict(arms(n, hits, null, control))
                assert (str(decision.status), decision.reason) == by_definition(n, hits, null, control, 0.0, 0.05)
                assert decision.status is not Status.PASS  # fewer than 59 never pass


@pytest.mark.parametrize("n", [59, 64, 128])
@pytest.mark.parametrize("chance", [0.0, 0.01, 0.02, 0.021])
def test_many_records_are_judged_as_defined(n: int, chance: float) -> None:
    for hits in range(0, n + 1, 1 if n == 59 else 3):
        for null in (0, 1, 5):
            for control in (n, round(0.6 * n), n // 2):
                decision = verdict(arms(n, hits, null, control, chance=chance))
                expected = by_definition(n, hits, null, control, chance, 0.05)
                assert (str(decision.status), decision.reason) == expected


def test_the_published_corner_cases_pass() -> None:
    assert verdict(arms(59, 0, 0, 59)).status is Status.PASS
    assert verdict(arms(128, 2, 0, 128)).status is Status.PASS
    assert verdict(arms(128, 3, 0, 128)).reason == "undecided"
    assert verdict(arms(58, 0, 0, 58)).reason == "too-few-records"


def test_one_exact_record_fails_unless_other_peoples_views_give_one_too() -> None:
    once = np.arange(64) == 0
    exact = verdict(arms(64, 1, 0, 64, exact=once))
    assert (exact.status, exact.strength, exact.severity) == (Status.FAIL, Strength.EXACT, Severity.LOW)
    assert verdict(arms(64, 1, 0, 64, exact=once, exact_null=True)).status is Status.INCONCLUSIVE


def test_few_views_make_a_pass_a_screening() -> None:
    assert verdict(arms(64, 0, 0, 64)).strength is Strength.STATISTICAL
    assert verdict(arms(64, 0, 0, 64, views=3)).strength is Strength.SCREENING


def test_a_defence_without_an_answer_earns_no_pass_but_excuses_no_leak() -> None:
    assert verdict(arms(64, 0, 0, 64, unanswered=("signs",))).reason == "undecided"
    assert verdict(arms(64, 9, 0, 64, unanswered=("signs",))).status is Status.FAIL


def test_variants_are_corrected_for_their_number() -> None:
    n, nothing = 64, np.zeros(64, dtype=bool)
    seven = np.arange(n) < 7  # p = 1/128 alone, 1/64 beside one more variant
    leak, quiet = Paired(seven, nothing, ~nothing), Paired(nothing, nothing, ~nothing)
    alone = Arms(~nothing, seven, nothing, variants={"a": leak})
    assert verdict(alone).status is Status.FAIL
    assert verdict(Arms(~nothing, seven, nothing, variants={"a": leak, "b": quiet})).status is Status.INCONCLUSIVE


def test_a_false_accusation_has_a_probability_of_at_most_one_percent() -> None:
    rng = np.random.default_rng(17)
    for rate in (0.02, 0.1, 0.5, 0.9):
        trials = 1500
        fails = sum(
            verdict(Arms(np.ones(80, bool), rng.random(80) < rate, rng.random(80) < rate)).status is Status.FAIL
            for _ in range(trials)
        )
        assert fails <= binom.ppf(0.9999, trials, 0.01), f"{fails} of {trials} at rate {rate}"


def test_a_false_pass_has_a_probability_of_at_most_five_percent() -> None:
    for n in (59, 64, 100, 128, 256, 512):
        passing = [k for k in range(n + 1) if verdict(arms(n, k, k, n)).status is Status.PASS]
        assert binom.pmf(passing, n, 0.06).sum() <= 0.05  # exact, over every count that passes


def test_a_leak_of_half_the_records_is_found_and_a_sound_system_passes() -> None:
    rng = np.random.default_rng(23)
    everybody = np.ones(64, bool)
    leaks = [verdict(Arms(everybody, rng.random(64) < 0.5, rng.random(64) < 0.01)) for _ in range(300)]
    sound = [verdict(Arms(everybody, rng.random(64) < 0.001, rng.random(64) < 0.001)) for _ in range(300)]
    assert all(one.status is Status.FAIL for one in leaks)
    assert sum(one.status is Status.PASS for one in sound) >= 270


@pytest.mark.parametrize(
    ("low", "severity"),
    [(0.0, "low"), (0.019, "low"), (0.02, "medium"), (0.1, "high"), (0.49, "high"), (0.5, "critical")],
)
def test_severity_is_read_off_the_lower_bound(low: float, severity: str) -> None:
    assert severity_of(low) == Severity(severity)


def test_the_number_of_records_named_does_decide() -> None:
    needed = records_needed(1, 64, 0.05)
    assert needed is not None
    assert clopper_pearson(round(needed / 64), needed, side="one").high <= 0.05
    assert records_needed(0, 10, 0.05) == 59
    assert records_needed(6, 64, 0.05) is None


def test_views_that_cannot_accuse_leave_a_failure_open() -> None:
    open_question = without_accusation(verdict(arms(64, 64, 0, 64)))
    assert (open_question.status, open_question.reason) == (Status.INCONCLUSIVE, "undecided")
    passed = verdict(arms(64, 0, 0, 64))
    assert without_accusation(passed) == passed
