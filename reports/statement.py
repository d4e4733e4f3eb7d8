"""What a signature means: an in-toto Statement v1 that says "this report is about these files".

The format is in-toto's (in-toto/attestation: spec/v1/statement.md). The body that was signed stays the bytes that were
signed; the report beside it is the checked reading of the same bytes, parsed once.
"""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Annotated

from pydantic import Field, ValidationError

from reports.canonical import canonical_json, strict_json
from reports.digests import artifact_sha256
from reports.errors import BundleError, ReportError
from reports.model import Artifact, Report, System
from reports.nouns import Noun, Sha256, Text
from reports.tomlfile import key_path

STATEMENT_TYPE = "https://in-toto.io/Statement/v1"
PREDICATE_TYPE = "urn:fedaudit:audit-report:v1"
"""The version changes only when an old reader would misread the report."""


class SubjectDigest(Noun):
    """The digests of one subject."""

    sha256: Sha256
    """Of the file, or of the folder as `reports.digests.folder_sha256` has it."""


class Subject(Noun):
    """One file or folder that the report is about; matched by digest alone."""

    name: Annotated[Text, Field(min_length=1, max_length=1000)]
    """Shown to people."""
    digest: SubjectDigest
    """What decides."""


class _Claim(Noun):
    """What a statement says once its two types are known."""

    subject: Annotated[tuple[Subject, ...], Field(min_length=1)]
    predicate: Report


@dataclass(frozen=True)
class Statement:
    """A report with the files that it is about, as one sequence of bytes."""

    body: bytes
    """RFC 8785 bytes: what is signed."""
    report: Report
    """The predicate, checked."""
    subjects: tuple[Subject, ...]
    """The files it is about."""

    @cached_property
    def sha256(self) -> str:
        """The id of the report: the digest of `body`."""
        return hashlib.sha256(self.body).hexdigest()


def subject_digest(path: Path) -> str:
    """Return the digest by which a file or a folder is a subject; errors as `reports.digests.artifact_sha256`."""
    return artifact_sha256(path)


def declared_subjects(system: System) -> tuple[Subject, ...]:
    """Return what a report on `system` is about: its model, what unlearning left, its transcripts; else its file."""
    artifacts = dict.fromkeys(_about(system)) or {system.source: None}
    return tuple(Subject(name=a.path, digest=SubjectDigest(sha256=a.sha256)) for a in artifacts)


def _about(system: System) -> Iterator[Artifact]:
    if system.model and system.model.checkpoint:
        yield system.model.checkpoint
    yield from (request.after for request in system.unlearning if request.after)
    if system.federation and system.federation.secure_aggregation:
        yield from system.federation.secure_aggregation.transcripts


def make_statement(report: Report, subjects: tuple[Subject, ...]) -> Statement:
    """Return the statement that says `report` is about `subjects`.

    Raises:
        ValueError: there is no subject.
    """
    claim = _Claim(subject=subjects, predicate=report).model_dump(mode="json")
    body = canonical_json({"_type": STATEMENT_TYPE, "predicateType": PREDICATE_TYPE, **claim})
    return Statement(body, report, subjects)


def parse_statement(body: bytes) -> Statement:
    """Return the statement that signed bytes hold; errors as the four steps that it takes."""
    value = strict_json(body)
    require_canonical(body, value)
    return require_schema(body, require_types(value))


def require_canonical(body: bytes, value: object) -> None:
    """Refuse (`statement.not_canonical`) bytes that are not the RFC 8785 form of the value that they hold."""
    try:
        same = canonical_json(value) == body
    except ReportError as error:
        raise BundleError("statement.not_canonical", f"the payload has no RFC 8785 form: {error.message}") from error
    if not same:
        raise BundleError("statement.not_canonical", "the payload is not written in its RFC 8785 form")


def require_types(value: object) -> dict[str, object]:
    """Return the claim inside a statement: `statement.type` and `statement.predicate_type` are refused."""
    if not isinstance(value, dict) or value.get("_type") != STATEMENT_TYPE:
        raise BundleError("statement.type", f"the payload is no {STATEMENT_TYPE}")
    if value.get("predicateType") != PREDICATE_TYPE:
        found = str(value.get("predicateType"))[:100]
        raise BundleError(
            "statement.predicate_type", f"the predicate is {found!r}, not {PREDICATE_TYPE!r}", "Use a newer fedaudit."
        )
    return {name: member for name, member in value.items() if name not in ("_type", "predicateType")}


def require_schema(body: bytes, claim: dict[str, object]) -> Statement:
    """Return the statement whose claim is a report and its subjects; anything else is `report.schema`.

    What was read must be what was written: a value that pydantic would bend (a date in other digits) is refused too.
    """
    try:
        read = _Claim.model_validate(claim)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        raise BundleError("report.schema", f"{key_path(first['loc'])[:200]}: {first['msg'][:300]}") from error
    if not _same(read.model_dump(mode="json", exclude_unset=True), claim):
        raise BundleError("report.schema", "a value of the report is not written in its one form")
    return Statement(body, read.predicate, read.subject)


def _same(read: object, written: object) -> bool:
    """Tell whether two JSON values are equal; unlike `==`, tell true from 1."""
    if isinstance(read, dict) and isinstance(written, dict):
        return read.keys() == written.keys() and all(_same(value, written[name]) for name, value in read.items())
    if isinstance(read, list) and isinstance(written, list):
        return len(read) == len(written) and all(map(_same, read, written))
    return read == written and isinstance(read, bool) == isinstance(written, bool)
