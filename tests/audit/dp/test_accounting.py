"""Recomputed epsilons against published accountants, closed forms and one another; faults in declarations."""

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from audit.dp.accounting import Recomputed, completed, consistency_faults, lacking, recompute
from audit.dp.gaussian import gdp_epsilon, one_step_epsilon
from reports.model import DifferentialPrivacy, Federation

VECTORS = json.loads((Path(__file__).parents[2] / "vectors/attacks/known-answers.json").read_text("utf-8"))


def mechanism(**changes: Any) -> DifferentialPrivacy:
    return DifferentialPrivacy(
        **{
            "unit": "client",
            "noise_multiplier": 1.5,
            "sampling": "poisson",
            "sampling_rate": 0.5,
            "steps": 16,
            "delta": 1e-2,
            **changes,
        }
    )


@pytest.mark.parametrize("row", VECTORS["accountants"], ids=lambda row: f"z={row['noise_multiplier']}")
def test_figures_match_those_of_the_published_accountants(row: dict[str, Any]) -> None:
    keys = ("noise_multiplier", "sampling_rate", "steps", "delta")
    found = recompute(mechanism(**{key: row[key] for key in keys}))
    assert found.upper == pytest.approx(row["prv_upper"], abs=6e-4)
    assert found.rdp == pytest.approx(row["rdp"], abs=6e-4)
    assert found.gdp == pytest.approx(row["gdp"], abs=6e-4)
    assert found.estimate == pytest.approx(row["pld"], rel=1e-3)  # asked for: within 1 %
    assert found.lower <= row["pld"] + 5e-4
    assert found.upper >= row["pld"] - 5e-4


@pytest.mark.parametrize(("z", "q", "delta"), [(1.0, 0.5, 1e-5), (0.7, 0.1, 1e-4), (2.0, 0.9, 1e-6)])
def test_one_poisson_step_lies_within_the_bounds(z: float, q: float, delta: float) -> None:
    found = recompute(mechanism(noise_multiplier=z, sampling_rate=q, steps=1, delta=delta))
    assert found.lower <= one_step_epsilon(z, q, delta) <= found.upper
    assert found.estimate == pytest.approx(one_step_epsilon(z, q, delta), rel=0.01)
    assert not found.exact


def test_poisson_sampling_of_nearly_everybody_nears_the_closed_form() -> None:
    found = recompute(mechanism(sampling_rate=0.999999))
    assert found.lower <= gdp_epsilon(4 / 1.5, 1e-2) <= found.upper
    whole = recompute(mechanism(sampling_rate=1.0))
    assert (whole.exact, whole.estimate) == (True, gdp_epsilon(4 / 1.5, 1e-2))


def test_a_sampled_attacker_cannot_beat_the_accounted_epsilon_and_beats_half_of_it() -> None:
    # oracle: the likelihood-ratio test of all steps together, simulated
    rng, z, q, steps, delta = np.random.default_rng(1), 1.0, 0.3, 8, 0.02
    took_part = rng.random((200_000, steps)) < q
    seen = rng.normal(0, z, (200_000, steps)) + took_part
    ratio = np.log1p(q * np.expm1((seen - 0.5) / z**2)).sum(axis=1)  # log density with the unit over without
    found = recompute(mechanism(noise_multiplier=z, sampling_rate=q, steps=steps, delta=delta))

    def earned(epsilon: float) -> float:
        return float(np.maximum(0.0, -np.expm1(epsilon - ratio)).mean())  # E[(1 - e^epsilon / ratio)+] = delta(epsilon)

    assert earned(found.estimate) == pytest.approx(delta, rel=0.05)
    assert earned(found.estimate / 2) > 2 * delta  # negative control


@pytest.mark.parametrize(("sampling", "sums"), [("full", 16), ("shuffle", 8), ("fixed-size", 8)])
def test_no_amplification_is_credited_to_other_sampling(sampling: str, sums: int) -> None:
    found = recompute(mechanism(sampling=sampling))
    assert found.exact
    assert found.estimate == found.gdp == gdp_epsilon(math.sqrt(sums) / 1.5, 1e-2)
    assert found.rdp >= found.estimate
    assert found.estimate > recompute(mechanism()).upper


