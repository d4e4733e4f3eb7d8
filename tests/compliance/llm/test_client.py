"""One checked answer, or the reason why there is none: ladder, repair, budget, and that order changes nothing."""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path

import pytest
import rfc8785

from compliance.errors import BudgetSpent, CassetteError, EndpointError
from compliance.judge_file import BudgetLimits
from compliance.llm.budget import Budget
from compliance.llm.cassette import Cassette
from compliance.llm.fake import FakeModel, Hang, Redirect, Request, Say, Status, Step, in_turn
from tests.compliance.llm.asking import GOOD, MESSAGES, SCHEMA, ask, ask_all, client_of

BAD = GOOD.replace("4", "9")


def rung_of(request: Request) -> str:
    wanted = request.body.get("response_format")
    if not isinstance(wanted, dict):
        return "text"
    return "json_object_schema" if "schema" in wanted else str(wanted["type"])


def only(*rungs: str, status: int = 400, body: str = "response_format is not supported") -> FakeModel:
    """A model that knows some rungs alone."""
    return FakeModel(lambda request: Say(GOOD) if rung_of(request) in rungs else Status(status, body))


def test_a_good_answer_comes_back_checked() -> None:
    model = FakeModel(lambda _request: Say(GOOD), name="m-7b", system_fingerprint="fp")
    reply = ask(client_of(model), check=lambda value: value["score"])
    assert (reply.status, reply.checked, reply.problem, reply.rung) == ("answered", 4, "", "json_schema")
    assert reply.value == json.loads(GOOD)
    assert (reply.model, reply.system_fingerprint, reply.requests) == ("m-7b", "fp", 1)
    assert reply.prompt_tokens > 0
    assert len(reply.key) == 64
    sent = model.requests[0].body
    assert {"model", "messages", "temperature", "top_p", "seed", "max_tokens", "response_format"} == set(sent)


@pytest.mark.parametrize("rung", ["json_schema", "json_object_schema", "json_object", "text"])
@pytest.mark.parametrize("status", [400, 404, 415, 422, 500, 501])
def test_the_ladder_is_walked_once_and_then_remembered(rung: str, status: int) -> None:
    model = only(rung, status=status)
    client = client_of(model)
    replies = ask_all(client, range(5))
    assert {reply.rung for reply in replies} == {rung}
    steps = ["json_schema", "json_object_schema", "json_object", "text"].index(rung)
    assert [reply.requests for reply in replies] == [steps + 1, 1, 1, 1, 1]
    assert client.usage.requests == len(model.requests) == steps + 5


def test_a_server_that_fails_on_one_kind_of_request_is_asked_otherwise() -> None:
    model = FakeModel(lambda request: Say(GOOD) if rung_of(request) == "text" else Status(500, "internal error"))
    client = client_of(model, max_retries=2)
    assert ask(client).rung == "text"
    assert (client.usage.requests, client.usage.retries) == (4, 6)


def test_a_schema_that_is_silently_ignored_is_noticed_and_told_in_words() -> None:
    def answer(request: Request) -> Step:
        told = any('"quotes"' in str(message["content"]) for message in request.messages)
        return Say(GOOD if told else "It scores four.")

    reply = ask(client_of(FakeModel(answer)))
    assert (reply.status, reply.rung, reply.requests) == ("answered", "json_object_schema", 3)


@pytest.mark.parametrize(
    "bad",
    [BAD, GOOD.replace("4", '"5"'), GOOD.replace("4", "4.5"), GOOD.replace("4", "null"), GOOD.replace("4", "NaN"),
     GOOD + GOOD, GOOD[:-3], "It scores four.", "", '{"score": 4, "score": 4}'],
)  # fmt: skip
def test_an_invalid_answer_is_repaired_once(bad: str) -> None:
    model = FakeModel(in_turn(Say(GOOD), Say(bad), Say(GOOD)))
    first, second = ask_all(client_of(model), [1, 2])
    assert (first.status, second.status, second.requests) == ("answered", "answered", 2)
    repair = model.requests[2].messages
    assert [message["role"] for message in repair] == ["system", "user", "assistant", "user"]
    assert repair[2]["content"] == (bad or "(nothing)")
    assert "cannot be used" in repair[3]["content"]


