"""What a run store keeps comes back as it was, is on the disk in time, and is told or computed anew if broken."""

import errno
import hashlib
import os
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from audit.store import run_folder
from audit.store_database import MOST_ROWS, TABLES, StoreDatabase, TrialRow
from audit.store_errors import RunStoreError, StoreWriteError
from audit.store_timings import timings
from audit.store_trials import CheckTrials
from reports.model import Confidentiality
from reports.salting import SALT_BYTES, unsalted
from tests.audit.stored import (
    BINDING,
    CHECK,
    NOW,
    RAN,
    begun,
    bind,
    breaking,
    context,
    finding,
    large,
    opaque,
    resumed,
    spoilt,
    squared,
)


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    RAN.clear()
    return tmp_path / "out" / "bundle"


def test_finished_trials_are_not_run_again_and_come_back_as_they_were(bundle: Path) -> None:
    first = begun(bundle)
    assert begun(bundle) == first
    assert RAN == [0, 1, 2, 3]
    assert begun(bundle, trials=6)[:4] == first
    assert RAN == [0, 1, 2, 3, 4, 5]


def test_large_arrays_of_trials_are_kept_as_files_without_pickle(bundle: Path) -> None:
    first = begun(bundle, large)
    files = list((run_folder(bundle) / "results").glob("*/*.npz"))
    assert len(files) == 4
    for file in files:
        with np.load(file, allow_pickle=False) as archive:
            assert archive["array"].dtype == np.float64
        assert hashlib.sha256(file.read_bytes()).hexdigest() == file.stem
    assert all(np.array_equal(one, other) for one, other in zip(begun(bundle, large), first, strict=True))
    assert RAN == [0, 1, 2, 3]
    for times, other in enumerate((b"PK", files[1].read_bytes())):  # what was altered is computed again
        files[0].write_bytes(other)
        assert all(np.array_equal(one, other) for one, other in zip(begun(bundle, large), first, strict=True))
        assert len(RAN) == 5 + times


def test_a_result_that_cannot_be_kept_is_computed_again(bundle: Path) -> None:
    begun(bundle)  # the twin is kept
    assert begun(bundle, opaque) == [{0}, {1}, {2}, {3}] == begun(bundle, opaque)
    assert RAN == [0, 1, 2, 3] * 3


def test_an_exception_of_a_trial_comes_out_at_its_place_and_what_ended_is_kept(bundle: Path) -> None:
    def run() -> Iterator[int]:
        with resumed(bundle) as store:
            bind(store)
            yield from context(store).map(breaking, range(4), purpose="p")

    for ran in ([0, 1, 2], [0, 1, 2, 2]):
        found = run()
        assert [next(found), next(found)] == [0, 1]
        with pytest.raises(ZeroDivisionError):
            next(found)
        assert ran == RAN


def test_another_question_is_not_answered_from_the_store(bundle: Path) -> None:
    begun(bundle)
    with resumed(bundle) as store:
        bind(store)
        list(context(store).map(squared, [5, 1, 2, 3], purpose="p"))  # the first is another one
    assert RAN == [0, 1, 2, 3, 5]
    for _ in range(2):
        with resumed(bundle) as store:
            bind(store)
            ctx = context(store)
            for purpose in ("p", "q", "p"):  # a purpose that is named again asks again
                list(ctx.map(squared, [5, 1, 2, 3], purpose=purpose))
        assert [0, 1, 2, 3, 5, *(5, 1, 2, 3) * 2] == RAN
    with resumed(bundle) as store:
        bind(store)
        list(context(store).map(large, [5, 1, 2, 3], purpose="p"))
    assert RAN[13:] == [5, 1, 2, 3]  # another function


def test_a_trial_of_another_check_purpose_place_or_run_is_another_trial(bundle: Path) -> None:
    with resumed(bundle) as store:
        database = store.trials(CHECK.id).database
        calls = [
            CheckTrials(database, bundle, check, bound).opened(purpose, squared, trials)
            for check, bound, purpose, trials in [
                ("a", "1", "p", [1, 1, 2]), ("b", "1", "p", [1]), ("a", "2", "p", [1]), ("a", "1", "q", [1]),
            ]
        ]  # fmt: skip
        again = CheckTrials(database, bundle, "a", "1").opened("p", squared, [1])
    keys = [key for call in calls for key in call.keys]
    assert len(set(keys)) == len(keys) == 6
    assert again.keys[0] == keys[0]  # the twin


def test_what_a_check_answered_comes_back_with_its_evidence(bundle: Path) -> None:
    with resumed(bundle) as store:
        bind(store)
        ctx = context(store)
        kept = ctx.evidence("kept", b"kept", "text/plain", "restricted")
        said = (finding(ctx, kept),)
        store.finish_check(CHECK.id, said, 1.5)
        ctx.evidence("lost", b"of a check that did not end", "text/plain", "internal")
        before = store.evidence
    with resumed(bundle) as store:
        bind(store)
        assert store.answered(CHECK.id) == said
        assert store.answered("local.other") is None
        assert [piece.sha256 for piece in store.evidence] == [kept] != [piece.sha256 for piece in before]
        assert [path.name for path in (store.folder / "evidence").glob("*/*")] == [f"{kept}.txt"]
        assert store.put_evidence(b"kept", "text/plain", Confidentiality.PUBLIC, "again").name == "kept"
    assert [(one.check, one.seconds, one.trials) for one in timings(bundle)] == [(CHECK.id, 1.5, 0)]


