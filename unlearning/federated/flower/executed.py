"""What a round of unlearning in Flower did, as far as the server sees it."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from unlearning.federated.flower.assignment import FlowerPhase
from unlearning.federated.flower.records import digest_of, tensors_of
from unlearning.federated.rounds import less, norms, stacked

if TYPE_CHECKING:
    from flwr.app import ArrayRecord, Message, MetricRecord

__all__ = ["ExecutedRound", "executed_round", "number_in"]


@dataclass(frozen=True)
class ExecutedRound:
    """One round."""

    index: int
    """Flower's number of it."""
    phase: FlowerPhase
    """What it was for."""
    nodes: tuple[int, ...]
    """Whose replies came, ascending; under secure aggregation the one in whose name the sum is."""
    model: str
    """Digest of the global model after it: the SHA-256 of its safetensors file."""
    update_norm: float
    """L2 norm of the global model's step."""
    capped: float | None
    """Share of examples that had reached the cap in a max phase; None where the replies do not say."""
    example_gradients: int
    """Gradients of single examples, as far as the replies say."""


def executed_round(
    index: int,
    phase: FlowerPhase,
    replies: "Sequence[Message]",
    before: "ArrayRecord",
    after: "ArrayRecord",
    capped: float | None = None,
) -> ExecutedRound:
    """Return what a round did, from the replies that came and the models that were sent and made of them."""
    answers = [reply for reply in replies if reply.has_content()]
    metrics = [record for reply in answers for record in reply.content.metric_records.values()]
    step = less(stacked([tensors_of(after)]), stacked([tensors_of(before)]))
    return ExecutedRound(
        index=index,
        phase=phase,
        nodes=tuple(sorted(reply.metadata.src_node_id for reply in answers)),
        model=digest_of(after),
        update_norm=float(norms(step)),
        capped=capped,
        example_gradients=round(sum(number_in(record, "example-gradients") or 0.0 for record in metrics)),
    )


def number_in(record: "MetricRecord | None", key: str) -> float | None:
    """Return one number of a metric record, where it is there."""
    value = None if record is None else record.get(key)
    return float(value) if isinstance(value, int | float) else None
