"""What a Flower app's configuration says of its local training, under the names that apps have for it."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

_RATES = ("lr", "learning-rate", "learning_rate")
_EPOCHS = ("local-epochs", "local_epochs", "epochs")
_BATCHES = ("batch-size", "batch_size")
_ROUNDS = ("num-server-rounds", "num_server_rounds", "num-rounds")


@dataclass(frozen=True)
class Training:
    """How a client trains in a round, as far as the app's configuration tells."""

    epochs: int
    """Of a round; 1 where it is not told."""
    batch_size: int | None
    """Records of a step; None where it is not told, and all are taken."""
    learning_rate: float | None
    """None where it is not told."""
    rounds: int | None
    """Of the run; None where it is not told."""
    records: int | None
    """Of one client; None where nobody knows."""

    @property
    def entry(self) -> dict[str, Any]:
        """Keys of an entry of `[[updates]]`."""
        batch = self.batch_size or self.records
        if batch is None or self.records is None:
            return {"learning_rate": self.learning_rate}
        return {
            "batch_size": min(batch, self.records),
            "local_steps": self.epochs * -(-self.records // batch),
            "learning_rate": self.learning_rate,
        }

    @property
    def federation(self) -> dict[str, Any]:
        """Keys of `[federation]`."""
        return {
            "framework": "flower",
            "rounds": self.rounds,
            "local_epochs": self.epochs,
            "batch_size": self.batch_size,
            "learning_rate": self.learning_rate,
            "server_trust": "honest-but-curious",
        }


def training_of(told: Mapping[str, Any], records: int | None) -> Training:
    """Return the training that a run's configuration, and what the server sends with a message, tell.

    Args:
        told: Keys of the configuration; numbers under `lr`, `local-epochs`, `batch-size` and the like are read.
        records: Of one client.
    """
    batch, rate, rounds = (_said(told, names) for names in (_BATCHES, _RATES, _ROUNDS))
    return Training(
        epochs=int(_said(told, _EPOCHS) or 1),
        batch_size=None if batch is None else int(batch),
        learning_rate=None if rate is None else float(rate),
        rounds=None if rounds is None else int(rounds),
        records=records,
    )


def _said(told: Mapping[str, Any], names: tuple[str, ...]) -> float | None:
    return next((told[name] for name in names if is_number(told.get(name))), None)


def is_number(value: object) -> bool:
    """Tell whether a value is a finite number; what a server sends may be any, and must not spoil the capture."""
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
