"""The quick-start of `examples/`, run in this process, and what the capture of it leaves."""

import importlib
import importlib.util
import os
import sys
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch

APP = Path(__file__).parents[3] / "examples" / "flower_quickstart"


@pytest.fixture(scope="session")
def flower() -> None:
    """Import Flower; it sends usage figures home unless the environment says not to, before the first import."""
    os.environ["FLWR_TELEMETRY_ENABLED"] = "0"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # Flower's dependencies among themselves (typer, click)
        for module in ("flwr.app", "flwr.clientapp.mod", "flwr.client.mod", "flwr.server.workflow", "flwr.serverapp"):
            importlib.import_module(module)


@pytest.fixture(autouse=True)
def _flower_where_marked(request: pytest.FixtureRequest) -> None:
    if request.node.get_closest_marker("flower"):
        request.getfixturevalue("flower")


@pytest.fixture(scope="session")
def quickstart(flower: None) -> Iterator[Callable[[str], ModuleType]]:
    """Import a module of the example by name; gone from the interpreter afterwards."""
    sys.path.insert(0, str(APP))
    try:
        yield lambda name: importlib.import_module(f"quickstart.{name}")
    finally:
        sys.path.remove(str(APP))
        for name in [name for name in sys.modules if name.partition(".")[0] == "quickstart"]:
            del sys.modules[name]


@pytest.fixture(scope="session")
def simulate() -> ModuleType:
    """The example's script."""
    spec = importlib.util.spec_from_file_location("flower_quickstart_simulate", APP / "simulate.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


Rehearse = Callable[..., Path]


@pytest.fixture(scope="session")
def rehearse(
    quickstart: Callable[[str], ModuleType], simulate: ModuleType, tmp_path_factory: pytest.TempPathFactory
) -> Rehearse:
    """Run the example's apps in this process, as the script does under ray; return where the capture lies.

    Arguments are the protection and the number of clients; one planted record each, one round.
    """
    from flwr.app import Context, RecordDict

    from secagg.flower.harness import RUN_ID, InProcessGrid

    def run(protection: str, clients: int, **config: Any) -> Path:
        client, server = (quickstart(module).app for module in simulate.APPS[protection])
        told = simulate.run_config(**{"clients": clients, "planted": 1, "num-server-rounds": 1, **config})
        folder = tmp_path_factory.mktemp("rehearsal")
        before = Path.cwd()
        np.random.seed(0)  # noqa: NPY002  (Flower's noise and rounding come from NumPy's global dice)
        torch.manual_seed(0)
        os.chdir(folder)
        try:
            with InProcessGrid([client] * clients, run_config=told) as grid:
                server(grid=grid.as_grid, context=Context(RUN_ID, 0, {}, RecordDict(), told))
                assert grid.errors == []
        finally:
            os.chdir(before)
        return folder / "captured" / protection

    return run
