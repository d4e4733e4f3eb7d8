"""Federations whose sums come by secure aggregation: declared, run, and recorded as `secagg` records a round.

What clients send is what a softmax regression that starts from zero learns from their digits: clipped, noised by each
client with its share, quantised, masked and added up. Flaw and twin have the same updates; keys and masks come from
system entropy, so that the bytes of a record differ from run to run while what an audit makes of them does not.
"""

import base64
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from audit.selftest.workshop import Workshop
from reports.errors import FedauditError
from reports.model import System
from secagg.draft import Draft
from secagg.drops import DropPlan
from secagg.participants import Factory
from secagg.setting import RoundConfig, make_identities
from secagg.simulate import simulate_round
from secagg.transcript import TranscriptWriter, read_transcript

CLIENTS, RECORDS = 14, 10
"""Clients of a round, twelve of whom are honest by the fractions below; images that each trains on."""
PIXELS, CLASSES = 64, 10
CLIPPING_NORM, NOISE_MULTIPLIER = 1.0, 1.0
LENGTH = PIXELS * CLASSES
START = np.zeros(LENGTH, "<f4")
"""The model that all clients begin with."""
ROUND = RoundConfig(
    CLIENTS, LENGTH, corrupt_fraction=0.15, dropout_fraction=0.15, signatures=True,
    model_sha256=sha256(START.tobytes()).hexdigest(), run="self-test",
)  # fmt: skip
"""A sound round: degree and threshold by the guarded rule, every message signed, everybody on one model."""
Updates = NDArray[np.float32]


class RoundNotRecordedError(FedauditError):
    """A simulated round came to no sum, so that there is nothing to audit."""


@dataclass(frozen=True)
class Rounds:
    """Rounds to run and record; as it stands, sound ones."""

    config: RoundConfig = ROUND
    """Of each; the number is filled in."""
    drops: tuple[DropPlan, ...] = (DropPlan(), DropPlan())
    """Who vanishes, round by round; as many as there are rounds."""
    plants: tuple[str | None, ...] = (None, None)
    """A fault of `secagg.plants` in what is recorded, round by round."""
    client: str | Factory = "strict"
    """What makes the clients, as for `simulate_round`."""
    noise_multiplier: float = NOISE_MULTIPLIER
    """Standard deviation of the noise on a sum, over the clipping norm."""

    def record(self, make: Workshop) -> tuple[str, ...]:
        """Run the rounds and return the folders of their transcripts, relative to the system's.

        Raises:
            RoundNotRecordedError: A round came to no sum.
        """
        config = self.config.chosen()
        known = make_identities(config.ids)
        vouched = {client: identity.public_key for client, identity in known.items()}
        make.files.text("identities.json", json.dumps({one: _base64(key) for one, key in vouched.items()}))
        folders = []
        for number, (drop, plant) in enumerate(zip(self.drops, self.plants, strict=True), start=1):
            folders.append(path := f"rounds/round-{number:04d}")
            rows = noised(make, f"round {number}", updates(make, config.clients), self.noise_multiplier)
            with TranscriptWriter(make.files.folder(path), identities=vouched) as recorder:
                ended = simulate_round(
                    replace(config, round=number), rows, drop=drop, plant=plant, rng=make.rng(f"graph {number}"),
                    recorder=recorder, identities=known, client=self.client,
                )  # fmt: skip
            if ended.status != "ok":
                raise RoundNotRecordedError("selftest.round", f"round {number} came to no sum: {ended.reason}")
        return tuple(folders)


def declared_round(config: RoundConfig) -> dict[str, Any]:
    """Return `[federation.secure_aggregation]` as the rounds of a config are run; it names no code that runs them."""
    config = config.chosen()
    return {
        "clients": config.clients,
        "degree": config.degree,
        "threshold": config.threshold,
        "corrupt_fraction": config.corrupt_fraction,
        "dropout_fraction": config.dropout_fraction,
        "clipping_range": config.quantization.clipping_range,
        "quantization_levels": config.quantization.levels,
        "max_weight": config.quantization.max_weight,
        "modulus_bits": config.modulus_bits,
        "prg": "aes256-ctr",
        "seed_bits": 256,
    }


