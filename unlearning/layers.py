"""Models as data: a JSON list of standard layers, and back.

A layer list says what a model is without running anybody's code: `[{"type": "Linear", "name": "fc1", "in_features": 64,
"out_features": 128}, {"type": "ReLU"}, …]`. Arguments are torch's own; `name` defaults to the position, so the state
dict of a plain `torch.nn.Sequential` fits as it is. `Residual` adds its input to the output of its own `layers`.
"""

import difflib
import inspect
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

from unlearning.errors import LayersError

Chain = TypeVar("Chain", bound=nn.Sequential)
LARGEST_MODEL = 2**31
"""Parameters a layer list may ask for; a larger model does not fit the machines this is made for."""


class Residual(nn.Sequential):
    """A chain of layers whose input is added to its output (He et al. 2016, arXiv:1512.03385)."""

    def forward(self, input: Tensor) -> Tensor:  # noqa: A002 - torch's own name for it
        """Return `input` plus what the layers make of it, in the same shape."""
        output = input
        for layer in self:
            output = layer(output)
        return input + output


PLAIN_LAYERS: Mapping[str, type[nn.Module]] = {
    layer.__name__: layer
    for layer in (
        nn.Linear,
        nn.Conv1d,
        nn.Conv2d,
        nn.BatchNorm1d,
        nn.BatchNorm2d,
        nn.GroupNorm,
        nn.LayerNorm,
        nn.Embedding,
        nn.ReLU,
        nn.LeakyReLU,
        nn.GELU,
        nn.SiLU,
        nn.Tanh,
        nn.Sigmoid,
        nn.MaxPool2d,
        nn.AvgPool2d,
        nn.AdaptiveAvgPool2d,
        nn.Flatten,
        nn.Unflatten,
        nn.Dropout,
    )
}
"""The whitelist: every type a layer list may name, but for `Residual`, which holds layers of its own."""


def build_layers(spec: Sequence[Mapping[str, Any]], *, source: str = "layers") -> nn.Sequential:
    """Return the model that a layer list describes, with torch's usual (global, unseeded) initial weights.

    `unlearning.models.initialise` sets the weights from a generator of yours.

    Args:
        spec: The list, as read from JSON.
        source: What to call the list in an error, such as the name of its file.

    Raises:
        LayersError: An entry is not an object, names an unknown type or argument, repeats a name, has a value that
            torch refuses, or the model would have more than `LARGEST_MODEL` parameters.
    """
    with torch.device("meta"):  # a size that no memory holds is refused before any is asked for
        outline = _chain(nn.Sequential, spec, source)
    size = sum(parameter.numel() for parameter in outline.parameters())
    if size > LARGEST_MODEL:
        raise LayersError(
            "model.layers",
            f"{source}: the layers have {size:,} parameters, more than {LARGEST_MODEL:,}",
            "Check in_features, out_features and the channels.",
        )
    return _chain(nn.Sequential, spec, source)


def describe_layers(module: nn.Module, *, source: str = "model") -> list[dict[str, Any]]:
    """Return the layer list of a `torch.nn.Sequential` of whitelisted layers; `build_layers` reads it back.

    Arguments that have torch's default value, and names that equal the position, are left out.

    Raises:
        LayersError: `module` is no plain `Sequential`, or holds a layer that a list cannot name.
    """
    if type(module) not in (nn.Sequential, Residual):
        raise LayersError(
            "model.layers",
            f"{source}: a {type(module).__name__} cannot be written as a layer list",
            "Write it as a torch.nn.Sequential of standard layers, or declare its definition.",
        )
    entries = []
    for position, (name, layer) in enumerate(module.named_children()):
        entry: dict[str, Any] = {"type": type(layer).__name__}
        if name != str(position):
            entry["name"] = name
        where = f"{source}.{name}"
        if isinstance(layer, Residual):
            entry["layers"] = describe_layers(layer, source=where)
        elif PLAIN_LAYERS.get(entry["type"]) is type(layer):  # a subclass may compute something else
            entry |= _arguments_of(layer)
        else:
            raise LayersError(
                "model.layers",
                f"{source}: layer {name!r} is a {entry['type']}, which a layer list cannot name",
                f"It can name {', '.join(PLAIN_LAYERS)} and Residual; else declare the model's definition.",
            )
        entries.append(entry)
    return entries


