"""Labels read off the last layer of a client's update.

With cross-entropy the gradient of the last bias is the mean over records of softmax minus one-hot: each label of the
batch pulls its own entry down. For one record the only negative entry is the label (Zhao et al. 2020, iDLG,
arXiv:2001.02610); for several the pulls are counted (Wainakh et al. 2021, arXiv:2105.09369, who take off one mean
impulse after another), here with what the model answers to public records of each label.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import torch

from audit.answer import Wording, answer, left_out, skipped, without_records
from audit.decision import SIGNIFICANCE, Arms, Paired, verdict
from audit.exhibits import arm_measurements, arms_plot, npz_bytes
from audit.load import Truth, input_scale, planted_updates, reference_records
from audit.twin import LayerNames, Scale, clear_gradient, readable_layers, records_of
from audit.view import View, visible
from reports.check import Context, check
from reports.model import Confidentiality, Finding, Remedy, Severity, Status, Strength, System
from reports.statistics import mcnemar_exact

Array = npt.NDArray[np.float64]
BoolArray = npt.NDArray[np.bool_]
IntArray = npt.NDArray[np.int64]

TOLERANCE = 0.10
"""Above the best constant guess; chance is high for labels, so the tolerance is, too."""
PLAN = 256
"""Labels to plant for a pass."""
IMPOSSIBLE = -0.5
"""A label counted less often than this contradicts the scale that was assumed."""
MOST_PUBLIC = 2000
"""Public records from which a model's answers are averaged."""


def reconstruct(
    impulses: Array, records: int, *, confusion: Array | None = None, scale: float | None = None
) -> IntArray:
    """Return the labels of a batch from the gradient of the last bias, or from row sums of the last weight gradient.

    For one record the only negative entry is the label. For several, the entries are s (Mᵀ f - f): f the shares of the
    labels in the batch, M what the model answers to records of each label. Solved for s f, which M leaves open by a
    multiple of its stationary answer: the scale fixes that, and where it is unknown, some label being absent does.

    Args:
        impulses: One entry a class, shape (classes,); of a delta, its negative.
        records: Labels wanted.
        confusion: Mean softmax of public records of each label, shape (classes, classes), rows sum to one; uniform, as
            of an untrained model, by default.
        scale: The s above: 1 for a gradient of the mean loss, learning rate times steps for a delta; None if unknown.
            Where it gives counts below zero, it is not used.

    Returns:
        Sorted labels, shape (records,); none where no entry is negative.
    """
    if not (impulses < 0).any():
        return np.zeros(0, dtype=np.int64)
    if records == 1:
        return np.array([impulses.argmin()], dtype=np.int64)
    classes = len(impulses)
    answers: Array = np.full((classes, classes), 1 / classes) if confusion is None else confusion
    values, vectors = np.linalg.eig(answers.T)
    stationary = np.abs(np.real(vectors[:, np.abs(values - 1).argmin()]))
    stationary /= stationary.sum()
    solved = np.linalg.lstsq(answers.T - np.eye(classes), impulses, rcond=None)[0]
    absent = solved - (solved / np.maximum(stationary, 1e-12)).min() * stationary
    counts = np.maximum(absent, 0)
    if scale is not None:
        known = records * (solved / scale + (1 - solved.sum() / scale) * stationary)
        counts = np.maximum(known, 0) if known.min() > IMPOSSIBLE else counts
    return np.repeat(np.arange(classes), _rounded(counts, records))


def _rounded(counts: Array, total: int) -> IntArray:
    """Return whole counts that sum to `total`, by largest remainder."""
    shares = counts * (total / counts.sum())
    whole: IntArray = np.floor(shares + 1e-9).astype(np.int64)
    for label in np.argsort(whole - shares, kind="stable")[: total - int(whole.sum())]:
        whole[label] += 1
    return whole


def overlap(predicted: IntArray, truth: IntArray) -> BoolArray:
    """Tell for each true label whether the predicted multiset holds one for it, shape (B,)."""
    left = Counter(predicted.tolist())
    hit = np.zeros(len(truth), dtype=bool)
    for position, label in enumerate(truth.tolist()):
        if left[label] > 0:
            left[label] -= 1
            hit[position] = True
    return hit


