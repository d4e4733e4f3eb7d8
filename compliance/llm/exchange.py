"""One exchange with an endpoint: taken from a recording, or counted, sent and recorded.

Recorded are answers and the refusals that changed how the endpoint is asked, so that a replay walks the same way; never
what failed in passing, and nothing of a refused key. Usage and egress count a replayed exchange as it had been sent:
an assessment has the same bytes either way, and `sent` tells what truly left.
"""

import json
import random
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import cast

import httpx

from compliance.errors import EndpointError
from compliance.llm.budget import Budget, Usage
from compliance.llm.cassette import Asked, Cassette, CassetteMiss, Entry
from compliance.llm.endpoint import Endpoint
from compliance.llm.ladder import Manner, adapted, request_body
from compliance.llm.network import pinned_transport
from compliance.llm.sending import Clock, Reached, Sender
from reports.canonical import canonical_json

__all__ = ["Egress", "Exchange", "Exchanges", "Query"]


@dataclass(frozen=True)
class Egress:
    """What went, or in a recording had gone, to one host."""

    host: str
    """`host:port`."""
    requests: int = 0
    """Retries included."""
    bytes_sent: int = 0
    """Of the bodies, written without blanks."""


@dataclass(frozen=True)
class Query:
    """What is asked in one exchange."""

    messages: Sequence[Mapping[str, str]]
    schema: Mapping[str, object]
    sample: int
    about: str
    """For messages; empty where nothing was said."""


@dataclass(frozen=True)
class Exchange:
    """What came back."""

    key: str
    """In a recording."""
    body: str | None
    """Of the reply; None after a refusal."""
    manner: Manner
    """How to ask from now on: as before, or otherwise after a refusal."""


class Exchanges:
    """All exchanges with one endpoint; no socket is opened before the first that must be sent.

    Args:
        endpoint: Whom.
        cassette: Where exchanges are recorded or replayed.
        budget: Counts each attempt.
        transport: Through what; the pinned one where None.
        clock: Sleeps and tells the time.
        rng: For the jitter of waits.
    """

    def __init__(
        self,
        endpoint: Endpoint,
        cassette: Cassette | None,
        budget: Budget,
        transport: httpx.AsyncBaseTransport | None,
        clock: Clock,
        rng: random.Random,
    ) -> None:
        self.budget = budget
        self._usage, self._egress, self._sent = Counter[str](), Counter[str](), Counter[str]()
        self._endpoint, self._cassette, self._transport = endpoint, cassette, transport
        self._clock, self._rng = clock, rng
        self._sender: Sender | None = None
        self._frames: dict[tuple[Manner, int], tuple[Mapping[str, object], bytes, bytes]] = {}

    @property
    def usage(self) -> Usage:
        """What the exchanges cost."""
        return Usage(**self._usage)

    @property
    def egress(self) -> Egress:
        """What went, or in a recording had gone."""
        return Egress(self._endpoint.target.authority, **self._egress)

    @property
    def sent(self) -> Egress:
        """The part of `egress` that truly left in this process."""
        return Egress(self._endpoint.target.authority, **self._sent)

    async def aclose(self) -> None:
        """Close every connection."""
        if self._sender is not None:
            await self._sender.aclose()
            self._sender = None

    async def take(self, query: Query, manner: Manner, *, settled: bool) -> Exchange:
        """Return one exchange.

        Args:
            query: What is asked.
            manner: How.
            settled: Whether this manner has worked before.

        Raises:
            BudgetSpent: it may not be sent.
            EndpointError: the server cannot be used; `endpoint.status` where it refuses every manner.
            CassetteError: `cassette.missing` or `cassette.altered`.
        """
        body = request_body(self._endpoint, manner, query.messages, query.schema, query.sample)
        request = {"body": body, "path": manner.path, "sample": query.sample}
        asked = Asked(request, self._canonical(body, query, manner))
        recorded = self._replayed(asked, query)
        reached = recorded or await self._send(manner.path, body, asked.size)
        self._usage["requests"] += 1
        self._usage["retries"] += reached.retries
        following: Manner | None = manner
        if reached.status != 200:
            following = adapted(manner, reached.status, reached.body, settled=settled)
        if following is None:
            raise self._unusable(reached)
        if recorded is None and self._cassette is not None and self._cassette.writes:
            self._cassette.record(asked.key, Entry(request, reached.status, reached.body, reached.retries))
        return Exchange(asked.key, reached.body if reached.status == 200 else None, following)

    def count_tokens(self, prompt_tokens: int, completion_tokens: int) -> None:
        """Count what a reply says that it cost."""
        self._usage["prompt_tokens"] += prompt_tokens
        self._usage["completion_tokens"] += completion_tokens
        self.budget.count(prompt_tokens, completion_tokens)

    def _canonical(self, body: dict[str, object], query: Query, manner: Manner) -> bytes:
        """Return the RFC 8785 form of a body; all but the messages is the same each time, and is kept."""
        schema, before, after = self._frames.get((manner, query.sample), (None, b"", b""))
        if schema is not query.schema:
            # no member that sorts before "messages" holds text, so that the first such place is the member's own
            before, _, after = canonical_json({**body, "messages": []}).partition(b'"messages":[]')
            self._frames[manner, query.sample] = query.schema, before, after
        messages = b",".join(map(_canonical_message, cast("list[dict[str, str]]", body["messages"])))
        return b"".join((before, b'"messages":[', messages, b"]", after))

    def _replayed(self, asked: Asked, query: Query) -> Reached | None:
        cassette = self._cassette
        if cassette is None or not cassette.reads:
            return None
        entry = cassette.find(asked.key, asked)
        if entry is not None:
            self.budget.take(1 + entry.retries)
            _count(self._egress, 1 + entry.retries, asked.size)
            return Reached(entry.status, entry.body, entry.retries)
        if cassette.mode == "replay":
            self.budget.check()  # what was not recorded because the budget was spent is not asked here either
            what = f"{query.about}: " if query.about else ""
            raise CassetteMiss(
                "cassette.missing",
                f"{what}sample {query.sample}: {self._endpoint.name!r:.60} has no recorded answer ({asked.key[:12]}…)",
                "Record it with this judge file, prompt and document, or replay the recording that was made with them.",
            )
        return None

    async def _send(self, path: str, body: Mapping[str, object], size: int) -> Reached:
        content = json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode("utf-8")  # in the schema's order
        if self._sender is None:
            endpoint = self._endpoint
            transport = self._transport or pinned_transport(endpoint.target, endpoint.max_concurrency)
            self._sender = Sender(endpoint, transport, self._clock, self._rng)

        def count() -> None:
            self.budget.take()
            _count(self._egress, 1, size)
            _count(self._sent, 1, size)

        return await self._sender.post(path, content, count)

    def _unusable(self, reached: Reached) -> EndpointError:
        printable = "".join(one if one.isprintable() else " " for one in reached.body[:400])
        shown = " ".join(printable.split())[:200]
        hint = "Check base_url and model." if reached.status == 404 else "Look into the log of the server."
        return EndpointError(
            "endpoint.status", f"{self._endpoint.target.authority}: answered {reached.status}: {shown}", hint
        )


def _canonical_message(message: Mapping[str, str]) -> bytes:
    """Return the RFC 8785 form of a message; its text, which alone is long, is written as one."""
    if message.keys() != {"content", "role"}:
        return canonical_json(dict(message))
    return b'{"content":%b,"role":%b}' % (canonical_json(message["content"]), canonical_json(message["role"]))


def _count(counted: Counter[str], requests: int, size: int) -> None:
    counted["requests"] += requests
    counted["bytes_sent"] += requests * size
