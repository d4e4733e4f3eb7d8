"""One epsilon seen three ways on one axis: claimed, recomputed from the declaration, measured on the system."""

from audit.dp.accounting import Recomputed, completed, lacking, recompute
from audit.dp.claim import Claim
from reports.model import DifferentialPrivacy, System
from reports.plot import IntervalRow, IntervalsPlot

MOST_DRAWN = 20.0
"""An end further out than this many times the other figures is left undrawn: it would push them into one point."""


def recomputed(system: System, claim: Claim, **changes: float) -> Recomputed | None:
    """Return what the declared mechanism gives at the claim's delta; None where the declaration lacks a part.

    Args:
        system: Declares the mechanism.
        claim: Gives the delta.
        changes: Keys of the declaration that a measurement knows better, such as `noise_multiplier`.
    """
    federation = system.federation
    if federation is None or federation.differential_privacy is None:
        return None
    declared: DifferentialPrivacy = completed(federation.differential_privacy, federation)
    declared = declared.model_copy(update={"delta": claim.delta, **changes})
    return None if lacking(declared) else recompute(declared)


def epsilon_bar(claim: Claim, given: Recomputed | None, measured: IntervalRow | None) -> IntervalsPlot:
    """Return the figure; the claim is the limit of every row.

    Args:
        claim: What is claimed.
        given: What the declaration gives, where it gives anything.
        measured: What was measured, where anything was.
    """
    rows = [IntervalRow(label="claimed", value=claim.epsilon, limit=claim.epsilon)]
    if given is not None:
        ends = (None, None) if given.exact else (given.lower, given.upper)
        rows.append(
            IntervalRow(label="recomputed", value=given.estimate, low=ends[0], high=ends[1], limit=claim.epsilon)
        )
    if measured is not None:
        furthest = MOST_DRAWN * max(*(row.value for row in rows), measured.value)
        if measured.high is not None and measured.high > furthest:
            measured = measured.model_copy(update={"low": None, "high": None})
        rows.append(measured.model_copy(update={"limit": claim.epsilon}))
    at = "" if claim.delta is None else f" at delta {claim.delta:g}"
    return IntervalsPlot(title="Epsilon claimed, recomputed and measured", x=f"epsilon{at}", rows=tuple(rows))
