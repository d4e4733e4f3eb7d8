"""How many rounds stand behind a model: as its transcript has it, and as a matched run of its method would take.

A model that was trained longer differs from one that was not, forgotten or no; so before two are compared, their
rounds are counted. Max phases are left out: a matched run has nothing to go away from.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from unlearning.errors import UnlearningError
from unlearning.federated.methods.base import History, RoundNote, Setting
from unlearning.federated.oracles import Questions, with_history
from unlearning.federated.rehearsal import Rehearsal
from unlearning.federated.request import Split
from unlearning.federated.rounds import Models
from unlearning.federated.transcript_nouns import Round

__all__ = ["Rounds", "delivered_rounds", "matched_rounds"]


@dataclass(frozen=True)
class Rounds:
    """Rounds of unlearning behind a model, those that trained it on what stays."""

    train: int = 0
    """Of a training from the start."""
    min: int = 0
    """Back towards what is retained; of a method that chooses, up to the kept one."""
    post: int = 0
    """Of retained training afterwards."""

    def __str__(self) -> str:
        counted = {"train": self.train, "min": self.min, "post": self.post}
        told = " and ".join(f"{count} {phase}" for phase, count in counted.items() if count)
        return f"{told} rounds" if told else "no round"


def delivered_rounds(lines: Sequence[Round], kept: int | None) -> Rounds:
    """Return the rounds behind a delivered model, by the lines of its transcript.

    Args:
        lines: In order.
        kept: Unlearning rounds behind it, for a method that chooses them.
    """
    counted = Counter(line.phase for line in lines)
    chosen = counted["min"] if kept is None else min(kept, counted["min"])
    return Rounds(counted["train"], chosen, counted["post"])


def matched_rounds(questions: Questions) -> Rounds | None:
    """Return the rounds of a matched run, counted on a rehearsal; None where the method cannot be rehearsed."""
    engine, held = Rehearsal(questions.federation), dict(enumerate(questions.split.retain))
    counted: Counter[str] = Counter()

    def watch(note: RoundNote) -> None:
        counted[note.kind] += 1

    try:
        before, history = Models({}), History()
        if questions.method.needs.training:
            before, history = with_history(engine, held, questions.method)
        setting = Setting(
            engine, Split({}, questions.split.retain, {}), before, history, questions.offline,
            unlabelled=questions.unlabelled, watch=watch,
        )  # fmt: skip
        questions.method.control(setting, questions.kept)
    except UnlearningError:
        return None
    return Rounds(counted["train"], counted["min"], counted["post"])
