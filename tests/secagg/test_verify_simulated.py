"""Simulated rounds of every kind are recorded and verified, whoever vanishes; each planted fault is found."""

from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from secagg.drops import PHASES, DropPlan
from secagg.failures import HONEST_BUT_CURIOUS, MALICIOUS
from secagg.keys import Identity
from secagg.outcome import RoundResult
from secagg.plants import IMPLIED, PLANTS
from secagg.quantize import Quantization
from secagg.setting import RoundConfig
from secagg.simulate import simulate_round
from secagg.transcript import TranscriptWriter
from secagg.verify import Verification, verify_transcripts

CLIENTS, LENGTH = 12, 6
UPDATES = np.random.default_rng(0).normal(size=(CLIENTS, LENGTH)).astype(np.float32)


def config(degree: int, trust: str, bits: int, weighting: str = "uniform", **more: Any) -> RoundConfig:
    most = 5 if weighting == "integer" else 1
    return RoundConfig(
        CLIENTS, LENGTH, degree, 6 if degree == CLIENTS - 1 else 4, server_trust=trust, modulus_bits=bits,
        quantization=Quantization(8.0, 2**18, weighting, most), required_sigma=0, required_eta=0,
        weights=tuple(1 + row % most for row in range(CLIENTS)) if most > 1 else None, **more,
    )  # fmt: skip


def recorded(folder: Path, setting: RoundConfig, **more: Any) -> RoundResult:
    with TranscriptWriter(folder) as writer:
        return simulate_round(setting, UPDATES, rng=np.random.default_rng(1), recorder=writer, **more)


def codes(found: Verification) -> set[str]:
    return {violation.code for violation in found.violations}


@pytest.mark.parametrize("trust", [HONEST_BUT_CURIOUS, MALICIOUS])
@pytest.mark.parametrize("degree", [CLIENTS - 1, 8])
def test_every_variant_verifies_and_gives_the_sum_of_the_round(tmp_path: Path, degree: int, trust: str) -> None:
    for bits, weighting, signatures in product((32, 64), ("uniform", "integer"), (True, False)):
        if trust == MALICIOUS and not signatures:
            continue
        folder = tmp_path / f"{bits}-{weighting}-{signatures}"
        result = recorded(folder, config(degree, trust, bits, weighting, signatures=signatures))
        found = verify_transcripts([folder])
        assert (found.status, found.violations) == ("pass", ())
        assert found.transcripts[0].aggregate_sha256 == result.aggregate_sha256
        assert found.transcripts[0].survivors == result.survivors


@pytest.mark.parametrize("trust", [HONEST_BUT_CURIOUS, MALICIOUS])
@pytest.mark.parametrize("degree", [CLIENTS - 1, 8])
def test_clients_that_vanish_leave_a_sound_record_whether_the_round_ends_or_not(
    tmp_path: Path, degree: int, trust: str
) -> None:
    ends = set()
    plans = [{phase: count} for phase in PHASES for count in (1, 7)] + [dict.fromkeys(PHASES, 1)]
    for number, plan in enumerate(plans):
        folder = tmp_path / str(number)
        result = recorded(folder, config(degree, trust, 32), drop=DropPlan(counted=plan))
        found = verify_transcripts([folder])
        assert found.violations == (), plan
        assert found.status == ("pass" if result.status == "ok" else "inconclusive"), plan
        if result.status == "ok":
            assert found.transcripts[0].aggregate_sha256 == result.aggregate_sha256
            assert found.transcripts[0].survivors == result.survivors
        ends.add(found.status)
    assert ends == {"pass", "inconclusive"}


@pytest.mark.parametrize("code", PLANTS)
@pytest.mark.parametrize("trust", [HONEST_BUT_CURIOUS, MALICIOUS])
def test_a_fault_planted_while_the_round_ran_is_found_and_little_else(tmp_path: Path, code: str, trust: str) -> None:
    identities = {f"c{number:05}": Identity.generate() for number in range(1, CLIENTS + 1)}
    folders = [tmp_path / "first", tmp_path / "second"][: 2 if code == "key-reuse" else 1]
    for number, folder in enumerate(folders, start=1):
        recorded(folder, config(8, trust, 32, round=number), plant=code, identities=identities)
    vouched = {client: identity.public_key for client, identity in identities.items()}
    found = verify_transcripts(folders, vouched)
    assert code in codes(found)
    assert codes(found) <= {code} | IMPLIED.get(code, frozenset())
