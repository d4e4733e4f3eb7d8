"""The answers of `fedaudit unlearn`: requests honoured, edits made, forgetting verified."""

from typing import Literal

from pydantic import JsonValue

from audit.answers.common import AnswerNoun, Figures
from audit.answers.summing import Number
from reports.model import Finding
from reports.nouns import Count, Sha256, Status, Strength, Text


class Work(AnswerNoun):
    """What a method computes, beside training anew."""

    example_gradients: Count
    """Gradients of single examples."""
    teacher_forwards: Count
    """Answers of a teacher."""
    retrain_example_gradients: Count
    """What training anew would take."""


class Planned(AnswerNoun):
    """What honouring a request would take."""

    needs: tuple[Text, ...]
    """What the method asks of the recording."""
    conflicts: tuple[Text, ...]
    """Why it cannot be done."""
    limitations: tuple[Text, ...]
    """What it would leave open."""
    alternatives: tuple[Text, ...]
    """Methods that could."""
    storage_bytes: Count
    """To be kept."""
    messages: Count
    """Between server and clients."""
    work: Work
    """To be computed."""
    feasible: bool
    """Whether it can be done."""


class PlanAnswer(AnswerNoun):
    """Of `fedaudit unlearn federated --plan`."""

    method: Text
    """How."""
    plan: Planned
    """What it would take."""


class Honoured(AnswerNoun):
    """Of `fedaudit unlearn federated`; figures of models are shares of right answers."""

    method: Text
    """How it was forgotten."""
    request: Figures
    """`kind`, `targets`, `examples` and `text` of what was asked for."""
    parameters: Figures
    """Of the method."""
    seed: Count
    """Of the unlearning."""
    before_sha256: Sha256
    """Weights before."""
    after_sha256: Sha256
    """Weights after."""
    progress: Text
    """`ok`, or how the course of the training was out of the ordinary."""
    warnings: tuple[Text, ...]
    """What a reader should know."""
    work: Figures
    """Gradients and answers that were computed, and their `ratio` to training anew."""
    accuracy: Figures
    """`before` and `after`, by set."""
    probe_rate: Figures
    """`before` and `after`: share of probes that are still answered as planted."""
    loss: Figures
    """Mean loss after, on the `forget` set and its `twin`."""
    rounds: Figures
    """Rounds by phase."""
    capped_share: Number | None
    """Share of gradients that were capped."""
    plan: Figures
    """What was planned."""
    comparison: tuple[Figures, ...]
    """A row a method of --compare."""
    files: dict[str, Text]
    """What was written, by what it is."""


class Edited(AnswerNoun):
    """What is said of every edit of a language model."""

    method: Text
    """Name of the method."""
    solver: Text
    """How its equations were solved."""
    updates: tuple[Figures, ...]
    """A row a tensor that was replaced."""
    parameters_changed: Count
    """Numbers in them."""
    tensors_changed: Count
    """How many."""
    before_sha256: Sha256
    """Weights before."""
    after_sha256: Sha256
    """Weights after."""
    seed: Count
    """Of the edit."""
    files: dict[str, Text]
    """What was written, by what it is."""


class AppliedAnswer(Edited):
    """Of `fedaudit unlearn lunar --apply` and `--revert`."""

    action: Literal["apply", "revert"]
    """Which way."""


class MadeEdit(Edited):
    """An edit that was just made."""

    reference: Figures
    """Prompts to be refused: `given` and `refused`."""
    gate: Figures
    """Figures by which the edit was let through; empty where none was asked."""
    screening: Figures
    """What the model says, `before` and `after`."""
    candidates: tuple[Figures, ...]
    """Settings that were tried."""
    cost: Figures
    """CPU time in seconds by part, tokens, and the most memory."""
    comparison: tuple[Figures, ...]
    """A row a method of --compare."""
    warnings: tuple[Text, ...]
    """What a reader should know."""


class LunarAnswer(MadeEdit):
    """Of `fedaudit unlearn lunar`; with --statistics it also says `federation`, what was summed over clients."""

    requests: JsonValue
    """Requests that the weights answer by now."""
    previous: JsonValue
    """Edits that came before."""


class EraseAnswer(MadeEdit):
    """Of `fedaudit unlearn lunar --erase`."""

    erase: Figures
    """How the model was taught anew."""


class ClientSumsAnswer(AnswerNoun):
    """Of `fedaudit unlearn lunar --client-statistics`."""

    file: Text
    """What was written."""
    sha256: Sha256
    """Its digest."""
    bytes: Count
    """Its size."""
    setting: Figures
    """What all clients must agree on."""
    counts: Figures
    """Tokens and prompts behind the sums."""
    fraction_bits: Count | Literal["float"]
    """Precision of the integers."""
    tokens_per_dimension: Number
    """How crowded the sums are: the fewer, the more of a record they give away."""
    warnings: tuple[Text, ...]
    """What a client should know before sending."""


class VerifiedForgetting(AnswerNoun):
    """What is said of every verification."""

    id: Text
    """Of the request."""
    kind: Text
    """What was to be forgotten."""
    method: Text | None
    """How; null where nobody says."""
    status: Status
    """The worst of what was asked."""
    strength: Strength
    """The kind of proof."""
    findings: tuple[Finding, ...]
    """What was found, whole."""
    limitations: tuple[Text, ...]
    """What was not shown."""
    seed: Count
    """The root seed."""
    effort: Literal["smoke", "standard", "full"]
    """How much work it did."""


class VerifyFederatedAnswer(VerifiedForgetting):
    """Of `fedaudit unlearn verify`, of a federation; a figure whose test was not asked is null."""

    grade: Literal["A", "B", "C", "D"]
    """Of the evidence: A is against retrained models, D a record alone."""
    reference: Figures
    """Against what it was held: `kind`, `models`, `rounds`, `trained_by`."""
    residual: Figures | None
    """Share of the influence that is left, its interval and the test's power."""
    u_lira: Figures | None
    """How well an attacker tells what was forgotten."""
    forgetting_quality: Figures | None
    """Score over seeds."""
    screening: Figures | None
    """Distances, over their floor."""
    membership: Figures | None
    """How well members are told."""
    models: Count
    """Retrained models behind it."""


class VerifyTextAnswer(VerifiedForgetting):
    """Of `fedaudit unlearn verify`, of a language model."""

    level: Text | None
    """How deep the forgetting goes."""
    level_reason: Text
    """Why no deeper; may be empty."""
    identifiable: bool | None
    """Whether what is left can be told from never having known."""
    scope_mismatch: bool | None
    """Whether another part of the model changed than was declared."""
    tests: tuple[Figures, ...]
    """A row a test."""
    sets: dict[str, Figures]
    """Digest and size of each set."""
    scope: Figures | None
    """What changed; null where no test looked."""
