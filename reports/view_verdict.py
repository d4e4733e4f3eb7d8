"""A verdict, prepared for people: what blocks, by which rule, and what is excused."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby

from reports.model import Status
from reports.verdict import Judgement, Outcome, Verdict, gathered
from reports.view_finding import finding_anchor
from reports.wording import STATUS_SHAPE, counted, number

_RESULT_SHAPE = {"passed": STATUS_SHAPE[Status.PASS], "failed": STATUS_SHAPE[Status.FAIL]}


FINDINGS = "findings"
"""The rule that only repeats what each finding says of itself."""
MOST_NAMED = 60
"""Checks named in one row; section 4 has them all."""
_REPEATED = {
    Outcome.FAIL: "Each failed, at a severity that this policy lets nobody pass with.",
    Outcome.INCOMPLETE: "Each broke and says nothing of the system.",
    Outcome.WARN: "Each failed below that severity, broke, or is undecided; this rule lets it pass.",
}
"""Why, for all findings of one outcome together: section 4 has each one's own words."""


@dataclass(frozen=True)
class Named:
    """A finding that a judgement speaks of, or several of one check."""

    subject: str
    """Check, and the key where there is one finding."""
    anchor: str
    """Of the finding, or of the first."""
    count: int = 1
    """How many findings."""


@dataclass(frozen=True)
class JudgementRow:
    """One judgement that is not plainly satisfied, or all that only repeat their findings."""

    outcome: str
    """fail, incomplete, waived or warn."""
    rule: str
    """Place in the policy."""
    subject: str
    """Check and key, or empty; of several findings their checks, with commas."""
    anchor: str
    """Of the only finding, or empty."""
    message: str
    """One sentence."""
    waiver: str = ""
    """Id of the waiver that excuses it, or empty."""
    findings: tuple[Named, ...] = ()
    """The findings that it speaks of, by check, at most `MOST_NAMED`."""
    more: int = 0
    """How many more checks it speaks of."""


@dataclass(frozen=True)
class VerdictView:
    """What a policy said of the report on a day."""

    result: str
    """passed, failed or incomplete."""
    shape: str
    """The mark that goes with it."""
    policy: str
    """Name of the policy."""
    policy_sha256: str
    """Its digest."""
    today: str
    """The day."""
    sentence: str
    """How many judgements block, and how many there are."""
    rows: tuple[JudgementRow, ...]
    """The judgements that are not ok, gravest first."""


def verdict_view(verdict: Verdict) -> VerdictView:
    """Return a verdict as people read it."""
    order = (Outcome.FAIL, Outcome.INCOMPLETE, Outcome.WAIVED, Outcome.WARN)
    rows = sorted((j for j in verdict.judgements if j.outcome in order), key=lambda j: order.index(j.outcome))
    blocking = sum(j.outcome in (Outcome.FAIL, Outcome.INCOMPLETE) for j in rows)
    return VerdictView(
        result=str(verdict.result),
        shape=_RESULT_SHAPE.get(str(verdict.result), STATUS_SHAPE[Status.INCONCLUSIVE]),
        policy=verdict.policy_name,
        policy_sha256=verdict.policy_sha256,
        today=verdict.today.isoformat(),
        sentence=_how_many(blocking, len(verdict.judgements)),
        rows=tuple(_rows(rows)),
    )


def _rows(judgements: Sequence[Judgement]) -> Iterator[JudgementRow]:
    """Yield one row an outcome for the findings that block or warn by themselves, then one a judgement of a rule."""
    for outcome, found in groupby(judgements, key=lambda one: one.outcome):
        listed = list(found)
        repeated = [one for one in listed if one.rule == FINDINGS and outcome in _REPEATED]
        if len(repeated) > 1:
            yield _gathered_row(outcome, repeated)
            listed = [one for one in listed if one.rule != FINDINGS]
        yield from (_row(one) for one in gathered(listed))


def _gathered_row(outcome: Outcome, judgements: Sequence[Judgement]) -> JudgementRow:
    checks: dict[str, list[Judgement]] = {}
    for judgement in judgements:
        checks.setdefault(judgement.check, []).append(judgement)
    named = [
        _named(found[0]) if len(found) == 1 else Named(check, _named(found[0]).anchor, len(found))
        for check, found in checks.items()
    ]
    more = max(len(named) - MOST_NAMED, 0)
    told = [f"{one.subject} ({number(one.count)})" if one.count > 1 else one.subject for one in named[:MOST_NAMED]]
    subject = ", ".join(told) + (f" and {number(more)} more" if more else "")
    return JudgementRow(str(outcome), FINDINGS, subject, "", _REPEATED[outcome], "", tuple(named[:MOST_NAMED]), more)


def _row(judgement: Judgement) -> JudgementRow:
    named = _named(judgement)
    return JudgementRow(
        outcome=str(judgement.outcome),
        rule=judgement.rule,
        subject=named.subject,
        anchor=named.anchor,
        message=judgement.message,
        waiver=(judgement.waiver or "") if judgement.outcome is Outcome.WAIVED else "",
        findings=(named,) if named.anchor else (),
    )


def _named(judgement: Judgement) -> Named:
    return Named(_subject(judgement), finding_anchor(judgement.fingerprint) if judgement.fingerprint else "")


def _subject(judgement: Judgement) -> str:
    return " · ".join(filter(None, (judgement.check, judgement.key)))


def _how_many(blocking: int, total: int) -> str:
    if not blocking:
        return f"none of {counted(total, 'judgement')} blocks"
    return f"{blocking} of {counted(total, 'judgement')} {'blocks' if blocking == 1 else 'block'}"