def best_constant(batches: Sequence[IntArray]) -> dict[int, IntArray]:
    """Return, for each batch size, the one multiset of labels whose overlap with the batches of that size is largest.

    A further copy of a label gains one hit in every batch that holds more of it, which never grows, so taking the
    largest gain each time is optimal.
    """
    constants = {}
    for size in {len(batch) for batch in batches}:
        alike = [Counter(batch.tolist()) for batch in batches if len(batch) == size]
        gains = [
            (sum(counts[label] >= copies for counts in alike), -copies, label)
            for label in {label for counts in alike for label in counts}
            for copies in range(1, size + 1)
        ]
        constants[size] = np.array(sorted(label for _, _, label in sorted(gains, reverse=True)[:size]), dtype=np.int64)
    return constants


@check(
    "attack.labels",
    "An update does not reveal its labels",
    needs=("updates.truth", "model.layers|model.definition"),
    controls=("EU-AIA:15(5)#confidentiality", "EU-AIA:annex-IV(2)(g)", "GDPR:5(1)(c)"),
    kinds=("reconstruction",),
    strength=Strength.STATISTICAL,
    severity=Severity.HIGH,
)
def labels(system: System, ctx: Context) -> Iterator[Finding]:
    """Ask whether a server that sees single updates can tell the labels behind them.

    Fails when the labels are told oftener than from other updates and than by the best constant guess (both p <= 0.01);
    passes when at most 10 % more than by that guess are, with 95 % confidence, and the same readings work on
    unprotected twins; skipped when the server sees sums alone or the last layer cannot be read; else inconclusive.
    """
    if system.federation is not None and system.federation.visibility == "aggregate":
        yield skipped(ctx, "The attacker sees sums only, no single update.", "sums-only")
        return
    planted = planted_updates(system, ctx.folder, trust_code=ctx.options.trust_code)
    seen = visible(system, planted.updates, ctx.rng("corrupt")).singles
    views = [view for view in seen if any(bool((tensor != 0).any()) for tensor in view.tensors.values())]
    if not views:
        if seen or planted.excluded:
            yield without_records(ctx, "No recorded update of a single client can be used.", planted.excluded)
        else:
            yield skipped(ctx, "No update of a single client is recorded with its truth.", "no-single-update")
        return
    scale = Scale(*input_scale(system))
    layer = readable_layers(views[0].base, tuple(views[0].truth.x.shape[1:]), scale).last
    if layer is None:
        yield skipped(ctx, "The output is not that of a linear layer, whose gradient could be read.", "last-layer")
    elif views[0].truth.y.is_floating_point():
        yield skipped(ctx, "The model has targets, not labels.", "no-labels")
    else:
        silent = sum(len(view.truth) for view in seen) - sum(len(view.truth) for view in views)
        problem = _Problem(views, layer, scale, reference_records(system, ctx.folder), _is_clipped(system))
        yield _told(system, ctx, problem, left_out(planted.excluded, silent))


@dataclass(frozen=True, eq=False)
class _Problem:
    """What is read, and with what knowledge."""

    views: Sequence[View]
    layer: LayerNames
    scale: Scale
    reference: Truth | None
    clipped: bool


@dataclass(frozen=True, eq=False)
class _Played(Arms):
    """The arms, with what the best reading told."""

    told: tuple[IntArray, ...] = ()


