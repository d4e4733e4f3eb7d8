"""Whoever an envelope says has signed it, and when a time-stamp says so. Nothing here is checked: that is verifying."""

import re
from dataclasses import dataclass
from datetime import UTC, datetime

from reports.dsse import Signature

_CONTENT = bytes.fromhex("060b2a864886f70d0109100104")
"""DER of the type id-ct-TSTInfo (RFC 3161 section 2.4.2), which stands before a token's content."""
_MOMENT = re.compile(rb"\x18[\x0f-\x1f](\d{14})(?:\.\d{1,14})?Z")
"""DER of a GeneralizedTime (X.690 section 11.7): of a token's content it is the first, genTime."""


@dataclass(frozen=True)
class Signer:
    """Whoever an envelope says has signed it; nothing here is checked."""

    keyid: str
    """Hint of the key."""
    role: str = ""
    """Hint of the role, or empty."""
    stamped: str | None = None
    """When its time-stamp says it was signed at the latest, or that none can be read; None where it has none."""


def signer_of(signature: Signature) -> Signer:
    """Return a signature as people read it; its time-stamp is read without the library that would check it."""
    if signature.timestamp is None:
        return Signer(signature.keyid)
    moment = claimed_moment(signature.timestamp)
    return Signer(
        signature.keyid, stamped=f"{moment:%Y-%m-%d %H:%M:%S} UTC" if moment else "a time that is not readable"
    )


def claimed_moment(token: bytes) -> datetime | None:
    """Return the time that a time-stamp token claims, UTC, in whole seconds; None where none is found."""
    _, found, content = token.partition(_CONTENT)
    moment = _MOMENT.search(content) if found else None
    if moment is None:
        return None
    try:
        return datetime.strptime(moment[1].decode("ascii"), "%Y%m%d%H%M%S").replace(tzinfo=UTC)
    except ValueError:
        return None
