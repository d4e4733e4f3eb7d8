"""The law, prepared for people: what the findings say of each duty, and which duties still lack evidence."""

import itertools
import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from reports.model import ControlRow, Report, Status
from reports.view_finding import finding_anchor
from reports.wording import KIND_WORD, STATE_WORD, STATUS_WORD, STRENGTH_LETTER, Paragraph, paragraph, phrase

MOST_LINKS = 4
"""Checks named beside an article; its duties name them all."""
MOST_BEARING = 24
"""Checks named beside a paragraph."""
ASKED_AGAIN = "Then the auditor asks again."
"""What a next step that mends something ends in; said once above them."""
_APPLIES_OR_WILL = ("applies", "not_yet", "transitional", "with_high_risk")
_GRAVEST_STATE = ("contradicted", "insufficient", "not-assessed", "supported")
_GRAVEST_FIRST = (Status.FAIL, Status.ERROR, Status.INCONCLUSIVE, Status.PASS, Status.SKIPPED)


@dataclass(frozen=True)
class Link:
    """A way to a finding."""

    anchor: str
    """Of the finding."""
    check: str
    """Its check."""
    status: str
    """The machine's word."""
    word: str
    """The people's word."""
    count: int = 1
    """How many findings of the check with this status it stands for; it leads to the first."""


@dataclass(frozen=True)
class DutyRow:
    """One duty of the law as people read it."""

    paragraph: Paragraph
    """Where it stands."""
    title: str
    """The duty in our words."""
    role: str
    """Who must act."""
    applies_from: str
    """First day, or empty."""
    applicability: str
    """Whether it applies, with the reason."""
    state: str
    """The machine's word."""
    word: str
    """The people's word for the state."""
    support: str
    """How far the evidence carries, or empty."""
    letter: str
    """Of the strength of the best deciding finding, or empty."""
    strength: str
    """The same as a word."""
    missing: str
    """Kinds of evidence that are missing."""
    next_step: str
    """Who does what."""
    links: tuple[Link, ...]
    """The findings that count, one link a check and answer."""


@dataclass(frozen=True)
class ParagraphRow:
    """A paragraph of law, and the findings that bear on it."""

    paragraph: Paragraph
    """Where it stands."""
    links: tuple[Link, ...]
    """One a check and answer, gravest first, at most `MOST_BEARING`; checks that were not asked are left out."""
    more: int
    """How many more there are."""


@dataclass(frozen=True)
class HeatCell:
    """How many duties of one article are in one state."""

    state: str
    """The machine's word."""
    word: str
    """The people's word."""
    count: int
    """How many."""
    letters: str = ""
    """Of the kinds of proof that decided them, strongest first, such as `E S`."""


@dataclass(frozen=True)
class ArticleRow:
    """One article or annex: what the findings say of its duties that apply, or will."""

    paragraph: Paragraph
    """The article or annex as a whole."""
    cells: tuple[HeatCell, ...]
    """One for each state, in the order of `STATE_WORD`."""
    total: int
    """Duties counted."""
    links: tuple[Link, ...]
    """The checks that count for any of them, gravest answer first, at most `MOST_LINKS`."""
    more: int
    """How many more there are."""


@dataclass(frozen=True)
class DueStep:
    """Duties of one day that one act would close."""

    role: str
    """Who must act."""
    state: str
    """The machine's word."""
    word: str
    """The people's word for the state."""
    next_step: str
    """Who does what, without what every step ends in, and without the words of the duties beside it."""
    duties: tuple[DutyRow, ...]
    """Which duties; each says itself what is missing."""


@dataclass(frozen=True)
class DueState:
    """The duties of one day in one state."""

    state: str
    """The machine's word."""
    word: str
    """The people's word."""
    count: int
    """How many duties."""
    steps: tuple[DueStep, ...]
    """What would close them; the step that closes most comes first."""


@dataclass(frozen=True)
class DueDay:
    """The duties without evidence that apply from one day."""

    day: str
    """ISO date, or empty where no day is known."""
    count: int
    """How many duties."""
    states: tuple[DueState, ...]
    """Evidence against first, then what was looked at and is not enough, then what was not assessed."""


def duties_of(report: Report) -> tuple[DutyRow, ...]:
    """Return every row of the controls table, in its order."""
    links = _links(report)
    return tuple(_duty(row, links) for row in report.controls)


def without_evidence(report: Report) -> tuple[DutyRow, ...]:
    """Return the duties that apply, or will, and for which there is no evidence, by the day they apply from."""
    links = _links(report)
    rows = [r for r in report.controls if r.applicability in _APPLIES_OR_WILL and r.state != "supported"]
    rows.sort(key=lambda row: (_day(row), _GRAVEST_STATE.index(row.state)))
    return tuple(_duty(row, links) for row in rows)


def by_day(gaps: Sequence[DutyRow]) -> tuple[DueDay, ...]:
    """Return duties without evidence, sorted by day and state as they are, gathered so and by what would close them."""
    days = []
    for day, rows in itertools.groupby(gaps, key=lambda row: row.applies_from):
        listed = tuple(rows)
        states = itertools.groupby(listed, key=lambda row: row.state)
        days.append(DueDay(day, len(listed), tuple(_due(state, tuple(found)) for state, found in states)))
    return tuple(days)


