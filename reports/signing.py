"""Having a signature in a bundle time-stamped: what to ask an authority, and where its answer goes (RFC 3161)."""

from pathlib import Path

from reports.bundle import Bundle, read_bundle, replace_envelope
from reports.errors import TimestampError
from reports.keys import PublicKey
from reports.regular import open_regular
from reports.timestamp import MAX_TOKEN, timestamp_query, token_in


def query_for(bundle: Bundle, key: PublicKey) -> bytes:
    """Return the query that asks for a time-stamp on the signature of `key`: DER, to be sent to an authority.

    Raises:
        TimestampError: `timestamp.no_signature`, the key has not signed.
    """
    own = bundle.envelope.signatures_of(key)
    if not own:
        raise _unsigned(bundle.path, key)
    return timestamp_query(own[-1].sig)


def attach_timestamp(path: Path, key: PublicKey, reply: bytes) -> Bundle:
    """Put the token of an authority's reply beside the signature of `key` that it is about; return what is there now.

    Who signed the token is for each verifier's trust file to say, and is not asked here.

    Args:
        path: folder of the bundle.
        key: whose signature was stamped.
        reply: DER of a TimeStampResp.

    Raises:
        TimestampError: as `reports.timestamp.token_in`; `timestamp.no_signature`, the key has not signed.
        BundleError: as `reports.bundle.add_signature`.
        OSError: the folder cannot be written.
    """
    bundle = read_bundle(path)
    own = bundle.envelope.signatures_of(key)
    if not own:
        raise _unsigned(path, key)
    refused: TimestampError | None = None
    for signature in own:
        try:
            token = token_in(reply, signature.sig)
        except TimestampError as error:
            refused = error
            continue
        return replace_envelope(bundle, bundle.envelope.with_timestamp(signature, token))
    raise refused or _unsigned(path, key)


def read_reply(path: Path) -> bytes:
    """Return an authority's reply from its file.

    Raises:
        TimestampError: `timestamp.too_large`, more than any reply.
        BundleError, OSError: it cannot be read.
    """
    with open_regular(path) as file:
        reply = file.read(MAX_TOKEN + 1)
    if len(reply) > MAX_TOKEN:
        raise TimestampError("timestamp.too_large", f"{path} is larger than 64 KiB", "Name the authority's reply.")
    return reply


def _unsigned(path: Path, key: PublicKey) -> TimestampError:
    problem = f"{path} bears no signature by the key {key.keyid[:16]}"
    return TimestampError("timestamp.no_signature", problem, "Sign it first: `fedaudit sign`.")
