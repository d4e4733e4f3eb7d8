"""The connection: pinned to what was judged, with the name in TLS; proxies, `.netrc` and Unix sockets lead nowhere."""

import asyncio
import datetime
import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import httpcore
import httpx
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from compliance.llm.client import LLMClient
from compliance.llm.egress import Target, read_url
from compliance.llm.endpoint import Endpoint
from compliance.llm.fake import FakeModel, Say, in_turn, serve
from compliance.llm.network import PinnedBackend, pinned_transport
from tests.compliance.llm.asking import GOOD, ask, endpoint

NAME = "llm.example.org"


@dataclass
class TlsServer:
    """Answers every request with 200, and remembers the names that it was asked for."""

    port: int
    names: list[str | None] = field(default_factory=list)
    hosts: list[bytes] = field(default_factory=list)


def certificate(folder: Path, name: str) -> tuple[Path, Path]:
    """Return the files of a self-signed certificate and of its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    day = datetime.timedelta(days=1)
    now = datetime.datetime.now(datetime.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - day)
        .not_valid_after(now + day)
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    pem, secret = folder / f"{name}.pem", folder / f"{name}.key"
    pem.write_bytes(made.public_bytes(serialization.Encoding.PEM))
    secret.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return pem, secret


@contextmanager
def tls_server(pem: Path, key: Path) -> Iterator[TlsServer]:
    """Serve one request at a time over TLS on 127.0.0.1."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pem, key)
    listening = socket.create_server(("127.0.0.1", 0))
    server = TlsServer(listening.getsockname()[1])
    context.sni_callback = lambda _line, name, _context: server.names.append(name)

    def answer() -> None:
        while True:
            try:
                line, _ = listening.accept()
            except OSError:
                return
            with line:
                try:
                    with context.wrap_socket(line, server_side=True) as tls:
                        told = tls.recv(65536)
                        server.hosts += [row for row in told.split(b"\r\n") if row.lower().startswith(b"host:")]
                        tls.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{}")
                except (ssl.SSLError, ConnectionError):
                    continue

    thread = threading.Thread(target=answer, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        listening.shutdown(socket.SHUT_RDWR)
        listening.close()
        thread.join()


def get(target: Target, *, trusted: Path | None = None, url: str | None = None) -> int:
    """Return the status of one request over a pinned transport."""
    tls = ssl.create_default_context(cafile=trusted) if trusted else None

    async def asked() -> int:
        through = pinned_transport(target, 1, tls=tls)
        try:
            reply = await through.handle_async_request(httpx.Request("GET", url or target.url))
            await reply.aread()
            await reply.aclose()
            return reply.status_code
        finally:
            await through.aclose()

    return asyncio.run(asked())


def test_the_socket_goes_to_the_judged_address_and_tls_is_about_the_name(tmp_path: Path) -> None:
    pem, key = certificate(tmp_path, NAME)
    with tls_server(pem, key) as server:
        target = Target(read_url(f"https://{NAME}:{server.port}/v1"), ("127.0.0.1",))  # a name that leads nowhere
        assert get(target, trusted=pem) == 200
    assert server.names == [NAME]
    assert server.hosts == [f"Host: {NAME}:{server.port}".encode()]


def test_a_certificate_for_another_name_is_refused(tmp_path: Path) -> None:
    pem, key = certificate(tmp_path, "other.example.org")
    with tls_server(pem, key) as server:
        target = Target(read_url(f"https://{NAME}:{server.port}/v1"), ("127.0.0.1",))
        with pytest.raises(httpx.ConnectError, match="CERTIFICATE_VERIFY_FAILED"):
            get(target, trusted=pem)
    assert server.hosts == []


def test_a_certificate_of_nobody_is_refused(tmp_path: Path) -> None:
    pem, key = certificate(tmp_path, NAME)
    with tls_server(pem, key) as server:
        target = Target(read_url(f"https://{NAME}:{server.port}/v1"), ("127.0.0.1",))
        with pytest.raises(httpx.ConnectError, match="CERTIFICATE_VERIFY_FAILED"):
            get(target)


@pytest.mark.parametrize("url", ["http://127.0.0.1:1/", "http://evil.example/", "http://localhost:{port}/"])
def test_nothing_but_the_target_is_reached(url: str) -> None:
    with serve(FakeModel(in_turn(Say(GOOD)))) as server:
        target = Target(read_url(server.base_url), ("127.0.0.1",))
        with pytest.raises(httpx.ConnectError, match="was not judged"):
            get(target, url=url.format(port=target.written.port))
    assert server.requests == []


def test_the_next_address_is_tried_where_one_does_not_answer() -> None:
    with serve(FakeModel(in_turn(Say(GOOD)))) as server:
        written = read_url(server.base_url.replace("127.0.0.1", "localhost"))
        first_dead = Target(written, ("::1", "127.0.0.9", "127.0.0.1"))
        assert ask(LLMClient(Endpoint(first_dead, "m"))).status == "answered"


def test_no_name_is_resolved_when_a_connection_is_opened(monkeypatch: pytest.MonkeyPatch) -> None:
    looked_up: list[object] = []
    real = socket.getaddrinfo

    def spied(host: object, *more: object, **named: object) -> object:
        looked_up.append(host)
        return real(host, *more, **named)  # type: ignore[arg-type]

    with serve(FakeModel(in_turn(Say(GOOD)))) as server:
        written = read_url(server.base_url.replace("127.0.0.1", "localhost"))
        monkeypatch.setattr(socket, "getaddrinfo", spied)
        ask(LLMClient(Endpoint(Target(written, ("127.0.0.1",)), "m")))
    assert "localhost" not in looked_up


def test_proxies_and_netrc_are_ignored(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login canary password canary\n")
    monkeypatch.setenv("NETRC", str(netrc))
    with serve(FakeModel(in_turn(Say("the proxy")))) as proxy, serve(FakeModel(in_turn(Say(GOOD)))) as server:
        for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy"):
            monkeypatch.setenv(name, proxy.base_url)
        monkeypatch.delenv("NO_PROXY", raising=False)
        assert ask(LLMClient(endpoint(server.base_url))).status == "answered"
    assert proxy.requests == []
    assert "authorization" not in server.requests[0].headers


def test_no_unix_socket_is_opened() -> None:
    backend = PinnedBackend(Target(read_url("http://127.0.0.1:1"), ("127.0.0.1",)), httpcore.AnyIOBackend())
    with pytest.raises(httpcore.ConnectError, match="Unix"):
        asyncio.run(backend.connect_unix_socket("/run/llm.sock"))


def test_a_target_of_a_recording_has_no_address_and_opens_nothing() -> None:
    with pytest.raises(httpx.ConnectError, match="no socket was opened"):
        get(Target(read_url("http://127.0.0.1:1")))
