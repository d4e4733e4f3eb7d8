"""A recorded round, opened for editing in memory: records as plain values, chained anew when it is read again."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any

import numpy as np
from numpy.typing import NDArray

from secagg.messages import FIRST_PREVIOUS
from secagg.source import Source
from secagg.wire import MalformedRecord, canonical, parse

Fields = dict[str, Any]


class CannotBePlanted(ValueError):  # noqa: N818  an answer, not a slip: the transcript offers no place for it
    """The transcript offers no place for a fault; the text says why."""

    def __init__(self, why: str) -> None:
        super().__init__(f"cannot be planted here: {why}")


@dataclass
class Draft:
    """The records of one transcript. Changing one changes the digests that later lines name, not their signatures."""

    base: Source
    records: list[Fields]
    blobs: dict[str, bytes] = field(default_factory=dict)
    """Vectors beside those of `base`, by digest."""
    previous: dict[int, str] = field(default_factory=dict)
    """What a line says in `prev` instead of the true digest, by its place."""

    @classmethod
    def of(cls, source: Source) -> "Draft":
        """Return the draft of a transcript; CannotBePlanted where a line of it cannot be read."""
        records = []
        for number, line in enumerate(source.lines(), start=1):
            try:
                record = parse(line)
            except (MalformedRecord, RecursionError) as error:
                raise CannotBePlanted(f"line {number} of {source.name} cannot be read") from error
            if type(record) is not dict or type(record.get("body")) is not dict:
                raise CannotBePlanted(f"line {number} of {source.name} is no record")
            records.append(record)
        if not records:
            raise CannotBePlanted(f"{source.name} is empty")
        return cls(source, records)

    @property
    def header(self) -> Fields:
        """The body of the first record."""
        body: Fields = self.records[0]["body"]
        return body

    def having(self, kind: str) -> list[Fields]:
        """Return the records of a type, in order; CannotBePlanted where there are none."""
        found = [record for record in self.records if record.get("type") == kind]
        if not found:
            raise CannotBePlanted(f"there is no record of type {kind}")
        return found

    def included(self, kind: str) -> list[str]:
        """Return the clients of the first list of a type."""
        return list(self.having(kind)[0]["body"]["included"])

    def insert(self, place: int, record: Mapping[str, Any]) -> None:
        """Put a copy of a record in front of the one at `place`."""
        self.records.insert(place, {**record, "body": dict(record["body"])})

    def edited(self) -> "Edited":
        """Return the draft as a source."""
        lines, previous = [], FIRST_PREVIOUS
        for number, record in enumerate(self.records):
            chained = {"prev": self.previous.get(number, previous), "seq": number}
            line = canonical(record | chained)
            lines.append(line)
            previous = sha256(line).hexdigest()
        return Edited(self.base, tuple(lines), dict(self.blobs))


@dataclass(frozen=True)
class Edited:
    """A transcript with other lines than its base, and some other vectors."""

    base: Source
    data: tuple[bytes, ...] = field(repr=False)
    blobs: Mapping[str, bytes] = field(repr=False)

    @property
    def name(self) -> str:
        """That of the base, marked."""
        return f"{self.base.name} (edited)"

    @property
    def cut_short(self) -> bool:
        """As the base."""
        return self.base.cut_short

    def lines(self) -> Iterator[bytes]:
        """Yield the edited lines."""
        return iter(self.data)

    def blob(self, sha256: str) -> NDArray[np.uint8] | None:
        """Return the edited bytes under a digest, or those of the base."""
        found = self.blobs.get(sha256)
        return self.base.blob(sha256) if found is None else np.frombuffer(found, np.uint8)

    def identities(self) -> Mapping[str, bytes] | None:
        """Return what vouches for the base."""
        return self.base.identities()
