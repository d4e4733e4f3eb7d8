"""What a model says to the questions of records, and how much of each fact is in it."""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from unlearning.llm.batches import Ids
from unlearning.llm.generate import greedy
from unlearning.llm.model_io import LanguageModel
from unlearning.llm.recall import content_recall, content_words
from unlearning.llm.records import Record, RecordSet, record_set

__all__ = ["EXTRA", "Spoken", "answerable", "ask", "ask_tokens", "recalls", "spelled_out"]

EXTRA = 16
"""Tokens that an answer may be longer than the gold one, so that a fact said after a refusal is heard."""


@dataclass(frozen=True)
class Spoken:
    """One greedy answer."""

    record: Record
    """Whose question was asked."""
    text: str
    """What was said, without what was put into the model's mouth."""
    new_tokens: int
    """How long it is, the end token left out."""


def ask(
    model: LanguageModel,
    records: Iterable[Record],
    *,
    extra: int = EXTRA,
    questions: Sequence[str] | None = None,
    prefix: Ids = (),
    drafts: Sequence[Ids] | Literal["gold", "none"] = "gold",
    batch_size: int = 64,
) -> list[Spoken]:
    """Return the greedy answer to each record's question, up to the length of the gold answer and some more.

    Args:
        model: Who is asked.
        records: Whose questions; one without an answer counts as an answer of its end token alone.
        extra: Tokens beyond the gold answer.
        questions: Asked in place of the records' own, one for each.
        prefix: Tokens of an answer that is begun for the model.
        drafts: What each answer may be, which saves time where it is right; "gold" for the records' answers, "none" for
            a model with hooks that look where a prompt ends. What is answered does not depend on it.
        batch_size: Questions at a time.

    Raises:
        ValueError: the number of questions is not that of the records.
    """
    asked = list(records)
    texts = [record.question for record in asked] if questions is None else questions
    prompts = [(*model.prompt(text), *prefix) for text in texts]
    return ask_tokens(model, asked, prompts, extra=extra, drafts=drafts, batch_size=batch_size)


def ask_tokens(
    model: LanguageModel,
    records: Sequence[Record],
    prompts: Sequence[Ids],
    *,
    extra: int = EXTRA,
    drafts: Sequence[Ids] | Literal["gold", "none"] = "gold",
    batch_size: int = 64,
) -> list[Spoken]:
    """Return greedy answers as `ask` does, to prompts given as tokens, one for each record.

    Raises:
        ValueError: the number of prompts is not that of the records.
    """
    if len(prompts) != len(records):
        raise ValueError(f"{len(prompts)} prompts for {len(records)} records")
    gold = [model.answer(record.answer) for record in records]
    guesses = gold if drafts == "gold" else None if drafts == "none" else drafts
    said = greedy(model, prompts, [len(ids) + extra for ids in gold], drafts=guesses, batch_size=batch_size)
    return [Spoken(record, model.text(tokens), len(tokens)) for record, tokens in zip(records, said, strict=True)]


def recalls(spoken: Iterable[Spoken]) -> tuple[float, ...]:
    """Return the content recall of each answer, in [0, 1].

    The records must have their secrets (`spelled_out`): which words give an answer away is decided by the whole set,
    not by those of it that are asked.
    """
    found = []
    for one in spoken:
        (content,) = content_words([one.record])
        found.append(content_recall(content, one.text))
    return tuple(found)


def spelled_out(records: RecordSet) -> RecordSet:
    """Return records whose secrets are their content words, so that any part of them is judged as in the whole set."""
    words = content_words(records)
    return record_set(
        record if record.secret or not record.answer else record.model_copy(update={"secret": tuple(sorted(content))})
        for record, content in zip(records, words, strict=True)
    )


def answerable(model: LanguageModel, records: Collection[Record], *, extra: int = EXTRA) -> tuple[list[Record], int]:
    """Return the records whose question, answer and `extra` tokens fit the model's context, and how many do not."""
    fits = [
        record
        for record in records
        if len(model.prompt(record.question)) + len(model.answer(record.answer)) + extra <= model.context
    ]
    return fits, len(records) - len(fits)
