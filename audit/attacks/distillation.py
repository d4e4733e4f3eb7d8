"""Clients told apart by the logits that they share, and what else those logits give away.

Sharing logits on a transfer set instead of updates leaves no gradient to invert (FedMD; KnFu, arXiv:2403.11892). It
leaves three other questions: whose label mix is in the answers, which transfer records are a client's own, and, at
effort full, whether records can be drawn from pairs of answers (arXiv:2304.11436).
"""

from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt

from audit.answer import PLANTED, declared_epsilon, left_out, skipped
from audit.attacks.distillation_parts import Part, by_own_records, by_pairs
from audit.attacks.label_mix import Answers, accusation, entropy, estimated_mixes, least_clients, nearest
from audit.attacks.shared_logits import SharedLogits, shared_logits
from audit.decision import LEAST_CONTROL, SIGNIFICANCE, Arms, Decision, Paired, severity_of
from audit.exhibits import arm_measurements, arms_plot, npz_bytes
from audit.load import Excluded, Truth, reference_records
from audit.load_arrays import planted_arrays
from reports.check import Context, check
from reports.model import Confidentiality, Effort, Finding, Remedy, Severity, Status, Strength, System
from reports.statistics import clopper_pearson, holm

IntArray = npt.NDArray[np.int64]

TOLERANCE = 0.05
"""Share of clients, beyond chance, that a pass allows to be told."""


@check(
    "attack.distillation",
    "Shared logits do not tell clients apart",
    needs=("updates.logits.truth",),
    controls=("EU-AIA:15(5)#confidentiality", "EU-AIA:annex-IV(2)(g)", "GDPR:5(1)(c)"),
    kinds=("reconstruction",),
    strength=Strength.STATISTICAL,
    severity=Severity.HIGH,
)
def distillation(system: System, ctx: Context) -> Iterator[Finding]:
    """Ask whether who sees single clients' logits can tell whose they are, and what those clients hold.

    Fails when more clients are named by their label mix than by chance (exact p <= 0.01), when a client's own transfer
    records are told from others (as `attack.membership`), or when records drawn from paired logits identify more than
    those of other clients do; passes when at most 1/K + 0.05 of K clients are named, with 95 % confidence, nothing else
    is found, and the same readings work on the logits with the label mixes added; skipped when the server sees sums
    alone; else inconclusive.
    """
    if system.federation is not None and system.federation.visibility == "aggregate":
        yield skipped(ctx, "The attacker sees sums only, no single client's logits.", "sums-only")
        return
    arrays, excluded = planted_arrays(system, ctx.folder, "logits")
    if any(one.truth is not None and one.truth.y.is_floating_point() for one in arrays):
        yield skipped(ctx, "The model has targets, not labels.", "no-labels")
        return
    shared = shared_logits(arrays) if arrays else None
    if shared is None or shared.asked < 2:
        yield ctx.finding(
            Status.INCONCLUSIVE, "Fewer than two clients with planted data have logits that can be used.",
            remedy=_more_clients(), limitations=left_out(excluded), reason="no-usable-record",
        )  # fmt: skip
        return
    public = reference_records(system, ctx.folder)
    parts = [_by_label_mix(system, ctx, shared)]
    if public is not None and (own := by_own_records(ctx, shared, public)) is not None:
        parts.append(own)
    if public is not None and ctx.effort is Effort.FULL:
        parts.append(by_pairs(ctx, shared, public))
    yield _answered(ctx, shared, parts, public, excluded)


def _answered(
    ctx: Context, shared: SharedLogits, parts: Sequence[Part], public: Truth | None, excluded: Sequence[Excluded]
) -> Finding:
    """Return one finding of all parts: the first failure speaks, then the first doubt."""
    order = (Status.FAIL, Status.INCONCLUSIVE, Status.PASS)
    status = min((part.status for part in parts), key=order.index)
    chosen = [part for part in parts if part.status is status]
    severities = [part.severity for part in chosen if part.severity is not None]
    mend = chosen[0].remedy
    if status is Status.FAIL:
        mend = Remedy(
            parameter="federation.visibility", direction="set", value="aggregate",
            text="Let the server see the mean of the logits alone (secure aggregation), or add noise to them.",
        )  # fmt: skip
    summary = " ".join(part.sentence for part in chosen) if status is Status.FAIL else chosen[0].sentence
    return ctx.finding(
        status,
        summary[:300],
        severity=max(severities, key=lambda one: one.rank) if severities else None,
        detail="\n".join(part.detail for part in parts if part.detail),
        measurements=[one for part in parts for one in part.measurements],
        evidence=list(dict.fromkeys(digest for part in parts for digest in part.evidence)),
        remedy=mend,
        limitations=[PLANTED, *_limits(ctx, shared, public), *left_out(excluded)],
        reason=chosen[0].reason,
    )


