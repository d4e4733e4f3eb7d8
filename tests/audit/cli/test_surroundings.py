"""What surrounds a command: no network, a folder nobody may write into, and secrets that appear nowhere."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from reports.keyfile import private_pem
from reports.keys import load_private
from tests.audit.cli.gate_desk import NOW, Desk

SEVERAL = """
import contextlib, io, json, os, sys
told, asked = [], []
def hook(event, given):
    if event in ("socket.connect", "socket.getaddrinfo", "socket.sendto", "socket.bind", "socket.gethostbyname"):
        asked.append(event)
        raise PermissionError(event)
from audit.cli.main import run
sys.addaudithook(hook)
for line in json.loads(sys.argv[1]):
    out, err = io.TextIOWrapper(io.BytesIO(), "utf-8"), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = run(line)
    out.flush()
    told.append({"line": line, "code": code, "out": out.buffer.getvalue().decode("utf-8"), "err": err.getvalue()})
seen = list(asked)
import socket
with contextlib.suppress(PermissionError):
    socket.create_connection(("127.0.0.1", 9))
print(json.dumps({"told": told, "asked": seen, "hook_works": asked != seen}))
"""
"""Runs command lines in one process of its own, and tells what they said and whom on the network they asked for."""
SYSTEM = '[system]\nname = "ward"\nversion = "1"\n'
PASSPHRASE = "correct horse battery staple"


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    made = Desk(tmp_path)
    made.bundle()
    made.write("system.toml", SYSTEM)
    made.write("word", f"{PASSPHRASE}\n")
    (tmp_path / "key").write_bytes(private_pem(made.key, None))
    (tmp_path / "key").chmod(0o600)
    return made


def several(folder: Path, lines: list[str], *before: str, **environment: str) -> dict[str, Any]:
    script = [*before, sys.executable, "-c", SEVERAL, json.dumps([line.split() for line in lines])]
    surrounding = {**os.environ, **environment}
    done = subprocess.run(script, cwd=folder, env=surrounding, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return dict(json.loads(done.stdout.splitlines()[-1]))


READING = [
    f"verify bundle --trust trust.toml --subject model.bin --now {NOW}",
    f"gate bundle --policy policy.toml --trust trust.toml --subject model.bin --now {NOW}",
    "show bundle",
    "compare bundle bundle",
    *(f"render bundle --format {form} -o -" for form in ("html", "md", "json", "sarif", "junit", "oscal")),
    "checks --system system.toml",  # last: it loads what every check needs
]
WRITING = [
    "keygen -o new --no-passphrase",
    "sign bundle --key key --role auditor",
    "init here",
    "render bundle --format html -o page.html",
    "run system.toml -o audited --effort smoke --only integrity.* --key key",
]
MEASURES = pytest.mark.parametrize("measures", [False, pytest.param(True, marks=pytest.mark.slow)])
"""With and without the commands that load every check."""


def test_no_command_asks_for_anybody_on_the_network(desk: Desk) -> None:
    judged = f"{READING[1]} --sarif a.sarif --junit a.xml --summary a.md --svr a.svr --key key"
    told = several(desk.folder, [*READING, *WRITING, judged])
    assert {one["line"][0]: (one["code"], one["err"]) for one in told["told"] if one["code"]} == {}
    assert (told["asked"], told["hook_works"]) == ([], True)


def unprivileged() -> list[str]:
    """What stands before a command so that the modes of files bind it: root may write where nobody may."""
    if os.geteuid():
        return []
    if shutil.which("setpriv") is None:
        pytest.skip("root writes everywhere, and setpriv is not there to make it stop")
    return ["setpriv", "--bounding-set=-dac_override,-dac_read_search", "--inh-caps=-dac_override,-dac_read_search"]


@MEASURES
def test_in_a_folder_that_is_read_only_reading_works_and_writing_is_one_sentence(desk: Desk, measures: bool) -> None:
    folder, reading, writing = desk.folder, READING[: None if measures else -1], WRITING[: None if measures else -1]
    folders = [folder, *(path for path in folder.rglob("*") if path.is_dir())]
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    for path in folders:
        path.chmod(0o555)
    try:
        told = several(folder, [*reading, *writing], *unprivileged())["told"]
    finally:
        for path in folders:
            path.chmod(0o755)
    assert {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()} == before
    for one in told[: len(reading)]:
        assert (one["code"], one["err"]) == (0, ""), one["line"]
    for one in told[len(reading) :]:
        assert one["code"] == 3, one
        assert one["err"].startswith("error: "), one
        assert "Permission denied" in one["err"], one
        assert "Traceback" not in one["err"]


@MEASURES
def test_a_passphrase_or_a_private_key_appears_nowhere(desk: Desk, measures: bool) -> None:
    made = "keygen -o sealed --passphrase-file word"
    answers = {
        made: 0,
        f"{made} --json --debug": 2,  # exists already
        "sign bundle --key sealed --role provider --json --debug": 0,
        "sign bundle --key sealed --role provider --passphrase-file system.toml --debug": 2,  # a wrong one
        f"{READING[1]} --svr a.svr --key sealed --debug --json": 0,
    }
    if measures:
        answers["run system.toml -o audited --effort smoke --only integrity.* --key sealed --keep-run --debug"] = 0
        answers["run system.toml -o again --effort smoke --only integrity.* --key system.toml --debug"] = 2
    told = several(desk.folder, list(answers), FEDAUDIT_KEY_PASSWORD=PASSPHRASE)["told"]
    assert [one["code"] for one in told] == list(answers.values()), told
    sealed = (desk.folder / "sealed").read_bytes()
    bare = private_pem(load_private(sealed, PASSPHRASE.encode), None).decode().splitlines()[1:-1]
    secrets = [PASSPHRASE, *bare, *sealed.decode().splitlines()[1:-1]]
    said = "".join(one["out"] + one["err"] for one in told).encode()
    written = [path for path in desk.folder.rglob("*") if path.is_file() and path.name not in ("word", "sealed")]
    assert {"report.dsse.json", "a.svr", *(["store.sqlite"] if measures else [])} <= {path.name for path in written}
    for secret in secrets:
        assert secret.encode() not in said
        assert [path for path in written if secret.encode() in path.read_bytes()] == []
    assert PASSPHRASE.encode() in (desk.folder / "word").read_bytes()  # what is looked for would be found


HEAVY = {"torch", "opacus", "sklearn", "scipy", "ray", "joblib", "transformers", "flwr", "numpy"}
LOADED = """
import json, sys
from audit.cli.main import run
code = run(sys.argv[1:])
print(json.dumps([code, sorted({name.partition(".")[0] for name in sys.modules})]))
"""


@pytest.mark.parametrize(
    ("line", "more"),
    [
        (READING[0], {"jinja2", "rich", "httpx"}),
        (READING[1], {"jinja2", "rich", "httpx"}),
        (WRITING[0], {"jinja2", "rich", "httpx"}),
        (WRITING[1], {"httpx"}),  # it writes the pages of the bundle anew
        (WRITING[2], {"httpx"}),
        (WRITING[3], {"httpx"}),
    ],
    ids=lambda value: value.partition(" ")[0] if isinstance(value, str) else "",
)
def test_a_light_command_that_does_its_work_loads_nothing_heavy(desk: Desk, line: str, more: set[str]) -> None:
    words = [sys.executable, "-c", LOADED, *line.split()]
    done = subprocess.run(words, cwd=desk.folder, capture_output=True, text=True, check=True)
    code, loaded = json.loads(done.stdout.splitlines()[-1])
    assert code == 0, done.stderr
    assert set(loaded) & (HEAVY | more) == set()
    assert {"click", "pydantic", "cryptography"} & set(loaded)  # it did its work here
