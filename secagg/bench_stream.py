"""How fast masks are made: ours, the bare AES-256-CTR of `cryptography`, and Flower's generator."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from statistics import median

import numpy as np

from secagg.prg import CHUNK_BYTES, accumulate_masks, open_stream

ELEMENTS = 10**6
_KEYS = 34


@dataclass(frozen=True)
class StreamRates:
    """CPU time of one mask of 10^6 elements of 32 bits, in milliseconds."""

    ours_ms: float
    """Made and added to a vector, as one of 34."""
    aes_ms: float
    """The bare cipher, at its best: a buffer that stays in the cache is overwritten again and again."""
    peer_ms: float | None
    """Flower's generator alone; None without a peer."""


def stream_rates(repeats: int, *, peer: bool) -> StreamRates:
    """Return the median of `repeats` alternating measurements."""
    seconds: dict[Callable[[], float], list[float]] = {}
    measured = (ours_seconds, aes_seconds, *((flower_seconds,) if peer else ()))
    for _ in range(repeats):
        for one in measured:
            seconds.setdefault(one, []).append(one())
    ours, aes, *flower = (1000 * median(seconds[one]) for one in measured)
    return StreamRates(ours, aes, flower[0] if flower else None)


def ours_seconds() -> float:
    """Return the CPU time of one of 34 masks added to a vector."""
    vector = np.zeros(ELEMENTS, np.uint32)
    keys = [(bytes([place]) * 32, 1) for place in range(_KEYS)]
    start = time.process_time()
    accumulate_masks(vector, keys)
    return (time.process_time() - start) / _KEYS


def aes_seconds() -> float:
    """Return the CPU time in which `cryptography` makes as many bytes of AES-256-CTR."""
    zeros, into = memoryview(bytes(CHUNK_BYTES)), memoryview(bytearray(CHUNK_BYTES))
    rest = 4 * ELEMENTS % CHUNK_BYTES
    start = time.process_time()
    for place in range(_KEYS):
        stream = open_stream(bytes([place]) * 32)
        for _ in range(4 * ELEMENTS // CHUNK_BYTES):
            stream(zeros, into)
        stream(zeros[:rest], into[:rest])
    return (time.process_time() - start) / _KEYS


def flower_seconds() -> float:
    """Return the CPU time in which Flower's generator makes as many elements, from 28 bits of seed."""
    from flwr.common.secure_aggregation.secaggplus_utils import pseudo_rand_gen

    start = time.process_time()
    for place in range(3):
        pseudo_rand_gen(bytes([place]) * 44, 1 << 32, [(ELEMENTS,)])
    return (time.process_time() - start) / 3
