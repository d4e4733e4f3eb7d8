"""Made-up worlds for the judgements: models whose scores are drawn, so that what there is to find is known."""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from reports.model import Effort
from unlearning.federated.schedule import Rounds
from unlearning.verification.answers import Answers, Labels, Logits, Part
from unlearning.verification.evidence import Evidence, Reference
from unlearning.verification.scores import Array
from unlearning.verification.suite import VerificationReport

LENGTH = Rounds(train=7)


@dataclass(frozen=True)
class World:
    """Models that score `examples` examples; having seen them moves every second one by `trace` deviations."""

    trace: float = 3.0
    examples: int = 60
    seed: int = 0

    def moved(self, share: float) -> Array:
        """What having kept a share of the trace adds to each score."""
        return share * self.trace * (np.arange(self.examples) % 2 == 0)

    def scores(self, purpose: int, models: int, share: float = 0.0) -> Array:
        """Scores of models that keep a share of the trace; 0 for retrained ones, 1 for originals."""
        rng = np.random.default_rng([self.seed, purpose])
        return np.asarray(rng.normal(size=(models, self.examples)) + self.moved(share))

    def evidence(
        self, delivered: float = 0.0, method: float | None = None, models: int = 64, **changed: Any
    ) -> Evidence:
        """Evidence on a delivered model that keeps a share of the trace, made by a method that keeps another.

        Without the latter the method was not run over seeds.
        """
        return replace(
            Evidence(
                "r1", 5, Effort.STANDARD,
                Reference("matched", models, rounds=LENGTH, delivered_rounds=LENGTH),
                answers(self.scores(1, 1, delivered)),
                before=answers(self.scores(2, 1, 1.0)),
                references=answers(self.scores(3, models)),
                control=None if method is None else self.scores(4, models),
                originals=self.scores(5, models, 1.0),
                unlearned=None if method is None else self.scores(6, models, method),
            ),
            **changed,
        )  # fmt: skip

    def report(self, **changed: Any) -> VerificationReport:
        """The verification of such evidence."""
        return VerificationReport(self.evidence(**changed))


def logits_of(scores: Array) -> Logits:
    """Logits of two classes whose confidence in the first is the score."""
    return np.stack([scores, np.zeros_like(scores)], axis=-1).astype(np.float32)


def answers(forget: Array, **parts: Array) -> Answers:
    """Answers with these scores, by part; every label is the first class."""
    every: dict[Part, Array] = {"forget": forget, **parts}  # type: ignore[dict-item]
    labels: dict[Part, Labels] = {part: np.zeros(one.shape[1], dtype=np.int64) for part, one in every.items()}
    return Answers({part: logits_of(one) for part, one in every.items()}, labels)
