"""What a self-test left as evidence, and the rule by which it is read: was each flaw caught, was a twin accused.

A flaw is detected where a check that has to notice it answers as expected, and, where that is less than `fail`, does
not say the same of the twin; a false alarm is a check that fails the sound twin; undecided is a check that has to
notice and cannot decide on the twin. The rule stands here, once: the self-test draws its matrix by it, and whoever
reads the evidence draws it again.
"""

import hashlib
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from math import isclose
from pathlib import Path
from typing import Annotated, Final, Literal, Self, TypeAlias

from pydantic import Field, StringConstraints, model_validator

from reports.canonical import canonical_json, strict_json
from reports.errors import ReportError
from reports.nouns import Count, Day, Effort, Noun, Sha256, Share, Status, Text, Word
from reports.statistics import clopper_pearson
from reports.tomlfile import parse_noun, read_bounded

SCHEMA: Final = "fedaudit.selftest/1"
DECIDING = (Status.PASS, Status.FAIL, Status.INCONCLUSIVE)
"""Answers of a check that was asked and did not break off."""
MEDIA_TYPE = "application/vnd.fedaudit.selftest+json"
LARGEST = 64 << 20
"""Bytes; a flaw under one seed takes some 3 kB."""
Name: TypeAlias = Annotated[str, StringConstraints(strict=True, max_length=100, pattern=r"^[a-z0-9-]+(\.[a-z0-9-]+)*$")]
"""Id of a check, or `verify` for the verification of the sealed bundle."""
Statuses: TypeAlias = Mapping[str, Status]


class SelfTestError(ReportError):
    """The evidence of a self-test cannot be used."""


def caught(caught_by: Collection[str], expects: Status, flawed: Statuses, twin: Statuses) -> tuple[str, ...]:
    """Return which of the checks that have to notice a flaw answer on it as they should, in their order.

    One that is to say less than `fail`, and says it of the twin too, has noticed nothing: it may be switched off.
    """
    answered = (check for check in caught_by if flawed.get(check) is expects)
    return tuple(check for check in answered if expects is Status.FAIL or twin.get(check) is not expects)


def detected(caught_by: Collection[str], expects: Status, flawed: Statuses, twin: Statuses) -> bool:
    """Tell whether a flaw was noticed: by one check at least, and, where nothing can be told, passed by none."""
    if expects is Status.INCONCLUSIVE and any(flawed.get(check) is Status.PASS for check in caught_by):
        return False
    return bool(caught(caught_by, expects, flawed, twin))


def alarms(twin: Statuses) -> tuple[str, ...]:
    """Return the checks that accuse a sound twin."""
    return tuple(sorted(check for check, status in twin.items() if status is Status.FAIL))


def undecided(caught_by: Collection[str], twin: Statuses) -> tuple[str, ...]:
    """Return which of the checks that have to notice a flaw cannot decide on its twin."""
    return tuple(check for check in caught_by if twin.get(check) is Status.INCONCLUSIVE)


class TriedFlaw(Noun):
    """A flaw and its twin under one seed, and what each check answered; those that were not asked are not named."""

    id: Word
    """Which flaw."""
    title: Text
    """What is wrong with the flawed one."""
    caught_by: tuple[Name, ...] = Field(min_length=1)
    """Checks of which one at least has to notice."""
    expects: Status
    """What a check that notices answers."""
    seed: Count
    """Root seed."""
    flaw: dict[Name, Status]
    """Check to its gravest answer on the flawed system."""
    twin: dict[Name, Status]
    """Check to its gravest answer on the sound one."""
    detected: bool
    """Whether it was noticed."""
    false_alarm: bool
    """Whether a check accuses the twin."""
    undecided: tuple[Name, ...]
    """Of `caught_by`, those that could not decide on the twin."""
    errors: tuple[Text, ...] = ()
    """What could not be played, and which check broke off."""
    spared: tuple[Text, ...] = ()
    """Globs of checks that were asked of neither: of these a silent twin says nothing."""

    @model_validator(mode="after")
    def _follows(self) -> Self:
        """Refuse what does not follow from the answers."""
        told = (self.detected, self.false_alarm, self.undecided)
        follows = detected(self.caught_by, self.expects, self.flaw, self.twin) and not self.errors
        if told != (follows, bool(alarms(self.twin)), undecided(self.caught_by, self.twin)):
            raise ValueError(f"what is said of {self.id} does not follow from the answers")
        return self


class CheckPower(Noun):
    """How much power one check showed."""

    check: Name
    """Which check; `verify` is the verification of a sealed bundle."""
    flaws: tuple[Word, ...]
    """Flaws that are aimed at it; empty where none is planted for it."""
    trials: Count
    """Flawed systems that were aimed at it: flaws times seeds."""
    caught: Count
    """On how many it answered as it has to."""
    caught_at_least: Share
    """Lower bound of the share that it catches, Clopper-Pearson, one-sided, 95 %."""
    twins: Count
    """Sound systems on which it decided or tried to."""
    false_alarms: Count
    """How many of them it accused."""
    false_alarms_at_most: Share
    """Upper bound of the share that it accuses, Clopper-Pearson, one-sided, 95 %."""


class SelfTestSummary(Noun):
    """The self-test in five numbers; each flaw counts once for each seed."""

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


class NotTried(Noun):
    """A flaw that was not planted."""

    id: Word
    """Which."""
    title: Text
    """What would be wrong."""
    reason: Text
    """Why, such as "effort:standard" or "extra:llm"."""


