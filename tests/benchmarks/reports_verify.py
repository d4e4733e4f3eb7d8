"""How long verifying and judging take: cold, warm, with many findings, many files, one large file, in a zip."""

import gc
import json
import math
import subprocess
import sys
import tempfile
import time
import zipfile
from collections.abc import Callable, Sequence
from datetime import date, timedelta
from pathlib import Path
from statistics import median
from typing import NamedTuple

from reports_rows import Row, Sample, cold, fedaudit, warm
from reports_sample import NOW, sample

from audit.cli.collector import paused_collector
from reports.dsse import Envelope, sign
from reports.judge import judge
from reports.policy import Policy
from reports.trust import load_trust
from reports.verify import verify

CLICK = "import click"
VERIFYING = "import cryptography.hazmat.primitives.asymmetric.ec, pydantic, click"
"""What any verifier in Python has to import; nothing is done with it."""
MANY = 10_000
GIGABYTE = 1 << 30
SIZES = (100, 1_000, 10_000, 30_000)
STEEPEST = 1.1
"""Of time against findings, both as logarithms."""
_DAY = date(2026, 11, 21)


def verification(one: Sample, repeats: int) -> list[Row]:
    """All rows of this file; what is large lies in the system's temporary folder and is removed."""
    few = min(repeats, 3)
    rows = [command_line(repeats), verifying(one, repeats), signature(one, repeats)]
    with tempfile.TemporaryDirectory() as place:
        rows += many_files(Path(place), few)
    with tempfile.TemporaryDirectory() as place:
        rows.append(large_file(Path(place), few))
    with tempfile.TemporaryDirectory() as place:
        rows.append(judging(sample(Path(place, "many"), MANY, pieces=1, size=1024), repeats))
        rows += scale(Path(place), few)
    return rows


def command_line(repeats: int) -> Row:
    """`fedaudit --help`, cold."""
    ours, peer = cold([fedaudit(), "--help"], [sys.executable, "-c", CLICK], repeats)
    met = ours <= 0.30 and ours <= 3 * peer
    return Row("fedaudit --help, cold", ours, "import click", peer, "<= 0.30 s and <= 3x", met)


def verifying(one: Sample, repeats: int) -> Row:
    """`fedaudit verify`, cold, 200 findings and ten megabytes of evidence."""
    ours, peer = cold(command(one, one.bundle), [sys.executable, "-c", VERIFYING], repeats)
    met = ours <= 0.5 and ours <= 2 * peer
    target = "<= 0.5 s and <= 2x"
    return Row("verify, cold, 200 findings, 10 MB", ours, "import cryptography, pydantic, click", peer, target, met)


def signature(one: Sample, repeats: int) -> Row:
    """One signature over one envelope, warm: PAE and ECDSA, as both libraries do it."""
    envelope = Envelope("application/vnd.in-toto+json", one.statement.body, (sign(one.statement.body, one.key),))
    if not envelope.signed_by(one.key.public):
        raise SystemExit("our own signature does not verify")
    what, peer_name, target = "DSSE verify, warm", "securesystemslib", "<= 1x, 5 % noise"
    try:
        from cryptography.hazmat.primitives.serialization import load_pem_public_key
        from securesystemslib.dsse import Envelope as PeerEnvelope
        from securesystemslib.signer import SSlibKey  # type: ignore[attr-defined]  # public, not re-exported
    except ImportError as error:
        [ours] = warm(lambda: envelope.signed_by(one.key.public), repeats=repeats, times=200)
        return Row(what, ours, peer_name, None, target, False, f"not compared: {error}")
    theirs = PeerEnvelope.from_dict(json.loads(one.envelope))
    key = SSlibKey.from_crypto(load_pem_public_key(one.key.public.to_pem()), one.key.keyid)
    if not theirs.verify([key], 1):
        raise SystemExit("the peer does not accept our envelope")
    works = (lambda: envelope.signed_by(one.key.public), lambda: theirs.verify([key], 1))
    ours, peer = warm(*works, repeats=8 * repeats, times=25)  # short turns: noise that lasts meets both alike
    return Row(what, ours, peer_name, peer, target, ours <= 1.05 * peer)


