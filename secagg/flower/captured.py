"""A captured round read line by line: what was said to whom, in which order, and by whom it was answered.

Flower has no lists of participants; who took part in a stage is who answered in it. U1 answered setup, U2 share_keys,
U3 collect_masked_vectors, U4 unmask.
"""

from hashlib import sha256

from secagg.flower.records import RECORDS, TO, CaptureHeader, FlowerRecord, parse_line
from secagg.ledger import Ledger
from secagg.messages import FIRST_PREVIOUS
from secagg.source import LONGEST_LINE, Source
from secagg.wire import MalformedRecord

STAGES = tuple(kind.STAGE for kind in RECORDS)
SETUP, SHARE_KEYS, COLLECT, UNMASK = STAGES


class CapturedRound:
    """The records of a round by stage, direction and node; what is out of place is noted as it is read."""

    def __init__(self, source: Source, ledger: Ledger) -> None:
        self.header: CaptureHeader | None = None
        self.session = ""
        self.last = ""
        self.asked: dict[str, dict[str, list[FlowerRecord]]] = {stage: {} for stage in STAGES}
        """Stage and node to what the node was told; more than once is a violation and kept all the same."""
        self.answered: dict[str, dict[str, list[FlowerRecord]]] = {stage: {} for stage in STAGES}
        """Stage and node to what it answered."""
        self._ledger = ledger
        self._reached = 0
        previous: str | None = FIRST_PREVIOUS
        for number, line in enumerate(source.lines()):
            self._read(number, line, previous)
            previous = None if len(line) > LONGEST_LINE else sha256(line).hexdigest()

    def who(self, stage: str) -> frozenset[str]:
        """Return the nodes that answered in a stage."""
        return frozenset(self.answered[stage])

    def said(self, stage: str) -> list[FlowerRecord]:
        """Return all that was told to nodes in a stage, in the order of the record."""
        return [record for records in self.asked[stage].values() for record in records]

    def heard(self, stage: str) -> list[FlowerRecord]:
        """Return all that nodes answered in a stage."""
        return [record for records in self.answered[stage].values() for record in records]

    def _read(self, number: int, line: bytes, previous: str | None) -> None:
        try:
            if len(line) > LONGEST_LINE:
                raise MalformedRecord(f"longer than {LONGEST_LINE} bytes")
            read = parse_line(line)
        except (MalformedRecord, RecursionError) as error:  # canonical form is written back to be compared: recursively
            self._ledger.add("malformed-record", "", None, f"line {number + 1}: {error}")
            return
        kind = read.body.TYPE
        self.last = f"line {number + 1} ({kind})"
        if previous is not None and read.previous != previous:
            self._ledger.add(
                "chain-broken", kind, None, f"line {number + 1}: prev is not the digest of the line before"
            )
        if read.sequence != number:
            detail = f"line {number + 1}: seq is {read.sequence} where {number} belongs"
            self._ledger.add("chain-broken", kind, None, detail)
        if isinstance(read.body, FlowerRecord):
            self._place(read.body, f"line {number + 1}")
        elif number == 0:
            self.header, self.session = read.body, sha256(line).hexdigest()
        else:
            self._ledger.add("phase-order", kind, None, f"line {number + 1}: a second header")

    def _place(self, record: FlowerRecord, where: str) -> None:
        """Keep the record; note where it does not belong here."""
        stage, node, kind = record.STAGE, record.node, record.TYPE
        step = STAGES.index(stage)
        known = self.header is not None and node in self.header.clients
        before = self.who(STAGES[step - 1]) if step else frozenset()
        if self.header is None or step < self._reached:
            self._ledger.add("phase-order", kind, node, f"{where}: too late, or before the header")
        self._reached = max(self._reached, step)
        if not known or (step and node not in before):
            problem = "took no part in the stage before" if known else "is not of the cohort"
            self._ledger.add("set-inclusion", kind, node, f"{where}: {node} {problem}")
        told = self.asked[stage].setdefault(node, []) if record.direction == TO else self.asked[stage].get(node, [])
        heard = self.answered[stage].get(node, [])
        if record.direction == TO:
            if told:
                self._ledger.add("phase-order", kind, node, f"{where}: {node} is asked a second time")
            told.append(record)
            return
        if len(heard) >= len(told):
            self._ledger.add("phase-order", kind, node, f"{where}: an answer of {node} that nobody asked for")
        self.answered[stage].setdefault(node, []).append(record)
