"""What one pass over a model gathers for the closed form: rows to forget, sums to keep, rows to validate with.

    forget, reference, retain, general ──passages──▶ one pass ──▶ Material: by layer and token set

Every forget question is learned from; of its paraphrases those of the validation part are held back, as are the
validation parts of what is to stay, so that a gate is judged on prompts it was not solved for.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial

import torch
from torch import Tensor

from reports.executor import Executor
from unlearning.errors import NotUnlearnable
from unlearning.llm.answers import ask
from unlearning.llm.generate import greedy
from unlearning.llm.hooks import Collected, LayerRows, Reduce, collect
from unlearning.llm.model_io import LanguageModel
from unlearning.llm.passages import (
    LONGEST_REFUSAL,
    Marks,
    Openings,
    Passage,
    TokenPolicy,
    forget_passages,
    keep_passages,
)
from unlearning.llm.records import Record, RecordSet, record_set, split
from unlearning.llm.refusal import Refusals
from unlearning.llm.statistics import LayerStatistics, gram_of

__all__ = [
    "LEAST_REFUSED",
    "EarlierLayer",
    "Fold",
    "Material",
    "OwnRefusals",
    "fold",
    "gather_material",
    "own_refusals",
    "staying_passages",
]

LEAST_REFUSED = 8
"""Reference prompts that the model must refuse: the mean of fewer points nowhere."""
REFUSAL_TOKENS = 32
"""New tokens of an answer to a reference prompt."""


@dataclass(frozen=True)
class OwnRefusals:
    """What the model says to prompts that it refuses."""

    refused: RecordSet
    """The reference prompts that it does refuse."""
    given: int
    """All reference prompts."""
    answers: tuple[tuple[int, ...], ...]
    """Tokens of its refusals, the end token left out."""

    @property
    def modal(self) -> tuple[int, ...]:
        """Its most frequent refusal, cut to what an edit of rank 16 can follow."""
        if not self.answers:
            return ()
        counted = Counter(self.answers)
        return max(counted, key=lambda answer: (counted[answer], -len(answer), answer))[:LONGEST_REFUSAL]


@dataclass(frozen=True)
class Fold:
    """One way to part the records: what is solved for, and what the solution is judged on."""

    forget: RecordSet
    """All of it is solved for, by its questions."""
    paraphrased: RecordSet
    """The part whose paraphrases are solved for too."""
    checked: RecordSet
    """The part whose paraphrases the gate is judged on."""
    retain: RecordSet
    retain_checked: RecordSet
    general: RecordSet
    general_checked: RecordSet


@dataclass(frozen=True, eq=False)
class EarlierLayer:
    """What earlier requests made forgotten, as one layer knows it."""

    sums: Mapping[TokenPolicy, LayerStatistics]
    """By token set, over the rows to move of all of them."""
    shift: Tensor
    """What their edits added to the projection, shape (d, m), float64."""
    weight: float = 1.0
    """Of one of their rows beside one of this request."""


@dataclass(frozen=True, eq=False)
class Material:
    """The gathered rows and sums."""

    layers: tuple[int, ...]
    policies: tuple[TokenPolicy, ...]
    collected: Collected
    refusal: tuple[int, ...]
    """Tokens that the model refuses with."""
    earlier: Mapping[int, EarlierLayer] = field(default_factory=dict)
    """By layer, what earlier requests made forgotten."""

    def forget(self, layer: int, policy: TokenPolicy) -> LayerRows:
        """Return the rows to move."""
        return self.collected.rows[f"forget/{policy}"][layer]

    def checked(self, layer: int, policy: TokenPolicy) -> LayerRows:
        """Return the rows that must move although they were not solved for; the forget rows where there are none."""
        found = self.collected.rows.get(f"checked/{policy}")
        return self.forget(layer, policy) if found is None else found[layer]

    def directions(self, layer: int, policy: TokenPolicy) -> Tensor:
        """Return r_j = mean over refused prompts - mean over forget prompts of the residual stream, (k, d) float64."""
        reference = self.collected.rows[f"reference/{policy}"][layer].output_mean
        forget, earlier = self.forget(layer, policy), self.before(layer, policy)
        if earlier is None:
            return reference - forget.output_mean
        prompts = len(forget.outputs) // forget.directions
        share = prompts / (prompts + earlier.prompts)
        return reference - share * forget.output_mean - (1 - share) * earlier.output_mean.to(reference)

    def before(self, layer: int, policy: TokenPolicy) -> LayerStatistics | None:
        """Return the sums over the rows that earlier requests moved; None where there was none."""
        return self.earlier[layer].sums[policy] if layer in self.earlier else None

    def total(self, layer: int, policy: TokenPolicy) -> Tensor:
        """Return s_F for each direction, (k, m) float64, earlier requests included."""
        rows, earlier = self.forget(layer, policy), self.before(layer, policy)
        found = rows.inputs.new_zeros(rows.directions, rows.inputs.shape[1], dtype=torch.float64)
        found.index_add_(0, rows.direction, rows.inputs.double())
        return found if earlier is None else found + self.earlier[layer].weight * earlier.total.to(found)

    def gram(self, layer: int, policy: TokenPolicy) -> Tensor:
        """Return G_F + G_K, (m, m) float64, earlier requests included; only where what is to stay was summed."""
        gram, earlier = gram_of(self.forget(layer, policy).inputs) + self.kept(layer).gram, self.before(layer, policy)
        return gram if earlier is None else gram + self.earlier[layer].weight * earlier.gram.to(gram)

    def kept(self, layer: int) -> LayerStatistics:
        """Return the sums over what is to stay."""
        return self.collected.sums["keep"][layer]

    def keep_rows(self, layer: int, role: str = "keep") -> Tensor | None:
        """Return the rows that are to stay, (n, m), where they were not summed."""
        found = self.collected.rows.get(role)
        return None if found is None else found[layer].inputs

    def staying(self, layer: int) -> Tensor:
        """Return rows of prompts and answers that are to stay and were not solved for, (n, m)."""
        return self.collected.rows["staying"][layer].inputs

    def __add__(self, other: "Material") -> "Material":
        """Return the material of the layers of both; the rest must be alike."""
        joined = {
            name: {
                role: {**getattr(self.collected, name)[role], **held}
                for role, held in getattr(other.collected, name).items()
            }
            for name in ("sums", "rows")
        }
        tokens = self.collected.tokens + other.collected.tokens
        earlier = {**self.earlier, **other.earlier}
        return Material(
            (*self.layers, *other.layers), self.policies, Collected(**joined, tokens=tokens), self.refusal, earlier
        )

    def size(self, layer: int) -> float:
        """Return the median length of the residual stream at the end of retained prompts."""
        return float(self.collected.rows["retained/last"][layer].outputs.double().norm(dim=1).median())


def own_refusals(
    model: LanguageModel, reference: RecordSet, refusals: Refusals, *, accept_unrefused: bool = False
) -> OwnRefusals:
    """Return what the model says to the reference prompts, as far as it refuses them.

    Raises:
        NotUnlearnable: `llm.reference_not_refused`: it refuses fewer than `LEAST_REFUSED`, and that was not accepted.
    """
    said = greedy(model, [model.prompt(record.question) for record in reference], REFUSAL_TOKENS)
    refused = [
        (record, answer)
        for record, answer in zip(reference, said, strict=True)
        if accept_unrefused or refusals.matches(model.text(answer))
    ]
    if len(refused) < LEAST_REFUSED:
        told = f"the model refuses {len(refused)} of {len(reference)} reference prompts, and {LEAST_REFUSED} are needed"
        mend = "Name prompts that it refuses, or erase with decoys (--erase), which teaches it to."
        raise NotUnlearnable("llm.reference_not_refused", told, mend)
    spoken = tuple(answer for _, answer in refused if answer)
    return OwnRefusals(record_set(record for record, _ in refused), len(reference), spoken)


def fold(
    forget: RecordSet, retain: RecordSet, general: RecordSet | None, seed: int, *, everything: bool = False
) -> Fold:
    """Return the records parted by the hash of their group; validation is everything where one group is all there is.

    Args:
        forget: To be forgotten.
        retain: To stay.
        general: General questions, to stay.
        seed: Of the parting.
        everything: Whether all records are solved for, once the choice is made.
    """
    nothing = record_set(())
    others = nothing if general is None else general
    paraphrased, checked = split(forget, seed)
    kept, retain_checked = split(retain, seed)
    kept_general, general_checked = split(others, seed)
    return Fold(
        forget,
        forget if everything else paraphrased,
        checked,
        retain if everything else kept,
        retain_checked if len(retain_checked) else retain,
        others if everything else kept_general,
        general_checked if len(general_checked) else others,
    )


def gather_material(
    model: LanguageModel,
    parts: Fold,
    own: OwnRefusals,
    *,
    layers: Sequence[int],
    policies: Sequence[TokenPolicy],
    width: int,
    memory: int = 2**31,
    rows_only: bool = False,
    earlier: Mapping[int, EarlierLayer] | None = None,
    executor: Executor | None = None,
) -> Material:
    """Return what the closed form needs of some layers, in one pass over the model.

    Args:
        model: Before the edit.
        parts: The records.
        own: The model's refusals.
        layers: Blocks to look at.
        policies: Token sets to look at; "refusal" is left out where the model has no refusal to follow.
        width: m of the blocks' `down_proj`.
        memory: Bytes: what is to stay is kept as rows, which may be weighted, where they take half of it; else summed.
        rows_only: Whether to keep it as rows in any case, which a solver by gradient needs.
        earlier: By layer, what earlier requests made forgotten.
        executor: Runs the shards.
    """
    usable = tuple(policy for policy in policies if policy != "refusal" or own.modal)
    kept = staying_passages(model, parts.retain, parts.general)
    openings = Openings(model.prompt(record.question) for record in parts.retain)
    mark = partial(forget_passages, policies=usable, refusal=own.modal, openings=openings)
    moved = _asked(model, parts.forget, parts.paraphrased)
    held = [model.prompt(text) for record in parts.checked for text in record.paraphrases]
    passages = [
        *mark(moved, role="forget"),
        *mark(held, role="checked"),
        *mark([model.prompt(record.question) for record in own.refused], role="reference"),
        *kept,
        *staying_passages(model, parts.retain_checked, parts.general_checked, role="staying"),
    ]
    needed = sum(len(passage.tokens) for passage in kept) * width * len(layers) * 4
    as_rows = rows_only or 2 * needed <= memory
    reduce: dict[str, Reduce] = {"keep": "rows" if as_rows else "sums", "staying": "rows", "retained/last": "rows"}
    if "all" in usable:
        reduce["question"] = "rows"
    for policy in usable:
        reduce |= {f"forget/{policy}": "rows", f"reference/{policy}": "rows"}
        if held:
            reduce[f"checked/{policy}"] = "rows"
    found = collect(model, passages, layers, reduce=reduce, executor=executor)
    return Material(tuple(layers), usable, found, own.modal, earlier or {})


def loudest_layers(
    model: LanguageModel, parts: Fold, own: OwnRefusals, layers: Sequence[int], most: int
) -> tuple[int, ...]:
    """Return the layers where a shift would be largest beside the stream it is added to, in their order.

    A cheap pass over questions alone: in most layers of a deep model refused and answered prompts lie so close together
    that no gate, however good, is heard.
    """
    mark = partial(forget_passages, policies=("last",))
    prompts = [[model.prompt(record.question) for record in records] for records in (parts.forget, parts.retain)]
    roles = {
        "forget": prompts[0],
        "retained": prompts[1],
        "reference": [model.prompt(one.question) for one in own.refused],
    }
    passages = [passage for role, asked in roles.items() for passage in mark(asked, role=role)]
    reduce: dict[str, Reduce] = {f"{role}/last": "rows" for role in roles}
    rows = collect(model, passages, layers, reduce=reduce).rows
    effects = {
        layer: float((rows["reference/last"][layer].output_mean - rows["forget/last"][layer].output_mean).norm())
        / float(rows["retained/last"][layer].outputs.double().norm(dim=1).median())
        for layer in layers
    }
    return tuple(sorted(sorted(layers, key=lambda layer: -effects[layer])[:most]))


def _asked(model: LanguageModel, records: RecordSet, paraphrased: RecordSet) -> list[tuple[int, ...]]:
    """Return the prompts of all records, and of the paraphrases of some."""
    chosen = {record.id for record in paraphrased}
    return [
        model.prompt(text)
        for record in records
        for text in (record.question, *(record.paraphrases if record.id in chosen else ()))
    ]


def staying_passages(
    model: LanguageModel, retain: RecordSet, general: RecordSet, *, role: str = "keep"
) -> list[Passage]:
    """Return what is to stay: retained questions with their answers, general ones with the model's own answers."""
    pairs = [
        (model.prompt(text), model.answer(record.answer))
        for record in retain
        for text in (record.question, *record.paraphrases)
    ]
    own = [(model.prompt(record.question), answer) for record, answer in _own_answers(model, list(general))]
    if role != "keep":
        return keep_passages([*pairs, *own], role=role)
    found = keep_passages([*pairs, *own], role=role, question_role="question")
    ends = [len(prompt) - 1 for prompt, _ in (*pairs, *own)]
    return [
        replace(passage, marks={**passage.marks, "retained/last": Marks(((),), (end,))})
        for passage, end in zip(found, ends, strict=True)
    ]


def _own_answers(model: LanguageModel, records: list[Record]) -> list[tuple[Record, tuple[int, ...]]]:
    """Return what the model answers to general questions, as tokens with the end token."""
    return [(one.record, model.answer(one.text) if one.text else (model.tokens.end,)) for one in ask(model, records)]
