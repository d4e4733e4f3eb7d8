"""Tokens that all prompts open with, such as those of a chat template: read once for all of them.

A causal model sees nothing but the opening there, so its keys and values are the same for every prompt. A chat template
with its system message is easily half of a short question.
"""

from collections.abc import Sequence
from typing import Any

import torch

from unlearning.llm.batches import Ids
from unlearning.llm.model_io import LanguageModel

__all__ = ["LEAST_SHARED", "keeps_all", "opened", "shared_length"]

LEAST_SHARED = 8
"""Tokens below which reading them once saves no time."""


def shared_length(rows: Sequence[Ids]) -> int:
    """Return how many first tokens all rows share, at least one of each left out; 0 where it is not worth while."""
    if len(rows) < 2:
        return 0
    low, high = min(map(tuple, rows)), max(map(tuple, rows))  # what the first and the last in order share, all share
    most = min(len(row) for row in rows) - 1
    count = next((place for place in range(min(most, len(low), len(high))) if low[place] != high[place]), most)
    return count if count >= LEAST_SHARED else 0


def keeps_all(model: LanguageModel) -> bool:
    """Tell whether every layer of a model looks at all tokens before; one that slides a window forgets them."""
    config: Any = model.module.config
    kinds = getattr(config, "layer_types", None)
    if kinds:
        return set(kinds) == {"full_attention"}
    return not getattr(config, "sliding_window", None)


def opened(model: LanguageModel, opening: Ids, copies: int) -> Any:
    """Return the keys and values of an opening, so many times; None where it is empty. Gradients flow.

    Args:
        model: It is read by the model as it is now, with its variant and hooks.
        opening: The tokens.
        copies: Rows that go on from them.
    """
    if not opening:
        return None
    module: Any = model.module
    ids = torch.tensor([list(opening)], device=model.device)
    cache = module.base_model(input_ids=ids, use_cache=True).past_key_values
    cache.batch_repeat_interleave(copies)
    return cache
