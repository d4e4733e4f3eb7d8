"""LUNAR from sums over clients: the edit of a server that never sees what is to be forgotten.

    files or workers ──sum──▶ LayerSums ──ridges──▶ gates ──leak on the server's own records──▶ heard ──▶ edit

A leak is measured on records that the server has; the mean gate on the forget rows follows from the sums. Whether the
edited model still says the facts only their owner can hear: where the forget set is not given, the edit has its usual
strength and a warning says so.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor

from reports.executor import Executor
from unlearning.errors import NotUnlearnable, StatisticsError
from unlearning.llm.agreement import Agreement, FederatedTokens, agree
from unlearning.llm.architectures import Blocks, blocks_of
from unlearning.llm.bits import shifted
from unlearning.llm.candidates import LAYERS, RIDGES, Candidate, shortlist
from unlearning.llm.edit import EditedSet, GateFigures, LunarEdit, make_edit
from unlearning.llm.federated import LEAST_RIDGE, TOLERANCE, ClientWorker, FederatedSolver
from unlearning.llm.federated_candidates import sums_candidates
from unlearning.llm.hooks import Collected, Reduce, collect
from unlearning.llm.layer_statistics import gram_of
from unlearning.llm.layer_sums import LayerSums
from unlearning.llm.lunar_work import LEAST_GAP, WARN_GAP, Settings
from unlearning.llm.material import OwnRefusals, own_refusals, staying_passages
from unlearning.llm.model_io import LanguageModel, Tensors
from unlearning.llm.records import RecordSet, record_set, refuse_overlap, split
from unlearning.llm.refusal import Refusals, load_refusals
from unlearning.llm.screening import Hearing, Screening, slices
from unlearning.llm.selection import COEFFICIENTS, Choice, Tried, choose, faults, objective
from unlearning.llm.spent import Cost
from unlearning.llm.statistics import StatisticsSetting

__all__ = ["FederatedFit", "fit_from_statistics"]

UNHEARD = (1.3, 1.15, 1.0)
"""Effective coefficients where nobody hears the forget set: the strongest that what stays will bear."""
PUBLIC, STAYING = "public", "staying"
NOTHING = record_set(())


@dataclass(frozen=True, eq=False)
class FederatedFit:
    """An edit from sums, and how it came about."""

    edit: LunarEdit
    variant: Tensors
    """The changed tensors."""
    before: Screening
    """Of the server's own records, and of the forget set where it was given."""
    after: Screening
    gate: GateFigures
    chosen: Candidate
    learnt: Mapping[int, LayerSums]
    """What the server knows of each layer."""
    tried: tuple[Tried[Candidate], ...]
    reference: OwnRefusals
    warnings: tuple[str, ...]
    cost: Cost = field(default_factory=Cost)

    @property
    def sums(self) -> LayerSums:
        """Of the edited layer."""
        return self.learnt[self.chosen.layer]


