"""One real run of the checks on declarations: a system file, three recorded rounds, an update, and what comes out."""

import contextlib
import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from audit.cli.main import run
from reports.model import Artifact

ASKED = ("parameters", "cohort", "aggregate-exposure", "overflow", "quantization")
SYSTEM = """
[system]
name = "ward"
version = "1"

[federation]
server_trust = "honest-but-curious"

[federation.secure_aggregation]
protocol = "fedaudit-secagg"
clients = 14
degree = 13
threshold = {threshold}
corrupt_fraction = 0.15
dropout_fraction = 0.15
clipping_range = {clipping_range}
quantization_levels = 4194304
modulus_bits = {modulus_bits}
transcripts = ["round-0001", "round-0002", "round-0003"]
{noise}
[[updates]]
path = "delta.safetensors"
kind = "delta"
"""
NOISE = """
[federation.differential_privacy]
noise_multiplier = 1.0
noise_added_by = "clients"
"""
RecordRounds = Callable[..., tuple[Artifact, ...]]


def statuses(folder: Path, text: str) -> dict[tuple[str, str], str]:
    """Return the status of each finding of a run, by check and key."""
    save_file({"weight": torch.as_tensor(np.random.default_rng(1).normal(0, 0.1, 500))}, folder / "delta.safetensors")
    (folder / "system.toml").write_text(text)
    only = [word for name in ASKED for word in ("--only", f"secagg.{name}")]
    with contextlib.redirect_stdout(io.StringIO()) as answer, contextlib.redirect_stderr(io.StringIO()):
        exit_code = run(
            ["run", str(folder / "system.toml"), "-o", str(folder / "bundle"), "--no-render", "--json", *only]
        )
    assert exit_code == 0
    document: dict[str, Any] = json.loads(answer.getvalue())
    asked = {f"secagg.{name}" for name in ASKED}  # the others are told as left out
    return {(one["check"], one["key"]): one["status"] for one in document["findings"] if one["check"] in asked}


@pytest.mark.parametrize("sound", [True, False])
def test_the_flawed_system_fails_where_its_sound_twin_passes(
    sound: bool, record_rounds: RecordRounds, tmp_path: Path
) -> None:
    stays_away: dict[str, Any] = {} if sound else {"dropped": ("c00007",)}
    record_rounds(tmp_path, {}, {}, stays_away)
    if sound:
        text = SYSTEM.format(threshold=8, clipping_range=8.0, modulus_bits=32, noise=NOISE)
    else:
        text = SYSTEM.format(threshold=2, clipping_range=0.01, modulus_bits=25, noise="")
    found = statuses(tmp_path, text)
    expected = {("secagg." + name, "") for name in ASKED} | {
        (f"secagg.{name}", "recorded") for name in ("parameters", "cohort", "overflow")
    }
    assert found.keys() == expected
    failing = {one for one, status in found.items() if status == "fail"}
    recorded_soundly = {("secagg.parameters", "recorded"), ("secagg.overflow", "recorded")}
    assert failing == (set() if sound else expected - recorded_soundly - {("secagg.cohort", "")})
    assert {status for one, status in found.items() if one not in failing} == {"pass"}
