"""Waiver files: only PolicyError; what loads is answered for, ends in time, and hides no judgement."""

import tempfile
from datetime import date
from pathlib import Path

from mutation import fuzz, mutate_bytes, mutate_lines, refusal
from seeds import POLICY, sound_report

from reports.errors import PolicyError
from reports.judge import judge
from reports.policy import Policy, load_waivers

REPORT = sound_report()
TODAY = date(2026, 11, 21)
RULES = Policy.model_validate({"version": 1, "name": "house", "fail_on": "medium"})
WAIVERS = b"version = 1\n" + POLICY[POLICY.index(b"[[waivers]]") :]
BARE = judge(REPORT, RULES, TODAY).judgements


def step(data: bytes, path: Path) -> str:
    """Load a file of waivers, and judge with them if it loads."""
    path.write_bytes(data)
    try:
        waivers = load_waivers(path, RULES)
    except PolicyError as error:
        return refusal(error, prefix="policy.")
    for waiver in waivers:
        assert waiver.owner.strip().casefold() != waiver.approved_by.strip().casefold()
        assert 0 <= (waiver.expires - waiver.created).days <= RULES.max_waiver_days
    verdict = judge(REPORT, RULES, TODAY, waivers=waivers)
    assert [j.message for j in verdict.judgements[: len(BARE)]] == [j.message for j in BARE]
    assert len(verdict.waivers) == len(waivers)
    return "accepted"


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder) / "waivers.toml"
        fuzz("waivers", [WAIVERS, b""], lambda data: step(data, place), [mutate_lines, mutate_lines, mutate_bytes])
