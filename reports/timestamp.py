"""Time-stamps of RFC 3161: the query for one, the token in a reply, and the time that a token proves.

What is stamped is a signature: the SHA-256 of its bytes, as they stand decoded in `sig`. So a token proves when this
very signature existed, and through it the report and the key's consent; a token over the report alone would let
whoever steals the key later sign an old report. Sigstore stamps the same bytes.

Queries bear no nonce: a reply is held to the digest in it, and an older reply about the same signature proves more, not
less. They ask for no certificates, as the verifier has the one that counts. Queries need no library; tokens are read
and verified by rfc3161-client (extra `[timestamp]`), which accepts strict DER alone.
"""

import hashlib
import warnings
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, TypeVar

from reports import der
from reports.errors import TimestampError
from reports.timestamp_authority import Authority

if TYPE_CHECKING:
    from rfc3161_client import Accuracy, TimeStampResponse

Value = TypeVar("Value")
MAX_TOKEN = 1 << 16
"""Bytes of a token or a reply; one with a chain of certificates has about 6000."""
INSTALL = "Install it: pip install 'fedaudit[timestamp]'."
_SHA256 = "2.16.840.1.101.3.4.2.1"
_SHA2 = {_SHA256: "sha256", "2.16.840.1.101.3.4.2.2": "sha384", "2.16.840.1.101.3.4.2.3": "sha512"}
_ASK_AGAIN = "Send the query that --timestamp-query writes, and attach the reply to it."


def timestamp_query(message: bytes) -> bytes:
    """Return the query that asks an authority to stamp `message`: DER of a TimeStampReq (RFC 3161 section 2.4.1)."""
    algorithm = der.sequence(der.identifier(_SHA256), der.null())
    imprint = der.sequence(algorithm, der.octets(hashlib.sha256(message).digest()))
    return der.sequence(der.integer(1), imprint)


def granted(token: bytes) -> bytes:
    """Return a reply that grants `token`: DER of a TimeStampResp (section 2.4.2), for readers that want one."""
    return der.sequence(der.sequence(der.integer(0)), token)


def token_in(reply: bytes, message: bytes) -> bytes:
    """Return the token in an authority's reply; whose it is, and when it is from, stays unchecked.

    Args:
        reply: DER of a TimeStampResp, the file that authorities send (`.tsr`).
        message: what must have been stamped.

    Raises:
        TimestampError: `timestamp.extra`, `timestamp.too_large`, `timestamp.syntax`, `timestamp.rejected` (the reply
            holds no token), `timestamp.imprint` (it is about something else).
    """
    response = _decoded(reply)
    if response.status != 0:
        told = "; ".join(str(text) for text in response.status_string or ())[:200]
        reason = f": {told!r}" if told else ""
        raise TimestampError(
            "timestamp.rejected", f"the authority granted no time-stamp (status {response.status}){reason}"
        )
    token = bytes(_read(response.time_stamp_token))
    _require_imprint(_decoded(granted(token)), message)
    return token


def token_time(token: bytes, message: bytes, authorities: Iterable[Authority]) -> datetime:
    """Return the moment, UTC, by which `message` existed at the latest, as one of `authorities` says in `token`.

    That is the token's time plus the accuracy that it claims. The authority's certificate must have been valid at the
    token's time; it may have expired since.

    Args:
        token: DER of a TimeStampToken.
        message: what must have been stamped, with SHA-256, SHA-384 or SHA-512.
        authorities: who is believed; each may sign with its one certificate alone.

    Raises:
        TimestampError: `timestamp.extra`, `timestamp.too_large`, `timestamp.syntax`, `timestamp.imprint`,
            `timestamp.authority` (by none of them), `timestamp.expired` (not valid then), `timestamp.signature`.
    """
    response = _decoded(granted(token))
    _require_imprint(response, message)
    authority = _signer(response, tuple(authorities))
    moment = _read(lambda: response.tst_info.gen_time)
    certificate = authority.certificate
    if not certificate.not_valid_before_utc <= moment < certificate.not_valid_after_utc:  # as OpenSSL counts seconds
        problem = f"the certificate of {authority.name!r} was not valid at the time-stamp's time, {moment:%Y-%m-%d}"
        raise TimestampError("timestamp.expired", problem)
    _require_signature(response, message, authority)
    return _latest(response, moment)


