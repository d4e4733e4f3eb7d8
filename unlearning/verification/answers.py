"""What models answer on the examples that a verification asks about: everything the tests are given of a model."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from unlearning.verification.scores import Array, logit_confidence, per_example_loss

Part = Literal["forget", "twin", "test", "retain", "neighbours", "probes"]
Labels = npt.NDArray[np.int64]
Logits = npt.NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class Answers:
    """Logits of M models on the parts of the data that they were asked about."""

    logits: Mapping[Part, Logits]
    """By part, shape (M, n, C); only the parts that there are."""
    labels: Mapping[Part, Labels]
    """By part, shape (n,); of the probes, the label that the trigger gives."""

    def __len__(self) -> int:
        return len(self.logits["forget"])

    def has(self, *parts: Part) -> bool:
        """Tell whether the models were asked about all of these parts."""
        return all(part in self.logits for part in parts)

    def scores(self, part: Part = "forget") -> Array:
        """Return each model's logit confidence in each label, shape (M, n)."""
        return logit_confidence(self.logits[part], self.labels[part])

    def losses(self, part: Part) -> Array:
        """Return each model's cross-entropy on each example, in nats, shape (M, n)."""
        return per_example_loss(self.logits[part], self.labels[part])

    def correct(self, part: Part) -> npt.NDArray[np.bool_]:
        """Tell of each model and example whether the label is the most likely one, shape (M, n)."""
        return np.asarray(self.logits[part].argmax(axis=-1) == self.labels[part])

    def accuracy(self, part: Part) -> Array:
        """Return each model's share of right answers, shape (M,)."""
        return np.asarray(self.correct(part).mean(axis=1))

    def some(self, models: npt.NDArray[np.int64]) -> "Answers":
        """Return the answers of some of the models."""
        return Answers({part: logits[models] for part, logits in self.logits.items()}, self.labels)
