"""One answer, five exit codes, no traceback; and no command pays for what it does not use."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import IO

import click
import pytest

from audit.cli import main as main_module
from audit.cli.answer import Answer, command
from audit.cli.main import COMMANDS, cli, run

HEAVY = {"torch", "opacus", "sklearn", "scipy", "ray", "joblib", "transformers", "flwr"}
HEAVIER_STILL = HEAVY | {"jinja2", "rich", "numpy", "httpx"}


def loaded_by(*arguments: str) -> set[str]:
    """Return the top-level modules that a fresh interpreter holds after one command line."""
    script = (
        "import sys, json\n"
        "from audit.cli.main import run\n"
        f"run({list(arguments)!r})\n"
        "print(json.dumps(sorted({name.partition('.')[0] for name in sys.modules})))\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    return set(json.loads(done.stdout.splitlines()[-1]))


@pytest.mark.parametrize(
    ("arguments", "forbidden"),
    [
        (["--help"], HEAVIER_STILL),
        (["verify", "no-such-bundle", "--trust", "no-such-file"], HEAVIER_STILL),
        (["gate", "no-such-bundle", "--policy", "no-such-file", "--unsigned"], HEAVIER_STILL),
        (["compare", "no-such-bundle", "no-such-bundle"], HEAVIER_STILL),
        (["render", "no-such-bundle", "--format", "md", "-o", "-"], HEAVY),
        (["show", "no-such-bundle"], HEAVY),
        (["keygen", "--help"], HEAVY),
        (["sign", "no-such-bundle", "--key", "no-such-key", "--role", "auditor"], HEAVY),
        (["init", "--help"], HEAVY),
        (["secagg", "--help"], HEAVY),
        (["attack", "--help"], HEAVY),
        (["attack", "run", "--help"], HEAVY),
        (["unlearn", "--help"], HEAVIER_STILL),
        (["unlearn", "federated", "--help"], HEAVY),
        (["unlearn", "verify", "--help"], HEAVY),
    ],
)
def test_a_light_command_loads_nothing_heavy(arguments: list[str], forbidden: set[str]) -> None:
    assert not loaded_by(*arguments) & forbidden


def test_the_help_page_says_what_each_command_says_of_itself(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["--help"]) == 0
    page = capsys.readouterr().out
    context = click.Context(cli)
    for name in COMMANDS:
        found = cli.get_command(context, name)
        assert found is not None
        assert found.name == name
        assert f"  {name} " in page


def test_the_group_unlearn_lists_its_commands_without_importing_them(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["unlearn", "--help"]) == 0
    page = capsys.readouterr().out
    group = cli.get_command(click.Context(cli), "unlearn")
    assert isinstance(group, click.Group)
    for name in group.list_commands(click.Context(group)):
        found = group.get_command(click.Context(group), name)
        assert found is not None
        assert found.name == name
        assert f"  {name} " in page
    assert group.get_command(click.Context(group), "nope") is None


@pytest.mark.parametrize(
    "arguments",
    [
        ["nope"], ["verify"], ["run", "x", "--effort", "huge", "-o", "y"], ["run", "x", "--bogus"], ["unlearn", "nope"],
        ["unlearn", "federated", "x"],
    ],
)  # fmt: skip
def test_a_usage_error_is_exit_2_and_one_sentence(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert run(arguments) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("error: ")
    assert "Traceback" not in err


@pytest.mark.parametrize("arguments", [["nope"], ["verify"], ["run", "no-such.toml", "-o", "b"]])
def test_json_is_one_document_on_failure_too(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    code = run([*arguments, "--json"])
    document = json.loads(capsys.readouterr().out)
    assert document["exit_code"] == code == 2
    assert document["command"] == arguments[0]
    assert {"fedaudit", "code", "message", "hint"} <= set(document)


@command("break")
def broken() -> Answer:
    """Break."""
    raise LookupError("a secret path\nand more")


@command("stop")
def stopped() -> Answer:
    """Be interrupted."""
    raise KeyboardInterrupt


@command("colour")
def colourful() -> Answer:
    """Answer in colour."""
    return Answer(text=click.style("green", fg="green"))


@pytest.fixture
def extra_commands(monkeypatch: pytest.MonkeyPatch) -> None:
    module = sys.modules[__name__]
    monkeypatch.setitem(sys.modules, "commands_of_this_test", module)
    for name, attribute in (("break", "broken"), ("stop", "stopped"), ("colour", "colourful")):
        monkeypatch.setitem(main_module.COMMANDS, name, (f"commands_of_this_test:{attribute}", "For this test."))


@pytest.mark.usefixtures("extra_commands")
def test_the_unforeseen_is_exit_3_and_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["break"]) == 3
    err = capsys.readouterr().err
    assert "LookupError" in err
    assert "Traceback" not in err
    assert run(["break", "--debug"]) == 3
    assert "Traceback" in capsys.readouterr().err


@pytest.mark.usefixtures("extra_commands")
def test_an_interrupt_is_exit_3_and_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["stop"]) == 3
    assert capsys.readouterr().err.strip().startswith("error: interrupted")


def test_a_place_that_cannot_be_written_is_exit_3(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "system.toml").write_text('[system]\nname = "s"\nversion = "1"\n')
    assert run(["run", str(tmp_path / "system.toml"), "-o", "/proc/bundle", "--no-render"]) == 3
    assert "Traceback" not in capsys.readouterr().err


def script(
    arguments: list[str], stdout: "int | IO[str]", environment: dict[str, str] | None = None
) -> "subprocess.CompletedProcess[str]":
    """What the console script does, in a process of its own."""
    command = [sys.executable, "-c", "from audit.cli.main import main; main()", *arguments]
    return subprocess.run(
        command,
        text=True,
        stdout=stdout,
        stderr=subprocess.PIPE,
        check=False,
        env={**os.environ, **(environment or {})},
    )


def test_an_answer_that_cannot_be_written_is_exit_3_and_no_verdict() -> None:
    assert script(["--version"], subprocess.DEVNULL).returncode == 0
    with Path("/dev/full").open("w") as full:
        done = script(["--version"], full)
        told = script(["show", "no-such-bundle", "--json"], full)
    assert [done.returncode, told.returncode] == [3, 3]
    assert "No space left" in told.stderr
    assert "Traceback" not in done.stderr + told.stderr
    read, write = os.pipe()
    os.close(read)  # whoever read has gone
    gone = script(["show", "no-such-bundle", "--json"], write)
    os.close(write)
    assert (gone.returncode, gone.stderr) == (3, "")


def test_a_letter_that_the_terminal_lacks_costs_no_answer(tmp_path: Path) -> None:
    for encoding in ("latin-1", "ascii", "utf-8"):
        called = ["init", str(tmp_path / f"€-{encoding}")]
        done = script(called, subprocess.DEVNULL, {"PYTHONIOENCODING": encoding})
        assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.usefixtures("extra_commands")
def test_no_color_is_honoured(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    assert "\x1b" in click.style("x", fg="green")  # the twin: colour was asked for
    for arguments, variable in ((["colour", "--no-color"], ""), (["colour"], "1")):
        monkeypatch.setenv("NO_COLOR", variable)
        assert run(arguments) == 0
        assert capsys.readouterr().out == "green\n"


def test_an_option_has_an_environment_variable(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("FEDAUDIT_KEYGEN_NO_PASSPHRASE", "1")
    monkeypatch.setenv("FEDAUDIT_KEYGEN_ALGORITHM", "ed25519")
    assert run(["keygen", "-o", str(tmp_path / "k")]) == 0
    assert (tmp_path / "k.pub").read_text().startswith("-----BEGIN PUBLIC KEY-----\nMCow")  # Ed25519's OID (RFC 8410)
