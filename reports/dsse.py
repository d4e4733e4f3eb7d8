"""Dead Simple Signing Envelope, version 1.0.2 (secure-systems-lab/dsse: protocol.md).

The signed bytes stay opaque here: `Envelope.body` is what was signed, and is what gets parsed, once, elsewhere.
"""

import base64
import binascii
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import NamedTuple

from reports.canonical import canonical_json, strict_json
from reports.errors import BundleError
from reports.keys import PrivateKey, PublicKey

PAYLOAD_TYPE = "application/vnd.in-toto+json"
MAX_SIGNATURES = 16
_URL_SAFE = str.maketrans("-_", "+/")


def pae(payload_type: str, body: bytes) -> bytes:
    """Return the pre-authentication encoding, the bytes that are signed; lengths count bytes, not characters."""
    kind = payload_type.encode("utf-8")
    return b"DSSEv1 %d %b %d %b" % (len(kind), kind, len(body), body)


@dataclass(frozen=True)
class Signature:
    """One signature over the envelope's body."""

    keyid: str
    """A hint, and nothing else: nobody may trust it."""
    sig: bytes
    """DER of (r, s) for ECDSA, 64 bytes for Ed25519."""
    timestamp: bytes | None = None
    """RFC 3161 token over `sig`, kept as it is; nobody may trust it before it is verified."""


@dataclass(frozen=True)
class Envelope:
    """A body, its type, and who signed both."""

    payload_type: str
    """Media type of the body."""
    body: bytes
    """The bytes that were signed."""
    signatures: tuple[Signature, ...] = ()
    """At most 16, in no meaningful order."""

    def signed_by(self, key: PublicKey) -> bool:
        """Tell whether one of the signatures is by `key`, whatever its keyid says."""
        return bool(self.signatures_of(key))

    def with_signature(self, key: PrivateKey) -> "Envelope":
        """Return the envelope with a signature by `key`, in place of any that this key made before.

        A time-stamp stays where the signature comes out the same.

        Raises:
            BundleError: `dsse.too_many_signatures`.
        """
        own = self.signatures_of(key.public)
        made = sign(self.body, key)
        kept = next((one.timestamp for one in own if one.sig == made.sig), None)  # still about these very bytes
        signatures = (*(one for one in self.signatures if one not in own), replace(made, timestamp=kept))
        if len(signatures) > MAX_SIGNATURES:
            raise BundleError("dsse.too_many_signatures", f"an envelope holds at most {MAX_SIGNATURES} signatures")
        return replace(self, signatures=signatures)

    def signatures_of(self, key: PublicKey) -> tuple[Signature, ...]:
        """Return the signatures by `key`, whatever their keyids say."""
        message = pae(self.payload_type, self.body)
        return tuple(one for one in self.signatures if key.verify(one.sig, message))

    def with_timestamp(self, signature: Signature, token: bytes) -> "Envelope":
        """Return the envelope in which one of its signatures bears `token`, in place of any that it bore before."""
        stamped = tuple(replace(one, timestamp=token) if one == signature else one for one in self.signatures)
        return replace(self, signatures=stamped)

    def to_bytes(self) -> bytes:
        """Return the envelope as one canonical JSON object."""
        signatures = [
            {"keyid": s.keyid, "sig": _encode(s.sig)} | ({"timestamp": _encode(s.timestamp)} if s.timestamp else {})
            for s in self.signatures
        ]
        members = {"payload": _encode(self.body), "payloadType": self.payload_type, "signatures": signatures}
        return canonical_json(members)


def sign(body: bytes, key: PrivateKey) -> Signature:
    """Return the signature of `key` over an in-toto statement."""
    return Signature(key.keyid, key.sign(pae(PAYLOAD_TYPE, body)))


def parse_envelope(data: bytes) -> Envelope:
    """Return the envelope that `data` holds; errors as the four steps that it takes."""
    members = read_members(data)
    require_payload_type(members)
    envelope = decode(members)
    require_signature_count(members)
    return envelope


class Members(NamedTuple):
    """An envelope's members as they stand in the JSON."""

    payload: str
    payload_type: str
    signatures: tuple[Mapping[str, str], ...]


def read_members(data: bytes) -> Members:
    """Return the members of the envelope in `data`; those that the standard does not name are ignored.

    Raises:
        ReportError: `json.*`, no strict JSON.
        BundleError: `dsse.shape`, a member is missing or of the wrong kind.
    """
    match strict_json(data):
        case {"payload": str(payload), "payloadType": str(payload_type), "signatures": list(listed)}:
            return Members(payload, payload_type, tuple(_signature_members(entry) for entry in listed))
        case _:
            raise BundleError("dsse.shape", "no DSSE envelope: payload, payloadType and signatures must be there")


def require_payload_type(members: Members) -> None:
    """Refuse (`dsse.payload_type`) an envelope of anything but an in-toto statement."""
    if members.payload_type != PAYLOAD_TYPE:
        found = members.payload_type[:100]
        raise BundleError("dsse.payload_type", f"the payload type is {found!r}, not {PAYLOAD_TYPE!r}")


def decode(members: Members) -> Envelope:
    """Return the envelope with its base64 decoded; `dsse.base64` where a text is not the one spelling of its bytes."""
    body = _decode(members.payload, "payload")
    kept = members.signatures[:MAX_SIGNATURES]
    return Envelope(members.payload_type, body, tuple(_signature(entry) for entry in kept))


def require_signature_count(members: Members) -> None:
    """Refuse (`dsse.too_many_signatures`) an envelope that would cost a long time to check."""
    if (found := len(members.signatures)) > MAX_SIGNATURES:
        raise BundleError("dsse.too_many_signatures", f"{found} signatures; at most {MAX_SIGNATURES} are read")


def _signature_members(entry: object) -> Mapping[str, str]:
    if isinstance(entry, dict) and isinstance(entry.get("sig"), str):
        given = {name: entry[name] for name in ("keyid", "sig", "timestamp") if entry.get(name) is not None}
        if all(isinstance(value, str) for value in given.values()):
            return given
    raise BundleError("dsse.shape", "a signature of the envelope is no object with the strings sig and keyid")


def _signature(members: Mapping[str, str]) -> Signature:
    token = members.get("timestamp")
    return Signature(
        keyid=members.get("keyid", ""),
        sig=_decode(members["sig"], "sig"),
        timestamp=None if token is None else _decode(token, "timestamp"),
    )


def _encode(data: bytes) -> str:
    return base64.b64encode(data).decode("ascii")


def _decode(text: str, member: str) -> bytes:
    """Decode base64 that has one spelling: one of both alphabets, padded, no stray bits (RFC 4648 section 3.5)."""
    standard = text if "+" in text or "/" in text else text.translate(_URL_SAFE)
    try:
        data = base64.b64decode(standard, validate=True)
    except (binascii.Error, ValueError) as error:
        raise BundleError("dsse.base64", f"the envelope's {member} is not base64: {error}") from error
    if _encode(data) != standard:
        raise BundleError("dsse.base64", f"the envelope's {member} is base64 with stray bits or padding")
    return data
