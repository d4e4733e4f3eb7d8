"""Compliance: what the client, the reading of documents, the law and the calibration cost, and beside what.

    python tests/benchmarks/bench_compliance.py [PART...] [--json]

Parts, all by default: controls, text, client, assess, calibration. Each row tells ours, the peer's figure, the target
and whether it is met. Ours and the peer's by turns in one process, medians of five; on a machine with other load some
targets are missed by chance. Returns 1 if a target is missed.
"""

import argparse
import importlib
import json
import os
import platform
import sys

from attacks_rows import HEAD, Row, peak_mebibytes

PARTS = ("controls", "text", "client", "assess", "calibration")
"""Modules `compliance_PART.py` beside this file; each yields its rows from `rows()`."""


def main() -> int:
    """Print each row as it is measured, or one JSON document at the end."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"of {', '.join(PARTS)}; all by default")
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    if unknown := sorted(set(arguments.parts) - set(PARTS)):
        parser.error(f"there is no part {unknown[0]!r}; there are {', '.join(PARTS)}")
    found: list[Row] = []
    if not arguments.json:
        print(HEAD)
    for part in arguments.parts or PARTS:
        for row in importlib.import_module(f"compliance_{part}").rows():
            found.append(row)
            if not arguments.json:
                print(row, flush=True)
    missed = [row.what.strip() for row in found if row.met is False]
    if arguments.json:
        machine = {"python": platform.python_version(), "load": os.getloadavg()}
        document = {"benchmark": "compliance", "machine": machine, "peak_mebibytes": round(peak_mebibytes()),
                    "rows": [row.fields for row in found], "missed": missed}  # fmt: skip
        print(json.dumps(document, indent=2))
    else:
        print(f"{len(found)} rows, {len(missed)} targets missed")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
