"""The law, prepared for people: what the findings say of each duty, and which duties still lack evidence."""

import itertools
import re
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from reports.model import ControlRow, Report, Status
from reports.view_finding import finding_anchor
from reports.wording import STATE_WORD, STATUS_WORD, STRENGTH_LETTER, Paragraph, paragraph, phrase

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
    """The findings that count."""


@dataclass(frozen=True)
class ParagraphRow:
    """A paragraph of law, and the findings that bear on it."""

    paragraph: Paragraph
    """Where it stands."""
    links: tuple[Link, ...]
    """Gravest first; checks that were not asked are left out."""


@dataclass(frozen=True)
class HeatCell:
    """How many duties of one article are in one state."""

    state: str
    """The machine's word."""
    word: str
    """The people's word."""
    count: int
    """How many."""


@dataclass(frozen=True)
class ArticleRow:
    """One article or annex: what the findings say of its duties that apply, or will."""

    paragraph: Paragraph
    """The article or annex as a whole."""
    cells: tuple[HeatCell, ...]
    """One for each state, in the order of `STATE_WORD`."""
    total: int
    """Duties counted."""


@dataclass(frozen=True)
class DueStep:
    """Duties of one day that one act would close."""

    role: str
    """Who must act."""
    state: str
    """The machine's word."""
    word: str
    """The people's word for the state."""
    missing: str
    """Kinds of evidence that are missing."""
    next_step: str
    """Who does what."""
    duties: tuple[DutyRow, ...]
    """Which duties."""


@dataclass(frozen=True)
class DueDay:
    """The duties without evidence that apply from one day."""

    day: str
    """ISO date, or empty where no day is known."""
    steps: tuple[DueStep, ...]
    """Evidence against first, then what was looked at and is not enough, then what was not assessed."""

    @property
    def count(self) -> int:
        """How many duties."""
        return sum(len(step.duties) for step in self.steps)


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
    """Return duties without evidence, sorted by day as they are, gathered by day and by what would close them."""
    return tuple(DueDay(day, _steps(rows)) for day, rows in itertools.groupby(gaps, key=lambda row: row.applies_from))


def _steps(rows: Iterable[DutyRow]) -> tuple[DueStep, ...]:
    alike: dict[tuple[str, ...], list[DutyRow]] = {}
    for row in rows:
        alike.setdefault((row.role, row.state, row.missing, row.next_step), []).append(row)
    return tuple(
        DueStep(role, state, duties[0].word, missing, next_step, tuple(duties))
        for (role, state, missing, next_step), duties in alike.items()
    )


def law_tally(report: Report) -> tuple[HeatCell, ...]:
    """Return how many of the duties that apply, or will, are in each state."""
    return _cells([row.state for row in report.controls if row.applicability in _APPLIES_OR_WILL])


def articles_of(report: Report) -> tuple[ArticleRow, ...]:
    """Return every article and annex with a duty that applies, or will, in the order of the law."""
    states: dict[str, list[str]] = defaultdict(list)
    for row in report.controls:
        if row.applicability in _APPLIES_OR_WILL:
            states[row.control.partition("(")[0].partition("#")[0]].append(row.state)
    return tuple(
        ArticleRow(paragraph(article), _cells(found), len(found))
        for article, found in sorted(states.items(), key=lambda item: _order(item[0]))
    )


def _cells(states: Sequence[str]) -> tuple[HeatCell, ...]:
    return tuple(HeatCell(state, word, states.count(state)) for state, word in STATE_WORD.items())


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
        missing=", ".join(row.missing),
        next_step=row.next_step,
        links=tuple(links[print_] for print_ in row.findings if print_ in links),
    )


def paragraphs_of(report: Report) -> tuple[ParagraphRow, ...]:
    """Return the paragraphs that findings name, in the order of the law, each with those findings."""
    links = _links(report)
    by_control: dict[str, list[tuple[int, Link]]] = defaultdict(list)
    for finding in report.findings:
        if finding.status is not Status.SKIPPED:
            for control in finding.controls:
                by_control[control].append((_GRAVEST_FIRST.index(finding.status), links[finding.fingerprint]))
    return tuple(
        ParagraphRow(paragraph(control), tuple(link for _, link in sorted(found, key=lambda pair: pair[0])))
        for control, found in sorted(by_control.items(), key=lambda item: _order(item[0]))
    )


def _order(control: str) -> tuple[tuple[int, str], ...]:
    """Return a key that sorts Art. 9 before Art. 15, and annexes after articles."""
    words = control.replace(":", "(").replace("#", "(").replace(")", "").split("(")
    return tuple((int(word), "") if re.fullmatch(r"[0-9]{1,9}", word) else (10**9, word) for word in words)
