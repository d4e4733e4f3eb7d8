"""The control behind a pass: the same transcript with one planted fault, given to the same verification."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from reports.check import Context
from reports.model import Effort
from secagg.checks.transcript_rounds import Recorded, Recording
from secagg.faults import with_fault
from secagg.flower.capture_faults import with_capture_fault
from secagg.flower.records import PROTOCOL as CAPTURE
from secagg.verification import VerifiedRound

NEED_VECTORS = frozenset(("blob-digest", "aggregate-mismatch"))
"""Faults that show in vectors; for the others none is read, which costs next to nothing."""
_TRANSCRIPTS = {Effort.SMOKE: 1, Effort.STANDARD: 3}
"""Transcripts of each protocol in which faults are planted; at full effort all."""
_INSTEAD = {"plaintext-metadata": "malformed-record"}
"""Our own format has no place for more than it names: a word in the clear shows as a malformed record."""


@dataclass(frozen=True)
class Control:
    """How many planted faults were noticed."""

    planted: int
    noticed: int
    missed: tuple[str, ...]
    transcripts: int
    """In how many transcripts they were planted."""

    @property
    def held(self) -> bool:
        """Whether faults were planted, and all were noticed."""
        return self.planted > 0 and not self.missed

    def as_sentence(self) -> str:
        """Return it for people."""
        where = "one transcript" if self.transcripts == 1 else f"{self.transcripts} transcripts"
        missed = f"; missed: {'; '.join(self.missed)}" if self.missed else ""
        return f"Control: {self.noticed} of {self.planted} faults planted in {where} were noticed{missed}."


NO_CONTROL = Control(0, 0, (), 0)


def plant_faults(records: Recorded, codes: Sequence[str], ctx: Context) -> Control:
    """Plant each fault of `codes` in some of the transcripts and count how many verification reports."""
    chosen = list(_chosen(records, ctx.effort))
    noticed, missed = 0, []
    for done, (source, one) in enumerate(chosen, start=1):
        for code in codes:
            if problem := _missed(records, source, one, code):
                missed.append(f"{code} in {one.path} ({problem})")
            else:
                noticed += 1
        ctx.progress(done, len(chosen))
    return Control(len(chosen) * len(codes), noticed, tuple(missed), len(chosen))


def _chosen(records: Recorded, effort: Effort) -> Iterator[tuple[Recording, VerifiedRound]]:
    seen: dict[str, int] = {}
    for source, one in records.pairs:
        seen[one.protocol] = seen.get(one.protocol, 0) + 1
        if seen[one.protocol] <= _TRANSCRIPTS.get(effort, len(records.sources)):
            yield source, one


def _missed(records: Recorded, source: Recording, one: VerifiedRound, code: str) -> str:
    """Return why the fault does not count as noticed, empty where it does."""
    before = _another(records, source, one) if code == "key-reuse" else None
    held = replace(source, vectors=code in NEED_VECTORS)
    plant = with_capture_fault if one.protocol == CAPTURE else with_fault
    shown = code if one.protocol == CAPTURE else _INSTEAD.get(code, code)
    try:
        faulty = plant(held, shown, reused_from=before)
    except ValueError as why:  # a transcript that offers no place for a fault earns no pass by it
        return str(why)
    told = records.verify(*(() if before is None else (replace(before, vectors=False),)), faulty)
    return "" if any(violation.code == shown for violation in told.violations) else "not reported"


def _another(records: Recorded, source: Recording, one: VerifiedRound) -> Recording | None:
    """Return another transcript of the same protocol."""
    return next((s for s, other in records.pairs if s is not source and other.protocol == one.protocol), None)