def fit_from_statistics(
    model: LanguageModel,
    workers: Sequence[ClientWorker],
    reference: RecordSet,
    *,
    solver: FederatedSolver | None = None,
    general: RecordSet | None = None,
    validation: RecordSet | None = None,
    forget: RecordSet | None = None,
    settings: Settings | None = None,
    refusals: Refusals | None = None,
    executor: Executor | None = None,
) -> FederatedFit:
    """Return the edit that clients' sums give.

    Args:
        model: The model that the sums were taken of; it stays as it is.
        workers: The clients.
        reference: The public prompts that were agreed on.
        solver: How the server learns the sums; conjugate gradients over plain sums where None.
        general: Questions whose answers are to stay; a part of them is held back for the choice.
        validation: Retained records of the server's own, by which the choice is made.
        forget: What is to be forgotten, where whoever calls may know it: the choice is then made by hearing it.
        settings: What to choose from; layers and token policy are those of the sums.
        refusals: Phrases by which answers refuse.
        executor: Runs the passes over the model.

    Raises:
        StatisticsError: `llm.statistics_mismatch`, `llm.statistics_leakage`, `llm.overflow`.
        NotUnlearnable: `llm.reference_not_refused`, `llm.not_separable` or `llm.singular`.
        RecordsError: `llm.overlap`.
    """
    chosen, phrases, server = settings or Settings(), refusals or load_refusals(), solver or FederatedSolver()
    if not workers:
        raise StatisticsError("llm.statistics_mismatch", "there are no statistics to sum", "Name the clients' files.")
    checked, asked, cost = validation or NOTHING, forget or NOTHING, Cost()
    refuse_overlap(asked, general=general, validation=checked)
    own = own_refusals(model, reference, phrases, accept_unrefused=chosen.accept_unrefused)
    kept, held = split(general or NOTHING, chosen.seed)
    with cost.of("collect_cpu_s"):
        agreement = _agreed(model, own, workers[0].sums.setting, executor)
        read = _read(model, agreement.setting.layers, kept, checked, held, executor)
    cost.tokens += read.tokens
    with cost.of("solve_cpu_s"):
        held_back = {layer: gram_of(rows.inputs) for layer, rows in read.rows.get(STAYING, {}).items()}
        learnt = server.layer_sums(workers, public=_public(read, held_back), least_ridge=chosen.ridge or LEAST_RIDGE)
        parted = {layer: sums.without(held_back[layer]) if held_back else sums for layer, sums in learnt.items()}
        staying = {layer: rows.inputs for layer, rows in read.rows.get(STAYING, {}).items()}
        candidates = list(sums_candidates(agreement, parted, _ridges(server, chosen), staying))
    warnings = _refuse_inseparable(candidates, force=chosen.force)
    blocks = blocks_of(model.module)
    with cost.of("select_cpu_s"):
        hearing = Hearing(model, slices(asked, NOTHING, checked, held, chosen.seed), own, phrases)
        known = len(asked) > 0
        listed = shortlist(candidates, layers=LAYERS if known else 1)  # which layer acts only the forget set can tell
        choice = _heard(blocks, listed, hearing, chosen, known=known)
        whole = slices(asked, asked, checked, general or NOTHING, chosen.seed, everything=True)
        everything = Hearing(model, whole, own, phrases)
        choice = _solved_again(blocks, agreement, learnt, choice, everything, known=known)
    best = choice.chosen.setting
    warnings += [*learnt[best.layer].warnings, *_to_be_said(choice, learnt[best.layer], server)]
    if not known:
        warnings.append("nobody heard the forget set: let its owner verify the edit before it is used")
    gate = GateFigures(forget_mean=1.0, retain_p95=best.leak, gap=1.0 - best.leak)
    update = best.update(blocks.down_proj_name(best.layer), choice.chosen.coefficient)
    named = {name: EditedSet(sha256=records.sha256, n=len(records))
             for name, records in (("forget", asked), ("general", general or NOTHING)) if len(records)}  # fmt: skip
    named["reference"] = EditedSet(sha256=reference.sha256, n=own.given, refused=len(own.refused))
    edit = make_edit([update], model, solver=f"federated-{server.form}", gate=gate, seed=chosen.seed, sets=named)
    variant = _variant(blocks, best, choice.chosen.coefficient)
    after = choice.chosen.screening
    return FederatedFit(
        edit, variant, everything.before, after, gate, best, learnt, choice.tried, own, tuple(warnings), cost
    )


def _agreed(model: LanguageModel, own: OwnRefusals, setting: StatisticsSetting, executor: Executor | None) -> Agreement:
    """Return what the server works out for itself, having made sure that the clients did the same.

    Raises:
        StatisticsError: the sums are of another model, template or reference file.
    """
    tokens: FederatedTokens = "refusal" if setting.tokens == "refusal" else "last"
    found = agree(model, own, layers=setting.layers, tokens=tokens, executor=executor)
    for name in StatisticsSetting.model_fields:
        if getattr(found.setting, name) != getattr(setting, name):
            told = f"the clients' sums differ from {model.name} and its reference file in {name}"
            mend = "Give the model, the reference file and the prompt template that the clients used."
            raise StatisticsError("llm.statistics_mismatch", told, mend)
    return found


def _read(
    model: LanguageModel,
    layers: Sequence[int],
    kept: RecordSet,
    checked: RecordSet,
    held: RecordSet,
    executor: Executor | None,
) -> Collected:
    """Return the sums of the server's own records, and the rows of those that it holds back."""
    passages = [
        *staying_passages(model, NOTHING, kept, role=PUBLIC),
        *staying_passages(model, checked, held, role=STAYING),
    ]
    reduce: dict[str, Reduce] = {PUBLIC: "sums"} if len(kept) else {}
    if len(checked) or len(held):
        reduce[STAYING] = "rows"
    return collect(model, passages, layers, reduce=reduce, executor=executor) if reduce else Collected({}, {}, 0)


