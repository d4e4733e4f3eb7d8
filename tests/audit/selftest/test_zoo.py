"""The zoo as a whole: a flaw is where its name says, is aimed at checks that there are, and has a twin of its shape."""

import importlib
import pkgutil
from datetime import UTC, datetime
from fnmatch import fnmatchcase
from pathlib import Path

import numpy as np
import pytest
from safetensors import safe_open

import audit.selftest.flaws as shelf
from audit.plan import EXTRAS
from audit.selftest.flaw import VERIFY, Flaw, FlawError, flaw
from audit.selftest.matrix import rows_of
from audit.selftest.play import Case, built, play
from audit.selftest.zoo import chosen, zoo
from reports.check import discover
from reports.model import Effort, Status

NOW = datetime(2026, 11, 22, tzinfo=UTC)
CHEAP = ("secagg-threshold-low", "secagg-28-bit-seed", "artifact-swapped")
"""Built in a moment; the others are slow."""
OTHER_SHAPE = {"llm-hidden-module": "what is hidden in the adapter are tensors that its twin does not have"}
"""Flaws whose title is about the shape itself, and why."""


def everyone() -> list[object]:
    return [pytest.param(one, id=one.id, marks=() if one.id in CHEAP else pytest.mark.slow) for one in zoo()]


def test_a_flaw_is_one_file_named_after_it() -> None:
    files = [entry.name for entry in pkgutil.iter_modules(shelf.__path__)]
    assert sorted(one.id.replace("-", "_") for one in zoo()) == sorted(files)
    for name in files:
        module = importlib.import_module(f"{shelf.__name__}.{name}")
        own = [value.id for value in vars(module).values() if isinstance(value, Flaw)]
        assert own == [name.replace("_", "-")]


def test_every_flaw_is_aimed_at_checks_that_there_are() -> None:
    known = {check.id for check in discover()} | {VERIFY}
    assert {(one.id, check) for one in zoo() for check in one.caught_by if check not in known} == set()


def test_no_flaw_spares_all_checks_nor_by_a_glob_one_that_must_catch_it() -> None:
    for one in zoo():
        assert all("*" not in glob or glob.count(".") for glob in one.spares), one.id
        globs = [glob for glob in one.spares if glob not in one.caught_by]  # one that is named in both is asked
        assert not [check for check in one.caught_by for glob in globs if fnmatchcase(check, glob)], one.id


def test_titles_are_sentences_and_no_two_flaws_have_one() -> None:
    titles = [one.title for one in zoo()]
    assert len(set(titles)) == len(titles)
    assert all(title[0].isupper() and not title.endswith(".") and len(title) <= 120 for title in titles)


def test_what_a_flaw_asks_for_can_be_given() -> None:
    for one in zoo():
        assert one.extra is None or one.extra in EXTRAS, one.id
        assert one.expects in (Status.FAIL, Status.INCONCLUSIVE, Status.SKIPPED), one.id  # a skip names what is lacking


def test_a_glob_that_fits_no_flaw_is_no_selection() -> None:
    with pytest.raises(FlawError, match="no flaw is named"):
        chosen(["secagg-*", "no-such-*"])
    assert {one.id for one in chosen(["secagg-t*"])} == {"secagg-threshold-low"}


@pytest.mark.parametrize("name", ["", "Big", "two words", "-x", "x-", "a_b"])
def test_an_id_is_words_joined_by_hyphens(name: str) -> None:
    with pytest.raises(FlawError):
        flaw(name, "Something is wrong", caught_by=("dp.mechanism",))


def test_a_flaw_that_nobody_is_to_catch_is_refused() -> None:
    with pytest.raises(FlawError):
        flaw("a-flaw", "Something is wrong", caught_by=())


@pytest.mark.parametrize("one", everyone())
def test_flaw_and_twin_are_the_same_files_and_the_same_shapes(one: Flaw, tmp_path: Path) -> None:
    if one.extra is not None:
        pytest.importorskip(EXTRAS[one.extra])
    effort = max(one.least, Effort.SMOKE, key=lambda level: level.rank)
    folders = [tmp_path / name for name in ("flaw", "twin")]
    made = [
        built(one, Case(one.id, planted, 1, effort, NOW), folder)
        for folder, planted in zip(folders, (True, False), strict=True)
    ]
    assert (made[0].seals, made[0].subjects) == (made[1].seals, made[1].subjects)
    flawed, twin = (shapes(folder) for folder in folders)
    assert sorted(flawed) == sorted(twin)
    if one.id not in OTHER_SHAPE:
        assert flawed == twin


@pytest.mark.slow
@pytest.mark.parametrize("seed", [1, 2, 3])
@pytest.mark.parametrize("one", [pytest.param(one, id=one.id) for one in zoo()])
def test_a_flaw_is_noticed_under_three_seeds_and_its_twin_is_never_accused(one: Flaw, seed: int) -> None:
    if one.least is not Effort.SMOKE:
        pytest.skip(f"nobody can notice below effort {one.least}")
    if one.extra is not None:
        pytest.importorskip(EXTRAS[one.extra])
    flawed, twin = (play(Case(one.id, planted, seed, Effort.SMOKE, NOW)) for planted in (True, False))
    [row] = rows_of([one], [flawed, twin])
    assert row.errors == ()
    assert row.alarms == ()
    assert row.detected


@pytest.mark.parametrize("one", everyone())
def test_a_flaw_is_built_of_its_seed_alone(one: Flaw, tmp_path: Path) -> None:
    if one.extra is not None or one.id.startswith("secagg-"):
        pytest.skip("keys and masks are drawn afresh, and a framework has clocks of its own")
    effort = max(one.least, Effort.SMOKE, key=lambda level: level.rank)
    for planted in (True, False):
        once, again = (tmp_path / f"{planted}-{word}" for word in ("once", "again"))
        for folder in (once, again):
            built(one, Case(one.id, planted, 3, effort, NOW), folder)
        assert contents(once) == contents(again)


def contents(folder: Path) -> dict[str, bytes]:
    return {
        file.relative_to(folder).as_posix(): file.read_bytes() for file in sorted(folder.rglob("*")) if file.is_file()
    }


def shapes(folder: Path) -> dict[str, object]:
    """Each file's shape: of tensors and arrays by name; of a text nothing; vectors of a round count as one."""
    files = [file for file in folder.rglob("*") if file.is_file()]
    names = [file.parent if file.parent.name == "blobs" else file for file in files]
    return {name.relative_to(folder).as_posix(): shape(file) for name, file in zip(names, files, strict=True)}


def shape(file: Path) -> object:
    if file.suffix == ".safetensors":
        with safe_open(file, framework="numpy") as tensors:
            return {name: tuple(tensors.get_slice(name).get_shape()) for name in tensors.keys()}  # noqa: SIM118
    if file.suffix == ".npz":
        with np.load(file) as arrays:
            return {name: arrays[name].shape for name in arrays.files}
    return None
