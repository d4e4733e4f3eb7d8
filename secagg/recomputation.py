"""The sum, computed again from what is on record: masked inputs in, the survivors' secrets in, the aggregate out.

Vectors are mapped and added one at a time, so that the sum and one of them are all that is held.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

import numpy as np
from numpy.typing import NDArray

from secagg.course import Course
from secagg.dealings import Dealings
from secagg.disclosures import Secrets
from secagg.keys import LowOrderKey, mask_key, self_mask_key
from secagg.ledger import Ledger
from secagg.prg import DTYPES, accumulate_masks
from secagg.recorded_graph import RecordedGraph
from secagg.records import Aggregate, MaskedInput
from secagg.source import Source

EQUAL, DIFFERENT, WITHHELD, ABSENT = "equal", "different", "withheld", "absent"


@dataclass(frozen=True)
class Outcome:
    """What came of computing the sum again."""

    aggregate: str
    """`equal` or `different`; `withheld`: a vector or a secret for it is not there; `absent`: none was announced."""
    withheld: tuple[str, ...]
    """Digests of the vectors that are not there."""


def recompute(
    source: Source, course: Course, dealings: Dealings, graph: RecordedGraph, secrets: Secrets, ledger: Ledger
) -> Outcome:
    """Compare every vector with its digest, compute the sum again and compare it with the announced one.

    What is wrong is noted: `blob-digest`, `bad-length`, `aggregate-mismatch`.
    """
    vectors = _Vectors(source, course, ledger)
    survivors = course.survivors or frozenset()
    total = vectors.sum_of(survivors)
    aggregate = course.aggregate
    if aggregate is None:
        return Outcome(ABSENT, tuple(vectors.withheld))
    vectors.open(aggregate.blob, Aggregate.TYPE, None)
    known = survivors <= dealings.keys.keys()
    if total is None or not known or not secrets.complete or aggregate.length != course.header.length:
        return Outcome(WITHHELD, tuple(vectors.withheld))
    try:
        accumulate_masks(total, _masks(course, dealings, graph, secrets))
    except LowOrderKey:  # noted when it was advertised
        return Outcome(WITHHELD, tuple(vectors.withheld))
    if sha256(total.data).hexdigest() != aggregate.blob:
        detail = "the sum of the masked inputs without their masks is not the announced aggregate"
        ledger.add("aggregate-mismatch", Aggregate.TYPE, None, detail)
        return Outcome(DIFFERENT, tuple(vectors.withheld))
    return Outcome(WITHHELD if aggregate.blob in vectors.withheld else EQUAL, tuple(vectors.withheld))


class _Vectors:
    """The vectors of a round, each looked at once."""

    def __init__(self, source: Source, course: Course, ledger: Ledger) -> None:
        self.withheld: dict[str, None] = {}
        self._source, self._course, self._ledger = source, course, ledger
        self._dtype = DTYPES[course.header.modulus_bits]

    def sum_of(self, survivors: frozenset[str]) -> NDArray[np.unsignedinteger[Any]] | None:
        """Return the sum of the survivors' masked inputs, None where one of them cannot be had."""
        total: NDArray[np.unsignedinteger[Any]] | None = None
        whole = bool(survivors) and survivors <= self._course.masked.keys()
        for client, body in self._course.masked.items():
            vector = self.open(body.blob, MaskedInput.TYPE, client)
            if vector is None:
                whole = whole and client not in survivors
            elif client in survivors and whole:
                total = vector.copy() if total is None else np.add(total, vector, out=total)
        return total if whole else None

    def open(self, digest: str, phase: str, client: str | None) -> NDArray[np.unsignedinteger[Any]] | None:
        """Return a vector that has the length of the round and its digest; None where it has not, which is noted."""
        found = self._source.blob(digest)
        if found is None:
            self.withheld[digest] = None
            return None
        wanted = self._course.header.length * self._dtype.itemsize
        if found.size != wanted:  # before its bytes are looked at: it may be larger than the memory
            detail = f"blob {digest[:12]}..: {found.size} bytes where {wanted} belong"
            self._ledger.add("bad-length", phase, client, detail)
            return None
        if sha256(found.data).hexdigest() != digest:
            self._ledger.add("blob-digest", phase, client, f"blob {digest[:12]}..: the bytes have another digest")
            return None
        return found.view(self._dtype)


def _masks(course: Course, dealings: Dealings, graph: RecordedGraph, secrets: Secrets) -> Iterator[tuple[bytes, int]]:
    """Yield key and sign of every mask still on the sum: a survivor added its own; of a pair, the smaller id added."""
    session, survivors = course.session, course.survivors or frozenset()
    for client, seed in secrets.seeds.items():
        yield self_mask_key(seed, client, session), -1
    for client, pair in secrets.pairs.items():
        for peer in graph.among(client, survivors):
            secret = pair.exchange(dealings.keys[peer].mask_key)
            yield mask_key(secret, client, peer, session), -1 if peer < client else 1
