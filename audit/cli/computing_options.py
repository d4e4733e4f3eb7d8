"""The options that say how a run computes: which executor, which device, which engine."""

from collections.abc import Callable

import click

from audit.cli.answer import Answer

_OPTIONS = (
    click.option(
        "--executor", type=click.Choice(["serial", "process", "ray"]), default="serial", show_default=True,
        help="Where trials run; the answers are the same.",
    ),
    click.option(
        "--device", type=click.Choice(["auto", "cpu", "cuda"]), default="auto", show_default=True,
        help="Where attacks compute; auto: a GPU where there is one.",
    ),
    click.option(
        "--engine", type=click.Choice(["auto", "factored", "vmap", "sequential"]), default="auto", show_default=True,
        help="How gradients are matched; auto: each attack chooses.",
    ),
)  # fmt: skip


def computing_options(function: Callable[..., Answer]) -> Callable[..., Answer]:
    """Give a command the three options."""
    for option in reversed(_OPTIONS):
        function = option(function)
    return function


def named_device(name: str) -> str:
    """Return the device that an option names: "cpu" or "cuda".

    Raises:
        click.UsageError: A GPU was asked for, and there is none that torch can use.
    """
    import torch

    there = torch.cuda.is_available()
    if name == "cuda" and not there:
        raise click.UsageError("--device cuda: there is no GPU here that torch can use; take cpu")
    return "cuda" if there and name != "cpu" else "cpu"
