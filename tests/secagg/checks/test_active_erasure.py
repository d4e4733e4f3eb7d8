"""Secrets of a round are searched for in all that a client holds; whoever keeps one is found out."""

import base64
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from reports.model import Finding, Status, Strength, System
from secagg.checks import active_erasure
from secagg.checks.active_erasure import STRICT, WEAK, secret_erasure
from secagg.drops import DropPlan
from secagg.keys import KeyPair
from secagg.remains import Witness, search_clients, secrets_in
from secagg.setting import RoundConfig

Ask = Callable[..., list[Finding]]
SecureSystem = Callable[..., System]
OWN = {"protocol": "fedaudit-secagg", "clients": 6, "degree": 5, "threshold": 3}
SECRET = bytes(range(100, 132))
PAIR = KeyPair.from_private_bytes(SECRET)


def closure(value: object) -> Callable[[], object]:
    return lambda: value


@pytest.mark.parametrize(
    "holder",
    [
        {"a": [SECRET]},
        SimpleNamespace(kept=bytearray(b"--" + SECRET + b"--")),
        (SECRET.hex(),),
        [base64.b64encode(SECRET).decode()],
        base64.urlsafe_b64encode(SECRET),
        np.frombuffer(SECRET, "<u4"),
        int.from_bytes(SECRET, "big"),
        {int.from_bytes(SECRET, "little")},
        memoryview(SECRET),
        closure(SECRET),
        closure(SimpleNamespace(deep={"er": closure([SECRET])})),
        SimpleNamespace(write=bytearray(SECRET).extend),
    ],
)
def test_a_secret_is_found_however_it_is_kept(holder: object) -> None:
    assert secrets_in(holder, {"key": [SECRET], "other": [SECRET[::-1][:31] + b"x"]}) == {"key": 1, "other": 0}


def test_a_private_key_object_is_opened() -> None:
    assert secrets_in(SimpleNamespace(pair=PAIR), {"key": [PAIR.private_bytes()]}) == {"key": 1}


def test_what_is_skipped_is_not_entered() -> None:
    witness = Witness([SECRET])
    assert secrets_in({"entropy": witness}, {"key": [SECRET]}, [witness]) == {"key": 0}
    assert secrets_in({"entropy": witness}, {"key": [SECRET]}) == {"key": 1}


@pytest.mark.parametrize("server_trust", ["honest-but-curious", "malicious"])
def test_our_client_keeps_nothing_and_the_weak_one_its_keys_its_seed_and_its_neighbours_shares(
    server_trust: str,
) -> None:
    config = RoundConfig(5, 20, 4, 3, server_trust=server_trust)
    plan = DropPlan(counted={"unmask": 1})
    ours, weak = (search_clients(client, config, plan, np.random.default_rng(0)) for client in (STRICT, WEAK))
    assert ours.total == 0
    assert (weak.found["private key"], weak.found["seed"], weak.found["share"]) == (2 * 4, 4, 4 * 4 * 2)
    assert ours.interrupted == 4 * 2  # what it was dealt, and would have answered with
    assert ours.secrets == weak.secrets == 10 + 5 + 5 + 2 * 10 + 10 + 20 + 2 * 20


def test_our_own_protocol_passes_since_the_weak_client_does_not(ask: Ask, secure_system: SecureSystem) -> None:
    [finding] = ask(secret_erasure, secure_system(**OWN))
    assert (finding.status, finding.strength) == (Status.PASS, Strength.EXACT)
    [counted] = finding.measurements
    assert counted.value == 0
    assert counted.control is not None
    assert counted.control > 0


@pytest.mark.parametrize(
    ("constant", "client", "status", "reason"),
    [("STRICT", WEAK, Status.FAIL, ""), ("WEAK", STRICT, Status.INCONCLUSIVE, "control-failed")],
)
def test_a_client_that_keeps_them_fails_and_without_one_nothing_is_shown(
    constant: str, client: str, status: Status, reason: str, ask: Ask, secure_system: SecureSystem, monkeypatch: Any
) -> None:
    monkeypatch.setattr(active_erasure, constant, client)
    [finding] = ask(secret_erasure, secure_system(**OWN))
    assert (finding.status, finding.reason) == (status, reason)
    assert ("private key" in finding.summary) == (status is Status.FAIL)


def test_the_evidence_shows_counts_and_no_secret(ask: Ask, secure_system: SecureSystem, shelf: Any) -> None:
    [finding] = ask(secret_erasure, secure_system(**OWN), shelf)
    [again] = ask(secret_erasure, secure_system(**OWN), shelf)
    assert finding == again  # keys are fresh each time: nothing of them is told
