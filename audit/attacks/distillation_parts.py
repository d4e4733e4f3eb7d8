"""Two of the questions put to shared logits: whose transfer records are told, and whether records can be drawn."""

from dataclasses import dataclass

import numpy as np

from audit.attacks.cells import cells_of, play_cells
from audit.attacks.separation import LEAST_PEOPLE, LOW_RATE, Separation, halved, judge
from audit.attacks.shared_logits import SharedLogits
from audit.attacks.transfer_members import confidences, overconfident, own_records
from audit.decision import LEAST_RECORDS, verdict
from audit.exhibits import ONE_SIDED, arm_measurements, arms_plot
from audit.load import Truth
from audit.scene import cast_of
from reports.check import Context
from reports.model import Measurement, Remedy, Severity, Status

MOST_CELLS = 512
"""Cells (a client and a label) that are drawn from paired logits; of more, a sample."""
MOST_PUBLIC = 4_096
"""Public records that the readings of paired logits learn from; of more, a sample."""


@dataclass(frozen=True)
class Part:
    """The answer to one of the three questions."""

    status: Status
    """pass, fail or inconclusive."""
    sentence: str
    """For people."""
    reason: str = ""
    """Machine word of an inconclusive answer."""
    severity: Severity | None = None
    """Of a failure."""
    measurements: tuple[Measurement, ...] = ()
    """The numbers."""
    evidence: tuple[str, ...] = ()
    """What it rests on."""
    detail: str = ""
    """More for people."""
    remedy: Remedy | None = None
    """What would let an inconclusive answer decide; None where nothing that is known would."""


def by_own_records(ctx: Context, shared: SharedLogits, public: Truth) -> Part | None:
    """Answer whether clients are surer of transfer records that are their own.

    The rule is that of `attack.membership`, over all pairs of a client and a labelled public record; the control makes
    every client surer of its own records than of any other. None where no labelled public record is anybody's own.

    Args:
        ctx: Draws the halves of the records.
        shared: The logits, a row for each public record.
        public: The public records.
    """
    labels = public.y.numpy()
    known = np.flatnonzero((labels >= 0) & (labels < shared.classes)) if labels.dtype.kind == "i" else np.zeros(0, int)
    member = shared.owned(public)[:, known]
    if not member.any():
        return None
    scores = confidences(shared.mean[:, known], labels[known])
    attack = own_records(scores, member, labels[known])
    control = own_records(overconfident(scores, member), member, labels[known])
    if attack is None:
        sentence = "No client has, beside its own transfer records, others of the same labels to be compared with."
        return Part(Status.INCONCLUSIVE, sentence, "no-usable-record")
    half, name = halved(attack.member, ctx.rng("half")), "own records"
    judgement = judge({name: attack}, None if control is None else {name: control}, half=half)
    value = attack.auc
    return Part(
        judgement.status,
        f"A client's own transfer records are told from others with an AUC of {value:.2f}.",
        judgement.reason,
        judgement.severity,
        _membership_figures(attack, control),
        remedy=_more(LEAST_PEOPLE, "transfer records that are a client's own, and as many that are not")
        if judgement.reason == "too-few-records"
        else None,
    )


def _membership_figures(attack: Separation, control: Separation | None) -> tuple[Measurement, ...]:
    found, n = attack.found(), len(attack.member)
    return (
        Measurement(
            name="auc", value=attack.auc, interval=attack.auc_interval(), n=n,
            method="a client's own transfer records against others, by confidence; DeLong interval, 95 %",
            control=None if control is None else control.auc,
        ),
        Measurement(
            name=f"tpr_at_fpr_{LOW_RATE:g}", value=found.value, interval=found.interval, n=found.members,
            method=f"share of own transfer records found at {LOW_RATE:.0%} false positives; {ONE_SIDED}",
            control=None if control is None else control.found().value,
        ),
    )  # fmt: skip


def by_pairs(ctx: Context, shared: SharedLogits, public: Truth) -> Part:
    """Answer whether records drawn from pairs of logits identify anybody.

    The rule is that of all reconstruction checks, over cells: a client and a label of which it has records.

    Args:
        ctx: Draws the cells and the other clients of the null arm.
        shared: The logits, a row for each public record.
        public: The public records.
    """
    cast = cast_of(shared.truths, public, ctx.rng("candidates"))
    reference = cast.reference
    candidates = np.concatenate(
        [part.x.flatten(1).double().numpy() for part in (cast.planted, reference) if part is not None]
    )
    asked = cells_of(cast.rows, [truth.y.numpy() for truth in shared.truths], candidates)
    asked = asked.sample(MOST_CELLS, ctx.rng("cells"))
    rows = np.sort(ctx.rng("public").permutation(len(public))[:MOST_PUBLIC])
    learnt = public.x[rows].flatten(1).double().numpy()
    arms = play_cells(asked, shared.mean[:, rows], learnt, ctx.rng("null"))
    decision = verdict(arms)
    n = decision.records
    counted = f"For {decision.hits} of {n} labels of single clients a record drawn from paired logits names its own"
    if decision.status is Status.FAIL:
        sentence = f"{counted}; by luck {decision.null_hits}."
    elif decision.reason == "control-failed":
        sentence = (
            f"Drawing from paired logits cannot have found anything: of remembered records {decision.control_hits} of "
            f"{n} were named."
        )
    else:
        sentence = f"{counted}, at most {decision.high:.1%} with 95 % confidence."
    lines = [
        f"Records by {name}: system {int(one.system.sum())}, null {int(one.null.sum())}, "
        f"control {int(one.control.sum())} of {n}."
        for name, one in arms.variants.items()
    ]
    method = "labels of single clients for which a record drawn from paired logits identifies one of its own"
    figures = arm_measurements(arms, decision, "paired_identifiability", method)
    return Part(
        decision.status, sentence, decision.reason, decision.severity,
        tuple(one for one in figures if one.name != "chance"),
        tuple(arms_plot(ctx, arms, decision, "Records drawn from paired logits", "share of labels of clients")),
        "\n".join(lines),
        _more(LEAST_RECORDS, "pairs of a client and a label") if decision.reason == "too-few-records" else None,
    )  # fmt: skip


def _more(number: int, things: str) -> Remedy:
    return Remedy(parameter="updates", direction="add", value=str(number), text=f"Plant at least {number} {things}.")
