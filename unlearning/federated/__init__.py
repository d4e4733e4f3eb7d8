"""Federations, simulated: their data, how they train, and what is recorded of it."""

from unlearning.federated.data import ClientData, FederatedData, SimulatedFederation, load_federation
from unlearning.federated.recipe import ClientPrivacy, TrainingRecipe
from unlearning.federated.training import RoundRecord, State, Work, train

__all__ = [
    "ClientData",
    "ClientPrivacy",
    "FederatedData",
    "RoundRecord",
    "SimulatedFederation",
    "State",
    "TrainingRecipe",
    "Work",
    "load_federation",
    "train",
]
