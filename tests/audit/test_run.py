"""A report is always written, the same bytes each time, and a bundle is there whole or not at all."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from audit.cli.main import run
from audit.run import Audited, Request, packages, run_audit
from reports.bundle import read_bundle
from reports.check import Check, Context, discover
from reports.consistency import inconsistencies
from reports.errors import BundleError, FileError
from reports.keys import generate
from reports.model import Effort, Finding, Status, System
from reports.seed import derived_seed

NOW = datetime(2026, 11, 21, 12, 0, 0, tzinfo=UTC)


def draws(system: System, ctx: Context) -> Iterator[Finding]:
    number = float(ctx.rng("p").random())
    digest = ctx.evidence("drawn", f"{number}".encode(), "text/plain", "internal")
    yield ctx.finding(Status.INCONCLUSIVE, f"Drew {number:.6f}.", evidence=(digest,), reason="undecided")


def raises(system: System, ctx: Context) -> Iterator[Finding]:
    yield ctx.finding(Status.PASS, "Not the last word.")
    raise ZeroDivisionError("somebody's name")


def raises_ours(system: System, ctx: Context) -> Iterator[Finding]:
    yield ctx.finding(Status.PASS, "Not the last word.")
    raise FileError("file.broken", f"{ctx.folder}/a.npz: ends early", "Copy it again.")


def silent(system: System, ctx: Context) -> Iterator[Finding]:
    return iter(())


def twice(system: System, ctx: Context) -> Iterator[Finding]:
    yield ctx.finding(Status.PASS, "One.")
    yield ctx.finding(Status.PASS, "Two.")


def reads(system: System, ctx: Context) -> Iterator[Finding]:
    yield ctx.finding(Status.PASS, f"Read {len(ctx.findings)} findings.")


@pytest.fixture
def system_file(tmp_path: Path) -> Path:
    file = tmp_path / "system.toml"
    file.write_text('[system]\nname = "s"\nversion = "1"\n')
    return file


def audited(system_file: Path, bundle: str, *checks: Check, **more: object) -> Audited:
    request = Request(
        system_file=system_file,
        bundle=system_file.parent / bundle,
        now=NOW,
        effort=Effort.SMOKE,
        only=("local.*",),
        extra_checks=checks,
        **more,  # type: ignore[arg-type]
    )
    return run_audit(request, key=generate("ecdsa-p256") if bundle == "signed" else None)


DRAWS = Check("local.draws", "It is so", draws)


def test_two_runs_give_the_same_bytes(system_file: Path) -> None:
    one, two = audited(system_file, "one", DRAWS), audited(system_file, "two", DRAWS)
    assert one.statement.body == two.statement.body
    assert (one.bundle / "report.dsse.json").read_bytes() == (two.bundle / "report.dsse.json").read_bytes()


def test_another_seed_gives_other_bytes_and_another_check_changes_no_number(system_file: Path) -> None:
    alone = audited(system_file, "alone", DRAWS).statement.report
    chosen = audited(system_file, "chosen", DRAWS, seed=1).statement.report
    beside = audited(system_file, "beside", DRAWS, Check("local.another", "It is so", draws)).statement.report

    def drawn(report: object) -> str:
        return next(f.summary for f in report.findings if f.check == "local.draws")  # type: ignore[attr-defined]

    assert drawn(alone) == drawn(beside) != drawn(chosen)
    assert (alone.provenance.seed_source, chosen.provenance.seed_source) == ("derived", "chosen")


def test_the_derived_seed_is_of_system_policy_and_nonce(system_file: Path) -> None:
    report = audited(system_file, "b", DRAWS, nonce="n", policy_sha256="1" * 64).statement.report
    assert report.provenance.root_seed == derived_seed(report.system.source.sha256, "1" * 64, "n")
    assert report.provenance.root_seed != derived_seed(report.system.source.sha256, None, "n")


@pytest.mark.parametrize(
    ("ask", "reason", "words"),
    [
        (raises, "exception:ZeroDivisionError", ""),
        (raises_ours, "exception:FileError", "a.npz: ends early"),
        (silent, "exception:ValueError", "no finding"),
        (twice, "exception:ValueError", "one key"),
    ],
)
def test_a_check_that_breaks_is_a_finding_and_the_others_still_answer(
    system_file: Path, ask: object, reason: str, words: str
) -> None:
    report = audited(system_file, "b", Check("local.broken", "It is so", ask), DRAWS).statement.report  # type: ignore[arg-type]
    broken, drawn = (f for f in report.findings if f.check.startswith("local."))
    assert (broken.status, broken.reason, drawn.status) == (Status.ERROR, reason, Status.INCONCLUSIVE)
    assert words in broken.detail
    assert "somebody" not in broken.model_dump_json()  # whatever a foreign exception holds stays out of the report
    assert str(system_file.parent) not in broken.model_dump_json()


def test_every_registered_check_answers(system_file: Path) -> None:
    report = audited(system_file, "b", DRAWS).statement.report
    left_out = {f.check: f.reason for f in report.findings if f.status is Status.SKIPPED}
    assert left_out == {check.id: "deselected" for check in discover()}
    assert {f.check for f in report.findings} == {*left_out, DRAWS.id}
    assert list(inconsistencies(report)) == []


def test_a_check_that_cannot_be_asked_says_what_is_missing(system_file: Path) -> None:
    needing = Check("local.needing", "It is so", draws, needs=("model.checkpoint",))
    report = audited(system_file, "b", DRAWS, needing).statement.report
    found = {f.check: (f.status, f.reason) for f in report.findings}
    assert found["local.needing"] == (Status.SKIPPED, "missing:model.checkpoint")
    assert found["local.draws"] == (Status.INCONCLUSIVE, "undecided")


LAST = {check.id for check in discover() if check.reads_findings} | {"local.reader-1", "local.reader-2"}


def test_a_reader_of_findings_sees_the_others_and_not_its_kind(system_file: Path) -> None:
    readers = (Check(f"local.reader-{i}", "It is so", reads, needs=("findings",)) for i in (1, 2))
    report = audited(system_file, "b", DRAWS, *readers).statement.report
    summaries = {f.check: f.summary for f in report.findings}
    seen = sum(one.check not in LAST for one in report.findings)
    assert summaries["local.reader-1"] == summaries["local.reader-2"] == f"Read {seen} findings."


def test_a_signed_bundle_is_signed_by_that_key(system_file: Path) -> None:
    done = audited(system_file, "signed", DRAWS)
    [signature] = read_bundle(done.bundle).envelope.signatures
    assert signature.keyid == done.keyid


def test_an_existing_bundle_is_not_touched(system_file: Path) -> None:
    (system_file.parent / "b").mkdir()
    with pytest.raises(BundleError, match="exists"):
        audited(system_file, "b", DRAWS)
    assert list((system_file.parent / "b").iterdir()) == []


def test_no_path_host_or_user_is_in_the_report(system_file: Path) -> None:
    body = audited(system_file, "b", DRAWS).statement.body.decode()
    assert str(system_file.parent) not in body
    assert os.uname().nodename not in body


def test_packages_are_those_that_our_metadata_names() -> None:
    found = packages()
    assert {"torch", "cryptography", "pydantic"} <= set(found)
    assert "pip" not in found


SLEEPER = """
import time
from reports.check import Check
def ask(system, ctx):
    ctx.evidence("some", b"some", "text/plain", "internal")
    print("asking", flush=True)
    time.sleep(60)
    yield
