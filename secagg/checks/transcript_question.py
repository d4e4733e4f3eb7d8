"""What is asked of transcripts and what one can answer: a violation that was found, or a doubt."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from reports.model import Remedy
from reports.nouns import printable
from secagg.verification import VerifiedRound
from secagg.violations import Violation


def fit(text: str, length: int) -> str:
    """Return text from a record, fit for a report: cut, and without control characters."""
    try:
        printable(text)
    except ValueError:
        text = ascii(text)
    return text if len(text) <= length else f"{text[: length - 1]}…"


@dataclass(frozen=True)
class Found:
    """A violation, and the transcript that shows it."""

    path: str
    """Empty where several transcripts show it together."""
    violation: Violation
    remedy: Remedy | None = None
    """What mends it, where that is not the usual mend of its code."""

    def __str__(self) -> str:
        where = (self.path or "across transcripts", self.violation.phase, self.violation.client)
        return f"{': '.join(word for word in where if word)}: {fit(self.violation.detail, 500)}"

    def as_sentence(self) -> str:
        """Return it as the headline of a finding, with the client where the detail does not name it."""
        detail, client = self.violation.detail, self.violation.client
        named = f" {client}," if client and client not in detail else ""
        return f"In {self.path or 'several transcripts'},{named} {detail}"


@dataclass(frozen=True)
class Doubt:
    """Why a transcript does not settle the question."""

    path: str
    reason: str
    """A machine's word."""
    text: str
    """The same in a sentence's end: `PATH text`."""

    def __str__(self) -> str:
        return f"{self.path} {fit(self.text, 500)}"


Doubts = Callable[[VerifiedRound], Iterable[Doubt]]
Lacks = Callable[[VerifiedRound], Iterable[Found]]


def _nothing(_: VerifiedRound) -> tuple[()]:
    return ()


@dataclass(frozen=True)
class Question:
    """What is asked of every transcript."""

    sound: str
    """The summary of a pass; `{rounds}` stands for how many transcripts."""
    planted: tuple[str, ...] = ()
    """Codes whose faults the control plants; all that the check answers for where empty."""
    doubts: Doubts = _nothing
    """What leaves doubt besides an incomplete or false record."""
    lacks: Lacks = _nothing
    """What is wrong with a round by its own word: what it never had, or who chose."""
    limitations: tuple[str, ...] = ()
    least: int = 1
    """Transcripts that a pass needs."""
