"""One rule turns three arms into an answer, for every reconstruction check.

The control arm shows that the attack could have succeeded, the null arm how often it succeeds by luck. A pass means:
with 95 % confidence at most 5 % (and chance) of the planted records are identified by the listed attacks. A false
accusation has a probability of at most 1 % a check.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np
import numpy.typing as npt

from reports.model import Severity, Status, Strength
from reports.statistics import clopper_pearson, holm, mcnemar_exact

BoolArray = npt.NDArray[np.bool_]

LEAST_RECORDS = 59
"""Fewer records can fail but never pass: 0 of 59 is the first count whose upper bound (0.0495) is below 0.05."""
LEAST_CONTROL = 0.5
"""The lower bound that the control must reach."""
MOST_CHANCE = 0.02
"""A guess at random may be right this often at most, else a pass says little."""
SIGNIFICANCE = 0.01
"""Largest p-value of an accusation, after Holm over the variants."""
SEVERITIES = ((0.5, Severity.CRITICAL), (0.1, Severity.HIGH), (0.02, Severity.MEDIUM))
"""Least lower bound of the rate and the severity from there; below all of them it is low."""


@dataclass(frozen=True, eq=False)
class Paired:
    """One variant of an attack on the same records in three arms, each of shape (n,)."""

    system: BoolArray
    """Hits in the attacker's real view."""
    null: BoolArray
    """Hits when the view is of other records."""
    control: BoolArray
    """Hits on the unprotected twins."""


@dataclass(frozen=True, eq=False)
class Arms:
    """What an attack achieved on n records in each arm."""

    control: BoolArray
    """Records identified from their own unprotected twin by the reading that is weakest there, shape (n,)."""
    system: BoolArray
    """Records identified from what the attacker sees, shape (n,)."""
    null: BoolArray
    """Records identified from views of other records, shape (n,)."""
    chance: float = 0.0
    """How often a guess at random is right."""
    views: int | None = None
    """Independent views; records of one view stand or fall together. None: as many as records."""
    exact: BoolArray | None = None
    """Records that came back exactly, shape (n,); None: exactness is not asked about."""
    exact_null: bool = False
    """Whether any record came back exactly from views of other records."""
    variants: Mapping[str, Paired] = field(default_factory=dict)
    """The attack's variants, each tested for itself; empty where there is but one."""
    unanswered: tuple[str, ...] = ()
    """Defences that no variant of the attack answers."""


@dataclass(frozen=True)
class Decision:
    """What the three arms say."""

    status: Status
    """pass, fail or inconclusive."""
    strength: Strength
    """exact for exact recovery, screening for a pass from few views, else statistical."""
    severity: Severity | None
    """Of a failure; None else."""
    reason: str
    """Machine word of an inconclusive answer."""
    hits: int
    """Records identified."""
    null_hits: int
    """Records identified in the null arm."""
    control_hits: int
    """Records identified in the control arm."""
    records: int
    """Records in every arm."""
    exact: int
    """Records that came back exactly."""
    low: float
    """One-sided lower bound of the rate, 95 %."""
    high: float
    """One-sided upper bound, 95 %."""
    control_low: float
    """One-sided lower bound of the control's rate, 95 %."""
    limit: float
    """The upper bound that a pass allows: chance and tolerance."""
    p_value: float
    """McNemar's exact one-sided test, system against null, the least of the variants after Holm."""
    views: int
    """Independent views."""

    @property
    def needed(self) -> int | None:
        """Records that would allow a pass if the rate stays as it is; None where more records would not help."""
        return records_needed(self.hits, self.records, self.limit)


def verdict(arms: Arms, *, tolerance: float = 0.05, most_chance: float | None = MOST_CHANCE) -> Decision:
    """Return the decision of the one rule for all reconstruction checks.

    Fail: a record came back exactly and none did in the null arm; or the system arm beats the null arm at p <= 0.01.
    Inconclusive: no record, a control below one half, a defence without an answer, too few records, too few
    candidates, or a rate that is neither. Pass: else, when the upper bound is at most chance + `tolerance`.

    Args:
        arms: The outcomes.
        tolerance: Share of records, beyond chance, that a pass allows.
        most_chance: Largest chance with which a pass is possible; None for a check with a chance rule of its own.
    """
    n = len(arms.system)
    variants = arms.variants or {"": Paired(arms.system, arms.null, arms.control)}
    hits, control_hits = int(arms.system.sum()), int(arms.control.sum())
    bounds = clopper_pearson(hits, n, side="one")
    control_low = clopper_pearson(control_hits, n, side="one").low
    p_value = float(holm([_p_value(paired) for paired in variants.values()]).min())
    exact = 0 if arms.exact is None else int(arms.exact.sum())
    limit = arms.chance + tolerance
    views = n if arms.views is None else arms.views
    status, strength, reason = Status.INCONCLUSIVE, Strength.STATISTICAL, ""
    if n == 0:
        reason = "no-usable-record"
    elif exact and not arms.exact_null:
        status, strength = Status.FAIL, Strength.EXACT
    elif p_value <= SIGNIFICANCE:
        status = Status.FAIL
    elif control_low < LEAST_CONTROL:
        reason = "control-failed"
    elif arms.unanswered:
        reason = "undecided"
    elif n < LEAST_RECORDS:
        reason = "too-few-records"
    elif most_chance is not None and arms.chance > most_chance:
        reason = "too-few-candidates"
    elif bounds.high <= limit:
        status = Status.PASS
        strength = Strength.STATISTICAL if views >= LEAST_RECORDS else Strength.SCREENING
    else:
        reason = "undecided"
    return Decision(
        status=status,
        strength=strength,
        severity=severity_of(bounds.low) if status is Status.FAIL else None,
        reason=reason,
        hits=hits,
        null_hits=int(arms.null.sum()),
        control_hits=control_hits,
        records=n,
        exact=exact,
        low=bounds.low,
        high=bounds.high,
        control_low=control_low,
        limit=limit,
        p_value=p_value,
        views=views,
    )


def without_accusation(decision: Decision) -> Decision:
    """Return the decision for views that can clear a system but not accuse it: a failure becomes inconclusive."""
    if decision.status is not Status.FAIL:
        return decision
    return replace(decision, status=Status.INCONCLUSIVE, severity=None, reason="undecided")


def severity_of(low: float) -> Severity:
    """Return the harm of a leak whose rate is at least `low`."""
    return next((severity for least, severity in SEVERITIES if low >= least), Severity.LOW)


def records_needed(hits: int, records: int, limit: float, most: int = 20_000) -> int | None:
    """Return how many records, hit at the rate seen, would bring the upper bound to `limit`; None if above `most`."""
    rate = hits / records if records else 0.0
    n = LEAST_RECORDS
    while n <= most:
        if clopper_pearson(round(rate * n), n, side="one").high <= limit:
            return n
        n = n + max(1, n // 20)
    return None


def _p_value(paired: Paired) -> float:
    only_system = int((paired.system & ~paired.null).sum())
    return mcnemar_exact(only_system, int((paired.null & ~paired.system).sum()))
