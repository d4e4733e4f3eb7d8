"""A time-stamping authority whose clock the test sets, and which errs where it is told to (RFC 3161, 5652, 5035).

`openssl ts` stamps with the time of the machine alone, so the replies are written here; `test_timestamp.py` has openssl
verify them, and has openssl stamp as well. Keys are fixed and signatures deterministic: the same bytes everywhere.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cache
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

SHA256, SHA1 = "2.16.840.1.101.3.4.2.1", "1.3.14.3.2.26"
CONTENT_TYPE, MESSAGE_DIGEST = "1.2.840.113549.1.9.3", "1.2.840.113549.1.9.4"
SIGNED_DATA, TST_INFO = "1.2.840.113549.1.7.2", "1.2.840.113549.1.9.16.1.4"
SIGNING_CERTIFICATE_V2 = "1.2.840.113549.1.9.16.2.47"
ECDSA_SHA256, ECDSA_SHA1 = "1.2.840.10045.4.3.2", "1.2.840.10045.4.1"
SINCE, UNTIL = datetime(2020, 1, 1, tzinfo=UTC), datetime(2040, 1, 1, tzinfo=UTC)


def tlv(tag: int, *content: bytes) -> bytes:
    """Tag, length, content."""
    body = b"".join(content)
    if len(body) < 0x80:
        return bytes([tag, len(body)]) + body
    size = len(body).to_bytes((len(body).bit_length() + 7) // 8, "big")
    return bytes([tag, 0x80 | len(size)]) + size + body


def oid(dotted: str) -> bytes:
    """An OBJECT IDENTIFIER, by the library's own encoder: the value of an extended key usage is a sequence of them."""
    return x509.ExtendedKeyUsage([x509.ObjectIdentifier(dotted)]).public_bytes()[2:]


def integer(value: int) -> bytes:
    """An INTEGER that is not negative."""
    return tlv(2, value.to_bytes(value.bit_length() // 8 + 1, "big"))


def set_of(*elements: bytes) -> bytes:
    """A SET OF in the order of DER."""
    return tlv(0x31, *sorted(elements))


def algorithm(dotted: str) -> bytes:
    """An AlgorithmIdentifier of a digest."""
    return tlv(0x30, oid(dotted), tlv(5))


@cache
def private(scalar: int) -> ec.EllipticCurvePrivateKey:
    """The P-256 key of a small number: nothing here is secret."""
    return ec.derive_private_key(scalar, ec.SECP256R1())


def named(name: str) -> x509.Name:
    """A common name alone."""
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])


TIME_STAMPING = (x509.ExtendedKeyUsage([ExtendedKeyUsageOID.TIME_STAMPING]), True)
ISSUER = (x509.BasicConstraints(ca=True, path_length=None), True)


def certificate(
    subject: str,
    key: Any,
    issuer: str,
    issuer_key: ec.EllipticCurvePrivateKey,
    *extensions: tuple[x509.ExtensionType, bool],
    serial: int = 7,
    window: tuple[datetime, datetime] = (SINCE, UNTIL),
) -> x509.Certificate:
    """A certificate with the extensions, each with its criticality."""
    builder = x509.CertificateBuilder(
        issuer_name=named(issuer),
        subject_name=named(subject),
        public_key=key,
        serial_number=serial,
        not_valid_before=window[0],
        not_valid_after=window[1],
    )
    for extension, critical in extensions:
        builder = builder.add_extension(extension, critical)
    return builder.sign(issuer_key, hashes.SHA256(), ecdsa_deterministic=True)


ROOT = certificate("Test Root", private(11).public_key(), "Test Root", private(11), ISSUER, serial=1)


@dataclass(frozen=True)
class StampingAuthority:
    """Somebody who stamps; the defaults are an honest one."""

    name: str = "Test TSA"
    scalar: int = 12
    """Of its private key."""
    extensions: tuple[tuple[x509.ExtensionType, bool], ...] = (TIME_STAMPING,)
    window: tuple[datetime, datetime] = (SINCE, UNTIL)
    serial: int = 7

    @property
    def certificate(self) -> x509.Certificate:
        """Its own, issued by the test root."""
        key = private(self.scalar).public_key()
        return certificate(
            self.name, key, "Test Root", private(11), *self.extensions, serial=self.serial, window=self.window
        )

    @property
    def pem(self) -> bytes:
        """What a trust file lists: its certificate, and the root."""
        return pem(self.certificate, ROOT)

    def token(self, message: bytes, at: datetime, **slips: Any) -> bytes:
        """A TimeStampToken."""
        return Stamping(self, message, at, **slips).token()

    def reply(self, message: bytes, at: datetime, *, status: int = 0, told: str = "not today", **slips: Any) -> bytes:
        """A TimeStampResp; without a token where `status` is a refusal, and then it says why."""
        why = tlv(0x30, integer(status), *([tlv(0x30, tlv(0x0C, told.encode()))] if status > 1 else []))
        return tlv(0x30, why, *([self.token(message, at, **slips)] if status <= 1 else []))


