"""A run store keeps what was finished, is one process's, is bound to one run, and is told when it is broken."""

import errno
import hashlib
import json
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from audit.store import Leftover, RunStore, run_folder
from audit.store_database import MOST_ROWS, TABLES, StoreDatabase, TrialRow
from audit.store_errors import RunStoreError, StoreWriteError, writing
from audit.store_timings import timings
from reports.check import Check, Context
from reports.errors import BundleError
from reports.model import Confidentiality, Effort, Finding, Status
from reports.salting import SALT_BYTES, unsalted
from tests.reports.test_context import SYSTEM

NOW = datetime(2026, 11, 22, tzinfo=UTC)
BINDING = {"effort": '"smoke"', "policy_sha256": '"11"', "root_seed": "7"}
CHECK = Check("local.one", "It is so", lambda system, ctx: iter(()))
RAN: list[int] = []


def squared(trial: int, rng: np.random.Generator) -> tuple[int, float]:
    RAN.append(trial)
    return trial * trial, float(rng.random())


def large(trial: int, rng: np.random.Generator) -> Any:
    RAN.append(trial)
    return rng.random((100, 200 + trial))


def opaque(trial: int, rng: np.random.Generator) -> Any:
    RAN.append(trial)
    return {trial}  # a set is not kept


def breaking(trial: int, rng: np.random.Generator) -> int:
    RAN.append(trial)
    if trial == 2:
        raise ZeroDivisionError
    return trial


def context(store: RunStore, seed: int = 7) -> Context:
    trials = store.trials(CHECK.id)
    return Context(CHECK, SYSTEM, seed, Effort.SMOKE, Path(), NOW, store, trials=trials)


def finding(ctx: Context, *evidence: str) -> Finding:
    return ctx.finding(Status.FAIL, "No.", evidence=evidence)


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    RAN.clear()
    return tmp_path / "out" / "bundle"


def resumed(bundle: Path, **more: Any) -> RunStore:
    return RunStore(bundle, leftover="resume", **more)


def bind(store: RunStore, **other: str) -> None:
    store.bind({**BINDING, **other}, NOW, now_was_said=True)


def begun(bundle: Path, fn: Any = squared, trials: int = 4, **more: Any) -> list[Any]:
    """A run that is stopped after its trials: what a kill leaves, the last second put on the disk."""
    with resumed(bundle, **more) as store:
        bind(store)
        return list(context(store).map(fn, range(trials), purpose="p"))


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
    files[0].write_bytes(b"PK")  # what was altered is computed again
    assert all(np.array_equal(one, other) for one, other in zip(begun(bundle, large), first, strict=True))
    assert len(RAN) == 5


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


def test_a_sealed_bundle_is_in_its_place_and_the_store_is_gone(bundle: Path) -> None:
    with resumed(bundle) as store:
        bind(store)
        piece = store.put_evidence(b"x", "text/plain", Confidentiality.INTERNAL, "x")
        store.finish_check(CHECK.id, (finding(context(store), piece.sha256),), 0.1)
        store.seal(b"body", (), {"report.md": b"#"})
    assert [path.name for path in bundle.parent.iterdir()] == ["bundle"]
    found = sorted(path.relative_to(bundle).as_posix() for path in bundle.rglob("*") if path.is_file())
    assert found == [f"evidence/{piece.path}", "render/report.md", "report.dsse.json"]


@pytest.mark.parametrize("moved", [False, True])
def test_a_kill_while_the_bundle_is_put_together_loses_nothing(bundle: Path, moved: bool) -> None:
    with resumed(bundle) as store:
        bind(store)
        piece = store.put_evidence(b"x", "text/plain", Confidentiality.INTERNAL, "x")
        store.finish_check(CHECK.id, (finding(context(store), piece.sha256),), 0.1)
    partial = run_folder(bundle) / "bundle"
    partial.mkdir()
    if moved:
        (run_folder(bundle) / "evidence").rename(partial / "evidence")
        (partial / "render").mkdir()
        (partial / "report.dsse.json").write_bytes(b"{")
    with resumed(bundle) as store:
        bind(store)
        assert store.evidence == (piece,)
        store.seal(b"body")
    assert (bundle / "evidence" / piece.path).read_bytes() == b"x"
    assert json.loads((bundle / "report.dsse.json").read_bytes())["payload"] == "Ym9keQ=="


