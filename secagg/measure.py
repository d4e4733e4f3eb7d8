"""What one round of ours costs, as a deployment would pay it: every message is bytes between client and server.

Clients know nothing but what they were sent: each reads the header, computes the graph, and verifies its neighbours'
signatures. CPU time of the process, so a product that BLAS spreads over threads counts in full.
"""

import time
from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from secagg.client import SecAggClient
from secagg.messages import Content, Message, read, unsigned
from secagg.quantize import dequantize_mean
from secagg.records import Advertise, Header, MaskedInput, Roster, ShareRoster, Shares, Survivors, Unmask
from secagg.server import SecAggServer
from secagg.setting import RoundConfig, make_identities
from secagg.wire import canonical, decode_each, encode_bytes, parse_loosely

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
    max_abs_error: float
    """Largest difference of any element."""
    peak_rss_mib: float | None = None
    """Most memory of a process that runs the round and nothing else, all clients and the server; None if not taken."""


@dataclass
class _Clock:
    """CPU seconds and bytes, by client; the server is the client with no name."""

    seconds: defaultdict[str, float] = field(default_factory=lambda: defaultdict(float))
    sent: defaultdict[str, int] = field(default_factory=lambda: defaultdict(int))

    def run(self, who: str, work: Callable[[], Answer]) -> Answer:
        start = time.process_time()
        try:
            return work()
        finally:
            self.seconds[who] += time.process_time() - start


_SERVER = ""


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
    def __init__(
        self, config: RoundConfig, header: Header, clients: Mapping[str, SecAggClient], clock: _Clock
    ) -> None:
        self._config, self._clients, self._clock = config, clients, clock
        self._rng = np.random.default_rng(1)
        self._server = clock.run(_SERVER, lambda: SecAggServer(header))
        self._header = clock.run(_SERVER, lambda: unsigned(header).to_bytes())

    def run(self, survivors: tuple[str, ...], rows: Mapping[str, NDArray[np.float32]]) -> NDArray[np.float64]:
        """Go through the phases; return the mean."""
        server, clock = self._server, self._clock
        for one in self._clients:
            data = self._answer(one, lambda client: self._open(client).advertise())
            clock.run(_SERVER, lambda data=data: server.advertised(read(data, Advertise)))  # type: ignore[misc]
        roster = clock.run(_SERVER, lambda: unsigned(server.roster()).to_bytes())
        for one in self._clients:
            keys = clock.run(_SERVER, lambda one=one: [m.to_bytes() for m in server.keys_for(one).values()])  # type: ignore[misc]
            data = self._answer(one, lambda client, keys=keys: _share(client, roster, keys))
            clock.run(_SERVER, lambda data=data: server.shared(read(data, Shares)))  # type: ignore[misc]
        included = clock.run(_SERVER, lambda: unsigned(server.share_roster()).to_bytes())
        for one in survivors:
            sealed = clock.run(_SERVER, lambda one=one: _pack(server.sealed_for(one)))  # type: ignore[misc]
            self._mask(one, included, sealed, rows[one])
        alive = clock.run(_SERVER, lambda: unsigned(server.survivors()).to_bytes())
        for one in survivors:
            data = self._answer(one, lambda client: client.unmask(read(alive, Survivors).body.included))
            clock.run(_SERVER, lambda data=data: server.unmasked(read(data, Unmask)))  # type: ignore[misc]
        return clock.run(_SERVER, self._mean)

    def _open(self, client: SecAggClient) -> SecAggClient:
        client.open(read(self._header, Header).body)
        return client

    def _answer(self, one: str, step: Callable[[SecAggClient], Message[Content]]) -> bytes:
        data = self._clock.run(one, lambda: step(self._clients[one]).to_bytes())
        self._clock.sent[one] += len(data)
        return data

    def _mask(self, one: str, included: bytes, sealed: bytes, row: NDArray[np.float32]) -> None:
        def answer() -> tuple[bytes, bytes]:
            members = read(included, ShareRoster).body.included
            message, vector = self._clients[one].mask(members, _unpack(sealed), row, rng=self._rng)
            return message.to_bytes(), vector.tobytes()

        def take() -> None:
            words = np.frombuffer(vector, f"<u{self._config.modulus_bits // 8}")
            self._server.masked(read(data, MaskedInput), words)

        data, vector = self._clock.run(one, answer)
        self._clock.sent[one] += len(data) + len(vector)
        self._clock.run(_SERVER, take)

    def _mean(self) -> NDArray[np.float64]:
        result = self._server.result()
        return dequantize_mean(result.total, self._config.quantization, len(result.survivors))


def _share(client: SecAggClient, roster: bytes, keys: list[bytes]) -> Message[Shares]:
    advertised = {message.sender: message for message in (read(data, Advertise) for data in keys)}
    return client.share(read(roster, Roster).body.included, advertised)


def _pack(sealed: Mapping[str, bytes]) -> bytes:
    return canonical({owner: encode_bytes(one) for owner, one in sealed.items()})


def _unpack(data: bytes) -> dict[str, bytes]:
    texts = parse_loosely(data)
    return dict(zip(texts, decode_each(texts.values(), 144), strict=True))
