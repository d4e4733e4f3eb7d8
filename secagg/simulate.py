"""A whole round in one process: many clients, one server, drop-outs wherever one likes, and the sum checked.

The clients are `secagg.client.SecAggClient`, the server is `secagg.server.SecAggServer`: what is simulated is who they
are and who vanishes. One vector of one client is alive at a time, so that ten thousand clients with a million elements
each fit into memory; the lists U1, U2 and U3 are one object for all. In cohorts up to a thousand each message that a
client sends, each list and the header are written to bytes once and read back, and so are vectors.
"""

from collections.abc import Mapping
from dataclasses import replace
from secrets import token_bytes

import numpy as np

from reports.executor import Executor, Serial
from secagg.drops import DropPlan
from secagg.keys import Entropy, Identity
from secagg.malice import simulate_attack
from secagg.messages import read, unsigned
from secagg.outcome import RoundResult
from secagg.participants import Factory, factory_of
from secagg.plain_sum import SeededUpdates, Updates
from secagg.plants import IN_FILES, PlantingRecorder, cast, spoil_files, staged
from secagg.proposal import Proposal
from secagg.records import Header
from secagg.sabotage import SABOTAGES, lying, outcome_of
from secagg.server import Recorder, SecAggServer
from secagg.setting import RoundConfig, make_identities
from secagg.simulated_round import Progress, SimulatedRound, silent
from secagg.transcript import TranscriptWriter

__all__ = ["DropPlan", "RoundConfig", "RoundResult", "SeededUpdates", "simulate_round"]


def simulate_round(
    config: RoundConfig,
    updates: Updates,
    *,
    drop: DropPlan | None = None,
    malice: str | None = None,
    plant: str | None = None,
    rng: np.random.Generator,
    entropy: Entropy = token_bytes,
    recorder: Recorder | None = None,
    executor: Executor | None = None,
    identities: Mapping[str, Identity] | None = None,
    client: str | Factory = "strict",
    progress: Progress = silent,
) -> RoundResult:
    """Run one round and return how it ended; the same for the same `rng`, whatever the executor and the keys.

    Args:
        config: the round.
        updates: one update a client, shape (clients, length), or a function from the row to one.
        drop: who vanishes, and when.
        malice: a knob of `secagg.malice.KNOBS` (then nobody vanishes and nothing is recorded), or one of
            `secagg.sabotage.SABOTAGES`, for the first client that does not vanish.
        plant: one of `secagg.plants.PLANTS`, for what is recorded.
        rng: decides the graph, the counted drop-outs and the rounding.
        entropy: gives the keys; never seeded outside tests.
        recorder: keeps what passes the server; clients sign then.
        executor: where vectors are quantised and masked; here by default.
        identities: lasting keys, where several rounds share them; made afresh if wanted and not given.
        client: `strict`, `weak`, or what makes a client.
        progress: told how far it is.

    Raises:
        secagg.params.InfeasibleParameters: no degree and threshold were given and there are none to choose.
        secagg.limits.ParameterError: a plan or a number that does not fit.
        ValueError: an update of another shape, or with NaN or infinity; a fault without a record to plant it in.
    """
    if not callable(updates) and updates.shape != (config.clients, config.length):
        raise ValueError(f"updates have shape {updates.shape}, not {(config.clients, config.length)}")
    if malice is not None and malice not in SABOTAGES:
        return simulate_attack(malice, client, config=config, updates=updates, rng=rng, entropy=entropy)
    chosen = (config if plant is None else staged(config, plant)).chosen()
    beacon, seed = rng.bytes(32), int(rng.integers(2**63))
    falls = (drop or DropPlan()).resolve(chosen.ids, rng)
    signs = chosen.malicious or recorder is not None if chosen.signatures is None else chosen.signatures
    signing = (identities or make_identities(chosen.ids, entropy)) if signs else None
    header = chosen.header(beacon, signing)
    proposal = Proposal(read(unsigned(header).to_bytes(), Header).body if chosen.serialised else header)
    culprit, double, *_ = (*(one for one in chosen.ids if one not in falls), *chosen.ids)
    make = factory_of(client)
    if malice is not None:
        make = lying(malice, culprit, make)
    if plant is not None:
        make = cast(plant, culprit, double, make, entropy)
    policy = chosen.policy(signing)
    clients = {one: make(one, signing[one] if signing else None, policy, entropy) for one in chosen.ids}
    kept = recorder
    if plant is not None:
        if recorder is None or signing is None:
            raise ValueError("a fault is planted in a signed record: a recorder is missing, or signatures")
        kept = PlantingRecorder(recorder, plant, clients[culprit], signing[culprit], culprit, proposal)
    server = SecAggServer(proposal, kept)
    simulated = SimulatedRound(chosen, server, clients, falls, updates, seed, progress)
    result = simulated.run(executor or Serial())
    if plant in IN_FILES and isinstance(recorder, TranscriptWriter):
        spoil_files(recorder.folder, plant)
    return result if malice is None else replace(result, attack=outcome_of(malice, culprit, result.blamed))
