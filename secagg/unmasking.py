"""How the server gets from shares to masks: which secrets the sum lacks, their recovery, and their removal.

Shares are compared with what their owner signed as they arrive, so that one liar is named instead of spoiling the sum;
a recovered secret is compared with what its owner committed to, so that a dealer who lied is named as well.
"""

from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

import numpy as np
from numpy.typing import NDArray

from secagg.keys import KeyPair, commitment, mask_key, self_mask_key
from secagg.messages import Message, RoundAborted
from secagg.prg import accumulate_masks
from secagg.proposal import Proposal
from secagg.records import Advertise, Unmask
from secagg.shamir import combine_many


@dataclass(frozen=True)
class Commitment:
    """What an owner bound itself to when it dealt its shares."""

    self_mask: str
    """Hexadecimal digest over the self-mask seed."""
    digests: Mapping[str, tuple[str, str]]
    """Holder to the digests of its shares of the mask key and of the seed."""


class Recovery:
    """The shares of one round, and the secrets that they give."""

    def __init__(
        self,
        proposal: Proposal,
        commitments: Mapping[str, Commitment],
        keys: Mapping[str, Message[Advertise]],
        shared: frozenset[str],
        survivors: frozenset[str],
    ) -> None:
        self.answered: set[str] = set()
        """U4."""
        self._proposal, self._commitments, self._keys = proposal, commitments, keys
        self._dropped = frozenset(
            client for client in shared - survivors if any(peer in survivors for peer in proposal.graph[client])
        )
        self._survivors = survivors
        self._shares: dict[str, dict[str, bytes]] = defaultdict(dict)

    def fault(self, message: Message[Unmask]) -> str:
        """Return why an answer cannot be used: `unrequested-share`, `share-digest`, or nothing."""
        holder, commitments = message.sender, self._commitments
        for kind, (owners, shares) in enumerate(self._kinds(message)):
            if not owners.issuperset(shares):
                return "unrequested-share"
            for owner, share in shares.items():
                dealt = commitments[owner].digests.get(holder)
                if dealt is None:
                    return "unrequested-share"
                if sha256(share).hexdigest() != dealt[kind]:
                    return "share-digest"
        return ""

    def take(self, message: Message[Unmask]) -> None:
        """Keep the shares of an answer without fault."""
        holder = message.sender
        self.answered.add(holder)
        for _, shares in self._kinds(message):
            for owner, share in shares.items():
                self._shares[owner][holder] = share

    def unmask(self, total: NDArray[np.unsignedinteger[Any]]) -> None:
        """Take off `total`, in place, every mask that is still on it.

        Raises:
            RoundAborted: `insufficient-shares`, `commitment-mismatch` or `key-mismatch`, with the owners.
        """
        secrets = dict(self._recovered())
        seeds = {owner: secrets[owner] for owner in self._survivors}
        pairs = {owner: secrets[owner] for owner in self._dropped}
        session = self._proposal.session
        wrong = [one for one in seeds if commitment(seeds[one], one, session) != self._commitments[one].self_mask]
        if wrong:
            raise RoundAborted(
                "commitment-mismatch", sorted(wrong), "the shares give another seed than was committed to"
            )
        accumulate_masks(total, self._masks(seeds, pairs))

    def _kinds(self, message: Message[Unmask]) -> tuple[tuple[frozenset[str], Mapping[str, bytes]], ...]:
        body = message.body
        return ((self._dropped, body.mask_key_shares), (self._survivors, body.self_mask_shares))

    def _recovered(self) -> Iterator[tuple[str, bytes]]:
        """Yield owner and secret. Owners whose shares are held at the same points are solved together."""
        threshold = self._proposal.header.threshold
        groups: dict[tuple[int, ...], list[str]] = defaultdict(list)
        chosen: dict[str, bytes] = {}
        poor = []
        for owner in sorted(self._survivors | self._dropped):
            held = self._shares.get(owner, {})
            if len(held) < threshold:
                poor.append(owner)
                continue
            places = [place for place, holder in enumerate(self._proposal.graph[owner], start=1) if holder in held][
                :threshold
            ]
            holders = self._proposal.graph[owner]
            groups[tuple(places)].append(owner)
            chosen[owner] = b"".join([held[holders[place - 1]] for place in places])
        if poor:
            raise RoundAborted("insufficient-shares", poor, f"{threshold} shares are needed to recover a secret")
        for points, owners in groups.items():
            packed = b"".join(chosen[owner] for owner in owners)
            shares = np.frombuffer(packed, "<u4").reshape(len(owners), len(points), -1)
            for owner, secret in zip(owners, combine_many(points, shares), strict=True):
                if secret is None:
                    raise RoundAborted("bad-dealing", [owner], "the shares give no secret")
                yield owner, secret

    def _masks(self, seeds: Mapping[str, bytes], pairs: Mapping[str, bytes]) -> Iterator[tuple[bytes, int]]:
        session, graph = self._proposal.session, self._proposal.graph
        for owner, seed in seeds.items():
            yield self_mask_key(seed, owner, session), -1
        for owner, secret in pairs.items():
            pair = KeyPair.from_private_bytes(secret)
            if pair.public_key != self._keys[owner].body.mask_key:
                raise RoundAborted("key-mismatch", [owner], "the shares give another key than was advertised")
            for peer in graph[owner]:
                if peer in self._survivors:
                    key = mask_key(pair.exchange(self._keys[peer].body.mask_key), owner, peer, session)
                    yield key, -1 if peer < owner else 1
