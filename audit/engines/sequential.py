"""Gradient matching one trial after another: any module, any number of local steps."""

import torch
from torch import Tensor, nn
from torch.func import functional_call

from audit.engines.base import PLAIN, Chunked, LocalTraining, Matching, cosine_distance, mean_loss, total


class Sequential(Chunked):
    """The objective from torch's own graph, of one gradient or of the steps of a client's training."""

    name = "sequential"

    def __init__(
        self,
        model: nn.Module,
        device: str | torch.device = "cpu",
        matching: Matching = PLAIN,
        training: LocalTraining | None = None,
    ) -> None:
        """Copy `model`.

        Args:
            model: In the mode the client had it in.
            device: Where to compute.
            matching: What is compared.
            training: The steps behind a target that is a change of parameters; None: the target is a gradient.
        """
        super().__init__(model, device)
        self.matching, self.training = matching, training

    def chunk(self, x: Tensor) -> int:  # noqa: ARG002
        """Return 1."""
        return 1

    def matched(self, x: Tensor, y: Tensor, target: list[Tensor]) -> Tensor:  # type: ignore[override]
        """Return the objective of one trial; see `Chunked`."""
        change = self._change(x[0], y[0])
        compared = self.matching.of([one[None] for one in change], target)
        inner = total(one * goal for one, goal in zip(compared, target, strict=True))
        return cosine_distance(inner, total(one * one for one in compared))

    def _change(self, x: Tensor, y: Tensor) -> list[Tensor]:
        """Return the gradient of a batch, or what training on it changes, in parameter order."""
        start = {name: parameter.clone().requires_grad_() for name, parameter in self.parameters.items()}
        if self.training is None:
            return self._gradient(start, x, y)
        here = start
        for step in range(self.training.steps):
            rows = self.training.rows(step, len(x))
            gradients = self._gradient(here, x[rows], y[rows])
            rate = self.training.learning_rate
            here = {name: p - rate * g for (name, p), g in zip(here.items(), gradients, strict=True)}
        return [here[name] - start[name] for name in start]

    def _gradient(self, parameters: dict[str, Tensor], x: Tensor, y: Tensor) -> list[Tensor]:
        buffers = {name: buffer.clone() for name, buffer in self.model.named_buffers()}  # running statistics move
        loss = mean_loss(functional_call(self.model, {**parameters, **buffers}, (x,)), y, 1)
        found = torch.autograd.grad(loss, list(parameters.values()), create_graph=True, materialize_grads=True)
        return list(found)
