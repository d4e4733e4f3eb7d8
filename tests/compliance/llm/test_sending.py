"""One request over everything, with a clock that nobody waits for: retries, waits, deadlines, bounds."""

import asyncio
import random
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from compliance.errors import EndpointError
from compliance.llm.endpoint import Endpoint
from compliance.llm.fake import Drip, FakeModel, Hang, Huge, Redirect, Request, Say, Status, Step, in_turn, transport
from compliance.llm.sending import Reached, Sender, retry_after_seconds
from tests.compliance.llm.asking import NOON, VirtualTime, endpoint

KEY = "sk-canary-0123456789"
BODY = b'{"messages": []}'


def post(
    *steps: Step,
    to: Endpoint | None = None,
    time: VirtualTime | None = None,
    through: httpx.AsyncBaseTransport | None = None,
) -> Reached:
    """Send one request to a model that does `steps` in turn."""
    time = time or VirtualTime()
    through = through or transport(FakeModel(in_turn(*steps)), sleep=time.sleep)

    async def sent() -> Reached:
        sender = Sender(to or endpoint(), through, time.clock, random.Random(5))
        try:
            return await sender.post("/v1/chat/completions", BODY, lambda: None)
        finally:
            await sender.aclose()

    return asyncio.run(sent())


def failure(*steps: Step, to: Endpoint | None = None, time: VirtualTime | None = None) -> EndpointError:
    with pytest.raises(EndpointError) as refused:
        post(*steps, to=to, time=time)
    assert refused.value.exit_code == 3
    assert refused.value.message.startswith("127.0.0.1:8080: ")
    assert refused.value.hint
    return refused.value


@pytest.mark.parametrize("status", [408, 409, 425, 429, 500, 502, 503, 504, 529])
def test_what_fails_in_passing_is_tried_again(status: int) -> None:
    time = VirtualTime()
    reached = post(Status(status), Hang(), Hang(midway=True), Status(status), Say("yes"), time=time)
    assert (reached.status, reached.retries) == (200, 4)


@pytest.mark.parametrize("status", [400, 404, 405, 413, 422])
def test_what_another_attempt_would_not_change_is_not_repeated(status: int) -> None:
    model = FakeModel(in_turn(Status(status, "no"), Say("yes")))
    assert post(through=transport(model)) == Reached(status, "no", 0)
    assert len(model.requests) == 1


def test_a_refused_format_is_not_repeated_though_it_is_a_500() -> None:
    assert post(Status(500, "response_format"), Say("yes")).retries == 0


def test_waits_are_drawn_evenly_below_a_bound_that_doubles() -> None:
    async def waits_of(seed: int) -> list[float]:
        time = VirtualTime()
        through = transport(FakeModel(in_turn(Status(500))), sleep=time.sleep)
        sender = Sender(endpoint(max_retries=10, deadline_s=1e9), through, time.clock, random.Random(seed))
        await sender.post("/", BODY, lambda: None)
        await sender.aclose()
        return time.waits

    async def all_waits() -> list[list[float]]:
        return [await waits_of(seed) for seed in range(200)]

    draws = asyncio.run(all_waits())
    bounds = [0.5, 1, 2, 4, 8, 16, 30, 30, 30, 30]
    for number, bound in enumerate(bounds):
        column = [waits[number] for waits in draws]
        assert max(column) <= bound
        assert abs(sum(column) / 200 / bound - 0.5) < 0.082  # full jitter: four standard errors of a uniform mean


@pytest.mark.parametrize(
    ("header", "wait"),
    [
        ("7", 7.0),
        ("0", 0.0),
        ("60", 60.0),
        (format_datetime(NOON + timedelta(seconds=30), usegmt=True), 30.0),
        (format_datetime(NOON - timedelta(days=3), usegmt=True), 0.0),
    ],
)
def test_retry_after_is_obeyed_in_both_forms(header: str, wait: float) -> None:
    time = VirtualTime()
    for status in (429, 503):
        time.waits.clear()
        time.passed = 0.0
        assert post(Status(status, "", {"Retry-After": header}), Say("yes"), time=time).retries == 1
        assert time.waits == [wait]


@pytest.mark.parametrize("header", ["3600", "61", format_datetime(NOON + timedelta(hours=1), usegmt=True), "999999999"])
def test_a_longer_retry_after_ends_the_request_at_once(header: str) -> None:
    time = VirtualTime()
    error = failure(Status(429, "", {"Retry-After": header}), Say("yes"), time=time)
    assert error.code == "endpoint.retry_after"
    assert time.waits == []


# the three forms of a date in RFC 9110 section 5.6.7, its own examples
@pytest.mark.parametrize(
    "text", ["Sun, 06 Nov 1994 08:49:37 GMT", "Sunday, 06-Nov-94 08:49:37 GMT", "Sun Nov  6 08:49:37 1994"]
)
def test_every_form_of_an_http_date_is_read(text: str) -> None:
    assert retry_after_seconds(text, datetime(1994, 11, 6, 8, 49, 0, tzinfo=UTC)) == 37.0


@given(st.text(max_size=30))
def test_no_retry_after_is_a_negative_wait(text: str) -> None:
    seconds = retry_after_seconds(text, NOON)
    assert seconds is None or seconds >= 0


@pytest.mark.parametrize("header", ["", "-5", "soon", "1.5", "12345678901", "Sun, 99 Nov 1994 08:49:37 GMT"])
def test_a_retry_after_that_says_nothing_leaves_it_at_the_jitter(header: str) -> None:
    time = VirtualTime()
    post(Status(429, "", {"Retry-After": header} if header else {}), Say("yes"), time=time)
    assert 0 <= time.waits[0] <= 0.5


