"""A user's module as a layer list, and the names its tensors have there.

A layer list is flat, so a Sequential inside a Sequential is laid out in a row: `features.0.weight` becomes
`features_0.weight`. Everything else keeps its name.
"""

from collections import OrderedDict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn

from unlearning.errors import LayersError, ModelError
from unlearning.models import build_layers, describe_layers


@dataclass(frozen=True)
class CapturedModel:
    """How a module is written down."""

    layers: list[dict[str, Any]] | None
    """The layer list; None where a definition builds the model."""
    names: Mapping[str, str]
    """The module's prefixes of tensor names and what they become; empty where names stay."""
    known: frozenset[str]
    """The tensors of the module, by its own names."""

    def renamed(self, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Return tensors under the names of the layer list.

        Raises:
            ModelError: a name is not one of the module's.
        """
        for name in tensors:
            if name not in self.known:
                raise ModelError("capture.names", f"the recorded model has no tensor {name!r}", "Give its own tensors.")
        return {self._new(name): tensor for name, tensor in tensors.items()}

    def _new(self, name: str) -> str:
        for old, new in self.names.items():
            if name.startswith(old):
                return new + name[len(old) :]
        return name


def captured_model(
    module: nn.Module, layers: Sequence[Mapping[str, Any]] | None, definition: str | None
) -> CapturedModel:
    """Return how `module` is written down: by the list given, by a definition, or by its own layers.

    Raises:
        ModelError: the list given has other tensors than the module, or the module is no Sequential of standard layers.
    """
    known = frozenset(module.state_dict())
    if definition is not None:
        return CapturedModel(None, {}, known)
    if layers is not None:
        built = frozenset(build_layers(layers).state_dict())
        if built != known:
            odd = min(built ^ known)
            raise ModelError(
                "capture.layers",
                f"layer list and model differ in the tensor {odd!r}",
                "Name the layers as in the model.",
            )
        return CapturedModel([dict(entry) for entry in layers], {}, known)
    chain = module if type(module) is nn.Sequential else nn.Sequential(module)
    lone = chain is not module
    parts = list(_leaves(chain, ""))
    flat = OrderedDict((path.replace(".", "_"), layer) for path, layer in parts)
    if len(flat) != len(parts):
        raise ModelError("capture.layers", "two layers would get one name", "Give the layer list yourself (layers).")
    try:
        listed = describe_layers(nn.Sequential(flat))
    except LayersError as error:
        raise ModelError(
            error.code,
            error.message,
            "Give a layer list (layers), or a file and function that build the model (definition='model.py:build').",
        ) from error
    names = {"" if lone else f"{path}.": f"{path.replace('.', '_')}." for path, _ in parts}
    return CapturedModel(listed, names, known)


def _leaves(chain: nn.Sequential, prefix: str) -> Iterator[tuple[str, nn.Module]]:
    for name, layer in chain.named_children():
        if type(layer) is nn.Sequential:
            yield from _leaves(layer, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", layer
