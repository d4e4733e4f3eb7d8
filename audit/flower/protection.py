"""What a Flower app's own objects say of its protection, as tables of a system file.

Read are Flower's mods between the capture and the training, and the workflow of SecAgg+. What they do not say (how
clients are sampled, what epsilon is claimed) is for the owner to add.
"""

import inspect
import math
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from audit.flower.training import is_number

if TYPE_CHECKING:
    from flwr.app import Message

CLIPPING_NORM = "clipping_norm"
"""Key under which Flower's wrappers for client-side clipping send their norm (flwr.supercore.differential_privacy)."""


def inner_mods(call_next: Callable[..., Any]) -> Iterator[Any]:
    """Yield the mods that Flower calls after the one that is given `call_next`, outermost first.

    Flower's chain of mods (`flwr.client.mod.utils.make_ffn`) is a closure in a closure, each with one mod; what is
    built otherwise yields nothing.
    """
    while inspect.isfunction(call_next):
        held = inspect.getclosurevars(call_next).nonlocals
        if not {"_mod", "_ffn"} <= held.keys():
            return
        yield held["_mod"]
        call_next = held["_ffn"]


def privacy_of(message: "Message", call_next: Callable[..., Any]) -> dict[str, Any]:
    """Return the table `federation.differential_privacy` of what stands between a capture and the training.

    `LocalDpMod` draws noise of deviation s = sensitivity * sqrt(2 ln(1.25 / delta)) / epsilon for each update, which
    reaches the server alone, not as part of a sum: the noise multiplier is s over the clipping norm. Its epsilon is
    that of one message; what a run of several rounds gives away is recomputed by `dp.accounting`, so that it is not
    declared as the run's. Clipping alone tells the norm: the noise is then the server's, which the client cannot see.
    """
    for mod in inner_mods(call_next):
        if type(mod).__name__ == "LocalDpMod" and mod.epsilon and mod.delta:
            deviation = mod.sensitivity * math.sqrt(2 * math.log(1.25 / mod.delta)) / mod.epsilon
            return {
                "unit": "client",
                "clipping_norm": float(mod.clipping_norm),
                "noise_multiplier": deviation / mod.clipping_norm,
                "noise_added_by": "clients",
                "sampling": "full",
                "delta": float(mod.delta),
            }
    for record in message.content.config_records.values():
        if isinstance(norm := record.get(CLIPPING_NORM), float) and is_number(norm):
            return {"unit": "client", "clipping_norm": norm, "noise_added_by": "server"}
    return {}


def secure_aggregation_of(setup: Mapping[str, Any], clients: int) -> dict[str, Any]:
    """Return the table `federation.secure_aggregation` of Flower's SecAgg+.

    Args:
        setup: What clients were told in the setup stage.
        clients: Of the cohort.

    Flower counts the owner's own share among the shares, and 2^m as the ring of m bits. Its masks are NumPy's MT19937.
    Its largest weight is left out: Flower divides by it before it quantises, so that no weight in the ring is above 1.
    """
    return {
        "protocol": "flower-secaggplus",
        "clients": clients,
        "degree": min(int(setup["share_num"]), clients) - 1,
        "threshold": int(setup["threshold"]),
        "clipping_range": float(setup["clipping_range"]),
        "quantization_levels": int(setup["target_range"]),
        "modulus_bits": int(setup["mod_range"]).bit_length() - 1,
        "prg": "mt19937",
        "signed_keys": False,
        "consistency_check": False,
    }
