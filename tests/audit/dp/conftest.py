"""What the tests of the checks `dp.*` share: a system's folder, written key by key."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import save_file

from reports.toml_writer import toml_text


class Folder:
    """The folder of a system that is being written."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.tables: dict[str, Any] = {"system": {"name": "ward-triage", "version": "1"}}

    def tensors(self, name: str, tensors: Mapping[str, Any], **keys: Any) -> None:
        """Write an update."""
        save_file({key: np.ascontiguousarray(value) for key, value in tensors.items()}, self.path / name)
        self.tables.setdefault("updates", []).append({"path": name, **keys})

    def scores(self, name: str = "canaries.npz", **arrays: Any) -> None:
        """Write canaries' scores."""
        np.savez(self.path / name, **arrays)
        self.tables.setdefault("data", []).append({"role": "canary-scores", "path": name})

    def privacy(self, **keys: Any) -> None:
        """Declare a mechanism."""
        federation = self.tables.setdefault("federation", {})
        federation["differential_privacy"] = {**federation.get("differential_privacy", {}), **keys}

    def done(self) -> Path:
        """Write the system file and return the folder."""
        (self.path / "system.toml").write_text(toml_text(self.tables), encoding="utf-8")
        return self.path


@pytest.fixture
def folder(tmp_path: Path) -> Callable[[], Folder]:
    """Return a new folder each time."""
    made: list[Folder] = []

    def make() -> Folder:
        path = tmp_path / f"system-{len(made)}"
        path.mkdir()
        made.append(Folder(path))
        return made[-1]

    return make
