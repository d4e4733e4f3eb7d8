"""What each layer of a model makes of public records, seen by running the model once.

For every linear or convolutional layer: its input, what goes into the activation behind it, and how often each unit
fires. The model is watched, not read, so that a layer list and somebody's own code are treated alike.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.overrides import TorchFunctionMode

Floats = npt.NDArray[np.float32]

KINDS = (nn.Linear, nn.Conv1d, nn.Conv2d, nn.Conv3d)
"""Layers that are inspected."""
RECTIFIERS = frozenset(
    {
        torch.relu, torch.relu_, Tensor.relu, Tensor.relu_, functional.relu, functional.relu6,
        functional.leaky_relu, functional.hardtanh, functional.gelu, functional.silu,
    }
)  # fmt: skip
"""Activations that are off on one side."""
CHUNK = 64
"""Records in a forward pass."""
MOST_POSITIONS = 8
"""Positions of a convolution's output that are kept of each record."""


@dataclass(frozen=True, eq=False)
class Layer:
    """One layer and what public records do to it."""

    name: str
    """In the model; "" where the model is the layer."""
    given: Floats | None
    """What goes into it, a flattened record a row, shape (records, d); None for a convolution."""
    units: Floats
    """What goes into the activation behind it, shape (rows, samples): its output, batch-normalised where that comes
    between. A sample is a record, or a position of one."""
    firing: Floats | None
    """Share of the records for which each unit is above zero anywhere, shape (rows,); None without a rectifier."""
    shift: str | None
    """The parameter that moves the thresholds, by name; None where there is none."""
    following: str | None
    """The linear layer that reads the units next, by name; None where something else does."""
    sees_records: bool
    """Whether its input is the record itself."""

    @property
    def rows(self) -> int:
        """Units of the layer."""
        return len(self.units)


def watched_layers(model: nn.Module, x: Tensor) -> tuple[Layer, ...]:
    """Return the layers of `model` in the order in which they are first called; of a shared layer the first call.

    Args:
        model: In evaluation mode.
        x: Records as the model takes them, shape (m, *input_shape).
    """
    watch = _Watch(model)
    with torch.no_grad(), watch.hooks(), _Rectifiers(watch.rectified):
        for start in range(0, len(x), CHUNK):
            watch.begin(x[start : start + CHUNK])
            model(x[start : start + CHUNK])
    found = [_layer(name, watch.seen[name], model) for name in watch.seen]
    after = dict(zip((layer.name for layer in found), found[1:], strict=False))
    return tuple(replace(layer, following=_reader(layer, after.get(layer.name))) for layer in found)


def _layer(name: str, seen: "_Seen", model: nn.Module) -> Layer:
    module = model.get_submodule(name)
    shifted = name if seen.norm is None else seen.norm
    bias = getattr(model.get_submodule(shifted), "bias", None)
    plain = seen.given and len(seen.given) == seen.chunks
    return Layer(
        name=name,
        given=torch.cat(seen.given).numpy() if plain else None,
        units=torch.cat(seen.units, dim=1).numpy(),
        firing=torch.cat(seen.fires).float().mean(dim=0).numpy() if seen.fires else None,
        shift=parameter_name(shifted, "bias") if isinstance(bias, nn.Parameter) else None,
        following=None,
        sees_records=isinstance(module, nn.Linear) and seen.sees_records,
    )


def parameter_name(module: str, parameter: str) -> str:
    """Return the name of a module's parameter in the model's state dict."""
    return f"{module}.{parameter}" if module else parameter


def _reader(layer: Layer, after: Layer | None) -> str | None:
    """Return the linear layer that takes the units one to one, if the next one does."""
    fits = after is not None and after.given is not None and after.given.shape[1] == layer.rows
    return after.name if after is not None and fits else None


@dataclass
class _Seen:
    """One layer over all chunks."""

    given: list[Tensor] = field(default_factory=list)
    units: list[Tensor] = field(default_factory=list)
    fires: list[Tensor] = field(default_factory=list)
    sees_records: bool = True
    norm: str | None = None
    chunks: int = 0


class _Watch:
    """Follows a forward pass from layer to layer."""

    def __init__(self, model: nn.Module) -> None:
        self.model = model
        self.seen: dict[str, _Seen] = {}
        self.names = {id(module): name for name, module in model.named_modules()}

    def begin(self, records: Tensor) -> None:
        self.records, self.done = records.flatten(1), set[str]()
        self.current: _Seen | None = None
        self.shape: torch.Size | None = None

    def called(self, module: nn.Module, given: tuple[Any, ...], returned: object) -> None:
        name = self.names[id(module)]
        self.current = None
        if name in self.done or not isinstance(returned, Tensor) or not isinstance(given[0], Tensor):
            return
        self.done.add(name)
        self.current, self.shape = self.seen.setdefault(name, _Seen()), returned.shape
        self.last_axis = isinstance(module, nn.Linear)
        self.current.chunks += 1
        self.current.units.append(self._positions(returned))
        if self.last_axis and given[0].ndim == 2:
            self.current.given.append(given[0].float().clone())
            self.current.sees_records &= torch.equal(given[0], self.records)
        else:
            self.current.sees_records = False

    def normalised(self, module: nn.Module, _given: tuple[Any, ...], returned: object) -> None:
        if self.current is None or not isinstance(returned, Tensor):
            return
        if isinstance(module, nn.modules.batchnorm._BatchNorm) and returned.shape == self.shape:
            self.current.norm = self.names[id(module)]
            self.current.units[-1] = self._positions(returned)
        else:
            self.current = None  # a norm over units is no threshold on each

    def rectified(self, given: Tensor) -> None:
        if self.current is None or given.shape != self.shape:
            return
        self.current.units[-1] = self._positions(given)
        above = (given > 0).movedim(-1, 1) if self.last_axis else given > 0
        self.current.fires.append(above.flatten(2).any(dim=2) if above.ndim > 2 else above)
        self.current = None

    def _positions(self, output: Tensor) -> Tensor:
        """Return (rows, samples): all of a flat output, else evenly spaced positions of each record."""
        if output.ndim == 2:
            return output.float().T.clone()
        channels = output.movedim(-1, 1) if self.last_axis else output
        flat = channels.flatten(2)
        kept = torch.linspace(0, flat.shape[2] - 1, min(MOST_POSITIONS, flat.shape[2])).long()
        return flat[:, :, kept].float().movedim(1, 0).flatten(1).clone()

    @contextmanager
    def hooks(self) -> Iterator[None]:
        norms = (nn.modules.batchnorm._BatchNorm, nn.LayerNorm, nn.GroupNorm)
        handles = [
            module.register_forward_hook(self.called if isinstance(module, KINDS) else self.normalised)
            for module in self.model.modules()
            if isinstance(module, (*KINDS, *norms))
        ]
        try:
            yield
        finally:
            for handle in handles:
                handle.remove()


class _Rectifiers(TorchFunctionMode):
    """Tells of every call of a rectifier, be it a module's or a function's."""

    def __init__(self, note: Callable[[Tensor], None]) -> None:
        super().__init__()
        self.note = note

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        keys = dict(kwargs or {})
        if func in RECTIFIERS:
            self.note(args[0] if args else keys["input"])
        return func(*args, **keys)
