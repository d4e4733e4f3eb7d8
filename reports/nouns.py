"""What every noun of a report is made of: strict scalar types, ordered words, one frozen base.

A lax scalar would let two readers of one signed report disagree, so numbers are never read from strings, a moment has a
zone and whole seconds, and text holds no control characters (RFC 8785 section 3.2.2 leaves all three to the author).
"""

import re
from datetime import UTC, date, datetime
from enum import StrEnum
from typing import Annotated, Self

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, PlainSerializer, StringConstraints

_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f]")
_HALF_A_PAIR = re.compile(r"[\ud800-\udfff]")
_MOMENT = re.compile(r"\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}Z")
_DAY = re.compile(r"\d{4}-\d{2}-\d{2}")
LARGEST_INTEGER = 2**53 - 1
"""The largest integer that every JSON reader keeps exactly (RFC 7493 section 2.2)."""


def printable(text: str) -> str:
    """Return `text` as it is; a control character other than tab and newline, or a lone surrogate, is a ValueError."""
    if found := _CONTROL.search(text):
        raise ValueError(f"holds the control character U+{ord(found.group()):04X}; remove it")
    if _HALF_A_PAIR.search(text):
        raise ValueError("holds half of a surrogate pair; write the text as valid Unicode")
    return text


def _moment(value: object) -> object:
    if isinstance(value, str):
        if not _MOMENT.fullmatch(value):
            raise ValueError("a moment reads YYYY-MM-DDTHH:MM:SSZ")
        return datetime.strptime(value, "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC)
    if not isinstance(value, datetime):
        raise ValueError("a moment reads YYYY-MM-DDTHH:MM:SSZ")
    return value


def _whole_seconds(value: datetime) -> datetime:
    if value.tzinfo is None:
        raise ValueError("has no time zone; write it with an offset, such as 2026-01-01T00:00:00Z")
    return value.astimezone(UTC).replace(microsecond=0)


def _day(value: object) -> object:
    if isinstance(value, str) and _DAY.fullmatch(value):
        return date.fromisoformat(value)
    if type(value) is not date:
        raise ValueError("a date reads YYYY-MM-DD")
    return value


def moment_text(moment: datetime) -> str:
    """Return a UTC moment as the reports write it, `YYYY-MM-DDTHH:MM:SSZ`."""
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


Text = Annotated[str, Field(strict=True), AfterValidator(printable)]
"""A string without control characters (tab and newline excepted) and without lone surrogates."""
Word = Annotated[str, StringConstraints(strict=True, min_length=1, max_length=200), AfterValidator(printable)]
"""A short, non-empty `Text`."""
Sha256 = Annotated[str, StringConstraints(strict=True, pattern=r"^[0-9a-f]{64}$")]
"""A SHA-256 digest, 64 lower-case hexadecimal digits."""
FiniteNumber = Annotated[float, Field(strict=True, allow_inf_nan=False)]
"""A float that is neither NaN nor infinite; never read from a string."""
Share = Annotated[FiniteNumber, Field(ge=0, le=1)]
"""A number between 0 and 1."""
WholeNumber = Annotated[int, Field(strict=True, ge=-LARGEST_INTEGER, le=LARGEST_INTEGER)]
"""An integer that JSON readers keep exactly; never read from a string, a float or a bool."""
Count = Annotated[int, Field(strict=True, ge=0, le=LARGEST_INTEGER)]
"""A `WholeNumber` that is not negative."""
Moment = Annotated[
    datetime, BeforeValidator(_moment), AfterValidator(_whole_seconds), PlainSerializer(moment_text, when_used="json")
]
"""A UTC time in whole seconds; in JSON `YYYY-MM-DDTHH:MM:SSZ`."""
Day = Annotated[date, BeforeValidator(_day)]
"""A calendar day; in JSON `YYYY-MM-DD`."""


class Noun(BaseModel):
    """The base of all nouns: frozen, no unknown field.

    The sentence under a field reaches the JSON schema through `reports.schema`, not through pydantic, which would read
    the source of every noun at import and so make each `verify` wait.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")


class Ordered(StrEnum):
    """Words with an order, that of their definition. Compare with `rank` or `at_least`, never with `<` on strings."""

    @property
    def rank(self) -> int:
        """The position in the order, 0 first."""
        return list(type(self)).index(self)

    def at_least(self, other: Self) -> bool:
        """Tell whether this word stands at or above `other`."""
        return self.rank >= other.rank


class Status(StrEnum):
    """What a check answers."""

    PASS = "pass"  # noqa: S105  a word, no password
    FAIL = "fail"
    INCONCLUSIVE = "inconclusive"
    SKIPPED = "skipped"
    ERROR = "error"


class Severity(Ordered):
    """The harm if the finding is true; never mixed with how certain it is."""

    INFO = "info"
    LOW = "low"
    MEDIUM = "medium"
    HIGH = "high"
    CRITICAL = "critical"


class Strength(Ordered):
    """The kind of proof behind a finding, weakest first."""

    DOCUMENT = "document"
    SCREENING = "screening"
    STATISTICAL = "statistical"
    EXACT = "exact"


class Basis(StrEnum):
    """What a finding rests on: the owner's word, the owner's artifacts, or our own measurement."""

    DECLARED = "declared"
    RECORDED = "recorded"
    MEASURED = "measured"


class Effort(Ordered):
    """How much work a run may do."""

    SMOKE = "smoke"
    STANDARD = "standard"
    FULL = "full"


class Confidentiality(Ordered):
    """Who may read a piece of evidence; restricted holds or rebuilds personal data."""

    PUBLIC = "public"
    INTERNAL = "internal"
    CONFIDENTIAL = "confidential"
    RESTRICTED = "restricted"