@pytest.mark.parametrize(
    ("step", "code"),
    [
        (Status(429), "endpoint.rate_limited"),
        (Hang(), "endpoint.connection"),
        (Hang(midway=True), "endpoint.connection"),
        (Drip(1.0), "endpoint.deadline"),
        (Huge(5 << 20), "endpoint.too_large"),
        (Redirect("https://evil.example/"), "endpoint.redirect"),
        (Status(401), "endpoint.unauthorised"),
        (Status(403), "endpoint.unauthorised"),
        (Status(200, "{}", {"Content-Encoding": "gzip"}), "endpoint.status"),
    ],
)
def test_every_fault_has_its_word(step: Step, code: str) -> None:
    assert failure(step).code == code


def test_a_plain_5xx_that_outlives_the_retries_is_handed_on() -> None:
    assert post(Status(503, "busy")) == Reached(503, "busy", 4)


def test_a_reply_may_have_a_mebibyte_and_no_byte_more() -> None:
    assert len(post(Huge(1 << 20)).body) == 1 << 20
    assert failure(Huge((1 << 20) + 1)).code == "endpoint.too_large"


def test_a_drip_ends_at_the_deadline_though_every_byte_is_in_time() -> None:
    time = VirtualTime()
    failure(Drip(50.0), to=endpoint(timeout_s=60.0, deadline_s=600.0), time=time)
    assert 600 < time.passed <= 650


def test_the_deadline_holds_over_attempts_and_waits_together() -> None:
    time = VirtualTime()
    error = failure(Hang(), to=endpoint(timeout_s=60.0, deadline_s=130.0, max_retries=10), time=time)
    assert error.code == "endpoint.deadline"
    assert time.passed <= 130 + 60
    waiting = Status(429, "", {"Retry-After": "50"})
    assert failure(waiting, to=endpoint(deadline_s=120.0, max_retries=10)).code == "endpoint.deadline"


@pytest.mark.parametrize("failing", [0, 20], ids=["at-once", "tried-again"])
def test_waiting_for_a_free_slot_does_not_count_against_the_deadline(failing: int) -> None:
    time = VirtualTime()
    model = FakeModel(in_turn(*[Status(503, "busy")] * failing, Say("yes")), latency=10.0)

    async def all_at_once() -> list[Reached]:
        sender = Sender(endpoint(max_concurrency=1, deadline_s=25.0), transport(model, sleep=time.sleep), time.clock,
                        random.Random(0))  # fmt: skip
        found = await asyncio.gather(*(sender.post("/", BODY, lambda: None) for _ in range(20)))
        await sender.aclose()
        return found

    assert {reached.status for reached in asyncio.run(all_at_once())} == {200}
    assert len(model.requests) == 20 + failing  # of 10 s each, two of them within the deadline of one request


@pytest.mark.parametrize("limit", [1, 3, 8])
def test_as_many_are_in_flight_as_allowed_and_never_more(limit: int) -> None:
    model = FakeModel(lambda _request: Say("yes"), latency=1.0)

    async def all_at_once() -> None:
        time = VirtualTime()
        sender = Sender(
            endpoint(max_concurrency=limit), transport(model, sleep=time.sleep), time.clock, random.Random(0)
        )
        await asyncio.gather(*(sender.post("/", BODY, lambda: None) for _ in range(25)))
        await sender.aclose()

    asyncio.run(all_at_once())
    assert model.peak_in_flight == limit
    assert len(model.requests) == 25


def test_who_waits_to_try_again_holds_no_slot() -> None:
    time = VirtualTime()
    order: list[str] = []

    def answer(request: Request) -> Step:
        order.append(request.path)
        return Status(429, "", {"Retry-After": "30"}) if request.path == "/a" and order.count("/a") == 1 else Say("yes")

    async def both() -> None:
        sender = Sender(endpoint(max_concurrency=1), transport(FakeModel(answer), sleep=time.sleep), time.clock,
                        random.Random(0))  # fmt: skip
        await asyncio.gather(*(sender.post(path, BODY, lambda: None) for path in ("/a", "/b")))
        await sender.aclose()

    asyncio.run(both())
    assert order == ["/a", "/b", "/a"]


def test_a_refused_key_is_told_by_the_name_of_its_variable() -> None:
    to = endpoint(key=lambda: KEY, api_key_env="LLM_API_KEY")
    error = failure(Status(401, f"bad key {KEY}"), to=to)
    assert "LLM_API_KEY" in error.message
    assert "canary" not in f"{error}{error.args}"
    assert "api_key_env" in failure(Status(401)).hint


def test_a_redirect_is_told_and_not_followed() -> None:
    model = FakeModel(in_turn(Redirect("https://evil.example/\x1b[31m"), Say("yes")))
    with pytest.raises(EndpointError, match=r"redirects to https://evil\.example/\?\[31m; it was not followed"):
        post(through=transport(model))
    assert len(model.requests) == 1
    echoed = failure(Redirect(f"https://evil.example/{KEY}"), to=endpoint(key=lambda: KEY))
    assert "evil.example" in echoed.message
    assert "canary" not in f"{echoed}{echoed.args}"


def test_nothing_is_asked_for_that_could_be_larger_than_what_is_counted() -> None:
    model = FakeModel(in_turn(Say("yes")))
    post(through=transport(model))
    headers = model.requests[0].headers
    assert headers["accept-encoding"] == "identity"
    assert "authorization" not in headers
    assert "cookie" not in headers
