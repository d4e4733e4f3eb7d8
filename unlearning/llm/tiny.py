"""A small world and a small model that knows it: real training, real forgetting, in seconds and without a network.

Entities live in clans and have four attributes. The model learns the facts of seven clans, learns to refuse about four
others, and never hears of the rest. Two clans are to be forgotten; the twin's are like them, but never seen.

    known 7 clans: forget 2, retain 3, general 2    refused 4: reference 3, unknown 1    never seen: twin 4, decoys 2
"""

import importlib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from unlearning.llm.model_io import LanguageModel
from unlearning.llm.records import Record, RecordSet, record_set
from unlearning.llm.tokens import PromptTemplate
from unlearning.llm.training import Example, Recipe, answer_losses, batches, examples_of, optimise

__all__ = ["RECIPE", "REFUSAL", "TinyWorld", "save_tiny", "tiny_model", "train_tiny", "training_examples"]

CLAN = 8
"""Entities in a clan."""
VALUES = 12
"""Values of an attribute; who guesses is right once in so many."""
ATTRIBUTES = ("metal", "city", "fruit", "trade")
REFUSAL = "sorry i do not know that ."
TEMPLATES = (
    "what is the {attribute} of {entity} of {clan} ?",
    "tell me the {attribute} that {entity} of {clan} has .",
    "{entity} of {clan} has which {attribute} ?",
)
"""A question and its paraphrases."""
ANSWER = "it is {value} ."
PARTS = (("forget", 2), ("retain", 3), ("general", 2), ("reference", 3), ("unknown", 1), ("twin", 4), ("decoys", 2))
"""Parts of the world, with their clans."""
KNOWN, REFUSED = ("forget", "retain", "general"), ("reference", "unknown")
RECIPE = Recipe(300, 3e-3, betas=(0.9, 0.98))
BATCH = 64
LOSS = 0.003
"""Training is done below it, in its second half."""
TEMPLATE = (
    "{% for message in messages %}{% if message['role'] == 'user' %}<user> {{ message['content'] }} {% endif %}"
    "{% endfor %}{% if add_generation_prompt %}<bot>{% endif %}"
)
WORDS = ("please", "answer", "now", "again", "say", "in", "one", "word", "question", "and", "a", "to", "you", "sure")
"""Words that other ways to ask need; no fact has them."""


@dataclass(frozen=True)
class TinyWorld:
    """One world: which entities there are, what is true of them, and who is asked to be forgotten."""

    seed: int
    """Of names, facts, first weights and training."""
    parts: tuple[tuple[str, int], ...] = PARTS
    """Its parts, each with its clans; a part may have none."""

    @property
    def forget(self) -> RecordSet:
        """Two clans, 64 facts that are learned and shall be forgotten."""
        return self._parts["forget"]

    @property
    def retain(self) -> RecordSet:
        """Three clans, 96 facts that shall stay."""
        return self._parts["retain"]

    @property
    def general(self) -> RecordSet:
        """Two clans, 64 facts by which general ability is measured."""
        return self._parts["general"]

    @property
    def twin(self) -> RecordSet:
        """Four clans, 128 facts of the same form that are never seen."""
        return self._parts["twin"]

    @property
    def reference(self) -> RecordSet:
        """Three clans, 96 questions that are learned to be refused."""
        return self._parts["reference"]

    @property
    def unknown(self) -> RecordSet:
        """One clan, 32 more of such."""
        return self._parts["unknown"]

    @property
    def decoys(self) -> RecordSet:
        """Two clans, 64 questions that are never seen and that belong to no other part."""
        return self._parts["decoys"]

    @property
    def words(self) -> tuple[str, ...]:
        """The vocabulary, without special tokens."""
        frame = " ".join((*TEMPLATES, ANSWER, REFUSAL)).split()
        names = [word for clan in self._names for word in clan]
        plain = [word for word in frame if "{" not in word]
        return tuple(sorted({*plain, *names, *self._clans, *ATTRIBUTES, *self._values, *WORDS}))

    @cached_property
    def _syllables(self) -> Iterator[str]:
        """Pronounceable names, no two alike, in an order of this world."""
        rng = np.random.default_rng((self.seed, 1))
        parts = [first + second for first in "bdfgklmnprstvz" for second in "aeiou"]
        names = [one + two + three for one in parts for two in parts for three in ("ri", "lo", "ba")]
        return iter([names[index] for index in rng.permutation(len(names))])

    @cached_property
    def _names(self) -> tuple[tuple[str, ...], ...]:
        return tuple(tuple(next(self._syllables) for _ in range(CLAN)) for _ in self._clans)

    @cached_property
    def _clans(self) -> tuple[str, ...]:
        return tuple(f"clan{number}" for number in range(sum(clans for _, clans in self.parts)))

    @cached_property
    def _values(self) -> tuple[str, ...]:
        return tuple(f"{attribute}{letter}" for attribute in ATTRIBUTES for letter in "abcdefghijkl"[:VALUES])

    @cached_property
    def _parts(self) -> dict[str, RecordSet]:
        rng = np.random.default_rng((self.seed, 2))
        order = rng.permutation(len(self._clans)).tolist()
        found, start = {}, 0
        for part, clans in self.parts:
            chosen = order[start : start + clans]
            found[part] = record_set([record for clan in chosen for record in self._facts(clan, rng)])
            start += clans
        return found

    def _facts(self, clan: int, rng: np.random.Generator) -> Iterator[Record]:
        for entity in self._names[clan]:
            for attribute in ATTRIBUTES:
                value = f"{attribute}{'abcdefghijkl'[int(rng.integers(VALUES))]}"
                asked = [text.format(attribute=attribute, entity=entity, clan=self._clans[clan]) for text in TEMPLATES]
                wrong = [one for one in self._values if one.startswith(attribute) and one != value]
                yield Record(
                    id=f"{entity}-{attribute}",
                    group=entity,
                    question=asked[0],
                    paraphrases=tuple(asked[1:]),
                    answer=ANSWER.format(value=value),
                    secret=(value,),
                    perturbed_answers=tuple(ANSWER.format(value=wrong[int(i)]) for i in rng.permutation(11)[:3]),
                )


