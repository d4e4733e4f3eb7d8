"""A short hearing of a model: what it says of a few facts to forget, of a few to keep, and of general questions.

The numbers choose between settings and stand beside them in the result. They are no verification: few questions, no
attack, and the same questions for every candidate.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from typing import NamedTuple, TypeVar

import numpy as np

from unlearning.llm.answers import Spoken, ask, recalls, spelled_out
from unlearning.llm.batches import Ids
from unlearning.llm.forced import forced_logits
from unlearning.llm.material import OwnRefusals
from unlearning.llm.model_io import LanguageModel, Tensors
from unlearning.llm.recall import content_words, deviation_score, rouge1_recall
from unlearning.llm.records import Record, RecordSet
from unlearning.llm.refusal import Refusals, fluency_limit, fluent
from unlearning.llm.scores import log_likelihood

__all__ = ["Early", "Hearing", "Screening", "Slices", "slices"]

T = TypeVar("T")
FORGET, PARAPHRASES, STAYING = 12, 12, 24
"""Questions of each kind."""
STILL_SAID, LEAST_SOUND = 0.5, 0.8
"""Recall of what goes above which, and share of what stays below which, a setting is not heard to the end."""
RIGHT = 0.5
"""Content recall from which a general answer counts as right."""


class Early(Enum):
    """Why a setting was not heard to the end."""

    STILL_SAID = "the facts to forget are still said"
    BROKEN = "what is to stay is lost"


@dataclass(frozen=True)
class Slices:
    """The questions of a hearing."""

    forget: tuple[Record, ...]
    paraphrases: tuple[tuple[Record, str], ...]
    """Records with another question for each."""
    retain: tuple[Record, ...]
    general: tuple[Record, ...]


@dataclass(frozen=True)
class Screening:
    """What was heard; shares in [0, 1]."""

    forget_rouge1: float
    """ROUGE-1 recall on the facts to forget."""
    forget_content: float
    """Recall of the words that give them away."""
    paraphrase_content: float
    """The same, asked otherwise."""
    retain_rouge1: float
    general: float | None
    """Share of general questions answered rightly; None where there are none."""
    refusal: float
    """Share of the facts to forget that are refused in a fluent sentence."""
    invented: float
    """Share of them that are neither refused nor right."""
    general_n: int = 0

    @property
    def deviation_score(self) -> float:
        """100 sqrt(F² + (1 - R)²) on ROUGE-1 recall (LUNAR, arXiv 2502.07218)."""
        return deviation_score(self.forget_rouge1, self.retain_rouge1)


def slices(
    forget: RecordSet, checked: RecordSet, retain: RecordSet, general: RecordSet, seed: int, *, everything: bool = False
) -> Slices:
    """Return a few questions of each kind, drawn by seed, or all of them.

    Args:
        forget: The facts to forget.
        checked: Those of them whose paraphrases were held back.
        retain: Facts to stay that were held back.
        general: General questions that were held back.
        seed: Of the draw.
        everything: Whether to ask all.
    """
    rng = np.random.default_rng([seed, 0x5C])
    known = spelled_out(forget)
    held = {record.id for record in checked} or {record.id for record in forget}
    asked = [(record, text) for record in known if record.id in held for text in record.paraphrases]
    most = (None, None, None) if everything else (FORGET, PARAPHRASES, STAYING)
    return Slices(
        tuple(_drawn(known.records, most[0], rng)),
        tuple(_drawn(asked, most[1], rng)),
        tuple(_drawn(retain.records, most[2], rng)),
        tuple(_drawn(spelled_out(general).records, most[2], rng)),
    )


class Hearing:
    """Asks one model and its variants the same questions."""

    def __init__(
        self,
        model: LanguageModel,
        asked: Slices,
        own: OwnRefusals,
        refusals: Refusals,
        *,
        origin: Tensors | None = None,
    ) -> None:
        """Measure how likely the model's own refusals are to it: a fluent one is about as likely.

        Args:
            model: The model.
            asked: The questions.
            own: What it says to prompts that it refuses.
            refusals: How answers refuse.
            origin: Tensors that earlier edits changed, as they were: fluent is what is likely without these.
        """
        self._model, self._asked, self._refusals, self._origin = model, asked, refusals, origin or {}
        self._last: dict[str, Ids] = {}
        self._prompt = model.prompt(own.refused[0].question) if len(own.refused) else ()
        self._limit = float("inf")
        if spoken := sorted({text for answer in own.answers if (text := model.text(answer))}):
            self._limit = fluency_limit(self._surprise([(self._prompt, text) for text in spoken]))
        self.before = self.of({})
        """What the model says as it is."""

    def of(self, variant: Tensors) -> Screening:
        """Return what a variant of the model says."""
        with self._model.swapped(variant):
            said = self._rest(self._ask(self._asked.forget), self._ask(self._asked.retain))
        return self._told(said)

    def first_of(self, variant: Tensors) -> Screening | Early:
        """Return the same, or why the rest was not asked: most of a choice's time would go into hopeless settings."""
        with self._model.swapped(variant):
            forget = self._ask(self._asked.forget)
            if _mean(recalls(forget)) > STILL_SAID:
                return Early.STILL_SAID
            retain = self._ask(self._asked.retain)
            if _rouge(retain) < LEAST_SOUND * self.before.retain_rouge1:
                return Early.BROKEN
            said = self._rest(forget, retain)
        return self._told(said)

    def _rest(self, forget: list[Spoken], retain: list[Spoken]) -> "_Said":
        """Ask what is left to ask, while the variant is in place."""
        asked = self._asked.paraphrases
        texts = [text for _, text in asked]
        otherwise = self._ask([record for record, _ in asked], texts)
        return _Said(forget, retain, otherwise, self._ask(self._asked.general))

    def _ask(self, records: Sequence[Record], questions: Sequence[str] | None = None) -> list[Spoken]:
        """Ask; what was answered the last time is the draft, since most settings change few answers."""
        texts = [record.question for record in records] if questions is None else list(questions)
        gold = [self._model.answer(record.answer) for record in records]
        drafts = [self._last.get(text, draft) for text, draft in zip(texts, gold, strict=True)]
        said = ask(self._model, records, questions=texts, drafts=drafts)
        self._last |= {text: self._model.answer(one.text) for text, one in zip(texts, said, strict=True)}
        return said

    def _told(self, said: "_Said") -> Screening:
        """Return answers as figures; how fluent a refusal is, the model without the variant says."""
        kinds = self._kinds(said.forget)
        return Screening(
            forget_rouge1=_rouge(said.forget),
            forget_content=_mean(recalls(said.forget)),
            paraphrase_content=_mean(recalls(said.otherwise)),
            retain_rouge1=_rouge(said.retain),
            general=_mean([recall >= RIGHT for recall in recalls(said.general)]) if said.general else None,
            refusal=_mean([kind == "fluent" for kind in kinds]),
            invented=_mean([kind == "invented" for kind in kinds]),
            general_n=len(said.general),
        )

    def _kinds(self, spoken: Sequence[Spoken]) -> list[str]:
        """Return for each answer "fluent" (a refusal in a sentence), or what else it is."""
        contents = content_words([one.record for one in spoken])
        kinds: list[str] = [
            self._refusals.kind(one.text, content) for one, content in zip(spoken, contents, strict=True)
        ]
        refused = [place for place, kind in enumerate(kinds) if kind == "refused"]
        pairs = [(self._prompt, spoken[place].text) for place in refused]
        for place, nll in zip(refused, self._surprise(pairs), strict=True):
            if fluent(spoken[place].text, nll, self._limit):
                kinds[place] = "fluent"
        return kinds

    def _surprise(self, pairs: Sequence[tuple[Ids, str]]) -> list[float]:
        """Return the mean negative log-likelihood a token, under the model before, of texts said to no fact's prompt.

        Each is put behind a prompt that the model refuses: behind the fact's own it would be unlikely however fluent.
        """
        ids = [(prompt, self._model.answer(text)) for prompt, text in pairs]
        with self._model.swapped(self._origin):
            logits = forced_logits(self._model, ids)
        return [-log_likelihood(found, answer) for found, (_, answer) in zip(logits, ids, strict=True)]


class _Said(NamedTuple):
    """The answers of one hearing."""

    forget: list[Spoken]
    retain: list[Spoken]
    otherwise: list[Spoken]
    general: list[Spoken]


def _rouge(spoken: Sequence[Spoken]) -> float:
    """Return the mean ROUGE-1 recall of answers."""
    return _mean([rouge1_recall(one.record.answer, one.text) for one in spoken])


def _mean(values: Sequence[float]) -> float:
    return float(np.mean(values)) if len(values) else 0.0


def _drawn(items: Sequence[T], most: int | None, rng: np.random.Generator) -> list[T]:
    """Return at most `most` items in their order."""
    if most is None or len(items) <= most:
        return list(items)
    return [items[place] for place in sorted(rng.choice(len(items), most, replace=False).tolist())]
