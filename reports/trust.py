"""trust.toml: whose signatures count, in which role, from when until when, and how old a report may be.

Keys are told apart by their material. A trust file that lists one key twice, under whatever names, is refused: else one
person could meet a threshold of two (theupdateframework/python-tuf GHSA-pwqf-9h7j-7mv8).
"""

import importlib.util
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BeforeValidator, Field, model_validator
from pydantic_core import PydanticCustomError

from reports.digests import file_sha256
from reports.errors import KeyFileError, TimestampError, TrustError
from reports.keyfile import read_public_key
from reports.keys import PublicKey, load_public
from reports.nouns import Count, Noun, Text, Word
from reports.timestamp import INSTALL
from reports.timestamp_authority import Authority, load_authority
from reports.tomlfile import parse_noun, read_toml

ROLES = ("auditor", "provider")


def _role(value: object) -> object:
    if value not in ROLES:
        raise PydanticCustomError(
            "role", "{value} is no role", {"value": repr(value)[:60], "mend": f"Choose one of {', '.join(ROLES)}."}
        )
    return value


def _offset_moment(value: object) -> object:
    if not isinstance(value, datetime) or value.tzinfo is None:
        raise PydanticCustomError(
            "window", "is no date-time with an offset", {"mend": "Write it like 2026-01-01T00:00:00Z."}
        )
    try:
        return value.astimezone(UTC)
    except OverflowError as error:
        raise PydanticCustomError(
            "window", "lies outside the years 1 to 9999 in UTC", {"mend": "Leave it out where any time will do."}
        ) from error


Role = Annotated[Literal["auditor", "provider"], BeforeValidator(_role)]
"""In what capacity a signer signs."""
OffsetMoment = Annotated[datetime, BeforeValidator(_offset_moment)]
"""A TOML offset date-time; one without an offset would mean another time on another machine."""


class KeyEntry(Noun):
    """One `[[keys]]`: a public key, whose it is, and when it counts."""

    name: Word
    """Person and office, shown to people."""
    role: Role
    """One role per key."""
    public_key: Word | None = None
    """PEM file, relative to the trust file; or else `public_key_pem`."""
    public_key_pem: Text | None = None
    """The PEM itself."""
    not_before: OffsetMoment | None = None
    """First moment of its window."""
    not_after: OffsetMoment | None = None
    """Last moment of its window."""
    revoked_at: OffsetMoment | None = None
    """When the key was given up."""
    revoked_reason: Literal["retired", "compromised"] | None = None
    """Why: signatures before still count for a retired key; for a compromised one only with a time-stamp before."""

    @model_validator(mode="after")
    def _is_one_key_with_a_window(self) -> "KeyEntry":
        if (self.public_key is None) == (self.public_key_pem is None):
            raise PydanticCustomError(
                "syntax", "needs either public_key or public_key_pem", {"mend": 'Write public_key = "auditor.pub".'}
            )
        if (self.revoked_at is None) != (self.revoked_reason is None):
            raise PydanticCustomError(
                "syntax",
                "has one of revoked_at and revoked_reason",
                {"mend": 'Write both; the reason is "retired" or "compromised".'},
            )
        if self.not_before and self.not_after and self.not_after <= self.not_before:
            raise PydanticCustomError(
                "window", "has a not_after that is not later than its not_before", {"mend": "Correct the two."}
            )
        return self


class AuthorityEntry(Noun):
    """One `[[timestamp_authorities]]`: whose word for a signing time is taken."""

    certificate: Word
    """PEM file, relative to the trust file: the certificate that signs time-stamps, then its issuers up to the root."""


class TrustFile(Noun):
    """A trust file as it is written."""

    version: Annotated[int, Field(strict=True, ge=1, le=1)]
    """Of the format."""
    max_age_days: Annotated[Count, Field(ge=1)] | None = None
    """Oldest report that is believed; None: any age."""
    withheld: Literal["allow", "deny"] = "deny"
    """Whether confidential and restricted evidence may be absent."""
    require_timestamp: Annotated[bool, Field(strict=True)] = False
    """Whether each signature that counts must bear an RFC 3161 time by a listed authority."""
    require: dict[Role, Count] = Field(default_factory=dict)
    """How many distinct keys must have signed in each role."""
    keys: tuple[KeyEntry, ...] = ()
    """The keys."""
    timestamp_authorities: tuple[AuthorityEntry, ...] = ()
    """Whose time-stamps count."""

    @model_validator(mode="after")
    def _requires_something(self) -> "TrustFile":
        if not any(self.require.values()):
            raise PydanticCustomError(
                "no_requirement", "requires no signature at all", {"mend": "Write [require] with auditor = 1."}
            )
        return self


