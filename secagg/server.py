"""The server of a round: it passes on, adds up, and unmasks the sum of the survivors and nothing else.

A message that does not fit is left out and its sender is named in `blamed`; the round goes on without it as long as
enough clients are left. Vectors are added as they arrive: the sum and the newcomer are all that is held.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from secagg.keys import is_signed_by
from secagg.messages import Message, RoundAborted, unsigned
from secagg.proposal import Proposal
from secagg.records import (
    Advertise,
    Aggregate,
    Body,
    Consistency,
    Header,
    MaskedInput,
    Roster,
    ShareRoster,
    Shares,
    Survivors,
    Unmask,
)
from secagg.unmasking import Commitment, Recovery

RING_TYPES: Mapping[int, np.dtype[Any]] = {32: np.dtype("<u4"), 64: np.dtype("<u8")}
"""Width of the ring in bits to the type of its words."""

List = TypeVar("List", Roster, ShareRoster, Survivors)


class Recorder(Protocol):
    """Keeps what passes the server, in order."""

    def record(self, message: Message[Any]) -> None:
        """Keep one message."""
        ...

    def blob(self, vector: NDArray[Any]) -> str:
        """Keep a vector, or its digest alone, and return the hexadecimal SHA-256 of its little-endian words."""
        ...


@dataclass(frozen=True)
class RingSum:
    """The outcome of a round."""

    total: NDArray[np.unsignedinteger[Any]]
    """Sum of the survivors' ring vectors, modulo the ring."""
    survivors: tuple[str, ...]
    """Whose vectors are in it."""


