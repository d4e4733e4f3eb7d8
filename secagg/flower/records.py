"""What a capture of Flower's SecAgg+ says: a header, then each message of a stage as it passed the grid.

The container is that of our own transcript (canonical lines, a chain, blobs beside them). Node ids exceed 2^53 and are
text; real numbers are shortest decimals; bytes are base64; arrays are blobs. Nothing in a capture is signed.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Self

from secagg.messages import SERVER
from secagg.records import Body
from secagg.wire import (
    MalformedRecord,
    decimal,
    decode_bytes,
    encode_bytes,
    parse,
    require_decimal,
    require_id,
    require_ids,
    require_integer,
    require_keys,
    require_sha256,
    require_text,
)

PROTOCOL = "flwr-secaggplus"
TO, FROM = "to", "from"


@dataclass(frozen=True)
class CaptureHeader(Body):
    """Whose round was captured, and of which code."""

    TYPE: ClassVar[str] = "header"
    run: str
    round: int
    clients: tuple[str, ...]
    """Node ids as text, sorted."""
    software: str
    """Distribution and version, such as `flwr 1.41.0`."""
    function: str
    """Qualified names of the workflow and the mod."""

    def fields(self) -> dict[str, Any]:
        """Return the body as plain JSON values."""
        return {**vars(self), "clients": list(self.clients), "protocol": PROTOCOL}

    @classmethod
    def parse(cls, fields: Any) -> Self:
        """Return the header of plain JSON values, or refuse them with `MalformedRecord`."""
        one = require_keys(fields, _HEADER_KEYS)
        if one["protocol"] != PROTOCOL:
            raise MalformedRecord(f"protocol is not {PROTOCOL}")
        run, software, function = (require_text(one[name]) for name in ("run", "software", "function"))
        return cls(run, require_integer(one["round"]), require_ids(one["clients"]), software, function)


@dataclass(frozen=True)
class MaskedArray:
    """One array of a masked update, by digest."""

    blob: str
    """Hexadecimal SHA-256 of the little-endian words."""
    shape: tuple[int, ...]
    dtype: str
    """NumPy's name of the words: `<u4` or `<u8` for a ring, anything else as it came."""

    @property
    def length(self) -> int:
        """Elements."""
        count = 1
        for size in self.shape:
            count *= size
        return count

    def fields(self) -> dict[str, Any]:
        """Return it as plain JSON values."""
        return {"blob": self.blob, "shape": list(self.shape), "dtype": self.dtype}

    @classmethod
    def parse(cls, value: Any) -> Self:
        """Return it from plain JSON values, or refuse them with `MalformedRecord`."""
        one = require_keys(value, frozenset(("blob", "shape", "dtype")))
        shape = tuple(require_integer(size) for size in _list(one["shape"]))
        return cls(require_sha256(one["blob"]), shape, require_text(one["dtype"], 20))


@dataclass(frozen=True)
class FlowerRecord(Body):
    """One message of a stage. `values` holds what is known of the stage, decoded; other fields stay plain JSON."""

    STAGE: ClassVar[str] = ""
    direction: str
    node: str
    """The client, as the recipient (`to`) or the sender (`from`)."""
    values: Mapping[str, Any] = field(default_factory=dict, repr=False)
    clear: Mapping[str, Mapping[str, Any]] = field(default_factory=dict, repr=False)
    """The other records of a reply, readable by anybody: {record: {key: plain value}}."""

    def fields(self) -> dict[str, Any]:
        """Return the body as plain JSON values."""
        body = {key: self._form(self.direction, key).write(value) for key, value in self.values.items()}
        if body.keys() & {"direction", "node", "clear"}:
            raise MalformedRecord("a field has the name of the capture's own")
        body |= {"direction": self.direction, "node": self.node}
        if self.clear:
            body["clear"] = {name: dict(record) for name, record in self.clear.items()}
        return body

    @classmethod
    def parse(cls, fields: Any) -> Self:
        """Return the body of plain JSON values, or refuse them with `MalformedRecord`."""
        if type(fields) is not dict or fields.get("direction") not in (TO, FROM):
            raise MalformedRecord("the direction is to or from")
        missing = sorted(_FORMS[cls.STAGE, fields["direction"]].keys() - fields.keys())
        if missing:
            raise MalformedRecord(f"missing field {missing[0]!r}")
        rest = {key: value for key, value in fields.items() if key not in ("direction", "node", "clear")}
        clear = fields.get("clear", {})
        if type(clear) is not dict or any(type(record) is not dict for record in clear.values()):
            raise MalformedRecord("clear holds records")
        values = {key: cls._form(fields["direction"], key).read(value) for key, value in rest.items()}
        return cls(fields["direction"], require_id(fields.get("node")), values, clear)

    @classmethod
    def _form(cls, direction: str, key: str) -> "_Form":
        if (cls.STAGE, direction) == ("share_keys", TO):  # its fields are named after the neighbours
            require_id(key)
            return _BYTES
        return _FORMS[cls.STAGE, direction].get(key, _PLAIN)


