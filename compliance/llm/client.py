"""Ask a model a question and get one checked answer, or the reason why there is none.

    ask ─▶ manner of asking (ladder) ─▶ recorded? ─▶ budget ─▶ send, retry ─▶ read ─▶ schema, check
             ▲                                                                          │ invalid: repaired once
             └────────────── refused, or invalid twice where this rung never worked ◀───┘

The first sample is asked alone, until it is known how this endpoint wants to be asked; from then on nothing that one
sample meets changes how another is asked, so that neither order nor concurrency changes an answer.
"""

import asyncio
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Generic, Literal, Self, TypeVar, cast

import httpx

from compliance.errors import BudgetSpent, EndpointError
from compliance.llm.budget import Budget, Usage
from compliance.llm.cassette import Cassette
from compliance.llm.endpoint import Endpoint
from compliance.llm.exchange import Egress, Exchanges, Query
from compliance.llm.ladder import Manner, Message, Rung, Schema, first_manner, next_rung
from compliance.llm.reply import Completion, InvalidReply, parse_reply, read_completion
from compliance.llm.sending import Clock

__all__ = ["Egress", "LLMClient", "Reply", "ReplyStatus"]

T = TypeVar("T")
ReplyStatus = Literal["answered", "invalid_output", "not_asked"]
Check = Callable[[Mapping[str, object]], T]
MOST_REQUESTS = 8
"""For one sample, retries not counted: four rungs, each with one repair."""
LONGEST_REPEATED = 2000
"""Characters of an invalid answer that its repair turn shows."""
_REPAIR = (
    "Your answer cannot be used: {problem}. Answer the question above again, with one JSON object that follows the "
    "schema and with nothing else."
)


@dataclass(frozen=True)
class Reply(Generic[T]):
    """What came of one sample."""

    status: ReplyStatus
    value: Mapping[str, object] | None
    """The JSON object; None unless answered."""
    checked: T | None
    """What `check` made of it."""
    problem: str
    """Why there is no answer, a sentence; empty where there is one."""
    rung: str
    """Of the ladder, on which it was last asked."""
    key: str
    """Of the last exchange; empty where none took place."""
    model: str
    """The name in the last reply."""
    system_fingerprint: str | None
    """In the last reply."""
    requests: int
    """Retries not counted."""
    prompt_tokens: int
    completion_tokens: int


@dataclass
class _Course:
    """What happened to one sample so far."""

    manner: Manner
    asked: int = 0
    key: str = ""
    problem: str = ""
    heard: Completion | None = None
    prompt_tokens: int = 0
    completion_tokens: int = 0
    readable: Rung | None = None
    """The first rung on which an object came that follows the schema."""