def test_salts_are_kept_so_that_a_resumed_run_cites_the_same(bundle: Path) -> None:
    cited = []
    for _ in range(2):
        with resumed(bundle, salted=True) as store:
            bind(store)
            list(context(store).map(squared, range(1), purpose="p"))
            cited.append(store.put_evidence(b"record", "application/json", Confidentiality.RESTRICTED, "r"))
            plain = store.put_evidence(b"table", "text/csv", Confidentiality.INTERNAL, "t")
            file = store.folder / "evidence" / cited[-1].path
            assert (cited[-1].size, unsalted(file.read_bytes())) == (SALT_BYTES + 6, b"record")
            assert not plain.salted and plain.sha256 == hashlib.sha256(b"table").hexdigest()
    assert cited[0] == cited[1]
    assert cited[0].sha256 != hashlib.sha256(b"record").hexdigest()
    with resumed(bundle.with_name("another"), salted=True) as store:
        bind(store)
        another = store.put_evidence(b"record", "application/json", Confidentiality.RESTRICTED, "r")
    assert another.sha256 != cited[0].sha256


@pytest.mark.parametrize(
    "how",
    [
        "cut", "noise", "text", "PRAGMA user_version = 2", "DROP TABLE trial",
        "CREATE TRIGGER t AFTER INSERT ON trial BEGIN DELETE FROM run; END", "CREATE VIEW v AS SELECT 1",
        "UPDATE run SET value = '2026' WHERE key = 'now'", "UPDATE finding SET json = '{}'", "DELETE FROM finding",
        "UPDATE finding SET check_id = 'local.two'", "UPDATE evidence SET sha256 = '../../x'",
        "UPDATE evidence SET confidentiality = 'secret'", "UPDATE evidence SET media_type = 'text/csv'",
        "DELETE FROM evidence",
    ],
)  # fmt: skip
def test_a_broken_store_is_one_clear_sentence(bundle: Path, how: str) -> None:
    with resumed(bundle) as store:
        bind(store)
        piece = store.put_evidence(b"x", "text/plain", Confidentiality.INTERNAL, "x")
        store.finish_check(CHECK.id, (finding(context(store), piece.sha256),), 0.1)
        for number in range(9):
            store.trials(f"local.{number}").opened("p", squared, [1]).keep(0, "y" * 2000, 0.1)

    def resume() -> None:
        with resumed(bundle) as store:
            store.bind(BINDING, NOW, now_was_said=False)
            store.answered(CHECK.id)

    resume()  # the twin
    spoilt(bundle, how)
    with pytest.raises(RunStoreError) as refusal:
        resume()
    assert (refusal.value.code, refusal.value.exit_code) == ("run.damaged", 2)
    assert f"remove the folder {run_folder(bundle)}" in refusal.value.hint


@pytest.mark.parametrize("how", ["missing", "altered"])
def test_evidence_that_is_missing_or_altered_is_told(bundle: Path, how: str) -> None:
    with resumed(bundle) as store:
        bind(store)
        piece = store.put_evidence(b"x", "text/plain", Confidentiality.INTERNAL, "x")
        store.finish_check(CHECK.id, (finding(context(store), piece.sha256),), 0.1)
        file = store.folder / "evidence" / piece.path
    file.unlink() if how == "missing" else file.write_bytes(b"y")
    with pytest.raises(RunStoreError, match="missing or altered"), resumed(bundle) as store:
        bind(store)


def test_a_forged_result_runs_nothing_and_is_computed_anew(bundle: Path) -> None:
    first = begun(bundle)
    forged = b'{"object":"subprocess:Popen","fields":{"args":"touch forged"}}'
    with sqlite3.connect(run_folder(bundle) / "store.sqlite") as database:
        database.execute("UPDATE trial SET result = ? WHERE trial = 1", (forged,))
    database.close()
    assert begun(bundle) == first
    assert RAN == [0, 1, 2, 3, 1]


def test_a_full_disk_is_no_finding_and_what_was_finished_stays(bundle: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    begun(bundle)

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with resumed(bundle) as store:
        bind(store)
        monkeypatch.setattr(os, "fsync", full)
        with pytest.raises(StoreWriteError, match="No space left") as refusal:
            store.put_evidence(b"x", "text/plain", Confidentiality.INTERNAL, "x")
    assert (refusal.value.code, refusal.value.exit_code) == ("io.write", 3)
    monkeypatch.undo()
    begun(bundle)
    assert RAN == [0, 1, 2, 3]


def test_many_trials_wait_for_one_another_and_none_waits_long(bundle: Path) -> None:
    folder = bundle.parent
    folder.mkdir()
    database = StoreDatabase(folder)
    reader = sqlite3.connect(folder / "store.sqlite")

    def on_disk() -> int:
        return int(reader.execute("SELECT COUNT(*) FROM trial").fetchone()[0])

    database.write_trial("c", "p", TrialRow(0, "k", b"1", 0.1))
    assert on_disk() == 1  # long after the last
    for trial in range(1, MOST_ROWS + 1):
        assert on_disk() == 1
        database.write_trial("c", "p", TrialRow(trial, "k", b"1", 0.1))
    assert on_disk() == MOST_ROWS + 1
    reader.close()
    settings = [database.rows(f"PRAGMA {name}")[0][0] for name in ("journal_mode", "synchronous", "user_version")]
    database.close()
    assert settings == ["wal", 1, 1]  # 1: NORMAL (sqlite.org/pragma.html, synchronous)
    assert set(TABLES) == {"run", "check_state", "trial", "finding", "evidence", "salt"}