def _by_label_mix(system: System, ctx: Context, shared: SharedLogits) -> Part:
    """Answer whether clients are named by their label mix."""
    k = shared.asked
    read, control = (_named(shared, rounds) for rounds in (shared.rounds, shared.with_mixes()))
    other = np.roll(np.arange(k), 1)
    variants = {
        name: Paired(guess == np.arange(k), guess[other] == np.arange(k), control[name] == np.arange(k))
        for name, guess in read.items()
    }
    best = max(variants.values(), key=lambda one: int(one.system.sum()))
    clear = max((one.control for one in variants.values()), key=np.sum)
    arms = Arms(clear, best.system, best.null, chance=1 / k, views=k, variants=variants)
    p_value = float(holm([accusation(guess, ctx.rng(f"exchanges {name}")) for name, guess in read.items()]).min())
    decision = _decision(arms, p_value)
    title = "Clients told apart by their shared logits"
    named = {name.replace(" ", "_"): guess for name, guess in read.items()}
    arrays = npz_bytes({"histogram": shared.histograms, **named})
    kept = ctx.evidence("clients named", arrays, "application/x-npz", Confidentiality.RESTRICTED)
    method = "clients whose own label mix is the nearest in total variation to the one estimated from their logits"
    counts = [
        f"Label mix by {name}: system {int(one.system.sum())}, null {int(one.null.sum())}, "
        f"control {int(one.control.sum())} of {k} clients."
        for name, one in variants.items()
    ]
    return Part(
        decision.status,
        _sentence(system, decision, shared),
        decision.reason,
        decision.severity,
        tuple(arm_measurements(arms, decision, "identifiability", method)),
        (*arms_plot(ctx, arms, decision, title, "share of clients named"), kept),
        "\n".join([*counts, f"Exact p, binomial and by exchange, after Holm: {p_value:.3g}."]),
        _more_clients() if decision.reason in ("too-few-records", "undecided") else None,
    )


def _named(shared: SharedLogits, rounds: Sequence[Answers]) -> dict[str, IntArray]:
    """Return, by reading, whom each asked client is taken for."""
    mixes = estimated_mixes(rounds, shared.clients, entropy(shared.histograms))
    return {name: nearest(mix[: shared.asked], shared.histograms) for name, mix in mixes.items()}


def _decision(arms: Arms, p_value: float) -> Decision:
    """Return what the clients named say: chance is 1/K, so this check has a rule of its own."""
    k = len(arms.system)
    hits, control_hits = int(arms.system.sum()), int(arms.control.sum())
    bounds, control_low = clopper_pearson(hits, k, side="one"), clopper_pearson(control_hits, k, side="one").low
    limit = arms.chance + TOLERANCE
    status, reason = Status.INCONCLUSIVE, ""
    if p_value <= SIGNIFICANCE:
        status = Status.FAIL
    elif control_low < LEAST_CONTROL and control_hits < k:  # of few clients even all named prove little
        reason = "control-failed"
    elif k < least_clients(TOLERANCE):
        reason = "too-few-records"
    elif bounds.high <= limit:
        status = Status.PASS
    else:
        reason = "undecided"
    return Decision(
        status=status,
        strength=Strength.STATISTICAL,
        severity=severity_of(bounds.low) if status is Status.FAIL else None,
        reason=reason,
        hits=hits,
        null_hits=int(arms.null.sum()),
        control_hits=control_hits,
        records=k,
        exact=0,
        low=bounds.low,
        high=bounds.high,
        control_low=control_low,
        limit=limit,
        p_value=p_value,
        views=k,
    )


def _sentence(system: System, decision: Decision, shared: SharedLogits) -> str:
    k = decision.records
    counted = f"{decision.hits} of {k} clients were told apart by the label mix in their logits"
    match decision.status, decision.reason:
        case Status.FAIL, _:
            return f"{counted}; by luck one would be, p = {decision.p_value:.2g}."
        case Status.PASS, _:
            return (
                f"Not found by these attacks at this budget: {counted}, at most {decision.high:.1%} with 95 % "
                f"confidence; {declared_epsilon(system)}."
            )
        case _, "control-failed":
            alike = len(np.unique(shared.histograms, axis=0)) < k
            why = "some label mixes are equal" if alike else "the label mixes are too much alike"
            return (
                f"The attack cannot have found anything: with the label mixes written into the logits, "
                f"{decision.control_hits} of {k} clients were told apart ({why})."
            )
        case _, "too-few-records":
            return f"{counted}; fewer than {least_clients(TOLERANCE)} clients can fail, but never pass."
    return f"{counted}, at most {decision.high:.1%} with 95 % confidence: not above luck, and not below the limit."


def _more_clients() -> Remedy:
    number = least_clients(TOLERANCE)
    return Remedy(
        parameter="updates", direction="add", value=str(number),
        text=f"Record the logits of at least {number} clients, each with its planted data as truth.",
    )  # fmt: skip


def _limits(ctx: Context, shared: SharedLogits, public: Truth | None) -> Iterator[str]:
    yield "Clients were told among those recorded, each by the labels of its planted data."
    if public is None:
        yield "No public records are declared, so it was not asked which of them are a client's own."
    elif not shared.owned(public).any():
        yield "No transfer record is a client's own, so it was not asked whether such would be told."
    if ctx.effort is not Effort.FULL or public is None:
        yield "Whether records can be drawn from paired logits is asked at effort full, with public records."
