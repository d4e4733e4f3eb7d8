"""Figures over seeds: mean, interval and n, their table, and a file that keeps what was measured, seed by seed."""

import json
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from scipy import stats

Record = dict[str, Any]
"""What one measurement of one seed found; JSON."""

CONFIDENCE = 0.95


@dataclass(frozen=True)
class Figure:
    """A mean over seeds, and where the true one lies with 95 % confidence (Student's t)."""

    mean: float
    low: float
    high: float
    n: int

    def __str__(self) -> str:
        """Return "0.123 [0.100, 0.146] n=5"; of one seed, the value alone."""
        if self.n < 2:
            return f"{self.mean:.3f} (n={self.n})"
        return f"{self.mean:.3f} [{self.low:.3f}, {self.high:.3f}] n={self.n}"


def over_seeds(values: Iterable[float | None]) -> Figure | None:
    """Return the mean of what was measured, with its interval; None where nothing was."""
    found = np.array([value for value in values if value is not None], dtype=np.float64)
    if not len(found):
        return None
    mean, half = float(found.mean()), math.inf
    if len(found) > 1:
        half = float(stats.t.ppf((1 + CONFIDENCE) / 2, len(found) - 1) * found.std(ddof=1) / math.sqrt(len(found)))
    return Figure(mean, mean - half, mean + half, len(found))


@dataclass(frozen=True)
class Target:
    """One row of the specification's targets, and what came of it."""

    name: str
    what: str
    found: str
    asked: str
    met: bool | None
    """None where it was not measured, or nothing is asked."""
    strength: Literal["required", "stretch", "reported"] = "required"

    @property
    def fields(self) -> Record:
        """What JSON says of it."""
        return asdict(self)

    def __str__(self) -> str:
        """Return one line of the table."""
        state = {True: "yes", False: "NO", None: "-"}[self.met]
        return f"{self.name:<4} {self.what:<58} {self.found:<44} {self.asked:<26} {self.strength:<8} {state}"


HEAD = f"{'':<4} {'what':<58} {'found':<44} {'asked':<26} {'':<8} met"


class Store:
    """Measurements by part and key, one JSON line each, so that a run that was cut off goes on where it was."""

    def __init__(self, file: Path | None = None) -> None:
        self._file = file
        self.records: list[Record] = []
        if file is not None and file.is_file():
            self.records = [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines() if line]

    def once(self, part: str, key: Mapping[str, Any], measure: Callable[[], Record]) -> Record:
        """Return what was measured under this key, now or before."""
        label = {"part": part, **key}
        for record in self.records:
            if all(record.get(name) == value for name, value in label.items()):
                return record
        record = label | measure()
        self.records.append(record)
        if self._file is not None:
            self._file.parent.mkdir(parents=True, exist_ok=True)
            with self._file.open("a", encoding="utf-8") as opened:
                opened.write(json.dumps(record, allow_nan=False) + "\n")
        return record

    def of(self, part: str, **where: Any) -> list[Record]:
        """Return the records of a part."""
        wanted = {"part": part, **where}
        return [record for record in self.records if all(record.get(key) == value for key, value in wanted.items())]


def table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return rows of words as lines with aligned columns."""
    widths = [max(len(row[place]) for row in (columns, *rows)) for place in range(len(columns))]
    lines = ["  ".join(word.ljust(width) for word, width in zip(row, widths, strict=True)) for row in (columns, *rows)]
    return "\n".join(line.rstrip() for line in lines)
