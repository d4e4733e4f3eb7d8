"""LUNAR: make a model treat some facts as it treats what it refuses, by one small change of one projection.

    sets ─▶ one pass ─▶ gates of all layers, token sets and ridges ─▶ a few are heard ─▶ solved again on all ─▶ edit

The method moves activations of forget prompts to where refused prompts lie (LUNAR, arXiv 2502.07218). The published
recipe trains for it; here the least squares are solved (`unlearning.llm.solve`), and every setting is chosen by
hearing what the edited model says. The edit hides: it does not remove. `unlearning.llm.erase` removes.
"""

import contextlib
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from reports.executor import Executor
from unlearning.errors import NotUnlearnable, RecordsError, StatisticsError
from unlearning.llm.answers import answerable
from unlearning.llm.architectures import blocks_of
from unlearning.llm.candidates import Candidate
from unlearning.llm.earlier_requests import Earlier, earlier_requests, layers_to_edit, sums_of_request
from unlearning.llm.edit import EditedSet, GateFigures, LunarEdit, make_edit
from unlearning.llm.forgotten_sums import SummedTokens
from unlearning.llm.lunar_work import Settings, Work
from unlearning.llm.material import Fold, OwnRefusals, fold, own_refusals
from unlearning.llm.model_io import LanguageModel, Tensors
from unlearning.llm.records import RecordSet, record_set, refuse_overlap
from unlearning.llm.refusal import Refusals, load_refusals
from unlearning.llm.screening import Hearing, Screening, slices
from unlearning.llm.selection import Tried
from unlearning.llm.several_layers import Layered, solve_in_turn
from unlearning.llm.spent import Cost

__all__ = ["LunarFit", "Settings", "fit", "fit_and_tell"]

LEAST_KNOWN = 0.2
"""Content recall on the forget set below which there is nothing to forget."""
SUMMED: tuple[SummedTokens, ...] = ("last", "refusal")
"""Token sets of which sums are kept for later requests, beside those that were used."""
EARLIER_WEIGHTS = (4.0, 2.0)
"""Of the rows of earlier requests beside a new one's, the first to be tried; in the end one."""
MOST_LEFT_OUT = 0.1
"""Share of a set that may be too long for the model."""


@dataclass(frozen=True, eq=False)
class LunarFit:
    """An edit, and how it came about."""

    edit: LunarEdit
    variant: Tensors
    """The changed tensors."""
    before: Screening
    """Of all records."""
    after: Screening
    """Of all records; `tried` has what the choice was made by."""
    gate: GateFigures
    tried: tuple[Tried[Candidate], ...]
    reference: OwnRefusals
    warnings: tuple[str, ...]
    cost: Cost = field(default_factory=Cost)


def fit(
    model: LanguageModel,
    forget: RecordSet,
    retain: RecordSet,
    reference: RecordSet,
    *,
    general: RecordSet | None = None,
    settings: Settings | None = None,
    refusals: Refusals | None = None,
    previous: Sequence[LunarEdit] = (),
) -> LunarEdit:
    """Return the edit of `fit_and_tell` alone; arguments and errors are the same."""
    return fit_and_tell(
        model, forget, retain, reference, general=general, settings=settings, refusals=refusals, previous=previous
    ).edit


def fit_and_tell(
    model: LanguageModel,
    forget: RecordSet,
    retain: RecordSet,
    reference: RecordSet,
    *,
    general: RecordSet | None = None,
    validation: RecordSet | None = None,
    settings: Settings | None = None,
    refusals: Refusals | None = None,
    previous: Sequence[LunarEdit] = (),
    executor: Executor | None = None,
) -> LunarFit:
    """Return the edit that makes a model refuse what is to be forgotten, with all that was tried.

    Args:
        model: It stays as it is; the edit tells what to change. With earlier requests, as the last edit left it.
        forget: Facts to forget.
        retain: Facts to keep.
        reference: Prompts that the model refuses; the edit makes it refuse the forgotten ones likewise.
        general: Questions whose answers are to stay as they are.
        validation: Facts to keep by which the choice is made, in place of a part of `retain`.
        settings: What to choose from.
        refusals: Phrases by which answers refuse.
        previous: The edits of all earlier requests; what these made forgotten stays so, in the layers they are in.
        executor: Runs the passes over the model.

    Raises:
        RecordsError: `llm.overlap`, a question is in two sets; `llm.records`, over a tenth of a set is too long.
        EditError: `llm.digest`, the earlier edits are not those of the model.
        StatisticsError: `llm.statistics`, an earlier edit has no sums; `llm.statistics_mismatch`, they do not fit.
        NotUnlearnable: `llm.not_known`, `llm.reference_not_refused`, `llm.not_separable` or `llm.singular`.
        LanguageModelError: the architecture has no known projection.
    """
    chosen, phrases = settings or Settings(), refusals or load_refusals()
    refuse_overlap(forget, retain=retain, general=general)
    warnings: list[str] = []
    forget = _fitting(model, "forget", forget, warnings)
    retain = _fitting(model, "retain", retain, warnings)
    others = _fitting(model, "general", general or record_set(()), warnings)
    earlier = earlier_requests(model, previous)
    with model.swapped(earlier.origin):  # earlier edits may have changed how it refuses
        own = own_refusals(model, reference, phrases, accept_unrefused=chosen.accept_unrefused)
    chosen = replace(chosen, layers=layers_to_edit(earlier, chosen.layers))
    _refuse_unknown(earlier, chosen, own)
    parts = fold(forget, retain, others, chosen.seed)
    if validation is not None:
        parts = replace(parts, retain=retain, retain_checked=_fitting(model, "validation", validation, warnings))
    held = Hearing(
        model, slices(forget, parts.checked, parts.retain_checked, parts.general_checked, chosen.seed), own, phrases,
        origin=earlier.origin,
    )  # fmt: skip
    if held.before.forget_content < LEAST_KNOWN:
        told = f"the model says {held.before.forget_content:.0%} of the facts to forget: there is nothing to forget"
        raise NotUnlearnable("llm.not_known", told, "Look whether model, records and prompt template belong together.")
    everything = Hearing(
        model, slices(forget, forget, retain, others, chosen.seed, everything=True), own, phrases, origin=earlier.origin
    )
    work = Work(model, blocks_of(model.module), chosen, own, executor, Cost(), warnings, earlier)
    whole = fold(forget, retain, others, chosen.seed, everything=True)
    solved = _solved(work, parts, whole, held, everything)
    warnings += [f"the edit {fault}" for fault in solved.chosen.faults]
    sets = {"forget": forget, "retain": retain, "general": others}
    return LunarFit(
        edit=_edit(work, solved, sets, reference),
        variant=solved.variant,
        before=everything.before,
        after=solved.chosen.screening,
        gate=solved.gate,
        tried=solved.tried,
        reference=own,
        warnings=tuple(warnings),
        cost=work.cost,
    )


