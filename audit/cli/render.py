"""`fedaudit render`: the same report for other readers. It reads a bundle and verifies nothing; the page says so."""

from datetime import UTC, date
from pathlib import Path

import click

from audit.cli.answer import Answer, Invocation, command
from audit.cli.clock import DAY, the_time
from audit.cli.exports import EXPORTS, exported
from audit.cli.written import require_place, write_whole
from reports.bundle import Bundle, read_bundle
from reports.evidence import withheld
from reports.judge import Verdict, judge
from reports.nouns import Confidentiality
from reports.policy import load_policy

PATH = click.Path(path_type=Path)
STDOUT = Path("-")
FORMATS = ("html", "md", "json", *EXPORTS)
_MORE = [str(Confidentiality.CONFIDENTIAL), str(Confidentiality.RESTRICTED)]


@command("render")
@click.argument("bundle", type=PATH)
@click.option(
    "--format",
    "kind",
    type=click.Choice(FORMATS),
    required=True,
    help="For people, for people, as signed; for machines.",
)
@click.option("-o", "--output", required=True, type=PATH, help="The file to write; - is stdout.")
@click.option("--include", type=click.Choice(_MORE), help="Embed evidence up to this, outside the bundle only.")
@click.option("--policy", type=PATH, help="Add the verdict of this policy.")
@click.option("--today", type=DAY, help="The day of that verdict; else that of the clock, in UTC.")
@click.pass_context
def render(
    ctx: click.Context,
    bundle: Path,
    kind: str,
    output: Path,
    include: str | None,
    policy: Path | None,
    today: date | None,
) -> Answer:
    """Write the report of BUNDLE as html, md, or json (the very bytes that were signed), or for other tools.

    sarif, junit and oscal hold findings and no evidence. Into the others evidence is embedded up to internal, unless
    more is asked for with --include.
    """
    if kind == "json" and (include or policy):
        raise click.UsageError("--format json is the signed payload: it takes neither --include nor --policy")
    if kind in EXPORTS and include:
        raise click.UsageError(f"--format {kind} holds no evidence: it takes no --include")
    if today and not policy:
        raise click.UsageError("--today needs --policy: without one there is no verdict")
    invocation = ctx.find_object(Invocation)
    if output == STDOUT and invocation is not None and invocation.json:
        raise click.UsageError("--json and -o - both want stdout; write to a file")
    level = Confidentiality(include) if include else Confidentiality.INTERNAL
    if output != STDOUT:
        require_place(output, bundle, level)
    read = read_bundle(bundle)
    data = _rendered(read, kind, level, _verdict(read, policy, today) if policy else None)
    fields = {"output": str(output), "bytes": len(data)}
    if output == STDOUT:
        return Answer(data=data, fields=fields)
    write_whole(output, data)
    return Answer(text=f"wrote {output} ({len(data):,} bytes)", fields=fields)


def _verdict(read: Bundle, policy: Path, today: date | None) -> Verdict:
    report = read.report
    return judge(
        report,
        load_policy(policy),
        today or the_time(None).astimezone(UTC).date(),
        withheld=[piece.path for piece in withheld(read.files, report.evidence)],
        report_sha256=read.statement.sha256,
        subject_sha256s=[subject.digest.sha256 for subject in read.statement.subjects],
    )


def _rendered(read: Bundle, kind: str, level: Confidentiality, verdict: Verdict | None) -> bytes:
    if kind == "json":
        return read.envelope.body
    if kind in EXPORTS:
        return exported(kind, read.statement, verdict)
    from reports.renderings import bundle_view  # jinja2 only where something is rendered

    view = bundle_view(read, include=level, verdict=verdict)
    if kind == "html":
        from reports.render_html import render_html

        return render_html(view).encode()
    from reports.render_markdown import render_markdown

    return render_markdown(view).encode()
