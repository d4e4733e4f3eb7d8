"""Records found by matching gradients, whatever the layers: the optimisation attack on single updates.

What exact readings of a first linear layer have returned already is not searched again. Kind `estimate` needs no
search: a server that inverts stale updates to bring them up to date holds such estimates (arXiv:2309.13536), and they
are scored as the reconstructions that they are.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from audit.answer import Wording, answer_for_records, diagnose, left_out, skipped, without_records
from audit.arms import Played, run_arms
from audit.attacks.estimates import of_estimates
from audit.attacks.fidelity import misfit
from audit.attacks.matching import SMALL_MODEL, Budget, Matched
from audit.attacks.matching_attack import MatchingAttack, Trial, run_trial
from audit.decision import Decision, verdict, without_accusation
from audit.defences import Defence, DefenceName
from audit.load import KINDS, Excluded, Truth, input_scale, planted_updates, reference_records
from audit.scene import Scene, Sighting, public_twins, set_scene
from audit.twin import Scale, readable_layers, records_of
from audit.view import View, visible
from reports.check import Context, check
from reports.executor import Serial
from reports.model import Effort, Finding, Measurement, Remedy, Severity, Status, Strength, System
from unlearning.models import load_model

IntArray = npt.NDArray[np.int64]

RECORDS = {Effort.SMOKE: 64, Effort.STANDARD: 64, Effort.FULL: 128}
"""Planted records that are searched in a model of more than `SMALL_MODEL` parameters."""
MOST_RECORDS = 128
"""Likewise in a smaller one: two records that are everybody's neighbour do not stand against a pass then."""
MOST_BYTES = 3 * 2**30
"""Bytes that the gradients of all arms may take; of a large model fewer records are searched, too few for a pass."""
ARMS_BYTES = 32
"""Of each parameter and record: its own gradient, twin and null, and what is searched, in their number formats."""
GRAVITY = (Status.FAIL, Status.INCONCLUSIVE, Status.PASS, Status.SKIPPED)
"""Of the answers on estimates and on updates the first in this order is given."""
BUDGETS = {
    Effort.SMOKE: Budget(iterations=100, restarts=1, quasi_newton=100),
    Effort.STANDARD: Budget(iterations=500, restarts=2, quasi_newton=200),
    Effort.FULL: Budget(iterations=4000, restarts=8, quasi_newton=1000),
}
"""How long each is searched: counted, never timed, so that reports repeat."""


@check(
    "attack.inversion",
    "Gradient matching identifies no record",
    needs=("updates.truth", "model.layers|model.definition|updates.estimate"),
    controls=("EU-AIA:15(5)#confidentiality", "EU-AIA:annex-IV(2)(g)", "EU-AIA:9(6)", "GDPR:32(1)(d)"),
    kinds=("reconstruction",),
    strength=Strength.STATISTICAL,
    severity=Severity.CRITICAL,
)
def inversion(system: System, ctx: Context) -> Iterator[Finding]:
    """Ask whether a server that sees single updates can find the records whose gradients fit them.

    Fails when a record comes back exactly, or more are identified than from views of other records (p <= 0.01);
    passes when at most 5 % (and chance) are, with 95 % confidence, and the same search works on unprotected twins;
    inconclusive, too, where the updates are not what the declared model gives for their records. Estimates that the
    server keeps are scored as they stand; with updates beside them the graver answer is given. Skipped when the server
    sees sums alone.
    """
    estimates = of_estimates(system, ctx)
    updates = [_of_updates(system, ctx)] if any(update.kind in KINDS for update in system.updates) else []
    found = [*([] if estimates is None else [estimates]), *updates]
    yield min(found, key=lambda finding: GRAVITY.index(finding.status))


def _of_updates(system: System, ctx: Context) -> Finding:
    """Return the finding on the updates of single clients."""
    if system.federation is not None and system.federation.visibility == "aggregate":
        return skipped(ctx, "The attacker sees sums only, no single update.", "sums-only")
    planted = planted_updates(system, ctx.folder, trust_code=ctx.options.trust_code)
    seen = visible(system, planted.updates, ctx.rng("corrupt"))
    if not seen.singles and not planted.excluded:
        return skipped(ctx, "No update of a single client is recorded with its truth.", "no-single-update")
    if not seen.singles:
        return without_records(ctx, "No recorded update of a single client can be used.", planted.excluded)
    if seen.singles[0].truth.y.is_floating_point():
        return skipped(ctx, "The model has targets, not labels; the search asks for labels.", "no-labels")
    mend = Remedy(
        parameter="federation.visibility", direction="set", value="aggregate",
        text="Let the server see sums alone (secure aggregation), or let each client clip and add noise.",
    )  # fmt: skip
    return found_by_search(system, ctx, seen.singles, planted.excluded, "in single updates", mend)


@dataclass(frozen=True, eq=False)
class Searched:
    """What a search of views came to."""

    scene: Scene
    """Whom it could be; the records that were searched come first."""
    played: Played
    """The arms."""
    unsearched: int
    """Planted records that this effort left out."""
    misfit: str
    """Why a failure to find anything says nothing, half a sentence; empty where it does."""
    method: str
    """How it was done, for the measurement."""


