"""One pass over many layers beside six full passes of one prompt at a time, which the published code takes."""

from collections.abc import Iterator

import torch
from attacks_rows import Row, by_turns
from llm_cases import FIRST_SEED, Asked, Case, tiny

from unlearning.llm.architectures import blocks_of
from unlearning.llm.hooks import collect
from unlearning.llm.passages import Openings, Passage, forget_passages, keep_passages

REPEATS = 3
PASSES = 6
LAYERS = 8
LEAST_TINY, LEAST_SMOLLM = 4.0, 2.5


def measure(asked: Asked) -> Iterator[Row]:
    """Yield the rows of the tiny model, and of SmolLM2 where a folder is named."""
    if asked.tiny:
        yield from _rows(tiny(FIRST_SEED), LEAST_TINY, REPEATS)
    if asked.folder is not None:
        yield from _rows(asked.smollm, LEAST_SMOLLM, REPEATS if asked.points == "full" else 1)


def _rows(case: Case, least: float, repeats: int) -> Iterator[Row]:
    passages, count = _passages(case), blocks_of(case.model.module).count
    layers = tuple(range(max(0, round(0.9 * count) - LAYERS), round(0.9 * count)))

    def ours() -> None:
        collect(
            case.model, passages, layers, reduce={"forget/prompt": "sums", "forget/refusal": "sums", "keep": "sums"}
        )

    @torch.no_grad()
    def one_pass() -> None:
        for passage in passages:
            case.model.module(input_ids=torch.tensor([passage.tokens], device=case.model.device))

    seconds, alone = by_turns([ours, one_pass], repeats)
    factor = PASSES * alone / seconds
    tokens = sum(len(passage.tokens) for passage in passages)
    told = f"{tokens} tokens, {len(layers)} layers; one of the peer's passes was measured and counts {PASSES} times"
    what, peer = f"collection, {case.name}", f"{PASSES} passes of batch 1"
    yield Row(f"{what}: CPU time", seconds, "s", note=told, peer=peer, peer_value=PASSES * alone, n=repeats)
    yield Row(f"{what}: times less", factor, "x", f">= {least:g}", factor >= least, n=repeats)


def _passages(case: Case) -> list[Passage]:
    """Return every prompt that LUNAR reads, with the answers that are to stay."""
    world, model = case.world, case.model
    kept = [
        (model.prompt(text), model.answer(record.answer))
        for part in (world.retain, case.general)
        for record in part
        for text in (record.question, *record.paraphrases)
    ]
    asked = [model.prompt(text) for record in world.forget for text in (record.question, *record.paraphrases)]
    openings = Openings(prompt for prompt, _ in kept)
    return [
        *forget_passages(asked, ("prompt", "refusal"), refusal=case.own.modal, openings=openings),
        *keep_passages(kept),
    ]