def declared_noise(noise_multiplier: float = NOISE_MULTIPLIER) -> dict[str, Any]:
    """Return `[federation.differential_privacy]` of noise that every client adds its share of before masking."""
    return {
        "unit": "client",
        "clipping_norm": CLIPPING_NORM,
        "noise_multiplier": noise_multiplier,
        "noise_added_by": "clients",
        "sampling": "full",
        "steps": 2,
        "epsilon": 8.0,
        "delta": 1e-5,
    }


def tables(
    section: Mapping[str, Any],
    *,
    server_trust: str = "honest-but-curious",
    noise: Mapping[str, Any] | None = None,
    **more: Any,
) -> dict[str, object]:
    """Return the tables of a system file.

    Args:
        section: `[federation.secure_aggregation]`.
        server_trust: as declared.
        noise: `[federation.differential_privacy]`; that of `declared_noise` where None, none where empty.
        **more: further tables.
    """
    federation = {
        "clients": section["clients"],
        "server_trust": server_trust,
        "visibility": "aggregate",
        "aggregation": "mean",
        "secure_aggregation": dict(section),
        "differential_privacy": declared_noise() if noise is None else dict(noise) or None,
    }
    return {"system": {"name": "digits-secagg", "version": "1"}, "federation": federation, **more}


def recorded_system(make: Workshop, rounds: Rounds, *, noise: Mapping[str, Any] | None = None) -> System:
    """Run rounds, declare them as they were run, and return the system.

    Args:
        make: the workshop.
        rounds: what is run.
        noise: as for `tables`.

    Raises:
        RoundNotRecordedError: a round came to no sum.
    """
    transcripts = list(rounds.record(make))
    config = rounds.config
    section = declared_round(config) | {
        "signed_keys": True,
        "consistency_check": config.malicious,
        "identities": "identities.json",
        "transcripts": transcripts,
    }
    return make.finish(tables(section, server_trust=config.server_trust, noise=noise))


def updates(make: Workshop, clients: int) -> Updates:
    """Return what each client's digits say to a softmax regression that starts from zero, clipped.

    The gradient of the mean cross-entropy at zero weights is x (1/10 - y) over pixels and classes.

    Returns:
        Rows of norm `CLIPPING_NORM` at most, shape (clients, 640).
    """
    dealt = make.digits(clients * RECORDS, clients, 0).clients
    rows = []
    for one in dealt:
        residuals = 1 / CLASSES - np.eye(CLASSES)[one.y.numpy()]
        gradient = (one.x.numpy().T @ residuals).reshape(-1) / len(one.y)
        rows.append(gradient * min(1.0, CLIPPING_NORM / float(np.linalg.norm(gradient))))
    return np.asarray(rows, np.float32)


def noised(make: Workshop, purpose: str, rows: Updates, noise_multiplier: float) -> Updates:
    """Return the rows, each with its client's share of the noise that the sum is to have."""
    share = noise_multiplier * CLIPPING_NORM / np.sqrt(len(rows))
    drawn = make.rng(f"noise of {purpose}").normal(0, share, rows.shape)
    return np.asarray(rows + drawn, np.float32)


def rewrite(folder: Path, change: Callable[[Draft], None]) -> None:
    """Change a recorded round in its folder and chain its lines anew, as whoever wrote it could have."""
    draft = Draft.of(read_transcript(folder))
    change(draft)
    edited = draft.edited()
    (folder / "transcript.jsonl").write_bytes(b"".join(line + b"\n" for line in edited.lines()))
    for digest, data in edited.blobs.items():
        (folder / "blobs" / digest).write_bytes(data)


def _base64(key: bytes) -> str:
    return base64.b64encode(key).decode()
