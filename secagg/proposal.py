"""A header and all that follows from it alone: the session, the graph, who shares with whom at which point.

Computed once and shared by everybody in one process; a client of its own computes it from the header it was sent.
"""

from collections.abc import Mapping
from functools import cached_property

from secagg.graph import neighbours
from secagg.messages import header_line, session_of
from secagg.records import Header


class Proposal:
    """What a server proposes for one round."""

    def __init__(self, header: Header) -> None:
        self.header = header
        self.ids = header.ids
        self.members = frozenset(self.ids)

    @cached_property
    def line(self) -> bytes:
        """The first line of the round's transcript."""
        return header_line(self.header)

    @cached_property
    def session(self) -> bytes:
        """SHA-256 of the header line, 32 bytes."""
        return session_of(self.header)

    @cached_property
    def graph(self) -> Mapping[str, tuple[str, ...]]:
        """Each client's neighbours, sorted by id."""
        return neighbours(self.ids, self.header.degree, self.header.beacon)

    @property
    def complete(self) -> bool:
        """Whether everybody is everybody's neighbour."""
        return self.header.degree == len(self.ids) - 1

    def points(self, owner: str) -> dict[str, int]:
        """Return which share each neighbour of `owner` holds, as its x: from 1, by place, present or not."""
        return {holder: place for place, holder in enumerate(self.graph[owner], start=1)}
