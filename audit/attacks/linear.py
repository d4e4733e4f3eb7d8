"""Records read off the first linear layer of a client's update.

For z = W x + b the chain rule gives dL/dW = (dL/db) xᵀ: each row of the weight gradient is the layer's input, scaled by
that row's bias gradient, so a neuron that one record alone activates hands that record over, and records that are known
set others free (`audit.attacks.peeling`); at effort full, small batches are searched for all their records at once
(`audit.attacks.sparse_factors`). Exact, without an optimiser (Geiping et al. 2020, arXiv:2003.14053,
proposition D.1). The inputs do not change between local steps and sums add the gradients of other records, so the same
holds for deltas and, neuron by neuron, for sums.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from audit.answer import Wording, answer_for_records, diagnose, left_out, skipped, without_records
from audit.arms import Played, Reconstruction, run_arms
from audit.attacks.mixtures import AGREEMENT, by_promise, groups_of, shares_a_factor, squared_distances
from audit.attacks.peeling import peeled
from audit.attacks.sparse_factors import sparse_factors
from audit.decision import verdict, without_accusation
from audit.defences import Defence, DefenceName
from audit.load import Excluded, input_scale, planted_updates, reference_records
from audit.scene import Scene, Sighting, public_twins, set_scene
from audit.twin import LayerNames, Scale, first_impulses, readable_layers
from audit.view import View, visible
from reports.check import Context, check
from reports.model import Effort, Finding, Measurement, Remedy, Severity, Strength, System

Array = npt.NDArray[np.float64]
BoolArray = npt.NDArray[np.bool_]
IntArray = npt.NDArray[np.int64]

SAMENESS = 1e-6
"""As `AGREEMENT`, for rows that only rounding may part."""
MARGIN = 0.05
"""Share of the data's range by which a reading may leave it."""
MOST_ROWS = 2048
"""Rows that are compared with one another, those of the largest bias gradient."""
PER_RECORD = 4
"""Reconstructions handed in for each record."""
MOST_CONFIRMED = 512
"""Rows that are checked against the model."""
MOST_PEELED = 512
"""Rows from which known records are taken away."""
ITERATIONS = 60
"""Of the power method, at most; the ratio of singular values that matters is far from one."""
CONVERGED = 1e-9
"""Largest change of a unit vector's coordinate at which the power method ends."""
MOST_SEARCHED = 8
"""Records in a view that is searched for sparse factors: twice the draws for each more."""
DRAWS = 20_000
"""Sets of rows that the search draws in each view."""


Impulses = Callable[[Array, IntArray], Array]
"""For records in raw units, shape (m, d), and a neuron each, shape (m,): dL/db of that neuron for a batch of that
record alone, under each label that it may have, shape (m, labels)."""


@dataclass(frozen=True, eq=False)
class Knowledge:
    """What an attacker knows beside the gradient."""

    records: int
    """Records behind it: batch size times clients."""
    low: float
    """Least value in data of this kind, raw units."""
    high: float
    """Largest."""
    mean: Array
    """Normalisation of each coordinate, shape (d,)."""
    deviation: Array
    """Likewise."""
    defences: frozenset[DefenceName] = frozenset()
    """What it has been put through."""
    impulses: Impulses | None = None
    """The model beyond the layer, which tells a record from a mixture of several; None where it is not known."""
    search: np.random.Generator | None = None
    """Draws what the search for sparse factors tries; None: no search is made."""


def reconstruct(weight: Array, bias: Array | None, knowledge: Knowledge) -> tuple[Reconstruction, ...]:
    """Return what the gradient of a first linear layer tells of the records behind it, one result a variant.

    "ratio" divides rows by their bias entries. "singular vector" answers noise, clipping tensor by tensor and a missing
    bias, up to scale; it needs a batch of one, or noise. "surviving coordinates" answers pruning, "sign codes" signs.
    "sparse factors" are searched in views of two to `MOST_SEARCHED` records; none needs a neuron to itself there.

    Args:
        weight: dL/dW, or any multiple of it such as a delta, shape (out, d); rows of several views may be stacked.
        bias: dL/db, the same multiple, shape (out,); None where the layer has none.
        knowledge: What the attacker knows beside it.
    """
    if not weight.any():
        return ()
    defences, alone = knowledge.defences, knowledge.records == 1
    found = []
    if bias is not None and bias.any():
        found.append(Reconstruction("ratio", _ratio(weight, bias, knowledge)))
        if knowledge.search is not None and 2 <= knowledge.records <= MOST_SEARCHED:
            found.append(Reconstruction("sparse factors", _factored(weight, bias, knowledge, knowledge.search)))
        if DefenceName.ZEROS in defences:
            found.append(Reconstruction("surviving coordinates", _surviving(weight, bias, knowledge)))
    if alone or (DefenceName.NOISE in defences and bias is not None):
        found.append(Reconstruction("singular vector", _singular(weight, bias), "cosine"))
    if alone and DefenceName.SIGNS in defences:
        codes = _sign_codes(weight, bias, unknown_zeros=DefenceName.ZEROS in defences)
        found.append(Reconstruction("sign codes", codes, "hamming"))
    return tuple(found)


