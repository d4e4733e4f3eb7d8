"""system.toml to System: every file below the folder, hashed, readable and of a format that runs no code.

The nouns of `reports.system` are the schema: where a noun holds an `Artifact`, the file holds a path, which is replaced
by what lies there before the noun is validated. Every error names the file, the key and the mend.
"""

import difflib
import re
import types
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Union, get_args, get_origin

from pydantic import ValidationError

from reports import tomlfile
from reports.artifacts import check_readable, refuse_unsafe
from reports.digests import artifact_sha256, file_sha256
from reports.errors import FileError, SystemFileError
from reports.model import Artifact, Definition, Noun, System

LARGEST_FILE = 4 * 2**20
"""Bytes of a system file; more is no system file."""
_RECORDS = re.compile(
    r"federation\.secure_aggregation\.transcripts\[|unlearning\[\d+\]\.(transcript|forget|retain|twin)$|data\[\d+\]\.path$"
)
_DIGEST = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True)
class LoadedSystem:
    """A system, where it lies, and what its owner says its files are."""

    system: System
    """As the report will carry it."""
    folder: Path
    """The folder that its paths are relative to."""
    expected_digests: Mapping[str, str]
    """The table `[digests]`: relative path to SHA-256; not part of the report."""


def fault(file: Path, key: str, problem: str, mend: str, code: str = "system.value") -> SystemFileError:
    """Return the error that names file, key, problem and mend."""
    return SystemFileError(code, f"{file.name}: {key}: {problem}" if key else f"{file.name}: {problem}", mend)


def load_system(file: Path) -> LoadedSystem:
    """Read and check a system file and every file that it names.

    Raises:
        SystemFileError: the file, a key or a named file cannot be used; nothing has been executed.
    """
    table: dict[str, Any] = tomlfile.read_toml(file, SystemFileError, "system", largest=LARGEST_FILE)
    digests = _digests(file, table.pop("digests", {}))
    folded = _fold(file, table)
    folder = file.resolve().parent
    _with_artifacts(file, folder, folded, System, "")
    folded["source"] = {"path": file.name, "sha256": file_sha256(file), "size": file.stat().st_size, "kind": "source"}
    try:
        system = System.model_validate(folded)
    except ValidationError as error:
        raise _explained(file, error) from error
    _unique_requests(file, system)
    return LoadedSystem(system, folder, digests)


def _digests(file: Path, table: object) -> dict[str, str]:
    if not isinstance(table, dict):
        raise fault(file, "digests", "is not a table", 'Write [digests] and lines of "path" = "sha256".')
    for path, value in table.items():
        if not (isinstance(value, str) and len(value) == 64 and not value.strip("0123456789abcdef")):
            raise fault(file, f"digests.{path!r}", "is no SHA-256 digest", "Write 64 lower-case hexadecimal digits.")
    return dict(table)


def _fold(file: Path, table: dict[str, Any]) -> dict[str, Any]:
    """Return the table with the keys of `[system]` at the top, as the noun has them."""
    own = table.pop("system", None)
    if not isinstance(own, dict):
        raise fault(file, "system", "is missing", 'Write [system] with name = "..." and version = "...".')
    if both := sorted(set(own) & set(table)):
        raise fault(file, f"system.{both[0]}", "is the name of a section", f"Write it as [{both[0]}].")
    for key in table:
        known = [*sorted(set(System.model_fields) - {*OWN_KEYS, "source"}), "system", "digests"]
        if key not in known:
            raise fault(file, key, "is no section of a system file", _near(key, known), "system.unknown_key")
    for key in own:
        if key not in OWN_KEYS:
            raise fault(file, f"system.{key}", "is no key of [system]", _near(key, OWN_KEYS), "system.unknown_key")
    return {**table, **own}


OWN_KEYS = (
    "name", "version", "provider", "intended_purpose", "risk_class", "annex_iii_area", "law_version",
    "placed_on_market", "roles", "conditions",
)  # fmt: skip
"""What stands in `[system]`."""


def _with_artifacts(file: Path, folder: Path, table: Any, noun: type[Noun], key: str) -> None:
    """Replace, in place, every path that `noun` wants as an Artifact by what lies there."""
    if not isinstance(table, dict):
        return  # the wrong type is told by the validation that follows
    for name, field in noun.model_fields.items():
        if table.get(name) is None:
            continue
        at, value = f"{key}.{name}" if key else name, table[name]
        for kind, many in _kinds(field.annotation):
            if kind is Artifact and many and isinstance(value, list):
                table[name] = [_artifact(file, folder, f"{at}[{i}]", path) for i, path in enumerate(value)]
            elif kind is Artifact and not many:
                table[name] = _artifact(file, folder, at, value)
            elif kind is Definition:
                table[name] = _definition(file, folder, at, value)
            elif many and isinstance(value, list):
                for i, entry in enumerate(value):
                    _with_artifacts(file, folder, entry, kind, f"{at}[{i}]")
            else:
                _with_artifacts(file, folder, value, kind, at)


