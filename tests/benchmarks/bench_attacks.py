"""How many records the linear attack reads, by width and batch, how fast, and how fast records are identified.

    python tests/benchmarks/bench_attacks.py [--json] [--records 256] [--seed 0]

Digits of 8 x 8 pixels in a two-layer perceptron of random weights, one update for each batch, 1,000 further digits as
candidates. "alone" counts records with a neuron to themselves, "exact" those that come back to 0.1 % of the range;
"plain" is what the rows with the largest bias gradients give undone, as many as the attack hands in. The time is
CPU time for one update, median over the updates, detection of defences left out. Targets: every record with a neuron
to itself comes back, in less than 10 ms; 10^7 pairs a second are compared at 784 dimensions.
"""

import argparse
import json
import statistics
import sys
import time
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from sklearn.datasets import load_digits
from torch import nn

from audit.attacks.linear import PER_RECORD, Knowledge, reconstruct
from audit.identify import identified
from audit.load import Truth
from audit.twin import LayerNames, Scale, clear_gradient, first_impulses

Array = npt.NDArray[np.float64]
PLAIN = Scale(np.zeros(1), np.ones(1))
FIRST = LayerNames("0.weight", "0.bias")
WIDTHS = (64, 128, 256, 512)
BATCHES = (1, 2, 4, 8, 16, 32, 64)
BOUND_MILLISECONDS = 10.0
BOUND_PAIRS = 1e7


class Row(NamedTuple):
    """One width and batch size."""

    width: int
    batch: int
    records: int
    alone: int
    exact: int
    missed: int
    identified: int
    plain: int
    milliseconds: float


def read(x: torch.Tensor, y: torch.Tensor, width: int, batch: int, candidates: Array) -> Row:
    """Attack every batch of `x`, and count."""
    model = nn.Sequential(nn.Linear(64, width), nn.ReLU(), nn.Linear(width, 10))
    alone, exact, missed, plain = 0, 0, 0, 0
    seconds: list[float] = []
    guesses: list[Array] = []
    owners: list[npt.NDArray[np.int64]] = []

    def impulses(records: Array, neurons: npt.NDArray[np.int64]) -> Array:
        return first_impulses(model, FIRST, torch.from_numpy(records).float(), PLAIN, neurons)

    knowledge = Knowledge(batch, 0.0, 1.0, np.zeros(64), np.ones(64), frozenset(), impulses)
    for start in range(0, len(x) - batch + 1, batch):
        truth = Truth(x[start : start + batch], y[start : start + batch])
        gradient = clear_gradient(model, truth, PLAIN, ("0.weight", "0.bias"))
        weight, bias = gradient["0.weight"], gradient["0.bias"]
        active = (model[0](truth.x) > 0).numpy()
        own = active[:, active.sum(axis=0) == 1].any(axis=1)
        begun = time.process_time()
        found = next(one.records for one in reconstruct(weight, bias, knowledge) if one.variant == "ratio")
        seconds.append(time.process_time() - begun)
        back = comes_back(found, truth)
        alone, exact, missed = alone + int(own.sum()), exact + int(back.sum()), missed + int((own & ~back).sum())
        largest = np.argsort(-np.abs(bias))[: PER_RECORD * batch]
        plain += int(comes_back(weight[largest] / np.where(bias == 0, 1.0, bias)[largest, None], truth).sum())
        guesses.append(found)
        owners.extend([np.arange(start, start + batch)] * len(found))
    hits = identified(np.concatenate(guesses), owners, candidates)
    count = len(x) // batch * batch
    time_of_one = round(1000 * statistics.median(seconds), 2)
    return Row(width, batch, count, alone, exact, missed, int(hits[:count].sum()), plain, time_of_one)


def comes_back(guesses: Array, truth: Truth) -> npt.NDArray[np.bool_]:
    """Tell which records a guess equals to 0.1 % of the range."""
    if not len(guesses):
        return np.zeros(len(truth), dtype=bool)
    records = truth.x.double().numpy()
    return np.asarray(np.abs(guesses[:, None] - records[None]).max(axis=2).min(axis=0) <= 1e-3)


def pairs_per_second(candidates: int, dimension: int, rng: np.random.Generator) -> float:
    """Return how many distances a second of CPU time identification computes."""
    pool = rng.random((candidates, dimension)).astype(np.float32)
    guesses = pool[:512] + 0.3 * rng.standard_normal((512, dimension))
    begun = time.process_time()
    identified(guesses, np.arange(512), pool)
    return 512 * candidates / (time.process_time() - begun)


def main() -> int:
    """Print the tables; return 1 if a target is missed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--records", type=int, default=256, help="planted records, at most 700")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(arguments.seed)
    rng = np.random.default_rng(arguments.seed)
    x, y = load_digits(return_X_y=True)
    order = rng.permutation(len(x))
    candidates = (x[order] / 16)[: arguments.records + 1000]
    records, labels = torch.from_numpy(candidates[: arguments.records]).float(), torch.from_numpy(y[order]).long()
    rows = [read(records, labels, width, batch, candidates) for width in WIDTHS for batch in BATCHES]
    speeds = {count: pairs_per_second(count, 784, rng) for count in (10**3, 10**4, 10**5)}
    slowest, missed = max(row.milliseconds for row in rows), sum(row.missed for row in rows)
    targets = [
        {"name": "missed_alone", "value": missed, "bound": 0, "met": missed == 0},
        {"name": "milliseconds", "value": slowest, "bound": BOUND_MILLISECONDS, "met": slowest < BOUND_MILLISECONDS},
        {"name": "pairs_per_second", "value": min(speeds.values()), "bound": BOUND_PAIRS,
         "met": min(speeds.values()) >= BOUND_PAIRS},
    ]  # fmt: skip
    if arguments.json:
        points = [row._asdict() for row in rows]
        print(json.dumps({"benchmark": "attacks", "points": points, "pairs": speeds, "targets": targets}, indent=2))
    else:
        print(f"{'width':>6} {'batch':>6} {'alone':>7} {'exact':>7} {'identified':>11} {'plain':>7} {'ms':>7}")
        for row in rows:
            shares = [f"{count / row.records:.0%}" for count in (row.alone, row.exact, row.identified, row.plain)]
            print(f"{row.width:>6} {row.batch:>6} {shares[0]:>7} {shares[1]:>7} {shares[2]:>11} {shares[3]:>7} "
                  f"{row.milliseconds:>7}")  # fmt: skip
        for count, speed in speeds.items():
            print(f"identification among {count:>7,} candidates: {speed:.1e} pairs a second")
        for target in targets:
            print(f"{target['name']} {target['value']:.3g}, bound {target['bound']:g}, met {target['met']}")
    return 0 if all(target["met"] for target in targets) else 1


if __name__ == "__main__":
    sys.exit(main())
