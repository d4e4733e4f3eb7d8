"""The options of `fedaudit secagg simulate`, and which of them go together."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import click

from audit.cli.answer import Answer

FILE = click.Path(path_type=Path)
CURIOUS = "honest-but-curious"
_COHORT = (
    click.option("--clients", type=int, required=True, help="Clients in the cohort."),
    click.option("--dim", type=int, required=True, help="Elements of an update."),
    click.option("--degree", type=int, help="Neighbours of a client; by default the guarded choice."),
    click.option("--threshold", type=int, help="Shares that rebuild a secret; by default the guarded choice."),
    click.option("--corrupt-fraction", type=float, default=0.05, show_default=True, help="Share of corrupt clients."),
    click.option("--dropout-fraction", type=float, default=0.05, show_default=True, help="Share of clients lost."),
    click.option("--server-trust", type=click.Choice([CURIOUS, "malicious"]), default=CURIOUS, show_default=True),
    click.option("--require-sigma", type=float, default=40.0, show_default=True, help="What clients ask for, or 0."),
    click.option("--require-eta", type=float, default=20.0, show_default=True, help="What clients ask for, or 0."),
)
_UPDATES = (
    click.option("--modulus-bits", type=click.Choice(["32", "64"]), default="32", show_default=True),
    click.option("--clipping-range", type=float, default=8.0, show_default=True, help="Of each element, both sides."),
    click.option("--levels", type=int, default=4194304, show_default=True, help="Steps of quantisation."),
    click.option("--rounding", type=click.Choice(["stochastic", "nearest"]), default="stochastic", show_default=True),
    click.option("--updates", type=FILE, help="One row a client, float32 (.npy); by default drawn."),
    click.option("--weights", type=FILE, help="Whole numbers, one a client (.npy); the mean is weighted then."),
    click.option("--max-weight", type=int, help="Largest weight; by default the largest in the file."),
)
_COURSE = (
    click.option("--drop", multiple=True, metavar="PHASE=WHOM", help="Who is lost: a number, or ID,ID. Repeatable."),
    click.option("--rounds", type=click.IntRange(1, 9999), default=1, show_default=True),
    click.option("--malice", metavar="KNOB", help="A hostile server, or a lying client."),
    click.option("--client", type=click.Choice(["strict", "weak"]), default="strict", show_default=True),
    click.option("--plant", metavar="CODE", help="Write a transcript with this one fault."),
    click.option("--transcript", type=FILE, metavar="DIR", help="Record each round below this folder."),
    click.option("--blobs", type=click.Choice(["keep", "digest"]), default="keep", show_default=True),
    click.option("--out", type=FILE, help="Write the mean of the last round (.npy, float64)."),
    click.option("--seed", type=click.IntRange(0, 2**63 - 1), help="Of graph, drop-outs and rounding; not of keys."),
    click.option("--executor", type=click.Choice(["serial", "process", "ray"]), default="serial", show_default=True),
)


def simulation_options(function: Callable[..., Answer]) -> Callable[..., Answer]:
    """Give a command all options of `simulate`."""
    for option in reversed((*_COHORT, *_UPDATES, *_COURSE)):
        function = option(function)
    return function


def require_sense(asked: Mapping[str, Any]) -> None:
    """Refuse words that are not there, and options that exclude one another, with a usage error."""
    from secagg.malice import FEWEST_CLIENTS, KNOBS
    from secagg.plants import PLANTS
    from secagg.sabotage import SABOTAGES

    malice, plant = asked["malice"], asked["plant"]
    for flag, value, allowed in (("--malice", malice, (*KNOBS, *SABOTAGES)), ("--plant", plant, PLANTS)):
        if value is not None and value not in allowed:
            raise click.UsageError(f"{flag} is {value!r}; allowed is one of {', '.join(allowed)}")
    for name in ("require_sigma", "require_eta"):
        if not 0 <= asked[name] < float("inf"):
            flag = "--" + name.replace("_", "-")
            raise click.UsageError(f"{flag} is {asked[name]!r}; allowed is 0 or a finite number of bits above")
    if malice in KNOBS:
        if asked["clients"] < FEWEST_CLIENTS:
            raise click.UsageError(f"--clients is {asked['clients']}; with --malice {FEWEST_CLIENTS} is the least")
        for name in ("transcript", "drop", "weights", "out"):
            if asked[name]:
                raise click.UsageError(f"--malice {malice} and --{name} exclude each other: there is no sum")
    if plant is not None and malice is not None:
        raise click.UsageError("--plant and --malice exclude each other: one fault at a time")
    if plant is not None and asked["transcript"] is None:
        raise click.UsageError("--plant writes a transcript; say where with --transcript DIR")
    if plant == "key-reuse" and asked["rounds"] < 2:
        raise click.UsageError("--plant key-reuse wants --rounds 2 or more")
    if plant == "blob-digest" and asked["blobs"] == "digest":
        raise click.UsageError("--plant blob-digest wants --blobs keep")
    if asked["max_weight"] is not None and asked["weights"] is None:
        raise click.UsageError("--max-weight goes with --weights")
