"""Whether the files of a system fit one another: tensors by name and shape, transcripts by digest.

Headers are read, tensors are not, and nothing of torch is imported: a checkpoint of many gigabytes costs kilobytes.
"""

import re
from collections.abc import Iterator
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from pathlib import Path

from audit.tamper import Fault
from reports.artifacts import tensor_entries
from reports.canonical import strict_json
from reports.errors import FileError, ReportError
from reports.model import Artifact, ErasureRequest, System

_OF_TENSORS = ("gradient", "delta", "aggregate")
_DIGEST = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True)
class Fits:
    """What does not fit, and what could not be compared."""

    faults: tuple[Fault, ...]
    """Files that contradict the file that they belong to."""
    undeclared: tuple[str, ...]
    """Keys of system.toml that are lacking, without which nothing says what should fit."""
    compared: int
    """Files that were compared with another."""


class _Shapes:
    """Shapes of the tensors in a file, each header read once."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._known: dict[str, dict[str, tuple[int, ...]]] = {}

    def of(self, artifact: Artifact) -> dict[str, tuple[int, ...]]:
        if artifact.path not in self._known:
            entries = tensor_entries(self._folder / artifact.path)
            self._known[artifact.path] = {name: entry.shape for name, entry in entries.items()}
        return self._known[artifact.path]


def fits(system: System, folder: Path, sound: AbstractSet[str]) -> Fits:
    """Compare updates, bases and transcripts with the checkpoints that they belong to.

    Args:
        system: The system under review.
        folder: The folder that its paths are relative to.
        sound: Paths whose digests hold; of a file that has changed since it was loaded, that alone is said.
    """
    faults: list[Fault] = []
    undeclared: list[str] = []
    compared: set[str] = set()
    shapes = _Shapes(folder)
    checkpoint = system.model.checkpoint if system.model else None
    for update in system.updates:
        if update.kind not in _OF_TENSORS:
            continue
        base = update.base or checkpoint
        if base is None:
            undeclared.append("model.checkpoint")
            continue
        if checkpoint is not None and base.path != checkpoint.path and {base.path, checkpoint.path} <= sound:
            faults.extend(_misfits(shapes, base, checkpoint, whole=True))
            compared.add(base.path)
        if {update.path.path, base.path} <= sound:
            faults.extend(_misfits(shapes, update.path, base, whole=False))
            compared.add(update.path.path)
    for position, request in enumerate(system.unlearning):
        if request.transcript is not None and request.transcript.path in sound:
            named = named_digests(folder / request.transcript.path)
            faults.extend(_named_otherwise(request, named))
            compared |= {request.transcript.path} if named else set()
            undeclared.extend(f"unlearning[{position}].{key}" for key in named if getattr(request, key) is None)
    return Fits(tuple(dict.fromkeys(faults)), tuple(dict.fromkeys(undeclared)), len(compared))


def named_digests(transcript: Path) -> dict[str, str]:
    """Return the digests of the models `before` and `after` that an unlearning transcript names, as far as it does.

    The header line holds the one, the closing line the other; lines that cannot be read are for another check to tell.
    """
    named: dict[str, str] = {}
    with transcript.open("rb") as lines:
        for line in lines:
            try:
                entry = strict_json(line)
            except ReportError:
                continue
            for kind, key in (("header", "before"), ("close", "after")):
                if isinstance(entry, dict) and entry.get("kind") == kind and _DIGEST.fullmatch(str(entry.get(key))):
                    named[key] = str(entry[key])
    return named


def _misfits(shapes: _Shapes, artifact: Artifact, model: Artifact, *, whole: bool) -> Iterator[Fault]:
    """Yield the first way in which an artifact's tensors do not fit a model's; `whole`: none may be missing either."""
    try:
        here, there = shapes.of(artifact), shapes.of(model)
    except FileError as error:
        yield Fault(artifact.path, f"cannot be compared with {model.path} ({error.message})")
        return
    for name, shape in sorted(here.items()):
        if name not in there:
            yield Fault(artifact.path, f"holds the tensor {name!r}, which {model.path} does not have")
            return
        if shape != there[name]:
            told = f"holds {name!r} of shape {list(shape)}, in {model.path} it is {list(there[name])}"
            yield Fault(artifact.path, told)
            return
    if whole and (lacking := sorted(set(there) - set(here))):
        yield Fault(artifact.path, f"lacks the tensor {lacking[0]!r}, which {model.path} has")
    elif there and not here:
        yield Fault(artifact.path, f"holds no tensor of {model.path}")


def _named_otherwise(request: ErasureRequest, named: dict[str, str]) -> Iterator[Fault]:
    for key, sha256 in named.items():
        declared: Artifact | None = getattr(request, key)
        if declared is not None and declared.sha256 != sha256 and request.transcript is not None:
            yield Fault(request.transcript.path, f"names another model {key!r} than {declared.path}")
