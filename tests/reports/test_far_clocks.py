"""Clocks and windows at the ends of the calendar are answered as all others: with a code, never a crash."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from audit.cli.main import run
from reports.errors import TrustError, VerificationError
from reports.trust import load_trust
from reports.verify import verify
from tests.reports.conformance.world import FINISHED, World, sound_world

FIRST, LAST = datetime(1, 1, 1, tzinfo=UTC), datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC)


@pytest.fixture
def world(tmp_path: Path) -> World:
    return sound_world(tmp_path / "world")


@pytest.mark.parametrize(("now", "code"), [(FIRST, "time.future"), (LAST, "time.expired")])
def test_verifying_at_either_end_of_the_calendar_is_refused_with_a_code(world: World, now: datetime, code: str) -> None:
    trust = load_trust(world.folder / "trust.toml")
    assert verify(world.bundle, trust, [world.folder / "model.bin"], FINISHED).signers
    with pytest.raises(VerificationError) as refused:
        verify(world.bundle, trust, [world.folder / "model.bin"], now)
    assert refused.value.code == code


def test_a_report_is_too_old_one_second_after_the_last_day(world: World) -> None:
    trust, days = load_trust(world.folder / "trust.toml"), timedelta(days=90)
    assert verify(world.bundle, trust, [world.folder / "model.bin"], FINISHED + days).signers
    with pytest.raises(VerificationError, match="90 days old"):
        verify(world.bundle, trust, [world.folder / "model.bin"], FINISHED + days + timedelta(seconds=1))


def test_any_age_that_a_trust_file_can_write_is_an_age(world: World) -> None:
    trust = world.folder / "trust.toml"
    trust.write_text(trust.read_text().replace("max_age_days = 90", f"max_age_days = {2**53 - 1}"))
    assert verify(world.bundle, load_trust(trust), [world.folder / "model.bin"], LAST).signers


@pytest.mark.parametrize("moment", ["0001-01-01T00:00:00+05:00", "9999-12-31T23:59:59-05:00"])
def test_a_moment_that_utc_cannot_write_is_a_fault_of_who_wrote_it(
    world: World, moment: str, capsys: pytest.CaptureFixture[str]
) -> None:
    trust = world.folder / "trust.toml"
    assert run(["verify", str(world.bundle), "--trust", str(trust), "--now", moment]) == 2
    assert "years 1 to 9999" in capsys.readouterr().err
    key = 'public_key = "auditor.pub"'
    trust.write_text(trust.read_text().replace(key, f"{key}\nnot_before = {moment}"))
    with pytest.raises(TrustError, match="years 1 to 9999") as refused:
        load_trust(trust)
    assert refused.value.code == "trust.window"
