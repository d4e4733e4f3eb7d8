"""How many bits stand behind a mask of the installed Flower, and what kind of generator draws it: measured, not known.

Clients of a real round are listened to: the seed that each mask is asked for, and what reaches the generator of it.
The rank over GF(2) of what reached it is an upper bound on its entropy. flwr 1.41.0 folds 32 bytes into 32 bits for
NumPy's MT19937 (`secaggplus_utils.pseudo_rand_gen`); a pairwise seed is base64 text and keeps 28 of them.
"""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import version
from types import ModuleType
from typing import Any
from unittest.mock import patch

import numpy as np

from secagg.flower.rehearsal import FlowerRound, rehearse
from secagg.weakness import seed_rank

SAMPLES_PER_BIT = 8
"""Samples for each bit of width up to 64; of wider seeds 64 more than bits, which a rank falls short of by 2^-64."""
_CLIENTS, _ROUNDS = 64, 4
_DRAWING = "pseudo_rand_gen"
"""The name under which the mod knows what draws a mask from a seed."""
_SMALL_RING, _DRAWS = 8, 4096
"""In so many draws of a uniform generator an element of the small ring is missed with probability 10^-236."""


Reached = tuple[str, bytes]
"""The name of a generator, and a seed that it was given."""
Asked = tuple[bytes, list[Reached]]
"""The seed that a mask was asked for, and what reached generators on the way."""


class NotMeasurable(RuntimeError):  # noqa: N818  (an answer, not a slip)
    """The installed Flower is built so differently that the question does not fit; the text says where."""


@dataclass(frozen=True)
class MaskSeeds:
    """What was found out about masks."""

    software: str
    """Such as `flwr 1.41.0`."""
    function: str
    """Qualified name of what draws a mask."""
    generator: str | None
    """Qualified name of the generator in NumPy; None where it is not one of NumPy's."""
    pairwise_bits: int
    """Rank of what reached the generator for pairwise masks."""
    self_mask_bits: int
    """Rank of what reached the generator for self masks."""
    width: int
    """Bits of the widest value that reached the generator."""
    pairwise_samples: int
    self_mask_samples: int
    scalar: bool
    """Whether all elements of a mask are one number."""
    never_drawn: tuple[int, ...]
    """Elements of a ring of eight that no mask ever takes; a uniform mask takes all."""

    @property
    def seed_bits(self) -> int:
        """The fewer of both: so much does a search cost at most, for masks of that kind."""
        return min(self.pairwise_bits, self.self_mask_bits)

    @property
    def cryptographic(self) -> bool | None:
        """False for every generator of NumPy; None where it is another and nothing is known of it."""
        return None if self.generator is None else False


