"""Drop-outs in every place: for few clients every pattern there is, each ending exact or aborted with a name."""

import itertools
from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest

from secagg.drops import PHASES, DropPlan
from secagg.outcome import RoundResult
from secagg.quantize import Quantization
from secagg.setting import RoundConfig, make_identities
from secagg.simulate import simulate_round
from tests.secagg.honest_rounds import CURIOUS, MALICIOUS, REASONS

Pattern = tuple[str | None, ...]


def tiny(clients: int, degree: int, threshold: int, bits: int, trust: str) -> RoundConfig:
    """A round of two elements, whatever its parameters are worth."""
    return RoundConfig(
        clients,
        2,
        degree=degree,
        threshold=threshold,
        server_trust=trust,
        modulus_bits=bits,
        required_sigma=0,
        required_eta=0,
    )


def plan_of(config: RoundConfig, pattern: Pattern) -> DropPlan:
    named: dict[str, tuple[str, ...]] = {}
    for one, phase in zip(config.ids, pattern, strict=True):
        if phase is not None:
            named[phase] = (*named.get(phase, ()), one)
    return DropPlan(named)


def plain_total(updates: np.ndarray, rows: list[int], bits: int) -> np.ndarray:
    """The ring sum by the definition, in Python integers: nearest rounding, 2^22 levels between -8 and 8."""
    total = [0] * updates.shape[1]
    for row in rows:
        for column, x in enumerate(updates[row].astype(np.float64)):
            clipped = min(max(float(x), -8.0), 8.0)
            total[column] = (total[column] + int((clipped + 8) * (2**22 / 16) + 0.5)) % 2**bits
    return np.array(total, np.uint32 if bits == 32 else np.uint64)


class EveryPattern:
    """Runs every pattern of one setting, and counts; a pattern that is the same run as an earlier one is left out.

    Who would have vanished after a round was aborted makes no other round of it: nobody can see the future.
    """

    def __init__(self, config: RoundConfig) -> None:
        self.config = replace(config, quantization=Quantization(8.0, 2**22, rounding="nearest"))
        self.updates = np.random.default_rng(7).normal(0, 3, (config.clients, 2)).astype(np.float32)
        self.identities = make_identities(config.ids)
        self.runs, self.sums = 0, 0
        self._aborted: set[tuple[int, Pattern]] = set()
        # without a consistency check nobody is asked between masked input and unmask
        self.places = (*(phase for phase in PHASES if phase != "consistency" or config.malicious), None)

    def run(self, patterns: Iterator[Pattern] | None = None) -> None:
        everything = itertools.product(self.places, repeat=self.config.clients)
        for pattern in everything if patterns is None else patterns:
            if not any((last, _until(pattern, last)) in self._aborted for last in range(len(PHASES))):
                self.judge(pattern)

    def judge(self, pattern: Pattern) -> None:
        """The claim: exact, or aborted with a reason; and never aborted where enough are left."""
        config = self.config
        result = simulate_round(
            config,
            self.updates,
            drop=plan_of(config, pattern),
            rng=np.random.default_rng(1),
            identities=self.identities,
        )
        self.runs += 1
        lost = [place for place in pattern if place is not None]
        if result.status == "ok":
            self.sums += 1
            there = [row for row, place in enumerate(pattern) if place in (None, "consistency", "unmask")]
            assert result.survivors == tuple(config.ids[row] for row in there), pattern
            assert result.exact is True, pattern
            assert result.total is not None
            np.testing.assert_array_equal(result.total, plain_total(self.updates, there, config.modulus_bits))
        else:
            assert result.reason in REASONS, (pattern, result.reason)
            assert (result.total, result.mean, result.aggregate_sha256) == (None, None, None)
            self._aborted.add((last := _last_phase(result), _until(pattern, last)))
        complete = config.degree == config.clients - 1
        enough = config.clients - len(lost) >= max(3, (config.threshold or 0) + 1)
        if complete and enough:
            assert result.status == "ok", (pattern, result.reason)


def _until(pattern: Pattern, last: int) -> Pattern:
    return tuple(one if one is not None and PHASES.index(one) <= last else None for one in pattern)


def _last_phase(result: RoundResult) -> int:
    """The last phase whose drop-outs can have mattered in an aborted round."""
    if result.survivors:
        return PHASES.index("unmask")
    return PHASES.index("masked-input" if result.phases["shared"] else "shares")


SETTINGS = [pytest.param(bits, trust, id=f"{bits}-{trust}") for bits in (32, 64) for trust in (CURIOUS, MALICIOUS)]
GRAPHS = [(4, 3, 2), (4, 2, 2), (5, 4, 3), (5, 2, 2)]
"""Clients, degree, threshold: complete and sparse."""


@pytest.mark.parametrize(("bits", "trust"), SETTINGS)
def test_every_pattern_of_three_ends_exact_or_aborted(bits: int, trust: str) -> None:
    every = EveryPattern(tiny(3, 2, 2, bits, trust))
    every.run()
    assert (every.sums, every.runs > 40) == (1, True)


def test_every_pattern_of_four_ends_exact_or_aborted_in_the_quickest_setting() -> None:
    every = EveryPattern(tiny(4, 3, 2, 32, CURIOUS))
    every.run()
    assert every.sums > 10
    assert every.runs > every.sums


@pytest.mark.parametrize(("bits", "trust"), SETTINGS)
@pytest.mark.parametrize(("clients", "degree", "threshold"), GRAPHS)
def test_drawn_patterns_end_exact_or_aborted(clients: int, degree: int, threshold: int, bits: int, trust: str) -> None:
    every = EveryPattern(tiny(clients, degree, threshold, bits, trust))
    rng = np.random.default_rng(bits + degree)
    alive = len(every.places) - 1
    for _ in range(6):  # two in three live, or nearly all drawn rounds would be aborted
        places = np.where(rng.random(clients) < 2 / 3, alive, rng.integers(0, alive, clients))
        every.judge(tuple(every.places[place] for place in places))


@pytest.mark.slow
@pytest.mark.parametrize(("bits", "trust"), SETTINGS)
@pytest.mark.parametrize(("clients", "degree", "threshold"), GRAPHS)
def test_every_pattern_ends_exact_or_aborted(clients: int, degree: int, threshold: int, bits: int, trust: str) -> None:
    every = EveryPattern(tiny(clients, degree, threshold, bits, trust))
    every.run()
    assert every.sums >= 1


@pytest.mark.slow
@pytest.mark.parametrize(("degree", "threshold", "bits", "trust"), [(5, 4, 32, MALICIOUS), (4, 3, 64, MALICIOUS)])
def test_every_pattern_of_six_ends_exact_or_aborted(degree: int, threshold: int, bits: int, trust: str) -> None:
    every = EveryPattern(tiny(6, degree, threshold, bits, trust))
    every.run()
    assert every.sums >= 1
