"""`fedaudit render`: the same report for other readers. It reads a bundle and verifies nothing; the page says so."""

from datetime import UTC, date
from pathlib import Path

import click

from audit.cli.answer import Answer, Invocation, command
from audit.cli.clock import DAY, the_verifiers_time
from audit.cli.exports import EXPORTS, exported
from audit.cli.gate_reading import as_read, open_baseline, verdict_of
from audit.cli.written import require_place, write_whole
from reports.bundle import Bundle, read_bundle
from reports.judge import Verdict
from reports.nouns import Confidentiality
from reports.policy import load_policy, load_waivers

PATH = click.Path(path_type=Path)
STDOUT = Path("-")
FORMATS = ("html", "pdf", "md", "json", *EXPORTS)
_MORE = [str(Confidentiality.CONFIDENTIAL), str(Confidentiality.RESTRICTED)]


@command("render")
@click.argument("bundle", type=PATH)
@click.option(
    "--format",
    "kind",
    type=click.Choice(FORMATS),
    required=True,
    help="Three for people, json as signed, the others for machines; pdf needs the extra [pdf].",
)
@click.option("-o", "--output", required=True, type=PATH, help="The file to write; - is stdout.")
@click.option("--include", type=click.Choice(_MORE), help="Embed evidence up to this, outside the bundle only.")
@click.option("--policy", type=PATH, help="Add the verdict of this policy.")
@click.option("--baseline", type=PATH, help="For that verdict: an earlier bundle of the system; it is not verified.")
@click.option("--waivers", type=PATH, help="For that verdict: waivers from elsewhere; the policy then holds none.")
@click.option("--source", type=PATH, help="For sarif: the system file that was audited, so that lines are told.")
@click.option("--today", type=DAY, help="The day of that verdict; else that of the clock, in UTC.")
@click.pass_context
def render(
    ctx: click.Context,
    bundle: Path,
    kind: str,
    output: Path,
    include: str | None,
    policy: Path | None,
    baseline: Path | None,
    waivers: Path | None,
    source: Path | None,
    today: date | None,
) -> Answer:
    """Write the report of BUNDLE as html, pdf, md, or json (the very bytes that were signed), or for other tools.

    The pdf carries those bytes inside as report.json.

    sarif, junit and oscal hold findings and no evidence. Into the others evidence is embedded up to internal, unless
    more is asked for with --include.
    """
    if kind == "json" and (include or policy):
        raise click.UsageError("--format json is the signed payload: it takes neither --include nor --policy")
    if kind in EXPORTS and include:
        raise click.UsageError(f"--format {kind} holds no evidence: it takes no --include")
    if source and kind != "sarif":
        raise click.UsageError(f"--source is for --format sarif: {kind} knows no lines")
    for name, given in (("--baseline", baseline), ("--waivers", waivers), ("--today", today)):
        if given and not policy:
            raise click.UsageError(f"{name} needs --policy: without one there is no verdict")
    invocation = ctx.find_object(Invocation)
    if output == STDOUT and invocation is not None and invocation.json:
        raise click.UsageError("--json and -o - both want stdout; write to a file")
    level = Confidentiality(include) if include else Confidentiality.INTERNAL
    if output != STDOUT:
        require_place(output, bundle, level)
    read = read_bundle(bundle)
    verdict = _verdict(read, policy, baseline, waivers, today) if policy else None
    data = _rendered(read, kind, level, verdict, source)
    fields = {"output": str(output), "bytes": len(data)}
    if output == STDOUT:
        return Answer(data=data, fields=fields)
    write_whole(output, data)
    return Answer(text=f"wrote {output} ({len(data):,} bytes)", fields=fields)


def _verdict(read: Bundle, policy: Path, baseline: Path | None, waivers: Path | None, today: date | None) -> Verdict:
    """Return what `gate --unsigned` would say, of a report that nothing was verified of."""
    now = the_verifiers_time(None)
    rules = load_policy(policy)
    excused = load_waivers(waivers, rules) if waivers else ()
    earlier = open_baseline(baseline, None, now) if baseline else None
    return verdict_of(as_read(read), rules, today or now.astimezone(UTC).date(), earlier, excused)


def _rendered(read: Bundle, kind: str, level: Confidentiality, verdict: Verdict | None, source: Path | None) -> bytes:
    if kind == "json":
        return read.envelope.body
    if kind in EXPORTS:
        return exported(kind, read.statement, verdict, source)
    from reports.renderings import bundle_view  # jinja2 only where something is rendered

    view = bundle_view(read, include=level, verdict=verdict)
    if kind == "html":
        from reports.render_html import render_html

        return render_html(view).encode()
    if kind == "pdf":
        from reports.render_pdf import render_pdf

        return render_pdf(view, read.statement)
    from reports.render_markdown import render_markdown

    return render_markdown(view).encode()
