"""The workbooks of AIReg-Bench: one rating for each excerpt, as a grid of uses across and scenarios down.

Values alone are read, never formulas, and of a sheet no more than such a grid can fill. openpyxl is loaded when a
workbook is opened.
"""

import re
import warnings
import zipfile
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, NoReturn

from compliance.errors import CalibrationError

__all__ = ["Place", "RatingSheet", "read_workbook", "refuse"]

LARGEST_FILE, LARGEST_UNPACKED = 20 << 20, 200 << 20
"""Bytes."""
_ROWS, _COLUMNS = 60, 200
RATING = "Compliance [1-5]"
_USE = re.compile(r"\s*Use\s+(\d{1,3})\s*")
_SCENARIO = re.compile(r"\s*Art\s+(\d{1,3})\s*/\s*Scenario\s+([A-Z])\s*")


class Place(NamedTuple):
    """Which excerpt."""

    use: int
    article: int
    scenario: str
    """A, B or C, in a shuffled order."""


@dataclass(frozen=True, eq=False)
class RatingSheet:
    """The compliance ratings of one sheet."""

    file: Path
    title: str
    uses: tuple[int, ...]
    """In the order of the columns."""
    scenarios: tuple[tuple[int, str], ...]
    """Article and letter, in the order of the rows."""
    ratings: Mapping[Place, int]
    """1 to 5; an empty cell is not in it."""


def refuse(file: Path, place: str, problem: str, mend: str) -> NoReturn:
    """Raise the error that a file of the repository is not as expected.

    Raises:
        CalibrationError: `aireg.layout`, always.
    """
    where = f"{file}: {place}: " if place else f"{file}: "
    raise CalibrationError("aireg.layout", f"{where}{problem}", mend)


def read_workbook(path: Path) -> tuple[RatingSheet, ...]:
    """Return every sheet of a workbook.

    Raises:
        CalibrationError: `aireg.layout`: it is missing, no sound xlsx, or a sheet lacks its heads or holds what is no
            rating; names file, sheet and cell. `extra.missing`: openpyxl is not installed.
    """
    try:
        from openpyxl import load_workbook  # type: ignore[import-untyped]  # it ships no types
    except ImportError as error:
        mend = "pip install 'fedaudit[aireg]'"
        raise CalibrationError("extra.missing", f"{path}: workbooks need openpyxl", mend) from error
    _check_archive(path)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of styles and extensions that hold no value
            book = load_workbook(path, read_only=True, data_only=True, keep_links=False)
            try:
                cells = [
                    (sheet.title, list(sheet.iter_rows(max_row=_ROWS, max_col=_COLUMNS, values_only=True)))
                    for sheet in book.worksheets
                ]
            finally:
                book.close()
    except Exception as error:  # whatever the library trips over is told, not raised
        refuse(path, "", f"is no sound workbook ({type(error).__name__})", "Take the file from the repository again.")
    return tuple(_sheet(path, title, rows) for title, rows in cells)


def _check_archive(path: Path) -> None:
    """Refuse what is missing, too large, or declares entities, before anything is parsed."""
    if not path.is_file():
        refuse(path, "", "there is no such file", "Name the folder of a whole copy of the repository.")
    try:
        if path.stat().st_size > LARGEST_FILE:
            refuse(path, "", f"is larger than {LARGEST_FILE >> 20} MiB", "Take the file from the repository again.")
        with zipfile.ZipFile(path) as archive:
            if sum(member.file_size for member in archive.infolist()) > LARGEST_UNPACKED:
                refuse(path, "", f"unpacks to more than {LARGEST_UNPACKED >> 20} MiB", "Take another copy.")
            for member in archive.infolist():
                if b"<!DOCTYPE" in archive.read(member):
                    refuse(path, "", "declares a document type", "Take the file from the repository again.")
    except (OSError, ValueError, RuntimeError, NotImplementedError, zipfile.BadZipFile, zlib.error, EOFError) as error:
        refuse(path, "", f"is no sound archive ({type(error).__name__})", "Take the file from the repository again.")


def _sheet(path: Path, title: str, rows: Sequence[Sequence[object]]) -> RatingSheet:
    columns = dict(_rating_columns(rows))
    if not columns:
        refuse(path, f"sheet {title!r:.60}", f"no column has {RATING!r} below 'Use 1'", "See the repository's layout.")
    scenarios: dict[tuple[int, str], int] = {}
    for number, row in enumerate(rows[2:], 2):
        if row and isinstance(row[0], str) and (found := _SCENARIO.fullmatch(row[0])):
            scenarios.setdefault((int(found[1]), found[2]), number)
    ratings = {
        Place(use, *scenario): rating
        for use, column in columns.items()
        for scenario, number in scenarios.items()
        if (rating := _rating(path, title, rows, number, column)) is not None
    }
    return RatingSheet(path, title, tuple(columns), tuple(scenarios), ratings)


def _rating_columns(rows: Sequence[Sequence[object]]) -> Iterator[tuple[int, int]]:
    """Yield each use with the number of its column of ratings; the name of a use may stand over its first column."""
    if len(rows) < 2:
        return
    use = None
    for column, (above, head) in enumerate(zip(rows[0], rows[1], strict=False)):
        if isinstance(above, str) and (found := _USE.fullmatch(above)):
            use = int(found[1])
        if use is not None and isinstance(head, str) and head.strip() == RATING:
            yield use, column


def _rating(path: Path, title: str, rows: Sequence[Sequence[object]], number: int, column: int) -> int | None:
    row = rows[number]
    value = row[column] if column < len(row) else None
    if value is None or value == "":
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or value not in (1, 2, 3, 4, 5):
        cell = f"sheet {title!r:.60}, cell {_letters(column)}{number + 1}"
        refuse(path, cell, f"holds {value!r:.40}; expected is a rating from 1 to 5", "Correct the cell.")
    return int(value)


def _letters(column: int) -> str:
    """Return the name of a column, 0 first: A to Z, then AA."""
    before, last = divmod(column, 26)
    return (_letters(before - 1) if before else "") + chr(ord("A") + last)