def _ratio(weight: Array, bias: Array, knowledge: Knowledge) -> Array:
    """Return row over bias entry, in raw units: medians of rows that agree, the largest groups first, then single rows.

    For a batch of one the least-squares combination of all rows takes the place of single rows: it averages rounding
    and noise away. Of several records a row may be a mixture, so rows that the model confirms come first: those whose
    bias entry is what the model gives for that very record alone, up to a factor that all such rows share. Next come
    records that those set free (`audit.attacks.peeling`).
    """
    rows = np.flatnonzero(bias)
    rows = rows[np.argsort(-np.abs(bias[rows]), kind="stable")]
    loudest = np.column_stack([weight, bias])[rows[:MOST_PEELED]]
    inputs = weight[rows] / bias[rows, None]
    raw = inputs * knowledge.deviation + knowledge.mean
    slack = MARGIN * (knowledge.high - knowledge.low)
    inside = ((raw >= knowledge.low - slack) & (raw <= knowledge.high + slack)).all(axis=1)
    rows, inputs, raw = rows[inside][:MOST_ROWS], inputs[inside][:MOST_ROWS], raw[inside][:MOST_ROWS]
    most = PER_RECORD * knowledge.records
    if knowledge.records == 1:
        combined = (bias @ weight) / (bias @ bias) * knowledge.deviation + knowledge.mean
        agreeing = [members for members in groups_of(inputs, AGREEMENT) if len(members) > 1]  # else noise: a wild guess
        medians = _medians(raw, agreeing[: most - 1])
        return np.concatenate([medians, np.clip(combined, knowledge.low, knowledge.high)[None]])
    squared = squared_distances(inputs)
    same = groups_of(inputs, SAMENESS, squared)
    sure = np.zeros(len(rows), dtype=bool)
    if knowledge.impulses is not None and same:
        group = np.empty(len(rows), dtype=np.int64)
        for number, members in enumerate(same):
            group[members] = number
        first = slice(MOST_CONFIRMED)
        expected = knowledge.impulses(raw[first], rows[first])
        sure[first] = shares_a_factor(bias[rows[first]], expected, group[first])
    groups = [members[sure[members]] for members in same if sure[members].any()]
    known = _medians(inputs, groups or [members for members in same if len(members) > 1])
    further = peeled(loudest, known, knowledge.records - len(known)) * knowledge.deviation + knowledge.mean
    further = further[((further >= knowledge.low - slack) & (further <= knowledge.high + slack)).all(axis=1)]
    others = np.flatnonzero(~sure)
    apart = squared[others][:, others]
    promising = [others[members] for members in by_promise(inputs[others], knowledge.records, apart)]
    return np.concatenate([_medians(raw, groups), further, _medians(raw, promising[:most])])[:most]


def _medians(raw: Array, groups: Sequence[IntArray]) -> Array:
    of = [np.median(raw[members], axis=0) if len(members) > 1 else raw[members[0]] for members in groups]
    return np.array(of).reshape(-1, raw.shape[1])


def _factored(weight: Array, bias: Array, knowledge: Knowledge, rng: np.random.Generator) -> Array:
    """Return the records that `audit.attacks.sparse_factors` finds, in raw units, those within the data's range."""
    found = sparse_factors(np.column_stack([weight, bias]), knowledge.records, DRAWS, rng)
    if found is None:
        return np.zeros((0, weight.shape[1]))
    raw = found[1] * knowledge.deviation + knowledge.mean
    slack = MARGIN * (knowledge.high - knowledge.low)
    return np.asarray(raw[((raw >= knowledge.low - slack) & (raw <= knowledge.high + slack)).all(axis=1)])


