"""What clients and server say to each other: the bytes of a message, what is signed, and how a side ends a round.

A message is written once, by its sender: receivers keep the bytes of the body as they came, so that a signature and a
transcript are over what was sent.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from hashlib import sha256
from typing import Any, Generic, TypeVar

from secagg.records import Body, Header
from secagg.wire import (
    MalformedRecord,
    canonical,
    decode_bytes,
    encode_bytes,
    parse,
    require_id,
    require_keys,
)

SERVER = "server"
FIRST_PREVIOUS = "0" * 64
"""What stands for the digest of the line before the first."""
Content = TypeVar("Content", bound=Body)


class Refusal(Exception):  # noqa: N818  (the field's word)
    """A client declines to go on: `code` of the table of refusals, and a sentence."""

    def __init__(self, code: str, detail: str) -> None:
        super().__init__(code, detail)
        self.code, self.detail = code, detail

    def __str__(self) -> str:
        return f"{self.code}: {self.detail}"


class RoundAborted(Exception):  # noqa: N818  (the field's word)
    """The server ends a round without a sum: `code`, the `clients` to blame (possibly none), and a sentence."""

    def __init__(self, code: str, clients: Sequence[str] = (), detail: str = "") -> None:
        super().__init__(code, tuple(clients), detail)
        self.code, self.clients, self.detail = code, tuple(clients), detail

    def __str__(self) -> str:
        named = f" ({', '.join(self.clients[:5])}{', ..' if len(self.clients) > 5 else ''})" if self.clients else ""
        return f"{self.code}{named}: {self.detail}" if self.detail else f"{self.code}{named}"


@dataclass(frozen=True)
class Message(Generic[Content]):
    """One body as it was sent: who says it, the very bytes, and the signature over them."""

    sender: str
    body: Content
    raw: bytes = field(repr=False)
    """Canonical JSON of the body."""
    signature: bytes | None = None
    """Ed25519, 64 bytes; None where unsigned."""

    def to_bytes(self) -> bytes:
        """Return the message as it travels: canonical JSON of body, sender, signature and type."""
        return self._wire

    @cached_property
    def _wire(self) -> bytes:  # kept, since a server hands the same keys to every neighbour
        return b'{"body":' + self.raw + self._tail()

    def signed_bytes(self, session: bytes) -> bytes:
        """Return what the signature is over."""
        return signed_bytes(self.body.TYPE, self.sender, self.raw, session)

    def _tail(self) -> bytes:
        signature = "null" if self.signature is None else f'"{encode_bytes(self.signature)}"'
        return f',"sender":"{self.sender}","signature":{signature},"type":"{self.body.TYPE}"}}'.encode()


def signed_bytes(kind: str, sender: str, raw: bytes, session: bytes) -> bytes:
    """Return the bytes under a signature: the tag, then canonical JSON of body, sender, session and type."""
    tail = f',"sender":"{sender}","session":"{session.hex()}","type":"{kind}"}}'
    return b'fedaudit-secagg-v1:{"body":' + raw + tail.encode()


def unsigned(body: Content, sender: str = SERVER) -> Message[Content]:
    """Return a message without a signature, as the server's all are."""
    return Message(sender, body, canonical(body.fields()))


def write(body: Content, sender: str, session: bytes, sign: Callable[[bytes], bytes] | None = None) -> Message[Content]:
    """Return the message of a client, signed where `sign` is given."""
    raw = canonical(body.fields())
    return Message(sender, body, raw, sign(signed_bytes(body.TYPE, sender, raw, session)) if sign else None)


def read(data: bytes, kind: type[Content]) -> Message[Content]:
    """Return the message that travelled as `data`; its body must be a `kind`.

    Raises:
        MalformedRecord: not a message of this kind, byte for byte.
    """
    fields = require_keys(parse(data), frozenset(("body", "sender", "signature", "type")))
    if fields["type"] != kind.TYPE:
        raise MalformedRecord(f"type is not {kind.TYPE}")
    signature = None if fields["signature"] is None else decode_bytes(fields["signature"], 64)
    sender, body = require_id(fields["sender"]), kind.parse(fields["body"])
    raw = data[len(b'{"body":') : data.rindex(b',"sender":')]  # nothing behind it can hold these characters again
    return Message(sender, body, raw, signature)


def record_line(sequence: int, previous: str, message: Message[Any]) -> bytes:
    """Return a transcript line without its newline; `previous` is the digest of the line before."""
    signature = "null" if message.signature is None else f'"{encode_bytes(message.signature)}"'
    tail = (
        f',"prev":"{previous}","sender":"{message.sender}","seq":{sequence},'
        f'"signature":{signature},"type":"{message.body.TYPE}"}}'
    )
    return b'{"body":' + message.raw + tail.encode()


def header_line(header: Header) -> bytes:
    """Return the first line of the round's transcript, without its newline."""
    return record_line(0, FIRST_PREVIOUS, unsigned(header))


def session_of(header: Header) -> bytes:
    """Return SHA-256 of the header line: 32 bytes that name this very round."""
    return sha256(header_line(header)).digest()
