"""Does the installed Flower's client refuse a hostile server? Each lie is told to the real mod, and the answer kept.

The knobs bear the names of `secagg.malice` where they do the same. A refusal is any exception of the client: Flower has
no codes for it. flwr 1.41.0 accepts most; nothing of that is written down here, so a version that mends one passes.
"""

from collections.abc import Mapping

import numpy as np

from secagg.flower.lies import LIES
from secagg.flower.rehearsal import rehearse
from secagg.outcome import AttackOutcome, Refused

LENGTH = 16
FLOWER_KNOBS = tuple(LIES)
UNASKED: Mapping[str, str] = {
    "low-order-key": "P-384 has no points of low order",
    "server-beacon": "Flower's server always draws the graph",
    "forged-consistency": "Flower's protocol has no consistency check",
    "late-change": "Flower's protocol has no consistency check",
}
"""Knobs of `secagg.malice` that mean nothing to Flower's client, and why."""


def drive_flower_knob(knob: str) -> AttackOutcome:
    """Tell Flower's clients the lie of a knob and return what came of it.

    `refused` is True where everybody who was lied to raised at that stage or later in the round; `refusals` names them
    with the kind of exception in the place of a code. `leaked` is True where the victim's own update was worked out
    from what was heard, to one step of quantisation.

    Raises:
        KeyError: there is no such knob.
    """
    server = LIES[knob]()
    updates = np.random.default_rng(0).uniform(-1, 1, (server.clients, LENGTH))
    updates[1] = 0  # what a colluder chooses to send: it is quantised without rounding
    run = rehearse(updates, None, server.setting, tamper=server, rounds=server.rounds)
    refusals = tuple(Refused(str(node), stage, type(error).__name__) for stage, node, error in run.grid.errors)
    lied_to = {node for _, node in server.lied}
    declined = {node for _, node, _ in run.grid.errors}
    learnt = server.learn(run)
    leaked = learnt is not None and bool((np.abs(learnt - server.quantised(updates[0])) <= 1).all())
    return AttackOutcome(knob, bool(lied_to) and lied_to <= declined, refusals, leaked)


def flower_client() -> str:
    """Return the qualified name of what is asked, for evidence."""
    from flwr.client.mod import secaggplus_mod

    return f"{secaggplus_mod.__module__}.{secaggplus_mod.__qualname__}"