def _surviving(weight: Array, bias: Array, knowledge: Knowledge) -> Array:
    """Return what survived pruning, in raw units, NaN elsewhere: only surviving coordinates are compared.

    For a batch of one each coordinate is the median over the rows where it survived, as did the row's bias entry; of
    several records each row speaks for itself, those of the largest bias entry first.
    """
    rows = np.flatnonzero(bias)
    rows = rows[np.argsort(-np.abs(bias[rows]), kind="stable")][:MOST_ROWS]
    kept = weight[rows] != 0
    raw = np.where(kept, weight[rows] / bias[rows, None] * knowledge.deviation + knowledge.mean, np.nan)
    if knowledge.records == 1:
        some = kept.any(axis=0)
        found = np.full((1, weight.shape[1]), np.nan)
        found[0, some] = np.nanmedian(raw[:, some], axis=0)
    else:
        slack = MARGIN * (knowledge.high - knowledge.low)
        outside = (raw < knowledge.low - slack) | (raw > knowledge.high + slack)
        found = raw[kept.any(axis=1) & ~outside.any(axis=1)][: PER_RECORD * knowledge.records]
    return np.asarray(np.clip(found, knowledge.low, knowledge.high))


def _singular(weight: Array, bias: Array | None) -> Array:
    """Return the leading right singular vector of the weight gradient, in the layer's units, up to scale.

    It is the likeliest rank-one gradient under white noise. The bias gradient tells its sign; without one both signs
    are returned.
    """
    vector = weight[np.abs(weight).sum(axis=1).argmax()] if bias is None or not bias.any() else bias @ weight
    for _ in range(ITERATIONS):
        vector = weight.T @ (weight @ vector)
        length = np.linalg.norm(vector)
        if length == 0:
            return np.zeros((0, weight.shape[1]))
        before, vector = vector, vector / length
        if np.abs(vector - before).max() < CONVERGED:
            break
    if bias is None or not bias.any():
        return np.array([vector, -vector])
    return np.asarray((np.sign((weight @ vector) @ bias) * vector)[None])


def _sign_codes(weight: Array, bias: Array | None, *, unknown_zeros: bool) -> Array:
    """Return the signs of the record's coordinates, in the layer's units, from signs of the gradient.

    A row's sign is the product of the coordinate's and the bias entry's, so the majority over rows tells the
    coordinate's; its column is zero throughout where the coordinate is zero. Without a bias the fullest row stands in
    for it, and the code and its opposite are handed in. Where the view was pruned too, an empty column may be either,
    and both readings are handed in.
    """
    signs = np.sign(weight)
    fullest = signs[np.abs(signs).sum(axis=1).argmax()]
    code: Array = np.sign((np.sign(signs @ fullest) if bias is None else np.sign(bias)) @ signs)
    codes = np.array([code, -code] if bias is None else [code])
    return np.concatenate([codes, np.where(weight.any(axis=0), codes, np.nan)]) if unknown_zeros else codes


@dataclass(frozen=True)
class LinearAttack:
    """The kernel with what it knows of a scene: an `audit.arms.Attack`."""

    scene: Scene
    """Gives the data's range and normalisation, never the records."""
    layer: LayerNames
    """The layer that is read."""
    seed: int | None = None
    """Of the search for sparse factors, the same in every sighting; None: no search is made."""

    def __call__(self, sighting: Sighting, defences: tuple[Defence, ...]) -> tuple[Reconstruction, ...]:
        """Return what the first layer's gradients of a sighting tell; views of one record are stacked row by row."""
        mean, deviation = self.scene.scale.flat(self.scene.shape)
        low, high = self.scene.span
        names = frozenset(defence.name for defence in defences)
        view = sighting.views[0]

        def impulses(records: Array, neurons: IntArray) -> Array:
            return first_impulses(view.base, self.layer, self.scene.raw(records), self.scene.scale, neurons)

        search = None if self.seed is None else np.random.default_rng(self.seed)
        knowledge = Knowledge(len(view.truth), low, high, mean, deviation, names, impulses, search)
        weights = [view.tensors[self.layer.weight].double().numpy() for view in sighting.views]
        biases = [view.tensors[self.layer.bias].double().numpy() for view in sighting.views if self.layer.bias]
        return reconstruct(np.concatenate(weights), np.concatenate(biases) if biases else None, knowledge)


