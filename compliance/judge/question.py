"""One question: one duty, one part of one document, one member of the panel, k samples.

A sample that is no answer stays one: it is counted and never replaced by a score.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from compliance.errors import BudgetSpent, CassetteError, ComplianceError, EndpointError
from compliance.judge.answer import ANSWER_SCHEMA, JudgeAnswer, parse_answer
from compliance.judge.prompt import Duty, render_prompt, secret_of

if TYPE_CHECKING:
    from compliance.llm.panel import PanelMember

__all__ = ["Question", "Sample", "SampleStatus", "Variant", "ask", "ask_samples"]

SampleStatus = Literal["answered", "invalid_output", "not_asked"]
Variant = Literal["as_written", "cleaned", "with_flagged"]
"""Which text was shown: the part as written, without the flagged spans, or with them and with what is concealed."""


@dataclass(frozen=True)
class Question:
    """What is asked, k times."""

    duty: Duty
    """What about."""
    document_sha256: str
    """Of the bytes of the document."""
    part: int
    """Which part of it."""
    text: str
    """Of the part, as it is shown."""
    variant: Variant = "as_written"
    """Whether spans were taken out or put in."""


@dataclass(frozen=True)
class Sample:
    """One reply to a question."""

    member: str
    """Of the panel."""
    index: int
    """Of the sample, 0 first."""
    status: SampleStatus
    """Whether there is an answer."""
    answer: JudgeAnswer | None = None
    """The answer, in form; its quotes are not looked for yet."""
    rung: str = ""
    """How the form was asked for."""
    key: str = ""
    """Of the exchange in the cassette."""
    problem: str = ""
    """Why there is no answer."""
    error: ComplianceError | None = None
    """What stopped the question, where something did."""
    reply_model: str = ""
    """The model's name in the reply."""
    system_fingerprint: str | None = None
    """What the server says of itself."""


async def ask(member: "PanelMember", question: Question, *, sample: int, seed: int) -> Sample:
    """Ask once. What stops one question stops no other: it comes back as a sample that was not asked.

    Raises:
        EgressRefused: the question would go where nobody allowed; nothing was sent.
    """
    secret = secret_of(seed, question.document_sha256, question.duty.id, question.part)
    messages = render_prompt(question.duty, question.text, secret)
    try:
        reply = await member.client.ask(
            messages,
            ANSWER_SCHEMA,
            sample=sample,
            check=lambda value: parse_answer(value, secret.code),
            about=question.duty.id,
        )
    except (EndpointError, CassetteError, BudgetSpent) as error:
        return Sample(member.name, sample, "not_asked", problem=error.message, error=error)
    spent = BudgetSpent("budget.spent", reply.problem, "Raise the budget, or ask less.")
    return Sample(
        member.name,
        sample,
        reply.status,
        reply.checked,
        reply.rung,
        reply.key,
        reply.problem,
        error=spent if reply.status == "not_asked" else None,
        reply_model=reply.model,
        system_fingerprint=reply.system_fingerprint,
    )


async def ask_samples(member: "PanelMember", question: Question, *, samples: int, seed: int) -> Sequence[Sample]:
    """Ask k times, all at once; the client holds back what its concurrency does not allow."""
    return await asyncio.gather(*(ask(member, question, sample=i, seed=seed) for i in range(samples)))
