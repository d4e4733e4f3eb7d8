"""The trust file: what a key's signatures are worth, and when.

Which files are refused, with which code, stands in `conformance/trust_cases.py`.
"""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from reports.errors import TrustError
from reports.trust import TrustedKey, load_trust
from tests.reports.authority import TSA
from tests.reports.conformance.timestamp_cases import list_authority
from tests.reports.conformance.world import AUDITOR, PROVIDER, World, sound_world

THEN = datetime(2026, 6, 1, tzinfo=UTC)
SECOND = timedelta(seconds=1)


def test_a_trust_file_says_whom_and_how_many(tmp_path: Path) -> None:
    trust = load_trust(sound_world(tmp_path / "world").folder / "trust.toml")
    assert [(trusted.name, trusted.role, trusted.key) for trusted in trust.keys] == [
        ("A. Auditor", "auditor", AUDITOR.public),
        ("P. Provider", "provider", PROVIDER.public),
    ]
    assert trust.require == {"auditor": 1, "provider": 1}
    assert (trust.max_age_days, trust.withheld_allowed, trust.require_timestamp) == (90, True, False)


def test_what_is_not_said_is_the_stricter(tmp_path: Path) -> None:
    world = sound_world(tmp_path / "world")
    world.write_trust(withheld=None, max_age_days=None)
    trust = load_trust(world.folder / "trust.toml")
    assert (trust.max_age_days, trust.withheld_allowed, trust.require_timestamp) == (None, False, False)


@pytest.mark.parametrize(
    ("key", "worth"),
    [
        ({}, (True, True, True)),
        ({"not_before": THEN}, (False, True, True)),
        ({"not_after": THEN}, (True, True, False)),
        ({"revoked_at": THEN, "revoked_reason": "retired"}, (True, False, False)),
        ({"revoked_at": THEN, "revoked_reason": "compromised"}, (False, False, False)),
    ],
)
def test_a_signature_counts_within_the_window_and_before_revocation(
    key: dict[str, object], worth: tuple[bool, ...]
) -> None:
    trusted = TrustedKey("A", "auditor", AUDITOR.public, **key)  # type: ignore[arg-type]
    moments = (THEN - SECOND, THEN, THEN + SECOND)
    assert tuple(not trusted.objection(moment) for moment in moments) == worth


@pytest.mark.parametrize(
    ("key", "worth"),
    [
        ({}, (True, True, True)),
        ({"not_before": THEN}, (False, True, True)),
        ({"not_after": THEN}, (True, True, False)),
        ({"revoked_at": THEN, "revoked_reason": "retired"}, (True, False, False)),
        ({"revoked_at": THEN, "revoked_reason": "compromised"}, (True, False, False)),
    ],
)
def test_a_time_that_somebody_vouches_for_counts_even_for_a_key_that_was_stolen_later(
    key: dict[str, object], worth: tuple[bool, ...]
) -> None:
    trusted = TrustedKey("A", "auditor", AUDITOR.public, **key)  # type: ignore[arg-type]
    moments = (THEN - SECOND, THEN, THEN + SECOND)
    assert tuple(not trusted.objection(moment, stamped=True) for moment in moments) == worth
    told = [trusted.objection(moment, stamped=True) for moment in moments]
    assert all("time-stamped" in reason for reason in told if reason)


def test_an_authority_is_read_with_the_trust_file(world: World) -> None:
    list_authority(world)
    [authority] = load_trust(world.folder / "trust.toml").authorities
    assert (authority.name, authority.certificate) == ("CN=Test TSA", TSA.certificate)
    (world.folder / "tsa.pem").write_bytes(b"ward")
    with pytest.raises(
        TrustError, match=r"trust.toml: timestamp_authorities\[0\]: .*tsa.pem holds no readable"
    ) as refusal:
        load_trust(world.folder / "trust.toml")
    assert refusal.value.hint == "It must be PEM: BEGIN CERTIFICATE."


@pytest.fixture
def world(tmp_path: Path) -> World:
    return sound_world(tmp_path / "world")


@pytest.mark.parametrize(
    ("keys", "named"),
    [
        ({"witheld": '"deny"'}, ("witheld", "Did you mean 'withheld'?")),
        ({"require": {"auditer": 1}}, ("auditer", "auditor")),
        ({"keys": [{"name": '"A"', "role": '"auditor"', "public_key": '"gone.pub"'}]}, ("keys[0]", "gone.pub")),
        ({"require": {}}, ("[require]",)),
    ],
)
def test_a_refusal_names_the_file_the_key_and_the_mend(
    world: World, keys: dict[str, object], named: tuple[str, ...]
) -> None:
    world.write_trust(**keys)
    with pytest.raises(TrustError) as refusal:
        load_trust(world.folder / "trust.toml")
    assert "trust.toml" in refusal.value.message
    assert all(word in str(refusal.value) for word in named)
    assert refusal.value.exit_code == 2


def test_a_private_key_in_the_trust_file_is_not_repeated(world: World) -> None:
    (world.folder / "auditor.pub").write_bytes(b"-----BEGIN PRIVATE KEY-----\nSECRET\n-----END PRIVATE KEY-----\n")
    with pytest.raises(TrustError) as refusal:
        load_trust(world.folder / "trust.toml")
    assert "SECRET" not in str(refusal.value)
