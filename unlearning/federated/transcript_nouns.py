"""What the lines of an unlearning transcript say, as nouns: a header, a line for each round, a close."""

import math
from collections.abc import Mapping
from itertools import pairwise
from typing import Annotated, Final, Literal, Self

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from reports.nouns import Count, FiniteNumber, Noun, Sha256, Share, Text, WholeNumber, Word
from reports.system import AtLeastOne, Positive, RelativePath
from unlearning.errors import UnlearningError
from unlearning.federated.recipe import TrainingRecipe
from unlearning.federated.request import UnlearningRequest

SCHEMA: Final = "fedaudit.unlearning-transcript/1"
FIRST_PREVIOUS = "0" * 64
"""What the first line says of the line before."""


def _finite_or_absent(value: object) -> object:
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _at_most_one(value: object) -> object:
    """Return a share that rounding has lifted above 1 as 1."""
    return 1.0 if isinstance(value, float) and 1 < value < 1 + 1e-9 else value


def _without_none(value: object) -> object:
    return {key: one for key, one in value.items() if one is not None} if isinstance(value, Mapping) else value


def _readable_request(text: str) -> str:
    try:
        UnlearningRequest.parse(text)
    except UnlearningError as error:
        raise ValueError(error.message) from error
    return text


def _ascending(clients: tuple[int, ...]) -> tuple[int, ...]:
    if any(one >= other for one, other in pairwise(clients)):
        raise ValueError("clients ascend, and none is named twice")
    return clients


Figure = Annotated[FiniteNumber | None, BeforeValidator(_finite_or_absent)]
"""A number, or nothing where it would not be finite."""
Amount = Annotated[Annotated[FiniteNumber, Field(ge=0)] | None, BeforeValidator(_finite_or_absent)]
"""A number from zero, or nothing where it would not be finite."""
Clients = Annotated[tuple[Count, ...], Field(max_length=100_000), AfterValidator(_ascending)]
"""Clients, ascending."""
Parameter = Annotated[bool, Field(strict=True)] | WholeNumber | FiniteNumber | Text
"""Of a method."""


class DataFile(Noun):
    """One file of examples beside the transcript."""

    path: RelativePath
    """Relative to the transcript's folder, and below it."""
    sha256: Sha256
    """Of the file's bytes."""
    examples: Count
    """How many it holds."""


class DataFiles(Noun):
    """The data that the unlearning saw, or that it is judged by."""

    forget: DataFile
    """What was to be forgotten."""
    retain: DataFile
    """What stayed."""
    twin: DataFile | None = None
    """Held-out examples like those to be forgotten."""
    test: DataFile | None = None
    """Judges utility."""
    holdout: DataFile | None = None
    """Never trained on."""
    probes: DataFile | None = None
    """Backdoor queries."""


class Versions(Noun):
    """What the numbers were computed with; replay is to the bit only with the same."""

    torch: Word
    """As `torch.__version__`."""
    device: Word
    """As torch calls it."""
    threads: AtLeastOne
    """Of the processor."""


class PrivacyClaim(Noun):
    """Differential privacy, as the unlearning claims it."""

    clipping_norm: Positive
    """L2 bound on one client's contribution."""
    noise_multiplier: Annotated[FiniteNumber, Field(ge=0)]
    """Standard deviation of the noise on the sum, a coordinate, over `clipping_norm`."""


class Header(Noun):
    """The first line: what was asked, of which model, and how it was to be done."""

    kind: Literal["header"] = "header"
    """Always `header`."""
    schema_id: Annotated[Literal["fedaudit.unlearning-transcript/1"], Field(alias="schema")] = SCHEMA
    """Always `fedaudit.unlearning-transcript/1`."""
    request: Annotated[Text, AfterValidator(_readable_request)]
    """As `UnlearningRequest` writes it."""
    method: Word
    """Its name."""
    parameters: Annotated[Mapping[Word, Parameter], BeforeValidator(_without_none)] = {}
    """Of the method, all of them."""
    recipe: TrainingRecipe
    """How the federation trains."""
    seed: Count
    """Of all randomness of the unlearning."""
    before: Sha256
    """Digest of the model's file before."""
    data: DataFiles
    """Where the examples lie."""
    offline: Clients = ()
    """Clients that could not be reached."""
    versions: Versions
    """What it ran on."""
    differential_privacy: PrivacyClaim | None = None
    """None where none is claimed."""
    prev: Sha256 = FIRST_PREVIOUS
    """Set by the writer."""


class Round(Noun):
    """One round: who took part, and what came of it."""

    kind: Literal["round"] = "round"
    """Always `round`."""
    index: AtLeastOne
    """Rounds behind the model after it."""
    phase: Literal["train", "max", "min", "post"]
    """What it was for."""
    participants: Annotated[Clients, Field(min_length=1)]
    """The clients in the mean."""
    weights: tuple[Share, ...] | None = None
    """Of each in the mean; they sum to 1."""
    model: Sha256
    """Digest of the global model's file after it."""
    update_norm: Amount = None
    """L2 norm of the global model's step."""
    loss: Figure = None
    """Mean objective over the participants."""
    loss_forget: Amount = None
    """Cross-entropy on the forget set after it, in nats."""
    loss_twin: Amount = None
    """Cross-entropy on the twin set after it, in nats."""
    capped: Annotated[Share | None, BeforeValidator(_at_most_one), BeforeValidator(_finite_or_absent)] = None
    """Share of the forget examples that had reached the cap."""
    divergence: Amount = None
    """From the frozen teacher on the forget set, where the method has one."""
    work: Count
    """Gradients of single examples."""
    teacher_forwards: Count | None = None
    """Forward passes of single examples through the frozen teacher."""
    noise_standard_deviation: Amount = None
    """Of the noise on the sum of the updates, a coordinate; absent without any."""
    prev: Sha256 = FIRST_PREVIOUS
    """Set by the writer."""

    @model_validator(mode="after")
    def _weights_of_participants(self) -> Self:
        if self.weights is not None and len(self.weights) != len(self.participants):
            raise ValueError(f"{len(self.participants)} participants have {len(self.weights)} weights")
        return self


class RoundCounts(Noun):
    """Rounds by phase."""

    max: Count = 0
    """Away from what is to be forgotten."""
    min: Count = 0
    """Back towards what is retained."""
    post: Count = 0
    """Of retained training afterwards."""
    train: Count = 0
    """Of a training from the start."""


class TotalWork(Noun):
    """What the unlearning cost, and what retraining would have."""

    example_gradients: Count
    """Gradients of single examples."""
    teacher_forwards: Count = 0
    """Forward passes of single examples through the frozen teacher."""
    retrain_example_gradients: Count
    """Gradients that the recipe takes without the forget set."""


class Close(Noun):
    """The last line: what was delivered, and the totals."""

    kind: Literal["close"] = "close"
    """Always `close`."""
    after: Sha256
    """Digest of the delivered model's file."""
    kept: AtLeastOne | None = None
    """Index of the round whose model was kept; None for the last one."""
    rounds: RoundCounts
    """All that stand in the lines above."""
    work: TotalWork
    """Summed over the lines above."""
    progress: Literal["ok", "none", "capped", "degraded"]
    """Whether the method could act."""
    prev: Sha256 = FIRST_PREVIOUS
    """Set by the writer."""
    digest: Sha256 = FIRST_PREVIOUS
    """Of this line's canonical form without this member; set by the writer."""


Line = Header | Round | Close
