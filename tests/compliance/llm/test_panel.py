"""A whole panel, as a judge file says: guarded, keyed, recorded; and no key in any byte that is written."""

import asyncio
import json
import logging
import socket
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import httpx
import pytest

from compliance.errors import CassetteError, ComplianceError, EgressRefused, EndpointError, JudgeFileError
from compliance.judge_file import JudgeFile, load_judge_file, quick_judge
from compliance.llm.client import Reply
from compliance.llm.fake import FakeModel, Request, Say, Status, Step, in_turn, serve, transport
from compliance.llm.panel import Panel, open_panel
from tests.compliance.llm.asking import GOOD, SCHEMA, question

CANARY = "sk-canary/+7e57ab1e0123456789"
LOCAL = "http://127.0.0.1:8080/v1"
REMOTE = "https://llm.example.org/v1"


async def answers(panel: Panel, numbers: Sequence[int] = range(3)) -> list[Reply[Any]]:
    """Ask every member some questions, all at once."""
    asked = [member.client.ask(question(number), SCHEMA) for member in panel.members for number in numbers]
    return list(await asyncio.gather(*asked))


def opened(
    judge: JudgeFile, folder: Path = Path(), model: FakeModel | None = None, **more: Any
) -> tuple[Panel, list[Reply[Any]]]:
    """Open a panel and ask it; the panel comes back too, closed."""
    given = {"consent": (), "classification": "internal", "environment": {}, **more}
    if model is not None:
        given["transport"] = transport(model)

    async def run() -> tuple[Panel, list[Reply[Any]]]:
        async with open_panel(judge, folder, **given) as panel:
            return panel, await answers(panel)

    return asyncio.run(run())


