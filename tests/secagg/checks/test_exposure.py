"""Sums without noise fail, noise that the server cannot see past passes."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from reports.check import missing
from reports.model import Basis, DifferentialPrivacy, Finding, Status, Strength, System
from secagg.checks.exposure import aggregate_exposure

Ask = Callable[..., list[Finding]]
SecureSystem = Callable[..., System]


def with_noise(system: System, **declared: Any) -> System:
    assert system.federation is not None
    noise = DifferentialPrivacy.model_validate(declared)
    return system.model_copy(
        update={"federation": system.federation.model_copy(update={"differential_privacy": noise})}
    )


def test_secure_aggregation_alone_fails(ask: Ask, secure_system: SecureSystem) -> None:
    [finding] = ask(aggregate_exposure, secure_system())
    assert (finding.status, finding.strength, finding.basis) == (Status.FAIL, Strength.DOCUMENT, Basis.DECLARED)
    assert finding.remedy is not None
    assert (finding.remedy.parameter, finding.remedy.direction) == ("federation.differential_privacy", "add")
    assert "GDPR:25(1)" in finding.controls


@pytest.mark.parametrize(
    ("server_trust", "declared", "status", "parameter"),
    [
        ("honest-but-curious", {"noise_multiplier": 1.1, "noise_added_by": "clients"}, Status.PASS, None),
        ("trusted", {"noise_multiplier": 1.1, "noise_added_by": "server"}, Status.PASS, None),
        ("malicious", {"noise_multiplier": 1.1}, Status.PASS, None),
        ("honest-but-curious", {"noise_multiplier": 1.1, "noise_added_by": "server"}, Status.FAIL, "noise_added_by"),
        ("honest-but-curious", {"noise_multiplier": 0.0}, Status.FAIL, "noise_multiplier"),
        ("honest-but-curious", {"epsilon": 3.0}, Status.INCONCLUSIVE, "noise_multiplier"),
    ],
)
def test_noise_counts_if_it_is_there_and_the_server_cannot_see_past_it(
    server_trust: str,
    declared: dict[str, Any],
    status: Status,
    parameter: str | None,
    ask: Ask,
    secure_system: SecureSystem,
    shelf: Any,
) -> None:
    [finding] = ask(aggregate_exposure, with_noise(secure_system(server_trust), **declared), shelf)
    assert finding.status is status
    assert (finding.remedy and finding.remedy.parameter) == (
        f"federation.differential_privacy.{parameter}" if parameter else None
    )
    assert json.loads(shelf.kept[finding.evidence[0]])["differential_privacy"] == declared
    assert (finding.reason == "") == (status is not Status.INCONCLUSIVE)
    assert any("not declared" in text for text in finding.limitations) == ("noise_added_by" not in declared)


def test_it_asks_of_secure_aggregation_alone(secure_system: SecureSystem) -> None:
    assert missing(aggregate_exposure, secure_system()) == ()
    assert missing(aggregate_exposure, secure_system().model_copy(update={"federation": None})) != ()
