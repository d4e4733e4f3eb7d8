"""Checks are found by one door, named once, and asked only of a system that has what they need."""

import sys
import types
from collections.abc import Iterator
from pathlib import Path

import pytest

from reports.check import Check, Context, DuplicateCheckError, check, checks_in, discover, missing, unique
from reports.errors import CheckError
from reports.model import Finding, Severity, Status, Strength, System

DIGEST = "0" * 64


def make(name: str, **more: object) -> Check:
    def ask(system: System, ctx: Context) -> Iterator[Finding]:
        yield ctx.finding(Status.PASS, "Yes.")

    arguments = {"strength": Strength.DOCUMENT, "severity": Severity.LOW, **more}
    return check(name, "It is so", **arguments)(ask)  # type: ignore[arg-type]


def artifact(path: str = "a.npz") -> dict[str, object]:
    return {"path": path, "sha256": DIGEST, "size": 1, "kind": "k"}


def system(**more: object) -> System:
    return System.model_validate({"name": "s", "version": "1", "source": artifact("system.toml"), **more})


@pytest.mark.parametrize("name", ["one", "Upper.case", "under_score.x", "a..b", ".a.b", "a.b "])
def test_an_id_is_parts_joined_by_dots(name: str) -> None:
    with pytest.raises(CheckError):
        make(name)


def test_two_checks_with_one_id_are_refused_and_one_check_seen_twice_is_not() -> None:
    one, twin, other = make("a.one"), make("a.one"), make("a.other")
    assert unique((other, one, one)) == (one, other)
    with pytest.raises(DuplicateCheckError, match=r"a\.one"):
        unique((one, twin))


def test_our_own_checks_come_through_the_entry_points() -> None:
    known = {found.id for found in discover()}
    assert {
        "integrity.artifacts",
        "secagg.parameters",
        "attack.labels",
        "attack.linear",
        "attack.aggregate",
        "dp.accounting",
    } <= known


def test_every_test_of_the_system_bears_on_the_duty_to_test() -> None:
    ours = [found for found in discover() if found.id.startswith(("attack.", "dp.", "secagg."))]
    assert ours
    assert all("EU-AIA:annex-IV(2)(g)" in found.controls for found in ours)


def test_a_package_is_walked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = tmp_path / "walked_package"
    package.mkdir()
    (package / "__init__.py").write_text("")
    (package / "inner.py").write_text(
        "from reports.check import Check\n"
        "from reports.model import Severity, Strength\n"
        "found = Check('a.inner', 'It is so', lambda system, ctx: iter(()))\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    try:
        assert [c.id for c in checks_in(__import__("walked_package"))] == ["a.inner"]
    finally:
        for name in [name for name in sys.modules if name.startswith("walked_package")]:
            del sys.modules[name]


def test_only_checks_are_found_in_a_module() -> None:
    module = types.ModuleType("plain")
    module.number, module.one = 3, make("a.one")  # type: ignore[attr-defined]
    assert [c.id for c in checks_in(module)] == ["a.one"]


UPDATE = {"path": artifact(), "kind": "gradient"}


@pytest.mark.parametrize(
    ("need", "given", "holds"),
    [
        ("model", {}, False),
        ("model", {"model": {}}, True),
        ("model.checkpoint", {"model": {}}, False),
        ("model.checkpoint", {"model": {"checkpoint": artifact()}}, True),
        ("updates", {"updates": [UPDATE]}, True),
        ("updates", {"updates": []}, False),
        ("updates.truth", {"updates": [UPDATE]}, False),
        ("updates.truth", {"updates": [UPDATE, {**UPDATE, "truth": artifact()}]}, True),
        ("updates.aggregate", {"updates": [UPDATE]}, False),
        ("updates.gradient", {"updates": [UPDATE]}, True),
        ("data.nonmembers|data.calibration", {"data": [{"role": "calibration", "path": artifact()}]}, True),
        ("data.nonmembers|data.calibration", {"data": [{"role": "members", "path": artifact()}]}, False),
        ("federation.visibility=aggregate", {"federation": {"visibility": "aggregate"}}, True),
        ("federation.visibility=aggregate", {"federation": {"visibility": "update"}}, False),
        ("federation.secure_aggregation", {"federation": {}}, False),
        ("federation.secure_aggregation.transcripts", {"federation": {"secure_aggregation": {}}}, False),
        ("extra:llm", {}, False),
        ("run:policy", {}, True),
        ("findings", {}, True),
        ("no.such.key", {"model": {}}, False),
    ],
)
def test_a_need_holds_where_the_system_file_gives_it(need: str, given: dict[str, object], holds: bool) -> None:
    lacking = missing(make("a.one", needs=(need,)), system(**given), {"run:policy"})
    assert lacking == (() if holds else (need,))