def _told(system: System, ctx: Context, problem: _Problem, omitted: Sequence[str]) -> Finding:
    """Return the finding of reading the last layer in the views."""
    arms = _play(problem, ctx.rng("null"))
    decision = verdict(arms, tolerance=TOLERANCE, most_chance=None)
    diagnosis = "the twins' last layer has a gradient of zero, as of dead units or of a loss that has vanished"
    if decision.status is Status.PASS and (blind := _blind_to_batches(problem)) is not None:
        decision = replace(decision, status=Status.INCONCLUSIVE, reason="control-failed", control_hits=blind)
        diagnosis = "of batches as large as these the best constant guess tells as many"
    shown = {f"prediction_{position:05d}": labels for position, labels in enumerate(arms.told)}
    kept = ctx.evidence("predicted labels", npz_bytes(shown), "application/x-npz", Confidentiality.RESTRICTED)
    lines = [
        f"Reading by {name}: system {int(one.system.sum())}, null {int(one.null.sum())}, "
        f"control {int(one.control.sum())} of {len(one.system)}."
        for name, one in arms.variants.items()
    ]
    remedy = Remedy(
        parameter="federation.visibility", direction="set", value="aggregate",
        text="Let the server see sums alone (secure aggregation), or let each client clip and add noise.",
    )  # fmt: skip
    limitations = ["Chance is the best constant guess for these very updates.", *omitted]
    if any(len(view.truth) > 1 for view in problem.views):
        limitations.append("The control reads batches of one; of larger batches labels are counted, not read.")
    method = "labels of each update told by its last layer, as a multiset, by the best reading"
    return answer(
        ctx,
        system,
        arms,
        decision,
        Wording("labels", "told", "from single updates", PLAN),
        measurements=arm_measurements(arms, decision, "label_accuracy", method),
        evidence=[*arms_plot(ctx, arms, decision, "Labels told from single updates", "share of labels told"), kept],
        remedy=remedy,
        limitations=limitations,
        detail="\n".join(lines),
        diagnosis=diagnosis,
    )


def _blind_to_batches(problem: _Problem) -> int | None:
    """Return how many labels the best reading tells of the same batches in the clear, if a constant guess does as well.

    None where it tells more, or where every view holds one record: the batches of one are the control of those. A
    reading that is blind to a clear batch has not been stopped by anything that a client did to it.
    """
    problem = replace(problem, clipped=False)
    names = [name for name in (problem.layer.weight, problem.layer.bias) if name]
    batches = [view.truth.y.numpy() for view in problem.views]
    if all(len(batch) == 1 for batch in batches):
        return None
    clear = []
    for view in problem.views:
        gradients = clear_gradient(view.base, view.truth, problem.scale, names)
        tensors = {name: torch.from_numpy(gradient) for name, gradient in gradients.items()}
        clear.append(replace(view, of="gradient", tensors=tensors, local_steps=1, learning_rate=None))
    answers = {id(view.base): view for view in clear}
    known = {key: _confusion(view, problem) for key, view in answers.items()}
    constants = best_constant(batches)
    constant = _hits([constants[len(batch)] for batch in batches], batches)
    told = [
        _hits([_labels_of(view, reading, problem, known[id(view.base)]) for view in clear], batches)
        for reading in _readings(problem.layer).values()
    ]
    best = max(told, key=lambda hits: int(hits.sum()))
    surpasses = mcnemar_exact(int((best & ~constant).sum()), int((constant & ~best).sum())) <= SIGNIFICANCE
    return None if surpasses else int(best.sum())


def _play(problem: _Problem, rng: np.random.Generator) -> _Played:
    """Play every reading in three arms; the null is other updates, or the best constant guess where that is better."""
    views, layer = problem.views, problem.layer
    names = [name for name in (layer.weight, layer.bias) if name]
    batches = [view.truth.y.numpy() for view in views]
    alone = [batch[row : row + 1] for batch in batches for row in range(len(batch))]
    twins = [
        clear_gradient(view.base, records_of(view.truth, np.array([row])), problem.scale, names)
        for view in views
        for row in range(len(view.truth))
    ]
    bases = {id(view.base): view for view in views if len(view.truth) > 1}
    answers = {key: _confusion(view, problem) for key, view in bases.items()}
    other, constants = _others(batches, rng), best_constant(batches)
    constant = _hits([constants[len(batch)] for batch in batches], batches)
    variants: dict[str, Paired] = {}
    told: dict[str, tuple[IntArray, ...]] = {}
    for name, reading in _readings(layer).items():
        told[name] = tuple(_labels_of(view, reading, problem, answers.get(id(view.base))) for view in views)
        hits = _hits(told[name], batches)
        null = _harder(hits, _hits([told[name][index] for index in other], batches), constant)
        control = _hits([reconstruct(_impulses(reading.get(twin)), 1) for twin in twins], alone)
        variants[name] = Paired(hits, null, control)
    best = max(variants, key=lambda name: (int(variants[name].system.sum()), int(variants[name].control.sum())))
    chosen = variants[best]
    return _Played(
        control=chosen.control,
        system=chosen.system,
        null=chosen.null,
        chance=float(constant.mean()),
        views=len(views),
        variants=variants,
        told=told[best],
    )


