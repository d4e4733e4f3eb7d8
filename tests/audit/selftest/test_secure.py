"""Flaws of secure aggregation are really planted, their twins are without: told from the files, with no check asked."""

import base64
import hashlib
import json
import tomllib
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from safetensors.numpy import load_file

from audit.selftest.play import Case, built, case_seed
from audit.selftest.secure import CLIENTS, NOISE_MULTIPLIER, RoundNotRecordedError, Rounds, noised, updates
from audit.selftest.workshop import Workshop
from audit.selftest.zoo import chosen
from audit.system_folder import SystemFolder
from reports.model import Effort
from secagg.drops import DropPlan

NOW = datetime(2026, 11, 22, tzinfo=UTC)
Build = Callable[[str, bool], Path]


@pytest.fixture(scope="module")
def build(tmp_path_factory: pytest.TempPathFactory) -> Build:
    """Return the folder of a flaw's system or of its twin's, built once."""
    folders: dict[tuple[str, bool], Path] = {}

    def folder(flaw: str, planted: bool) -> Path:
        if (flaw, planted) not in folders:
            [one] = chosen([flaw])
            place = tmp_path_factory.mktemp(flaw) / "system"
            built(one, Case(flaw, planted, 3, Effort.SMOKE, NOW), place)
            folders[flaw, planted] = place
        return folders[flaw, planted]

    return folder


def records(folder: Path, number: int, kind: str) -> Iterator[dict[str, Any]]:
    """Yield the records of a type in a round, read as plain JSON."""
    for line in (folder / f"rounds/round-{number:04d}/transcript.jsonl").read_text().splitlines():
        record = json.loads(line)
        if record["type"] == kind:
            yield record


def section(folder: Path) -> dict[str, Any]:
    declared: dict[str, Any] = tomllib.loads((folder / "system.toml").read_text())["federation"]["secure_aggregation"]
    return declared


def words(folder: Path, number: int, body: dict[str, Any]) -> Any:
    data = (folder / f"rounds/round-{number:04d}/blobs" / body["blob"]).read_bytes()
    return np.frombuffer(data, f"<u{section(folder)['modulus_bits'] // 8}")


def half_suffices(folder: Path) -> bool:
    told = section(folder)
    return bool(2 * told["threshold"] <= told["degree"])


def few_seed_bits(folder: Path) -> bool:
    return bool(section(folder)["seed_bits"] < 128)


def keys_repeat(folder: Path) -> bool:
    first, second = ({one["body"]["mask_key"] for one in records(folder, n, "advertise")} for n in (1, 2))
    assert len(first) == len(second) == CLIENTS
    return bool(first & second)


def both_secrets(folder: Path) -> bool:
    answers = [one["body"] for one in records(folder, 2, "unmask")]
    keys, seeds = (
        {owner for one in answers for owner in one[kind]} for kind in ("mask_key_shares", "self_mask_shares")
    )
    assert len(seeds) == CLIENTS
    return bool(keys & seeds)


def sum_wraps(folder: Path) -> bool:
    """Tell whether the announced mean is far from the mean of what the clients sent (in the clear, as simulated)."""
    told = section(folder)
    clip, levels = told["clipping_range"], told["quantization_levels"]
    [aggregate] = records(folder, 1, "aggregate")
    announced = words(folder, 1, aggregate["body"]) / CLIENTS * (2 * clip / (levels - 1)) - clip
    make = Workshop(SystemFolder(folder), case_seed(3, "secagg-overflow"))
    rows = noised(make, "round 1", updates(make, CLIENTS), NOISE_MULTIPLIER)
    return bool(np.abs(announced - rows.clip(-clip, clip).mean(axis=0)).max() > 1e-4)


def cohorts_differ(folder: Path) -> bool:
    [first], [second] = (list(records(folder, number, "survivors")) for number in (1, 2))
    return len(set(first["body"]["included"]) ^ set(second["body"]["included"])) == 1


def shape_shows(folder: Path) -> bool:
    """Tell whether all elements of a masked vector lie within what an update of 2^22 levels can span."""
    vectors = [words(folder, 1, one["body"]) for one in records(folder, 1, "masked_input")]
    moved = [(vector - vector[0] + np.uint32(1 << 22)) for vector in vectors]
    return all(bool((one < 1 << 23).all()) for one in moved)


def models_differ(folder: Path) -> bool:
    return len({one["body"]["model_sha256"] for one in records(folder, 2, "masked_input")}) > 1


def views_differ(folder: Path) -> bool:
    return len({one["body"]["survivors_sha256"] for one in records(folder, 2, "consistency")}) > 1


def shared_with_a_stranger(folder: Path) -> bool:
    """Tell whether somebody deals more shares than the degree; the graph of the rounds is complete."""
    return any(len(one["body"]["ciphertexts"]) > CLIENTS - 1 for one in records(folder, 2, "shares"))


def a_signature_fails(folder: Path) -> bool:
    keys = json.loads((folder / "identities.json").read_text())
    first, _, _ = (folder / "rounds/round-0002/transcript.jsonl").read_bytes().partition(b"\n")
    session = hashlib.sha256(first).hexdigest()
    return not all(signed(one, keys, session) for one in records(folder, 2, "unmask"))


def signed(record: dict[str, Any], keys: dict[str, str], session: str) -> bool:
    about = {"body": record["body"], "sender": record["sender"], "session": session, "type": record["type"]}
    text = "fedaudit-secagg-v1:" + json.dumps(about, sort_keys=True, separators=(",", ":"))
    key = Ed25519PublicKey.from_public_bytes(base64.b64decode(keys[record["sender"]]))
    try:
        key.verify(base64.b64decode(record["signature"]), text.encode())
    except InvalidSignature:
        return False
    return True


