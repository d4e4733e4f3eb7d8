"""`thresholds.toml`: metrics and limits that were promised before the test, and whether the test kept them.

Regulation (EU) 2024/1689, Art. 9(8): testing is carried out "against prior defined metrics and probabilistic
thresholds", and before placing on the market. A limit is kept, or broken, only by a whole interval of the promised
confidence.
"""

from collections.abc import Iterable
from datetime import date
from pathlib import Path
from typing import Annotated, Literal, NamedTuple, TypeAlias

from pydantic import Field, model_validator
from pydantic_core import PydanticCustomError

from compliance.errors import JudgeFileError
from reports.model import CheckId, Finding, Measurement, MeasurementName, Status, Strength
from reports.nouns import Count, Day, FiniteNumber, Noun, Text, Word
from reports.tomlfile import parse_noun, read_toml

Kept: TypeAlias = Literal[
    "kept", "broken", "undecided", "too_few_trials", "low_confidence", "not_measured", "not_decided"
]
ADVICE: dict[Kept, str] = {
    "kept": "the whole interval keeps the limit",
    "broken": "the whole interval lies beyond the limit",
    "undecided": "the interval holds the limit; more trials are needed",
    "too_few_trials": "fewer trials were made than were promised",
    "low_confidence": "no interval, or one of less confidence than was promised",
    "not_measured": "nobody measured it",
    "not_decided": "its finding decides nothing",
}
"""What a state means, to follow the promise."""


class Promise(Noun):
    """One `[[threshold]]`: a limit that somebody set beforehand."""

    check: CheckId
    """Whose measurement."""
    measurement: MeasurementName
    """Name of the measurement."""
    op: Literal["<=", ">="]
    """Which side keeps it; equality does."""
    limit: FiniteNumber
    """In the unit of the measurement."""
    confidence: Annotated[FiniteNumber, Field(gt=0, lt=1)] = 0.95
    """Least confidence of the interval."""
    min_n: Annotated[Count, Field(ge=1)] | None = None
    """Fewest independent trials; None: any number."""
    why: Text = ""
    """Where the limit comes from."""

    def __str__(self) -> str:
        return f"{self.check} {self.measurement} {self.op} {self.limit:g}"


class Thresholds(Noun):
    """The file thresholds.toml."""

    version: Annotated[int, Field(strict=True, ge=1, le=1)]
    """Of this format: 1."""
    registered_on: Day
    """The day on which the limits were set."""
    registered_by: Word
    """Who set them."""
    threshold: Annotated[tuple[Promise, ...], Field(min_length=1)]
    """The promises."""

    @model_validator(mode="after")
    def _each_promised_once(self) -> "Thresholds":
        seen: set[tuple[str, str, str]] = set()
        for promise in self.threshold:
            place = (promise.check, promise.measurement, promise.op)
            if place in seen:
                told = f"{promise.check} {promise.measurement} {promise.op} is promised twice"
                raise PydanticCustomError("duplicate", "{told}", {"told": told, "mend": "Keep one of the two."})
            seen.add(place)
        return self


class Outcome(NamedTuple):
    """What became of one promise."""

    promise: Promise
    state: Kept
    finding: Finding | None
    """The one that decides; None where nobody measured."""
    measurement: Measurement | None
    """The figure; None where nobody measured."""


def read_thresholds(path: Path) -> Thresholds:
    """Return the promises of a file.

    Raises:
        JudgeFileError: `thresholds.not_found`, `thresholds.too_large`, `thresholds.syntax`, or what is wrong with a
            key: an unknown op, a limit that is no finite number, a promise made twice, none at all.
    """
    return parse_noun(Thresholds, read_toml(path, JudgeFileError, "thresholds"), path, JudgeFileError, "thresholds")


def outcomes(thresholds: Thresholds, findings: Iterable[Finding]) -> tuple[Outcome, ...]:
    """Return what became of each promise; of several findings of a check the one that fares worst counts."""
    listed = [finding for finding in findings if finding.status is not Status.SKIPPED]
    return tuple(_outcome(promise, listed) for promise in thresholds.threshold)


def set_beforehand(
    thresholds: Thresholds, start: date, placed_on_market: date | None
) -> Literal["yes", "late", "sold"]:
    """Return whether the limits stood before the test, and the test before the market.

    `late`: registered on the day of the test or after it. `sold`: placed on the market before the test.
    """
    if thresholds.registered_on >= start:
        return "late"
    return "sold" if placed_on_market is not None and placed_on_market < start else "yes"


_WORST_FIRST: tuple[Kept, ...] = (
    "broken", "not_decided", "too_few_trials", "low_confidence", "undecided", "not_measured", "kept"
)  # fmt: skip


def _outcome(promise: Promise, findings: Iterable[Finding]) -> Outcome:
    measured = [
        Outcome(promise, _state(promise, finding, figure), finding, figure)
        for finding in findings
        if finding.check == promise.check
        for figure in finding.measurements
        if figure.name == promise.measurement
    ]
    nothing = Outcome(promise, "not_measured", None, None)
    measured += [
        Outcome(promise, "not_decided", finding, None)  # without a figure it decides nothing, and hides none of others
        for finding in findings
        if finding.check == promise.check and finding.status in (Status.ERROR, Status.INCONCLUSIVE)
        if all(figure.name != promise.measurement for figure in finding.measurements)
    ]
    return min(measured, key=lambda one: _WORST_FIRST.index(one.state), default=nothing)


def _state(promise: Promise, finding: Finding, figure: Measurement) -> Kept:
    if finding.status not in (Status.PASS, Status.FAIL):
        return "not_decided"
    if promise.min_n is not None and (figure.n is None or figure.n < promise.min_n):
        return "too_few_trials"
    interval = figure.interval
    if interval is None and finding.strength is not Strength.EXACT:
        return "low_confidence"  # an estimate alone carries none
    if interval is not None and interval.confidence < promise.confidence:
        return "low_confidence"
    low, high = (figure.value, figure.value) if interval is None else (interval.low, interval.high)
    inside, outside = high <= promise.limit, low > promise.limit
    if promise.op == ">=":
        inside, outside = low >= promise.limit, high < promise.limit
    return "kept" if inside else "broken" if outside else "undecided"
