"""What a hostile server can work out from what it holds: the one attack behind every knob.

A masked vector is the update, the victim's own mask and one mask a neighbour. Whoever has enough shares of the victim's
self-mask seed, and for every neighbour some private key of the pair (the victim's, the neighbour's, or one that the
server put in its place), takes all masks off. Nothing cleverer is needed where a client lets that happen (Bonawitz et
al. 2017, eprint 2017/281, on double masking).
"""

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from secagg.keys import KeyPair, commitment, mask_key, self_mask_key
from secagg.participants import Vector
from secagg.prg import accumulate_masks
from secagg.proposal import Proposal
from secagg.records import Advertise, Unmask
from secagg.shamir import FIELD, combine_many


@dataclass(repr=False)
class Loot:
    """Secrets of one round that have come to the server, honestly or not."""

    proposal: Proposal
    mask_shares: dict[str, dict[int, bytes]] = field(default_factory=lambda: defaultdict(dict))
    """Owner to the shares of its mask key, by point."""
    seed_shares: dict[str, dict[int, bytes]] = field(default_factory=lambda: defaultdict(dict))
    """Owner to the shares of its self-mask seed, by point."""
    pairs: dict[str, KeyPair] = field(default_factory=dict)
    """Whom the victim takes the server for, to the key pair that it uses there; an accomplice's own as well."""

    def add_answer(self, holder: str, answer: Unmask) -> None:
        """Take what a client revealed in the unmask phase."""
        for owner, share in answer.mask_key_shares.items():
            self.add_share(owner, holder, mask=share)
        for owner, share in answer.self_mask_shares.items():
            self.add_share(owner, holder, seed=share)

    def add_share(self, owner: str, holder: str, *, mask: bytes | None = None, seed: bytes | None = None) -> None:
        """Take a share that `owner` dealt to `holder`, of one secret or of both."""
        point = self.proposal.points(owner)[holder]
        if mask is not None:
            self.mask_shares[owner][point] = mask
        if seed is not None:
            self.seed_shares[owner][point] = seed

    def rebuilt(self, shares: Mapping[int, bytes]) -> bytes | None:
        """Return the 32 bytes behind enough shares, None where they are too few or give none."""
        threshold = self.proposal.header.threshold
        if len(shares) < threshold:
            return None
        points = sorted(shares)[:threshold]
        rows = np.frombuffer(b"".join(shares[point] for point in points), "<u4").reshape(1, threshold, -1)
        return None if (rows >= FIELD).any() else combine_many(points, rows)[0]


def recover_vector(
    loot: Loot, victim: str, vector: Vector, commitment_of: str, seen: Mapping[str, Advertise], own: Advertise
) -> Vector | None:
    """Return the victim's ring vector without any mask, or None where a secret is missing.

    Args:
        loot: what the server has.
        victim: whose vector is wanted.
        vector: its masked vector.
        commitment_of: the hexadecimal commitment to its self-mask seed.
        seen: the keys that the victim was given, by the neighbours whose masks are in `vector`.
        own: the keys that it advertised.
    """
    session = loot.proposal.session
    seed = loot.rebuilt(loot.seed_shares[victim])
    if seed is None or commitment(seed, victim, session) != commitment_of:
        return None
    keys = [(self_mask_key(seed, victim, session), -1)]
    for peer, body in seen.items():
        secret = _pair_secret(loot, victim, own, peer, body)
        if secret is None:
            return None
        keys.append((mask_key(secret, victim, peer, session), -1 if victim < peer else 1))
    plain = vector.copy()
    accumulate_masks(plain, keys)
    return plain


def _pair_secret(loot: Loot, victim: str, own: Advertise, peer: str, body: Advertise) -> bytes | None:
    """Return what victim and peer agree on, from either one's private key."""
    held = loot.pairs.get(peer)
    if held is not None and held.public_key == body.mask_key:
        return held.exchange(own.mask_key)
    if not any(body.mask_key):
        return bytes(32)  # what a client that takes a key of zeros agrees on with everybody
    for owner, public, other in ((victim, own.mask_key, body.mask_key), (peer, body.mask_key, own.mask_key)):
        private = loot.rebuilt(loot.mask_shares[owner])
        if private is not None:
            pair = KeyPair.from_private_bytes(private)
            if pair.public_key == public:
                return pair.exchange(other)
    return None
