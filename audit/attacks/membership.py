"""Membership inference: whether a released model tells who it was trained on.

A model is surer of what it has learnt from than of what it has not. How much surer is told by four attacks: the loss
alone (Yeom et al. 2018, arXiv:1709.01604), the likelihood ratio against shadow models with and without each record
(LiRA, arXiv:2112.03570; offline where those without it are looked at alone), and relative odds (RMIA,
arXiv:2312.03262). Where enough labelled public records are declared, the last two are asked once more of shadows that
were trained on those alone. What counts is how many members are found while hardly any non-member is accused, not how
often a guess is right on average.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from audit.attacks.membership_answer import Measured, answered
from audit.attacks.membership_scores import read_scores
from audit.attacks.membership_shadows import (
    DEFAULT,
    Plan,
    Records,
    declared_recipe,
    planned,
    scored,
    trained,
    trials,
)
from audit.attacks.shadow import Splits, confidence
from audit.load import NO_LABEL, Truth, input_scale, read_records, reference_records
from audit.twin import Scale
from reports.check import Context, check
from reports.errors import SystemFileError
from reports.executor import Serial
from reports.model import Basis, Finding, Severity, Status, Strength, System
from reports.statistics import permutation
from unlearning.models import load_model

Array = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]

GRAVITY = (Status.SKIPPED, Status.PASS, Status.INCONCLUSIVE, Status.FAIL)
SCORED_AT_ONCE = 4096
"""Records in one forward pass of the system's model."""
ENOUGH_PUBLIC = 0.5
"""Labelled public records for each member from which shadows are trained on those alone."""
FAR_LABELS = 0.1
"""Total variation between the labels of members and public records from which those are said to be of another kind."""
EXCHANGES = 199
"""Of labels, to tell such a distance from the luck of the draw."""
SIGNIFICANT = 0.01
"""Largest p-value of a distance that is none."""


@check(
    "attack.membership",
    "Members cannot be told from non-members",
    needs=(
        "model.layers|model.definition|data.membership-scores",
        "data.members|data.membership-scores",
        "data.nonmembers|data.membership-scores",
    ),
    controls=(
        "EU-AIA:15(5)#confidentiality", "EU-AIA:55(1)(a)", "EU-AIA:annex-IV(2)(g)", "GDPR:35(7)(d)",
    ),
    kinds=("membership",),
    strength=Strength.STATISTICAL,
    severity=Severity.HIGH,
)  # fmt: skip
def membership(system: System, ctx: Context) -> Iterator[Finding]:
    """Ask whether scores of a model tell its members from non-members.

    The model is attacked with shadows of our own where members and non-members are declared; scores that the owner
    computed are judged where they are declared; of both the graver answer is given. Fails, with 95 % confidence, when
    more than 5 % of the members are found at 1 % false positives, the AUC exceeds 0.60 or is reversed below 0.40, or
    the advantage exceeds the claimed one. Passes when the upper bounds are at most 5 % and 0.60, there are 100 members
    and non-members, and the same attack finds the members of a model that leaks; inconclusive else.
    """
    findings = [answered(system, ctx, one) for one in _sources(system, ctx)]
    if not findings:
        summary = "Members and non-members are not records of a classifier in npz files."
        yield ctx.finding(Status.SKIPPED, summary, reason="not-applicable:no-arrays", severity=Severity.INFO)
        return
    yield max(findings, key=lambda finding: GRAVITY.index(finding.status))


def _sources(system: System, ctx: Context) -> Iterator[Measured]:
    """Yield what was measured on the model, then what the owner's score files say."""
    if records := _records(system, ctx):
        yield _attacked(system, ctx, records)
    for entry in system.data:
        if entry.role == "membership-scores":
            own, control = read_scores(entry.path, ctx.folder)
            source = f"scores in {entry.path.path}"
            yield Measured(own, control, source, Basis.RECORDED, (f"That the {source} are the model's was not asked.",))


@dataclass(frozen=True, eq=False)
class _Found:
    """Records of the two roles, and what was left out of them."""

    records: Records
    limitations: tuple[str, ...]
    public: Records | None = None
    """Labelled public records, none of them a member or non-member; None where there are too few."""


