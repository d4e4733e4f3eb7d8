"""Waivers in a file of their own, which a change under review cannot edit: the same slips, the same mends."""

from datetime import date
from pathlib import Path

import pytest

from reports.errors import PolicyError
from reports.policy import Policy, load_waivers

RULES = Policy.model_validate({"version": 1, "name": "house", "fail_on": "medium"})
WHOLE = """
version = 1
[[waivers]]
id = "W-7"
check = "attack.linear"
system = "ward"
reason = "Retraining is scheduled for March."
owner = "lead@example.org"
approved_by = "dpo@example.org"
created = 2026-11-01
expires = 2027-01-31
"""
WAIVER = WHOLE.replace("version = 1\n", "")


def written(folder: Path, text: str) -> Path:
    path = folder / "waivers.toml"
    path.write_text(text, encoding="utf-8")
    return path


def test_a_file_of_waivers_loads(tmp_path: Path) -> None:
    [one] = load_waivers(written(tmp_path, WHOLE), RULES)
    assert (one.id, one.outcome, one.expires) == ("W-7", "fail", date(2027, 1, 31))
    assert load_waivers(written(tmp_path, WAIVER), RULES) == (one,)
    assert [w.id for w in load_waivers(written(tmp_path, WHOLE + WAIVER.replace("W-7", "W-8")), RULES)] == [
        "W-7",
        "W-8",
    ]


def test_an_empty_file_is_one_without_waivers(tmp_path: Path) -> None:
    assert load_waivers(written(tmp_path, ""), RULES) == ()
    assert load_waivers(written(tmp_path, "# none\nversion = 1\n"), RULES) == ()


def test_a_policy_with_waivers_of_its_own_is_refused_beside_a_file(tmp_path: Path) -> None:
    path = written(tmp_path, WHOLE)
    [one] = load_waivers(path, RULES)
    own = RULES.model_copy(update={"waivers": (one,)})
    with pytest.raises(PolicyError) as refused:
        load_waivers(path, own)
    assert (refused.value.code, refused.value.exit_code) == ("policy.waivers_twice", 2)
    assert "house" in refused.value.message
    assert "Move them" in refused.value.hint


SLIPS = [
    # what stands in the sound file, what the slip puts there, code, what the message names, what the mend says
    ('id = "W-7"', 'id = "W-7', "policy.syntax", "line 4", "toml"),
    ("version = 1", "version = 2", "policy.value", "version", ""),
    ("version = 1", 'fail_on = "critical"', "policy.unknown_key", "fail_on", "Remove it"),
    ("version = 1", "max_waiver_days = 9999", "policy.unknown_key", "max_waiver_days", ""),
    ("[[waivers]]", "[[waiver]]", "policy.unknown_key", "waiver", "'waivers'"),
    ("approved_by", "aproved_by", "policy.missing_key", "waivers[0].approved_by", "Add"),
    ('owner = "lead@example.org"', "", "policy.missing_key", "waivers[0].owner", "Add 'owner'"),
    ('approved_by = "dpo@example.org"', "", "policy.missing_key", "waivers[0].approved_by", "Add"),
    ('reason = "Retraining is scheduled for March."', "", "policy.missing_key", "waivers[0].reason", "Add"),
    ("Retraining is scheduled for March.", "later", "policy.value", "waivers[0].reason", ""),
    ("lead@example.org", "DPO@example.org", "policy.waiver_approver", "waivers[0]", "somebody else"),
    ("expires = 2027-01-31", "expires = 2026-10-31", "policy.waiver_dates", "waivers[0]", "later"),
    ("expires = 2027-01-31", "expires = 2027-05-01", "policy.waiver_length", "W-7", "sooner"),
    ("expires = 2027-01-31", "expires = 2027-01-31T00:00:00Z", "policy.value", "waivers[0].expires", ""),
    ('check = "attack.linear"', 'check = "attack.*"', "policy.value", "waivers[0].check", ""),
    ('system = "ward"', 'system = ""', "policy.value", "waivers[0].system", ""),
    ("expires = 2027-01-31\n", "expires = 2027-01-31\n" + WAIVER, "policy.waiver_id", "W-7", "its own id"),
]


@pytest.mark.parametrize(("sound", "slip", "code", "key", "mend"), SLIPS)
def test_a_slip_is_refused_with_file_key_and_mend(
    tmp_path: Path, sound: str, slip: str, code: str, key: str, mend: str
) -> None:
    assert sound in WHOLE
    path = written(tmp_path, WHOLE.replace(sound, slip, 1))
    with pytest.raises(PolicyError) as refused:
        load_waivers(path, RULES)
    assert (refused.value.code, refused.value.exit_code) == (code, 2)
    assert str(path) in refused.value.message
    assert key in refused.value.message
    assert mend in refused.value.hint
    assert refused.value.hint
    assert "\n" not in refused.value.message


def test_how_long_a_waiver_may_last_is_the_policy_s_to_say(tmp_path: Path) -> None:
    path = written(tmp_path, WHOLE)  # 91 days
    for days, loads in ((90, False), (91, True)):
        rules = RULES.model_copy(update={"max_waiver_days": days})
        if loads:
            assert load_waivers(path, rules)
        else:
            with pytest.raises(PolicyError, match="max_waiver_days = 90"):
                load_waivers(path, rules)


def test_a_missing_file_is_no_file_without_waivers(tmp_path: Path) -> None:
    with pytest.raises(PolicyError) as refused:
        load_waivers(tmp_path / "absent.toml", RULES)
    assert refused.value.code == "policy.not_found"
