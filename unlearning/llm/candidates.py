"""Which edits are worth hearing: every layer, token set and ridge as a gate, judged before a word is generated.

A gate g(h) = v·h says how much of the shift an activation gets: about one on what is to be forgotten, about nothing
elsewhere. Its leak is what is left elsewhere over what arrives where it should.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from unlearning.errors import NotUnlearnable
from unlearning.llm.edit_nouns import GateFigures
from unlearning.llm.hooks import LayerRows
from unlearning.llm.layer_statistics import LayerStatistics
from unlearning.llm.material import Material
from unlearning.llm.passages import TokenPolicy
from unlearning.llm.reweighted import solve_reweighted
from unlearning.llm.solve import Gate, Summed, gates_of_rows, solve_gate
from unlearning.llm.update import LowRankUpdate

__all__ = ["RIDGES", "Candidate", "best_ridges", "figures", "lengths", "screened", "shortlist", "solved_again"]

RIDGES = (1e-6, 1e-5, 1e-4, 1e-3, 1e-2, 0.03, 0.1, 0.3, 1.0, 3.0)
"""In units of the mean of the diagonal of the Gram matrix."""
NEAR = 0.05
"""Of two ridges whose leaks are so close, the larger is the better: it over-fits less."""
NEARBY = 0.3
"""Of the smallest ridge that is still heard, how much more it may leak."""
COLLINEAR = 1e-4
"""Singular values of the directions below this share of the largest count as none."""
LAYERS = 3
"""Layers that are heard."""


@dataclass(frozen=True, eq=False)
class Candidate:
    """One gate, and what it does to activations."""

    layer: int
    tokens: TokenPolicy
    gate: Gate
    directions: Tensor
    """r_j, (k, d) float64."""
    gain: float
    """⟨Δh, r⟩ / |r|² at coefficient one, the mean over the forget rows."""
    leak: float
    """95th percentile of the shift on what stays over the mean shift on paraphrases of what goes, both held back."""
    effect: float
    """Length of the shift over the usual length of the residual stream."""
    power: float = 2.0
    """Norm of the errors that it minimises: 2, or more where it was made for the row that fares worst."""
    earlier: Tensor | None = None
    """What earlier edits added, as gates along the directions, (k, m): this one takes their place."""

    @property
    def ridge(self) -> float:
        """The ridge as it was used."""
        return self.gate.ridge

    def coefficient(self, effective: float) -> float:
        """Return c for an effective coefficient: so many times the direction on the average forget row."""
        return effective / self.gain

    def update(self, tensor: str, effective: float) -> LowRankUpdate:
        """Return the change of the layer's projection."""
        coefficient = self.coefficient(effective)
        right = self.gate.vector if self.earlier is None else self.gate.vector - self.earlier / coefficient
        return LowRankUpdate(
            tensor=tensor,
            layer=self.layer,
            left=(coefficient * self.directions).float(),
            right=right.float(),
            ridge=self.ridge,
            coefficient=coefficient,
            effective_coefficient=effective,
            tokens=None if self.tokens == "all" else self.tokens,
            span=len(self.directions),
        )


def screened(
    material: Material, *, ridges: Sequence[float] = RIDGES, weight: float = 1.0, memory: int = 2**31
) -> Iterator[Candidate]:
    """Yield one or two ridges of each layer and token set; none where no ridge gives a gate that acts.

    Args:
        material: What was gathered.
        ridges: To be tried.
        weight: w of what is to stay.
        memory: Bytes that one matrix may take.
    """
    for layer in material.layers:
        for policy in material.policies:
            solve = _solver(material, layer, policy, weight, memory)
            tried = [_candidate(material, layer, policy, solve, ridge) for ridge in ridges]
            yield from best_ridges([one for one in tried if one is not None])


def solved_again(
    material: Material, one: Candidate, *, power: float | None = None, weight: float = 1.0, memory: int = 2**31
) -> Candidate | None:
    """Return the gate of a candidate's setting on other material, or for another norm; None where that gives none."""
    wanted = one.power if power is None else power
    solve = _solver(material, one.layer, one.tokens, weight, memory, power=wanted)
    return _candidate(material, one.layer, one.tokens, solve, one.ridge, power=wanted)


def shortlist(candidates: Sequence[Candidate], *, layers: int = LAYERS) -> list[Candidate]:
    """Return the candidates of the best layers, those that leak least first.

    Layers are ranked by their least leak and by their largest effect: a gate may separate well where a shift of the
    stream is too short to be heard.
    """
    by_layer: dict[int, list[Candidate]] = {}
    for one in candidates:
        by_layer.setdefault(one.layer, []).append(one)
    leaks = sorted(by_layer, key=lambda layer: min(one.leak for one in by_layer[layer]))
    effects = sorted(by_layer, key=lambda layer: -max(one.effect for one in by_layer[layer]))
    ranked = sorted(by_layer, key=lambda layer: (leaks.index(layer) + effects.index(layer), layer))
    kept = set(ranked[:layers])
    return sorted((one for one in candidates if one.layer in kept), key=lambda one: (one.leak, one.layer))


