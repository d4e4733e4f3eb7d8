"""A scripted model behind a real server on loopback: real sockets, real HTTP/1.1, every fault of `fake_model`."""

import contextlib
import socket
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

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
    request_of,
)

__all__ = ["FakeServer", "serve"]

CHUNK = 1 << 16


class FakeServer:
    """A running server.

    Args:
        model: What answers.
        port: That it listens on, of 127.0.0.1.
    """

    def __init__(self, model: FakeModel, port: int) -> None:
        self._model = model
        self.base_url = f"http://127.0.0.1:{port}/v1"
        """What a judge file names."""

    @property
    def requests(self) -> list[Request]:
        """What it was asked, in order."""
        return self._model.requests

    @property
    def peak_in_flight(self) -> int:
        """The most requests that it had at once."""
        return self._model.peak_in_flight


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: "_Server"

    def do_POST(self) -> None:
        """Answer one request."""
        content = self.rfile.read(int(self.headers.get("content-length", 0)))
        request = request_of(self.path, dict(self.headers.items()), content)
        model = self.server.model
        step = model.begin(request)
        try:
            if model.latency:
                self.server.stopping.wait(model.latency)
            self._do(step, request)
        except OSError:
            self.close_connection = True  # the client left, as it should after most faults
        finally:
            model.end()

    def _do(self, step: Step, request: Request) -> None:
        match step:
            case Say():
                self._send(200, completion(step, self.server.model, request))
            case Status():
                self._send(step.code, step.body.encode(), dict(step.headers))
            case Redirect():
                self._send(307, b"", {"Location": step.url})
            case Huge():
                self._head(200, step.bytes)
                for start in range(0, step.bytes, CHUNK):
                    self.wfile.write(b" " * min(CHUNK, step.bytes - start))
            case Drip():
                self._head(200, 1 << 20)
                while not self.server.stopping.wait(step.seconds):
                    self.wfile.write(b" ")
            case Hang(midway=True):
                self._head(200, 1000)
                self.wfile.write(b'{"choices": [')
                self.close_connection = True
            case Hang():
                self.connection.recv(1)  # until the client, or the end of the server, closes the line
                self.close_connection = True

    def _send(self, status: int, body: bytes, headers: dict[str, str] | None = None) -> None:
        given = {"Content-Type": "application/json", "Content-Length": str(len(body)), **(headers or {})}
        lines = [f"HTTP/1.1 {status} -", *(f"{name}: {value}" for name, value in given.items()), "", ""]
        self.wfile.write("\r\n".join(lines).encode("latin-1") + body)  # in one write: two would wait for one another

    def _head(self, status: int, length: int) -> None:
        self.wfile.write(f"HTTP/1.1 {status} -\r\nContent-Length: {length}\r\n\r\n".encode())

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002  the name in the standard library
        """Say nothing."""


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = True
    request_queue_size = 128

    def __init__(self, model: FakeModel) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.model = model
        self.stopping = threading.Event()
        self._lines: set[socket.socket] = set()

    def process_request(self, request: Any, client_address: Any) -> None:
        """Remember the line, so that it can be closed at the end."""
        self._lines.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        """Forget the line."""
        self._lines.discard(request)
        super().shutdown_request(request)

    def close_lines(self) -> None:
        """End whatever still waits."""
        self.stopping.set()
        for line in list(self._lines):
            with contextlib.suppress(OSError):
                line.shutdown(socket.SHUT_RDWR)


@contextlib.contextmanager
def serve(model: FakeModel) -> Iterator[FakeServer]:
    """Serve a scripted model on a free port of 127.0.0.1 until the block ends."""
    with _Server(model) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        thread.start()
        try:
            yield FakeServer(model, server.server_address[1])
        finally:
            server.close_lines()
            server.shutdown()
            thread.join()
