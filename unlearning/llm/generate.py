"""Greedy answers, many at a time.

The model's own generation settings are ignored: the likeliest token each time, nothing sampled, no penalty.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from unlearning.llm.batches import Ids, by_length, padded
from unlearning.llm.model_io import LanguageModel
from unlearning.llm.shared_opening import keeps_all, opened, shared_length

__all__ = ["greedy"]


@torch.no_grad()
def greedy(
    model: LanguageModel,
    prompts: Sequence[Ids],
    limits: int | Sequence[int],
    *,
    drafts: Sequence[Ids] | None = None,
    batch_size: int = 64,
) -> list[tuple[int, ...]]:
    """Return what the model says to each prompt, up to its end token, which is left out.

    Args:
        model: The model.
        prompts: Tokens of each prompt.
        limits: The most new tokens, for all or for each.
        drafts: What each answer may be: it is read with the prompt, and as much of it as the model says itself need not
            be said word by word. The answers are the same with any drafts. Not for hooks that look where a prompt ends.
        batch_size: Prompts at a time; prompts of like length are put together and padded on the left.
    """
    most = [limits] * len(prompts) if isinstance(limits, int) else list(limits)
    guessed = drafts if drafts is not None and keeps_all(model) else None
    found: list[tuple[int, ...]] = [()] * len(prompts)
    for batch in by_length([len(prompt) for prompt in prompts], batch_size):
        asked, allowed = [prompts[index] for index in batch], [most[index] for index in batch]
        if guessed is None:
            said = _continued(model, _begun(model, asked), allowed)
        else:
            said = _checked(model, asked, allowed, [guessed[index] for index in batch])
        for index, tokens in zip(batch, said, strict=True):
            found[index] = tokens
    return found


@dataclass(eq=False)
class _Begun:
    """Rows that are read up to their next tokens, which are not read yet."""

    ids: Tensor
    """(B, T); the last is where the answer goes on."""
    mask: Tensor
    """(B, all tokens so far, these with them); 0 is not there."""
    positions: Tensor
    """(B, T)."""
    cache: Any = None
    """What was read before."""


def _begun(model: LanguageModel, prompts: Sequence[Ids]) -> _Begun:
    return _Begun(*padded(prompts, model.tokens.padding, left=True, device=model.device))


def _continued(model: LanguageModel, rows: _Begun, limits: Sequence[int]) -> list[tuple[int, ...]]:
    """Return what follows, a token at a time."""
    module: Any = model.module
    ends, most = torch.tensor(model.ends, device=model.device), torch.tensor(limits, device=model.device)
    said: list[Tensor] = []
    running = most > 0
    ids, mask, positions, cache = rows.ids, rows.mask, rows.positions, rows.cache
    while bool(running.any()):
        out = module(
            input_ids=ids, attention_mask=mask, position_ids=positions, past_key_values=cache, use_cache=True,
            logits_to_keep=1,
        )  # fmt: skip
        cache = out.past_key_values
        following = out.logits[:, -1].argmax(dim=-1)
        running = running & ~torch.isin(following, ends)
        said.append(torch.where(running, following, -1))
        running = running & (len(said) < most)
        ids = following[:, None]
        mask = torch.cat((mask, torch.ones_like(ids)), dim=1)
        positions = positions[:, -1:] + 1
    words = torch.stack(said, dim=1).tolist() if said else [[] for _ in limits]
    return [tuple(token for token in row if token >= 0) for row in words]


def _checked(
    model: LanguageModel, prompts: Sequence[Ids], limits: Sequence[int], drafts: Sequence[Ids]
) -> list[tuple[int, ...]]:
    """Return what follows: a draft as far as it is what the model says, the rest a token at a time."""
    guesses = [tuple(draft[:most]) for draft, most in zip(drafts, limits, strict=True)]
    rows, likeliest, width = _read(model, prompts, guesses)
    found: list[tuple[int, ...]] = []
    open_rows: list[int] = []
    for place, (guess, limit) in enumerate(zip(guesses, limits, strict=True)):
        right = next((step for step, token in enumerate(guess) if token != likeliest[place][step]), len(guess))
        said = (*guess[:right], likeliest[place][right])[:limit]
        end = next((step for step, token in enumerate(said) if token in model.ends), None)
        found.append(said[:end])
        if end is None and len(said) < limit:
            open_rows.append(place)
    if not open_rows:
        return found
    going = torch.tensor(open_rows, device=model.device)
    kept = torch.tensor([len(found[place]) - 1 for place in open_rows], device=model.device)
    last = torch.tensor([[found[place][-1]] for place in open_rows], device=model.device)
    mask = rows.mask[going]
    if width:
        mask[:, -width:] = (torch.arange(width, device=model.device) < kept[:, None]).to(mask)
    rows.cache.batch_select_indices(going)
    lengths = torch.tensor([[len(prompts[place])] for place in open_rows], device=model.device)
    onward = _Begun(last, torch.cat((mask, torch.ones_like(last)), dim=1), lengths + kept[:, None], rows.cache)
    for place, more in zip(
        open_rows, _continued(model, onward, [limits[place] - len(found[place]) for place in open_rows]), strict=True
    ):
        found[place] = (*found[place], *more)
    return found


def _read(model: LanguageModel, prompts: Sequence[Ids], guesses: Sequence[Ids]) -> tuple[_Begun, list[list[int]], int]:
    """Return what was read of prompts and guesses, the likeliest token after each place, and the width of guesses."""
    module: Any = model.module
    shared = shared_length(prompts)
    ids, mask, positions = padded(
        [prompt[shared:] for prompt in prompts], model.tokens.padding, left=True, device=model.device
    )
    width = max(len(guess) for guess in guesses)
    if width:
        filled = [guess or (model.tokens.padding,) for guess in guesses]
        more, there, places = padded(filled, model.tokens.padding, left=False, device=model.device)
        lengths = torch.tensor([[len(prompt) - shared] for prompt in prompts], device=model.device)
        ids, mask = torch.cat((ids, more), dim=1), torch.cat((mask, there), dim=1)
        positions = torch.cat((positions, places + lengths), dim=1)
    mask = torch.nn.functional.pad(mask, (shared, 0), value=1)
    cache = opened(model, prompts[0][:shared], len(prompts))
    out = module.base_model(
        input_ids=ids, attention_mask=mask, position_ids=positions + shared, past_key_values=cache, use_cache=True
    )  # fmt: skip
    states, project = out.last_hidden_state[:, -width - 1 :], module.get_output_embeddings()
    likeliest = torch.stack([project(states[:, step]).argmax(dim=-1) for step in range(width + 1)], dim=1)
    return _Begun(ids, mask, positions + shared, out.past_key_values), likeliest.tolist(), width
