"""Recomputed epsilons against Google's privacy loss distribution and Opacus' own accountants, run side by side."""

import json
import math
import warnings
from pathlib import Path
from typing import Any

import pytest

from audit.dp.accounting import recompute
from reports.model import DifferentialPrivacy

VECTORS = json.loads((Path(__file__).parents[2] / "vectors/attacks/known-answers.json").read_text("utf-8"))
TABLE = [
    pytest.param(row, id=f"z={row['noise_multiplier']}", marks=() if row["steps"] < 500 else pytest.mark.slow)
    for row in VECTORS["accountants"]
]


def mechanism(row: dict[str, Any]) -> DifferentialPrivacy:
    keys = ("noise_multiplier", "sampling_rate", "steps", "delta")
    return DifferentialPrivacy(sampling="poisson", **{key: row[key] for key in keys})


def distribution(noise: float, steps: int, delta: float, rate: float = 1.0) -> float:
    """Return Google's figure; it composes a pessimistic discretisation."""
    peer = pytest.importorskip("dp_accounting")
    from dp_accounting.pld import PLDAccountant

    step = peer.GaussianDpEvent(noise)
    accountant = PLDAccountant()
    accountant.compose(step if rate == 1 else peer.PoissonSampledDpEvent(rate, step), steps)
    return float(accountant.get_epsilon(delta))


@pytest.mark.parametrize("row", TABLE)
def test_poisson_sampling_is_accounted_within_one_percent_of_googles_distribution(row: dict[str, Any]) -> None:
    theirs = distribution(row["noise_multiplier"], row["steps"], row["delta"], row["sampling_rate"])
    ours = recompute(mechanism(row))
    assert ours.estimate == pytest.approx(theirs, rel=0.01)
    assert ours.lower <= theirs * (1 + 1e-4)
    assert abs(ours.estimate / 1.05 - theirs) > 0.01 * theirs  # negative control: 5 % off would be noticed


@pytest.mark.parametrize("row", TABLE)
def test_poisson_sampling_is_accounted_as_by_opacus(row: dict[str, Any]) -> None:
    from opacus.accountants import GaussianAccountant, PRVAccountant, RDPAccountant

    ours, theirs = recompute(mechanism(row)), {}
    for name, kind in (("prv", PRVAccountant), ("rdp", RDPAccountant), ("gdp", GaussianAccountant)):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # that the last one can be too low
            accountant = kind()
        accountant.history = [(row["noise_multiplier"], row["sampling_rate"], row["steps"])]
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            theirs[name] = float(accountant.get_epsilon(row["delta"]))
    assert ours.upper == pytest.approx(theirs["prv"], rel=0.01)
    assert ours.estimate == pytest.approx(theirs["prv"], rel=0.01)
    assert ours.rdp == pytest.approx(theirs["rdp"], rel=1e-6)
    assert ours.gdp == pytest.approx(theirs["gdp"], rel=1e-4)


@pytest.mark.parametrize(
    ("noise", "steps", "delta"), [pytest.param(4.0, 100, 1e-5, marks=pytest.mark.slow), (0.8, 1, 1e-6)]
)
def test_full_participation_has_googles_figure(noise: float, steps: int, delta: float) -> None:
    full = DifferentialPrivacy(sampling="full", noise_multiplier=noise, steps=steps, delta=delta)
    assert recompute(full).estimate == pytest.approx(distribution(noise, steps, delta), rel=1e-3)


@pytest.mark.slow
@pytest.mark.parametrize("sampling", ["shuffle", "fixed-size"])
def test_sampling_without_coins_is_given_the_figure_of_everybody_in_every_epoch(sampling: Any) -> None:
    declared = DifferentialPrivacy(sampling=sampling, noise_multiplier=2.0, sampling_rate=0.1, steps=95, delta=1e-5)
    theirs = distribution(2.0, math.ceil(9.5), 1e-5)
    assert recompute(declared).estimate == pytest.approx(theirs, rel=1e-3)
