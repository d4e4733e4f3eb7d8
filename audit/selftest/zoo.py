"""Every flaw that there is: each file of `audit/selftest/flaws/` holds one."""

import importlib
import pkgutil
from collections.abc import Sequence
from fnmatch import fnmatchcase

import audit.selftest.flaws as shelf
from audit.selftest.flaw import Flaw, FlawError


def zoo() -> tuple[Flaw, ...]:
    """Return all flaws, by id.

    Raises:
        FlawError: two flaws have one id.
    """
    known: dict[str, Flaw] = {}
    for entry in pkgutil.iter_modules(shelf.__path__, f"{shelf.__name__}."):
        module = importlib.import_module(entry.name)
        for one in vars(module).values():
            if isinstance(one, Flaw) and known.setdefault(one.id, one) is not one:
                raise FlawError("flaw.duplicate", f"two flaws are named {one.id!r}", "Rename one.")
    return tuple(known[name] for name in sorted(known))


def chosen(only: Sequence[str]) -> tuple[Flaw, ...]:
    """Return the flaws whose id fits one of the globs; all of them where there is no glob.

    Raises:
        FlawError: a glob fits none.
    """
    everything = zoo()
    for glob in only:
        if not any(fnmatchcase(one.id, glob) for one in everything):
            raise FlawError("flaw.unknown", f"no flaw is named {glob!r}", "See 'fedaudit selftest --list'.")
    return tuple(one for one in everything if not only or any(fnmatchcase(one.id, glob) for glob in only))
