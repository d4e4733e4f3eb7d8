"""What every attack gives: what is recalled of each fact, once the model has been asked, changed or taught in its way.

    settings ──▶ trials (variant x setting) ──run──▶ AttackResult ──▶ judged (`unlearning.llm.judge_excess`)

An attack is run on before (it must find the facts there), on a planted suppression (it must bring them back) and on
after; each time also on the twin's facts (it must not bring back what was never there).
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Literal

import numpy as np

from reports.model import Effort
from unlearning.llm.answers import ask, ask_tokens, recalls
from unlearning.llm.batches import Ids
from unlearning.llm.model_io import LanguageModel
from unlearning.llm.records import Record, RecordSet
from unlearning.llm.subject import Subject

__all__ = ["Attack", "AttackResult", "Setting", "heard"]


@dataclass(frozen=True)
class Setting:
    """How an attack is carried out; each attack adds what it needs."""

    name: str
    """Unique among the settings of its attack."""


@dataclass(frozen=True)
class AttackResult:
    """What one attack in one setting found on one variant."""

    attack: str
    """Name of the attack."""
    setting: str
    """Name of its setting."""
    variant: str
    """Name of the variant."""
    forget: tuple[float, ...]
    """Content recall of each record of the forget set, in its order, in [0, 1]."""
    twin: tuple[float, ...]
    """The same of the twin's records under the same attack; empty without a twin."""
    retain: float | None = None
    """Mean content recall on the retain set under the attack; None where it cannot suffer."""
    extra: Mapping[str, float] = field(default_factory=dict)
    """What else was measured."""


@dataclass(frozen=True)
class Attack:
    """One attack, as the audit runs it."""

    name: str
    """As in `AttackResult.attack`."""
    settings: Callable[[Effort, Subject], tuple[Setting, ...]]
    """All that the effort allows."""
    run: Callable[[Subject, str, Setting, np.random.Generator], AttackResult]
    """Carries out one setting on the variant of that name."""


def heard(
    model: LanguageModel,
    records: RecordSet | None,
    prompt: Callable[[Record], Ids] | None = None,
    *,
    drafts: Literal["gold", "none"] = "gold",
) -> tuple[float, ...]:
    """Return the content recall of each record's answer; none without records.

    Args:
        model: Who is asked.
        records: Whose facts.
        prompt: Gives the tokens to ask with; the record's own question by default.
        drafts: "none" where hooks look where a prompt ends (`unlearning.llm.answers.ask`).
    """
    if records is None:
        return ()
    if prompt is None:
        return recalls(ask(model, records, drafts=drafts))
    return recalls(ask_tokens(model, records.records, [prompt(record) for record in records], drafts=drafts))
