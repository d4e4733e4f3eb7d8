"""From lines to records: canonical form, the chain of digests, and who may send what.

The chain shows that nothing was changed *after* the record was written. Against its author it proves nothing: whoever
writes all lines can chain other ones. That is what signatures are for (`secagg.signatures`).
"""

from dataclasses import dataclass
from hashlib import sha256
from typing import Any

from secagg.ledger import Ledger
from secagg.messages import FIRST_PREVIOUS, SERVER, Message
from secagg.records import BODIES, Aggregate, Body, Header, Roster, ShareRoster, Survivors
from secagg.source import LONGEST_LINE
from secagg.wire import (
    MalformedRecord,
    decode_bytes,
    parse,
    parse_loosely,
    require_id,
    require_integer,
    require_keys,
    require_sha256,
)

SERVER_TYPES = frozenset(body.TYPE for body in (Header, Roster, ShareRoster, Survivors, Aggregate))
"""Records that the server makes; all others are clients'."""
_FIELDS = frozenset(("seq", "prev", "type", "sender", "body", "signature"))
_BODIES: dict[str, type[Body]] = {body.TYPE: body for body in BODIES}


@dataclass(frozen=True)
class Record:
    """One line that is well formed."""

    line: int
    """From 1."""
    sequence: int
    previous: str
    message: Message[Any]

    @property
    def type(self) -> str:
        """The type of its body."""
        kind: str = self.message.body.TYPE
        return kind

    @property
    def where(self) -> str:
        """The place, for people."""
        return f"line {self.line}"


def protocol_of(line: bytes) -> str | None:
    """Return the protocol that a first line names, None where it names none; nothing else of it is looked at."""
    try:
        fields = parse_loosely(line)
    except (MalformedRecord, RecursionError):
        return None
    body = fields.get("body") if type(fields) is dict and fields.get("type") == Header.TYPE else None
    protocol = body.get("protocol") if type(body) is dict else None
    return protocol if isinstance(protocol, str) else None


def read_record(number: int, line: bytes) -> Record:
    """Return the record that stands in a line.

    Raises:
        MalformedRecord: anything in it is not as the format wants it.
    """
    if len(line) > LONGEST_LINE:
        raise MalformedRecord(f"longer than {LONGEST_LINE} bytes")
    try:
        fields = require_keys(parse(line), _FIELDS)
    except RecursionError as error:
        raise MalformedRecord("nested too deeply") from error
    kind = _BODIES.get(fields["type"]) if type(fields["type"]) is str else None
    if kind is None:
        raise MalformedRecord(f"no record has the type {str(fields['type'])[:40]!r}")
    sender = require_id(fields["sender"])
    signature = None if fields["signature"] is None else decode_bytes(fields["signature"], 64)
    if (sender == SERVER) != (kind.TYPE in SERVER_TYPES):
        raise MalformedRecord(f"{sender} sends no {kind.TYPE}")
    if sender == SERVER and signature is not None:
        raise MalformedRecord("records of the server bear no signature")
    sequence, previous = require_integer(fields["seq"]), require_sha256(fields["prev"])
    message = Message(sender, kind.parse(fields["body"]), b"", signature)
    tail = len(_tail(sequence, previous, fields["signature"], message))
    message = Message(sender, message.body, line[len(b'{"body":') : -tail], signature)
    return Record(number, sequence, previous, message)


class Chain:
    """Reads line after line and notes where one is malformed or does not follow the one before."""

    def __init__(self, ledger: Ledger) -> None:
        self.lines = 0
        """Complete lines read."""
        self._ledger = ledger
        self._previous: str | None = FIRST_PREVIOUS
        self._sequence = 0

    def read(self, line: bytes) -> Record | None:
        """Return the record of the next line, None where it is malformed; both are noted."""
        self.lines += 1
        expected, sequence = self._previous, self._sequence
        self._previous = None if len(line) > LONGEST_LINE else sha256(line).hexdigest()  # its digest is not known
        self._sequence += 1
        try:
            record = read_record(self.lines, line)
        except MalformedRecord as error:
            self._ledger.add("malformed-record", "", None, f"line {self.lines}: {error}")
            return None
        self._sequence = record.sequence + 1
        if expected is not None and record.previous != expected:
            detail = f"{record.where}: prev is not the digest of the line before"
            self._ledger.add("chain-broken", record.type, None, detail)
        if record.sequence != sequence:
            detail = f"{record.where}: seq is {record.sequence} where {sequence} belongs"
            self._ledger.add("chain-broken", record.type, None, detail)
        return record


def _tail(sequence: int, previous: str, signature: Any, message: Message[Any]) -> str:
    """Return what stands behind the body in a canonical line; all of it is ASCII."""
    shown = "null" if signature is None else f'"{signature}"'
    rest = f'"sender":"{message.sender}","seq":{sequence},"signature":{shown},"type":"{message.body.TYPE}"}}'
    return f',"prev":"{previous}",{rest}'
