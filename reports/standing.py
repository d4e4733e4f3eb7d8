"""How a verdict stands to each finding: excused by a waiver, held up by a rule, or neither. What the exports share."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from reports.model import Finding
from reports.verdict import Judgement, Outcome, Verdict

_BLOCKING = (Outcome.FAIL, Outcome.INCOMPLETE)


@dataclass(frozen=True)
class Standing:
    """What the rules of a policy say of one finding."""

    waiver: str | None = None
    """Id of the waiver that excuses it; None where anything else that is said of it still blocks."""
    incomplete: bool = False
    """Whether a rule waits for it."""


class Standings:
    """The judgements of a verdict, by the findings that they speak of; without a verdict nothing is said of any."""

    def __init__(self, verdict: Verdict | None) -> None:
        judgements = verdict.judgements if verdict else ()
        self._by_finding = _grouped([(j.fingerprint or "", j) for j in judgements])
        self._by_check = _grouped([(j.check, j) for j in judgements if j.fingerprint is None and j.check])

    def of(self, finding: Finding) -> Standing:
        """Return what is said of a finding, and of its check where the rule names no finding."""
        said = [*self._by_finding.get(finding.fingerprint, ()), *self._by_check.get(finding.check, ())]
        outcomes = {judgement.outcome for judgement in said}
        excuses = [judgement.waiver for judgement in said if judgement.outcome is Outcome.WAIVED]
        return Standing(
            waiver=None if outcomes.intersection(_BLOCKING) or not excuses else excuses[0],
            incomplete=Outcome.INCOMPLETE in outcomes,
        )


def _grouped(pairs: Sequence[tuple[str, Judgement]]) -> Mapping[str, Sequence[Judgement]]:
    found: dict[str, list[Judgement]] = defaultdict(list)
    for name, judgement in pairs:
        found[name].append(judgement)
    return found


def told_by_rules(verdict: Verdict | None) -> tuple[Judgement, ...]:
    """Return what blocks, or is excused, by a rule of its own: a check that is missing, a limit that a pass breaks.

    An export that lists findings alone would lose these, and look better than the verdict is. The rule `findings` only
    repeats what each finding says of itself.
    """
    kinds = (*_BLOCKING, Outcome.WAIVED)
    return tuple(j for j in (verdict.judgements if verdict else ()) if j.rule != "findings" and j.outcome in kinds)
