"""A client that speaks the protocol and refuses nothing: the positive control of every attack on clients.

Written apart from `secagg.client`, from the kernels alone: in an honest round the two agree to the bit, and where a
server lies this one goes along. It also keeps what it learns, which makes it the server's accomplice where one is
needed. Never for use outside simulations.
"""

import hashlib
from collections.abc import Collection, Mapping
from secrets import token_bytes
from typing import Any

import numpy as np
from numpy.typing import NDArray

from secagg.keys import (
    BadCiphertext,
    Entropy,
    Identity,
    KeyPair,
    LowOrderKey,
    commitment,
    mask_key,
    open_shares,
    seal_shares,
    self_mask_key,
    share_key,
)
from secagg.masking import Masking
from secagg.messages import Content, Message, write
from secagg.policy import ClientPolicy
from secagg.proposal import Proposal
from secagg.quantize import Quantization
from secagg.records import Advertise, Consistency, Header, MaskedInput, Shares, Unmask
from secagg.shamir import encode_share, split


class WeakClient:
    """A client without defences. What it holds is open to whoever holds it."""

    def __init__(
        self,
        client_id: str,
        identity: Identity | None = None,
        policy: ClientPolicy | None = None,  # noqa: ARG002  (it has none)
        entropy: Entropy = token_bytes,
    ) -> None:
        self.client_id = client_id
        self.saturated = 0
        self.opened: dict[str, tuple[bytes, bytes]] = {}
        """Owner to its shares for this client, of the mask key and of the self-mask seed."""
        self.peers: dict[str, Advertise] = {}
        self._identity, self.entropy = identity, entropy

    def open(self, header: Header | Proposal) -> None:
        """Join whatever is proposed."""
        self.proposal = header if isinstance(header, Proposal) else Proposal(header)
        self.opened, self.peers = {}, {}

    def advertise(self) -> Message[Advertise]:
        """Return two fresh public keys."""
        self.mask_pair, self.share_pair = KeyPair.generate(self.entropy), KeyPair.generate(self.entropy)
        self.seed = self.entropy(32)
        return self.write(Advertise(self.mask_pair.public_key, self.share_pair.public_key))

    def share(self, included: Collection[str], advertised: Mapping[str, Message[Advertise]]) -> Message[Shares]:
        """Return shares sealed with whatever keys came."""
        own, session, graph = self.client_id, self.proposal.session, self.proposal.graph
        known = {peer: message.body for peer, message in advertised.items()}
        self.peers = {peer: known[peer] for peer in graph[own] if peer in included and peer in known}
        ciphertexts: dict[str, bytes] = {}
        digests: dict[str, tuple[str, str]] = {}
        for peer, pair in zip(graph[own], self.dealt(), strict=True):
            if peer not in self.peers:
                continue
            key = share_key(_agreed(self.share_pair, self.peers[peer].share_key), own, peer, session)
            ciphertexts[peer] = seal_shares(key, *pair, own, peer, session)
            digests[peer] = (hashlib.sha256(pair[0]).hexdigest(), hashlib.sha256(pair[1]).hexdigest())
        return self.write(Shares(commitment(self.seed, own, session), ciphertexts, digests))

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
    ) -> tuple[Message[MaskedInput], NDArray[np.unsignedinteger[Any]]]:
        """Return the masked vector, and the message that names it."""
        masking = self.masking(included, sealed, update.shape, weight=weight, rounding=rounding)
        vector, self.saturated = masking.apply(update, rng)
        return self.masked(hashlib.sha256(vector.data).hexdigest(), model_sha256=model_sha256), vector

    def masking(
        self,
        included: Collection[str],
        sealed: Mapping[str, bytes],
        shape: tuple[int, ...],  # noqa: ARG002  (any will do, and any model)
        *,
        weight: int = 1,
        model_sha256: str | None = None,  # noqa: ARG002
        rounding: str = "stochastic",
    ) -> Masking:
        """Return what an update goes through; shares that do not open are left aside."""
        header, own, session = self.proposal.header, self.client_id, self.proposal.session
        keys = [(self_mask_key(self.seed, own, session), 1)]
        for peer, body in self.peers.items():
            if peer not in included:
                continue
            key = mask_key(_agreed(self.mask_pair, body.mask_key), own, peer, session)
            keys.append((key, 1 if own < peer else -1))
            self._open_shares(peer, body, sealed.get(peer, b""))
        told = header.quantization
        rule = Quantization(told.clipping_range, told.levels, told.weighting, told.max_weight, rounding)
        return Masking(tuple(keys), rule, header.modulus_bits, weight)

    def masked(self, digest: str, *, model_sha256: str | None = None) -> Message[MaskedInput]:
        """Return the message that names a masked vector."""
        header = self.proposal.header
        return self.write(MaskedInput(digest, header.length, header.modulus_bits, model_sha256))

    def consistency(self, included: Collection[str]) -> Message[Consistency]:
        """Sign any list."""
        return self.write(Consistency.of(tuple(included)))

    def unmask(
        self,
        included: Collection[str],
        agreements: Mapping[str, Message[Consistency]] | None = None,  # noqa: ARG002  (it does not look)
    ) -> Message[Unmask]:
        """Answer as often as asked, whatever was said before."""
        survivors = frozenset(included)
        return self.write(
            Unmask(
                {owner: pair[0] for owner, pair in self.opened.items() if owner not in survivors},
                {owner: pair[1] for owner, pair in self.opened.items() if owner in survivors},
            )
        )

    def close(self) -> None:
        """Forget nothing."""

    def write(self, body: Content) -> Message[Content]:
        """Return a body as a message of this client, signed where the round wants signatures."""
        sign = self._identity.sign if self.proposal.header.signatures and self._identity is not None else None
        return write(body, self.client_id, self.proposal.session, sign)

    def dealt(self) -> list[tuple[bytes, bytes]]:
        """Return the two shares for each neighbour, present or not."""
        holders, threshold = len(self.proposal.graph[self.client_id]), self.proposal.header.threshold
        secrets = (self.mask_pair.private_bytes(), self.seed)
        of_key, of_seed = (split(secret, threshold, holders, self.entropy) for secret in secrets)
        return [(encode_share(one), encode_share(other)) for one, other in zip(of_key, of_seed, strict=True)]

    def _open_shares(self, peer: str, body: Advertise, sealed: bytes) -> None:
        key = share_key(_agreed(self.share_pair, body.share_key), peer, self.client_id, self.proposal.session)
        try:
            self.opened[peer] = open_shares(key, sealed, peer, self.client_id, self.proposal.session)
        except BadCiphertext:  # a client with defences would stop here
            self.opened.pop(peer, None)

    def __repr__(self) -> str:
        return f"WeakClient({self.client_id!r})"


def _agreed(pair: KeyPair, peer: bytes) -> bytes:
    """Return the shared secret, and take the one that everybody knows for good."""
    try:
        return pair.exchange(peer)
    except LowOrderKey:
        return bytes(32)
