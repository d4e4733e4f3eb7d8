"""The course of a recorded round: the order of its records, one a client and type, and who was in which step.

U1 (advertised), U2 (shared), U3 (masked input arrived) and U4 (answered unmask) must each be a part of the one before,
and each list that the server announced must be exactly the clients whose records stand in the transcript.
"""

from collections.abc import Mapping

from secagg.chain import SERVER_TYPES, Record
from secagg.ledger import Ledger
from secagg.records import (
    TYPES,
    Advertise,
    Aggregate,
    Consistency,
    Header,
    MaskedInput,
    Roster,
    ShareRoster,
    Shares,
    Survivors,
    Unmask,
)

Members = frozenset[str]
_PLACE = {kind: place for place, kind in enumerate(TYPES)}
_LISTS: Mapping[str, tuple[str, str]] = {
    Roster.TYPE: (Advertise.TYPE, ""),
    ShareRoster.TYPE: (Shares.TYPE, Roster.TYPE),
    Survivors.TYPE: (MaskedInput.TYPE, ShareRoster.TYPE),
}
"""A server's list: the records it rests on, and the list that it is a part of."""
_ADMITTED_BY: Mapping[str, str] = {
    Shares.TYPE: Roster.TYPE,
    MaskedInput.TYPE: ShareRoster.TYPE,
    Consistency.TYPE: Survivors.TYPE,
    Unmask.TYPE: Survivors.TYPE,
}
"""A client's record, and the list that its sender must be in."""


class Course:
    """Takes the records of a round one by one and notes what is out of order."""

    def __init__(self, header: Header, session: bytes, ledger: Ledger) -> None:
        self.header, self.session = header, session
        self.senders: dict[str, set[str]] = {kind: set() for kind in TYPES if kind not in SERVER_TYPES}
        """Type to the clients whose record stands in the transcript."""
        self.masked: dict[str, MaskedInput] = {}
        self.aggregate: Aggregate | None = None
        self._lists: dict[str, Members] = {}
        self._ledger = ledger
        self._place = 0
        self._model = header.model_sha256

    @property
    def roster(self) -> Members | None:
        """U1 as the server announced it, None where it did not."""
        return self._lists.get(Roster.TYPE)

    @property
    def share_roster(self) -> Members | None:
        """U2 as the server announced it, None where it did not."""
        return self._lists.get(ShareRoster.TYPE)

    @property
    def survivors(self) -> Members | None:
        """U3 as the server announced it, None where it did not."""
        return self._lists.get(Survivors.TYPE)

    def admit(self, record: Record) -> bool:
        """Take the next record after the header; False where it says nothing new: what it repeats is kept."""
        self._order(record)
        if record.type in SERVER_TYPES:
            return self._announced(record)
        return self._sent(record)

    def _order(self, record: Record) -> None:
        place = _PLACE[record.type]
        if place < self._place:
            self._add("phase-order", record, None, f"{record.type} stands after {TYPES[self._place]}")
            return
        for kind in TYPES[self._place + 1 : place]:
            if kind in _LISTS:
                self._add("phase-order", record, None, f"no {kind} stands before {record.type}")
        self._place = place

    def _announced(self, record: Record) -> bool:
        body = record.message.body
        if isinstance(body, Header):
            self._add("phase-order", record, None, "a second header")
            return False
        if isinstance(body, Aggregate):
            if self.aggregate is not None:
                self._add("phase-order", record, None, "a second aggregate")
                return False
            self.aggregate = body
            self._judge_aggregate(record, body)
            return True
        included = frozenset(body.included)
        if record.type in self._lists:
            self._add("phase-order", record, None, f"a second {record.type}")
            if included != self._lists[record.type]:
                self._add("split-view", record, None, f"two different lists of {record.type}")
            return False
        self._lists[record.type] = included
        self._judge_list(record, included)
        return True

    def _judge_list(self, record: Record, included: Members) -> None:
        basis, whole = _LISTS[record.type]
        for client in sorted(included - self.senders[basis]):
            self._add("set-inclusion", record, client, f"{client} is listed, and its {basis} is not recorded")
        for client in sorted(self.senders[basis] - included):
            self._add("set-inclusion", record, client, f"{client} is not listed, and its {basis} is recorded")
        if whole in self._lists:
            for client in sorted((included & self.senders[basis]) - self._lists[whole]):
                self._add("set-inclusion", record, client, f"{client} is listed, and not in {whole}")

    def _judge_aggregate(self, record: Record, body: Aggregate) -> None:
        if body.length != self.header.length:
            self._add("bad-length", record, None, f"length {body.length} where {self.header.length} belong")
        if self.survivors is not None and body.survivors != len(self.survivors):
            detail = f"a sum of {body.survivors} clients is announced, and {len(self.survivors)} survived"
            self._add("aggregate-mismatch", record, None, detail)

    def _sent(self, record: Record) -> bool:
        client, body = record.message.sender, record.message.body
        if client in self.senders[record.type]:
            self._add("phase-order", record, client, f"a second {record.type} of {client}")
            return False
        self.senders[record.type].add(client)
        listed = self._lists.get(_ADMITTED_BY.get(record.type, ""))
        if listed is not None and client not in listed:
            self._add("set-inclusion", record, client, f"{client} is not in {_ADMITTED_BY[record.type]}")
        if isinstance(body, MaskedInput):
            self.masked[client] = body
            self._judge_masked(record, client, body)
        if isinstance(body, Consistency) and not self.header.consistency_check:
            self._add("phase-order", record, client, "the header has no consistency check")
        return True

    def _judge_masked(self, record: Record, client: str, body: MaskedInput) -> None:
        header = self.header
        if body.length != header.length:
            self._add("bad-length", record, client, f"length {body.length} where {header.length} belong")
        if body.modulus_bits != header.modulus_bits:
            detail = f"a ring of {body.modulus_bits} bits where {header.modulus_bits} belong"
            self._add("bad-length", record, client, detail)
        if header.model_sha256 is None:
            self._model = self._model or body.model_sha256  # then clients are compared with the first that names one
        if body.model_sha256 != self._model and not (header.model_sha256 is None and body.model_sha256 is None):
            named = "no known model" if body.model_sha256 is None else "another model"
            self._add("model-mismatch", record, client, f"{client} says it trained on {named}")

    def _add(self, code: str, record: Record, client: str | None, detail: str) -> None:
        self._ledger.add(code, record.type, client, f"{record.where}: {detail}")
