"""The evidence folder of a bundle: content-addressed files, the one root over them, and everything wrong with one.

A file is named by its digest, so equal content is one file, and names from outside never become paths.
"""

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

from reports import merkle
from reports.bundle_files import BundleFiles, FolderFiles, read_content
from reports.canonical import canonical_json
from reports.digests import PIECE
from reports.errors import BundleError
from reports.model import Confidentiality, Evidence
from reports.regular import KIND_WORDS
from reports.salting import SALT_BYTES, unsalted

FOLDER = "evidence"
ENVELOPE = "report.dsse.json"
RENDERINGS = "render"
_LAYOUT = frozenset({ENVELOPE, FOLDER, RENDERINGS})
_SUFFIXES: Mapping[str, str] = {
    "application/gzip": ".gz",
    "application/jsonl": ".jsonl",
    "application/pdf": ".pdf",
    "application/toml": ".toml",
    "application/x-npz": ".npz",
    "image/png": ".png",
    "image/svg+xml": ".svg",
    "text/csv": ".csv",
    "text/html": ".html",
    "text/markdown": ".md",
    "text/plain": ".txt",
}


class Fault(NamedTuple):
    """One thing wrong with a bundle."""

    code: str
    """Stable machine word, such as `evidence.digest`."""
    message: str
    """One sentence that names the file."""


def suffix_of(media_type: str) -> str:
    """Return the suffix under which evidence of a media type is kept; empty for a type that has none here."""
    if media_type == "application/json" or media_type.endswith("+json"):
        return ".json"
    return _SUFFIXES.get(media_type, "")


def evidence_leaf(piece: Evidence) -> bytes:
    """Return what the tree holds of one piece: rfc8785([sha256, size, media_type, confidentiality, name]).

    The same for a salted piece: its digest and size are those of the file, salt and content.
    """
    return canonical_json([piece.sha256, piece.size, piece.media_type, str(piece.confidentiality), piece.name])


def evidence_root(evidence: Iterable[Evidence]) -> str:
    """Return the RFC 6962 tree hash over the evidence in the order of its digests, 64 hexadecimal digits."""
    leaves = [evidence_leaf(piece) for piece in sorted(evidence, key=lambda piece: piece.sha256)]
    return merkle.root(leaves).hex()


def may_be_withheld(piece: Evidence) -> bool:
    """Tell whether the signed confidentiality of a piece allows its file to be absent."""
    return piece.confidentiality.at_least(Confidentiality.CONFIDENTIAL)


def withheld(files: BundleFiles, evidence: Iterable[Evidence]) -> tuple[Evidence, ...]:
    """Return the pieces that may be absent and are."""
    return tuple(p for p in evidence if may_be_withheld(p) and files.kind(f"{FOLDER}/{p.path}") == "missing")


def read_evidence(files: BundleFiles, piece: Evidence) -> bytes | None:
    """Return the content of a piece, without its salt; None where there is no plain file of what the report lists.

    So no page shows a plot that is not the report's; whether the report is authentic is for others to say.

    Raises:
        OSError: the file cannot be read.
    """
    try:
        content = files.open(f"{FOLDER}/{piece.path}")
        if content.size != piece.size:
            content.file.close()
            return None
        data = read_content(content)
    except BundleError:
        return None  # absent, a link, a folder, a broken member: there is nothing to show
    if hashlib.sha256(data).hexdigest() != piece.sha256 or (piece.salted and len(data) < SALT_BYTES):
        return None
    return unsalted(data) if piece.salted else data


