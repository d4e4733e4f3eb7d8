"""Records that come back from the difference of two models, one before and one after forgetting.

Forgetting changes a model because of the very records that are to vanish, so whoever holds both models holds an update
of them (FUIA, arXiv:2502.14558; gradient differences as a proof of unlearning: arXiv:2505.11097). The difference is
read as an update is: the first linear layer in closed form (`audit.attacks.linear`), whatever sign the step has; where
that layer is not linear, and from effort standard on, gradient matching (`audit.attacks.inversion`) beside it, up and
down the gradient. The unprotected twin is one step of ascent on one record at the model before.

The forget set is that of a request, and may be real people's: neither it nor what is made of it is kept as evidence.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import nn

from audit.answer import Wording, answer_for_records, diagnose
from audit.arms import Played
from audit.attacks import inversion, linear
from audit.decision import LEAST_CONTROL, LEAST_RECORDS, MOST_CHANCE, Decision, severity_of, verdict
from audit.load import Truth, input_scale, read_records, reference_records
from audit.scene import Scene, cast_of, null_records, public_twins, set_scene
from audit.twin import LayerNames, Scale, readable_layers, records_of
from audit.view import View
from reports.artifacts import read_tensors
from reports.check import Context, check
from reports.model import (
    Artifact,
    Effort,
    ErasureRequest,
    Finding,
    Measurement,
    Remedy,
    Severity,
    Status,
    Strength,
    System,
)
from unlearning.federated.difference import DifferenceUpdate, difference_update
from unlearning.models import load_model, match_parameters

MOST_READ = 256
"""Forgotten records that are looked for in closed form."""
LEAST_TO_COUNT = 7
"""Fewer records cannot fail by their number: with 6 found and none by luck, p is 1/64."""
OTHERS = ("nonmembers", "calibration")
"""Roles of data that nobody asked to forget, beside the public records."""
THINGS = "forgotten records"
WHERE = "in the difference of the two models"
PREMISE = "The records are the request's own forget set; neither they nor reconstructions of them are kept as evidence."
ASSUMED = "That somebody holds both models, before and after, is an assumption; of one alone it was not asked."
ONE_STEP = (
    "All that was done to forget was read as one step at the model before, up or down the gradient of the records; "
    "rounds on other records in between hide them from such a reading, perhaps not from a better one."
)
NO_LUCK = "Too few records that were not forgotten bear the same labels, so that what luck finds was not asked."
MEND = Remedy(
    parameter="unlearning.method", direction="set", value="rapid-retrain",
    text="Keep the model before from whoever gets the one after, or forget by training anew without the records.",
)  # fmt: skip


@dataclass(frozen=True, eq=False)
class _Difference:
    """One request's models and records, ready to be attacked."""

    base: nn.Module
    """The model before."""
    update: DifferenceUpdate
    """What turns it into the one after."""
    forgotten: Truth
    """The forget set, every record once."""
    first: LayerNames | None
    """The first layer, where it is linear."""


@check(
    "attack.unlearning-difference",
    "The difference of two models does not show the forgotten",
    needs=("unlearning", "model.layers|model.definition"),
    controls=("GDPR:17(1)", "GDPR:5(1)(f)", "EU-AIA:annex-IV(2)(g)"),
    kinds=("reconstruction",),
    strength=Strength.SCREENING,
    severity=Severity.CRITICAL,
)
def unlearning_difference(system: System, ctx: Context) -> Iterator[Finding]:
    """Ask whether somebody who holds the models before and after forgetting can read the forgotten records off them.

    One finding a request. Fails when a record comes back exactly, or more are identified than by luck (p <= 0.01);
    passes, as a screening, when at most 5 % (and chance) of 59 or more are, with 95 % confidence, and the same readings
    work on unprotected twins; skipped for language models, and where a model or the forget set is not declared;
    inconclusive, too, where the two models are the same.
    """
    for index, request in enumerate(system.unlearning):
        yield _asked(system, ctx, index, request)


