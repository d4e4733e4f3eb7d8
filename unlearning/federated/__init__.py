"""Federations, simulated: their data, how they train and what is recorded; how they forget, and whether they have.

    from unlearning.federated import load_federation, unlearn, verify

`unlearn` and `verify` are loaded when they are asked for: they bring every method and every test with them.
"""

from typing import TYPE_CHECKING

from unlearning.federated.data import ClientData, FederatedData, SimulatedFederation, load_federation
from unlearning.federated.recipe import ClientPrivacy, TrainingRecipe
from unlearning.federated.training import RoundRecord, State, Work, train

if TYPE_CHECKING:
    from unlearning.federated.forgetting import Unlearned, unlearn, verify
    from unlearning.federated.request import UnlearningRequest

__all__ = [
    "ClientData",
    "ClientPrivacy",
    "FederatedData",
    "RoundRecord",
    "SimulatedFederation",
    "State",
    "TrainingRecipe",
    "Unlearned",
    "UnlearningRequest",
    "Work",
    "load_federation",
    "train",
    "unlearn",
    "verify",
]
_LATER = {
    "Unlearned": "unlearning.federated.forgetting",
    "UnlearningRequest": "unlearning.federated.request",
    "unlearn": "unlearning.federated.forgetting",
    "verify": "unlearning.federated.forgetting",
}


def __getattr__(name: str) -> object:
    """Import what is loaded late."""
    if name not in _LATER:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    import importlib

    return getattr(importlib.import_module(_LATER[name]), name)
