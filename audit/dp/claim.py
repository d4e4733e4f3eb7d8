"""What a system claims of its epsilon, and the rule by which a recomputed figure answers it.

The rule refutes before it confirms, and confirms only what it could have refuted: the same comparison must reject half
of the epsilon that the mechanism certainly gives.
"""

from dataclasses import dataclass

from audit.dp.accounting import Fault, Recomputed
from reports.model import Status, System

TOLERANCE = 0.99
"""A claim within one percent of the lower bound is undecided, not false."""


@dataclass(frozen=True)
class Claim:
    """An epsilon that somebody wrote down, with the delta that goes with it."""

    epsilon: float
    """At most this, it says."""
    delta: float | None
    """None where neither section gives one."""
    unit: str | None
    """Whom it protects: `client` or `example`."""
    parameter: str
    """Path into system.toml where it stands."""


@dataclass(frozen=True)
class Answer:
    """What the rule says, with a machine's word where it does not decide."""

    status: Status
    """pass, fail or inconclusive."""
    reason: str = ""
    """Empty where it decides."""


def claims_of(system: System) -> tuple[Claim, ...]:
    """Return the epsilons that a system claims, that of `[claims]` first.

    A delta is borrowed from the other section where one is lacking. A second claim that says the same is left out.
    """
    declared = system.federation.differential_privacy if system.federation else None
    claims, unit = system.claims, declared.unit if declared else None
    deltas = [section.delta for section in (claims, declared) if section is not None and section.delta is not None]
    found: list[Claim] = []
    if claims is not None and claims.epsilon is not None:
        found.append(Claim(claims.epsilon, next(iter(deltas), None), claims.privacy_unit or unit, "claims.epsilon"))
    if declared is not None and declared.epsilon is not None:
        own = declared.delta if declared.delta is not None else next(iter(deltas), None)
        if not found or (found[0].epsilon, found[0].delta) != (declared.epsilon, own):
            found.append(Claim(declared.epsilon, own, unit, "federation.differential_privacy.epsilon"))
    return tuple(found)


def answer(epsilon: float, recomputed: Recomputed, faults: tuple[Fault, ...] = ()) -> Answer:
    """Return whether a claimed epsilon follows from the recomputed one.

    fail: anything is inconsistent, or the claim lies more than 1 % below the lower bound. pass: the claim reaches the
    upper bound, and the rule refutes half of the lower bound (`control-failed` else). Between the bounds: undecided.
    """
    if faults or _refuted(epsilon, recomputed):
        return Answer(Status.FAIL)
    if not _refuted(recomputed.lower / 2, recomputed):  # positive control; fails where nothing is certainly given away
        return Answer(Status.INCONCLUSIVE, "control-failed")
    if epsilon >= recomputed.upper:
        return Answer(Status.PASS)
    return Answer(Status.INCONCLUSIVE, "undecided")


def _refuted(epsilon: float, recomputed: Recomputed) -> bool:
    return epsilon < recomputed.lower * TOLERANCE
