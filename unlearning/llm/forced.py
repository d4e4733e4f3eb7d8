"""What a model thinks of a given answer, token by token (teacher forcing)."""

from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import Tensor

from unlearning.llm.batches import Ids, by_length, padded
from unlearning.llm.model_io import LanguageModel
from unlearning.llm.shared_opening import keeps_all, opened, shared_length

__all__ = ["answer_positions", "forced_logits"]

Pair = tuple[Ids, Ids]
"""Tokens of a prompt and of the answer that follows it."""


@torch.no_grad()
def forced_logits(model: LanguageModel, pairs: Sequence[Pair], *, batch_size: int = 32) -> Iterator[Tensor]:
    """Yield the logits (L, V), float32, that stand before each token of an answer, in the order of the pairs.

    Args:
        model: The model.
        pairs: Prompt and answer; neither empty.
        batch_size: Pairs at a time. Only logits of answers are computed.
    """
    early: dict[int, Tensor] = {}
    due = 0
    for batch in by_length([len(prompt) + len(answer) for prompt, answer in pairs], batch_size):
        chosen = [pairs[index] for index in batch]
        logits, owner = answer_positions(model, chosen)
        for place, index in enumerate(batch):
            early[index] = logits[owner == place].float()
        while due in early:
            yield early.pop(due)
            due += 1


def answer_positions(model: LanguageModel, pairs: Sequence[Pair]) -> tuple[Tensor, Tensor]:
    """Return the logits (N, V) before every answer token of a batch, and whose each is (N,); gradients flow.

    The output projection is computed at these positions alone: with a large vocabulary it is most of the work. What all
    prompts open with is read once.
    """
    shared = shared_length([prompt for prompt, _ in pairs]) if keeps_all(model) else 0
    rows = [(*prompt, *answer)[shared:-1] for prompt, answer in pairs]
    ids, _, _ = padded(rows, model.tokens.padding, left=False, device=model.device)
    module: Any = model.module
    before = opened(model, pairs[0][0][:shared], len(pairs))
    hidden = module.base_model(  # causal: what pads behind the tokens needs no mask
        input_ids=ids, past_key_values=before, use_cache=False
    ).last_hidden_state  # fmt: skip
    owner = torch.tensor([index for index, (_, answer) in enumerate(pairs) for _ in answer], device=model.device)
    place = torch.tensor(
        [len(prompt) - 1 - shared + step for prompt, answer in pairs for step in range(len(answer))],
        device=model.device,
    )
    return module.get_output_embeddings()(hidden[owner, place]), owner
