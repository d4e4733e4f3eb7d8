"""A run store is one process's, is bound to one run, goes on or leaves no trace, and ends in a whole bundle."""

import errno
import json
import shutil
import signal
import sqlite3
import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import pytest

from audit.store import Leftover, RunStore, run_folder
from audit.store_errors import RunStoreError, StoreWriteError, writing
from audit.store_timings import timings
from reports.errors import BundleError
from reports.model import Confidentiality
from tests.audit.stored import (
    BINDING,
    CHECK,
    NOW,
    RAN,
    begun,
    bind,
    context,
    finding,
    resumed,
    spoilt,
    squared,
)


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    RAN.clear()
    return tmp_path / "out" / "bundle"


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


def test_a_folder_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreWriteError, match="cannot be written"), RunStore(tmp_path / "file" / "bundle"):
        pass
    with pytest.raises(StoreWriteError, match="No space"), writing(tmp_path):
        raise OSError(errno.ENOSPC, "No space left on device")


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