@dataclass(frozen=True)
class _Reading:
    """How to get one number a class from the last layer's gradients."""

    get: Callable[[Mapping[str, Array]], Array]
    scaled: bool = False
    """Whether their scale is that of the loss, if nothing has clipped them."""


def _readings(layer: LayerNames) -> dict[str, _Reading]:
    """Return the ways to read the last layer, by name."""
    weight, bias = layer.weight, layer.bias
    rows = {"row sums of the last weight": _Reading(lambda gradients: gradients[weight].sum(axis=1))}
    if bias is None:
        return rows
    return {
        "last bias": _Reading(lambda gradients: gradients[bias], scaled=True),
        "last bias at any scale": _Reading(lambda gradients: gradients[bias]),  # a client may clip without a word
        **rows,
    }


def _labels_of(view: View, reading: _Reading, problem: _Problem, confusion: Array | None) -> IntArray:
    """Return what one reading tells of one view."""
    sign = -1.0 if view.of == "delta" else 1.0  # descent moves against the gradient
    names = [name for name in (problem.layer.weight, problem.layer.bias) if name]
    impulses = _impulses(reading.get({name: sign * view.tensors[name].double().numpy() for name in names}))
    scale = _known_scale(view) if reading.scaled and not problem.clipped else None
    fits = confusion if confusion is not None and len(confusion) == len(impulses) else None
    return reconstruct(impulses, len(view.truth), confusion=fits, scale=scale)


def _confusion(view: View, problem: _Problem) -> Array | None:
    """Return the mean softmax of public records of each label at a view's base; None without public records.

    A label without public records is taken to be answered as the mean label is.
    """
    if problem.reference is None or not bool((problem.reference.y >= 0).any()):
        return None
    public = records_of(problem.reference, np.flatnonzero((problem.reference.y >= 0).numpy())[:MOST_PUBLIC])
    with torch.no_grad():
        output = view.base(problem.scale.normalised(public.x))
    if output.ndim != 2 or output.shape[1] < 2:
        return None
    answers, labels = torch.softmax(output.double(), dim=1).numpy(), public.y.numpy()
    means = {label: answers[labels == label].mean(axis=0) for label in np.unique(labels).tolist()}
    overall = np.mean(list(means.values()), axis=0)
    return np.array([means.get(label, overall) for label in range(output.shape[1])])


def _known_scale(view: View) -> float | None:
    if view.of == "gradient":
        return 1.0
    return None if view.learning_rate is None else view.learning_rate * view.local_steps


def _is_clipped(system: System) -> bool:
    noise = system.federation.differential_privacy if system.federation else None
    return noise is not None and noise.clipping_norm is not None


def _impulses(entries: Array) -> Array:
    """Return one entry a class; a model with one logit pulls it up for label 1 and down for label 0."""
    return np.array([-entries[0], entries[0]]) if len(entries) == 1 else entries


def _others(batches: Sequence[IntArray], rng: np.random.Generator) -> list[int]:
    """Return for each update another to predict its labels from, one with as many records where there is one."""
    chosen = []
    for here, batch in enumerate(batches):
        others = [there for there in rng.permutation(len(batches)).tolist() if there != here]
        as_many = [there for there in others if len(batches[there]) == len(batch)]
        chosen.append(next(iter(as_many + others), here))
    return chosen


def _hits(predicted: Sequence[IntArray], batches: Sequence[IntArray]) -> BoolArray:
    return np.concatenate([overlap(one, truth) for one, truth in zip(predicted, batches, strict=True)])


def _harder(system: BoolArray, *nulls: BoolArray) -> BoolArray:
    """Return the null arm that the system arm beats least: an accusation has to beat them all."""
    return max(nulls, key=lambda null: mcnemar_exact(int((system & ~null).sum()), int((null & ~system).sum())))
