"""The fake that ships: a scripted model as an httpx transport, or behind a real server on loopback.

    FakeModel(answer) ──transport──▶ httpx.AsyncBaseTransport        in the process, with any clock
                      ──serve──────▶ base_url                        a socket on 127.0.0.1, every fault real

One `answer` gives one `Step` a request: `Say`, `Status`, `Drip`, `Redirect`, `Huge` or `Hang`; `in_turn` scripts them.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable

import httpx

from compliance.llm.fake_model import (
    Drip,
    FakeModel,
    Hang,
    Huge,
    Redirect,
    Request,
    Say,
    Status,
    Step,
    completion,
    in_turn,
    request_of,
)
from compliance.llm.fake_server import FakeServer, serve

__all__ = [
    "Drip",
    "FakeModel",
    "FakeServer",
    "Hang",
    "Huge",
    "Redirect",
    "Request",
    "Say",
    "Status",
    "Step",
    "in_turn",
    "serve",
    "transport",
]

CHUNK = 1 << 16
Sleep = Callable[[float], Awaitable[object]]


def transport(model: FakeModel, *, sleep: Sleep = asyncio.sleep) -> httpx.AsyncBaseTransport:
    """Return a transport that hands every request to a scripted model; no socket is opened.

    Args:
        model: What answers.
        sleep: Waits for latency, drips and time-outs; with a virtual clock nothing waits.
    """
    return _FakeTransport(model, sleep)


class _FakeTransport(httpx.AsyncBaseTransport):
    def __init__(self, model: FakeModel, sleep: Sleep) -> None:
        self._model, self._sleep = model, sleep

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        content = await request.aread()
        asked = request_of(request.url.path, dict(request.headers.items()), content)
        step = self._model.begin(asked)
        try:
            if self._model.latency:
                await self._sleep(self._model.latency)
            return await self._response(step, asked, request)
        finally:
            self._model.end()

    async def _response(self, step: Step, asked: Request, request: httpx.Request) -> httpx.Response:
        match step:
            case Say():
                return httpx.Response(200, stream=_Body(_once(completion(step, self._model, asked))))
            case Status():
                return httpx.Response(step.code, headers=dict(step.headers), stream=_Body(_once(step.body.encode())))
            case Redirect():
                return httpx.Response(307, headers={"Location": step.url}, stream=_Body(_once(b"")))
            case Huge():
                return httpx.Response(200, stream=_Body(_blanks(step.bytes)))
            case Drip():
                return httpx.Response(200, stream=_Body(self._drip(step.seconds)))
            case Hang(midway=True):
                return httpx.Response(200, stream=_Body(_torn()))
            case Hang():
                await self._sleep(request.extensions.get("timeout", {}).get("read") or 0.0)
                raise httpx.ReadTimeout("the fake hangs", request=request)

    async def _drip(self, seconds: float) -> AsyncIterator[bytes]:
        while True:
            await self._sleep(seconds)
            yield b" "


class _Body(httpx.AsyncByteStream):
    def __init__(self, chunks: AsyncIterator[bytes]) -> None:
        self._chunks = chunks

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self._chunks

    async def aclose(self) -> None:
        close = getattr(self._chunks, "aclose", None)
        if close is not None:
            await close()


async def _once(data: bytes) -> AsyncIterator[bytes]:
    yield data


async def _blanks(count: int) -> AsyncIterator[bytes]:
    for start in range(0, count, CHUNK):
        yield b" " * min(CHUNK, count - start)


async def _torn() -> AsyncIterator[bytes]:
    yield b'{"choices": ['
    raise httpx.RemoteProtocolError("the fake closed the line in the middle of its reply")
