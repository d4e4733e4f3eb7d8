"""What f-FUM inside Flower can be given, and what the strategy round which it is put says of itself."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from unlearning.errors import UnlearningError
from unlearning.federated.methods import method
from unlearning.federated.methods.ffum import FFUM

if TYPE_CHECKING:
    from flwr.serverapp import Grid
    from flwr.serverapp.strategy import Strategy

__all__ = ["InnerSetting", "checked_method", "hides_updates", "setting_of"]


@dataclass(frozen=True)
class InnerSetting:
    """What a strategy, or the one that it wraps, says of itself; Flower's own defaults where it says nothing."""

    arrays: str
    """Name of the array record in its messages."""
    config: str
    """Name of the config record."""
    weight: str
    """The metric by which replies are weighed."""
    least_nodes: int
    """Nodes that it waits for before a round of training."""


def setting_of(strategy: "Strategy") -> InnerSetting:
    """Return what a strategy says of itself."""
    chain = list(_wrapped(strategy))

    def said(name: str, default: Any) -> Any:
        return next((getattr(one, name) for one in chain if hasattr(one, name)), default)

    return InnerSetting(
        said("arrayrecord_key", "arrays"),
        said("configrecord_key", "config"),
        said("weighted_by_key", "num-examples"),
        max(said("min_available_nodes", 0), said("min_train_nodes", 0)),
    )


def checked_method(parameters: Mapping[str, Any], inner: "Strategy", *, has_teacher: bool) -> FFUM:
    """Return f-FUM with these parameters, as far as the server of a real federation can run it.

    Raises:
        UnlearningError: `unlearning.parameter`, one is unknown or cannot be had here; `unlearning.conflict`, the inner
            strategy adds noise, which the max phase would go without.
    """
    if "tol" in parameters:
        told = "FFUMStrategy takes no tol: a server holds no forget data, so that it cannot choose among the rounds"
        raise UnlearningError("unlearning.parameter", told, "Leave tol out, and give rounds.")
    made = method("ffum", **parameters)
    if not isinstance(made, FFUM):
        raise TypeError(f"the method named ffum is {type(made).__name__}")
    if made.reset != "none" and (made.rounds is None or not has_teacher):
        told = f"reset = {made.reset!r} starts from another model than the teacher, and the recipe is not known here"
        raise UnlearningError("unlearning.parameter", told, "Give rounds, and teacher = the model before.")
    private = [type(one).__name__ for one in _wrapped(inner) if type(one).__name__.startswith("DifferentialPrivacy")]
    if private and made.reset != "init":
        told = f"the forget nodes' updates would go without the noise of {private[0]}"
        raise UnlearningError("unlearning.conflict", told, "Take reset = 'init', which has no max phase.")
    return made


def hides_updates(grid: "Grid") -> bool:
    """Tell whether a grid aggregates securely, so that one reply stands for all; by name, since its room is another."""
    return any(kind.__name__ == "SecAggGrid" for kind in type(grid).__mro__)


def _wrapped(strategy: "Strategy | None") -> Iterator[Any]:
    """Yield a strategy, the one that it wraps, and so on; Flower's wrappers call it `strategy`."""
    while strategy is not None:
        yield strategy
        strategy = getattr(strategy, "strategy", None)
