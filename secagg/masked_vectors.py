"""The masked vectors of a recorded round, one at a time, of our own transcripts and of captures of Flower's."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from secagg.chain import protocol_of, read_record
from secagg.flower.records import FROM, Collect, MaskedArray, Setup, parse_line
from secagg.flower.records import PROTOCOL as CAPTURE
from secagg.flower.vectors import RING_TYPES
from secagg.prg import DTYPES
from secagg.records import Header, MaskedInput
from secagg.source import Source


@dataclass(frozen=True)
class MaskedVector:
    """Where the words of one client lie, and how they are to be read."""

    client: str
    modulus_bits: int
    parts: tuple[tuple[str, np.dtype[Any]], ...]
    """Digest and type of each array; only those of ring words."""
    source: Source = field(repr=False)
    foreign: str = ""
    """NumPy's name of a type that travelled and holds no ring elements, such as `<f4`; empty where none did."""

    def read(self, most: int) -> NDArray[Any]:
        """Return the first `most` elements, shape (elements,); none where words are withheld or cut."""
        found: list[NDArray[Any]] = []
        for digest, kind in self.parts:
            data = self.source.blob(digest)
            if data is None or data.nbytes % kind.itemsize:
                return np.empty(0, kind)
            found.append(data[: most * kind.itemsize].view(kind))
        return np.concatenate(found)[:most] if found else np.empty(0, np.uint32)


def masked_vectors(source: Source) -> Iterator[MaskedVector]:
    """Yield the masked vectors of a round in the order of the record.

    Raises:
        MalformedRecord: a line is none; ask verification first.
    """
    if protocol_of(next(source.lines(), b"")) == CAPTURE:
        yield from _captured(source)
        return
    bits = 0
    for number, line in enumerate(source.lines(), start=1):
        message = read_record(number, line).message
        if isinstance(message.body, Header):
            bits = message.body.modulus_bits
        elif isinstance(message.body, MaskedInput):
            parts = ((message.body.blob, np.dtype(DTYPES[bits])),)
            yield MaskedVector(message.sender, bits, parts, source)


def _captured(source: Source) -> Iterator[MaskedVector]:
    bits = 0
    for line in source.lines():
        body = parse_line(line).body
        if isinstance(body, Setup) and body.direction != FROM:
            bits = int(body.values["mod_range"] - 1).bit_length()
        elif isinstance(body, Collect) and body.direction == FROM:
            arrays: tuple[MaskedArray, ...] = body.values["masked_params"]
            parts = tuple((one.blob, np.dtype(one.dtype)) for one in arrays if one.dtype in RING_TYPES)
            foreign = next((one.dtype for one in arrays if one.dtype not in RING_TYPES), "")
            yield MaskedVector(body.node, bits, parts, source, foreign)
