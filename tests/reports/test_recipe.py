"""The third party's recipe: openssl and jq accept what we seal, and refuse what was tampered with."""

import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from reports.recipe import RECIPE, verify_script
from tests.reports.conformance.world import STRANGER, World, sound_world

pytestmark = pytest.mark.skipif(
    not all(shutil.which(tool) for tool in ("openssl", "jq", "sh")), reason="needs sh, openssl and jq on the machine"
)


@pytest.fixture
def world(tmp_path: Path) -> World:
    world = sound_world(tmp_path / "a world")  # a path with a blank in it
    (world.bundle / "render" / RECIPE).write_bytes(verify_script())
    return world


def recipe(world: World, key: str, number: int | None = None) -> subprocess.CompletedProcess[str]:
    arguments = [str(world.bundle), str(world.folder / key), *([] if number is None else [str(number)])]
    script = str(world.bundle / "render" / RECIPE)
    path = {"PATH": os.environ["PATH"]}  # nothing of ours: no PYTHONPATH, no virtual environment
    return subprocess.run(["sh", script, *arguments], capture_output=True, text=True, env=path)


@pytest.mark.parametrize(("key", "number"), [("auditor.pub", None), ("auditor.pub", 0), ("provider.pub", 1)])
def test_it_accepts_both_algorithms(world: World, key: str, number: int | None) -> None:
    done = recipe(world, key, number)
    assert done.returncode == 0, done.stderr
    assert f"subject {world.statement()['subject'][0]['digest']['sha256']}  model.bin" in done.stdout


def test_it_accepts_the_url_safe_alphabet(world: World) -> None:
    members = world.members()
    world.set_envelope(payload=members["payload"].replace("+", "-").replace("/", "_"))
    assert recipe(world, "auditor.pub").returncode == 0


def test_it_says_what_was_withheld(world: World) -> None:
    world.evidence("recovered digits").unlink()
    done = recipe(world, "auditor.pub")
    assert done.returncode == 0
    assert "withheld: " in done.stdout


def link_evidence(world: World) -> None:
    path = world.evidence("a plot")
    path.rename(world.folder / "elsewhere")
    path.symlink_to(world.folder / "elsewhere")


REFUSED: dict[str, Callable[[World], object]] = {
    "payload": lambda w: w.set_envelope(payload="e30="),
    "type": lambda w: w.set_envelope(payloadType="application/json"),
    "signature": lambda w: w.set_envelope(signatures=w.members()["signatures"][1:]),
    "unsigned": lambda w: w.set_envelope(signatures=[]),
    "no envelope": lambda w: w.envelope.unlink(),
    "no json": lambda w: w.envelope.write_bytes(b"["),
    "no report": lambda w: w.sign(b"[]"),
    "key": lambda w: (w.folder / "auditor.pub").write_bytes(STRANGER.public.to_pem()),
    "evidence edited": lambda w: w.evidence("a figure").write_bytes(b"x"),
    "evidence gone": lambda w: w.evidence("a plot").unlink(),
    "evidence linked": link_evidence,
    "evidence added": lambda w: (w.bundle / "evidence" / "more").write_bytes(b""),
}


@pytest.mark.parametrize("name", REFUSED)
def test_it_refuses_what_verify_refuses(world: World, name: str) -> None:
    assert recipe(world, "auditor.pub").returncode == 0
    REFUSED[name](world)
    done = recipe(world, "auditor.pub")
    assert done.returncode == 4, (done.stdout, done.stderr)
    assert done.stderr.startswith("refused: ") or "refused: " in done.stderr


def test_without_arguments_it_says_how_to_call_it(world: World) -> None:
    script = world.bundle / "render" / RECIPE
    done = subprocess.run(["sh", script], capture_output=True, text=True)
    assert done.returncode == 2
    assert "usage" in done.stderr
