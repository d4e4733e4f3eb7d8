"""A folder in the layout of AIReg-Bench with ratings and words of our own: two uses, four experts, one model."""

from collections.abc import Callable, Mapping
from pathlib import Path

import openpyxl

ARTICLES = (9, 10, 12, 14, 15)
LETTERS = ("A", "B", "C")
USES = (1, 6)
EXPERTS = {"Annotator Q1": (1, 6), "Annotator Q2": (1, 6), "Annotator Q3": (6,), "Annotator Q4": (1,)}
ITERATIONS = {"Iter 1": {1: "Q2", 6: "Q1"}, "Iter 2": {1: "Q1", 6: "Q3"}, "Iter 3": {1: "Q4", 6: "Q2"}}
HEADS = ("Compliance [1-5]", "Compliance [Text]", "Difficult to Assess", "Plausibility [1-5]", "Plausibility [Text]")
_PROFILES = ("Compliance", "Violation_1", "Violation_2")

Rating = Callable[[int, int, str], "int | None"]


def profile_of(use: int, article: int, letter: str) -> str:
    """What the letter stands for: another turn for each use and article."""
    return _PROFILES[(LETTERS.index(letter) + use + article) % 3]


def rating_of(expert: str, use: int, article: int, letter: str) -> int:
    """What an expert says: 5 or 4 of what complies, 1 to 3 of what does not, a little different for each."""
    number = int(expert[1])
    if profile_of(use, article, letter) == "Compliance":
        return 5 - (number + article) % 2
    return 1 + (number * 7 + article + LETTERS.index(letter) + use) % 3


def write_repository(folder: Path) -> Path:
    """Write the whole folder."""
    folder.mkdir(parents=True)
    _book(
        folder / "human_annotations.xlsx",
        {title: (USES, _of_iteration(by)) for title, by in ITERATIONS.items()},
    )
    _book(
        folder / "human_annotations_disaggregated.xlsx",
        {title: (USES, _of_expert(title.split()[1], uses)) for title, uses in EXPERTS.items()},
    )
    (folder / "llm_annotations").mkdir()
    _book(folder / "llm_annotations/tiny_annotations.xlsx", {"tiny": (USES, lambda *_: 3)}, repeat_uses=True)
    lines = ["1 = Compliance, 2 = Violation_1, 3 = Violation_2", "# Seed: 1"]
    for use in USES:
        for article in ARTICLES:
            lines.append(f"Use {use}, Article {article}")
            for letter in LETTERS:
                profile = profile_of(use, article, letter)
                lines.append(f"{_PROFILES.index(profile) + 1} -- {letter}")
                text = folder / f"documentation/Article{article}/Use{use}/System{1 if use <= 5 else 2}/{profile}.txt"
                text.parent.mkdir(parents=True, exist_ok=True)
                text.write_text(f"Use {use}, article {article}: {'' if profile == 'Compliance' else 'not '}documented.")
    (folder / "rand_assign.txt").write_text("\n".join(lines) + "\n")
    return folder


def _of_iteration(by: Mapping[int, str]) -> Rating:
    return lambda use, article, letter: rating_of(by[use], use, article, letter)


def _of_expert(expert: str, uses: tuple[int, ...]) -> Rating:
    return lambda use, article, letter: rating_of(expert, use, article, letter) if use in uses else None


def _book(path: Path, sheets: Mapping[str, tuple[tuple[int, ...], Rating]], *, repeat_uses: bool = False) -> None:
    book = openpyxl.Workbook()
    book.remove(book.active)
    for title, (uses, rating) in sheets.items():
        sheet = book.create_sheet(title)
        for place, use in enumerate(uses):
            for offset, head in enumerate(HEADS):
                column = 2 + place * len(HEADS) + offset
                sheet.cell(2, column, head)
                if repeat_uses or not offset:
                    sheet.cell(1, column, f"Use {use}")
            for row, (article, letter) in enumerate((a, one) for a in ARTICLES for one in LETTERS):
                sheet.cell(3 + row, 1, f"Art {article} / Scenario {letter}")
                given = rating(use, article, letter)
                sheet.cell(3 + row, 2 + place * len(HEADS), None if given is None else float(given))
                sheet.cell(3 + row, 5 + place * len(HEADS), 1)  # plausibility, which nobody reads
    book.save(path)