def _public(read: Collected, held_back: Mapping[int, Tensor]) -> dict[int, Tensor]:
    """Return by layer the Gram matrix of all that the server itself wants to stay."""
    kept = {layer: sums.gram for layer, sums in read.sums.get(PUBLIC, {}).items()}
    return {layer: torch.stack([one[layer] for one in (kept, held_back) if one]).sum(0) for layer in kept or held_back}


def _ridges(server: FederatedSolver, chosen: Settings) -> tuple[float, ...]:
    """Return what to try: products tell of no ridge below the one they were asked for."""
    if chosen.ridge is not None:
        return (chosen.ridge,)
    return RIDGES if server.form == "gram" else tuple(ridge for ridge in RIDGES if ridge >= LEAST_RIDGE)


def _refuse_inseparable(candidates: Sequence[Candidate], *, force: bool) -> list[str]:
    """Return what is to be said of the best gap.

    Raises:
        NotUnlearnable: `llm.singular`, there is no gate; `llm.not_separable`, none tells what goes from what stays.
    """
    if not candidates:
        told = "no layer and ridge gives a gate that acts on the facts to forget"
        raise NotUnlearnable("llm.singular", told, "Take a larger --ridge, or sums of other layers.")
    gap = 1.0 - min(one.leak for one in candidates)
    if gap < LEAST_GAP and not force:
        told = f"what is to be forgotten and what is to stay look alike in the sums: the best gap is {gap:.2f}"
        mend = "Sum other layers, let the clients erase instead (--erase), or say --force."
        raise NotUnlearnable("llm.not_separable", told, mend)
    return [f"what goes and what stays are hard to tell apart: gap {gap:.2f}"] if gap < WARN_GAP else []


def _heard(
    blocks: Blocks, candidates: Sequence[Candidate], hearing: Hearing, chosen: Settings, *, known: bool
) -> Choice[Candidate]:
    """Return the best candidate by what is heard; where nobody hears the forget set, by what stays."""

    def hear(one: Candidate, effective: float) -> Screening:
        said = hearing.of(_variant(blocks, one, effective))
        return said if known else replace(said, refusal=1.0)  # it is judged by what stays alone

    if known or chosen.coefficient is not None:
        steps = COEFFICIENTS if chosen.coefficient is None else (chosen.coefficient,)
        return choose(candidates, hear, hearing.before, coefficients=steps)
    tried: list[Tried[Candidate]] = []
    for coefficient in UNHEARD:
        found = choose(candidates, hear, hearing.before, coefficients=(coefficient,))
        tried += found.tried
        if found.chosen.accepted:
            return Choice(found.chosen, tuple(tried))
    return Choice(min(tried, key=lambda one: objective(hearing.before, one.screening)), tuple(tried))


def _solved_again(
    blocks: Blocks,
    agreement: Agreement,
    learnt: Mapping[int, LayerSums],
    choice: Choice[Candidate],
    hearing: Hearing,
    *,
    known: bool,
) -> Choice[Candidate]:
    """Return the chosen setting solved with nothing held back, where that is heard to be no worse."""
    best, coefficient = choice.chosen.setting, choice.chosen.coefficient
    again = sums_candidates(agreement, {best.layer: learnt[best.layer]}, [best.ridge], {})
    tried = []
    for one in (*(replace(found, leak=best.leak) for found in again), best):
        said = hearing.of(_variant(blocks, one, coefficient))
        said = said if known else replace(said, refusal=1.0)
        tried.append(Tried(one, coefficient, said, faults(hearing.before, said)))
    return Choice(min(tried, key=lambda one: objective(hearing.before, one.screening)), (*choice.tried, *tried))


def _to_be_said(choice: Choice[Candidate], sums: LayerSums, server: FederatedSolver) -> list[str]:
    """Return the faults of the chosen edit, and whether products were too few for its gate."""
    said = [f"the edit {fault}" for fault in choice.chosen.faults]
    gate = sums.gate(choice.chosen.setting.ridge)
    if server.form == "cg" and gate.relative_residual > TOLERANCE:
        said.append(f"{gate.iterations} iterations leave a residual of {gate.relative_residual:.1%}: raise the ridge")
    return said


def _variant(blocks: Blocks, one: Candidate, effective: float) -> dict[str, Tensor]:
    """Return the changed tensor."""
    update = one.update(blocks.down_proj_name(one.layer), effective)
    return {update.tensor: shifted(blocks.weight(one.layer).data, update.delta)}