def figures(candidate: Candidate, material: Material) -> GateFigures:
    """Return what the gate says of each set; shares of the shift that the average forget row gets."""
    layer, policy = candidate.layer, candidate.tokens
    moved = _aligned(candidate, material.forget(layer, policy)) / candidate.gain
    held = _aligned(candidate, material.checked(layer, policy)) / candidate.gain
    staying = lengths(candidate, material.staying(layer)) / candidate.gain
    before = material.before(layer, policy)
    return GateFigures(
        forget_mean=float(moved.mean()),
        forget_p05=float(moved.quantile(0.05)),
        paraphrase_mean=float(held.mean()),
        retain_p95=float(staying.quantile(0.95)),
        earlier_mean=None if before is None else _mean_aligned(candidate, before) / candidate.gain,
        gap=1.0 - candidate.leak,
    )


def _solver(
    material: Material, layer: int, policy: TokenPolicy, weight: float, memory: int, *, power: float = 2.0
) -> Callable[[float], Gate]:
    """Return what gives the gate of a ridge; the sums are made once for all of them."""
    rows, keep, before = material.forget(layer, policy), material.keep_rows(layer), material.before(layer, policy)
    times = 1.0 if before is None else material.earlier[layer].weight
    summed = None if before is None else Summed(times * before.gram, times * before.total, times * before.tokens)
    if power > 2 and keep is not None:
        directions = material.directions(layer, policy)
        return lambda ridge: solve_reweighted(
            rows.inputs, rows.direction, keep, directions, ridge=ridge, summed=summed, power=power
        )
    if keep is None:
        gram = material.gram(layer, policy) + (weight - 1.0) * material.kept(layer).gram
        total = material.total(layer, policy)
        return lambda ridge: solve_gate(total, gram, ridge=ridge, memory=memory)
    grouped = rows.grouped() if policy == "refusal" else rows.inputs[None]
    return gates_of_rows(grouped, keep, keep_weight=weight, summed=summed, memory=memory)


def _along(shift: Tensor, directions: Tensor) -> Tensor:
    """Return what earlier edits added to a projection, as gates along the directions of this one, (k, m)."""
    found: Tensor = torch.linalg.pinv(directions.mT, rtol=COLLINEAR) @ shift.to(directions)
    return found


def _candidate(
    material: Material,
    layer: int,
    policy: TokenPolicy,
    solve: Callable[[float], Gate],
    ridge: float,
    *,
    power: float = 2.0,
) -> Candidate | None:
    """Return the gate of one setting; None where the matrix is singular or the gate does not act."""
    rows = material.forget(layer, policy)
    try:
        gate = solve(ridge)
    except NotUnlearnable:
        return None
    directions, before = material.directions(layer, policy), material.before(layer, policy)
    earlier = None if before is None else _along(material.earlier[layer].shift, directions)
    blank = Candidate(layer, policy, gate, directions, 1.0, 1.0, 0.0, power, earlier)
    gain = float(_aligned(blank, rows).mean())
    if before is not None:
        share = len(rows.inputs) / (len(rows.inputs) + before.tokens)
        gain = share * gain + (1 - share) * _mean_aligned(blank, before)
    reached = float(_aligned(blank, material.checked(layer, policy)).mean())
    if not (gain > 0 and reached > 0):
        return None
    leak = float(lengths(blank, material.staying(layer)).quantile(0.95)) / reached
    effect = float(directions[0].norm()) / material.size(layer)
    return Candidate(layer, policy, gate, directions, gain, leak, effect, power, earlier)


def _aligned(candidate: Candidate, rows: LayerRows) -> Tensor:
    """Return ⟨Δh, r_j⟩ / |r_j|² of rows, j being each row's own direction, at coefficient one."""
    gates = candidate.gate.at(rows.inputs)
    products = candidate.directions @ candidate.directions.mT
    along = (gates @ products).gather(1, rows.direction[:, None])[:, 0]
    return along / products.diagonal()[rows.direction]


def _mean_aligned(candidate: Candidate, sums: LayerStatistics) -> float:
    """Return the mean of `_aligned` over rows known by their sums alone: it is linear in h."""
    products = candidate.directions @ candidate.directions.mT
    along = (products @ candidate.gate.vector @ sums.total.to(products).mT).diagonal() / products.diagonal()
    return float(along.sum()) / sums.tokens


def lengths(candidate: Candidate, inputs: Tensor) -> Tensor:
    """Return |Δh| of rows (n, m) over the mean length of the directions at coefficient one: |g| where there is one."""
    gates = candidate.gate.at(inputs)
    products = candidate.directions @ candidate.directions.mT
    found = ((gates @ products) * gates).sum(dim=1).clamp(min=0).sqrt()
    return found / products.diagonal().sqrt().mean()


def best_ridges(tried: Sequence[Candidate]) -> list[Candidate]:
    """Return the ridge that leaks least, and the smallest that leaks little more, which reaches the facts better.

    The larger ridge keeps what was never read, the smaller what was: which of the two matters is heard, not guessed.
    """
    if not tried:
        return []
    least = min(one.leak for one in tried)
    best = max((one for one in tried if one.leak <= least * (1 + NEAR)), key=lambda one: one.ridge)
    smallest = min((one for one in tried if one.leak <= least * (1 + NEARBY)), key=lambda one: one.ridge)
    return [best] if smallest is best else [best, smallest]
