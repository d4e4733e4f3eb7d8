"""What all answers share, and the list of commands."""

from typing import Annotated, TypeAlias

from pydantic import ConfigDict, Field, JsonValue

from reports.nouns import Count, Moment, Noun, Sha256, Text

Figures: TypeAlias = dict[str, JsonValue]
"""Named values of which a version may tell more than the last."""
ExitCode = Annotated[int, Field(strict=True, ge=0, le=4)]


class AnswerNoun(Noun):
    """The base of answers: a later version may say more, so whoever reads must pass over unknown keys."""

    model_config = ConfigDict(frozen=True, extra="allow")


class Common(AnswerNoun):
    """The keys of every document, on failure too."""

    fedaudit: Text
    """Version that answered."""
    command: Text
    """The words of the command, such as `verify` or `secagg params`."""
    exit_code: ExitCode
    """0 done, 1 a verdict is negative, 2 usage or configuration, 3 could not be completed, 4 not authentic."""
    code: Text
    """Stable machine word; `ok` on success, of the gate `gate.passed`, `gate.failed` or `gate.incomplete`."""
    message: Text
    """One sentence on what went wrong; empty on success."""
    hint: Text
    """The mend; may be empty."""


class About(AnswerNoun):
    """Which report is spoken of."""

    sha256: Sha256
    """Digest of the payload: the id of the report."""
    system: Text
    """Name of the system."""
    version: Text
    """Its version."""
    finished: Moment
    """When the report was made."""
    predicate_type: Text
    """Type and version of the predicate."""


class Counts(AnswerNoun):
    """Number of findings by status."""

    passed: Annotated[Count, Field(alias="pass")]
    """That passed."""
    fail: Count
    """That failed."""
    inconclusive: Count
    """That could not decide."""
    skipped: Count
    """That were not asked."""
    error: Count
    """That broke off."""


class Total(AnswerNoun):
    """Files, and their size."""

    files: Count
    """How many."""
    bytes: Count
    """Together."""
