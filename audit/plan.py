"""What will be asked, what not, and why: every check that is known appears once."""

import importlib.util
import sys
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path

from reports.check import Check, checks_in, missing
from reports.digests import file_sha256
from reports.errors import CheckError
from reports.model import System

EXTRAS = {"llm": "transformers", "flower": "flwr", "ray": "ray", "pdf": "typst", "timestamp": "rfc3161_client"}
"""Extras of the distribution, and the module whose presence tells that one is installed."""

LOCAL = "fedaudit_local_"
"""How the modules of `--checks` begin."""


@dataclass(frozen=True)
class Planned:
    """One check, and whether it will be asked."""

    check: Check
    """The check."""
    reason: str = ""
    """Machine word of why it is skipped; empty when it will be asked."""
    because: str = ""
    """The same as a sentence."""

    @property
    def runs(self) -> bool:
        """Whether it will be asked."""
        return not self.reason


def capabilities(
    *, policy: bool = False, judge: bool = False, previous: bool = False, selftest: bool = False
) -> frozenset[str]:
    """Return what a check may need besides keys of the system: installed extras, and what the run was given."""
    found = {f"extra:{extra}" for extra, module in EXTRAS.items() if importlib.util.find_spec(module) is not None}
    options = (("policy", policy), ("judge", judge), ("previous", previous), ("selftest", selftest))
    given = {f"run:{name}" for name, is_given in options if is_given}
    return frozenset(found | given)


def plan(
    system: System,
    checks: Iterable[Check],
    *,
    only: Sequence[str] = (),
    skip: Sequence[str] = (),
    capabilities: Collection[str] = (),
) -> tuple[Planned, ...]:
    """Return every check with what becomes of it, in the order in which they are asked.

    First come the checks that measure, by id; then those that judge what the run left behind; last those that read the
    findings of the others.

    Raises:
        CheckError: a glob of `only` or `skip` matches no check, so that a misspelt one cannot pass for a selection.
    """
    ordered = sorted(checks, key=lambda check: (check.reads_findings, check.after_others, check.id))
    for option, globs in (("--only", only), ("--skip", skip)):
        for glob in globs:
            if not any(fnmatchcase(check.id, glob) for check in ordered):
                raise CheckError(
                    "check.no_match", f"{option} {glob!r} matches no check", "List them: 'fedaudit checks'."
                )
    return tuple(_planned(check, system, only, skip, capabilities) for check in ordered)


def _planned(
    check: Check, system: System, only: Sequence[str], skip: Sequence[str], capabilities: Collection[str]
) -> Planned:
    chosen = any(fnmatchcase(check.id, glob) for glob in only) if only else True
    if not chosen or any(fnmatchcase(check.id, glob) for glob in skip):
        return Planned(check, "deselected", "It was left out by --only or --skip.")
    if lacking := missing(check, system, capabilities):
        first = lacking[0]
        return Planned(check, first if first.startswith("extra:") else f"missing:{first}", _sentence(lacking))
    return Planned(check)


def _sentence(lacking: Sequence[str]) -> str:
    keys, others = [], []
    for need in lacking:
        choices = need.split("|")
        named = " or ".join(choice for choice in choices if ":" not in choice)
        outside = [_outside(choice) for choice in choices if ":" in choice]
        if not outside:
            keys.append(named)
        else:
            others.append(" or ".join([f"{named} in the system file", *outside] if named else outside))
    wants = [*([f"{', '.join(keys)} in the system file"] if keys else []), *others]
    return f"It needs {' and '.join(wants)}."


def _outside(need: str) -> str:
    """Return how a need is met that no key of the system file meets."""
    kind, _, name = need.partition(":")
    return f"--{name} on the command line" if kind == "run" else f"'pip install fedaudit[{name}]'"


def load_plugin(path: Path) -> tuple[Check, ...]:
    """Run the Python file that `--checks` names and return the checks in it.

    The file is loaded by its path under a name of its own, which two files share only where they are the same; nothing
    is put before the modules of others.

    Raises:
        CheckError: there is no such file, it does not load, or it holds no check.
    """
    name = f"{LOCAL}{path.stem}_{file_sha256(path)[:12]}" if path.is_file() else ""
    spec = importlib.util.spec_from_file_location(name, path)
    if not name or spec is None or spec.loader is None:
        raise CheckError("check.plugin", f"{path}: there is no such Python file", "Give the path of a .py file.")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # a worker that unpickles a function of it looks here
    try:
        spec.loader.exec_module(module)
    except Exception as error:
        del sys.modules[spec.name]
        raise CheckError("check.plugin", f"{path}: does not load: {type(error).__name__}: {error}") from error
    if not (found := tuple(checks_in(module))):
        raise CheckError("check.plugin", f"{path}: holds no check", "Decorate a function with @check.")
    return found
