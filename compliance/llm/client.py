"""Ask a model a question and get one checked answer, or the reason why there is none.

    ask ─▶ manner of asking (ladder) ─▶ recorded? ─▶ budget ─▶ send, retry ─▶ read ─▶ schema, check
             ▲                                                                          │ invalid: repaired once
             └────────────── refused, or invalid twice where this rung never worked ◀───┘

The first sample is asked alone, until it is known how this endpoint wants to be asked; from then on nothing that one
sample meets changes how another is asked, so that neither order nor concurrency changes an answer.
"""

import asyncio
import json
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Generic, Literal, NoReturn, Self, TypeVar, cast

import httpx

from compliance.errors import BudgetSpent, EndpointError
from compliance.llm.budget import Budget, Usage
from compliance.llm.cassette import Cassette, CassetteMiss, Entry, exchange_key
from compliance.llm.endpoint import Endpoint
from compliance.llm.ladder import Manner, Message, Rung, Schema, adapted, first_manner, next_rung, request_body
from compliance.llm.network import pinned_transport
from compliance.llm.reply import Completion, InvalidReply, parse_reply, read_completion
from compliance.llm.sending import Clock, Reached, Sender

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
class Egress:
    """What went, or in a recording had gone, to one host."""

    host: str
    """`host:port`."""
    requests: int = 0
    """Retries included."""
    bytes_sent: int = 0
    """Of the bodies."""


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


@dataclass(frozen=True)
class _Question(Generic[T]):
    messages: Sequence[Message]
    schema: Schema
    sample: int
    check: Check[T] | None
    about: str


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
        self._cassette, self._budget, self._transport = cassette, budget or Budget(), transport
        self._clock, self._rng = clock or Clock(), rng or random.SystemRandom()
        self._manner, self._settled = first_manner(endpoint), asyncio.Event()
        self._first = asyncio.Lock()
        self._ended: EndpointError | None = None
        self._sender: Sender | None = None
        self._usage, self._egress = Usage(), Egress(endpoint.target.authority)

    @property
    def usage(self) -> Usage:
        """What the answers cost; in a replay what they had cost."""
        return self._usage

    @property
    def egress(self) -> Egress:
        """What went to the endpoint; in a replay what had gone, though no socket is opened."""
        return self._egress

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
        if self._sender is not None:
            await self._sender.aclose()
            self._sender = None

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
        question = _Question(messages, schema, sample, check, about)
        if not self._settled.is_set():
            async with self._first:
                if not self._settled.is_set():
                    return await self._answer(question)
        return await self._answer(question)

    async def _answer(self, question: _Question[T]) -> Reply[T]:
        if self._ended is not None:
            raise EndpointError(*self._ended.args)
        course = _Course(self._manner)
        try:
            reply = await self._walk(question, course)
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

    async def _walk(self, question: _Question[T], course: _Course) -> Reply[T]:
        turn, repaired = question.messages, False
        while course.asked < MOST_REQUESTS:
            status, body = await self._exchange(question, turn, course)
            if status != 200:
                turn, repaired = question.messages, False
                continue
            said = ""
            try:
                course.heard = heard = read_completion(body)
                said = heard.text
                self._count(heard, course)
                value = _object(heard, question.schema)
                course.readable = course.readable or course.manner.rung
                checked = question.check(value) if question.check is not None else None
            except ValueError as error:
                course.problem = str(error)
            else:
                course.problem = ""
                return _reply(course, "answered", "", value, checked)
            if not repaired:
                turn, repaired = _repair(question.messages, said, course.problem), True
                continue
            below = None if self._settled.is_set() else next_rung(course.manner.rung)
            if below is None:
                break
            course.manner = replace(course.manner, rung=below)
            turn, repaired = question.messages, False
        return _reply(course, "invalid_output", course.problem or f"{course.asked} requests brought no usable answer")

    async def _exchange(self, question: _Question[T], turn: Sequence[Message], course: _Course) -> tuple[int, str]:
        """Return status and text of one exchange, recorded or sent; after a refusal `course` has the next manner."""
        manner = course.manner
        body = request_body(self.endpoint, manner, turn, question.schema, question.sample)
        course.key = key = exchange_key(manner.path, body, question.sample)
        content = json.dumps(body, ensure_ascii=False).encode("utf-8")
        reached = self._replayed(key, question, len(content))
        sent = reached is None
        if reached is None:
            reached = await self._send(manner.path, content)
        course.asked += 1
        self._usage += Usage(requests=1, retries=reached.retries)
        if reached.status != 200:
            following = adapted(manner, reached.status, reached.body, settled=self._settled.is_set())
            if following is None:
                self._unusable(reached)
            course.manner = following
        if sent and self._cassette is not None and self._cassette.writes:
            request = {"body": body, "path": manner.path, "sample": question.sample}
            self._cassette.record(key, Entry(request, reached.status, reached.body, reached.retries))
        return reached.status, reached.body

    def _replayed(self, key: str, question: _Question[T], size: int) -> Reached | None:
        cassette = self._cassette
        if cassette is None or not cassette.reads:
            return None
        entry = cassette.find(key)
        if entry is not None:
            self._budget.take(1 + entry.retries)
            self._sent(1 + entry.retries, size)
            return Reached(entry.status, entry.body, entry.retries)
        if cassette.mode == "replay":
            what = f"{question.about}: " if question.about else ""
            raise CassetteMiss(
                "cassette.missing",
                f"{what}sample {question.sample}: no answer of {self.endpoint.name!r:.60} is recorded ({key[:12]}…)",
                "Record it with this judge file, prompt and document, or replay the recording that was made with them.",
            )
        return None

    async def _send(self, path: str, content: bytes) -> Reached:
        if self._sender is None:
            endpoint = self.endpoint
            transport = self._transport or pinned_transport(endpoint.target, endpoint.max_concurrency)
            self._sender = Sender(endpoint, transport, self._clock, self._rng)

        def take() -> None:
            self._budget.take()
            self._sent(1, len(content))

        return await self._sender.post(path, content, take)

    def _sent(self, requests: int, size: int) -> None:
        before = self._egress
        self._egress = replace(
            before, requests=before.requests + requests, bytes_sent=before.bytes_sent + requests * size
        )

    def _count(self, heard: Completion, course: _Course) -> None:
        course.prompt_tokens += heard.prompt_tokens
        course.completion_tokens += heard.completion_tokens
        self._usage += Usage(prompt_tokens=heard.prompt_tokens, completion_tokens=heard.completion_tokens)
        self._budget.count(heard.prompt_tokens, heard.completion_tokens)

    def _unusable(self, reached: Reached) -> NoReturn:
        shown = " ".join("".join(one if one.isprintable() else " " for one in reached.body[:400]).split())[:200]
        hint = "Check base_url and model." if reached.status == 404 else "Look into the log of the server."
        raise EndpointError(
            "endpoint.status", f"{self.endpoint.target.authority}: answered {reached.status}: {shown}", hint
        )


def _object(heard: Completion, schema: Schema) -> dict[str, object]:
    if heard.problem:
        raise InvalidReply(heard.problem)
    return parse_reply(heard.text, schema)


def _repair(messages: Sequence[Message], said: str, problem: str) -> list[dict[str, str]]:
    """Return the messages with the invalid answer and what is wrong with it."""
    shown = said[:LONGEST_REPEATED] or "(nothing)"
    return [
        *(dict(message) for message in messages),
        {"role": "assistant", "content": shown},
        {"role": "user", "content": _REPAIR.format(problem=problem[:500])},
    ]


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
