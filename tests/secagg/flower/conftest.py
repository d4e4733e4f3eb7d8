"""Flower for the tests marked `flower`: imported once, its telemetry off, the warnings of its own imports unheard."""

import importlib
import os
import warnings

import pytest

IMPORTED = (
    "flwr.app", "flwr.clientapp", "flwr.client.mod", "flwr.server.workflow", "flwr.serverapp.strategy",
    "flwr.compat.client.client", "flwr.server.strategy",
)  # fmt: skip


@pytest.fixture(scope="session")
def flower() -> None:
    """Import Flower; it sends usage figures home unless the environment says not to, before the first import."""
    os.environ["FLWR_TELEMETRY_ENABLED"] = "0"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # Flower's dependencies among themselves (typer, click)
        for module in IMPORTED:
            importlib.import_module(module)


@pytest.fixture(autouse=True)
def _flower_where_marked(request: pytest.FixtureRequest) -> None:
    if request.node.get_closest_marker("flower"):
        request.getfixturevalue("flower")
