"""What a client keeps to itself during a round, how it is forgotten, and how it survives between two steps.

Python cannot promise that no copy is left: what is held here is held in byte arrays that are overwritten, the copies
that libraries make are theirs.
"""

import binascii
from collections.abc import Mapping
from dataclasses import dataclass, field

from secagg.keys import KeyPair
from secagg.messages import read, unsigned
from secagg.proposal import Proposal
from secagg.records import Header
from secagg.wire import canonical, parse_loosely


@dataclass(repr=False)
class Private:
    """The secrets of one round, and how far it is."""

    phase: str
    mask_pair: KeyPair | None = None
    share_pair: KeyPair | None = None
    seed: bytearray = field(default_factory=bytearray)
    """Of the self mask, 32 bytes."""
    pair_secrets: dict[str, bytearray] = field(default_factory=dict)
    """What the share keys are derived from, by neighbour."""
    mask_keys: dict[str, bytearray] = field(default_factory=dict)
    """Of the pairwise masks, by neighbour."""
    shares: dict[str, bytearray] = field(default_factory=dict)
    """The neighbours' shares, 128 bytes each: of the mask key, then of the self-mask seed."""
    advertised: frozenset[str] = frozenset()
    """U1."""
    shared: frozenset[str] = frozenset()
    """U2."""
    survivors: frozenset[str] = frozenset()
    """U3, as it was signed."""

    def erase_masks(self) -> None:
        """Forget what only the masking needs."""
        _overwrite(self.seed, *self.pair_secrets.values(), *self.mask_keys.values())
        self.seed = bytearray()
        self.pair_secrets.clear()
        self.mask_keys.clear()

    def erase(self) -> None:
        """Forget everything."""
        self.erase_masks()
        _overwrite(*self.shares.values())
        self.shares.clear()
        self.mask_pair = self.share_pair = None
        self.phase = "closed"

    def __repr__(self) -> str:
        return f"Private(phase={self.phase!r})"


_SECRETS = ("pair_secrets", "mask_keys", "shares")
_SETS = ("advertised", "shared", "survivors")


def dump(proposal: Proposal | None, private: Private | None, joined: set[bytes]) -> dict[str, bytes]:
    """Return the round as named bytes; `header` and `private` are absent where none is open."""
    state = {"joined": b"".join(sorted(joined))}
    if proposal is None or private is None:
        return state
    fields = {name: {peer: one.hex() for peer, one in getattr(private, name).items()} for name in _SECRETS}
    sets = {name: sorted(getattr(private, name)) for name in _SETS}
    pairs = {
        name: None if pair is None else pair.private_bytes().hex()
        for name, pair in (("mask_pair", private.mask_pair), ("share_pair", private.share_pair))
    }
    plain = {"phase": private.phase, "seed": private.seed.hex(), **fields, **sets, **pairs}
    return state | {"header": unsigned(proposal.header).to_bytes(), "private": canonical(plain)}


def load(state: Mapping[str, bytes]) -> tuple[Proposal | None, Private | None, set[bytes]]:
    """Return what `dump` was given.

    Raises:
        secagg.wire.MalformedRecord: these bytes are no state.
    """
    joined = {state["joined"][start : start + 32] for start in range(0, len(state["joined"]), 32)}
    if "header" not in state:
        return None, None, joined
    plain = parse_loosely(state["private"])
    private = Private(phase=plain["phase"], seed=bytearray.fromhex(plain["seed"]))
    for name in _SECRETS:
        getattr(private, name).update({peer: bytearray.fromhex(one) for peer, one in plain[name].items()})
    for name in _SETS:
        setattr(private, name, frozenset(plain[name]))
    for name in ("mask_pair", "share_pair"):
        if plain[name] is not None:
            setattr(private, name, KeyPair.from_private_bytes(binascii.unhexlify(plain[name])))
    return Proposal(read(state["header"], Header).body), private, joined


def _overwrite(*secrets: bytearray) -> None:
    for one in secrets:
        one[:] = bytes(len(one))
