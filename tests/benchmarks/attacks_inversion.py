"""Gradient inversion beside breaching: the same victims, records, labels, starts and iterations, each tool's own prior.

Speed: iterations a second, over all trials, of one victim's gradient; ours runs eight starts at once, breaching one
after the other. Likeness: PSNR of each of at least 20 colour tiles, paired; a row tells the mean difference. Grey
digits: breaching's prior takes three channels and no other, so that there it is ours alone. iDLG: labels known, L-BFGS,
20 records, five behind each of four networks, and how many come back.
"""

import statistics
from collections.abc import Iterator
from functools import partial
from typing import Any

import numpy as np
import torch
from attacks_breaching import Breaching, load
from attacks_rows import Row, by_turns, slope, turns
from attacks_victims import CLASSES, NETWORKS, SIDE, colour_tiles, gradient_of, lenet, mnist, perceptron
from torch import Tensor, nn

from audit.attacks.matching import Budget, Part, Problem, prior_weight, reconstruct

TRIALS = 8
TARGETS = {"LeNet-sigmoid": 4.0, "ConvNet-8": 2.0, "ConvNet-32": 1.3, "MLP 789k": 12.0}
"""How many times breaching's trial-iterations a second."""
ITERATIONS = {"LeNet-sigmoid": 60, "ConvNet-8": 40, "ConvNet-32": 12, "MLP 789k": 100}
"""Of one timed run, in which ours chooses its engine, which takes as long as a few iterations."""
REPEATS = {"small": 7, "standard": 15, "full": 15}
"""Turns of both tools; the median of their ratios counts, since both slow down when the machine does."""
LIKENESS = {
    "small": (("LeNet-sigmoid", 100),),
    "standard": (("LeNet-sigmoid", 500), ("ConvNet-8", 200)),
    "full": (("LeNet-sigmoid", 2000), ("ConvNet-8", 1000), ("ConvNet-32", 300), ("MLP 789k", 500)),
}
"""Victims, and iterations of each record."""
PARAMETERS = {"small": (4, 5, 6), "standard": (4, 5, 6, 7), "full": (4, 5, 6, 7)}
"""Powers of ten, of a perceptron for grey digits."""
GROWTH = 10
"""Iterations between two timed runs whose difference counts."""
RECORDS = 20
WORSE = -0.5
"""Mean difference in dB that is borne."""
RECOVERED = 0.9
"""Share of 20 starts from which iDLG is to bring the record back."""
DESCENT, MODELS = 300, 4
EXACT = 30.0
"""PSNR in dB from which a record counts as back."""


def measure(points: str, seed: int, device: str) -> Iterator[Row]:
    """Yield the rows."""
    peer = load()
    if peer is None:
        yield Row("inversion", 0, "", note="breaching is not installed: not compared")
    tiles = colour_tiles(RECORDS, np.random.default_rng(seed))
    if tiles is None:
        yield Row("inversion, colour", 0, "", note="the photographs are not installed: noise in their place")
        tiles = torch.rand(RECORDS, 3, SIDE, SIDE, generator=torch.Generator().manual_seed(seed))
    for name in TARGETS:
        yield speed(peer, name, tiles[:1], REPEATS[points], seed, device)
    yield from growth(PARAMETERS[points], seed, device)
    if peer is not None:
        for name, iterations in LIKENESS[points]:
            yield likeness(peer, name, tiles, iterations, seed, device)
    digits = mnist(np.random.default_rng(seed))
    if digits is not None:
        x = torch.from_numpy(digits[0][:RECORDS]).float().reshape(-1, 1, 28, 28)
        y = torch.from_numpy(digits[1][:RECORDS])
        yield grey(peer, x, y, 500 if points != "small" else 200, seed, device)
        yield known_labels(x, y, seed, device)


def speed(peer: Any, name: str, record: Tensor, repeats: int, seed: int, device: str) -> Row:
    """Return trial-iterations a second, beside breaching's iterations a second."""
    torch.manual_seed(seed)
    model, label, iterations = NETWORKS[name](), torch.tensor([3]), ITERATIONS[name]
    gradient = gradient_of(model, record, label)
    problem = asked(model, [gradient], label[:, None], tuple(record.shape[1:]))
    begun = starts(1, tuple(record.shape[1:]), seed)
    budget, what = Budget(iterations, TRIALS, device=device), f"inversion, {name}, {TRIALS} trials"
    engine = reconstruct(problem, Budget(1, TRIALS, device=device), torch.Generator().manual_seed(seed)).engine

    def ours() -> object:
        return reconstruct(problem, budget, torch.Generator().manual_seed(seed))

    if peer is None:
        return Row(what, TRIALS * iterations / by_turns([ours], repeats, device)[0], "it/s", n=repeats, note=engine)
    other = Breaching(peer, model, iterations, device)
    mine, theirs = turns([ours, lambda: other.invert(gradient, label, begun[0])], repeats, device)
    value, beside = TRIALS * iterations / statistics.median(mine), iterations / statistics.median(theirs)
    ratios = sorted(TRIALS * slow / quick for quick, slow in zip(mine, theirs, strict=True))
    ratio, target = statistics.median(ratios), TARGETS[name]
    note = f"{ratio:.2f}x, of {repeats} turns {ratios[0]:.2f}x to {ratios[-1]:.2f}x; {engine}"
    return Row(what, value, "it/s", f">= {target:g}x", ratio >= target, "breaching", beside, repeats, note)


