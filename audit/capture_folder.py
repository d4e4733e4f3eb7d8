"""A folder in the making: model, updates, planted truth, and the system file that joins them.

`audit.capture` says how a training loop uses it. Files are written whole or not at all, and system.toml last.
"""

import hashlib
import json
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Literal, Self

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from audit.capture_forms import Batch, CaptureError, form_of, safetensors, unwrapped
from reports.toml_writer import toml_text

if TYPE_CHECKING:
    from audit.dp.record import DPRecord

__all__ = ["Batch", "Capture", "CaptureError", "State"]

State = Mapping[str, Tensor] | nn.Module
"""A state dict, or the module that has it."""


class Capture:
    """A folder in the making: model, updates, planted truth and the system file that joins them.

    Args:
        folder: Where to write; must not exist, or be empty.
        model: The model that is trained; its weights are the first checkpoint.
        name: Of the system.
        version: Of the system.
        layers: A layer list, where `model` is neither a Sequential of standard layers nor a known language model.
        definition: A Python file and function, "model.py:build", where no layer list can say it; the file is copied.
        input_shape: Shape of one record; that of the first batch by default.
        classes: Number of labels.
        normalisation: {"mean": [..], "std": [..]} that the model's input has gone through and the batch has not.
        federation: The table `[federation]`, with its own tables inside.
        task: "classification" by default, or "regression" where labels are targets.
        reference: Public records of the same kind, in the form of a batch.
        claims: The table `[claims]`: what is said of the model.
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
        task: str | None = None,
        reference: Batch | None = None,
        claims: Mapping[str, Any] | None = None,
        system: Mapping[str, Any] | None = None,
    ) -> None:
        self._folder = Path(folder)
        if self._folder.exists() and (not self._folder.is_dir() or any(self._folder.iterdir())):
            raise CaptureError(
                "capture.exists", f"{self._folder}: there is something already", "Name a new folder, or remove it."
            )
        self._form = form_of(unwrapped(model), layers, definition)
        described = {"federation": dict(federation or {}), "claims": dict(claims or {})}
        toml_text({**described, "system": system or {}})  # what it cannot hold is told before work
        self._folder.mkdir(parents=True, exist_ok=True)
        self._tables: dict[str, Any] = {"system": {"name": name, "version": version, **(system or {})}}
        self._tables |= {name: table for name, table in described.items() if table}
        self._tables["model"] = {
            "checkpoint": self._form.checkpoint,
            **self._form.architecture(self._folder),
            "task": task or self._form.task,
            "input_shape": None if input_shape is None else list(input_shape),
            "classes": classes,
            "normalisation": normalisation,
        }
        self._updates: list[dict[str, Any]] = []
        self._closed = False
        if reference is not None:
            self.add_records("reference", reference)
        self._base(model)

    @classmethod
    def continuing(cls, folder: str | Path, model: nn.Module, *, name: str, **description: Any) -> Self:
        """Return the recording in `folder` to add to, begun if there is none; see `__init__` for the arguments.

        Raises:
            CaptureError: the folder holds another system, another model, or something else.
        """
        place = Path(folder)
        if not (place / "system.toml").is_file():
            return cls(place, model, name=name, **description)
        try:
            tables = tomllib.loads((place / "system.toml").read_text(encoding="utf-8"))
        except ValueError as error:
            told = f"{place}: its system.toml cannot be read: {error}"
            raise CaptureError("capture.exists", told, "Name a new folder.") from error
        if tables.get("system", {}).get("name") != name:
            raise CaptureError("capture.exists", f"{place}: holds another system", "Name a new folder.")
        begun = cls.__new__(cls)
        begun._folder, begun._closed = place, False
        begun._form = form_of(unwrapped(model), description.get("layers"), description.get("definition"))
        begun._require_same_model(tables.get("model", {}))
        begun._updates = tables.pop("updates", [])
        begun._tables = tables
        return begun

    def add_records(self, role: Literal["members", "nonmembers", "reference"], batch: Batch) -> None:
        """Write records that the model was trained on, that it never saw, or that everybody knows.

        Raises:
            CaptureError: they are no batch of the model, or the role has its records.
        """
        self._require_open()
        entries = self._tables.setdefault("data", [])
        if any(entry["role"] == role for entry in entries):
            raise CaptureError(
                "capture.repeated", f"{self._folder}: {role} are there already", "Give them once, whole."
            )
        self._write_arrays(f"{role}.npz", self._arrays(batch))
        entries.append({"role": role, "path": f"{role}.npz"})

    def add_dp_record(self, record: "DPRecord") -> None:
        """Write how a DP trainer was configured, beside what `federation` declares of it."""
        _replace(self._folder / "dp-record.json", record.to_bytes())
        federation = self._tables.setdefault("federation", {})
        federation["differential_privacy"] = {**federation.get("differential_privacy", {}), "record": "dp-record.json"}

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
        model = unwrapped(model)
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
        _replace(self._folder / "system.toml", toml_text({**self._tables, "updates": self._updates or None}).encode())
        self._closed = True

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:  # half a recording is none: without system.toml nobody audits it
            self.close()

    def _record(self, kind: str, tensors: Mapping[str, Tensor], batch: Batch | None, **keys: Any) -> None:
        self._require_open()
        number = len(self._updates)
        entry: dict[str, Any] = {"path": f"updates/{number:05d}.safetensors", "kind": kind, **keys}
        who = (kind, keys.get("client"), keys.get("round"))
        if keys.get("client") is not None and any(who == _identity(one) for one in self._updates):
            raise CaptureError(
                "capture.repeated",
                f"{self._folder}: a {kind} of client {who[1]!r} in round {who[2]} is recorded already",
                "Count rounds up; or, if this is the folder of an earlier run, name a new one.",
            )
        named = self._form.names.renamed(tensors)
        if batch is not None:
            entry["truth"] = f"updates/{number:05d}.npz"
            arrays = self._arrays(batch)
            self._write_arrays(entry["truth"], arrays)
            if kind != "aggregate":
                entry["batch_size"] = keys.get("batch_size") or len(next(iter(arrays.values())))
        _replace(self._folder / entry["path"], safetensors(named))
        self._updates.append(entry)

    def _base(self, model: State) -> str:
        """Return the checkpoint of these weights, named by its digest; the newest is also the system's model."""
        files = self._form.weights(self._form.names.renamed(_state(model)))
        digest = hashlib.sha256()
        for data in files.values():
            digest.update(data)
        name = f"bases/{digest.hexdigest()[:16]}"
        kind = Path(self._form.checkpoint).suffix
        if not (self._folder / f"{name}{kind}").exists():
            for end, data in files.items():
                _replace(self._folder / f"{name}{end}", data)
                _replace(self._folder / f"{self._form.checkpoint.removesuffix(kind)}{end}", data)
        return f"{name}{kind}"

    def _require_same_model(self, described: Mapping[str, Any]) -> None:
        """Raise where the recording is of a model with other layers, or of another kind."""
        file, layers = self._folder / "layers.json", self._form.names.layers
        same = described.get("checkpoint") == self._form.checkpoint
        if same and layers is not None and described.get("layers") == file.name and file.is_file():
            same = json.loads(file.read_text(encoding="utf-8")) == json.loads(json.dumps(layers))
        if not same:
            raise CaptureError("capture.exists", f"{self._folder}: holds another model", "Name a new folder.")

    def _arrays(self, batch: Batch) -> Mapping[str, npt.NDArray[Any]]:
        """Return a batch as the arrays of its npz; the first one says what a record looks like."""
        declared = self._tables["model"]
        arrays = self._form.arrays(batch, declared.get("input_shape"))
        if declared.get("input_shape") is None and "x" in arrays:
            declared["input_shape"] = list(arrays["x"].shape[1:])
        return arrays

    def _write_arrays(self, path: str, arrays: Mapping[str, npt.NDArray[Any]]) -> None:
        target = self._folder / path
        target.parent.mkdir(parents=True, exist_ok=True)
        np.savez(target, allow_pickle=False, **arrays)

    def _require_open(self) -> None:
        if self._closed:
            raise CaptureError("capture.closed", f"{self._folder}: the recording is closed", "Record before closing.")


def _identity(entry: Mapping[str, Any]) -> tuple[Any, Any, Any]:
    return entry["kind"], entry.get("client"), entry.get("round")


def _state(model: State) -> Mapping[str, Tensor]:
    return unwrapped(model).state_dict() if isinstance(model, nn.Module) else model


def _replace(target: Path, data: bytes) -> None:
    """Write a file whole or not at all."""
    target.parent.mkdir(parents=True, exist_ok=True)
    partial = target.with_name(f".{target.name}.partial")
    partial.write_bytes(data)
    partial.replace(target)
