"""The one home of models: built from data, loaded from files, initialised from a generator.

A model is a layer list (`unlearning.layers`) or, where the caller trusts the owner's code, a function in a file of
theirs, loaded by its path and never by putting their folder on the import path.
"""

import difflib
import functools
import importlib.util
import itertools
import json
import math
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor, nn

from reports.artifacts import read_tensors
from reports.digests import file_sha256
from reports.model import Model
from unlearning.errors import LayersError, ModelError, ModelMismatch
from unlearning.layers import Residual, build_layers, describe_layers

__all__ = [
    "Residual",
    "build",
    "build_layers",
    "builder",
    "cnn",
    "describe_layers",
    "drawing_from",
    "initialise",
    "layer_list",
    "load_model",
    "match_parameters",
    "mlp",
]


def layer_list(
    architecture: Literal["mlp", "cnn"],
    input_shape: Sequence[int],
    classes: int,
    *,
    hidden: int | Sequence[int] = 64,
) -> list[dict[str, Any]]:
    """Return the layer list of a standard classifier, to be written as `layers.json`.

    Args:
        architecture: "mlp": linear layers with ReLU between; "cnn": two 5x5 convolutions and two linear layers.
        input_shape: Shape of one record; for "cnn" (channels, height, width), 12 x 12 at least.
        classes: Number of labels, and so of logits.
        hidden: Width of the hidden layer, or of each; "cnn" takes none of it.

    Raises:
        ModelError: The shape does not suit the architecture.
    """
    if architecture == "mlp":
        widths = [math.prod(input_shape), *([hidden] if isinstance(hidden, int) else hidden), classes]
        linear = [
            {"type": "Linear", "in_features": wide, "out_features": narrow}
            for wide, narrow in itertools.pairwise(widths)
        ]
        spaced = [entry for layer in linear for entry in (layer, {"type": "ReLU"})][:-1]
        return spaced if len(input_shape) == 1 else [{"type": "Flatten"}, *spaced]
    if len(input_shape) != 3 or min(input_shape[1:]) < 12:
        shape = " x ".join(map(str, input_shape))
        mend = "Give (channels, height, width), or take the architecture 'mlp'."
        raise ModelError("model.shape", f"a cnn needs images of at least 12 x 12, not {shape}", mend)
    channels, height, width = input_shape
    flat = 16 * ((height // 2 - 4) // 2) * ((width // 2 - 4) // 2)
    return [
        {"type": "Conv2d", "in_channels": channels, "out_channels": 8, "kernel_size": 5, "padding": 2},
        {"type": "ReLU"},
        {"type": "MaxPool2d", "kernel_size": 2},
        {"type": "Conv2d", "in_channels": 8, "out_channels": 16, "kernel_size": 5},
        {"type": "ReLU"},
        {"type": "MaxPool2d", "kernel_size": 2},
        {"type": "Flatten"},
        {"type": "Linear", "in_features": flat, "out_features": 64},
        {"type": "ReLU"},
        {"type": "Linear", "in_features": 64, "out_features": classes},
    ]


def mlp(input_shape: Sequence[int], hidden: int | Sequence[int], classes: int) -> nn.Sequential:
    """Return a perceptron that gives logits of shape (B, classes); 4,810 parameters for (64,), 64, 10."""
    return build_layers(layer_list("mlp", input_shape, classes, hidden=hidden))


def cnn(input_shape: Sequence[int], classes: int) -> nn.Sequential:
    """Return a network of two convolutions that gives logits; 29,738 parameters for (1, 28, 28) and 10 classes."""
    return build_layers(layer_list("cnn", input_shape, classes))


@contextmanager
def drawing_from(generator: torch.Generator) -> Iterator[None]:
    """Let what draws from torch's global stream draw from `generator` for a while; the stream is put back as it was.

    torch's layers initialise themselves from that stream and take no generator.
    """
    seed = int(torch.randint(2**62, (), generator=generator))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        yield


def initialise(module: nn.Module, generator: torch.Generator) -> nn.Module:
    """Reset `module` in place to its layers' usual initial weights, drawn from `generator` alone, and return it."""
    with drawing_from(generator):
        for layer in module.modules():
            reset = getattr(layer, "reset_parameters", None)
            if callable(reset):
                reset()
    return module


def build(file: Path, function: str, *, trust_code: bool = False) -> nn.Module:
    """Return the untrained model that the owner's `function` in `file` builds.

    Args:
        file: A Python file; loaded by its path, its folder is not made importable.
        function: Name of a function without arguments.
        trust_code: Whether the caller has been told to run that code.

    Raises:
        ModelError: The code is not trusted, cannot be loaded, raises, or returns no module.
    """
    if not trust_code:
        raise ModelError(
            "model.code-not-trusted",
            f"{file}: building the model would run this code",
            "Read it, then pass --trust-code; or describe the model as a layer list (model.layers).",
        )
    name = f"fedaudit_definition_{file_sha256(file)[:16]}"
    spec = importlib.util.spec_from_file_location(name, file)
    if spec is None or spec.loader is None:
        raise ModelError("model.definition", f"{file}: this is no Python file", "Name a file that ends in .py.")
    code = importlib.util.module_from_spec(spec)
    sys.modules[name] = code  # dataclasses and pickle look a class's module up there
    try:
        spec.loader.exec_module(code)
        model = getattr(code, function)()
    except Exception as error:  # whatever the owner's code does wrong is told, not raised
        sys.modules.pop(name)
        told = f"{file}: {function}() cannot build the model: {type(error).__name__}: {error}"
        raise ModelError("model.definition", told, f"Mend {function}() in that file.") from error
    if not isinstance(model, nn.Module):
        told = f"{file}: {function}() returned a {type(model).__name__}"
        raise ModelError("model.definition", told, "Return an untrained torch.nn.Module.")
    return model


def load_model(model: Model, folder: Path, *, trust_code: bool = False) -> nn.Module:
    """Return the declared model with its checkpoint's weights, in evaluation mode.

    Args:
        model: The `[model]` section of the system file.
        folder: The folder that the paths in it are relative to.
        trust_code: Whether `model.definition` may run; a layer list, where there is one, is preferred to code.

    Raises:
        ModelError: Nothing says what the model is, its code is not trusted or fails, or the layer list is wrong.
        ModelMismatch: The checkpoint does not fit the model.
        reports.errors.FileError: The checkpoint is refused or broken.
    """
    if model.checkpoint is None:
        raise ModelError("model.no-checkpoint", "[model] names no checkpoint", "Add model.checkpoint (safetensors).")
    module = builder(model, folder, trust_code=trust_code)()
    checkpoint = folder / model.checkpoint.path
    tensors = match_parameters(module, read_tensors(checkpoint), buffers=True, source=model.checkpoint.path)
    module.load_state_dict(tensors, strict=False)  # complete but for the second names of tied parameters
    return module.eval()


def builder(model: Model, folder: Path, *, trust_code: bool = False) -> Callable[[], nn.Module]:
    """Return what builds the declared model, untrained; it can be sent to another process. Arguments as `load_model`.

    Raises:
        ModelError: Nothing says what the model is, or the layer list cannot be read; what else is wrong is told by
            whoever builds.
    """
    if model.layers is not None:
        spec = _read_layers(folder / model.layers.path)
        return functools.partial(build_layers, spec, source=Path(model.layers.path).name)
    if model.definition is not None:
        file = folder / model.definition.file.path
        return functools.partial(build, file, model.definition.function, trust_code=trust_code)
    mend = "Add model.layers (a JSON list of layers), or model.definition with --trust-code."
    raise ModelError("model.no-architecture", "[model] does not say what the model is", mend)


def match_parameters(
    model: nn.Module, tensors: Mapping[str, Tensor], *, buffers: bool = False, source: str = "tensors"
) -> dict[str, Tensor]:
    """Return `tensors` in the model's order and number format; names decide, the order they came in does not.

    Args:
        model: The model they belong to.
        tensors: By name, as in a state dict: a checkpoint, a gradient or a delta.
        buffers: Whether the model's buffers (running statistics) must be there too; a gradient has none.
        source: What to call them in an error, such as the name of their file.

    Raises:
        ModelMismatch: A name is unknown or missing, or a shape differs; names the tensor and both shapes.
    """
    state = model.state_dict()
    for name, tensor in tensors.items():
        if name not in state:
            shape = tuple(tensor.shape)
            told = f"{source}: the model has no tensor {name!r}, whose shape here is {shape}"
            raise ModelMismatch("model.mismatch", told, _nearest_tensor(name, state))
        if tensor.shape != state[name].shape:
            told = f"{source}: {name!r} has shape {tuple(tensor.shape)}, in the model {tuple(state[name].shape)}"
            raise ModelMismatch("model.mismatch", told, "Give the tensors of this model.")
    names_of: dict[int, list[str]] = {}  # a tied parameter has several names; one of them is enough
    for name, parameter in model.named_parameters(remove_duplicate=False):
        names_of.setdefault(id(parameter), []).append(name)
    required = list(names_of.values()) + ([[name] for name, _ in model.named_buffers()] if buffers else [])
    for names in required:
        if names[0] in state and not any(name in tensors for name in names):
            told = (
                f"{source}: the tensor {names[0]!r}, in the model of shape {tuple(state[names[0]].shape)}, is missing"
            )
            raise ModelMismatch("model.mismatch", told, "Give every tensor of the model.")
    return {
        name: tensors[name].to(kept.dtype) if kept.is_floating_point() else tensors[name]
        for name, kept in state.items()
        if name in tensors
    }


def _read_layers(file: Path) -> Any:
    """Return the layer list in `file`, not yet looked at."""
    try:
        return json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        told = f"{file}: this is no readable JSON: {error}"
        raise LayersError("model.layers", told, 'Write a list such as [{"type": "Linear", …}, …].') from error


def _nearest_tensor(name: str, state: Mapping[str, Tensor]) -> str:
    """Return the mend for an unknown name."""
    near = difflib.get_close_matches(name, state, n=1)
    if near:
        return f"Did you mean {near[0]!r}, of shape {tuple(state[near[0]].shape)}?"
    return f"It has {', '.join(list(state)[:6])}{', …' if len(state) > 6 else ''}."
