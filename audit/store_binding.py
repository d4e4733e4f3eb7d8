"""What a run is bound to: all that decides its report but the time it takes. A resumed run must be the same in it."""

import dataclasses
import hashlib
import sys
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from pathlib import Path

from audit.store_errors import RunStoreError, start_over
from reports.canonical import canonical_json, digest
from reports.check import Check, Options
from reports.digests import artifact_sha256, file_sha256
from reports.model import Provenance, System

PACKAGES = ("audit", "compliance", "reports", "secagg", "unlearning")
"""Our own, whose code a run is bound to."""
NOW = "now"
_CLOCK = {"started", "finished"}
_TOLD_ELSEWHERE = {"expected_digests", "policy_sha256", "auditor", "policy_recorded_first", "cache"}
"""Options that follow from the system file or stand in the provenance, or change no byte."""
_WORDS = {
    "system": "the system file, or a file that it names",
    "policy_sha256": "--policy",
    "root_seed": "the seed",
    "seed_source": "how the seed was chosen",
    "tool_version": "the version of fedaudit",
    "code": "the code of fedaudit",
    "plugins": "the code of other people's checks",
    "python": "the version of Python",
    "packages": "the packages that are installed",
    "previous_report_sha256": "--previous",
    "schema_version": "the schema of the report",
}
_SHORTEST_DIGEST = 64


def binding(
    system: System, provenance: Provenance, options: Options, checks: Iterable[Check], *, salted: bool
) -> dict[str, str]:
    """Return what a run is bound to, by name, as JSON each.

    Args:
        system: with the digest of every file that it names.
        provenance: seed, effort, selection, policy, auditor, and the versions of everything; not its clock.
        options: what the checks may know of the command line; of a file, its content.
        checks: those that are asked; the code of those that are not ours counts.
        salted: whether evidence that may be withheld is salted.
    """
    told: dict[str, object] = {"system": digest(system)}
    told |= {"policy_sha256": provenance.policy_sha256, "nonce": provenance.nonce}  # first: the seed follows from them
    told |= {key: value for key, value in provenance.model_dump(mode="json").items() if key not in _CLOCK}
    told |= {f"--{name.replace('_', '-')}": value for name, value in _options(options)}
    told |= {"--salted-evidence": salted, "plugins": _plugins(checks), "code": code_sha256()}
    return {key: canonical_json(value).decode() for key, value in told.items()}


def _options(options: Options) -> Iterator[tuple[str, object]]:
    for one in dataclasses.fields(options):
        value = getattr(options, one.name)
        if one.name in _TOLD_ELSEWHERE:
            continue
        if isinstance(value, Path):
            value = artifact_sha256(value) if value.exists() else None
        yield one.name, list(value) if isinstance(value, tuple) else value


@cache
def code_sha256() -> str:
    """Return the digest of everything in our packages, data of the law included."""
    root = Path(__file__).resolve().parent.parent
    told = hashlib.sha256()
    for package in PACKAGES:
        told.update("".join(_lines(package, root / package)).encode())
    return told.hexdigest()


def _lines(package: str, folder: Path) -> Iterator[str]:
    for path in sorted(folder.rglob("*")):
        if path.is_file() and path.suffix != ".pyc":
            yield f"{package}/{path.relative_to(folder).as_posix()}\0{file_sha256(path)}\n"


def _plugins(checks: Iterable[Check]) -> dict[str, str]:
    """Return, by check that is not ours, the digest of the package it stands in, or of its file if that is alone."""
    found: dict[str, str] = {}
    for check in checks:
        module = check.ask.__module__
        package = module.partition(".")[0]
        folders = list(getattr(sys.modules.get(package), "__path__", ()))
        file = getattr(sys.modules.get(module), "__file__", None)
        if package in PACKAGES:
            continue
        if folders:  # what a check calls may stand in any file beside it
            lines = (line for folder in folders for line in _lines(package, Path(folder)))
            found[check.id] = hashlib.sha256("".join(lines).encode()).hexdigest()
        elif file is not None:
            found[check.id] = file_sha256(Path(file))
    return found


def refuse_difference(folder: Path, then: Mapping[str, str], now: Mapping[str, str]) -> None:
    """Raise where a run is not the one that was begun, and name the first thing in which it differs.

    Raises:
        RunStoreError: `run.other`.
    """
    for key in (*now, *(set(then) - set(now))):
        if then.get(key) != now.get(key):
            told = f"{folder} was begun with another value of {_name(key)}{_values(then.get(key), now.get(key))}"
            hint = f"Resume with what it was begun with. {start_over(folder)}"
            raise RunStoreError("run.other", told, hint)


def _name(key: str) -> str:
    return _WORDS.get(key, key if key.startswith("--") or key == NOW else f"--{key.replace('_', '-')}")


def _values(then: str | None, now: str | None) -> str:
    """Return both values, where they are short enough to tell people something."""
    shown = [(value or "nothing").strip('"') for value in (then, now)]
    shown = ["nothing" if value in ("null", "[]") else value for value in shown]
    if all(len(value) < _SHORTEST_DIGEST for value in shown):
        return f": {shown[0]} then, {shown[1]} now"
    return ""