def test_one_epoch_of_equal_batches_is_one_sum() -> None:
    found = recompute(mechanism(sampling="shuffle", sampling_rate=49 / 60000, steps=60000 // 49, noise_multiplier=1.0))
    assert found.estimate == gdp_epsilon(1.0, 1e-2)


@pytest.mark.parametrize(("noise", "rate", "steps"), [(0.2, 0.1, 1000), (0.05, 0.01, 1000), (0.01, 0.01, 10)])
def test_a_mechanism_beyond_the_accountant_still_gets_true_bounds(noise: float, rate: float, steps: int) -> None:
    found = recompute(mechanism(noise_multiplier=noise, sampling_rate=rate, steps=steps, delta=1e-5))
    assert found.lower == one_step_epsilon(noise, rate, 1e-5)
    assert 20 < found.lower < found.estimate == found.upper == found.rdp < math.inf
    assert "Rényi" in found.method


def test_more_noise_fewer_steps_and_larger_delta_never_cost_more() -> None:
    base = recompute(mechanism())
    for better in ({"noise_multiplier": 2.0}, {"steps": 8}, {"delta": 5e-2}, {"sampling_rate": 0.25}):
        assert recompute(mechanism(**better)).estimate < base.estimate
    assert 0 < base.lower < base.estimate < base.upper < base.rdp


@pytest.mark.parametrize(("z", "q"), [(50.0, 0.5), (4.0, 0.05)])
def test_a_small_epsilon_is_known_to_one_percent_of_itself(z: float, q: float) -> None:
    found = recompute(mechanism(noise_multiplier=z, sampling_rate=q, steps=1, delta=1e-4))
    assert found.lower <= one_step_epsilon(z, q, 1e-4) <= found.upper
    assert 0 < found.upper - found.lower < 0.03 * found.estimate < 0.03


def test_many_steps_keep_the_grid_small_and_widen_the_bounds() -> None:
    found = recompute(mechanism(noise_multiplier=1.0, sampling_rate=0.001, steps=3_000_000, delta=1e-5))
    assert found.lower < found.estimate < found.upper <= found.rdp
    assert found.upper - found.lower > 0.02


@pytest.mark.parametrize("key", ["noise_multiplier", "sampling", "sampling_rate", "steps", "delta"])
def test_nothing_follows_from_half_a_declaration(key: str) -> None:
    declared = mechanism(**{key: None})
    assert lacking(declared) == (key,)
    with pytest.raises(ValueError, match=key):
        recompute(declared)


def test_full_participation_needs_no_rate() -> None:
    assert lacking(mechanism(sampling="full", sampling_rate=None)) == ()


def federation(**changes: Any) -> Federation:
    return Federation(**{"clients": 24, "clients_per_round": 12, "rounds": 16, **changes})


def faults(declared: DifferentialPrivacy, **changes: Any) -> list[str]:
    arguments: dict[str, Any] = {"federation": federation(), "delta": declared.delta, **changes}
    return [fault.parameter.rpartition(".")[2] for fault in consistency_faults(declared, **arguments)]


def test_a_sound_declaration_has_no_fault() -> None:
    assert faults(mechanism()) == []
    assert faults(mechanism(), federation=None) == []
    assert faults(mechanism(unit="example"), examples=50) == []


@pytest.mark.parametrize(
    ("declared", "changes", "expected"),
    [
        (mechanism(unit="example"), {"privacy_unit": "client"}, ["unit"]),
        (mechanism(sampling_rate=0.4), {}, ["sampling_rate"]),
        (mechanism(sampling_rate=0.4), {"federation": federation(clients_per_round=None)}, []),
        (mechanism(sampling_rate=0.4, unit="example"), {}, []),
        (mechanism(steps=15), {}, ["steps"]),
        (mechanism(steps=17), {}, []),
        (mechanism(), {"delta": 1 / 24}, ["delta"]),
        (mechanism(), {"delta": 1 / 25}, []),
        (mechanism(unit="example"), {"examples": 100}, ["delta"]),
        (mechanism(sampling="full"), {}, ["sampling_rate"]),
    ],
)
def test_what_cannot_be_true_together_is_told(
    declared: DifferentialPrivacy, changes: dict[str, Any], expected: list[str]
) -> None:
    assert faults(declared, **changes) == expected


def test_a_clients_participation_is_completed_by_the_federation_and_never_lowered() -> None:
    bare = completed(mechanism(sampling_rate=None, steps=None), federation())
    assert (bare.sampling_rate, bare.steps) == (0.5, 16)
    shy = completed(mechanism(sampling_rate=0.1, steps=2), federation())
    assert (shy.sampling_rate, shy.steps) == (0.5, 16)
    bold = completed(mechanism(sampling_rate=0.9, steps=99), federation())
    assert (bold.sampling_rate, bold.steps) == (0.9, 99)
    by_example = mechanism(unit="example", sampling_rate=0.1)
    assert completed(by_example, federation()) == by_example


@given(epsilon=st.floats(1e-9, 1e9))
def test_what_may_be_claimed_has_three_digits_and_is_no_less(epsilon: float) -> None:
    claimable = Recomputed(epsilon, epsilon, epsilon, epsilon, None, "").claimable
    assert epsilon <= claimable <= epsilon * 1.011
    assert float(f"{claimable:.3g}") == claimable