@dataclass(frozen=True)
class TrustedKey:
    """A key, and what its signatures are worth."""

    name: str
    """Whose."""
    role: str
    """In what capacity."""
    key: PublicKey
    """The key itself."""
    not_before: datetime | None = None
    """First moment at which its signatures count."""
    not_after: datetime | None = None
    """Last moment at which they do."""
    revoked_at: datetime | None = None
    """When it was given up."""
    revoked_reason: str | None = None
    """`retired` or `compromised`."""

    def objection(self, signed_at: datetime, *, stamped: bool = False) -> str:
        """Return why a signature does not count; empty if it does.

        Args:
            signed_at: when it was made: what a time-stamp proves, else when the report was finished by its own word.
            stamped: whether it is the former; a thief can write the latter as it suits.
        """
        event = "the signature was time-stamped" if stamped else "the report was finished"
        if self.revoked_reason == "compromised" and not stamped:
            return "compromised: only a time-stamp could show that the signature was made before"
        if self.revoked_at is not None and signed_at >= self.revoked_at:
            return f"{'compromised' if self.revoked_reason == 'compromised' else 'revoked'} before {event}"
        if self.not_before is not None and signed_at < self.not_before:
            return f"not yet valid when {event}"
        if self.not_after is not None and signed_at > self.not_after:
            return f"expired before {event}"
        return ""


@dataclass(frozen=True)
class Trust:
    """Whom to believe, and under which conditions."""

    keys: tuple[TrustedKey, ...]
    """Distinct in their material."""
    require: Mapping[str, int]
    """Distinct keys needed in each role."""
    max_age_days: int | None = None
    """Oldest report that is believed; None: any age."""
    withheld_allowed: bool = False
    """Whether confidential and restricted evidence may be absent."""
    require_timestamp: bool = False
    """Whether signing times must be vouched for by somebody else."""
    authorities: tuple[Authority, ...] = ()
    """Who may vouch for them."""
    sha256: str = ""
    """Digest of the file it was read from."""


def load_trust(path: Path) -> Trust:
    """Read a trust file and the keys that it names.

    Raises:
        TrustError: `trust.not_found`, `trust.syntax` (also an unknown or missing key), `trust.no_requirement`,
            `trust.role`, `trust.window`, `trust.duplicate_key`, `trust.key_algorithm`, `trust.weak_key`,
            `trust.private_key`, `trust.key`, `trust.authority` (its certificate cannot be used, or signs reports too),
            `trust.timestamp_authorities` (rfc3161-client is not installed).
    """
    try:
        written = parse_noun(TrustFile, read_toml(path, TrustError, "trust"), path, TrustError, "trust")
    except TrustError as error:
        raise TrustError(_ONE_CODE.get(error.code, error.code), error.message, error.hint) from error
    keys = tuple(_trusted_key(path, number, entry) for number, entry in enumerate(written.keys))
    _require_distinct(path, keys)
    authorities = tuple(_authority(path, n, entry) for n, entry in enumerate(written.timestamp_authorities))
    _require_apart(path, keys, authorities)
    return Trust(
        keys=keys,
        require={str(role): count for role, count in written.require.items()},
        max_age_days=written.max_age_days,
        withheld_allowed=written.withheld == "allow",
        require_timestamp=written.require_timestamp,
        authorities=authorities,
        sha256=file_sha256(path),
    )


_ONE_CODE = dict.fromkeys(("trust.unknown_key", "trust.missing_key", "trust.value", "trust.too_large"), "trust.syntax")
_OF_KEY = {
    "key.algorithm": "trust.key_algorithm",
    "key.weak": "trust.weak_key",
    "key.private": "trust.private_key",
    "key.syntax": "trust.key",
    "key.not_found": "trust.key",
}


def _trusted_key(path: Path, number: int, entry: KeyEntry) -> TrustedKey:
    try:
        if entry.public_key is not None:
            key = read_public_key(path.parent / entry.public_key)
        else:
            key = load_public((entry.public_key_pem or "").encode("utf-8"))
    except KeyFileError as error:
        where = f"{path}: keys[{number}] ({entry.name})"
        raise TrustError(_OF_KEY[error.code], f"{where}: {error.message}", error.hint) from error
    return TrustedKey(
        entry.name, entry.role, key, entry.not_before, entry.not_after, entry.revoked_at, entry.revoked_reason
    )


def _authority(path: Path, number: int, entry: AuthorityEntry) -> Authority:
    where = f"{path}: timestamp_authorities[{number}]"
    if importlib.util.find_spec("rfc3161_client") is None:  # better no verification than one that skips what is listed
        raise TrustError("trust.timestamp_authorities", f"{where}: checking time-stamps needs rfc3161-client", INSTALL)
    try:
        return load_authority(path.parent / entry.certificate)
    except TimestampError as error:
        code = "trust.private_key" if error.code == "timestamp.private_key" else "trust.authority"
        raise TrustError(code, f"{where}: {error.message}", error.hint) from error


def _require_apart(path: Path, keys: tuple[TrustedKey, ...], authorities: tuple[Authority, ...]) -> None:
    """Refuse an authority that could vouch for its own signatures."""
    signing = {trusted.key.spki: trusted for trusted in keys}
    for authority in authorities:
        if own := signing.get(authority.spki):
            problem = f"{path}: {own.name!r} ({own.role}) has the key of the time-stamping authority {authority.name!r}"
            raise TrustError(
                "trust.duplicate_key", problem, "Nobody vouches for their own time: take another authority."
            )


def _require_distinct(path: Path, keys: tuple[TrustedKey, ...]) -> None:
    known: dict[bytes, TrustedKey] = {}
    for trusted in keys:
        if twin := known.get(trusted.key.spki):
            raise TrustError(
                "trust.duplicate_key",
                f"{path}: {trusted.name!r} ({trusted.role}) has the same key as {twin.name!r} ({twin.role})",
                "One key stands for one signer in one role: remove one of the two.",
            )
        known[trusted.key.spki] = trusted