def evidence_faults(
    files: BundleFiles, evidence: Sequence[Evidence], root: str, *, deny_withheld: bool
) -> Iterator[Fault]:
    """Yield what is wrong with the evidence of a bundle, in the order of the specification's step 16.

    Lazily: who wants the first fault alone does not hash the rest.

    Raises:
        OSError: a file or a folder cannot be read.
    """
    kinds = {".": files.kind(FOLDER)}
    if kinds["."] not in ("folder", "missing"):
        yield _misplaced(FOLDER, kinds["."])
        return
    kinds |= _listing(files)
    buffer = memoryview(bytearray(PIECE))
    for piece in evidence:
        yield from _piece_faults(files, piece, kinds, buffer)
    yield from _unlisted(files, evidence, kinds)
    if not isinstance(files, FolderFiles):
        yield from _members_faults(files, RENDERINGS, buffer)
    if deny_withheld:
        for piece in withheld(files, evidence):
            yield Fault("evidence.withheld", f"{piece.path} ({piece.name}) is withheld; the trust file denies that")
    if evidence_root(evidence) != root:
        yield Fault("evidence.root", "the evidence list does not hash to the report's evidence root")


def _listing(files: BundleFiles) -> dict[str, str]:
    """Return the entries of `evidence/` and theirs, by kind; what lies deeper can only be unlisted."""
    kinds: dict[str, str] = {}
    for name, kind in files.entries(FOLDER).items():
        kinds[name] = kind
        if kind == "folder":
            kinds.update((f"{name}/{inner}", kind) for inner, kind in files.entries(f"{FOLDER}/{name}").items())
    return kinds


def _piece_faults(files: BundleFiles, piece: Evidence, kinds: Mapping[str, str], buffer: memoryview) -> Iterator[Fault]:
    for place, wanted in ((".", "folder"), (piece.path.partition("/")[0], "folder"), (piece.path, "file")):
        found = kinds.get(place, "missing")
        if found == "missing" and may_be_withheld(piece):
            return
        if found == "missing":
            yield Fault("evidence.missing", f"{piece.path} ({piece.name}) is missing and may not be withheld")
            return
        if found != wanted:
            yield _misplaced(f"{FOLDER}/{place}", found)
            return
    yield from _content_faults(files, piece, buffer)


def _misplaced(place: str, kind: str) -> Fault:
    if kind == "symlink":
        return Fault("evidence.symlink", f"{place} is a symbolic link")
    return Fault("evidence.not_file", f"{place} is {KIND_WORDS[kind]}")


def _content_faults(files: BundleFiles, piece: Evidence, buffer: memoryview) -> Iterator[Fault]:
    digest = hashlib.sha256()
    try:
        content = files.open(f"{FOLDER}/{piece.path}")
        with content.file as file:
            if content.size != piece.size:
                said = f"{piece.path} ({piece.name})"
                yield Fault("evidence.size", f"{said} has {content.size} bytes, not {piece.size}")
                return
            while read := file.readinto(buffer):
                digest.update(buffer[:read])
    except BundleError as error:  # a broken member, or a file exchanged between the listing and the reading
        yield Fault(error.code if error.code.startswith("zip.") else "evidence.not_file", error.message)
        return
    if digest.hexdigest() != piece.sha256:
        yield Fault("evidence.digest", f"{piece.path} ({piece.name}) has other content than was signed")


def _members_faults(files: BundleFiles, folder: str, buffer: memoryview) -> Iterator[Fault]:
    """Yield what is broken among the unsigned members of a zip: one that ends early could hide others behind its end.

    Who reads the zip from a pipe, without its directory, would see them.
    """
    for name, kind in sorted(files.entries(folder).items()):
        place = f"{folder}/{name}"
        if kind == "folder":
            yield from _members_faults(files, place, buffer)
            continue
        try:
            with files.open(place).file as file:
                while file.readinto(buffer):
                    pass
        except BundleError as error:
            yield Fault(error.code, error.message)


def _unlisted(files: BundleFiles, evidence: Iterable[Evidence], kinds: Mapping[str, str]) -> Iterator[Fault]:
    """Yield what nobody signed: in `evidence/`, and beside the three places that a bundle has."""
    listed = {piece.path for piece in evidence}
    expected = listed | {path.partition("/")[0] for path in listed} | {"."}
    for place in sorted(kinds.keys() - expected):
        yield Fault("evidence.unlisted", f"{place!r} in {FOLDER}/ is not listed in the report")
    for name in sorted(files.entries(".").keys() - _LAYOUT):
        yield Fault("evidence.unlisted", f"{name!r} is no part of a bundle; only {RENDERINGS}/ may hold unsigned files")