def _records(system: System, ctx: Context) -> _Found | None:
    """Return members and non-members as the model takes them; None where they, or a model, are not declared as npz."""
    model = system.model
    if (
        model is None
        or model.checkpoint is None
        or not (model.layers or model.definition)
        or model.task == "regression"
    ):
        return None
    parts = {role: _of_role(system, ctx, role) for role in ("members", "nonmembers")}
    members, others = parts["members"], parts["nonmembers"]
    if members is None or others is None:
        return None
    known = {row.tobytes() for row in members.x.flatten(1).numpy() + 0.0}  # -0.0 becomes 0.0
    strange = np.array([row.tobytes() not in known for row in others.x.flatten(1).numpy() + 0.0], dtype=bool)
    left = int((~strange).sum())
    if not strange.any():
        raise SystemFileError(
            "data.nonmembers", "system.toml: data: every non-member is also a member", "Give records never trained on."
        )
    kept = np.flatnonzero(strange)
    scale = Scale(*input_scale(system))
    records = Records(
        scale.normalised(torch.cat([members.x, others.x[kept]])),
        torch.cat([members.y, others.y[kept]]),
        np.repeat([True, False], [len(members), len(kept)]),
    )
    told = (f"Left out: {left} non-members that are members, too.",) if left else ()
    return _with_public(system, ctx, _Found(records, told), scale)


def _with_public(system: System, ctx: Context, found: _Found, scale: Scale) -> _Found:
    """Add the labelled public records that are no member or non-member; where they are too few, say so instead."""
    declared = reference_records(system, ctx.folder)
    if declared is None:
        return found
    x, members = scale.normalised(declared.x), int(found.records.member.sum())
    known = {row.tobytes() for row in found.records.x.flatten(1).numpy() + 0.0}
    apart = np.array([row.tobytes() not in known for row in x.flatten(1).numpy() + 0.0], dtype=bool)
    usable = apart & (declared.y != NO_LABEL).numpy()
    kept, wanted = np.flatnonzero(usable), max(2, math.ceil(ENOUGH_PUBLIC * members))
    if len(kept) < wanted:
        told = (
            f"No shadows were trained on public records alone: reference has {len(kept)} labelled ones that are no "
            f"members or non-members, and {wanted} are needed, half as many as the members."
        )
        return replace(found, limitations=(*found.limitations, told))
    public = Records(x[kept], declared.y[kept], np.zeros(len(kept), dtype=bool))
    of_members = found.records.y[torch.from_numpy(found.records.member)].numpy()
    told = of_other_labels(of_members, public.y.numpy(), ctx.rng("public labels"))
    return replace(found, public=public, limitations=(*found.limitations, *([told] if told else [])))


def of_other_labels(members: IntArray, public: IntArray, rng: np.random.Generator) -> str:
    """Return that public records bear other labels than the members do, a sentence; empty where they do not.

    On 300 digits and as many public ones, three seeds, the AUC of LiRA on reference fell from .69 to .61 where half of
    the classes were missing from these, while that of RMIA stayed at .69.

    Args:
        members: Labels, shape (n,).
        public: Labels, shape (m,).
        rng: Draws exchanges, to tell a distance from luck.
    """
    classes = int(max(members.max(), public.max())) + 1

    def distance(labels: npt.NDArray[Any]) -> float:
        first, second = labels[: len(members)].astype(np.int64), labels[len(members) :].astype(np.int64)
        shares = [np.bincount(part, minlength=classes) / len(part) for part in (first, second)]
        return float(np.abs(shares[0] - shares[1]).sum() / 2)

    together = np.concatenate([members, public])
    apart = distance(together)
    if apart < FAR_LABELS or permutation(distance, together, rng, EXCHANGES) > SIGNIFICANT:
        return ""
    return (
        f"The public records bear other labels than the members (total variation {apart:.2f}); shadows trained on them "
        "stand in for the model less well, and LiRA on reference finds less than it might."
    )