def search(system: System, ctx: Context, views: Sequence[View], *, beside_linear: bool = False) -> Searched:
    """Play gradient matching on `views` in three arms.

    Args:
        system: The system.
        ctx: Of the check that asks; gives effort, engine, device and executor.
        views: At least one.
        beside_linear: Whether a first linear layer is read beside the search, as variants of one verdict.
    """
    scale = Scale(*input_scale(system))
    base = views[0].base
    whole = set_scene(views, reference_records(system, ctx.folder), scale, ctx.rng("candidates"))
    most = max(1, min(most_records(base, ctx.effort) * max(view.clients for view in views), most_in_memory(base)))
    scene = _within_budget(whole, most, ctx.rng("records"))
    bases = _bases(system, ctx)
    played, method = play(system, ctx, scene, declared=_declared(system), bases=bases, beside_linear=beside_linear)
    names = [name for name, _ in base.named_parameters() if name in views[0].tensors]
    shown = [view for sighting in scene.sightings for view in sighting.views]
    declared = [view for view in shown if view.label not in bases]
    why = "" if _noise_is_hidden(system, played) else misfit(scene, declared, names, played.defences)
    return Searched(scene, played, len(whole.planted) - len(scene.planted), why, method)


def most_records(base: nn.Module, effort: Effort) -> int:
    """Return how many planted records are searched in a model at an effort."""
    return MOST_RECORDS if _size(base) <= SMALL_MODEL else RECORDS[effort]