def _solved(work: Work, parts: Fold, whole: Fold, held: Hearing, everything: Hearing) -> Layered:
    """Return the edit; with earlier requests, one with as much weight on these as what stays is heard to bear.

    What they made forgotten nobody can ask about any more, so that a hearing speaks for the rest alone.
    """
    for weight in EARLIER_WEIGHTS if work.earlier.requests else ():
        told: list[str] = []
        weighted = replace(work, earlier=work.earlier.weighted(weight), warnings=told)
        with contextlib.suppress(NotUnlearnable):
            found = solve_in_turn(weighted, parts, whole, held, everything)
            if found.chosen.accepted:
                work.warnings.extend(told)
                return found
    return solve_in_turn(work, parts, whole, held, everything)


def _edit(work: Work, solved: Layered, sets: dict[str, RecordSet], reference: RecordSet) -> LunarEdit:
    """Return the edit with where it comes from, and with what a later request needs of it."""
    own, chosen, earlier = work.own, work.settings, work.earlier
    named = {name: EditedSet(sha256=records.sha256, n=len(records)) for name, records in sets.items() if len(records)}
    named["reference"] = EditedSet(sha256=reference.sha256, n=own.given, refused=len(own.refused))
    edit = make_edit(
        solved.updates, work.model, solver=chosen.solver, gate=solved.gate, seed=chosen.seed, sets=named,
        requests=earlier.requests + 1, previous=earlier.previous,
    )  # fmt: skip
    layers = sorted({*earlier.layers, *(update.layer for update in solved.updates)})
    if work.blocks.width**2 * 8 > chosen.memory:
        work.warnings.append("no sums for a later request were kept: one matrix of them does not fit into --memory")
        return edit
    sets_of_tokens = dict.fromkeys((*SUMMED, *(update.tokens for update in solved.updates)))
    tokens = [name for name in sets_of_tokens if name is not None and (name != "refusal" or own.modal)]
    if earlier.requests:
        tokens = [name for name in tokens if name in earlier.tokens]
    variants = {}
    for layer in layers:
        name = work.blocks.down_proj_name(layer)
        others = {other: tensor for other, tensor in solved.variant.items() if other != name}
        variants[layer] = {**others, **({name: earlier.origin[name]} if name in earlier.origin else {})}
    with work.cost.of("collect_cpu_s"):
        after, forget, retain = edit.meta.model.after, sets["forget"], sets["retain"]
        sums = sums_of_request(work.model, forget, retain, own.modal, tokens, variants, weights=after)
    return replace(edit, forgotten=sums)


def _refuse_unknown(earlier: Earlier, chosen: Settings, own: OwnRefusals) -> None:
    """Raise on settings that need more of earlier requests than their sums.

    Raises:
        StatisticsError: `llm.statistics_mismatch`.
    """
    if not earlier.requests:
        return
    if not earlier.refuses_alike(own.modal):
        told = "the model refuses the reference prompts in other words than those of the earlier requests"
        raise StatisticsError("llm.statistics_mismatch", told, "Give the reference file that was used then.")
    if chosen.solver != "closed":
        told = "a solver by gradient needs the rows of earlier requests, of which only sums are kept"
        raise StatisticsError("llm.statistics_mismatch", told, "Say --solver closed.")
    if chosen.tokens is not None and chosen.tokens not in earlier.tokens:
        told = f"the earlier requests have no sums of the tokens {chosen.tokens!r}"
        raise StatisticsError("llm.statistics_mismatch", told, f"Say --tokens {' or '.join(earlier.tokens)}.")


def _fitting(model: LanguageModel, name: str, records: RecordSet, warnings: list[str]) -> RecordSet:
    """Return the records that the model can read.

    Raises:
        RecordsError: over a tenth is too long.
    """
    kept, left_out = answerable(model, records.records)
    if not left_out:
        return records
    told = f"{left_out} of {len(records)} records of the {name} set are longer than the {model.context} tokens it reads"
    if left_out > MOST_LEFT_OUT * len(records):
        raise RecordsError("llm.records", told, "Shorten them, or leave them out.")
    warnings.append(f"{told}; they were left out")
    return record_set(kept)
