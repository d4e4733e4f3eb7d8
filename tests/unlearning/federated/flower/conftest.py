"""Flower for the tests marked `flower`: imported once, its telemetry off, the warnings of its own imports unheard."""

import importlib
import os
import warnings
from collections.abc import Iterator

import pytest
import torch

IMPORTED = ("flwr.app", "flwr.clientapp", "flwr.clientapp.mod", "flwr.serverapp", "flwr.serverapp.strategy")


@pytest.fixture(scope="session")
def flower() -> None:
    """Import Flower; it sends usage figures home unless the environment says not to, before the first import."""
    os.environ["FLWR_TELEMETRY_ENABLED"] = "0"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # Flower's dependencies among themselves (typer, click)
        for module in IMPORTED:
            importlib.import_module(module)


@pytest.fixture(autouse=True)
def _flower_where_marked(request: pytest.FixtureRequest) -> Iterator[None]:
    if request.node.get_closest_marker("flower"):
        request.getfixturevalue("flower")
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)
