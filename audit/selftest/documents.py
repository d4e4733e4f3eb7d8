"""Documents of a system, and what in a system file they are held against."""

from collections.abc import Sequence

from audit.dp.accounting import Recomputed, recompute
from audit.selftest.workshop import Workshop
from reports.model import DifferentialPrivacy

DOCUMENT, THRESHOLDS = "technical-documentation.md", "thresholds.toml"
CLIENTS = 24


def write_document(make: Workshop, *paragraphs: str) -> list[dict[str, object]]:
    """Write technical documentation of these paragraphs and return the tables `[[documents]]`."""
    path = make.files.text(DOCUMENT, "\n\n".join(["# Technical documentation", *paragraphs]) + "\n")
    return [{"path": path, "kind": "technical-documentation", "classification": "internal"}]


def write_thresholds(make: Workshop, promises: Sequence[tuple[str, str, str, float]]) -> list[dict[str, object]]:
    """Write limits that were promised long before any audit, and return the tables `[[documents]]`.

    Args:
        make: The workshop.
        promises: Check, measurement, `<=` or `>=`, and limit.
    """
    lines = ["version = 1", "registered_on = 2026-01-15", 'registered_by = "A. Example, head of privacy"']
    for check, measurement, op, limit in promises:
        lines += ["[[threshold]]", f'check = "{check}"', f'measurement = "{measurement}"']
        lines += [f'op = "{op}"', f"limit = {limit!r}"]
    path = make.files.text(THRESHOLDS, "\n".join(lines) + "\n")
    return [{"path": path, "kind": "thresholds", "classification": "public"}]


def private_training(noise_multiplier: float) -> tuple[dict[str, object], Recomputed]:
    """Return the table `[federation]` of training with Gaussian noise, and the epsilon that follows from it."""
    declared = DifferentialPrivacy(
        unit="client", clipping_norm=1.0, noise_multiplier=noise_multiplier, sampling="full", steps=16, delta=1e-3
    )
    table = declared.model_dump(exclude_none=True, exclude_defaults=True)
    known = recompute(declared)
    rounds = {"clients": CLIENTS, "clients_per_round": CLIENTS, "rounds": 16, "visibility": "update"}
    return {**rounds, "differential_privacy": {**table, "epsilon": known.claimable}}, known
