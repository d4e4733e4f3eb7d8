"""What a scripted model says: one step for each request, every fault among them. Pure; no network.

request ──FakeModel.step──▶ Say | Status | Drip | Redirect | Huge | Hang ──fake or fake_server──▶ bytes
"""

import json
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

__all__ = ["Drip", "FakeModel", "Hang", "Huge", "Redirect", "Request", "Say", "Status", "Step", "completion", "in_turn"]


@dataclass(frozen=True)
class Request:
    """What reached the model."""

    messages: Sequence[Mapping[str, str]]
    """`{"role", "content"}` each."""
    body: Mapping[str, object]
    """All that was sent."""
    headers: Mapping[str, str]
    """Names in lower case."""
    path: str = "/v1/chat/completions"
    """Of the address."""


@dataclass(frozen=True)
class Say:
    """A chat completion with this text."""

    text: str
    finish_reason: str = "stop"
    refusal: str | None = None
    """What a model says that refuses."""


@dataclass(frozen=True)
class Status:
    """Any status and body."""

    code: int
    body: str = "{}"
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Drip:
    """A reply that sends one byte at a time and never ends."""

    seconds: float
    """Between two bytes."""


@dataclass(frozen=True)
class Redirect:
    """307 to somewhere else."""

    url: str


@dataclass(frozen=True)
class Huge:
    """200 with a body of so many bytes."""

    bytes: int


@dataclass(frozen=True)
class Hang:
    """Silence, or half a reply and then a closed line."""

    midway: bool = False
    """Whether to send half of a reply and close, instead of sending nothing and waiting."""


Step = Say | Status | Drip | Redirect | Huge | Hang
"""What a model does with one request."""


class FakeModel:
    """A model that answers as a function tells it, and counts what it was asked.

    Args:
        answer: Called for one request at a time, whatever comes in at once.
        latency: Seconds that each reply takes.
        name: Of the model, in its replies.
        system_fingerprint: In its replies, where given.
    """

    def __init__(
        self,
        answer: Callable[[Request], Step],
        *,
        latency: float = 0.0,
        name: str = "fake",
        system_fingerprint: str | None = None,
    ) -> None:
        self.answer, self.latency, self.name, self.system_fingerprint = answer, latency, name, system_fingerprint
        self.requests: list[Request] = []
        """What it was asked, in order."""
        self.peak_in_flight = 0
        """The most requests that it had at once."""
        self._in_flight = 0
        self._lock = threading.Lock()

    def begin(self, request: Request) -> Step:
        """Take a request and return what to do with it; `end` must follow."""
        with self._lock:
            self._in_flight += 1
            self.peak_in_flight = max(self.peak_in_flight, self._in_flight)
            self.requests.append(request)
            return self.answer(request)

    def end(self) -> None:
        """Note that a request was answered."""
        with self._lock:
            self._in_flight -= 1


def in_turn(*steps: Step) -> Callable[[Request], Step]:
    """Return an answer that takes one step after the other, and the last one for ever after."""
    left = list(steps)
    return lambda _request: left.pop(0) if len(left) > 1 else left[0]


def completion(say: Say, model: FakeModel, request: Request) -> bytes:
    """Return a chat completion as an OpenAI-compatible server writes it; four characters count as one token."""
    message: dict[str, object] = {"role": "assistant", "content": say.text}
    if say.refusal is not None:
        message |= {"content": None, "refusal": say.refusal}
    prompt = sum(len(str(one.get("content", ""))) for one in request.messages) // 4
    reply = {
        "id": "chatcmpl-0",
        "object": "chat.completion",
        "created": 0,
        "model": model.name,
        "choices": [{"index": 0, "message": message, "finish_reason": say.finish_reason}],
        "usage": {
            "prompt_tokens": prompt,
            "completion_tokens": len(say.text) // 4,
            "total_tokens": prompt + len(say.text) // 4,
        },
    }
    if model.system_fingerprint is not None:
        reply["system_fingerprint"] = model.system_fingerprint
    return json.dumps(reply).encode()


def request_of(path: str, headers: Mapping[str, str], content: bytes) -> Request:
    """Return what was sent, read leniently: a fake judges nobody's JSON."""
    body = json.loads(content or b"{}")
    return Request(
        tuple(body.get("messages", ())), body, {name.lower(): value for name, value in headers.items()}, path
    )
