"""What server and clients say to each other through Flower: one config record a message, and a vector beside it.

    to a client     fedaudit_secagg {phase, session, header?, included?, peers?, payloads?}
    from a client   fedaudit_secagg {phase, message} or {phase, refused, detail}
                    fedaudit_secagg.vector beside it with the masked input

`phase` is the type of the record that is asked for (`advertise`, `shares`, `masked_input`, `consistency`, `unmask`), or
`close`. What is inside `header`, `message` and the payloads are the protocol's own bytes (`secagg.messages`).
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import NDArray

from secagg.messages import Message, Refusal, read
from secagg.records import Body
from secagg.wire import MalformedRecord, require_id, require_text

if TYPE_CHECKING:
    from flwr.app import ArrayRecord, ConfigRecord, RecordDict

RECORD = "fedaudit_secagg"
"""Name of the config record, in messages and, with other content, in a client's state."""
VECTOR = "fedaudit_secagg.vector"
"""Name of the array record that holds the masked input."""
CLOSE = "close"
"""The phase in which a client forgets a round that came to nothing."""
RAW = "fedaudit.ring"
"""How the masked input is serialised: little-endian ring words and nothing else."""
_SESSION_BYTES = 32


@dataclass(frozen=True)
class Request:
    """What the server asks of one client in one phase."""

    phase: str
    session: bytes
    """SHA-256 of the header line: which round is meant."""
    header: bytes = b""
    """The proposal as an unsigned message; in `advertise` alone."""
    included: tuple[str, ...] = ()
    """U1, U2 or U3, as the phase has it."""
    payloads: Mapping[str, bytes] = field(default_factory=dict)
    """By neighbour: its message, or the shares that it sealed for this client."""

    def record(self) -> "ConfigRecord":
        """Return it as Flower sends it."""
        from flwr.app import ConfigRecord

        values: dict[str, Any] = {"phase": self.phase, "session": self.session}
        if self.header:
            values["header"] = self.header
        if self.included:
            values["included"] = list(self.included)
        if self.payloads:
            values |= {"peers": list(self.payloads), "payloads": list(self.payloads.values())}
        return ConfigRecord(values)

    @classmethod
    def found_in(cls, content: "RecordDict") -> Self:
        """Return the request of a message.

        Raises:
            secagg.messages.Refusal: `bad-header`: there is none, or it is not of this form.
        """
        record = content.config_records.get(RECORD)
        if record is None:
            raise Refusal("bad-header", "training was asked for without secure aggregation")
        try:
            session = _of(bytes, record, "session")
            if len(session) != _SESSION_BYTES:
                raise MalformedRecord("session is 32 bytes")
            included = tuple(require_id(one) for one in _list(str, record, "included"))
            peers = (require_id(one) for one in _list(str, record, "peers"))
            payloads = dict(zip(peers, _list(bytes, record, "payloads"), strict=True))
            return cls(_of(str, record, "phase"), session, _of(bytes, record, "header", b""), included, payloads)
        except (MalformedRecord, ValueError) as error:  # ValueError: more peers than payloads, or fewer
            raise Refusal("bad-header", f"the request is not of the known form: {error}") from error


def answered(phase: str, message: Message[Any]) -> "ConfigRecord":
    """Return the record of a client's answer."""
    from flwr.app import ConfigRecord

    return ConfigRecord({"phase": phase, "message": message.to_bytes()})


def refused(phase: str, refusal: Refusal) -> "ConfigRecord":
    """Return the record of a client's refusal."""
    from flwr.app import ConfigRecord

    return ConfigRecord({"phase": phase, "refused": refusal.code, "detail": refusal.detail})


def answer_in(content: "RecordDict", kind: type[Body], sender: str) -> Message[Any]:
    """Return what `sender` answered.

    Raises:
        secagg.messages.Refusal: it refused.
        MalformedRecord: it sent something else, or in another's name.
    """
    record = content.config_records.get(RECORD)
    if record is None:
        raise MalformedRecord("the reply holds no answer; is secagg_mod among the client's mods?")
    if "refused" in record:
        raise Refusal(require_text(record["refused"], 40), require_text(record.get("detail", "")))
    message = read(_of(bytes, record, "message"), kind)
    if message.sender != sender:
        raise MalformedRecord("the answer is in another client's name")
    return message


def packed(vector: NDArray[np.unsignedinteger[Any]]) -> "ArrayRecord":
    """Return a ring vector as Flower sends it."""
    from flwr.app import Array, ArrayRecord

    little = vector.astype(vector.dtype.newbyteorder("<"), copy=False)
    return ArrayRecord({"vector": Array(str(vector.dtype), vector.shape, RAW, little.tobytes())})


def vector_in(content: "RecordDict", words: np.dtype[Any]) -> NDArray[np.unsignedinteger[Any]]:
    """Return the ring vector of a reply, read-only, as words of the ring's type; of any length.

    Raises:
        MalformedRecord: there is none, or its bytes are no whole number of words.
    """
    record = content.array_records.get(VECTOR)
    array = record.get("vector") if record is not None else None
    if array is None or array.stype != RAW or len(array.data) % words.itemsize:
        raise MalformedRecord("the masked vector is missing or no row of ring words")
    return np.frombuffer(array.data, words)


def _of(kind: type[Any], record: Mapping[str, Any], key: str, default: Any = None) -> Any:
    value = record.get(key, default)
    if type(value) is not kind:
        raise MalformedRecord(f"{key} is not {kind.__name__}")
    return value


def _list(kind: type[Any], record: Mapping[str, Any], key: str) -> list[Any]:
    values = record.get(key, [])
    if type(values) is not list or any(type(one) is not kind for one in values):
        raise MalformedRecord(f"{key} is not a list of {kind.__name__}")
    return values
