"""The connection to one target: pinned to the addresses that were judged, no proxy, no redirect, no `.netrc`.

httpx offers no door for a network backend, so its transport is written anew over httpcore's pool: the name stays in the
request (`Host`, SNI and the certificate are about the name), the socket goes to a judged address and nowhere else.
"""

import ssl
from collections.abc import AsyncIterator, Iterable
from contextlib import contextmanager
from typing import TYPE_CHECKING

import httpcore
import httpx

from compliance.llm.egress import Target

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

__all__ = ["PinnedBackend", "pinned_transport"]

KEEP_ALIVE_S = 30.0


def pinned_transport(
    target: Target,
    max_connections: int,
    *,
    backend: httpcore.AsyncNetworkBackend | None = None,
    tls: ssl.SSLContext | None = None,
) -> httpx.AsyncBaseTransport:
    """Return a transport over HTTP/1.1 that reaches a target alone.

    Args:
        target: Judged by `check_egress`.
        max_connections: At once.
        backend: What opens sockets; asyncio's where None.
        tls: Which certificates are believed; those that httpx trusts where None.
    """
    if tls is None and target.written.scheme == "https":
        tls = httpx.create_ssl_context(trust_env=False)
    pool = httpcore.AsyncConnectionPool(
        ssl_context=tls,
        max_connections=max_connections,
        max_keepalive_connections=max_connections,
        keepalive_expiry=KEEP_ALIVE_S,
        http1=True,
        http2=False,
        network_backend=PinnedBackend(target, backend or httpcore.AnyIOBackend()),
    )
    return _PinnedTransport(pool)


class PinnedBackend(httpcore.AsyncNetworkBackend):
    """Opens sockets to the judged addresses of one target, whatever a request names."""

    def __init__(self, target: Target, backend: httpcore.AsyncNetworkBackend) -> None:
        self._target, self._backend = target, backend

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: "Iterable[Any] | None" = None,
    ) -> httpcore.AsyncNetworkStream:
        """Connect to the first judged address that answers; no name is resolved again."""
        written = self._target.written
        if (host.strip("[]"), port) != (written.host, written.port) or not self._target.addresses:
            raise httpcore.ConnectError(f"{host}:{port} was not judged; no socket was opened")
        *others, last = self._target.addresses
        for address in others:
            try:
                return await self._backend.connect_tcp(address, port, timeout, local_address, socket_options)
            except (httpcore.ConnectError, httpcore.ConnectTimeout):
                continue
        return await self._backend.connect_tcp(last, port, timeout, local_address, socket_options)

    async def connect_unix_socket(
        self,
        path: str,  # noqa: ARG002  the signature is httpcore's
        timeout: float | None = None,  # noqa: ARG002
        socket_options: "Iterable[Any] | None" = None,  # noqa: ARG002
    ) -> httpcore.AsyncNetworkStream:
        """Refuse: a Unix socket has no address to judge."""
        raise httpcore.ConnectError("no Unix socket is opened")

    async def sleep(self, seconds: float) -> None:
        """Wait."""
        await self._backend.sleep(seconds)


class _PinnedTransport(httpx.AsyncBaseTransport):
    def __init__(self, pool: httpcore.AsyncConnectionPool) -> None:
        self._pool = pool

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        if not isinstance(request.stream, httpx.AsyncByteStream):
            raise httpx.UnsupportedProtocol("the body of the request cannot be sent", request=request)
        url = httpcore.URL(
            scheme=request.url.raw_scheme,
            host=request.url.raw_host,
            port=request.url.port,
            target=request.url.raw_path,
        )
        sent = httpcore.Request(
            method=request.method,
            url=url,
            headers=request.headers.raw,
            content=request.stream,
            extensions=request.extensions,
        )
        with _as_httpx():
            reply = await self._pool.handle_async_request(sent)
        return httpx.Response(
            reply.status, headers=reply.headers, stream=_PinnedStream(reply), extensions=reply.extensions
        )

    async def aclose(self) -> None:
        await self._pool.aclose()


class _PinnedStream(httpx.AsyncByteStream):
    def __init__(self, reply: httpcore.Response) -> None:
        self._reply = reply

    async def __aiter__(self) -> AsyncIterator[bytes]:
        with _as_httpx():
            async for chunk in self._reply.aiter_stream():
                yield chunk

    async def aclose(self) -> None:
        await self._reply.aclose()


@contextmanager
def _as_httpx() -> "Iterator[None]":
    """Turn httpcore's exceptions into those of httpx, which have the same names."""
    try:
        yield
    except (
        httpcore.TimeoutException,
        httpcore.NetworkError,
        httpcore.ProtocolError,
        httpcore.UnsupportedProtocol,
    ) as error:
        kind = getattr(httpx, type(error).__name__, httpx.TransportError)
        raise kind(str(error)) from error