def most_in_memory(base: nn.Module) -> int:
    """Return of how many planted records the memory holds the gradients of all arms; of at least one."""
    return max(1, MOST_BYTES // (ARMS_BYTES * _size(base)))


def play(
    system: System,
    ctx: Context,
    scene: Scene,
    *,
    things: str = "planted records",
    declared: Sequence[Defence] = (),
    bases: Mapping[str, tuple[nn.Module, ...]] | None = None,
    beside_linear: bool = False,
    either_sign: bool = False,
) -> tuple[Played, str]:
    """Return what matching the gradients in the views of a scene comes to in three arms, and how it was done.

    Args:
        system: The system.
        ctx: Of the check that asks; gives effort, engine, device and executor.
        scene: The views, all of one shape of record, and whom it could be.
        things: What is counted, for the method.
        declared: What the views are known to have been put through.
        bases: By a view's label: the models that it may have been computed at, where its own is not declared.
        beside_linear: Whether a first linear layer is read beside the search, as variants of one verdict.
        either_sign: Whether a view may be a step up the gradient as well as down.
    """
    view = scene.sightings[0].views[0]
    base = view.base
    layers = readable_layers(base, scene.shape, scene.scale)
    budget = replace(BUDGETS[ctx.effort], engine=ctx.options.engine, device=_device(ctx))
    trials = ctx if system.model is not None and system.model.layers is not None else replace(ctx, executor=Serial())
    engines: list[str] = []

    def run(asked: Sequence[Trial]) -> Iterator[Matched]:
        for matched in trials.map(run_trial, asked, purpose="starts"):
            engines.append(matched.engine)
            yield matched

    names = [name for name, _ in base.named_parameters() if name in view.tensors]
    noisy = _linear_weights(base, names)
    attack = MatchingAttack(
        scene, budget, run, layers.first, layers.last, _classes(base, scene), beside_linear, noisy, bases or {},
        either_sign,
    )  # fmt: skip
    played = run_arms(
        attack, scene, names, ctx.rng("null"), declared=declared, adapt=attack.adapt,
        play=lambda _, sightings, met: attack.read(sightings, met), low_rank=noisy,
    )  # fmt: skip
    told = " and ".join(sorted(set(engines))) or "closed form"
    starts = f"{budget.restarts} x {budget.iterations} iterations"
    method = f"share of {things} identified by {' + '.join(played.variants)}, {starts}, engine {told}"
    return played, method + ("" if budget.device == "cpu" else f" on {budget.device}")


def unheard(decision: Decision, why: str) -> Decision:
    """Return the decision where the updates are not what they are said to be: a leak stays one, nothing is passed."""
    if not why or decision.status is Status.FAIL:
        return decision
    return replace(decision, status=Status.INCONCLUSIVE, severity=None, reason="control-failed")


def search_limits(found: Searched) -> Iterator[str]:
    """Yield what a search of views does not show."""
    yield "The search is counted in iterations, not in time; a longer one, or a trained prior, may find more."
    if found.unsearched:
        yield f"{found.unsearched} planted records were not searched at this effort."
    if found.scene.reference is None:
        yield "No public records are declared; the candidates are the records sought alone."
    if any(defence.name is DefenceName.LOCAL_STEPS for defence in found.played.defences):
        yield "Local steps are simulated as plain gradient descent on the records in order."


def found_by_search(
    system: System,
    ctx: Context,
    views: Sequence[View],
    excluded: Sequence[Excluded],
    where: str,
    remedy: Remedy,
    *,
    limitations: Sequence[str] = (),
    measurements: Sequence[Measurement] = (),
    doubt: str = "",
    severity: Severity | None = None,
    beside_linear: bool = False,
) -> Finding:
    """Return the finding of matching the gradients in `views`: three arms, one verdict.

    The arguments are those of `audit.attacks.linear.read_off`, with `search`'s own.
    """
    found = search(system, ctx, views, beside_linear=beside_linear)
    scene, played = found.scene, found.played
    decision = unheard(verdict(played), found.misfit)
    if doubt:
        decision = without_accusation(decision)
    return answer_for_records(
        ctx,
        system,
        scene,
        played,
        decision,
        Wording("planted records", "identified", where),
        method=found.method,
        title=f"Records found by gradient matching {where}",
        remedy=remedy,
        limitations=[*limitations, *left_out(excluded, played.silent), *search_limits(found)],
        measurements=measurements,
        diagnosis=found.misfit or _diagnosed(found, views),
        severity=severity,
        doubt=doubt,
    )


def _diagnosed(found: Searched, views: Sequence[View]) -> str:
    """Return the likeliest reason that the search fails on unprotected twins, half a sentence."""
    deaf = [view for view in views if not next(iter(view.tensors.values())).any()]
    if len(deaf) > len(views) / 2:
        return f"dead units: {len(deaf) / len(views):.0%} of the updates leave the first layer as it is"
    return diagnose(found.played, views[0].base, public_twins(found.scene)) + "; or too few iterations"


def _within_budget(scene: Scene, most: int, rng: np.random.Generator) -> Scene:
    """Return a scene of at most about `most` planted records, whole views drawn at random; the others are candidates.

    Records that are not searched stand among the public ones: the crowd does not shrink with the effort.
    """
    if len(scene.planted) <= most:
        return scene
    chosen: list[Sighting] = []
    records: list[int] = []
    for position in rng.permutation(len(scene.sightings)):
        sighting = scene.sightings[position]
        new = [record for record in sighting.records.tolist() if record not in records]
        if chosen and len(records) + len(new) > most:
            continue
        chosen.append(sighting)
        records.extend(new)
    kept = np.array(records, dtype=np.int64)
    rest = records_of(scene.planted, np.setdiff1d(np.arange(len(scene.planted)), kept))
    parts = [rest] if scene.reference is None else [rest, scene.reference]
    others = Truth(torch.cat([part.x for part in parts]), torch.cat([part.y for part in parts]))
    place = {record: position for position, record in enumerate(records)}
    moved = tuple(
        Sighting(one.views, np.array([place[record] for record in one.records.tolist()], dtype=np.int64))
        for one in chosen
    )
    return Scene(moved, records_of(scene.planted, kept), others if len(others) else None, scene.scale)


def _noise_is_hidden(system: System, played: Played) -> bool:
    """Tell whether noise is declared that pruning, signs or levels hide, so that no update can be held to its truth."""
    noise = system.federation.differential_privacy if system.federation else None
    hiding = {DefenceName.ZEROS, DefenceName.SIGNS, DefenceName.LEVELS}
    return bool(noise and noise.noise_multiplier) and any(one.name in hiding for one in played.defences)


def _declared(system: System) -> list[Defence]:
    noise = system.federation.differential_privacy if system.federation else None
    if noise is None or not noise.clipping_norm:
        return []
    return [Defence(DefenceName.CLIPPING, f"to a norm of {noise.clipping_norm:g}", declared=True)]


def _bases(system: System, ctx: Context) -> dict[str, tuple[nn.Module, ...]]:
    """Return, for the label of each view whose update names no base, the other checkpoints that are listed."""
    undeclared = [index for index, update in enumerate(system.updates) if update.base is None]
    if system.model is None or system.model.checkpoint is None or not undeclared:
        return {}
    listed = {update.base.sha256: update.base for update in system.updates if update.base is not None}
    listed.pop(system.model.checkpoint.sha256, None)
    models = tuple(
        load_model(system.model.model_copy(update={"checkpoint": base}), ctx.folder, trust_code=ctx.options.trust_code)
        for base in listed.values()
    )
    return {f"updates[{index}]": models for index in undeclared} if models else {}


def _linear_weights(base: nn.Module, names: Sequence[str]) -> list[str]:
    """Return the weights of linear layers, in whose gradients noise shows beside their low rank."""
    linear = {f"{name}.weight" if name else "weight" for name, m in base.named_modules() if isinstance(m, nn.Linear)}
    return [name for name in names if name in linear]


def _classes(base: nn.Module, scene: Scene) -> int:
    """Return the number of outputs of the model."""
    with torch.no_grad():
        return int(base(scene.scale.normalised(scene.planted.x[:1])).shape[-1])


def _size(base: nn.Module) -> int:
    return sum(parameter.numel() for parameter in base.parameters())


def _device(ctx: Context) -> str:
    return "cuda" if ctx.options.device != "cpu" and torch.cuda.is_available() else "cpu"
