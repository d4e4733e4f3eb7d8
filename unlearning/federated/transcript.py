"""The record of an unlearning: written line by line as it happens, and read again.

What a transcript proves is little (whoever holds the models can write another one), and its faults prove much:
`verify_transcript` names them. Source of the doubt: Zhang et al., ICML 2024, arXiv:2408.00929.
"""

from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from types import TracebackType
from typing import Self

from unlearning.errors import UnlearningError
from unlearning.federated.request import UnlearningRequest
from unlearning.federated.transcript_faults import FAULTS, TranscriptFault, verify_transcript
from unlearning.federated.transcript_lines import line_bytes, read_lines
from unlearning.federated.transcript_nouns import (
    FIRST_PREVIOUS,
    Close,
    DataFile,
    DataFiles,
    Header,
    Line,
    PrivacyClaim,
    Round,
    RoundCounts,
    TotalWork,
    Versions,
)

__all__ = [
    "FAULTS",
    "Close",
    "DataFile",
    "DataFiles",
    "Header",
    "PrivacyClaim",
    "Round",
    "RoundCounts",
    "TotalWork",
    "Transcript",
    "TranscriptFault",
    "TranscriptWriter",
    "Versions",
    "read_transcript",
    "verify_transcript",
]


@dataclass(frozen=True)
class Transcript:
    """What a transcript says; whether its lines hang together is for `verify_transcript`."""

    header: Header
    """What was asked."""
    rounds: tuple[Round, ...]
    """What was done, in the order of the lines."""
    close: Close | None
    """What was delivered; None only where broken lines were skipped."""

    @property
    def request(self) -> UnlearningRequest:
        """What was to be forgotten."""
        return UnlearningRequest.parse(self.header.request)

    @property
    def least_noise_ratio(self) -> float | None:
        """Least noise of a round over the noise claimed; None where none is claimed, or there is no round.

        Both are standard deviations on the sum of the updates, *a coordinate*: noise of the claimed length in all
        coordinates together is smaller by the root of their number.
        """
        claim = self.header.differential_privacy
        claimed = claim.noise_multiplier * claim.clipping_norm if claim is not None else 0.0
        if not claimed or not self.rounds:
            return None
        return min(one.noise_standard_deviation or 0.0 for one in self.rounds) / claimed


class TranscriptWriter:
    """Records an unlearning; a context manager.

    A line reaches the system whole before the next is begun, so a killed process leaves complete lines and no close.

    Args:
        path: The file, not there yet; its folder is.

    Raises:
        UnlearningError: `unlearning.transcript`, the file is there already, or cannot be written.
    """

    def __init__(self, path: Path) -> None:
        self._previous, self._last = FIRST_PREVIOUS, ""
        try:
            self._file = path.open("xb")
        except FileExistsError as error:
            told = f"{path.name} is there already, and a transcript is never overwritten"
            raise UnlearningError("unlearning.transcript", told, "Give a folder without one.") from error
        except OSError as error:
            raise UnlearningError("unlearning.transcript", f"cannot write {path.name}: {error.strerror}") from error

    def write(self, line: Line) -> None:
        """Append a line: the header first, then rounds, the close last; `prev` and `digest` are set here.

        Raises:
            ValueError: The line does not belong here.
        """
        if (line.kind == "header") != (self._last == "") or self._last == "close":
            raise ValueError(f"a {line.kind} cannot follow {self._last or 'nothing'}")
        data = line_bytes(line, self._previous)
        self._file.write(data + b"\n")
        self._file.flush()
        self._previous, self._last = sha256(data).hexdigest(), line.kind

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()


def read_transcript(path: Path, *, skip_broken: bool = False) -> Transcript:
    """Return what a transcript says.

    Args:
        path: The file.
        skip_broken: Whether lines that cannot be read, or stand where they do not belong, are passed over. A header
            must be there all the same.

    Raises:
        UnlearningError: `unlearning.transcript`, a line is malformed or misplaced, or one is missing; names the line.
        FileError: The file cannot be read, or is too long.
    """
    header: Header | None = None
    close: Close | None = None
    rounds: list[Round] = []
    for read in read_lines(path):
        line, misplaced = read.line, close is not None
        if isinstance(line, Header) and header is None and read.number == 1:
            header = line
        elif isinstance(line, Round) and not misplaced:
            rounds.append(line)
        elif isinstance(line, Close) and not misplaced:
            close = line
        elif not skip_broken:
            told = read.problem or f"a {line.kind if line else 'line'} stands where none belongs"
            raise _wrong(path, f"line {read.number}: {told}")
    if header is None:
        raise _wrong(path, "line 1: it is no header, which says what was asked")
    if close is None and not skip_broken:
        raise _wrong(path, "the last line is no close, which says what was delivered")
    return Transcript(header, tuple(rounds), close)


def _wrong(path: Path, told: str) -> UnlearningError:
    return UnlearningError("unlearning.transcript", f"{path.name}: {told}", "Ask for the transcript as it was written.")
