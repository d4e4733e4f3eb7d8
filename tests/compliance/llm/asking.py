"""What the tests of the client share: a schema, a clock that nobody waits for, one client asked some questions."""

import asyncio
import random
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx

from compliance.judge_file import BudgetLimits
from compliance.llm.budget import Budget
from compliance.llm.cassette import Cassette
from compliance.llm.client import LLMClient, Reply
from compliance.llm.egress import Target, read_url
from compliance.llm.endpoint import Endpoint
from compliance.llm.fake import FakeModel, transport
from compliance.llm.sending import Clock

SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {
        "reason": {"type": "string", "maxLength": 40},
        "score": {"type": "integer", "enum": [1, 2, 3, 4, 5]},
        "quotes": {"type": "array", "items": {"type": "string"}, "maxItems": 2},
    },
    "required": ["reason", "score", "quotes"],
}
GOOD = '{"reason": "it says so", "score": 4, "quotes": []}'
MESSAGES = [{"role": "system", "content": "You read."}, {"role": "user", "content": "What does it say?"}]
NOON = datetime(2026, 11, 21, 12, 0, 0, tzinfo=UTC)


@dataclass
class VirtualTime:
    """A clock that goes on only while somebody sleeps."""

    passed: float = 0.0
    waits: list[float] = field(default_factory=list)

    async def sleep(self, seconds: float) -> None:
        self.waits.append(seconds)
        self.passed += seconds
        await asyncio.sleep(0)

    @property
    def clock(self) -> Clock:
        return Clock(self.sleep, lambda: self.passed, lambda: NOON + timedelta(seconds=self.passed))


def endpoint(url: str = "http://127.0.0.1:8080/v1", **more: Any) -> Endpoint:
    """An endpoint of this machine."""
    written = read_url(url)
    return Endpoint(Target(written, (written.host,)), "m", **more)


def client_of(
    model: FakeModel | None,
    time: VirtualTime | None = None,
    *,
    cassette: Cassette | None = None,
    limits: BudgetLimits | None = None,
    through: httpx.AsyncBaseTransport | None = None,
    **more: Any,
) -> LLMClient:
    """A client of a fake in this process; nothing waits."""
    time = time or VirtualTime()
    if model is not None:
        through = transport(model, sleep=time.sleep)
    return LLMClient(
        endpoint(**more),
        cassette=cassette,
        budget=Budget(limits),
        transport=through,
        clock=time.clock,
        rng=random.Random(7),
    )


def question(number: int) -> list[dict[str, str]]:
    """One of many questions."""
    return [MESSAGES[0], {"role": "user", "content": f"question {number}"}]


def ask(client: LLMClient, *, messages: Sequence[dict[str, str]] = MESSAGES, **more: Any) -> Reply[Any]:
    """Ask once."""

    async def asked() -> Reply[Any]:
        async with client:
            return await client.ask(messages, SCHEMA, **more)

    return asyncio.run(asked())


def ask_all(client: LLMClient, numbers: Sequence[int], **more: Any) -> list[Reply[Any]]:
    """Ask many questions at once."""

    async def asked() -> list[Reply[Any]]:
        async with client:
            return list(await asyncio.gather(*(client.ask(question(n), SCHEMA, **more) for n in numbers)))

    return asyncio.run(asked())
