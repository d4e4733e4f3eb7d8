"""A verdict, prepared for people: what blocks, by which rule, and what is excused."""

from dataclasses import dataclass

from reports.model import Status
from reports.verdict import Outcome, Verdict, gathered
from reports.view_finding import finding_anchor
from reports.wording import STATUS_SHAPE, counted

_RESULT_SHAPE = {"passed": STATUS_SHAPE[Status.PASS], "failed": STATUS_SHAPE[Status.FAIL]}


@dataclass(frozen=True)
class JudgementRow:
    """One judgement that is not plainly satisfied."""

    outcome: str
    """fail, incomplete, waived or warn."""
    rule: str
    """Place in the policy."""
    subject: str
    """Check and key, or empty."""
    anchor: str
    """Of the finding, or empty."""
    message: str
    """One sentence."""


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
        rows=tuple(
            JudgementRow(
                outcome=str(j.outcome),
                rule=j.rule,
                subject=" · ".join(filter(None, (j.check, j.key))),
                anchor=finding_anchor(j.fingerprint) if j.fingerprint else "",
                message=j.message,
            )
            for j in gathered(rows)
        ),
    )


def _how_many(blocking: int, total: int) -> str:
    if not blocking:
        return f"none of {counted(total, 'judgement')} blocks"
    return f"{blocking} of {counted(total, 'judgement')} {'blocks' if blocking == 1 else 'block'}"
