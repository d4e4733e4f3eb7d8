"""Rows of the benchmark: what the client costs beside a bare loop of httpx, and a replay beside reading its files."""

import asyncio
import functools
import json
import socket
import statistics
import tempfile
from collections.abc import Awaitable, Callable, Iterable
from pathlib import Path
from typing import Any, Self

import httpx
from attacks_rows import Row, turns

from compliance.aireg import shipped_dataset
from compliance.judge.answer import ANSWER_SCHEMA
from compliance.judge_file import JudgeFile, quick_judge
from compliance.llm.fake import FakeModel, Request, Say, serve
from compliance.llm.panel import Panel, open_panel

REPEATS, REQUESTS, WIDE, ANSWERS = 5, 300, 8, 1000
ANSWER = {
    "reason": "The excerpt names the risks, who reviews them and how often, and what follows from each review.",
    "answer": "supports",
    "score": 4,
    "quotes": ["The provider keeps a list of the known and foreseeable risks"],
    "gaps": [],
    "code": "0123456789abcdef",
}
"""Like those that the judge asks for."""


def rows() -> Iterable[Row]:
    """Yield the time of requests to an instant server of this machine, and of answers that were recorded."""
    with tempfile.TemporaryDirectory() as folder:
        tape = Path(folder) / "tape"
        with serve(FakeModel(lambda _request: Say(json.dumps(ANSWER)))) as server:
            judge = quick_judge(server.base_url, "m", max_concurrency=WIDE)
            yield _requests(judge, server.base_url, server.requests)
            _ask(judge, ANSWERS, mode="record", cassette=tape)
        yield from _replay(judge, tape)


def _requests(judge: JudgeFile, base_url: str, seen: list[Request]) -> Row:
    """Compare with a loop that posts the same bodies, as many at once, and reads each answer with `json`."""
    _ask(judge, REQUESTS)
    bodies = [json.dumps(dict(request.body)).encode() for request in seen[-REQUESTS:]]
    ours, peer = map(
        statistics.median,
        turns([lambda: _ask(judge, REQUESTS), lambda: asyncio.run(_bare(base_url, bodies))], REPEATS, "wall"),
    )
    what = f"{REQUESTS} requests, {WIDE} wide, instant server"
    note = f"{ours / peer:.2f} times a bare httpx.AsyncClient"
    return Row(what, ours, "s", "<= 1.5 x", ours <= 1.5 * peer, "httpx", peer, REPEATS, note)


def _replay(judge: JudgeFile, tape: Path) -> Iterable[Row]:
    """Compare with reading each file, its reply and the answer in that with `json`; CPU time, one thread."""
    files = sorted(tape.glob("*/*.json"))
    opened = _Sockets()
    with opened:
        ours, peer = map(
            statistics.median,
            turns(
                [lambda: _ask(judge, ANSWERS, mode="replay", cassette=tape), lambda: [_read(file) for file in files]],
                REPEATS,
            ),
        )
    size = sum(file.stat().st_size for file in files) // len(files)
    note = f"{ours / peer:.1f} times; {size} bytes a file; request made anew, its key and the digest checked"
    yield Row(f"replay of {ANSWERS} answers", ours, "s", "<= 3 x", ours <= 3 * peer, "json", peer, REPEATS, note)
    yield Row("sockets connected in all replays", opened.count, "", "0", opened.count == 0, n=REPEATS + 1)


def _ask(judge: JudgeFile, count: int, **more: Any) -> None:
    async def run() -> None:
        async with open_panel(judge, Path(), consent=(), classification="public", **more) as panel:
            await asyncio.gather(*_questions(panel, count))

    asyncio.run(run())


def _questions(panel: Panel, count: int) -> list[Awaitable[object]]:
    texts, client = _texts(), panel.members[0].client
    system = {"role": "system", "content": "You read a part of a document and answer in JSON."}
    return [
        client.ask([system, {"role": "user", "content": f"{number}\n{texts[number % len(texts)]}"}], ANSWER_SCHEMA)
        for number in range(count)
    ]


@functools.cache
def _texts() -> list[str]:
    return [item.text for item in shipped_dataset().items if item.text]


async def _bare(base_url: str, bodies: list[bytes]) -> None:
    slots = asyncio.Semaphore(WIDE)
    limits = httpx.Limits(max_connections=WIDE, max_keepalive_connections=WIDE)

    async def post(client: httpx.AsyncClient, body: bytes) -> object:
        async with slots:
            headers = {"Content-Type": "application/json"}
            reply = await client.post(f"{base_url}/chat/completions", content=body, headers=headers)
        return json.loads(json.loads(reply.content)["choices"][0]["message"]["content"])

    async with httpx.AsyncClient(trust_env=False, limits=limits) as client:
        await asyncio.gather(*(post(client, body) for body in bodies))


def _read(file: Path) -> object:
    entry = json.loads(file.read_bytes())
    return json.loads(json.loads(entry["body"])["choices"][0]["message"]["content"])


class _Sockets:
    """Counts the connections that are opened while it holds."""

    def __enter__(self) -> Self:
        self.count = 0
        self._connect: Callable[..., None] = socket.socket.connect

        def counted(line: socket.socket, address: Any) -> None:
            self.count += 1
            self._connect(line, address)

        socket.socket.connect = counted  # type: ignore[method-assign]
        return self

    def __exit__(self, *_error: object) -> None:
        socket.socket.connect = self._connect  # type: ignore[method-assign]


if __name__ == "__main__":
    for row in rows():
        print(row)
