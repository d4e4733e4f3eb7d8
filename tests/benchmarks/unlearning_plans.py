"""What is measured at which points: part by part, each measurement under a key of its own."""

import functools
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import unlearning_controls
import unlearning_directed
import unlearning_erasus
import unlearning_speed
import unlearning_verification
from unlearning_cases import Source, case
from unlearning_methods import CONTENDERS, Contender, Few, Many
from unlearning_rows import Record

Measurement = tuple[Record, Callable[[], Record]]
"""A key, and what measures it."""

ORACLES = 3
"""Retrained MNIST models that distances are measured to."""
ALONE = 16
"""Federations that are trained one after another, beside those that train at once."""
RAPID = tuple(each for each in CONTENDERS["digits"] if each.name == "rapid-retrain")


@dataclass(frozen=True)
class Points:
    """How much is measured."""

    seeds: int
    """Of the methods' tables, in the scenarios noisy and backdoor."""
    others: int
    """Of the same in the other scenarios."""
    models: int
    """Of a side."""
    many: int
    """Seeds of rapid retraining."""
    directed: int
    """Seeds of what directed f-FUM lowers."""
    sets: int
    """Reference sets with a fresh control, for each seed of noisy and backdoor."""
    scale: tuple[int, ...]
    """Federations trained at once."""


POINTS = {
    "small": Points(2, 0, 64, 2, 5, 2, (16, 64, 256)),
    "standard": Points(5, 1, 64, 10, 20, 10, (16, 64, 256, 1024)),
    "full": Points(10, 3, 64, 20, 40, 20, (16, 64, 256, 1024)),
}
COMPARED = ("noisy", "backdoor")
"""Scenarios of the targets, on digits."""


def methods(source: Source, points: Points) -> Iterator[Measurement]:
    """Yield all methods, one after another, case by case."""
    if source.name == "mnist":
        wanted = [("backdoor", seed) for seed in range(points.seeds)]
    else:
        wanted = [(scenario, seed) for seed in range(points.seeds) for scenario in COMPARED]
        wanted += [(scenario, seed) for seed in range(points.others) for scenario in ("skew", "small", "dir0.3")]
    for scenario, seed in wanted:
        yield from _each(source, scenario, seed, CONTENDERS[source.name], points)


def rapid(source: Source, points: Points) -> Iterator[Measurement]:
    """Yield rapid retraining, over more seeds and three scenarios."""
    for seed in range(points.many):
        for scenario in (*COMPARED, "dir0.3"):
            yield from _each(source, scenario, seed, RAPID, points)


def _each(
    source: Source, scenario: str, seed: int, contenders: tuple[Contender, ...], points: Points
) -> Iterator[Measurement]:
    """Yield each method on one case, whose models are trained when the first of them asks."""

    @functools.cache
    def trained() -> Many | Few:
        planted = case(source, scenario, seed)
        if source.name == "mnist":
            return Few(planted, ORACLES)
        updates = any(each.method().needs.stored_updates for each in contenders)
        return Many(planted, points.models, updates=updates)

    for each in contenders:
        key = {"scenario": scenario, "seed": seed, "method": each.label}
        yield key, functools.partial(_row, trained, each)


def _row(trained: Callable[[], Many | Few], each: Contender) -> Record:
    return trained().row(each)


def directed(source: Source, points: Points) -> Iterator[Measurement]:
    """Yield what directed f-FUM lowers, seed by seed."""
    for seed in range(points.directed):
        yield {"seed": seed}, functools.partial(_directed, source, seed)


def controls(source: Source, points: Points) -> Iterator[Measurement]:
    """Yield the rank test of fresh controls."""
    for seed in range(points.seeds):
        for scenario in COMPARED:
            yield (
                {"scenario": scenario, "seed": seed, "sets": points.sets},
                functools.partial(_controls, source, scenario, seed, points),
            )


def engines(source: Source, points: Points) -> Iterator[Measurement]:
    """Yield the two engines by turns."""
    yield {}, functools.partial(unlearning_speed.engines, source, points.models, ALONE, turns=3)


def scale(source: Source, points: Points) -> Iterator[Measurement]:
    """Yield the time of many federations."""
    for clients in (10, 100):
        for models in points.scale:
            yield (
                {"models": models, "clients": clients},
                functools.partial(unlearning_speed.scale, source, models, clients),
            )


def verification(source: Source, points: Points) -> Iterator[Measurement]:
    """Yield the standard verification of what an honest method delivers, and one that keeps most of the trace."""
    for name in ("rapid-retrain", "finetune"):
        yield (
            {"scenario": "noisy", "method": name},
            functools.partial(_verification, source, name),
        )


def erasus(source: Source, points: Points) -> Iterator[Measurement]:
    """Yield the peer."""
    for seed in range(points.seeds):
        yield {"seed": seed}, functools.partial(_erasus, source, seed)


PARTS = {
    "engines": engines, "verification": verification, "erasus": erasus, "directed": directed, "methods": methods,
    "rapid": rapid, "controls": controls, "scale": scale,
}  # fmt: skip
"""By name, the quick ones first."""
OF_MNIST = ("methods", "directed")
"""Parts that are measured on MNIST too."""


def _directed(source: Source, seed: int) -> Record:
    return unlearning_directed.measure(case(source, "backdoor", seed))


def _controls(source: Source, scenario: str, seed: int, points: Points) -> Record:
    return unlearning_controls.measure(case(source, scenario, seed), points.models, points.sets)


def _verification(source: Source, name: str) -> Record:
    return unlearning_verification.measure(case(source, "noisy", 0), name)


def _erasus(source: Source, seed: int) -> Record:
    return unlearning_erasus.measure(case(source, "backdoor", seed), repeats=5)
