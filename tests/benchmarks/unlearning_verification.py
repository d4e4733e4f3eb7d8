"""The standard verification of one delivered model, as its user has it: one process, its time and its memory.

The folder that an erasure leaves is written first, which is not counted; `fedaudit unlearn verify` then reads it,
trains its oracles one chunk after another, and says what it found. Import of torch included.
"""

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from unlearning_cases import Case
from unlearning_rows import Record

from unlearning.federated.erasure import Erasure, train_first
from unlearning.federated.folder import write_folder
from unlearning.federated.methods import method
from unlearning.federated.plan import plan
from unlearning.federated.request import UnlearningRequest


def measure(case: Case, name: str) -> Record:
    """Return seconds, peak memory and the verdict on what one method delivers."""
    before, history = train_first(case.federation)
    request, asked = UnlearningRequest.parse(case.planted.request), method(name)
    erasure = Erasure(case.federation, request, asked, before, case.seed, history)
    with tempfile.TemporaryDirectory() as there:
        folder = Path(there) / "out"
        write_folder(erasure, folder, planned=plan(asked, case.federation, request))
        command = Path(sys.executable).with_name("fedaudit")
        arguments = ["unlearn", "verify", str(folder), "--effort", "standard", "--executor", "serial", "--seed", "0"]
        told = Path(there) / "told.json"
        begun = time.perf_counter()
        with told.open("wb") as written:
            process = subprocess.Popen([command, *arguments, "--json"], stdout=written, stderr=subprocess.DEVNULL)
            _, status, spent = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        wall = time.perf_counter() - begun
        if process.returncode:
            raise SystemExit(f"fedaudit {' '.join(arguments)} ended with {process.returncode}")
        found = json.loads(told.read_text(encoding="utf-8"))
    peak = spent.ru_maxrss / (2**20 if sys.platform == "darwin" else 2**10)
    residual = found.get("residual") or {}
    return {
        "cpu": spent.ru_utime + spent.ru_stime, "wall": wall, "peak_mebibytes": peak, "status": found["status"],
        "grade": found.get("grade"), "models": found.get("models"), "share": residual.get("share"),
        "p_value": residual.get("p_value"),
    }  # fmt: skip
