"""Planted wrong shares, and whether a server notices: ours, and one that compares shares with nothing (control)."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from reports.executor import Serial
from secagg.client import SecAggClient
from secagg.keys import Identity, KeyPair, mask_key
from secagg.messages import Message
from secagg.participants import Participant
from secagg.prg import accumulate_masks
from secagg.proposal import Proposal
from secagg.records import Consistency, Survivors, Unmask
from secagg.sabotage import BadDealing, BadShare
from secagg.server import SecAggServer
from secagg.setting import RoundConfig, make_identities
from secagg.simulate import SeededUpdates
from secagg.simulated_round import SimulatedRound
from secagg.unmasking import Recovery
from secagg.weak_client import WeakClient


class BadKeyShare(WeakClient):
    """Answers unmask with a share of a dropped client's mask key that it was not dealt."""

    def unmask(
        self, included: Collection[str], agreements: Mapping[str, Message[Consistency]] | None = None
    ) -> Message[Unmask]:
        """Return the answer with the first share of a mask key changed."""
        body = super().unmask(included, agreements).body
        owner = min(body.mask_key_shares)
        share = bytearray(body.mask_key_shares[owner])
        share[16] ^= 1  # X25519 ignores three bits of the first byte of a key (RFC 7748, section 5), none of the ninth
        return self.write(replace(body, mask_key_shares={**body.mask_key_shares, owner: bytes(share)}))


SEED_SHARE = "seed-share"
PLANTS: Mapping[str, type[WeakClient]] = {
    SEED_SHARE: BadShare,
    "mask-key-share": BadKeyShare,
    "dealing": BadDealing,
}
"""A wrong share of a survivor's seed, of a dropped client's mask key, and shares of another seed than is used."""


@dataclass(frozen=True)
class Planted:
    """How a round with a wrong share ended."""

    plant: str
    careless: bool
    """Whether the server compared shares with nothing."""
    reason: str | None
    """Code of the abortion; None where there is a sum."""
    exact: bool | None
    """Whether the sum is right; None where there is none."""
    named: str | None
    """What the sender was named for; None where it was not."""

    @property
    def noticed(self) -> bool:
        """Whether the sum is right, or there is none and the sender is named for it."""
        return self.exact is True or (self.exact is None and self.named is not None)

    @property
    def spoilt(self) -> bool:
        """Whether there is a sum and it is wrong: nobody saw an error."""
        return self.exact is False

    def as_fields(self) -> dict[str, object]:
        """Return it as JSON keys."""
        return {**vars(self), "noticed": self.noticed}


class _CarelessRecovery(Recovery):
    """Takes shares as they come, and secrets as they come out."""

    def fault(self, message: Message[Unmask]) -> str:  # noqa: ARG002  (that is the flaw)
        return ""

    def unmask(self, total: NDArray[np.unsignedinteger[Any]]) -> None:
        secrets = dict(self._recovered())
        seeds = {owner: secrets[owner] for owner in self._survivors}
        accumulate_masks(total, self._masks(seeds, {}))
        session, graph = self._proposal.session, self._proposal.graph
        for owner in self._dropped:
            pair = KeyPair.from_private_bytes(secrets[owner])
            for peer in (one for one in graph[owner] if one in self._survivors):
                key = mask_key(pair.exchange(self._keys[peer].body.mask_key), owner, peer, session)
                accumulate_masks(total, [(key, -1 if peer < owner else 1)])


class CarelessServer(SecAggServer):
    """A server without share digests and commitments, as most have none. For simulations alone."""

    def survivors(self) -> Survivors:
        """Close the step and return U3."""
        told = super().survivors()
        self._recovery = _CarelessRecovery(
            self.proposal, self._commitments, self._keys, self._share_roster, self._survivors
        )
        return told


def plant_share(plant: str, config: RoundConfig, rng: np.random.Generator, *, careless: bool = False) -> Planted:
    """Run one round in which the first client plants a wrong share and a neighbour vanishes after sharing.

    Args:
        plant: of `PLANTS`.
        config: the round, degree and threshold given; its clients accept any parameters.
        rng: graph, updates and rounding.
        careless: whether the server compares shares with nothing.

    Raises:
        KeyError: there is no such plant.
    """
    config = replace(config, required_sigma=0.0, required_eta=0.0)
    liar = config.ids[0]
    identities: dict[str, Identity] | None = make_identities(config.ids) if config.malicious else None
    proposal = Proposal(config.header(rng.bytes(32), identities))
    policy = config.policy(identities)
    clients: dict[str, Participant] = {}
    for one in config.ids:
        kind: type[WeakClient | SecAggClient] = PLANTS[plant] if one == liar else SecAggClient
        clients[one] = kind(one, identities[one] if identities else None, policy)
    server = (CarelessServer if careless else SecAggServer)(proposal)
    seed = int(rng.integers(2**63))
    gone = proposal.graph[liar][-1]  # a neighbour: the liar must hold a share of its key
    ended = SimulatedRound(
        config, server, clients, {gone: "masked-input"}, SeededUpdates(seed, config.length), seed
    ).run(Serial())
    return Planted(plant, careless, ended.reason, ended.exact, ended.blamed.get(liar))
