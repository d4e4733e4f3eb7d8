"""`fedaudit secagg simulate`: whole rounds in memory, with drop-outs, hostile servers and planted faults."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from audit.cli.answer import Answer, command
from audit.cli.simulation_options import require_sense, simulation_options
from reports.errors import FileError

if TYPE_CHECKING:
    from rich.progress import TaskID

    from secagg.keys import Identity
    from secagg.outcome import RoundResult
    from secagg.setting import RoundConfig
    from secagg.simulated_round import Progress
    from secagg.transcript import TranscriptWriter

SCHEMA = "fedaudit.secagg.simulate/1"


@command("simulate")
@simulation_options
def simulate(**asked: Any) -> Answer:
    """Run rounds of secure aggregation in memory and compare the unmasked sum with the plain one.

    Exit 3 if an honest round was aborted. With --malice the exit code is 0 whatever came of it: read `attack`.
    """
    import secrets

    from secagg.limits import ParameterError
    from secagg.params import InfeasibleParameters

    require_sense(asked)
    seed = secrets.randbits(63) if asked["seed"] is None else asked["seed"]
    try:
        results = tuple(_rounds(asked, _config(asked), seed))
    except ParameterError as error:
        flag = "--" + error.name.replace("_", "-")
        raise click.UsageError(f"{flag} is {error.value!r}; allowed is {error.allowed}") from error
    except InfeasibleParameters as error:
        return Answer(
            fields={"schema": SCHEMA, "status": "aborted", "reason": "infeasible", "clients": asked["clients"]},
            exit_code=3,
            code="secagg.infeasible",
            message=error.reason,
            hint=_nearest(error.feasible_dropout_fraction),
        )
    _write_mean(asked["out"], results)
    return _answer(asked, seed, results)


def _config(asked: Mapping[str, Any]) -> "RoundConfig":
    from secagg.arrays import read_weights
    from secagg.limits import MOST_CLIENTS, require_whole
    from secagg.plants import staged
    from secagg.quantize import Quantization
    from secagg.setting import RoundConfig

    require_whole("clients", asked["clients"], 2, MOST_CLIENTS)  # before a file is compared with it
    weights, most = None, 1
    if asked["weights"] is not None:
        weights = read_weights(asked["weights"], asked["clients"], asked["max_weight"])
        most = max(weights) if asked["max_weight"] is None else asked["max_weight"]
    weighting = "uniform" if weights is None else "integer"
    try:
        rule = Quantization(asked["clipping_range"], asked["levels"], weighting, most, asked["rounding"])
    except ValueError as error:
        name, _, told = str(error).partition(" ")
        raise click.UsageError(f"--{name.replace('_', '-')} {told}") from error
    config = RoundConfig(
        clients=asked["clients"],
        length=asked["dim"],
        degree=asked["degree"],
        threshold=asked["threshold"],
        corrupt_fraction=asked["corrupt_fraction"],
        dropout_fraction=asked["dropout_fraction"],
        server_trust=asked["server_trust"],
        modulus_bits=int(asked["modulus_bits"]),
        quantization=rule,
        weights=weights,
        required_sigma=asked["require_sigma"],
        required_eta=asked["require_eta"],
    )
    return config if asked["plant"] is None else staged(config, asked["plant"])


def _rounds(asked: Mapping[str, Any], config: "RoundConfig", seed: int) -> Iterator["RoundResult"]:
    """Yield the rounds one after another: the same clients and, if they are recorded, the same identities."""
    import numpy as np

    from audit.executors import named_executor
    from secagg.arrays import read_updates
    from secagg.drops import DropPlan
    from secagg.setting import make_identities
    from secagg.simulate import SeededUpdates, simulate_round

    drop, executor, rng = DropPlan.parse(asked["drop"]), named_executor(asked["executor"]), np.random.default_rng(seed)
    config.chosen()  # this and the next line refuse what does not fit, before anything is written
    drop.resolve(config.ids, np.random.default_rng(0))
    given = None if asked["updates"] is None else read_updates(asked["updates"], config.clients, config.length)
    folder = _empty(asked["transcript"])
    identities = make_identities(config.ids) if folder is not None or config.malicious else None
    for number in range(1, asked["rounds"] + 1):
        plant = asked["plant"] if number == 1 or asked["plant"] == "key-reuse" else None
        with _recorder(folder, number, asked["blobs"] == "keep", identities) as recorder, _drawn() as progress:
            yield simulate_round(
                replace(config, round=number),
                SeededUpdates(int(rng.integers(2**63)), config.length) if given is None else given,
                drop=drop,
                malice=asked["malice"],
                plant=plant,
                rng=rng,
                recorder=recorder,
                executor=executor,
                identities=identities,
                client=asked["client"],
                progress=progress,
            )


def _empty(folder: Path | None) -> Path | None:
    """Return the folder of the transcripts, which nothing may be in."""
    if folder is not None and folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        message = f"--transcript {folder} is not an empty folder, and a transcript is never overwritten"
        raise FileError("secagg.transcript_exists", message, "Give a folder that is empty or not there yet.")
    return folder


def _recorder(
    folder: Path | None, number: int, keep_blobs: bool, identities: "Mapping[str, Identity] | None"
) -> "AbstractContextManager[TranscriptWriter | None]":
    from secagg.transcript import TranscriptWriter

    if folder is None or identities is None:
        return nullcontext()
    vouched = {one: identity.public_key for one, identity in identities.items()}
    return TranscriptWriter(_round_folder(folder, number), keep_blobs=keep_blobs, identities=vouched)


def _round_folder(folder: Path, number: int) -> Path:
    return folder / f"round-{number:04d}"


@contextmanager
def _drawn() -> "Iterator[Progress]":
    """Draw the phases on stderr, if that is a terminal."""
    from rich.console import Console
    from rich.progress import Progress as Bar

    console = Console(stderr=True)
    with Bar(console=console, transient=True, disable=not console.is_terminal) as bar:
        tasks: dict[str, TaskID] = {}

        def told(phase: str, done: int, total: int) -> None:
            if phase not in tasks:
                tasks[phase] = bar.add_task(phase, total=total)
            bar.update(tasks[phase], completed=done)

        yield told


def _write_mean(path: Path | None, results: "Sequence[RoundResult]") -> None:
    import numpy as np

    if path is None or results[-1].mean is None:
        return
    try:
        with path.open("wb") as file:
            np.save(file, results[-1].mean, allow_pickle=False)
    except OSError as error:
        raise FileError("secagg.unwritable", f"cannot write {path}: {error.strerror}") from error


def _answer(asked: Mapping[str, Any], seed: int, results: "Sequence[RoundResult]") -> Answer:
    documents = [
        {**one.as_fields(), "transcript": _recorded(asked["transcript"], number)}
        for number, one in enumerate(results, start=1)
    ]
    aborted = next((one for one in results if one.status == "aborted"), None)
    failed = aborted is not None and asked["malice"] is None
    fields = documents[0] if asked["rounds"] == 1 else {"rounds": documents}
    return Answer(
        text="\n".join(line for one in results for line in _lines(one)),
        fields={"schema": SCHEMA, "seed": seed, **fields},
        exit_code=3 if failed else 0,
        code="secagg.aborted" if failed else "ok",
        message=f"the round was aborted: {aborted.reason}" if failed and aborted is not None else "",
    )


def _recorded(folder: Path | None, number: int) -> str | None:
    return None if folder is None else str(_round_folder(folder, number))


def _lines(result: "RoundResult") -> Iterator[str]:
    """Yield a result for people."""
    phases = ", ".join(f"{count} {name}" for name, count in result.phases.items())
    if result.attack is not None:
        attack = result.attack
        colour, word = ("green", "refused") if attack.refused else ("red", "NOT refused")
        yield f"{attack.knob}: {click.style(word, fg=colour, bold=True)}{', and the vector leaked' * attack.leaked}"
        for code, count in Counter(one.code for one in attack.refusals).items():
            yield f"  {code:<20} {count} client{'s' * (count != 1)}"
        if attack.loosened:
            yield f"  loosened             {', '.join(attack.loosened)}"
    elif result.status == "ok":
        exact = click.style("exact", fg="green") if result.exact else click.style("NOT EXACT", fg="red")
        yield f"{click.style('ok', fg='green', bold=True)}: sum of {len(result.survivors)} of {result.clients}, {exact}"
    else:
        yield f"{click.style('aborted', fg='yellow', bold=True)}: {result.reason}"
    yield f"  degree {result.degree}, threshold {result.threshold}; {phases}"
    if result.total is not None:
        yield f"  sum {result.aggregate_sha256}, largest error of the mean {result.max_abs_error:.2g}"
        cost = (
            f"{result.client_ms:.1f} ms and {result.upload_bytes:,} bytes a client, {result.server_s:.3f} s the server"
        )
        yield f"  {cost}, {result.peak_rss_mib:.0f} MiB in all"
    if result.blamed:
        yield f"  blamed: {', '.join(sorted(result.blamed)[:10])}"


def _nearest(fraction: float | None) -> str:
    if fraction is None:
        return "Not even without drop-outs is there a choice: take more clients."
    return f"The nearest feasible drop-out fraction is {fraction}."
