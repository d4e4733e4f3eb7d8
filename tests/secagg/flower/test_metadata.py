"""The installed Flower, tried out by `secagg.metadata`."""

from collections.abc import Callable
from typing import Any

import pytest

from reports.model import Artifact, Basis, Federation, Finding, SecureAggregation, Status, System
from secagg.checks.transcript_metadata import metadata

pytestmark = pytest.mark.flower
Ask = Callable[..., list[Finding]]
SOURCE = Artifact(path="system.toml", sha256="0" * 64, size=1, kind="source")


def system(**federation: Any) -> System:
    return System(name="ward", version="1", source=SOURCE, federation=Federation(**federation))


def test_what_it_tells_in_the_clear_is_found_by_a_round_of_its_own_code(ask: Ask, shelf: Any) -> None:
    [finding] = ask(metadata, system(framework="flower"), shelf)
    assert (finding.key, finding.basis) == ("flower", Basis.MEASURED)
    assert any("flwr " in text for text in finding.limitations)
    assert b"num_examples" in shelf.kept[finding.evidence[0]]  # 1.41.0 and 1.42.0 tell the weight
    assert finding.status is Status.FAIL
    assert finding.remedy is not None
    assert finding.remedy.value == "fedaudit-secagg"


def test_keys_are_chance_and_the_finding_is_not(ask: Ask) -> None:
    declared = system(secure_aggregation=SecureAggregation(protocol="flower-secaggplus"))
    assert ask(metadata, declared) == ask(metadata, declared)


def test_our_own_protocol_on_flower_is_not_flowers(ask: Ask) -> None:
    ours = system(framework="flower", secure_aggregation=SecureAggregation(protocol="fedaudit-secagg"))
    [finding] = ask(metadata, ours)
    assert finding.status is Status.SKIPPED
