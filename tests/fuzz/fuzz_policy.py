"""Policy files: only PolicyError; what loads can block, is answered for, has a digest, and judges without a stumble."""

import tempfile
from datetime import date
from pathlib import Path

from mutation import fuzz, mutate_bytes, mutate_lines, refusal
from seeds import POLICY, sound_report

from reports.errors import PolicyError
from reports.judge import judge
from reports.policy import load_policy, policy_digest

REPORT = sound_report()
TODAY = date(2026, 11, 21)


def step(data: bytes, path: Path) -> str:
    """Load a policy, and judge by it if it loads."""
    path.write_bytes(data)
    try:
        policy = load_policy(path)
    except PolicyError as error:
        return refusal(error, prefix="policy.")
    assert policy.require or policy.threshold or policy.fail_on
    for waiver in policy.waivers:
        assert waiver.owner.strip().casefold() != waiver.approved_by.strip().casefold()
        assert 0 <= (waiver.expires - waiver.created).days <= policy.max_waiver_days
    assert len(policy_digest(policy)) == 64
    assert judge(REPORT, policy, TODAY, baseline=REPORT).exit_code in (0, 1, 3)
    return "accepted"


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder) / "policy.toml"
        fuzz("policy", [POLICY], lambda data: step(data, place), [mutate_lines, mutate_lines, mutate_bytes])
