"""The file that a command was asked to write: whole or not at all, and never where it would break a bundle."""

from pathlib import Path

from reports import durable
from reports.errors import FedauditError
from reports.evidence import RENDERINGS
from reports.nouns import Confidentiality


def write_whole(path: Path, data: bytes) -> None:
    """Write a file whole or not at all; one that was there is replaced.

    Raises:
        FedauditError: `io.no_folder`, the folder is not there; `io.write`, the file cannot be written.
    """
    if not path.parent.is_dir():
        raise FedauditError("io.no_folder", f"{path}: there is no folder {path.parent}", "Make it first.")
    if path.is_dir():
        raise FedauditError("io.write", f"{path}: is a folder", "Name a file.")
    durable.write_whole(path, data)  # through no link, which others may have laid in a folder like /tmp


def require_place(output: Path, bundle: Path, level: Confidentiality = Confidentiality.INTERNAL) -> None:
    """Refuse a place where a file would break the bundle, or show what may be withheld from it.

    Raises:
        FedauditError: `io.no_folder`, the folder is not there; `render.inside_bundle`.
    """
    if not output.parent.is_dir():
        raise FedauditError("io.no_folder", f"{output}: there is no folder {output.parent}", "Make it first.")
    place, inside = output.resolve(), bundle.resolve()
    if not place.is_relative_to(inside):
        return
    if level.rank > Confidentiality.INTERNAL.rank:
        problem = f"{output} lies in the bundle, and --include {level} would put there what may be withheld from it"
    elif place.parent != inside / RENDERINGS:
        problem = f"{output} lies in the bundle, where only {RENDERINGS}/ may hold unsigned files"
    else:
        return
    raise FedauditError("render.inside_bundle", problem, "Write it somewhere else.")
