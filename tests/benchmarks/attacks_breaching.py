"""breaching 0.1.2 (MIT, github.com/JonasGeiping/breaching) as it comes: its "Inverting Gradients" attack, one victim.

    python tests/benchmarks/attacks_breaching.py

prints its iterations a second on every victim. Nothing of it is changed: the configuration is its own
`invertinggradients` but for the number of iterations, the labels are given, and so is the start. It imports
torchvision, whose wheel asks for operators that a torch for CPUs lacks; those registrations, which gradient inversion
has no use for, are passed over while it is imported.
"""

import contextlib
import importlib
import io
import time
import types
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor, nn


@contextlib.contextmanager
def lenient() -> Iterator[None]:
    """Pass over what torchvision registers for its operators, and over warnings, while something imports it."""
    register = torch.library.register_fake

    def passing(operator: object, *arguments: Any, **options: Any) -> Callable[..., Any]:
        if isinstance(operator, str) and operator.startswith("torchvision::"):
            return lambda kernel: kernel
        return register(operator, *arguments, **options)

    torch.library.register_fake = passing
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        torch.library.register_fake = register


def load() -> Any | None:
    """Return the module `breaching`; None where it is not installed."""
    try:
        with lenient():
            return importlib.import_module("breaching")
    except ImportError:
        return None


class Breaching:
    """Its attacker on one model, for a number of iterations."""

    def __init__(self, module: Any, model: nn.Module, iterations: int, device: str = "cpu") -> None:
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            overrides = [f"optim.max_iterations={iterations}"]
            settings = module.get_attack_config("invertinggradients", overrides=overrides)
        self.parameters = [parameter.detach() for parameter in model.parameters()]
        self.device = torch.device(device)
        setup = {"device": self.device, "dtype": torch.float32}
        self.attacker = module.attacks.prepare_attack(model, nn.CrossEntropyLoss(), settings, setup)

    def invert(self, gradient: list[Tensor], labels: Tensor, start: Tensor) -> Tensor:
        """Return the records (B, *shape) that it reads from `gradient`, begun at `start` of that shape.

        Raises:
            RuntimeError: the image has another number of channels than three; its total variation takes no other.
        """
        facts = types.SimpleNamespace(shape=tuple(start.shape[1:]), modality="vision")
        payload = {"parameters": self.parameters, "buffers": None, "metadata": facts}
        known = {"num_data_points": len(start), "labels": labels.to(self.device), "local_hyperparams": None}
        shared = {"gradients": [part.to(self.device) for part in gradient], "buffers": None, "metadata": known}
        found, _ = self.attacker.reconstruct([payload], [shared], {}, initial_data=start)
        records: Tensor = found["data"].cpu()
        return records


def main() -> None:
    """Print iterations a second."""
    from attacks_victims import NETWORKS, SIDE, gradient_of

    torch.set_num_threads(1)
    module = load()
    if module is None:
        raise SystemExit("breaching is not installed: pip install breaching")
    for name, build in NETWORKS.items():
        torch.manual_seed(0)
        model, x, y = build(), torch.rand(1, 3, SIDE, SIDE), torch.tensor([3])
        gradient = gradient_of(model, x, y)
        peer = Breaching(module, model, 50)
        for _ in range(2):  # the first one compiles
            begun = time.process_time()
            peer.invert(gradient, y, torch.rand_like(x))
            seconds = time.process_time() - begun
        print(f"{name:<14} {50 / seconds:6.1f} it/s")


if __name__ == "__main__":
    main()
