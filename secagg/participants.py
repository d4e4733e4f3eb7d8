"""Anything that takes part in a round as a client does, and how one is made for a simulation."""

from collections.abc import Callable, Collection, Mapping
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from secagg.client import SecAggClient
from secagg.keys import Entropy, Identity
from secagg.masking import Masking
from secagg.messages import Message
from secagg.policy import ClientPolicy
from secagg.proposal import Proposal
from secagg.records import Advertise, Consistency, Header, MaskedInput, Shares, Unmask
from secagg.weak_client import WeakClient

Vector = NDArray[np.unsignedinteger[Any]]


class Participant(Protocol):
    """The steps of `secagg.client.SecAggClient`, each of which may raise `Refusal`."""

    saturated: int

    def open(self, header: Header | Proposal) -> None:
        """Join a round, or refuse it."""
        ...

    def advertise(self) -> Message[Advertise]:
        """Return two fresh public keys."""
        ...

    def share(self, included: Collection[str], advertised: Mapping[str, Message[Advertise]]) -> Message[Shares]:
        """Return sealed shares for the neighbours in U1."""
        ...

    def mask(
        self,
        included: Collection[str],
        sealed: Mapping[str, bytes],
        update: NDArray[np.floating[Any]],
        *,
        rng: np.random.Generator,
        weight: int = 1,
        model_sha256: str | None = None,
        rounding: str = "stochastic",
    ) -> tuple[Message[MaskedInput], Vector]:
        """Return the masked vector and the message that names it."""
        ...

    def masking(
        self,
        included: Collection[str],
        sealed: Mapping[str, bytes],
        shape: tuple[int, ...],
        *,
        weight: int = 1,
        model_sha256: str | None = None,
        rounding: str = "stochastic",
    ) -> Masking:
        """Return what an update of this shape has to go through: the first half of `mask`."""
        ...

    def masked(self, digest: str, *, model_sha256: str | None = None) -> Message[MaskedInput]:
        """Return the message that names a masked vector: the second half."""
        ...

    def consistency(self, included: Collection[str]) -> Message[Consistency]:
        """Return a signature on U3."""
        ...

    def unmask(
        self, included: Collection[str], agreements: Mapping[str, Message[Consistency]] | None = None
    ) -> Message[Unmask]:
        """Return one share for each neighbour."""
        ...

    def close(self) -> None:
        """Forget the round."""
        ...


Factory = Callable[[str, Identity | None, ClientPolicy, Entropy], Participant]
"""Makes the client of an id."""
FACTORIES: Mapping[str, Factory] = {"strict": SecAggClient, "weak": WeakClient}
"""`strict` refuses what its policy and the protocol say; `weak` accepts everything: a positive control."""


def factory_of(client: str | Factory) -> Factory:
    """Return the factory of a name, or the one given; KeyError for another name."""
    return FACTORIES[client] if isinstance(client, str) else client
