"""What a client still holds of a round's secrets: everything that can be reached from it is searched for them.

The searcher knows all secrets of a simulated round: it hears what clients draw and what they send, derives the rest as
they do, and looks for each value as it is, in hexadecimal and in base64, in every object that leads on from the client.
"""

import base64
import gc
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field, replace
from itertools import combinations, permutations
from secrets import token_bytes
from types import BuiltinFunctionType, FunctionType, ModuleType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from secagg.drops import DropPlan
from secagg.keys import Entropy, Identity, KeyPair, mask_key, open_shares, self_mask_key, share_key
from secagg.messages import Message, session_of
from secagg.participants import Participant, factory_of
from secagg.policy import ClientPolicy
from secagg.records import Advertise, Header, Shares
from secagg.setting import RoundConfig
from secagg.simulate import SeededUpdates, simulate_round

KEY_SIZE = 32
MOST_OBJECTS = 200_000
"""Objects to look at, for one client: beyond it the search gives up rather than miss something in silence."""


class SearchTooLarge(RuntimeError):  # noqa: N818  (what it is)
    """More objects hang on a client than are searched."""


@dataclass(frozen=True)
class Remains:
    """What was found in the clients of one round."""

    clients: int
    """Clients that were searched."""
    secrets: int
    """Secrets that each was searched for."""
    found: Mapping[str, int]
    """Kind of secret to how many were found, over all clients; kinds without a find are 0."""
    interrupted: int
    """How many were found in clients that vanished just before unmask, which hold shares: the search has power."""

    @property
    def total(self) -> int:
        """Everything that was found."""
        return sum(self.found.values())


@dataclass(repr=False)
class Witness:
    """Draws entropy for one client and remembers the draws; a recorder that keeps messages. Not to be searched."""

    draws: list[bytes] = field(default_factory=list)
    said: list[Message[Any]] = field(default_factory=list)

    def __call__(self, size: int) -> bytes:
        """Return fresh bytes."""
        drawn = token_bytes(size)
        self.draws.append(drawn)
        return drawn

    def record(self, message: Message[Any]) -> None:
        """Keep a message."""
        self.said.append(message)

    def blob(self, vector: NDArray[Any]) -> str:  # noqa: ARG002  (vectors are not needed)
        """Keep nothing of a vector."""
        return ""


def search_clients(client: str, config: RoundConfig, drop: DropPlan, rng: np.random.Generator) -> Remains:
    """Run a round and search every client that was still there at its end.

    Args:
        client: `strict` or `weak`.
        config: the round, degree and threshold given; its clients accept any parameters.
        drop: who vanishes; nobody told them that the round is over, so they are no part of `found`.
        rng: graph, updates and rounding.
    """
    make, ledger = factory_of(client), Witness()
    clients: dict[str, Participant] = {}
    witnesses: dict[str, Witness] = {}

    def witnessed(one: str, identity: Identity | None, policy: ClientPolicy, _: Entropy) -> Participant:
        witnesses[one] = Witness()
        clients[one] = make(one, identity, policy, witnesses[one])
        return clients[one]

    config = replace(config, required_sigma=0.0, required_eta=0.0)
    updates = SeededUpdates(int(rng.integers(2**63)), config.length)
    named = drop.resolve(config.ids, rng)
    plan = DropPlan({phase: tuple(one for one in named if named[one] == phase) for phase in set(named.values())})
    simulate_round(config, updates, drop=plan, rng=rng, recorder=ledger, client=witnessed)
    secrets = secrets_of(ledger.said, {one: witness.draws for one, witness in witnesses.items()})
    there = [one for one in config.ids if one not in named]
    found = Counter(dict.fromkeys(secrets, 0))
    for one in there:
        found.update(secrets_in(clients[one], secrets, witnesses.values()))
    late = [clients[one] for one, phase in named.items() if phase == "unmask"]
    interrupted = sum(secrets_in(one, secrets, witnesses.values()).total() for one in late)
    return Remains(len(there), sum(map(len, secrets.values())), dict(found), interrupted)