def test_a_leftover_is_refused_resumed_or_discarded_as_was_asked(bundle: Path) -> None:
    begun(bundle)
    with pytest.raises(RunStoreError, match="did not end") as refusal, RunStore(bundle, leftover="refuse"):
        pass
    assert (refusal.value.code, refusal.value.exit_code) == ("run.unfinished", 2)
    assert "--resume" in refusal.value.hint and str(run_folder(bundle)) in refusal.value.hint
    begun(bundle)
    assert RAN == [0, 1, 2, 3]
    with RunStore(bundle, leftover="discard") as store:
        bind(store)
        list(context(store).map(squared, range(4), purpose="p"))
    assert RAN == [0, 1, 2, 3] * 2


def test_a_folder_of_somebody_elses_is_left_alone(bundle: Path) -> None:
    begun(bundle)
    (run_folder(bundle) / "thesis.tex").write_text("years of work")
    leftovers: tuple[Leftover, ...] = ("refuse", "resume", "discard")
    for leftover in leftovers:
        with pytest.raises(RunStoreError, match=r"thesis\.tex") as refusal, RunStore(bundle, leftover=leftover):
            pass
        assert (refusal.value.code, refusal.value.exit_code) == ("run.foreign", 2)
    assert (run_folder(bundle) / "thesis.tex").read_text() == "years of work"


def test_a_store_in_which_nothing_was_finished_leaves_no_trace(bundle: Path) -> None:
    with RunStore(bundle, leftover="refuse") as store:
        bind(store)
        store.put_evidence(b"x", "text/plain", Confidentiality.INTERNAL, "x")
    assert list(bundle.parent.iterdir()) == []


def test_where_nobody_can_resume_an_error_leaves_no_trace(bundle: Path) -> None:
    def fails() -> None:
        with RunStore(bundle, leftover="discard") as store:
            bind(store)
            list(context(store).map(squared, range(4), purpose="p"))
            raise OSError

    with pytest.raises(OSError):  # noqa: PT011  the one above
        fails()
    assert list(bundle.parent.iterdir()) == []


@pytest.mark.parametrize(
    ("other", "told"),
    [
        ({"root_seed": "8"}, "the seed: 7 then, 8 now"),
        ({"effort": '"full"'}, "--effort: smoke then, full now"),
        ({"policy_sha256": '"12"'}, "--policy"),
        ({"--engine": '"vmap"'}, "--engine: nothing then, vmap now"),
    ],
)
def test_a_run_that_differs_is_refused_by_name(bundle: Path, other: dict[str, str], told: str) -> None:
    begun(bundle)
    with pytest.raises(RunStoreError) as refusal, resumed(bundle) as store:
        bind(store, **other)
    assert (refusal.value.code, refusal.value.exit_code) == ("run.other", 2)
    assert told in refusal.value.message
    begun(bundle)  # and the store is as it was
    assert RAN == [0, 1, 2, 3]


def test_the_clock_is_the_one_it_was_begun_with_unless_another_was_said(bundle: Path) -> None:
    begun(bundle)
    later = NOW + timedelta(hours=1)
    with resumed(bundle) as store:
        assert store.bind(BINDING, later, now_was_said=False) == NOW
    with pytest.raises(RunStoreError, match="value of now"), resumed(bundle) as store:
        store.bind(BINDING, later, now_was_said=True)


def test_what_the_policy_was_is_known_to_come_first(bundle: Path) -> None:
    with resumed(bundle) as store:
        bind(store)
        assert store.policy_recorded_first
        list(context(store).map(squared, range(4), purpose="p"))
        store.finish_check(CHECK.id, (finding(context(store)),), 0.1)
    with resumed(bundle) as store:
        bind(store)
        assert store.policy_recorded_first
    with sqlite3.connect(run_folder(bundle) / "store.sqlite") as database:
        database.execute("UPDATE run SET written = 1000 WHERE key = 'policy_sha256'")
    database.close()
    with resumed(bundle) as store:
        bind(store)
        assert not store.policy_recorded_first
    with resumed(bundle.with_name("other")) as store:
        bind(store, policy_sha256="null")
        assert not store.policy_recorded_first


