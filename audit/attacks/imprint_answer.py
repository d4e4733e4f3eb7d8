"""From inspected layers to a finding: what speaks for a trap, what came out of it, and what was not looked at.

The words never hold a record's content; they count.
"""

from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from audit.attacks.trap_reading import Reading
from audit.attacks.traps import Inspection, Judged
from audit.decision import LEAST_CONTROL, LEAST_RECORDS, Arms, Decision, verdict
from audit.exhibits import arm_measurements, arms_plot, npz_bytes
from reports.context import Context
from reports.model import Basis, Confidentiality, Finding, Measurement, Remedy, Status, Threshold

NAMED = 3
"""Layers that a summary names."""


def told(
    ctx: Context,
    judged: Sequence[Judged],
    arms: Arms,
    reading: Reading | None,
    refused: Mapping[str, str],
    inspected: int,
) -> Finding:
    """Return the finding.

    Args:
        ctx: Of the check.
        judged: The layers that were inspected, at least one.
        arms: What came out of those that were read.
        reading: What the first suspicious layer gave away; None where there is none.
        refused: Layers that were not inspected, and why.
        inspected: Public records that showed what the layers do.
    """
    decision = verdict(arms, most_chance=None)
    traps = [one for one in judged if one.trap]
    status, reason, summary = _decided(judged, traps, decision)
    read = decision.status is Status.FAIL
    method = "share of shown public records that the gradient of a suspicious layer hands over"
    title = "Public records read from layers that look like a trap"
    kept = arms_plot(ctx, arms, decision, title, "share of shown records identified")
    if reading is not None:
        arrays = {"identified": reading.hits, "reconstruction": reading.best.astype(np.float32)}
        data = npz_bytes(arrays)
        kept.append(ctx.evidence(f"{ctx.check.id} readings", data, "application/x-npz", Confidentiality.RESTRICTED))
    return ctx.finding(
        status,
        summary[:300],
        severity=decision.severity if status is Status.FAIL and read else None,
        strength=decision.strength if status is Status.FAIL and read else None,
        basis=Basis.MEASURED,
        detail="\n".join(_described(one) for one in judged),
        measurements=[*_looks(judged, traps), *arm_measurements(arms, decision, "identifiability", method),
                      *_exact(decision)],
        evidence=kept,
        remedy=_remedy(status),
        limitations=_limitations(inspected, decision.records, refused),
        reason=reason,
    )  # fmt: skip


def too_few_records(ctx: Context, records: int) -> Finding:
    """Return the finding where there are not enough different public records."""
    remedy = Remedy(
        parameter="data", direction="add", value="reference",
        text=f"Declare at least {LEAST_RECORDS} different public records (role = reference).",
    )  # fmt: skip
    summary = f"{records} different public records are too few to tell what the layers measure."
    return ctx.finding(Status.INCONCLUSIVE, summary, remedy=remedy, reason="too-few-records")


def _decided(judged: Sequence[Judged], traps: Sequence[Judged], decision: Decision) -> tuple[Status, str, str]:
    """Return status, reason and summary."""
    unnoticed = [one for one in judged if not one.planted.suspicious]
    dead = [one for one in judged if one.found.dead]
    alike = [one for one in judged if one.fresh.suspicious]
    if traps or decision.status is Status.FAIL:
        which = traps or [one for one in judged if one.found.groups]
        looks = "Built like a trap for records" if traps else "Not built as a whole like a trap, yet used as one"
        return Status.FAIL, "", f"{looks}: {_named(which)} ({_sign(which[0].found)}); {_came_out(decision)}."
    control = "control-failed"
    if dead:
        return Status.INCONCLUSIVE, control, f"Nearly no unit of {_named(dead)} fires, so what it does is not seen."
    if unnoticed:
        return Status.INCONCLUSIVE, control, f"A trap planted in {_named(unnoticed)} went unnoticed."
    if decision.records and decision.control_low < LEAST_CONTROL:
        out = f"{decision.control_hits} of {decision.records} public records"
        return Status.INCONCLUSIVE, control, f"No layer looks like a trap, but only {out} came out of a planted one."
    if alike:
        return Status.INCONCLUSIVE, "undecided", f"However initialised, {_named(alike)} would look like a trap."
    if some := [one for one in judged if one.found.groups]:
        few = f"Some rows of {_named(some)} look like a trap ({_sign(some[0].found)})"
        return Status.INCONCLUSIVE, "undecided", f"{few}; {_came_out(decision)}."
    summary = (
        f"Not found by this inspection: a trap for records among {len(judged)} layers; one planted in each was "
        "noticed, and none in layers initialised anew."
    )
    return Status.PASS, "", summary


