"""What is to be forgotten, as a value and as a string, and what it makes of a federation's data.

client:4    client:2,5        all that these clients hold
sample:4=0-9,12/7=3           single examples, by client and place in the client's data
class:3     class:3,8         every example with one of these labels, whoever holds it
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import chain, pairwise
from typing import Literal, Self, get_args

import numpy as np
import numpy.typing as npt
import torch

from unlearning.errors import UnlearningError
from unlearning.federated.data import ClientData, FederatedData

Kind = Literal["client", "sample", "class"]
Indices = npt.NDArray[np.int64]

MAX_NAMED = 1_000_000
"""Numbers that one request may name: more than any list by hand, less than fills the memory."""
_ITEM = re.compile(r"([0-9]{1,9})(?:-([0-9]{1,9}))?", re.ASCII)
_FORMS = "Write client:4 or client:2,5, sample:4=0-9,12 or sample:4=0-9/7=3, or class:3."


@dataclass(frozen=True)
class Target:
    """One thing to forget: a client, a class, or some of a client's examples."""

    number: int
    """Of the client, or of the class."""
    indices: tuple[int, ...] | None = None
    """For kind "sample": places in the client's data, ascending; None for all."""


@dataclass(frozen=True)
class UnlearningRequest:
    """What is to be forgotten; `str` gives the string that `parse` reads."""

    kind: Kind
    """What the targets are."""
    targets: tuple[Target, ...]
    """Ascending, at least one."""

    def __post_init__(self) -> None:
        numbers = [target.number for target in self.targets]
        if self.kind not in get_args(Kind):
            raise _wrong(f"there is no request of kind {self.kind!r}", _FORMS)
        if not numbers or numbers[0] < 0 or any(a >= b for a, b in pairwise(numbers)):
            raise _wrong(f"the targets of a request ascend from 0, and there is at least one; these are {numbers}")
        for target in self.targets:
            if (self.kind == "sample") != bool(target.indices):
                raise _wrong(f"a sample request names examples of each client, and no other does; see {target.number}")

    @classmethod
    def client(cls, *clients: int) -> Self:
        """Return the request of whole clients."""
        return cls("client", tuple(Target(one) for one in sorted(set(clients))))

    @classmethod
    def sample(cls, indices: Mapping[int, Iterable[int]]) -> Self:
        """Return the request of single examples: by client, the places in its data."""
        named = {client: tuple(sorted({int(one) for one in places})) for client, places in indices.items()}
        if any(places and places[0] < 0 for places in named.values()):
            raise _wrong("an example has a negative index", "Count a client's examples from 0.")
        return cls("sample", tuple(Target(client, named[client]) for client in sorted(named)))

    @classmethod
    def classes(cls, *labels: int) -> Self:
        """Return the request of whole classes."""
        return cls("class", tuple(Target(one) for one in sorted(set(labels))))

    @classmethod
    def parse(cls, text: str) -> Self:
        """Return the request that a string such as `client:2,5` or `sample:4=0-9,12` describes.

        Raises:
            UnlearningError: `unlearning.request`, it has another form.
        """
        kind, colon, rest = text.partition(":")
        if kind not in get_args(Kind) or not colon:
            raise _wrong(f"{text[:80]!r} is no request", _FORMS)
        if kind == "sample":
            named = [_client_and_ranges(text, part) for part in rest.split("/")]
            if len(dict(named)) < len(named):
                raise _wrong(f"{text[:80]!r} names a client twice", "List all of its examples in one place.")
            _check_size(text, [one for _, listed in named for one in listed])
            return cls.sample({client: chain.from_iterable(listed) for client, listed in named})
        _check_size(text, listed := _ranges(text, rest))
        numbers = chain.from_iterable(listed)
        return cls.client(*numbers) if kind == "client" else cls.classes(*numbers)

    def __str__(self) -> str:
        if self.kind != "sample":
            return f"{self.kind}:{ranges(target.number for target in self.targets)}"
        parts = (f"{target.number}={ranges(target.indices or ())}" for target in self.targets)
        return f"sample:{'/'.join(parts)}"


@dataclass(frozen=True, eq=False)
class Split:
    """A federation's data, taken apart by a request."""

    forget: Mapping[int, ClientData]
    """By client, of those that hold any: what is to be forgotten."""
    retain: tuple[ClientData, ...]
    """By client: what stays; one may be left with none."""
    indices: Mapping[int, Indices]
    """By client, as `forget`: the places of the forgotten examples in the client's data, ascending."""

    @classmethod
    def nothing(cls, data: FederatedData) -> Self:
        """Return the split that forgets nothing: all stays where it is."""
        return cls({}, data.clients, {})

    @property
    def forgotten(self) -> ClientData:
        """All that is to be forgotten, client by client."""
        return _joined([self.retain[0].take(()), *self.forget.values()])

    @property
    def retained(self) -> ClientData:
        """All that stays, client by client."""
        return _joined(self.retain)


