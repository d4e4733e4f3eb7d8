"""Secure aggregation: the time of choosing its parameters, and what its rounds cost beside Flower's.

    python tests/benchmarks/bench_secagg.py [--json] [--repeats 3] [--points full|standard|scale|small]

`small` takes two minutes, `standard` a quarter of an hour (Flower's server needs 80 s for a round of 100 clients on a
complete graph), `full` adds the scale curve up to 10,000 clients of 10^6 elements, another half an hour.

CPU time, median of the repeats. Choosing parameters is bounded by the specification: ten seconds for any cohort up to a
million; the last two settings are the hardest there are: so much is corrupt and lost that only vast degrees serve, or
none. The rounds are those of `fedaudit secagg bench`; without Flower ours are measured alone, and a target that is
missed is told: on a machine with other load some are missed by chance.
"""

import argparse
import importlib.util
import json
import statistics
import sys
import time
from typing import TYPE_CHECKING, NamedTuple

from audit.cli.secagg_bench import prepare, table, tell
from secagg.params import InfeasibleParameters, select_parameters

if TYPE_CHECKING:
    from secagg.bench import Benchmark

BOUND_SECONDS = 10.0
SETTINGS = (
    (0.05, 0.05, "honest-but-curious"),
    (0.33, 0.05, "malicious"),
    (0.45, 0.45, "honest-but-curious"),
    (0.495, 0.495, "honest-but-curious"),
    (0.33, 0.33, "malicious"),
)


class Timed(NamedTuple):
    """One cohort, one rule, what it chose and how long that took."""

    clients: int
    corrupt_fraction: float
    dropout_fraction: float
    server_trust: str
    rule: str
    degree: int | None
    threshold: int | None
    milliseconds: float


def timed(clients: int, setting: tuple[float, float, str], rule: str, repeats: int) -> Timed:
    """Choose `repeats` times and keep the median of the CPU time."""
    seconds = []
    pair: tuple[int | None, int | None] = (None, None)
    for _ in range(repeats):
        start = time.process_time()
        try:
            chosen = select_parameters(clients, *setting, rule=rule)
            pair = (chosen.degree, chosen.threshold)
        except InfeasibleParameters:
            pair = (None, None)
        seconds.append(time.process_time() - start)
    return Timed(clients, *setting, rule, *pair, round(1000 * statistics.median(seconds), 3))


def measured_rounds(points: str, repeats: int) -> "Benchmark":
    """Return the figures of `fedaudit secagg bench`, beside Flower where it is installed."""
    prepare()
    from secagg.bench import run_benchmark

    peer = importlib.util.find_spec("flwr") is not None
    return run_benchmark(points, peer=peer, repeats=repeats, progress=tell)


def main() -> int:
    """Print the table; return 1 if a figure breaks the bound."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--points", default="full", choices=("small", "standard", "full", "scale"))
    arguments = parser.parse_args()
    rows = [
        timed(10**power, setting, rule, arguments.repeats)
        for setting in SETTINGS
        for rule in ("guarded", "published")
        for power in range(2, 7)
    ]
    slowest = max(row.milliseconds for row in rows) / 1000
    rounds = measured_rounds(arguments.points, arguments.repeats)
    if arguments.json:
        points = [row._asdict() for row in rows]
        target = {"name": "select_seconds", "value": slowest, "bound": BOUND_SECONDS, "met": slowest <= BOUND_SECONDS}
        document = {"benchmark": "secagg", "points": points, "targets": [target], "rounds": rounds.as_fields()}
        print(json.dumps(document, indent=2))
    else:
        print(f"{'clients':>8} {'corrupt':>8} {'dropped':>8} {'server':<19} {'rule':<10} {'(k, t)':>17} {'ms':>10}")
        for row in rows:
            pair = "infeasible" if row.degree is None else f"({row.degree}, {row.threshold})"
            fractions = f"{row.corrupt_fraction:>8} {row.dropout_fraction:>8}"
            print(
                f"{row.clients:>8} {fractions} {row.server_trust:<19} {row.rule:<10} {pair:>17} {row.milliseconds:>10}"
            )
        print(f"slowest {slowest:.2f} s, bound {BOUND_SECONDS:.0f} s\n")
        print("\n".join(table(rounds)))
    return 0 if slowest <= BOUND_SECONDS else 1


if __name__ == "__main__":
    sys.exit(main())
