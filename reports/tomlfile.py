"""A TOML file becomes a noun, or one error that names the file, the key and the mend.

Policy and trust files are written by hand, so a slip is met with advice: the nearest known key or word is offered.
"""

import difflib
import re
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple, TypeVar, get_args

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from reports.errors import FedauditError

AnyNoun = TypeVar("AnyNoun", bound=BaseModel)
LARGEST_FILE = 1 << 20
"""Bytes; a file written by hand is far smaller."""
_BARE_KEY = re.compile(r"[A-Za-z0-9_-]+")
_WORDS = re.compile(r"'([^']*)'")


class Fault(NamedTuple):
    """One thing wrong with a declared value."""

    code: str
    """Machine word without the file's prefix, such as `unknown_key`; a validator's own word where it gave one."""
    key: str
    """Path of keys, such as `threshold[0].limit`; empty for the whole file."""
    problem: str
    """What is wrong, to follow the key."""
    mend: str
    """What to do, a sentence."""


def read_toml(path: Path, error: type[FedauditError], prefix: str, *, largest: int = LARGEST_FILE) -> dict[str, object]:
    """Return the tables of a TOML file.

    Raises:
        FedauditError: of the given class, with code `prefix.not_found`, `prefix.too_large` or `prefix.syntax`.
    """
    return parse_toml(read_bounded(path, error, prefix, largest=largest), path, error, prefix)


def read_bounded(path: Path, error: type[FedauditError], prefix: str, *, largest: int = LARGEST_FILE) -> bytes:
    """Return what a file holds; raises as `read_toml`, without looking at the syntax."""
    try:
        if not path.is_file():  # before opening: a FIFO would block for ever
            raise error(f"{prefix}.not_found", f"{path}: there is no such file", "Check the path.")
        with path.open("rb") as file:
            data = file.read(largest + 1)
    except OSError as cause:
        raise error(f"{prefix}.not_found", f"{path}: cannot be read ({cause.strerror})", "Check the rights.") from cause
    if len(data) > largest:
        raise error(f"{prefix}.too_large", f"{path}: is larger than {largest >> 20} MiB", f"Give a {prefix} file.")
    return data


def parse_toml(data: bytes, path: Path, error: type[FedauditError], prefix: str) -> dict[str, object]:
    """Return the tables that the bytes of `path` say; raises as `read_toml`, `prefix.syntax`."""
    try:
        return tomllib.loads(data.decode("utf-8"))
    except UnicodeDecodeError as cause:
        raise error(f"{prefix}.syntax", f"{path}: is not UTF-8 (byte {cause.start})", "Save it as UTF-8.") from cause
    except RecursionError as cause:
        raise error(f"{prefix}.syntax", f"{path}: is nested too deeply", "Flatten it.") from cause
    except ValueError as cause:  # TOMLDecodeError, or a date or an integer that Python cannot hold
        raise error(f"{prefix}.syntax", f"{path}: {cause}", "Mend the TOML there (https://toml.io).") from cause


def parse_noun(
    noun: type[AnyNoun], tables: Mapping[str, object], path: Path, error: type[FedauditError], prefix: str
) -> AnyNoun:
    """Return `tables` as a noun; the first fault is raised as `error` with code `prefix.WORD`, others are counted."""
    try:
        return noun.model_validate(tables)
    except ValidationError as cause:
        faults = [fault(noun, details) for details in cause.errors()]
        first = faults[0]
        where = f"{path}: {first.key}: " if first.key else f"{path}: "
        more = f" ({len(faults) - 1} more in this file)" if len(faults) > 1 else ""
        raise error(f"{prefix}.{first.code}", f"{where}{first.problem}{more}", first.mend) from cause


def fault(noun: type[BaseModel], details: ErrorDetails) -> Fault:
    """Return one pydantic error as a fault with a mend; a validator's own error keeps its type as the code."""
    *parents, last = details["loc"] or ("",)
    key, kind = key_path(details["loc"]), details["type"]
    context = details.get("ctx", {})
    match kind:
        case "extra_forbidden":
            known = [*_fields(noun, parents)]
            return Fault(
                "unknown_key",
                key,
                "is not a known key",
                _nearest(str(last), known, f"Remove it; known are {', '.join(known)}."),
            )
        case "missing":
            return Fault("missing_key", key, "is missing", f"Add {last!r}.")
        case "enum" | "literal_error":
            words = _WORDS.findall(str(context.get("expected", "")))
            problem = f"{details['input']!r:.60} is not one of {', '.join(words)}"
            return Fault("value", key, problem, _nearest(str(details["input"]), words, "Choose one of them."))
        case "finite_number":
            return Fault("value", key, f"{details['input']} is not a finite number", "Write a number such as 0.01.")
        case _ if "mend" in context:
            return Fault(kind, key, details["msg"], str(context["mend"]))
        case _:
            problem = details["msg"].removeprefix("Value error, ")
            given = "" if isinstance(details["input"], dict | list) else f", not {details['input']!r:.60}"
            return Fault("value", key, f"{problem[:1].lower()}{problem[1:]}{given}", "Correct this value.")


def key_path(location: Sequence[int | str]) -> str:
    """Return a location as the file's author writes it: `threshold[0].limit`."""
    # a key that needs quotes in TOML is quoted here too: it may hold anything, a terminal's control characters included
    parts = (
        f"[{part}]" if isinstance(part, int) else f".{part if _BARE_KEY.fullmatch(part) else repr(part)}"
        for part in location
    )
    return "".join(parts).removeprefix(".")


def _nearest(word: str, known: Sequence[str], otherwise: str) -> str:
    near = difflib.get_close_matches(word, known, n=1, cutoff=0.5)
    return f"Did you mean {near[0]!r}?" if near else otherwise


def _fields(noun: type[BaseModel], location: Sequence[int | str]) -> Sequence[str]:
    """Return the names of the fields of the noun at `location`, walking through tuples, optionals and annotations."""
    for part in location:
        if isinstance(part, str) and part in noun.model_fields:
            found = _noun_within(noun.model_fields[part].annotation)
            if found is None:
                return ()
            noun = found
    return tuple(noun.model_fields)


def _noun_within(annotation: object) -> type[BaseModel] | None:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next((found for part in get_args(annotation) if (found := _noun_within(part))), None)
