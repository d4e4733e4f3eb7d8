"""What one round of ours costs, as a deployment would pay it: every message is bytes between client and server.

Clients know nothing but what they were sent: each reads the header, computes the graph, and verifies its neighbours'
signatures. CPU time of the process, so a product that BLAS spreads over threads counts in full.
"""

import time
from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from secagg.client import SecAggClient
from secagg.messages import Message, read, unsigned
from secagg.quantize import dequantize_mean
from secagg.records import (
    SEALED,
    Advertise,
    Body,
    Header,
    MaskedInput,
    Roster,
    ShareRoster,
    Shares,
    Survivors,
    Unmask,
)
from secagg.server import SecAggServer
from secagg.setting import RoundConfig, make_identities

Answer = TypeVar("Answer")


@dataclass(frozen=True)
class Measured:
    """What a round costs one client and the server, and how far its mean is from the survivors' plaintext mean."""

    client_ms: float
    """CPU time of a survivor over all phases, on average."""
    server_s: float
    """CPU time of the server."""
    upload_bytes: int
    """What a survivor sends, on average: messages as they travel, and the vector."""
    max_abs_error: float | None
    """Largest difference of any element; None where the plaintext mean was not computed."""
    peak_rss_mib: float | None = None
    """Most memory of a process that runs the round and nothing else, all clients and the server; None if not taken."""


@dataclass
class _Clock:
    """CPU seconds and bytes, by client; the server is the client with no name."""

    seconds: defaultdict[str, float] = field(default_factory=lambda: defaultdict(float))
    sent: defaultdict[str, int] = field(default_factory=lambda: defaultdict(int))

    def run(self, who: str, work: Callable[..., Answer], *given: object) -> Answer:
        start = time.process_time()
        try:
            return work(*given)
        finally:
            self.seconds[who] += time.process_time() - start


_SERVER = ""
_WAITING_BYTES = 2**24
"""Of vectors that have arrived before the server gets round to them; of long ones it takes each by itself."""


def measured_round(config: RoundConfig, updates: NDArray[np.float32], dropped: int) -> Measured:
    """Run one round and return what it cost.

    Args:
        config: the round, degree and threshold chosen; clients sign, against whichever server.
        updates: one a client, shape (clients, length).
        dropped: how many of the last clients vanish before they send their masked vectors.

    Raises:
        secagg.messages.RoundAborted, secagg.messages.Refusal: the round came to no sum.
    """
    identities = make_identities(config.ids)
    policy = config.policy(identities)
    clients = {one: SecAggClient(one, identities[one], policy) for one in config.ids}
    survivors = config.ids[: config.clients - dropped]
    rows = dict(zip(config.ids, updates, strict=True))
    clock = _Clock()
    mean = _Round(config, config.header(bytes(32), identities), clients, clock).run(survivors, rows)
    plain = updates[: len(survivors)].mean(axis=0, dtype=np.float64)
    return Measured(
        1000 * sum(clock.seconds[one] for one in survivors) / len(survivors),
        clock.seconds[_SERVER],
        sum(clock.sent[one] for one in survivors) // len(survivors),
        float(np.abs(mean - plain).max()),
    )


class _Round:
    def __init__(self, config: RoundConfig, header: Header, clients: Mapping[str, SecAggClient], clock: _Clock) -> None:
        self._config, self._clients, self._clock = config, clients, clock
        self._rng = np.random.default_rng(1)
        self._server = clock.run(_SERVER, SecAggServer, header)
        self._header = clock.run(_SERVER, _announce, lambda: header)

    def run(self, survivors: tuple[str, ...], rows: Mapping[str, NDArray[np.float32]]) -> NDArray[np.float64]:
        """Go through the phases; return the mean. The server works off what a phase has brought, as Flower's does."""
        server, serve = self._server, partial(self._clock.run, _SERVER)
        arrived = [self._say(one, _advertise, client, self._header) for one, client in self._clients.items()]
        serve(_take, server.advertised, arrived, Advertise)
        roster = serve(_announce, server.roster)
        keys = {one: serve(_keys_for, server, one) for one in self._clients}
        arrived = [self._say(one, _share, client, roster, keys[one]) for one, client in self._clients.items()]
        serve(_take, server.shared, arrived, Shares)
        included = serve(_announce, server.share_roster)
        sealed = {one: serve(_sealed_for, server, one) for one in survivors}
        waiting = max(1, _WAITING_BYTES // (self._config.modulus_bits // 8 * self._config.length))
        for start in range(0, len(survivors), waiting):
            part = survivors[start : start + waiting]
            vectors = [self._mask(one, included, sealed[one], rows[one]) for one in part]
            serve(_add, server, vectors, self._config.modulus_bits)
        alive = serve(_announce, server.survivors)
        serve(_take, server.unmasked, [self._say(one, _unmask, self._clients[one], alive) for one in survivors], Unmask)
        result = serve(server.result)
        return serve(dequantize_mean, result.total, self._config.quantization, len(result.survivors))

    def _say(self, one: str, step: Callable[..., Message[Any]], *given: object) -> bytes:
        data = self._clock.run(one, lambda: step(*given).to_bytes())
        self._clock.sent[one] += len(data)
        return data

    def _mask(self, one: str, included: bytes, sealed: bytes, row: NDArray[np.float32]) -> tuple[bytes, bytes]:
        client, clock = self._clients[one], self._clock
        data, vector = clock.run(one, _masked, client, included, sealed, row, self._rng)
        clock.sent[one] += len(data) + len(vector)
        return data, vector


def _announce(step: Callable[[], Body]) -> bytes:
    return unsigned(step()).to_bytes()


def _take(step: Callable[[Message[Any]], None], arrived: list[bytes], kind: type[Body]) -> None:
    for data in arrived:
        step(read(data, kind))


def _add(server: SecAggServer, arrived: list[tuple[bytes, bytes]], modulus_bits: int) -> None:
    for data, vector in arrived:
        server.masked(read(data, MaskedInput), np.frombuffer(vector, f"<u{modulus_bits // 8}"))


def _advertise(client: SecAggClient, header: bytes) -> Message[Advertise]:
    client.open(read(header, Header).body)
    return client.advertise()


def _keys_for(server: SecAggServer, one: str) -> list[bytes]:
    return [message.to_bytes() for message in server.keys_for(one).values()]


def _share(client: SecAggClient, roster: bytes, keys: list[bytes]) -> Message[Shares]:
    advertised = {message.sender: message for message in (read(data, Advertise) for data in keys)}
    return client.share(read(roster, Roster).body.included, advertised)


def _sealed_for(server: SecAggServer, one: str) -> bytes:
    """Return the shares for one client as they travel: the owners' ids in one line, then 144 bytes of each."""
    sealed = server.sealed_for(one)
    return b"\n".join((" ".join(sealed).encode(), b"".join(sealed.values())))


def _masked(
    client: SecAggClient, included: bytes, sealed: bytes, row: NDArray[np.float32], rng: np.random.Generator
) -> tuple[bytes, bytes]:
    owners, _, shares = sealed.partition(b"\n")
    cut = (shares[start : start + SEALED] for start in range(0, len(shares), SEALED))
    by_owner = dict(zip(owners.decode().split(), cut, strict=True))
    message, vector = client.mask(read(included, ShareRoster).body.included, by_owner, row, rng=rng)
    return message.to_bytes(), vector.tobytes()


def _unmask(client: SecAggClient, alive: bytes) -> Message[Unmask]:
    return client.unmask(read(alive, Survivors).body.included)
