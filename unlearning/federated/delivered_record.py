"""The transcript of a delivered model, read as far as it can be, and held against what the owner declares."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from reports.errors import FileError
from reports.model import ErasureRequest
from unlearning.errors import UnlearningError
from unlearning.federated.methods import METHODS, Method, method
from unlearning.federated.request import UnlearningRequest
from unlearning.federated.transcript import (
    FAULTS,
    Close,
    Header,
    Round,
    TranscriptFault,
    read_transcript,
    verify_transcript,
)
from unlearning.federated.transcript_lines import read_lines

__all__ = ["DELIVERED_FAULTS", "Record", "read_record"]

DELIVERED_FAULTS = {
    **FAULTS,
    "unreadable": "the file as a whole cannot be read",
    "before": "the model before is another one than the record names",
    "data": "a file of examples is not there, or is another one than the record names",
    "method": "the method, or a parameter of it, is not the declared one, or none of that method's",
    "request": "what was to be forgotten is not what was declared, or not what the files hold",
}
"""What each code means: those of the transcript by itself, and those of it against the files."""
MOST_ROUNDS = 10_000
"""The largest number that a method's parameter may be: a record that asks for more would keep an auditor for ever."""


@dataclass(frozen=True)
class Record:
    """What a transcript says, and what is wrong with it."""

    header: Header | None = None
    """None without a transcript, or where that line cannot be read."""
    rounds: tuple[Round, ...] = ()
    """Those that can be read."""
    close: Close | None = None
    """None where that line cannot be read."""
    faults: tuple[TranscriptFault, ...] = ()
    """By line."""
    lines: int = 0
    """Of the file."""

    @property
    def kept(self) -> int | None:
        """Unlearning rounds up to the kept one; None where the close names none."""
        if self.close is None or self.close.kept is None:
            return None
        return sum(1 for one in self.rounds if one.phase == "min" and one.index <= self.close.kept)

    @property
    def request(self) -> UnlearningRequest | None:
        """What was to be forgotten; None without a header."""
        return None if self.header is None else UnlearningRequest.parse(self.header.request)

    def with_fault(self, code: str, told: str, *, line: int = 1) -> "Record":
        """Return the record with one fault more; `told` says what, without the line."""
        return replace(self, faults=(*self.faults, TranscriptFault(line, code, f"line {line}: {told}")))

    def found(self, code: str) -> bool:
        """Tell whether there is a fault of this code."""
        return any(one.code == code for one in self.faults)

    @property
    def sorted_faults(self) -> tuple[TranscriptFault, ...]:
        """The faults, by line."""
        return tuple(sorted(self.faults, key=lambda fault: fault.line))

    def known_method(self) -> tuple[Method | None, "Record"]:
        """Return the method with its parameters where it is one of ours, and the record with what is wrong with it."""
        if self.header is None or self.header.method not in METHODS:
            return None, self
        try:
            known = method(self.header.method, **self.header.parameters)
            numbers = {key: value for key, value in self.header.parameters.items() if type(value) is int}
            if endless := [key for key, value in numbers.items() if value > MOST_ROUNDS]:
                return None, self.with_fault("method", f"{endless[0]} is beyond {MOST_ROUNDS}")
            return known, self
        except UnlearningError as error:
            return None, self.with_fault("method", error.message)


def read_record(declared: ErasureRequest, folder: Path, digests: Mapping[str, str]) -> Record:
    """Return the transcript of one erasure request, with its faults; an empty record where none is declared.

    Args:
        declared: The request.
        folder: The folder that its paths are relative to.
        digests: Of the files of the declared models, by "before" and "after".
    """
    if declared.transcript is None:
        return Record()
    path = folder / declared.transcript.path
    try:
        faults = verify_transcript(path)
        lines = sum(1 for _ in read_lines(path))
    except FileError as error:
        return Record().with_fault("unreadable", error.message)
    try:
        read = read_transcript(path, skip_broken=True)
    except UnlearningError:  # there is no header, and that stands among the faults
        return Record(faults=faults, lines=lines)
    record = Record(read.header, read.rounds, read.close, faults, lines)
    for code, told, line in _against(declared, record, digests):
        record = record.with_fault(code, told, line=line)
    return record


def _against(declared: ErasureRequest, record: Record, digests: Mapping[str, str]) -> Iterator[tuple[str, str, int]]:
    """Yield code, words and line of what the record says otherwise than the declaration and the files."""
    header, request = record.header, record.request
    if header is None or request is None:
        return
    if request.kind != declared.kind:
        yield "request", f"the request is {str(request)[:80]}, declared is one of kind {declared.kind}", 1
    if declared.method is not None and declared.method != header.method:
        yield "method", f"the method is {header.method!r}, declared is {declared.method!r}", 1
    if digests.get("before", header.before) != header.before:
        yield "before", "before is not the digest of the declared model before", 1
    if record.close is not None and digests.get("after", record.close.after) != record.close.after:
        yield "after", "after is not the digest of the declared model after", record.lines