def _due(state: str, rows: Sequence[DutyRow]) -> DueState:
    alike: dict[tuple[str, str], list[DutyRow]] = {}
    for row in rows:
        alike.setdefault((row.role, _told_once(row)), []).append(row)
    steps = [DueStep(role, state, STATE_WORD[state], step, tuple(duties)) for (role, step), duties in alike.items()]
    steps.sort(key=lambda step: -len(step.duties))
    return DueState(state, STATE_WORD[state], len(rows), tuple(steps))


def _told_once(row: DutyRow) -> str:
    """Return the next step of a duty without what stands beside it anyway: its title, and that it is asked again."""
    return row.next_step.replace(f": {row.title}.", ".").removesuffix(ASKED_AGAIN).rstrip()


def law_tally(report: Report) -> tuple[HeatCell, ...]:
    """Return how many of the duties that apply, or will, are in each state."""
    return _cells([row.state for row in report.controls if row.applicability in _APPLIES_OR_WILL])


def articles_of(report: Report) -> tuple[ArticleRow, ...]:
    """Return every article and annex with a duty that applies, or will, in the order of the law."""
    links = _links(report)
    by_article: dict[str, list[ControlRow]] = defaultdict(list)
    for row in report.controls:
        if row.applicability in _APPLIES_OR_WILL:
            by_article[row.control.partition("(")[0].partition("#")[0]].append(row)
    return tuple(
        _article(article, rows, links) for article, rows in sorted(by_article.items(), key=lambda item: _order(item[0]))
    )


def _article(article: str, rows: Sequence[ControlRow], links: Mapping[str, Link]) -> ArticleRow:
    bearing = _gathered((print_ for row in rows for print_ in row.findings), links)
    cells = _cells([row.state for row in rows], rows)
    return ArticleRow(
        paragraph(article), cells, len(rows), tuple(bearing[:MOST_LINKS]), max(len(bearing) - MOST_LINKS, 0)
    )


def _gathered(prints: Iterable[str], links: Mapping[str, Link]) -> list[Link]:
    """Return the findings as one link a check and answer, gravest first."""
    alike: dict[tuple[str, str], list[Link]] = {}
    for print_ in dict.fromkeys(prints):
        if link := links.get(print_):
            alike.setdefault((link.check, link.status), []).append(link)
    bearing = [replace(found[0], count=len(found)) for found in alike.values()]
    return sorted(bearing, key=lambda link: _GRAVEST_FIRST.index(Status(link.status)))


def _cells(states: Sequence[str], rows: Sequence[ControlRow] = ()) -> tuple[HeatCell, ...]:
    return tuple(
        HeatCell(state, word, states.count(state), _letters(state, rows)) for state, word in STATE_WORD.items()
    )


def _letters(state: str, rows: Iterable[ControlRow]) -> str:
    strengths = {row.strength for row in rows if row.state == state and row.strength}
    return " ".join(STRENGTH_LETTER[strength] for strength in sorted(strengths, key=lambda one: -one.rank))


def _day(row: ControlRow) -> str:
    return row.applies_from.isoformat() if row.applies_from else "no day"  # after every day


def _links(report: Report) -> dict[str, Link]:
    return {
        f.fingerprint: Link(finding_anchor(f.fingerprint), f.check, str(f.status), STATUS_WORD[f.status])
        for f in report.findings
    }


def _duty(row: ControlRow, links: dict[str, Link]) -> DutyRow:
    return DutyRow(
        paragraph=paragraph(row.control),
        title=row.title,
        role=row.role,
        applies_from=row.applies_from.isoformat() if row.applies_from else "",
        applicability=f"{phrase(row.applicability)}: {row.applicability_reason}",
        state=row.state,
        word=STATE_WORD[row.state],
        support=row.support or "",
        letter=STRENGTH_LETTER[row.strength] if row.strength else "",
        strength=str(row.strength or ""),
        missing=", ".join(KIND_WORD.get(kind, kind) for kind in row.missing),
        next_step=row.next_step,
        links=tuple(_gathered(row.findings, links)),
    )


def paragraphs_of(report: Report) -> tuple[ParagraphRow, ...]:
    """Return the paragraphs that findings name, in the order of the law, each with those findings."""
    links = _links(report)
    by_control: dict[str, list[str]] = defaultdict(list)
    for finding in report.findings:
        if finding.status is not Status.SKIPPED:
            for control in finding.controls:
                by_control[control].append(finding.fingerprint)
    return tuple(
        _paragraph_row(control, _gathered(prints, links))
        for control, prints in sorted(by_control.items(), key=lambda item: _order(item[0]))
    )


def _paragraph_row(control: str, bearing: Sequence[Link]) -> ParagraphRow:
    return ParagraphRow(paragraph(control), tuple(bearing[:MOST_BEARING]), max(len(bearing) - MOST_BEARING, 0))


def _order(control: str) -> tuple[tuple[int, str], ...]:
    """Return a key that sorts Art. 9 before Art. 15, and annexes after articles."""
    words = control.replace(":", "(").replace("#", "(").replace(")", "").split("(")
    return tuple((int(word), "") if re.fullmatch(r"[0-9]{1,9}", word) else (10**9, word) for word in words)
