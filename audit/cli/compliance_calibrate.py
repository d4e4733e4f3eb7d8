"""`fedaudit compliance calibrate`: how well a reader of documents agrees with legal experts."""

import asyncio
from collections.abc import Mapping, Sequence
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from audit.cli.answer import Answer, command
from audit.cli.clock import DAY, the_time
from audit.cli.reader_options import JUDGE_NAMES, PATH, judge_named, judge_options

if TYPE_CHECKING:
    from compliance.aireg import Dataset
    from compliance.assessing import Readership
    from compliance.calibration import Calibration
    from compliance.measuring import Measured

SHIPPED = "shipped"
LARGEST_SEED = 2**53 - 1


@command("calibrate")
@click.option("--scores", "scores_file", type=PATH, help="Scores that are there already (JSON); no model is asked.")
@click.option("--rater", "raters", multiple=True, metavar="NAME", help="Whose scores; two or more add a panel.")
@click.option("--dataset", default=SHIPPED, show_default=True, metavar="shipped|DIR", help="What is read.")
@judge_options
@click.option("--limit", type=click.IntRange(1), metavar="N", help="Only the first N items.")
@click.option("--resamples", type=click.IntRange(100, 100_000), default=2000, show_default=True, metavar="B")
@click.option("--seed", type=click.IntRange(0, LARGEST_SEED), default=0, show_default=True, help="Of the resamples.")
@click.option("--on", type=DAY, help="The day of the calibration; else that of the clock, in UTC.")
@click.option("-o", "--output", type=PATH, help="Write calibration.json here.")
def calibrate(**asked: Any) -> Answer:
    """Measure a reader of documents against legal experts, and say whether it meets the calibration bar.

    The reader is asked through --judge or --base-url, or its scores are taken from --scores, or from a copy of
    AIReg-Bench with --dataset and --rater. Scores that were handed in never admit a reader. Exit 0 whatever the figures
    say; 3 if items were left unanswered.
    """
    on = asked["on"] or the_time(None).date()
    if asked["scores_file"] is not None or asked["raters"]:
        return _of_scores(asked, on)
    named = judge_named(asked)
    if named is None:
        raise click.UsageError("who is to be calibrated? Give --scores FILE, --judge FILE, or --base-url and --model")
    return _of_judge(asked, named, on)


def _of_scores(asked: Mapping[str, Any], on: date) -> Answer:
    from compliance.aireg import read_scores

    file: Path | None = asked["scores_file"]
    for name in JUDGE_NAMES:
        if asked[name] is not None:
            flag = "--rater" if file is None else "--scores"
            raise click.UsageError(f"{flag} and --{name.replace('_', '-')} exclude each other: no model is asked")
    if file is not None and asked["dataset"] != SHIPPED:
        raise click.UsageError("--scores and --dataset exclude each other: the file is the data set")
    dataset = _limited(_dataset(asked["dataset"]) if file is None else read_scores(file), asked["limit"])
    names = _named(dataset, asked["raters"], asked["dataset"] if file is None else str(file))
    given = {name: dataset.scores_of(name) for name in names}
    return _answer(_calibrated(dataset, given[names[0]], asked, on, rater=names[0], raters=given), asked["output"])


def _named(dataset: "Dataset", named: Sequence[str], place: str) -> tuple[str, ...]:
    """Return whose scores are compared, each once, in the order in which they were named.

    Raises:
        CalibrationError: `scores.rater`: there is no such rater, or several and none was named.
    """
    from compliance.errors import CalibrationError

    known = dataset.raters()
    listed = ", ".join(map(repr, known)) or "none"
    for name in named:
        if name not in known:
            message = f"{place}: scores: no item has a score of the rater {name!r:.60}"
            raise CalibrationError("scores.rater", message, f"Known are {listed}.")
    if not named and len(known) != 1:
        message = f"{place}: scores: has {len(known)} raters, and none was chosen"
        raise CalibrationError("scores.rater", message, f"Choose with --rater; known are {listed}.")
    return tuple(dict.fromkeys(named or known))


def _of_judge(asked: Mapping[str, Any], reader: "Readership", on: date) -> Answer:
    dataset = _limited(_dataset(asked["dataset"]), asked["limit"])
    measured = asyncio.run(_asked(dataset, reader))
    if measured.errors and not any(measured.scores.values()):
        raise measured.errors[0]
    calibration = _calibrated(
        dataset,
        measured.scores,
        asked,
        on,
        rater=measured.rater,
        raters=measured.raters,
        fingerprint=measured.fingerprint,
        invalid=measured.invalid,
    )
    return _answer(calibration, asked["output"], measured)


async def _asked(dataset: "Dataset", reader: "Readership") -> "Measured":
    from compliance.llm.panel import open_panel
    from compliance.measuring import measure

    judge = reader.judge_file
    async with open_panel(
        judge,
        reader.folder,
        consent=reader.consent,
        classification="public",  # excerpts of a published benchmark
        mode=reader.mode,
        cassette=reader.cassette,
    ) as panel:
        return await measure(dataset, panel, samples=reader.samples or judge.samples or 1, seed=judge.seed)


def _dataset(name: str) -> "Dataset":
    if name == SHIPPED:
        from compliance.aireg import shipped_dataset

        return shipped_dataset()
    from compliance.aireg_repository import read_repository

    return read_repository(Path(name))


def _limited(dataset: "Dataset", limit: int | None) -> "Dataset":
    return dataset if limit is None else dataset.first(limit)


def _calibrated(
    dataset: "Dataset", scores: Mapping[str, int | None], asked: Mapping[str, Any], on: date, **more: Any
) -> "Calibration":
    import numpy as np

    from compliance.calibration import calibrate as calibrated

    rng = np.random.default_rng(asked["seed"])
    return calibrated(dataset, scores, on=on, rng=rng, resamples=asked["resamples"], **more)


def _answer(calibration: "Calibration", output: Path | None, measured: "Measured | None" = None) -> Answer:
    """Return the calibration for people and machines, written where a file was named."""
    from audit.cli.calibration_text import text_of
    from audit.cli.written import write_whole
    from compliance.calibration import calibration_bytes

    fields: dict[str, object] = calibration.model_dump(mode="json", by_alias=True)
    fields["output"] = None if output is None else str(output)
    if output is not None:
        write_whole(output, calibration_bytes(calibration))
    text = text_of(calibration)
    if (trouble := _unfinished(calibration, measured)) is None:
        return Answer(text=text, fields=fields)
    code, message, hint = trouble
    told = f"{text}\n{click.style(message, fg='red')}" + (f"\n  {hint}" if hint else "")
    return Answer(text=told, fields=fields, exit_code=3, code=code, message=message, hint=hint)


def _unfinished(calibration: "Calibration", measured: "Measured | None") -> tuple[str, str, str] | None:
    """Return code, sentence and mend where items were left out, None where all were asked and some answered."""
    if measured is None:
        return None
    if measured.not_asked:
        lacking = f"{len(measured.not_asked)} of {calibration.dataset.n} items were not asked about"
        if not measured.errors:
            return "calibration.not_asked", lacking, "Raise the budget and calibrate again."
        first = measured.errors[0]
        return first.code, f"{lacking}: {first.message}", first.hint
    if not calibration.n:
        return "invalid_output", f"none of {calibration.invalid} items was answered in a form that can be used", ""
    return None
