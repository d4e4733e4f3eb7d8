"""Declared drop-outs: survived in rounds that are run, lost where the numbers or the code do not bear them."""

import json
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

from reports.model import Basis, Finding, Severity, Status, Strength, System
from secagg.checks import active_dropout
from secagg.checks.active_dropout import dropout
from secagg.params import assess_parameters
from secagg.setting import RoundConfig
from secagg.survival import (
    BEYOND,
    FORGETFUL,
    OVERLOADED,
    SPREAD,
    WITHIN,
    Survival,
    Trial,
    bearable_dropouts,
    survive,
    trials,
)

Ask = Callable[..., list[Finding]]
SecureSystem = Callable[..., System]
OWN = {"protocol": "fedaudit-secagg", "clients": 8, "degree": 7, "threshold": 5, "dropout_fraction": 0.2}


def measured(finding: Finding) -> dict[str, Any]:
    return {measurement.name: measurement for measurement in finding.measurements}


def claiming(system: System, tolerance: float) -> System:
    return System.model_validate({**system.model_dump(), "claims": {"dropout_tolerance": tolerance}})


def test_our_own_rounds_survive_what_is_declared_and_say_how_much_they_bear(
    ask: Ask, secure_system: SecureSystem, shelf: Any
) -> None:
    [finding] = ask(dropout, secure_system(**OWN), shelf)
    assert (finding.status, finding.strength, finding.basis) == (Status.PASS, Strength.EXACT, Basis.MEASURED)
    names = measured(finding)
    assert names["dropout_tolerance"].value == 0.25  # six survivors: five others for each
    assert (names["wrong_sums"].value, names["wrong_sums"].control) == (0, 1)
    assert (names["aborted_within_declared_rate"].value, names["aborted_within_declared_rate"].control) == (0, 1)
    rounds = json.loads(shelf.kept[finding.evidence[0]])["rounds"]
    assert {one["phase"] for one in rounds if one["kind"] == WITHIN} == {
        SPREAD, "advertise", "shares", "masked-input", "unmask",
    }  # fmt: skip
    assert {one["dropped"] for one in rounds if one["kind"] == BEYOND} == {2}


def test_a_threshold_too_high_for_the_declared_rate_fails_and_the_remedy_mends_it(
    ask: Ask, secure_system: SecureSystem
) -> None:
    flawed = {**OWN, "threshold": 7}
    [finding] = ask(dropout, secure_system(**flawed))
    assert (finding.status, finding.severity) == (Status.FAIL, Severity.MEDIUM)
    assert measured(finding)["aborted_within_declared_rate"].value > 0
    assert finding.remedy is not None
    assert finding.remedy.value is not None
    [mended] = ask(dropout, secure_system(**{**flawed, "threshold": int(finding.remedy.value)}))
    assert mended.status is Status.PASS


@pytest.mark.parametrize(("claim", "status"), [(0.25, Status.PASS), (0.26, Status.FAIL), (0.9, Status.FAIL)])
def test_a_claimed_tolerance_is_held_against_what_is_borne(
    claim: float, status: Status, ask: Ask, secure_system: SecureSystem
) -> None:
    [finding] = ask(dropout, claiming(secure_system(**OWN), claim))
    assert finding.status is status
    if status is Status.FAIL:
        assert finding.remedy is not None
        assert (finding.remedy.parameter, finding.remedy.value) == ("claims.dropout_tolerance", "0.25")


def test_a_larger_cohort_is_run_as_a_copy_and_says_so(ask: Ask, secure_system: SecureSystem) -> None:
    [finding] = ask(dropout, secure_system(protocol="fedaudit-secagg"))
    assert finding.status is Status.PASS
    assert any("20 of the declared 100 clients" in told for told in finding.limitations)
    assert measured(finding)["dropout_tolerance"].value == bearable_dropouts(100, 12, 7) / 100


def test_a_wrong_sum_is_a_failure_however_many_were_lost(
    ask: Ask, secure_system: SecureSystem, monkeypatch: pytest.MonkeyPatch
) -> None:
    def spoilt(config: RoundConfig, dropped: int, tolerated: int) -> Iterator[Trial]:
        yield from trials(config, dropped, tolerated)
        yield Trial(config, SPREAD, SPREAD, 0)

    def careless(trial: Trial, rng: np.random.Generator) -> Survival:
        kind = FORGETFUL if trial.kind == SPREAD else trial.kind
        ended = survive(Trial(trial.config, kind, trial.phase, trial.dropped), rng)
        return Survival(BEYOND if trial.kind == SPREAD else ended.kind, *list(vars(ended).values())[1:])

    monkeypatch.setattr(active_dropout, "trials", spoilt)
    monkeypatch.setattr(active_dropout, "survive", careless)
    [finding] = ask(dropout, secure_system(**OWN))
    assert (finding.status, finding.severity) == (Status.FAIL, Severity.HIGH)
    assert "dropout_tolerance" not in measured(finding)


def test_without_a_control_that_works_nothing_is_passed(
    ask: Ask, secure_system: SecureSystem, monkeypatch: pytest.MonkeyPatch
) -> None:
    def mild(config: RoundConfig, dropped: int, tolerated: int) -> Iterator[Trial]:
        for trial in trials(config, dropped, tolerated):
            yield Trial(config, OVERLOADED, SPREAD, 0) if trial.kind == OVERLOADED else trial

    monkeypatch.setattr(active_dropout, "trials", mild)
    [finding] = ask(dropout, secure_system(**OWN))
    assert (finding.status, finding.reason) == (Status.INCONCLUSIVE, "control-failed")


@pytest.mark.parametrize(
    ("changes", "status", "reason"),
    [
        ({}, Status.PASS, ""),
        ({"threshold": 12}, Status.FAIL, ""),
        ({"dropout_fraction": 0.0}, Status.INCONCLUSIVE, "control-failed"),
        ({"threshold": None}, Status.SKIPPED, "missing:federation.secure_aggregation.threshold"),
        ({"degree": 3}, Status.INCONCLUSIVE, "invalid:federation.secure_aggregation.degree"),
    ],
)
def test_a_strangers_protocol_is_judged_by_its_bits(
    changes: dict[str, Any], status: Status, reason: str, ask: Ask, secure_system: SecureSystem
) -> None:
    [finding] = ask(dropout, secure_system(protocol="somebody's", **changes))
    assert (finding.status, finding.reason, finding.basis) == (status, reason, Basis.DECLARED)
    if status in (Status.PASS, Status.FAIL):
        assert any("No round was simulated" in told for told in finding.limitations)


@pytest.mark.parametrize(("clients", "degree", "threshold"), [(10, 9, 6), (40, 39, 20), (100, 12, 7), (250, 48, 23)])
def test_one_more_drop_out_than_is_bearable_is_not_borne(clients: int, degree: int, threshold: int) -> None:
    most = bearable_dropouts(clients, degree, threshold)
    borne = [
        assess_parameters(clients, degree, threshold, 0.05, dropped / clients).sufficient(sigma=0)
        for dropped in range(clients)
    ]
    assert borne == [dropped <= most for dropped in range(clients)]


def test_a_threshold_that_no_client_joins_loses_every_round_and_is_to_be_raised(
    ask: Ask, secure_system: SecureSystem
) -> None:
    [finding] = ask(dropout, secure_system(**{**OWN, "threshold": 1}))
    assert finding.status is Status.FAIL
    assert "policy-threshold" in finding.summary
    assert finding.remedy is not None
    assert finding.remedy.direction == "raise"
