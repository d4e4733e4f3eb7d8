"""One request over everything: its attempts, its waits, and the point where it is given up.

    post ──▶ attempt (bounded in time and bytes) ─▶ 200 or a final answer
                 └─ fails in passing ─▶ wait (Retry-After, or full jitter) ─▶ attempt …

Retried are 408, 409, 425, 429, 5xx, a connection that fails, and silence. Back-off with full jitter: M. Brooker,
"Exponential Backoff and Jitter", AWS Architecture Blog, 2015. Retry-After: RFC 9110 section 10.2.3.

Requests go to the transport itself, past `httpx.AsyncClient`: so there is no proxy variable, no `.netrc`, no cookie and
no redirect to switch off, and a `Location` that is no address is still told as a redirect.
"""

import asyncio
import random
import re
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

import httpx

from compliance.errors import EndpointError
from compliance.llm.endpoint import Endpoint, redact
from compliance.llm.ladder import refuses_format
from reports.version import VERSION

__all__ = ["LARGEST_REPLY", "Clock", "Reached", "Sender", "retry_after_seconds"]

LARGEST_REPLY = 1 << 20
"""Bytes of a reply; one answer has a few thousand."""
LONGEST_WAIT_S = 60.0
"""Of a Retry-After that is obeyed."""
FIRST_BACKOFF_S, LONGEST_BACKOFF_S = 0.5, 30.0
_HEADERS = {
    "User-Agent": f"fedaudit/{VERSION}",
    "Content-Type": "application/json",
    "Accept": "application/json",
    "Accept-Encoding": "identity",  # a packed reply could be larger than what was counted
}
_IN_PASSING = frozenset({408, 409, 425, 429})
_WHOLE_SECONDS = re.compile(r"[0-9]{1,9}")


@dataclass(frozen=True)
class Clock:
    """Time as a parameter; tests hand in a virtual one."""

    sleep: Callable[[float], Awaitable[object]] = asyncio.sleep
    monotonic: Callable[[], float] = time.monotonic
    now: Callable[[], datetime] = lambda: datetime.now(UTC)


@dataclass(frozen=True)
class Reached:
    """What a server answered in the end."""

    status: int
    body: str
    """Without the key, should the server echo it."""
    retries: int
    """Attempts before it that failed in passing."""


@dataclass(frozen=True)
class _Attempt:
    status: int
    body: str
    headers: Mapping[str, str]