def split(data: FederatedData, request: UnlearningRequest) -> Split:
    """Return what a request forgets of `data`, and what it leaves.

    Raises:
        UnlearningError: `unlearning.request`, a client, class or index is not there (the message says which are), or
            nothing would be left.
    """
    indices = _of_classes(data, request) if request.kind == "class" else _of_clients(data, request)
    forget = {client: data.clients[client].take(places) for client, places in indices.items()}
    retain = tuple(_without(held, indices.get(client)) for client, held in enumerate(data.clients))
    if not any(len(one) for one in retain):
        raise _wrong(f"nothing would be left after {str(request)[:80]}", "Leave at least one example to train on.")
    return Split(forget, retain, indices)


def ranges(numbers: Iterable[int]) -> str:
    """Return ascending numbers as a request writes them: `0-9,12`."""
    runs: list[list[int]] = []
    for number in numbers:
        if runs and number == runs[-1][-1] + 1:
            runs[-1].append(number)
        else:
            runs.append([number])
    return ",".join(f"{run[0]}-{run[-1]}" if len(run) > 2 else ",".join(map(str, run)) for run in runs)


def _of_clients(data: FederatedData, request: UnlearningRequest) -> dict[int, Indices]:
    held = [client for client, one in enumerate(data.clients) if len(one)]
    chosen: dict[int, Indices] = {}
    for target in request.targets:
        if target.number not in held:
            raise _wrong(f"there is no client {target.number} with examples; there are {ranges(held)[:200]}")
        examples = len(data.clients[target.number])
        places = range(examples) if target.indices is None else target.indices
        if places[-1] >= examples:
            told = f"client {target.number} has no example {places[-1]}; it holds 0-{examples - 1}"
            raise _wrong(told)
        chosen[target.number] = np.asarray(places, dtype=np.int64)
    return chosen


def _of_classes(data: FederatedData, request: UnlearningRequest) -> dict[int, Indices]:
    present = sorted({int(label) for one in data.clients for label in np.unique(one.y.numpy())})
    labels = [target.number for target in request.targets]
    if absent := [label for label in labels if label not in present]:
        raise _wrong(f"no client holds class {absent[0]}; there are {ranges(present)[:200]}")
    found = {
        client: np.flatnonzero(np.isin(one.y.numpy(), labels)).astype(np.int64)
        for client, one in enumerate(data.clients)
    }
    return {client: places for client, places in found.items() if len(places)}


def _without(held: ClientData, places: Indices | None) -> ClientData:
    """Return a client's examples but those at `places`."""
    if places is None:
        return held
    kept = np.ones(len(held), dtype=np.bool_)
    kept[places] = False
    return held.take(np.flatnonzero(kept))


def _joined(parts: Iterable[ClientData]) -> ClientData:
    together = list(parts)
    return ClientData(torch.cat([one.x for one in together]), torch.cat([one.y for one in together]))


def _client_and_ranges(text: str, part: str) -> tuple[int, list[range]]:
    """Return the client, and the places in its data, of one `4=0-9,12`."""
    client, equals, places = part.partition("=")
    if not equals or not _ITEM.fullmatch(client) or "-" in client:
        raise _wrong(f"{part[:80]!r} in {text[:80]!r} is no list of a client's examples", _FORMS)
    return int(client), _ranges(text, places)


def _ranges(text: str, listed: str) -> list[range]:
    """Return the ranges of `0-9,12`, not yet counted out."""
    found: list[range] = []
    for item in listed.split(","):
        read = _ITEM.fullmatch(item)
        one = range(int(read[1]), int(read[2] or read[1]) + 1) if read else range(0)
        if not one:
            raise _wrong(f"{item[:80]!r} in {text[:80]!r} is no number and no range", _FORMS)
        found.append(one)
    return found


def _check_size(text: str, listed: list[range]) -> None:
    if sum(map(len, listed)) > MAX_NAMED:
        raise _wrong(f"{text[:80]!r} names more than {MAX_NAMED} numbers", "Ask for whole clients or classes.")


def _wrong(told: str, mend: str = "") -> UnlearningError:
    return UnlearningError("unlearning.request", told, mend)
