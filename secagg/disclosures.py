"""Which secrets the answers to unmask disclose, and to whom they belonged: shares in, secrets out.

Of each client the server may learn one secret: the self-mask seed of a survivor, the mask key of one that dropped out
after sharing. Both together open its vector (Bonawitz et al. 2017, eprint 2017/281, section on active adversaries).
"""

from collections import defaultdict
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from hashlib import sha256

import numpy as np

from secagg.chain import Record
from secagg.course import Course
from secagg.dealings import Dealings
from secagg.keys import KeyPair, commitment
from secagg.ledger import Ledger
from secagg.recorded_graph import RecordedGraph
from secagg.records import Unmask
from secagg.shamir import FIELD, combine_many

MASK_KEY, SEED = 0, 1
_NAMES = ("mask key", "self-mask seed")
Owned = tuple[str, int]
"""A client and which of its secrets."""


@dataclass
class Secrets:
    """What the sum needs, as far as the shares on record give it; the secrets stay out of every text."""

    seeds: dict[str, bytes] = field(default_factory=dict, repr=False)
    """Survivor to self-mask seed."""
    pairs: dict[str, KeyPair] = field(default_factory=dict, repr=False)
    """Client that dropped out to mask key."""
    complete: bool = True
    """Whether nothing is lacking."""


class Disclosures:
    """Takes the answers to unmask one by one; keeps as many good shares of a secret as give it back."""

    def __init__(self, course: Course, dealings: Dealings, graph: RecordedGraph, ledger: Ledger) -> None:
        self._course, self._dealings, self._graph, self._ledger = course, dealings, graph, ledger
        self._revealed: dict[Owned, int] = defaultdict(int)
        self._shares: dict[Owned, dict[int, bytes]] = defaultdict(dict)

    def take(self, record: Record) -> None:
        """Take an answer: note shares that nobody may ask for, and shares that are not what the owner dealt."""
        holder, body = record.message.sender, record.message.body
        for kind, shares in ((MASK_KEY, body.mask_key_shares), (SEED, body.self_mask_shares)):
            for owner, share in shares.items():
                self._revealed[owner, kind] += 1
                self._judge_request(record, holder, owner, kind)
                self._keep(record, holder, owner, kind, share)

    def judge(self) -> None:
        """Note the clients of which both secrets were disclosed, in whole or in part."""
        threshold = self._course.header.threshold
        for owner, kind in sorted(self._revealed):
            if kind == MASK_KEY and (owner, SEED) in self._revealed:
                counts = (self._revealed[owner, MASK_KEY], self._revealed[owner, SEED])
                each = f"{counts[0]} of the mask key, {counts[1]} of the seed"
                detail = f"shares of both secrets of {owner} were disclosed: {each}"
                opened = "; its vector can be read" if min(counts) >= threshold else ""
                self._ledger.add("double-reveal", Unmask.TYPE, owner, detail + opened)

    def secrets(self) -> Secrets:
        """Return the secrets that the sum needs; shortage is noted where a sum was announced, false secrets always."""
        found = Secrets()
        survivors = self._course.survivors or frozenset()
        dropped = (self._course.share_roster or frozenset()) & self._course.header.clients.keys() - survivors
        dropped = frozenset(one for one in dropped if self._graph.among(one, survivors))
        for (owner, _), secret in self._recovered([(one, SEED) for one in survivors], found):
            committed = self._dealings.dealt[owner].commitment
            if secret is None or commitment(secret, owner, self._course.session) != committed:
                self._false("commitment-mismatch", owner, "a seed that it did not commit to", found)
            else:
                found.seeds[owner] = secret
        for (owner, _), secret in self._recovered([(one, MASK_KEY) for one in dropped], found):
            advertised = self._dealings.keys.get(owner)
            pair = None if secret is None else KeyPair.from_private_bytes(secret)
            if pair is None or advertised is None or pair.public_key != advertised.mask_key:
                self._false("key-mismatch", owner, "a mask key that it did not advertise", found)
            else:
                found.pairs[owner] = pair
        return found

    def _judge_request(self, record: Record, holder: str, owner: str, kind: int) -> None:
        survivors, shared = self._course.survivors, self._course.share_roster
        if not self._graph.adjacent(holder, owner):
            problem = "is no neighbour"
        elif shared is not None and owner not in shared:
            problem = "shared nothing"
        elif survivors is not None and (owner in survivors) != (kind == SEED):
            problem = "survived" if kind == MASK_KEY else "dropped out"
        else:
            return
        detail = f"{record.where}: a share of the {_NAMES[kind]} of {owner}, which {problem}"
        self._ledger.add("unrequested-share", record.type, holder, detail)

    def _keep(self, record: Record, holder: str, owner: str, kind: int, share: bytes) -> None:
        dealing = self._dealings.dealt.get(owner)
        digest = None if dealing is None else dealing.digest(holder, kind)
        if digest is None or not self._graph.adjacent(holder, owner):
            return  # noted as unrequested, or the owner's dealing was
        if sha256(share).digest() != digest:
            detail = f"{record.where}: the share of the {_NAMES[kind]} of {owner} is not the one it dealt to {holder}"
            self._ledger.add("share-digest", record.type, holder, detail)
        elif (np.frombuffer(share, "<u4") >= FIELD).any():
            code = "commitment-mismatch" if kind == SEED else "key-mismatch"
            detail = f"{record.where}: {owner} dealt {holder} a share of its {_NAMES[kind]} outside the field"
            self._ledger.add(code, record.type, owner, detail)
        else:
            kept = self._shares[owner, kind]
            if len(kept) < self._course.header.threshold:
                kept[self._graph.point(owner, holder)] = share

    def _recovered(self, wanted: Collection[Owned], found: Secrets) -> Iterator[tuple[Owned, bytes | None]]:
        """Yield each secret of which there are shares enough; owners with the same holders are solved together."""
        threshold = self._course.header.threshold
        groups: dict[tuple[int, ...], list[Owned]] = defaultdict(list)
        for owned in sorted(wanted):
            held = self._shares.get(owned, {})
            if len(held) == threshold:
                groups[tuple(sorted(held))].append(owned)
                continue
            found.complete = False
            if self._course.aggregate is not None:
                detail = f"{len(held)} good shares of the {_NAMES[owned[1]]} of {owned[0]}, and {threshold} are needed"
                self._ledger.add("insufficient-shares", Unmask.TYPE, owned[0], detail)
        for points, members in groups.items():
            packed = b"".join(self._shares[owned][point] for owned in members for point in points)
            shares = np.frombuffer(packed, "<u4").reshape(len(members), len(points), -1)
            yield from zip(members, combine_many(points, shares), strict=True)

    def _false(self, code: str, owner: str, what: str, found: Secrets) -> None:
        found.complete = False
        self._ledger.add(code, Unmask.TYPE, owner, f"the shares that {owner} dealt give {what}")
