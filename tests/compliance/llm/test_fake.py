"""The fake is real: every fault over a socket of this machine, and the same words as in the process."""

import asyncio
import socket
import threading
import time
from collections.abc import Callable

import httpx
import pytest

from compliance.errors import EndpointError
from compliance.llm.client import LLMClient
from compliance.llm.fake import Drip, FakeModel, Hang, Huge, Redirect, Say, Status, Step, in_turn, serve, transport
from compliance.llm.sending import Clock
from tests.compliance.llm.asking import GOOD, MESSAGES, VirtualTime, ask, ask_all, client_of, endpoint

FAULTS: list[tuple[Step, str]] = [
    (Status(429), "endpoint.rate_limited"),
    (Status(429, "", {"Retry-After": "3600"}), "endpoint.retry_after"),
    (Status(401), "endpoint.unauthorised"),
    (Status(404, "no such model"), "endpoint.status"),
    (Redirect("https://evil.example/"), "endpoint.redirect"),
    (Huge(5 << 20), "endpoint.too_large"),
    (Drip(0.02), "endpoint.deadline"),
    (Hang(), "endpoint.connection"),
    (Hang(midway=True), "endpoint.connection"),
]


@pytest.mark.parametrize(("step", "code"), FAULTS, ids=[f"{code}-{type(step).__name__}" for step, code in FAULTS])
def test_every_fault_reads_alike_over_a_socket_and_in_the_process(step: Step, code: str) -> None:
    quick = {"timeout_s": 0.15, "deadline_s": 0.4 if isinstance(step, Drip) else 30.0, "max_retries": 1}
    model = FakeModel(in_turn(step))
    with serve(model) as server:
        client = LLMClient(endpoint(server.base_url, **quick), clock=Clock(sleep=VirtualTime().sleep))
        with pytest.raises(EndpointError) as over_socket:
            ask(client)
    with pytest.raises(EndpointError) as in_process:
        ask(client_of(FakeModel(in_turn(step)), **quick))
    assert over_socket.value.code == in_process.value.code == code
    assert over_socket.value.hint == in_process.value.hint


def test_an_answer_over_a_socket_is_the_same_as_in_the_process() -> None:
    def model() -> FakeModel:
        return FakeModel(in_turn(Status(503), Status(400, "grammar"), Say("prose"), Say(GOOD)), system_fingerprint="fp")

    with serve(model()) as server:
        real = ask(LLMClient(endpoint(server.base_url)))
    assert real == ask(client_of(model()))
    assert [request.path for request in server.requests] == ["/v1/chat/completions"] * 4
    assert server.requests[0].body == {**server.requests[0].body, "model": "m", "max_tokens": 700}
    assert server.requests[0].messages == tuple(MESSAGES)
    assert server.requests[0].headers["content-type"] == "application/json"


@pytest.mark.parametrize(("limit", "asked"), [(1, 3), (5, 11)])
def test_the_server_sees_exactly_as_many_at_once_as_the_client_allows(limit: int, asked: int) -> None:
    with serve(FakeModel(in_turn(Say(GOOD)), latency=0.2)) as server:
        replies = ask_all(LLMClient(endpoint(server.base_url, max_concurrency=limit)), range(asked))
    assert {reply.status for reply in replies} == {"answered"}
    assert server.peak_in_flight == limit
    assert len(server.requests) == asked


def test_the_server_sees_more_at_once_where_nothing_limits() -> None:
    """The control: the count of what is in flight can exceed a limit."""

    async def rush(url: str) -> None:
        async with httpx.AsyncClient(trust_env=False) as bare:
            await asyncio.gather(*(bare.post(url, json={"messages": []}) for _ in range(9)))

    with serve(FakeModel(in_turn(Say(GOOD)), latency=0.4)) as server:
        asyncio.run(rush(f"{server.base_url}/chat/completions"))
    assert server.peak_in_flight > 5


def test_a_server_ends_with_its_block_whatever_still_waits() -> None:
    before = set(threading.enumerate())
    with serve(FakeModel(in_turn(Hang()))) as server:
        host, port = server.base_url.removeprefix("http://").removesuffix("/v1").split(":")
        line = socket.create_connection((host, int(port)))
        line.sendall(b"POST /v1/chat/completions HTTP/1.1\r\nContent-Length: 2\r\n\r\n{}")
        while not server.requests:
            time.sleep(0.005)
        own = set(threading.enumerate()) - before
    assert line.recv(1) == b""
    line.close()
    assert own
    for thread in own:
        thread.join(5)
    assert not any(thread.is_alive() for thread in own)
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection((host, int(port)))


def test_a_script_goes_on_with_its_last_step() -> None:
    answer: Callable[..., Step] = in_turn(Say("a"), Say("b"))
    assert [answer(None) for _ in range(4)] == [Say("a"), Say("b"), Say("b"), Say("b")]


def test_the_fake_in_the_process_opens_no_socket(monkeypatch: pytest.MonkeyPatch) -> None:
    def opened(*_: object, **__: object) -> None:
        pytest.fail("a socket was connected")

    monkeypatch.setattr(socket.socket, "connect", opened)
    monkeypatch.setattr(asyncio.BaseEventLoop, "create_connection", opened)
    assert ask(client_of(FakeModel(in_turn(Say(GOOD))))).status == "answered"
    assert isinstance(transport(FakeModel(in_turn(Say(GOOD)))), httpx.AsyncBaseTransport)