@pytest.mark.parametrize(
    "step", [Say(BAD), Say(GOOD, finish_reason="length"), Say("", refusal="I cannot."), Say(""), Status(200, "<html>")]
)
def test_two_invalid_answers_are_no_answer(step: Step) -> None:
    model = FakeModel(in_turn(Say(GOOD), step))
    _, reply = ask_all(client_of(model), [1, 2])
    assert (reply.status, reply.value, reply.checked, reply.requests) == ("invalid_output", None, None, 2)
    assert reply.problem


def test_a_model_that_never_answers_well_costs_eight_requests_once() -> None:
    model = FakeModel(in_turn(Say("prose")))
    replies = ask_all(client_of(model), range(4))
    assert [reply.requests for reply in replies] == [8, 2, 2, 2]
    assert {reply.status for reply in replies} == {"invalid_output"}
    assert {reply.rung for reply in replies} == {"text"}


def test_a_sample_costs_eight_requests_at_most_whatever_else_was_tried() -> None:
    refusals = [Status(404), *(Status(400, f"{name} is not supported") for name in ("seed", "top_p"))]
    model = FakeModel(in_turn(*refusals, Say("prose")))
    reply = ask(client_of(model))
    assert (reply.status, reply.requests, len(model.requests)) == ("invalid_output", 8, 8)


def test_a_model_whose_objects_fail_the_check_alone_stays_on_the_rung_that_made_objects() -> None:
    def never(_value: Mapping[str, object]) -> int:
        raise ValueError("the code word is another")

    model = FakeModel(in_turn(Say(GOOD)))
    replies = ask_all(client_of(model), range(3), check=never)
    assert [reply.requests for reply in replies] == [8, 2, 2]
    assert replies[2].rung == "json_schema"
    assert replies[2].problem == "the code word is another"
    assert "the code word is another" in model.requests[1].messages[-1]["content"]


def test_a_parameter_that_is_not_known_is_dropped_and_said() -> None:
    def answer(request: Request) -> Step:
        unknown = next((name for name in ("seed", "top_p", "max_tokens") if name in request.body), None)
        return Say(GOOD) if unknown is None else Status(400, f"Unsupported parameter: '{unknown}'")

    model = FakeModel(answer)
    client = client_of(model)
    replies = ask_all(client, range(3))
    assert [reply.requests for reply in replies] == [4, 1, 1]
    assert client.dropped == ("max_tokens", "seed", "top_p")
    assert model.requests[-1].body["max_completion_tokens"] == 700


def test_the_other_path_is_found_and_remembered() -> None:
    model = FakeModel(lambda request: Say(GOOD) if request.path == "/chat/completions" else Status(404, "not found"))
    replies = ask_all(client_of(model), range(3))
    assert [reply.requests for reply in replies] == [2, 1, 1]


def test_an_unknown_model_is_told_with_what_the_server_says() -> None:
    with pytest.raises(EndpointError, match=r"answered 404: no model named m\? \[31m") as refusal:
        ask(client_of(FakeModel(in_turn(Status(404, "no model named m?\n\x1b[31m" + "x" * 5000)))))
    assert (refusal.value.code, refusal.value.exit_code) == ("endpoint.status", 3)
    assert len(refusal.value.message) < 300


@pytest.mark.parametrize("step", [Status(401), Status(403), Redirect("https://elsewhere.example"), Hang(), Status(404)])
def test_an_endpoint_that_cannot_be_used_is_asked_no_more(step: Step) -> None:
    model = FakeModel(in_turn(step))
    client = client_of(model, max_retries=1)
    with pytest.raises(EndpointError):
        ask_all(client, range(10))
    asked = len(model.requests)
    assert asked <= 2
    for _ in range(2):
        with pytest.raises(EndpointError):
            ask(client)
    assert len(model.requests) == asked


def test_one_request_that_fails_late_does_not_end_an_endpoint_that_works() -> None:
    model = FakeModel(in_turn(Say(GOOD), Status(429), Say(GOOD)))
    client = client_of(model, max_retries=0)
    assert ask(client).status == "answered"
    with pytest.raises(EndpointError, match="429"):
        ask(client)
    assert ask(client).status == "answered"


def test_a_key_that_is_refused_later_ends_the_endpoint() -> None:
    model = FakeModel(in_turn(Say(GOOD), Status(401), Say(GOOD)))
    client = client_of(model)
    ask(client)
    for _ in range(2):
        with pytest.raises(EndpointError, match="401"):
            ask(client)
    assert len(model.requests) == 2