def _asked(system: System, ctx: Context, index: int, request: ErasureRequest) -> Finding:
    """Return the finding on one request."""
    key = f"unlearning={request.id}"
    before, after, forget = request.before, request.after, request.forget
    if request.kind == "llm":
        return _skipped(ctx, key, "The request is to a language model.", "not-applicable:kind-llm")
    if before is None or after is None:
        which = "before" if before is None else "after"
        told = f"The model {which} forgetting is not declared, so there is no difference to read."
        return _skipped(ctx, key, told, f"missing:unlearning.{which}")
    if forget is None:
        told = "The forget set is not declared, so that nobody can tell whether it comes back."
        return _skipped(ctx, key, told, "missing:unlearning.forget")
    if not forget.path.lower().endswith(".npz"):
        return _skipped(ctx, key, "The forget set is no npz of records.", "not-applicable:no-arrays")
    found = _difference(system, ctx, (before, after, forget), f"unlearning[{index}].forget")
    if found.update.nothing:
        return _without_difference(ctx, key)
    if not (found.update.finite and bool(found.forgotten.x.isfinite().all())):
        told = "NaN or infinity stands in one of the models or in the forget set, so nothing can be read."
        return ctx.finding(Status.INCONCLUSIVE, told, key=key, reason="no-usable-record", limitations=(ASSUMED,))
    if found.first is None and found.forgotten.y.is_floating_point():
        return _skipped(
            ctx, key, "The model has targets, not labels; the search asks for labels.", "not-applicable:no-labels"
        )
    return _attacked(system, ctx, index, request, found)


def _difference(system: System, ctx: Context, files: tuple[Artifact, Artifact, Artifact], key: str) -> _Difference:
    """Read the models before and after and the forget set, and check them against one another."""
    assert system.model is not None, "the check needs a model"  # noqa: S101
    before, after, forget = files
    declared = system.model.model_copy(update={"checkpoint": before})
    base = load_model(declared, ctx.folder, trust_code=ctx.options.trust_code)
    second = match_parameters(base, read_tensors(ctx.folder / after.path), buffers=True, source=after.path)
    first = base.state_dict()
    forgotten = cast_of([read_records(system, forget, ctx.folder, key)], None, ctx.rng("candidates")).planted
    update = difference_update({name: first[name] for name in second}, second, len(forgotten))
    layers = readable_layers(base, tuple(forgotten.x.shape[1:]), Scale(*input_scale(system)))
    return _Difference(base, update, forgotten, layers.first)


def _attacked(system: System, ctx: Context, index: int, request: ErasureRequest, found: _Difference) -> Finding:
    """Return the finding of three arms and one verdict."""
    targets = found.forgotten.y.is_floating_point()  # the search asks for labels
    closed = found.first is not None and (targets or ctx.effort is Effort.SMOKE)
    searched = min(inversion.most_records(found.base, ctx.effort), inversion.most_in_memory(found.base))
    scene = _stage(system, ctx, index, request, found, MOST_READ if closed else searched)
    if closed and found.first is not None:
        played = linear.play(ctx, scene, found.first)
        method, limits = linear.method_of(played, THINGS), [*linear.limits(scene, ctx.effort)]
    else:
        played, method = inversion.play(system, ctx, scene, things=THINGS, beside_linear=True, either_sign=True)
        limits = [*inversion.search_limits(inversion.Searched(scene, played, 0, "", method))]
    decision = _screened(verdict(played))
    left = len(found.forgotten) - len(scene.planted)
    if left:
        limits.append(
            f"Of {len(found.forgotten)} forgotten records {len(scene.planted)}, drawn at random, were sought."
        )
    if decision.records < LEAST_TO_COUNT:
        limits.append(f"Fewer than {LEAST_TO_COUNT} records can fail only by one that comes back exactly.")
    if null_records(scene, ctx.rng("null"))[0] is None:
        limits.append(NO_LUCK)
    return answer_for_records(
        ctx,
        system,
        scene,
        played,
        decision,
        Wording(THINGS, "identified", WHERE, premise=PREMISE, mends=_mends()),
        method=method,
        title=f"Records read off the models before and after: {request.id}"[:200],
        remedy=MEND,
        limitations=[ASSUMED, ONE_STEP, *limits],
        measurements=[_change(found.update)],
        diagnosis=_diagnosed(found.base, scene, played, closed=closed),
        severity=None if left or not decision.exact else _harm(decision),
        key=f"unlearning={request.id}",
        shown=False,
    )


