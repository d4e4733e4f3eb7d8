"""The graph of a recorded round, one neighbourhood at a time: a header may ask for more edges than fit in memory."""

from bisect import bisect_left
from collections.abc import Container

from secagg.graph import ring_order
from secagg.records import Header

MOST_CACHED = 1 << 24
"""Entries of neighbourhoods kept in memory (128 MiB); beyond, they are computed each time."""


class RecordedGraph:
    """Who is whose neighbour, as `secagg.graph.neighbours` has it for the header; degree and clients must fit."""

    def __init__(self, header: Header) -> None:
        self._ids, self._degree = header.ids, header.degree
        self.complete = header.degree == len(self._ids) - 1
        """Whether everybody is everybody's neighbour."""
        self._ring = () if self.complete else ring_order(self._ids, header.beacon)
        self._places = {one: place for place, one in enumerate(self._ids if self.complete else self._ring)}
        self._caches = not self.complete and len(self._ids) * self._degree <= MOST_CACHED
        self._cache: dict[str, tuple[str, ...]] = {}

    def neighbours(self, client: str) -> tuple[str, ...]:
        """Return the neighbours of a client of the cohort, sorted by id."""
        if self.complete:
            return tuple(one for one in self._ids if one != client)
        found = self._cache.get(client)
        if found is None:
            place, half = self._places[client], self._degree // 2
            steps = (*range(-half, 0), *range(1, half + 1))
            found = tuple(sorted(self._ring[(place + step) % len(self._ring)] for step in steps))
            if self._caches:
                self._cache[client] = found
        return found

    def among(self, client: str, part: Container[str]) -> tuple[str, ...]:
        """Return the neighbours of a client that are in `part`, sorted by id."""
        return tuple(one for one in self.neighbours(client) if one in part)

    def adjacent(self, one: str, other: str) -> bool:
        """Tell whether two clients are neighbours; nobody is its own, and a stranger is nobody's."""
        here, there = self._places.get(one), self._places.get(other)
        if here is None or there is None or here == there:
            return False
        apart = abs(here - there)
        return self.complete or min(apart, len(self._ids) - apart) <= self._degree // 2

    def point(self, owner: str, holder: str) -> int:
        """Return x of the share that a neighbour holds of `owner`'s secrets: its place among the neighbours, from 1."""
        if self.complete:
            place = self._places[holder]
            return place + 1 if place < self._places[owner] else place
        return bisect_left(self.neighbours(owner), holder) + 1