class Setup(FlowerRecord):
    """The parameters, and the client's two public keys (PEM)."""

    TYPE: ClassVar[str] = "flwr.setup"
    STAGE: ClassVar[str] = "setup"


class ShareKeys(FlowerRecord):
    """The neighbours' public keys {node: [mask key, share key]}, and the sealed shares for them."""

    TYPE: ClassVar[str] = "flwr.share_keys"
    STAGE: ClassVar[str] = "share_keys"


class Collect(FlowerRecord):
    """The neighbours' sealed shares with the model to train, and the masked update."""

    TYPE: ClassVar[str] = "flwr.collect_masked_vectors"
    STAGE: ClassVar[str] = "collect_masked_vectors"


class Unmask(FlowerRecord):
    """Who is said to be active and who dead, and the shares given for them."""

    TYPE: ClassVar[str] = "flwr.unmask"
    STAGE: ClassVar[str] = "unmask"


RECORDS: tuple[type[FlowerRecord], ...] = (Setup, ShareKeys, Collect, Unmask)
"""Every record after the header, in the order in which they may stand."""


@dataclass(frozen=True)
class CaptureLine:
    """One line of a capture, read; whether `previous` is the digest of the line before is for the reader to see."""

    sequence: int
    previous: str
    body: CaptureHeader | FlowerRecord


def parse_line(line: bytes) -> CaptureLine:
    """Return the record of a line.

    Raises:
        MalformedRecord: not canonical, of another form, signed, or sent by somebody else than it says.
    """
    one = require_keys(parse(line), frozenset(("body", "prev", "sender", "seq", "signature", "type")))
    if one["signature"] is not None:
        raise MalformedRecord("a capture bears no signatures")
    if type(one["type"]) is not str or one["type"] not in _KINDS:
        raise MalformedRecord("the type is none of a capture")
    body = _KINDS[one["type"]].parse(one["body"])
    sender = body.node if isinstance(body, FlowerRecord) and body.direction == FROM else SERVER
    if one["sender"] != sender:
        raise MalformedRecord("sender and direction disagree")
    return CaptureLine(require_integer(one["seq"]), require_sha256(one["prev"]), body)


@dataclass(frozen=True)
class _Form:
    write: Callable[[Any], Any]
    read: Callable[[Any], Any]


def _list(value: Any) -> list[Any]:
    if type(value) is not list:
        raise MalformedRecord("a list belongs here")
    return value


def _each(form: _Form) -> _Form:
    return _Form(
        lambda values: [form.write(one) for one in values],
        lambda values: tuple(form.read(one) for one in _list(values)),
    )


_KINDS: dict[str, type[CaptureHeader] | type[FlowerRecord]] = {kind.TYPE: kind for kind in RECORDS}
_KINDS[CaptureHeader.TYPE] = CaptureHeader
_HEADER_KEYS = frozenset(("protocol", "run", "round", "clients", "software", "function"))
_PLAIN = _Form(lambda value: value, lambda value: value)
_REAL = _Form(decimal, require_decimal)
_INTEGER = _Form(int, require_integer)
_ONE = _Form(encode_bytes, decode_bytes)
_BYTES = _each(_ONE)
_NODES = _each(_Form(str, require_id))
_ARRAYS = _each(_Form(MaskedArray.fields, MaskedArray.parse))
_DIGEST = _Form(str, require_sha256)
_COUNTS = ("sample_num", "share_num", "threshold", "target_range", "mod_range")
_FORMS: Mapping[tuple[str, str], Mapping[str, _Form]] = {
    ("setup", TO): dict.fromkeys(_COUNTS, _INTEGER) | {"clipping_range": _REAL, "max_weight": _REAL},
    ("setup", FROM): {"pk1": _ONE, "pk2": _ONE},
    ("share_keys", TO): {},
    ("share_keys", FROM): {"dsts": _NODES, "ctxts": _BYTES},
    ("collect_masked_vectors", TO): {"srcs": _NODES, "ctxts": _BYTES, "model_sha256": _DIGEST},
    ("collect_masked_vectors", FROM): {"masked_params": _ARRAYS},
    ("unmask", TO): {"active_nids": _NODES, "dead_nids": _NODES},
    ("unmask", FROM): {"nids": _NODES, "shares": _BYTES},
}