def _decoded(reply: bytes) -> "TimeStampResponse":
    """Return what a reply in strict DER holds; parts of it are read, and may be refused, later."""
    try:
        from rfc3161_client import decode_timestamp_response
    except ImportError as error:
        raise TimestampError("timestamp.extra", "reading time-stamps needs rfc3161-client", INSTALL) from error
    if len(reply) > MAX_TOKEN:
        raise TimestampError("timestamp.too_large", "the time-stamp is larger than 64 KiB", _ASK_AGAIN)
    try:
        return decode_timestamp_response(reply)
    except ValueError as error:
        if "InvalidSetOrdering" in str(error):
            problem = "the time-stamp holds certificates that are not in the order of DER"
        else:
            problem = "this is no time-stamp in DER (RFC 3161)"
        raise TimestampError("timestamp.syntax", problem, _ASK_AGAIN) from error


def _read(part: Callable[[], Value]) -> Value:
    """Return a part of a reply, which the library reads when it is asked for and not before."""
    try:
        return part()
    except Exception as error:  # of broken names the library raises KeyError, of broken times ValueError, and so on
        raise TimestampError("timestamp.syntax", "this is no time-stamp in DER (RFC 3161)", _ASK_AGAIN) from error


def _require_imprint(response: "TimeStampResponse", message: bytes) -> None:
    imprint = _read(lambda: response.tst_info.message_imprint)
    algorithm = _SHA2.get(_read(lambda: imprint.hash_algorithm.dotted_string))
    if algorithm is None:
        raise TimestampError(
            "timestamp.imprint", "the time-stamp's digest is none of SHA-256, SHA-384 and SHA-512", _ASK_AGAIN
        )
    if _read(lambda: imprint.message) != hashlib.new(algorithm, message).digest():
        raise TimestampError("timestamp.imprint", "the time-stamp is about other bytes than these", _ASK_AGAIN)


def _signer(response: "TimeStampResponse", authorities: Sequence[Authority]) -> Authority:
    """Return the one listed authority that the token names as its one signer; whether it signed is still open."""
    signed = _read(lambda: response.signed_data)
    signers = _read(lambda: [(one.issuer, one.serial_number) for one in signed.signer_infos])
    digests = _read(lambda: {algorithm.dotted_string for algorithm in signed.digest_algorithms})
    if len(signers) != 1 or not digests or not digests <= set(_SHA2):
        raise TimestampError(
            "timestamp.syntax", "the time-stamp is not signed once, over a digest of SHA-2", _ASK_AGAIN
        )
    for authority in authorities:  # the library takes an issuer's own signature for the authority's
        if signers[0] == (authority.certificate.issuer, authority.certificate.serial_number):
            return authority
    named = f"{signers[0][0].rfc4514_string()[:100]!r}, serial number {signers[0][1]:x}"
    raise TimestampError("timestamp.authority", f"its certificate (by {named[:200]}) is not that of a listed authority")


def _require_signature(response: "TimeStampResponse", message: bytes, authority: Authority) -> None:
    """Refuse a token that the authority did not sign: chain, purpose, digest of the content, signature."""
    from rfc3161_client import VerifierBuilder

    roots = list(authority.issuers) or [authority.certificate]
    verifier = VerifierBuilder(tsa_certificate=authority.certificate, roots=roots).build()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")  # a certificate that it brings along, and that is read with a warning
            verified = verifier.verify_message(response, message)
    except Exception as error:  # the library's own for a refusal, anything for certificates that are none
        problem = f"the signature of {authority.name!r} on the time-stamp does not verify"
        raise TimestampError("timestamp.signature", problem) from error
    if not verified:  # so far the library raises instead
        raise TimestampError("timestamp.signature", f"{authority.name!r} did not sign the time-stamp")


def _latest(response: "TimeStampResponse", moment: datetime) -> datetime:
    """Return the token's time plus its claimed accuracy (RFC 3161 section 2.4.2): the end of the time it could be."""
    accuracy: Accuracy | None = _read(lambda: response.tst_info.accuracy)
    if accuracy is None:
        return moment
    parts = _read(lambda: (accuracy.seconds or 0, accuracy.millis or 0, accuracy.micros or 0))
    try:
        return moment + timedelta(seconds=parts[0], milliseconds=parts[1], microseconds=parts[2])
    except OverflowError as error:
        raise TimestampError("timestamp.syntax", "the time-stamp claims no accuracy at all") from error