def _chain(kind: type[Chain], spec: Any, where: str) -> Chain:
    """Return the layers of `spec` one after the other, in a container of `kind`."""
    if not isinstance(spec, Sequence) or isinstance(spec, str) or not spec:
        raise LayersError("model.layers", f"{where}: this is no list of layers", 'Write [{"type": "Linear", …}, …].')
    chain = kind()
    for position, entry in enumerate(spec):
        place = f"{where}[{position}]"
        if not isinstance(entry, Mapping):
            raise LayersError("model.layers", f"{place}: this is no object", 'Write {"type": "Linear", …}.')
        name = entry.get("name", str(position))
        if not isinstance(name, str) or not re.fullmatch(r"\w+", name, re.ASCII):
            raise LayersError("model.layers", f"{place}.name: {name!r} cannot name a layer", "Use letters and digits.")
        layer = _layer(entry, place)
        try:
            chain.add_module(name, layer)
        except KeyError as error:
            mend = "Give every layer a name of its own, which torch does not use itself."
            raise LayersError("model.layers", f"{place}.name: {name!r} is taken", mend) from error
        if len(chain) != position + 1:  # add_module replaces a child of the same name without a word
            raise LayersError("model.layers", f"{place}.name: {name!r} is taken", "Give every layer its own name.")
    return chain


def _layer(entry: Mapping[str, Any], place: str) -> nn.Module:
    """Return the one layer that `entry` describes."""
    kind = entry.get("type")
    arguments = {key: value for key, value in entry.items() if key not in ("type", "name")}
    if kind == "Residual":
        _known(arguments, ("layers",), place, "Residual")
        return _chain(Residual, arguments.get("layers"), f"{place}.layers")
    if not isinstance(kind, str) or kind not in PLAIN_LAYERS:
        raise LayersError(
            "model.layers",
            f"{place}.type: there is no layer {kind!r}",
            _nearest(str(kind), (*PLAIN_LAYERS, "Residual")),
        )
    _known(arguments, _parameters_of(PLAIN_LAYERS[kind]), place, kind)
    try:
        return PLAIN_LAYERS[kind](**{key: _as_tuple(value) for key, value in arguments.items()})
    except (TypeError, ValueError, RuntimeError, OverflowError) as error:  # torch's own words say which value
        reason = str(error).splitlines()[0].removeprefix(f"{kind}.__init__() ")
        mend = f"See the arguments of torch.nn.{kind}."
        raise LayersError("model.layers", f"{place}: torch refuses this {kind}: {reason}", mend) from error


def _known(arguments: Iterable[str], allowed: Sequence[str], place: str, kind: str) -> None:
    """Refuse an argument that the layer does not take."""
    for key in arguments:
        if key not in allowed:
            raise LayersError("model.layers", f"{place}: {kind} takes no argument {key!r}", _nearest(key, allowed))


def _nearest(word: str, allowed: Sequence[str]) -> str:
    """Return the mend for a misspelt word: the nearest one, or all."""
    near = difflib.get_close_matches(word, allowed, n=1)
    if near:
        return f"Did you mean {near[0]!r}?"
    return f"Allowed: {', '.join(allowed)}." if allowed else "Leave it out."


def _parameters_of(kind: type[nn.Module]) -> tuple[str, ...]:
    """Return the constructor's arguments that are data (not a device, a dtype or torch's private ones)."""
    names = inspect.signature(kind).parameters
    return tuple(name for name in names if name not in ("device", "dtype", "args", "kwargs") and name[0] != "_")


def _arguments_of(layer: nn.Module) -> dict[str, Any]:
    """Return the constructor's arguments of a layer as JSON has them; torch keeps each under its own name."""
    found: dict[str, Any] = {}
    signature = inspect.signature(type(layer)).parameters
    for name in _parameters_of(type(layer)):
        kept = getattr(layer, name)
        value = kept is not None if name == "bias" else kept  # `bias` is asked for as a bool and kept as a tensor
        if value != signature[name].default:
            found[name] = list(value) if isinstance(value, tuple) else value
    return found


def _as_tuple(value: Any) -> Any:
    """Return a JSON list as the tuple that torch asks for."""
    return tuple(value) if isinstance(value, list) else value