def _of_role(system: System, ctx: Context, role: str) -> Truth | None:
    """Return the records of a role, all files together; None where it has no npz."""
    found = []
    for index, entry in enumerate(system.data):
        if entry.role == role and entry.path.path.lower().endswith(".npz"):
            records = read_records(system, entry.path, ctx.folder, f"data[{index}]")
            if not torch.isfinite(records.x).all():
                told = f"system.toml: data[{index}]: {entry.path.path}: 'x' holds NaN or infinity"
                raise SystemFileError("system.records", told, "Leave those records out.")
            found.append(records)
    return Truth(torch.cat([one.x for one in found]), torch.cat([one.y for one in found])) if found else None


def _attacked(system: System, ctx: Context, found: _Found) -> Measured:
    """Train shadows of the system and of the twin that leaks, and return the scores of both."""
    assert system.model is not None  # noqa: S101  `_records` has looked
    model = load_model(system.model, ctx.folder, trust_code=ctx.options.trust_code)
    limitations = list(found.limitations)
    recipe = declared_recipe(system)
    if recipe is None:
        limitations.append(
            "[federation] does not say how the model is trained, so shadows were trained by a recipe of ours."
        )
    plan = planned(model, found.records, recipe or DEFAULT, ctx.effort, ctx.rng("plan"), found.public)
    device = "cuda" if ctx.options.device != "cpu" and torch.cuda.is_available() else "cpu"
    owners_code = system.model.layers is None  # no worker can import it
    asking = replace(ctx, executor=Serial()) if owners_code else ctx
    shadow, twin, public, twin_public = _shadows(asking, model, plan, device)
    target = _target(model, plan.records)
    if not np.isfinite(target).all():
        told = (
            f"system.toml: model: {int((~np.isfinite(target)).sum())} records have outputs that are no finite numbers"
        )
        raise SystemFileError("model.outputs", told, "Check the checkpoint, and [model].normalisation.")
    every = [*shadow, *(() if public is None else public)]
    if diverged := sum(not np.isfinite(one).all() for one in every):
        limitations.append(f"{diverged} of {len(every)} shadows diverged under the declared recipe and were left out.")
    if plan.cut:
        limitations.append(f"Cut to the effort {ctx.effort.value}: {plan.cut}.")
    where = "" if device == "cpu" else f", on {device}"
    beside = "" if public is None else f", {len(public)} on public records alone"
    return Measured(
        scored(target, plan.records.member, shadow, plan.member, public),
        scored(twin[-1], plan.control.member, twin[:-1], plan.control_member[:-1], twin_public),
        f"{len(shadow)} shadow models trained on random halves of members and non-members{beside}{where}",
        Basis.MEASURED,
        tuple(limitations),
        complete=not plan.cut and not diverged,
    )


def _shadows(
    ctx: Context, model: nn.Module, plan: Plan, device: str
) -> tuple[Array, Array, Array | None, Array | None]:
    """Return the scores of the judged records under the shadows, and of the twin's under its own, the twin's own last.

    Then the same two under shadows of public records alone, None where there are none.
    """
    own, twins = (
        Splits(plan.records.x, plan.records.y, plan.member),
        Splits(plan.control.x, plan.control.y, plan.control_member),
    )
    asked = [(own, plan.recipe), (twins, plan.control_recipe)]
    if plan.public is not None and plan.control_public is not None:
        asked += [(plan.public, plan.recipe), (plan.control_public, plan.control_recipe)]
    parts = [trials(model, splits, recipe, device) for splits, recipe in asked]
    scores = iter(list(ctx.map(trained, [one for part in parts for one in part], purpose="shadows")))
    found = [np.concatenate([next(scores) for _ in part]) for part in parts]
    if len(found) == 2:
        return found[0], found[1], None, None
    return found[0], found[1], found[2][:, : len(own.y)], found[3][:, : len(twins.y)]


def _target(model: nn.Module, records: Records) -> Array:
    """Return the scores of the records under the model itself, shape (n,)."""
    parts = []
    with torch.no_grad():
        for start in range(0, len(records.y), SCORED_AT_ONCE):
            part = slice(start, start + SCORED_AT_ONCE)
            parts.append(confidence(model(records.x[part]), records.y[part]))
    return np.concatenate(parts)
