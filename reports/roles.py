"""Steps 12 and 13 of verification, as far as they are about signers: enough in each role, at a time that counts."""

from collections.abc import Iterator, Sequence
from datetime import datetime

from reports.errors import BundleError
from reports.nouns import moment_text
from reports.signing_time import Signed
from reports.trust import Trust
from reports.verified import Signer

_NO_TIMESTAMP = "signing times are the report's own word: without an RFC 3161 time-stamp, a stolen key can back-date"


def require_stamps(signed: Sequence[Signed], trust: Trust) -> None:
    """Refuse, if times must be vouched for, a report whose signers in a role have too few time-stamps among them.

    Raises:
        BundleError: `time.timestamp`.
    """
    if not trust.require_timestamp:
        return
    for role, needed in trust.require.items():
        own = [one for one in signed if one.trusted.role == role]
        without = [one for one in own if one.stamped_at is None]
        if without and len(own) - len(without) < needed:
            doubts = "; ".join(f"{one.trusted.name}: {one.doubt or 'none'}" for one in without)
            raise BundleError(
                "time.timestamp",
                f"the trust file requires an RFC 3161 time-stamp by a listed authority on each signature ({doubts})",
                "Attach one with `fedaudit sign --timestamp`; require_timestamp = false takes the report's word.",
            )


def require_roles(finished: datetime, signed: Sequence[Signed], trust: Trust) -> tuple[Signer, ...]:
    """Return who signed, if in each role enough distinct keys did, each within its window and before it was revoked.

    Args:
        finished: when the report says that it was finished: when they signed, where no time-stamp says it.
        signed: trusted keys with the times that authorities vouch for.
        trust: what is required.

    Raises:
        BundleError: `signature.threshold`.
    """
    signers = tuple(_signer(one, finished, trust) for one in signed)
    for role, needed in trust.require.items():
        counted = sum(signer.counted for signer in signers if signer.role == role)
        if counted < needed:
            doubts = "; ".join(f"{s.name}: {s.reason}" for s in signers if s.role == role and not s.counted)
            because = f" ({doubts})" if doubts else ""
            raise BundleError("signature.threshold", f"{counted} of {needed} signatures in the role {role}{because}")
    return signers


def _signer(signed: Signed, finished: datetime, trust: Trust) -> Signer:
    key, stamped_at = signed.trusted.key, signed.stamped_at
    reason = signed.objection(finished, must_be_stamped=trust.require_timestamp)
    moment = None if stamped_at is None else moment_text(stamped_at)
    return Signer(key.keyid, signed.trusted.name, signed.trusted.role, key.algorithm, not reason, reason, moment)


def signing_warnings(signed: Sequence[Signed], strangers: int) -> Iterator[str]:
    """Yield what a reader should know of the signatures although it refuses nothing."""
    unstamped = [one for one in signed if one.stamped_at is None]
    if unstamped:
        names = "; ".join(one.trusted.name for one in unstamped)  # a name may hold a comma
        yield f"{_NO_TIMESTAMP} ({names})"
    yield from (f"{one.trusted.name}: {one.doubt}" for one in unstamped if one.doubt)
    if strangers:
        yield f"{strangers} of the signatures by no key of the trust file; they count for nothing"
