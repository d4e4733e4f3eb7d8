"""A whole round in one process: many clients, one server, drop-outs wherever one likes, and the sum checked.

The clients are `secagg.client.SecAggClient`, the server is `secagg.server.SecAggServer`: what is simulated is who they
are and who vanishes. One vector of one client is alive at a time, so that ten thousand clients with a million elements
each fit into memory; the lists U1, U2 and U3 are one object for all. In cohorts up to a thousand each message that a
client sends, each list and the header are written to bytes once and read back, and so are vectors.
"""

from collections.abc import Mapping
from secrets import token_bytes

import numpy as np

from reports.executor import Executor, Serial
from secagg.drops import DropPlan
from secagg.keys import Entropy, Identity
from secagg.messages import read, unsigned
from secagg.outcome import RoundResult
from secagg.participants import Factory, factory_of
from secagg.plain_sum import SeededUpdates, Updates
from secagg.proposal import Proposal
from secagg.records import Header
from secagg.server import Recorder, SecAggServer
from secagg.setting import RoundConfig, make_identities
from secagg.simulated_round import Progress, SimulatedRound, silent

__all__ = ["DropPlan", "RoundConfig", "RoundResult", "SeededUpdates", "simulate_round"]


def simulate_round(
    config: RoundConfig,
    updates: Updates,
    *,
    drop: DropPlan | None = None,
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
        ValueError: an update of another shape, or with NaN or infinity.
    """
    chosen = config.chosen()
    if not callable(updates) and updates.shape != (config.clients, config.length):
        raise ValueError(f"updates have shape {updates.shape}, not {(config.clients, config.length)}")
    beacon, seed = rng.bytes(32), int(rng.integers(2**63))
    falls = (drop or DropPlan()).resolve(chosen.ids, rng)
    signs = chosen.malicious or recorder is not None if chosen.signatures is None else chosen.signatures
    signing = (identities or make_identities(chosen.ids, entropy)) if signs else None
    header = chosen.header(beacon, signing)
    proposal = Proposal(read(unsigned(header).to_bytes(), Header).body if chosen.serialised else header)
    policy, make = chosen.policy(signing), factory_of(client)
    clients = {one: make(one, signing[one] if signing else None, policy, entropy) for one in chosen.ids}
    server = SecAggServer(proposal, recorder)
    return SimulatedRound(chosen, server, clients, falls, updates, seed, progress).run(executor or Serial())
