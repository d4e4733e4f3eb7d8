"""Masks that can be tried out fail, declared or measured; a pass needs a search that finds the weak ones."""

import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from reports.model import Basis, Finding, Severity, Status, Strength, System
from secagg.checks import active_masks
from secagg.checks.active_masks import mask_entropy
from secagg.checks.active_masks_answer import Searches
from secagg.client import SecAggClient
from secagg.masking import Masking, in_ring
from secagg.own_masks import counter_mode, measure_own_masks
from secagg.quantize import Quantized

Ask = Callable[..., list[Finding]]
SecureSystem = Callable[..., System]
OWN = {"protocol": "fedaudit-secagg"}
SECTION = "federation.secure_aggregation"


class ShortKeys(SecAggClient):
    """Its mask keys have 28 bits; masks of pairs cancel all the same."""

    def masking(self, *given: Any, **named: Any) -> Masking:
        sound = super().masking(*given, **named)
        return replace(
            sound, keys=tuple((bytes((*key[:3], key[3] & 15)) + bytes(28), sign) for key, sign in sound.keys)
        )


@dataclass(frozen=True)
class MersenneMasking(Masking):
    def apply(self, update: NDArray[np.floating[Any]], rng: np.random.Generator) -> Quantized:
        vector, saturated = in_ring(update, self.rule, self.modulus_bits, rng, self.weight)
        for key, sign in self.keys:
            stream = np.random.RandomState(np.frombuffer(key, "<u4")).randint(0, 1 << 32, len(vector), np.uint64)
            vector += stream.astype(vector.dtype) * vector.dtype.type(sign % (1 << self.modulus_bits))
        return Quantized(vector, saturated)


class MersenneClient(SecAggClient):
    """Its keys have all their bits, but go to NumPy's generator."""

    def masking(self, *given: Any, **named: Any) -> Masking:
        return MersenneMasking(**vars(super().masking(*given, **named)))


def test_our_own_masks_are_measured_and_a_search_finds_only_weaker_ones(
    ask: Ask, secure_system: SecureSystem, shelf: Any
) -> None:
    [finding] = ask(mask_entropy, secure_system(**OWN), shelf)
    assert (finding.status, finding.strength, finding.basis) == (Status.PASS, Strength.STATISTICAL, Basis.MEASURED)
    names = {one.name: one for one in finding.measurements}
    assert (names["seed_bits"].value, names["seed_bits"].n, names["seed_bits"].control) == (256, 320, 28)
    assert (names["masks_found_by_search"].value, names["masks_found_by_search"].control) == (0, 1)
    document = json.loads(shelf.kept[finding.evidence[0]])
    assert document["demonstration"]["weak"]["search_bits"] == 12
    assert finding == ask(mask_entropy, secure_system(**OWN))[0]


