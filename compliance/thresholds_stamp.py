"""`thresholds.toml.tsr`: an authority's reply, beside the file, that says by when its limits stood (RFC 3161).

Made with `openssl ts -query -data thresholds.toml -sha256 -out thresholds.toml.tsq`, sent to an authority. It counts
where the trust file of whoever runs the test lists that authority: one of the owner's own choice would be the owner's
word again.
"""

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from reports.errors import ReportError
from reports.regular import kind_of
from reports.signing import read_reply
from reports.timestamp import token_in, token_time
from reports.tomlfile import LARGEST_FILE
from reports.trust import load_trust

SUFFIX = ".tsr"
MEDIA_TYPE = "application/timestamp-reply"
"""RFC 3161 section 3.4."""
_WORD_ALONE = "The date of registration is the owner's word: no valid time stamp proves it."
_UNLISTED = "A time stamp lies beside the file; no trust file that lists its authority was given, so it proves nothing."


@dataclass(frozen=True)
class Registration:
    """What is known of the moment by which the limits stood."""

    proved: datetime | None
    """By then, UTC; None where it is the owner's word."""
    doubt: str
    """Why, a sentence; empty where it is proved."""
    reply: bytes | None = None
    """The authority's reply that proves it."""


def registration_of(file: Path, trust_file: Path | None) -> Registration:
    """Return what the time stamp beside a file proves.

    Args:
        file: the thresholds.
        trust_file: lists the authorities that the auditor believes; None: nobody is.

    Raises:
        TrustError: the trust file cannot be used.
    """
    stamp = file.with_name(file.name + SUFFIX)
    if kind_of(stamp) == "missing":
        return Registration(None, _WORD_ALONE)
    authorities = load_trust(trust_file).authorities if trust_file is not None else ()
    if not authorities:
        return Registration(None, _UNLISTED)
    try:
        reply = read_reply(stamp)
        with file.open("rb") as opened:
            content = opened.read(LARGEST_FILE)
        return Registration(token_time(token_in(reply, content), content, authorities), "", reply)
    except (ReportError, OSError) as error:
        reason = error.message if isinstance(error, ReportError) else "it cannot be read"
        return Registration(None, f"The time stamp beside the file proves nothing: {reason}.")
