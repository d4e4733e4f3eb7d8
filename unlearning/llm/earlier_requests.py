"""What earlier erasure requests made forgotten, and a later one must leave so: a chain of edits and their sums.

    W0 ──edit 1──▶ W1 ──edit 2──▶ W2 ──edit 3──▶ …      rank(Wk - W0) ≤ sum of the ranks, tensor by tensor

In the layer that was edited the rows of earlier requests are what they were when their sums were taken, since a change
of a block's `down_proj` does not reach its own input; so a later edit stays in that layer, and nobody has to keep the
prompts. It is solved as if all requests came at once, from sums of the earlier ones and rows of its own, and takes the
place of the edits before it along its directions. Solved on top of them, with rows of earlier requests merely to be
left alone, it works worse with every request: a little of each shift reaches what stays, and over four requests that
adds up (measured on one tiny world: recall of what stays fell from 1.0 to 0.5).
"""

import hashlib
import itertools
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from torch import Tensor

from reports.canonical import canonical_json
from unlearning.errors import EditError, StatisticsError
from unlearning.llm.architectures import blocks_of
from unlearning.llm.batches import Ids
from unlearning.llm.edit import LunarEdit
from unlearning.llm.forgotten_sums import ForgottenSums, SummedTokens
from unlearning.llm.hooks import collect
from unlearning.llm.layer_statistics import LayerStatistics
from unlearning.llm.material import EarlierLayer
from unlearning.llm.model_io import LanguageModel, Tensors, state_of
from unlearning.llm.passages import Openings, TokenPolicy, forget_passages
from unlearning.llm.records import RecordSet

__all__ = ["Earlier", "earlier_requests", "layers_to_edit", "sums_of_request"]


@dataclass(frozen=True, eq=False)
class Earlier:
    """Requests that a model honours already."""

    requests: int = 0
    """How many."""
    previous: str | None = None
    """SHA-256 of the last edit."""
    layers: Mapping[int, EarlierLayer] = field(default_factory=dict)
    """Those of which every request has sums, over all requests."""
    tokens: tuple[SummedTokens, ...] = ()
    """Token sets of which every request has sums."""
    refusal: str = ""
    """Digest of the tokens that the model refused with."""
    origin: Tensors = field(default_factory=dict)
    """The changed tensors as they were before the first request."""

    def refuses_alike(self, refusal: Ids) -> bool:
        """Tell whether sums along a refusal are along this one."""
        return not self.requests or self.refusal == _digest(refusal)

    def weighted(self, weight: float) -> "Earlier":
        """Return the same with another weight on the earlier requests' rows."""
        return replace(self, layers={layer: replace(one, weight=weight) for layer, one in self.layers.items()})


def earlier_requests(model: LanguageModel, edits: Sequence[LunarEdit]) -> Earlier:
    """Return what the edits of a model made forgotten; they may be given in any order.

    Args:
        model: With all of them applied.
        edits: All of them, from the first.

    Raises:
        EditError: `llm.digest`, one is missing, or they are not those of the model.
        StatisticsError: `llm.statistics`, an edit has no sums; `llm.statistics_mismatch`, they are of another prompt
            template, of several refusals, or have no layer in common.
    """
    if not edits:
        return Earlier()
    chain = sorted(edits, key=lambda edit: edit.meta.requests)
    _linked(model, chain)
    sums = [_sums_of(edit, model) for edit in chain]
    layers = sorted(set.intersection(*(set(one.layers) for one in sums)))
    tokens = [name for name in sums[0].header.sets if all(name in one.header.sets for one in sums)]
    refusals = {one.header.refusal for one in sums}
    if not layers or not tokens or len(refusals) > 1:
        told = "the earlier edits have sums of different layers, tokens or refusals"
        raise StatisticsError("llm.statistics_mismatch", told, "Revert the last one, and make it in the first's layer.")
    now, blocks, origin = state_of(model), blocks_of(model.module), _origin(model, chain)
    found = {}
    for layer in layers:
        name = blocks.down_proj_name(layer)
        total: dict[TokenPolicy, LayerStatistics] = {
            key: _added([one.sums[layer, key] for one in sums]) for key in tokens
        }
        found[layer] = EarlierLayer(total, now[name].double() - origin.get(name, now[name]).double())
    return Earlier(chain[-1].meta.requests, chain[-1].sha256, found, tuple(tokens), refusals.pop(), origin)


