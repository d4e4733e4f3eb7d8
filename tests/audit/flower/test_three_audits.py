"""One app, three protections, three audits: what each tells of the same rehearsal with planted records."""

import io
from collections.abc import Callable
from contextlib import redirect_stderr
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.flower
POLICY = Path(__file__).parents[3] / "examples" / "flower_quickstart" / "policy.toml"
Rehearse = Callable[..., Path]
Audit = Callable[..., dict[str, str]]


@pytest.fixture
def audit(tmp_path: Path) -> Audit:
    """Audit a captured folder; return the status of each finding that was asked for, by check."""
    import json

    from audit.cli.main import Invocation, answered
    from reports.version import VERSION

    def run(captured: Path, *only: str) -> dict[str, str]:
        words = ["run", str(captured / "system.toml"), "-o", str(tmp_path / "audited"), "--trust-code", "--no-render"]
        words += ["--effort", "smoke", "--executor", "serial", "--now", "2026-11-22T12:00:00Z"]
        with redirect_stderr(io.StringIO()):
            answer = answered([*words, *(word for glob in only for word in ("--only", glob))], Invocation())
        told: dict[str, Any] = json.loads(answer.document("run", VERSION))
        return {one["check"]: one["status"] for one in told["findings"] if one["status"] != "skipped"}

    return run


def test_without_protection_every_planted_record_is_read_from_its_update(rehearse: Rehearse, audit: Audit) -> None:
    found = audit(rehearse("plain", 60), "attack.linear", "attack.labels", "dp.*", "attack.aggregate")
    assert found == {"attack.linear": "fail", "attack.labels": "fail"}


def test_under_flowers_secaggplus_single_updates_are_out_of_sight_and_the_masks_are_weak(
    rehearse: Rehearse, audit: Audit
) -> None:
    captured = rehearse("secagg", 12)
    found = audit(captured, "attack.linear", "attack.labels", "secagg.mask-*", "secagg.metadata", "secagg.cohort")
    assert found == {
        "secagg.mask-entropy": "fail",  # 28 bits, by the installed code
        "secagg.metadata": "fail",  # examples and losses travel in the clear
        "secagg.mask-uniformity": "pass",
        "secagg.cohort": "pass",
    }


def test_behind_local_differential_privacy_nothing_is_found_and_the_epsilon_holds(
    rehearse: Rehearse, audit: Audit
) -> None:
    found = audit(rehearse("dp", 60), "attack.linear", "dp.*")
    assert found == {"attack.linear": "pass", "dp.accounting": "pass"}


def test_more_rounds_than_the_epsilon_was_claimed_for_are_noticed(rehearse: Rehearse, audit: Audit) -> None:
    captured = rehearse("dp", 4, **{"num-server-rounds": 2})
    assert audit(captured, "dp.accounting") == {"dp.accounting": "fail"}
