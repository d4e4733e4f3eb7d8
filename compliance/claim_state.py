"""What a measurement says of a claim.

A claim is contradicted only by what a decided finding shows with its whole interval, and consistent only where a figure
that could have contradicted it keeps it and its finding passes.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple, TypeAlias

from compliance.claims import Claim

ClaimState: TypeAlias = Literal[
    "contradicted", "consistent", "not_contradicted", "untested", "not_comparable", "ambiguous", "inconsistent"
]
GRAVEST: tuple[ClaimState, ...] = (
    "contradicted", "inconsistent", "ambiguous", "not_comparable", "untested", "not_contradicted", "consistent"
)  # fmt: skip
"""Gravest first."""
TOLERANCE = 1e-3
"""Share by which two statements of one figure may differ before they count as different."""


@dataclass(frozen=True)
class Measured:
    """What one finding can say of a claim."""

    check: str
    """Whose finding it is."""
    key: str
    """Tells its findings apart."""
    status: Literal["pass", "fail", "undecided"]
    """Of the finding; a check that was not asked is not here."""
    name: str | None = None
    """Of the measurement; None where the status is what answers."""
    value: float | None = None
    """Measured."""
    low: float | None = None
    """Lower end of the interval; the value where it is exact."""
    high: float | None = None
    """Upper end of the interval; the value where it is exact."""
    unit: str = ""
    """Whom epsilon protects, where that is known."""
    bound: Literal["both", "lower", "refuted"] = "both"
    """What it can say."""


class Comparison(NamedTuple):
    """A state, and what decided it."""

    state: ClaimState
    by: Measured | None


Says: TypeAlias = Literal["at-most", "at-least", "equals", "nothing", "holds"]


def compare(
    claim: Claim, measurements: Sequence[Measured], declaration: Sequence[float] = (), *, says: Says, slack: float = 0.0
) -> Comparison:
    """Return what the measurements, or for a kind without one the declaration, say of a claim.

    Args:
        claim: What is said.
        measurements: What was asked about its kind; empty where nothing was.
        declaration: What system.toml says of the same.
        says: What the claim means.
        slack: Share by which a figure may miss before it contradicts.
    """
    if claim.hedged:
        return Comparison("ambiguous", None)
    if says == "equals":
        return _against_declaration(claim, declaration)
    if says == "holds":
        return _by_status(measurements, {id(one) for one in measurements if one.status == "fail"})
    if says == "nothing":
        back = {id(one) for one in measurements if one.status == "fail" and one.low is not None and one.low > 0}
        return _by_status(measurements, back)
    return _against_limit(claim, measurements, says, slack)


def agrees(value: float, other: float) -> bool:
    """Tell whether two statements of a figure are the same to 0.1 %."""
    return abs(value - other) <= TOLERANCE * max(abs(value), abs(other))


def _against_declaration(claim: Claim, declaration: Sequence[float]) -> Comparison:
    if claim.value is None or not declaration:
        return Comparison("untested", None)
    return Comparison("consistent" if any(agrees(claim.value, one) for one in declaration) else "inconsistent", None)


def _by_status(measurements: Sequence[Measured], against: set[int]) -> Comparison:
    """Return what a set of findings says: one against it is enough, for it they must all have passed."""
    if worst := [one for one in measurements if id(one) in against]:
        return Comparison("contradicted", max(worst, key=lambda one: one.low or 0.0))
    decided = [one for one in measurements if one.status != "undecided"]
    if not decided:
        return Comparison("untested", None)
    whole = all(one.status == "pass" and not (one.low or 0.0) > 0 for one in measurements)
    return Comparison("consistent" if whole else "not_contradicted", decided[0])


def _against_limit(claim: Claim, measurements: Sequence[Measured], says: Says, slack: float) -> Comparison:
    decided = [one for one in measurements if one.status != "undecided"]
    comparable = [one for one in decided if not (claim.unit and one.unit) or claim.unit == one.unit]
    if claim.value is None or not comparable:
        return Comparison("not_comparable" if decided else "untested", None)
    figures = [one for one in comparable if one.bound != "refuted"]
    for one in figures:
        if _breaks(claim.value, one, says, slack):
            return Comparison("contradicted", one)
    if not any(one.bound == "both" for one in figures):  # a figure says more than a refuted claim
        for one in comparable:
            if one.bound == "refuted" and one.status == "fail" and one.value is not None and one.value >= claim.value:
                return Comparison("contradicted", one)
    telling = [one for one in figures if one.bound == "both"]
    open_ = any(one.status == "undecided" and one.bound == "both" and one.value is not None for one in measurements)
    if telling and not open_ and all(one.status == "pass" and _keeps(claim.value, one, says, slack) for one in telling):
        return Comparison("consistent", telling[0])  # one figure that keeps it does not speak for another
    return Comparison("not_contradicted", figures[0]) if figures else Comparison("untested", None)


def _breaks(claimed: float, one: Measured, says: Says, slack: float) -> bool:
    if says == "at-most":
        return one.low is not None and one.low > claimed * (1 + slack)
    return one.high is not None and one.high < claimed * (1 - slack)


def _keeps(claimed: float, one: Measured, says: Says, slack: float) -> bool:
    if one.value is None:
        return False
    return one.value <= claimed * (1 + slack) if says == "at-most" else one.value >= claimed * (1 - slack)
