"""Reading policies: every slip is named with file, key and mend; the digest covers rules and nothing else."""

import hashlib
import os
import pickle
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reports.errors import PolicyError
from reports.nouns import Effort, Severity, Strength
from reports.policy import Policy, Support, load_policy, policy_digest

# the example of the specification, whole
WHOLE = """
version = 1
name = "high-risk-default"
fail_on = "medium"            # severity from which a failed finding blocks
confidence = 0.95
on_error = "incomplete"
min_effort = "standard"
max_report_age_days = 30
max_waiver_days = 180
require_commitment = false
require_trust = true
require_derived_seed = false
withheld = "allow"
pinned = []
[[require]]
check = "secagg.parameters"
min_strength = "exact"
waivable = false
[[require]]
control = "EU-AIA:15(5)#confidentiality"
min_support = "partial"
[[threshold]]
check = "attack.membership"
measurement = "tpr_at_fpr_0.001"
op = "<="
limit = 0.01
min_n = 1000
max_regression = 0.003
[[waivers]]
id = "W-7"
check = "unlearning.federated.residual"
system = "ward-triage"
outcome = "fail"
reason = "Retraining scheduled for the March release, exposure limited to pilot sites."
owner = "ml-lead@example.org"
approved_by = "dpo@example.org"
created = 2026-11-01
expires = 2027-01-31
"""


def written(folder: Path, text: str) -> Path:
    path = folder / "policy.toml"
    path.write_text(text, encoding="utf-8")
    return path


def test_the_example_of_the_specification_loads_as_it_stands(tmp_path: Path) -> None:
    policy = load_policy(written(tmp_path, WHOLE))
    assert (policy.fail_on, policy.min_effort, policy.require_trust) == (Severity.MEDIUM, Effort.STANDARD, True)
    assert (policy.require[0].min_strength, policy.require[0].waivable) == (Strength.EXACT, False)
    assert (policy.require[1].min_support, policy.require[1].waivable) == (Support.PARTIAL, True)
    assert (policy.threshold[0].limit, policy.threshold[0].min_n) == (0.01, 1000)
    assert policy.waivers[0].expires.isoformat() == "2027-01-31"


REASON = "Retraining scheduled for the March release, exposure limited to pilot sites."