@dataclass(frozen=True)
class Stamping:
    """One token in the making, with what may be wrong about it."""

    authority: StampingAuthority
    message: bytes
    at: datetime
    imprint: str = SHA256
    """Algorithm of the message's digest."""
    digest: str = SHA256
    """Algorithm of the content's digest and of the signature's."""
    accuracy: int | None = None
    """Seconds."""
    nonce: int | None = None
    signing_scalar: int | None = None
    """Another private key that signs."""
    signer: x509.Certificate | None = None
    """Another certificate that the token names."""
    embedded: Sequence[x509.Certificate] = field(default=())
    in_order: bool = True
    """Whether embedded certificates are in the order of DER."""
    signers: int = 1

    def content(self) -> bytes:
        """TSTInfo."""
        hashed = hashlib.new({SHA256: "sha256", SHA1: "sha1"}[self.imprint], self.message).digest()
        optional = []
        if self.accuracy is not None:
            optional.append(tlv(0x30, integer(self.accuracy)))
        if self.nonce is not None:
            optional.append(integer(self.nonce))
        return tlv(
            0x30,
            integer(1),
            oid("1.2.3.4.1"),
            tlv(0x30, algorithm(self.imprint), tlv(4, hashed)),
            integer(1),
            tlv(0x18, self.at.strftime("%Y%m%d%H%M%SZ").encode()),
            *optional,
        )

    def token(self) -> bytes:
        """ContentInfo of SignedData."""
        certificates = [one.public_bytes(Encoding.DER) for one in self.embedded]
        certificates = sorted(certificates) if self.in_order else sorted(certificates, reverse=True)
        signed = tlv(
            0x30,
            integer(3),
            set_of(algorithm(self.digest)),
            tlv(0x30, oid(TST_INFO), tlv(0xA0, tlv(4, self.content()))),
            *([tlv(0xA0, *certificates)] if certificates else []),
            set_of(*[self.signer_info(number) for number in range(self.signers)]),
        )
        return tlv(0x30, oid(SIGNED_DATA), tlv(0xA0, signed))

    def signer_info(self, number: int) -> bytes:
        """SignerInfo; from the second on it differs in a digest that is wrong."""
        who = self.signer or self.authority.certificate
        weak = self.digest == SHA1
        hashed = hashlib.new("sha1" if weak else "sha256", self.content() + bytes(number)).digest()
        pinned = hashlib.sha256(who.public_bytes(Encoding.DER)).digest()
        attributes = sorted(
            [
                tlv(0x30, oid(CONTENT_TYPE), set_of(oid(TST_INFO))),
                tlv(0x30, oid(MESSAGE_DIGEST), set_of(tlv(4, hashed))),
                tlv(0x30, oid(SIGNING_CERTIFICATE_V2), set_of(tlv(0x30, tlv(0x30, tlv(0x30, tlv(4, pinned)))))),
            ]
        )
        key = private(self.signing_scalar or self.authority.scalar)
        scheme = ec.ECDSA(hashes.SHA1() if weak else hashes.SHA256(), deterministic_signing=True)  # SHA-1: a slip
        signature = key.sign(tlv(0x31, *attributes), scheme)
        return tlv(
            0x30,
            integer(1),
            tlv(0x30, who.issuer.public_bytes(), integer(who.serial_number)),
            algorithm(self.digest),
            tlv(0xA0, *attributes),
            tlv(0x30, oid(ECDSA_SHA1 if weak else ECDSA_SHA256)),
            tlv(4, signature),
        )


def pem(*certificates: x509.Certificate) -> bytes:
    """A file of certificates."""
    return b"".join(one.public_bytes(Encoding.PEM) for one in certificates)


TSA = StampingAuthority()
"""The honest one."""
