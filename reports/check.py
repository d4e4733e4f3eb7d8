"""The verb: a check asks one question of a system and yields findings.

A contribution is one function under `@check`; `discover` finds it through the entry-point group `fedaudit.checks`,
ours and anybody's by the same door. What a check may do to the world stands in its `Context`.
"""

import importlib
import pkgutil
import re
from collections.abc import Callable, Collection, Iterable, Iterator
from types import ModuleType

from reports.context import Ask, Check, Context, Options
from reports.errors import CheckError
from reports.model import Noun, Severity, Strength, System

__all__ = [
    "GROUP",
    "Ask",
    "Check",
    "Context",
    "DuplicateCheckError",
    "Options",
    "check",
    "checks_in",
    "discover",
    "missing",
]

GROUP = "fedaudit.checks"
"""The entry-point group; an entry names a module, or a package that is walked."""
_ID = re.compile(r"[a-z0-9-]+(\.[a-z0-9-]+)+")


class DuplicateCheckError(CheckError):
    """Two checks have one id."""


def check(
    id: str,  # noqa: A002  the noun of the design
    title: str,
    *,
    needs: Collection[str] = (),
    controls: Collection[str] = (),
    kinds: Collection[str] = (),
    strength: Strength,
    severity: Severity,
    after_others: bool = False,
) -> Callable[[Ask], Check]:
    """Return the decorator that turns `(System, Context) -> Iterator[Finding]` into a `Check`.

    Raises:
        CheckError: the id does not read as parts joined by dots.
    """
    if not _ID.fullmatch(id):
        raise CheckError("check.id", f"{id!r} is no check id", "Join lower-case parts by dots, words by hyphens.")

    def register(ask: Ask) -> Check:
        return Check(id, title, ask, tuple(needs), tuple(controls), tuple(kinds), strength, severity, after_others)

    return register


def missing(check: Check, system: System, capabilities: Collection[str] = ()) -> tuple[str, ...]:
    """Return the needs of `check` that do not hold, in its order; empty when it can be asked.

    A need is a dotted path into the system. On a list the next word is a key that some entry gives (`updates.truth`) or
    the role or kind of some entry (`data.nonmembers`). `path=value` compares, `a|b` is either, `extra:NAME` and
    `run:NAME` are looked up in `capabilities`, `findings` always holds.
    """
    return tuple(need for need in check.needs if not any(_holds(n, system, capabilities) for n in need.split("|")))


def _holds(need: str, system: System, capabilities: Collection[str]) -> bool:
    if need == "findings":
        return True
    if ":" in need:
        return need in capabilities
    path, _, value = need.partition("=")
    return any(found == value if value else True for found in _values(system, path.split(".")))


def _values(here: object, words: list[str]) -> Iterator[object]:
    """Yield what stands at the end of a dotted path; nothing where the path ends early or in an empty value."""
    if isinstance(here, tuple):
        for entry in here:
            if words and words[0] in (getattr(entry, "role", None), getattr(entry, "kind", None)):
                yield from _values(entry, words[1:])
            else:
                yield from _values(entry, words)
    elif not words:
        if here is not None and here != "":
            yield here
    elif isinstance(here, Noun):
        yield from _values(getattr(here, words[0], None), words[1:])


def checks_in(module: ModuleType) -> Iterator[Check]:
    """Yield the checks at the top level of a module and, if it is a package, of everything below it."""
    yield from (value for value in vars(module).values() if isinstance(value, Check))
    if hasattr(module, "__path__"):
        for below in pkgutil.walk_packages(module.__path__, f"{module.__name__}."):
            yield from (v for v in vars(importlib.import_module(below.name)).values() if isinstance(v, Check))


def unique(checks: Iterable[Check]) -> tuple[Check, ...]:
    """Return the checks sorted by id; the same object twice is one check.

    Raises:
        DuplicateCheckError: two checks have one id.
    """
    known: dict[str, Check] = {}
    for one in checks:
        if known.setdefault(one.id, one) is not one:
            where = f"{known[one.id].ask.__module__} and {one.ask.__module__}"
            raise DuplicateCheckError("check.duplicate", f"two checks are named {one.id!r}, in {where}", "Rename one.")
    return tuple(known[name] for name in sorted(known))


def discover() -> tuple[Check, ...]:
    """Return every check that the entry points of `fedaudit.checks` lead to, sorted by id.

    Raises:
        CheckError: an entry point cannot be imported.
        DuplicateCheckError: two checks have one id.
    """
    from importlib.metadata import entry_points  # costs 30 ms that verifying does not pay

    found: list[Check] = []
    for entry in entry_points(group=GROUP):
        try:
            found.extend(checks_in(importlib.import_module(entry.module)))
        except ImportError as error:
            raise CheckError(
                "check.import",
                f"the entry point {entry.name!r} of {GROUP} names {entry.value!r}, which cannot be imported: {error}",
                "Install what it needs, or uninstall the package that registers it.",
            ) from error
    return unique(found)
