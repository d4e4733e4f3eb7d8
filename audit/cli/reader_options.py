"""Who reads the documents: the options that name a judge file or an endpoint, and what becomes of them."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from audit.cli.answer import Answer

if TYPE_CHECKING:
    from compliance.assessing import Readership
    from compliance.judge_file import JudgeFile

PATH = click.Path(path_type=Path)
_OF_AN_ENDPOINT = (
    "model", "api_key_env", "max_concurrency", "timeout", "deadline", "max_retries", "context_tokens", "max_requests",
)  # fmt: skip
_SECONDS = click.FloatRange(0, 86_400, min_open=True)
_JUDGE_OPTIONS = (
    click.option("--judge", type=PATH, help="A judge.toml: who reads."),
    click.option("--base-url", metavar="URL", help="An OpenAI-compatible endpoint, instead of a judge.toml."),
    click.option("--model", metavar="NAME", help="The model at that endpoint."),
    click.option("--api-key-env", metavar="VARIABLE", help="The environment variable that holds its key."),
    click.option("--max-concurrency", type=click.IntRange(1, 256), metavar="N", help="Requests to it at once."),
    click.option("--timeout", type=_SECONDS, metavar="S", help="Seconds that it may be silent."),
    click.option("--deadline", type=_SECONDS, metavar="S", help="Seconds for one request over everything."),
    click.option("--max-retries", type=click.IntRange(0, 10), metavar="N", help="Further attempts after a fault."),
    click.option("--context-tokens", type=click.IntRange(1), metavar="N", help="What the model reads at once."),
    click.option("--max-requests", type=click.IntRange(1), metavar="N", help="Requests at most, retries included."),
    click.option(
        "--samples", type=click.IntRange(1, 99), metavar="K", help="Answers for a question; else the judge file's."
    ),
    click.option("--record", type=PATH, metavar="DIR", help="Keep requests and answers here."),
    click.option("--replay", type=PATH, metavar="DIR", help="Take the answers from here; no socket is opened."),
    click.option(
        "--allow-remote-llm",
        multiple=True,
        metavar="HOST",
        envvar="FEDAUDIT_ALLOW_REMOTE_LLM",
        help="Documents may go to this host; may be repeated.",
    ),
)
JUDGE_NAMES = ("judge", "base_url", *_OF_AN_ENDPOINT, "samples", "record", "replay")
"""Names of the options that need somebody to ask."""
_READER_OPTIONS = (
    click.option("--planted", type=click.IntRange(0, 5), metavar="N", help="Pairs of excerpts with known scores."),
    click.option("--calibration", type=PATH, help="What `calibrate` wrote of this reader."),
)


def judge_options(function: Callable[..., Answer]) -> Callable[..., Answer]:
    """Add the options that say who is asked, and how."""
    for option in reversed(_JUDGE_OPTIONS):
        function = option(function)
    return function


def reader_options(function: Callable[..., Answer]) -> Callable[..., Answer]:
    """Add the options that say who reads, and what is known of that reader."""
    for option in reversed(_READER_OPTIONS):
        function = option(function)
    return judge_options(function)


def readership(asked: Mapping[str, Any], own: Path | None, calibration: Path | None) -> "Readership | None":
    """Return who reads; None where nobody was named.

    Args:
        asked: The options, by name.
        own: The judge file that the system names.
        calibration: The calibration that the system names.

    Raises:
        click.UsageError: options exclude each other, or need one that is missing.
        JudgeFileError: the judge file cannot be used.
    """
    named = judge_named(asked, own)
    if named is None:
        for name in ("record", "replay"):
            if asked[name] is not None:
                raise click.UsageError(f"--{name} needs a reader: give --judge, or --base-url and --model")
        return None
    if asked["seed"] is not None:
        named = replace(named, judge_file=named.judge_file.model_copy(update={"seed": asked["seed"]}))
    return replace(named, pairs=asked["planted"], calibration=asked["calibration"] or calibration)


def judge_named(asked: Mapping[str, Any], own: Path | None = None) -> "Readership | None":
    """Return who is asked, with what leave and which recording; None where nobody was named.

    Args:
        asked: The options, by name.
        own: The judge file that a system names.

    Raises:
        click.UsageError: options exclude each other, or need one that is missing.
        JudgeFileError: the judge file cannot be used.
    """
    from compliance.assessing import Readership

    found = _judge_file(asked, own)
    if found is None:
        return None
    judge_file, folder = found
    return Readership(
        judge_file,
        folder,
        consent=asked["allow_remote_llm"],
        samples=asked["samples"],
        mode="record" if asked["record"] else "replay" if asked["replay"] else None,
        cassette=asked["record"] or asked["replay"],
    )


def _judge_file(asked: Mapping[str, Any], own: Path | None) -> "tuple[JudgeFile, Path] | None":
    """Return the judge file and the folder of its paths; None where nobody was named."""
    from compliance.judge_file import load_judge_file, quick_judge

    if asked["record"] and asked["replay"]:
        raise click.UsageError("--record and --replay exclude each other")
    given = next((name for name in ("base_url", *_OF_AN_ENDPOINT) if asked[name] is not None), None)
    if given is None:
        file = asked["judge"] or own
        return None if file is None else (load_judge_file(file), file.parent)
    flag = f"--{given.replace('_', '-')}"
    if asked["judge"] is not None:
        raise click.UsageError(f"--judge and {flag} exclude each other: the file says it")
    if asked["base_url"] is None or asked["model"] is None:
        raise click.UsageError(f"{flag} needs --base-url and --model, both")
    flags = {
        "api_key_env": asked["api_key_env"],
        "max_concurrency": asked["max_concurrency"],
        "timeout_s": asked["timeout"],
        "deadline_s": asked["deadline"],
        "max_retries": asked["max_retries"],
        "context_tokens": asked["context_tokens"],
    }
    return quick_judge(asked["base_url"], asked["model"], max_requests=asked["max_requests"], **flags), Path()