HOLDER = """
import sys, time
from pathlib import Path
from audit.store_lock import StoreLock
with StoreLock(Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(60)
"""


def test_one_process_writes_and_the_other_is_told_which(bundle: Path) -> None:
    folder = run_folder(bundle)
    with subprocess.Popen([sys.executable, "-c", HOLDER, folder], stdout=subprocess.PIPE) as holder:
        assert holder.stdout is not None
        holder.stdout.readline()
        with pytest.raises(RunStoreError) as refusal, RunStore(bundle):
            pass
        assert (refusal.value.code, refusal.value.exit_code) == ("run.locked", 2)
        assert f"process {holder.pid} is working in {folder}" in refusal.value.message
        holder.send_signal(signal.SIGKILL)
    with RunStore(bundle) as store:  # the lock went with it
        bind(store)


def test_a_bundle_that_exists_is_not_touched(bundle: Path) -> None:
    bundle.mkdir(parents=True)
    leftovers: tuple[Leftover, ...] = ("refuse", "discard")
    for leftover in leftovers:
        with pytest.raises(BundleError, match="exists"), RunStore(bundle, leftover=leftover):
            pass
    with resumed(bundle) as store:
        bind(store)
        with pytest.raises(BundleError, match="exists"):
            store.sealed()
    assert list(bundle.parent.iterdir()) == [bundle]


def spoilt(bundle: Path, how: str) -> None:
    store = run_folder(bundle) / "store.sqlite"
    data = store.read_bytes()
    if how == "cut":
        store.write_bytes(data[: len(data) // 2])
    elif how == "noise":
        store.write_bytes(data[:100] + bytes(byte ^ 0x5A for byte in data[100:]))
    elif how == "text":
        store.write_bytes(b"no database at all\n" * 99)
    else:
        with sqlite3.connect(store) as database:
            database.execute(how)
        database.close()


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


def test_a_folder_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreWriteError, match="cannot be written"), RunStore(tmp_path / "file" / "bundle"):
        pass
    with pytest.raises(StoreWriteError, match="No space"), writing(tmp_path):
        raise OSError(errno.ENOSPC, "No space left on device")


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
    database.close()
    assert set(TABLES) == {"run", "check_state", "trial", "finding", "evidence", "salt"}


def test_timings_of_a_run_that_was_not_kept_say_how_to_keep_it(bundle: Path) -> None:
    with pytest.raises(RunStoreError, match="not kept") as refusal:
        timings(bundle)
    assert "--keep-run" in refusal.value.hint
    begun(bundle)
    spoilt(bundle, "text")
    with pytest.raises(RunStoreError, match="broken"):
        timings(bundle)
    shutil.rmtree(run_folder(bundle))


@pytest.mark.parametrize("place", ["evidence", "evidence/ab", "results", "models", "lock", "store.sqlite"])
def test_a_store_that_leads_out_of_its_folder_is_refused_and_nothing_is_touched_there(
    bundle: Path, tmp_path: Path, place: str
) -> None:
    begun(bundle)
    assert begun(bundle)  # the twin without a link goes on
    (tmp_path / "elsewhere" / "deep").mkdir(parents=True)
    for precious in (tmp_path / "elsewhere" / "thesis.txt", tmp_path / "elsewhere" / "deep" / "thesis.txt"):
        precious.write_text("years of work")
    link = run_folder(bundle) / place
    if link.is_dir():
        shutil.rmtree(link)
    link.parent.mkdir(exist_ok=True)
    link.unlink(missing_ok=True)
    link.symlink_to(tmp_path / "elsewhere" / ("thesis.txt" if place in ("lock", "store.sqlite") else ""))
    with pytest.raises(RunStoreError, match=r"link") as refused:
        begun(bundle)
    assert refused.value.code == "run.foreign"
    assert len([*(tmp_path / "elsewhere").rglob("thesis.txt")]) == 2
