"""Layers built to copy records: what a malicious server hides in the model that it sends out.

The model is inspected, not the updates: a layer of parallel rows with spread thresholds, or of units that hardly ever
fire, is built so that its gradient is a record (Fowl et al. 2022, arXiv:2110.13057; Boenisch et al. 2021,
arXiv:2112.02918). What looks like such a layer is then put to work on public records.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import nn

from audit.answer import skipped
from audit.attacks.imprint_answer import told, too_few_records
from audit.attacks.layers_watched import Layer, watched_layers
from audit.attacks.trap_reading import Reading, batches_of, read_batches, readable
from audit.attacks.traps import (
    Inspection,
    Judged,
    inspect,
    inspectable,
    reinitialised,
    watched_layer,
    with_planted_trap,
)
from audit.decision import LEAST_RECORDS, Arms
from audit.load import NO_LABEL, Truth, input_scale, reference_records
from audit.twin import Scale, readable_layers, records_of
from reports.check import Context, check
from reports.model import Effort, Finding, Severity, Strength, System
from unlearning.models import load_model

MOST_INSPECTED = {Effort.SMOKE: 256, Effort.STANDARD: 1024, Effort.FULL: 4096}
"""Public records that are run through the model to see what its layers do."""
MOST_SHOWN = {Effort.SMOKE: 64, Effort.STANDARD: 128, Effort.FULL: 512}
"""Further public records that are shown to a layer in batches, to see whether they come out."""
MOST_READ = 4
"""Suspicious layers that are read, the first of them."""


@dataclass(frozen=True, eq=False)
class Stage:
    """What the layers are judged and read with."""

    model: nn.Module
    """In evaluation mode."""
    scale: Scale
    """Normalisation of a record."""
    shown: Truth
    """Records that are shown to a layer in batches; none of them sets the thresholds of a planted trap."""
    inspected: Truth
    """Other records, which show what the layers do."""


@check(
    "attack.imprint",
    "The model contains no layer built to copy records",
    needs=("model.checkpoint", "model.layers|model.definition", "data.reference"),
    controls=("EU-AIA:15(5)#confidentiality", "EU-AIA:annex-IV(2)(g)", "EU-AIA:9(2)(a)"),
    kinds=("reconstruction",),
    strength=Strength.SCREENING,
    severity=Severity.CRITICAL,
)
def imprint(system: System, ctx: Context) -> Iterator[Finding]:
    """Ask whether the model that clients are sent holds a layer whose gradient is a record.

    Fails when a layer looks like a trap and would not if initialised anew, or when parallel rows, few as they may be,
    hand records over; exact where records come back exactly, else screening. Passes, at screening strength, when no
    layer looks so, a trap planted in each is noticed, and records come out of a planted one. Inconclusive when a
    planted trap goes unnoticed, a layer never fires, or one would look so anyway.
    """
    assert system.model is not None, "the check needs a model"  # noqa: S101
    reference = reference_records(system, ctx.folder)
    if reference is None:
        yield skipped(ctx, "No public records are declared as arrays.", "no-reference-arrays")
        return
    model = load_model(system.model, ctx.folder, trust_code=ctx.options.trust_code)
    stage = _stage(ctx, model, Scale(*input_scale(system)), reference)
    if len(stage.shown) + len(stage.inspected) < LEAST_RECORDS:
        yield too_few_records(ctx, len(stage.shown) + len(stage.inspected))
        return
    readable_layers(model, tuple(reference.x.shape[1:]), stage.scale)  # says so where records do not fit the model
    layers = watched_layers(model, stage.scale.normalised(stage.inspected.x))
    refused = {layer.name: why for layer in layers if (why := inspectable(model, layer))}
    wanted = [layer for layer in layers if layer.name not in refused]
    if not wanted:
        yield skipped(ctx, "No layer of the model could hold such a trap.", "no-layer-to-inspect")
        return
    judged = []
    for done, layer in enumerate(wanted, start=1):
        judged.append(_judged(ctx, stage, layer))
        ctx.progress(done, len(wanted))
    arms, reading = _read(ctx, stage, judged)
    yield told(ctx, judged, arms, reading, refused, len(stage.inspected))


def _stage(ctx: Context, model: nn.Module, scale: Scale, reference: Truth) -> Stage:
    """Return the stage: every public record once, in random order, dealt out to be shown and to be inspected."""
    _, first = np.unique(reference.x.flatten(1).numpy(), axis=0, return_index=True)
    rng = ctx.rng("records")
    order = rng.permutation(np.sort(first))
    shown = min(MOST_SHOWN[ctx.effort], len(order) // 2)
    y = reference.y.clone()
    if (unlabelled := y == NO_LABEL).any() and not y.is_floating_point():
        with torch.no_grad():
            outputs = model(scale.normalised(reference.x[:2]))
        labels = max(2, outputs.shape[-1]) if outputs.ndim > 1 else 2
        y[unlabelled] = torch.from_numpy(rng.integers(0, labels, int(unlabelled.sum())))
    known = Truth(reference.x, y)
    rest = order[shown : shown + MOST_INSPECTED[ctx.effort]]
    return Stage(model, scale, records_of(known, order[:shown]), records_of(known, rest))


def _judged(ctx: Context, stage: Stage, layer: Layer) -> Judged:
    x = stage.scale.normalised(stage.inspected.x)
    planted, fresh = _planted(ctx, stage, layer), _fresh(ctx, stage, layer)
    rng = ctx.rng(f"rows of {layer.name}")
    return Judged(
        inspect(stage.model, layer, rng),
        inspect(planted, watched_layer(planted, x, layer.name), rng),
        inspect(fresh, watched_layer(fresh, x, layer.name), rng),
    )


def _planted(ctx: Context, stage: Stage, layer: Layer) -> nn.Module:
    x = stage.scale.normalised(stage.inspected.x)
    return with_planted_trap(stage.model, layer, x, ctx.generator(f"planted in {layer.name}"))


def _fresh(ctx: Context, stage: Stage, layer: Layer) -> nn.Module:
    return reinitialised(stage.model, layer, ctx.generator(f"anew {layer.name}"))


def _read(ctx: Context, stage: Stage, judged: Sequence[Judged]) -> tuple[Arms, Reading | None]:
    """Return the three arms of reading the layers that look suspicious, and what the first of them gave away.

    Where none does, the control alone is played, in the first layer whose gradient could be read; no record where
    there is none.
    """
    able = [one for one in judged if readable(stage.model, one.found.layer)]
    suspects = [one for one in able if (one.found.groups or one.found.rare) and not one.fresh.suspicious][:MOST_READ]
    homes = suspects or [
        one for one in able if one.found.layer.following is not None and one.found.layer.firing is not None
    ]
    nothing = np.zeros(len(stage.shown) if homes else 0, dtype=bool)
    if not homes:
        return Arms(nothing, nothing, nothing, views=0), None
    everything = Truth(*(torch.cat(parts) for parts in ((stage.shown.x, stage.inspected.x),
                                                       (stage.shown.y, stage.inspected.y))))  # fmt: skip
    x = stage.scale.normalised(everything.x)
    given = {layer.name: layer.given for layer in watched_layers(stage.model, x)}

    def play(model: nn.Module, inspection: Inspection) -> Reading:
        inputs = given[inspection.layer.name]
        assert inputs is not None, "only linear layers are read"  # noqa: S101
        batches = batches_of(len(stage.shown), inspection.layer.rows)
        return read_batches(model, inspection, stage.shown, inputs.astype(np.float64), stage.scale, batches)

    system = [play(stage.model, one.found) for one in suspects]
    null = [play(_fresh(ctx, stage, one.found.layer), one.fresh if one.fresh.groups else one.found) for one in suspects]
    batches = [batches_of(len(stage.shown), one.found.layer.rows) for one in suspects or homes[:1]]
    control = play(_planted(ctx, stage, homes[0].found.layer), homes[0].planted)
    arms = Arms(
        control=control.hits,
        system=np.logical_or.reduce([nothing, *(one.hits for one in system)]),
        null=np.logical_or.reduce([nothing, *(one.hits for one in null)]),
        chance=max(len(own[0]) for own in batches) / len(everything),
        views=min(len(own) for own in batches),
        exact=np.logical_or.reduce([nothing, *(one.exact for one in system)]),
        exact_null=any(one.exact.any() for one in null),
    )
    return arms, system[0] if system else None