class LLMClient:
    """Asks one model.

    Args:
        endpoint: Whom, and how.
        cassette: Where answers are recorded or replayed; a replay opens no socket.
        budget: Shared with the other members.
        transport: Through what; the pinned one where None.
        clock: Sleeps and tells the time.
        rng: For the jitter of waits; it changes no answer.
    """

    def __init__(
        self,
        endpoint: Endpoint,
        *,
        cassette: Cassette | None = None,
        budget: Budget | None = None,
        transport: httpx.AsyncBaseTransport | None = None,
        clock: Clock | None = None,
        rng: random.Random | None = None,
    ) -> None:
        self.endpoint = endpoint
        self._exchanges = Exchanges(
            endpoint, cassette, budget or Budget(), transport, clock or Clock(), rng or random.SystemRandom()
        )
        self._manner, self._settled = first_manner(endpoint), asyncio.Event()
        self._first = asyncio.Lock()
        self._ended: EndpointError | None = None

    @property
    def usage(self) -> Usage:
        """What the answers cost; in a replay what they had cost."""
        return self._exchanges.usage

    @property
    def egress(self) -> Egress:
        """What went to the endpoint; in a replay what had gone, though no socket is opened."""
        return self._exchanges.egress

    @property
    def sent(self) -> Egress:
        """What truly left in this process; nothing in a replay."""
        return self._exchanges.sent

    @property
    def dropped(self) -> tuple[str, ...]:
        """Parameters that the endpoint does not know, and that are no longer sent."""
        return tuple(sorted(self._manner.dropped))

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_error: object) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Close every connection."""
        await self._exchanges.aclose()

    async def ask(
        self,
        messages: Sequence[Message],
        schema: Schema,
        *,
        sample: int = 0,
        check: Check[T] | None = None,
        about: str = "",
    ) -> Reply[T]:
        """Return one checked answer, or the reason why there is none; never a default.

        Args:
            messages: `{"role", "content"}` each, system first.
            schema: JSON Schema of the answer, an object.
            sample: Number of the sample; the model is asked with the endpoint's seed + sample.
            check: Makes something of the object, or raises ValueError, whose message goes into the repair turn.
            about: What is asked, for messages, such as the id of a control.

        Raises:
            EndpointError: `endpoint.WORD`: the server cannot be used.
            CassetteError: `cassette.missing`, `cassette.altered`.
        """
        query = Query(messages, schema, sample, about)
        if not self._settled.is_set():
            async with self._first:
                if not self._settled.is_set():
                    return await self._answer(query, check)
        return await self._answer(query, check)

    async def _answer(self, query: Query, check: Check[T] | None) -> Reply[T]:
        if self._ended is not None:
            raise EndpointError(*self._ended.args)
        course = _Course(self._manner)
        try:
            reply = await self._walk(query, check, course)
        except EndpointError as error:
            if not self._settled.is_set() or error.code in ("endpoint.unauthorised", "endpoint.redirect"):
                self._ended = error  # it never worked, or it will not again: nobody else waits for the same
            raise
        except BudgetSpent as error:
            status: ReplyStatus = "invalid_output" if course.problem else "not_asked"
            return _reply(course, status, f"{course.problem}; {error.message}" if course.problem else error.message)
        if not self._settled.is_set():
            rung = course.manner.rung if reply.status == "answered" else course.readable or Rung.TEXT
            self._manner = replace(course.manner, rung=rung)
            self._settled.set()
        return reply

    async def _walk(self, query: Query, check: Check[T] | None, course: _Course) -> Reply[T]:
        """Ask until there is an answer, or nothing is left to try; `course` is kept up to date on the way."""
        turn, repaired, settled = query, False, self._settled.is_set()
        while course.asked < MOST_REQUESTS:
            exchange = await self._exchanges.take(turn, course.manner, settled=settled)
            course.asked, course.key, course.manner = course.asked + 1, exchange.key, exchange.manner
            if exchange.body is None:
                turn, repaired = query, False
                continue
            try:
                value = self._heard(exchange.body, query.schema, course)
                checked = check(value) if check is not None else None
            except ValueError as error:
                course.problem = str(error)
            else:
                return _reply(course, "answered", "", value, checked)
            if not repaired:
                turn, repaired = _repair(query, course), True
                continue
            below = None if settled else next_rung(course.manner.rung)
            if below is None:
                break
            course.manner = replace(course.manner, rung=below)
            turn, repaired = query, False
        return _reply(course, "invalid_output", course.problem or f"{course.asked} requests brought no usable answer")

    def _heard(self, body: str, schema: Schema, course: _Course) -> dict[str, object]:
        """Return the object in a reply, its tokens counted.

        Raises:
            InvalidReply: there is none that follows the schema.
        """
        course.heard = None
        course.heard = heard = read_completion(body)
        course.prompt_tokens += heard.prompt_tokens
        course.completion_tokens += heard.completion_tokens
        self._exchanges.count_tokens(heard.prompt_tokens, heard.completion_tokens)
        if heard.problem:
            raise InvalidReply(heard.problem)
        value = parse_reply(heard.text, schema)
        course.readable = course.readable or course.manner.rung
        return value


def _repair(query: Query, course: _Course) -> Query:
    """Return the question with the invalid answer after it, and what is wrong with that."""
    said = course.heard.text[:LONGEST_REPEATED] if course.heard else ""
    more: list[Message] = [
        {"role": "assistant", "content": said or "(nothing)"},
        {"role": "user", "content": _REPAIR.format(problem=course.problem[:500])},
    ]
    return replace(query, messages=[*query.messages, *more])


def _reply(
    course: _Course,
    status: ReplyStatus,
    problem: str,
    value: Mapping[str, object] | None = None,
    checked: Any = None,
) -> Reply[T]:
    heard = course.heard
    return Reply(
        status=status,
        value=value,
        checked=cast("T | None", checked),
        problem=problem,
        rung=str(course.manner.rung),
        key=course.key,
        model=heard.model if heard else "",
        system_fingerprint=heard.system_fingerprint if heard else None,
        requests=course.asked,
        prompt_tokens=course.prompt_tokens,
        completion_tokens=course.completion_tokens,
    )
