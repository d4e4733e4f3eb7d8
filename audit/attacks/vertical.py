"""Records read back from what a party of a vertical federation sends: embeddings, or codes made of them.

An embedding needs no gradient to be read: public records and their embeddings teach a decoder the way back (Luo et al.,
ICDE 2021). Codes of a few bits (HashVFL, arXiv:2212.00325) lose most of a record; how much is a matter of their length,
so the measure must grow with it.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch

from audit.answer import Wording, answer, left_out, skipped, without_records
from audit.arms import Played
from audit.attacks.codes import signs, singled_out, two_values
from audit.attacks.decoders import fit_ridge, wide_features
from audit.attacks.embeddings import Holding, Pairs, arms_of, network_guess
from audit.attacks.few_labels import PER_CLASS, Told, tell_labels
from audit.decision import Decision, severity_of, verdict
from audit.exhibits import ONE_SIDED, arm_measurements, arms_plot, likeness_measurements, record_exhibits
from audit.load import Excluded, Truth, input_scale, reference_records
from audit.load_arrays import PlantedArray, planted_arrays, reference_embeddings
from audit.scene import Scene, cast_of, public_twins
from audit.twin import Scale
from reports.check import Context, check
from reports.errors import SystemFileError
from reports.model import Effort, Finding, Measurement, Remedy, Severity, Status, Strength, System, Threshold
from reports.statistics import clopper_pearson
from unlearning.models import load_model

Array = npt.NDArray[np.float64]

LABEL_MARGIN = 0.05
"""Above the accuracy from raw features; below it, what labels are told is the features' doing."""


@dataclass(frozen=True)
class Budget:
    """What an effort allows."""

    pairs: int
    """Public pairs, at most, from which a decoder learns."""
    networks: int
    """Networks, whose guesses are averaged, beside the ridge regression."""


MOST_DIRECTIONS = 4_096
"""Pairs or numbers, whichever are fewer, in one regression; a matrix of that side is decomposed."""
MOST_NUMBERS = 50_000_000
"""Numbers in the public records that a decoder learns from: 400 MB."""
BUDGETS: Mapping[Effort, Budget] = {
    Effort.SMOKE: Budget(2_000, 0),
    Effort.STANDARD: Budget(10_000, 1),
    Effort.FULL: Budget(20_000, 5),
}


@check(
    "attack.vertical",
    "Embeddings or codes identify nobody",
    needs=("updates.embedding.truth", "data.reference"),
    controls=("EU-AIA:15(5)#confidentiality", "EU-AIA:annex-IV(2)(g)", "GDPR:32(1)(d)"),
    kinds=("reconstruction",),
    strength=Strength.STATISTICAL,
    severity=Severity.CRITICAL,
)
def vertical(system: System, ctx: Context) -> Iterator[Finding]:
    """Ask whether who receives embeddings or codes can tell whose they are, after learning from public pairs.

    Fails when a record comes back exactly, or more are identified than from the embeddings of other records with the
    same labels (p <= 0.01), or when labels are told better than from the raw features by more than 0.05; passes when at
    most 5 % (and chance) are identified, with 95 % confidence, and the same decoders work on an unprotected wide
    embedding; skipped without public embeddings or a bottom model that gives them; else inconclusive.
    """
    if system.federation is not None and system.federation.visibility == "aggregate":
        yield skipped(ctx, "The attacker sees sums only, no single embedding.", "sums-only")
        return
    arrays, excluded = planted_arrays(system, ctx.folder, "embedding")
    sent = [(one, one.truth) for one in arrays if one.truth is not None]
    reference = reference_records(system, ctx.folder)
    if not sent:
        yield without_records(ctx, "No recorded embedding of planted records can be used.", excluded)
    elif reference is None or (public := _public_embeddings(system, ctx, sent, reference)) is None:
        yield ctx.finding(
            Status.SKIPPED,
            "No public record comes with its embedding, and [model] does not give embeddings of this width.",
            remedy=Remedy(
                parameter="data", direction="add", value="reference",
                text="Add the array 'embedding' to the public records, or declare the bottom model as [model].",
            ),
            reason="missing:data.reference.embedding",
        )  # fmt: skip
    else:
        yield _answered(system, ctx, _held(system, ctx, sent, reference, public), excluded)


