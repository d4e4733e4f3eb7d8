"""What the tests of `fedaudit unlearn` share: one tiny federation, and folders in which it was asked to forget."""

import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from audit.cli.main import run
from tests.audit.cli.described import described
from tests.unlearning.llm.conftest import folders, tiny_folder, world  # noqa: F401  one small language model for all

CLIENTS, EACH, FEATURES, CLASSES = 4, 12, 6, 3
FEDERATION = """schema = "fedaudit.federation/1"
[data]
train = "train.npz"
test = "test.npz"
holdout = "holdout.npz"
probes = "probes.npz"
[model]
architecture = "mlp"
hidden = 5
classes = 3
[training]
rounds = 4
local_epochs = 1
batch_size = 6
learning_rate = 0.3
seed = 7
[recording]
global_models = "all"
client_updates = "all"
"""


def write_federation(folder: Path) -> Path:
    """Write a federation of four clients, twelve examples each, whose labels are the largest of three features."""
    folder.mkdir(parents=True)
    rng = np.random.default_rng(5)

    def examples(count: int) -> dict[str, Any]:
        x = rng.random((count, FEATURES), dtype=np.float32)
        return {"x": x, "y": x[:, :CLASSES].argmax(1).astype(np.int64)}

    owner = np.repeat(np.arange(CLIENTS), EACH)
    np.savez(folder / "train.npz", **examples(CLIENTS * EACH), client=owner)
    for name, count in {"test": 30, "holdout": 90, "probes": 8}.items():
        np.savez(folder / f"{name}.npz", **examples(count))
    (folder / "federation.toml").write_text(FEDERATION)
    return folder


@dataclass(frozen=True)
class Forgetful:
    """A recorded federation, and what forgetting client 0 left behind; nobody writes into them."""

    folder: Path
    """Of federation.toml and recording/."""
    outs: Path
    """Holds a folder a method."""

    def out(self, method: str = "rapid-retrain") -> Path:
        """The folder that a method left."""
        place = self.outs / method
        if not place.exists():
            arguments = ["unlearn", "federated", self.folder, "--request", "client:0", "--method", method, "-o", place]
            assert run([str(one) for one in arguments]) == 0
        return place

    def copy(self, method: str, place: Path) -> Path:
        """A copy of that folder, to be spoilt."""
        shutil.copytree(self.out(method), place)
        return place


@pytest.fixture(scope="session")
def forgetful(tmp_path_factory: pytest.TempPathFactory) -> Forgetful:
    place = tmp_path_factory.mktemp("forgetful")
    return Forgetful(write_federation(place / "federation"), place / "outs")


@pytest.fixture
def new_federation(tmp_path: Path) -> Path:
    """The same federation, not trained yet, and free to be spoilt."""
    return write_federation(tmp_path / "federation")


@pytest.fixture
def unlearn(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[..., Any]:
    """One `fedaudit unlearn` command line: its exit code, and its JSON document."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "users-cache"))

    def called(*arguments: str | Path) -> tuple[int, dict[str, Any]]:
        capsys.readouterr()
        code = run(["unlearn", *map(str, arguments), "--json"])
        document = json.loads(capsys.readouterr().out)
        assert document["exit_code"] == code
        described(document)
        return code, document

    return called