def _kinds(annotation: Any) -> Iterator[tuple[type[Noun], bool]]:
    """Yield the nouns in an annotation, each with whether it stands in a tuple."""
    origin = get_origin(annotation)
    if origin in (Union, types.UnionType):
        for one in get_args(annotation):
            yield from _kinds(one)
    elif origin is Annotated:
        yield from _kinds(get_args(annotation)[0])
    elif origin is tuple:
        yield from ((kind, True) for kind, _ in _kinds(get_args(annotation)[0]))
    elif isinstance(annotation, type) and issubclass(annotation, Noun):
        yield annotation, False


def _definition(file: Path, folder: Path, key: str, declared: object) -> dict[str, Any]:
    source, colon, function = declared.rpartition(":") if isinstance(declared, str) else ("", "", "")
    if not (colon and source.endswith(".py") and function.isidentifier()):
        raise fault(file, key, f"{declared!r} names no function", 'Write it as "model.py:build".')
    return {"file": _artifact(file, folder, key, source), "function": function}


def _artifact(file: Path, folder: Path, key: str, declared: object) -> dict[str, Any]:
    """Return what lies at a declared path: below the folder, there, readable, and no format that runs code."""
    if not isinstance(declared, str) or not declared:
        raise fault(file, key, f"{declared!r} is no path", "Write a path relative to the system file, in quotes.")
    if "\\" in declared or "\0" in declared:
        raise fault(file, key, f"{declared!r} is no POSIX path", "Write '/' between folders.", "system.path")
    path = _resolved(folder / declared)
    if not path.is_relative_to(folder):
        mend = "Move it below that folder, and let no link lead out of it."
        raise fault(file, key, f"{declared!r} lies outside the file's folder", mend, "system.outside")
    if not _exists(path):
        there = [p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file()]
        mend = _near(declared, there) or f"Put the file there, or remove {key}."
        raise fault(file, key, f"there is no file {declared!r}", mend, "system.not_found")
    if not (path.is_file() or path.is_dir()):
        raise fault(file, key, f"{declared!r} is neither a file nor a folder", "Name a regular file.", "system.path")
    members = [path] if path.is_file() else sorted(p for p in path.rglob("*") if p.is_file())
    try:
        for member in members:
            _check(member, recorded=_RECORDS.match(key) is not None)
    except FileError as error:
        raise SystemFileError(error.code, f"{file.name}: {key}: {error.message}", error.hint) from error
    kind = re.sub(r"\[\d+\]", "", key)
    size = sum(member.stat().st_size for member in members)
    return {"path": path.relative_to(folder).as_posix(), "sha256": artifact_sha256(path), "size": size, "kind": kind}


def _check(member: Path, *, recorded: bool) -> None:
    """Raise `FileError` where a file can run code or is not what its suffix says.

    Of a recorded round, or unlearning, only the files beside it are held to that: its lines are evidence, broken ones
    too, which `secagg.transcript` and `unlearning.federated.transcript` judge; a vector, named by its digest, holds any
    bytes, the first of a pickle among them. Lines of questions and answers are read by `unlearning.llm.records`, which
    tells what is wrong with one and never what it says.
    """
    if not recorded:
        check_readable(member)
    elif member.suffix == ".jsonl":
        refuse_unsafe(member)
    elif not (member.parent.name == "blobs" and _DIGEST.fullmatch(member.name)):
        check_readable(member)


def _resolved(path: Path) -> Path:
    try:
        return path.resolve()
    except (OSError, RuntimeError):  # a link that leads to itself
        return path


def _exists(path: Path) -> bool:
    try:
        return path.exists()
    except OSError:  # a name longer than the system allows
        return False


def _near(word: str, known: Any) -> str:
    near = difflib.get_close_matches(word, list(known), n=1)
    return f"Did you mean {near[0]!r}?" if near else ""


def _explained(file: Path, error: ValidationError) -> SystemFileError:
    """Return the first fault that pydantic found, in the words of the file."""
    first = tomlfile.fault(System, error.errors(include_url=False)[0])
    key = f"system.{first.key}" if re.split(r"[.\[]", first.key)[0] in OWN_KEYS else first.key
    return fault(file, key, first.problem, first.mend, f"system.{first.code}")


def _unique_requests(file: Path, system: System) -> None:
    seen: set[str] = set()
    for position, request in enumerate(system.unlearning):
        if request.id in seen:
            raise fault(file, f"unlearning[{position}].id", f"{request.id!r} is used twice", "Give each its own id.")
        seen.add(request.id)
