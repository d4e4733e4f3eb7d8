"""When each trusted key signed: the time on a time-stamp by a listed authority, else the report's own word.

A time-stamp is no part of what was signed: anybody can cut one off or add one. So one that proves nothing is worth no
more, and no less, than none; the reason is kept for the reader. Of several by one key the earliest proves most.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from reports.dsse import Envelope, Signature
from reports.errors import BundleError, TimestampError
from reports.timestamp import token_time
from reports.trust import Trust, TrustedKey

CLOCK_SKEW = timedelta(minutes=5)
"""How far the clocks of the auditor, of an authority and ours may lie apart."""


@dataclass(frozen=True)
class Signed:
    """A trusted key, and what it signed the report with."""

    trusted: TrustedKey
    """The key."""
    signatures: tuple[Signature, ...]
    """Its signatures over the report; one, unless somebody copied it."""
    stamped_at: datetime | None = None
    """When a listed authority saw the signature, UTC; None where none did."""
    doubt: str = ""
    """Why a time-stamp that it bears proves nothing; empty where it does, or bears none."""

    def objection(self, finished: datetime, *, must_be_stamped: bool) -> str:
        """Return why the signature does not count; empty if it does."""
        if self.stamped_at is None and must_be_stamped:
            return self.doubt or "bears no time-stamp"
        if self.stamped_at is None:
            return self.trusted.objection(finished)
        return self.trusted.objection(self.stamped_at, stamped=True)


@dataclass(frozen=True)
class SignaturesFound:
    """Whose signatures an envelope bears."""

    signed: tuple[Signed, ...]
    """Those by trusted keys, in the order of the trust file."""
    strangers: int
    """How many are by no key of the trust file."""


def find_signatures(envelope: Envelope, trust: Trust) -> SignaturesFound:
    """Return which trusted keys signed; each key is tried on each signature, what a keyid says is not read."""
    found = [Signed(trusted, envelope.signatures_of(trusted.key)) for trusted in trust.keys]
    signed = tuple(one for one in found if one.signatures)
    known = {signature for one in signed for signature in one.signatures}
    return SignaturesFound(signed, sum(signature not in known for signature in envelope.signatures))


def dated(signed: Iterable[Signed], trust: Trust, finished: datetime, now: datetime) -> tuple[Signed, ...]:
    """Return the signatures with the times that listed authorities vouch for.

    Args:
        signed: of trusted keys.
        trust: lists the authorities.
        finished: when the report says that it was finished.
        now: a time-stamp from later proves nothing yet.

    Raises:
        BundleError: `time.timestamp`, one of them was there before the report says that it was finished: it lies.
    """
    return tuple(_dated(one, trust, finished, now) for one in signed)


def _dated(signed: Signed, trust: Trust, finished: datetime, now: datetime) -> Signed:
    moments: list[datetime] = []
    doubts: list[str] = []
    for signature in signed.signatures:
        if signature.timestamp is None:
            continue
        if not trust.authorities:
            doubts.append("its time-stamp is by no listed authority: the trust file lists none")
            continue
        try:
            moment = token_time(signature.timestamp, signature.sig, trust.authorities)
        except TimestampError as error:
            doubts.append(f"its time-stamp proves nothing: {error.message}")
            continue
        if finished - moment > CLOCK_SKEW:
            problem = f"{signed.trusted.name}'s signature was time-stamped on {moment:%Y-%m-%d %H:%M} UTC"
            raise BundleError("time.timestamp", f"{problem}, before the report says that it was finished")
        if moment - now > CLOCK_SKEW:
            doubts.append(f"its time-stamp is of {moment:%Y-%m-%d %H:%M} UTC, which is to come")
        else:
            moments.append(moment)
    if moments:
        return replace(signed, stamped_at=min(moments))
    return replace(signed, doubt=doubts[0] if doubts else "")
