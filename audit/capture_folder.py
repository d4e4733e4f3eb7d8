"""A folder in the making: model, updates, planted truth, and the system file that joins them.

`audit.capture` says how a training loop uses it. Files are written whole or not at all, and system.toml last.
"""

import hashlib
import json
import shutil
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, Self

import numpy as np
import numpy.typing as npt
import torch
from safetensors.torch import save
from torch import Tensor, nn

from audit.layer_names import captured_model
from reports.errors import FedauditError
from reports.toml_writer import toml_text

Batch = tuple[Any, Any]
"""Records (B, *input_shape) as the model gets them before its declared normalisation, and labels (B,)."""
State = Mapping[str, Tensor] | nn.Module
"""A state dict, or the module that has it."""


class CaptureError(FedauditError):
    """The folder cannot be written as asked, or what was handed in does not fit the model."""


class Capture:
    """A folder in the making: model, updates, planted truth and the system file that joins them.

    Args:
        folder: Where to write; must not exist, or be empty.
        model: The model that is trained; its weights are the first checkpoint.
        name: Of the system.
        version: Of the system.
        layers: A layer list, where `model` is no Sequential of standard layers.
        definition: A Python file and function, "model.py:build", where no layer list can say it; the file is copied.
        input_shape: Shape of one record; that of the first batch by default.
        classes: Number of labels.
        normalisation: {"mean": [..], "std": [..]} that the model's input has gone through and the batch has not.
        federation: The table `[federation]`, with its own tables inside.
        task: "classification", or "regression" where labels are targets.
        reference: Public records of the same kind and their labels.
        system: Further keys of `[system]`, such as provider or intended_purpose.

    Raises:
        CaptureError: the folder holds something, or nothing can say what the model is.
    """

    def __init__(
        self,
        folder: str | Path,
        model: nn.Module,
        *,
        name: str,
        version: str = "1",
        layers: Sequence[Mapping[str, Any]] | None = None,
        definition: str | None = None,
        input_shape: Sequence[int] | None = None,
        classes: int | None = None,
        normalisation: Mapping[str, Sequence[float]] | None = None,
        federation: Mapping[str, Any] | None = None,
        task: str = "classification",
        reference: Batch | None = None,
        system: Mapping[str, Any] | None = None,
    ) -> None:
        self._folder = Path(folder)
        if self._folder.exists() and (not self._folder.is_dir() or any(self._folder.iterdir())):
            raise CaptureError(
                "capture.exists", f"{self._folder}: there is something already", "Name a new folder, or remove it."
            )
        self._names = captured_model(model, layers, definition)
        toml_text({"federation": federation or {}, "system": system or {}})  # what it cannot hold is told before work
        self._folder.mkdir(parents=True, exist_ok=True)
        self._tables: dict[str, Any] = {"system": {"name": name, "version": version, **(system or {})}}
        if federation:
            self._tables["federation"] = dict(federation)
        self._tables["model"] = {
            "checkpoint": "model.safetensors",
            **self._written_architecture(definition),
            "task": task,
            "input_shape": None if input_shape is None else list(input_shape),
            "classes": classes,
            "normalisation": normalisation,
        }
        self._updates: list[dict[str, Any]] = []
        if reference is not None:
            self._write_records("reference.npz", reference)
            self._tables["data"] = [{"role": "reference", "path": "reference.npz"}]
        self._base(model)
        self._closed = False

    @classmethod
    def continuing(cls, folder: str | Path, model: nn.Module, *, name: str, **description: Any) -> Self:
        """Return the recording in `folder` to add to, begun if there is none; see `__init__` for the arguments.

        Raises:
            CaptureError: the folder holds another system, or something else.
        """
        place = Path(folder)
        if not (place / "system.toml").is_file():
            return cls(place, model, name=name, **description)
        tables = tomllib.loads((place / "system.toml").read_text(encoding="utf-8"))
        if tables.get("system", {}).get("name") != name:
            raise CaptureError("capture.exists", f"{place}: holds another system", "Name a new folder.")
        begun = cls.__new__(cls)
        begun._folder, begun._closed = place, False
        begun._names = captured_model(model, description.get("layers"), description.get("definition"))
        begun._updates = tables.pop("updates", [])
        begun._tables = tables
        return begun

    def record_gradient(
        self,
        model: nn.Module,
        batch: Batch,
        *,
        client: str | None = None,
        round: int | None = None,  # noqa: A002
    ) -> None:
        """Record the gradient that `backward` left in `.grad`: of the mean loss over `batch`, at these weights.

        Args:
            model: After `backward`, before the optimiser's step; gradients must have been zero before.
            batch: What the loss was taken over.
            client: Whose.
            round: Which.

        Raises:
            CaptureError: no parameter has a gradient, or the model is not the one that the folder is for.
        """
        gradients = {
            name: torch.zeros_like(parameter) if parameter.grad is None else parameter.grad
            for name, parameter in model.named_parameters()
        }
        if all(parameter.grad is None for parameter in model.parameters()):
            raise CaptureError("capture.gradient", "no parameter has a gradient", "Call loss.backward() before.")
        base = self._base(model)
        self._record("gradient", gradients, batch, base=base, client=client, round=round)

    def record_update(
        self,
        before: State,
        after: State,
        batch: Batch,
        *,
        client: str | None = None,
        round: int | None = None,  # noqa: A002
        local_steps: int = 1,
        learning_rate: float | None = None,
        batch_size: int | None = None,
    ) -> None:
        """Record what local training changed, `after` minus `before`.

        Args:
            before: The model that the client was sent.
            after: The model that it sends back.
            batch: All records that it trained on.
            client: Whose.
            round: Which.
            local_steps: Steps in between.
            learning_rate: Of those steps.
            batch_size: Records that each step saw; all by default.

        Raises:
            CaptureError: the two do not have the same tensors.
        """
        first, second = _state(before), _state(after)
        if set(first) != set(second):
            odd = min(set(first) ^ set(second))
            raise CaptureError("capture.names", f"only one of before and after has {odd!r}", "Give one model's states.")
        delta = {
            name: (second[name].double() - tensor.double()).to(tensor.dtype)
            for name, tensor in first.items()
            if tensor.is_floating_point()
        }
        self._record(
            "delta", delta, batch, base=self._base(before), client=client, round=round,
            local_steps=local_steps, learning_rate=learning_rate, batch_size=batch_size,
        )  # fmt: skip

    def record_aggregate(
        self,
        total: Mapping[str, Tensor],
        *,
        clients: int,
        round: int | None = None,  # noqa: A002
        of: Literal["gradient", "delta"] = "delta",
        divided_by: float = 1.0,
        base: State | None = None,
        batch: Batch | None = None,
    ) -> None:
        """Record the sum that the server gets.

        Args:
            total: The sum over clients, over `divided_by`, by the model's names.
            clients: How many were summed.
            round: Which; joins it with the updates of that round and their truth.
            of: What was summed.
            divided_by: What the sum was divided by; `clients` for a mean.
            base: The model of that round; the checkpoint's by default.
            batch: The planted records in it, where the single updates are not recorded.

        Raises:
            CaptureError: the names are not the model's.
        """
        base_path = None if base is None else self._base(base)
        self._record(
            "aggregate", dict(total), batch, base=base_path, round=round, of=of, clients=clients,
            divided_by=float(divided_by),
        )  # fmt: skip

    def close(self) -> None:
        """Write system.toml: from now on the folder is a system to audit. Closing twice is closing once."""
        if self._closed:
            return
        _replace(self._folder / "system.toml", toml_text({**self._tables, "updates": self._updates}).encode())
        self._closed = True

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:  # half a recording is none: without system.toml nobody audits it
            self.close()

    def _record(self, kind: str, tensors: Mapping[str, Tensor], batch: Batch | None, **keys: Any) -> None:
        if self._closed:
            raise CaptureError("capture.closed", f"{self._folder}: the recording is closed", "Record before closing.")
        number = len(self._updates)
        entry: dict[str, Any] = {"path": f"updates/{number:05d}.safetensors", "kind": kind, **keys}
        who = (kind, keys.get("client"), keys.get("round"))
        if keys.get("client") is not None and any(who == _identity(one) for one in self._updates):
            raise CaptureError(
                "capture.repeated",
                f"{self._folder}: a {kind} of client {who[1]!r} in round {who[2]} is recorded already",
                "Count rounds up; or, if this is the folder of an earlier run, name a new one.",
            )
        named = self._names.renamed(tensors)
        if batch is not None:
            entry["truth"] = f"updates/{number:05d}.npz"
            records = self._write_records(entry["truth"], batch)
            if kind != "aggregate":
                entry["batch_size"] = keys.get("batch_size") or len(records)
        _replace(self._folder / entry["path"], _safetensors(named))
        self._updates.append(entry)

    def _base(self, model: State) -> str:
        """Return the checkpoint of these weights, named by its digest; the newest is also the system's model."""
        data = _safetensors(self._names.renamed(_state(model)))
        path = f"bases/{hashlib.sha256(data).hexdigest()[:16]}.safetensors"
        if not (self._folder / path).exists():
            _replace(self._folder / path, data)
            _replace(self._folder / "model.safetensors", data)
        return path

    def _write_records(self, path: str, batch: Batch) -> npt.NDArray[np.float32]:
        x, y = (np.asarray(part.detach().cpu().numpy() if isinstance(part, Tensor) else part) for part in batch)
        shape = self._tables["model"].get("input_shape")
        if x.ndim < 2 or y.shape != (len(x),) or (shape is not None and list(x.shape[1:]) != shape):
            asked = "" if shape is None else f"; one record has the shape {tuple(shape)}"
            raise CaptureError(
                "capture.batch", f"a batch of shapes {x.shape} and {y.shape} cannot be written{asked}",
                "Give records (B, *input_shape) and labels (B,).",
            )  # fmt: skip
        if shape is None:
            self._tables["model"]["input_shape"] = list(x.shape[1:])
        target = self._folder / path
        target.parent.mkdir(parents=True, exist_ok=True)
        records = x.astype(np.float32)
        np.savez(target, allow_pickle=False, x=records, y=y)
        return records

    def _written_architecture(self, definition: str | None) -> dict[str, str]:
        if definition is None:
            text = json.dumps(self._names.layers, indent=1)
            _replace(self._folder / "layers.json", text.encode())
            return {"layers": "layers.json"}
        source, _, function = definition.rpartition(":")
        shutil.copyfile(source, self._folder / Path(source).name)
        return {"definition": f"{Path(source).name}:{function}"}


def _identity(entry: Mapping[str, Any]) -> tuple[Any, Any, Any]:
    return entry["kind"], entry.get("client"), entry.get("round")


def _state(model: State) -> Mapping[str, Tensor]:
    return model.state_dict() if isinstance(model, nn.Module) else model


def _safetensors(tensors: Mapping[str, Tensor]) -> bytes:
    """Return tensors as safetensors; each in memory of its own, which the format asks for."""
    return save({name: tensor.detach().cpu().contiguous().clone() for name, tensor in tensors.items()})


def _replace(target: Path, data: bytes) -> None:
    """Write a file whole or not at all."""
    target.parent.mkdir(parents=True, exist_ok=True)
    partial = target.with_name(f".{target.name}.partial")
    partial.write_bytes(data)
    partial.replace(target)
