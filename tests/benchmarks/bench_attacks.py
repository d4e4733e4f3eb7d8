"""Attacks and DP auditing: what they read, how fast, and beside whom.

    python tests/benchmarks/bench_attacks.py [PART...] [--points small|standard|full] [--seed 0]
        [--device cpu|cuda] [--json]

Parts, all by default: linear, imprint, text, inversion, membership, dp, scale. Each row tells ours, the peer's figure,
the target and whether it is met; a peer that is not installed is left out, and said. One process, one thread, ours and
the peer's by turns, CPU time, medians; on a machine with other load some targets are missed by chance. Returns 1 if a
target is missed. On a GPU, where inversion alone runs, it was not measured.
"""

import argparse
import importlib
import json
import os
import platform
import sys

import torch
from attacks_rows import HEAD, Row, peak_mebibytes

PARTS = ("linear", "imprint", "text", "inversion", "membership", "dp", "scale")
"""Modules `attacks_PART.py` beside this file; each yields rows from `measure(points, seed, device)`."""


def main() -> int:
    """Print each row as it is measured, or one JSON document at the end."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"of {', '.join(PARTS)}; all by default")
    parser.add_argument("--points", default="small", choices=("small", "standard", "full"))
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--device", default="cpu", help="where gradients are inverted, by both tools")
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    if unknown := sorted(set(arguments.parts) - set(PARTS)):
        parser.error(f"there is no part {unknown[0]!r}; there are {', '.join(PARTS)}")
    torch.set_num_threads(1)
    rows: list[Row] = []
    if not arguments.json:
        print(HEAD)
    for part in arguments.parts or PARTS:
        module = importlib.import_module(f"attacks_{part}")
        for row in module.measure(arguments.points, arguments.seed, arguments.device):
            rows.append(row)
            if not arguments.json:
                print(row, flush=True)
    missed = [row.what.strip() for row in rows if row.met is False]
    if arguments.json:
        machine = {"python": platform.python_version(), "torch": torch.__version__, "load": os.getloadavg()}
        document = {"benchmark": "attacks", "points": arguments.points, "seed": arguments.seed, "machine": machine,
                    "peak_mebibytes": round(peak_mebibytes()), "rows": [row.fields for row in rows],
                    "missed": missed}  # fmt: skip
        print(json.dumps(document, indent=2))
    else:
        print(f"{len(rows)} rows, {len(missed)} targets missed, at most {peak_mebibytes():.0f} MiB of memory")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
