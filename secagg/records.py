"""What a record says: one frozen noun a type, strict in both directions. How it travels stands in `messages`."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from itertools import chain
from typing import Any, ClassVar, Self

from secagg.wire import (
    MalformedRecord,
    canonical,
    decimal,
    decode_bytes,
    decode_each,
    encode_bytes,
    require_boolean,
    require_decimal,
    require_each_id,
    require_each_sha256,
    require_ids,
    require_integer,
    require_keys,
    require_sha256,
    require_text,
)

PROTOCOL = "fedaudit-secagg-v1"
SEALED = 144
"""Bytes of two shares, sealed: 2 x 64 and a 16-byte tag."""
SHARE = 64
"""Bytes of one share: 16 field elements as little-endian uint32."""
WEIGHTINGS = ("uniform", "integer")


@dataclass(frozen=True)
class Body:
    """The content of a record. `fields` and `parse` are inverse to one another."""

    TYPE: ClassVar[str]

    def fields(self) -> dict[str, Any]:
        """Return the body as plain JSON values."""
        raise NotImplementedError

    @classmethod
    def parse(cls, fields: Any) -> Self:
        """Return the body of plain JSON values.

        Raises:
            MalformedRecord: a field is missing, unknown or of the wrong form.
        """
        raise NotImplementedError


@dataclass(frozen=True)
class HeaderQuantization:
    """How updates become ring elements, as the header says it; `clipping_range` > 0, `levels` steps."""

    clipping_range: float
    levels: int
    weighting: str = "uniform"
    max_weight: int = 1

    def fields(self) -> dict[str, Any]:
        """Return it as plain JSON values."""
        return {
            "clipping_range": decimal(self.clipping_range),
            "levels": self.levels,
            "weighting": self.weighting,
            "max_weight": self.max_weight,
        }

    @classmethod
    def parse(cls, fields: Any) -> Self:
        """Return it from plain JSON values, or refuse them with `MalformedRecord`."""
        one = require_keys(fields, frozenset(("clipping_range", "levels", "weighting", "max_weight")))
        if one["weighting"] not in WEIGHTINGS:
            raise MalformedRecord("weighting is uniform or integer")
        return cls(
            require_decimal(one["clipping_range"]),
            require_integer(one["levels"], 1),
            one["weighting"],
            require_integer(one["max_weight"], 1),
        )


@dataclass(frozen=True)
class Header(Body):
    """What the server proposes for a round; its line is what the session is named after."""

    TYPE: ClassVar[str] = "header"
    run: str
    round: int
    clients: Mapping[str, bytes | None]
    """Id to Ed25519 public key (32 bytes) or None, sorted by id."""
    degree: int
    threshold: int
    beacon: bytes
    """32 bytes from which everybody computes the graph."""
    beacon_source: str
    """`server`, `simulation` or `public:TEXT`."""
    server_trust: str
    signatures: bool
    consistency_check: bool
    modulus_bits: int
    length: int
    """Elements of a masked vector; with integer weighting one more than the update has."""
    quantization: HeaderQuantization
    model_sha256: str | None = None
    corrupt_fraction: float = 0.05
    dropout_fraction: float = 0.05
    software: str = "fedaudit"

    def fields(self) -> dict[str, Any]:
        """Return the body as plain JSON values."""
        plain = {name: getattr(self, name) for name in _HEADER_PLAIN}
        clients = [
            {"id": one, "identity_key": None if key is None else encode_bytes(key)}
            for one, key in sorted(self.clients.items())
        ]
        return plain | {
            "protocol": PROTOCOL,
            "clients": clients,
            "beacon": self.beacon.hex(),
            "quantization": self.quantization.fields(),
            "corrupt_fraction": decimal(self.corrupt_fraction),
            "dropout_fraction": decimal(self.dropout_fraction),
        }

    @classmethod
    def parse(cls, fields: Any) -> Self:
        """Return the header of plain JSON values, or refuse them with `MalformedRecord`."""
        one = require_keys(fields, _HEADER_KEYS)
        if one["protocol"] != PROTOCOL:
            raise MalformedRecord(f"protocol is not {PROTOCOL}")
        model = one["model_sha256"]
        return cls(
            run=require_text(one["run"]),
            round=require_integer(one["round"]),
            clients=_parse_clients(one["clients"]),
            degree=require_integer(one["degree"]),
            threshold=require_integer(one["threshold"]),
            beacon=bytes.fromhex(require_sha256(one["beacon"])),
            beacon_source=require_text(one["beacon_source"]),
            server_trust=require_text(one["server_trust"], 40),
            signatures=require_boolean(one["signatures"]),
            consistency_check=require_boolean(one["consistency_check"]),
            modulus_bits=require_integer(one["modulus_bits"]),
            length=require_integer(one["length"], 1),
            quantization=HeaderQuantization.parse(one["quantization"]),
            model_sha256=None if model is None else require_sha256(model),
            corrupt_fraction=require_decimal(one["corrupt_fraction"]),
            dropout_fraction=require_decimal(one["dropout_fraction"]),
            software=require_text(one["software"]),
        )

    @property
    def ids(self) -> tuple[str, ...]:
        """The cohort, sorted by id."""
        return tuple(sorted(self.clients))


@dataclass(frozen=True)
class Advertise(Body):
    """A client's two ephemeral X25519 public keys (32 bytes each)."""

    TYPE: ClassVar[str] = "advertise"
    mask_key: bytes
    share_key: bytes

    def fields(self) -> dict[str, Any]:
        """Return the body as plain JSON values."""
        return {"mask_key": encode_bytes(self.mask_key), "share_key": encode_bytes(self.share_key)}

    @classmethod
    def parse(cls, fields: Any) -> Self:
        """Return the body of plain JSON values, or refuse them with `MalformedRecord`."""
        one = require_keys(fields, frozenset(("mask_key", "share_key")))
        return cls(decode_bytes(one["mask_key"], 32), decode_bytes(one["share_key"], 32))


