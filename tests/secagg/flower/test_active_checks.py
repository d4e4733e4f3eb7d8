"""The active checks on the installed Flower: what they find there is measured, and nothing of it is hard-coded."""

from collections.abc import Callable
from typing import Any

import pytest

from reports.model import Finding, Severity, Status, System
from secagg.checks.active_conformance import client_conformance
from secagg.checks.active_dropout import dropout
from secagg.checks.active_erasure import secret_erasure
from secagg.checks.active_masks import mask_entropy
from secagg.checks.active_shares import share_integrity

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


def test_flowers_client_accepts_lies_that_give_a_vector_away(ask: Ask, secure_system: SecureSystem) -> None:
    [finding] = ask(client_conformance, secure_system(**FLOWER))
    assert (finding.status, finding.severity) == (Status.FAIL, Severity.CRITICAL)
    names = measured(finding)
    for knob in ("low_threshold", "key_substitution", "split_view", "overlapping_lists"):
        assert names[f"refused.{knob}"].value == 0
    assert names["refused.duplicate_key"].value == 1
    assert any("secaggplus_mod" in told for told in finding.limitations)


def test_a_wrong_share_spoils_flowers_sum_in_silence(ask: Ask, secure_system: SecureSystem) -> None:
    [finding] = ask(share_integrity, secure_system(**FLOWER))
    assert (finding.status, measured(finding)["noticed.seed_share"].control) == (Status.FAIL, 0)


def test_flowers_client_keeps_the_secrets_of_a_round(ask: Ask, secure_system: SecureSystem) -> None:
    [finding] = ask(secret_erasure, secure_system(**FLOWER))
    assert finding.status is Status.FAIL
    assert measured(finding)["secrets_left"].control > 0
    assert "rd_seed" in finding.summary


def test_flowers_masks_have_28_bits_and_a_search_shows_what_that_means(ask: Ask, secure_system: SecureSystem) -> None:
    [finding] = ask(mask_entropy, secure_system(**FLOWER, prg="aes256-ctr", seed_bits=256))
    assert (finding.status, finding.severity) == (Status.FAIL, Severity.CRITICAL)
    assert measured(finding)["seed_bits"].value == 28
    assert measured(finding)["masks_found_by_search"].value == 1
    assert "2^29 streams" in finding.detail
    assert any("Declared are 256 bits" in told for told in finding.limitations)
