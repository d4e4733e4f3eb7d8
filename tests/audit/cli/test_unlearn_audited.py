"""From a federation to a sealed report: the folder that an unlearning leaves is audited as it stands."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from audit.cli.main import run
from audit.forgotten import FAMILY, TESTS
from reports.bundle import read_bundle
from reports.model import Finding, Status

Unlearn = Callable[..., tuple[int, dict[str, Any]]]


def audited(out: Path, bundle: Path, *arguments: str) -> dict[str, Finding]:
    """The findings of one run over everything but poisoning, which takes seconds; those on the erasure by test."""
    words = ["-o", str(bundle), "--effort", "smoke", "--skip", "attack.poisoning", *arguments]
    assert run(["run", str(out / "system.toml"), *words]) == 0
    report = read_bundle(bundle).statement.report
    assert not [finding for finding in report.findings if finding.status is Status.ERROR]
    return {one.check.removeprefix(FAMILY): one for one in report.findings if one.check.startswith(FAMILY)}


def test_the_folder_is_audited_as_it_stands_and_all_ten_tests_answer(forgetful, tmp_path: Path) -> None:
    found = audited(forgetful.out(), tmp_path / "bundle")
    assert set(found) == set(TESTS)
    assert {finding.key for finding in found.values()} == {"unlearning=request"}
    asked = {name for name, finding in found.items() if finding.status is not Status.SKIPPED}
    assert asked == set(TESTS) - {"replay", "method"}  # both need more than effort smoke
    assert found["request"].status is found["transcript"].status is Status.PASS
    assert found["residual"].status is Status.INCONCLUSIVE
    page = (tmp_path / "bundle" / "render" / "report.html").read_text()
    for name in TESTS:
        assert f"{FAMILY}{name}" in page


def test_a_folder_of_nothing_done_fails_the_audit(forgetful, tmp_path: Path) -> None:
    found = audited(forgetful.out("no-op"), tmp_path / "bundle", "--no-render")
    assert found["transcript"].status is Status.FAIL
    assert found["residual"].status is not Status.PASS


@pytest.mark.parametrize("request_text", ["client:0,2", "sample:1=0-5", "class:1"])
def test_every_kind_of_request_can_be_verified(unlearn: Unlearn, forgetful, tmp_path: Path, request_text: str) -> None:
    forgetful.out()
    out = tmp_path / "out"
    arguments = ["--request", request_text, "--method", "rapid-retrain", "-o", out]
    assert unlearn("federated", forgetful.folder, *arguments)[0] == 0
    code, told = unlearn("verify", out, "--effort", "smoke", "--only", "request,transcript,residual")
    assert (code, told["kind"], told["reference"]["models"]) == (0, request_text.partition(":")[0], 4)
    statuses = {one["check"].removeprefix(FAMILY): one["status"] for one in told["findings"]}
    assert statuses == {"request": "pass", "transcript": "pass", "residual": "inconclusive"}


def test_verify_and_run_find_the_same_at_one_seed(unlearn: Unlearn, forgetful, tmp_path: Path) -> None:
    found = audited(forgetful.out("ffum"), tmp_path / "bundle", "--no-render", "--seed", "3")
    _, told = unlearn("verify", forgetful.out("ffum"), "--effort", "smoke", "--seed", "3")
    assert {one["check"].removeprefix(FAMILY): Finding.model_validate(one) for one in told["findings"]} == found


def test_the_federation_it_leaves_goes_on_without_the_forgotten(unlearn: Unlearn, forgetful, tmp_path: Path) -> None:
    once = forgetful.copy("rapid-retrain", tmp_path / "once")
    code, told = unlearn("federated", once, "--request", "client:1", "--method", "retrain", "-o", tmp_path / "twice")
    assert (code, told["request"]["examples"]) == (0, 12)
    code, told = unlearn("federated", once, "--request", "client:0", "-o", tmp_path / "thrice")
    assert (code, "no client 0" in told["message"]) == (2, True)
