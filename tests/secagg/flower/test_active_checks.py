"""The active checks on the installed Flower: what they find there is measured, and nothing of it is hard-coded."""

from collections.abc import Callable
from typing import Any

import pytest

from reports.model import Finding, Severity, Status, System
from secagg.checks.active_dropout import dropout

pytestmark = pytest.mark.flower
Ask = Callable[..., list[Finding]]
SecureSystem = Callable[..., System]
FLOWER = {"protocol": "flower-secaggplus", "clients": 5, "degree": 4, "threshold": 3, "dropout_fraction": 0.2}


def measured(finding: Finding) -> dict[str, Any]:
    return {measurement.name: measurement for measurement in finding.measurements}


def test_flower_loses_a_round_with_a_client_that_vanishes_early(ask: Ask, secure_system: SecureSystem) -> None:
    [finding] = ask(dropout, secure_system(**FLOWER))
    assert (finding.status, finding.severity) == (Status.FAIL, Severity.MEDIUM)
    assert measured(finding)["wrong_sums"].control == 1
    assert any("flwr 1." in told for told in finding.limitations)
    assert finding.remedy is not None
    assert finding.remedy.value == "fedaudit-secagg"
