"""A wrong share is noticed by our server, and would not be by one that compares shares with nothing."""

import json
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import pytest

from reports.model import Finding, Status, Strength, System
from secagg.checks import active_shares
from secagg.checks.active_shares import Trial, planted, share_integrity
from secagg.failures import MALICIOUS
from secagg.setting import RoundConfig
from secagg.wrong_shares import PLANTS, Planted, plant_share

Ask = Callable[..., list[Finding]]
SecureSystem = Callable[..., System]
OWN = {"protocol": "fedaudit-secagg", "clients": 8, "degree": 7, "threshold": 5}


@pytest.mark.parametrize("plant", PLANTS)
@pytest.mark.parametrize("config", [RoundConfig(8, 50, 7, 5), RoundConfig(8, 50, 7, 6, server_trust=MALICIOUS)])
def test_a_planted_share_is_named_by_our_server_and_spoils_the_sum_of_a_careless_one(
    plant: str, config: RoundConfig
) -> None:
    for seed in range(3):
        ours, careless = (
            plant_share(plant, config, np.random.default_rng(seed), careless=one) for one in (False, True)
        )
        assert (ours.noticed, ours.named) == (True, "commitment-mismatch" if plant == "dealing" else "share-digest")
        assert (careless.noticed, careless.spoilt) == (False, True)


def test_our_own_protocol_passes_since_the_careless_server_does_not(
    ask: Ask, secure_system: SecureSystem, shelf: Any
) -> None:
    [finding] = ask(share_integrity, secure_system(**OWN), shelf)
    assert (finding.status, finding.strength) == (Status.PASS, Strength.EXACT)
    assert {(one.value, one.control) for one in finding.measurements} == {(1, 0)}
    document = json.loads(shelf.kept[finding.evidence[0]])
    assert [one["exact"] for one in document["control"]] == [False] * len(PLANTS)


def flawed(trial: Trial, rng: np.random.Generator, *, careless: bool) -> Planted:
    outcome = planted(Trial(trial.plant, trial.config, careless), rng)
    return Planted(outcome.plant, trial.careless, outcome.reason, outcome.exact, outcome.named)


@pytest.mark.parametrize(
    ("careless", "status", "reason"), [(True, Status.FAIL, ""), (False, Status.INCONCLUSIVE, "control-failed")]
)
def test_a_careless_server_fails_and_without_one_nothing_is_shown(
    careless: bool, status: Status, reason: str, ask: Ask, secure_system: SecureSystem, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(active_shares, "planted", partial(flawed, careless=careless))
    [finding] = ask(share_integrity, secure_system(**OWN))
    assert (finding.status, finding.reason) == (status, reason)
    assert (finding.remedy is not None) == careless


def test_of_a_strangers_protocol_nothing_can_be_asked(ask: Ask, secure_system: SecureSystem) -> None:
    [finding] = ask(share_integrity, secure_system(protocol="somebody's"))
    assert (finding.status, finding.reason) == (Status.SKIPPED, "not-applicable:federation.secure_aggregation.protocol")


@pytest.mark.parametrize("changes", [{"clients": 3, "degree": 2, "threshold": 2}, {"threshold": 7}])
def test_a_round_that_can_lose_nobody_is_not_blamed_for_a_share_that_was_never_used(
    changes: dict[str, int], ask: Ask, secure_system: SecureSystem
) -> None:
    [finding] = ask(share_integrity, secure_system(**{**OWN, **changes}))
    assert finding.status is Status.PASS
    assert any("guarded choice" in told for told in finding.limitations)
