"""Rounds on disk, for checks that read transcripts."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from reports.digests import artifact_sha256
from reports.model import Artifact
from secagg.drops import DropPlan
from secagg.setting import RoundConfig
from secagg.simulate import simulate_round
from secagg.transcript import TranscriptWriter


ROUND = {"clients": 14, "length": 8, "corrupt_fraction": 0.15, "dropout_fraction": 0.15}


def _record_rounds(folder: Path, *rounds: dict[str, Any]) -> tuple[Artifact, ...]:
    artifacts = []
    for number, changes in enumerate(rounds, start=1):
        settings = {**ROUND, "round": number, **changes}
        drop = DropPlan({"masked-input": settings.pop("dropped", ())})
        config = RoundConfig(**settings)
        path = f"round-{number:04d}"
        rng = np.random.default_rng(number)
        with TranscriptWriter(folder / path) as recorder:
            result = simulate_round(config, rng.normal(size=(config.clients, 8)), drop=drop, rng=rng, recorder=recorder)
        assert result.status == "ok"
        digest = artifact_sha256(folder / path)
        artifacts.append(Artifact(path=path, sha256=digest, size=1, kind="federation.secure_aggregation.transcripts"))
    return tuple(artifacts)


@pytest.fixture(scope="session")
def record_rounds() -> Callable[..., tuple[Artifact, ...]]:
    """Simulate rounds of fourteen clients, each with settings of its own, and return their transcripts in a folder."""
    return _record_rounds
