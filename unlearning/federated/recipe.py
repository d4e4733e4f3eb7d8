"""How a federation trains: every number of it, as a frozen value."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from reports.nouns import Count, FiniteNumber, Noun

Positive = Annotated[FiniteNumber, Field(gt=0)]
AtLeastOne = Annotated[Count, Field(ge=1)]
Momentum = Annotated[FiniteNumber, Field(ge=0, lt=1)]


class ClientPrivacy(Noun):
    """Differential privacy for clients: clipped contributions, Gaussian noise on their sum.

    Source: McMahan et al. 2018, arXiv:1710.06963 (DP-FedAvg); noise shared among the clients: Kairouz, Liu, Steinke
    2021, arXiv:2102.06387, here with continuous noise.
    """

    clipping_norm: Positive
    """L2 bound on one client's contribution."""
    noise_multiplier: Annotated[FiniteNumber, Field(ge=0)]
    """Standard deviation of the noise on the sum, over `clipping_norm`."""
    noise_added_by: Literal["clients", "server"] = "clients"
    """`clients`: each adds its share, of standard deviation noise_multiplier * clipping_norm / sqrt(clients)."""
    least_contributors: AtLeastOne | None = None
    """Clients that the noise is shared among, where some may drop out of a sum; None for all of a round. A sum of more
    of them bears more noise than `noise_multiplier` says, a sum of fewer is not released."""


class TrainingRecipe(Noun):
    """Federated averaging (McMahan et al. 2017, arXiv:1602.05629), and what may be added to it."""

    rounds: AtLeastOne
    """Rounds of training."""
    local_epochs: AtLeastOne = 1
    """Passes over a client's examples in a round."""
    local_steps: AtLeastOne | None = None
    """Steps after which a client stops, even within an epoch; None for whole epochs."""
    batch_size: AtLeastOne
    """Examples in a local batch; the last one of an epoch may be smaller."""
    learning_rate: Positive
    """Of the local gradient steps."""
    momentum: Momentum = 0.0
    """Of the local gradient steps; starts anew every round."""
    server_momentum: Momentum = 0.0
    """Of the server's steps."""
    clients_per_round: Count = 0
    """Clients drawn for a round without replacement; 0 for all."""
    seed: Count = 0
    """From which every random number of the training is derived."""
    privacy: ClientPrivacy | None = None
    """None where clients send what they have."""

    @model_validator(mode="after")
    def _bounded_contributions(self) -> Self:
        if self.privacy is not None and self.server_momentum:
            # not unsafe (it is post-processing), but every figure here is of the plain mechanism
            raise ValueError("server_momentum is not available with privacy; set one of them")
        return self
