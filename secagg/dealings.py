"""What clients bound themselves to before they masked: their keys, who holds their shares, and the digests of these."""

from bisect import bisect_left
from dataclasses import dataclass

from secagg.chain import Record
from secagg.course import Course
from secagg.keys import KeyPair, LowOrderKey
from secagg.ledger import Ledger
from secagg.recorded_graph import RecordedGraph
from secagg.records import Advertise, Shares


@dataclass(frozen=True)
class Dealing:
    """An owner's commitment and its digests, packed: a transcript of 10,000 clients holds millions."""

    commitment: str
    """Hexadecimal digest over the self-mask seed."""
    holders: tuple[str, ...]
    """Who got a share, sorted by id."""
    digests: bytes
    """For each holder 32 bytes for the share of the mask key, then 32 for that of the seed."""

    def digest(self, holder: str, kind: int) -> bytes | None:
        """Return the SHA-256 of a holder's share of the mask key (kind 0) or the seed (1), None where it has none."""
        place = bisect_left(self.holders, holder)
        if place == len(self.holders) or self.holders[place] != holder:
            return None
        return self.digests[64 * place + 32 * kind :][:32]


class Dealings:
    """Keeps keys and dealings of a round; notes keys that stand twice and recipients that the graph does not give."""

    def __init__(self, course: Course, graph: RecordedGraph, ledger: Ledger) -> None:
        self.keys: dict[str, Advertise] = {}
        self.dealt: dict[str, Dealing] = {}
        self._course, self._graph, self._ledger = course, graph, ledger
        self._probe = KeyPair.from_private_bytes(b"\1" * 32)  # shows a key of low order; protects nothing
        self._owners: dict[bytes, str] = {}
        self._committed: dict[str, str] = {}

    def take_keys(self, record: Record) -> None:
        """Take the record in which a client advertised its keys."""
        client, body = record.message.sender, record.message.body
        self.keys[client] = body
        for name, key in (("mask_key", body.mask_key), ("share_key", body.share_key)):
            owner = self._owners.setdefault(key, f"the {name} of {client}")
            if owner != f"the {name} of {client}":
                detail = f"{record.where}: {name} of {client} is {owner} as well"
                self._ledger.add("duplicate-key", record.type, client, detail)
            try:
                self._probe.exchange(key)
            except LowOrderKey:
                detail = f"{record.where}: {name} of {client} is of low order, which belongs to no private key"
                self._ledger.add("key-mismatch", record.type, client, detail)

    def take_shares(self, record: Record) -> None:
        """Take the record in which a client dealt its shares."""
        owner, body = record.message.sender, record.message.body
        self._judge_recipients(record, owner, body)
        first = self._committed.setdefault(body.self_mask_commitment, owner)
        if first != owner:
            detail = f"{record.where}: the commitment of {owner} is that of {first}"
            self._ledger.add("key-reuse", record.type, owner, detail)
        holders = tuple(sorted(body.share_digests))
        digests = b"".join(bytes.fromhex("".join(body.share_digests[holder])) for holder in holders)
        self.dealt[owner] = Dealing(body.self_mask_commitment, holders, digests)

    def _judge_recipients(self, record: Record, owner: str, body: Shares) -> None:
        part = self._course.header.clients if self._course.roster is None else self._course.roster
        wanted = set(self._graph.among(owner, part))
        for name, found in (("ciphertexts", body.ciphertexts.keys()), ("share_digests", body.share_digests.keys())):
            if found == wanted:
                continue
            if odd := sorted(found - wanted):
                problem = f"{name} go to {odd[0]}, which is no neighbour of {owner} in U1"
            else:
                problem = f"{name} lack {min(wanted - found)}, a neighbour of {owner} in U1"
            self._ledger.add("graph-mismatch", record.type, owner, f"{record.where}: {problem}")