@dataclass(frozen=True)
class _Included(Body):
    included: tuple[str, ...]

    def fields(self) -> dict[str, Any]:
        """Return the body as plain JSON values."""
        return {"included": list(self.included)}

    @classmethod
    def parse(cls, fields: Any) -> Self:
        """Return the body of plain JSON values, or refuse them with `MalformedRecord`."""
        return cls(require_ids(require_keys(fields, frozenset(("included",)))["included"]))


@dataclass(frozen=True)
class Roster(_Included):
    """U1: the clients whose keys arrived."""

    TYPE: ClassVar[str] = "roster"


@dataclass(frozen=True)
class ShareRoster(_Included):
    """U2: the clients whose shares arrived."""

    TYPE: ClassVar[str] = "share_roster"


@dataclass(frozen=True)
class Survivors(_Included):
    """U3: the clients whose masked inputs arrived."""

    TYPE: ClassVar[str] = "survivors"


@dataclass(frozen=True)
class Shares(Body):
    """A client's shares for its neighbours in U1, sealed, with what binds the owner to them."""

    TYPE: ClassVar[str] = "shares"
    self_mask_commitment: str
    """Hexadecimal SHA-256 over the self-mask seed (`secagg.keys.commitment`)."""
    ciphertexts: Mapping[str, bytes]
    """Neighbour to 144 bytes."""
    share_digests: Mapping[str, tuple[str, str]]
    """Neighbour to the hexadecimal SHA-256 of the share of the mask key and of that of the self-mask seed."""

    def fields(self) -> dict[str, Any]:
        """Return the body as plain JSON values."""
        return {
            "self_mask_commitment": self.self_mask_commitment,
            "ciphertexts": {peer: encode_bytes(sealed) for peer, sealed in self.ciphertexts.items()},
            "share_digests": dict(self.share_digests),
        }

    @classmethod
    def parse(cls, fields: Any) -> Self:
        """Return the body of plain JSON values, or refuse them with `MalformedRecord`."""
        one = require_keys(fields, frozenset(("self_mask_commitment", "ciphertexts", "share_digests")))
        digests = one["share_digests"]
        if type(digests) is not dict or set(map(type, digests.values())) - {list}:
            raise MalformedRecord("share_digests holds two digests a neighbour")
        if set(map(len, digests.values())) - {2}:
            raise MalformedRecord("share_digests holds two digests a neighbour")
        require_each_id(digests)
        require_each_sha256(list(chain.from_iterable(digests.values())))
        return cls(
            require_sha256(one["self_mask_commitment"]),
            _parse_binaries(one["ciphertexts"], SEALED),
            dict(zip(digests, map(tuple, digests.values()), strict=True)),
        )