class Sender:
    """Sends requests to one endpoint, never more at once than it allows.

    Args:
        endpoint: Whom.
        transport: Through what; the caller closes the sender, which closes it.
        clock: Sleeps and tells the time.
        rng: For the jitter of waits.
    """

    def __init__(
        self, endpoint: Endpoint, transport: httpx.AsyncBaseTransport, clock: Clock, rng: random.Random
    ) -> None:
        self._endpoint, self._clock, self._rng = endpoint, clock, rng
        self._slots = asyncio.Semaphore(endpoint.max_concurrency)
        written = endpoint.target.written
        self._origin = f"{written.scheme}://{endpoint.target.authority}"
        self._transport = transport
        self._timeout = httpx.Timeout(endpoint.timeout_s, pool=None).as_dict()  # the semaphore is the queue

    async def aclose(self) -> None:
        """Close every connection."""
        await self._transport.aclose()

    async def post(self, path: str, content: bytes, take: Callable[[], None]) -> Reached:
        """Return what the server answers in the end: 200, or a status that another attempt would not change.

        Args:
            path: Of the address.
            content: JSON, UTF-8.
            take: Called before each attempt; what it raises (a spent budget) ends the request.

        Raises:
            EndpointError: `endpoint.` `connection`, `deadline`, `too_large`, `rate_limited`, `retry_after`, `redirect`
                or `unauthorised`.
        """
        left = self._endpoint.deadline_s
        retries = 0
        while True:
            begun = self._clock.monotonic()
            attempt: _Attempt | httpx.TransportError
            async with self._slots:
                take()
                begun = self._clock.monotonic()  # waiting for a slot is not the server's fault
                attempt = await self._attempt(path, content, left)
            left -= self._clock.monotonic() - begun
            if isinstance(attempt, _Attempt):
                self._refuse(attempt)
                if not _passing(attempt):
                    return Reached(attempt.status, attempt.body, retries)
            if retries == self._endpoint.max_retries:
                return self._given_up(attempt, retries)
            wait = self._wait(attempt, retries)
            if wait >= left:
                raise self._deadline()
            await self._clock.sleep(wait)
            left -= wait
            retries += 1

    async def _attempt(self, path: str, content: bytes, left: float) -> _Attempt | httpx.TransportError:
        until = self._clock.monotonic() + left
        headers = {**_HEADERS, **self._endpoint.headers()}
        url, more = self._origin + path, {"timeout": self._timeout}
        request = httpx.Request("POST", url, content=content, headers=headers, extensions=more)
        try:
            async with asyncio.timeout(left):
                reply = await self._transport.handle_async_request(request)
                try:
                    data = await self._read(reply, until)
                finally:
                    await reply.aclose()
            return _Attempt(reply.status_code, self._text(data), reply.headers)
        except TimeoutError:
            raise self._deadline() from None
        except httpx.TransportError as error:
            return error

    async def _read(self, reply: httpx.Response, until: float) -> bytes:
        chunks, size = [], 0
        async for chunk in reply.aiter_raw():
            chunks.append(chunk)
            size += len(chunk)
            if size > LARGEST_REPLY:
                raise self._error("too_large", f"sent more than {LARGEST_REPLY >> 20} MiB", "Ask another model.")
            if self._clock.monotonic() > until:
                raise self._deadline()
        return b"".join(chunks)

    def _text(self, data: bytes) -> str:
        text = data.decode("utf-8", "replace")
        return text if self._endpoint.key is None else redact(text, self._endpoint.key())

    def _refuse(self, attempt: _Attempt) -> None:
        """Raise for an answer that ends the endpoint."""
        if attempt.status in (401, 403):
            name = self._endpoint.api_key_env
            said = f"refuses the key that {name} holds" if self._endpoint.key else "asks for a key, and none was sent"
            hint = f"Set {name} to a key that this endpoint knows." if name else "Name its variable in api_key_env."
            raise self._error("unauthorised", f"{said} ({attempt.status})", hint)
        if 300 <= attempt.status < 400:
            told = attempt.headers.get("location", "nowhere")
            key = self._endpoint.key
            where = _shown(told if key is None else redact(told, key()))
            raise self._error(
                "redirect", f"redirects to {where}; it was not followed", "Name that address in base_url."
            )
        if attempt.headers.get("content-encoding", "identity").lower() not in ("identity", ""):
            raise self._error("status", "sent a packed reply, which was not asked for", "Turn compression off there.")

    def _wait(self, attempt: _Attempt | httpx.TransportError, retries: int) -> float:
        """Return the seconds before the next attempt.

        Raises:
            EndpointError: `endpoint.retry_after`: the server asks for more than a minute.
        """
        asked = None
        if isinstance(attempt, _Attempt):
            asked = retry_after_seconds(attempt.headers.get("retry-after", ""), self._clock.now())
        if asked is None:
            return self._rng.uniform(0, min(LONGEST_BACKOFF_S, FIRST_BACKOFF_S * 2**retries))
        if asked > LONGEST_WAIT_S:
            hint = f"Try again then; waits of up to {LONGEST_WAIT_S:.0f} s are kept."
            raise self._error("retry_after", f"asks to wait {asked:.0f} s", hint)
        return asked

    def _given_up(self, attempt: _Attempt | httpx.TransportError, retries: int) -> Reached:
        tries = f"{retries + 1} {'attempts' if retries else 'attempt'}"
        if isinstance(attempt, httpx.TransportError):
            why = "was silent for too long" if isinstance(attempt, httpx.TimeoutException) else "could not be reached"
            if isinstance(attempt, httpx.ReadError | httpx.WriteError | httpx.RemoteProtocolError):
                why = "closed the line"
            hint = "Start the server, or raise timeout_s." if "silent" in why else "Check that the server runs there."
            raise self._error("connection", f"{why} in {tries}", hint) from attempt
        if attempt.status == 429:
            raise self._error("rate_limited", f"answered 429 in {tries}", "Lower max_concurrency, or try later.")
        return Reached(attempt.status, attempt.body, retries)

    def _deadline(self) -> EndpointError:
        took = f"took longer than {self._endpoint.deadline_s:g} s"
        return self._error("deadline", took, "Raise deadline_s, or ask a faster model.")

    def _error(self, word: str, said: str, hint: str) -> EndpointError:
        return EndpointError(f"endpoint.{word}", f"{self._endpoint.target.authority}: {said}", hint)


def retry_after_seconds(value: str, now: datetime) -> float | None:
    """Return the wait that a Retry-After header asks for, in seconds; None where it says nothing.

    Both forms of RFC 9110 section 10.2.3 are read: whole seconds and an HTTP-date, which is in UTC. A day that is past
    is no wait.
    """
    text = value.strip()
    if _WHOLE_SECONDS.fullmatch(text):
        return float(text)
    try:
        moment = parsedate_to_datetime(text)
    except (TypeError, ValueError, OverflowError):
        return None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return max(0.0, (moment - now).total_seconds())


def _passing(attempt: _Attempt) -> bool:
    """Tell whether the same request may be answered later."""
    if attempt.status in _IN_PASSING:
        return True
    return attempt.status >= 500 and not refuses_format(attempt.status, attempt.body)


def _shown(text: str) -> str:
    return "".join(letter if letter.isprintable() else "?" for letter in text)[:200]
