"""A stock Flower app under Flower's simulation engine ends at the same model with secure aggregation as without."""

import importlib.util
import os
import subprocess
import sys
import warnings
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch

from secagg.verify import verify_transcripts

pytestmark = [pytest.mark.flower, pytest.mark.ray, pytest.mark.slow]
SCRIPT = Path(__file__).parents[2] / "examples" / "flower_digits.py"
STEP = 2 * 8.0 / 2**22
"""Stochastic rounding moves each client's element by less, and so each element of a round's mean."""
Runs = dict[str, list[dict[str, Any]]]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The script as a user runs it: in a process of its own, with ray's workers in theirs."""
    folder = tmp_path_factory.mktemp("digits")
    quiet = {"FLWR_TELEMETRY_ENABLED": "0", "OMP_NUM_THREADS": "1", "RAY_USAGE_STATS_ENABLED": "0"}
    told = subprocess.run(
        [sys.executable, SCRIPT, "--transcripts", "rounds", "--out", "models.npz"],
        cwd=folder, env=os.environ | quiet, capture_output=True, text=True, timeout=500, check=True,
    )  # fmt: skip
    (folder / "said.txt").write_text(told.stdout)
    return folder


@pytest.fixture(scope="module")
def runs(folder: Path) -> Runs:
    runs: Runs = {"secure": [{} for _ in range(4)], "plain": [{} for _ in range(4)]}
    with np.load(folder / "models.npz") as arrays:
        for key in arrays:
            run, number, name = key.split("/")
            runs[run][int(number)][name] = arrays[key]
    return runs


@pytest.fixture(scope="module")
def script() -> ModuleType:
    os.environ["FLWR_TELEMETRY_ENABLED"] = "0"
    spec = importlib.util.spec_from_file_location("flower_digits", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what Flower's and ray's dependencies say of one another
        spec.loader.exec_module(module)
    return module


def plaintext_round(script: ModuleType, model: dict[str, Any], number: int) -> dict[str, Any]:
    """Federated averaging by its definition, in float64, from the model that a round began with."""
    sent = {name: torch.from_numpy(array) for name, array in model.items()}
    threads = torch.get_num_threads()
    results = [script.trained(sent, client, number) for client in range(script.CLIENTS)]
    torch.set_num_threads(threads)
    total = sum(examples for _, examples in results)
    return {name: sum(n * one[name].double().numpy() for one, n in results) / total for name in model}


def furthest(one: dict[str, Any], other: dict[str, Any]) -> float:
    return max(float(np.abs(one[name] - other[name]).max()) for name in other)


def test_every_secure_round_is_the_weighted_mean_to_one_quantisation_step(script: ModuleType, runs: Runs) -> None:
    for number in (1, 2, 3):
        before, after = runs["secure"][number - 1], runs["secure"][number]
        expected = plaintext_round(script, before, number)
        assert furthest(after, expected) <= STEP + 1e-7  # the 1e-7: the model's own float32
        assert furthest(before, expected) > 1000 * STEP  # control: the round did move the model


def test_the_models_are_the_same_with_and_without(runs: Runs) -> None:
    assert furthest(runs["secure"][0], runs["plain"][0]) == 0
    assert furthest(runs["secure"][1], runs["plain"][1]) <= STEP + 1e-6  # the 1e-6: FedAvg adds up in float32
    assert furthest(runs["secure"][3], runs["plain"][3]) <= 3 * STEP + 1e-6  # one step for each round


def test_the_network_learns_and_as_much_as_without(folder: Path) -> None:
    *_, last = (folder / "said.txt").read_text().splitlines()
    secure, plain = (float(word.rstrip("%,")) for word in last.split() if "%" in word)
    assert abs(secure - plain) < 0.5  # one image of 297 may lie on the line between two labels
    assert secure > 80


def test_every_round_left_a_transcript_that_verifies(folder: Path) -> None:
    verified = verify_transcripts(sorted((folder / "rounds").iterdir()))
    assert (verified.status, len(verified.transcripts)) == ("pass", 3)
    assert [(one.aggregate, len(one.survivors)) for one in verified.transcripts] == [("equal", 10)] * 3


def test_two_lines_make_the_difference() -> None:
    source = SCRIPT.read_text()
    assert [line.count("# line ") for line in source.splitlines() if "# line " in line] == [1, 1]
