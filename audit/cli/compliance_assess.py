"""`fedaudit compliance assess`: what documents show of each duty, and which of their claims measurements contradict."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from audit.cli.answer import Answer, command
from audit.cli.clock import DAY, the_time
from audit.cli.reader_options import PATH, reader_options, readership
from reports.nouns import Effort

if TYPE_CHECKING:
    from compliance.assessing import Outcome
    from compliance.catalogue import Catalogue, Control
    from compliance.documents import Classification, Document
    from reports.model import Finding, System

LARGEST_SEED = 2**53 - 1


@dataclass(frozen=True)
class _Subject:
    """What is read, and whose it is."""

    documents: "tuple[Document, ...]"
    system: "System | None"
    folder: Path

    def named(self, kind: str) -> Path | None:
        """Return where the system's first file of one kind lies."""
        listed = () if self.system is None else self.system.documents
        return next((self.folder / one.path.path for one in listed if one.kind == kind), None)


@command("assess")
@click.argument("documents", nargs=-1, type=PATH, metavar="[DOC]...")
@click.option("--system", type=PATH, help="Read the documents that a system file names.")
@click.option("--controls", multiple=True, metavar="GLOB", help="Ask about these duties; may be repeated.")
@click.option("--articles", metavar="9,15", help="Ask about the duties of these articles of the AI Act.")
@reader_options
@click.option("--against", type=PATH, metavar="BUNDLE|FINDINGS.json", help="Hold claims against these findings.")
@click.option(
    "--classification", type=click.Choice(["public", "internal", "confidential"]), help="Of DOC; else confidential."
)
@click.option("--effort", type=click.Choice([str(effort) for effort in Effort]), default="standard", show_default=True)
@click.option("--seed", type=click.IntRange(0, LARGEST_SEED), metavar="N", help="Instead of the judge file's.")
@click.option("--on", type=DAY, help="The day; else that of the clock, in UTC.")
@click.option("--law-version", metavar="V", help="Of the AI Act; else the one in force on that day.")
@click.option("-o", "--output", type=PATH, help="Write assessment.json here.")
def assess(**asked: Any) -> Answer:
    """Read DOC, or the documents of a system, for what they show of each duty, with quotes that exist.

    Without --judge or --base-url nobody reads: citations, hidden text and claims are still looked at. Exit 0 whatever
    was found; 3 if a duty was left without an answer, with all the others printed and written.
    """
    from compliance.assessing import Assignment, assessed
    from compliance.catalogue import load_catalogue
    from compliance.claims_compared import compared_alone, compared_claims

    on = asked["on"] or the_time(None).date()
    subject = _subject(asked)
    version = asked["law_version"] or (None if subject.system is None else subject.system.law_version)
    catalogue = load_catalogue(version, on)
    reader = readership(asked, subject.named("judge"), subject.named("calibration"))
    system, findings = _held(subject, asked["against"])
    assignment = Assignment(
        subject.documents,
        _controls(catalogue, subject, asked),
        catalogue,
        on,
        Effort(asked["effort"]),
        compared_claims(subject.documents, system, findings),
        lambda found: compared_alone(found, system, findings),
    )
    return _answer(assessed(assignment, reader), asked["output"])


def _subject(asked: Mapping[str, Any]) -> _Subject:
    from compliance.documents import documents_of, load_document

    if asked["system"] is not None:
        if asked["documents"] or asked["classification"]:
            given = "DOC" if asked["documents"] else "--classification"
            raise click.UsageError(f"{given} and --system exclude each other: the file says it")
        from audit.manifest import load_system

        loaded = load_system(asked["system"])
        return _Subject(documents_of(loaded.system, loaded.folder), loaded.system, loaded.folder)
    if not asked["documents"]:
        raise click.UsageError("what is to be read? Name documents, or --system FILE")
    names = [str(path) for path in dict.fromkeys(asked["documents"])]
    level: Classification = asked["classification"] or "confidential"
    return _Subject(tuple(load_document(Path(one), classification=level, name=one) for one in names), None, Path())


def _controls(catalogue: "Catalogue", subject: _Subject, asked: Mapping[str, Any]) -> "tuple[Control, ...]":
    """Return the duties to ask about: those named, of which a glob or an article takes what documents can show."""
    from compliance.effort import articles_of, asked_controls

    if not asked["controls"] and asked["articles"] is None:
        roles = ("provider",) if subject.system is None else subject.system.roles
        return asked_controls(catalogue, roles, Effort(asked["effort"]))
    chosen = catalogue.select(asked["controls"]) if asked["controls"] else ()
    numbers = [] if asked["articles"] is None else [one.strip() for one in asked["articles"].split(",")]
    wanted = {control.id for control in (*chosen, *articles_of(catalogue, numbers))}
    return tuple(
        control
        for control in catalogue.controls
        if control.id in wanted and (control.document_kind or control.id in asked["controls"])
    )


def _held(subject: _Subject, against: Path | None) -> "tuple[System, tuple[Finding, ...]]":
    """Return the system that claims are about, and the findings that they are held against."""
    from compliance.given_findings import Given, nobody, read_findings

    given = Given() if against is None else read_findings(against)
    return subject.system or given.system or nobody(), given.findings


def _answer(outcome: "Outcome", output: Path | None) -> Answer:
    """Return an assessment for people and machines, written where a file was named."""
    import hashlib

    from audit.cli.assessment_text import text_of
    from compliance.assessment import assessment_bytes, counts

    assessment = outcome.assessment
    data = assessment_bytes(assessment)
    fields: dict[str, object] = assessment.model_dump(mode="json", by_alias=True)
    fields |= {
        "assessment_sha256": hashlib.sha256(data).hexdigest(),
        "counts": counts(assessment),
        "contradictions": sum(claim.state == "contradicted" for claim in assessment.claims),
        "output": None if output is None else str(output),
    }
    if output is not None:
        from audit.cli.written import write_whole

        write_whole(output, data)
    text = text_of(assessment)
    trouble = _unfinished(outcome)
    if trouble is None:
        return Answer(text=text, fields=fields)
    code, message, hint = trouble
    told = f"{text}\n{click.style(message, fg='red')}" + (f"\n  {hint}" if hint else "")
    return Answer(text=told, fields=fields, exit_code=3, code=code, message=message, hint=hint)


def _unfinished(outcome: "Outcome") -> tuple[str, str, str] | None:
    """Return code, sentence and mend where duties were left without an answer; None where none was."""
    from compliance.assessment import counts

    found, total = counts(outcome.assessment), len(outcome.assessment.assessments)
    lacking = found["not_asked"] + found["invalid_output"]
    if outcome.errors:
        first = outcome.errors[0]
        return first.code, f"{lacking} of {total} readings are missing: {first.message}", first.hint
    if found["invalid_output"]:
        told = f"{found['invalid_output']} of {total} readings came in no form that can be used"
        return "invalid_output", told, "Ask a model that can fill in a form, or raise max_tokens."
    return None
