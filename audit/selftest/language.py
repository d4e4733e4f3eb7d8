"""Erasure requests to a language model: a small world that a small model has learnt, and what was done to it since.

seed of the self-test ─▶ world ─▶ model before, retrained model       trained once a process, for all flaws
untrained model                                                       where only tensors and sums are looked at
"""

import functools
from collections.abc import Collection, Iterable, Mapping
from dataclasses import replace
from pathlib import Path

import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor

from audit.selftest.workshop import Workshop
from reports.canonical import canonical
from unlearning.llm.agreement import agree
from unlearning.llm.client_worker import ClientWorker
from unlearning.llm.edit import LowRankUpdate, LunarEdit, make_edit
from unlearning.llm.lunar import Settings, fit_and_tell
from unlearning.llm.material import OwnRefusals
from unlearning.llm.model_folder import save_model
from unlearning.llm.model_io import LanguageModel, state_of
from unlearning.llm.records import Record, RecordSet, record_set
from unlearning.llm.statistics import ClientStatistics, LayerStatistics
from unlearning.llm.tiny import REFUSAL, TinyWorld, tiny_model, train_tiny
from unlearning.llm.training import Recipe

PARTS = (("forget", 2), ("retain", 2), ("general", 0), ("reference", 1), ("unknown", 0), ("twin", 4), ("decoys", 0))
"""64 facts to forget, 64 to keep, 128 never seen: as few as let every test decide. General questions are taken from
the facts to keep where they are asked for."""
RECIPE = Recipe(160, 5e-3, betas=(0.9, 0.98))
"""Half of the usual steps, at a higher rate: for half as many facts."""
CROWD = 1000
"""Clients in a sum that hides each of them."""
EMBEDDING = "model.embed_tokens.weight"


def world_of(make: Workshop) -> TinyWorld:
    """Return the world of one self-test: the same for all of its flaws."""
    return TinyWorld(make.root, PARTS)


@functools.lru_cache(maxsize=4)  # before and retrained of two seeds; nobody changes them
def model_of(world: TinyWorld, without: tuple[str, ...] = ()) -> LanguageModel:
    """Return the model that knows a world, or all but some parts of it."""
    return train_tiny(world, without=without, recipe=RECIPE)


def untrained(make: Workshop) -> tuple[TinyWorld, LanguageModel]:
    """Return a world and the model that has not learnt it."""
    world = world_of(make)
    return world, tiny_model(world)


def retrained(world: TinyWorld) -> dict[str, Tensor]:
    """Return the tensors of a model that was trained without the facts to forget."""
    return dict(state_of(model_of(world, ("forget",))))


def hidden(make: Workshop, world: TinyWorld) -> dict[str, Tensor]:
    """Return the tensors that an edit of low rank changes by which the model refuses the facts, and keeps them."""
    seed = make.seed % 2**31
    found = fit_and_tell(
        model_of(world), world.forget, world.retain, world.reference, settings=Settings(seed=seed)
    )  # fmt: skip
    return dict(found.variant)


def renamed(world: TinyWorld, records: Iterable[Record], like: Iterable[Record]) -> dict[str, Tensor]:
    """Return a model before to which the entities and clans of some records read as those of others.

    Only rows of the input embedding change. A name with the row of one that was never seen is a stranger's.
    """
    model = model_of(world)
    source = state_of(model)[EMBEDDING]
    table, others = source.clone(), _names(model, like)
    for place, token in enumerate(_names(model, records)):  # a clan and its eight entities in one order everywhere
        table[token] = source[others[place % len(others)]]
    return {EMBEDDING: table}


def deliver(make: Workshop, name: str, model: LanguageModel, variant: Mapping[str, Tensor] | None = None) -> str:
    """Write a model, with some tensors in the place of its own, as a folder of the system; return its path."""
    folder: Path = make.files.folder(name)
    save_model(model, folder, variant=dict(variant or {}))
    return name


def records(make: Workshop, name: str, held: RecordSet | Collection[Record]) -> str:
    """Write records and return their path."""
    return make.files.text(f"{name}.jsonl", "".join(canonical(one).decode() + "\n" for one in held))


def request(
    make: Workshop, world: TinyWorld, after: Mapping[str, Tensor], *sets: str, **more: object
) -> dict[str, object]:
    """Write the model before, the model after and the records of a request; return the table that declares it.

    Args:
        make: The workshop.
        world: The world.
        after: The tensors in which the delivered model differs.
        sets: Of the world, that are declared beside those to forget and to keep.
        more: Other keys.
    """
    before = model_of(world)
    found: dict[str, object] = {"id": "r1", "kind": "llm", "before": deliver(make, "before", before)}
    found["after"] = deliver(make, "after", before, after)
    found |= {name: records(make, name, getattr(world, name)) for name in ("forget", "retain", *sets)}
    return found | more


def tables(request: Mapping[str, object], **more: object) -> dict[str, object]:
    """Return the tables of a system with one request."""
    return {"system": {"name": "assistant", "version": "1"}, "unlearning": [dict(request)], **more}


def down_edit(make: Workshop, model: LanguageModel, layer: int) -> LunarEdit:
    """Return an edit of rank two, drawn at random, of the down projection of one block."""
    source, name = make.generator("edit"), f"model.layers.{layer}.mlp.down_proj.weight"
    rows, columns = state_of(model)[name].shape
    left, right = (torch.randn(2, length, generator=source) for length in (rows, columns))
    return make_edit([LowRankUpdate(name, layer, left, right)], model)


def rewritten(path: Path, tensors: Mapping[str, Tensor]) -> None:
    """Write a file of tensors anew, with other members and the header that it had."""
    with safe_open(path, framework="pt") as file:
        said = file.metadata()
    save_file(dict(tensors), path, metadata=said)


def sums_of_clients(world: TinyWorld, model: LanguageModel) -> tuple[RecordSet, ClientStatistics, ClientStatistics]:
    """Return 32 records, the sums of the client that holds them, and those of a thousand others with other records."""
    kept = record_set(one.model_copy(update={"paraphrases": ()}) for one in world.retain.records[:32])
    own = OwnRefusals(world.reference, len(world.reference), (model.answer(REFUSAL),))
    agreement = agree(model, own, layers=(0, 1))
    one = ClientWorker.of(model, agreement, kept).sums
    other = ClientWorker.of(model, agreement, record_set(world.retain.records[32:])).sums
    return kept, one, replace(other, keep={at: _many(sums) for at, sums in other.keep.items()}, clients=CROWD)


def _many(sums: LayerStatistics) -> LayerStatistics:
    return replace(sums, gram=CROWD * sums.gram, tokens=CROWD * sums.tokens, prompts=CROWD * sums.prompts)


def _names(model: LanguageModel, records: Iterable[Record]) -> list[int]:
    """Return the tokens of the entities and clans of records, each once, in their order."""
    found: dict[int, None] = {}
    for record in records:
        words = record.question.split()
        entity = record.group or ""
        clan = next(word for word in words if word.startswith("clan"))
        for word in (entity, clan):
            found |= dict.fromkeys(model.tokens.words(word))
    return list(found)


__all__ = [
    "EMBEDDING", "PARTS", "deliver", "down_edit", "hidden", "model_of", "records", "renamed", "request", "retrained",
    "rewritten", "sums_of_clients", "tables", "untrained", "world_of",
]  # fmt: skip
