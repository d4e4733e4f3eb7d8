"""A copy of the repository of AIReg-Bench (github.com/camlsys/aireg-bench, arXiv:2510.01474) as a data set.

    human_annotations.xlsx                 the ratings, a sheet for each of three iterations
    human_annotations_disaggregated.xlsx   the same, a sheet for each annotator: who gave them
    rand_assign.txt                        which profile a scenario's letter stands for
    documentation/Article9/Use1/System1/   Compliance.txt, Violation_1.txt, Violation_2.txt
    llm_annotations/<model>_annotations.xlsx   what models said

Nothing of it is carried here: the repository has no licence file. Plausibility ratings are not read: experts hardly
agree on them (alpha 0.165).
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from compliance.aggregate import lower_median
from compliance.aireg import ARTICLES, Dataset, Item, Profile, dataset_of
from compliance.aireg_workbook import Place, RatingSheet, read_workbook, refuse
from compliance.errors import CalibrationError

__all__ = ["read_repository"]

DISAGGREGATED = "human_annotations_disaggregated.xlsx"
ITERATIONS = ("Iter 1", "Iter 2", "Iter 3")
LARGEST_TEXT = 1 << 20
"""Bytes."""
_LETTERS = ("A", "B", "C")
_PROFILES = {1: "Compliance", 2: "Violation_1", 3: "Violation_2"}
_LAST_USE_OF_FIRST_SYSTEM = 5
_BLOCK = re.compile(r"\s*Use\s+(\d{1,3})\s*,\s*Article\s+(\d{1,3})\s*")
_ASSIGNED = re.compile(r"\s*([123])\s*--\s*([A-Z])\s*")
_ANNOTATOR, _SUFFIX = "Annotator ", "_annotations"


class _Ratings(NamedTuple):
    """What the experts said."""

    uses: tuple[int, ...]
    annotators: Mapping[int, tuple[RatingSheet, ...]]
    """By use: the sheets of those who rated it, in the order of the workbook."""


def read_repository(path: Path) -> Dataset:
    """Return the annotated excerpts of a copy of the repository, with their texts and what models said of them.

    Args:
        path: Its folder.

    Raises:
        CalibrationError: `aireg.layout`: a file, sheet, row, rating, text or assignment is missing or is not as
            expected; names it. `extra.missing`: openpyxl is not installed.
    """
    if not path.is_dir():
        refuse(path, "", "there is no such folder", "Name the folder of a copy of github.com/camlsys/aireg-bench.")
    ratings = _experts(path)
    assigned = _assignments(path / "rand_assign.txt")
    models = dict(_models(path / "llm_annotations"))
    places = [Place(use, article, letter) for use in ratings.uses for article in ARTICLES for letter in _LETTERS]
    found = [_item(path, place, ratings, assigned, models) for place in places]
    items = [item for item in found if item is not None]
    if not items:
        refuse(path / "human_annotations.xlsx", "", "holds no rating", "Name the folder of a whole copy.")
    rated = {item.id for item in items}
    return dataset_of(path.resolve().name, items, unrated=[name for name in map(_id, places) if name not in rated])


def _item(
    path: Path, place: Place, ratings: _Ratings, assigned: Mapping[Place, int], models: Mapping[str, RatingSheet]
) -> Item | None:
    """Return one excerpt, None where no expert rated it."""
    experts = ratings.annotators[place.use]
    human = tuple(sheet.ratings.get(place) for sheet in experts)
    given = [rating for rating in human if rating is not None]
    if not given:
        return None
    if place not in assigned:
        expected = (
            f"expected is a line such as '1 -- {place.scenario}' below 'Use {place.use}, Article {place.article}'"
        )
        refuse(path / "rand_assign.txt", "", expected, "Take the file from the repository again.")
    number = assigned[place]
    profile: Profile = "compliant" if number == 1 else "violation"
    return Item(
        id=_id(place),
        use=place.use,
        article=place.article,
        profile=profile,
        human=human,
        annotators=tuple(sheet.title.removeprefix(_ANNOTATOR) for sheet in experts),
        scores={name: sheet.ratings.get(place) for name, sheet in models.items()},
        text=_text(path, place, number),
        reference=lower_median(given),
    )


def _id(place: Place) -> str:
    return f"use{place.use}-art{place.article}-{place.scenario}"


def _experts(path: Path) -> _Ratings:
    file = path / "human_annotations.xlsx"
    sheets = {sheet.title: sheet for sheet in read_workbook(file)}
    for title in ITERATIONS:
        if title not in sheets:
            refuse(file, "", f"has no sheet {title!r}; it has {', '.join(map(repr, sheets))}", "Take a whole copy.")
    iterations = tuple(sheets[title] for title in ITERATIONS)
    uses = iterations[0].uses
    for sheet in iterations:
        _check_rows(sheet)
        if sheet.uses != uses:
            refuse(
                file, f"sheet {sheet.title!r}", f"has the uses {sheet.uses}; expected are {uses}", "Take a whole copy."
            )
    who = read_workbook(path / DISAGGREGATED)
    for sheet in who:
        _check_rows(sheet)
    return _Ratings(uses, {use: _annotators(use, iterations, who) for use in uses})


def _check_rows(sheet: RatingSheet) -> None:
    for article in ARTICLES:
        for letter in _LETTERS:
            if (article, letter) not in sheet.scenarios:
                row = f"has no row 'Art {article} / Scenario {letter}'"
                refuse(sheet.file, f"sheet {sheet.title!r:.60}", row, "Take the file from the repository again.")


def _annotators(use: int, iterations: Sequence[RatingSheet], who: Sequence[RatingSheet]) -> tuple[RatingSheet, ...]:
    """Return the sheets of those who gave the ratings of a use, one for each iteration."""
    free = list(who)
    for sheet in iterations:
        column = _of_use(sheet, use)
        by = next((one for one in free if use in one.uses and _of_use(one, use) == column), None)
        if by is None:
            told = f"nobody gave the ratings of use {use} in {sheet.title!r} of {sheet.file.name}"
            refuse(sheet.file.with_name(DISAGGREGATED), "", told, "Take both files from one copy of the repository.")
        free.remove(by)
    return tuple(sheet for sheet in who if sheet not in free)


def _of_use(sheet: RatingSheet, use: int) -> tuple[int | None, ...]:
    return tuple(sheet.ratings.get(Place(use, article, letter)) for article in ARTICLES for letter in _LETTERS)


def _assignments(file: Path) -> dict[Place, int]:
    """Return the number of the profile behind each letter: 1 complies, 2 and 3 violate."""
    found: dict[Place, int] = {}
    block: tuple[int, int] | None = None
    for line in _read(file).splitlines():
        if head := _BLOCK.fullmatch(line):
            block = int(head[1]), int(head[2])
        elif (assigned := _ASSIGNED.fullmatch(line)) and block is not None:
            found[Place(*block, assigned[2])] = int(assigned[1])
    return found


def _models(folder: Path) -> Iterable[tuple[str, RatingSheet]]:
    """Yield the ratings of each model, by the name of its file."""
    for file in sorted(folder.glob(f"*{_SUFFIX}.xlsx")) if folder.is_dir() else ():
        sheets = read_workbook(file)
        _check_rows(sheets[0])
        yield file.stem.removesuffix(_SUFFIX), sheets[0]


def _text(path: Path, place: Place, number: int) -> str:
    system = 1 if place.use <= _LAST_USE_OF_FIRST_SYSTEM else 2
    folder = path / "documentation" / f"Article{place.article}" / f"Use{place.use}" / f"System{system}"
    return _read(folder / f"{_PROFILES[number]}.txt")


def _read(file: Path) -> str:
    if not file.is_file():
        refuse(file, "", "there is no such file", "Name the folder of a whole copy of the repository.")
    try:
        with file.open("rb") as content:
            data = content.read(LARGEST_TEXT + 1)
        if len(data) > LARGEST_TEXT:
            refuse(file, "", "is larger than 1 MiB", "Take the file from the repository again.")
        return data.decode("utf-8-sig")
    except OSError as error:
        raise CalibrationError(
            "aireg.layout", f"{file}: cannot be read ({error.strerror})", "Check the rights."
        ) from error
    except UnicodeDecodeError as error:
        raise CalibrationError("aireg.layout", f"{file}: is not UTF-8", "Save it as UTF-8.") from error
