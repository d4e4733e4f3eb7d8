"""A hostile server: it passes messages on, keeps all of them, and lies where its knob says so.

It works with one accomplice among the clients, a neighbour of the victim: a server can always run a client of its own.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from secrets import token_bytes
from typing import TypeVar

from secagg.exposure import Loot, recover_vector
from secagg.keys import BadCiphertext, Entropy, Identity, KeyPair, open_shares, share_key
from secagg.lies import LIES, MODEL, Keys
from secagg.messages import Message
from secagg.participants import Vector
from secagg.policy import ClientPolicy
from secagg.proposal import Proposal
from secagg.records import Advertise, Consistency, Header, Shares, Unmask
from secagg.weak_client import WeakClient

Told = TypeVar("Told")


@dataclass(frozen=True)
class Masked:
    """A masked vector as it came, and whose shares the client had been given then."""

    vector: Vector
    told: frozenset[str]


class MaliciousServer:
    """One round of a server with one knob turned.

    Args:
        knob: of `secagg.lies.LIES`.
        header: the honest proposal, which the knob may change.
        identities: of the cohort; the accomplice's is the only one that is used.
        rehearsed: What was sealed in an earlier round, by recipient and sender.
        entropy: gives the keys that it puts in others' places.
    """

    def __init__(
        self,
        knob: str,
        header: Header,
        identities: Mapping[str, Identity],
        rehearsed: Mapping[str, Mapping[str, bytes]] | None = None,
        entropy: Entropy = token_bytes,
    ) -> None:
        self.knob, self.entropy, self.rehearsed = knob, entropy, rehearsed or {}
        self._lie = LIES[knob]
        ids = header.ids
        self.victim = ids[0]
        proposed = self._lie.header(header, self.victim, ids[1]) if self._lie.header else header
        self.proposal = Proposal(proposed)
        partner = self.proposal.graph[self.victim][0]
        self.accomplice = WeakClient(partner, identities[partner], ClientPolicy(), entropy)
        """Told everything honestly, and opens to the server whatever it holds."""
        spare = [one for one in self.proposal.ids if one not in (self.victim, partner)]
        self.absent = spare[-1] if self._lie.absent else ""
        """Who is lost before it shares its secrets."""
        self.lied_to: set[str] = set(self.proposal.ids) if self._lie.header and not self._is_stage else set()
        self.keys: dict[str, Message[Advertise]] = {}
        self.dealt: dict[str, Message[Shares]] = {}
        self.masked: dict[str, Masked] = {}
        self.agreements: dict[str, Message[Consistency]] = {}
        self.answers: list[Message[Unmask]] = []
        self._seen: dict[str, Keys] = {}
        self._pairs: dict[str, tuple[KeyPair, KeyPair]] = {}

    @property
    def encore(self) -> str:
        """The step that is asked for once more."""
        return self._lie.encore

    @property
    def _is_stage(self) -> bool:
        """Whether the changed header only prepares the lie proper."""
        lie = self._lie
        return any((lie.keys, lie.sealed, lie.survivors, lie.late_survivors, lie.agreements, lie.model))

    def pair_for(self, peer: str) -> tuple[KeyPair, KeyPair]:
        """Return the mask and share key pairs under which the server passes for `peer`."""
        if peer not in self._pairs:
            self._pairs[peer] = KeyPair.generate(self.entropy), KeyPair.generate(self.entropy)
        return self._pairs[peer]

    def keys_for(self, client: str) -> Keys:
        """Return the neighbours' keys as `client` is given them."""
        honest = {peer: self.keys[peer] for peer in self.proposal.graph[client] if peer in self.keys}
        told = honest if self._lie.keys is None else self._note(client, honest, self._lie.keys(self, client, honest))
        self._seen[client] = told
        return told

    def sealed_for(self, client: str) -> dict[str, bytes]:
        """Return the neighbours' sealed shares as `client` is given them."""
        peers = (peer for peer in self.proposal.graph[client] if peer in self.dealt)
        honest = {peer: self.dealt[peer].body.ciphertexts.get(client, b"") for peer in peers}
        return (
            honest if self._lie.sealed is None else self._note(client, honest, self._lie.sealed(self, client, honest))
        )

    def survivors_for(self, client: str, *, late: bool) -> frozenset[str]:
        """Return the survivors as `client` is told, before its signature or `late`, when it unmasks."""
        honest = frozenset(self.masked)
        lie = self._lie.late_survivors if late and self._lie.late_survivors else self._lie.survivors
        return honest if lie is None else self._note(client, honest, lie(self, client, honest))

    def agreements_for(self, client: str) -> dict[str, Message[Consistency]]:
        """Return the neighbours' signatures on the survivors as `client` is given them."""
        peers = self.proposal.graph[client]
        honest = {peer: self.agreements[peer] for peer in peers if peer in self.agreements}
        lie = self._lie.agreements
        return honest if lie is None else self._note(client, honest, lie(self, client, honest))

    def model_for(self, client: str) -> str | None:
        """Return the digest of the model that `client` is sent."""
        if self.proposal.header.model_sha256 is None:
            return None
        return MODEL if self._lie.model is None else self._note(client, MODEL, self._lie.model(self, client, MODEL))

    def loot(self) -> Loot:
        """Return every secret that has come to the server: revealed, dealt to the accomplice, or under its own keys."""
        loot = Loot(self.proposal, pairs={peer: pair[0] for peer, pair in self._pairs.items()})
        accomplice = self.accomplice
        if accomplice.client_id in self.keys:
            loot.pairs[accomplice.client_id] = accomplice.mask_pair
        for owner, (mask, seed) in accomplice.opened.items():
            loot.add_share(owner, accomplice.client_id, mask=mask, seed=seed)
        for answer in self.answers:
            loot.add_answer(answer.sender, answer.body)
        self._open_own(loot)
        return loot

    def recovered(self) -> Vector | None:
        """Return the victim's ring vector if the server can work it out, else None."""
        victim = self.victim
        if victim not in self.masked:
            return None
        masked = self.masked[victim]
        seen = {peer: message.body for peer, message in self._seen[victim].items() if peer in masked.told}
        commitment, own = self.dealt[victim].body.self_mask_commitment, self.keys[victim].body
        return recover_vector(self.loot(), victim, masked.vector, commitment, seen, own)

    def _open_own(self, loot: Loot) -> None:
        """Open what the victim sealed for the server, taking it for its neighbours."""
        victim = self.victim
        if not self._pairs or victim not in self.dealt:
            return
        session, public = self.proposal.session, self.keys[victim].body.share_key
        for peer, sealed in self.dealt[victim].body.ciphertexts.items():
            key = share_key(self.pair_for(peer)[1].exchange(public), victim, peer, session)
            try:
                mask, seed = open_shares(key, sealed, victim, peer, session)
            except BadCiphertext:  # sealed for the neighbour itself: the server has nothing of it
                continue
            loot.add_share(victim, peer, mask=mask, seed=seed)

    def _note(self, client: str, honest: Told, told: Told) -> Told:
        if told != honest:
            self.lied_to.add(client)
        return told
