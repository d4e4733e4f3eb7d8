"""What a client's app returned, as far as secure aggregation takes it up."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from secagg.flower.arrays import only_record

if TYPE_CHECKING:
    from flwr.app import ArrayRecord, Message, RecordDict

WEIGHT = "num-examples"
"""The metric by which FedAvg weighs, and the one that integer weighting takes."""


@dataclass(frozen=True, eq=False)
class Trained:
    """What the app under the mod returned."""

    arrays: "ArrayRecord"
    weight: int | None
    """Number of examples; None where the reply does not say."""
    unsent: tuple[str, ...]
    """Names of metrics that would have gone to the server in the clear, and now go nowhere."""


def is_training(message: "Message") -> bool:
    """Tell whether a message asks for training, of whatever action."""
    return message.metadata.message_type.partition(".")[0] == "train"


def read_trained(content: "RecordDict") -> Trained:
    """Return what a Message-API app returned.

    Raises:
        ValueError: There is not exactly one array record, or `num-examples` is no whole number.
    """
    metrics = {name: one for record in content.metric_records.values() for name, one in record.items()}
    weight = metrics.pop(WEIGHT, None)
    return Trained(only_record(content)[1], whole(weight), tuple(metrics))


def whole(weight: Any) -> int | None:
    """Return a weight as an integer, None as None; ValueError where it is no whole number (which one is not said)."""
    if weight is None:
        return None
    if not isinstance(weight, int | float) or weight != int(weight):
        raise ValueError("the number of examples is no whole number")
    return int(weight)