class SecAggServer:
    """One round, one message at a time. May raise `RoundAborted`; nothing of the sum is kept then."""

    def __init__(self, header: Header | Proposal, recorder: Recorder | None = None) -> None:
        self.proposal = header if isinstance(header, Proposal) else Proposal(header)
        self.header = self.proposal.header
        self.blamed: dict[str, str] = {}
        """Clients whose messages were left out, and the code of the reason."""
        self._recorder = recorder
        self._phase = Advertise.TYPE
        self._keys: dict[str, Message[Advertise]] = {}
        self._commitments: dict[str, Commitment] = {}
        self._sealed: dict[str, dict[str, bytes]] = {}
        self._arrived: set[str] = set()
        self._agreements: dict[str, Message[Consistency]] = {}
        self._recovery: Recovery | None = None
        self._roster: frozenset[str] = frozenset()
        self._share_roster: frozenset[str] = frozenset()
        self._survivors: frozenset[str] = frozenset()
        self._total: NDArray[np.unsignedinteger[Any]] = np.zeros(
            self.header.length, RING_TYPES[self.header.modulus_bits]
        )
        self._record(unsigned(self.header))

    def advertised(self, message: Message[Advertise]) -> None:
        """Take a client's public keys; a signature is checked here already, since a false one would cost neighbours."""
        if not self._expected(message, self.proposal.members, self._keys):
            return
        if not self._is_signed(message):
            self._blame(message.sender, "bad-signature")
            return
        self._keys[message.sender] = message
        self._record(message)

    def roster(self) -> Roster:
        """Close the step and return U1."""
        self._roster = self._close(Advertise, Shares, self._keys, "too-few-clients")
        self._sealed = {client: {} for client in self._roster}
        return self._announce(Roster, self._roster)

    def keys_for(self, client: str) -> dict[str, Message[Advertise]]:
        """Return what the neighbours of `client` advertised."""
        return {peer: self._keys[peer] for peer in self.proposal.graph[client] if peer in self._roster}

    def shared(self, message: Message[Shares]) -> None:
        """Take a client's sealed shares; they must be for its neighbours in U1, all of them and no others."""
        if not self._expected(message, self._roster, self._commitments):
            return
        owner, body = message.sender, message.body
        wanted = self._roster.intersection(self.proposal.graph[owner])
        if body.ciphertexts.keys() != wanted or body.share_digests.keys() != wanted:
            self._blame(owner, "graph-mismatch")
            return
        if self._recorder is not None and not self._is_signed(message):
            self._blame(owner, "bad-signature")
            return
        for peer, sealed in body.ciphertexts.items():
            self._sealed[peer][owner] = sealed
        self._commitments[owner] = Commitment(body.self_mask_commitment, body.share_digests)
        self._record(message)

    def share_roster(self) -> ShareRoster:
        """Close the step and return U2."""
        self._share_roster = self._close(Shares, MaskedInput, self._commitments, "too-few-clients")
        return self._announce(ShareRoster, self._share_roster)

    def sealed_for(self, client: str) -> dict[str, bytes]:
        """Return the neighbours' shares for `client`; they are handed out once and then dropped."""
        return self._sealed.pop(client)

    def masked(self, message: Message[MaskedInput], vector: NDArray[np.unsignedinteger[Any]]) -> None:
        """Add a client's masked vector; what arrives after the survivors were announced is discarded."""
        if self._phase != MaskedInput.TYPE or not self._expected(message, self._share_roster, self._arrived):
            return
        code = self._masked_fault(message, vector)
        if code:
            self._blame(message.sender, code)
            return
        np.add(self._total, vector, out=self._total)
        self._arrived.add(message.sender)
        if self._recorder is not None:
            self._recorder.blob(vector)
        self._record(message)

    def survivors(self) -> Survivors:
        """Close the step and return U3."""
        following = Consistency if self.header.consistency_check else Unmask
        self._survivors = self._close(MaskedInput, following, self._arrived, "too-few-survivors")
        self._recovery = Recovery(self.proposal, self._commitments, self._keys, self._share_roster, self._survivors)
        return self._announce(Survivors, self._survivors)

    def consistent(self, message: Message[Consistency]) -> None:
        """Take a client's signature on the survivors."""
        if not self._expected(message, self._survivors, self._agreements):
            return
        if not self._is_signed(message):
            self._blame(message.sender, "bad-signature")
            return
        self._agreements[message.sender] = message
        self._record(message)

    def agreements_for(self, client: str) -> dict[str, Message[Consistency]]:
        """Return what the neighbours of `client` signed, and close the step."""
        if self._phase == Consistency.TYPE:
            self._phase = Unmask.TYPE
        return {peer: self._agreements[peer] for peer in self.proposal.graph[client] if peer in self._agreements}

    def unmasked(self, message: Message[Unmask]) -> None:
        """Take a client's shares; one that its owner did not sign, or that nobody asked for, spoils the message."""
        recovery = self._recovery
        if recovery is None or not self._expected(message, self._survivors, recovery.answered):
            return
        code = recovery.fault(message)
        if not code and self._recorder is not None and not self._is_signed(message):
            code = "bad-signature"
        if code:
            self._blame(message.sender, code)
            return
        recovery.take(message)
        self._record(message)

    def result(self) -> RingSum:
        """Recover what the sum still lacks, unmask it and return it.

        Raises:
            RoundAborted: `insufficient-shares`, or `commitment-mismatch` or `key-mismatch` with the owner whose shares
                give another secret than it committed to.
        """
        if self._recovery is None or self._phase != Unmask.TYPE:
            raise RoundAborted("phase-order", (), "the survivors were not announced")
        self._phase = Aggregate.TYPE
        self._recovery.unmask(self._total)
        total, survivors = self._total, tuple(sorted(self._survivors))
        if self._recorder is not None:
            digest = self._recorder.blob(total)
            self._record(unsigned(Aggregate(digest, self.header.length, len(survivors))))
        return RingSum(total, survivors)

    def _masked_fault(self, message: Message[MaskedInput], vector: NDArray[np.unsignedinteger[Any]]) -> str:
        header, body = self.header, message.body
        if vector.dtype != self._total.dtype or vector.shape != self._total.shape:
            return "bad-length"
        if body.length != header.length or body.modulus_bits != header.modulus_bits:
            return "bad-length"
        if header.model_sha256 is not None and body.model_sha256 != header.model_sha256:
            return "model-mismatch"
        if self._recorder is not None:
            if hashlib.sha256(np.ascontiguousarray(vector).data).hexdigest() != body.blob:
                return "blob-digest"
            if not self._is_signed(message):
                return "bad-signature"
        return ""

    def _expected(self, message: Message[Any], senders: frozenset[str], seen: Any) -> bool:
        """Return whether a message of this kind is due from its sender; if not, it is left out and the sender named."""
        sender = message.sender
        if self._phase != message.body.TYPE or sender in seen:
            self._blame(sender, "phase-order")
        elif sender not in senders:
            self._blame(sender, "set-inclusion")
        else:
            return True
        return False

    def _is_signed(self, message: Message[Any]) -> bool:
        if not self.header.signatures:
            return True
        public, signature = self.header.clients[message.sender], message.signature
        if public is None or signature is None:
            return False
        return is_signed_by(public, signature, message.signed_bytes(self.proposal.session))

    def _close(self, step: type[Body], following: type[Body], arrived: Any, code: str) -> frozenset[str]:
        if self._phase != step.TYPE:
            raise RoundAborted("phase-order", (), f"{step.TYPE} is not the open step")
        if len(arrived) <= self.header.threshold:
            raise RoundAborted(code, (), f"{len(arrived)} of {len(self.proposal.ids)} clients are left")
        self._phase = following.TYPE
        return frozenset(arrived)

    def _announce(self, kind: type[List], clients: frozenset[str]) -> List:
        body = kind(tuple(sorted(clients)))
        self._record(unsigned(body))
        return body

    def _blame(self, client: str, code: str) -> None:
        if client in self.proposal.members:  # a stranger's name is not ours to repeat
            self.blamed.setdefault(client, code)

    def _record(self, message: Message[Any]) -> None:
        if self._recorder is not None:
            self._recorder.record(message)
