"""Fine-tuning, as every method and attack here does it: losses over answers, and one loop.

The loop trains in place and puts the module's own tensors back when it is done: what was learned is returned as a
variant, so that a model in memory never changes behind its owner.
"""

from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from torch import Tensor, nn

from unlearning.errors import TrainingDiverged
from unlearning.llm.forced import answer_positions
from unlearning.llm.model_io import LanguageModel
from unlearning.llm.records import Record

__all__ = ["Example", "Recipe", "answer_logits", "answer_losses", "batches", "examples_of", "optimise"]

Loss = Callable[[int], Tensor]
"""From the number of a step, 0 first, to the loss whose gradient is followed."""
Stop = Callable[[int, float], bool]
"""From the number of a step and its loss to whether training is done."""


@dataclass(frozen=True)
class Example:
    """A prompt and the answer to learn, as tokens."""

    prompt: tuple[int, ...]
    answer: tuple[int, ...]


@dataclass(frozen=True)
class Recipe:
    """How to fine-tune: AdamW without decay unless said otherwise."""

    steps: int
    learning_rate: float
    schedule: Literal["one-cycle", "constant"] = "one-cycle"
    """"one-cycle": 15 % warm-up, cosine to nearly nothing (PyTorch's OneCycleLR)."""
    clip: float = 1.0
    """Largest norm of the gradient."""
    betas: tuple[float, float] = (0.9, 0.999)
    weight_decay: float = 0.0


def examples_of(model: LanguageModel, records: Collection[Record], *, paraphrases: bool = False) -> list[Example]:
    """Return records as examples, with their other questions where asked; those without an answer are left out."""
    return [
        Example(model.prompt(question), model.answer(record.answer))
        for record in records
        if record.answer
        for question in (record.question, *(record.paraphrases if paraphrases else ()))
    ]


def answer_logits(model: LanguageModel, examples: Sequence[Example]) -> tuple[Tensor, Tensor, Tensor]:
    """Return logits (N, V) before every answer token, the tokens (N,) and whose each is (N,)."""
    logits, owner = answer_positions(model, [(one.prompt, one.answer) for one in examples])
    targets = torch.tensor([token for one in examples for token in one.answer], device=logits.device)
    return logits, targets, owner


def answer_losses(model: LanguageModel, examples: Sequence[Example]) -> Tensor:
    """Return the mean cross-entropy of each answer's tokens, (B,), in nats."""
    logits, targets, owner = answer_logits(model, examples)
    losses = nn.functional.cross_entropy(logits.float(), targets, reduction="none")
    counts = torch.bincount(owner, minlength=len(examples))
    return torch.zeros(len(examples), device=losses.device).index_add(0, owner, losses) / counts


def batches(count: int, size: int, rng: np.random.Generator) -> Iterator[list[int]]:
    """Yield indices in batches for ever: every epoch in an order of its own, the short rest joined with the next."""
    waiting: list[int] = []
    while True:
        while len(waiting) < min(size, count):
            waiting.extend(rng.permutation(count).tolist())
        yield waiting[:size]
        waiting = waiting[size:]


def optimise(
    model: LanguageModel,
    loss: Loss,
    recipe: Recipe,
    *,
    names: Collection[str] | None = None,
    start: "dict[str, Tensor] | None" = None,
    stop: Stop | None = None,
) -> dict[str, Tensor]:
    """Return the tensors that training by `loss` gives, as a variant of the model.

    Args:
        model: The model; while it is trained, `loss` sees the training tensors in it. Its own are put back.
        loss: Gives the loss of a step.
        recipe: How to follow it.
        names: Tensors to train; None for all.
        start: Where they start, by name; the model's own where it says nothing.
        stop: Asked after every step.

    Raises:
        TrainingDiverged: a loss is no longer finite.
    """
    begun = start or {}
    parameters = {
        name: parameter
        for name, parameter in model.module.named_parameters()
        if names is None or name in names or name in begun
    }
    own = {name: parameter.data for name, parameter in parameters.items()}
    try:
        for name, parameter in parameters.items():
            parameter.data = begun.get(name, own[name]).detach().clone().to(parameter.device)
            parameter.requires_grad_(True)
        _follow(list(parameters.values()), loss, recipe, stop)
        return {name: parameter.data for name, parameter in parameters.items()}
    finally:
        for name, parameter in parameters.items():
            parameter.data = own[name]
            parameter.grad = None
            parameter.requires_grad_(False)


def _follow(parameters: list[nn.Parameter], loss: Loss, recipe: Recipe, stop: Stop | None) -> None:
    optimiser = torch.optim.AdamW(
        parameters, lr=recipe.learning_rate, betas=recipe.betas, weight_decay=recipe.weight_decay, fused=True
    )
    schedule = None
    if recipe.schedule == "one-cycle":
        schedule = torch.optim.lr_scheduler.OneCycleLR(
            optimiser, recipe.learning_rate, total_steps=max(recipe.steps, 2), pct_start=0.15, cycle_momentum=False
        )
    for step in range(recipe.steps):
        optimiser.zero_grad(set_to_none=True)
        found = loss(step)
        if not torch.isfinite(found):
            told = f"the loss of step {step} is {float(found.detach())}"
            raise TrainingDiverged("unlearning.diverged", told, "Lower the learning rate.")
        found.backward()  # type: ignore[no-untyped-call]  # torch's own
        nn.utils.clip_grad_norm_(parameters, recipe.clip)
        optimiser.step()
        if schedule is not None:
            schedule.step()
        if stop is not None and stop(step, float(found.detach())):
            break
