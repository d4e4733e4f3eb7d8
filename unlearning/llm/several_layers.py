"""LUNAR in more than one layer: the best first, then the next on what that leaves, as long as it is heard to help.

A second layer that is solved for apart may undo the first: its direction leads from where the first edit has put the
prompts already. So each is gathered on the model with the edits before it, and is kept only where nothing is lost.
"""

from dataclasses import dataclass, replace

from unlearning.errors import NotUnlearnable
from unlearning.llm.candidates import Candidate
from unlearning.llm.edit_nouns import GateFigures
from unlearning.llm.lunar_work import Solved, Work
from unlearning.llm.material import Fold
from unlearning.llm.model_io import Tensors
from unlearning.llm.screening import Hearing, Screening
from unlearning.llm.selection import Tried, objective
from unlearning.llm.update import Update

__all__ = ["Layered", "solve_in_turn"]


@dataclass(frozen=True, eq=False)
class Layered:
    """An edit of one layer or several."""

    updates: tuple[Update, ...]
    """In the order in which they were solved."""
    variant: Tensors
    """The changed tensors."""
    chosen: Tried[Candidate]
    """The last, heard with all before it."""
    gate: GateFigures
    """Of the first."""
    tried: tuple[Tried[Candidate], ...]


def solve_in_turn(work: Work, parts: Fold, whole: Fold, held: Hearing, everything: Hearing) -> Layered:
    """Return the edit of up to `top_layers` layers; arguments and errors are those of `Work.solve`."""
    first = work.solve(parts, whole, held, everything)
    found = _layered(work, first)
    for layer in first.layers:
        if len(found.updates) >= work.settings.top_layers:
            break
        if any(update.layer == layer for update in found.updates):
            continue
        told: list[str] = []
        settings = replace(work.settings, layers=(layer,))
        later = replace(work, settings=settings, base=found.variant, warnings=told)
        try:
            more = later.solve(parts, whole, held, everything)
        except NotUnlearnable as error:
            work.warnings.append(f"layer {layer} was left as it is: {error.message}")
            continue
        tried = (*found.tried, *more.held.tried, *more.final.tried)
        if _worse(everything.before, found.chosen.screening, more.final.chosen.screening):
            work.warnings.append(f"layer {layer} was left as it is: with it the edit is worse")
            found = replace(found, tried=tried)
            continue
        work.warnings.extend(told)
        variant = later.variant(more.updates)
        found = Layered((*found.updates, *more.updates), variant, more.final.chosen, found.gate, tried)
    if len(found.updates) < work.settings.top_layers:
        work.warnings.append(f"{len(found.updates)} of up to {work.settings.top_layers} layers were edited")
    return found


def _layered(work: Work, solved: Solved) -> Layered:
    tried = (*solved.held.tried, *solved.final.tried)
    return Layered(solved.updates, work.variant(solved.updates), solved.final.chosen, solved.gate, tried)


def _worse(before: Screening, one: Screening, more: Screening) -> bool:
    return objective(before, more) > objective(before, one) + 1e-9
