"""The lies of a hostile server, one function each: what it tells a client instead of what it should.

Each takes the server, the client and the honest answer, and returns what the client is told. Sources: Bonawitz et al.
2017 (eprint 2017/281), on active adversaries; Pasquini et al. arXiv:2111.07380 (another model for each client).
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from hashlib import sha256
from typing import TYPE_CHECKING

from secagg.failures import HONEST_BUT_CURIOUS
from secagg.keys import seal_shares, share_key
from secagg.messages import Message
from secagg.records import SHARE, Advertise, Consistency, Header
from secagg.wire import canonical

if TYPE_CHECKING:
    from secagg.hostile import MaliciousServer

Keys = dict[str, Message[Advertise]]
Agreements = dict[str, Message[Consistency]]
MODEL = sha256(b"the model of the round").hexdigest()


@dataclass(frozen=True)
class Lie:
    """What a knob turns; everything else stays honest."""

    header: Callable[[Header, str, str], Header] | None = None
    """From the honest header, the victim and an id for the accomplice."""
    keys: "Callable[[MaliciousServer, str, Keys], Keys] | None" = None
    sealed: "Callable[[MaliciousServer, str, dict[str, bytes]], dict[str, bytes]] | None" = None
    survivors: "Callable[[MaliciousServer, str, frozenset[str]], frozenset[str]] | None" = None
    """Told in the consistency step, and in the unmask step as well."""
    late_survivors: "Callable[[MaliciousServer, str, frozenset[str]], frozenset[str]] | None" = None
    """Told in the unmask step alone."""
    agreements: "Callable[[MaliciousServer, str, Agreements], Agreements] | None" = None
    model: "Callable[[MaliciousServer, str, str], str] | None" = None
    """Digest of the model that the client is sent."""
    rehearsed: bool = False
    """Whether an honest round comes first, from which the server keeps what was sealed."""
    absent: bool = False
    """Whether one client is lost before it shares its secrets."""
    encore: str = ""
    """Step that is asked for once more at the end: `open` or `unmask`."""


def _low_threshold(header: Header, _victim: str, _accomplice: str) -> Header:
    return replace(header, threshold=1)


def _small_cohort(header: Header, victim: str, accomplice: str) -> Header:
    both = {one: header.clients[one] for one in (victim, accomplice)}
    return replace(header, clients=both, degree=1, threshold=1)


def _sparse_graph(header: Header, _victim: str, _accomplice: str) -> Header:
    """Count on a quarter of corrupt clients, and propose a graph in which two of them suffice."""
    corrupt = max(0.25, header.corrupt_fraction)
    curious = replace(header, server_trust=HONEST_BUT_CURIOUS, consistency_check=False, corrupt_fraction=corrupt)
    return replace(curious, degree=2, threshold=2)


def _overflow_ring(header: Header, _victim: str, _accomplice: str) -> Header:
    levels = -(-(2**32) // len(header.clients))
    return replace(header, modulus_bits=32, quantization=replace(header.quantization, levels=levels))


def _server_beacon(header: Header, _victim: str, _accomplice: str) -> Header:
    return replace(header, degree=4, threshold=4, beacon=bytes(32), beacon_source="server")


def _half_threshold(header: Header, _victim: str, _accomplice: str) -> Header:
    return replace(header, threshold=max(2, header.degree // 2))


def _named_model(header: Header, _victim: str, _accomplice: str) -> Header:
    return replace(header, model_sha256=MODEL)


def _substituted_keys(server: "MaliciousServer", client: str, honest: Keys) -> Keys:
    """Put a key pair of the server's own in the place of each peer's; the signatures stay, for want of better ones."""
    if client != server.victim:
        return honest
    told = {}
    for peer, message in honest.items():
        mask, share = server.pair_for(peer)
        body = Advertise(mask.public_key, share.public_key)
        told[peer] = Message(peer, body, canonical(body.fields()), message.signature)
    return told


def _own_shares(server: "MaliciousServer", client: str, honest: dict[str, bytes]) -> dict[str, bytes]:
    """Seal shares of nothing with the substituted keys, so that the victim has something to open."""
    if client != server.victim:
        return honest
    session, public = server.proposal.session, server.keys[client].body.share_key
    told = {}
    for peer in honest:
        key = share_key(server.pair_for(peer)[1].exchange(public), peer, client, session)
        told[peer] = seal_shares(key, bytes(SHARE), bytes(SHARE), peer, client, session)
    return told


def _duplicate_key(server: "MaliciousServer", _client: str, honest: Keys) -> Keys:
    """Let the accomplice sign the key of another client as its own."""
    accomplice = server.accomplice
    other = next(one for one in server.proposal.ids if one not in (accomplice.client_id, server.victim))
    return _signed_by_accomplice(server, honest, server.keys[other].body.mask_key)


def _low_order_key(server: "MaliciousServer", _client: str, honest: Keys) -> Keys:
    """Let the accomplice sign a key with which everybody agrees on zero."""
    return _signed_by_accomplice(server, honest, bytes(32))


def _signed_by_accomplice(server: "MaliciousServer", honest: Keys, mask_key: bytes) -> Keys:
    accomplice = server.accomplice
    if accomplice.client_id not in honest:
        return honest
    message = accomplice.write(Advertise(mask_key, accomplice.share_pair.public_key))
    return {**honest, accomplice.client_id: message}


def _swapped(server: "MaliciousServer", client: str, honest: dict[str, bytes]) -> dict[str, bytes]:
    if client != server.victim:
        return honest
    first, second = sorted(honest)[:2]
    return {**honest, first: honest[second]}


def _replayed(server: "MaliciousServer", client: str, honest: dict[str, bytes]) -> dict[str, bytes]:
    if client != server.victim:
        return honest
    first = min(honest)
    return {**honest, first: server.rehearsed[client][first]}


def _with_outsider(server: "MaliciousServer", _client: str, honest: frozenset[str]) -> frozenset[str]:
    return honest | {server.absent}


def _isolated(server: "MaliciousServer", client: str, _honest: frozenset[str]) -> frozenset[str]:
    """Claim that all but victim and accomplice are gone, and whoever is asked."""
    return frozenset((server.victim, server.accomplice.client_id, client))


def _without_victim(server: "MaliciousServer", client: str, honest: frozenset[str]) -> frozenset[str]:
    """Tell every other neighbour of the victim that it dropped out."""
    peers = server.proposal.graph[server.victim]
    return honest - {server.victim} if client in peers[::2] else honest


def _forged(server: "MaliciousServer", _client: str, honest: Agreements) -> Agreements:
    return {peer: replace(message, signature=server.entropy(64)) for peer, message in honest.items()}


def _other_model(server: "MaliciousServer", client: str, honest: str) -> str:
    return sha256(client.encode()).hexdigest() if client == server.victim else honest


LIES: Mapping[str, Lie] = {
    "low-threshold": Lie(header=_low_threshold),
    "small-cohort": Lie(header=_small_cohort),
    "sparse-graph": Lie(header=_sparse_graph),
    "overflow-ring": Lie(header=_overflow_ring),
    "server-beacon": Lie(header=_server_beacon),
    "key-substitution": Lie(keys=_substituted_keys, sealed=_own_shares),
    "duplicate-key": Lie(keys=_duplicate_key),
    "low-order-key": Lie(keys=_low_order_key),
    "ciphertext-swap": Lie(sealed=_swapped),
    "ciphertext-replay": Lie(sealed=_replayed, rehearsed=True),
    "session-replay": Lie(encore="open"),
    "outsider": Lie(survivors=_with_outsider, absent=True),
    "isolate": Lie(survivors=_isolated),
    "split-view": Lie(header=_half_threshold, survivors=_without_victim),
    "forged-consistency": Lie(agreements=_forged),
    "second-unmask": Lie(encore="unmask"),
    "late-change": Lie(header=_half_threshold, late_survivors=_without_victim),
    "wrong-model": Lie(header=_named_model, model=_other_model),
}
