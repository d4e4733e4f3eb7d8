"""Rounds with drop-outs: the exact sum of the survivors or a named reason, never another sum; what a round costs."""

import base64
import logging
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from audit.executors import Process, Ray
from reports.executor import Serial
from secagg.client import SecAggClient
from secagg.drops import PHASES, DropPlan
from secagg.keys import Identity, KeyPair
from secagg.limits import ParameterError
from secagg.outcome import RoundResult
from secagg.params import InfeasibleParameters
from secagg.policy import ClientPolicy
from secagg.quantize import Quantization
from secagg.setting import RoundConfig
from secagg.simulate import SeededUpdates, simulate_round
from secagg.transcript import TranscriptWriter
from secagg.weak_client import WeakClient
from secagg.wire import parse
from tests.secagg.honest_rounds import CURIOUS, MALICIOUS, REASONS


@st.composite
def rounds(draw: st.DrawFn, most: int) -> tuple[RoundConfig, DropPlan]:
    clients = draw(st.integers(4, most))
    trust = draw(st.sampled_from([CURIOUS, MALICIOUS])) if clients <= 40 else CURIOUS
    weighted = draw(st.booleans())
    rule = Quantization(4.0, 2**12, "integer" if weighted else "uniform", 9 if weighted else 1)
    weights = tuple(draw(st.integers(1, 9)) for _ in range(clients)) if weighted else None
    config = RoundConfig(
        clients,
        draw(st.integers(1, 40)),
        server_trust=trust,
        modulus_bits=draw(st.sampled_from([32, 64])),
        quantization=rule,
        weights=weights,
    )
    lost = draw(st.lists(st.sampled_from(PHASES), max_size=max(1, clients // 10)))
    return config, DropPlan(counted={phase: lost.count(phase) for phase in set(lost)})


def judged(config: RoundConfig, plan: DropPlan, seed: int) -> None:
    """Exact and near the plain mean, or aborted without any sum."""
    updates = SeededUpdates(seed, config.length)
    result = simulate_round(config, updates, drop=plan, rng=np.random.default_rng(seed))
    if result.status == "aborted":
        assert result.total is None
        assert result.reason in REASONS
        return
    assert result.exact is True
    rows = [config.ids.index(one) for one in result.survivors]
    weights = np.ones(len(rows)) if config.weights is None else np.array([config.weights[row] for row in rows])
    real = np.average([np.clip(updates(row), -4, 4) for row in rows], axis=0, weights=weights)
    assert result.mean is not None
    assert np.abs(result.mean - real).max() <= 8 / 2**12  # each element is rounded by less than a step


@settings(max_examples=5, deadline=None)
@given(rounds(60), st.integers(0, 2**31))
def test_drawn_rounds_give_the_mean_or_none(drawn: tuple[RoundConfig, DropPlan], seed: int) -> None:
    try:
        judged(*drawn, seed)
    except InfeasibleParameters:
        assert drawn[0].clients < 10


@pytest.mark.slow
@settings(max_examples=6, deadline=None)
@given(rounds(1000), st.integers(0, 2**31))
def test_drawn_rounds_of_up_to_a_thousand_give_the_mean_or_none(drawn: tuple[RoundConfig, DropPlan], seed: int) -> None:
    try:
        judged(*drawn, seed)
    except InfeasibleParameters:
        assert drawn[0].clients < 10


def one_round(seed: int, **changes: object) -> RoundResult:
    config = RoundConfig(12, 30)
    return simulate_round(
        config,
        SeededUpdates(5, 30),
        drop=DropPlan.parse(["masked-input=1", "shares=1"]),
        rng=np.random.default_rng(seed),
        **changes,  # type: ignore[arg-type]
    )


def test_the_same_seed_gives_the_same_survivors_and_sum_under_other_keys() -> None:
    first, again, other = one_round(1), one_round(1), one_round(2)
    assert first.exact is True
    assert (first.survivors, first.aggregate_sha256) == (again.survivors, again.aggregate_sha256)
    assert first.aggregate_sha256 != other.aggregate_sha256


def test_weak_and_strict_clients_agree_to_the_bit() -> None:  # two implementations of the client
    def mixed(client: str, identity: Identity | None, policy: ClientPolicy, entropy: object) -> object:
        kind = WeakClient if int(client[1:]) % 2 else SecAggClient
        return kind(client, identity, policy)

    sums = {one_round(3, client=kind).aggregate_sha256 for kind in ("strict", "weak", mixed)}
    assert len(sums) == 1
    assert None not in sums


def test_processes_give_the_same_sum_and_survivors() -> None:
    serial, elsewhere = one_round(4, executor=Serial()), one_round(4, executor=Process(workers=2))
    assert serial.exact is True
    assert (serial.survivors, serial.aggregate_sha256) == (elsewhere.survivors, elsewhere.aggregate_sha256)
    assert serial.saturated == elsewhere.saturated


@pytest.mark.ray
@pytest.mark.filterwarnings("ignore")  # Ray's own
def test_ray_gives_the_same_sum_and_survivors() -> None:
    ray = pytest.importorskip("ray")
    ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False, logging_level="ERROR")
    try:
        serial, elsewhere = one_round(4), one_round(4, executor=Ray())
    finally:
        ray.shutdown()
    assert (serial.survivors, serial.aggregate_sha256) == (elsewhere.survivors, elsewhere.aggregate_sha256)


def test_a_round_costs_and_counts_what_it_says() -> None:
    config = RoundConfig(10, 50, quantization=Quantization(0.5, 2**10))
    updates = np.full((10, 50), 0.25, np.float32)
    updates[3, :7] = 2.0
    updates[4, :5] = -2.0
    result = simulate_round(config, updates, drop=DropPlan.parse(["masked-input=c00005"]), rng=np.random.default_rng(0))
    assert result.exact is True
    assert result.saturated == 7  # the client that was lost does not count
    assert dict(result.phases) == {"advertised": 10, "shared": 10, "masked": 9, "unmasked": 9}
    assert 200 < result.upload_bytes < 6000
    assert result.client_ms > 0
    assert result.server_s > 0


def test_insufficient_parameters_are_refused_by_all_clients_and_let_through_on_request() -> None:
    config = RoundConfig(60, 4, degree=4, threshold=2, corrupt_fraction=0.1)
    refused = simulate_round(config, SeededUpdates(1, 4), rng=np.random.default_rng(0))
    assert (refused.status, refused.reason) == ("aborted", "policy-degree")
    complete = replace(config, degree=59)
    refused = simulate_round(complete, SeededUpdates(1, 4), rng=np.random.default_rng(0))
    assert (refused.status, refused.reason) == ("aborted", "policy-threshold")
    loose = replace(config, required_sigma=0, required_eta=0)
    assert simulate_round(loose, SeededUpdates(1, 4), rng=np.random.default_rng(0)).exact is True


def test_numbers_that_no_round_can_have_are_refused() -> None:
    with pytest.raises(ParameterError, match="at most 429496 for 32 bits, or 64 bits"):
        RoundConfig(10_000, 5)
    with pytest.raises(ParameterError, match="modulus_bits is 16"):
        RoundConfig(10, 5, modulus_bits=16)
    with pytest.raises(ParameterError, match="0 in row 2"):
        RoundConfig(3, 5, quantization=Quantization(8.0, 9, "integer", 4), weights=(1, 4, 0))
    with pytest.raises(ParameterError, match="degree"):
        RoundConfig(10, 5, degree=3)
    with pytest.raises(InfeasibleParameters):
        RoundConfig(10, 5, corrupt_fraction=0.5, dropout_fraction=0.5).chosen()
    with pytest.raises(ValueError, match="shape"):
        simulate_round(RoundConfig(10, 5), np.zeros((9, 5), np.float32), rng=np.random.default_rng(0))
    updates = np.zeros((10, 5), np.float32)
    updates[6, 3] = np.nan
    with pytest.raises(ValueError, match="row 6 of the updates: element 3"):
        simulate_round(RoundConfig(10, 5), updates, rng=np.random.default_rng(0))


class Sly:
    """Entropy that remembers what it gave, in order."""

    def __init__(self) -> None:
        self.given: list[bytes] = []

    def __call__(self, count: int) -> bytes:
        self.given.append(os.urandom(count))
        return self.given[-1]


def forms(secret: bytes) -> list[bytes]:
    """How a secret might stand in a text."""
    text = base64.b64encode(secret)
    return [secret, secret.hex().encode(), text, text[:40], repr(secret).encode()]


def test_no_secret_stands_in_a_transcript_a_log_a_repr_or_an_exception(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Searched for: everybody's share keys and identities, survivors' mask keys, seeds of those who dropped out."""
    caplog.set_level(logging.DEBUG)
    config = RoundConfig(6, 8, degree=5, threshold=4, server_trust=MALICIOUS)
    drawn: dict[str, Sly] = {}
    made: list[SecAggClient] = []

    def make(client: str, identity: Identity | None, policy: ClientPolicy, _entropy: object) -> SecAggClient:
        drawn[client] = Sly()
        made.append(SecAggClient(client, identity, policy, drawn[client]))
        return made[-1]

    secret_keys = {one: os.urandom(32) for one in config.ids}
    identities = {one: Identity.from_private_bytes(key) for one, key in secret_keys.items()}
    with TranscriptWriter(tmp_path / "round") as recorder:
        result = simulate_round(
            config,
            SeededUpdates(1, 8),
            drop=DropPlan.parse(["masked-input=c00002"]),
            rng=np.random.default_rng(0),
            recorder=recorder,
            identities=identities,
            client=make,
        )
    assert result.exact is True
    written = b"".join(path.read_bytes() for path in sorted((tmp_path / "round").rglob("*")) if path.is_file())
    told = " ".join([caplog.text, repr(result), repr(made), repr(result.as_fields()), repr(vars(made[0]))]).encode()
    for one, sly in drawn.items():
        mask_key, share_key, seed = sly.given[:3]
        assert KeyPair.from_private_bytes(mask_key).public_key != KeyPair.from_private_bytes(share_key).public_key
        kept = [share_key, secret_keys[one], seed if one == "c00002" else mask_key]
        for secret in kept:
            assert not any(form in written for form in forms(secret)), one
        for secret in (*kept, mask_key, seed):
            assert not any(form in told for form in forms(secret)), one
    revealed = [drawn["c00002"].given[0], *(drawn[one].given[2] for one in config.ids if one != "c00002")]
    assert all(len(secret) == 32 for secret in revealed)  # positive control: shares of these are what the record holds
    assert b"mask_key_shares" in written


PROGRAM = """
import sys, time, pathlib, numpy as np
from secagg.setting import RoundConfig
from secagg.simulate import SeededUpdates, simulate_round
from secagg.transcript import TranscriptWriter
from secagg.weak_client import WeakClient
with TranscriptWriter(pathlib.Path(sys.argv[1])) as recorder:
    simulate_round(RoundConfig(40, 20000), SeededUpdates(1, 20000), rng=np.random.default_rng(0), recorder=recorder)
"""


def test_a_killed_round_leaves_whole_lines(tmp_path: Path) -> None:
    folder = tmp_path / "round"
    running = subprocess.Popen([sys.executable, "-c", PROGRAM, str(folder)])
    lines = folder / "transcript.jsonl"
    while running.poll() is None and (not lines.exists() or lines.read_bytes().count(b"\n") < 90):
        time.sleep(0.005)
    running.send_signal(signal.SIGKILL)
    running.wait()
    kept = lines.read_bytes()
    complete, _, rest = kept.rpartition(b"\n")
    assert rest == b""
    records = [parse(line) for line in complete.split(b"\n")]
    assert [record["seq"] for record in records] == list(range(len(records)))
    assert len(records) >= 90
    assert records[-1]["type"] != "aggregate"


def test_progress_is_told_and_nothing_is_printed(capfd: pytest.CaptureFixture[str]) -> None:
    told: list[tuple[str, int, int]] = []
    one_round(1, progress=lambda *seen: told.append(seen))
    assert [seen for seen in told if seen[1] == seen[2]] == [
        ("advertise", 12, 12),
        ("shares", 11, 11),
        ("masked-input", 10, 10),
        ("unmask", 10, 10),
    ]
    assert capfd.readouterr() == ("", "")
