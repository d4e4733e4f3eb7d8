"""A sealed case: what happens to the bundle is told by `verify`, what the checks say is told beside it."""

import shutil
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest
from safetensors.numpy import load_file

from audit.request import Request
from audit.selftest.delivered import MODEL, delivering
from audit.selftest.earlier import EARLIER
from audit.selftest.flaw import VERIFY
from audit.selftest.play import Case, built, play
from audit.selftest.sealing import sealed_answers
from audit.selftest.workshop import Workshop
from audit.selftest.zoo import chosen
from audit.system_folder import SystemFolder
from reports.bundle import read_bundle
from reports.digests import file_sha256
from reports.errors import FedauditError
from reports.model import Effort, Status

NOW = datetime(2026, 11, 22, tzinfo=UTC)
LEAST = ("compliance.citations",)


def answers(place: Path, *subjects: str, then: Callable[[Path], None] | None = None) -> dict[str, Status]:
    with SystemFolder(place / "system") as files:
        make = Workshop(files, 7)
        make.finish(delivering(make))
    make.sealed(*subjects, then=then)
    request = Request(system_file=place / "system" / "system.toml", bundle=None, now=NOW, seed=7, only=LEAST)
    return sealed_answers(request, make, place / "system")


def test_an_untouched_bundle_passes_and_the_checks_are_told_beside_it(tmp_path: Path) -> None:
    assert answers(tmp_path, MODEL) == {VERIFY: Status.PASS, "compliance.citations": Status.PASS}
    assert [one.name for one in tmp_path.iterdir()] == ["system"]  # the bundle is gone again


def test_what_breaks_off_there_is_told_alike_each_time(tmp_path: Path) -> None:
    def breaks(bundle: Path) -> None:
        raise FedauditError("broken", f"{bundle.relative_to(tmp_path)} is broken", "")

    told = set()
    for _ in range(2):
        with pytest.raises(FedauditError) as broken:
            answers(tmp_path, MODEL, then=breaks)
        told.add(broken.value.message)
        assert [one.name for one in tmp_path.iterdir()] == ["system"]
        shutil.rmtree(tmp_path / "system")
    assert len(told) == 1


def renamed(bundle: Path) -> None:
    file = bundle / "report.dsse.json"
    file.write_bytes(file.read_bytes().replace(b'"payloadType"', b'"payloadKind"'))


def emptied(bundle: Path) -> None:
    (bundle / "report.dsse.json").write_bytes(b"")


def added(bundle: Path) -> None:
    (bundle / "evidence" / "more.json").write_text("{}")


@pytest.mark.parametrize("then", [renamed, emptied, added])
def test_a_bundle_that_is_not_what_was_signed_fails(tmp_path: Path, then: Callable[[Path], None]) -> None:
    assert answers(tmp_path, MODEL, then=then)[VERIFY] is Status.FAIL


def test_a_file_that_the_report_is_not_about_fails(tmp_path: Path) -> None:
    assert answers(tmp_path, MODEL, "system.toml")[VERIFY] is Status.FAIL


def test_a_wrong_call_is_no_verdict(tmp_path: Path) -> None:
    with pytest.raises(FedauditError, match="cannot be read"):
        answers(tmp_path, "nothing.safetensors")


def of(flaw: str, place: Path, planted: bool) -> Path:
    [one] = chosen([flaw])
    folder = place / str(planted)
    built(one, Case(flaw, planted, 3, Effort.SMOKE, NOW), folder)
    return folder


def test_the_model_in_hand_is_another_one_of_the_same_shape(tmp_path: Path) -> None:
    for planted in (True, False):
        folder = of("report-for-another-model", tmp_path, planted)
        audited, delivered = (load_file(folder / name)["weight"] for name in (MODEL, "delivered.safetensors"))
        assert audited.shape == delivered.shape == (10, 64)
        assert (audited != delivered).any() == planted


def test_the_swapped_model_has_another_digest_than_is_declared(tmp_path: Path) -> None:
    for planted in (True, False):
        folder = of("artifact-swapped", tmp_path, planted)
        assert (file_sha256(folder / MODEL) not in (folder / "system.toml").read_text()) == planted


def test_the_earlier_report_is_about_another_system_or_under_another_policy(tmp_path: Path) -> None:
    for planted in (True, False):
        other = read_bundle(of("report-of-another-system", tmp_path / "name", planted) / EARLIER).statement.report
        assert (other.system.name != "digits-secagg") == planted
        moved = read_bundle(of("report-thresholds-moved", tmp_path / "policy", planted) / EARLIER).statement.report
        assert (moved.system.name, moved.provenance.policy_sha256 is None) == ("digits-secagg", False)


@pytest.mark.parametrize(
    "flaw",
    [
        "evidence-tampered", "report-edited", "report-for-another-model", "artifact-swapped", "report-nobody-answers",
        "report-of-another-system", "report-thresholds-moved",
    ],
)  # fmt: skip
def test_each_is_noticed_and_its_twin_is_not_accused(flaw: str) -> None:
    [one] = chosen([flaw])
    flawed, twin = (play(Case(flaw, planted, 4, Effort.SMOKE, NOW)) for planted in (True, False))
    assert (flawed.error, twin.error) == (None, None)
    assert [flawed.statuses[check] for check in one.caught_by] == [one.expects]
    assert {twin.statuses[check] for check in one.caught_by} == {Status.PASS}
    assert Status.FAIL not in twin.statuses.values()
