"""How long a reader waits: starting the command line, verifying, checking a signature, drawing the report.

Run `python tests/benchmarks/bench_reports.py [PART...] [--json] [--repeats N]`; parts: verify, html, paper and store.
Cold figures are medians over fresh processes, ours and the peer's by turns on the same machine, so that a loaded
machine slows both; warm figures are medians in this one. A peer that is not installed leaves its row without a ratio.
"""

import argparse
import json
import os
import platform
import tempfile
from dataclasses import asdict
from pathlib import Path

from reports_html import pages
from reports_pdf import paper
from reports_rows import Row, table
from reports_sample import sample
from reports_store import store_rows
from reports_verify import verification

PARTS = ("verify", "html", "paper", "store")


def main() -> None:
    """Measure, and print a table or JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true", help="print one JSON document")
    parser.add_argument("--repeats", type=int, default=5, help="runs behind each median")
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"of {', '.join(PARTS)}; all, if nothing is said")
    arguments = parser.parse_args()
    if unknown := set(arguments.parts) - set(PARTS):
        parser.error(f"there is no part {', '.join(sorted(unknown))}")
    asked = arguments.parts or PARTS
    with tempfile.TemporaryDirectory() as folder:
        small, *larger = (sample(Path(folder, str(count)), count) for count in (200, 1000, 10_000))
        rows: list[Row] = []
        if "verify" in asked:
            rows += verification(small, arguments.repeats)
        if "html" in asked:
            rows += pages([small, *larger], arguments.repeats)
        if "paper" in asked:
            rows += paper(small, arguments.repeats)
        if "store" in asked:
            rows += store_rows(arguments.repeats)
    if arguments.json:
        machine = {"python": platform.python_version(), "platform": platform.platform(), "load": os.getloadavg()}
        print(json.dumps({"machine": machine, "rows": [asdict(row) | {"ratio": row.ratio} for row in rows]}, indent=2))
    else:
        print(table(rows))
        print(f"Load of the machine over the last minute: {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores.")


if __name__ == "__main__":
    main()
