"""`fedaudit compliance annex-iv`: the evidence file of Annex IV, from a bundle or from a system file alone."""

from dataclasses import dataclass
from datetime import UTC, date
from pathlib import Path
from typing import TYPE_CHECKING

import click

from audit.cli.answer import Answer, Invocation, command
from audit.cli.clock import DAY, the_time
from audit.cli.written import write_whole
from reports.bundle_files import is_bundle

if TYPE_CHECKING:
    from compliance.annex_iv_nouns import AnnexIV
    from reports.model import Report, System

PATH = click.Path(path_type=Path)


@dataclass(frozen=True)
class _Source:
    """What the file is about, and what was found."""

    system: "System"
    report: "Report | None" = None
    bundle_sha256: str | None = None
    signed: bool | None = None


@command("annex-iv")
@click.argument("source", metavar="BUNDLE|SYSTEM.toml", type=PATH)
@click.option("--assessment", type=PATH, help="assessment.json: what a reader found in the documents, with its quotes.")
@click.option("--on", type=DAY, help="The day that the applicability is told for; else that of the clock, in UTC.")
@click.option("--law-version", help="Version of the AI Act; else the declared one, else the newest in force.")
@click.option("--format", "form", type=click.Choice(["md", "html", "pdf", "json"]), default="md", show_default=True)
@click.option("-o", "--output", type=PATH, help="Write to this file instead of stdout.")
@click.pass_context
def annex_iv(
    ctx: click.Context,
    source: Path,
    assessment: Path | None,
    on: date | None,
    law_version: str | None,
    form: str,
    output: Path | None,
) -> Answer:
    """Write what is stated, what was measured and what is missing on each of the 23 points of Annex IV.

    SOURCE is a bundle, or a system file: then only what is declared can be told. A bundle is read, not verified. With
    --assessment the file quotes the documents. Exit 0 with gaps: a gap is content.
    """
    from compliance.annex_iv import build_annex_iv
    from compliance.assessment import read_assessment
    from compliance.catalogue import load_catalogue

    day = on or the_time(None).astimezone(UTC).date()
    known = _source(source)
    read = None if assessment is None else read_assessment(assessment)[0]
    catalogue = load_catalogue(law_version or known.system.law_version, day)
    file = build_annex_iv(
        known.system,
        known.report,
        read,
        catalogue,
        on=day,
        bundle_sha256=known.bundle_sha256,
        signed=known.signed,
    )
    fields = {**file.model_dump(mode="json", by_alias=True), "output": None if output is None else str(output)}
    data = _rendered(file, form)
    if output is not None:
        write_whole(output, data)
        told = f"wrote {output}: {file.points} points, {file.gap_count} gaps"
        return Answer(text=told, fields=fields)
    invocation = ctx.find_object(Invocation)
    if invocation is not None and invocation.json:
        return Answer(fields=fields)
    return Answer(data=data, fields=fields)


def _source(path: Path) -> _Source:
    """Return the system behind a path: that of a bundle, whose folder or zip it is, or of a system file.

    Raises:
        BundleError: the bundle cannot be read.
        SystemFileError: the system file cannot be used.
    """
    if is_bundle(path):
        from reports.bundle import read_bundle

        bundle = read_bundle(path)
        signed = bool(bundle.envelope.signatures)
        return _Source(bundle.report.system, bundle.report, bundle.statement.sha256, signed)
    from audit.manifest import load_system

    return _Source(load_system(path).system)


def _rendered(file: "AnnexIV", form: str) -> bytes:
    if form == "json":
        from compliance.annex_iv import annex_iv_bytes

        return annex_iv_bytes(file) + b"\n"
    from compliance.annex_iv_render import render_html, render_markdown, render_pdf

    if form == "pdf":
        return render_pdf(file)
    return (render_html(file) if form == "html" else render_markdown(file)).encode()
