"""Every planted fault against the verifier: it finds that one, and nothing that does not come with it."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from secagg.outcome import RoundResult
from secagg.plants import IMPLIED, PLANTS
from secagg.setting import RoundConfig, make_identities
from secagg.simulate import SeededUpdates, simulate_round
from secagg.transcript import TranscriptWriter
from secagg.verify import Verification, verify_transcripts
from secagg.violations import NOT_AUTHENTIC, VIOLATIONS

CURIOUS, MALICIOUS = "honest-but-curious", "malicious"


def recorded(folder: Path, trust: str, plant: str | None, clients: int = 10) -> tuple[list[RoundResult], Verification]:
    """Two rounds of the same clients, the fault in the first (a key reused: in both), and what verification says."""
    config, results = RoundConfig(clients, 12, server_trust=trust), []
    identities = make_identities(config.ids)
    paths = [folder / "round-0001", folder / "round-0002"]
    for number, path in enumerate(paths, start=1):
        vouched = {one: identity.public_key for one, identity in identities.items()}
        with TranscriptWriter(path, identities=vouched) as recorder:
            results.append(
                simulate_round(
                    replace(config, round=number),
                    SeededUpdates(number, 12),
                    plant=plant if number == 1 or plant == "key-reuse" else None,
                    rng=np.random.default_rng(number),
                    recorder=recorder,
                    identities=identities,
                )
            )
    return results, verify_transcripts(paths)


@pytest.mark.parametrize("trust", [CURIOUS, MALICIOUS])
@pytest.mark.parametrize("plant", PLANTS)
def test_the_verifier_finds_the_planted_fault_and_no_other(plant: str, trust: str, tmp_path: Path) -> None:
    results, verification = recorded(tmp_path, trust, plant)
    assert [result.exact for result in results] == [True, True]  # the round itself went well
    first, second = verification.transcripts
    found = {violation.code for violation in (*first.violations, *verification.cross_round.violations)}
    assert found == {plant} | IMPLIED.get(plant, frozenset())
    assert second.violations == ()
    assert verification.authenticity == ("broken" if plant in NOT_AUTHENTIC else "signed")


@pytest.mark.parametrize("trust", [CURIOUS, MALICIOUS])
def test_without_a_plant_there_is_nothing_to_find(trust: str, tmp_path: Path) -> None:
    results, verification = recorded(tmp_path, trust, None)
    assert (verification.status, verification.authenticity, verification.complete) == ("pass", "signed", True)
    assert [one.aggregate for one in verification.transcripts] == ["equal", "equal"]
    assert [one.aggregate_sha256 for one in verification.transcripts] == [one.aggregate_sha256 for one in results]


@pytest.mark.slow
def test_a_sparse_round_can_hold_every_fault(tmp_path: Path) -> None:
    for plant in ("graph-mismatch", "double-reveal", "duplicate-key"):
        _, verification = recorded(tmp_path / plant, CURIOUS, plant, clients=110)
        codes = {violation.code for violation in verification.transcripts[0].violations}
        assert codes == {plant} | IMPLIED.get(plant, frozenset())


def test_plants_are_codes_and_want_a_record() -> None:
    assert frozenset(PLANTS) <= VIOLATIONS | NOT_AUTHENTIC
    with pytest.raises(ValueError, match="a recorder is missing"):
        simulate_round(RoundConfig(10, 3), SeededUpdates(1, 3), plant="share-digest", rng=np.random.default_rng(0))
