"""Whether simulated rounds survive drop-outs with the exact sum: which rounds to run, and how each of them ended."""

from bisect import bisect_left
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from secagg.client import SecAggClient
from secagg.drops import PHASES, DropPlan
from secagg.failures import HONEST_BUT_CURIOUS, MALICIOUS
from secagg.keys import Entropy, Identity
from secagg.masking import Masking
from secagg.params import assess_parameters
from secagg.policy import ClientPolicy
from secagg.setting import RoundConfig
from secagg.simulate import SeededUpdates, simulate_round

WITHIN, BEYOND, TOLERATED, OVERLOADED, FORGETFUL = "within", "beyond", "tolerated", "overloaded", "forgetful"
"""Drop-outs up to the declared rate; one more; as many as the parameters bear; more than any round can bear (control);
a client that forgets a mask, so that the sum is wrong (control)."""
SPREAD = "all phases"


@dataclass(frozen=True)
class Trial:
    """One round with drop-outs."""

    config: RoundConfig
    kind: str
    """One of the words above."""
    phase: str
    """Where the clients vanish, or `SPREAD`."""
    dropped: int

    @property
    def plan(self) -> DropPlan:
        """Return who vanishes where, by number."""
        if self.phase != SPREAD:
            return DropPlan(counted={self.phase: self.dropped})
        phases = phases_of(self.config)
        share, rest = divmod(self.dropped, len(phases))
        return DropPlan(counted={phase: share + (place < rest) for place, phase in enumerate(phases)})


@dataclass(frozen=True)
class Survival:
    """How a trial ended."""

    kind: str
    phase: str
    dropped: int
    clients: int
    reason: str | None
    """Code of the abortion; None where there is a sum."""
    exact: bool | None
    """Whether the sum is that of the survivors, bit for bit; None where there is none."""

    @property
    def wrong(self) -> bool:
        """Whether there is a sum and it is another one."""
        return self.exact is False

    @property
    def aborted(self) -> bool:
        """Whether there is no sum."""
        return self.reason is not None

    def as_fields(self) -> dict[str, object]:
        """Return it as JSON keys."""
        return dict(vars(self))


def phases_of(config: RoundConfig) -> tuple[str, ...]:
    """Return the phases in which a client of such a round can vanish."""
    return PHASES if config.server_trust == MALICIOUS else tuple(one for one in PHASES if one != "consistency")


def trials(config: RoundConfig, dropped: int, tolerated: int) -> Iterator[Trial]:
    """Yield the rounds to run, controls last.

    Args:
        config: the round, degree and threshold given.
        dropped: clients that are declared to be lost at most.
        tolerated: clients that the parameters are computed to bear.
    """
    yield Trial(config, WITHIN, SPREAD, dropped)
    for phase in phases_of(config):
        if dropped:
            yield Trial(config, WITHIN, phase, dropped)
        if dropped + 1 < config.clients:
            yield Trial(config, BEYOND, phase, dropped + 1)
    yield Trial(config, TOLERATED, SPREAD, tolerated)
    yield Trial(config, TOLERATED, "masked-input", tolerated)
    yield from controls(config)


def controls(config: RoundConfig) -> Iterator[Trial]:
    """Yield a round that must be aborted, and one whose sum must be found to be wrong."""
    few = config.threshold or 1
    yield Trial(config, OVERLOADED, "masked-input", config.clients - few + 1)
    yield Trial(config, FORGETFUL, SPREAD, 0)


def survive(trial: Trial, rng: np.random.Generator) -> Survival:
    """Run one round; its clients accept any parameters, since what these are worth is another question."""
    config = replace(trial.config, required_sigma=0.0, required_eta=0.0)
    updates = SeededUpdates(int(rng.integers(2**63)), config.length)
    client = forgetful if trial.kind == FORGETFUL else "strict"
    result = simulate_round(config, updates, drop=trial.plan, rng=rng, client=client)
    return Survival(trial.kind, trial.phase, trial.dropped, config.clients, result.reason, result.exact)


class ForgetfulClient(SecAggClient):
    """A client that leaves out its last pairwise mask: nobody aborts, and the sum is wrong."""

    def masking(self, *given: Any, **named: Any) -> Masking:
        """Return the masking, short of one mask."""
        whole = super().masking(*given, **named)
        return replace(whole, keys=whole.keys[:-1])


def forgetful(client_id: str, identity: Identity | None, policy: ClientPolicy, entropy: Entropy) -> SecAggClient:
    """Make the client of an id: the first of the cohort forgets a mask, the others are as they should be."""
    kind = ForgetfulClient if int(client_id[1:]) == 1 else SecAggClient
    return kind(client_id, identity, policy, entropy)


def bearable_dropouts(
    clients: int, degree: int, threshold: int, corrupt_fraction: float = 0.05, server_trust: str = HONEST_BUT_CURIOUS
) -> int:
    """Return the most drop-outs with which a sum is still unmasked with `secagg.params.ETA` bits, or for certain.

    Raises:
        secagg.limits.ParameterError: a number that no round can have.
    """

    def lost(dropped: int) -> bool:
        asked = assess_parameters(clients, degree, threshold, corrupt_fraction, dropped / clients, server_trust)
        return not asked.sufficient(sigma=0)

    return bisect_left(range(clients), True, key=lost) - 1
