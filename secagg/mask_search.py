"""A search over few seed bits, shown on clients that are simulated here and nowhere else.

Flower 1.41 seeds NumPy's MT19937 with 32 bits, the XOR of the words of a longer seed
(`flwr/common/secure_aggregation/secaggplus_utils.py`); a pairwise seed is base64 text, of which bit 7 of each byte is
always zero, so 28 bits are left. A client with two neighbours hides its update under two such streams. Neither has to
be guessed with the other: tabulate what one may be, and look up what the other leaves (meet in the middle).
"""

import base64
from collections.abc import Callable
from dataclasses import dataclass
from itertools import product

import numpy as np
from numpy.typing import NDArray

from secagg.prg import keystream
from secagg.quantize import Quantization, dequantize_mean, quantize

MOST_SEARCH_BITS = 20
"""A demonstration, not a tool: beyond this the search is refused."""
DIMENSION = 256
"""Elements of the simulated update."""
RING_BITS = 32
LEVELS_BITS = 22
"""The levels are 2^22, Flower's default: a quantised element leaves the upper ten bits of the ring unused."""
_LOOKED_UP = 4
_COMPARED = 16
"""Elements that decide: a wrong pair of streams fits them with probability 2^-160."""
_SEEDS_AT_ONCE = 1 << 15
_VARYING = tuple(bit for bit in range(32) if bit % 8 != 7)
"""Bits of a word in which base64 text varies."""
Words = NDArray[np.uint32]


@dataclass(frozen=True)
class Demonstration:
    """What a search over part of the seeds of one simulated client came to."""

    prg: str
    """Generator of the masks."""
    search_bits: int
    """Bits of each of the two seeds that were searched."""
    seed_bits: int
    """Bits that an effective seed has."""
    streams: int
    """Streams that were computed: one for each candidate of each seed."""
    fitting_pairs: int
    """Pairs of streams under which every compared element is a quantised one."""
    recovered: bool
    """Whether the update was read back, each element to within one step of the quantisation."""


@dataclass(frozen=True)
class _Generator:
    """How clients come from a shared secret to a mask."""

    seed_bits: int
    draw: Callable[[np.random.Generator], bytes]
    """A fresh effective seed: what the stream depends on."""
    streams: Callable[[Words, int], Words]
    """The streams of many effective seeds of which all but the first word is zero, shape (seeds, length)."""
    stream: Callable[[bytes, int], Words]
    """The stream of one effective seed."""


def demonstrate_weak_mask(prg: str, search_bits: int, rng: np.random.Generator) -> Demonstration:
    """Simulate a round of three clients and search two pairwise masks of one of them.

    Its self mask is left out, since the server is told that of a survivor. Of the first word of each pairwise seed all
    but `search_bits` bits are given; a generator with a longer seed keeps the rest, and the same search finds nothing.

    Args:
        prg: `mt19937` (as Flower 1.41 seeds it) or `aes256-ctr`.
        search_bits: Bits of each seed to search, 1 to 20.
        rng: Draws the update and the seeds of the simulated clients.

    Raises:
        ValueError: another generator, or bits outside 1 to 20.
    """
    if prg not in _GENERATORS:
        raise ValueError(f"prg is {prg!r}; allowed is {' or '.join(_GENERATORS)}")
    if not 1 <= search_bits <= MOST_SEARCH_BITS:
        raise ValueError(f"search_bits is {search_bits!r}; allowed is 1 to {MOST_SEARCH_BITS}")
    generator = _GENERATORS[prg]
    quantization = Quantization(8.0, 1 << LEVELS_BITS)
    update = rng.normal(size=DIMENSION)
    seeds = generator.draw(rng), generator.draw(rng)
    masked = quantize(update, quantization, RING_BITS, rng).vector
    for seed in seeds:
        masked += generator.stream(seed, DIMENSION)

    one, other = (_candidates(seed, search_bits) for seed in seeds)
    rest = masked[:_COMPARED] - generator.streams(one, _COMPARED)
    pairs = meet_in_the_middle(rest, generator.streams(other, _COMPARED))
    recovered = False
    for left, right in pairs:
        both = generator.streams(one[left : left + 1], DIMENSION) + generator.streams(
            other[right : right + 1], DIMENSION
        )
        guess = dequantize_mean(masked - both[0], quantization, survivors=1)
        step = 2 * quantization.clipping_range / quantization.levels
        recovered |= bool((np.abs(guess - update) <= step).all())
    return Demonstration(prg, search_bits, generator.seed_bits, len(one) + len(other), len(pairs), recovered)


