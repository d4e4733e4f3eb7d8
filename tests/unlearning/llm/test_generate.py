"""Answers that are drafted, and openings that are read once: the same words, the same numbers."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch

from unlearning.llm.forced import answer_positions
from unlearning.llm.generate import greedy
from unlearning.llm.model_io import LanguageModel
from unlearning.llm.shared_opening import LEAST_SHARED, keeps_all, shared_length
from unlearning.llm.tiny import TinyWorld

OPENING = "please answer now again say in one word question and to you sure"


def prompts_of(tiny: LanguageModel, world: TinyWorld, opening: str = "") -> list[tuple[int, ...]]:
    records = [*world.forget.records[:9], *world.reference.records[:9], *world.twin.records[:6]]
    texts = [text for one in records for text in (one.question, one.paraphrases[1])]
    return [tiny.prompt(f"{opening} {text}".strip()) for text in texts]


@pytest.mark.parametrize("opening", ["", OPENING])
def test_answers_do_not_depend_on_what_was_drafted(tiny: LanguageModel, world: TinyWorld, opening: str) -> None:
    prompts = prompts_of(tiny, world, opening)
    limits = [place % 12 for place in range(len(prompts))]
    slow = greedy(tiny, prompts, limits)
    rng = np.random.default_rng(0)
    begun = [answer[: int(rng.integers(0, 6))] for answer in slow]
    drafts = [(*part, *rng.integers(0, tiny.vocabulary, int(rng.integers(0, 4))).tolist()) for part in begun]
    assert greedy(tiny, prompts, limits, drafts=drafts) == slow
    assert greedy(tiny, prompts, limits, drafts=[(*answer, tiny.tokens.end) for answer in slow]) == slow
    assert greedy(tiny, prompts, limits, drafts=[()] * len(prompts)) == slow


def test_a_right_draft_is_read_and_not_said_again(
    tiny: LanguageModel, world: TinyWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    prompts = prompts_of(tiny, world)[:8]
    drafts = [(*answer, tiny.tokens.end) for answer in greedy(tiny, prompts, 16)]
    monkeypatch.setattr(tiny.module, "forward", lambda **_: pytest.fail("a token was said by itself"))
    assert all(greedy(tiny, prompts, 16, drafts=drafts))


def test_what_all_prompts_open_with_is_read_once_and_changes_no_logit(tiny: LanguageModel, world: TinyWorld) -> None:
    pairs = [(prompt, tiny.answer("it is metala .")) for prompt in prompts_of(tiny, world, OPENING)[:6]]
    assert shared_length([prompt for prompt, _ in pairs]) >= LEAST_SHARED
    together, owner = answer_positions(tiny, pairs)
    for place, pair in enumerate(pairs):
        alone, _ = answer_positions(tiny, [pair])
        torch.testing.assert_close(together[owner == place], alone, atol=1e-5, rtol=1e-5)


def test_gradients_flow_through_a_shared_opening(tiny: LanguageModel, world: TinyWorld) -> None:
    pairs = [(prompt, tiny.answer("it is metala .")) for prompt in prompts_of(tiny, world, OPENING)[:4]]
    weight = next(one for name, one in tiny.module.named_parameters() if name.endswith("0.self_attn.k_proj.weight"))
    weight.requires_grad_(True)
    try:
        (together,) = torch.autograd.grad(answer_positions(tiny, pairs)[0].square().sum(), weight)
        alone = [torch.autograd.grad(answer_positions(tiny, [pair])[0].square().sum(), weight)[0] for pair in pairs]
    finally:
        weight.requires_grad_(False)
    torch.testing.assert_close(together, torch.stack(alone).sum(dim=0), atol=1e-2, rtol=1e-4)


def test_an_opening_ends_before_the_last_token_of_the_shortest_prompt() -> None:
    rows = [tuple(range(12)), (*range(12), 40), (*range(12), 41)]
    assert shared_length(rows) == 11
    assert shared_length(rows[:1]) == 0
    assert shared_length([(1, 2, 3), (1, 2, 4)]) == 0


@pytest.mark.parametrize(
    ("config", "kept"),
    [
        ({}, True),
        ({"sliding_window": None}, True),
        ({"sliding_window": 4096}, False),
        ({"sliding_window": 4096, "layer_types": ["full_attention"] * 2}, True),
        ({"layer_types": ["full_attention", "sliding_attention"]}, False),
    ],
)
def test_a_layer_that_forgets_old_tokens_is_noticed(tiny: LanguageModel, config: dict[str, object], kept: bool) -> None:
    other = LanguageModel(SimpleNamespace(config=SimpleNamespace(**config)), tiny.tokens)  # type: ignore[arg-type]
    assert keeps_all(other) is kept