# each row: what is replaced in the sound file, by what, the code, the key named, a word of the mend
SLIPS = [
    ('name = "high-risk-default"', 'name = "high', "policy.syntax", "line 3", "toml"),
    ('name = "high-risk-default"', "", "policy.missing_key", "name", "Add 'name'"),
    ("fail_on", "failon", "policy.unknown_key", "failon", "Did you mean 'fail_on'?"),
    ("version = 1", "version = 1\nbanana = 1", "policy.unknown_key", "banana", "Remove it"),
    ("min_strength", "min_strenght", "policy.unknown_key", "require[0].min_strenght", "'min_strength'"),
    ("min_n = 1000", "minimum_n = 1000", "policy.unknown_key", "threshold[0].minimum_n", "'min_n'"),
    ("min_n = 1000", "min_n = 0", "policy.value", "threshold[0].min_n", ""),
    ("min_n = 1000", 'min_n = "1000"', "policy.value", "threshold[0].min_n", ""),
    ("min_n = 1000", "min_n = 1e3", "policy.value", "threshold[0].min_n", ""),
    ('fail_on = "medium"', 'fail_on = "hihg"', "policy.value", "fail_on", "Did you mean 'high'?"),
    ('on_error = "incomplete"', 'on_error = "pass"', "policy.value", "on_error", ""),
    ('min_effort = "standard"', 'min_effort = "ultra"', "policy.value", "min_effort", "Choose one"),
    ('withheld = "allow"', "withheld = true", "policy.value", "withheld", ""),
    ("require_trust = true", 'require_trust = "no"', "policy.value", "require_trust", ""),
    ("version = 1", "version = 2", "policy.value", "version", ""),
    ("version = 1", "version = true", "policy.value", "version", ""),
    ("limit = 0.01", "limit = nan", "policy.value", "threshold[0].limit", "number such as"),
    ("limit = 0.01", "limit = -inf", "policy.value", "threshold[0].limit", "number such as"),
    ("limit = 0.01", "limit = true", "policy.value", "threshold[0].limit", ""),
    ("limit = 0.01", "limit = 1" + "0" * 400, "policy.value", "threshold[0].limit", ""),
    ("limit = 0.01", "limit = 1" + "0" * 5000, "policy.syntax", "digits", ""),
    ("confidence = 0.95", "confidence = 1.0", "policy.value", "confidence", ""),
    ("confidence = 0.95", "confidence = 95", "policy.value", "confidence", ""),
    ("max_regression = 0.003", "max_regression = -1", "policy.value", "threshold[0].max_regression", ""),
    ('op = "<="', 'op = "<"', "policy.value", "threshold[0].op", ""),
    ('check = "attack.membership"', 'check = "attack membership"', "policy.value", "threshold[0].check", ""),
    ('check = "secagg.parameters"', 'check = "secagg.*"', "policy.value", "require[0].check", ""),
    ('check = "secagg.parameters"', "", "policy.requirement", "require[0]", "check = "),
    ('min_strength = "exact"', 'min_support = "direct"', "policy.requirement", "require[0]", "min_strength"),
    ('min_support = "partial"', 'min_strength = "exact"', "policy.requirement", "require[1]", "min_support"),
    ('min_support = "partial"', 'check = "a.b"', "policy.requirement", "require[1]", ""),
    ("pinned = []", 'pinned = ["abc"]', "policy.value", "pinned[0]", ""),
    ('owner = "ml-lead@example.org"', "", "policy.missing_key", "waivers[0].owner", "Add 'owner'"),
    ('approved_by = "dpo@example.org"', "", "policy.missing_key", "waivers[0].approved_by", "Add"),
    ("reason = ", "# ", "policy.missing_key", "waivers[0].reason", "Add"),
    ('system = "ward-triage"', "", "policy.missing_key", "waivers[0].system", "Add"),
    ('system = "ward-triage"', 'system = ""', "policy.value", "waivers[0].system", ""),
    (REASON, "later", "policy.value", "reason", ""),
    (REASON, " " * 30, "policy.waiver_reason", "waivers[0]", "20"),
    ('owner = "ml-lead@example.org"', 'owner = "DPO@example.org "', "policy.waiver_approver", "waivers[0]", "else"),
    ('owner = "ml-lead@example.org"', 'owner = "  "', "policy.waiver_person", "waivers[0]", "Name"),
    ("expires = 2027-01-31", "expires = 2026-10-31", "policy.waiver_dates", "waivers[0]", "later"),
    ("expires = 2027-01-31", "expires = 2027-05-01", "policy.waiver_length", "W-7", "sooner"),
    ("expires = 2027-01-31", "expires = 2027-01-31T00:00:00Z", "policy.value", "waivers[0].expires", ""),
    ("expires = 2027-01-31", "expires = 2027-02-30", "policy.syntax", "policy.toml", ""),
    ("expires = 2027-01-31", 'expires = "soon"', "policy.value", "waivers[0].expires", ""),
    ('outcome = "fail"', 'outcome = "failed"', "policy.value", "waivers[0].outcome", "Did you mean 'fail'?"),
    ('check = "unlearning.federated.residual"', 'check = "unlearning.*"', "policy.value", "waivers[0].check", ""),
]  # fmt: skip


@pytest.mark.parametrize(("sound", "slip", "code", "key", "mend"), SLIPS)
def test_a_slip_is_refused_with_file_key_and_mend(
    tmp_path: Path, sound: str, slip: str, code: str, key: str, mend: str
) -> None:
    assert sound in WHOLE
    path = written(tmp_path, WHOLE.replace(sound, slip, 1))
    with pytest.raises(PolicyError) as refused:
        load_policy(path)
    assert refused.value.code == code
    assert str(path) in refused.value.message
    assert key in refused.value.message
    assert mend in refused.value.hint
    assert refused.value.hint
    assert "\n" not in refused.value.message
    assert refused.value.exit_code == 2


@pytest.mark.parametrize(
    ("sound", "twin"),
    [
        ("expires = 2027-01-31", "expires = 2027-04-30"),  # 180 days to the day
        ("expires = 2027-01-31", "expires = 2026-11-01"),  # one day long
        ("limit = 0.01", "limit = 1"),
        ("limit = 0.01", "limit = -0.01"),
        ("min_n = 1000", "min_n = 1"),
        ('check = "attack.membership"', 'check = "attack.*"'),
        ("max_regression = 0.003", "max_regression = 0"),
    ],
)
def test_what_lies_just_inside_the_rules_loads(tmp_path: Path, sound: str, twin: str) -> None:
    assert sound in WHOLE
    load_policy(written(tmp_path, WHOLE.replace(sound, twin, 1)))


def test_a_policy_that_asks_for_nothing_is_refused(tmp_path: Path) -> None:
    with pytest.raises(PolicyError, match="every report would pass") as refused:
        load_policy(written(tmp_path, 'version = 1\nname = "void"\nmin_effort = "full"\n'))
    assert refused.value.code == "policy.empty"
    for something in ('fail_on = "critical"', '[[require]]\ncheck = "a.b"'):
        load_policy(written(tmp_path, f'version = 1\nname = "void"\n{something}\n'))


