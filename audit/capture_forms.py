"""How a recorded model and its batches are written down.

A classifier is a layer list (or a definition) with one file of weights, its batch an npz of `x` and `y`. A language
model of transformers is a folder in the form of Hugging Face, its batch an npz of `input_ids`, as
`unlearning.decoder_folder` and `audit.load_text` read them.
"""

import json
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
from safetensors.torch import save
from torch import Tensor, nn

from audit.layer_names import CapturedModel, captured_model
from reports.errors import FedauditError
from unlearning.decoder_folder import ARCHITECTURES

Batch = tuple[Any, Any] | Mapping[str, Any]
"""Records (B, *input_shape) as the model gets them before its declared normalisation, and labels (B,); of a language
model the tokenizer's own `input_ids` and `attention_mask`, each (B, T)."""
Arrays = Mapping[str, npt.NDArray[Any]]


class CaptureError(FedauditError):
    """The folder cannot be written as asked, or what was handed in does not fit the model."""


class Form(Protocol):
    """What differs between the kinds of model."""

    names: CapturedModel
    """How tensors are called in the folder."""
    checkpoint: str
    """The newest weights, relative to the folder."""
    task: str
    """Of `[model]`, where the user names none."""

    def architecture(self, folder: Path) -> dict[str, Any]:
        """Write what says the architecture into `folder`, and return the keys of `[model]` that name it."""

    def weights(self, tensors: Mapping[str, Tensor]) -> dict[str, bytes]:
        """Return the files of a checkpoint: what follows its name, and their content."""

    def arrays(self, batch: Batch, shape: Sequence[int] | None) -> Arrays:
        """Return a batch as the arrays of its npz; `shape` is that of one record, where it is known.

        Raises:
            CaptureError: it is no batch of such a model.
        """


class Layered:
    """A classifier or regression: standard layers, or code that builds it."""

    checkpoint = "model.safetensors"
    task = "classification"

    def __init__(self, model: nn.Module, layers: Sequence[Mapping[str, Any]] | None, definition: str | None) -> None:
        self.names = captured_model(model, layers, definition)
        self._definition = definition

    def architecture(self, folder: Path) -> dict[str, Any]:
        """Write layers.json, or copy the file of the definition."""
        if self._definition is None:
            (folder / "layers.json").write_text(json.dumps(self.names.layers, indent=1), encoding="utf-8")
            return {"layers": "layers.json"}
        source, _, function = self._definition.rpartition(":")
        shutil.copyfile(source, folder / Path(source).name)
        return {"definition": f"{Path(source).name}:{function}"}

    def weights(self, tensors: Mapping[str, Tensor]) -> dict[str, bytes]:
        """Return the one file of safetensors."""
        return {".safetensors": safetensors(tensors)}

    def arrays(self, batch: Batch, shape: Sequence[int] | None) -> Arrays:
        """Return `x` as float32 and `y`."""
        if isinstance(batch, Mapping):
            raise CaptureError(
                "capture.batch", f"a batch of {', '.join(map(repr, batch)) or 'nothing'} cannot be written",
                "Give records and labels, (x, y).",
            )  # fmt: skip
        if not isinstance(batch, tuple | list) or len(batch) != 2:
            raise CaptureError("capture.batch", "a batch is records and labels", "Give two of them, (x, y).")
        x, y = (_array(part) for part in batch)
        if x.ndim < 2 or y.shape != (len(x),) or (shape is not None and list(x.shape[1:]) != list(shape)):
            asked = "" if shape is None else f"; one record has the shape {tuple(shape)}"
            raise CaptureError(
                "capture.batch", f"a batch of shapes {x.shape} and {y.shape} cannot be written{asked}",
                "Give records (B, *input_shape) and labels (B,).",
            )  # fmt: skip
        return {"x": x.astype(np.float32), "y": y}


class Language:
    """A language model of transformers, of an architecture that the auditor can build."""

    checkpoint = "model"
    task = "language-modelling"

    def __init__(self, model: nn.Module) -> None:
        self.names = CapturedModel(None, {}, frozenset(model.state_dict()))
        whole: Any = model
        config = json.loads(whole.config.to_json_string())
        self._config = json.dumps({**config, "architectures": [type(model).__name__]}, indent=1, sort_keys=True)

    def architecture(self, folder: Path) -> dict[str, Any]:  # noqa: ARG002  see `Form`
        """Write nothing: config.json goes with the weights."""
        return {}

    def weights(self, tensors: Mapping[str, Tensor]) -> dict[str, bytes]:
        """Return config.json and the weights, those that share memory once."""
        places: dict[int, str] = {}
        once = {name: tensor for name, tensor in tensors.items() if places.setdefault(tensor.data_ptr(), name) == name}
        return {"/config.json": self._config.encode(), "/model.safetensors": safetensors(once, format="pt")}

    def arrays(self, batch: Batch, shape: Sequence[int] | None) -> Arrays:  # noqa: ARG002  see `Form`
        """Return `input_ids`, and `attention_mask` where the batch has one."""
        if not isinstance(batch, Mapping) or "input_ids" not in batch:
            raise CaptureError(
                "capture.batch", "a batch of a language model holds input_ids",
                "Give what the model was called with: dict(input_ids=…, attention_mask=…), as a tokenizer returns it.",
            )  # fmt: skip
        found = {name: _array(batch[name]) for name in ("input_ids", "attention_mask") if batch.get(name) is not None}
        tokens, inside = found["input_ids"], found.get("attention_mask", np.ones_like(found["input_ids"]))
        if tokens.ndim != 2 or tokens.dtype.kind not in "iu" or inside.shape != tokens.shape:
            raise CaptureError(
                "capture.batch", f"input_ids of {tokens.dtype}, shape {tokens.shape}, cannot be written",
                "Give integers (B, T), and an attention_mask of the same shape or none.",
            )  # fmt: skip
        if (np.diff(inside.astype(np.int8), axis=1) > 0).any():
            raise CaptureError(
                "capture.batch", "attention_mask leaves out tokens before the last",
                "Pad on the right: tokenizer.padding_side = 'right'.",
            )  # fmt: skip
        return found


def form_of(model: nn.Module, layers: Sequence[Mapping[str, Any]] | None, definition: str | None) -> Form:
    """Return how `model` is written down.

    Raises:
        CaptureError: it is a model of transformers that nothing says how to build.
        ModelError: nothing can say what its layers are; see `audit.layer_names.captured_model`.
    """
    if layers is None and definition is None and hasattr(model, "save_pretrained"):
        name = type(model).__name__
        if name not in ARCHITECTURES:
            raise CaptureError(
                "capture.architecture",
                f"{name} is no language model that can be audited; {', '.join(ARCHITECTURES)} are",
                "For another one give a file and function that build it (definition='model.py:build').",
            )
        return Language(model)
    return Layered(model, layers, definition)


def unwrapped(model: nn.Module) -> nn.Module:
    """Return the user's own module, where Opacus has put one around it that computes gradients by example."""
    if not type(model).__module__.startswith("opacus."):
        return model
    wrapper: Any = model
    inside: nn.Module = wrapper._module
    return inside


def safetensors(tensors: Mapping[str, Tensor], **metadata: str) -> bytes:
    """Return tensors as safetensors; each in memory of its own, which the format asks for."""
    return save(
        {name: tensor.detach().cpu().contiguous().clone() for name, tensor in tensors.items()}, metadata or None
    )


def _array(part: Any) -> npt.NDArray[Any]:
    return np.asarray(part.detach().cpu().numpy() if isinstance(part, Tensor) else part)
