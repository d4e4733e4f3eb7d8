"""`fedaudit render`: the same report for other readers. It reads a bundle and verifies nothing; the page says so."""

import os
from datetime import UTC, date
from pathlib import Path

import click

from audit.cli.answer import Answer, Invocation, command
from audit.cli.clock import DAY, the_time
from reports.bundle import Bundle, read_bundle
from reports.errors import FedauditError
from reports.evidence import RENDERINGS, withheld
from reports.judge import Verdict, judge
from reports.nouns import Confidentiality
from reports.policy import load_policy

PATH = click.Path(path_type=Path)
STDOUT = Path("-")
FORMATS = ("html", "md", "json")
_MORE = [str(Confidentiality.CONFIDENTIAL), str(Confidentiality.RESTRICTED)]


@command("render")
@click.argument("bundle", type=PATH)
@click.option("--format", "kind", type=click.Choice(FORMATS), required=True, help="For people, for people, as signed.")
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
    """Write the report of BUNDLE as html, md, or json (the very bytes that were signed).

    Evidence is embedded up to internal, unless more is asked for with --include.
    """
    if kind == "json" and (include or policy):
        raise click.UsageError("--format json is the signed payload: it takes neither --include nor --policy")
    if today and not policy:
        raise click.UsageError("--today needs --policy: without one there is no verdict")
    invocation = ctx.find_object(Invocation)
    if output == STDOUT and invocation is not None and invocation.json:
        raise click.UsageError("--json and -o - both want stdout; write to a file")
    level = Confidentiality(include) if include else Confidentiality.INTERNAL
    if output != STDOUT:
        _require_place(output, bundle, level)
    read = read_bundle(bundle)
    data = _rendered(read, kind, level, _verdict(read, policy, today) if policy else None)
    fields = {"output": str(output), "bytes": len(data)}
    if output == STDOUT:
        return Answer(data=data, fields=fields)
    _write(output, data)
    return Answer(text=f"wrote {output} ({len(data):,} bytes)", fields=fields)


def _require_place(output: Path, bundle: Path, level: Confidentiality) -> None:
    """Refuse (`render.inside_bundle`) a place where the file would break the bundle, or show what may be withheld."""
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


def _verdict(read: Bundle, policy: Path, today: date | None) -> Verdict:
    report = read.report
    return judge(
        report,
        load_policy(policy),
        today or the_time(None).astimezone(UTC).date(),
        withheld=[piece.path for piece in withheld(read.path, report.evidence)],
        report_sha256=read.statement.sha256,
        subject_sha256s=[subject.digest.sha256 for subject in read.statement.subjects],
    )


def _rendered(read: Bundle, kind: str, level: Confidentiality, verdict: Verdict | None) -> bytes:
    if kind == "json":
        return read.envelope.body
    from reports.renderings import bundle_view  # jinja2 only where something is rendered

    view = bundle_view(read, include=level, verdict=verdict)
    if kind == "html":
        from reports.render_html import render_html

        return render_html(view).encode()
    from reports.render_markdown import render_markdown

    return render_markdown(view).encode()


def _write(output: Path, data: bytes) -> None:
    """Write the file whole or not at all; one that was there is replaced."""
    partial = output.with_name(f".{output.name}.{os.getpid()}.partial")
    try:
        partial.write_bytes(data)
        partial.replace(output)
    finally:
        partial.unlink(missing_ok=True)