def _stage(system: System, ctx: Context, index: int, request: ErasureRequest, found: _Difference, most: int) -> Scene:
    """Return the difference as one view of the forget set, of which at most so many records, drawn, are sought.

    Where some must be drawn, no more are than a pass allows among that many candidates, if that is enough for one.
    """
    others = _not_forgotten(system, ctx, index, request)
    everybody = len(found.forgotten) + (0 if others is None else len(others))
    if len(found.forgotten) > most and (fair := int(MOST_CHANCE * everybody)) >= LEAST_RECORDS:
        most = min(most, fair)
    drawn = ctx.rng(f"records {request.id}").permutation(len(found.forgotten))
    sought, left = np.sort(drawn[:most]), np.sort(drawn[most:])
    truth = records_of(found.forgotten, sought)
    view = View(f"unlearning[{index}]", "delta", found.update.tensors, found.base, truth)
    scene = set_scene([view], others, Scale(*input_scale(system)), ctx.rng("candidates"))
    return replace(scene, bystanders=records_of(found.forgotten, left) if len(left) else None)


def _not_forgotten(system: System, ctx: Context, index: int, request: ErasureRequest) -> Truth | None:
    """Return every declared record that was not to be forgotten: the crowd, from which the null arm is drawn."""
    declared = [(f"data[{place}]", entry.path) for place, entry in enumerate(system.data) if entry.role in OTHERS]
    own = (("twin", request.twin), ("retain", request.retain))
    declared += [(f"unlearning[{index}].{name}", file) for name, file in own if file is not None]
    public = reference_records(system, ctx.folder)
    parts = [] if public is None else [public]
    for key, file in declared:
        if file.path.lower().endswith(".npz"):
            records = read_records(system, file, ctx.folder, key)
            parts.append(records_of(records, np.flatnonzero(records.x.flatten(1).isfinite().all(dim=1).numpy())))
    return Truth(torch.cat([part.x for part in parts]), torch.cat([part.y for part in parts])) if parts else None


def _screened(decision: Decision) -> Decision:
    """Return the decision as a screening, save for an exact record: there is one view, and it may hold few records.

    Of few records a control that finds most has not failed; they are too few for its bound.
    """
    if decision.strength is Strength.EXACT:
        return decision
    few = decision.records < LEAST_RECORDS and decision.control_hits > LEAST_CONTROL * decision.records
    reason = "too-few-records" if decision.reason == "control-failed" and few else decision.reason
    return replace(decision, strength=Strength.SCREENING, reason=reason)


def _harm(decision: Decision) -> Severity:
    """Return the harm where every forgotten record was sought: the share that came back is no estimate then."""
    return severity_of(max(decision.low, decision.exact / decision.records))


def _diagnosed(base: nn.Module, scene: Scene, played: Played, *, closed: bool) -> str:
    """Return the likeliest reason that the attack fails on one step of ascent, half a sentence."""
    return diagnose(played, base, public_twins(scene)) + ("" if closed else "; or too few iterations")


def _change(update: DifferenceUpdate) -> Measurement:
    share = update.length / update.base_length if update.base_length > 0 else update.length
    return Measurement(
        name="relative_change", value=share, method="length of the difference over that of the model before"
    )


def _mends() -> dict[str, Remedy]:
    """Return what would decide an inconclusive answer, by its reason."""
    rehearse = Remedy(
        parameter="unlearning.forget", direction="add", value=str(LEAST_RECORDS),
        text=f"Rehearse the method on a planted request of at least {LEAST_RECORDS} records.",
    )  # fmt: skip
    return {
        "too-few-records": rehearse,
        "too-few-candidates": Remedy(
            parameter="data", direction="add", value="reference",
            text="Add public records of the same kind (role = reference).",
        ),
        "control-failed": Remedy(
            parameter="model.normalisation", direction="set",
            text="Give the forget set in the units that the model is given.",
        ),
    }  # fmt: skip


def _without_difference(ctx: Context, key: str) -> Finding:
    """Return the finding where nothing was changed: it tells no record, and nothing was forgotten either."""
    remedy = Remedy(
        parameter="unlearning.after", direction="set", text="Name the model that is released after forgetting."
    )
    return ctx.finding(
        Status.INCONCLUSIVE,
        "The models before and after are the same, so there is no difference to read, and nothing was forgotten.",
        key=key,
        remedy=remedy,
        limitations=(ASSUMED,),
        reason="no-difference",
    )


def _skipped(ctx: Context, key: str, told: str, reason: str) -> Finding:
    return ctx.finding(Status.SKIPPED, told, key=key, severity=Severity.INFO, reason=reason)
