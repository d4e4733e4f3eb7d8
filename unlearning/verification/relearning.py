"""V8, the runs of it: models learn the forgotten examples again, step by step, and their loss is watched."""

import copy
from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor, nn

from unlearning.federated.data import ClientData
from unlearning.federated.recipe import TrainingRecipe
from unlearning.verification.scores import Array

BUDGET = 200
"""Steps that a model is given."""
RELEARNERS = 8
"""References that learn again, beside the delivered model: their spread is what an index is held against."""


def relearning_losses(
    module: nn.Module,
    state: Mapping[str, Tensor],
    forget: ClientData,
    recipe: TrainingRecipe,
    generator: torch.Generator,
    steps: int = BUDGET,
) -> Array:
    """Return the mean loss on the forget set before the first step and after each, in nats, shape (steps + 1,).

    Plain gradient descent on the forget set alone, at the recipe's batch size and learning rate; running statistics
    stay as they are.

    Args:
        module: The architecture; it is copied.
        state: Where it starts.
        forget: What is learnt.
        recipe: Batch size and learning rate.
        generator: Of the batches; the same for all models that are compared.
        steps: How many.
    """
    model = copy.deepcopy(module)
    model.load_state_dict(dict(state))
    model.eval()
    parameters = [one for one in model.parameters() if one.requires_grad]
    losses = [_loss(model, forget)]
    order = torch.empty(0, dtype=torch.int64)
    for _ in range(steps):
        if not len(order):
            order = torch.randperm(len(forget), generator=generator)
        batch, order = order[: recipe.batch_size], order[recipe.batch_size :]
        loss = nn.functional.cross_entropy(model(forget.x[batch]), forget.y[batch])
        gradients = torch.autograd.grad(loss, parameters)
        with torch.no_grad():
            for parameter, gradient in zip(parameters, gradients, strict=True):
                parameter.sub_(gradient, alpha=recipe.learning_rate)
        losses.append(_loss(model, forget))
    return np.array(losses)


def _loss(model: nn.Module, data: ClientData) -> float:
    with torch.no_grad():
        return float(nn.functional.cross_entropy(model(data.x), data.y))
