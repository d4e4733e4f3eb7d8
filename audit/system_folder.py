"""A system's folder, written as a whole: tensors, records and text beside one another, then the system file over them.

What is written lies in a sibling `.NAME.partial` until `finish`, so a folder under its own name is complete.
"""

import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import jinja2
import numpy as np
import numpy.typing as npt
from safetensors.torch import save_file
from torch import Tensor

from reports.digests import artifact_sha256
from reports.errors import FedauditError
from reports.toml_writer import toml_text


class FolderError(FedauditError):
    """The folder of a system cannot be written."""


@dataclass(frozen=True)
class SystemFolder:
    """Writes the folder of a system; leaving it without `finish` leaves nothing behind."""

    target: Path
    """Where the folder appears."""
    updates: list[dict[str, object]] = field(default_factory=list)
    """Entries of `[[updates]]`, in order."""
    folders: list[str] = field(default_factory=list)
    """Folders that are one artifact each."""

    def __enter__(self) -> Self:
        if self.target.exists():
            raise FolderError("folder.exists", f"{self.target} exists already", "Name a folder that does not.")
        shutil.rmtree(self._draft, ignore_errors=True)  # left by a process that was killed
        self._draft.mkdir(parents=True)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        shutil.rmtree(self._draft, ignore_errors=True)

    def tensors(self, path: str, tensors: Mapping[str, Tensor]) -> str:
        """Write tensors by name as safetensors and return `path`."""
        save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, self._file(path))
        return path

    def records(self, path: str, x: Tensor, y: Tensor) -> str:
        """Write records `x` (n, *input_shape) and labels `y` (n,) as npz and return `path`."""
        np.savez(self._file(path), x=x.numpy(), y=y.numpy())
        return path

    def arrays(self, path: str, arrays: Mapping[str, npt.NDArray[Any]]) -> str:
        """Write arrays by name as npz and return `path`."""
        np.savez(self._file(path), **arrays)  # type: ignore[arg-type]  # mypy takes the names for the flag
        return path

    def text(self, path: str, content: str) -> str:
        """Write UTF-8 text and return `path`."""
        self._file(path).write_text(content, encoding="utf-8")
        return path

    def update(self, path: str, tensors: Mapping[str, Tensor], **keys: object) -> None:
        """Write the tensors of one update and remember its entry of `[[updates]]`."""
        self.updates.append({"path": self.tensors(path, tensors), **keys})

    def folder(self, path: str) -> Path:
        """Return where a folder is to be written that is one artifact, with one digest for all of it."""
        self.folders.append(path)
        return self._file(path)

    def place(self, path: str) -> Path:
        """Return a folder, made here, whose files are artifacts each for itself."""
        place = self._file(path)
        place.mkdir(exist_ok=True)
        return place

    def finish(self, template: str, values: Mapping[str, Any]) -> Path:
        """Write `system.toml`, a template followed by updates and all digests, and let the folder appear."""
        return self._described(rendered(template, values), {})

    def describe(self, tables: Mapping[str, object], *, digests: bool = True) -> Path:
        """Write `system.toml`, these tables with updates and, if wanted, all digests, and let the folder appear."""
        return self._described("", tables, digests=digests)

    def _described(self, head: str, tables: Mapping[str, object], *, digests: bool = True) -> Path:
        wholes = {self._draft / path for path in self.folders}
        alone = [file for file in self._draft.rglob("*") if file.is_file() and wholes.isdisjoint(file.parents)]
        found = {path.relative_to(self._draft).as_posix(): artifact_sha256(path) for path in sorted({*wholes, *alone})}
        last = {"updates": self.updates or None, "digests": found if digests else None}
        text = toml_text({**tables, **last})
        self.text("system.toml", f"{head}\n{text}" if head else text)
        self._draft.replace(self.target)
        return self.target

    @cached_property
    def _draft(self) -> Path:
        return self.target.with_name(f".{self.target.name}.partial")

    def _file(self, path: str) -> Path:
        file = self._draft / path
        file.parent.mkdir(parents=True, exist_ok=True)
        return file


def rendered(template: str, values: Mapping[str, object]) -> str:
    """Return a template of `audit/templates/` with its gaps filled; a gap without a value is an error."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent / "templates"),
        undefined=jinja2.StrictUndefined,
        autoescape=False,  # noqa: S701  TOML and Markdown of our own values, no HTML
        keep_trailing_newline=True,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template(template).render(values)