def _public_embeddings(
    system: System, ctx: Context, sent: Sequence[tuple[PlantedArray, Truth]], reference: Truth
) -> Array | None:
    """Return the embeddings of the public records, recorded or by the declared bottom model, shape (m, p).

    Raises:
        SystemFileError: recorded embeddings have another shape than those of the planted records.
    """
    shapes = {one.values.shape[1:] for one, _ in sent}
    recorded = reference_embeddings(system, ctx.folder)
    if recorded is not None:
        shapes.add(recorded.shape[1:])
    if len(shapes) > 1:
        told = " and ".join(str(shape) for shape in sorted(shapes))
        raise SystemFileError(
            "system.records", f"system.toml: updates: embeddings have rows of the shapes {told}",
            "Describe one bottom model a system, with the public embeddings that it gives.",
        )  # fmt: skip
    if recorded is not None:
        return recorded.reshape(len(recorded), -1)
    model = system.model
    if model is None or model.checkpoint is None or (model.layers is None and model.definition is None):
        return None
    bottom = load_model(model, ctx.folder, trust_code=ctx.options.trust_code)
    with torch.no_grad():
        given = bottom(Scale(*input_scale(system)).normalised(reference.x)).double().numpy()
    return given.reshape(len(given), -1) if {given.shape[1:]} == shapes else None


def _held(
    system: System, ctx: Context, sent: Sequence[tuple[PlantedArray, Truth]], reference: Truth, public: Array
) -> Holding:
    """Return what the attacker holds; codes become -1 and +1, so that both sides count alike."""
    cast = cast_of([truth for _, truth in sent], reference, ctx.rng("candidates"))
    scene = Scene((), cast.planted, cast.reference, Scale(*input_scale(system)))
    values = np.concatenate([one.values.reshape(len(one.values), -1) for one, _ in sent])
    bits = None
    if (pair := two_values(values)) is not None:
        values, public, bits = signs(values, pair), signs(public, pair), values.shape[1]
    rows, n = np.concatenate(cast.rows), len(cast.planted)
    planted = np.zeros((n, values.shape[1]))
    np.add.at(planted, rows, values)
    planted /= np.bincount(rows, minlength=n)[:, None]
    records = reference.x.flatten(1).double().numpy()
    labels = np.full(len(records), -1) if reference.y.is_floating_point() else reference.y.numpy()
    return Holding(scene, planted, public, records, labels, bits)


def _played(held: Holding, ctx: Context) -> Played:
    """Return the three arms; the unprotected twin of an embedding is that of an untrained wide layer."""
    budget = BUDGETS[ctx.effort]
    chosen = np.sort(ctx.rng("pairs").permutation(len(held.records))[: most_pairs(held, budget)])
    truth, records = held.scene.candidates[: len(held.planted)], held.records[chosen]
    wide = wide_features(truth, records, ctx.rng("control"))
    system, control = Pairs(held.planted, held.public[chosen], records), Pairs(*wide, records)
    read, clear = ({"ridge regression": fit_ridge(one.features, one.records)(one.wanted)} for one in (system, control))
    if budget.networks:
        trials = [pairs for pairs in (system, control) for _ in range(budget.networks)]
        guesses = list(ctx.map(network_guess, trials, purpose="network"))
        read["network"] = np.mean(guesses[: budget.networks], axis=0)
        clear["network"] = np.mean(guesses[budget.networks :], axis=0)
    return arms_of(read, clear, held.scene, ctx.rng("null"))


