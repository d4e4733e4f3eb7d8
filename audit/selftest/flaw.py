"""A flaw: one way in which a system can be wrong, a builder of systems with it and without it, and who must notice.

    @flaw("dp-no-noise", "No noise is added although the declaration promises it", caught_by=("dp.mechanism",))
    def dp_no_noise(make: Workshop, *, planted: bool) -> System:
        ...

One function builds both, so that flaw and twin differ in what the title says and in nothing else. A flaw is one file in
`audit/selftest/flaws/`, found by itself.
"""

import re
from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Protocol

from audit.selftest.workshop import Workshop
from reports.errors import FedauditError
from reports.model import Effort, Status, System

VERIFY = "verify"
"""Stands among the checks for `fedaudit verify` of the sealed bundle: passed, or failed where it is not authentic."""
DEAR = ("attack.poisoning",)
"""Rehearses what is declared and looks at nothing that was built; asked only of a flaw that it must catch."""
_ID = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")


class FlawError(FedauditError):
    """A flaw cannot be taken into the zoo, or there is none of that name."""


class Build(Protocol):
    """Builds a system in the workshop's folder, with the flaw or without it."""

    def __call__(self, make: Workshop, *, planted: bool) -> System:
        """Return the system as it stands in the folder."""
        ...


@dataclass(frozen=True)
class Flaw:
    """A planted flaw and its sound twin."""

    id: str
    """Words joined by hyphens."""
    title: str
    """What is wrong with the flawed one; a sentence."""
    caught_by: tuple[str, ...]
    """Checks of which at least one must answer `expects`."""
    build: Build
    """Builds either."""
    expects: Status = Status.FAIL
    """What a check that notices answers; `inconclusive` where the right answer is that nothing can be told."""
    least: Effort = Effort.SMOKE
    """The effort below which nobody can notice; the flaw is not run there, and the matrix says so."""
    extra: str | None = None
    """The optional dependency that builder or checks need, such as "llm"."""
    spares: tuple[str, ...] = DEAR
    """Globs of checks that are not asked, since they cost more than they can say here."""

    @property
    def spared(self) -> tuple[str, ...]:
        """The globs, less the checks that have to notice."""
        return tuple(glob for glob in self.spares if glob not in self.caught_by)


def flaw(
    id: str,  # noqa: A002  the noun of the zoo
    title: str,
    *,
    caught_by: Collection[str],
    expects: Status = Status.FAIL,
    least: Effort = Effort.SMOKE,
    extra: str | None = None,
    spares: Collection[str] = DEAR,
) -> Callable[[Build], Flaw]:
    """Return the decorator that turns a builder into a `Flaw`; see there for the arguments.

    Raises:
        FlawError: the id does not read as words joined by hyphens, or nobody is to catch it.
    """
    if not _ID.fullmatch(id):
        raise FlawError("flaw.id", f"{id!r} is no id of a flaw", "Join lower-case words by hyphens.")
    if not caught_by:
        raise FlawError("flaw.caught_by", f"nobody is to catch {id!r}", "Name the check that must notice.")

    def register(build: Build) -> Flaw:
        return Flaw(id, title, tuple(caught_by), build, expects, least, extra, tuple(spares))

    return register