found = Check("local.sleeper", "It is so", ask)
"""


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT])
def test_a_killed_run_leaves_no_bundle_and_the_next_one_starts_clean(system_file: Path, how: signal.Signals) -> None:
    folder = system_file.parent
    (folder / "sleeper.py").write_text(SLEEPER)
    line = [sys.executable, "-c", "from audit.cli.main import main; main()", "run", "system.toml", "-o", "out/bundle"]
    more = ["--only", "local.*", "--checks", "sleeper.py", "--no-render"]
    with subprocess.Popen([*line, *more], cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"asking\n"
        time.sleep(0.1)
        process.send_signal(how)
        _, err = process.communicate(timeout=30)
    assert not (folder / "out" / "bundle").exists()
    if how is signal.SIGINT:
        assert process.returncode == 3
        assert b"Traceback" not in err
        assert list((folder / "out").iterdir()) == []
    done = audited(system_file, "out/bundle", DRAWS)
    assert [p.name for p in (folder / "out").iterdir()] == [done.bundle.name]


def test_the_owners_code_runs_only_if_somebody_says_so(
    system_file: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = system_file.parent
    monkeypatch.chdir(folder)
    (folder / "model.py").write_text("open('it-ran', 'w').close()\ndef build():\n    raise ValueError\n")
    save_file({"w": np.zeros(1, np.float32)}, folder / "u.safetensors")
    np.savez(folder / "t.npz", x=np.zeros((1, 1), np.float32), y=np.zeros(1, np.int64))
    update = '[[updates]]\npath = "u.safetensors"\nkind = "gradient"\ntruth = "t.npz"\n'
    system_file.write_text(
        system_file.read_text() + '[model]\ncheckpoint = "u.safetensors"\ndefinition = "model.py:build"\n' + update
    )
    line = ["run", "system.toml", "--no-render", "-o"]
    assert run([*line, "refused"]) == 2
    assert "--trust-code" in capsys.readouterr().err
    assert run([*line, "left-out", "--skip", "attack.*", "--skip", "dp.*"]) == 0
    assert not (folder / "refused").exists()
    assert not (folder / "it-ran").exists()
    assert run([*line, "trusted", "--trust-code"]) == 0  # the control: the sentinel works
    assert (folder / "it-ran").exists()
