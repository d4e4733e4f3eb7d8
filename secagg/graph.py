"""Who is whose neighbour: a ring in an order that a public beacon gives, the same for everybody who computes it.

Sources: Bell et al., CCS 2020 (eprint 2020/704), for the k-regular graph. There clients choose their neighbours; here a
beacon does, which needs no round of its own and can be computed again by an auditor.
"""

import hmac
from collections.abc import Collection, Mapping, Sequence

_TAG = b"fedaudit-secagg-v1|graph|"


def neighbours(ids: Sequence[str], degree: int, beacon: bytes) -> dict[str, tuple[str, ...]]:
    """Return every client's neighbours, each list sorted by id.

    Args:
        ids: the cohort, each client once, in any order.
        degree: neighbours of a client; even, or one less than there are clients (the complete graph).
        beacon: the bytes that fix the order of the ring.

    Raises:
        ValueError: an id stands twice, or no such graph has this degree.
    """
    _require_graph(ids, degree)
    if degree == len(ids) - 1:
        everybody = sorted(ids)
        return {one: (*everybody[:at], *everybody[at + 1 :]) for at, one in enumerate(everybody)}
    ring = ring_order(ids, beacon)
    return {one: _beside(ring, at, degree) for at, one in enumerate(ring)}


def ring_order(ids: Sequence[str], beacon: bytes) -> tuple[str, ...]:
    """Return the clients in the order of the ring: by HMAC-SHA256(beacon, tag + id), then by id."""
    return tuple(sorted(ids, key=lambda one: (hmac.digest(beacon, _TAG + one.encode(), "sha256"), one)))


def is_connected(graph: Mapping[str, Collection[str]], alive: Collection[str]) -> bool:
    """Tell whether the clients of `alive` reach each other through one another; nobody is connected to nobody else."""
    unseen = set(alive)
    if not unseen:
        return True
    reached = [unseen.pop()]
    while reached:
        near = unseen.intersection(graph[reached.pop()])
        unseen -= near
        reached.extend(near)
    return not unseen


def _beside(ring: tuple[str, ...], at: int, degree: int) -> tuple[str, ...]:
    """Return the `degree` places around `at`, half on each side, sorted by id."""
    half = range(1, degree // 2 + 1)
    return tuple(sorted(ring[(at + side * step) % len(ring)] for step in half for side in (-1, 1)))


def _require_graph(ids: Sequence[str], degree: int) -> None:
    if len(set(ids)) != len(ids):
        raise ValueError("a client stands twice in the cohort")
    last = len(ids) - 1
    if not 1 <= degree <= last or (degree < last and degree % 2):
        raise ValueError(f"degree {degree} among {len(ids)} clients: an even one below {last}, or {last} itself")