@check(
    "attack.linear",
    "No record can be read off a linear layer",
    needs=("updates.truth", "model.layers|model.definition"),
    controls=("EU-AIA:15(5)#confidentiality", "EU-AIA:annex-IV(2)(g)", "EU-AIA:9(6)", "GDPR:32(1)(d)"),
    kinds=("reconstruction",),
    strength=Strength.STATISTICAL,
    severity=Severity.CRITICAL,
)
def linear(system: System, ctx: Context) -> Iterator[Finding]:
    """Ask whether a server that sees single updates can read the records in them off the first linear layer.

    Fails when a record comes back exactly, or more are identified than from views of other records (p <= 0.01);
    passes when at most 5 % (and chance) are, with 95 % confidence, and the same readings work on unprotected twins;
    skipped when the server sees sums alone or the first layer is not linear; else inconclusive.
    """
    if system.federation is not None and system.federation.visibility == "aggregate":
        yield skipped(ctx, "The attacker sees sums only, no single update.", "sums-only")
        return
    planted = planted_updates(system, ctx.folder, trust_code=ctx.options.trust_code)
    seen = visible(system, planted.updates, ctx.rng("corrupt"))
    if not seen.singles and not planted.excluded:
        yield skipped(ctx, "No update of a single client is recorded with its truth.", "no-single-update")
    elif not seen.singles:
        yield without_records(ctx, "No recorded update of a single client can be used.", planted.excluded)
    else:
        mend = Remedy(
            parameter="federation.visibility", direction="set", value="aggregate",
            text="Let the server see sums alone (secure aggregation), or let each client clip and add noise.",
        )  # fmt: skip
        yield read_off(system, ctx, seen.singles, planted.excluded, "in single updates", mend)


def read_off(
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
) -> Finding:
    """Return the finding of reading the first linear layer in `views`: three arms, one verdict.

    Args:
        system: The system.
        ctx: Of the check that asks.
        views: At least one.
        excluded: Updates that were left out.
        where: Where the records were looked for, for the summary.
        remedy: Of a failure.
        limitations: What the views rest on.
        measurements: Further figures of the check.
        doubt: Why the views may clear the system but cannot accuse it, half a sentence; turns a failure inconclusive.
        severity: Of a failure, where the check knows better than the rule.
    """
    scale = Scale(*input_scale(system))
    layer = readable_layers(views[0].base, tuple(views[0].truth.x.shape[1:]), scale).first
    if layer is None:
        return skipped(ctx, "The first layer has no weights to read: it is not linear.", "first-layer-not-linear")
    scene = set_scene(views, reference_records(system, ctx.folder), scale, ctx.rng("candidates"))
    noise = system.federation.differential_privacy if system.federation else None
    declared = []
    if noise is not None and noise.clipping_norm:
        declared.append(Defence(DefenceName.CLIPPING, f"to a norm of {noise.clipping_norm:g}", declared=True))
    played = play(ctx, scene, layer, declared)
    decision = verdict(played)
    if doubt:
        decision = without_accusation(decision)
    return answer_for_records(
        ctx,
        system,
        scene,
        played,
        decision,
        Wording("planted records", "identified", where),
        method=method_of(played),
        title=f"Records read off the first layer {where}",
        remedy=remedy,
        limitations=[*limitations, *left_out(excluded, played.silent), *limits(scene, ctx.effort)],
        measurements=measurements,
        diagnosis=diagnose(played, views[0].base, public_twins(scene)),
        severity=severity,
        doubt=doubt,
    )


def play(ctx: Context, scene: Scene, layer: LayerNames, declared: Sequence[Defence] = ()) -> Played:
    """Return what reading the first layer of the views of a scene comes to, in three arms.

    Args:
        ctx: Of the check that asks.
        scene: The views, and whom it could be.
        layer: Their first layer.
        declared: What the views are known to have been put through.
    """
    reads = [name for name in (layer.weight, layer.bias) if name]
    without = [] if layer.bias else [Defence(DefenceName.NO_BIAS, "the first layer has no bias")]
    seed = int(ctx.rng("sparse factors").integers(2**63)) if ctx.effort is Effort.FULL else None
    return run_arms(
        LinearAttack(scene, layer, seed),
        scene,
        reads,
        ctx.rng("null"),
        declared=[*without, *declared],
        has_bias=layer.bias is not None,
    )


def method_of(played: Played, things: str = "planted records") -> str:
    """Return how records were read, for the headline."""
    return f"share of {things} identified by {' + '.join(played.variants) or 'no reading'}"


def limits(scene: Scene, effort: Effort) -> Iterator[str]:
    """Yield what reading the first layer of the views of a scene does not show."""
    yield "Only readings in closed form were tried, no optimisation."
    sizes = [len(sighting.records) for sighting in scene.sightings]
    if max(sizes) > 1:
        yield "Of several records in one view only those with a neuron to themselves, or set free by such, can be read."
    if effort is Effort.FULL and any(2 <= size <= MOST_SEARCHED for size in sizes):
        yield f"Views of 2 to {MOST_SEARCHED} records were searched for sparse factors too, {DRAWS} draws each."
        yield "The control has one record in each twin, so that it does not show the search for sparse factors at work."
    if scene.reference is None:
        yield "No public records are declared; the candidates are the records sought alone."
