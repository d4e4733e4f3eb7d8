"""The model of a Flower app as a system file describes it, and Flower's arrays by the names of its tensors."""

import inspect
import json
from collections.abc import Callable, Mapping
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from audit.capture import CaptureError
from audit.layer_names import CapturedModel, captured_model
from unlearning.errors import ModelError

if TYPE_CHECKING:
    from flwr.app import ArrayRecord


class Subject:
    """The model that an app trains, known by the function or the class that builds it.

    A `Sequential` of standard layers is described by a layer list. For any other the Python file that defines `build`
    is copied beside the captured updates, and the audit asks for `--trust-code`.

    Args:
        build: Builds the untrained model, without arguments; a class such as the quick-start's `Net` will do.
        classes: Number of labels.
    """

    def __init__(self, build: Callable[[], nn.Module], classes: int | None = None) -> None:
        self._build, self._classes = build, classes

    @cached_property
    def _module(self) -> nn.Module:
        with torch.random.fork_rng(devices=[]):  # building draws weights that nobody wants
            return self._build()

    @cached_property
    def _described(self) -> CapturedModel:
        try:
            return captured_model(self._module, None, None)
        except ModelError:
            return captured_model(self._module, None, self._definition)

    @property
    def _definition(self) -> str:
        name = getattr(self._build, "__qualname__", "")
        try:
            source = inspect.getsourcefile(self._build)
        except TypeError:
            source = None
        if source is None or not name.isidentifier():
            raise CaptureError(
                "capture.model", "nothing can say what the model is",
                "Give a Sequential of standard layers, or a class or function at the top of a Python file.",
            )  # fmt: skip
        return f"{source}:{name}"

    @property
    def table(self) -> dict[str, Any]:
        """Keys of `[model]`."""
        described: dict[str, Any] = {"task": "classification", "classes": self._classes}
        if self._described.layers is not None:
            return {"layers": "layers.json", **described}
        file, _, function = self._definition.rpartition(":")
        return {"definition": f"{Path(file).name}:{function}", **described}

    @property
    def files(self) -> dict[str, bytes]:
        """What builds the model, by name: its layer list, or the Python file that defines it."""
        if self._described.layers is not None:
            return {"layers.json": json.dumps(self._described.layers, indent=1).encode()}
        source = Path(self._definition.rpartition(":")[0])
        return {source.name: source.read_bytes()}

    def tensors(self, record: "ArrayRecord") -> dict[str, Tensor]:
        """Return an array record by the names of the model's tensors; Flower's older API knows their order alone.

        Raises:
            CaptureError: `capture.names`, it is not the state dict of this model.
        """
        state = self._module.state_dict()
        found = {name: torch.from_numpy(array.numpy().copy()) for name, array in record.items()}
        if set(found) != set(state) and len(found) == len(state):
            found = dict(zip(state, found.values(), strict=True))
        shapes = {name: tuple(tensor.shape) for name, tensor in state.items()}
        if {name: tuple(tensor.shape) for name, tensor in found.items()} != shapes:
            raise CaptureError(
                "capture.names", "what travels is not the state dict of the model that the capture was given",
                "Give the capture the model that the app trains.",
            )  # fmt: skip
        return self._described.renamed(found)


def difference(after: Mapping[str, Tensor], before: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return what changed from one state to another, of tensors of floating point."""
    return {
        name: (after[name].double() - tensor.double()).to(tensor.dtype)
        for name, tensor in before.items()
        if tensor.is_floating_point()
    }