def likeness(peer: Any, name: str, tiles: Tensor, iterations: int, seed: int, device: str) -> Row:
    """Return the mean PSNR of the tiles, beside breaching's from the same starts."""
    torch.manual_seed(seed)
    model = NETWORKS[name]()
    labels = torch.randint(CLASSES, (len(tiles),), generator=torch.Generator().manual_seed(seed))
    gradients = [gradient_of(model, tiles[i : i + 1], labels[i : i + 1]) for i in range(len(tiles))]
    shape = tuple(tiles.shape[1:])
    other, begun = Breaching(peer, model, iterations, device), starts(len(tiles), shape, seed)
    theirs = decibels(torch.cat([other.invert(g, labels[i : i + 1], begun[i]) for i, g in enumerate(gradients)]), tiles)
    problem = asked(model, gradients, labels[:, None], shape)
    found = reconstruct(problem, Budget(iterations, 1, device=device), torch.Generator().manual_seed(seed))
    ours = decibels(found.records[:, 0], tiles)
    difference = [mine - other for mine, other in zip(ours, theirs, strict=True)]
    mean, error = statistics.mean(difference), statistics.stdev(difference) / len(difference) ** 0.5
    note = f"paired {mean:+.2f} dB, standard error {error:.2f}"
    what = f"inversion, {name}, {iterations} iterations, PSNR"
    value, beside = statistics.mean(ours), statistics.mean(theirs)
    return Row(what, value, "dB", ">= -0.5 dB", mean >= WORSE, "breaching", beside, len(tiles), note)


def grey(peer: Any, x: Tensor, y: Tensor, iterations: int, seed: int, device: str) -> Row:
    """Return the mean PSNR of grey digits, and what breaching says to one."""
    torch.manual_seed(seed)
    model = lenet(1, 28)
    gradients = [gradient_of(model, x[i : i + 1], y[i : i + 1]) for i in range(len(x))]
    shape = tuple(x.shape[1:])
    problem, budget = asked(model, gradients, y[:, None], shape), Budget(iterations, 1, device=device)
    found = reconstruct(problem, budget, torch.Generator().manual_seed(seed))
    note = ""
    if peer is not None:
        try:
            Breaching(peer, model, 1, device).invert(gradients[0], y[:1], starts(1, shape, seed)[0])
            note = "breaching runs, too"
        except RuntimeError:
            note = "breaching crashes: its prior wants three channels"
    what = f"inversion, LeNet, grey digits, {iterations} iterations"
    return Row(what, statistics.mean(decibels(found.records[:, 0], x)), "dB", "runs", True, n=len(x), note=note)


def known_labels(x: Tensor, y: Tensor, seed: int, device: str) -> Row:
    """Return the share of grey digits that L-BFGS brings back, each from a start of its own."""
    back: list[bool] = []
    for first in range(0, len(x), len(x) // MODELS):
        torch.manual_seed(seed + first)
        model, chosen = lenet(1, 28), range(first, first + len(x) // MODELS)
        gradients = [gradient_of(model, x[i : i + 1], y[i : i + 1]) for i in chosen]
        problem = asked(model, gradients, y[chosen][:, None], tuple(x.shape[1:]))
        found = reconstruct(problem, Budget(1, 1, DESCENT, device=device), torch.Generator().manual_seed(seed + first))
        back.extend(one >= EXACT for one in decibels(found.records[:, 0], x[chosen]))
    share, what = sum(back) / len(back), f"iDLG, LeNet, {len(back)} starts, >= {EXACT:.0f} dB"
    return Row(what, 100 * share, "%", ">= 90 %", share >= RECOVERED, n=len(back), note=f"{DESCENT} iterations")


def growth(powers: tuple[int, ...], seed: int, device: str) -> Iterator[Row]:
    """Yield the time of an iteration of all trials by the number of parameters, and its slope."""
    record, label = torch.rand(1, 1, 28, 28, generator=torch.Generator().manual_seed(seed)), torch.tensor([3])
    sizes, seconds = [], []
    for power in powers:
        torch.manual_seed(seed)
        model = perceptron(784, max(1, 10**power // (784 + CLASSES)))
        problem = asked(model, [gradient_of(model, record, label)], label[:, None], tuple(record.shape[1:]))
        few, many = (partial(reconstruct, problem, Budget(n, TRIALS, device=device)) for n in (1, 1 + GROWTH))
        both = [lambda run=run: run(torch.Generator().manual_seed(seed)) for run in (few, many)]
        short, long = by_turns(both, 3, device)
        sizes.append(float(sum(parameter.numel() for parameter in model.parameters())))
        seconds.append(max(long - short, 1e-6) / GROWTH)
        yield Row(f"inversion, MLP, 10^{power} parameters, {TRIALS} trials", 1000 * seconds[-1], "ms/it", n=3)
    yield Row("  slope of log time over log parameters", slope(sizes, seconds), "")


def asked(model: nn.Module, gradients: list[list[Tensor]], labels: Tensor, shape: tuple[int, ...]) -> Problem:
    """Return the problem of pictures in [0, 1], one record behind each gradient."""
    picture = (shape[0], shape[1], shape[2])
    part = Part(model, [torch.stack(parts) for parts in zip(*gradients, strict=True)])
    low, high = torch.tensor(0.0), torch.tensor(1.0)
    return Problem((part,), labels, 1, shape, low, high, picture=picture, prior=prior_weight(picture))


def starts(count: int, shape: tuple[int, ...], seed: int) -> Tensor:
    """Return what `reconstruct` begins with for one start of each record: (count, 1, *shape)."""
    noise = torch.randn((count, 1, *shape), generator=torch.Generator().manual_seed(seed))
    return (0.5 + 0.25 * noise).clamp(0, 1)


def decibels(found: Tensor, records: Tensor) -> list[float]:
    """Return the PSNR of each of (n, *shape), range 1."""
    errors = ((found.reshape(records.shape) - records) ** 2).flatten(1).mean(dim=1).clamp_min(1e-12)
    return [float(-10 * error.log10()) for error in errors]
