"""Records found behind a delta of several local steps, with the steps simulated.

Local training between two messages is often taken for a protection, since a delta is no gradient. An attacker who
knows the learning rate, the steps and the batch size runs them too (Dimitrov et al. 2022, arXiv:2206.12395); the
kernel is `audit.attacks.local_steps`. First the cheaper readings are tried: the closed form of a linear layer, whose
input is the same at every step, and the delta taken for a gradient.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial

import numpy as np
import torch

from audit.answer import Wording, answer_for_records, diagnose, left_out, skipped, without_records
from audit.arms import Attack, Played, Reconstruction, run_arms
from audit.attacks.delta_noise import noise_in
from audit.attacks.fedavg_search import CLOSED_FORM, ONE_STEP, SIMULATED, Searched, Sorter, by_position, search
from audit.attacks.fidelity import misfit
from audit.attacks.inversion import unheard
from audit.attacks.matching import Budget
from audit.decision import verdict
from audit.defences import Defence, DefenceName
from audit.load import PlantedUpdates, input_scale, planted_updates, reference_records
from audit.scene import Scene, Sighting, public_twins, set_scene
from audit.twin import Scale, clear_gradient, readable_layers, records_of
from audit.view import View, visible
from reports.check import Context, check
from reports.model import Effort, Finding, Measurement, Remedy, Severity, Strength, System

MOST_RECORDS = {Effort.SMOKE: 16, Effort.STANDARD: 64, Effort.FULL: 128}
"""Planted records that are sought."""
ITERATIONS = {Effort.SMOKE: 50, Effort.STANDARD: 300, Effort.FULL: 1000}
"""Of each start of each reading."""
STARTS = {Effort.SMOKE: 1, Effort.STANDARD: 1, Effort.FULL: 4}
"""For each view; that with the lowest objective is handed in."""


@check(
    "attack.fedavg-inversion",
    "Several local steps do not hide less than claimed",
    needs=("updates.truth", "model.layers|model.definition", "updates.delta"),
    controls=("EU-AIA:15(5)#confidentiality", "EU-AIA:annex-IV(2)(g)", "EU-AIA:9(6)", "GDPR:32(1)(d)"),
    kinds=("reconstruction",),
    strength=Strength.STATISTICAL,
    severity=Severity.CRITICAL,
)
def fedavg(system: System, ctx: Context) -> Iterator[Finding]:
    """Ask whether a server that sees a client's delta can find the records by simulating its local steps.

    Fails when a record comes back exactly, or more are identified than from views of other records (p <= 0.01);
    passes when at most 5 % (and chance) are, with 95 % confidence, and the same search works on unprotected twins;
    skipped when the server sees sums alone or no client took several steps; else inconclusive.
    """
    if system.federation is not None and system.federation.visibility == "aggregate":
        yield skipped(ctx, "The attacker sees sums only, no single update.", "sums-only")
        return
    planted = planted_updates(system, ctx.folder, trust_code=ctx.options.trust_code)
    singles = visible(system, planted.updates, ctx.rng("corrupt")).singles
    views = [view for view in singles if view.of == "delta" and view.local_steps > 1]
    if not views and planted.excluded:
        yield without_records(ctx, "No recorded delta of several local steps can be used.", planted.excluded)
    elif not views:
        yield skipped(ctx, "No delta of several local steps is recorded with its truth.", "one-local-step")
    elif views[0].truth.y.is_floating_point():
        yield skipped(ctx, "The model has targets, not labels.", "no-labels")
    else:
        yield _searched(system, ctx, _budgeted(views, MOST_RECORDS[ctx.effort]), planted, len(views))


def _budgeted(views: Sequence[View], most: int) -> list[View]:
    """Return the first views that hold at most so many records together, at least one."""
    ends = np.cumsum([len(view.truth) for view in views])
    return list(views[: max(1, int((ends <= most).sum()))])


@dataclass
class _Player:
    """Lets many sightings be searched at once: the `play` of `audit.arms.run_arms`."""

    ctx: Context
    sorter: Sorter
    found: list[Searched] = field(default_factory=list)

    def __call__(
        self, attack: Attack, sightings: Sequence[Sighting], defences: tuple[Defence, ...]
    ) -> list[tuple[Reconstruction, ...]]:
        """Return what is read of each sighting: in closed form, then as one step, then with the steps simulated."""
        read = [attack(sighting, defences) for sighting in sightings]
        trials = self.sorter.trials(sightings, read, defences)
        self.found = list(self.ctx.map(search, trials, purpose="starts"))
        guessed = by_position(self.found)
        return [
            (*given, Reconstruction(ONE_STEP, self.sorter.raw(one)), Reconstruction(SIMULATED, self.sorter.raw(many)))
            for given, (one, many) in zip(read, (guessed[i] for i in range(len(sightings))), strict=True)
        ]


def _searched(system: System, ctx: Context, views: Sequence[View], planted: PlantedUpdates, recorded: int) -> Finding:
    """Return the finding of searching the views: three arms, one verdict."""
    scale = Scale(*input_scale(system))
    scene = set_scene(views, reference_records(system, ctx.folder), scale, ctx.rng("candidates"))
    player = _Player(ctx, _sorter(ctx, views[0], scene))
    reads = player.sorter.reads
    played = run_arms(
        player.sorter.closed_form,
        scene,
        reads,
        ctx.rng("null"),
        declared=[*_declared(system), *noise_in(views, player.sorter.layers.first)],
        adapt=partial(_answer_to, all(view.learning_rate for view in views)),
        play=player,
        low_rank=[name for name in reads if views[0].tensors[name].ndim == 1],  # vectors: noise is told apart above
    )
    why = misfit(scene, views, reads, played.defences)
    decision = unheard(verdict(played), why)
    engines = sorted({one.engine for one in player.found})
    method = (
        f"share of planted records identified by {' + '.join(played.variants)}; {ITERATIONS[ctx.effort]} iterations, "
        f"{STARTS[ctx.effort]} starts; engine {', '.join(engines)}"
    )
    return answer_for_records(
        ctx,
        system,
        scene,
        played,
        decision,
        Wording("planted records", "identified", "behind deltas of several local steps"),
        method=method,
        title="Records found behind deltas of several local steps",
        remedy=Remedy(
            parameter="federation.visibility", direction="set", value="aggregate",
            text="Let the server see sums alone (secure aggregation), or let each client clip and add noise.",
        ),
        limitations=[*_limits(views, recorded, scene), *left_out(planted.excluded, played.silent)],
        measurements=_of_one_step(played),
        detail=_suffices(played),
        diagnosis=why or _dead(scene, views[0], reads) or diagnose(played, views[0].base, public_twins(scene)),
    )  # fmt: skip


def _sorter(ctx: Context, view: View, scene: Scene) -> Sorter:
    """Return what sorts sightings into trials."""
    with torch.no_grad():
        outputs = view.base(scene.scale.normalised(scene.planted.x[:1]))
    device = "cuda" if ctx.options.device != "cpu" and torch.cuda.is_available() else "cpu"
    return Sorter(
        scene=scene,
        layers=readable_layers(view.base, scene.shape, scene.scale),
        reads=tuple(name for name, _ in view.base.named_parameters()),
        budget=Budget(ITERATIONS[ctx.effort], STARTS[ctx.effort], engine=ctx.options.engine, device=device),
        classes=outputs.shape[-1] if outputs.ndim > 1 else 1,
    )


def _declared(system: System) -> list[Defence]:
    noise = system.federation.differential_privacy if system.federation else None
    if noise is None or not noise.clipping_norm:
        return []
    return [Defence(DefenceName.CLIPPING, f"to a norm of {noise.clipping_norm:g}", declared=True)]


def _answer_to(rates_known: bool, defence: Defence | None, _met: tuple[Defence, ...], _records: int) -> str | None:
    """Return the reading that answers a defence: the simulated steps, which compare what the defence left.

    None where the steps cannot be simulated as they were, since their learning rate is not declared.
    """
    known = rates_known or defence is None or defence.name is not DefenceName.LOCAL_STEPS
    return SIMULATED if known else None


def _dead(scene: Scene, view: View, reads: Sequence[str]) -> str:
    """Return that the first layer does not learn, half a sentence; empty where it does."""
    alone = [records_of(scene.planted, np.array([record])) for record in range(len(scene.planted))]
    silent = [
        not any(g.any() for g in clear_gradient(view.base, one, scene.scale, reads[:1]).values()) for one in alone
    ]
    share = float(np.mean(silent))
    return f"dead units: for {share:.0%} of the records the first layer has no gradient" if share >= 0.5 else ""


def _of_one_step(played: Played) -> Iterator[Measurement]:
    if len(played.system):
        yield Measurement(
            name="one_step_identifiability", value=float(played.variants[ONE_STEP].system.mean()),
            n=len(played.system), method="the same with the delta taken for a gradient of one step",
        )  # fmt: skip


def _suffices(played: Played) -> str:
    """Return whether one step is approximation enough, a sentence."""
    one, many = (int(played.variants[name].system.sum()) for name in (ONE_STEP, SIMULATED))
    if not max(one, many):
        return "Neither taking the delta for one step nor simulating the steps identifies a record."
    verb = "suffices" if one >= many else "does not suffice"
    closed = (
        f", the closed form {int(played.variants[CLOSED_FORM].system.sum())}" if CLOSED_FORM in played.variants else ""
    )
    return f"Taking the delta for one step {verb}: it identifies {one} records, simulating the steps {many}{closed}."


def _limits(views: Sequence[View], recorded: int, scene: Scene) -> Iterator[str]:
    yield "Plain gradient descent was simulated; momentum, weight decay and schedules were not."
    yield "The control is a batch of one, one step, in the clear; longer and larger training is harder to see through."
    if len(views) < recorded:
        yield f"Of {recorded} deltas of several steps {len(views)} were searched; the budget ends there."
    if any(view.learning_rate is None for view in views):
        yield "No learning rate is declared for some of them; 0.01 was assumed, and no pass rests on that."
    if scene.reference is None:
        yield "No public records are declared; the candidates are the records sought alone."
