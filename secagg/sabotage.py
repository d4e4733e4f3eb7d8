"""Clients that lie to an honest server: what each does, and what it must be named for.

All are made from the weak client, and sign what they say: the server has their word for it.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from secagg.keys import Entropy, Identity
from secagg.masking import Masking
from secagg.messages import Message
from secagg.outcome import AttackOutcome, Refused
from secagg.participants import Factory, Participant
from secagg.policy import ClientPolicy
from secagg.quantize import Quantized
from secagg.records import Consistency, MaskedInput, Unmask
from secagg.shamir import encode_share, split
from secagg.weak_client import WeakClient


class BadShare(WeakClient):
    """Answers unmask with a share that it was not dealt."""

    def unmask(
        self, included: Collection[str], agreements: Mapping[str, Message[Consistency]] | None = None
    ) -> Message[Unmask]:
        """Return the answer with the first share of a seed changed."""
        body = super().unmask(included, agreements).body
        owner = min(body.self_mask_shares)
        changed = bytes([body.self_mask_shares[owner][0] ^ 1]) + body.self_mask_shares[owner][1:]
        return self.write(replace(body, self_mask_shares={**body.self_mask_shares, owner: changed}))


class BadDealing(WeakClient):
    """Deals shares of another seed than it commits to and masks with."""

    def dealt(self) -> list[tuple[bytes, bytes]]:
        """Return sound shares of the mask key beside shares of a false seed."""
        sound = super().dealt()
        rows = split(self.entropy(32), self.proposal.header.threshold, len(sound), self.entropy)
        return [(mask, encode_share(row)) for (mask, _), row in zip(sound, rows, strict=True)]


@dataclass(frozen=True)
class ShortMasking(Masking):
    """Leaves the last element out."""

    def apply(self, update: NDArray[np.floating[Any]], rng: np.random.Generator) -> Quantized:
        """Return the masked vector, one element short."""
        vector, saturated = super().apply(update, rng)
        return Quantized(vector[:-1].copy(), saturated)


class WrongLength(WeakClient):
    """Sends a vector of another length than the round has."""

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
        """Return a masking that leaves the last element out."""
        sound = super().masking(included, sealed, shape, weight=weight, model_sha256=model_sha256, rounding=rounding)
        return ShortMasking(sound.keys, sound.rule, sound.modulus_bits, sound.weight)

    def masked(self, digest: str, *, model_sha256: str | None = None) -> Message[MaskedInput]:
        """Return the message, which owns to the length."""
        body = super().masked(digest, model_sha256=model_sha256).body
        return self.write(replace(body, length=body.length - 1))


class Sabotage(NamedTuple):
    """One way in which a client lies."""

    client: type[WeakClient]
    phase: str
    """Of `secagg.drops.PHASES`: where it lies."""
    code: str
    """What it is named for."""


SABOTAGES: Mapping[str, Sabotage] = {
    "bad-share": Sabotage(BadShare, "unmask", "share-digest"),
    "bad-dealing": Sabotage(BadDealing, "shares", "commitment-mismatch"),
    "wrong-length": Sabotage(WrongLength, "masked-input", "bad-length"),
}
"""The round goes on without the sender of a bad share or a short vector; a bad dealing ends it."""


def lying(name: str, culprit: str, make: Factory) -> Factory:
    """Return what makes the clients: `make`, but for the culprit."""

    def made(client: str, identity: Identity | None, policy: ClientPolicy, entropy: Entropy) -> Participant:
        kind = SABOTAGES[name].client if client == culprit else make
        return kind(client, identity, policy, entropy)

    return made


def outcome_of(name: str, culprit: str, blamed: Mapping[str, str]) -> AttackOutcome:
    """Return whether the culprit, and nobody else, was named, and for what it did."""
    refusals = tuple(Refused(one, SABOTAGES[name].phase, code) for one, code in sorted(blamed.items()))
    return AttackOutcome(name, blamed == {culprit: SABOTAGES[name].code}, refusals, leaked=False)
