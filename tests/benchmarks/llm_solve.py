"""The closed form beside the published optimiser: the same rows, and what the model says after either."""

from collections.abc import Iterator

import torch
from attacks_rows import Row, by_turns
from llm_cases import FIRST_SEED, Asked, Case, tiny

from unlearning.llm.architectures import blocks_of
from unlearning.llm.lunar import Settings, fit_and_tell
from unlearning.llm.solve import gates_of_rows, solve_gradient

REPEATS = 3
LEAST_FACTOR = 10.0
FORGET, PARAPHRASE, RETAIN, GENERAL = 0.05, 0.1, 0.95, 0.02


def measure(asked: Asked) -> Iterator[Row]:
    """Yield the rows of the tiny model, and of SmolLM2 where a folder is named."""
    if asked.tiny:
        yield from _rows(tiny(FIRST_SEED))
    if asked.folder is not None:
        yield from _rows(asked.smollm)


def _rows(case: Case) -> Iterator[Row]:
    rows, update = case.rows, case.fitted.edit.updates[0]
    weight = blocks_of(case.model.module).weight(rows.layer)

    def closed() -> None:
        vector = gates_of_rows(rows.forget, rows.keep)(update.ridge or 0.0).vector
        assert bool((rows.directions.mT @ vector).isfinite().all())  # the change of the projection, whole

    def published() -> None:
        solve_gradient(
            rows.forget, rows.keep, rows.directions, coefficient=1.0, weight=weight,
            generator=torch.Generator().manual_seed(0),
        )  # fmt: skip

    ours, theirs = by_turns([closed, published], REPEATS)
    told = f"{rows.count} rows x {rows.keep.shape[1]}, layer {rows.layer}, {update.tokens}, ridge {update.ridge:g}"
    what, factor = f"solve, {case.name}", theirs / ours
    yield Row(f"{what}: CPU time", ours, "s", note=told, peer="AdamW", peer_value=theirs, n=REPEATS)
    yield Row(f"{what}: times less", factor, "x", f">= {LEAST_FACTOR:g}", factor >= LEAST_FACTOR, n=REPEATS)
    yield from _parity(case)


def _parity(case: Case) -> Iterator[Row]:
    """Yield what the model says after the closed form, beside AdamW on the same layer and tokens."""
    world, update = case.world, case.fitted.edit.updates[0]
    settings = Settings(layers=(update.layer,), tokens=update.tokens, solver="gradient", force=True)
    stepped = fit_and_tell(
        case.model, world.forget, world.retain, world.reference, general=case.general, settings=settings
    )
    before = case.hearing.before
    ours, theirs = case.hearing.of(case.fitted.variant), case.hearing.of(stepped.variant)
    what, n = f"parity, {case.name}", len(world.forget)
    for name, value, peer, limit in (
        ("content of forget", ours.forget_content, theirs.forget_content, FORGET),
        ("content of paraphrases", ours.paraphrase_content, theirs.paraphrase_content, PARAPHRASE),
    ):
        yield Row(f"{what}: {name}", value, "", f"<= {limit:g}", value <= limit, "AdamW", peer, n)
    kept, others = (one.retain_rouge1 / before.retain_rouge1 for one in (ours, theirs))
    yield Row(
        f"{what}: retain over before", kept, "", f">= {RETAIN:g}", kept >= RETAIN, "AdamW", others, len(world.retain)
    )
    dropped, dropped_there = ((before.general or 0.0) - (one.general or 0.0) for one in (ours, theirs))
    met = dropped <= max(GENERAL, dropped_there) + 1e-9
    asked = f"<= {GENERAL:g}, or AdamW's"
    yield Row(f"{what}: general drop", dropped, "", asked, met, "AdamW", dropped_there, before.general_n)
