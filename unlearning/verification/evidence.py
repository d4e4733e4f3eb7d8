"""What the tests of one erasure request are given: answers of the delivered model, and of models trained beside it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

import numpy as np

from reports.model import Effort
from unlearning.federated.oracles import model_seeds
from unlearning.federated.schedule import Rounds
from unlearning.verification.answers import Answers, Part
from unlearning.verification.relearning import Relearning
from unlearning.verification.scores import Array


@dataclass(frozen=True)
class Reference:
    """What the delivered model is held against."""

    kind: Literal["matched", "strict", "supplied", "none"]
    """`strict`: retrained, then as many plain rounds as declared, for a method that nobody here knows."""
    models: int
    """How many there are."""
    trained_by: Literal["auditor", "owner"] = "auditor"
    """Who trained them."""
    rounds: Rounds | None = None
    """Retained rounds behind each; None where that is not known."""
    delivered_rounds: Rounds | None = None
    """Those behind the delivered model, by its transcript; None without lines."""
    dropped: tuple[str, ...] = ()
    """Supplied oracles that were left out, each with the reason."""

    @property
    def length_differs(self) -> bool:
        """Whether the delivered model is known to have been trained for another number of rounds."""
        return None not in (self.rounds, self.delivered_rounds) and self.rounds != self.delivered_rounds


@dataclass(frozen=True, eq=False)
class Sides:
    """Scores of some examples by the models of a method, and by as many that had nothing to forget."""

    unlearned: Array
    """By models that the method has made to forget, shape (O, n)."""
    control: Array
    """By more references, shape (O, n)."""


@dataclass(frozen=True, eq=False)
class Evidence:
    """Everything that the tests of one erasure request are given."""

    id: str
    """Of the request."""
    seed: int
    """Root seed of the run."""
    effort: Effort
    """How much work it was allowed."""
    reference: Reference
    """What the references are."""
    after: Answers
    """Of the delivered model."""
    before: Answers | None = None
    """Of the model before."""
    references: Answers | None = None
    """Of the models that decide."""
    untrained: Answers | None = None
    """Of a model that has learnt nothing: what a loss of accuracy looks like."""
    strict: Array | None = None
    """Scores of the forget set by models retrained by the recipe alone, shape (N, n)."""
    strict_originals: Array | None = None
    """The same by models trained on all by the recipe alone, shape (O, n)."""
    control: Array | None = None
    """Scores of the forget set by more references, shape (O, n)."""
    originals: Array | None = None
    """The same by originals."""
    unlearned: Array | None = None
    """The same by models that the method has made to forget; None for a method that is not known here."""
    twin_matched: bool = False
    """Whether the twin has the labels of the forget set."""
    elsewhere: Mapping[Part, "Sides"] = field(default_factory=dict)
    """At effort full: the scores of other examples than those to be forgotten, by part."""
    relearning: Relearning | None = None
    """At effort full: how the forget set is learnt again; None where that could not be tried."""
    neighbours_declared: bool = False
    """Whether the owner named the neighbours of the forget set, or the nearest retained examples were taken."""
    owner_code: bool = False
    """Whether the owner's code makes the initial weights of every model."""
    engine: str = ""
    """What trained the models."""

    def rng(self, purpose: str) -> np.random.Generator:
        """Return NumPy's generator for one purpose of this request."""
        return np.random.default_rng(model_seeds(self.seed, f"{self.id}/{purpose}", 1)[0])