@pytest.mark.parametrize(
    ("limits", "answered"),
    [
        (BudgetLimits(requests=3), 3),
        (BudgetLimits(prompt_tokens=1), 1),
        (BudgetLimits(completion_tokens=13), 2),
        (BudgetLimits(), 6),
    ],
)
def test_the_next_request_after_the_budget_is_not_sent(limits: BudgetLimits, answered: int) -> None:
    model = FakeModel(in_turn(Say(GOOD)))
    replies = ask_all(client_of(model, limits=limits, max_concurrency=1), range(6))
    states = [reply.status for reply in replies]
    assert states == ["answered"] * answered + ["not_asked"] * (6 - answered)
    assert len(model.requests) == answered
    assert all("budget" in reply.problem and reply.requests == 0 for reply in replies[answered:])


def test_a_budget_that_ends_before_the_repair_leaves_an_invalid_answer() -> None:
    reply = ask(client_of(FakeModel(in_turn(Say(BAD))), limits=BudgetLimits(requests=1)))
    assert reply.status == "invalid_output"
    assert "budget" in reply.problem


def test_retries_are_paid_from_the_budget() -> None:
    model = FakeModel(in_turn(Status(500)))
    reply = ask(client_of(model, limits=BudgetLimits(requests=3)))
    assert (reply.status, len(model.requests)) == ("not_asked", 3)


@pytest.mark.parametrize("limits", [BudgetLimits(prompt_tokens=10), BudgetLimits(completion_tokens=10)])
def test_the_last_token_of_a_budget_is_its_last(limits: BudgetLimits) -> None:
    budget = Budget(limits)
    budget.count(9, 9)
    budget.take()
    budget.count(1, 1)
    with pytest.raises(BudgetSpent, match="10"):
        budget.take()


def test_a_replay_pays_for_the_retries_that_were_recorded(tmp_path: Path) -> None:
    found = []
    for mode in ("record", "replay"):
        model = FakeModel(in_turn(Status(503), Say(GOOD)))
        client = client_of(model, cassette=Cassette(tmp_path, mode), limits=BudgetLimits(requests=3), max_concurrency=1)  # type: ignore[arg-type]
        found.append([reply.status for reply in ask_all(client, range(4))])
    assert found == [["answered", "answered", "not_asked", "not_asked"]] * 2


def test_samples_are_asked_with_seeds_and_keys_of_their_own() -> None:
    model = FakeModel(in_turn(Say(GOOD)))
    client = client_of(model, seed=11)
    keys = {ask(client, sample=sample).key for sample in range(3)}
    assert len(keys) == 3
    assert [request.body["seed"] for request in model.requests] == [11, 12, 13]


@pytest.mark.parametrize("limit", [1, 4])
@pytest.mark.parametrize("order", [range(12), range(11, -1, -1), [5, 0, 11, 3, 1, 2, 4, 6, 7, 8, 9, 10]])
def test_neither_order_nor_concurrency_changes_an_answer(limit: int, order: list[int]) -> None:
    def answer(request: Request) -> Step:  # every third question is answered badly, on a server that knows json_object
        if rung_of(request) != "json_object":
            return Status(400, "grammar")
        bad = any(request.messages[1]["content"].endswith(f" {n}") for n in (2, 5, 8, 11))
        return Say(BAD if bad and len(request.messages) == 2 else GOOD)

    replies = dict(zip(order, ask_all(client_of(FakeModel(answer), max_concurrency=limit), order), strict=True))
    plain = {n: ask_all(client_of(FakeModel(answer)), [n])[0] for n in range(12)}
    for number, reply in replies.items():
        assert (reply.status, reply.rung, reply.key, reply.value) == (
            plain[number].status, plain[number].rung, plain[number].key, plain[number].value
        )  # fmt: skip


def flaky(request: Request) -> Step:
    """Refuse two rungs, repair some, fail in passing some."""
    if rung_of(request) in ("json_schema", "json_object_schema"):
        return Status(400, "schema")
    if request.messages[1]["content"].endswith("3") and len(request.messages) == 2:
        return Say(BAD)
    return Say(GOOD)