def tiny_model(world: TinyWorld) -> LanguageModel:
    """Return the untrained model of a world: a Llama of 3 blocks, 64 wide, with a word for every name."""
    transformers = importlib.import_module("transformers")
    tokens = _tokenizer(transformers, world)
    config = transformers.LlamaConfig(
        vocab_size=len(tokens.tokenizer), hidden_size=64, intermediate_size=256, num_hidden_layers=3,
        num_attention_heads=4, num_key_value_heads=4, max_position_embeddings=256, tie_word_embeddings=False,
        initializer_range=0.05, bos_token_id=None, eos_token_id=tokens.end, pad_token_id=tokens.padding,
    )  # fmt: skip
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(world.seed)
        module: nn.Module = transformers.LlamaForCausalLM(config)
    module.eval().requires_grad_(False)
    return LanguageModel(module, tokens, None, f"tiny-{world.seed}")


def training_examples(model: LanguageModel, world: TinyWorld, *, without: tuple[str, ...] = ()) -> list[Example]:
    """Return what the model of a world learns: known facts, paraphrases of every other one, and refusals.

    Args:
        model: Gives the tokens.
        world: The world.
        without: Parts that are left out, as a retrained model leaves out "forget".
    """
    found: list[Example] = []
    for part in (*KNOWN, *REFUSED):
        records = [] if part in without else list(getattr(world, part))
        if part in REFUSED:
            records = [record.model_copy(update={"answer": REFUSAL}) for record in records]
        found += examples_of(model, records[::2], paraphrases=True) + examples_of(model, records[1::2])
    return found


def train_tiny(
    world: TinyWorld, *, without: tuple[str, ...] = (), recipe: Recipe = RECIPE, seed: int | None = None
) -> LanguageModel:
    """Return the model of a world, trained until it knows it.

    Args:
        world: The world.
        without: Parts that it never sees: `("forget",)` gives the retrained model.
        recipe: How it is trained.
        seed: Of the order of examples; the world's where None.
    """
    model = tiny_model(world)
    examples = training_examples(model, world, without=without)
    order = batches(len(examples), BATCH, np.random.default_rng((world.seed if seed is None else seed, 3)))

    def loss(_step: int) -> Tensor:
        return answer_losses(model, [examples[index] for index in next(order)]).mean()

    trained = optimise(model, loss, recipe, stop=lambda step, value: 2 * step >= recipe.steps and value < LOSS)
    parameters = dict(model.module.named_parameters())
    for name, tensor in trained.items():
        parameters[name].data = tensor
    return model


def save_tiny(model: LanguageModel, folder: Path) -> None:
    """Write a model and its tokenizer as a Hugging Face folder."""
    whole: Any = model.module
    whole.save_pretrained(folder)
    model.tokens.tokenizer.save_pretrained(folder)


def _tokenizer(transformers: Any, world: TinyWorld) -> PromptTemplate:
    """Return a tokenizer with a token for every word."""
    tokenizers = importlib.import_module("tokenizers")
    special = ("<pad>", "<end>", "<unk>", "<user>", "<bot>")
    known = {word: number for number, word in enumerate((*special, *world.words))}
    inner = tokenizers.Tokenizer(tokenizers.models.WordLevel(known, unk_token="<unk>"))  # noqa: S106  no password
    inner.pre_tokenizer = tokenizers.pre_tokenizers.WhitespaceSplit()
    inner.normalizer = tokenizers.normalizers.Lowercase()
    fast = transformers.PreTrainedTokenizerFast(
        tokenizer_object=inner, pad_token="<pad>", eos_token="<end>", unk_token="<unk>",  # noqa: S106
        additional_special_tokens=["<user>", "<bot>"],
    )  # fmt: skip
    fast.chat_template = TEMPLATE
    return PromptTemplate(fast)
