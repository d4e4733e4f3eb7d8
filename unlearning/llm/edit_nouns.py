"""`edit.json`: what an edit says of itself. No question and no answer stands in it: sets are named by their digest."""

from typing import Annotated, Final, Literal

from pydantic import Field

from reports.nouns import Count, FiniteNumber, Noun, Sha256, Word

SCHEMA: Final = "fedaudit.lunar-edit/1"
AtLeastOne = Annotated[Count, Field(ge=1)]


class EditedModel(Noun):
    """The model that was edited."""

    architecture: Word
    """Class of transformers, such as `LlamaForCausalLM`."""
    before: Sha256
    """Digest of its weights before the edit."""
    after: Sha256
    """Digest of its weights with the edit applied."""


class EditedSet(Noun):
    """One set of records that the edit was made from."""

    sha256: Sha256
    """Of its canonical JSON Lines."""
    n: Count
    """Records."""
    refused: Count | None = None
    """Of reference prompts: how many the model refused."""


class GateFigures(Noun):
    """The gate g(h) = vᵀh on each set: near 1 where the edit acts, near 0 where it is silent."""

    forget_mean: FiniteNumber | None = None
    """Mean on the forget set."""
    forget_p05: FiniteNumber | None = None
    """Its 5th percentile."""
    paraphrase_mean: FiniteNumber | None = None
    """Mean on paraphrases of the forget set."""
    retain_p95: FiniteNumber | None = None
    """95th percentile of |g| on the retain set."""
    general_p95: FiniteNumber | None = None
    """The same on general questions."""
    twin_p95: FiniteNumber | None = None
    """The same on facts of the same form that the model never saw."""
    earlier_mean: FiniteNumber | None = None
    """Mean on what earlier requests made forgotten."""
    gap: FiniteNumber | None = None
    """1 - leak, the leak being |g| at the 95th percentile of what stays over the mean of what goes."""


class UpdateLine(Noun):
    """One changed tensor; its numbers stand in `edit.safetensors`."""

    tensor: Word
    """Name in the model's state."""
    layer: Count
    """Block, from 0."""
    form: Literal["low-rank", "difference"] = "low-rank"
    """`low-rank`: `<tensor>.left` and `<tensor>.right`; `difference`: the whole matrix, `<tensor>.difference`."""
    rank: AtLeastOne
    """Of the factors; of a whole difference the most that it can have."""
    ridge: FiniteNumber | None = None
    """Relative ridge of the closed form; None where there was none."""
    coefficient: FiniteNumber | None = None
    """c, by which the direction is multiplied; it is part of the left factor already."""
    effective_coefficient: FiniteNumber | None = None
    """c times the mean gate on the forget set."""
    tokens: Literal["last", "prompt", "refusal"] | None = None
    """Which tokens were the forget rows."""
    span: AtLeastOne = 1
    """Positions that have a target of their own."""


class EditMeta(Noun):
    """Where an edit comes from."""

    method: Word = "lunar"
    """Method of unlearning."""
    solver: Word = "closed"
    """How the least squares were solved: `closed`, `gradient` or `gradient-published`."""
    model: EditedModel
    """What it belongs to."""
    sets: dict[Word, EditedSet] = Field(default_factory=dict)
    """By role: `forget`, `retain`, `general`, `reference`."""
    gate: GateFigures | None = None
    """What the gate told before any word was generated."""
    requests: AtLeastOne = 1
    """Erasure requests that this edit and those before it honour."""
    previous: Sha256 | None = None
    """Of the edit that this one follows."""
    seed: Count = 0
    """Root seed."""
    tool_version: Word
    """Version of fedaudit."""


class EditFiles(Noun):
    """Digests of the files beside `edit.json`."""

    edit: Sha256
    """Of `edit.safetensors`."""
    undo: Sha256
    """Of `undo.safetensors`."""
    statistics: Sha256 | None = None
    """Of `statistics.safetensors`, which a later request needs and which may be withheld."""


class EditFile(EditMeta):
    """The whole of `edit.json`."""

    schema_id: Annotated[Literal["fedaudit.lunar-edit/1"], Field(alias="schema")] = SCHEMA
    """Always `fedaudit.lunar-edit/1`."""
    updates: Annotated[tuple[UpdateLine, ...], Field(min_length=1)]
    """The changed tensors."""
    files: EditFiles
    """What the numbers are bound to."""
    sha256: Sha256 | None = None
    """Of the canonical bytes of all other members: a damaged file is told, a forged one is not; sign it for that."""
