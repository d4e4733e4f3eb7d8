"""Run the app in Flower's simulation engine, as it is or with one of Flower's protections.

    pip install "fedaudit[flower,ray]"
    python simulate.py plain                                          # trains: 10 clients, 3 rounds
    python simulate.py plain --clients 64 --planted 1 --rounds 1      # rehearses for an audit
    python simulate.py secagg --clients 32 --planted 1 --rounds 1
    python simulate.py dp --clients 64 --planted 1 --rounds 1

`flwr run .` does the same for the app that pyproject.toml names, in an environment that it installs from a package
index; this needs none. What is captured lies in `captured/`, below the folder of this file.
"""

import argparse
import importlib
import os
import sys
import tomllib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

APPS = {
    "plain": ("client_app", "server_app"),
    "secagg": ("client_app_secagg", "server_app_secagg"),
    "dp": ("client_app_dp", "server_app"),
}
HERE = Path(__file__).parent


def configured(app: Callable[..., Any], config: Mapping[str, Any], at: int) -> Callable[..., Any]:
    """Return an app whose context, the argument `at`, has this run configuration; `run_simulation` gives it none."""

    def call(*arguments: Any, **named: Any) -> Any:
        context = named["context"] if "context" in named else arguments[at]
        before, context.run_config = context.run_config, dict(config)
        try:
            return app(*arguments, **named)
        finally:
            context.run_config = before  # Flower compares it: a client must not change it

    return call


def run_config(**given: Any) -> dict[str, Any]:
    """Return the configuration of pyproject.toml, with what is given instead."""
    stated = tomllib.loads((HERE / "pyproject.toml").read_text(encoding="utf-8"))
    return {**stated["tool"]["flwr"]["app"]["config"], **given}


def main() -> None:
    """Read the command line, and run."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("protection", choices=APPS)
    parser.add_argument("--clients", type=int, default=10)
    parser.add_argument("--planted", type=int, default=0, help="records of each client; 0 trains on all")
    parser.add_argument("--rounds", type=int, default=3)
    given = parser.parse_args()
    os.chdir(HERE)
    os.environ["PYTHONPATH"] = os.pathsep.join([str(HERE), *filter(None, [os.environ.get("PYTHONPATH")])])
    sys.path.insert(0, str(HERE))
    from flwr.simulation import run_simulation

    client, server = (importlib.import_module(f"quickstart.{module}").app for module in APPS[given.protection])
    config = run_config(**{"clients": given.clients, "planted": given.planted, "num-server-rounds": given.rounds})
    run_simulation(
        server_app=configured(server, config, 1),
        client_app=configured(client, config, 1),
        num_supernodes=given.clients,
        backend_config={"init_args": {"num_cpus": 2}, "client_resources": {"num_cpus": 1}},
    )


if __name__ == "__main__":
    main()
