"""How fast many federations train at once: beside one after another, and by how many there are.

CPU time on one thread. One after another is measured on a share of the federations, whose seeds are the first ones.
"""

import time
from dataclasses import replace

import numpy as np
from attacks_rows import peak_mebibytes
from unlearning_cases import Source, case
from unlearning_rows import Record

from unlearning.federated.engine import Sequential
from unlearning.federated.oracles import model_seeds
from unlearning.federated.rounds import Engine, train_models
from unlearning.federated.scenarios import Sizes, noisy
from unlearning.federated.stacked import StackedFederation


def engines(source: Source, models: int, alone: int, turns: int) -> Record:
    """Return the seconds of one federation by both engines, by turns."""
    found = case(source, "noisy", 0)
    shares = dict(enumerate(found.federation.data.clients))
    seeds = model_seeds(0, "speed", models)
    works: dict[str, Engine] = {
        "stacked": StackedFederation(found.federation, seeds),
        "sequential": Sequential(found.federation, seeds[:alone]),
    }
    seconds: dict[str, list[float]] = {name: [] for name in works}
    for _ in range(turns):
        for name, engine in works.items():
            begun = time.process_time()
            train_models(engine, shares, found.federation.recipe)
            seconds[name].append((time.process_time() - begun) / len(engine))
    ratios = [slow / fast for slow, fast in zip(seconds["sequential"], seconds["stacked"], strict=True)]
    return {"models": models, "alone": alone, "seconds": seconds, "ratios": ratios}


def scale(source: Source, models: int, clients: int) -> Record:
    """Return the seconds of a federation where so many train at once."""
    planted = noisy(source.x, source.y, np.random.default_rng(0), Sizes(clients=clients))
    federation = replace(case(source, "noisy", 0).federation, data=planted.data)
    engine = StackedFederation(federation, model_seeds(0, "scale", models))
    begun, wall = time.process_time(), time.perf_counter()
    train_models(engine, dict(enumerate(federation.data.clients)), federation.recipe)
    seconds = time.process_time() - begun
    return {
        "seconds": seconds, "each": seconds / models, "wall": time.perf_counter() - wall,
        "peak_mebibytes": peak_mebibytes(),
    }  # fmt: skip