def secrets_of(said: Collection[Message[Any]], draws: Mapping[str, Collection[bytes]]) -> dict[str, set[bytes]]:
    """Return all secrets of a round by kind, from its messages and from what its clients drew."""
    session = session_of(next(one.body for one in said if isinstance(one.body, Header)))
    advertised = {one.sender: one.body for one in said if isinstance(one.body, Advertise)}
    shared = {one.sender: one.body for one in said if isinstance(one.body, Shares)}
    drawn = {one: [draw for draw in draws[one] if len(draw) == KEY_SIZE] for one in advertised}
    pairs = {one: {pair.public_key: pair for pair in map(KeyPair.from_private_bytes, drawn[one])} for one in advertised}
    found: dict[str, set[bytes]] = {kind: set() for kind in ("private key", "seed", "mask key", "share key", "share")}
    masking = {one: pairs[one][advertised[one].mask_key] for one in advertised}
    sharing = {one: pairs[one][advertised[one].share_key] for one in advertised}
    for one in advertised:
        keys = {masking[one].private_bytes(), sharing[one].private_bytes()}
        found["private key"] |= keys
        found["seed"] |= set(drawn[one]) - keys
        found["mask key"] |= {self_mask_key(seed, one, session) for seed in set(drawn[one]) - keys}
    for one, other in combinations(sorted(advertised), 2):
        secret = masking[one].exchange(masking[other].public_key)
        found["mask key"] |= {secret, mask_key(secret, one, other, session)}
    for one, other in permutations(sorted(shared), 2):
        agreed = sharing[one].exchange(sharing[other].public_key)
        key = share_key(agreed, one, other, session)
        found["share key"] |= {agreed, key}
        sealed = shared[one].ciphertexts.get(other)
        if sealed is not None:
            found["share"] |= set(open_shares(key, sealed, one, other, session))
    return found


def secrets_in(
    holder: object, secrets: Mapping[str, Collection[bytes]], skipped: Collection[object] = ()
) -> Counter[str]:
    """Return how many secrets of each kind can be reached from an object.

    Args:
        holder: Where to begin.
        secrets: Kind to values of 16 bytes or more.
        skipped: Objects that are not entered.

    Raises:
        SearchTooLarge: more than `MOST_OBJECTS` hang on it.
    """
    haystack = b"\x00|\x00".join(set(reachable_bytes(holder, skipped)))
    found: Counter[str] = Counter()
    for kind, values in secrets.items():
        found[kind] += sum(any(form in haystack for form in _forms(value)) for value in values)
    return found


def reachable_bytes(holder: object, skipped: Collection[object] = ()) -> Iterator[bytes]:
    """Yield what is reached from an object: content of bytes, text and arrays, large numbers, private keys."""
    seen = {id(one) for one in skipped}
    waiting: list[object] = [holder]
    kept: list[object] = []  # what was made on the way must live, or its id is given to another
    while waiting:
        one = waiting.pop()
        if id(one) in seen or isinstance(one, (type, ModuleType)):
            continue
        seen.add(id(one))
        kept.append(one)
        if len(kept) > MOST_OBJECTS:
            raise SearchTooLarge(f"more than {MOST_OBJECTS} objects hang on a client")
        content = _content(one)
        if content is not None:
            yield content
        waiting.extend(_referents(one))


def _content(one: object) -> bytes | None:
    if isinstance(one, (bytes, bytearray, memoryview)):
        return bytes(one)
    if isinstance(one, str):
        return one.encode("utf-8", "surrogatepass")
    if isinstance(one, np.ndarray):
        return one.tobytes()
    if isinstance(one, int) and one.bit_length() > 64:
        return abs(one).to_bytes(-(-one.bit_length() // 8), "big")
    raw: Callable[[], bytes] | None = getattr(one, "private_bytes_raw", None)
    return raw() if callable(raw) else None


def _referents(one: object) -> list[Any]:
    if isinstance(one, FunctionType):  # its globals are the module's, and lead everywhere
        return [one.__closure__, one.__defaults__, one.__kwdefaults__, one.__dict__]
    if isinstance(one, BuiltinFunctionType) and isinstance(one.__self__, ModuleType):
        return []
    return gc.get_referents(one)


def _forms(value: bytes) -> tuple[bytes, ...]:
    """Return how a value may be written; base64 without the end, which depends on what follows."""
    return (
        value,
        value[::-1],
        value.hex().encode(),
        base64.b64encode(value)[: len(value) // 3 * 4],
        base64.urlsafe_b64encode(value)[: len(value) // 3 * 4],
    )
