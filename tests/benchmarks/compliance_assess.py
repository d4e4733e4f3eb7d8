"""Rows of the benchmark: a document assessed from the command line, start-up and all."""

import statistics
import subprocess
import sys
import time
from collections.abc import Iterable
from pathlib import Path
from tempfile import TemporaryDirectory

from attacks_rows import Row

from compliance.aireg import shipped_dataset
from compliance.catalogue import load_catalogue
from compliance.llm.fake import FakeModel, serve
from compliance.llm.stand_in import stand_in

REPEATS, DUTIES = 5, 25
LONGEST, LARGEST = 5.0, 300.0
"""Seconds on the wall, and MiB of resident memory."""
_PROGRAM = """
import sys
from pathlib import Path
from audit.cli.main import run
code = run(["compliance", "assess", *sys.argv[1:]])
status = Path("/proc/self/status").read_text()
print(status.partition("VmHWM:")[2].split()[0], file=sys.stderr)
sys.exit(code)
"""


def rows() -> Iterable[Row]:
    """Yield the wall time and the memory of `assess` on 25 duties and one document, answered by an instant fake."""
    document = next(item.text for item in shipped_dataset().items if item.text)
    controls = [control.id for control in load_catalogue().controls if control.document_kind][:DUTIES]
    with serve(FakeModel(stand_in)) as server, TemporaryDirectory() as folder:
        path = Path(folder) / "td.md"
        path.write_text(document, encoding="utf-8")
        named = [word for control in controls for word in ("--controls", control)]
        arguments = [str(path), "--base-url", server.base_url, "--model", "m", "--samples", "1", *named, "--json"]
        runs = [_run(arguments) for _ in range(REPEATS)]
        requests = len(server.requests) // REPEATS
    taken = statistics.median(seconds for seconds, _ in runs)
    note = f"{requests} requests, wall time with start-up"
    yield Row(
        f"assess, {DUTIES} duties x 1 document, k = 1", taken, "s", "<= 5 s", taken <= LONGEST, n=REPEATS, note=note
    )
    memory = max(peak for _, peak in runs)
    yield Row("assess, resident memory", memory, "MiB", "<= 300 MiB", memory <= LARGEST, n=REPEATS)


def _run(arguments: list[str]) -> tuple[float, float]:
    """Return seconds on the wall and the peak of resident memory in MiB, as the program itself reads it at its end.

    `getrusage` of a child counts the parent's pages that it held before it became another program.
    """
    begun = time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-c", _PROGRAM, *arguments], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
    )
    return time.perf_counter() - begun, int(done.stderr.split()[-1]) / 1024
