"""What is wrong with a transcript: every fault with its line.

A sound transcript shows that nobody changed it clumsily, and that by its own word the forget clients fed the model no
more after the request. It does not show that anything happened as it says.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from unlearning.federated.request import UnlearningRequest
from unlearning.federated.transcript_lines import ReadLine, read_lines
from unlearning.federated.transcript_nouns import FIRST_PREVIOUS, Close, Header, Round

FAULTS = {
    "malformed": "a line is not what a transcript holds",
    "order": "a header that is not first, or a line behind the close",
    "incomplete": "no header, no close, or a last line that was cut off",
    "chain": "a line does not name the digest of the one before",
    "index": "the rounds are not counted one by one",
    "phase": "another phase follows the rounds of retained training afterwards",
    "weights": "the weights of a round do not sum to 1",
    "offline": "a client takes part that could not be reached",
    "forget-client": "a client to be forgotten trains after the request",
    "kept": "no round has the index of the one that was kept",
    "after": "the delivered model is not that of the round it is said to come from",
    "unchanged": "the delivered model is the one before",
    "totals": "the totals are not the sums of the lines",
}
"""What each code means."""
_TOLERANCE = 1e-6
"""Of a sum of weights: many of them, each rounded."""


@dataclass(frozen=True)
class TranscriptFault:
    """One thing wrong."""

    line: int
    """Where, from 1."""
    code: str
    """One of `FAULTS`."""
    message: str
    """What, a sentence that names the line."""


def verify_transcript(path: Path) -> tuple[TranscriptFault, ...]:
    """Return what is wrong with a transcript, by line; nothing where it is sound.

    Totals and the delivered model are compared only where every line could be read.

    Raises:
        FileError: The file cannot be read, can run code, or is too long.
    """
    lines = tuple(read_lines(path))
    found = [*_complete(lines), *_chained(lines), *_rounds(lines), *_participants(lines)]
    if all(one.line is not None for one in lines):
        found += _closed(lines)
    return tuple(sorted(found, key=lambda fault: fault.line))


def _complete(lines: Sequence[ReadLine]) -> Iterator[TranscriptFault]:
    """A header first, a close last, every line well-formed and ended."""
    if not lines or not isinstance(lines[0].line, Header | None):
        yield _fault(1, "incomplete", "there is no header")
    if not lines or not isinstance(lines[-1].line, Close | None):
        yield _fault(len(lines) or 1, "incomplete", "there is no close behind it")
    for read in lines:
        if read.line is None:
            yield _fault(read.number, "malformed", read.problem)
        if not read.ended:
            yield _fault(read.number, "incomplete", "it was cut off: no newline ends it")
        if read.number > 1 and isinstance(read.line, Header):
            yield _fault(read.number, "order", "a second header")
        if read.number < len(lines) and isinstance(read.line, Close):
            yield _fault(read.number, "order", "lines stand behind the close")


def _chained(lines: Sequence[ReadLine]) -> Iterator[TranscriptFault]:
    previous = FIRST_PREVIOUS
    for read in lines:
        if read.line is not None and read.line.prev != previous:
            yield _fault(read.number, "chain", "prev is not the digest of the line before")
        previous = read.sha256


def _rounds(lines: Sequence[ReadLine]) -> Iterator[TranscriptFault]:
    """Indices, phases and weights."""
    for earlier, later in pairwise(lines):
        one, other = earlier.line, later.line
        if not isinstance(one, Round) or not isinstance(other, Round):
            continue
        if other.index != one.index + 1:
            yield _fault(later.number, "index", f"round {other.index} follows round {one.index}")
        if one.phase == "post" != other.phase:
            yield _fault(later.number, "phase", f"a {other.phase} round follows a post round")
    for read in lines:
        if isinstance(read.line, Round) and read.line.weights is not None:
            total = sum(read.line.weights)
            if abs(total - 1) > _TOLERANCE:
                yield _fault(read.number, "weights", f"the weights sum to {total:.6g}, not to 1")


def _participants(lines: Sequence[ReadLine]) -> Iterator[TranscriptFault]:
    """Who trains, against who must not, or cannot."""
    header = lines[0].line if lines else None
    if not isinstance(header, Header):
        return
    request = UnlearningRequest.parse(header.request)
    forgotten = {target.number for target in request.targets} if request.kind == "client" else set[int]()
    for read in lines:
        if not isinstance(read.line, Round):
            continue
        present = set(read.line.participants)
        for client in sorted(present & set(header.offline)):
            told = f"client {client} takes part in round {read.line.index}, and could not be reached"
            yield _fault(read.number, "offline", told)
        if read.line.phase != "max":
            for client in sorted(present & forgotten):
                told = f"client {client} is to be forgotten, and trains in round {read.line.index} ({read.line.phase})"
                yield _fault(read.number, "forget-client", told)


def _closed(lines: Sequence[ReadLine]) -> Iterator[TranscriptFault]:
    """What the close says, against the lines above."""
    header, close = (lines[0].line, lines[-1].line) if lines else (None, None)
    if not isinstance(header, Header) or not isinstance(close, Close):
        return
    rounds = [one.line for one in lines if isinstance(one.line, Round)]
    number = lines[-1].number
    yield from _delivered(header, rounds, close, number)
    counted = Counter[str](one.phase for one in rounds)
    if counted != Counter(close.rounds.model_dump()):  # as counters: a phase without rounds may be left out
        yield _fault(number, "totals", f"rounds: the lines hold {dict(sorted(counted.items()))}")
    gradients = sum(one.work for one in rounds)
    if gradients != close.work.example_gradients:
        told = f"work: the lines sum to {gradients} gradients, the close says {close.work.example_gradients}"
        yield _fault(number, "totals", told)
    forwards = sum(one.teacher_forwards or 0 for one in rounds)
    stated = any(one.teacher_forwards is not None for one in rounds)
    if stated and forwards != close.work.teacher_forwards:
        told = f"work: the lines sum to {forwards} passes of the teacher, the close says {close.work.teacher_forwards}"
        yield _fault(number, "totals", told)


def _delivered(header: Header, rounds: Sequence[Round], close: Close, number: int) -> Iterator[TranscriptFault]:
    """The model that was delivered: that of the last post round, or else of the kept one."""
    kept = next((one for one in rounds if close.kept in (None, one.index)), None)
    if close.kept is not None and kept is None:
        yield _fault(number, "kept", f"there is no round {close.kept}")
    last = rounds[-1] if rounds and (close.kept is None or rounds[-1].phase == "post") else kept
    if last is not None and close.after not in (last.model, header.before):
        yield _fault(number, "after", f"the delivered model is not that of round {last.index}")
    if close.after == header.before:
        yield _fault(number, "unchanged", "the delivered model is the one before: nothing was unlearned")
    elif not rounds:
        yield _fault(number, "after", "the delivered model is another one than before, and no round made it")


def _fault(line: int, code: str, told: str) -> TranscriptFault:
    return TranscriptFault(line, code, f"line {line}: {told}")