def meet_in_the_middle(rest: Words, streams: Words) -> list[tuple[int, int]]:
    """Return the pairs (i, j) for which every element of rest[i] - streams[j] is a quantised one, 0 to 2^22.

    The upper ten bits of four elements of streams[j] must be those of rest[i], each less what may be carried: sixteen
    keys to look up for each i, in place of a comparison with each j.

    Args:
        rest: What the masked elements are without the first mask, shape (candidates, compared).
        streams: What the second mask may be, of the same shape.
    """
    keys = _key(streams[:, :_LOOKED_UP])
    order = np.argsort(keys)
    keys = keys[order]
    found: list[tuple[int, int]] = []
    for carried in product((0, 1), repeat=_LOOKED_UP):
        wanted = _key(rest[:, :_LOOKED_UP] - np.array(carried, np.uint32) * np.uint32(1 << LEVELS_BITS))
        first, last = np.searchsorted(keys, wanted, "left"), np.searchsorted(keys, wanted, "right")
        for i in np.flatnonzero(last > first):
            alike = order[first[i] : last[i]]
            fits = (rest[i] - streams[alike] <= 1 << LEVELS_BITS).all(axis=1)
            found += [(int(i), int(j)) for j in alike[fits]]
    return found


def folded(seed: bytes) -> int:
    """Return what Flower 1.41 makes of a seed of 4 m bytes: the XOR of its m little-endian words, 32 bits."""
    return int(np.bitwise_xor.reduce(np.frombuffer(seed, "<u4")))


def mersenne_words(seeds: Words, length: int) -> Words:
    """Return the first outputs of MT19937 for many 32-bit seeds, shape (seeds, length); at most 227 of each.

    As `numpy.random.RandomState(seed).randint(0, 2**32 - 1)`, but for the value 2^32 - 1, which randint draws anew.

    Source: Matsumoto and Nishimura, ACM TOMACS 8 (1998) 3-30; initialisation of 2002.
    """
    kept = np.empty((length + 1, len(seeds)), np.uint32)
    ahead = np.empty((length, len(seeds)), np.uint32)
    state = seeds.astype(np.uint32)
    for i in range(397 + length):
        if i:
            state = np.uint32(1812433253) * (state ^ (state >> np.uint32(30))) + np.uint32(i)
        if i <= length:
            kept[i] = state
        if i >= 397:
            ahead[i - 397] = state
    joined = (kept[:-1] & np.uint32(0x80000000)) | (kept[1:] & np.uint32(0x7FFFFFFF))
    words = ahead ^ (joined >> np.uint32(1)) ^ np.where(joined & np.uint32(1), np.uint32(0x9908B0DF), np.uint32(0))
    words = words ^ (words >> np.uint32(11))
    words = words ^ ((words << np.uint32(7)) & np.uint32(0x9D2C5680))
    words = words ^ ((words << np.uint32(15)) & np.uint32(0xEFC60000))
    return np.ascontiguousarray((words ^ (words >> np.uint32(18))).T)


def _candidates(seed: bytes, search_bits: int) -> Words:
    """Return every first word that differs from the seed's in the searched bits alone, shape (2^search_bits,)."""
    searched = _VARYING[:search_bits]
    words = np.full(
        1 << search_bits, int.from_bytes(seed[:4], "little") & ~sum(1 << bit for bit in searched), np.uint32
    )
    counter = np.arange(len(words), dtype=np.uint32)
    for place, bit in enumerate(searched):
        words |= ((counter >> np.uint32(place)) & np.uint32(1)) << np.uint32(bit)
    return words


def _key(elements: Words) -> NDArray[np.uint64]:
    """Return the upper ten bits of the elements of a row as one number, shape (candidates,)."""
    key = np.zeros(len(elements), np.uint64)
    for column in elements.T:
        key = (key << np.uint64(RING_BITS - LEVELS_BITS)) | (column >> np.uint32(LEVELS_BITS))
    return key


def _mersenne_seed(rng: np.random.Generator) -> bytes:
    return folded(base64.urlsafe_b64encode(rng.bytes(32))).to_bytes(4, "little")


def _mersenne_stream(seed: bytes, length: int) -> Words:
    return (
        np.random.RandomState(int.from_bytes(seed, "little"))
        .randint(0, (1 << RING_BITS) - 1, length, dtype=np.int64)
        .astype(np.uint32)
    )


def _mersenne_streams(words: Words, length: int) -> Words:
    if length > _COMPARED:
        return np.stack([_mersenne_stream(int(word).to_bytes(4, "little"), length) for word in words])
    parts = (words[start : start + _SEEDS_AT_ONCE] for start in range(0, len(words), _SEEDS_AT_ONCE))
    return np.concatenate([mersenne_words(part, length) for part in parts])


def _counter_streams(words: Words, length: int) -> Words:
    return np.stack([keystream(int(word).to_bytes(32, "little"), length, RING_BITS) for word in words])


_GENERATORS = {
    "mt19937": _Generator(28, _mersenne_seed, _mersenne_streams, _mersenne_stream),
    "aes256-ctr": _Generator(
        256, lambda rng: rng.bytes(32), _counter_streams, lambda seed, length: keystream(seed, length, RING_BITS)
    ),
}