def no_noise_promised(folder: Path) -> bool:
    return "differential_privacy" not in tomllib.loads((folder / "system.toml").read_text())["federation"]


def rounding_spoils(folder: Path) -> bool:
    """Tell whether nearest rounding, the best there is, already changes an update by more than a hundredth."""
    told = section(folder)
    step = 2 * told["clipping_range"] / (told["quantization_levels"] - 1)
    sent = [load_file(file)["weight"].astype(float) for file in sorted((folder / "updates").iterdir())]
    return any(np.linalg.norm(np.round(one / step) * step - one) > 0.01 * np.linalg.norm(one) for one in sent)


def nobody_can_be_lost(folder: Path) -> bool:
    told = section(folder)
    return bool(told["threshold"] == told["degree"] == told["clients"] - 1)


def beacon_is_the_servers(folder: Path) -> bool:
    headers = [one["body"] for number in (1, 2) for one in records(folder, number, "header")]
    assert all(one["degree"] < CLIENTS - 1 and one["server_trust"] == "malicious" for one in headers)
    return all(one["beacon_source"] == "server" for one in headers)


def fewer_than_ten(folder: Path) -> bool:
    """Tell whether, of the clients, as many count as corrupt and as lost that fewer than ten are left."""
    told = section(folder)
    clients = told["clients"]
    return bool(clients - int(clients * told["corrupt_fraction"]) - int(clients * told["dropout_fraction"]) < 10)


PLANTED = {
    "secagg-few-clients": fewer_than_ten,
    "secagg-server-beacon": beacon_is_the_servers,
    "secagg-threshold-low": half_suffices,
    "secagg-28-bit-seed": few_seed_bits,
    "secagg-mask-reuse": keys_repeat,
    "secagg-double-reveal": both_secrets,
    "secagg-overflow": sum_wraps,
    "secagg-differencing": cohorts_differ,
    "secagg-scalar-mask": shape_shows,
    "secagg-other-model": models_differ,
    "secagg-split-view": views_differ,
    "secagg-wrong-neighbour": shared_with_a_stranger,
    "secagg-forged-signature": a_signature_fails,
    "secagg-sum-without-noise": no_noise_promised,
    "secagg-coarse-quantization": rounding_spoils,
    "secagg-dropout-not-borne": nobody_can_be_lost,
}


BY_PLANT = ("double-reveal", "other-model", "split-view", "wrong-neighbour", "forged-signature", "server-beacon")
"""Made by what has tests of its own in `secagg`."""
EACH = [pytest.param(flaw, marks=pytest.mark.slow if flaw.endswith(BY_PLANT) else ()) for flaw in PLANTED]


@pytest.mark.parametrize("flaw", EACH)
def test_what_the_title_says_is_planted_and_the_twin_is_without(build: Build, flaw: str) -> None:
    assert [PLANTED[flaw](build(flaw, planted)) for planted in (True, False)] == [True, False]


@pytest.mark.parametrize("flaw", EACH)
def test_flaw_and_twin_have_the_same_files_but_for_the_names_of_vectors(build: Build, flaw: str) -> None:
    def names(planted: bool) -> set[str]:
        folder = build(flaw, planted)
        files = (file.relative_to(folder) for file in folder.rglob("*") if file.is_file())
        return {str(file if file.parent.name != "blobs" else file.parent) for file in files}  # named by their digests

    assert names(True) == names(False)


def test_noise_is_on_the_sums_of_the_sound_and_not_on_those_of_the_bare(tmp_path: Path) -> None:
    make = Workshop(SystemFolder(tmp_path / "system"), 5)
    bare = updates(make, CLIENTS)
    noise = (noised(make, "round 1", bare, NOISE_MULTIPLIER) - bare).sum(axis=0)
    assert np.linalg.norm(bare, axis=1).max() <= 1 + 1e-6
    assert np.std(noise) == pytest.approx(NOISE_MULTIPLIER, rel=0.1)  # 640 draws: three standard errors are 0.084
    assert np.array_equal(noised(make, "round 1", bare, 0.0), bare)


def test_a_round_that_comes_to_no_sum_is_told(tmp_path: Path) -> None:
    everybody = DropPlan(counted={"masked-input": CLIENTS})
    told = pytest.raises(RoundNotRecordedError, match="round 1 came to no sum")
    with SystemFolder(tmp_path / "system") as files, told:
        Rounds(drops=(everybody, DropPlan())).record(Workshop(files, 1))


@pytest.mark.flower
@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of what flwr imports
def test_what_clients_tell_in_the_clear_is_in_the_capture_and_not_in_its_twin(build: Build) -> None:
    folders = [build("secagg-metadata-in-clear", planted) for planted in (True, False)]
    losses = [b"train_loss" in next(folder.glob("rounds/*/transcript.jsonl")).read_bytes() for folder in folders]
    assert losses == [True, False]


@pytest.mark.parametrize("flaw", ["secagg-flower-masks", "secagg-flower-obeys"])
def test_where_codes_are_compared_nothing_but_the_protocol_differs(build: Build, flaw: str) -> None:
    flawed, twin = ((build(flaw, planted) / "system.toml").read_text() for planted in (True, False))
    assert flawed != twin
    assert flawed.replace("flower-secaggplus", "fedaudit-secagg") == twin
