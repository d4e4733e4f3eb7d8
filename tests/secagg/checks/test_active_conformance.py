"""Every lie of a hostile server is told to the client, and to one without defences, so that a pass is earned."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from reports.check import missing
from reports.model import Finding, Severity, Status, System
from secagg.checks import active_conformance
from secagg.checks.active_conformance import STRICT, WEAK, client_conformance
from secagg.malice import KNOBS

Ask = Callable[..., list[Finding]]
SecureSystem = Callable[..., System]
OWN = {"protocol": "fedaudit-secagg"}


@pytest.fixture
def few_knobs(monkeypatch: pytest.MonkeyPatch) -> None:
    few = ("low-threshold", "small-cohort", "duplicate-key")
    monkeypatch.setattr(active_conformance, "KNOBS", {knob: KNOBS[knob] for knob in few})


def test_our_client_refuses_every_knob_for_its_own_reason(ask: Ask, secure_system: SecureSystem, shelf: Any) -> None:
    [finding] = ask(client_conformance, secure_system(**OWN), shelf)
    assert finding.status is Status.PASS
    assert {one.name for one in finding.measurements} == {f"refused.{knob.replace('-', '_')}" for knob in KNOBS}
    assert {(one.value, one.control) for one in finding.measurements} == {(1, 0)}
    for told in json.loads(shelf.kept[finding.evidence[0]])["knobs"]:
        assert {one["code"] for one in told["refusals"]} == {told["expected"]}
        assert told["control"]["leaked"] == KNOBS[told["knob"]].leaks


@pytest.mark.usefixtures("few_knobs")
def test_a_client_without_defences_fails_and_leaking_is_critical(
    ask: Ask, secure_system: SecureSystem, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(active_conformance, "STRICT", WEAK)
    [finding] = ask(client_conformance, secure_system(**OWN))
    assert (finding.status, finding.severity) == (Status.FAIL, Severity.CRITICAL)
    assert "3 of 3 lies" in finding.summary
    assert "low-threshold: accepted, and the vector leaks" in finding.detail
    assert finding.remedy is not None
    assert finding.remedy.value == "fedaudit-secagg"


@pytest.mark.usefixtures("few_knobs")
def test_where_the_control_declines_as_well_nothing_is_passed(
    ask: Ask, secure_system: SecureSystem, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(active_conformance, "WEAK", STRICT)
    [finding] = ask(client_conformance, secure_system(**OWN))
    assert (finding.status, finding.reason) == (Status.INCONCLUSIVE, "control-failed")


@pytest.mark.usefixtures("few_knobs")
@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"clients": 5, "degree": 4, "threshold": 3}, "Driven with 8 clients"),
        ({"threshold": 2}, "guarded choice was run"),
        ({"corrupt_fraction": 0.5, "dropout_fraction": 0.4}, "No choice bears"),
        ({"threshold": None}, "gives no parameters"),
        ({"modulus_bits": 32, "quantization_levels": 2**31}, "does not fit the ring"),
        ({"max_weight": 50, "quantization_levels": 2**16}, "a copy, not the declared round"),
    ],
)
def test_where_the_declared_round_cannot_be_bent_another_is_and_it_is_said(
    changes: dict[str, Any], told: str, ask: Ask, secure_system: SecureSystem
) -> None:
    [finding] = ask(client_conformance, secure_system(**OWN, **changes))
    assert finding.status is Status.PASS
    assert any(told in limitation for limitation in finding.limitations)


@pytest.mark.parametrize(
    ("protocol", "framework", "extras", "asked"),
    [
        ("fedaudit-secagg", None, (), True),
        ("flower-secaggplus", None, (), False),
        ("flower-secaggplus", None, ("extra:flower",), True),
        (None, "flower", ("extra:flower",), True),
        (None, "openfl", ("extra:flower",), False),
        ("somebody's", "own", ("extra:flower",), False),
    ],
)
def test_it_is_asked_where_code_is_at_hand(
    protocol: str | None, framework: str | None, extras: tuple[str, ...], asked: bool, secure_system: SecureSystem
) -> None:
    system = secure_system(protocol=protocol)
    federation = {**system.model_dump()["federation"], "framework": framework}
    declared = System.model_validate({**system.model_dump(), "federation": federation})
    assert (missing(client_conformance, declared, extras) == ()) == asked


def test_without_flower_it_says_what_to_install(
    ask: Ask, secure_system: SecureSystem, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("secagg.checks.active.has_flower", lambda: False)
    [finding] = ask(client_conformance, secure_system(protocol="flower-secaggplus"))
    assert (finding.status, finding.reason) == (Status.SKIPPED, "extra:flower")
    assert "pip install fedaudit[flower]" in finding.summary