class SelfTest(Noun):
    """The evidence of a self-test; without its times, so that whoever repeats it gets the same bytes."""

    schema_id: Annotated[Literal["fedaudit.selftest/1"], Field(alias="schema")] = SCHEMA
    """Kind and version of this document."""
    fedaudit: Text
    """Version that was tested."""
    code_sha256: Sha256
    """Of everything in its packages; another line of code may answer otherwise."""
    python: Text
    """Version of Python."""
    packages: dict[Word, Text]
    """Versions of the packages, as in the provenance of a report."""
    effort: Effort
    """Of the audits."""
    seeds: tuple[Count, ...] = Field(min_length=1)
    """Root seeds."""
    date: Day
    """Of the audits' clock."""
    flaws: tuple[TriedFlaw, ...]
    """What was planted, by seed and id."""
    left_out: tuple[NotTried, ...] = ()
    """What was not planted, and why."""
    is_whole: bool
    """Whether all flaws of that version were chosen, `left_out` counted; not so after `--only`."""
    power: tuple[CheckPower, ...]
    """By check, those without a flaw among them."""
    summary: SelfTestSummary
    """In five numbers."""

    @model_validator(mode="after")
    def _adds_up(self) -> Self:
        """Refuse what does not follow from the flaws, and flaws that are not told once under each seed."""
        if self.summary != summary_of(self.flaws):
            raise ValueError("the summary does not follow from the flaws")
        names = {one.id for one in self.flaws}
        due = sorted((seed, name) for seed in self.seeds for name in names)
        if sorted((one.seed, one.id) for one in self.flaws) != due:
            raise ValueError("a flaw is not told once under each of the seeds")
        if both := sorted(names & {one.id for one in self.left_out}):
            raise ValueError(f"{both[0]} is planted and left out")
        if not self.summary.errors:  # what could not be played counts for nobody, and is not told from what broke off
            _require_power(self.power, self.flaws)
        return self


def summary_of(tried: Collection[TriedFlaw]) -> SelfTestSummary:
    """Return the numbers of a self-test."""
    return SelfTestSummary(
        flaws=len(tried),
        detected=sum(one.detected for one in tried),
        false_alarms=sum(one.false_alarm for one in tried),
        undecided=sum(bool(one.undecided) for one in tried),
        errors=sum(bool(one.errors) for one in tried),
    )


def power_shown(check: str, tried: Collection[TriedFlaw]) -> CheckPower:
    """Return how much power a check showed on flaws that were all played to the end."""
    aimed = [one for one in tried if check in one.caught_by]
    hits = sum(check in caught(one.caught_by, one.expects, one.flaw, one.twin) for one in aimed)
    twins = [one.twin[check] for one in tried if one.twin.get(check) in DECIDING]
    accused = twins.count(Status.FAIL)
    return CheckPower(
        check=check,
        flaws=tuple(sorted({one.id for one in aimed})),
        trials=len(aimed),
        caught=hits,
        caught_at_least=clopper_pearson(hits, len(aimed), side="one").low,
        twins=len(twins),
        false_alarms=accused,
        false_alarms_at_most=clopper_pearson(accused, len(twins), side="one").high,
    )


def _require_power(told: Collection[CheckPower], tried: Collection[TriedFlaw]) -> None:
    """Raise where a check is told to have another power than it showed; bounds may differ in their last digits."""
    bounds = ("caught_at_least", "false_alarms_at_most")
    for one in told:
        shown = power_shown(one.check, tried)
        counts = one.model_copy(update={name: getattr(shown, name) for name in bounds}) == shown
        if not (counts and all(isclose(getattr(one, name), getattr(shown, name), abs_tol=1e-6) for name in bounds)):
            raise ValueError(f"the power of {one.check} does not follow from the flaws")


@dataclass(frozen=True)
class ReadSelfTest:
    """Evidence of a self-test, and its bytes."""

    data: bytes
    """As they are in the file."""
    document: SelfTest
    """What they say."""

    @property
    def sha256(self) -> str:
        """The digest of the bytes."""
        return hashlib.sha256(self.data).hexdigest()


def read_self_test(path: Path) -> ReadSelfTest:
    """Return the evidence that `fedaudit selftest -o FILE` wrote.

    Raises:
        SelfTestError: `selftest.` and a word: there is no such file, it is larger than 64 MiB, it is no JSON of that
            schema, it contradicts itself, or its bytes are not the canonical ones.
    """
    data = read_bounded(path, SelfTestError, "selftest", largest=LARGEST)
    try:
        value = strict_json(data)
    except ReportError as error:
        raise SelfTestError("selftest.syntax", f"{path}: {error.message}", error.hint) from error
    if not isinstance(value, dict) or value.get("schema") != SCHEMA:
        told = f"{path}: is no evidence of a self-test ({SCHEMA})"
        raise SelfTestError("selftest.schema", told, "Make it with 'fedaudit selftest -o FILE'.")
    document = parse_noun(SelfTest, value, path, SelfTestError, "selftest")
    if canonical_self_test(document) != data:
        told = f"{path}: is not in the canonical form, so it is not as 'fedaudit selftest' wrote it"
        raise SelfTestError("selftest.canonical", told, "Give the file as it was written.")
    return ReadSelfTest(data, document)


def canonical_self_test(document: SelfTest) -> bytes:
    """Return the bytes of the evidence: RFC 8785, and nothing after it."""
    return canonical_json(document.model_dump(mode="json", by_alias=True))
