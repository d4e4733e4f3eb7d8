"""One client of a round of secure aggregation: it answers each step once, and refuses what would give it away.

The steps are those of Bonawitz et al., CCS 2017 (eprint 2017/281), on the graph of Bell et al., CCS 2020
(eprint 2020/704): keys, sealed shares, masked vector, agreement on the survivors, shares for the unmasking.
"""

import hashlib
from collections.abc import Callable, Collection, Mapping
from secrets import token_bytes
from typing import Any, Self, TypeVar

import numpy as np
from numpy.typing import NDArray

from secagg import private
from secagg.keys import (
    BadCiphertext,
    Entropy,
    Identity,
    KeyPair,
    LowOrderKey,
    is_signed_by,
    mask_key,
    open_shares,
    seal_shares,
    self_mask_key,
    share_key,
)
from secagg.keys import commitment as commit
from secagg.masking import Masking
from secagg.messages import Content, Message, Refusal, write
from secagg.policy import ClientPolicy
from secagg.private import Private
from secagg.proposal import Proposal
from secagg.quantize import Quantization
from secagg.records import SHARE, Advertise, Consistency, Header, MaskedInput, Shares, Unmask
from secagg.shamir import split

Answer = TypeVar("Answer")


class SecAggClient:
    """A client over many rounds. Every step may raise `Refusal`; the secrets of the round are gone then."""

    def __init__(
        self,
        client_id: str,
        identity: Identity | None = None,
        policy: ClientPolicy | None = None,
        entropy: Entropy = token_bytes,
    ) -> None:
        self.client_id = client_id
        self.policy = policy or ClientPolicy()
        self.saturated = 0
        """Elements of the last update that clipping changed; told to nobody."""
        self._identity = identity
        self._entropy = entropy
        self._joined: set[bytes] = set()
        self._proposal: Proposal | None = None
        self._private: Private | None = None

    def open(self, header: Header | Proposal) -> None:
        """Join the round that the header proposes, or refuse it; a round still open is given up."""
        self.close()
        proposal = header if isinstance(header, Proposal) else Proposal(header)
        if proposal.session in self._joined:
            raise Refusal("session-reused", "this very round was joined before")
        self.policy.review(proposal, self.client_id)
        named = proposal.header.clients[self.client_id]
        if proposal.header.signatures and (self._identity is None or self._identity.public_key != named):
            raise Refusal("unknown-identity", "the header names another identity key for this client")
        self._joined.add(proposal.session)
        self._proposal, self._private = proposal, Private(phase="advertise")

    def advertise(self) -> Message[Advertise]:
        """Return two fresh public keys, signed where the round wants signatures."""
        return self._step("advertise", "share", self._advertise)

    def share(self, included: Collection[str], advertised: Mapping[str, Message[Advertise]]) -> Message[Shares]:
        """Return the shares of this round's two secrets, sealed for each neighbour.

        Args:
            included: U1, the clients whose keys arrived.
            advertised: What the neighbours among them advertised, as they signed it; others are not looked at.
        """
        return self._step("share", "mask", lambda: self._share(included, advertised))

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
        """Return the masked vector, and the message that names it by its digest.

        Args:
            included: U2, the clients whose shares arrived.
            sealed: The neighbours' shares for this client, 144 bytes each.
            update: (d,) real numbers; with integer weighting the vector is one longer than that.
            rng: For stochastic rounding alone.
            weight: From 1 to the header's `max_weight`; used with integer weighting.
            model_sha256: Digest of the model that was trained on, to compare with the header's.
            rounding: `stochastic` or `nearest`.

        Raises:
            secagg.messages.Refusal: The round is not what it should be.
            ValueError: The update holds NaN or infinity, or the weight is out of range.
        """
        masking = self.masking(
            included, sealed, update.shape, weight=weight, model_sha256=model_sha256, rounding=rounding
        )
        vector, self.saturated = masking.apply(update, rng)
        return self.masked(hashlib.sha256(vector.data).hexdigest(), model_sha256=model_sha256), vector

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
        """Return what an update of `shape` has to go through, and forget the keys: `mask` in two halves.

        For a process that quantises and masks elsewhere; `masked` ends the step. The arguments are those of `mask`.
        """
        return self._step(
            "mask", "masked", lambda: self._masking(included, sealed, shape, weight, model_sha256, rounding)
        )

    def masked(self, digest: str, *, model_sha256: str | None = None) -> Message[MaskedInput]:
        """Return the message that names a masked vector by its hexadecimal SHA-256."""
        header = self._header
        body = MaskedInput(digest, header.length, header.modulus_bits, model_sha256)
        return self._step("masked", "consistency" if header.consistency_check else "unmask", lambda: self._write(body))

    def consistency(self, included: Collection[str]) -> Message[Consistency]:
        """Return a signature on U3, the survivors that the server tells this client."""
        return self._step("consistency", "unmask", lambda: self._consistency(included))

    def unmask(
        self, included: Collection[str], agreements: Mapping[str, Message[Consistency]] | None = None
    ) -> Message[Unmask]:
        """Return one share for each neighbour: of the mask key if it dropped out, of the self-mask seed if it lives.

        Args:
            included: U3, the clients in the sum.
            agreements: What the neighbours signed in the consistency step.
        """
        message = self._step("unmask", "closed", lambda: self._unmask(included, agreements or {}))
        self.close()
        return message

    def close(self) -> None:
        """Forget the round's secrets: overwritten where Python allows it, and dropped."""
        if self._private is not None:
            self._private.erase()
        self._private = None
        self._proposal = None

    def state(self) -> dict[str, bytes]:
        """Return the open round, secrets and all, for a framework that rebuilds its clients between steps."""
        return private.dump(self._proposal, self._private, self._joined)

    @classmethod
    def restore(
        cls,
        state: Mapping[str, bytes],
        client_id: str,
        identity: Identity | None = None,
        policy: ClientPolicy | None = None,
        entropy: Entropy = token_bytes,
    ) -> Self:
        """Return the client whose `state` this is; identity and policy are no part of it."""
        client = cls(client_id, identity, policy, entropy)
        client._proposal, client._private, client._joined = private.load(state)
        return client

    @property
    def proposal(self) -> Proposal | None:
        """The round that is open here; None between rounds."""
        return self._proposal

    @property
    def _header(self) -> Header:
        return self._round[0].header

    @property
    def _round(self) -> tuple[Proposal, Private]:
        if self._proposal is None or self._private is None:
            raise Refusal("phase-order", "no round is open")
        return self._proposal, self._private

    def _step(self, phase: str, following: str, answer: Callable[[], Answer]) -> Answer:
        held = self._round[1]
        if held.phase != phase:
            self.close()
            raise Refusal("phase-order", f"{phase} was asked where {held.phase} is due")
        try:
            result = answer()
        except Refusal:
            self.close()
            raise
        held.phase = following
        return result

    def _write(self, body: Content) -> Message[Content]:
        proposal, _ = self._round
        sign = self._identity.sign if proposal.header.signatures and self._identity is not None else None
        return write(body, self.client_id, proposal.session, sign)

    def _advertise(self) -> Message[Advertise]:
        held = self._round[1]
        held.mask_pair, held.share_pair = KeyPair.generate(self._entropy), KeyPair.generate(self._entropy)
        return self._write(Advertise(held.mask_pair.public_key, held.share_pair.public_key))

    def _share(self, included: Collection[str], advertised: Mapping[str, Message[Advertise]]) -> Message[Shares]:
        proposal, held = self._round
        held.advertised = self._subset(included, proposal.members, "the cohort")
        peers = self._neighbours_in(held.advertised)
        self._require_neighbours(peers)
        self._require_survivors(held.advertised)
        self._agree_keys(peers, advertised)
        mask_pair, own, session = _required(held.mask_pair), self.client_id, proposal.session
        held.seed = bytearray(self._entropy(32))
        neighbours = proposal.graph[own]
        rows = split(
            mask_pair.private_bytes() + bytes(held.seed), proposal.header.threshold, len(neighbours), self._entropy
        )
        packed = rows.astype("<u4").tobytes()
        ciphertexts: dict[str, bytes] = {}
        digests: dict[str, tuple[str, str]] = {}
        for place, peer in enumerate(neighbours):
            if peer not in held.pair_secrets:
                continue
            first = packed[2 * SHARE * place : 2 * SHARE * place + SHARE]
            second = packed[2 * SHARE * place + SHARE : 2 * SHARE * (place + 1)]
            key = share_key(bytes(held.pair_secrets[peer]), own, peer, session)
            ciphertexts[peer] = seal_shares(key, first, second, own, peer, session)
            digests[peer] = (hashlib.sha256(first).hexdigest(), hashlib.sha256(second).hexdigest())
        held.mask_pair = held.share_pair = None  # neighbours hold the shares; the key itself is not needed again
        return self._write(Shares(commit(bytes(held.seed), own, session), ciphertexts, digests))

    def _agree_keys(self, peers: tuple[str, ...], advertised: Mapping[str, Message[Advertise]]) -> None:
        """Check the neighbours' keys and derive what is shared with each."""
        proposal, held = self._round
        mask_pair, share_pair = _required(held.mask_pair), _required(held.share_pair)
        known = {mask_pair.public_key, share_pair.public_key}
        for peer in peers:
            message = advertised.get(peer)
            if message is None or message.sender != peer:
                raise Refusal("bad-header", f"the keys of {peer} are missing")
            self._verify(message)
            known |= {message.body.mask_key, message.body.share_key}
        if len(known) != 2 * len(peers) + 2:
            raise Refusal("duplicate-key", "one key was given for two purposes or two clients")
        for peer in peers:
            body = advertised[peer].body
            try:
                secret = mask_pair.exchange(body.mask_key)
                held.pair_secrets[peer] = bytearray(share_pair.exchange(body.share_key))
            except LowOrderKey as error:
                raise Refusal("low-order-key", f"a key of {peer} gives no secret") from error
            held.mask_keys[peer] = bytearray(mask_key(secret, self.client_id, peer, proposal.session))

    def _masking(
        self,
        included: Collection[str],
        sealed: Mapping[str, bytes],
        shape: tuple[int, ...],
        weight: int,
        model_sha256: str | None,
        rounding: str,
    ) -> Masking:
        proposal, held = self._round
        header = proposal.header
        held.shared = self._subset(included, held.advertised, "the clients that advertised keys")
        peers = self._neighbours_in(held.shared)
        self._require_neighbours(peers)
        self._require_survivors(held.shared)
        if header.model_sha256 is not None and model_sha256 != header.model_sha256:
            raise Refusal("model-mismatch", "the model is not the one that the header names")
        told = header.quantization
        if len(shape) != 1 or shape[0] + (told.weighting == "integer") != header.length:
            raise Refusal("bad-length", f"an update of shape {shape} does not fit length {header.length}")
        self._open_shares(peers, sealed)
        rule = Quantization(told.clipping_range, told.levels, told.weighting, told.max_weight, rounding)
        masking = Masking(self._masks(peers), rule, header.modulus_bits, weight)
        held.erase_masks()
        return masking

    def _open_shares(self, peers: tuple[str, ...], sealed: Mapping[str, bytes]) -> None:
        proposal, held = self._round
        for peer in peers:
            try:
                key = share_key(bytes(held.pair_secrets[peer]), peer, self.client_id, proposal.session)
                shares = open_shares(key, sealed.get(peer, b""), peer, self.client_id, proposal.session)
            except BadCiphertext as error:
                raise Refusal("bad-ciphertext", f"the shares of {peer} do not open") from error
            held.shares[peer] = bytearray(b"".join(shares))

    def _masks(self, peers: tuple[str, ...]) -> tuple[tuple[bytes, int], ...]:
        """Return key and sign of each mask: of two clients the one with the smaller id adds."""
        proposal, held = self._round
        own = self_mask_key(bytes(held.seed), self.client_id, proposal.session)
        pairs = ((bytes(held.mask_keys[peer]), 1 if self.client_id < peer else -1) for peer in peers)
        return ((own, 1), *pairs)

    def _consistency(self, included: Collection[str]) -> Message[Consistency]:
        held = self._round[1]
        held.survivors = self._survivors(included)
        return self._write(Consistency.of(tuple(held.survivors)))

    def _unmask(self, included: Collection[str], agreements: Mapping[str, Message[Consistency]]) -> Message[Unmask]:
        proposal, held = self._round
        survivors = self._survivors(included)
        if proposal.header.consistency_check:
            if survivors != held.survivors:
                raise Refusal("view-mismatch", "these are not the survivors that were agreed on")
            self._require_agreement(survivors, agreements)
        dropped, alive = {}, {}
        for peer, shares in held.shares.items():
            if peer in survivors:
                alive[peer] = bytes(shares[SHARE:])
            else:
                dropped[peer] = bytes(shares[:SHARE])
        return self._write(Unmask(dropped, alive))

    def _survivors(self, included: Collection[str]) -> frozenset[str]:
        held = self._round[1]
        survivors = self._subset(included, held.shared, "the clients that shared their secrets")
        self._require_survivors(survivors)
        self._require_neighbours(self._neighbours_in(survivors))
        return survivors

    def _require_agreement(self, survivors: frozenset[str], agreements: Mapping[str, Message[Consistency]]) -> None:
        own = Consistency.of(tuple(survivors))
        agreed = 0
        for peer in self._neighbours_in(survivors):
            message = agreements.get(peer)
            if message is None:
                continue
            if message.sender != peer:
                raise Refusal("bad-signature", f"the agreement of {peer} is signed as {message.sender}")
            self._verify(message)
            if message.body != own:
                raise Refusal("view-mismatch", f"{peer} was told other survivors")
            agreed += 1
        if agreed < self._header.threshold:
            raise Refusal("too-few-neighbours", f"{agreed} neighbours agree on the survivors")

    def _verify(self, message: Message[Any]) -> None:
        proposal = self._round[0]
        if not proposal.header.signatures:
            return
        public = proposal.header.clients[message.sender]
        if public is None:
            raise Refusal("unknown-identity", f"no identity key is known of {message.sender}")
        signature = message.signature
        if signature is None or not is_signed_by(public, signature, message.signed_bytes(proposal.session)):
            raise Refusal("bad-signature", f"a message of {message.sender} is not signed by its identity")

    def _subset(self, included: Collection[str], whole: frozenset[str], named: str) -> frozenset[str]:
        part = frozenset(included)
        if not part <= whole or self.client_id not in part:
            raise Refusal("not-subset", f"the list is not a part of {named} with this client in it")
        return part

    def _neighbours_in(self, part: frozenset[str]) -> tuple[str, ...]:
        return tuple(peer for peer in self._round[0].graph[self.client_id] if peer in part)

    def _require_neighbours(self, peers: tuple[str, ...]) -> None:
        if len(peers) < self._header.threshold:
            raise Refusal(
                "too-few-neighbours", f"{len(peers)} neighbours are left, {self._header.threshold} are needed"
            )

    def _require_survivors(self, part: frozenset[str]) -> None:
        wanted = self.policy.survivors_wanted(len(self._round[0].ids))
        if len(part) < wanted:
            raise Refusal("too-few-survivors", f"{len(part)} clients are left, {wanted} are wanted")


def _required(pair: KeyPair | None) -> KeyPair:
    if pair is None:
        raise Refusal("phase-order", "the keys of this round are gone")
    return pair
