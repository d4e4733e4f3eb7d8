"""How many records are read off a perceptron's first layer, and how fast: digits by width and batch, MNIST at 256.

One update for each batch, random weights. "alone" counts records with a neuron to themselves, "exact" those that come
back to 0.1 % of the range, "plain" what the rows with the largest bias gradients give undone, as many as the attack
hands in. The time is CPU time for one update, median over the updates, detection of defences left out.
"""

import statistics
import time
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from attacks_rows import Row
from attacks_victims import mnist
from sklearn.datasets import load_digits
from torch import nn

from audit.attacks.linear import PER_RECORD, Knowledge, reconstruct
from audit.identify import identified
from audit.load import Truth
from audit.twin import LayerNames, Scale, clear_gradient, first_impulses

Array = npt.NDArray[np.float64]
Labels = npt.NDArray[np.int64]

PLAIN = Scale(np.zeros(1), np.ones(1))
FIRST = LayerNames("0.weight", "0.bias")
WIDTHS = {"small": (64, 256), "standard": (64, 128, 256, 512), "full": (64, 128, 256, 512, 1024)}
BATCHES = (1, 2, 4, 8, 16, 32, 64)
MNIST_BATCHES = (1, 2, 4, 8, 16)
RECORDS = {"small": 128, "standard": 256, "full": 512}
SURE = 8
"""Up to this batch every MNIST digit is to come back from 256 neurons."""
BOUND_MILLISECONDS = 10.0


class Reading(NamedTuple):
    """One width and batch size."""

    records: int
    alone: int
    exact: int
    missed: int
    identified: int
    plain: int
    milliseconds: float

    def told(self, *, target: str, met: bool, what: str) -> Row:
        """Return the share that came back as a row."""
        shares = (self.alone, self.identified, self.plain)
        alone, named, plain = (f"{share / self.records:.0%}" for share in shares)
        note = f"{self.milliseconds:.2g} ms, alone {alone}, identified {named}, plain {plain}"
        return Row(what, 100 * self.exact / self.records, "%", target, met, n=self.records, note=note)


def measure(points: str, seed: int, _device: str) -> Iterator[Row]:
    """Yield the rows: digits by width and batch, then MNIST."""
    rng = np.random.default_rng(seed)
    count = RECORDS[points]
    torch.manual_seed(seed)
    x, y = load_digits(return_X_y=True)
    order = rng.permutation(len(x))
    for width in WIDTHS[points]:
        for batch in BATCHES:
            one = read(x[order] / 16, y[order].astype(np.int64), width, batch, count)
            met = one.missed == 0 and one.milliseconds < BOUND_MILLISECONDS
            yield one.told(what=f"linear, digits, width {width}, batch {batch}", target="all alone, <10 ms", met=met)
    digits = mnist(rng)
    if digits is None:
        return
    for batch in MNIST_BATCHES:
        one = read(*digits, 256, batch, count)
        fast = one.milliseconds < BOUND_MILLISECONDS
        met = fast and one.exact == one.records if batch <= SURE else one.missed == 0
        target = "100 %, <10 ms" if batch <= SURE else "all alone"
        yield one.told(what=f"linear, MNIST, width 256, batch {batch}", target=target, met=met)


def read(pool: Array, labels: Labels, width: int, batch: int, records: int) -> Reading:
    """Attack the first `records` of `pool` in batches, identify among those and 1,000 more, and count."""
    model = nn.Sequential(nn.Linear(pool.shape[1], width), nn.ReLU(), nn.Linear(width, 10))
    candidates = pool[: records + 1000]
    x, y = torch.from_numpy(pool[:records]).float(), torch.from_numpy(labels[:records])
    features = pool.shape[1]
    alone, exact, missed, plain = 0, 0, 0, 0
    seconds: list[float] = []
    guesses: list[Array] = []
    owners: list[npt.NDArray[np.int64]] = []

    def impulses(records: Array, neurons: npt.NDArray[np.int64]) -> Array:
        return first_impulses(model, FIRST, torch.from_numpy(records).float(), PLAIN, neurons)

    knowledge = Knowledge(batch, 0.0, 1.0, np.zeros(features), np.ones(features), frozenset(), impulses)
    for start in range(0, records - batch + 1, batch):
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
    count = records // batch * batch
    return Reading(count, alone, exact, missed, int(hits[:count].sum()), plain, 1000 * statistics.median(seconds))


def comes_back(guesses: Array, truth: Truth) -> npt.NDArray[np.bool_]:
    """Tell which records a guess equals to 0.1 % of the range."""
    if not len(guesses):
        return np.zeros(len(truth), dtype=bool)
    records = truth.x.double().numpy()
    return np.asarray(np.abs(guesses[:, None] - records[None]).max(axis=2).min(axis=0) <= 1e-3)
