"""`fedaudit secagg bench`: what a round costs, beside Flower's and as cohorts and vectors grow."""

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING

import click

from audit.cli.answer import Answer, command
from audit.cli.quiet import send_nothing

if TYPE_CHECKING:
    from secagg.bench import Benchmark

SCHEMA = "fedaudit.secagg.bench/1"
_ONE_THREAD = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
_POINTS = ["small", "standard", "full", "scale"]


@command("bench")
@click.option("--peer", type=click.Choice(["flower", "none"]), default="flower", show_default=True)
@click.option("--points", type=click.Choice(_POINTS), default="small", show_default=True, help="Which rounds.")
@click.option("--repeats", type=click.IntRange(1, 100), default=3, show_default=True, help="The median counts.")
@click.option("-o", "--output", type=click.Path(path_type=Path, dir_okay=False), help="Write the JSON document here.")
def bench(peer: str, points: str, repeats: int, output: Path | None) -> Answer:
    """Measure CPU time, bytes, memory and error of secure aggregation; a target that is missed is told, not judged.

    small takes a minute, standard half an hour (Flower's round of 100 clients takes minutes), scale measures ours
    alone, full is standard, scale and a round of 10,000 clients with a million elements each.
    """
    prepare()
    from secagg.bench import run_benchmark
    from secagg.bench_scale import WrongMean

    try:
        measured = run_benchmark(points, peer=peer == "flower", repeats=repeats, progress=tell)
    except WrongMean as error:
        return Answer(exit_code=3, code="secagg.wrong_mean", message=str(error), hint="The figures are void.")
    except ModuleNotFoundError as error:
        if error.name is None or error.name.partition(".")[0] != "flwr":
            raise
        hint = "pip install 'fedaudit[flower]', or measure ours alone with --peer none."
        return Answer(exit_code=2, code="secagg.no_peer", message="Flower is not installed", hint=hint)
    fields = {"schema": SCHEMA, **measured.as_fields()}
    if output is not None:
        output.write_text(json.dumps(fields, indent=2, allow_nan=False) + "\n")
    return Answer(text="\n".join(table(measured)), fields=fields)


def prepare() -> None:
    """Ask for one thread and for silence: read by numpy and by Flower when they are first imported."""
    os.environ.update(dict.fromkeys(_ONE_THREAD, "1"))
    send_nothing()


def tell(line: str) -> None:
    """Say on stderr what is being measured."""
    click.echo(line, err=True)


def table(measured: "Benchmark") -> list[str]:
    """Return the figures for people, one line a point, then the targets."""
    lines = [
        f"{'':<38} {'client ms':>10} {'server s':>9} {'upload':>10} {'error':>8} {'MiB':>5}",
        *(line for row in measured.rows for line in _row(row.as_fields(measured.peer))),
        f"mask of 10^6 elements: {measured.stream.ours_ms:.2f} ms; AES alone {measured.stream.aes_ms:.2f} ms"
        + ("" if measured.stream.peer_ms is None else f"; Flower's generator {measured.stream.peer_ms:.2f} ms"),
        "",
    ]
    for target in measured.targets:
        verdict = click.style("met", fg="green") if target.met else click.style("missed", fg="red")
        lines.append(f"{verdict:<6} {target.name}: {target.value:.4g} ({target.bound})")
    return lines


def _row(fields: dict[str, object]) -> list[str]:
    name = f"{fields['name']} (k={fields['degree']}, t={fields['threshold']}, dim {fields['dim']})"
    lines = [click.style(name, bold=True), _side("ours", fields["ours"])]
    peer, ratio = fields["peer"], fields["ratio"]
    if isinstance(peer, dict) and isinstance(ratio, dict):
        lines.append(_side(f"{peer['name']} {peer['version']}", peer))
        lines.append(
            f"  {'ratio':<36} {ratio['client']:>9.1f}x {ratio['server']:>8.0f}x {ratio['upload']:>9.4f}x"
            f" {ratio['error']:>7.2f}x"
        )
    return lines


def _side(name: str, side: object) -> str:
    if not isinstance(side, dict):
        raise TypeError("a side is an object of figures")
    error = "-" if side["max_abs_error"] is None else f"{side['max_abs_error']:.1e}"
    memory = "-" if side["peak_rss_mib"] is None else f"{side['peak_rss_mib']:.0f}"
    times = f"{side['client_ms']:>10.2f} {side['server_s']:>9.4f}"
    return f"  {name:<36} {times} {side['upload_bytes']:>10} {error:>8} {memory:>5}"