def _came_out(decision: Decision) -> str:
    if not decision.hits:
        return "no record was read from its gradient"
    return (
        f"{decision.hits} of {decision.records} public records came out of its gradient, {decision.exact} exactly; by "
        f"luck {decision.null_hits}, out of a planted trap {decision.control_hits}"
    )


def _looks(judged: Sequence[Judged], traps: Sequence[Judged]) -> Iterator[Measurement]:
    noticed = sum(one.planted.suspicious for one in judged)
    yield Measurement(
        name="trap_layers", value=float(len(traps)), n=len(judged), control=float(noticed),
        method="layers that look like a trap, and not when initialised anew; control: with a trap planted in each",
        threshold=Threshold(op="<=", limit=0),
    )  # fmt: skip
    widest = max(judged, key=lambda one: one.found.share)
    yield Measurement(
        name="parallel_rows", value=widest.found.share, n=widest.found.layer.rows, control=widest.planted.share,
        method="largest share of a layer's rows that are one row with thresholds spread over public records",
    )  # fmt: skip


def _exact(decision: Decision) -> Iterator[Measurement]:
    if decision.records:
        yield Measurement(
            name="exact_records", value=float(decision.exact), n=decision.records,
            method="records back with a largest error of 0.1 % of the range",
        )  # fmt: skip


def _described(one: Judged) -> str:
    layer = one.found.layer
    noticed = "noticed" if one.planted.suspicious else "not noticed"
    fresh = "looks like a trap" if one.fresh.suspicious else "does not"
    return (
        f"Layer {layer.name or 'model'!r}, {layer.rows} units: {_sign(one.found)}; "
        f"planted trap {noticed}; initialised anew it {fresh}."
    )


def _sign(found: Inspection) -> str:
    """Return what speaks for a trap, or that nothing does."""
    if found.groups:
        first = found.groups[0]
        return f"{len(first.members)} of {found.layer.rows} rows are one row with {first.levels} distinct thresholds"
    if found.rare:
        return "nearly every unit fires for fewer than 2 % of public records"
    return "nearly no unit ever fires" if found.dead else "no parallel rows with spread thresholds, no rare units"


def _named(some: Sequence[Judged]) -> str:
    names = ", ".join(repr(one.found.layer.name or "model") for one in some[:NAMED])
    more = f" and {len(some) - NAMED} more" if len(some) > NAMED else ""
    return f"{'layer' if len(some) == 1 else 'layers'} {names}{more}"


def _remedy(status: Status) -> Remedy | None:
    if status is Status.FAIL:
        return Remedy(
            parameter="model.checkpoint", direction="set",
            text="Take the model from a source that the clients trust, and let each inspect it before it trains.",
        )  # fmt: skip
    if status is Status.INCONCLUSIVE:
        return Remedy(
            parameter="model.normalisation", direction="set",
            text="Declare public records in the units that the model is given, for which its layers fire.",
        )  # fmt: skip
    return None


def _limitations(inspected: int, shown: int, refused: Mapping[str, str]) -> Iterator[str]:
    yield f"{inspected} public records were run through the model, and {shown} others shown to one layer in batches."
    yield (
        "Two signs were looked for in linear and convolutional layers: parallel rows, a quarter of a layer or such as "
        "hand records over, and nine tenths of units that fire for fewer than 2 % of records. Milder traps, other "
        "kinds, and a model that is sent to some clients only were not looked for."
    )
    for name, why in list(refused.items())[:10]:
        yield f"Not inspected: layer {name or 'model'!r}, which {why}."