@pytest.fixture
def no_sockets(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fail at the first look-up and at the first connection."""

    def touched(*_: object, **__: object) -> None:
        raise OSError("the network was touched")

    for name in ("connect", "connect_ex", "sendto", "bind"):
        monkeypatch.setattr(socket.socket, name, touched)
    monkeypatch.setattr(socket, "getaddrinfo", touched)
    monkeypatch.setattr(asyncio.BaseEventLoop, "create_connection", touched)


def test_members_share_recording_and_budget_and_have_their_own_settings(tmp_path: Path) -> None:
    file = tmp_path / "judge.toml"
    file.write_text(
        'temperature = 0.5\ncassette = "tape"\ncassette_mode = "record"\n[budget]\nrequests = 5\n'
        f'[[members]]\nname = "a"\nbase_url = "{LOCAL}"\nmodel = "m1"\n'
        '[[members]]\nname = "b"\nbase_url = "http://[::1]:9/v1"\nmodel = "m2"\n'
    )
    panel, replies = opened(load_judge_file(file), tmp_path, FakeModel(in_turn(Say(GOOD))))
    assert [member.name for member in panel.members] == ["a", "b"]
    assert [member.settings.host for member in panel.members] == ["127.0.0.1:8080", "[::1]:9"]
    assert panel.members[1].settings.temperature == 0.5
    assert [reply.status for reply in replies].count("answered") == 5
    assert panel.usage.requests == 5
    assert [one.host for one in panel.egress] == ["127.0.0.1:8080", "[::1]:9"]
    assert panel.cassette is not None
    assert len(list(panel.cassette.keys())) == 5
    assert (tmp_path / "tape").is_dir()


@pytest.mark.usefixtures("no_sockets")
def test_a_replay_opens_no_socket_even_for_a_remote_host(tmp_path: Path) -> None:
    judge = quick_judge(REMOTE, "m", api_key_env="LLM_API_KEY")
    public = {"resolve": lambda _host, _port: ["93.184.215.14"], "consent": ["llm.example.org"]}
    recorded_panel, recorded = opened(
        judge, model=FakeModel(in_turn(Say(GOOD))), mode="record", cassette=tmp_path / "tape",
        environment={"LLM_API_KEY": CANARY}, **public,
    )  # fmt: skip
    panel, replayed = opened(judge, mode="replay", cassette=tmp_path / "tape")  # no consent, no key, no name resolved
    assert replayed == recorded
    assert (panel.usage, panel.egress) == (recorded_panel.usage, recorded_panel.egress)
    assert panel.cassette is not None
    assert recorded_panel.cassette is not None
    assert panel.cassette.root() == recorded_panel.cassette.root()
    assert panel.cassette.used == recorded_panel.cassette.used


@pytest.mark.usefixtures("no_sockets")
def test_the_guard_speaks_before_any_socket() -> None:
    for judge, more in (
        (quick_judge(REMOTE, "m"), {}),
        (quick_judge("http://127.1:80", "m"), {}),
        (quick_judge(LOCAL, "gpt-oss:120b-cloud"), {}),
        (quick_judge(REMOTE, "m"), {"consent": ["llm.example.org"], "classification": "confidential"}),
        (quick_judge(REMOTE, "m"), {"consent": ["llm.example.org"], "resolve": lambda _h, _p: ["10.0.0.1"]}),
    ):
        with pytest.raises(EgressRefused):
            opened(judge, **more)
        with pytest.raises(EgressRefused):  # the guard holds for a transport that was handed in, too
            opened(judge, model=FakeModel(in_turn(Say(GOOD))), **more)
    with pytest.raises(OSError, match="the network was touched"):  # the control: this test would see a look-up
        socket.getaddrinfo("llm.example.org", 443)


def test_what_the_judge_file_allows_needs_consent_and_the_other_way_round(tmp_path: Path) -> None:
    file = tmp_path / "judge.toml"
    for allowed, consent, passes in (((), ("llm.example.org",), False), (("llm.example.org",), (), False),
                                     (("llm.example.org",), ("llm.example.org",), True)):  # fmt: skip
        file.write_text(f'allow_hosts = {list(allowed)}\n[[members]]\nbase_url = "{REMOTE}"\nmodel = "m"\n')
        more = {"consent": consent, "resolve": lambda _host, _port: ["93.184.215.14"]}
        model = FakeModel(in_turn(Say(GOOD)))
        if passes:
            opened(load_judge_file(file), model=model, **more)
        else:
            with pytest.raises(EgressRefused):
                opened(load_judge_file(file), model=model, **more)
        assert bool(model.requests) is passes


def test_one_refused_member_keeps_the_others_from_being_asked(tmp_path: Path) -> None:
    file = tmp_path / "judge.toml"
    file.write_text(
        "".join(f'[[members]]\nname = "{url}"\nbase_url = "{url}"\nmodel = "m"\n' for url in (LOCAL, REMOTE))
    )
    model = FakeModel(in_turn(Say(GOOD)))
    with pytest.raises(EgressRefused):
        opened(load_judge_file(file), model=model)
    assert model.requests == []


def test_a_key_is_looked_up_in_the_named_variable_alone() -> None:
    model = FakeModel(in_turn(Say(GOOD)))
    judge = quick_judge(LOCAL, "m", api_key_env="LLM_API_KEY")
    opened(judge, model=model, environment={"LLM_API_KEY": CANARY, "OTHER_API_KEY": "x"})
    assert model.requests[0].headers["authorization"] == f"Bearer {CANARY}"
    opened(judge, model=model)  # of this machine: goes on without
    assert "authorization" not in model.requests[-1].headers
    remote = quick_judge(REMOTE, "m", api_key_env="LLM_API_KEY")
    with pytest.raises(EndpointError, match="LLM_API_KEY is not set") as refusal:
        opened(remote, consent=["llm.example.org"], resolve=lambda _host, _port: ["93.184.215.14"])
    assert (refusal.value.code, refusal.value.exit_code) == ("endpoint.no_key", 2)


def leaking(request: Request) -> Step:
    """Echo the key in every way that a server can: in an error, in an answer, in names, behind escapes."""
    number = int(request.messages[-1]["content"].rpartition(" ")[2]) if len(request.messages) == 2 else 0
    escaped = CANARY.replace("/", "\\/").replace("s", "\\u0073")
    quoted = GOOD.replace("it says so", CANARY).replace('"', '\\"')
    return [
        Say(GOOD.replace("it says so", f"k {CANARY}")),
        Status(200, f'''{{"model": "{CANARY}", "choices": [{{"message": {{"content": "{quoted}"}}}}]}}'''),
        Status(200, f'''{{"choices": [{{"message": {{"content": "{{\\"reason\\": \\"{escaped}\\"}}"}}}}]}}'''),
        Status(400, f"grammar and {CANARY} and {escaped}"),
        Status(404, f"no such model for {CANARY}"),
    ][number]


@pytest.mark.parametrize("number", range(5))
@pytest.mark.parametrize("real", [True, False], ids=["socket", "process"])
def test_no_key_is_in_any_byte_that_is_written(
    number: int, real: bool, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    model = FakeModel(leaking)
    told: list[str] = []

    async def run(url: str, through: httpx.AsyncBaseTransport | None) -> None:
        judge = quick_judge(url, "m", api_key_env="LLM_API_KEY")
        async with open_panel(
            judge, tmp_path, consent=(), classification="public", mode="record", cassette=tmp_path / "tape",
            transport=through, environment={"LLM_API_KEY": CANARY},
        ) as panel:  # fmt: skip
            try:
                told.append(repr(await panel.members[0].client.ask(question(number), SCHEMA)))
            except ComplianceError as error:
                told.append(f"{error!r}{error}{error.args}{error.__cause__!r}")
            told.append(repr(panel))

    if real:
        with serve(model) as server:
            asyncio.run(run(server.base_url, None))
    else:
        asyncio.run(run(LOCAL, transport(model)))
    assert model.requests[0].headers["authorization"].endswith(CANARY)  # the control: the key was sent
    written = [file.read_bytes() for file in tmp_path.rglob("*") if file.is_file()]
    assert written or number == 4
    for data in (*written, caplog.text.encode(), "".join(told).encode()):
        for spelled in (CANARY, CANARY.replace("/", "\\/"), json.dumps(CANARY)[1:-1], CANARY[3:], "canary"):
            assert spelled.encode() not in data
    for data in written:  # nor behind any number of JSON's escapes
        text = data.decode()
        for _ in range(4):
            assert "canary" not in text
            text = text.encode().decode("unicode_escape")


def test_mode_and_folder_are_those_of_the_file_unless_said_otherwise(tmp_path: Path) -> None:
    file = tmp_path / "judge.toml"
    file.write_text(f'cassette = "tape"\ncassette_mode = "auto"\n[[members]]\nbase_url = "{LOCAL}"\nmodel = "m"\n')
    judge = load_judge_file(file)
    opened(judge, tmp_path, FakeModel(in_turn(Say(GOOD))))
    assert len(list((tmp_path / "tape").rglob("*.json"))) == 3
    panel, _ = opened(judge, tmp_path, FakeModel(in_turn(Say(GOOD))), mode="off")
    assert panel.cassette is None
    opened(judge, tmp_path, FakeModel(in_turn(Say(GOOD))), cassette=tmp_path / "other")
    assert (tmp_path / "other").is_dir()
    opened(judge, tmp_path, mode="replay")
    with pytest.raises(CassetteError, match="no such recording"):
        opened(judge, tmp_path, mode="replay", cassette=tmp_path / "nowhere")
    with pytest.raises(JudgeFileError, match="without cassette"):
        opened(quick_judge(LOCAL, "m"), tmp_path, mode="record")


def test_a_recording_does_not_lie_behind_a_link_that_leads_out(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "here").mkdir()
    (tmp_path / "here/tape").symlink_to(tmp_path / "elsewhere")
    file = tmp_path / "here/judge.toml"
    file.write_text(f'cassette = "tape"\ncassette_mode = "record"\n[[members]]\nbase_url = "{LOCAL}"\nmodel = "m"\n')
    with pytest.raises(JudgeFileError, match="leads out"):
        opened(load_judge_file(file), tmp_path / "here")


def test_a_panel_says_what_was_not_sent_and_whether_all_of_it_is_here() -> None:
    def answer(request: Request) -> Step:
        return Status(400, "unknown field seed") if "seed" in request.body else Say(GOOD)

    panel, _ = opened(quick_judge(LOCAL, "m"), model=FakeModel(answer))
    assert (panel.dropped, panel.local) == (("seed",), True)
    name = "127.example.org"  # a name, though it begins like an address
    more = {"consent": [name], "resolve": lambda _host, _port: ["93.184.215.14"]}
    panel, _ = opened(quick_judge(f"https://{name}/v1", "m"), model=FakeModel(in_turn(Say(GOOD))), **more)
    assert (panel.dropped, panel.local) == ((), False)
