"""`fedaudit gate --lint` on time-stamps: a rule that no report can satisfy is told before there is a report."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from audit.cli.main import run
from tests.reports.authority import TSA, StampingAuthority
from tests.reports.conformance.timestamp_cases import LISTED, list_authority
from tests.reports.conformance.world import World, sound_world

POLICY = 'version = 1\nname = "house"\nfail_on = "medium"\n'
NOW = "2026-11-21T12:00:00Z"


@pytest.fixture
def world(tmp_path: Path) -> World:
    world = sound_world(tmp_path / "world")
    (world.folder / "policy.toml").write_text(POLICY)
    return world


def warned(world: World, capsys: pytest.CaptureFixture[str]) -> dict[str, str]:
    """The rules that are warned of, with their codes."""
    files = ["--policy", str(world.folder / "policy.toml"), "--trust", str(world.folder / "trust.toml")]
    capsys.readouterr()
    assert run(["gate", "--lint", *files, "--now", NOW, "--json"]) == 0
    judgements: list[dict[str, Any]] = json.loads(capsys.readouterr().out)["judgements"]
    return {one["rule"]: one["code"] for one in judgements}


def test_a_time_that_nobody_can_vouch_for_is_warned_of(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    list_authority(world, require_timestamp="true")
    assert warned(world, capsys) == {}
    world.write_trust(require_timestamp="true")
    assert warned(world, capsys) == {"trust.require_timestamp": "trust.no_authority"}


def test_an_authority_whose_certificate_ended_is_warned_of(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    ended = StampingAuthority(window=(datetime(2020, 1, 1, tzinfo=UTC), datetime(2026, 11, 21, 12, tzinfo=UTC)))
    (world.folder / "old.pem").write_bytes(ended.pem)
    list_authority(world, TSA.pem, timestamp_authorities=[*LISTED, {"certificate": '"old.pem"'}])
    assert warned(world, capsys) == {"trust.timestamp_authorities[1]": "trust.authority_expired"}