@dataclass(frozen=True)
class MaskedInput(Body):
    """A client's masked vector, by digest; the vector itself travels and is stored beside it."""

    TYPE: ClassVar[str] = "masked_input"
    blob: str
    """Hexadecimal SHA-256 of the little-endian ring words."""
    length: int
    modulus_bits: int
    model_sha256: str | None

    def fields(self) -> dict[str, Any]:
        """Return the body as plain JSON values."""
        return dict(vars(self))

    @classmethod
    def parse(cls, fields: Any) -> Self:
        """Return the body of plain JSON values, or refuse them with `MalformedRecord`."""
        one = require_keys(fields, frozenset(("blob", "length", "modulus_bits", "model_sha256")))
        model = one["model_sha256"]
        return cls(
            require_sha256(one["blob"]),
            require_integer(one["length"]),
            require_integer(one["modulus_bits"]),
            None if model is None else require_sha256(model),
        )


@dataclass(frozen=True)
class Consistency(Body):
    """What a client was told of the survivors, for its neighbours to compare."""

    TYPE: ClassVar[str] = "consistency"
    survivors_sha256: str

    @classmethod
    def of(cls, survivors: Sequence[str]) -> Self:
        """Return the body for a list of survivors."""
        return cls(sha256(canonical(sorted(survivors))).hexdigest())

    def fields(self) -> dict[str, Any]:
        """Return the body as plain JSON values."""
        return {"survivors_sha256": self.survivors_sha256}

    @classmethod
    def parse(cls, fields: Any) -> Self:
        """Return the body of plain JSON values, or refuse them with `MalformedRecord`."""
        return cls(require_sha256(require_keys(fields, frozenset(("survivors_sha256",)))["survivors_sha256"]))


@dataclass(frozen=True)
class Unmask(Body):
    """A client's shares of what the sum still needs: mask keys of the dropped, self-mask seeds of the survivors."""

    TYPE: ClassVar[str] = "unmask"
    mask_key_shares: Mapping[str, bytes]
    self_mask_shares: Mapping[str, bytes]

    def fields(self) -> dict[str, Any]:
        """Return the body as plain JSON values."""
        return {
            kind: {owner: encode_bytes(share) for owner, share in getattr(self, kind).items()}
            for kind in ("mask_key_shares", "self_mask_shares")
        }

    @classmethod
    def parse(cls, fields: Any) -> Self:
        """Return the body of plain JSON values, or refuse them with `MalformedRecord`."""
        one = require_keys(fields, frozenset(("mask_key_shares", "self_mask_shares")))
        return cls(_parse_binaries(one["mask_key_shares"], SHARE), _parse_binaries(one["self_mask_shares"], SHARE))


@dataclass(frozen=True)
class Aggregate(Body):
    """The ring sum of the survivors' vectors, by digest."""

    TYPE: ClassVar[str] = "aggregate"
    blob: str
    length: int
    survivors: int

    def fields(self) -> dict[str, Any]:
        """Return the body as plain JSON values."""
        return dict(vars(self))

    @classmethod
    def parse(cls, fields: Any) -> Self:
        """Return the body of plain JSON values, or refuse them with `MalformedRecord`."""
        one = require_keys(fields, frozenset(("blob", "length", "survivors")))
        return cls(require_sha256(one["blob"]), require_integer(one["length"]), require_integer(one["survivors"]))


BODIES: tuple[type[Body], ...] = (
    Header, Advertise, Roster, Shares, ShareRoster, MaskedInput, Survivors, Consistency, Unmask, Aggregate,
)  # fmt: skip
"""Every record, in the order in which they may stand."""
TYPES = tuple(body.TYPE for body in BODIES)


def _parse_clients(value: Any) -> dict[str, bytes | None]:
    if type(value) is not list:
        raise MalformedRecord("clients is a list")
    pairs = [require_keys(one, frozenset(("id", "identity_key"))) for one in value]
    ids = require_ids([pair["id"] for pair in pairs])
    keys = (None if pair["identity_key"] is None else decode_bytes(pair["identity_key"], 32) for pair in pairs)
    return dict(zip(ids, keys, strict=True))


def _parse_binaries(value: Any, length: int) -> dict[str, bytes]:
    if type(value) is not dict:
        raise MalformedRecord("an object of client ids belongs here")
    require_each_id(value)
    return dict(zip(value, decode_each(value.values(), length), strict=True))


_HEADER_PLAIN = (
    "run", "round", "degree", "threshold", "beacon_source", "server_trust", "signatures", "consistency_check",
    "modulus_bits", "length", "model_sha256", "software",
)  # fmt: skip
_HEADER_KEYS = frozenset(
    (*_HEADER_PLAIN, "protocol", "clients", "beacon", "quantization", "corrupt_fraction", "dropout_fraction")
)
