"""Systems that are papers alone: a mechanism that is declared, the federation around it, and an epsilon claimed of it.

The numbers are drawn, so that no verdict rests on one choice of them; flaw and twin share what is drawn.
"""

from collections.abc import Mapping
from typing import Any, Literal

from audit.dp.accounting import recompute
from audit.selftest.workshop import Workshop
from reports.model import DifferentialPrivacy, System

CLIENTS = (60, 240)
"""Least and most; one in five to one in three take part in a round."""
ROUNDS = (20, 80)
NOISE = (0.9, 2.0)
"""Multiplier."""
Sampling = Literal["poisson", "fixed-size"]


def drawn_mechanism(make: Workshop, sampling: Sampling = "poisson") -> tuple[DifferentialPrivacy, dict[str, Any]]:
    """Return a mechanism for clients, some of whom take part in a round, and the federation that it fits.

    Args:
        make: The workshop.
        sampling: How they are chosen; the accounts of `poisson` take a second, of `fixed-size` no time.
    """
    rng = make.rng("mechanism")
    clients, rounds = int(rng.integers(*CLIENTS)), int(rng.integers(*ROUNDS))
    chosen = int(clients * rng.uniform(0.2, 0.33))
    mechanism = DifferentialPrivacy(
        unit="client",
        clipping_norm=1.0,
        noise_multiplier=round(float(rng.uniform(*NOISE)), 2),
        noise_added_by="server",
        sampling=sampling,
        sampling_rate=chosen / clients,
        steps=rounds,
        delta=round(0.5 / clients, 6),
    )
    federation = {"clients": clients, "clients_per_round": chosen, "rounds": rounds, "server_trust": "trusted"}
    return mechanism, federation


def subtle_mechanism(make: Workshop) -> tuple[DifferentialPrivacy, dict[str, Any]]:
    """Return a mechanism of many rounds with little noise and small samples, where the central limit errs.

    It errs least at the least noise with the largest samples and the most rounds, by 7.5 % there; with larger samples
    or less noise it comes to be right, and then too high.
    """
    rng = make.rng("mechanism")
    clients, chosen, rounds = 20_000, int(rng.integers(200, 300)), int(rng.integers(600, 1200))
    mechanism = DifferentialPrivacy(
        unit="client",
        clipping_norm=1.0,
        noise_multiplier=round(float(rng.uniform(0.56, 0.65)), 2),
        noise_added_by="server",
        sampling="poisson",
        sampling_rate=chosen / clients,
        steps=rounds,
        delta=1e-5,
    )
    return mechanism, {"clients": clients, "clients_per_round": chosen, "rounds": rounds, "server_trust": "trusted"}


def claimable(mechanism: DifferentialPrivacy) -> float:
    """Return the least epsilon of three digits that may be claimed of a mechanism."""
    return recompute(mechanism).claimable


def declared(
    make: Workshop,
    mechanism: DifferentialPrivacy,
    federation: Mapping[str, object],
    epsilon: float,
    claims: Mapping[str, object] | None = None,
) -> System:
    """Write a system file that declares a mechanism in its federation, and claims this epsilon of it.

    Args:
        make: The workshop.
        mechanism: Its keys; those that are None are left out.
        federation: Its other keys.
        epsilon: As claimed in the mechanism's section.
        claims: Keys of `[claims]`; no section where None.
    """
    privacy = mechanism.model_dump(exclude_none=True) | {"epsilon": epsilon}
    tables: dict[str, object] = {
        "system": {"name": "papers", "version": "1"},
        "claims": None if claims is None else dict(claims),
        "federation": {**federation, "differential_privacy": privacy},
    }
    return make.finish(tables)