def most_pairs(held: Holding, budget: Budget) -> int:
    """Return how many public pairs a decoder learns from, at most: fewer where records or embeddings are long."""
    length, width = int(held.records.shape[1]), int(held.planted.shape[1])
    most = min(budget.pairs, len(held.records), max(MOST_NUMBERS // length, 1))
    return most if max(width, 2 * length) <= MOST_DIRECTIONS else min(most, MOST_DIRECTIONS)


def _told(held: Holding, ctx: Context) -> Told | None:
    """Return the labels told by who knows a few; None where records have no labels, or too few public ones have."""
    planted = held.scene.planted
    if planted.y.is_floating_point():
        return None
    raw = held.scene.candidates[: len(held.planted)], held.records
    labels = planted.y.numpy(), held.labels
    return tell_labels((held.planted, held.public), raw, labels, ctx.rng("labelled records"))


def _answered(system: System, ctx: Context, held: Holding, excluded: Sequence[Excluded]) -> Finding:
    """Return the finding on what the attacker holds."""
    arms = _played(held, ctx)
    decision = verdict(arms)
    told = _told(held, ctx)
    what = "embeddings" if held.bits is None else f"codes of {held.bits} bits"
    title = f"Records read back from {what}"
    method = f"share of planted records identified from their {what} by {' + '.join(arms.variants)}"
    figures = [
        *arm_measurements(arms, decision, "identifiability", method),
        *likeness_measurements(held.scene, arms, decision),
        _linkage(held),
        *([] if told is None else [_label_accuracy(told)]),
    ]
    finding = answer(
        ctx,
        system,
        arms,
        decision,
        Wording("planted records", "identified", f"from their {what}"),
        measurements=figures,
        evidence=[
            *arms_plot(ctx, arms, decision, title, "share of planted records identified"),
            *record_exhibits(ctx, held.scene, arms, title),
        ],
        remedy=Remedy(
            parameter="model.layers", direction="lower",
            text="Send shorter codes, or fewer and noisier numbers, and measure again.",
        ),
        limitations=[*_limits(held, ctx), *left_out(excluded)],
        detail=_detail(arms, held),
        diagnosis=_diagnosis(held),
    )  # fmt: skip
    return finding if told is None else _with_labels(finding, decision, told)


def _with_labels(finding: Finding, decision: Decision, told: Told) -> Finding:
    """Return the finding, a failure where labels are told that the raw features do not tell."""
    found, raw = _label_accuracy(told), float(told.raw.mean())
    low = found.interval.low if found.interval is not None else 0.0
    if decision.status is Status.FAIL or low <= raw + LABEL_MARGIN:
        return finding
    summary = (
        f"Labels of {found.value:.0%} of {found.n} planted records were told from their embeddings, with {PER_CLASS} "
        f"labelled records a class; from the raw features {raw:.0%}."
    )
    remedy = Remedy(
        parameter="model.layers", direction="lower",
        text="Send fewer numbers, or let the labels' owner add noise to the gradients that it sends back.",
    )  # fmt: skip
    return finding.model_copy(
        update={
            "status": Status.FAIL, "severity": severity_of(low - raw), "strength": Strength.STATISTICAL,
            "summary": summary, "remedy": remedy, "reason": "",
        }
    )  # fmt: skip


def _label_accuracy(told: Told) -> Measurement:
    n, raw = len(told.embedding), float(told.raw.mean())
    return Measurement(
        name="label_accuracy",
        value=float(told.embedding.mean()),
        interval=clopper_pearson(int(told.embedding.sum()), n, side="one"),
        n=n,
        method=f"labels told by a logistic head on the embedding after {PER_CLASS} labelled records a class (control: "
        f"on the raw features), the median of several draws; {ONE_SIDED}",
        threshold=Threshold(op="<=", limit=min(1.0, raw + LABEL_MARGIN)),
        control=raw,
    )


def _linkage(held: Holding) -> Measurement:
    alone = singled_out(held.planted, held.public)
    return Measurement(
        name="linkage",
        value=float(alone.mean()),
        interval=clopper_pearson(int(alone.sum()), len(alone)),
        n=len(alone),
        method="planted records whose embedding no other candidate has; Clopper-Pearson interval, 95 %",
    )


def _limits(held: Holding, ctx: Context) -> Iterator[str]:
    yield "One bottom model was taken to be behind all embeddings."
    yield f"The decoders learnt from {most_pairs(held, BUDGETS[ctx.effort])} public pairs."
    yield "Linkage decides nothing: it needs the embedding of every candidate, as the owner of the bottom model has."
    if not BUDGETS[ctx.effort].networks:
        yield "At this effort ridge regression alone was tried, no network."


def _detail(arms: Played, held: Holding) -> str:
    n = len(arms.system)
    lines = [f"Seen: {'floats' if held.bits is None else 'codes'}, {held.planted.shape[1]} numbers a record."]
    for name, one in arms.variants.items():
        counts = f"system {int(one.system.sum())}, null {int(one.null.sum())}, control {int(one.control.sum())}"
        lines.append(f"Reading by {name}: {counts} of {n}.")
    return "\n".join(lines)


def _diagnosis(held: Holding) -> str:
    public, n = public_twins(held.scene), len(held.planted)
    if public > n / 2:
        return f"{public} planted records equal a public one, and a tie is a miss"
    return f"{len(held.records)} public pairs may be too few for records of {held.records.shape[1]} numbers"
