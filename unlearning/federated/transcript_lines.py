"""The lines of an unlearning transcript as bytes: canonical JSON, each with the digest of the one before.

    header ─▶ round ─▶ … ─▶ round ─▶ close        prev = sha256 of the line before, without its newline

The last line has none after it that could name its digest, so it bears its own. What the lines say together is judged
in `unlearning.federated.transcript_faults`.
"""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, cast

from pydantic import Field, TypeAdapter, ValidationError

from reports.artifacts import refuse_unsafe
from reports.canonical import canonical_json, strict_json
from reports.errors import ReportError
from reports.formats import broken, opened
from unlearning.federated.transcript_nouns import Close, Line

MAX_LINE = 16 << 20
"""Bytes of a line: a request of a million examples fits."""
MAX_TRANSCRIPT = 64 << 20
"""Bytes of the file."""
MAX_LINES = 20_000
"""Lines of the file."""


_LINE: TypeAdapter[Line] = TypeAdapter(Annotated[Line, Field(discriminator="kind")])


@dataclass(frozen=True)
class ReadLine:
    """A line as it was found."""

    number: int
    """From 1."""
    sha256: str
    """Of its bytes, without the newline."""
    line: Line | None
    """What it says; None where it is not a line of a transcript."""
    problem: str = ""
    """Why not."""
    ended: bool = True
    """Whether a newline stands behind it."""


def line_bytes(line: Line, previous: str) -> bytes:
    """Return the canonical bytes of a line behind one of digest `previous`, without a newline."""
    fields = line.model_dump(mode="json", by_alias=True, exclude_none=True, exclude={"digest"}) | {"prev": previous}
    if isinstance(line, Close):
        fields["digest"] = hashlib.sha256(canonical_json(fields)).hexdigest()
    return canonical_json(fields)


def read_lines(path: Path) -> Iterator[ReadLine]:
    """Yield every line of a transcript, the malformed ones with what is wrong with them.

    Raises:
        RefusedFormat: the file can run code.
        BrokenFile: it cannot be read, or it is too long to be a transcript.
    """
    refuse_unsafe(path)
    size = 0
    with opened(path) as file:
        for number in range(1, MAX_LINES + 2):
            if not (content := file.readline(MAX_LINE + 1)):
                return
            size += len(content)
            if len(content) > MAX_LINE or size > MAX_TRANSCRIPT or number > MAX_LINES:
                limits = f"{MAX_LINE >> 20} MiB a line, {MAX_TRANSCRIPT >> 20} MiB and {MAX_LINES} lines in all"
                raise broken(path, f"line {number} is beyond what a transcript holds ({limits})")
            data = content.removesuffix(b"\n")
            line, problem = _parsed(data)
            yield ReadLine(number, hashlib.sha256(data).hexdigest(), line, problem, ended=data != content)


def _parsed(data: bytes) -> tuple[Line | None, str]:
    """Return what a line says, or why it is none."""
    try:
        value = strict_json(data)
        if canonical_json(value) != data:
            return None, "it is not in canonical form (RFC 8785)"
        line = _LINE.validate_json(data)
    except ReportError as error:
        return None, error.message
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        place = ".".join(str(part) for part in first["loc"][1:])
        return None, f"{place}{': ' if place else ''}{first['msg'].removeprefix('Value error, ')}"
    if isinstance(line, Close):
        rest = {key: one for key, one in cast("dict[str, object]", value).items() if key != "digest"}
        if hashlib.sha256(canonical_json(rest)).hexdigest() != line.digest:
            return None, "digest: it is not that of the line itself"
    return line, ""