def test_a_replay_gives_the_same_replies_usage_and_egress(tmp_path: Path) -> None:
    stumbles = iter([True, False, True])
    model = FakeModel(lambda request: Status(503) if next(stumbles, False) else flaky(request))
    first = client_of(model, cassette=Cassette(tmp_path, "record"))
    recorded = ask_all(first, range(6))
    assert first.usage.retries == 2
    for mode in ("replay", "auto"):
        again = client_of(FakeModel(in_turn(Status(500))), cassette=Cassette(tmp_path, mode))  # type: ignore[arg-type]
        assert ask_all(again, range(6)) == recorded
        assert (again.usage, again.egress, again.dropped) == (first.usage, first.egress, first.dropped)
        assert (again.sent.requests, again.sent.bytes_sent) == (0, 0)
    assert first.sent == first.egress


def test_every_exchange_is_recorded_under_the_digest_of_what_was_asked(tmp_path: Path) -> None:
    odd = [{"role": "user", "content": 'Ünï\u2028cödé "quoted" \\ \t\r\n\x00\U0001f600'}, *MESSAGES]
    client = client_of(FakeModel(flaky), cassette=Cassette(tmp_path, "record"))
    ask_all(client, range(5))
    ask(client, messages=odd)
    files = sorted(tmp_path.rglob("*.json"))
    assert len(files) == client.usage.requests
    for file in files:
        asked = json.loads(file.read_bytes())["request"]
        key = rfc8785.dumps([asked["path"], asked["body"], asked["sample"]])
        assert file.stem == hashlib.sha256(key).hexdigest()


def test_the_bytes_that_left_are_counted_as_they_left(tmp_path: Path) -> None:
    model = FakeModel(flaky)
    client = client_of(model, cassette=Cassette(tmp_path, "record"))
    ask_all(client, range(4))
    lengths = [int(request.headers["content-length"]) for request in model.requests]
    assert (client.egress.requests, client.egress.bytes_sent) == (len(lengths), sum(lengths))


def test_answers_and_refusals_are_recorded_and_nothing_that_passes(tmp_path: Path) -> None:
    steps = in_turn(
        Status(429), Status(400, "grammar"), Status(500), Hang(midway=True), Say(BAD), Say(GOOD), Status(401)
    )
    client = client_of(FakeModel(steps), cassette=Cassette(tmp_path, "record"))
    ask(client)
    with pytest.raises(EndpointError):
        ask(client, sample=1)
    entries = [json.loads(file.read_bytes()) for file in tmp_path.rglob("*.json")]
    assert sorted(entry["status"] for entry in entries) == [200, 200, 400]


def test_a_5xx_that_led_down_the_ladder_is_recorded_so_that_a_replay_goes_there_too(tmp_path: Path) -> None:
    model = FakeModel(lambda request: Say(GOOD) if rung_of(request) == "text" else Status(502, "bad gateway"))
    recorded = ask(client_of(model, max_retries=1, cassette=Cassette(tmp_path, "record")))
    assert ask(client_of(None, max_retries=1, cassette=Cassette(tmp_path, "replay"))) == recorded


def test_a_replay_names_what_it_misses(tmp_path: Path) -> None:
    ask(client_of(FakeModel(in_turn(Say(GOOD))), cassette=Cassette(tmp_path, "record")))
    for more in ({"sample": 1}, {"schema": {"type": "object"}}):
        client = client_of(None, cassette=Cassette(tmp_path, "replay"))
        with pytest.raises(
            CassetteError, match=r"EU-AIA:9\(8\): sample \d: 'reader' has no recorded answer"
        ) as refusal:
            ask_one(client, **{"sample": 0, "schema": SCHEMA, **more})
        assert (refusal.value.code, refusal.value.exit_code) == ("cassette.missing", 3)


def ask_one(client: object, *, sample: int, schema: Mapping[str, object]) -> None:
    import asyncio

    asyncio.run(client.ask(MESSAGES, schema, sample=sample, about="EU-AIA:9(8)"))  # type: ignore[attr-defined]


def test_auto_asks_for_what_is_not_there_and_only_for_that(tmp_path: Path) -> None:
    ask_all(client_of(FakeModel(in_turn(Say(GOOD))), cassette=Cassette(tmp_path, "record")), range(3))
    model = FakeModel(in_turn(Say(GOOD)))
    ask_all(client_of(model, cassette=Cassette(tmp_path, "auto")), range(5))
    assert len(model.requests) == 2
    assert {reply.status for reply in ask_all(client_of(None, cassette=Cassette(tmp_path, "replay")), range(5))} == {
        "answered"
    }
