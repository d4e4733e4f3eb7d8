"""The folder of an edit: written whole or not at all, read back only where every byte is as it was written.

    edit.json  edit.safetensors  undo.safetensors  [statistics.safetensors]
    1 canonical JSON   2 its own digest   3 digests of both files   4 the tensors that it tells of, and no others

`statistics.safetensors` is for later requests alone and personal data in another shape: without it an edit is whole.
The digests tell damage, not forgery: who may be lied to signs `edit.json`, which binds the rest.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from pydantic import ValidationError
from safetensors.torch import save
from torch import Tensor

from reports.artifacts import MAX_JSON, read_tensors, refuse_unsafe
from reports.canonical import canonical_json, strict_json
from reports.digests import file_sha256
from reports.errors import FileError, ReportError
from reports.formats import opened
from unlearning.drafts import drafted
from unlearning.errors import EditError
from unlearning.llm.edit_nouns import EditFile, EditFiles, EditMeta
from unlearning.llm.forgotten_sums import ForgottenSums, read_forgotten
from unlearning.llm.update import Update, numbers_of, update_of

FILE = "edit.json"
NUMBERS = "edit.safetensors"
UNDO = "undo.safetensors"
STATISTICS = "statistics.safetensors"


@dataclass(frozen=True, eq=False)
class EditContents:
    """What a folder of an edit holds."""

    updates: tuple[Update, ...]
    """What is added."""
    meta: EditMeta
    """Where it comes from."""
    undo: Mapping[str, bytes]
    """By tensor, compressed."""
    forgotten: ForgottenSums | None = None
    """What a later request needs of this one."""
    sha256: str = ""
    """Of the folder that was read; empty where there is none yet."""


def write_edit(contents: EditContents, folder: Path) -> None:
    """Write an edit's folder, whole or not at all.

    Raises:
        UnlearningError: `unlearning.folder`, something is there already.
    """
    told, parts = _parts(contents)
    with drafted(folder, last=FILE) as draft:
        for name, data in parts.items():
            (draft / name).write_bytes(data)
        (draft / FILE).write_bytes(_file_bytes(told))


def edit_digest(contents: EditContents) -> str:
    """Return the digest that `edit.json` bears, by which a later edit names the one it follows."""
    return str(_parts(contents)[0].sha256)


def read_edit(folder: Path) -> EditContents:
    """Return what an edit's folder holds.

    Raises:
        EditError: `llm.edit`, a file is missing or not what it should be; `llm.digest`, one was altered.
        reports.errors.FileError: a file of tensors is refused or broken.
    """
    told = _read_file(folder)
    for name, due in ((NUMBERS, told.files.edit), (UNDO, told.files.undo), (STATISTICS, told.files.statistics)):
        path = folder / name
        if not path.is_file():
            if name == STATISTICS:
                continue  # it may be withheld
            raise _wrong(folder, f"there is no {name}")
        refuse_unsafe(path)
        if (found := file_sha256(path)) != due:
            raise _altered(folder, f"{name} has the digest {found}, {FILE} says {due}")
    numbers, undo = read_tensors(folder / NUMBERS), read_tensors(folder / UNDO)
    updates = tuple(update_of(line, numbers) for line in told.updates)
    if numbers:
        raise _wrong(folder, f"{NUMBERS} holds {next(iter(numbers))!r:.200}, which {FILE} does not tell of")
    named = [update.tensor for update in updates]
    if sorted(undo) != sorted(named) or any(not _is_packed(tensor) for tensor in undo.values()):
        raise _wrong(folder, f"{UNDO} needs one row of bytes for each tensor that {FILE} names, once")
    meta = EditMeta(**{name: getattr(told, name) for name in EditMeta.model_fields})
    forgotten = read_forgotten(folder / STATISTICS) if (folder / STATISTICS).is_file() else None
    packed = {name: tensor.numpy().tobytes() for name, tensor in undo.items()}
    return EditContents(updates, meta, packed, forgotten, str(told.sha256))


def _parts(contents: EditContents) -> tuple[EditFile, dict[str, bytes]]:
    """Return what `edit.json` says, and the files beside it."""
    numbers = {name: tensor for update in contents.updates for name, tensor in numbers_of(update).items()}
    packed = {name: torch.frombuffer(bytearray(data), dtype=torch.uint8) for name, data in contents.undo.items()}
    parts = {NUMBERS: save(numbers), UNDO: save(packed)}
    if contents.forgotten is not None:
        parts[STATISTICS] = contents.forgotten.to_bytes()
    digests = {name.removesuffix(".safetensors"): hashlib.sha256(data).hexdigest() for name, data in parts.items()}
    told = EditFile(
        **dict(contents.meta), updates=tuple(update.line() for update in contents.updates), files=EditFiles(**digests)
    )
    return told.model_copy(update={"sha256": _own_digest(told)}), parts


def _read_file(folder: Path) -> EditFile:
    """Return what `edit.json` says, where it is canonical and its own digest holds."""
    path = folder / FILE
    if not path.is_file():
        raise _wrong(folder, f"there is no {FILE}")
    try:
        refuse_unsafe(path)
        with opened(path) as file:
            data = file.read(MAX_JSON + 1)
        if len(data) > MAX_JSON:
            raise _wrong(folder, f"{FILE} is longer than {MAX_JSON} bytes")
        strict_json(data)
        told = EditFile.model_validate_json(data)
    except FileError as error:
        raise _wrong(folder, error.message) from error
    except ReportError as error:
        raise _wrong(folder, f"{FILE}: {error.message}") from error
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        place = ".".join(str(part) for part in first["loc"])[:200]
        raise _wrong(folder, f"{FILE}: {place}{': ' if place else ''}{first['msg']}") from error
    if data != _file_bytes(told):
        raise _altered(folder, f"{FILE} is not in its canonical form")
    if told.sha256 != _own_digest(told):
        raise _altered(folder, f"{FILE} has the digest {_own_digest(told)}, and says {told.sha256}")
    return told


def _file_bytes(told: EditFile) -> bytes:
    """Return the canonical bytes of `edit.json`; what is not known is left out, but `previous` is always there."""
    members = told.model_dump(mode="json", by_alias=True, exclude_none=True)
    return canonical_json({"previous": None, **members}) + b"\n"


def _own_digest(told: EditFile) -> str:
    """Return the SHA-256 of the canonical bytes of all members but the digest itself."""
    return hashlib.sha256(_file_bytes(told.model_copy(update={"sha256": None}))).hexdigest()


def _is_packed(tensor: Tensor) -> bool:
    return tensor.dtype == torch.uint8 and tensor.dim() == 1


def _wrong(folder: Path, told: str) -> EditError:
    return EditError("llm.edit", f"{folder.name}: {told}", "Restore the edit's folder, or make the edit anew.")


def _altered(folder: Path, told: str) -> EditError:
    return EditError("llm.digest", f"{folder.name}: {told}", "Restore the edit's folder; nothing was written.")
