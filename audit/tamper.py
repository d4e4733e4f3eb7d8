"""Whether files are the ones they are said to be: digests now, against those at load and those the owner expects."""

import hashlib
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from reports.digests import PIECE, artifact_sha256
from reports.errors import ReportError
from reports.model import Artifact, Noun


@dataclass(frozen=True)
class Fault:
    """One file that is not what it should be."""

    path: str
    """As declared."""
    text: str
    """What is wrong, to be read after the path."""


@dataclass(frozen=True)
class Found:
    """What lies at a path."""

    sha256: str | None
    """Its digest; None where there is none to be had."""
    problem: str = ""
    """Why there is none."""


def artifacts_of(noun: Noun) -> tuple[Artifact, ...]:
    """Return every artifact that a noun names, itself or below, once each, in the order of their paths."""
    return tuple(sorted(set(_walk(noun)), key=lambda artifact: (artifact.path, artifact.sha256, artifact.kind)))


def digests_now(
    folder: Path, paths: Collection[str], progress: Callable[[int, int], None] | None = None
) -> dict[str, Found]:
    """Return the digest of each file or folder below `folder`, read in pieces of one mebibyte."""
    found = {}
    for done, path in enumerate(sorted(paths), start=1):
        found[path] = _digest(folder, path)
        if progress:
            progress(done, len(paths))
    return found


def changed(artifacts: Collection[Artifact], now: Mapping[str, Found]) -> Iterator[Fault]:
    """Yield the artifacts that no longer have the digest that they were loaded with."""
    for artifact in artifacts:
        yield from _compared(artifact.path, artifact.sha256, now[artifact.path], "changed during the run")


def unexpected(expected: Mapping[str, str], now: Mapping[str, Found]) -> Iterator[Fault]:
    """Yield the paths of `[digests]` where something else lies."""
    for path, sha256 in sorted(expected.items()):
        yield from _compared(path, sha256, now[path], "is not the file that [digests] names")


def notices_one_byte(path: Path) -> bool:
    """Tell whether the comparison notices one flipped bit, and finds no fault with the untouched twin.

    The positive control: on a copy in memory of at most the first mebibyte.
    """
    with path.open("rb") as file:
        prefix = file.read(PIECE)
    if not prefix:
        return False
    copy = bytearray(prefix)
    copy[len(copy) // 2] ^= 1
    expected = hashlib.sha256(prefix).hexdigest()
    faults = [_compared("copy", expected, Found(hashlib.sha256(data).hexdigest()), "") for data in (copy, prefix)]
    return [len(list(found)) for found in faults] == [1, 0]


def _walk(value: object) -> Iterator[Artifact]:
    if isinstance(value, Artifact):
        yield value
    elif isinstance(value, tuple):
        for one in value:
            yield from _walk(one)
    elif isinstance(value, Noun):
        for name in type(value).model_fields:
            yield from _walk(getattr(value, name))


def _compared(path: str, sha256: str, found: Found, difference: str) -> Iterator[Fault]:
    if found.sha256 is None:
        yield Fault(path, found.problem)
    elif found.sha256 != sha256:
        yield Fault(path, difference)


def _digest(folder: Path, path: str) -> Found:
    try:
        there = (folder / path).resolve()
        if not there.is_relative_to(folder.resolve()):
            return Found(None, "lies outside the folder of the system file")
        if not (there.is_file() or there.is_dir()):
            return Found(None, "is no file" if there.exists() else "is not there")
        return Found(artifact_sha256(there))
    except ReportError as error:
        return Found(None, f"cannot be digested ({error.code})")
    except (OSError, ValueError) as error:  # ValueError: a NUL in a path of [digests]
        return Found(None, f"cannot be read ({type(error).__name__})")
