"""Time-stamping authorities, each known by the one certificate that may sign for it (RFC 3161 section 2.3).

The certificate is pinned: neither another of the same issuer nor the issuer itself may stand in for it. Whether it was
revoked is not asked, as that needs a network: who lists an authority takes it off the list when it falls.
"""

import os
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from reports.errors import ReportError, TimestampError
from reports.regular import open_regular

if TYPE_CHECKING:
    from cryptography.x509 import Certificate

MAX_CERTIFICATES = 1 << 16
"""Bytes of a file of certificates; more are none."""
MAX_CHAIN = 8
"""Certificates in one file."""
MIN_RSA_BITS, MIN_CURVE_BITS = 2048, 256


@dataclass(frozen=True)
class Authority:
    """Somebody whose word for a time is taken."""

    name: str
    """Subject of its certificate, as RFC 4514 writes it; shown to people, without control characters."""
    certificate: "Certificate" = field(repr=False)
    """The one that may sign."""
    issuers: tuple["Certificate", ...] = field(default=(), repr=False)
    """Who issued it, who issued that one, up to one that issued itself; empty where the certificate issued itself."""

    @property
    def spki(self) -> bytes:
        """DER of the key that signs."""
        from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

        return self.certificate.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


def load_authority(path: Path) -> Authority:
    """Return the authority in a PEM file: its own certificate first, then its issuers up to the root.

    Raises:
        TimestampError: `timestamp.not_found`, `timestamp.private_key`, or `timestamp.certificate`: no such chain, or
            one whose first certificate may not sign time-stamps.
    """
    try:
        with open_regular(Path(os.path.realpath(path))) as file:  # a link is the lister's own choice here
            data = file.read(MAX_CERTIFICATES + 1)
    except (ReportError, OSError) as error:
        reason = error.strerror if isinstance(error, OSError) else error.message
        raise TimestampError("timestamp.not_found", f"{path} cannot be read: {reason}", "Check the path.") from error
    return parse_authority(data, str(path))


def parse_authority(pem: bytes, name: str) -> Authority:
    """Return the authority in the bytes of a PEM file; errors as `load_authority`, about the file called `name`."""
    from cryptography import x509
    from cryptography.exceptions import UnsupportedAlgorithm

    unreadable = (ValueError, UnsupportedAlgorithm, x509.DuplicateExtension, x509.InvalidVersion, Warning)
    if b"PRIVATE KEY" in pem:
        raise TimestampError("timestamp.private_key", f"{name} holds a private key", "Name the certificate alone.")
    if len(pem) > MAX_CERTIFICATES:
        raise _unfit(name, "is larger than 64 KiB", "Give the authority's certificate and its issuers alone.")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")  # what the library still reads with a warning is no certificate for us
            chain = x509.load_pem_x509_certificates(pem)
            if len(chain) > MAX_CHAIN:
                raise _unfit(name, f"holds {len(chain)} certificates", f"At most {MAX_CHAIN} make a chain.")
            _require_stamping(chain[0], name)
            _require_chain(chain, name)
            subject = chain[0].subject.rfc4514_string()
            return Authority(subject if subject.isprintable() else repr(subject), chain[0], tuple(chain[1:]))
    except unreadable as error:
        raise _unfit(name, "holds no readable certificate", "It must be PEM: BEGIN CERTIFICATE.") from error


def _require_stamping(certificate: "Certificate", name: str) -> None:
    """Refuse a certificate that may do something else than stamp, or whose key is weak."""
    from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
    from cryptography.x509 import BasicConstraints, ExtendedKeyUsage, ExtensionNotFound
    from cryptography.x509.oid import ExtendedKeyUsageOID

    first = "The first certificate must be the authority's own, its issuers follow."
    try:
        usage = certificate.extensions.get_extension_for_class(ExtendedKeyUsage)
    except ExtensionNotFound as error:
        raise _unfit(name, "begins with a certificate that is not for time-stamping", first) from error
    if not usage.critical or list(usage.value) != [ExtendedKeyUsageOID.TIME_STAMPING]:
        problem = "begins with a certificate whose extended key usage is not critical and timeStamping alone"
        raise _unfit(name, problem, first)
    try:
        issues = certificate.extensions.get_extension_for_class(BasicConstraints).value.ca
    except ExtensionNotFound:
        issues = False
    if issues:
        raise _unfit(name, "begins with the certificate of an issuer", first)
    key = certificate.public_key()
    strong = (
        (isinstance(key, rsa.RSAPublicKey) and key.key_size >= MIN_RSA_BITS)
        or (isinstance(key, ec.EllipticCurvePublicKey) and key.curve.key_size >= MIN_CURVE_BITS)
        or isinstance(key, ed25519.Ed25519PublicKey)
    )
    if not strong:
        raise _unfit(name, "has a key that is too weak, or of a kind that is not accepted", "Take another authority.")


def _require_chain(chain: Sequence["Certificate"], name: str) -> None:
    """Refuse certificates that do not each come from the next, and the last from itself."""
    from cryptography.exceptions import InvalidSignature

    for certificate, issuer in zip(chain, [*chain[1:], chain[-1]], strict=True):
        try:
            certificate.verify_directly_issued_by(issuer)
        except (ValueError, TypeError, InvalidSignature) as error:
            who = certificate.subject.rfc4514_string()
            problem = f"does not hold the certificate that issued {who!r} right behind it"
            mend = "Append the certificates of its issuers in order, up to the one that issued itself."
            raise _unfit(name, problem, mend) from error


def _unfit(name: str, problem: str, mend: str) -> TimestampError:
    return TimestampError("timestamp.certificate", f"{name} {problem}", mend)
