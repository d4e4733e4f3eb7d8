"""Cases as folders: written from the zoo for other auditors to try, and read from others for ours to be tried on.

    FOLDER/
      system.toml     the system
      expected.json   what an audit of it has to say, `fedaudit.case/1`
      …               what system.toml names

A folder from outside is data: no code of it runs.
"""

import json
import logging
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Annotated, Final, Literal

from pydantic import Field

from audit.request import Request
from audit.selftest.flaw import DEAR, Flaw
from audit.selftest.play import Discarded, gravest
from audit.store_errors import StoppedError
from reports.canonical import strict_json
from reports.errors import FedauditError, ReportError
from reports.model import Effort, Status
from reports.nouns import Noun, Text, Word
from reports.tomlfile import parse_noun, read_bounded

log = logging.getLogger(__name__)
SCHEMA: Final = "fedaudit.case/1"
EXPECTED = "expected.json"
EVERY = "*"
NEVER_ACCUSED = (Status.PASS, Status.INCONCLUSIVE, Status.SKIPPED)
"""What a check may say of a sound system."""


class CaseError(FedauditError):
    """A folder of a case cannot be used."""


class Expectation(Noun):
    """What checks have to answer."""

    check: Word
    """A glob, of which every check has to answer so, and one at least has to be there; `A|B` is either."""
    status: tuple[Status, ...] = Field(min_length=1)
    """The answers that are allowed."""

    def holds(self, said: Mapping[str, Status]) -> bool:
        """Tell whether what was said is what is expected."""
        return any(self._holds(glob, said) for glob in self.check.split("|"))

    def _holds(self, glob: str, said: Mapping[str, Status]) -> bool:
        answers = [status for check, status in said.items() if fnmatchcase(check, glob)]
        return bool(answers) and all(status in self.status for status in answers)


class ExpectedFile(Noun):
    """expected.json: what an audit of the system beside it has to say."""

    schema_id: Annotated[Literal["fedaudit.case/1"], Field(alias="schema")]
    """Kind and version of this file."""
    id: Word
    """Name of the case."""
    title: Text
    """What it is about; a sentence."""
    expect: tuple[Expectation, ...] = Field(min_length=1)
    """All of it has to hold."""


@dataclass(frozen=True)
class FolderCase:
    """A case of somebody else's, ready to be audited."""

    folder: Path
    """Where it lies."""
    expected: ExpectedFile
    """What is expected of an audit."""
    seed: int
    """Root seed of the audit."""
    effort: Effort
    """Of the audit."""
    now: datetime
    """The clock of the audit."""


@dataclass(frozen=True)
class FolderAnswer:
    """What the audit of such a case said."""

    expected: ExpectedFile
    """What was expected."""
    observed: Mapping[str, Status]
    """Check to its gravest answer."""
    seconds: float
    """Of the audit."""
    error: str | None = None
    """Why it could not be made."""

    @property
    def unmet(self) -> tuple[Expectation, ...]:
        """What does not hold."""
        return tuple(one for one in self.expected.expect if not one.holds(self.observed))

    @property
    def ok(self) -> bool:
        """Whether all that was expected holds."""
        return self.error is None and not self.unmet


def expected_of(flaw: Flaw, *, planted: bool) -> ExpectedFile:
    """Return what an audit of a flaw has to say, or of its twin."""
    if not planted:
        return _expected(f"{flaw.id}/twin", f"Sound, beside: {flaw.title}", {EVERY: NEVER_ACCUSED})
    told: dict[str, tuple[Status, ...]] = {"|".join(flaw.caught_by): (flaw.expects,)}
    if flaw.expects is Status.INCONCLUSIVE and len(flaw.caught_by) > 1:  # nothing can be told: no check may pass
        others = tuple(status for status in Status if status not in (Status.PASS, Status.ERROR))
        told |= dict.fromkeys(flaw.caught_by, others)
    return _expected(f"{flaw.id}/flaw", flaw.title, told)


def _expected(name: str, title: str, told: Mapping[str, tuple[Status, ...]]) -> ExpectedFile:
    expect = [{"check": check, "status": status} for check, status in told.items()]
    return ExpectedFile.model_validate({"schema": SCHEMA, "id": name, "title": title, "expect": expect})


def write_expected(folder: Path, expected: ExpectedFile) -> None:
    """Write expected.json into the folder of a system."""
    text = json.dumps(expected.model_dump(mode="json", by_alias=True), ensure_ascii=False, indent=2)
    (folder / EXPECTED).write_text(f"{text}\n", encoding="utf-8")


def folder_cases(root: Path, *, seed: int, effort: Effort, now: datetime) -> tuple[FolderCase, ...]:
    """Return every case in a folder and in those below it, by id.

    Raises:
        CaseError: there is none, an expected.json cannot be read, no system.toml is beside it, or two have one id.
    """
    found = [FolderCase(file.parent, read_expected(file), seed, effort, now) for file in sorted(root.rglob(EXPECTED))]
    if not found:
        raise CaseError("case.none", f"{root}: there is no {EXPECTED} in it or below it", "Name the folder of cases.")
    known: dict[str, FolderCase] = {}
    for one in found:
        if not (one.folder / "system.toml").is_file():
            told = f"{one.folder}: there is no system.toml beside {EXPECTED}"
            raise CaseError("case.no_system", told, "Put the system there, or remove the folder.")
        if (other := known.setdefault(one.expected.id, one)) is not one:
            told = f"{one.folder} and {other.folder} are both named {one.expected.id!r}"
            raise CaseError("case.duplicate", told, "Rename one.")
    return tuple(known[name] for name in sorted(known))


def read_expected(file: Path) -> ExpectedFile:
    """Return what an expected.json says.

    Raises:
        CaseError: `case.` and a word: it is not there or too large, no JSON, or not of the schema.
    """
    data = read_bounded(file, CaseError, "case")
    try:
        value = strict_json(data)
    except ReportError as error:
        raise CaseError("case.syntax", f"{file}: {error.message}", error.hint or "Mend the JSON there.") from error
    if not isinstance(value, dict):
        raise CaseError("case.syntax", f"{file}: holds no JSON object", "Write one object, in braces.")
    return parse_noun(ExpectedFile, value, file, CaseError, "case")


def play_folder(case: FolderCase) -> FolderAnswer:
    """Audit one case where it lies, and return what was said; what cannot be audited is told, not raised.

    What rehearses and looks at no file (`DEAR`) is asked only where an expectation names it.

    Raises:
        StoppedError: a worker was killed; that is no answer about the case.
    """
    from audit.run import ask_system

    begun = time.perf_counter()
    request = Request(
        system_file=case.folder / "system.toml", bundle=None, now=case.now, effort=case.effort, seed=case.seed,
        skip=tuple(_spared(case.expected.expect)),
    )  # fmt: skip
    said: dict[str, Status] = {}
    error = None
    try:
        said = gravest(ask_system(request, Discarded()).findings)
    except StoppedError:
        raise
    except FedauditError as fault:
        error = fault.message
    except Exception as fault:  # a folder from outside may hold anything; the other cases are still audited
        log.debug("%s could not be audited", case.folder, exc_info=fault)
        error = f"{type(fault).__name__}: {fault}"
    return FolderAnswer(case.expected, said, time.perf_counter() - begun, error)


def _spared(expect: Sequence[Expectation]) -> Iterator[str]:
    globs = {glob for one in expect for glob in one.check.split("|")} - {EVERY}
    yield from (check for check in DEAR if not any(fnmatchcase(check, glob) for glob in globs))
