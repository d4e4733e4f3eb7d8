"""The answers of `fedaudit selftest`: a matrix, cases of others, a list, folders that were written."""

from pydantic import Field

from audit.answers.common import AnswerNoun
from audit.selftest.case_folders import Expectation
from reports.nouns import Count, Effort, Status, Text
from reports.self_test import CheckPower, NotTried


class PlantedTold(AnswerNoun):
    """A flaw and its twin under one seed."""

    id: Text
    """Which flaw."""
    title: Text
    """What is wrong with the flawed one."""
    caught_by: tuple[Text, ...]
    """Checks of which one at least has to notice."""
    seed: Count
    """Root seed."""
    flaw: dict[str, Status]
    """Check to its gravest answer on the flawed system."""
    twin: dict[str, Status]
    """Check to its gravest answer on the sound one."""
    detected: bool
    """Whether it was noticed."""
    false_alarm: bool
    """Whether a check accuses the twin."""
    undecided: tuple[Text, ...]
    """Of `caught_by`, those that could not decide on the twin."""
    errors: tuple[Text, ...]
    """What could not be played, and which check broke off."""
    seconds: float
    """Of both."""


class MatrixSummary(AnswerNoun):
    """The self-test in numbers; each flaw counts once for each seed."""

    flaws: Count
    """Flaws that were planted."""
    detected: Count
    """That were noticed."""
    false_alarms: Count
    """Whose twin was accused."""
    undecided: Count
    """On whose twin a check that has to notice could not decide."""
    errors: Count
    """That could not be played to the end."""
    seconds: float
    """Of all, by the clock."""


class SelftestAnswer(AnswerNoun):
    """Of `fedaudit selftest`."""

    seed: Count
    """The first root seed."""
    effort: Effort
    """Of the audits."""
    flaws: tuple[PlantedTold, ...]
    """What was planted, by seed and id."""
    left_out: tuple[NotTried, ...]
    """Flaws that were not planted, and why."""
    power: tuple[CheckPower, ...]
    """How much power each check showed."""
    summary: MatrixSummary
    """In numbers."""
    output: Text | None
    """Where the evidence was written; null where none was asked for."""


class CaseTold(AnswerNoun):
    """A case of somebody else's."""

    id: Text
    """Its name."""
    title: Text
    """What it is about."""
    ok: bool
    """Whether all that was expected holds."""
    observed: dict[str, Status]
    """Check to its gravest answer."""
    expected: tuple[Expectation, ...]
    """What was expected."""
    error: Text | None
    """Why it could not be audited."""
    seconds: float
    """Of the audit."""


class CasesSummary(AnswerNoun):
    """All cases in numbers."""

    cases: Count
    """That were audited."""
    ok: Count
    """As expected."""
    errors: Count
    """That could not be audited."""
    seconds: float
    """Of all, by the clock."""


class SelftestCasesAnswer(AnswerNoun):
    """Of `fedaudit selftest --cases`."""

    seed: Count
    """The root seed of each audit."""
    effort: Effort
    """Of the audits."""
    cases: tuple[CaseTold, ...]
    """By id."""
    summary: CasesSummary
    """In numbers."""


class FlawTold(AnswerNoun):
    """A flaw that there is."""

    id: Text
    """Its name."""
    title: Text
    """What is wrong with the flawed one."""
    caught_by: tuple[Text, ...] = Field(min_length=1)
    """Checks of which one at least has to notice."""
    expects: Status
    """What a check that notices answers."""
    least: Effort
    """The effort below which nobody can notice."""
    extra: Text | None
    """The optional dependency that it needs."""


class SelftestListAnswer(AnswerNoun):
    """Of `fedaudit selftest --list`."""

    flaws: tuple[FlawTold, ...]
    """By id."""


class SelftestExportAnswer(AnswerNoun):
    """Of `fedaudit selftest --export`."""

    exported: tuple[Text, ...]
    """The folders, a system each."""
    left_out: tuple[Text, ...]
    """Flaws that were not written."""
