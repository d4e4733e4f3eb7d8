"""U15: inside the model one block is skipped, or one direction undone, and the facts are asked for again.

Directions stand for refusing. They are taken from the claimed edit, and estimated: what after adds to before on the
forget prompts, and what parts refused from answered prompts (Arditi et al. 2024, arXiv:2406.11717, section 2.3).
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from reports.model import Effort
from unlearning.llm.architectures import blocks_of
from unlearning.llm.attacks.base import Attack, AttackResult, Setting, heard
from unlearning.llm.attacks.streams import (
    Change,
    intervened,
    last_states,
    shifted_at_end,
    skipped,
    tried_layers,
    without,
)
from unlearning.llm.model_io import LanguageModel
from unlearning.llm.records import RecordSet
from unlearning.llm.subject import Subject
from unlearning.llm.update import LowRankUpdate

__all__ = ["REVERSAL", "Switch", "changes_of", "run", "settings"]

ESTIMATED_ON = 32
"""Prompts of a set whose mean states give a direction."""

Source = Literal["none", "claim", "difference", "refusal"]


@dataclass(frozen=True)
class Switch(Setting):
    """One thing that is undone."""

    act: Literal["skip", "subtract", "project"]
    """The block is skipped; the direction is subtracted behind it, where the prompt ends; or it is taken out behind
    every block, at every position."""
    layer: int
    """The block, from 0, at which the direction is measured, and subtracted."""
    source: Source = "none"
    """Where the direction comes from."""


def settings(effort: Effort, subject: Subject) -> tuple[Switch, ...]:
    """Return what can be undone: nothing at smoke, 8 layers at standard, all at full; those of the claim always."""
    if effort is Effort.SMOKE:
        return ()
    count = blocks_of(subject.before.module).count
    tried = tried_layers(count, effort)
    estimated: tuple[Source, ...] = ("difference", "refusal") if subject.sets.reference is not None else ("difference",)
    claimed = [("claim", layer) for layer in _claimed(subject)]
    found = [Switch(f"skip-{layer}", "skip", layer) for layer in tried]
    for source, layer in (*claimed, *((source, layer) for source in estimated for layer in tried)):
        found.append(Switch(f"project-{source}-{layer}", "project", layer, source))  # type: ignore[arg-type]
        found.append(Switch(f"subtract-{source}-{layer}", "subtract", layer, source))  # type: ignore[arg-type]
    return tuple(found)


def run(subject: Subject, variant: str, setting: Setting, _rng: np.random.Generator) -> AttackResult:
    """Return what the model says while something in it is undone."""
    assert isinstance(setting, Switch)  # noqa: S101  settings of this attack alone come here
    sets = subject.sets
    changes = changes_of(subject, variant, setting)
    with subject.model(variant) as model, intervened(model, changes):
        forget, twin = (heard(model, records, drafts="none") for records in (sets.forget, sets.twin))
    return AttackResult(REVERSAL.name, setting.name, variant, forget, twin)


def changes_of(subject: Subject, variant: str, setting: Switch) -> dict[int, Change]:
    """Return what each block is to give instead; nothing where there is no direction to undo."""
    if setting.act == "skip":
        return {setting.layer: skipped}
    directions = _directions(subject, variant, setting)
    if not bool(directions.any()):
        return {}
    if setting.act == "subtract":
        return {setting.layer: shifted_at_end(-directions[0])}
    change = without(directions)
    return dict.fromkeys(range(blocks_of(subject.before.module).count), change)


def _directions(subject: Subject, variant: str, setting: Switch) -> Tensor:
    """Return the directions (k, d) of a source; the first is the one at the end of the prompt."""
    if setting.source == "claim":
        return _claimed(subject)[setting.layer]
    with subject.model(variant) as model:
        if setting.source == "difference":
            towards, away = _mean_state(model, subject.sets.forget), None
        else:
            assert subject.sets.reference is not None  # noqa: S101  `settings` asked
            towards, away = _mean_state(model, subject.sets.reference), _mean_state(model, subject.sets.retain)
    if away is None:
        away = _mean_state(subject.before, subject.sets.forget)
    return (towards - away)[setting.layer][None]


def _mean_state(model: LanguageModel, records: RecordSet) -> Tensor:
    """Return the mean state after every block at the end of the questions, (blocks, d)."""
    return last_states(model, [model.prompt(record.question) for record in records.records[:ESTIMATED_ON]]).mean(dim=0)


def _claimed(subject: Subject) -> dict[int, Tensor]:
    """Return the left factors (k, d) of the claimed edit by layer; none of an edit that has no low rank."""
    updates = () if subject.edit is None else subject.edit.updates
    found: dict[int, list[Tensor]] = {}
    for update in updates:
        if isinstance(update, LowRankUpdate):
            found.setdefault(update.layer, []).append(update.left)
    return {layer: torch.cat(rows) for layer, rows in found.items()}


REVERSAL = Attack("reversal", settings, run)
