"""Rounds hold the noise and the clipping that the builder says, measured by subtraction; else twin and flaw agree."""

import math
import tomllib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from safetensors.numpy import load_file

from audit.selftest.rounds import CLIENTS, DECLARED, RECIPE, Departure, coordinates, noised_rounds
from audit.selftest.workshop import Workshop
from audit.system_folder import SystemFolder

NORM, NOISE = DECLARED.clipping_norm or 0.0, DECLARED.noise_multiplier or 0.0
Array = npt.NDArray[np.float64]
Recorded = tuple[dict[int, dict[str, Array]], dict[int, list[dict[str, Array]]]]
"""By round: what is left of the sum without the contributions, and the contributions."""


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Recorded]:
    """Build rounds and take the contributions off their sums."""

    def build(departure: Departure, *, by_clients: bool = False) -> Recorded:
        folder = tmp_path_factory.mktemp("rounds") / "system"
        with SystemFolder(folder) as files:
            noised_rounds(Workshop(files, 3), departure, by_clients=by_clients)
        return residuals(folder)

    return build


@pytest.fixture(scope="module")
def sound(recorded: Callable[..., Recorded]) -> Recorded:
    return recorded(Departure())


def residuals(folder: Path) -> Recorded:
    sums: dict[int, dict[str, Array]] = {}
    given: dict[int, list[dict[str, Array]]] = {}
    for entry in tomllib.loads((folder / "system.toml").read_text(encoding="utf-8"))["updates"]:
        tensors = {name: values.astype(np.float64) for name, values in load_file(folder / entry["path"]).items()}
        if entry["kind"] == "aggregate":
            sums[entry["round"]] = {name: values * entry["divided_by"] for name, values in tensors.items()}
        else:
            given.setdefault(entry["round"], []).append(tensors)
    left = {at: {name: sums[at][name] - sum(one[name] for one in given[at]) for name in sums[at]} for at in sums}
    return left, given


def deviation(left: dict[str, Array]) -> float:
    """Root mean square over all coordinates, in clipping norms."""
    values = np.concatenate([part.ravel() for part in left.values()])
    assert len(values) == coordinates()
    return float(np.sqrt((values**2).mean())) / NORM


def lengths(given: list[dict[str, Array]]) -> list[float]:
    return [math.sqrt(sum(float((part**2).sum()) for part in one.values())) / NORM for one in given]


def test_sound_rounds_hold_the_declared_noise_and_all_updates_are_clipped_by_need(sound: Recorded) -> None:
    left, given = sound
    assert sorted(left) == list(range(1, RECIPE.rounds + 1))
    for at in left:
        assert deviation(left[at]) == pytest.approx(NOISE, rel=0.1)  # five standard errors
        assert lengths(given[at]) == pytest.approx([1.0] * CLIENTS)  # longer before: clipping has work to do
    one, other = (np.concatenate([part.ravel() for part in left[at].values()]) for at in (1, 2))
    assert abs(np.corrcoef(one, other)[0, 1]) < 0.15


@pytest.mark.parametrize("share", [0.0, 1 / CLIENTS])
def test_less_noise_is_that_much_less(recorded: Callable[..., Recorded], share: float) -> None:
    left, _ = recorded(Departure(noise=share))
    for at in left:
        assert deviation(left[at]) == pytest.approx(NOISE * share, rel=0.1, abs=1e-6)


def test_one_tensor_is_bare_and_the_others_are_not(recorded: Callable[..., Recorded]) -> None:
    left, _ = recorded(Departure(bare=frozenset({"2.bias"})))
    for residual in left.values():
        assert np.abs(residual["2.bias"]).max() < 1e-6
        assert all(np.abs(values).max() > NORM for name, values in residual.items() if name != "2.bias")


def test_one_round_is_silent(recorded: Callable[..., Recorded], sound: Recorded) -> None:
    left, _ = recorded(Departure(silent=frozenset({2})))
    assert [deviation(left[at]) > 1 for at in sorted(left)] == [True, False, True, True]
    for name, values in left[1].items():
        np.testing.assert_array_equal(values, sound[0][1][name])  # flaw and twin share what is drawn


def test_the_same_noise_comes_again(recorded: Callable[..., Recorded]) -> None:
    left, _ = recorded(Departure(same_noise=True))
    for name in left[1]:
        np.testing.assert_allclose(left[1][name], left[3][name], atol=1e-5)


def test_one_client_is_longer_than_the_norm(recorded: Callable[..., Recorded]) -> None:
    _, given = recorded(Departure(unclipped=frozenset({0})))
    for contributions in given.values():
        first, *others = lengths(contributions)
        assert first > 1.2
        assert others == pytest.approx([1.0] * (CLIENTS - 1))


def test_one_client_outweighs_the_others(recorded: Callable[..., Recorded]) -> None:
    left, given = recorded(Departure(weights={0: 20.0}))
    for at, residual in left.items():
        own = given[at][0]
        along = sum(float((residual[name] * own[name]).sum()) for name in own) / NORM**2
        assert along == pytest.approx(19, abs=5 * NOISE)  # nineteen times beyond the one in the sum


def test_clients_add_shares_that_make_up_the_noise_or_half_of_its_variance(recorded: Callable[..., Recorded]) -> None:
    whole, _ = recorded(Departure(), by_clients=True)
    half, _ = recorded(Departure(without_share=frozenset(range(0, CLIENTS, 2))), by_clients=True)
    for at in whole:
        assert deviation(whole[at]) == pytest.approx(NOISE, rel=0.1)
        assert deviation(half[at]) == pytest.approx(NOISE * math.sqrt(0.5), rel=0.1)


def test_a_record_after_the_noise_leaves_nothing_over(recorded: Callable[..., Recorded]) -> None:
    left, given = recorded(Departure(recorded_with_noise=True), by_clients=True)
    for at in left:
        assert deviation(left[at]) < 1e-5
        assert min(lengths(given[at])) > 5