def measure_mask_seeds() -> MaskSeeds:
    """Run clients of the installed Flower and return how their masks are seeded.

    Takes two seconds of CPU time; more where wider seeds reach the generator.

    Raises:
        NotMeasurable: the mod has no function that draws a mask from a seed, or no mask was drawn.
    """
    heard = _listen(_ROUNDS)
    needed = SAMPLES_PER_BIT * heard.width if heard.width <= 64 else heard.width + 64
    if needed > _CLIENTS * _ROUNDS:
        heard = _listen(-(-needed // _CLIENTS))
    function = _drawing(_mod())
    mask = np.concatenate([np.ravel(part) for part in function(bytes(range(32)), 1 << 32, [(1000,)])])
    drawn = set(np.ravel(function(bytes(range(32)), _SMALL_RING, [(_DRAWS,)])[0]).tolist())
    return MaskSeeds(
        software=f"flwr {version('flwr')}",
        function=f"{function.__module__}.{function.__qualname__}",
        generator=heard.generator,
        pairwise_bits=_rank(heard.pairwise, heard.width),
        self_mask_bits=_rank(heard.self_masks, heard.width),
        width=heard.width,
        pairwise_samples=len(heard.pairwise),
        self_mask_samples=len(heard.self_masks),
        scalar=len(set(mask.tolist())) == 1,
        never_drawn=tuple(element for element in range(_SMALL_RING) if element not in drawn),
    )


@dataclass(frozen=True)
class _Heard:
    generator: str | None
    pairwise: list[bytes]
    self_masks: list[bytes]

    @property
    def width(self) -> int:
        return 8 * max(len(value) for value in (*self.pairwise, *self.self_masks))


def _listen(rounds: int) -> _Heard:
    """Run rounds up to the masked vectors and return what reached the generator of each mask."""
    module = _mod()
    asked: list[Asked] = []
    with _listening(module, asked), _without_sharing(module):
        rehearsal = rehearse(
            np.zeros((_CLIENTS, 1)), None, FlowerRound(3, 2), rounds=rounds, drop=lambda kind, _: kind == "unmask"
        )
    if not asked:
        raise NotMeasurable(f"no mask was drawn: {rehearsal.error or rehearsal.grid.errors[:1]}")
    times = Counter(seed for seed, _ in asked)  # both ends of a pair ask for its mask, a self mask is asked for once
    seeds = dict(asked)
    names = {name for reached in seeds.values() for name, _ in reached}
    values = {seed: b"".join(value for _, value in reached) or seed for seed, reached in seeds.items()}
    return _Heard(
        ", ".join(sorted(names)) or None,
        [values[seed] for seed in seeds if times[seed] > 1],
        [values[seed] for seed in seeds if times[seed] == 1],
    )


def _rank(values: list[bytes], width: int) -> int:
    if len(values) < 2:
        raise NotMeasurable("masks of one kind only were drawn")
    return seed_rank([value.rjust(width // 8, b"\0") for value in values])


def _mod() -> ModuleType:
    import importlib

    return importlib.import_module("flwr.client.mod.secure_aggregation.secaggplus_mod")


def _drawing(module: ModuleType) -> Any:
    function = getattr(module, _DRAWING, None)
    if function is None:
        raise NotMeasurable(f"{module.__name__} draws its masks by no function that is known here")
    return function


@contextmanager
def _listening(module: ModuleType, asked: list[Asked]) -> Iterator[None]:
    """Note each seed that a mask is asked for, and what NumPy's generators are given on the way."""
    import importlib

    function = _drawing(module)
    home = importlib.import_module(function.__module__)
    reached: list[Reached] = []

    def draw(seed: bytes, *rest: Any) -> Any:
        reached.clear()
        mask = function(seed, *rest)
        asked.append((seed, list(reached)))
        return mask

    with patch.object(module, _DRAWING, draw):
        if not hasattr(home, "np"):
            yield
            return
        with patch.object(home, "np", _Overheard(np, reached)):
            yield


class _Overheard:
    """NumPy, but for a note of every generator that is made of a seed."""

    def __init__(self, inner: Any, reached: list[Reached], path: str = "numpy") -> None:
        self._inner, self._reached, self._path = inner, reached, path

    def __getattr__(self, name: str) -> Any:
        found, path = getattr(self._inner, name), f"{self._path}.{name}"
        if path == "numpy.random":
            return _Overheard(found, self._reached, path)
        if self._path != "numpy.random" or not callable(found):
            return found

        def made(*given: Any, **named: Any) -> Any:
            for value in (*given, *named.values()):
                self._reached.append((path, _words(value)))
            return found(*given, **named)

        return made


def _words(value: Any) -> bytes:
    """Return a seed as bytes: a number as so many 32-bit words as it needs, anything else as it lies in memory."""
    if isinstance(value, int | np.integer):
        return int(value).to_bytes(4 * max(1, -(-int(value).bit_length() // 32)), "big")
    return bytes(value) if isinstance(value, bytes | bytearray) else np.asarray(value).tobytes()


@contextmanager
def _without_sharing(module: ModuleType) -> Iterator[None]:
    """Leave out the dealing of shares, which takes most of a client's time and has no part in a mask."""
    if not hasattr(module, "create_shares"):
        yield
        return
    with patch.object(module, "create_shares", lambda _secret, _threshold, number: [b""] * number):
        yield