def command(one: Sample, bundle: Path) -> list[str]:
    """Return the command that verifies a bundle of the sample."""
    words = ["verify", bundle, "--trust", one.trust, "--subject", one.subject, "--now", "2026-11-21T00:00:00Z"]
    return [fedaudit(), *map(str, words)]


LAUNCHER = """
import json, os, subprocess, sys, time
began = time.perf_counter()
process = subprocess.Popen(sys.argv[1:], stdout=subprocess.DEVNULL)
_, status, used = os.wait4(process.pid, 0)
process.returncode = os.waitstatus_to_exitcode(status)
unit = 1 if sys.platform == "darwin" else 1024
figures = time.perf_counter() - began, used.ru_utime + used.ru_stime, used.ru_maxrss * unit / 1e6
print(json.dumps([process.returncode, *figures]))
"""
"""Starts a command from a small process: one that is started from this one is told to be as large as this one is."""


class Cost(NamedTuple):
    """What a command took in a fresh process."""

    seconds: float
    """By the clock on the wall."""
    cpu: float
    """Seconds of the processor: less shaken by what else the machine does."""
    memory: float
    """Most resident megabytes."""

    def __str__(self) -> str:
        return f"{self.memory:.0f} MB, {self.cpu:.2f} s of CPU"


def cost(words: Sequence[str]) -> Cost:
    """Return what a command takes in a fresh process."""
    done = subprocess.run([sys.executable, "-c", LAUNCHER, *words], capture_output=True, check=True)
    code, *figures = json.loads(done.stdout)
    if code:
        raise SystemExit(f"{' '.join(words)} ended with {code}")
    return Cost(*figures)


def several(words: Sequence[str], repeats: int) -> Cost:
    """Return medians over some runs, and the most memory, after one run that warms the disk."""
    runs = [cost(words) for _ in range(repeats + 1)][1:]
    return Cost(median(r.seconds for r in runs), median(r.cpu for r in runs), max(r.memory for r in runs))


def many_files(folder: Path, repeats: int) -> list[Row]:
    """10^4 findings beside 10^4 files of evidence, as a folder and as a zip of it."""
    one = sample(folder / "files", MANY, pieces=MANY, size=1024)
    packed = folder / "bundle.zip"
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as file:
        for path in sorted(one.bundle.rglob("*")):
            file.write(path, path.relative_to(one.bundle))
    ours, in_zip = several(command(one, one.bundle), repeats), several(command(one, packed), repeats)
    met, size = ours.seconds <= 4 and ours.memory <= 400, f"{packed.stat().st_size / 1e6:.0f} MB packed"
    what = "verify, cold, 10^4 findings, 10^4 files"
    return [
        Row(what, ours.seconds, "", None, "<= 4 s, <= 400 MB", met, str(ours)),
        Row("the same in a zip", in_zip.seconds, "the folder", ours.seconds, "-", True, f"{in_zip}, {size}"),
    ]


def large_file(folder: Path, repeats: int) -> Row:
    """One file of evidence of a gibibyte beside 10^4 findings; the peer is sha256sum on that file alone.

    What memory it takes is told beside that of the same bundle with a small file instead.
    """
    small = sample(folder / "small", MANY, pieces=1, size=1 << 20)
    one = sample(folder / "large", MANY, pieces=1, size=GIGABYTE)
    [place] = [path for path in (one.bundle / "evidence").rglob("*") if path.stat().st_size == GIGABYTE]
    before = several(command(small, small.bundle), repeats).memory
    words, peer_words = command(one, one.bundle), ["sha256sum", str(place)]
    runs = [(cost(words), cost(peer_words)) for _ in range(repeats + 1)][1:]
    seconds, peer = median(ours.seconds for ours, _ in runs), median(theirs.seconds for _, theirs in runs)
    growth = max(ours.memory for ours, _ in runs) - before
    met = seconds <= 1.5 * peer + 0.5 and growth <= 16
    what, target = "verify, cold, 10^4 findings, 1 GiB", "<= 1.5x + 0.5 s, <= 16 MB more"
    cpu, peer_cpu = median(ours.cpu for ours, _ in runs), median(theirs.cpu for _, theirs in runs)
    note = f"{growth:+.1f} MB, {cpu:.2f} s of CPU, the peer {peer_cpu:.2f} s"
    return Row(what, seconds, "sha256sum", peer, target, met, note)


