"""Federations whose server is to see sums alone, over clients that hold one planted digit each."""

from collections.abc import Collection

from audit.selftest.single_updates import (
    Array,
    Defend,
    Training,
    as_tensors,
    described,
    initialised,
    perceptron,
    update_of,
    write_model,
)
from audit.selftest.workshop import Workshop
from reports.model import System

ONE_STEP = Training(kind="delta")


def summed_rounds(
    make: Workshop, name: str, defend: Defend, *, clients: int, rounds: int, silent: Collection[int] = ()
) -> System:
    """Write the sum of every round beside the updates in it, each with its truth, and return the system.

    Args:
        make: Where it is built.
        name: Of the system.
        defend: What is done to a round's sum before the server sees it.
        clients: In each round; each has one record a round.
        rounds: How many.
        silent: Clients, by number, that send zeros.
    """
    digits = make.digits(0, clients, rounds)
    layers = perceptron()
    model = initialised(make, layers)
    rng, base = make.rng("noise"), write_model(make, layers, model, digits.reference)
    for number, planted in enumerate(digits.planted, start=1):
        place = f"updates/round-{number:02}"
        total: dict[str, Array] = {}
        for client, own in enumerate(planted):
            update = update_of(model, own, ONE_STEP)
            sent = {key: 0.0 * value if client in silent else value for key, value in update.items()}
            total = {key: total.get(key, 0.0) + value for key, value in sent.items()}
            file = f"{place}/client-{client:03}"
            make.files.update(
                f"{file}.safetensors", as_tensors(sent), client=f"client-{client:03}", round=number, base=base,
                truth=make.files.records(f"{file}.npz", own.x, own.y), **ONE_STEP.declared,
            )  # fmt: skip
        make.files.update(
            f"{place}/sum.safetensors", as_tensors(defend(total, rng)), round=number, base=base,
            **{**ONE_STEP.declared, "kind": "aggregate", "of": "delta", "clients": clients},
        )  # fmt: skip
    federation = {"clients": clients, "rounds": rounds, "visibility": "aggregate"}
    return make.finish(described(name, {**federation, "server_trust": "honest-but-curious"}))
