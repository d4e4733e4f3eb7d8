"""A file with an authority's reply beside it: by when did its content stand (RFC 3161)?

The reply is made of `openssl ts -query -data FILE -sha256 -out FILE.tsq`, sent to an authority, and kept as `FILE.tsr`.
It counts where the trust file of whoever asks lists that authority: one of the owner's own choice is the owner's word.
"""

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from reports.errors import ReportError
from reports.regular import kind_of
from reports.signing import read_reply
from reports.timestamp import token_in, token_time
from reports.trust import load_trust

SUFFIX = ".tsr"
MEDIA_TYPE = "application/timestamp-reply"
"""RFC 3161 section 3.4."""


@dataclass(frozen=True)
class Stamp:
    """What the reply beside a file proves."""

    moment: datetime | None = None
    """By then the content stood, UTC; None where that is not proved."""
    doubt: str = ""
    """Why the reply proves nothing, to follow a colon; empty where it does, or there is none."""
    reply: bytes | None = None
    """The reply that proves it."""


def stamp_beside(file: Path, content: bytes, trust_file: Path | None) -> Stamp:
    """Return what the reply beside a file proves of its content.

    Args:
        file: whatever was stamped; the reply bears its name with `.tsr` appended.
        content: the bytes that were stamped.
        trust_file: lists the authorities that whoever asks believes; None: nobody is.

    Raises:
        TrustError: the trust file cannot be used.
    """
    place = file.with_name(file.name + SUFFIX)
    if kind_of(place) == "missing":
        return Stamp()
    authorities = load_trust(trust_file).authorities if trust_file is not None else ()
    if not authorities:
        return Stamp(doubt="no trust file that lists its authority was given")
    try:
        reply = read_reply(place)
        return Stamp(token_time(token_in(reply, content), content, authorities), reply=reply)
    except ReportError as error:
        return Stamp(doubt=error.message)
    except OSError as error:
        return Stamp(doubt=f"it cannot be read ({error.strerror})")
