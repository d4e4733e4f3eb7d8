"""One case per row of the verify and trust tables: each refusal first accepts its untouched twin."""

import base64
import contextlib
import shutil
from pathlib import Path

import pytest

from reports.errors import ReportError, VerificationError
from tests.reports.conformance.cases import CASES, Case
from tests.reports.conformance.generate import MODULES, prepare
from tests.reports.conformance.world import STRANGER, World, sound_world


@pytest.fixture(scope="module")
def twin(tmp_path_factory: pytest.TempPathFactory) -> World:
    """The sound world, verified: whatever a case refuses below, the case's own change is to blame."""
    world = sound_world(tmp_path_factory.mktemp("twin") / "world")
    world.verify()
    return world


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_a_bundle_is_answered_with_the_one_code(twin: World, tmp_path: Path, case: Case) -> None:
    shutil.copytree(twin.folder, tmp_path / case.name)
    world = World(tmp_path / case.name)
    world.verify()
    prepare(case, world)
    if not case.code:
        world.verify()
        return
    with pytest.raises(ReportError) as refusal:
        world.verify()
    assert refusal.value.code == case.code
    usage = case.code.startswith("trust.") or case.code in {
        "bundle.not_found",
        "subject.not_given",
        "subject.not_found",
    }
    assert refusal.value.exit_code == (2 if usage else 4)
    assert isinstance(refusal.value, VerificationError) != case.code.startswith("trust.")
    assert "\x1b" not in str(refusal.value)


@pytest.mark.parametrize("case", [one for one in CASES if not one.name.startswith("zip-")], ids=lambda case: case.name)
def test_who_signs_it_anew_with_a_key_of_their_own_is_refused_too(twin: World, tmp_path: Path, case: Case) -> None:
    shutil.copytree(twin.folder, tmp_path / case.name)
    world = World(tmp_path / case.name)
    prepare(case, world)
    if world.envelope.is_file():  # reading a FIFO would never end
        with contextlib.suppress(
            ValueError, KeyError, TypeError, RecursionError
        ):  # nothing is left that could be signed
            world.sign(base64.b64decode(world.members()["payload"]), STRANGER)
    with pytest.raises(ReportError) as refusal:
        world.verify()
    if refusal.value.code != "signature.untrusted":
        assert refusal.value.code == case.code
        assert getattr(refusal.value, "step", 1) <= 5  # refused before anybody asked who signed


def test_the_cases_are_many_and_each_says_why() -> None:
    assert len(MODULES) == 7
    assert len(CASES) >= 60
    assert all(case.why.endswith((".", "?")) for case in CASES)


def test_the_folders_are_the_same_wherever_they_are_made(tmp_path: Path) -> None:
    first, second = sound_world(tmp_path / "a"), sound_world(tmp_path / "b")
    assert first.envelope.read_bytes() == second.envelope.read_bytes()