def policy() -> Policy:
    """Return fifty rules and twenty waivers that apply to the findings of the sample."""
    checks = [f"attack.kind-{number}" for number in range(40)]
    limit = {"measurement": "identifiability", "op": "<=", "limit": 0.9, "min_n": 100}
    waiver = {
        "system": "bench",
        "reason": "Retraining is scheduled for the next release.",
        "owner": "lead@example.org",
        "approved_by": "dpo@example.org",
        "created": _DAY - timedelta(days=10),
        "expires": _DAY + timedelta(days=10),
    }
    return Policy.model_validate(
        {
            "version": 1,
            "name": "bench",
            "fail_on": "medium",
            "require": [{"check": check, "min_strength": "screening"} for check in checks[:10]],
            "threshold": [{"check": check, **limit} for check in checks],
            "waivers": [{"id": f"W-{i}", "check": check, **waiver} for i, check in enumerate(checks[20:])],
        }
    )


def judging(one: Sample, repeats: int) -> Row:
    """The judgement of 10^4 findings by 50 rules and 20 waivers, without the reading of the bundle."""
    rules, found = policy(), one.statement.report
    [seconds] = warm(lambda: judge(found, rules, _DAY), repeats=repeats)
    began = time.process_time()
    judgements = len(judge(found, rules, _DAY).judgements)
    note = f"{judgements} judgements, {time.process_time() - began:.2f} s of CPU"
    what = "judge, 10^4 findings, 50 rules, 20 waivers"
    return Row(what, seconds, "", None, "<= 1 s", seconds <= 1, note)


def scale(folder: Path, repeats: int) -> list[Row]:
    """Verifying and judging warm, with more and more findings, in seconds of CPU; memory is that of a fresh process.

    The slope is that of the least squares through the logarithms, from 10^3 findings on: what does not grow with them
    would flatter it below.
    """
    verified, judged, rows, rules = [], [], [], policy()
    for count in SIZES:
        one = sample(folder / str(count), count, pieces=1, size=1024)
        verified.append(_cpu(_verification(one), repeats))
        judged.append(_cpu(_judgement(one, rules), repeats))
        fresh = cost(command(one, one.bundle))
        rows.append(Row(f"verify, warm, CPU, {count} findings", verified[-1], "", None, "-", True, f"cold {fresh}"))
        rows.append(Row(f"judge, warm, CPU, {count} findings", judged[-1], "", None, "-", True))
    for what, seconds in (("verify", verified), ("judge", judged)):
        slope = _slope(SIZES[1:], seconds[1:])
        name, target = f"{what}, CPU, from {SIZES[1]} to {SIZES[-1]}", f"slope <= {STEEPEST}"
        rows.append(Row(name, seconds[-1], "", None, target, slope <= STEEPEST, f"slope {slope:.2f}"))
    return rows


def _verification(one: Sample) -> Callable[[], object]:
    trust = load_trust(one.trust)
    return lambda: verify(one.bundle, trust, [one.subject], NOW)


def _judgement(one: Sample, rules: Policy) -> Callable[[], object]:
    return lambda: judge(one.statement.report, rules, _DAY)


def _cpu(work: Callable[[], object], repeats: int) -> float:
    """Return the median seconds of CPU of one call, after one that warms up; the collector is paused, as by verify."""
    seconds = []
    with paused_collector():
        for _ in range(repeats + 1):
            began = time.process_time()
            work()
            seconds.append(time.process_time() - began)
            gc.collect()
    return median(seconds[1:])


def _slope(sizes: Sequence[int], seconds: Sequence[float]) -> float:
    """Return the least-squares slope of log seconds over log size."""
    xs, ys = [math.log(size) for size in sizes], [math.log(second) for second in seconds]
    x, y = sum(xs) / len(xs), sum(ys) / len(ys)
    return sum((a - x) * (b - y) for a, b in zip(xs, ys, strict=True)) / sum((a - x) ** 2 for a in xs)