def layers_to_edit(earlier: Earlier, layers: tuple[int, ...] | None) -> tuple[int, ...] | None:
    """Return the layers of a request: those that were named, and after an earlier one its own.

    Raises:
        StatisticsError: `llm.statistics_mismatch`, one is named of which there are no sums.
    """
    if not earlier.requests:
        return layers
    if layers is None:
        return tuple(earlier.layers)
    if unknown := sorted(set(layers) - set(earlier.layers)):
        told = f"there are no sums of the earlier requests in layer {unknown[0]}, only in {_named(earlier.layers)}"
        raise StatisticsError("llm.statistics_mismatch", told, "Say --layers same.")
    return layers


def sums_of_request(
    model: LanguageModel,
    forget: RecordSet,
    retain: RecordSet,
    refusal: Ids,
    tokens: Sequence[SummedTokens],
    variants: Mapping[int, Tensors],
    *,
    weights: str,
) -> ForgottenSums:
    """Return what a later request needs of one.

    Args:
        model: The model.
        forget: What was to be forgotten; the answers are not read.
        retain: What was to stay: the token set "prompt" leaves out how its prompts open.
        refusal: Tokens that the model refuses with.
        tokens: Token sets.
        variants: By layer, the tensors with which its rows are read: all edits but those of the layer itself.
        weights: Digest of the edited model.
    """
    prompts = [model.prompt(text) for record in forget for text in (record.question, *record.paraphrases)]
    openings = Openings(model.prompt(record.question) for record in retain)
    passages = forget_passages(prompts, tokens, refusal=refusal, openings=openings)
    sums: dict[tuple[int, SummedTokens], LayerStatistics] = {}
    for layer, variant in variants.items():
        with model.swapped(variant):
            found = collect(model, passages, [layer], reduce={f"forget/{name}": "sums" for name in tokens}).sums
        sums |= {(layer, name): found[f"forget/{name}"][layer] for name in tokens}
    return ForgottenSums.of(sums, weights=weights, template=model.tokens.digest, refusal=_digest(refusal))


def _linked(model: LanguageModel, chain: Sequence[LunarEdit]) -> None:
    """Raise where an edit does not follow the one before it, or the model the last."""
    mend = "Name every edit since the first with --previous, and the model that the last one gave."
    if chain[0].meta.previous is not None:
        told = f"the edit {chain[0].sha256[:16]}… follows another one, which is not named"
        raise EditError("llm.digest", told, mend)
    for before, after in itertools.pairwise(chain):
        if after.meta.previous != before.sha256 or after.meta.model.before != before.meta.model.after:
            told = f"the edit {after.sha256[:16]}… does not follow {before.sha256[:16]}…"
            raise EditError("llm.digest", told, mend)
    if (found := model.digest) != chain[-1].meta.model.after:
        told = f"the model is not what the last edit leaves behind: its weights have the digest {found}"
        raise EditError("llm.digest", f"{told}, edit.json says {chain[-1].meta.model.after}", mend)


def _origin(model: LanguageModel, chain: Sequence[LunarEdit]) -> Tensors:
    """Return the tensors that the edits changed, as they were before all of them."""
    now, found = state_of(model), dict[str, Tensor]()
    for edit in reversed(chain):
        found.update(edit.revert({**now, **found}))
    return found


def _sums_of(edit: LunarEdit, model: LanguageModel) -> ForgottenSums:
    """Return the sums of one edit, where they belong to it and to the model's prompts."""
    if edit.forgotten is None:
        told = f"the edit {edit.sha256[:16]}… has no statistics.safetensors, so that what it made forgotten is unknown"
        mend = "Restore the file, or revert to before that edit and forget all at once."
        raise StatisticsError("llm.statistics", told, mend)
    header = edit.forgotten.header
    for found, due, of, mend in (
        (header.weights, edit.meta.model.after, "another model", "Restore the edit's folder."),
        (header.template, model.tokens.digest, "another prompt template", "Give the --prompt-template used then."),
    ):
        if found != due:
            told = f"statistics.safetensors of the edit {edit.sha256[:16]}… were taken with {of}"
            raise StatisticsError("llm.statistics_mismatch", told, mend)
    return edit.forgotten


def _added(sums: Sequence[LayerStatistics]) -> LayerStatistics:
    found = sums[0]
    for one in sums[1:]:
        found = found + one
    return found


def _digest(refusal: Ids) -> str:
    return hashlib.sha256(canonical_json(list(refusal))).hexdigest()


def _named(layers: Iterable[int]) -> str:
    return ", ".join(map(str, layers))
