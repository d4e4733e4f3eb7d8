"""What legal experts said of technical documentation: the items that a reader of documents is measured on.

    scores file ──read_scores──▶ Dataset (items, sha256) ◀──shipped_dataset── the 60 excerpts shipped here

The data are AIReg-Bench's (arXiv:2510.01474; CC BY 4.0, see `compliance/data/README.md`), or anybody's in its format.
"""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, ValidationError

from compliance.aggregate import lower_median
from compliance.errors import CalibrationError
from compliance.json_file import read_object
from reports.artifacts import read_jsonl
from reports.canonical import canonical_json
from reports.nouns import Noun, Text, Word
from reports.tomlfile import fault

__all__ = ["ARTICLES", "Dataset", "Item", "dataset_of", "read_scores", "shipped_dataset"]

SCHEMA = "fedaudit.aireg-scores/1"
ARTICLES = (9, 10, 12, 14, 15)
"""The articles of Regulation (EU) 2024/1689 that AIReg-Bench asks about."""
DATA = Path(__file__).parent / "data"
Profile = Literal["compliant", "violation"]
Label = Annotated[int, Field(strict=True, ge=1, le=5)]
Number = Annotated[int, Field(strict=True, ge=1, le=1000)]


@dataclass(frozen=True)
class Item:
    """One excerpt of a technical documentation, and what experts said of it."""

    id: str
    use: int
    """Number of the intended use; items of one use share a system."""
    article: int
    """Of Regulation (EU) 2024/1689, as published in 2024."""
    profile: Profile
    """How the excerpt was written: to comply, or with a violation planted."""
    human: tuple[int | None, ...]
    """The experts' ratings, 1 "very low" to 5 "very high" probability of compliance."""
    annotators: tuple[str, ...]
    """Who gave them, in the same order; empty where nobody is named."""
    scores: Mapping[str, int | None]
    """What other raters, such as models, said; by name."""
    text: str | None
    """The excerpt, where it is at hand."""
    reference: int
    """Lower median of the ratings present."""


@dataclass(frozen=True)
class Dataset:
    """Items in their order."""

    name: str
    sha256: str
    """Of what is asked and what the experts said, in the order of the ids; what other raters said does not enter."""
    items: tuple[Item, ...]
    unrated: tuple[str, ...] = ()
    """Ids of items that were left out because no expert rated them."""
    law_version: str = "2024"
    """The experts judged by this text of the law."""

    def first(self, count: int) -> "Dataset":
        """Return the first `count` items, as a set with a digest of its own."""
        return dataset_of(self.name, self.items[:count], unrated=self.unrated)

    def raters(self) -> tuple[str, ...]:
        """Return the names of those who scored at least one item, sorted."""
        return tuple(sorted({name for item in self.items for name in item.scores}))

    def scores_of(self, rater: str) -> dict[str, int | None]:
        """Return what one rater said of each item, None where nothing."""
        return {item.id: item.scores.get(rater) for item in self.items}


class _Row(Noun):
    """One item as it stands in a file."""

    id: Word
    use: Number
    article: Number
    profile: Profile
    human: Annotated[tuple[Label | None, ...], Field(min_length=1)]
    annotators: tuple[Word, ...] = ()
    median: Label | None = None
    scores: dict[Word, Label | None] = Field(default_factory=dict)
    text: Text | None = None


def dataset_of(name: str, items: Iterable[Item], *, unrated: Sequence[str] = ()) -> Dataset:
    """Return items as a set with its digest."""
    listed = tuple(items)
    said = [
        [item.id, item.use, item.article, item.profile, item.human, item.annotators, item.text]
        for item in sorted(listed, key=lambda item: item.id)
    ]
    return Dataset(name, hashlib.sha256(canonical_json(said)).hexdigest(), listed, tuple(unrated))


@cache
def shipped_dataset() -> Dataset:
    """Return the 60 annotated excerpts that are shipped: intended uses 1 to 4 of AIReg-Bench, with their texts."""
    return _dataset("shipped", list(read_jsonl(DATA / "aireg_excerpts.jsonl", _Row)), "aireg_excerpts.jsonl")


def read_scores(path: Path) -> Dataset:
    """Return the items of a scores file (`fedaudit.aireg-scores/1`).

    An item that no expert rated has no reference: it is left out and named in `unrated`.

    Raises:
        CalibrationError: `scores.not_found`, `.too_large`, `.syntax`; `.schema`, another schema or none; `.empty`, no
            item, or none that was rated; `.duplicate`, an id twice; `.missing_key`, `.unknown_key` or `.value`,
            whatever else is wrong with an item, which is named.
    """
    tables = read_object(path, CalibrationError, "scores")
    if tables.get("schema") != SCHEMA:
        raise CalibrationError("scores.schema", f"{path}: schema: is not {SCHEMA!r}", f'Write "schema": "{SCHEMA}".')
    if unknown := [key for key in tables if key not in ("schema", "items", "source", "note", "law_version")]:
        message = f"{path}: {unknown[0]!r:.60} is not a known key"
        raise CalibrationError("scores.unknown_key", message, "Remove it; known are schema, source, note, items.")
    listed = tables.get("items")
    if not isinstance(listed, list):
        raise CalibrationError("scores.missing_key", f"{path}: items: is no list", "Write a list of items.")
    return _dataset(path.name, [_row(value, number, str(path)) for number, value in enumerate(listed)], str(path))


def _row(value: object, number: int, file: str) -> _Row:
    named = value.get("id") if isinstance(value, dict) else None
    where = f"{file}: item {named!r:.80}" if isinstance(named, str) else f"{file}: items[{number}]"
    if not isinstance(value, dict):
        raise CalibrationError("scores.value", f"{where}: is no JSON object", "Write one object for each item.")
    try:
        row = _Row.model_validate(value)
    except ValidationError as cause:
        first = fault(_Row, cause.errors()[0])
        raise CalibrationError(f"scores.{first.code}", f"{where}: {first.key}: {first.problem}", first.mend) from cause
    if row.annotators and len(row.annotators) != len(row.human):
        message = f"{where}: annotators: names {len(row.annotators)}, but human holds {len(row.human)} ratings"
        raise CalibrationError("scores.value", message, "Name one annotator for each rating, or nobody.")
    if row.median is not None and row.median != _reference(row):
        message = f"{where}: median: is {row.median}, but the lower median of human is {_reference(row)}"
        raise CalibrationError("scores.value", message, "Remove it; the reference is computed.")
    return row


def _dataset(name: str, rows: list[_Row], file: str) -> Dataset:
    seen: set[str] = set()
    for row in rows:
        if row.id in seen:
            message = f"{file}: item {row.id!r:.80}: id: is there twice"
            raise CalibrationError("scores.duplicate", message, "Give every item an id of its own.")
        seen.add(row.id)
    items = [item for row in rows if (item := _item(row)) is not None]
    if not items:
        problem = "no item was rated by an expert" if rows else "there is no item"
        raise CalibrationError("scores.empty", f"{file}: items: {problem}", "Give at least one item with a rating.")
    return dataset_of(name, items, unrated=[row.id for row in rows if _reference(row) is None])


def _item(row: _Row) -> Item | None:
    reference = _reference(row)
    if reference is None:
        return None
    return Item(
        id=row.id,
        use=row.use,
        article=row.article,
        profile=row.profile,
        human=row.human,
        annotators=row.annotators,
        scores=dict(row.scores),
        text=row.text,
        reference=reference,
    )


def _reference(row: _Row) -> int | None:
    rated = [rating for rating in row.human if rating is not None]
    return lower_median(rated) if rated else None