@pytest.mark.parametrize(
    ("kind", "bits", "generator"), [(ShortKeys, 28, "aes256-ctr"), (MersenneClient, 256, "another generator")]
)
def test_a_client_with_weak_masks_is_measured_as_such(
    kind: type[SecAggClient],
    bits: int,
    generator: str,
    ask: Ask,
    secure_system: SecureSystem,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(active_masks, "measure_own_masks", partial(measure_own_masks, kind=kind))
    [finding] = ask(mask_entropy, secure_system(**OWN))
    assert finding.status is Status.FAIL
    assert finding.severity is (Severity.CRITICAL if bits == 28 else Severity.HIGH)
    assert generator in finding.summary
    assert f"{bits} bits" in finding.summary
    assert finding.remedy is not None
    assert finding.remedy.value == "aes256-ctr"


def test_where_the_search_finds_nothing_at_all_nothing_is_passed(
    ask: Ask, secure_system: SecureSystem, monkeypatch: pytest.MonkeyPatch
) -> None:
    def blind(ctx: Any) -> Searches:
        both = Searches.run(ctx)
        return replace(both, weak=both.strong)

    monkeypatch.setattr(active_masks, "Searches", type("Blind", (), {"run": staticmethod(blind)}))
    [finding] = ask(mask_entropy, secure_system(**OWN))
    assert (finding.status, finding.reason) == (Status.INCONCLUSIVE, "control-failed")


@pytest.mark.parametrize(
    ("prg", "seed_bits", "status", "reason"),
    [
        ("aes256-ctr", 256, Status.PASS, ""),
        ("AES256-CTR", 128, Status.PASS, ""),
        ("aes128-ctr", 256, Status.PASS, ""),
        ("chacha20", 127, Status.FAIL, ""),
        ("mt19937", 256, Status.FAIL, ""),
        ("python-random", None, Status.FAIL, ""),
        (None, 32, Status.FAIL, ""),
        ("our own", 32, Status.FAIL, ""),
        ("our own", 256, Status.INCONCLUSIVE, f"unknown:{SECTION}.prg"),
        ("aes256-ctr", None, Status.SKIPPED, f"missing:{SECTION}.seed_bits"),
        (None, 256, Status.SKIPPED, f"missing:{SECTION}.prg"),
        (None, None, Status.SKIPPED, f"missing:{SECTION}.prg"),
    ],
)
def test_of_a_strangers_protocol_the_declaration_is_read(
    prg: str | None, seed_bits: int | None, status: Status, reason: str, ask: Ask, secure_system: SecureSystem
) -> None:
    [finding] = ask(mask_entropy, secure_system(protocol="somebody's", prg=prg, seed_bits=seed_bits))
    assert (finding.status, finding.reason) == (status, reason)
    assert (finding.strength, finding.basis) == (Strength.DOCUMENT, Basis.DECLARED)


@pytest.mark.parametrize(
    ("changes", "status"),
    [
        ({"prg": "aes256-ctr", "seed_bits": 256}, Status.PASS),
        ({"prg": "mt19937"}, Status.FAIL),
        ({"seed_bits": 64}, Status.FAIL),
        ({"prg": "chacha20"}, Status.INCONCLUSIVE),
    ],
)
def test_a_declaration_that_is_not_what_our_protocol_does_is_not_passed(
    changes: dict[str, Any], status: Status, ask: Ask, secure_system: SecureSystem
) -> None:
    [finding] = ask(mask_entropy, secure_system(**OWN, **changes))
    assert finding.status is status


def test_the_stream_compared_with_is_that_of_the_standard() -> None:
    """NIST SP 800-38A, F.1.5 (ECB-AES256): the first block of a counter from zero is the cipher of a block of zeros."""
    from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

    key = bytes(range(32))
    block = Cipher(algorithms.AES256(key), modes.ECB()).encryptor().update(bytes(16))
    assert counter_mode(key, 4, np.dtype("<u4")).tobytes() == block


def test_recorded_rounds_of_our_protocol_name_the_generator(
    ask: Ask, secure_system: SecureSystem, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    vectors = Path(__file__).parents[2] / "vectors" / "secagg"
    shutil.copytree(vectors / "transcript-a", tmp_path / "transcript-a")
    monkeypatch.chdir(tmp_path)
    shutil.copytree(vectors / "transcript-a", tmp_path / "withheld", ignore=shutil.ignore_patterns("blobs"))

    def named(path: str) -> tuple[dict[str, Any]]:
        return ({"path": path, "sha256": "0" * 64, "size": 1, "kind": f"{SECTION}.transcripts"},)

    [finding] = ask(mask_entropy, secure_system(transcripts=named("transcript-a")))
    assert (finding.status, finding.basis, finding.strength) == (Status.PASS, Basis.RECORDED, Strength.DOCUMENT)
    [finding] = ask(mask_entropy, secure_system(transcripts=named("withheld")))
    assert (finding.status, finding.reason) == (Status.SKIPPED, f"missing:{SECTION}.prg")