def test_two_waivers_of_one_name_are_refused(tmp_path: Path) -> None:
    waiver = WHOLE[WHOLE.index("[[waivers]]") :]
    with pytest.raises(PolicyError) as refused:
        load_policy(written(tmp_path, WHOLE + waiver))
    assert refused.value.code == "policy.waiver_id"
    load_policy(written(tmp_path, WHOLE + waiver.replace("W-7", "W-8")))


def test_what_is_no_readable_file_is_refused(tmp_path: Path) -> None:
    fifo, large, latin = tmp_path / "fifo", tmp_path / "large", tmp_path / "latin"
    os.mkfifo(fifo)
    large.write_bytes(b"#" * (1 << 20) + b"\n")
    latin.write_bytes('name = "é"'.encode("latin-1"))
    deep = written(tmp_path, "a = " + "[" * 100_000)
    for path, code in (
        (tmp_path / "absent.toml", "not_found"),
        (tmp_path, "not_found"),
        (tmp_path / ("a" * 300), "not_found"),  # longer than a name may be: an OSError of its own
        (fifo, "not_found"),
        (large, "too_large"),
        (latin, "syntax"),
        (deep, "syntax"),
    ):
        with pytest.raises(PolicyError) as refused:
            load_policy(path)
        assert refused.value.code == f"policy.{code}"


def test_a_hostile_key_cannot_steer_the_terminal(tmp_path: Path) -> None:
    with pytest.raises(PolicyError) as refused:
        load_policy(written(tmp_path, WHOLE.replace("name =", '"\\u001b[2J\\u202e" = 1\nname =', 1)))
    assert refused.value.message.isprintable()


def test_a_policy_error_survives_the_way_between_processes(tmp_path: Path) -> None:
    with pytest.raises(PolicyError) as refused:
        load_policy(tmp_path / "absent.toml")
    again = pickle.loads(pickle.dumps(refused.value))
    assert (again.code, again.message, again.hint) == (refused.value.code, refused.value.message, refused.value.hint)


# --- the digest -----------------------------------------------------------------------------------------------------


def test_the_digest_is_that_of_the_canonical_rules_written_by_hand() -> None:
    policy = Policy.model_validate({"version": 1, "name": "p", "fail_on": "high"})
    by_hand = (
        '{"confidence":0.95,"fail_on":"high","max_report_age_days":null,"max_waiver_days":180,"min_effort":null,'
        '"name":"p","on_error":"incomplete","pinned":[],"require":[],"require_commitment":false,'
        '"require_derived_seed":false,"require_trust":false,"threshold":[],"version":1,"withheld":"allow"}'
    )
    assert policy_digest(policy) == hashlib.sha256(by_hand.encode()).hexdigest()


def test_comments_waivers_and_the_spelling_of_numbers_do_not_change_the_digest(tmp_path: Path) -> None:
    whole = policy_digest(load_policy(written(tmp_path, WHOLE)))
    for same in (
        WHOLE + "# a comment",
        WHOLE[: WHOLE.index("[[waivers]]")],
        WHOLE.replace("0.003", "3e-3").replace("0.95", "0.950"),
        WHOLE.replace("fail_on", "\n\nfail_on"),
    ):
        assert policy_digest(load_policy(written(tmp_path, same))) == whole


@pytest.mark.parametrize(
    ("rule", "other"),
    [
        ("limit = 0.01", "limit = 0.02"),
        ("min_n = 1000", "min_n = 999"),
        ('fail_on = "medium"', 'fail_on = "high"'),
        ("max_waiver_days = 180", "max_waiver_days = 181"),
        ("waivable = false", "waivable = true"),
        ("require_trust = true", "require_trust = false"),
        ("pinned = []", f'pinned = ["{"0" * 64}"]'),
    ],
)
def test_every_rule_is_in_the_digest(tmp_path: Path, rule: str, other: str) -> None:
    assert rule in WHOLE
    sound = policy_digest(load_policy(written(tmp_path, WHOLE)))
    assert policy_digest(load_policy(written(tmp_path, WHOLE.replace(rule, other, 1)))) != sound


@given(limit=st.floats(allow_nan=False, allow_infinity=False))
def test_the_digest_of_any_finite_limit_is_the_same_twice(limit: float) -> None:
    rule = {"check": "a.b", "measurement": "m", "op": "<=", "limit": limit}
    tables = {"version": 1, "name": "p", "threshold": [rule]}
    policy = Policy.model_validate(tables)
    assert policy_digest(policy) == policy_digest(Policy.model_validate(policy.model_dump(mode="json")))
