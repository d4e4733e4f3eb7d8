"""The benchmark measures what it says: right sums, all bytes, and targets that can be missed."""

import tracemalloc
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from secagg.bench import run_benchmark
from secagg.bench_points import LARGEST, RACED, SCALED, SMALL, Point
from secagg.bench_rows import Row, Target, scale_targets, stream_targets
from secagg.bench_scale import scaled_round
from secagg.bench_stream import StreamRates, stream_rates
from secagg.client import SecAggClient
from secagg.measure import Measured, measured_round
from secagg.setting import RoundConfig, make_identities

FIGURES = Measured(10.0, 0.5, 1000, 1e-6, 100.0)
WORSE = Measured(50.0, 100.0, 2000, 1e-6, 100.0)


def updates(config: RoundConfig) -> Any:
    return np.random.default_rng(4).normal(0, 1, (config.clients, config.length)).astype(np.float32)


@pytest.mark.parametrize("dropped", [0, 2])
def test_a_measured_round_comes_to_the_mean_of_its_survivors(dropped: int) -> None:
    config = RoundConfig(8, 500, 7, 5)
    measured = measured_round(config, updates(config), dropped)
    assert measured.max_abs_error is not None
    assert measured.max_abs_error <= 16 / config.quantization.levels
    assert measured.client_ms > 0
    assert measured.server_s > 0
    per_neighbour = 144 * 4 / 3 + 2 * 64 + 2 * 64 * 4 / 3  # a sealed pair of shares, two digests, and a share to unmask
    assert 4 * 500 + 7 * per_neighbour * 0.7 < measured.upload_bytes < 4 * 500 + 7 * per_neighbour * 1.5 + 1500


def test_a_wrong_sum_would_show() -> None:  # negative control: the plaintext mean is of these updates and no others
    config = RoundConfig(8, 500, 7, 5)
    clipped = measured_round(config, 20 * updates(config), 0)
    assert clipped.max_abs_error is not None
    assert clipped.max_abs_error > 1


def test_the_mask_stream_is_measured_beside_the_bare_cipher() -> None:
    rates = stream_rates(1, peer=False)
    assert rates.peer_ms is None
    assert 0 < rates.aes_ms < 1000
    assert 0 < rates.ours_ms < 1000


def test_targets_are_met_and_missed() -> None:
    point = replace(SMALL[1], error_at_most=1.15)
    good = Row(point, point.config(), FIGURES, replace(WORSE, client_ms=120.0))
    assert all(target.met for target in good.targets())
    assert len(good.targets()) == 4
    poor = Row(point, point.config(), FIGURES, FIGURES)
    assert {target.name.split(": ")[1]: target.met for target in poor.targets()} == {
        "client": False,
        "server": False,
        "upload": False,
        "error": True,
    }
    assert Row(point, point.config(), FIGURES).targets() == []
    assert [target.met for target in stream_targets(StreamRates(0.6, 0.5, 2.5))] == [True, True]
    assert [target.met for target in stream_targets(StreamRates(0.7, 0.5, 2.5))] == [False, False]


def test_growth_with_the_length_is_fitted() -> None:
    def row(dim: int, client_ms: float) -> Row:
        point = Point(f"dim {dim}", 100, dim)
        return Row(point, point.config(), replace(FIGURES, client_ms=client_ms))

    def exponent(*rows: Row) -> Target:
        [target] = [one for one in scale_targets(rows) if "exponent" in one.name]
        return target

    assert exponent(row(10**4, 1), row(10**5, 10)).value == pytest.approx(1)
    assert exponent(row(10**4, 1), row(10**5, 10)).met
    assert not exponent(row(10**4, 1), row(10**5, 100)).met


def test_the_largest_round_is_held_against_its_keystream() -> None:
    row = Row(LARGEST, LARGEST.config(), replace(FIGURES, client_ms=10**6))
    [target] = [one for one in scale_targets([row]) if "keystream" in one.name]
    assert not target.met


def test_every_set_has_its_points() -> None:
    assert RACED.keys() == SCALED.keys() == {"small", "standard", "full", "scale"}
    assert set(RACED["small"]) < set(RACED["standard"])
    for point in (*RACED["full"], *SCALED["full"]):
        assert point.config().clients * point.config().quantization.levels < 2**32


def test_a_round_of_a_point_runs_in_a_process_of_its_own() -> None:
    measured = scaled_round(Point("tiny", 5, 1000), quiet)
    assert measured.max_abs_error is not None
    assert measured.max_abs_error <= 1e-5
    assert measured.peak_rss_mib is not None
    assert measured.peak_rss_mib > 10


def quiet(_line: str) -> None:
    """Report no progress."""


def test_a_client_needs_less_than_three_vectors_and_16_mib() -> None:
    length = 2**21
    config = RoundConfig(5, length, 4, 3)
    identities = make_identities(config.ids)
    header = config.header(bytes(32), identities)
    clients = {one: SecAggClient(one, identities[one], config.policy(identities)) for one in config.ids}
    keys = {}
    for one, client in clients.items():
        client.open(header)
        keys[one] = client.advertise()
    shares = {one: client.share(config.ids, keys) for one, client in clients.items()}
    own = config.ids[0]
    sealed = {one: shares[one].body.ciphertexts[own] for one in config.ids[1:]}
    tracemalloc.start()
    try:
        update = np.ones(length, np.float32)
        _, vector = clients[own].mask(config.ids, sealed, update, rng=np.random.default_rng(1))
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak <= 3 * vector.nbytes + 2**24


@pytest.mark.slow
def test_the_small_set_runs_without_a_peer() -> None:
    told: list[str] = []
    measured = run_benchmark("small", peer=False, repeats=1, progress=told.append)
    assert [row.point for row in measured.rows] == list(SMALL)
    assert len(told) == 1 + 2 * len(SMALL)
    assert all(row["peer"] is None and row["ratio"] is None for row in measured.as_fields()["points"])
